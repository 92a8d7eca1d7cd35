"""Directions: Gaussian, scaled filter by filter exactly once, biases at rest, exact support beside a mask."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import BadInput
from labkit.landscape import filter_normalise, gaussian_direction, random_direction, random_plane
from labkit.landscape.directions import dot

F64 = torch.float64


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(seed: int, shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    generator = seeded(seed)
    return {name: torch.randn(1, *shape, generator=generator, dtype=F64) for name, shape in shapes.items()}


SHAPES = {"0.weight": (40, 30), "0.bias": (40,), "1.weight": (8, 3, 3, 3), "1.bias": (8,), "2.scale": ()}


def filter_norms(tensor: torch.Tensor) -> np.ndarray:
    return np.sqrt((tensor[0].numpy().reshape(tensor.shape[1], -1) ** 2).sum(1))


def test_scaling_by_hand() -> None:
    params = {"w": torch.tensor([[[3.0, 4.0], [0.0, 0.0], [0.0, 2.0]]]), "b": torch.tensor([[7.0, 7.0, 7.0]])}
    direction = {"w": torch.tensor([[[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]]), "b": torch.tensor([[1.0, 2.0, 3.0]])}
    scaled = filter_normalise(direction, params)
    # The network's second filter is zero, the direction's third is: both stay zero, and nothing is divided by zero.
    assert scaled["w"].tolist() == [[[5.0, 0.0], [0.0, 0.0], [0.0, 0.0]]]
    assert scaled["b"].tolist() == [[0.0, 0.0, 0.0]]


def test_masked_scaling_by_hand() -> None:
    params = {"w": torch.tensor([[[3.0, 4.0, 100.0], [8.0, 100.0, 6.0], [9.0, 9.0, 9.0]]])}
    mask = {"w": torch.tensor([[[1, 1, 0], [1, 0, 1], [0, 0, 0]]])}
    direction = {"w": torch.ones(1, 3, 3)}
    inside = filter_normalise({"w": direction["w"] * mask["w"]}, params, mask)["w"]
    half = 0.5**0.5
    expected = torch.tensor([[[5 * half, 5 * half, 0.0], [10 * half, 0.0, 10 * half], [0.0, 0.0, 0.0]]])
    torch.testing.assert_close(inside, expected)
    outside = filter_normalise({"w": direction["w"] * (1 - mask["w"])}, params, mask)["w"]
    # Kept norms are 5 and 10; the filter that is removed whole takes their root mean square over its three weights.
    whole = (62.5 / 3) ** 0.5
    torch.testing.assert_close(outside, torch.tensor([[[0.0, 0.0, 5.0], [0.0, 10.0, 0.0], [whole, whole, whole]]]))


def test_the_draws_are_gaussian_and_a_uniform_direction_is_noticed() -> None:
    params = network(0, {"w": (100, 100)})
    drawn = gaussian_direction(params, seeded(1))["w"].flatten().numpy()
    assert scipy.stats.kstest(drawn, "norm").pvalue > 0.01
    uniform = (torch.rand(10_000, generator=seeded(1), dtype=F64).numpy() - 0.5) * 12**0.5  # same mean and variance
    assert scipy.stats.kstest(uniform, "norm").pvalue < 1e-6


def test_each_filter_has_the_norm_of_the_networks_own_and_one_dimensional_parameters_rest() -> None:
    params = network(2, SHAPES)
    direction = random_direction(params, seeded(3))
    for name in ("0.weight", "1.weight"):
        np.testing.assert_allclose(filter_norms(direction[name]), filter_norms(params[name]), rtol=1e-12)
        assert direction[name].shape == params[name].shape
    for name in ("0.bias", "1.bias", "2.scale"):
        assert not direction[name].any()


def test_normalising_twice_changes_nothing() -> None:
    params = network(2, SHAPES)
    once = random_direction(params, seeded(3))
    twice = filter_normalise(once, params)
    for name in once:
        torch.testing.assert_close(twice[name], once[name], rtol=1e-14, atol=0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 1), inside=st.booleans())
def test_support_and_norms_hold_for_any_mask(seed: int, share: float, inside: bool) -> None:
    params = network(seed, {"w": (6, 5), "c": (4, 2, 3, 3), "b": (6,)})
    generator = seeded(seed + 1)
    mask = {name: torch.rand(params[name].shape, generator=generator) < share for name in ("w", "c")}
    direction = random_direction(params, seeded(seed + 2), mask, inside)
    for name, kept in mask.items():
        moved = direction[name] != 0
        assert torch.isfinite(direction[name]).all()
        assert not moved[~kept if inside else kept].any()
        wanted = filter_norms(params[name] * kept)
        free = (kept if inside else ~kept)[0].flatten(1).any(1).numpy()
        living = kept[0].flatten(1).any(1).numpy()
        check = free & living
        np.testing.assert_allclose(filter_norms(direction[name])[check], wanted[check], rtol=1e-10)
        assert (filter_norms(direction[name])[~free] == 0).all()
    assert not direction["b"].any()


def test_inside_and_outside_are_two_pieces_of_one_gaussian() -> None:
    params = network(4, SHAPES)
    mask = {"0.weight": torch.rand(1, 40, 30, generator=seeded(5)) < 0.3}
    whole = gaussian_direction(params, seeded(6))
    inside = gaussian_direction(params, seeded(6), mask, inside=True)
    outside = gaussian_direction(params, seeded(6), mask, inside=False)
    for name in params:
        assert torch.equal(inside[name] + outside[name], whole[name])
    assert not outside["1.weight"].any()  # a parameter without a mask is kept whole: nothing of it lies outside


def test_a_seed_means_the_same_direction_in_every_dtype() -> None:
    params = network(7, SHAPES)
    single = {name: tensor.float() for name, tensor in params.items()}
    wide, narrow = random_direction(params, seeded(8)), random_direction(single, seeded(8))
    for name in params:
        torch.testing.assert_close(narrow[name].double(), wide[name], rtol=1e-5, atol=1e-6)
        assert narrow[name].dtype == torch.float32


def test_the_stated_cosine_is_measured_and_small_and_an_option_makes_it_zero() -> None:
    params = network(9, SHAPES)
    plane = random_plane(params, seeded(10))
    a, b = (np.concatenate([t.numpy().ravel() for t in d.values()]) for d in (plane.first, plane.second))
    assert plane.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-12)
    assert 0 < abs(plane.cosine) < 5 / (40 * 30 + 8 * 27) ** 0.5
    right = random_plane(params, seeded(10), orthogonal=True)
    assert abs(right.cosine) < 1e-14
    assert dot(right.second, right.second) == pytest.approx(dot(plane.second, plane.second), rel=1e-12)
    for name in ("0.weight", "1.weight"):
        assert torch.equal(right.first[name], plane.first[name])
        np.testing.assert_allclose(filter_norms(right.second[name]), filter_norms(params[name]), rtol=0.05)


def test_a_plane_without_a_coordinate_to_move_is_the_point_itself() -> None:
    plane = random_plane(network(0, {"w": (2, 2)}), seeded(), mask=None, inside=False, orthogonal=True)
    assert plane.cosine == 0.0
    assert not plane.first["w"].any()


def test_one_coordinate_has_no_orthogonal_second_direction() -> None:
    mask = {"w": torch.tensor([[[1, 0], [0, 0]]])}
    with pytest.raises(BadInput, match="single coordinate"):
        random_plane(network(0, {"w": (2, 2)}), seeded(), mask, orthogonal=True)


def test_refuses_several_networks_and_masks_of_another_shape() -> None:
    params = {"w": torch.zeros(2, 3, 3)}
    with pytest.raises(BadInput, match="one network"):
        gaussian_direction(params, seeded())
    with pytest.raises(BadInput, match="shape"):
        gaussian_direction(network(0, {"w": (2, 2)}), seeded(), {"w": torch.ones(1, 2, 3)})
