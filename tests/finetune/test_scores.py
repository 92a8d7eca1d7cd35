"""Scores of rows: each reading by hand, against single examples in float64, and how far one example moves it.

What is drawn at random has its own file, test_scores_noise.py.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import clipped_sum, examples, gradient, network
from torch import Tensor, nn

from labkit.errors import BadInput
from labkit.finetune.network import Network, Transform, in_order
from labkit.finetune.scores import ABSOLUTE, GRADIENT, NOISY, NORM, READINGS, SUM, RowScores
from labkit.privacy import Plan
from labkit.privacy.noise import fill_normal

N, BATCH, STEPS, CLIP, SIGMA = 24, 8, 5, 0.3, 0.7
SPAN = (2, 5)
EVERY = (*READINGS, GRADIENT)
NOISED = Plan.noised(noise_multiplier=SIGMA, examples=N, batch_size=BATCH, steps=STEPS, clip_norm=CLIP)
CLIPPED = Plan.nonprivate("a test", examples=N, batch_size=BATCH, steps=STEPS, clip_norm=CLIP)
LAYERS = {"convolutions": ("0", "3", "5", "8"), "tokens": ("0", "2.query", "3"), "dense": ("1", "3")}


def scorer(kind: str, reading: str, plan: Plan = NOISED, *, span=SPAN, key: int = 5, made=RowScores, **rest):
    images, y = examples(N)
    return made(network(kind), LAYERS[kind], reading, plan, images, y, draw_key=3, noise_key=key, span=span, **rest)


def read(found: dict[str, Tensor], reading: str) -> dict[str, Tensor]:
    """A score of each row of each layer, from its numbers [rows, ...]."""
    if reading == NORM:
        return {name.removesuffix(".weight"): each.flatten(1).norm(dim=1) for name, each in found.items()}
    return {name.removesuffix(".weight"): each.flatten(1).abs().sum(1) for name, each in found.items()}


def without_head(kind: str) -> dict[str, Tensor]:
    return {f"{name}.weight": network(kind, torch.float64).parameters()[f"{name}.weight"] for name in LAYERS[kind]}


def steps_by_hand(made: RowScores, kind: str, absolute: bool) -> list[dict[str, Tensor]]:
    """Each step's sum of clipped gradients, one example at a time in float64."""
    public, (images, y) = network(kind, torch.float64), examples(N, dtype=torch.float64)
    own, sums = without_head(kind), []
    for step in range(*SPAN):
        drawn = made.rows[made.ends[step - 1] : made.ends[step], 0].flatten()
        found = [gradient(public, own, {}, images[i], y[i]) for i in drawn[drawn >= 0].tolist()]
        assert found
        sums.append(clipped_sum(found, CLIP, absolute=absolute))
    return sums


@pytest.mark.parametrize("padded", [None, 3])
@pytest.mark.parametrize("reading", EVERY)
@pytest.mark.parametrize("kind", ["convolutions", "tokens", "dense"])
def test_against_single_examples_and_the_noise_of_the_step(kind, reading, padded, monkeypatch):
    """The released scores, and those that nobody may see. With 3 places a slot, a step takes several."""
    if padded:
        monkeypatch.setattr("labkit.privacy.sampling.padded_size", lambda *_: padded)
    made = scorer(kind, reading)
    assert (made.ends[-1] > STEPS) == bool(padded)
    made.advance(STEPS)
    assert made.done == SPAN[1]
    released = {name: torch.zeros(len(own), dtype=torch.float64) for name, own in without_head(kind).items()}
    exact = {name: tensor.clone() for name, tensor in released.items()}
    gradients = {name: torch.zeros_like(tensor) for name, tensor in without_head(kind).items()}
    for step, total in zip(range(*SPAN), steps_by_hand(made, kind, reading == ABSOLUTE), strict=True):
        asked = {name: each.flatten(1).norm(dim=1) for name, each in total.items()} if reading == NORM else total
        asked = {name: each.abs() for name, each in total.items()} if reading == SUM else asked
        numbers = sum(each.numel() for each in asked.values())
        noise, start = torch.zeros(1, numbers), 0
        fill_normal(noise, [5], step, [True])
        for name, each in asked.items():
            z = noise[0, start : start + each.numel()].view(each.shape).double() * SIGMA * CLIP
            start += each.numel()
            gradients[name] += total[name] + z if reading == GRADIENT else 0
            exact[name] += read({name: total[name]}, reading)[name.removesuffix(".weight")]
            given = each + z
            given = given.abs() if reading in (NOISY, GRADIENT) else given
            released[name] += given if reading == NORM else given.flatten(1).sum(1)
    for name, found in made.scores().items():
        torch.testing.assert_close(found, released[f"{name}.weight"].clamp(min=0), rtol=3e-4, atol=1e-4)
        torch.testing.assert_close(made.noiseless_scores()[name], exact[f"{name}.weight"], rtol=3e-4, atol=1e-5)
        assert found.dtype == torch.float64
    assert list(made.scores()) == list(LAYERS[kind])
    if reading == GRADIENT:
        for name, found in made.released_gradient().items():
            torch.testing.assert_close(found.double(), gradients[name], rtol=3e-4, atol=1e-4)


def two_images(reading: str) -> RowScores:
    """One linear layer from two numbers to two nodes, and the identity as its head; nothing is long enough to clip."""
    stages = in_order([nn.Flatten(), nn.Linear(2, 2, bias=False), nn.Linear(2, 2)])
    stages[1].weight.data.zero_()
    stages[2].weight.data.copy_(torch.eye(2))
    stages[2].bias.data.zero_()
    made = Network("n", stages, "2", Transform((1, 2), 1, (0.0,), (1.0,)))
    images, y = torch.tensor([[2.0, 1.0], [2.0, -1.0]]).view(2, 1, 1, 2), torch.tensor([0, 1])
    plan = Plan.nonprivate("a test", examples=2, batch_size=2, steps=1, clip_norm=100.0)
    scores = RowScores(made, ["1"], reading, plan, images, y, draw_key=1, noise_key=1, span=(0, 1))
    scores.advance(1)
    return scores


@pytest.mark.parametrize(
    ("reading", "score"), [(SUM, 1.0), (ABSOLUTE, 3.0), (NOISY, 1.0), (NORM, 1.0), (GRADIENT, 1.0)]
)
def test_by_hand(reading, score):
    """The error of label 0 is (-1/2, 1/2), of label 1 its opposite: row 0 gets (-1, -1/2) and (1, -1/2), together
    (0, -1): 1 in all, and as absolute values 2 + 1."""
    for found in (two_images(reading).scores(), two_images(reading).noiseless_scores()):
        assert found["1"].tolist() == pytest.approx([score, score], rel=1e-6)


class Spied(RowScores):
    """Keeps what noise is added to."""

    def _add_noise(self, numbers: Tensor) -> None:
        self.asked = numbers.clone()
        super()._add_noise(numbers)


def asked(kind: str, reading: str, images: Tensor, y: Tensor, clip: float) -> Tensor:
    """What a step asks of these examples, all of them drawn: float64."""
    plan = Plan.nonprivate("a test", examples=len(y), batch_size=len(y), steps=1, clip_norm=clip)
    made = Spied(network(kind), LAYERS[kind], reading, plan, images, y, draw_key=1, noise_key=1, span=(0, 1))
    made.advance(1)
    assert int(made.seen) == len(y)
    return made.asked.double()


@pytest.mark.parametrize("reading", EVERY)
@pytest.mark.parametrize("kind", ["convolutions", "tokens"])
@given(seed=st.integers(0, 10_000), power=st.floats(-2, 3), clip=st.floats(0.05, 5))
@settings(max_examples=12, deadline=None)
def test_one_example_moves_what_gets_noise_by_at_most_the_clip_norm(kind, reading, seed, power, clip):
    """In L2 and float32. What gets noise is a number of each weight, or of each row where the reading is its norm."""
    images, y = examples(5, seed=seed)
    images[4] *= 10**power
    with_it, without = (asked(kind, reading, images[:n], y[:n], clip) for n in (5, 4))
    rows = sum(len(network(kind).parameters()[f"{name}.weight"]) for name in LAYERS[kind])
    numbers = sum(network(kind).parameters()[f"{name}.weight"].numel() for name in LAYERS[kind])
    assert len(with_it) == (rows if reading == NORM else numbers)
    assert float((with_it - without).norm()) <= clip
    if reading in (ABSOLUTE, GRADIENT):  # and the bound is reached where an example is clipped
        alone = asked(kind, reading, images[4:], y[4:], clip)
        assert float((with_it - without).norm()) == pytest.approx(float(alone.norm()), rel=1e-3, abs=1e-5)


def test_nothing_moves_while_scores_are_read():
    made = scorer("convolutions", SUM)
    before = {name: tensor.clone() for name, tensor in made.params.items()}
    made.advance(STEPS)
    for name, tensor in made.params.items():
        assert torch.equal(tensor, before[name])
        assert torch.equal(tensor[0], network("convolutions").parameters()[name])


def test_scores_are_read_at_the_base():
    """A head that was warmed up, and images as a later stage sees them."""
    kind, images, y = "convolutions", *examples(N)
    base = {"11.weight": torch.ones(3, 6), "1.bias": torch.ones(4)}
    whole = scorer(kind, SUM, CLIPPED, base=base)
    whole.advance(STEPS)
    stages = network(kind).to("cpu").stages
    for name, value in base.items():
        stages.get_parameter(name).data.copy_(value)
    other = Network(kind, stages, "11", network(kind).transform)
    for made in (
        RowScores(other, LAYERS[kind], SUM, CLIPPED, images, y, draw_key=3, noise_key=5, span=SPAN),
        RowScores(other, LAYERS[kind], SUM, CLIPPED, images, y, draw_key=3, noise_key=5, span=SPAN, at=0),
    ):
        made.advance(STEPS)
        for name, scores in made.scores().items():
            torch.testing.assert_close(scores, whole.scores()[name])
    late = RowScores(other, ["8"], SUM, CLIPPED, stages[:8](images), y, draw_key=3, noise_key=5, span=SPAN, at=8)
    early = RowScores(other, ["8"], SUM, CLIPPED, images, y, draw_key=3, noise_key=5, span=SPAN)
    for made in (late, early):
        made.advance(STEPS)
    torch.testing.assert_close(late.scores()["8"], early.scores()["8"])


@pytest.mark.parametrize("reading", [NORM, GRADIENT])
def test_stopped_and_resumed_it_ends_in_the_same_bits(reading):
    whole, begun, resumed = (scorer("dense", reading) for _ in range(3))
    whole.advance(STEPS)
    begun.advance(1)
    resumed.load(begun.state())
    resumed.advance(STEPS)
    assert resumed.done == SPAN[1]
    for name in LAYERS["dense"]:
        assert torch.equal(resumed.scores()[name], whole.scores()[name])
        assert torch.equal(resumed.noiseless_scores()[name], whole.noiseless_scores()[name])
    if reading == GRADIENT:
        for name, found in whole.released_gradient().items():
            assert torch.equal(resumed.released_gradient()[name], found)


def test_without_noise_the_scores_are_the_noiseless_ones():
    for plan in (CLIPPED, Plan.nonprivate("a test", examples=N, batch_size=BATCH, steps=STEPS)):
        for reading in EVERY:
            made = scorer("dense", reading, plan)
            made.advance(STEPS)
            for name, scores in made.scores().items():
                assert torch.equal(scores, made.noiseless_scores()[name])
                assert bool(scores.isfinite().all())
            assert math.isinf(plan.clip_norm) == (int(made.clipped) == 0)


def test_an_unknown_reading_is_refused():
    with pytest.raises(BadInput, match="one of sum, absolute, noisy, norm, gradient"):
        scorer("dense", "sparta")


def test_noise_of_the_system_is_not_written_down_beside_the_noiseless_scores():
    """Released minus noiseless is the noise itself."""
    plan = Plan.noised(
        noise_multiplier=1.0, examples=N, batch_size=BATCH, steps=SPAN[1], clip_norm=1.0, noise_source="os"
    )
    begun, resumed = scorer("dense", SUM, plan), scorer("dense", SUM, plan)
    begun.advance(1)
    state = begun.state()
    assert "exact" not in state
    assert begun.noiseless_scores() is not None
    resumed.load(state)
    assert resumed.noiseless_scores() is None
    for name, scores in resumed.scores().items():
        assert torch.equal(scores, begun.scores()[name])
