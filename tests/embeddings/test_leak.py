from __future__ import annotations

import math

import numpy as np
import pytest
from dp_accounting import get_epsilon_gaussian
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from labkit.embeddings.convention import deviations, l2_factor
from labkit.embeddings.leak import MECHANISMS, changed_probability, leak, observed_epsilon, signal
from labkit.errors import BadInput

DELTA = 1e-5


def eana_update(table: np.ndarray, touched: list[int], deviation: float, rng: np.random.Generator) -> np.ndarray:
    """What EANA would do: noise on the rows that the batch touched, and on no others. Not private."""
    moved = table.copy()
    moved[touched] += deviation * rng.standard_normal((len(touched), table.shape[1]))
    return moved


def adafest_rows(
    batch: list[list[int]], rows: int, threshold: float, sigma: float, f: float, rng: np.random.Generator
) -> np.ndarray:
    """The rows that one step changes, all of them noised, C1 = 1."""
    deviation = deviations(sigma, f, 1.0, 1.0)[0]
    noisy = deviation * rng.standard_normal(rows)
    for example in batch:
        noisy[example] += l2_factor(len(example), 1.0)
    return noisy >= threshold * deviation


def test_by_hand():
    setting = (2.0, 1.0, 0.25, 1.0, 4)  # the map's noise is 2, and each of four rows gets 1 / 2: a quarter of it
    assert signal(*setting[1:]) == 0.25
    assert changed_probability("adafest", 0, *setting) == pytest.approx(0.0227501319)
    assert changed_probability("adafest", 1, *setting) == pytest.approx(stats.norm.sf(1.75))
    for mechanism in ("dpsgd", "lazydp", "fest"):
        assert [changed_probability(mechanism, touched, *setting) for touched in (0, 1)] == [1, 1]
    for mechanism in ("fest", "adafest_plus"):
        assert [changed_probability(mechanism, touched, *setting, selected=False) for touched in (0, 1)] == [0, 0]
    assert [changed_probability("eana", touched, *setting) for touched in (0, 1)] == [0, 1]
    assert observed_epsilon(0.5, 0.1, 0.0) == pytest.approx(math.log(5))
    assert observed_epsilon(0.5, 0.1, 0.1) == pytest.approx(math.log(4))
    assert observed_epsilon(0.99, 0.9, 0.0) == pytest.approx(math.log(10))  # that it stayed says more
    assert observed_epsilon(0.1, 0.5, 0.0) == observed_epsilon(0.5, 0.1, 0.0)
    assert observed_epsilon(0.3, 0.3, 0.0) == observed_epsilon(1, 1, 0.0) == observed_epsilon(1e-6, 0, 1e-5) == 0
    assert observed_epsilon(0.1, 0.0, 1e-5) == math.inf


@pytest.mark.parametrize("deviation", [0.1, 1.0, 1000.0])
def test_noise_on_touched_rows_alone_betrays_them_however_much_it_is(deviation):
    rng, table = np.random.default_rng(0), np.zeros((30, 4))
    for _ in range(50):
        with_it, without = (eana_update(table, rows, deviation, rng) for rows in ([3, 4, 17], [3, 4]))
        assert (with_it != table).any(1)[17]
        assert not (without != table).any(1)[17]
    shown = leak("eana", 2.0, deviation, 0.5, 1.0, 3, DELTA)
    assert (shown.changed_untouched, shown.changed_touched) == (0, 1)
    assert shown.observed_epsilon == shown.step_epsilon == math.inf


@pytest.mark.parametrize("mechanism", ["dpsgd", "lazydp", "fest"])
def test_rows_that_always_change_or_never_show_nothing(mechanism):
    assert leak(mechanism, 2.0, 1.0, 0.5, 1.0, 3, DELTA).observed_epsilon == 0
    assert leak(mechanism, 2.0, 1.0, 0.5, 1.0, 3, DELTA, selected=False).observed_epsilon == 0


def test_adafest_against_the_dense_step():
    # A correct program fails for 1 in 1,000 seeds, each of the two.
    rng, setting = np.random.default_rng(2), (1.5, 0.4, 0.5)
    for touched, batch in ((0, [[1, 2]]), (1, [[1, 2], [7, 8]])):
        changed = sum(adafest_rows(batch, 10, *setting, rng)[7] for _ in range(4000))
        expected = changed_probability("adafest", touched, *setting, 1.0, 2)
        assert stats.binomtest(int(changed), 4000, expected).pvalue > 1e-3


@pytest.mark.parametrize("f", [0.01, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0])
def test_adafest_stays_below_what_its_step_costs(f, sigma):
    allowed = get_epsilon_gaussian(sigma, DELTA)
    for distinct in (1, 9):
        for threshold in np.linspace(-6, 9, 61):
            for mechanism in ("adafest", "adafest_plus"):
                shown = leak(mechanism, float(threshold), sigma, f, 1.0, distinct, DELTA)
                assert shown.observed_epsilon <= allowed
                assert shown.step_epsilon >= allowed * (1 - 1e-6)  # the plan's bound, from above


def test_the_worst_threshold_comes_to_the_maps_own_epsilon():
    # Half-lines are the best tests between two normal laws, so that the worst threshold attains the Gaussian's epsilon.
    for lift, delta in ((0.5, 1e-5), (1.0, 1e-3), (3.0, 1e-6)):
        sigma = 1 / lift * math.sqrt(0.5)  # f = .5, one row: the example lifts it by sqrt(f) / sigma
        assert signal(sigma, 0.5, 1.0, 1) == pytest.approx(lift)
        shown = (
            leak("adafest", float(threshold), sigma, 0.5, 1.0, 1, delta) for threshold in np.linspace(-12, 12, 2401)
        )
        worst = max(one.observed_epsilon for one in shown)
        assert worst == pytest.approx(get_epsilon_gaussian(1 / lift, delta), rel=1e-4)


@pytest.mark.parametrize("threshold", [-9.0, -4.0, 12.0])
def test_far_out_no_epsilon_is_lost_to_rounding(threshold):
    # With signal 5 at -4 deviations 1 - p rounds to 0, and epsilon would seem infinite.
    shown = leak("adafest", threshold, 0.1, 0.25, 1.0, 1, DELTA)
    assert shown.observed_epsilon < get_epsilon_gaussian(0.1, DELTA)


@settings(max_examples=100, deadline=None)
@given(
    p=st.floats(0, 1),
    q=st.floats(0, 1),
    delta=st.floats(0, 0.5),
)
def test_the_observed_epsilon_is_the_least(p, q, delta):
    def close(epsilon: float) -> bool:
        factor, slack = math.exp(epsilon), 1e-12
        return all(
            one <= factor * other + delta + slack for one, other in ((p, q), (q, p), (1 - p, 1 - q), (1 - q, 1 - p))
        )

    epsilon = observed_epsilon(p, q, delta)
    assert epsilon >= 0
    if epsilon < 300:
        assert close(epsilon)
    if 1e-3 < epsilon < 20:
        assert not close(epsilon * 0.99 - 1e-6)


def test_bad_input_is_named():
    with pytest.raises(BadInput, match="mechanism"):
        changed_probability("plain", 1, 0.0, 1.0, 0.5, 1.0, 1)
    with pytest.raises(BadInput, match="probability"):
        observed_epsilon(1.1, 0.5, 0.0)
    with pytest.raises(BadInput, match="delta"):
        observed_epsilon(0.5, 0.5, 1.0)
    with pytest.raises(BadInput, match="selection_fraction"):
        leak("adafest", 0.0, 1.0, 0.0, 1.0, 1, DELTA)
    assert len(set(MECHANISMS)) == 6
