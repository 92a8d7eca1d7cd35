"""What cannot be run, said before anything trains, and what a run is expected to need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import BadInput
from labkit.experiments.random_search.spec import RandomSearchSpec
from labkit.runs.experiment import Estimate

if TYPE_CHECKING:
    import torch

    from labkit.data import Split

HOURS = 24.0  # a Spec that is expected to take longer is refused
SPEED = 0.25  # of the device's matrix-product rate: cautious, quick on two cores takes half of what this foretells


def impossible(point: RandomSearchSpec) -> str | None:
    """Why a grid point cannot exist: a layer without a node, or without a weight."""
    from labkit.population import CNN, MLP

    hidden = (point.width,) * point.depth
    # The sizes of images and the number of classes decide nothing here: no layer of theirs is emptied first.
    parent = CNN(hidden, (1, 64, 64)) if point.model == "cnn" else MLP((784, *hidden, 10))
    return point.search_space(parent, 0).impossible()


def check(spec: RandomSearchSpec, data: Split) -> None:
    """Refuse what no bound of a single field can say.

    Raises:
        BadInput: every grid point is impossible, a batch is larger than the data, a cnn pools its images away,
            or the whole needs more memory or time than the limits.
    """
    reasons = [impossible(point) for point in spec.points()]
    if all(reasons):
        most = f"a share that leaves each of the {spec.depth} layers of width {spec.width} at least one node or weight"
        raise BadInput("sparsity", ", ".join(f"{s:g}" for s in spec.sparsity), f"{most} ({reasons[0]})")
    if spec.batch_size > len(data.train):
        raise BadInput("batch_size", spec.batch_size, f"at most {len(data.train)}, the size of the training split")
    side = min(data.train.x.shape[2:])
    if spec.model == "cnn" and side >> spec.depth < 1:
        raise BadInput("depth", spec.depth, f"at most {side.bit_length() - 1} for a cnn on images {side} pixels wide")
    from labkit.device import memory_free, resolve

    device = resolve(spec.device)
    expected, free = estimate(spec, data, device), memory_free(device)
    if expected.peak_bytes > free:
        need = f"it would need {expected.peak_bytes / 1e9:.1f} GB for a single network on {device}"
        raise BadInput("width", spec.width, f"what fits in the {free / 1e9:.1f} GB that are free; {need}")
    if expected.seconds > HOURS * 3600:
        cost = f"it would take about {expected.seconds / 3600:,.0f} hours on {device}"
        largest = "budget" if max(spec.budget) * spec.score_after > spec.steps * 2000 else "steps"
        value = max(spec.budget) if largest == "budget" else spec.steps
        raise BadInput(largest, value, f"what takes at most {HOURS:g} hours; {cost}")


def estimate(spec: RandomSearchSpec, data: Split, device: torch.device) -> Estimate:
    """Seconds and bytes for the whole Spec, from the operations it needs and the device's measured rate."""
    from labkit.device import flops_rate
    from labkit.population import training_bytes

    parent = spec.parent(data)
    examples = spec.steps * spec.batch_size * 3 + spec.evaluations * len(data.selection)  # backward is two forwards
    operations = 0.0
    for point in spec.points():
        if impossible(point):
            continue
        space = point.search_space(parent, 0)
        small = forward_operations(parent, space.parameters() if point.space == "nodes" else None)
        trained = 2 * (point.trained() + 1) * examples * small
        scored = point.scored() * (3 * point.score_after * point.batch_size + len(data.selection)) * small
        dense = 4 * examples * forward_operations(parent, None)  # the parent, and three masked ones for the pictures
        points = 8 * point.landscape_size**2 * 1000 * forward_operations(parent, None)
        operations += spec.seeds * (trained + scored + dense) + points
    return Estimate(operations / (SPEED * flops_rate(device)), training_bytes(parent, spec.batch_size))


def forward_operations(parent: object, parameters: int | None) -> float:
    """Floating-point operations of one example's forward pass; for a sub-network in proportion to its parameters."""
    from labkit.population import weights_per_member

    weights = weights_per_member(parent.shapes())
    share = 1.0 if parameters is None else parameters / weights
    if not hasattr(parent, "channels"):
        return 2.0 * weights * share
    pixels, total = parent.image[1] * parent.image[2], 0.0
    sizes = (parent.image[0], *parent.channels)
    for layer in range(len(parent.channels)):
        total += 2.0 * sizes[layer] * sizes[layer + 1] * parent.kernel**2 * (pixels >> (2 * layer))
    return (total + 2.0 * sizes[-1] * parent.area * parent.classes) * share
