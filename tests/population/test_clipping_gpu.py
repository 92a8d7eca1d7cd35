"""Clipped sums on a GPU: the CPU's numbers, recorded in a graph, and in float32 whatever the caller allows."""

import math

import pytest
import torch
from one_at_a_time import CASES, INF, batch, close, draw_masks, norm_of, run

from labkit.population.precision import matmul_precision


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
    with matmul_precision(False):  # convolutions take TF32 unless they are told not to
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
    masks = {n: m.cuda() for n, m in draw_masks(arch.init(range(3))).items()} if masked else None
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
