"""Clipped sums of perceptrons against Opacus 1.6, float32: its per-example gradients, and its ghost norms."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from reference import perceptron

from labkit.population import MLP

CLIP = 1.5
NAMES = [f"{layer}.{kind}" for layer in range(3) for kind in ("weight", "bias")]  # in the order of a perceptron's


def setting():
    arch, generator = MLP((20, 16, 12, 4)), torch.Generator().manual_seed(0)
    x, y = torch.randn(32, 20, generator=generator), torch.randint(0, 4, (32,), generator=generator)
    params = arch.init(range(2))
    out = {name: torch.zeros_like(tensor) for name, tensor in params.items()}
    clip = torch.full((2,), CLIP)
    report = arch.clipped_sum(params, x, y, out, clip=clip, weight=torch.ones(32), fresh=True)
    assert 0 < report.clipped.min() <= report.clipped.max() < 32  # both sides of the clip norm are there
    return x, y, params, out, report


def quiet(build):
    """Opacus' modules and its backward hooks warn about PyTorch's own changes; their numbers are what is asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build()


@pytest.mark.parametrize("member", [0, 1])
def test_its_per_example_gradients(member):
    from opacus import GradSampleModule

    x, y, params, out, report = setting()
    net = perceptron(params, member)

    def backward():
        model = GradSampleModule(net, loss_reduction="sum")
        F.cross_entropy(model(x), y, reduction="sum").backward()
        return [p.grad_sample for p in model.parameters()]

    gradients = quiet(backward)
    norms = torch.sqrt(sum(g.flatten(1).square().sum(1) for g in gradients))
    torch.testing.assert_close(report.norms[member], norms, rtol=1e-5, atol=1e-5)
    factors = (CLIP / norms).clamp(max=1)
    for name, g in zip(NAMES, gradients, strict=True):
        torch.testing.assert_close(out[name][member], torch.einsum("b,b...->...", factors, g), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("member", [0, 1])
def test_its_ghost_clipping(member):
    from opacus.grad_sample import GradSampleModuleFastGradientClipping

    x, y, params, out, report = setting()
    net = perceptron(params, member)

    def backward():
        model = GradSampleModuleFastGradientClipping(
            net, loss_reduction="sum", max_grad_norm=CLIP, use_ghost_clipping=True
        )
        losses = F.cross_entropy(model(x), y, reduction="none")
        losses.sum().backward(retain_graph=True)
        norms, factors = model.get_norm_sample(), model.get_clipping_coef()
        model.disable_hooks()
        for p in model.parameters():
            p.grad = None
        (factors * losses).sum().backward()
        return norms, [p.grad for p in model.parameters()]

    norms, gradients = quiet(backward)
    torch.testing.assert_close(report.norms[member], norms, rtol=1e-5, atol=1e-5)
    for name, g in zip(NAMES, gradients, strict=True):
        torch.testing.assert_close(out[name][member], g, rtol=1e-4, atol=2e-5)
