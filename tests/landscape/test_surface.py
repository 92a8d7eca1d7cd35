"""Surfaces and lines equal a plain loop over single networks, whatever the chunk."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F

from labkit.errors import BadInput
from labkit.generators import exhaust
from labkit.landscape import grid, interpolation, plane, profile, random_plane, symmetric_axis
from labkit.population import CNN, MLP

F64 = torch.float64


def single_mlp(params: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """One perceptron written as a textbook would."""
    for layer in range(len(params) // 2):
        x = F.linear(x if layer == 0 else F.relu(x), params[f"{layer}.weight"][0], params[f"{layer}.bias"][0])
    return x


def single_cnn(params: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """One convolutional network written as a textbook would."""
    last = len(params) // 2 - 1
    for layer in range(last):
        x = F.max_pool2d(F.relu(F.conv2d(x, params[f"{layer}.weight"][0], params[f"{layer}.bias"][0], padding=1)), 2)
    return F.linear(x.flatten(1), params[f"{last}.weight"][0], params[f"{last}.bias"][0])


CASES = {
    "mlp": (MLP((6, 9, 7, 4)), single_mlp, (6,), 4),
    "cnn": (CNN((3, 4), image=(2, 8, 8), classes=3), single_cnn, (2, 8, 8), 3),
}


def examples(shape: tuple[int, ...], classes: int, count: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(count, *shape, generator=generator, dtype=F64)
    return x, torch.randint(classes, (count,), generator=generator)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("chunk", [4, 100])
def test_a_surface_is_what_a_loop_over_single_networks_gives(case: str, chunk: int) -> None:
    arch, single, shape, classes = CASES[case]
    params = arch.init([1], dtype=F64)
    x, y = examples(shape, classes)
    axes = random_plane(params, torch.Generator().manual_seed(2))
    found = exhaust(plane(arch, params, axes.first, axes.second, 0.8, 5, x, y, chunk))
    assert found.shape == (5, 5)
    for i, b in enumerate((-0.8, -0.4, 0.0, 0.4, 0.8)):
        for j, a in enumerate((-0.8, -0.4, 0.0, 0.4, 0.8)):
            one = copy.deepcopy(params)
            for name in one:
                one[name] += a * axes.first[name] + b * axes.second[name]
            assert float(found[i, j]) == pytest.approx(float(F.cross_entropy(single(one, x), y)), abs=1e-12)


def test_a_line_by_hand() -> None:
    arch = MLP((1, 2))
    params = {"0.weight": torch.zeros(1, 2, 1, dtype=F64), "0.bias": torch.zeros(1, 2, dtype=F64)}
    direction = {"0.weight": torch.tensor([[[1.0], [0.0]]], dtype=F64), "0.bias": torch.zeros(1, 2, dtype=F64)}
    x, y = torch.ones(1, 1, dtype=F64), torch.zeros(1, dtype=torch.int64)
    losses = exhaust(profile(arch, params, direction, 2.0, 5, x, y))
    expected = torch.log1p(torch.exp(-torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0], dtype=F64)))  # logits are (a, 0)
    torch.testing.assert_close(losses, expected, rtol=0, atol=1e-15)


def test_rows_follow_the_second_direction_and_axes_may_differ() -> None:
    arch, _, shape, classes = CASES["mlp"]
    params = arch.init([1], dtype=F64)
    x, y = examples(shape, classes)
    axes = random_plane(params, torch.Generator().manual_seed(2))
    axis_x, axis_y = torch.linspace(-1, 1, 3, dtype=F64), torch.linspace(0, 2, 4, dtype=F64)
    found = exhaust(grid(arch, params, axes.first, axes.second, axis_x, axis_y, x, y))
    assert found.shape == (4, 3)
    turned = exhaust(grid(arch, params, axes.second, axes.first, axis_y, axis_x, x, y))
    torch.testing.assert_close(found, turned.T, rtol=0, atol=1e-12)
    column = exhaust(profile(arch, params, axes.first, 1.0, 3, x, y))
    torch.testing.assert_close(found[0], column, rtol=0, atol=1e-12)


def test_an_interpolation_starts_at_one_network_and_ends_at_the_other() -> None:
    arch, single, shape, classes = CASES["mlp"]
    both = arch.init([1, 2], dtype=F64)
    start, end = ({name: t[k : k + 1] for name, t in both.items()} for k in (0, 1))
    x, y = examples(shape, classes)
    losses = exhaust(interpolation(arch, start, end, torch.tensor([0.0, 0.25, 1.0], dtype=F64), x, y))
    quarter = {name: 0.75 * start[name] + 0.25 * end[name] for name in start}
    for loss, network in zip(losses, (start, quarter, end), strict=True):
        assert float(loss) == pytest.approx(float(F.cross_entropy(single(network, x), y)), abs=1e-12)


@dataclass(frozen=True)
class Watched(MLP):
    """A perceptron that notes how many networks each forward pass held."""

    seen: ClassVar[list[int]] = []
    widths: tuple[int, ...] = field(default=(6, 4))

    def logits(self, params: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        self.seen.append(params["0.weight"].shape[0])
        return super().logits(params, x)


def test_points_are_computed_as_a_population_and_a_caller_can_stop() -> None:
    arch = Watched()
    Watched.seen.clear()
    params = arch.init([1], dtype=F64)
    x, y = examples((6,), 4)
    axes = random_plane(params, torch.Generator().manual_seed(2))
    steps = plane(arch, params, axes.first, axes.second, 1.0, 7, x, y, chunk=20)
    assert next(steps) == (20, 49)
    steps.close()
    assert Watched.seen == [20]
    Watched.seen.clear()
    assert list(plane(arch, params, axes.first, axes.second, 1.0, 7, x, y, chunk=20)) == [(20, 49), (40, 49), (49, 49)]
    assert Watched.seen == [20, 20, 9]


def test_the_network_itself_is_not_changed() -> None:
    arch, _, shape, classes = CASES["mlp"]
    params = arch.init([1], dtype=F64)
    before = copy.deepcopy(params)
    axes = random_plane(params, torch.Generator().manual_seed(2))
    exhaust(plane(arch, params, axes.first, axes.second, 1.0, 3, *examples(shape, classes)))
    assert all(torch.equal(params[name], before[name]) for name in params)


def test_an_odd_axis_has_an_exact_zero_in_its_middle() -> None:
    for size in (3, 41, 101):
        axis = symmetric_axis(0.7, size)
        assert axis[size // 2] == 0
        torch.testing.assert_close(axis[[0, -1]], torch.tensor([-0.7, 0.7], dtype=F64), rtol=1e-15, atol=0)
        assert torch.equal(axis, -axis.flip(0))


def test_refuses_what_cannot_be_drawn() -> None:
    arch = MLP((6, 4))
    params = arch.init([1], dtype=F64)
    x, y = examples((6,), 4)
    with pytest.raises(BadInput, match="size"):
        symmetric_axis(1.0, 1)
    with pytest.raises(BadInput, match="radius"):
        symmetric_axis(0.0, 5)
    with pytest.raises(BadInput, match="chunk"):
        exhaust(profile(arch, params, params, 1.0, 3, x, y, chunk=0))
    with pytest.raises(BadInput, match="one network"):
        exhaust(profile(arch, arch.init([1, 2], dtype=F64), params, 1.0, 3, x, y))
