"""What a unit adds to the contribution map: one for each row it touches, clipped to C1."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from one_unit import given_batch

from labkit.embeddings.adaptive import contributions
from labkit.embeddings.convention import l1_factor, l2_factor
from labkit.embeddings.tower import Tower

DIM, CLIP = 2, 0.8


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("map_clip", [0.5, 1.0, 1.5, 9.0])
def test_contributions_one_unit_at_a_time(norm, map_clip):
    ids = [[[0, 0, 0], [-1, -1, -1]], [[0, 1, 2], [2, 1, 5]], [[7, -1, -1], [7, 7, 3]]]
    tower = Tower(3, DIM, (), bag=True, generator=torch.Generator().manual_seed(1))
    found = given_batch(ids, tower, torch.zeros(8, DIM), CLIP)
    parts = contributions(found, map_clip, norm)
    factor = {"l2": l2_factor, "l1": l1_factor}[norm]
    for unit, part in zip(ids, parts, strict=True):
        slots = [row for example in unit for row in example]
        rows = set(slots) - {-1}
        expected = [
            factor(len(rows), map_clip) if row >= 0 and row not in slots[:at] else 0.0 for at, row in enumerate(slots)
        ]
        assert part.tolist() == pytest.approx(expected, rel=1e-5)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    slots=st.integers(1, 9),
    map_clip=st.floats(0.01, 5),
    norm=st.sampled_from(["l2", "l1"]),
)
def test_no_unit_adds_more_to_the_map_than_the_noise_supposes(seed, slots, map_clip, norm):
    ids = torch.randint(-1, 6, (5, 2, slots), generator=torch.Generator().manual_seed(seed))
    ids[..., 0].clamp_(min=0)
    tower = Tower(slots, DIM, (), bag=True, generator=torch.Generator().manual_seed(1))
    found = given_batch(ids.tolist(), tower, torch.zeros(6, DIM), CLIP)
    for unit in range(5):
        row_sums = torch.zeros(6).index_add_(0, found.rows[unit], contributions(found, map_clip, norm)[unit])
        assert float(row_sums.double().norm()) <= map_clip
