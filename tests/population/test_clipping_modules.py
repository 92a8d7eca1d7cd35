"""Clipped sums of modules: which of them go by formulas, and that both ways equal one example at a time."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from one_at_a_time import clipped_sum
from torch import nn

from labkit.errors import BadInput
from labkit.population import ModulePopulation, norms
from labkit.population.taps import formulas, tap_shapes

VOCABULARY, LENGTH = 7, 5


class Sequence(nn.Module):
    """Tokens and positions embedded, normalised, a linear layer at each position, the mean classified."""

    def __init__(self, tied=False, twice=False):
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, 6, padding_idx=0)
        self.places = nn.Embedding(LENGTH, 6)  # looked up without a batch axis
        self.norm = nn.LayerNorm(6)
        self.inner = nn.Linear(6, 6)
        self.head = nn.Linear(6, VOCABULARY, bias=False)
        self.tied, self.twice = tied, twice

    def forward(self, x):
        h = self.norm(self.tokens(x) + self.places(torch.arange(x.shape[1], device=x.device)))
        h = torch.tanh(self.inner(input=h))
        if self.twice:
            h = torch.tanh(self.inner(h))
        h = h.mean(1)
        return F.linear(h, self.tokens.weight) if self.tied else self.head(h)


class Image(nn.Module):
    """Convolution, GroupNorm over maps, a LayerNorm without parameters, a layer that nothing uses, a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), bias=False)
        self.norm = nn.GroupNorm(2, 4)
        self.free = nn.LayerNorm(4 * 3 * 4, elementwise_affine=False)
        self.unused = nn.Linear(3, 3)
        self.head = nn.Linear(4 * 3 * 4, VOCABULARY)

    def forward(self, x):
        return self.head(self.free(F.relu(self.norm(self.conv(x)), inplace=True).flatten(1)))


class Patches(nn.Module):
    """Halves of an image go through the convolution as a batch of their own."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.head = nn.Linear(4, VOCABULARY)

    def forward(self, x):
        halves = x[..., :4].reshape(-1, 2, 5, 2, 2).permute(0, 3, 1, 2, 4).reshape(-1, 2, 5, 2)
        maps = self.conv(F.pad(halves, (1, 1)))
        return self.head(maps.mean((2, 3)).view(len(x), 2, 4).mean(1))


class Recurrent(nn.Module):
    """A gated recurrence with parameters of its own: no formulas."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, 4)
        self.gate, self.inner = nn.Parameter(torch.zeros(4, 8)), nn.Parameter(torch.zeros(4, 8))
        self.head = nn.Linear(4, VOCABULARY)

    def forward(self, x):
        h = torch.zeros(x.shape[0], 4, dtype=self.gate.dtype, device=x.device)
        for token in self.table(x).unbind(1):
            both = torch.cat([h, token], 1)
            z = torch.sigmoid(both @ self.gate.T)
            h = (1 - z) * h + z * torch.tanh(both @ self.inner.T)
        return self.head(h)


TEXT = {
    "sequence": Sequence,
    "tied": lambda: Sequence(tied=True),
    "twice": lambda: Sequence(twice=True),
    "recurrent": Recurrent,
}
IMAGES = {"image": Image, "patches": Patches}
BY_FORMULAS = {"sequence", "image", "patches"}


def population(kind):
    return ModulePopulation(TEXT[kind], 1) if kind in TEXT else ModulePopulation(IMAGES[kind], 3)


def examples(kind, size, *, count=None, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    lead = (size,) if count is None else (count, size)
    y = torch.randint(0, VOCABULARY, lead, generator=generator)
    if kind in TEXT:
        return torch.randint(0, VOCABULARY, (*lead, LENGTH), generator=generator), y
    return torch.randn(*lead, 2, 5, 5, generator=generator, dtype=dtype), y


def run(arch, params, x, y, clip, masks=None, weight=None):
    out = {name: torch.full_like(tensor, torch.nan) for name, tensor in params.items()}
    weight = torch.ones(y.shape[-1]) if weight is None else weight
    return out, arch.clipped_sum(params, x, y, out, clip=clip, weight=weight, fresh=True, masks=masks)


def randomised(arch, count, dtype=torch.float64):
    """Parameters without the ones and zeros of an initialisation, which would hide errors."""
    params = arch.init(range(count), dtype=dtype)
    generator = torch.Generator().manual_seed(1)
    return {n: t + 0.5 * torch.randn(t.shape, generator=generator, dtype=dtype) for n, t in params.items()}


@pytest.mark.parametrize("kind", [*TEXT, *IMAGES])
def test_a_weight_used_outside_its_layer_or_twice_has_no_formula(kind):
    arch = population(kind)
    params = {name: tensor[0] for name, tensor in arch.init([0], dtype=torch.float64).items()}
    forms = formulas(arch.module)
    shapes = forms and tap_shapes(arch.module, forms, params, examples(kind, 1)[0])
    assert bool(shapes) == (kind in BY_FORMULAS)


@pytest.mark.parametrize("kind", [*TEXT, *IMAGES])
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_modules_clip_like_one_example_at_a_time(kind, shared, masked):
    arch = population(kind)
    params = randomised(arch, 2)
    x, y = examples(kind, 4, count=None if shared else 2)
    generator = torch.Generator().manual_seed(5)
    masks = {n: (torch.rand(t.shape, generator=generator) < 0.6).double() for n, t in params.items()}
    masks = {n: m for n, m in masks.items() if not n.startswith("head")} if masked else None
    clip, weight = torch.tensor([0.5, torch.inf], dtype=torch.float64), torch.tensor([1.0, 1.0, 0.0, 1.0])
    total, lengths = clipped_sum(arch, params, x, y, clip=clip, weight=weight, masks=masks, shared=shared)
    out, report = run(arch, params, x, y, clip, masks, weight)
    torch.testing.assert_close(report.norms, lengths, rtol=1e-9, atol=1e-9)
    for name, tensor in total.items():
        torch.testing.assert_close(out[name], tensor, rtol=1e-9, atol=1e-9)


def test_chunks_of_examples_change_nothing(monkeypatch):
    arch = population("recurrent")
    params, (x, y) = randomised(arch, 2), examples("recurrent", 5)
    clip = torch.tensor([0.5, 0.2], dtype=torch.float64)
    whole, report = run(arch, params, x, y, clip)
    monkeypatch.setitem(norms.NUMBERS, "cpu", 500)
    parts, other = run(arch, params, x, y, clip)
    torch.testing.assert_close(report.norms, other.norms)
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor)


@pytest.mark.parametrize("kind", ["sequence", "image", "recurrent"])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 999))
def test_no_contribution_is_larger_than_the_clip_norm(kind, seed):
    arch = population(kind)
    params, (x, y) = randomised(arch, 2, torch.float32), examples(kind, 1, seed=seed, dtype=torch.float32)
    clip = torch.tensor([0.1, 0.37])
    out, report = run(arch, params, x, y, clip)
    length = torch.sqrt(sum(t.double().flatten(1).square().sum(1) for t in out.values()))
    assert (length <= clip.double()).all()
    assert report.clipped.sum() == (report.norms > clip.unsqueeze(1)).sum()


def test_examples_without_a_finite_gradient_count_as_zero():
    """A NaN in one image, by formulas; in one row of a table, by full gradients."""
    arch = population("image")
    params, (x, y) = randomised(arch, 2), examples("image", 4)
    clip = torch.full((2,), 0.5, dtype=torch.float64)
    expected, _ = run(arch, params, x, y, clip, weight=torch.tensor([1.0, 0.0, 1.0, 1.0]))
    x[1, 0, 2, 2] = torch.nan
    out, report = run(arch, params, x, y, clip)
    assert report.dropped.tolist() == [1, 1]
    for name, tensor in expected.items():
        torch.testing.assert_close(out[name], tensor)
    arch = population("recurrent")
    params = randomised(arch, 2)
    x, y = torch.tensor([[1, 2, 3, 4, 5], [1, 2, 6, 4, 5]]), torch.tensor([0, 1])
    expected, _ = run(arch, params, x, y, clip, weight=torch.tensor([1.0, 0.0]))
    params["table.weight"][1, 6, 0] = torch.inf
    out, report = run(arch, params, x, y, clip, weight=torch.tensor([1.0, 1.0]))
    assert report.dropped.tolist() == [0, 1]
    torch.testing.assert_close(out["gate"][1], expected["gate"][1])


@pytest.mark.parametrize("running", [True, False])
def test_batch_norm_is_refused_with_its_reason(running):
    def build():
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=running), nn.Linear(4, 2))

    arch = ModulePopulation(build)
    with pytest.raises(BadInput, match=r"model = 'BatchNorm1d 1'.*one example's gradient depends on the others"):
        run(arch, {"0.weight": torch.zeros(1, 4, 3)}, torch.zeros(2, 3), torch.zeros(2).long(), torch.ones(1))


@pytest.mark.gpu
@pytest.mark.parametrize("kind", [*TEXT, *IMAGES])
def test_on_a_gpu_the_numbers_are_those_of_the_cpu(kind):
    arch = population(kind)
    params, (x, y) = randomised(arch, 2), examples(kind, 4)
    clip = torch.tensor([0.5, torch.inf], dtype=torch.float64)
    expected, report = run(arch, params, x, y, clip)
    out = {name: torch.zeros_like(tensor).cuda() for name, tensor in params.items()}
    moved = {name: tensor.cuda() for name, tensor in params.items()}
    found = arch.clipped_sum(moved, x.cuda(), y.cuda(), out, clip=clip.cuda(), weight=torch.ones(4).cuda(), fresh=True)
    torch.testing.assert_close(found.norms.cpu(), report.norms)
    for name, tensor in expected.items():
        torch.testing.assert_close(out[name].cpu(), tensor)
