from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from labkit.stats import holm, judge_family, verdict

M = 0.01


def test_holm_by_hand():
    # Sorted: .01 x 4, .02 x 3, .03 x 2, .04 x 1, and no value below one before it.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@settings(max_examples=25, deadline=None)
@given(p_values=st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_against_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


@pytest.mark.parametrize("p_values", [[1.2], [-0.1], [math.nan]])
def test_no_p_values(p_values):
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm(p_values)


def run(seed: int, mean: float, sd: float = 0.02, n: int = 10) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, sd, n)


def test_a_family_of_one_is_a_verdict():
    values = run(0, 0.02)
    alone, judged = verdict(values, M), judge_family({"only": values}, M)["only"]
    assert (judged.word, judged.p_value, judged.low) == (alone.word, alone.p_value, alone.low)


def test_one_lucky_cell_among_many_is_not_enough():
    lucky = np.array([0.05, 0.01, 0.04, 0.0, 0.05, -0.01, 0.04, 0.02, 0.03, -0.02])
    alone = verdict(lucky, M)
    assert alone.word == "better"
    cells = {"lucky": lucky} | {f"cell {i}": run(i, 0, 0.1) for i in range(20)}
    judged = judge_family(cells, M)
    assert judged["lucky"].word == "undecided"
    assert judged["lucky"].p_value == pytest.approx(min(1, 21 * alone.p_value))
    assert "(Holm)" in judged["lucky"].text
    assert list(judged) == list(cells)


def test_a_true_effect_survives():
    cells = {"true": run(1, 0.2)} | {f"cell {i}": run(i, 0, 0.1) for i in range(20)}
    assert judge_family(cells, M)["true"].word == "better"


def test_holm_also_holds_back_better_by_less_than_m():
    slight = run(0, 0.003, 0.004)
    assert verdict(slight, M).word == "better by less than m"
    cells = {"slight": slight} | {f"cell {i}": run(i, 0, 0.1) for i in range(40)}
    assert judge_family(cells, M)["slight"].word == "no difference"


def test_cells_still_empty_count():
    values = run(0, 0.02, 0.02)
    alone = judge_family({"done": values}, M)["done"]
    among = judge_family({"done": values, "running": [], "begun": [0.1] * 4}, M)
    assert among["done"].p_value == pytest.approx(3 * alone.p_value)
    assert among["running"].word == among["begun"].word == "undecided"


def test_looks_and_direction_are_passed_on():
    judged = judge_family({"a": run(0, -0.2, n=7), "b": run(0, -0.2)}, M, looks=4, higher_is_better=False)
    assert judged["a"].word == "undecided"
    assert judged["b"].word == "better"


def test_the_error_of_the_whole_family_is_kept():
    # 400 families of 10 cells without any difference: at most 5 % may call one; 3.29 standard errors allowed.
    # Without Holm 1 - 0.95^10 = 40 % would.
    random = np.random.default_rng(0)
    called = unadjusted = 0
    for _ in range(400):
        cells = {str(i): random.normal(0, 1, 5) for i in range(10)}
        called += any(judged.word in ("better", "worse") for judged in judge_family(cells, 1e-9).values())
        unadjusted += any(verdict(values, 1e-9).word in ("better", "worse") for values in cells.values())
    assert called / 400 < 0.05 + 3.29 * math.sqrt(0.05 * 0.95 / 400)
    assert unadjusted / 400 > 0.3
