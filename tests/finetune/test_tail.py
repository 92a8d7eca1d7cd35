"""Clipped sums over what moves against one example at a time: every kind of layer, rows, members, batches."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import (
    CLIP,
    TRANSFORM,
    B,
    K,
    clipped_sum,
    drawn,
    examples,
    gradient,
    network,
    norm,
    one_of,
    rows_of,
    summed,
    take,
)
from torch import nn

from labkit.finetune.clip import HELD
from labkit.finetune.method import beside_rows, parameters_of
from labkit.finetune.network import Network, in_order
from labkit.finetune.tail import Tail


@pytest.fixture(params=["held", "told"])
def both_ways(request, monkeypatch):
    """Gradients of each example held as far as they may be, and told by formulas alone."""
    if request.param == "told":
        monkeypatch.setitem(HELD, "cpu", 0)


def linear_head() -> Network:
    """The head alone, on two numbers of an image."""
    transform = TRANSFORM.__class__((1, 2), 1, (0.0,), (1.0,))
    return Network("head", in_order([nn.Flatten(), nn.Linear(2, 2)]), "1", transform)


def test_by_hand():
    """At zero weights the error is (-1/2, 1/2). Of image (3, 4) the weight's gradient is 5 / sqrt 2 long and the bias's
    1 / sqrt 2: sqrt 13 in all. Of image (0, 0) it is the bias's alone, and stays."""
    tail = Tail(linear_head(), ["1.weight", "1.bias"])
    params = {"1.weight": torch.zeros(1, 2, 2), "1.bias": torch.zeros(1, 2)}
    images, y = torch.tensor([[3.0, 4.0], [0.0, 0.0]]).view(2, 1, 1, 2), torch.tensor([0, 0])
    out, report = summed(tail, params, tail.features(images), y, clip=1.0)
    assert report.norms[0].tolist() == pytest.approx([13**0.5, 0.5**0.5])
    error = torch.tensor([-0.5, 0.5])
    expected = error[:, None] * torch.tensor([3.0, 4.0]) / 13**0.5
    torch.testing.assert_close(out["1.weight"][0], expected, rtol=2e-4, atol=0)
    torch.testing.assert_close(out["1.bias"][0], error / 13**0.5 + error, rtol=2e-4, atol=0)
    assert (report.clipped.tolist(), report.dropped.tolist()) == ([1], [0])
    assert report.loss.tolist() == pytest.approx([math.log(2)])


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("batches", ["own", "shared"])
@pytest.mark.parametrize("what", ["everything", "rows", "rows of each", "biases"])
@pytest.mark.parametrize("kind", ["convolutions", "tokens", "grid", "dense", "in place"])
def test_against_one_example_at_a_time(kind, what, batches):
    if kind == "in place" and what.startswith("rows"):
        return
    made, rows = network(kind, torch.float64), {}
    if what.startswith("rows"):
        rows = rows_of(kind)
        rows = rows if what == "rows of each" else {name: index[:1] for name, index in rows.items()}
    whole = parameters_of(made, 0) if what == "everything" else beside_rows(made, 0)
    tail = Tail(made, [name for name in whole if what != "biases" or name.endswith(".bias")], rows)
    params = drawn(tail.shapes(), K, 1, torch.float64)
    images, y = examples(K * B if batches == "own" else B, dtype=torch.float64)
    x, weight = tail.features(images), torch.tensor([1.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    if batches == "own":
        x, y, images, weight = (t.unflatten(0, (K, B)) for t in (x, y, images, weight.repeat(K)))
    out, report = summed(tail, params, x, y, weight=weight)
    for k in range(K):
        own = (images[k], y[k]) if batches == "own" else (images, y)
        found = [gradient(made, take(params, k), one_of(rows, k), *one) for one in zip(*own, strict=True)]
        norms = [norm(each) if place != 2 else 0.0 for place, each in enumerate(found)]
        assert report.norms[k].tolist() == pytest.approx(norms, rel=1e-9)
        assert int(report.clipped[k]) == sum(each > CLIP for each in norms)
        expected = clipped_sum([each for place, each in enumerate(found) if place != 2], CLIP)
        assert expected.keys() == out.keys()
        for name, each in expected.items():
            torch.testing.assert_close(out[name][k], each, rtol=1e-8, atol=1e-10)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("kind", ["convolutions", "tokens", "grid", "dense"])
def test_absolute_values_against_one_example_at_a_time(kind):
    """Each gradient is clipped, and only then loses its signs."""
    made, rows = network(kind, torch.float64), rows_of(kind)
    tail = Tail(made, [f"{made.head}.weight"], rows, absolute=True)
    params = drawn(tail.shapes(), K, 1, torch.float64)
    images, y = examples(B, dtype=torch.float64)
    out, _ = summed(tail, params, tail.features(images), y)
    plain, _ = summed(Tail(made, [f"{made.head}.weight"], rows), params, tail.features(images), y)
    for k in range(K):
        found = [gradient(made, take(params, k), one_of(rows, k), *one) for one in zip(images, y, strict=True)]
        for name, each in clipped_sum(found, CLIP, absolute=True).items():
            torch.testing.assert_close(out[name][k], each, rtol=1e-8, atol=1e-10)
            assert not torch.allclose(out[name][k], plain[name][k].abs(), rtol=1e-3)


def test_against_opacus():
    """All weights of a convolutional network: its hooks, then clipping by hand."""
    from opacus import GradSampleModule

    made = network("plain convolutions")
    tail, (images, y) = Tail(made, parameters_of(made, 0)), examples(16)
    out, report = summed(tail, tail.start({}), images, y, clip=1.5)
    assert 0 < int(report.clipped) < 16
    with warnings.catch_warnings():  # of its hooks, on PyTorch's changes
        warnings.simplefilter("ignore")
        module = GradSampleModule(nn.Sequential(*made.to("cpu").stages).requires_grad_().train(), loss_reduction="sum")
        F.cross_entropy(module(images), y, reduction="sum").backward()
    samples = [p.grad_sample for p in module.parameters()]
    norms = torch.sqrt(sum(g.flatten(1).square().sum(1) for g in samples))
    torch.testing.assert_close(report.norms[0], norms, rtol=1e-5, atol=1e-5)
    factors = (1.5 / norms).clamp(max=1)
    for name, g in zip(tail.names, samples, strict=True):
        torch.testing.assert_close(out[name][0], torch.einsum("b,b...->...", factors, g), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("batches", ["own", "shared"])
@pytest.mark.parametrize("kind", ["convolutions", "tokens", "grid", "dense"])
def test_members_in_one_program_are_the_members_one_after_another(kind, batches):
    """As a CUDA device runs those that do not convolve."""
    made = network(kind, torch.float64)
    images, y = examples(K * B, dtype=torch.float64)
    images[1] = torch.nan
    for absolute in (False, True):
        tail = Tail(made, [] if absolute else beside_rows(made, 0), rows_of(kind), absolute=absolute)
        params, x = drawn(tail.shapes(), K, 1, torch.float64), tail.features(images)
        given = (x.unflatten(0, (K, B)), y.view(K, B)) if batches == "own" else (x[:B], y[:B])
        found = []
        for stacked in (False, True):
            tail.stacked = stacked
            out, report = summed(tail, params, *given)
            found.append([*out.values(), tail.logits(params, given[0]), report.norms, report.loss, report.dropped])
        assert report.dropped.tolist() == ([1, 0, 0] if batches == "own" else [1, 1, 1])
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-10, equal_nan=True)


def test_pieces_of_a_batch_add_up():
    made = network("convolutions", torch.float64)
    tail, (images, y) = Tail(made, parameters_of(made, 0)), examples(6, dtype=torch.float64)
    params, x = tail.start({}, 2), tail.features(images)
    whole, _ = summed(tail, params, x, y)
    out, _ = summed(tail, params, x[:2], y[:2])
    clip, weight = torch.full((2,), CLIP, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    tail.clipped_sum(params, x[2:], y[2:], out, clip=clip, weight=weight, fresh=False)
    for name, each in whole.items():
        torch.testing.assert_close(out[name], each, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("held", [HELD["cpu"], 0])
@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("kind", ["convolutions", "tokens", "grid"])
@given(seed=st.integers(0, 10_000), power=st.floats(-3, 4), clip=st.floats(0.01, 10))
@settings(max_examples=25, deadline=None)
def test_one_example_never_moves_the_sum_by_more_than_the_clip_norm(kind, absolute, held, seed, power, clip):
    """In float32, as it ships; however long gradients are. What it is clipped to is just below the clip norm."""
    made = network(kind)
    names = [f"{name}.weight" for name in (*made.layers(), made.head)] if absolute else parameters_of(made, 0)
    tail = Tail(made, names, absolute=absolute)
    images, y = examples(5, seed=seed)
    images[4] *= 10**power
    params, x = drawn(tail.shapes(), 1, seed, torch.float32), tail.features(images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(HELD, "cpu", held)
        alone, report = summed(tail, params, x[4:], y[4:], clip)
        before, _ = summed(tail, params, x[:4], y[:4], clip)
        after, _ = summed(tail, params, x, y, clip)
    assert norm(alone) <= clip
    if int(report.clipped):
        assert norm(alone) >= clip * (1 - 1e-3)
    assert norm({name: after[name] - before[name] for name in after}) <= clip


def test_a_clipped_example_keeps_a_distance_that_rounding_cannot_bridge():
    """1,024 rounding units, because gradients are sums over positions."""
    made = network("convolutions")
    tail, (images, y) = Tail(made, parameters_of(made, 0)), examples(8)
    for place in range(8):
        out, report = summed(tail, tail.start({}), images[place : place + 1], y[place : place + 1], clip=0.01)
        assert int(report.clipped) == 1
        assert (1 - norm(out) / 0.01) / torch.finfo(torch.float32).eps == pytest.approx(1024, abs=64)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["convolutions", "tokens", "grid", "dense"])
def test_an_example_without_a_finite_norm_adds_nothing_and_is_counted(kind, bad, absolute):
    made = network(kind)
    names = [f"{name}.weight" for name in (*made.layers(), made.head)] if absolute else parameters_of(made, 0)
    tail, (images, y) = Tail(made, names, absolute=absolute), examples(5)
    params, kept = tail.start({}), torch.tensor([0, 1, 3, 4])
    images[2, 1, 3, 3] = bad
    out, report = summed(tail, params, tail.features(images), y)
    without, _ = summed(tail, params, tail.features(images)[kept], y[kept])
    assert report.dropped.tolist() == [1]
    assert math.isinf(float(report.norms[0, 2]))
    for name, each in without.items():
        torch.testing.assert_close(out[name], each, rtol=1e-4, atol=1e-6)
    images[2, 1, 3, 3] = 1e38  # squares overflow
    out, _ = summed(tail, params, tail.features(images), y)
    assert all(bool(each.isfinite().all()) for each in out.values())


def test_padding_is_no_example():
    tail, (images, y) = Tail(network("dense"), parameters_of(network("dense"), 0)), examples(4)
    out, report = summed(tail, tail.start({}), tail.features(images), y, weight=torch.zeros(4))
    assert all(not bool(each.any()) for each in out.values())
    assert (report.clipped.tolist(), report.dropped.tolist(), report.loss.tolist()) == ([0], [0], [0.0])


@pytest.mark.parametrize("kind", ["convolutions", "tokens", "dense"])
def test_a_member_is_the_same_to_the_bit_whoever_stands_beside_it(kind):
    made, rows = network(kind), rows_of(kind)
    tail = Tail(made, beside_rows(made, 0), rows)
    params, (images, y) = drawn(tail.shapes(), K, 1, torch.float32), examples(6)
    x = tail.features(images)
    together, report = summed(tail, params, x, y)
    logits = tail.logits(params, x)
    for k in range(K):
        own = {name: tensor[k : k + 1] for name, tensor in params.items()}
        alone, one = summed(tail.member(k), own, x, y)
        assert all(torch.equal(alone[name][0], together[name][k]) for name in together)
        assert torch.equal(one.norms[0], report.norms[k])
        assert torch.equal(tail.member(k).logits(own, x)[0], logits[k])
        other = Tail(made, beside_rows(made, 0), {name: index[None] for name, index in one_of(rows, k).items()})
        assert all(torch.equal(each, summed(other, own, x, y)[0][name]) for name, each in alone.items())
        assert tail.member(k) is tail.member(k)
