"""What a backward pass must know of the layers that move: what went into each, and what came back to its output."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.func import vmap

from labkit.errors import BadInput
from labkit.finetune.moving import Moving
from labkit.population.autograd import row_losses
from labkit.population.params import Params
from labkit.population.taps import hooked

Call = Callable[[Params, Tensor], Tensor]
Tapped = tuple[Params, Params, Tensor]  # recorded inputs and gradients at outputs by layer, and losses; [K, B, ...]


def refuse_mixing(module: nn.Module, call: Call, layers: Collection[str], head: str, x: Tensor) -> None:
    """Refuse a module for which per-example formulas would not hold.

    Args:
        layers: names of the moving layers.
        head: name of the last layer.
        x: two examples, [2, ...].

    Raises:
        BadInput: a layer that runs more than once or never, or whose examples do not stand along the first axis; or
            what reaches the head of an example depends on the other one.
    """
    reached: list[Tensor] = []
    for batch in (x[:1], x):
        sizes: dict[str, list[int]] = {name: [] for name in (*layers, head)}

        def note(name: str, given: Tensor, output: Tensor, sizes: dict[str, list[int]] = sizes) -> Tensor:
            sizes[name].append(len(given))
            if name == head:
                reached.append(given)
            return output

        with torch.no_grad(), hooked(module, sizes, note):
            call({}, batch)
        for name, found in sizes.items():
            if found != [len(batch)]:
                seen = f"{name}, given {' and '.join(map(str, found)) or 'no'} rows by {len(batch)} examples"
                raise BadInput("model", seen, "layers to move that run once and see examples along the first axis")
    alone, together = reached
    # Rounding differs with the size of a batch, in TF32 by a thousandth; statistics of a batch move everything.
    if not torch.allclose(together[:1], alone, rtol=0, atol=0.01 * float(alone.abs().max()), equal_nan=True):
        raise BadInput("model", "a network in which examples see each other", "one through which each passes alone")


def tapped_alone(
    module: nn.Module,
    call: Call,
    layers: Mapping[str, Moving],
    own: Params,
    x: Tensor,
    y: Tensor,
    overwritten: Collection[str] = (),
) -> Tapped:
    """One member; everything gets an axis of members of length one.

    Args:
        call: from one member's parameters and a batch [B, ...] to logits [B, classes]; runs `module`.
        layers: the moving layers by their names in `module`.
        own: without an axis of members.
        y: [1, B].
        overwritten: layers whose output the module writes over (`overwritten`).
    """
    recorded: Params = {}
    outputs: Params = {}

    def note(name: str, given: Tensor, output: Tensor) -> Tensor:
        recorded[name] = layers[name].record(given.detach()).unsqueeze(0)
        # Where no moving layer stands before this one, its output is where the backward pass ends.
        outputs[name] = output if output.requires_grad else output.detach().requires_grad_()
        return outputs[name].clone() if name in overwritten else outputs[name]

    with torch.enable_grad():
        with hooked(module, layers, note):
            losses = row_losses(call(own, x).unsqueeze(0), y)
        deltas = torch.autograd.grad(losses.sum(), list(outputs.values()))
    return recorded, {n: d.unsqueeze(0) for n, d in zip(outputs, deltas, strict=True)}, losses.detach()


def overwritten(module: nn.Module, call: Call, names: Iterable[str], x: Tensor) -> frozenset[str]:
    """The layers whose output a module changes in place, as where a residual is added to it: with a gradient that must
    be taken before that, they go on as a copy.

    Args:
        x: a batch of one.
    """
    outputs: dict[str, tuple[Tensor, int]] = {}

    def note(name: str, given: Tensor, output: Tensor) -> Tensor:
        outputs[name] = output, output._version
        return output

    with torch.no_grad(), hooked(module, names, note):
        call({}, x)
    return frozenset(name for name, (output, version) in outputs.items() if output._version != version)


def tapped_stacked(
    module: nn.Module, call: Call, layers: Mapping[str, Moving], full: Params, x: Tensor, y: Tensor, shared: bool
) -> Tapped:
    """All members in one program; arguments as for `tapped_alone`, with an axis of members.

    A tap is a tensor of zeros added to a layer's output: the gradient with respect to it is the one at the output.

    Args:
        shared: whether x is [B, ...] and the same for all members, not [K, B, ...].
    """
    taps = _taps(module, call, layers, full, x if shared else x[0], y.shape)

    def one(own: Params, batch: Tensor, tap: Params) -> tuple[Tensor, Params]:
        recorded: Params = {}

        def change(name: str, given: Tensor, output: Tensor) -> Tensor:
            recorded[name] = layers[name].record(given.detach())
            return output + tap[name]

        with hooked(module, layers, change):
            return call(own, batch), recorded

    with torch.enable_grad():
        logits, recorded = vmap(one, (0, None if shared else 0, 0))(full, x, taps)
        losses = row_losses(logits, y)
        deltas = torch.autograd.grad(losses.sum(), list(taps.values()))
    return recorded, dict(zip(taps, deltas, strict=True)), losses.detach()


def _taps(
    module: nn.Module, call: Call, layers: Mapping[str, Moving], full: Params, x: Tensor, batch: tuple[int, ...]
) -> Params:
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, given: Tensor, output: Tensor) -> Tensor:
        shapes[name] = output.shape[1:]
        return output

    with torch.no_grad(), hooked(module, layers, note):
        call({name: tensor[0] for name, tensor in full.items()}, x[:1])
    like = {"device": x.device, "dtype": x.dtype, "requires_grad": True}
    return {name: torch.zeros(*batch, *shape, **like) for name, shape in shapes.items()}
