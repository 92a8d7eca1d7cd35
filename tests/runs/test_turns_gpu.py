"""Two processes on one card, each of which needs more than half of its memory."""

from __future__ import annotations

from itertools import pairwise

import pytest
from killable import processes
from queueing import fill_a_card, run_all

from labkit.runs import Store


@pytest.mark.gpu
def test_they_take_turns_instead_of_dying_of_memory(tmp_path):
    run_all([processes().Process(target=fill_a_card, args=(tmp_path, place, 0.6)) for place in (1, 2)], seconds=120.0)
    said = (tmp_path / "log").read_text().split()
    assert len(said) == 12
    assert all(ends == begins.replace("+", "-") for begins, ends in zip(said[::2], said[1::2], strict=True))
    assert all(before != after for before, after in pairwise(said[::2]))  # piece by piece
    for place in (1, 2):
        with Store(tmp_path / str(place)) as store:
            assert [row["status"] for row in store.replicates()] == ["finished"] * 3
    assert len(list(tmp_path.glob("labkit-turns-*"))) == 1
    assert list(tmp_path.glob("labkit-turns-*/*")) == []
