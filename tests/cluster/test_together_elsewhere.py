"""An experiment that runs many replicates as one program, on seats of a pool."""

from __future__ import annotations

import pytest
from inline_pool import InlinePool
from interleaved_experiment import TOGETHER
from kept import numbers

from labkit.cluster.sweep import Sweep


@pytest.mark.parametrize("seconds", [0, 100])
@pytest.mark.parametrize(("size", "answers"), [(1, []), (2, []), (4, []), (3, [3, 3, 2]), (2, [2])])
def test_replicates_of_one_program_keep_their_own_events(store, asked, alone, size, answers, seconds):
    """Divided by seeds or not, and whoever dies: what each of them would have said alone."""
    one = Sweep(TOGETHER, asked, store, InlinePool(size, answers, seconds=seconds), home="interleaved_experiment")
    list(one.run())
    assert one.lost == len(answers)
    assert numbers(store) == alone
