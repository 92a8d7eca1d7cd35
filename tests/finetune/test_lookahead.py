"""What a step in each candidate's rows would gain: by hand, against another loop, and what one example can change."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import drawn, examples, network
from torch import Tensor, nn
from torch.func import functional_call

from labkit.errors import BadInput
from labkit.finetune.lookahead import REACH, losses_after
from labkit.finetune.network import Network, Transform, in_order
from labkit.finetune.rows import random_rows
from labkit.streams import stream

BOUND = 1.2
LAYERS = {"convolutions": ("0", "3", "8"), "dense": ("1", "3")}


def released(kind: str, seed: int = 1) -> dict[str, Tensor]:
    """A made up release: a number for each weight."""
    shapes = {name: tuple(t.shape) for name, t in network(kind).parameters().items()}
    made = drawn({f"{name}.weight": shapes[f"{name}.weight"] for name in LAYERS[kind]}, 1, seed, torch.float32)
    return {name: tensor[0] for name, tensor in made.items()}


def candidates(kind: str, count: int = 4) -> list[dict[str, Tensor]]:
    layers = {name: shape for name, shape in network(kind).layers().items() if name in LAYERS[kind]}
    return [random_rows(layers, 0.6, "layer", stream(k, "a test")) for k in range(count)]


def test_a_step_by_hand():
    """Weights (3, 4), a gradient of (0, -2): the step is a tenth of 5 long, against it, and the logit of class 0 is
    3 + 4.5 over (1, 1). Without the row nothing moves."""
    stages = in_order([nn.Flatten(), nn.Linear(2, 1, bias=False), nn.Linear(1, 2)])
    stages[1].weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    stages[2].weight.data.copy_(torch.tensor([[1.0], [0.0]]))
    stages[2].bias.data.zero_()
    made = Network("n", stages, "2", Transform((1, 2), 1, (0.0,), (1.0,)))
    found = losses_after(
        made, {"1.weight": torch.tensor([[0.0, -2.0]])}, [{"1": torch.tensor([0])}, {"1": torch.tensor([], dtype=int)}],
        torch.ones(2, 1, 1, 2), torch.tensor([0, 0]), 10.0,
    )  # fmt: skip
    moved, still = (float(each) for each in found)
    assert pytest.approx(0.1) == REACH
    assert moved == pytest.approx(2 * math.log1p(math.exp(-7.5)), rel=1e-3)
    assert still == pytest.approx(2 * math.log1p(math.exp(-7)), rel=1e-3)


@pytest.mark.parametrize("at_once", [1024, 3])
@pytest.mark.parametrize("kind", LAYERS)
def test_against_a_loop_over_candidates_and_examples(kind, at_once, monkeypatch):
    monkeypatch.setattr("labkit.finetune.lookahead.AT_ONCE", at_once)
    made, (images, y), gradient = network(kind), examples(8), released(kind)
    head = {name: value * 4 for name, value in made.drawn_head(torch.Generator().manual_seed(2)).items()}
    stages = network(kind, torch.float64).stages
    found = losses_after(made, gradient, candidates(kind), images, y, BOUND, base=head)
    for rows, total in zip(candidates(kind), found, strict=True):
        weights = dict(network(kind, torch.float64).parameters())
        weights |= {name: value.double() for name, value in head.items()}
        for name, index in rows.items():
            public, g = weights[f"{name}.weight"], gradient[f"{name}.weight"].double()
            step = 0.1 * public.norm() * g / g.norm()
            moved = public.clone()
            for row in index.tolist():
                moved[row] -= step[row]
            weights[f"{name}.weight"] = moved
        losses = [
            float(F.cross_entropy(functional_call(stages, weights, (x[None],)), label[None]))
            for x, label in zip(images.double(), y, strict=True)
        ]
        assert any(loss > BOUND for loss in losses)
        assert any(loss < BOUND for loss in losses)
        assert total.dtype == torch.float64
        assert float(total) == pytest.approx(sum(min(loss, BOUND) for loss in losses), rel=1e-5)


@given(seed=st.integers(0, 10_000), power=st.floats(-2, 30), bound=st.floats(0.1, 5))
@settings(max_examples=20, deadline=None)
def test_one_example_adds_between_nothing_and_the_bound_to_every_candidate(seed, power, bound):
    """All in one direction: the sensitivity and the monotony that the exponential mechanism is charged for. Beyond
    that, the other losses have float32's last bits, which differ with the size of a batch."""
    made, (images, y) = network("convolutions"), examples(5, seed=seed)
    images[4] *= 10**power
    given = {"network": made, "gradient": released("convolutions"), "candidates": candidates("convolutions")}
    more, fewer = (list(losses_after(**given, x=images[:n], y=y[:n], bound=bound)) for n in (5, 4))
    for one, other in zip(more, fewer, strict=True):
        assert -1e-5 <= float(one - other) <= bound + 1e-5


def test_an_example_that_is_not_a_number_costs_the_bound():
    images, y = examples(3)
    images[1] = torch.nan
    total = next(losses_after(network("dense"), released("dense"), candidates("dense"), images, y, BOUND))
    kept = torch.tensor([0, 2])
    rest = next(losses_after(network("dense"), released("dense"), candidates("dense"), images[kept], y[kept], BOUND))
    assert float(total - rest) == pytest.approx(BOUND)


def test_candidates_come_one_at_a_time_and_leave_no_trace():
    made, (images, y) = network("dense"), examples(3)
    before = {name: tensor.clone() for name, tensor in made.parameters().items()}
    first, *rest = candidates("dense")
    found = losses_after(made, released("dense"), [first, *rest, first], images, y, BOUND)
    totals = [float(next(found)) for _ in range(len(rest) + 2)]
    assert totals[0] == totals[-1]
    assert len(set(totals)) > 1
    assert all(torch.equal(made.parameters()[name], value) for name, value in before.items())
    late = {name: tensor for name, tensor in released("convolutions").items() if name == "8.weight"}
    made, x = network("convolutions"), network("convolutions").stages[:8](images)
    rows = [{"8": torch.tensor([1])}]
    early = next(losses_after(made, late, rows, images, y, BOUND))
    assert float(next(losses_after(made, late, rows, x, y, BOUND, at=8))) == pytest.approx(float(early))


def test_a_release_of_zeros_moves_nothing_and_a_bound_is_asked_for():
    made, (images, y) = network("dense"), examples(3)
    zeros = {name: torch.zeros_like(tensor) for name, tensor in released("dense").items()}
    found = [float(total) for total in losses_after(made, zeros, candidates("dense"), images, y, BOUND)]
    assert len(set(found)) == 1
    with pytest.raises(BadInput, match="bound"):
        next(losses_after(made, zeros, candidates("dense"), images, y, math.inf))
