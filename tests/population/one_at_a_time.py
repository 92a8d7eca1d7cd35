"""Clipping by the book: one example, one backward pass, in float64; and what the tests of clipped sums share."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from reference import ConvNet
from torch import Tensor
from torch.func import functional_call

from labkit.population import CNN, MLP, ModulePopulation

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


def logits_of(arch, params: dict[str, Tensor], member: int) -> Callable[[dict[str, Tensor], Tensor], Tensor]:
    """One network's logits as a function of its own parameters and a batch."""
    if isinstance(arch, ModulePopulation):
        module = arch.factory().double()
        return lambda own, x: functional_call(module, own, (x,))
    return lambda own, x: arch.logits({name: tensor.unsqueeze(0) for name, tensor in own.items()}, x)[0]


def example_gradient(arch, params, member, x, y, masks=None) -> dict[str, Tensor]:
    """Gradient of one example's cross-entropy, without its masked coordinates; x [1, ...], y [1]."""
    own = {name: tensor[member].detach().clone().requires_grad_() for name, tensor in params.items()}
    loss = F.cross_entropy(logits_of(arch, params, member)(own, x), y)
    gradients = torch.autograd.grad(loss, list(own.values()), materialize_grads=True)
    kept = masks or {}
    return {n: g * kept[n][member] if n in kept else g for n, g in zip(own, gradients, strict=True)}


def norm_of(gradient: dict[str, Tensor]) -> Tensor:
    return torch.sqrt(sum(g.double().square().sum() for g in gradient.values()))


def clipped_sum(arch, params, x, y, *, clip, weight, masks=None, shared=True):
    """Sums {name: [K, ...]} and norms [K, B], every quantity as its definition reads."""
    count, batch = len(clip), y.shape[-1]
    total = {name: torch.zeros_like(tensor) for name, tensor in params.items()}
    norms = torch.zeros(count, batch, dtype=torch.float64)
    for k in range(count):
        for i in range(batch):
            real = (weight if weight.dim() == 1 else weight[k])[i]
            if not real:
                continue
            xi = (x if shared else x[k])[i : i + 1]
            yi = (y if y.dim() == 1 else y[k])[i : i + 1]
            gradient = example_gradient(arch, params, k, xi, yi, masks)
            norms[k, i] = norm_of(gradient)
            factor = min(1.0, float(clip[k]) / max(float(norms[k, i]), 1e-300))
            for name, g in gradient.items():
                total[name][k] += factor * g
    return total, norms
