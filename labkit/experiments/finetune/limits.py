"""What cannot be run, said before anything trains, and what a run is expected to need."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from labkit.errors import BadInput
from labkit.experiments.finetune.spec import BIAS, FIXED, HEAD, HEAD_NORM, LAYER, LORA, SEARCH, TUNED, FinetuneSpec
from labkit.runs.experiment import Estimate

if TYPE_CHECKING:
    import torch

    from labkit.data import Split
    from labkit.finetune.network import Network

HOURS = 24.0  # a Spec that is expected to take longer is refused
SPEED = {"cpu": 0.35, "cuda": 0.15}  # of the device's matrix-product rate: small products, norms and noise take a share
STEP = {"cpu": 1e-3, "cuda": 1e-4}  # seconds of one network's step beside its products
PASSES = 5  # of a training step, in forward passes: forward, backward, norms, sums
SECONDS_PER_PLAN = 1.0
NEEDED = {HEAD_NORM: "normalisation", BIAS: "bias"}  # without it a method moves the head alone


def impossible(point: FinetuneSpec) -> str | None:
    """Why a grid point cannot be: that shows when its network is known (`check`)."""
    return None


@lru_cache(maxsize=8)
def loaded(model: str, classes: int) -> Network:
    """The public network, read once for all that is asked of it before a run."""
    from labkit.finetune.models import load_network

    return load_network(model, classes)


def check(spec: FinetuneSpec, data: Split) -> None:
    """Refuse what no bound of a single field can say.

    Raises:
        BadInput: weights that are not here or not the published ones, more layers than there are, methods that would
            move nothing of their own, a sparsity for methods of fixed size alone, a warm-up as long as the training, a
            batch larger than the training split, a delta of 1/n or more, an epsilon that no noise reaches, or what
            needs more memory or time than there is.
    """
    from labkit.device import memory_free, resolve

    spec.tried_rates()
    n = len(data.train)
    if spec.batch_size > n:
        what = f"at most {n}, the size of the training split: a rate is at most 1"
        raise BadInput("batch_size", spec.batch_size, what)
    if spec.delta >= 1 / n:
        what = f"0 for the default, or a number below 1/n = {1 / n:.3g}: at 1/n a mechanism may give one person away"
        raise BadInput("delta", spec.delta, what)
    _check_warmup(spec, n)
    network = loaded(spec.model, len(data.classes))
    network.transform(data.pixels(data.test)[:1])
    _check_methods(spec, network)
    _check_kept(spec, network)
    device = resolve(spec.device)
    needed, free = estimate(spec, data, device), memory_free(device)
    if needed.peak_bytes > free:
        need = f"it would need {needed.peak_bytes / 1e9:.1f} GB on {device}"
        raise BadInput("batch_size", spec.batch_size, f"what fits in the {free / 1e9:.1f} GB that are free; {need}")
    if needed.seconds > HOURS * 3600:
        hours = f"it would take about {needed.seconds / 3600:,.0f} hours on {device}"
        raise BadInput("epochs", spec.epochs, f"what takes at most {HOURS:g} hours; {hours}")
    from labkit.experiments.finetune.plans import plan_of

    for point in spec.points():
        plan_of(point, n)


def _check_warmup(spec: FinetuneSpec, examples: int) -> None:
    """That something is left to train after it: both are rounded up to whole steps."""
    from labkit.experiments.finetune.plans import stages_of

    for point in spec.points():
        stages = stages_of(point, examples)
        if stages.warm >= stages.train:
            steps = "1 step" if stages.train == 1 else f"{stages.train} steps"
            what = f"less than the {steps} of the whole training, {spec.epochs:g} epochs; these are {stages.warm}"
            raise BadInput("warmup", point.warmup[0], what)


def _check_kept(spec: FinetuneSpec, network: Network) -> None:
    """That peft can tell the head, which goes with an adapter, from all other layers: it reads the end of a name."""
    alike = [name for name, _ in network.stages.named_modules() if name.endswith(network.head) and name != network.head]
    if spec.keep_weights and LORA in spec.method and alike:
        what = (
            f"false with method lora on {network.name}: in peft's files its head {network.head} looks like {alike[0]}"
        )
        raise BadInput("keep_weights", True, what)


def _check_methods(spec: FinetuneSpec, network: Network) -> None:
    """What each method asked for would move."""
    from labkit.finetune.method import Setting, head_of, row_layers
    from labkit.finetune.methods import METHODS
    from labkit.streams import stream

    first = network.late(spec.layers)
    if not row_layers(network, first):
        what = f"0, or at least 2: with the head alone there are no rows to choose in {network.name}"
        raise BadInput("layers", spec.layers, what)
    sizes, head = [], head_of(network)
    for name in (name for name in spec.method if name in FIXED):
        moves = METHODS[name].moves(Setting(network, first, 0.0, LAYER, spec.lora_rank, stream(0, "size")))
        if name in NEEDED and set(moves.whole) == set(head):
            what = f"head: no {NEEDED[name]} stands behind the layers that stay frozen (layers = {spec.layers})"
            raise BadInput("method", name, what)
        own = moves.network.parameters()
        sizes.append(f"{name} moves {sum(own[p].numel() for p in moves.whole):,} numbers")
    if len(sizes) == len(spec.method) and "sparsity" in spec.modified():
        what = f"no sparsity with methods of fixed size: {', '.join(sizes)}"
        raise BadInput("sparsity", ", ".join(f"{s:g}" for s in spec.sparsity), what)


def costs(spec: FinetuneSpec, data: Split) -> str:
    """What each fine-tune will really cost, in a line, and what becomes of the images and of the head."""
    from labkit.experiments.finetune.plans import plan_of
    from labkit.finetune.methods import METHODS
    from labkit.privacy.record import in_a_line

    n, alike = len(data.train), {}
    for point in spec.points():
        method = METHODS[point.method[0]]
        words = "pays to search its rows" if method.searches else "pays to choose its rows" if method.chooses else ""
        alike.setdefault(words, {}).setdefault(point.epsilon, point)
    said = [
        f"for {f'one that {words}' if words else 'a network'} {in_a_line(plan_of(p, n) for p in points.values())}"
        for words, points in alike.items()
    ]
    network = loaded(spec.model, len(data.classes))
    notes = [network.said, network.transform.said(data.train.x.shape[1:], network.name)]
    return "; ".join([*said, f"one image of {n:,} is protected", *(note for note in notes if note)])


def estimate(spec: FinetuneSpec, data: Split, device: torch.device) -> Estimate:
    """Seconds and bytes for the whole Spec, from the products that it needs and the device's measured rate."""
    from labkit.device import flops_rate
    from labkit.experiments.finetune.plans import stages_of
    from labkit.experiments.finetune.size import products
    from labkit.experiments.finetune.tuning import tuned_as
    from labkit.runs.naming import canonical

    network, n = loaded(spec.model, len(data.classes)), len(data.train)
    rate, steps_alone = SPEED[device.type] * flops_rate(device), STEP[device.type]
    frozen, moving = products(network, network.late(spec.layers))
    points = spec.points()
    work = [(point, spec.seeds) for point in points]
    if spec.learning_rate == TUNED:
        alike = {canonical(like.hashed()): like for like in map(tuned_as, points)}
        work += [(like, len(spec.tried_rates())) for like in alike.values()]
    seconds = 2 * frozen * n / rate
    for point, times in work:
        head = point.method == (HEAD,)
        steps = stages_of(point, n).steps
        products_of_step = 2 * PASSES * (0.0 if head else moving) * spec.batch_size
        seconds += times * steps * (products_of_step / rate + steps_alone)
        if point.method == (SEARCH,):
            seconds += times * 2 * moving * n * spec.budget / rate
    numbers = {point.epsilon for point in points}
    return Estimate(seconds + SECONDS_PER_PLAN * 2 * len(numbers), _peak(network, spec, data))


def _peak(network: Network, spec: FinetuneSpec, data: Split) -> int:
    """Bytes of the images, of a batch's activations for the largest population, and of its weights."""
    from labkit.experiments.finetune.size import activations

    size = network.transform
    images = (
        4 * size.channels * size.size[0] * size.size[1] * sum(len(p) for p in (data.train, data.selection, data.test))
    )
    members = min(64, spec.seeds * max(len(spec.epsilon), len(spec.tried_rates())))
    weights = sum(tensor.numel() for tensor in network.parameters().values())
    copies = 8 * weights if spec.keep_weights else 0  # of one network after another: put together, and for its file
    return 2 * images + 12 * activations(network) * spec.batch_size + 16 * weights * members + copies
