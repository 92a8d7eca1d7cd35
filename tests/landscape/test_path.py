"""The path's plane: numpy's singular vectors, a straight line on one component, coordinates that mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import BadInput
from labkit.landscape import path_axes, project
from labkit.landscape.directions import dot

F64 = torch.float64


def snapshots(rows: np.ndarray) -> list[dict[str, torch.Tensor]]:
    """Rows [T, 7] as networks of one 2 x 3 weight and one bias."""
    made = torch.as_tensor(rows, dtype=F64)
    return [{"w": row[:6].reshape(1, 2, 3), "b": row[6:].reshape(1, 1)} for row in made]


def flat(direction: dict[str, torch.Tensor]) -> np.ndarray:
    return np.concatenate([direction["w"].numpy().ravel(), direction["b"].numpy().ravel()])


def test_a_straight_path_lies_on_the_first_component() -> None:
    start, end = np.arange(7.0), np.ones(7)
    shares = np.array([0.0, 0.5, 0.75, 1.0])[:, None]
    path = project(snapshots((1 - shares) * start + shares * end))
    assert path.explained.tolist() == pytest.approx([1.0, 0.0], abs=1e-12)
    distance = np.linalg.norm(start - end)
    np.testing.assert_allclose(path.coordinates[:, 0], distance * (1 - shares[:, 0]), atol=1e-12)
    np.testing.assert_allclose(path.coordinates[:, 1], 0, atol=1e-12)
    np.testing.assert_allclose(flat(path.first), (start - end) / distance, atol=1e-12)


def test_a_right_angle_by_hand() -> None:
    rows = np.zeros((3, 7))
    rows[0, 0], rows[1, 6] = 3.0, -4.0  # from 3 on one axis over -4 on another to the origin
    path = project(snapshots(rows))
    assert path.explained.tolist() == pytest.approx([16 / 25, 9 / 25])
    np.testing.assert_allclose(path.coordinates, [[0, 3], [4, 0], [0, 0]], atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 12))
def test_agrees_with_numpy(seed: int, count: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(count, 7)).cumsum(0)
    path = project(snapshots(rows))
    differences = rows - rows[-1]
    _, sizes, axes = np.linalg.svd(differences, full_matrices=False)
    np.testing.assert_allclose(path.explained, sizes[:2] ** 2 / (sizes**2).sum(), atol=1e-12)
    np.testing.assert_allclose(np.abs(path.coordinates.numpy()), np.abs(differences @ axes[:2].T), atol=1e-9)
    directions = np.stack([flat(path.first), flat(path.second)])
    np.testing.assert_allclose(directions @ directions.T, np.eye(2), atol=1e-10)
    np.testing.assert_allclose(differences @ directions.T, path.coordinates.numpy(), atol=1e-9)
    assert (path.coordinates.amax(0) >= -path.coordinates.amin(0)).all()
    assert path.coordinates[-1].tolist() == [0.0, 0.0]


def test_directions_keep_the_networks_shapes_and_dtype() -> None:
    rows = [{name: t.float() for name, t in s.items()} for s in snapshots(np.random.default_rng(0).normal(size=(4, 7)))]
    path = project(rows)
    assert path.first["w"].shape == (1, 2, 3)
    assert path.first["b"].dtype == torch.float32
    assert dot(path.first, path.second) == pytest.approx(0, abs=1e-6)


def test_a_path_that_never_moves_explains_nothing() -> None:
    path = project(snapshots(np.ones((3, 7))))
    assert path.explained.tolist() == [0.0, 0.0]
    assert not path.coordinates.any()


def test_axes_hold_the_whole_path_and_never_collapse() -> None:
    coordinates = torch.tensor([[4.0, 0.0], [2.0, 0.0], [0.0, 0.0]], dtype=F64)
    axis_x, axis_y = path_axes(coordinates, 11, margin=0.25)
    assert (float(axis_x[0]), float(axis_x[-1])) == pytest.approx((-1.0, 5.0))
    assert (float(axis_y[0]), float(axis_y[-1])) == pytest.approx((-0.6, 0.6))
    axis_x, axis_y = path_axes(torch.zeros(3, 2, dtype=F64), 5)
    assert float(axis_x[-1]) > float(axis_x[0])


def test_refuses_a_path_without_a_step() -> None:
    with pytest.raises(BadInput, match="at least 2"):
        project(snapshots(np.ones((1, 7))))
    with pytest.raises(BadInput, match="at least 2 weights"):
        project([{"w": torch.ones(1, 1, 1)}] * 3)
