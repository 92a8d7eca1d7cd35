"""The loss around a privately trained dense network, with the distance that noise alone has carried it."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from labkit.experiments.frontier.arms import Arm, Network
from labkit.experiments.frontier.batch import Batch
from labkit.experiments.frontier.training import Told, trainer_of
from labkit.generators import relay
from labkit.landscape import plane, random_plane, symmetric_axis
from labkit.population import Params, weights_per_member
from labkit.privacy.noise import OS
from labkit.runs.events import Artifact
from labkit.search import advance
from labkit.streams import stream

IMAGES = 1000  # training images in a landscape's loss: the picture is not private
RADIUS = 1.0  # in filter-normalised units: at 1 a direction is as long as the weights themselves


def pictures(batch: Batch, dense: Arm, rate: float) -> Iterator[Told]:
    """The landscape of the dense network of the first seed, as the artifact `landscape` of the leading replicate.

    The network is trained once more, with the same seeded noise. Noise from the operating system cannot be had twice,
    and another training would be another release: then there is no picture.
    """
    job, size = batch.jobs[batch.lead], batch.point.landscape_size
    if not size or job.seed != batch.point.seed or (batch.plans.noisy and batch.point.noise_source == OS):
        return
    network = Network(dense, job.seed, rate)
    trainer = trainer_of(batch, batch.dense, [network])
    for _ in advance(trainer, trainer.steps):
        yield 0, batch.progress("training for the landscape")
    params = {name: tensor.clone() for name, tensor in trainer.params.items()}
    directions = random_plane(params, stream(job.seed, "landscape"))
    x, y = batch.data.train.x[:IMAGES], batch.data.train.y[:IMAGES]
    steps = plane(batch.dense, params, directions.first, directions.second, RADIUS, size, x, y)
    loss = yield from relay(steps, lambda _: (0, batch.progress("landscape")))
    yield (
        batch.lead,
        Artifact(
            "landscape",
            {
                "loss": loss.cpu(),
                "axis": symmetric_axis(RADIUS, size),
                "noise_radius": torch.tensor(noise_length(batch, network) / length(directions.first)),
            },
        ),
    )


def noise_length(batch: Batch, network: Network) -> float:
    """The expected length of the sum of all noise that moved the weights: lr sigma C sqrt(steps D) / batch."""
    plan = network.arm.plan
    if not plan.private:
        return 0.0
    numbers = weights_per_member(batch.dense.shapes())
    return network.rate * plan.noise_multiplier * plan.clip_norm * (plan.steps * numbers) ** 0.5 / plan.batch_size


def length(direction: Params) -> float:
    """The L2 norm of a direction."""
    return float(torch.cat([tensor.flatten() for tensor in direction.values()]).norm())
