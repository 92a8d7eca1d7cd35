"""Clipped sums of every architecture: by hand, against one example at a time, and what must hold for any input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from one_at_a_time import CASES, INF, batch, clipped_sum, close, draw_masks, norm_of, run

from labkit.population import MLP, take


def test_one_example_by_hand():
    """Logits (w x, 0) with w 0: the gradient is (-1/2, 1/2) times (3, 1), its norm sqrt(5); clip 1 and none."""
    arch, x, y = MLP((1, 2)), torch.tensor([[3.0]]), torch.tensor([0])
    params = {"0.weight": torch.zeros(2, 2, 1), "0.bias": torch.zeros(2, 2)}
    out, report = run(arch, params, x, y, [1.0, INF])
    expected = torch.tensor([[-1.5], [1.5]])
    torch.testing.assert_close(out["0.weight"], torch.stack([expected / math.sqrt(5), expected]))
    torch.testing.assert_close(out["0.bias"][1], torch.tensor([-0.5, 0.5]))
    torch.testing.assert_close(report.norms, torch.full((2, 1), math.sqrt(5)))
    torch.testing.assert_close(report.loss, torch.full((2,), math.log(2)))
    assert report.clipped.tolist() == [1, 0]
    assert report.dropped.tolist() == [0, 0]
    masks = {"0.bias": torch.zeros(2, 2)}  # |g| is 3 / sqrt(2) without the bias: masked before the norm
    out, report = run(arch, params, x, y, [1.0, INF], masks=masks)
    torch.testing.assert_close(out["0.weight"][0], expected * math.sqrt(2) / 3)
    assert (out["0.bias"] == 0).all()


@pytest.mark.parametrize("kind", list(CASES))
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
@pytest.mark.parametrize("names", [(), ("0.weight", "1.bias"), None], ids=["whole", "partly", "masked"])
def test_members_clip_like_one_example_at_a_time(kind, shared, names):
    """Oracle: float64 backward passes; three members with clip norms of their own, padding rows of their own."""
    arch, dims = CASES[kind]
    params = arch.init(range(3), dtype=torch.float64)
    x, y = batch(dims, shared=shared)
    masks = draw_masks(params, names=names) if names != () else None
    weight = torch.ones(3, 6, dtype=torch.float64)
    weight[1, 4], weight[2, :2] = 0, 0
    middle = clipped_sum(arch, params, x, y, clip=[1, 1, 1], weight=weight, masks=masks, shared=shared)[1]
    clip = torch.tensor([1.001 * middle[0].median(), INF, 0.1], dtype=torch.float64)
    total, norms = clipped_sum(arch, params, x, y, clip=clip, weight=weight, masks=masks, shared=shared)
    out, report = run(arch, params, x, y, clip, weight, masks)
    close(out, total)
    torch.testing.assert_close(report.norms, norms, rtol=1e-9, atol=1e-9)
    assert report.clipped.tolist() == (norms > clip.unsqueeze(1)).sum(1).tolist()
    before = {name: tensor.clone() for name, tensor in out.items()}
    close(run(arch, params, x, y, clip, weight, masks, fresh=False, out=out)[0], {n: 2 * t for n, t in before.items()})


@pytest.mark.parametrize("kind", list(CASES))
def test_without_a_clip_it_is_the_plain_gradient(kind):
    arch, dims = CASES[kind]
    params, (x, y) = arch.init(range(3), dtype=torch.float64), batch(dims)
    plain = {name: torch.zeros_like(tensor) for name, tensor in params.items()}
    loss = arch.accumulate(params, x, y, plain, decay=0.0, scale=torch.ones(3, dtype=torch.float64))
    out, report = run(arch, params, x, y, INF)
    close(out, {name: 6 * tensor for name, tensor in plain.items()})
    torch.testing.assert_close(report.loss, loss)


@pytest.mark.parametrize("kind", list(CASES))
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 99), clip=st.floats(1e-3, 50), shared=st.booleans())
def test_members_do_not_influence_each_other(kind, seed, clip, shared):
    arch, dims = CASES[kind]
    params, (x, y) = arch.init(range(3), dtype=torch.float64), batch(dims, shared=shared, seed=seed)
    masks = draw_masks(params, seed=seed)
    whole, report = run(arch, params, x, y, [clip, 1.0, INF], masks=masks)
    own = (x, y) if shared else (x[:1], y[:1])
    alone, lone = run(arch, take(params, [0]), *own, [clip], masks=take(masks, [0]))
    close({n: t[:1] for n, t in whole.items()}, alone, 1e-12)
    torch.testing.assert_close(report.norms[:1], lone.norms)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_a_members_bits_do_not_depend_on_its_neighbours(kind):
    """On the CPU, where there are at least two; a trainer runs a lone member beside its copy."""
    arch, dims = CASES[kind]
    params, (x, y) = arch.init(range(9)), batch(dims, size=20, dtype=torch.float32)
    whole, _ = run(arch, params, x, y, 1.0)
    for index in ([4, 5], [8, 4], [0, 1, 2, 3, 4], [4, 4, 4]):
        part, _ = run(arch, take(params, index), x, y, 1.0)
        for name, tensor in part.items():
            assert torch.equal(tensor[index.index(4)], whole[name][4])


@pytest.mark.parametrize("kind", list(CASES))
@pytest.mark.parametrize("value", [math.nan, INF], ids=str)
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_examples_without_a_finite_gradient_count_as_zero(kind, value, shared):
    """Exactly: the sum is that of the batch without them, bit by bit on a batch padded alike."""
    arch, dims = CASES[kind]
    params, (x, y) = arch.init(range(3)), batch(dims, shared=shared, dtype=torch.float32)
    weight = torch.ones(6)
    weight[1] = 0
    (x if shared else x.transpose(0, 1))[1] = value  # padding may hold anything
    clean = (x if shared else x.transpose(0, 1)).clone(memory_format=torch.contiguous_format)
    bad = clean.clone()
    bad[4].flatten()[3], clean[1], clean[4] = value, 0, 0
    fewer = weight.clone()
    fewer[4] = 0
    clean, bad = (clean, bad) if shared else (clean.transpose(0, 1), bad.transpose(0, 1))
    bad_before = bad.clone()
    out, report = run(arch, params, bad, y, 0.5, weight)
    expected, _ = run(arch, params, clean, y, 0.5, fewer)
    touched = 3 if shared else 1
    assert report.dropped.sum() == touched
    assert torch.isinf(report.norms[:, 4]).sum() == touched
    assert (report.norms[:, 1] == 0).all()
    for k in range(touched):
        for name in out:
            torch.testing.assert_close(out[name][k], expected[name][k], rtol=1e-6, atol=1e-7)
    assert all(torch.isfinite(tensor).all() for tensor in out.values())
    assert torch.equal(bad, bad_before) or torch.allclose(bad, bad_before, equal_nan=True)


def test_a_batch_of_padding_alone():
    arch, dims = CASES["mlp"]
    params, (x, y) = arch.init(range(3)), batch(dims, dtype=torch.float32)
    out, report = run(arch, params, x * math.nan, y, 1.0, torch.zeros(6))
    assert all((tensor == 0).all() for tensor in out.values())
    for value in (report.loss, report.norms, report.clipped, report.dropped):
        assert (value == 0).all()


@pytest.mark.parametrize("kind", [*CASES, "long"])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_no_contribution_is_larger_than_the_clip_norm(kind, masked):
    """In float32, the dtype that ships; the length of what one example adds is taken in float64."""
    arch, dims = CASES.get(kind, (MLP((3000, 40, 4)), (3000,)))
    params = arch.init(range(2), scale=[1.0, 3.0])
    masks = draw_masks(params, 0.7) if masked else None
    largest = 0.0
    for seed in range(40):
        x, y = batch(dims, size=1, dtype=torch.float32, seed=seed)
        clip = torch.tensor([0.37, 1.0])
        out, report = run(arch, params, x.abs() if seed % 2 else x, y, clip, masks=masks)
        for k in range(2):
            if report.clipped[k]:
                largest = max(largest, float(norm_of({n: t[k] for n, t in out.items()}) / clip[k].double()))
    assert 0.999 < largest <= 1.0


@settings(max_examples=25, deadline=None)
@given(
    widths=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    size=st.integers(1, 6),
    count=st.integers(1, 3),
    clip=st.floats(1e-6, 1e3),
    density=st.floats(0, 1),
    seed=st.integers(0, 999),
)
def test_any_perceptron(widths, size, count, clip, density, seed):
    arch = MLP((*widths, 4))
    params = arch.init(range(count), dtype=torch.float64)
    x, y = batch((widths[0],), count=count, size=size, seed=seed)
    masks = draw_masks(params, density, seed)
    clips = torch.full((count,), clip, dtype=torch.float64)
    weight = (torch.rand(size, generator=torch.Generator().manual_seed(seed)) < 0.8).double()
    total, norms = clipped_sum(arch, params, x, y, clip=clips, weight=weight, masks=masks)
    out, report = run(arch, params, x, y, clips, weight, masks)
    close(out, total)
    torch.testing.assert_close(report.norms, norms, rtol=1e-9, atol=1e-9)


def test_bfloat16_products_are_clipped_in_float32():
    arch, dims = MLP((20, 9, 7, 4), torch.bfloat16), (20,)
    params, (x, y) = arch.init(range(3)), batch(dims, size=1, dtype=torch.float32)
    out, report = run(arch, params, x, y, 0.37)
    lengths = [float(norm_of({n: t[k] for n, t in out.items()})) for k in range(3)]
    assert report.clipped.tolist() == [1, 1, 1]
    assert all(0.3699 < length <= 0.37 for length in lengths)
