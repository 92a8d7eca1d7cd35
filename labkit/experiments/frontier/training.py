"""Training many networks of many shapes, as few populations as their shapes allow, and what each of them reached."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.data import Part
from labkit.experiments.frontier.arms import Network
from labkit.experiments.frontier.batch import Batch, Table
from labkit.population import MLP, Params, chunk_size, chunks, evaluate, training_bytes
from labkit.privacy import PrivateTrainer
from labkit.privacy.selection import clipped_loss_sum
from labkit.runs.events import Event
from labkit.search import advance

MOST = {"cpu": 16, "cuda": 512}  # networks at once: more gain nothing, and make a stop slower
SPARE = 1.5  # the padded batch over the expected one, for memory

Told = tuple[int, Event]  # an event with the place of its job
Look = Callable[[Network, int, float], Iterable[Told]]


def train(
    batch: Batch,
    networks: Sequence[Network],
    what: str,
    *,
    look: Look | None = None,
    trained: dict[Network, Params] | None = None,
) -> Generator[Told, None, Table]:
    """Train networks, yielding events, and return what they reached, in their order.

    Args:
        look: from a network, a step and its selection accuracy, at each of the Spec's looks, to what to tell of it.
        trained: receives each network's parameters, on the CPU; None where nobody wants them.

    Returns:
        selection_accuracy, test_accuracy, test_loss, clipped (share of examples), dropped [M]; recall [M, classes];
        right (right answers on the training set) [M]; curve [M, looks].
    """
    places: dict[tuple, list[int]] = {}
    for place, network in enumerate(networks):
        arm = network.arm
        kind = (batch.shape(arm).widths, arm.masked and arm.space == "weights", arm.plan.batch_size)
        places.setdefault(kind, []).append(place)
    found: dict[int, Table] = {}
    for (widths, masked, _), group in places.items():
        arch = MLP(widths)
        for place in _pieces(batch, arch, masked, group, networks):
            reached = yield from _train(batch, arch, [networks[p] for p in place], what, look, trained)
            found |= {p: {name: value[i] for name, value in reached.items()} for i, p in enumerate(place)}
    return {name: torch.stack([found[p][name] for p in range(len(networks))]) for name in found[0]}


def _pieces(batch: Batch, arch: MLP, masked: bool, places: list[int], networks: Sequence[Network]) -> list[list[int]]:
    """Networks of one shape in pieces that fit in memory; those that share draws stand together.

    A piece of one seed reads each image once for all its networks.
    """
    order = sorted(places, key=lambda place: (networks[place].seed, networks[place].draw, place))
    device, size = batch.resources.device, networks[places[0]].arm.plan.batch_size
    need = training_bytes(arch, int(SPARE * size) + 1, masked=masked) + 4 * int(SPARE * size) * arch.widths[0]
    most = min(chunk_size(need, device, count=len(order)), MOST.get(device.type, len(order)))
    return [[order[i] for i in piece] for piece in chunks(len(order), most)]


def _train(
    batch: Batch,
    arch: MLP,
    networks: list[Network],
    what: str,
    look: Look | None,
    trained: dict[Network, Params] | None,
) -> Generator[Told, None, Table]:
    data, trainer = batch.data, trainer_of(batch, arch, networks)
    before, curve = batch.done, []
    for step in batch.point.looks():
        for rate in advance(trainer, step):
            batch.done = before + trainer.done * len(networks)
            yield 0, batch.progress(what, rate)  # how many at once would tell the secret number of repeats
        curve.append(evaluate(arch, trainer.params, data.selection.x, data.selection.y).accuracy.cpu())
        if look:
            for network, accuracy in zip(networks, curve[-1].tolist(), strict=True):
                yield from look(network, step, accuracy)
    if trained is not None:
        own = {name: tensor.cpu() for name, tensor in trainer.params.items()}
        trained |= {network: {n: t[k].clone() for n, t in own.items()} for k, network in enumerate(networks)}
    final = evaluate(arch, trainer.params, data.test.x, data.test.y)
    right = evaluate(arch, trainer.params, data.train.x, data.train.y).accuracy * len(data.train)
    return {
        "selection_accuracy": curve[-1],
        "curve": torch.stack(curve, 1),
        "test_accuracy": final.accuracy.cpu(),
        "test_loss": final.loss.cpu(),
        "recall": final.recall.cpu(),
        "right": right.round().cpu(),
        "clipped": (trainer.clipped / trainer.seen.clamp(min=1)).cpu(),
        "dropped": trainer.dropped.cpu(),
    }


def trainer_of(batch: Batch, arch: MLP, networks: list[Network]) -> PrivateTrainer:
    """The trainer of networks of one shape; those of one seed share their draws."""
    params, masks = _stacks(batch, networks)
    keys = [batch.draw_key(network) for network in networks]
    draws = list(dict.fromkeys(keys))
    return PrivateTrainer(
        arch,
        params,
        [network.arm.plan for network in networks],
        batch.data.train.x,
        batch.data.train.y,
        learning_rate=[network.rate for network in networks],
        draw_keys=draws,
        groups=[draws.index(key) for key in keys],
        noise_keys=[batch.noise_key(network) for network in networks],
        masks=masks,
    )


def _stacks(batch: Batch, networks: list[Network]) -> tuple[Params, Params | None]:
    """Parameters and masks of networks that may belong to several arms of one shape, in their order."""
    kinds: dict[tuple, list[int]] = {}
    for place, network in enumerate(networks):
        arm = network.arm
        origin = (arm.kind == "small", arm.masked, arm.sparsity, arm.space)
        kinds.setdefault(origin, []).append(place)
    parts = [batch.population([networks[p] for p in places]) for places in kinds.values()]
    order = torch.tensor([p for places in kinds.values() for p in places]).argsort().to(batch.resources.device)
    params = {name: torch.cat([part[name] for part, _ in parts])[order] for name in parts[0][0]}
    if parts[0][1] is None:
        return params, None
    masks = {name: torch.cat([part[name] for _, part in parts])[order] for name in parts[0][1]}
    return params, masks


@torch.no_grad()
def clipped_loss_sums(arch: MLP, params: Params, part: Part, bound: float) -> Tensor:
    """Each network's sum over the training set of min(cross-entropy, bound), [K], in float64 on the CPU."""
    total = 0.0
    for rows in chunks(len(part), 1024):
        piece = slice(rows.start, rows.stop)
        logits = arch.logits(params, part.x[piece])
        y = part.y[piece].expand(logits.shape[0], -1)
        losses = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape)
        total = total + clipped_loss_sum(losses, bound)
    return total.cpu()
