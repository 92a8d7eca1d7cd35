"""A stream: each month has batches and a plan of its own, and what an example costs is its own month's epsilon."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from small_embeddings import EXPERIMENT, Given, Told, composed, jobs, lab, points, recorded, results, told, write_csv

from labkit.data.table import Table
from labkit.data.tables import load_table
from labkit.errors import BadInput
from labkit.experiments.embeddings.lab import plans_of
from labkit.experiments.embeddings.training import in_the_curve

OWN = {"vocabulary": "20", "batch_size": 12, "epochs": 2.0, "order": "months", "epsilon": "3"}
MONTHS = 5  # 1 to 4 are trained on, 5 is the test part


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Table:
    """A table whose months differ in size."""
    path = write_csv(tmp_path_factory.mktemp("own") / "own.csv", examples=500, months=MONTHS)
    lines = path.read_text().splitlines()
    months = np.random.default_rng(1).choice(MONTHS, 500, p=[0.1, 0.15, 0.2, 0.25, 0.3]) + 1
    rows = [f"{line.rpartition(',')[0]},{month}" for line, month in zip(lines[1:], months, strict=True)]
    path.write_text("\n".join([lines[0], *rows]) + "\n")
    return load_table(str(path), b"key")


@pytest.fixture(scope="module")
def together(own) -> tuple[list[Given], Told]:
    with pytest.MonkeyPatch.context() as patch:
        begun = recorded(patch)
        events = told(jobs(**OWN | {"epsilon": "3,plain"}), own)
    return begun, events


def spent(given: Given) -> float:
    return composed(given.plan)


def of(begun: list[Given], method: str) -> list[Given]:
    return [given for given in begun if given.method.name == method and given.plan.private]


def test_every_training_example_is_in_one_month_and_the_last_ones_are_the_test(own):
    one = lab(own, **OWN)
    ground = one.ground(one.point(0))
    assert [stretch.name for stretch in ground.stretches] == [f"month {m}" for m in range(1, MONTHS)]
    units = np.concatenate([stretch.units for stretch in ground.stretches])
    assert units.shape[1] == 1
    assert np.array_equal(np.sort(units[:, 0]), np.arange(len(ground.split.train)))
    for month, stretch in enumerate(ground.stretches, 1):
        assert set(ground.split.train.months[stretch.units[:, 0]]) == {month}
    assert set(ground.split.test.months) == {MONTHS}
    assert len({len(stretch.units) for stretch in ground.stretches}) == MONTHS - 1  # of different sizes


def test_each_month_is_sampled_under_a_plan_of_its_own(together, own):
    found = of(together[0], "adafest")
    one = lab(own, **OWN)
    stretches = one.ground(one.point(0)).stretches
    assert len(found) == len(stretches) == MONTHS - 1
    for given, stretch in zip(found, stretches, strict=True):
        assert np.array_equal(given.units.numpy(), stretch.units)
        assert given.plan.examples == len(stretch.units)
        assert given.plan.sample_rate == 12 / len(stretch.units)
        assert given.plan.steps == -(-2 * len(stretch.units) // 12)
    assert len({given.noise for given in found}) == len({given.draw for given in found}) == MONTHS - 1


def test_the_model_of_a_month_begins_where_the_last_one_ended(together):
    for method in ("dpsgd", "adafest", "lazydp"):
        first, *later = of(together[0], method)
        assert all(given.table is first.table and given.tower is first.tower for given in later)
        starts = [given.start[0] for given in (first, *later)]
        assert all(not np.array_equal(one, other) for one, other in pairwise(starts))


def test_months_of_two_methods_share_their_draws(together):
    draws = [[given.draw for given in of(together[0], method)] for method in ("dpsgd", "fest", "adafest", "lazydp")]
    assert all(other == draws[0] for other in draws)


def test_all_months_share_one_noise_and_none_costs_more_than_epsilon(together):
    for method in ("dpsgd", "adafest"):
        found = of(together[0], method)
        assert len({given.plan.noise_multiplier for given in found}) == 1
        assert len({given.plan.delta for given in found}) == 1
        costs = [spent(given) for given in found]
        assert max(costs) <= 3
        assert max(costs) > 0.99 * 3  # and no noise is wasted
        assert min(costs) < 2.95


def test_what_the_stream_has_spent_is_its_dearest_month(together):
    begun, events = together
    costs = [spent(given) for given in of(begun, "dpsgd")]
    rows = {row["arm"]: row for row in results(events).values()}
    for method in ("dpsgd", "fest", "adafest", "adafest_plus", "lazydp"):
        assert rows[method]["epsilon_spent"] == pytest.approx(max(costs), rel=1e-3)
        assert rows[method]["steps"] == sum(given.plan.steps for given in of(begun, "dpsgd"))
    assert "epsilon_spent" not in rows["plain"]
    groups = [row["group"] for place, row in points(events, "ledger") if place == 0]
    assert len(set(groups)) == len(groups) == MONTHS - 1


def test_a_month_smaller_than_a_batch_is_a_batch(own):
    point = jobs(**OWN | {"batch_size": 60})[0].point
    small, large = plans_of(point, [40, 90])
    assert (small.batch_size, small.sample_rate, small.steps) == (40, 1.0, 2)
    assert (large.batch_size, large.steps) == (60, 3)


def test_a_stream_is_not_in_the_live_curve(together):
    assert points(together[1], "curve") == points(together[1], "spent") == points(together[1], "leak") == []
    year, months = (jobs(order=order)[0].point for order in ("year", "months"))
    assert (in_the_curve(year), in_the_curve(months)) == (True, False)


def test_public_counts_are_those_of_the_first_month(together, own):
    """What comes later must not choose the rows: FEST could then not fall behind a drifting stream."""
    one = lab(own, **OWN)
    split = one.ground(one.point(0)).split
    first = split.selection.ids[split.selection.months == 1]
    counts = np.bincount(first.ravel(), minlength=sum(split.sizes))
    kept = of(together[0], "fest")[0].active.numpy()
    start = 0
    for size in split.sizes:
        own_rows = kept[(kept >= start) & (kept < start + size)]
        rest = np.setdiff1d(np.arange(start, start + size), own_rows)
        assert len(own_rows) == min(5, size)
        assert not len(rest) or counts[own_rows].min() >= counts[rest].max()
        start += size
    everything = np.bincount(split.selection.ids.ravel(), minlength=sum(split.sizes))
    assert everything[kept].min() < everything[np.setdiff1d(np.arange(sum(split.sizes)), kept)].max()


def test_data_without_months_are_no_stream():
    with pytest.raises(BadInput, match=r"order = 'months'.*year"):
        EXPERIMENT.check(jobs(order="months")[0].point, lab().resources.data)
