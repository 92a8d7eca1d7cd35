from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from labkit.errors import BadInput
from labkit.privacy import spent
from labkit.privacy.selection import choose, clipped_loss_sum, law, selection_event, utilities

BOUND = 4.0


def draws(u: torch.Tensor, epsilon: float, times: int, seed: int = 0) -> np.ndarray:
    generator = torch.Generator().manual_seed(seed)
    return np.bincount([choose(u, epsilon, BOUND, generator) for _ in range(times)], minlength=len(u))


def test_by_hand():
    losses = torch.tensor([[1.0, 5.0, -1.0], [math.nan, math.inf, 0.5]])
    assert utilities(losses, BOUND).tolist() == [-5.0, -8.5]  # 1 + 4 + 0, and 4 + 4 + .5
    # Utilities one bound apart differ by a factor of e^epsilon in probability.
    assert law(torch.tensor([0.0, -BOUND]), math.log(3), BOUND).tolist() == pytest.approx([0.75, 0.25])


def test_sums_of_batches_add_up():
    losses = torch.rand(3, 40, generator=torch.Generator().manual_seed(0)) * 6
    parts = sum(clipped_loss_sum(part, BOUND) for part in losses.split(7, dim=1))
    assert torch.allclose(-parts, utilities(losses, BOUND), rtol=0, atol=1e-12)
    assert parts.dtype == torch.float64


@pytest.mark.parametrize("epsilon", [0.3, 2.0])
def test_the_law_is_softmax(epsilon):
    # A correct program fails for 1 in 1,000 seeds, each.
    u = torch.tensor([-10.0, -12.0, -10.5, -30.0, -11.0])
    counts = draws(u, epsilon, 6000)
    expected = 6000 * torch.softmax(u.double() * epsilon / BOUND, 0).numpy()
    kept = expected >= 5
    assert kept[:3].all()
    observed, wanted = [[*x[kept], x[~kept].sum()] if (~kept).any() else x for x in (counts, expected)]
    assert stats.chisquare(observed, wanted).pvalue > 1e-3


@settings(max_examples=40, deadline=None)
@given(
    u=st.lists(st.floats(-200, 0), min_size=1, max_size=6),
    record=st.lists(st.floats(-3, 9), min_size=6, max_size=6),
    epsilon=st.floats(0.05, 5),
)
def test_a_record_changes_no_probability_by_more_than_epsilon(u, record, epsilon):
    without = torch.tensor(u, dtype=torch.float64)
    with_it = without + utilities(torch.tensor(record[: len(u)], dtype=torch.float64).unsqueeze(1), BOUND)
    ratio = (law(with_it, epsilon, BOUND).log() - law(without, epsilon, BOUND).log()).abs()
    assert float(ratio.max()) <= epsilon * (1 + 1e-9)


def test_the_worst_record_comes_close_to_epsilon_whatever_the_number_of_candidates():
    epsilon = 0.8
    for k in (2, 5, 10):
        u = torch.zeros(k, dtype=torch.float64)
        worst = 0.0
        for record in itertools.product([0.0, BOUND], repeat=min(k, 5)):
            losses = torch.tensor([*record, *[BOUND] * (k - len(record))], dtype=torch.float64)
            before, after = law(u, epsilon, BOUND), law(u - losses, epsilon, BOUND)
            worst = max(worst, float((after.log() - before.log()).abs().max()))
        assert worst <= epsilon + 1e-12
    far = torch.tensor([0.0, -400.0], dtype=torch.float64)  # one candidate has nearly all of the probability
    change = law(far - torch.tensor([0.0, BOUND]), epsilon, BOUND).log() - law(far, epsilon, BOUND).log()
    assert float(change.abs().max()) == pytest.approx(epsilon)


@settings(max_examples=60, deadline=None)
@given(
    u=st.lists(st.floats(-50, 0), min_size=2, max_size=5),
    losses=st.lists(st.floats(0, BOUND), min_size=5, max_size=5),
    epsilon=st.floats(0.1, 4),
    alpha=st.floats(1.01, 50),
)
def test_it_is_zero_concentrated_with_an_eighth_of_epsilon_squared(u, losses, epsilon, alpha):
    p = torch.tensor(u, dtype=torch.float64)
    q = p - torch.tensor(losses[: len(u)], dtype=torch.float64)
    log_p, log_q = law(p, epsilon, BOUND).log(), law(q, epsilon, BOUND).log()
    for a, b in ((log_p, log_q), (log_q, log_p)):
        divergence = float(torch.logsumexp(alpha * a + (1 - alpha) * b, 0)) / (alpha - 1)
        assert divergence <= alpha * epsilon**2 / 8 + 1e-9


def test_the_number_of_candidates_costs_no_epsilon_but_utility():
    assert spent(selection_event(0.5), 1e-5).epsilon == 0.5
    ahead = [law(torch.tensor([0.0] + [-40.0] * (k - 1)), 0.2, BOUND)[0].item() for k in (2, 10, 100)]
    assert ahead[0] > ahead[1] > ahead[2]


def test_the_generator_alone_decides():
    u = torch.zeros(50)
    first, again, other = (torch.Generator().manual_seed(s) for s in (1, 1, 2))
    one = [choose(u, 1.0, BOUND, first) for _ in range(20)]
    assert one == [choose(u, 1.0, BOUND, again) for _ in range(20)]
    assert one != [choose(u, 1.0, BOUND, other) for _ in range(20)]
    assert choose(torch.tensor([-3.0]), 1.0, BOUND, first) == 0
    assert choose(torch.tensor([-1e9, 0.0]), 1.0, BOUND, first) == 1


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf, math.nan])
def test_bad_input_is_named(bad):
    generator = torch.Generator()
    with pytest.raises(BadInput, match="epsilon"):
        choose(torch.zeros(3), bad, BOUND, generator)
    with pytest.raises(BadInput, match="epsilon"):
        selection_event(bad)
    with pytest.raises(BadInput, match="bound"):
        choose(torch.zeros(3), 1.0, bad, generator)
    with pytest.raises(BadInput, match="bound"):
        utilities(torch.zeros(3, 2), bad)
    for u in (torch.zeros(0), torch.zeros(2, 2), torch.tensor([0.0, math.nan])):
        with pytest.raises(BadInput, match="utilities"):
            choose(u, 1.0, BOUND, generator)
