"""Gradients kept apart by unit: norms over rows and layers together, and no tensor of the size of the vocabulary."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from one_unit import TABLE, clipped_sum, distinct_rows, norm, unit_gradient, weights
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from labkit.embeddings.rows import RowMap
from labkit.embeddings.tower import Tower
from labkit.embeddings.unit_gradients import UnitGradients, unit_gradients

SLOTS, DIM, ROWS, UNITS = 3, 2, 10, 7
CASES = [
    {"hidden": (5,)},
    {"hidden": (5,), "bag": True},
    {"hidden": (5,), "bag": True, "base": 4},
]


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation returns."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, tuple | list) else [result]:
            if isinstance(one, Tensor):
                self.numbers = max(self.numbers, one.numel())
        return result


def made(case: dict, per_unit: int, seed: int = 0, scale: float = 1.0):
    """A tower, a table, units of which some repeat rows and one place is empty, labels and frozen vectors."""
    generator = torch.Generator().manual_seed(seed)
    tower = Tower(SLOTS, DIM, generator=generator, **case)
    table, vectors = torch.randn(ROWS, DIM, generator=generator) * scale, torch.randn(ROWS, 4, generator=generator)
    ids = torch.randint(-1, ROWS, (UNITS, per_unit, SLOTS), generator=generator)
    ids[:, :, 0].clamp_(min=0)
    ids[0, 0] = ids[0, 0, 0]  # one row in all slots
    if per_unit > 1:
        ids[1, -1] = -1
    labels = torch.randint(0, 2, (UNITS, per_unit), generator=generator)
    return tower, table, ids, labels, vectors if case.get("base") else None


def found_in(
    tower, table, ids, labels, vectors, clip, active=None, weight=None, distinct=False
) -> tuple[UnitGradients, dict[str, Tensor]]:
    out = {name: torch.zeros_like(t) for name, t in tower.params.items()}
    compact = None
    if active is not None:
        compact = torch.full((len(table),), -1)
        compact[active] = torch.arange(len(active))
    weight = torch.ones(len(ids)) if weight is None else weight
    found = unit_gradients(
        tower, table, ids, labels.float(), weight, clip=torch.tensor([clip]), out=out, compact=compact,
        vectors=vectors, distinct=distinct,
    )  # fmt: skip
    return found, out


def rows_sum(found: UnitGradients, rows: int) -> Tensor:
    """The clipped sum over units, for every row."""
    slots = (found.slots * found.factors[:, None, None]).masked_fill(found.factors[:, None, None] == 0, 0)
    return torch.zeros(rows, slots.shape[2]).index_add_(0, found.rows.view(-1), slots.flatten(0, 1))


def test_a_row_used_twice_counts_once_with_its_sum():
    # A bag's mean of two equal slots is the row itself: logit = row, gradient = error * weight 1 = sigmoid(0) - 1.
    tower = Tower(2, 1, (), bag=True, generator=torch.Generator())
    tower.flat.data.copy_(torch.tensor([1.0, 0.0]))
    table = torch.zeros(4, 1)
    ids = torch.tensor([[[3, 3]], [[1, 2]]])
    found, out = found_in(tower, table, ids, torch.ones(2, 1), None, math.inf)
    assert found.first.tolist() == [[True, False], [True, True]]
    assert rows_sum(found, 4).flatten().tolist() == [0.0, -0.25, -0.25, -0.5]
    # Norms: the rows' part is .5^2 in one row, or .25^2 in each of two; the layer's is 0 for the weight, .5^2 for bias.
    assert found.norms.tolist() == pytest.approx([math.sqrt(0.25 + 0.25), math.sqrt(0.125 + 0.25)])
    assert out["0.bias"].tolist() == [-1.0]
    clipped, _ = found_in(tower, table, ids, torch.ones(2, 1), None, 0.5)
    assert clipped.factors.tolist() == pytest.approx([0.5 / math.sqrt(0.5), 0.5 / math.sqrt(0.375)], rel=2e-4)
    assert (int(clipped.clipped), int(clipped.dropped)) == (2, 0)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("per_unit", [1, 3])
@pytest.mark.parametrize("active", [None, [0, 2, 3, 7]])
@pytest.mark.parametrize("clipped", [3, 0])
def test_one_unit_at_a_time_in_float64(case, per_unit, active, clipped):
    tower, table, ids, labels, vectors = made(case, per_unit)
    active = active if active is None else torch.tensor(active)
    given_weights = weights(tower, table)
    single = [
        unit_gradient(tower, given_weights, one, label, active=active, vectors=vectors)
        for one, label in zip(ids, labels, strict=True)
    ]
    norms = [0.0, *sorted(norm(one) for one in single), 1e6]
    clip = (norms[UNITS - clipped] + norms[UNITS - clipped + 1]) / 2
    found, out = found_in(tower, table, ids, labels, vectors, clip, active)
    expected = clipped_sum(single, given_weights, clip)
    assert found.norms.tolist() == pytest.approx([norm(one) for one in single], rel=1e-4)
    assert int(found.clipped) == clipped
    rows = torch.arange(ROWS) if active is None else active
    # A unit that is clipped stays below the clip norm by up to 1,024 rounding units, 1.2e-4 of it.
    near = {"rtol": 0, "atol": 1e-5 + 1.3e-4 * clip * clipped}
    assert torch.allclose(rows_sum(found, len(rows)).double(), expected[TABLE][rows], **near)
    assert all(torch.allclose(out[name].double(), expected[name], **near) for name in out)
    for unit in range(UNITS):
        kept = rows[found.rows[unit][found.first[unit]]].tolist()
        assert kept == distinct_rows(ids[unit], active)


def test_columns_need_no_look_for_repeats():
    tower, table, ids, labels, vectors = made(CASES[0], 1)
    ids = torch.stack([torch.randperm(ROWS, generator=torch.Generator().manual_seed(s))[:SLOTS] for s in range(UNITS)])
    ids = ids[:, None]
    slow, fast = (found_in(tower, table, ids, labels, vectors, 0.4, distinct=d)[0] for d in (False, True))
    assert torch.equal(slow.first, fast.first)
    assert torch.allclose(slow.norms, fast.norms, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    case=st.sampled_from(CASES),
    per_unit=st.sampled_from([1, 2]),
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    clip=st.floats(1e-3, 5),
)
def test_no_unit_contributes_more_than_the_clip_norm(case, per_unit, seed, scale, clip):
    tower, table, ids, labels, vectors = made(case, per_unit, seed, scale)
    for unit in range(UNITS):
        found, out = found_in(tower, table, ids[unit : unit + 1], labels[unit : unit + 1], vectors, clip)
        square = rows_sum(found, ROWS).double().square().sum() + sum(t.double().square().sum() for t in out.values())
        assert math.sqrt(square) <= clip * (1 + 1e-6)


def test_a_unit_without_a_finite_norm_counts_as_zero():
    tower, table, ids, labels, _ = made(CASES[0], 1)
    ids[2] = torch.tensor([[4, 5, 6]])
    ids[[0, 1, 3, 4, 5, 6]] = ids[[0, 1, 3, 4, 5, 6]].masked_fill(ids[[0, 1, 3, 4, 5, 6]] == 5, 0)
    clean, clean_out = found_in(tower, table, ids, labels, None, 1.0, weight=torch.tensor([1.0, 1, 0, 1, 1, 1, 1]))
    table[5] = math.nan
    dirty, dirty_out = found_in(tower, table, ids, labels, None, 1.0)
    assert int(dirty.dropped) == 1
    assert float(dirty.factors[2]) == 0
    assert torch.equal(rows_sum(clean, ROWS), rows_sum(dirty, ROWS))
    assert all(torch.allclose(clean_out[name], dirty_out[name]) for name in clean_out)


def test_padding_contributes_nothing_at_all():
    tower, table, ids, labels, vectors = made(CASES[1], 2)
    weight = torch.tensor([1.0, 0, 1, 0, 0, 1, 0])
    some, some_out = found_in(tower, table, ids, labels, vectors, 0.7, weight=weight)
    kept, kept_out = found_in(tower, table, ids[weight > 0], labels[weight > 0], vectors, 0.7)
    assert torch.allclose(rows_sum(some, ROWS), rows_sum(kept, ROWS), atol=1e-7)
    assert all(torch.allclose(some_out[name], kept_out[name], atol=1e-6) for name in some_out)
    assert not some.first[weight == 0].any()
    assert not some.real[weight == 0].any()


def test_nothing_has_the_size_of_the_vocabulary():
    rows = 1 << 20
    tower, _, ids, labels, _ = made(CASES[1], 3)
    table = torch.zeros(rows, DIM)
    ids = torch.where(ids >= 0, ids + rows - ROWS, ids)
    with Largest() as seen:
        found, _ = found_in(tower, table, ids, labels, None, 1.0)
    assert 0 < seen.numbers < 10_000
    assert int(found.rows.max()) >= rows - ROWS


@settings(max_examples=60, deadline=None)
@given(slots=st.integers(1, 40), rows=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_every_slot_finds_the_first_slot_of_its_row(slots, rows, seed):
    rng = np.random.default_rng(seed)
    row_map = RowMap(rows, "cpu")
    for _ in range(2):  # a released map is as good as new
        ids, real = rng.integers(0, rows, slots), rng.random(slots) < 0.7
        owner = row_map.claim(torch.from_numpy(ids), torch.from_numpy(real)).numpy()
        for slot in np.flatnonzero(real):
            assert owner[slot] == np.flatnonzero(real & (ids == ids[slot]))[0]
        held = row_map.holds(torch.arange(rows)).numpy()
        assert held.tolist() == [row in set(ids[real]) for row in range(rows)]
        row_map.release(torch.from_numpy(ids))
        assert not row_map.holds(torch.arange(rows)).any()
