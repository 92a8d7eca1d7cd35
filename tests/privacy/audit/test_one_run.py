from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from labkit.errors import BadInput
from labkit.privacy.audit.bounds import epsilon_of_mu
from labkit.privacy.audit.one_run import best_guesses, one_run_lower, p_value, right_guesses

DELTA = 1e-5
CANARIES = 1000
NORMAL = special.ndtri((np.arange(20_000) + 0.5) / 20_000)  # as if drawn


def test_by_hand():
    # Three of three coins right. Epsilon 0: 1/8. Epsilon ln 3: each guess is right with probability 3/4, (3/4)^3.
    assert p_value(3, 3, 3, 0.0, 0.0) == pytest.approx(1 / 8)
    assert p_value(3, 3, 3, math.log(3), 0.0) == pytest.approx(27 / 64)
    # delta .01 at epsilon 0 adds 2 * 3 * .01 times the largest of 3/8, (3+3)/8/2, (3+3+1)/8/3: 3/8.
    assert p_value(3, 3, 3, 0.0, 0.01) == pytest.approx(1 / 8 + 0.06 * 3 / 8)
    # The epsilon at which (e^eps / (1 + e^eps))^10 = .05.
    share = 0.05**0.1
    assert one_run_lower(10, 10, 10, 0.0, 0.95) == pytest.approx(math.log(share / (1 - share)), abs=1e-6)


def test_guesses_by_hand():
    scores, included = [0.1, 0.9, 0.5, -1.0, 0.4], [False, True, False, True, True]
    assert right_guesses(scores, included, highest=1, lowest=1) == 1  # row 1 is in, row 3 is in and guessed out
    assert right_guesses(scores, included, highest=2, lowest=2) == 2  # row 2 is out and guessed in, row 0 is out
    assert right_guesses(scores, included, highest=1, lowest=0) == 1
    assert right_guesses(scores, included, highest=0, lowest=5) == 2


@settings(max_examples=30, deadline=None)
@given(
    guesses=st.integers(1, 60), share=st.floats(0, 1), epsilon=st.floats(0, 5), delta=st.sampled_from([0.0, 1e-5, 0.01])
)
def test_p_value_against_a_loop(guesses, share, epsilon, delta):
    right, canaries = round(share * guesses), guesses + 10
    rate = special.expit(epsilon)

    def at_least(v: int) -> float:
        return sum(stats.binom.pmf(k, guesses, rate) for k in range(max(v, 0), guesses + 1))

    gain = max((at_least(right - i) - at_least(right)) / i for i in range(1, canaries + 1))
    expected = min(1.0, at_least(right) + 2 * canaries * delta * gain)
    assert p_value(right, guesses, canaries, epsilon, delta) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("mu", "least"), [(0.5, 0.15), (1.0, 0.3), (2.0, 0.28), (4.0, 0.2)])
def test_a_gaussian_in_one_run_reaches_the_stated_share(mu, least):
    # Steinke et al. audit at 95 %; stated: 20 to 47 % of the truth at 1,000 canaries. The mean of 20 runs; its standard
    # error is below .02.
    truth = epsilon_of_mu(mu, DELTA)
    guesses, expected = best_guesses(CANARIES, mu + NORMAL, NORMAL, DELTA, 0.95)
    shares = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        included = random.random(CANARIES) < 0.5
        right = right_guesses(random.normal(mu * included), included, guesses, guesses)
        shares.append(one_run_lower(right, 2 * guesses, CANARIES, DELTA, 0.95) / truth)
    assert least < np.mean(shares) < 0.47
    assert np.mean(shares) == pytest.approx(expected / truth, abs=0.05)


def test_it_is_valid_where_it_is_tight():
    # Randomised response with delta 0 is what the theorem cannot better. At 90 % confidence at most 10 % of 1,000 runs
    # exceed epsilon; more than 13.1 % do for 1 in 1,000 seeds of a correct program, fewer than 5 % for still fewer.
    epsilon, canaries, exceeded = 1.0, 400, 0
    for seed in range(1000):
        random = np.random.default_rng(seed)
        included = random.random(canaries) < 0.5
        kept = random.random(canaries) < special.expit(epsilon)
        answers = np.where(kept, included, ~included) + 1e-6 * random.random(canaries)
        ones = round(canaries * 0.4)  # fewer than there are answers of each kind
        right = right_guesses(answers, included, ones, ones)
        exceeded += p_value(right, 2 * ones, canaries, epsilon, 0.0) < 0.1
    assert 0.05 < exceeded / 1000 < 0.1 + 3.1 * math.sqrt(0.1 * 0.9 / 1000)


@settings(max_examples=30, deadline=None)
@given(guesses=st.integers(1, 200), share=st.floats(0, 1), confidence=st.floats(0.5, 0.9999))
def test_bounds_grow_with_right_guesses_and_fall_with_delta(guesses, share, confidence):
    right = round(share * guesses)
    bound = one_run_lower(right, guesses, 500, 0.0, confidence)
    assert 0 <= bound < 60
    assert one_run_lower(right, guesses, 500, 1e-4, confidence) <= bound + 1e-6
    if right < guesses:
        assert one_run_lower(right + 1, guesses, 500, 0.0, confidence) >= bound - 1e-6
    if bound > 1e-6:
        assert p_value(right, guesses, 500, bound, 0.0) <= 1 - confidence


def test_guesses_stay_within_the_canaries():
    assert best_guesses(2, 1 + NORMAL, NORMAL, DELTA, 0.95)[0] == 1
    assert best_guesses(100, 30 + NORMAL, NORMAL, 0.0, 0.95)[0] == 50  # nothing is in doubt: all are guessed


@pytest.mark.parametrize(
    ("make", "parameter"),
    [
        (lambda: p_value(1, 0, 10, 1.0, 0.0), "guesses"),
        (lambda: p_value(1, 11, 10, 1.0, 0.0), "guesses"),
        (lambda: p_value(5, 4, 10, 1.0, 0.0), "right"),
        (lambda: p_value(1, 2, 10, math.nan, 0.0), "epsilon"),
        (lambda: p_value(1, 2, 10, 1.0, 2.0), "delta"),
        (lambda: one_run_lower(1, 2, 10, 0.0, 1.0), "confidence"),
        (lambda: right_guesses([1.0, math.nan], [True, False], 1, 1), "scores"),
        (lambda: right_guesses([1.0, 2.0], [True, False], 2, 1), "guesses"),
    ],
)
def test_what_is_no_guess(make, parameter):
    with pytest.raises(BadInput, match=parameter):
        make()
