"""The sharpest curvature of the loss at a network, as one number."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.errors import BadInput
from labkit.landscape.directions import Mask
from labkit.landscape.steps import Steps
from labkit.population import Architecture, Params, members
from labkit.population.autograd import member_losses


@dataclass(frozen=True)
class Eigenvalue:
    """What power iteration found.

    Args:
        value: the Rayleigh quotient v'Hv of the last unit vector v: an estimate of the eigenvalue of largest
            magnitude, with its sign.
        residual: |Hv - value v|; some eigenvalue of H lies within this distance of `value`.
        iterations: Hessian-vector products taken.
        converged: whether residual <= tolerance * |value|. Two eigenvalues of nearly equal size and opposite sign are
            the usual reason why not.
    """

    value: float
    residual: float
    iterations: int
    converged: bool


def largest_eigenvalue(
    arch: Architecture,
    params: Params,
    x: Tensor,
    y: Tensor,
    generator: torch.Generator,
    iterations: int = 100,
    tolerance: float = 1e-3,
    mask: Mask | None = None,
) -> Steps[Eigenvalue]:
    """The eigenvalue of largest magnitude of the Hessian of the mean cross-entropy, by power iteration.

    The gradient's graph is built once and differentiated again for each product (Pearlmutter 1994). A generator:
    yields (done, iterations) after each product and returns an `Eigenvalue`.

    Args:
        arch, params: the network, K = 1.
        x, y: examples [n, ...] and labels [n], held in memory at once.
        generator: source of the starting vector.
        iterations: upper bound on the number of products.
        tolerance: stop once the residual is at most this share of the eigenvalue.
        mask: restrict the Hessian to the kept coordinates; None for all.
    """
    if members(params) != 1:
        raise BadInput("params", f"{members(params)} networks", "one network (K = 1)")
    if iterations < 1:
        raise BadInput("iterations", iterations, "at least 1")
    leaves = {name: tensor.detach().clone().requires_grad_() for name, tensor in params.items()}
    weights = list(leaves.values())
    kept = torch.cat([_kept(mask, name, tensor).flatten() for name, tensor in leaves.items()])
    with torch.enable_grad():
        loss = member_losses(arch.logits(leaves, x), y)[0]
        slopes = torch.autograd.grad(loss, weights, create_graph=True)
        slope = torch.cat([s.flatten() for s in slopes])
    if not kept.any():
        raise BadInput("mask", "all zero", "a mask that keeps at least one weight")
    drawn = torch.randn(len(slope), generator=generator, device=generator.device, dtype=torch.float64)
    vector = drawn.to(slope) * kept
    vector /= vector.norm()
    for done in range(1, iterations + 1):
        product = torch.autograd.grad(slope, weights, grad_outputs=vector, retain_graph=True, materialize_grads=True)
        image = torch.cat([p.flatten() for p in product]) * kept
        value = float(vector @ image)
        residual = float((image - value * vector).norm())
        found = Eigenvalue(value, residual, done, residual <= tolerance * abs(value))
        yield done, iterations
        if found.converged:
            break
        vector = image / image.norm()
    return found


def _kept(mask: Mask | None, name: str, tensor: Tensor) -> Tensor:
    if mask is None or name not in mask:
        return torch.ones_like(tensor)
    return (mask[name].to(tensor.device) != 0).to(tensor)
