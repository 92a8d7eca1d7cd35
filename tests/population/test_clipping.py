"""Clipped sums of every architecture: by hand, against one example at a time, and what must hold for any input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from one_at_a_time import clipped_sum, norm_of
from reference import ConvNet

from labkit.population import CNN, MLP, ModulePopulation, take

INF = math.inf
CASES = {"mlp": (MLP((20, 9, 7, 4)), (20,)), "cnn": (CNN((4, 6), (2, 8, 9), 4), (2, 8, 9))}
CASES["module"] = (ModulePopulation(lambda: ConvNet((4, 6), (2, 8, 8), 4), 3), (2, 8, 8))


def batch(dims, *, count=3, size=6, shared=True, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lead = (size,) if shared else (count, size)
    return torch.randn(*lead, *dims, generator=generator, dtype=dtype), torch.randint(0, 4, lead, generator=generator)


def draw_masks(params, density=0.5, seed=5, names=None):
    generator = torch.Generator().manual_seed(seed)
    return {
        n: (torch.rand(t.shape, generator=generator) < density).to(t.dtype)
        for n, t in params.items()
        if names is None or n in names
    }


def run(arch, params, x, y, clip, weight=None, masks=None, fresh=True, out=None):
    """The sum, into buffers of NaN where it is fresh, and the report."""
    first = next(iter(params.values()))
    clip = torch.as_tensor(clip, dtype=first.dtype).expand(len(first))
    weight = torch.ones(y.shape[-1], dtype=first.dtype) if weight is None else weight
    out = {name: torch.full_like(t, math.nan) for name, t in params.items()} if out is None else out
    return out, arch.clipped_sum(params, x, y, out, clip=clip, weight=weight, fresh=fresh, masks=masks)


def close(ours, theirs, tolerance=1e-9):
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=tolerance, atol=tolerance)


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


@pytest.mark.gpu
@pytest.mark.parametrize("kind", list(CASES))
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_on_a_gpu_the_numbers_are_those_of_the_cpu(kind, masked):
    arch, dims = CASES[kind]
    params, (x, y) = arch.init(range(3)), batch(dims, dtype=torch.float32)
    masks = draw_masks(params) if masked else None
    x[2].flatten()[0] = math.nan
    expected, report = run(arch, params, x, y, [0.3, 1.0, INF], masks=masks)
    moved = {name: tensor.cuda() for name, tensor in params.items()}
    out = {name: torch.full_like(tensor, math.nan) for name, tensor in moved.items()}
    found = arch.clipped_sum(
        moved, x.cuda(), y.cuda(), out, clip=torch.tensor([0.3, 1.0, INF]).cuda(), weight=torch.ones(6).cuda(),
        fresh=True, masks=masks and {name: mask.cuda() for name, mask in masks.items()},
    )  # fmt: skip
    close({name: tensor.cpu() for name, tensor in out.items()}, expected, 1e-4)
    assert found.dropped.tolist() == report.dropped.tolist() == [1, 1, 1]
    torch.testing.assert_close(found.norms.cpu(), report.norms, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_a_perceptrons_clipped_sum_is_captured_in_a_graph(masked):
    arch, dims = CASES["mlp"]
    params = {name: tensor.cuda() for name, tensor in arch.init(range(3)).items()}
    masks = {n: m.cuda() for n, m in draw_masks(params | arch.init(range(3))).items()} if masked else None
    x, y = (tensor.cuda() for tensor in batch(dims, dtype=torch.float32))
    clip, weight = torch.tensor([0.3, 1.0, INF]).cuda(), torch.ones(6).cuda()
    out = {name: torch.zeros_like(tensor) for name, tensor in params.items()}

    def step():
        arch.clipped_sum(params, x, y, out, clip=clip, weight=weight, fresh=True, masks=masks)
        return arch.clipped_sum(params, x, y, out, clip=clip, weight=weight, fresh=False, masks=masks)

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        report = step()
    x.copy_(batch(dims, dtype=torch.float32, seed=8)[0])
    x[1, 0] = math.nan
    graph.replay()
    torch.cuda.synchronize()
    replayed = {name: tensor.clone() for name, tensor in out.items()}
    dropped = report.dropped.tolist()
    eager = step()
    assert dropped == eager.dropped.tolist() == [1, 1, 1]
    close(replayed, out, 1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", list(CASES))
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_tf32_never_lifts_a_contribution_above_the_clip_norm(kind, masked):
    """The caller's setting reaches forward and delta; TF32 in norms or sum would miss by 2^-11."""
    from labkit.population.precision import matmul_precision

    arch, dims = CASES[kind]
    params = {name: tensor.cuda() for name, tensor in arch.init(range(2), scale=[1.0, 3.0]).items()}
    masks = {n: m.cuda() for n, m in draw_masks(arch.init(range(2)), 0.7).items()} if masked else None
    clip, clipped = torch.tensor([0.37, 1.0]).cuda(), 0
    for seed in range(40):
        x, y = batch(dims, size=1, dtype=torch.float32, seed=seed)
        out = {name: torch.zeros_like(tensor) for name, tensor in params.items()}
        with matmul_precision(True):
            report = arch.clipped_sum(
                params, x.cuda(), y.cuda(), out, clip=clip, weight=torch.ones(1).cuda(), fresh=True, masks=masks
            )
            assert torch.backends.cuda.matmul.allow_tf32
        clipped += int(report.clipped.sum())
        for k in range(2):
            assert norm_of({n: t[k] for n, t in out.items()}) <= clip[k].double()
    assert clipped
