"""The rows of a live chart against the View's own series."""

from __future__ import annotations

from pathlib import Path

from fake_experiment import EXPERIMENT, FakeSpec

from labkit.runs import Store, Worker, open_view
from widgets.feed import Feed


def test_every_row_comes_once_with_its_grid_fields(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        spec = FakeSpec.of(sparsity="0.1,0.2", seeds=2, steps=10)
        view = open_view(spec, EXPERIMENT, store)
        feed = Feed(view, "curve")
        assert feed.new() == []
        rows = []
        for _ in Worker(EXPERIMENT, spec, store).run():
            rows += feed.new()
        assert [{field: row[field] for field in ("sparsity", "seed", "arm", "step")} for row in rows] == [
            {"sparsity": sparsity, "seed": seed, "arm": arm, "step": step}
            for sparsity in (0.1, 0.2)
            for seed in (0, 1)
            for arm in ("fancy", "plain")
            for step in range(1, 11)
        ]
        assert feed.new() == []
        assert feed.everything() == rows
        by_view = view.series("curve")
        assert [row["selection_accuracy"] for row in rows] == [row["selection_accuracy"] for row in by_view]


def test_other_seeds_and_other_specs_are_left_out(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for given in ({"seeds": 3}, {"sparsity": "0.7", "seeds": 1}):
            for _ in Worker(EXPERIMENT, FakeSpec.of(steps=2, **given), store).run():
                pass
        rows = Feed(open_view(FakeSpec.of(steps=2, seed=1, seeds=1), EXPERIMENT, store), "curve").new()
        assert {(row["sparsity"], row["seed"]) for row in rows} == {(0.5, 1)}
        assert len(rows) == 4


def test_a_resumed_replicate_outdates_what_was_read(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        spec = FakeSpec.of(seeds=2, steps=50)
        running = Worker(EXPERIMENT, spec, store).run()
        for _ in range(90):
            key = next(running).key
        feed = Feed(open_view(spec, EXPERIMENT, store), "curve")
        feed.new()
        running.close()
        assert feed.outdated(key)
        for update in Worker(EXPERIMENT, spec, store).run():
            if update.key and update.key.seed == 1:
                assert not feed.outdated(update.key)
                break
        assert len(feed.everything()) >= 2 * 50
