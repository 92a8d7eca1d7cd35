"""DP-AdaFEST's cheap step against the dense one: every row noised, compared with the threshold, noised again."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from one_unit import drawn_rows, given_batch, law_of_coins, patterns, pooled, stub_plan
from scipy import stats

from labkit.embeddings.adaptive import AdaptiveRows
from labkit.embeddings.convention import deviations
from labkit.embeddings.mechanism import Method
from labkit.embeddings.noise import StepNoise
from labkit.embeddings.optim import Mover
from labkit.embeddings.survivors import expected_false, tail
from labkit.embeddings.tower import Tower
from labkit.embeddings.unit_gradients import UnitGradients
from labkit.errors import BadInput
from labkit.privacy import Plan
from labkit.privacy.events import dp_sgd

DIM, CLIP, BATCH = 2, 0.8, 4
UNITS = [[[0, 3]], [[0, 4]], [[1, 3]], [[0, 3]]]  # two columns, of 3 and of 5 rows
VOTES = np.array([3, 1, 0, 3, 1, 0, 0, 0]) / math.sqrt(2)


def mechanism(
    table, threshold, sigma=1.0, f=0.4, key=0, active=None, steps=1, batch_size=BATCH, **method
) -> AdaptiveRows:
    settled = Method(name="adafest", selection_fraction=f, threshold=threshold, **method)
    plan = stub_plan(sigma, CLIP, batch_size, steps)
    return AdaptiveRows(Mover(table, "sgd", 1.0), plan, settled, StepNoise(key, "cpu"), active)


def batch(table, ids=None, **rest) -> UnitGradients:
    tower = Tower(len((ids or UNITS)[0][0]), DIM, (), generator=torch.Generator().manual_seed(1))
    return given_batch(ids or UNITS, tower, table, CLIP, **rest)


def clipped_rows(found: UnitGradients, rows: int) -> np.ndarray:
    slots = (found.slots * found.factors[:, None, None]).flatten(0, 1)
    return torch.zeros(rows, DIM).index_add_(0, found.rows.view(-1), slots).numpy()


def dense_steps(votes, sums, threshold, sigma, f, times, seed) -> np.ndarray:
    """The procedure as the paper has it, on every row: what each step adds to the table, [times, D, dim]."""
    rng, (on_map, on_gradient) = np.random.default_rng(seed), deviations(sigma, f, 1.0, CLIP)
    noisy = votes + on_map * rng.standard_normal((times, len(votes)))
    kept = noisy >= threshold * on_map
    change = -(sums + on_gradient * rng.standard_normal((times, *sums.shape))) / BATCH
    return np.where(kept[:, :, None], change, 0)


def test_by_hand():
    # Weights 1, table 0: a logit of 0, an error of -.5, so -.5 in each slot and in the bias: norm 1, clipped to .5.
    ids = [[[0, 4, 7]], [[0, 5, 7]], [[1, 5, 8]]]
    tower = Tower(3, 1, (), generator=torch.Generator())
    tower.flat.data.copy_(torch.tensor([1.0, 1, 1, 0]))
    # Three rows are touched twice, the others once: 2 / sqrt(3) = 1.15 and .58 in L2, 2 / 3 and 1 / 3 in L1.
    twice = [0, 5, 7]
    cases = (("l2", 0.6, twice), ("l2", 1.1, twice), ("l2", 1.2, []), ("l1", 0.4, twice), ("l1", 0.7, []))
    for norm, limit, moved in cases:
        table = torch.zeros(9, 1)
        found = given_batch(ids, tower, table, 0.5)
        sigma = 1e-9  # the map's noise is 1e-9 / sqrt(.25): a threshold of so many of them stands at `limit`
        settled = Method(name="adafest", selection_fraction=0.25, threshold=limit / 2e-9, map_norm=norm)
        made = AdaptiveRows(Mover(table, "sgd", 1.0), stub_plan(sigma, 0.5), settled, StepNoise(0, "cpu"))
        made.update(found, torch.zeros(1, dtype=torch.int64), 0)
        # Two units each, a quarter of each gradient, a batch of four: 2 * .25 / 4 upwards.
        expected = [0.125 if row in moved else 0.0 for row in range(9)]
        assert table.flatten().tolist() == pytest.approx(expected, rel=2e-4)  # the clip's slack
        assert [row for row in range(9) if float(table[row])] == moved
        assert (int(made.survivors[0]), int(made.touched[0])) == (len(moved), 6)
    assert made.deviation == pytest.approx(1e-9 * 0.5 / math.sqrt(0.75))


@pytest.mark.parametrize("f", [0.05, 0.5, 0.9])
def test_map_and_gradient_together_are_one_event_of_the_plans_sigma(f):
    plan = Plan.noised(noise_multiplier=1.3, examples=100, batch_size=10, steps=5, clip_norm=CLIP)
    settled = Method(name="adafest", selection_fraction=f, threshold=1.0, map_clip=2.5)
    made = AdaptiveRows(Mover(torch.zeros(8, DIM), "sgd", 1.0), plan, settled, StepNoise(0, "cpu"))
    spent_on_map, spent_on_gradient = (2.5 / made.map_deviation) ** 2, (CLIP / made.deviation) ** 2
    assert spent_on_map + spent_on_gradient == pytest.approx(1.3**-2)
    assert spent_on_map * 1.3**2 == pytest.approx(f)
    assert made.limit == pytest.approx(made.map_deviation)  # a threshold of one deviation
    assert plan.event() == dp_sgd(0.1, 1.3, 5)


@pytest.mark.parametrize("threshold", [0.0, 1.8])
def test_every_set_of_survivors_is_as_likely_as_in_the_dense_step(threshold):
    # 256 sets against their exact law; untouched rows survive with 1/2 or 3.6 %. A correct program fails for 1 in 1,000
    # seeds, each.
    table, times, on_map = torch.zeros(8, DIM), 2400, deviations(1.0, 0.4, 1.0, CLIP)[0]
    moved, _ = drawn_rows(mechanism(table, threshold), batch(table), times, table)
    chances = stats.norm.sf(threshold - VOTES / on_map)
    assert chances[2] == pytest.approx(tail(threshold))
    observed, expected = pooled(patterns(moved), times * law_of_coins(chances))
    assert len(expected) > 20
    assert stats.chisquare(observed, expected).pvalue > 1e-3


@pytest.mark.parametrize("threshold", [0.0, 1.8])
def test_a_step_is_distributed_as_the_dense_step(threshold):
    # Two samples; sets of survivors by chi-square, what each row gets by Kolmogorov and Smirnov. A correct program
    # fails for 1 in 100 seeds, each.
    table, times = torch.randn(8, DIM, generator=torch.Generator().manual_seed(4)), 2000
    found = batch(table)
    moved, changes = drawn_rows(mechanism(table, threshold, key=1), found, times, table)
    dense = dense_steps(VOTES, clipped_rows(found, 8), threshold, 1.0, 0.4, times, 7)
    counts = np.stack([patterns(moved), patterns((dense != 0).any(2))])
    counts = np.stack([pooled(one, counts.sum(0) / 2)[0] for one in counts])
    assert counts.shape[1] > 20
    assert stats.chi2_contingency(counts).pvalue > 1e-3
    for row in range(8):
        for axis in range(DIM):
            one, other = (c[:, row, axis][c[:, row, axis] != 0] for c in (changes, dense))
            assert min(len(one), len(other)) > 30
            assert stats.ks_2samp(one, other).pvalue > 0.009 / 16


def test_touched_and_lone_survivors_have_the_gradients_noise():
    # A correct program fails for 4 in 1,000 seeds.
    table, times, on_gradient = torch.zeros(8, DIM), 1500, deviations(1.0, 0.4, 1.0, CLIP)[1]
    found = batch(table)
    moved, changes = drawn_rows(mechanism(table, 0.5, key=2), found, times, table)
    noise = (-changes * BATCH - clipped_rows(found, 8)) / on_gradient
    for row in (0, 6):  # one that three units touch, and one that none does
        values = noise[moved[:, row], row]
        assert len(values) > 400
        assert stats.kstest(values[:, 0], "norm").pvalue > 1e-3
        assert stats.pearsonr(values[:, 0], values[:, 1]).pvalue > 1e-3
    # No gradient without noise: nothing that is known exactly ever moves a row.
    assert (np.abs(noise[moved]) > 0).all()


def test_many_columns_with_unequal_vocabularies():
    # False survivors of each column: binomial, by chi-square; a correct program fails for 4 in 1,000 seeds.
    sizes, threshold, times = (3, 700, 40, 90), 1.5, 800
    start = np.concatenate([[0], np.cumsum(sizes)])
    rng = np.random.default_rng(0)
    ids = (start[:-1] + rng.integers(0, sizes, (6, 4)))[:, None].tolist()
    touched = {row for unit in ids for row in unit[0]}
    table = torch.zeros(int(start[-1]), DIM)
    moved, _ = drawn_rows(mechanism(table, threshold, key=3), batch(table, ids), times, table)
    for column, size in enumerate(sizes):
        rows = [row for row in range(start[column], start[column] + size) if row not in touched]
        found, law = moved[:, rows].sum(1), stats.binom(len(rows), tail(threshold))
        if not rows:
            continue
        cuts = np.unique(law.ppf(np.linspace(0.1, 0.9, 9)))
        observed = np.bincount(np.searchsorted(cuts, found), minlength=len(cuts) + 1)
        expected = times * np.diff([0.0, *law.cdf(cuts), 1.0])
        assert stats.chisquare(*pooled(observed, expected)).pvalue > 1e-3


@pytest.mark.parametrize("active", [None, [0, 1, 4, 6, 7]])
def test_where_nothing_or_everything_survives(active):
    rows = list(range(8)) if active is None else active
    chosen = None if active is None else torch.tensor(active)
    compact = None
    if active is not None:
        compact = torch.full((8,), -1)
        compact[chosen] = torch.arange(len(rows))
    for threshold, survive in ((60.0, []), (-60.0, rows)):
        table = torch.zeros(8, DIM)
        made = mechanism(table, threshold, active=chosen)
        moved, _ = drawn_rows(made, batch(table, compact=compact), 20, table)
        assert all(np.flatnonzero(one).tolist() == survive for one in moved)
        assert int(made.survivors[0]) == len(survive)


def test_inside_rows_chosen_beforehand():
    # DP-AdaFEST+: only they survive, and only they count in a unit's map. A correct program fails for 1 in 1,000 seeds.
    active, table, times = torch.tensor([0, 1, 4, 6]), torch.zeros(8, DIM), 1200
    compact = torch.full((8,), -1)
    compact[active] = torch.arange(4)
    found = batch(table, compact=compact)
    moved, _ = drawn_rows(mechanism(table, 1.0, active=active, key=4), found, times, table)
    assert not moved[:, [2, 3, 5, 7]].any()
    votes = np.array([1 + 1 / math.sqrt(2) + 1, 1, 1 / math.sqrt(2), 0])  # row 3 is gone from three of the units
    chances = stats.norm.sf(1.0 - votes / deviations(1.0, 0.4, 1.0, CLIP)[0])
    observed, expected = pooled(patterns(moved[:, active.numpy()]), times * law_of_coins(chances))
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_survivors_are_counted_as_expected():
    # The mean over 400 steps; a correct program fails for 1 in 10,000 seeds.
    table, threshold, steps = torch.zeros(2000, DIM), 2.0, 400
    made = mechanism(table, threshold, sigma=50.0, steps=steps)  # the examples' own votes hardly matter
    found = batch(table)
    for at in range(steps):
        made.update(found, torch.tensor([at]), at)
    assert (made.touched == 4).all()
    expected = expected_false(2000, 0, threshold)
    error = math.sqrt(expected / steps)
    assert abs(float(made.survivors.double().mean()) - expected) < stats.norm.isf(0.5e-4) * error + 0.1


def test_rows_that_do_not_survive_are_not_touched_at_all():
    table = torch.randn(5000, DIM, generator=torch.Generator().manual_seed(0))
    before = table.clone()
    made = mechanism(table, 2.5)
    made.update(batch(table), torch.zeros(1, dtype=torch.int64), 0)
    assert int((table != before).any(1).sum()) == int(made.survivors[0]) < 100


def test_key_and_step_alone_decide():
    def after(key: int, at: int) -> torch.Tensor:
        table = torch.zeros(50, DIM)
        mechanism(table, 1.0, key=key).update(batch(table), torch.zeros(1, dtype=torch.int64), at)
        return table

    assert torch.equal(after(5, 3), after(5, 3))
    assert not torch.equal(after(5, 3), after(5, 4))
    assert not torch.equal(after(5, 3), after(6, 3))


def test_bad_input_is_named():
    for f in (0.0, 1.0, -0.5, math.nan):
        with pytest.raises(BadInput, match="selection_fraction"):
            mechanism(torch.zeros(8, DIM), 1.0, f=f)
    with pytest.raises(BadInput, match="method"):
        mechanism(torch.zeros(8, DIM), 1.0, sigma=0.0)
