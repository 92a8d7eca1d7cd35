"""What cannot be run, said before anything trains, and what a run is expected to need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import BadInput
from labkit.experiments.frontier.spec import CLIPPED, PLAIN, SHARED, TUNED, FrontierSpec, search_space
from labkit.runs.experiment import Estimate

if TYPE_CHECKING:
    import torch

    from labkit.data import Split

HOURS = 24.0  # a Spec that is expected to take longer is refused
SPEED = 0.1  # of the device's matrix-product rate: noise and norms take their share
SECONDS_PER_PLAN = 2.0  # calibrations of one epsilon, on one core


def impossible(point: FrontierSpec) -> str | None:
    """Why a grid point cannot exist: a layer without a node, or without a weight."""
    from labkit.population import MLP

    # The sizes of images and the number of classes decide nothing here: no layer of theirs is emptied first.
    dense = MLP((784, *(point.width,) * point.depth, 10))
    return search_space(dense, point.space[0], point.sparsity[0], 0).impossible()


def check(spec: FrontierSpec, data: Split) -> None:
    """Refuse what no bound of a single field can say.

    Raises:
        BadInput: an impossible grid, a class that is not there, a batch larger than the training set (a sample rate
            above 1), a delta of 1/n or more, an epsilon that no noise reaches, or what needs more memory or time than
            the limits.
    """
    reasons = [impossible(point) for point in spec.points()]
    if all(reasons):
        most = f"a share that leaves each of the {spec.depth} layers of width {spec.width} at least one node or weight"
        raise BadInput("sparsity", ", ".join(f"{s:g}" for s in spec.sparsity), f"{most} ({reasons[0]})")
    if spec.thin_class and spec.thin_class not in data.classes:
        raise BadInput("thin_class", spec.thin_class, "empty, or one of " + ", ".join(data.classes))
    n = examples(spec, data)
    if spec.batch_size > n:
        raise BadInput(
            "batch_size", spec.batch_size, f"at most {n}, the size of the training split: a rate is at most 1"
        )
    if spec.delta >= 1 / n:
        what = f"0 for the default, or a number below 1/n = {1 / n:.3g}: at 1/n a mechanism may give one person away"
        raise BadInput("delta", spec.delta, what)
    from labkit.device import memory_free, resolve

    device = resolve(spec.device)
    expected, free = estimate(spec, data, device), memory_free(device)
    if expected.peak_bytes > free:
        need = f"it would need {expected.peak_bytes / 1e9:.1f} GB for a single network on {device}"
        raise BadInput("width", spec.width, f"what fits in the {free / 1e9:.1f} GB that are free; {need}")
    if expected.seconds > HOURS * 3600:
        cost = f"it would take about {expected.seconds / 3600:,.0f} hours on {device}"
        raise BadInput("steps", spec.steps, f"what takes at most {HOURS:g} hours; {cost}")
    from labkit.experiments.frontier.arms import Plans, arms_of

    numbers = [epsilon for epsilon in spec.epsilon if epsilon not in (CLIPPED, PLAIN)]
    for epsilon in {min(numbers), max(numbers)} if numbers else ():  # what lies between is reached if these are
        plans = Plans(spec.changed(epsilon=epsilon), n)
        for space in spec.space:
            arms_of(plans, max(spec.sparsity), space)


def costs(spec: FrontierSpec, data: Split) -> str:
    """What each epsilon will really cost a network, in a line."""
    from labkit.experiments.frontier.arms import Plans
    from labkit.privacy.record import in_a_line

    n = examples(spec, data)
    each = in_a_line(Plans(spec.changed(epsilon=epsilon), n).training for epsilon in spec.epsilon)
    return f"for a network {each}; tuning and losing runs are not charged"


def examples(spec: FrontierSpec, data: Split) -> int:
    """The size of the training set, thinned as the Spec asks."""
    from labkit.experiments.frontier.batch import thinned

    return len(thinned(data.train, spec, data.classes))


def estimate(spec: FrontierSpec, data: Split, device: torch.device) -> Estimate:
    """Seconds and bytes for the whole Spec, from the operations it needs and the device's measured rate."""
    from labkit.device import flops_rate
    from labkit.population import training_bytes, weights_per_member

    dense = spec.dense(data)
    weights = weights_per_member(dense.shapes())
    clips = 3 if spec.clip_norm == TUNED else 1
    tuning = clips * spec.rates * spec.tuning_seeds if spec.learning_rate in (TUNED, SHARED) else 0
    networks = tuning + spec.seeds * (2 if spec.learning_rate == TUNED else 1)
    work = 0.0  # in dense networks trained
    for epsilon in spec.epsilon:
        noisy = epsilon not in (CLIPPED, PLAIN)
        work += 1.25 * networks if noisy else networks  # the simulation has a quarter of the batch
        for point in spec.changed(epsilon=epsilon).points():
            (sparsity,), (space,) = point.sparsity, point.space
            if sparsity == 0 or impossible(point):
                continue
            share = search_space(dense, space, sparsity, 0).parameters() / weights
            masked = (
                1.3 if space == "weights" else share
            )  # a masked network costs as much as a dense one, and its norms
            private = (len(point.budgets()) + point.repeats + 1) if noisy and space == "nodes" else 0
            work += networks * (share + masked) + private * spec.seeds * 2 * share
    operations = work * spec.steps * spec.batch_size * 6 * weights
    points = len(spec.epsilon) * spec.landscape_size**2 * 1000 * 2 * weights
    calibrating = SECONDS_PER_PLAN * sum(epsilon not in (CLIPPED, PLAIN) for epsilon in spec.epsilon)
    seconds = (operations + points) / (SPEED * flops_rate(device)) + calibrating
    copies = 8 * weights if spec.keep_weights else 0  # of one network after another: out of its stack, and for its file
    return Estimate(seconds, training_bytes(dense, 2 * spec.batch_size, masked=True) + copies)
