"""Private training of the dense network and of the first sub-network that is drawn, at one epsilon."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from labkit.experiments.frontier.spec import CLIPPED, PLAIN
from labkit.experiments.random_search.replicate import Replicate
from labkit.experiments.random_search.spec import RandomSearchSpec
from labkit.experiments.tour.spec import PRIVATE, PRIVATE_RANDOM
from labkit.population import evaluate, weights_per_member
from labkit.privacy import Plan, PrivateTrainer
from labkit.privacy.record import so_far
from labkit.runs.events import Event, Point, Progress, Result
from labkit.runs.values import bounded
from labkit.search import Candidates, advance

CLIP_NORM = 1.0
# Near the best of a grid on the selection split of Fashion-MNIST. A tour is not tuned; notebook 02 is.
RATE, PLAIN_RATE = 0.8, 0.1


@dataclass(frozen=True)
class Private:
    """One network trained under a plan.

    Args:
        arm: PRIVATE or PRIVATE_RANDOM.
        epsilon: a number, or the word clipped or plain.
        network: its start, a population of one.
        noise: names its noise, beside its seed. The dense network of one epsilon has the same whatever the sparsity: it
            is one network.
    """

    arm: str
    epsilon: float | str
    network: Candidates
    plan: Plan
    noise: str

    @property
    def rate(self) -> float:
        return PLAIN_RATE if self.epsilon == PLAIN else RATE


def plan_of(epsilon: float | str, examples: int, search: RandomSearchSpec) -> Plan:
    """What an epsilon, or a word, means for a training of the tour's size.

    Raises:
        BadInput: no noise makes it as private as that.
    """
    common = {"examples": examples, "batch_size": search.batch_size, "steps": search.steps}
    if epsilon == PLAIN:
        return Plan.nonprivate("plain: neither clipping nor noise", **common)
    if epsilon == CLIPPED:
        return Plan.nonprivate("clipped: clipping without noise", clip_norm=CLIP_NORM, **common)
    return Plan.calibrated(epsilon=epsilon, clip_norm=CLIP_NORM, **common)


def networks(r: Replicate, epsilon: float | str) -> list[Private]:
    """The dense network, and the first draw: a choice that looks at no data, and is free."""
    plan, (sparsity,) = plan_of(epsilon, len(r.data.train), r.point), r.point.sparsity
    dense, first = Candidates(r.arch, r.parent, None), r.space.candidates(r.parent, [0])
    # Noise is named by everything that makes another release of the same seed: it is never used at another scale.
    name = f"00/{plan.digest()}/{r.data.fingerprint}/{r.point.split_seed}/{r.arch}"
    return [
        Private(PRIVATE, epsilon, dense, plan, f"{name}/{PRIVATE}"),
        Private(PRIVATE_RANDOM, epsilon, first, plan, f"{name}/{PRIVATE_RANDOM}/{sparsity}"),
    ]


def learn(r: Replicate, one: Private) -> Generator[Event, None, Result]:
    """Train it, and return what it reached. How much of epsilon it spent is told for the dense network alone: the other
    one spends as much."""
    trainer, data, accuracy = trainer_of(r, one), r.data, 0.0
    for step in r.recipe.looks():
        for rate in advance(trainer, step):
            yield Progress(trainer.done, trainer.steps, "training at this epsilon", rate)
        accuracy = float(evaluate(trainer.arch, trainer.params, data.selection.x, data.selection.y).accuracy)
        yield Point("curve", {"arm": one.arm, "step": step, "selection_accuracy": accuracy})
        if one.plan.private and one.arm == PRIVATE:
            yield Point("spent", so_far(one.plan, step, one.epsilon))
    return result(r, one, trainer, accuracy)


def trainer_of(r: Replicate, one: Private) -> PrivateTrainer:
    """Both arms share the draws of their seed and never any noise."""
    return PrivateTrainer(
        one.network.arch,
        one.network.params,
        [one.plan],
        r.data.train.x,
        r.data.train.y,
        learning_rate=one.rate,
        draw_keys=[one.plan.draw_key(r.seed)],
        noise_keys=[one.plan.noise_key(r.seed, one.noise, 0)],
        masks=one.network.masks,
    )


def result(r: Replicate, one: Private, trainer: PrivateTrainer, accuracy: float) -> Result:
    """The stored numbers of one network."""
    plan, final = one.plan, evaluate(trainer.arch, trainer.params, r.data.test.x, r.data.test.y)
    values = {
        "test_accuracy": float(final.accuracy),
        "test_loss": bounded(float(final.loss)),
        "selection_accuracy": accuracy,
        "learning_rate": one.rate,
        "parameters": weights_per_member(trainer.arch.shapes()),
        "test_images": len(r.data.test),
        "noise_multiplier": plan.noise_multiplier,
        "sample_rate": plan.sample_rate,
    }
    if plan.private:
        values |= {"epsilon_spent": plan.epsilon, "delta": plan.delta, "accountant": plan.accountant}
    return Result(one.arm, values)
