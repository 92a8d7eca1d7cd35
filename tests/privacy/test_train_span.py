"""Stages of one plan: each trainer runs its own steps, together they are the training that the plan was made for."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import BadInput
from labkit.population import MLP
from labkit.privacy import Plan, PrivateTrainer

ARCH = MLP((6, 5, 3))
N, STEPS, BATCH = 40, 7, 10
RATE, SIGMA, CLIP = 0.5, 1.3, 0.7


def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(N, 6, generator=generator), torch.randint(0, 3, (N,), generator=generator)


def noised(**changes) -> Plan:
    given = {"examples": N, "batch_size": BATCH, "steps": STEPS, "noise_multiplier": SIGMA, "clip_norm": CLIP}
    return Plan.noised(**given | changes)


PLANS = (noised(), Plan.nonprivate("a test", examples=N, batch_size=BATCH, steps=STEPS, clip_norm=0.3))


def trainer(span=None, *, start=None, plans=PLANS, **rest) -> PrivateTrainer:
    x, y = data()
    params = ARCH.init(list(range(len(plans)))) if start is None else start
    given = {"learning_rate": RATE, "draw_keys": [3, 4], "groups": [0, 1], "noise_keys": [100, 101]} | rest
    return PrivateTrainer(ARCH, params, plans, x, y, span=span, **given)


def flat(made: PrivateTrainer) -> torch.Tensor:
    return torch.cat([t.flatten(1) for t in made.params.values()], 1).clone()


@settings(deadline=None, max_examples=12)
@given(cut=st.integers(1, STEPS - 1), padded=st.sampled_from([None, 3]))
def test_two_stages_are_the_whole_bit_for_bit(cut, padded):
    """Whatever the draws' layout: with 3 places a slot, most steps take several."""
    whole = trainer(padded=padded)
    whole.advance(STEPS)
    before = trainer((0, cut), padded=padded)
    before.advance(STEPS)  # it ends at its own last step
    after = trainer((cut, STEPS), start=before.params, padded=padded)
    assert (before.done, before.steps, after.done, after.steps) == (cut, cut, cut, STEPS)
    after.advance(STEPS)
    assert after.done == STEPS
    assert torch.equal(flat(after), flat(whole))
    for name in ("seen", "clipped", "dropped"):
        assert torch.equal(getattr(before, name) + getattr(after, name), getattr(whole, name))


def test_the_whole_plan_is_the_span_without_one():
    given, default = trainer((0, STEPS)), trainer()
    for made in (given, default):
        made.advance(STEPS)
    assert torch.equal(flat(given), flat(default))


def noise_of(step: int, plans) -> torch.Tensor:
    """The standard normal numbers of a step of which no example's gradient is left: [members, weights]."""
    x, y = data()
    made = PrivateTrainer(
        ARCH, ARCH.init([0, 1]), plans, torch.full_like(x, torch.nan), y, learning_rate=1.0, draw_keys=[3],
        noise_keys=[100, 101], span=(step, step + 1),
    )  # fmt: skip
    before = flat(made)
    made.advance(1)
    return (before - flat(made)) * BATCH / (SIGMA * CLIP)


def test_stages_under_the_same_keys_share_no_noise():
    """One step each at every place of the plan: the noise of none goes with another's.

    53 numbers each, 91 pairs of (step, member): for one seed in 200,000 a correlation is beyond 0.65 by chance.
    """
    every = torch.cat([noise_of(step, [noised(), noised()]) for step in range(STEPS)])
    together = torch.corrcoef(every.double()) - torch.eye(len(every))
    assert together.abs().max() < 0.65
    assert every.std() == pytest.approx(1, abs=0.12)


def test_stages_under_the_same_keys_share_no_draw():
    """A stage's batches are those that the whole plan has at these steps."""
    sizes = PLANS[0].sampler([3, 4]).draw(STEPS).sizes()
    assert len({tuple(size) for size in sizes.tolist()}) > 1  # or no size would tell the steps apart
    for step in range(STEPS):
        made = trainer((step, step + 1))
        made.advance(1)
        assert made.seen.tolist() == sizes[step].tolist()


@pytest.mark.parametrize("padded", [None, 3])
def test_a_stage_that_was_stopped_goes_on_in_the_same_bits(padded):
    whole, begun, resumed = (trainer((2, 6), momentum=0.9, padded=padded) for _ in range(3))
    whole.advance(STEPS)
    begun.advance(3)
    assert begun.done == 5
    resumed.load(begun.state())
    assert resumed.done == 5
    resumed.advance(STEPS)
    assert resumed.done == 6
    assert torch.equal(flat(resumed), flat(whole))


def test_a_stage_begins_without_momentum():
    before = trainer((0, 3), momentum=0.9)
    before.advance(3)
    after = trainer((3, STEPS), start=before.params, momentum=0.9)
    assert float(before.velocity.data.abs().sum()) > 0
    assert float(after.velocity.data.abs().sum()) == 0


@pytest.mark.parametrize(("done", "span"), [(1, (2, 6)), (6, (2, 5))])
def test_the_checkpoint_of_another_stage_is_refused(done, span):
    before = trainer((0, 6))
    before.advance(done)
    with pytest.raises(BadInput, match=f"step = {done} .* {span[0]} to {span[1]}"):
        trainer(span).load(before.state())


@pytest.mark.parametrize("span", [(0, 0), (3, 3), (4, 3), (-1, 2), (0, STEPS + 1), (STEPS, STEPS + 1), (STEPS, STEPS)])
def test_a_span_outside_of_the_plan_or_empty_is_refused(span):
    with pytest.raises(BadInput, match=f"span = .* allowed: a step or more of the plan's, 0 to {STEPS}"):
        trainer(span)


def test_eager_steps_before_a_capture_are_counted_from_the_stage(monkeypatch):
    """A library that was not warm would choose its kernels inside the capture."""
    from labkit.population.train import WARM_UP
    from labkit.privacy import train

    replayed = []

    class Fake:
        def __init__(self, step):
            self.step = step

        def replay(self):
            replayed.append(1)
            self.step()

    monkeypatch.setattr(train, "CapturedStep", Fake)
    captured, eager = trainer((2, STEPS), capture=True), trainer((2, STEPS))
    captured.advance(WARM_UP)
    assert not replayed
    assert not captured.captured
    captured.advance(STEPS)
    eager.advance(STEPS)
    assert len(replayed) == STEPS - 2 - WARM_UP
    assert torch.equal(flat(captured), flat(eager))
    assert math.isfinite(float(flat(captured).sum()))
