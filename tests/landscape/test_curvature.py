"""Power iteration against the exact Hessian of a tiny network in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from labkit.errors import BadInput
from labkit.generators import exhaust
from labkit.landscape import Eigenvalue, largest_eigenvalue
from labkit.population import MLP

F64 = torch.float64
ARCH = MLP((3, 4, 3))


def examples() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(20, 3, generator=generator, dtype=F64)
    return x, torch.randint(3, (20,), generator=generator)


def exact_hessian(params: dict[str, torch.Tensor]) -> np.ndarray:
    x, y = examples()
    sizes = [t.numel() for t in params.values()]

    def loss(flat: torch.Tensor) -> torch.Tensor:
        pieces = flat.split(sizes)
        w = {name: piece.view(t.shape[1:]) for (name, t), piece in zip(params.items(), pieces, strict=True)}
        hidden = F.relu(F.linear(x, w["0.weight"], w["0.bias"]))
        return F.cross_entropy(F.linear(hidden, w["1.weight"], w["1.bias"]), y)

    return torch.autograd.functional.hessian(loss, torch.cat([t.flatten() for t in params.values()])).numpy()


def find(params: dict[str, torch.Tensor], **rest: object) -> Eigenvalue:
    generator = torch.Generator().manual_seed(0)
    return exhaust(largest_eigenvalue(ARCH, params, *examples(), generator, 3000, 1e-9, **rest))


def largest(hessian: np.ndarray) -> float:
    values = np.linalg.eigvalsh(hessian)
    return float(values[np.abs(values).argmax()])


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_exact_hessian(seed: int) -> None:
    params = ARCH.init([seed], dtype=F64)
    found = find(params)
    assert found.converged
    assert found.value == pytest.approx(largest(exact_hessian(params)), rel=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_inside_a_mask_it_is_the_hessian_of_the_kept_coordinates(seed: int) -> None:
    params = ARCH.init([seed], dtype=F64)
    generator = torch.Generator().manual_seed(seed + 100)
    mask = {name: torch.rand(t.shape, generator=generator) < 0.5 for name, t in params.items() if "weight" in name}
    params = {name: t * mask.get(name, 1) for name, t in params.items()}
    kept = np.concatenate([mask.get(name, torch.ones_like(t)).bool().flatten().numpy() for name, t in params.items()])
    hessian = exact_hessian(params)
    found = find(params, mask=mask)
    assert found.converged
    assert found.value == pytest.approx(largest(hessian[np.ix_(kept, kept)]), rel=1e-8)
    assert abs(found.value - largest(hessian)) > 1e-3  # the whole Hessian's would have been noticed


@dataclass(frozen=True)
class Bowl:
    """Logits (c * w1 * w1 + d * w1 * w2, 0): at w = 0 the loss of class 0 has Hessian [[-c, -d/2], [-d/2, 0]]."""

    c: float
    d: float = 0.0

    def logits(self, params: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        w1, w2 = params["w"][:, 0, :1], params["w"][:, 0, 1:]
        first = (self.c * w1 * w1 + self.d * w1 * w2).unsqueeze(1).expand(-1, len(x), 1)
        return torch.cat([first, torch.zeros_like(first)], -1)


def at_zero(bowl: Bowl, iterations: int = 50, tolerance: float = 1e-6) -> Eigenvalue:
    params = {"w": torch.zeros(1, 1, 2, dtype=F64)}
    x, y = torch.zeros(1, 1, dtype=F64), torch.zeros(1, dtype=torch.int64)
    return exhaust(largest_eigenvalue(bowl, params, x, y, torch.Generator().manual_seed(1), iterations, tolerance))


def test_the_sign_is_kept() -> None:
    assert at_zero(Bowl(3.0)).value == pytest.approx(-3.0)
    assert at_zero(Bowl(-3.0)).value == pytest.approx(3.0)


def test_two_opposite_eigenvalues_of_one_size_are_reported_as_not_converged() -> None:
    found = at_zero(Bowl(0.0, 4.0))  # eigenvalues 2 and -2
    assert not found.converged
    assert found.iterations == 50
    assert found.residual > 0.1
    assert min(abs(found.value - 2), abs(found.value + 2)) <= found.residual + 1e-12


def test_a_flat_loss_has_eigenvalue_zero() -> None:
    assert at_zero(Bowl(0.0)) == Eigenvalue(0.0, 0.0, 1, True)


def test_it_can_be_watched_and_stopped() -> None:
    steps = largest_eigenvalue(ARCH, ARCH.init([0], dtype=F64), *examples(), torch.Generator().manual_seed(0), 7, 0.0)
    assert next(steps) == (1, 7)
    assert list(steps) == [(done, 7) for done in range(2, 8)]


def test_single_precision_agrees_to_its_tolerance() -> None:
    params = ARCH.init([1], dtype=F64)
    x, y = examples()
    single = {name: t.float() for name, t in params.items()}
    found = exhaust(largest_eigenvalue(ARCH, single, x.float(), y, torch.Generator().manual_seed(0), 500, 1e-3))
    assert found.converged
    assert found.value == pytest.approx(largest(exact_hessian(params)), rel=2e-3)


def test_refuses_what_has_no_curvature() -> None:
    params = ARCH.init([0], dtype=F64)
    with pytest.raises(BadInput, match="keeps at least one"):
        find(params, mask={name: torch.zeros_like(t) for name, t in params.items()})
    with pytest.raises(BadInput, match="one network"):
        find(ARCH.init([0, 1], dtype=F64))
    with pytest.raises(BadInput, match="iterations"):
        exhaust(largest_eigenvalue(ARCH, params, *examples(), torch.Generator(), 0))
