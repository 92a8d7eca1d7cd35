"""The sampler is the guarantee's other half: is it Poisson, and independent across steps and members?

False alarms: each statistical test below fails a correct sampler with a probability of at most 1e-4; seeds are fixed.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from labkit.privacy.sampling import PADDING, PoissonSampler, padded_size

ALARM = 1e-4


def inclusions(draws, group: int, examples: int) -> np.ndarray:
    """Who was drawn when: 0/1 [steps, examples]."""
    found = np.zeros((len(draws.ends), examples), dtype=int)
    for step, (start, end) in enumerate(zip((0, *draws.ends[:-1]), draws.ends, strict=True)):
        rows = draws.rows[start:end, group].flatten().numpy()
        np.add.at(found[step], rows[rows != PADDING], 1)
    return found


def test_by_hand_everybody_and_nobody():
    all_in = PoissonSampler(5, 1.0, [1]).draw(2, padded=3)
    assert all_in.ends == (2, 4)  # five examples take two slots of three places
    assert all_in.rows[:, 0].tolist() == [[0, 1, 2], [3, 4, PADDING]] * 2
    nobody = PoissonSampler(5, 0.0, [1]).draw(3, padded=3)
    assert nobody.ends == (1, 2, 3)  # an empty draw is a step all the same
    assert (nobody.rows == PADDING).all()
    assert nobody.sizes().tolist() == [[0], [0], [0]]


def test_batch_sizes_are_binomial():
    examples, rate, steps = 300, 0.05, 4000
    sizes = PoissonSampler(examples, rate, [7]).draw(steps).sizes()[:, 0]
    edges = np.arange(8, 23)
    law = stats.binom(examples, rate)
    expected = steps * np.diff([0, *law.cdf(edges), 1])
    observed = np.histogram(sizes, [-1, *edges + 0.5, examples + 1])[0]
    assert stats.chisquare(observed, expected).pvalue > ALARM
    assert sizes.std() > 3  # batches of one size are no Poisson sample


def test_inclusions_are_independent_across_examples_steps_and_members():
    examples, rate, steps = 400, 0.1, 2000
    draws = PoissonSampler(examples, rate, [1, 2]).draw(steps)
    one, other = (inclusions(draws, group, examples) for group in (0, 1))
    assert one.max() == 1  # nobody twice in a batch

    def alike(a: np.ndarray, b: np.ndarray) -> float:
        """p-value of as many common inclusions as independent coins of this rate have."""
        both = int((a & b).sum())
        return stats.binomtest(both, a.size, rate**2).pvalue

    assert alike(one, other) > ALARM
    assert alike(one[1:], one[:-1]) > ALARM  # a batch used twice would show here
    assert alike(one[2:], one[:-2]) > ALARM
    assert alike(one[:, 1:], one[:, :-1]) > ALARM
    # every example is as likely as any other, at any place of the data set
    per_example = one.sum(0)
    assert stats.chisquare(per_example).pvalue > ALARM
    thirds = [one[:, i::3].sum() for i in range(3)]
    assert stats.chisquare(thirds, np.array([134, 133, 133]) / 400 * sum(thirds)).pvalue > ALARM


def test_a_batch_that_is_reused_would_be_seen():
    """The power of the test above: each batch twice."""
    one = inclusions(PoissonSampler(400, 0.1, [1]).draw(1000), 0, 400)
    reused = one.repeat(2, 0)
    both = int((reused[1:] & reused[:-1]).sum())
    assert stats.binomtest(both, reused[1:].size, 0.01).pvalue < 1e-12


@settings(max_examples=40, deadline=None)
@given(
    examples=st.integers(1, 60),
    rate=st.floats(0, 1),
    places=st.integers(1, 70),
    steps=st.integers(1, 12),
    keys=st.lists(st.integers(0, 2**127), min_size=1, max_size=3, unique=True),
)
def test_the_layout_changes_no_batch(examples, rate, places, steps, keys):
    sampler = PoissonSampler(examples, rate, keys)
    usual, other = sampler.draw(steps), sampler.draw(steps, places)
    for group in range(len(keys)):
        assert (inclusions(usual, group, examples) == inclusions(other, group, examples)).all()
    assert (usual.sizes() == other.sizes()).all()
    for start, end in zip((0, *other.ends[:-1]), other.ends, strict=True):
        most = (other.rows[start:end] >= 0).sum((0, 2)).max()
        assert end - start == max(1, -(-int(most) // places))  # no slot more than needed


def test_a_draw_depends_on_its_own_key_alone():
    alone = PoissonSampler(100, 0.2, [5]).draw(6)
    beside = PoissonSampler(100, 0.2, [9, 5]).draw(6)
    assert (inclusions(alone, 0, 100) == inclusions(beside, 1, 100)).all()
    assert (inclusions(beside, 0, 100) != inclusions(beside, 1, 100)).any()
    again = PoissonSampler(100, 0.2, [5]).draw(9)  # and a longer run begins alike
    assert (inclusions(again, 0, 100)[:6] == inclusions(alone, 0, 100)).all()


def test_slots_are_rarely_exceeded():
    places = padded_size(7000, 128 / 7000)
    assert 128 < places < 200
    assert stats.binom.sf(places, 7000, 128 / 7000) < 1e-4
    assert padded_size(10, 1.0) == 10


@pytest.mark.parametrize("steps", [0, 1])
def test_few_steps(steps):
    draws = PoissonSampler(10, 0.5, [1, 2]).draw(steps)
    assert draws.rows.shape[:2] == (steps, 2)
    assert len(draws.ends) == steps
