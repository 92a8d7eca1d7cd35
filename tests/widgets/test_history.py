"""Runs found again in the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_experiment import EXPERIMENT, FakeSpec

from labkit.errors import BadInput
from labkit.runs import Store, Worker
from widgets.history import past_runs


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as made:
        yield made


def train(store: Store, updates: int | None = None, **given: Any) -> FakeSpec:
    """Run a Spec, as far as so many updates."""
    spec = FakeSpec.of(**{"steps": 3, "seeds": 2} | given)
    running = Worker(EXPERIMENT, spec, store).run()
    for number, _ in enumerate(running):
        if number == updates:
            break
    running.close()
    return spec


def said(store: Store) -> list[tuple[str, str, str]]:
    rows = [run.row() for run in past_runs(store, EXPERIMENT)]
    return [(row["state"], row["done"], row["parameters"]) for row in rows]


def test_an_empty_store_has_no_runs(store: Store) -> None:
    assert past_runs(store, EXPERIMENT) == []


def test_one_row_per_spec_newest_first(store: Store) -> None:
    first = train(store, sparsity="0.1,0.2")
    second = train(store, sparsity="0.3")
    assert said(store) == [
        ("finished", "2 of 2", "quick; seeds 2; sparsity 0.3; steps 3"),
        ("finished", "4 of 4", "quick; seeds 2; sparsity 0.1, 0.2; steps 3"),
    ]
    assert [run.spec for run in past_runs(store, EXPERIMENT)] == [second, first]


def test_a_stopped_run_says_how_much_is_done(store: Store) -> None:
    train(store, updates=30, sparsity="0.1,0.2")
    assert said(store) == [("stopped", "1 of 4", "quick; seeds 2; sparsity 0.1, 0.2; steps 3")]


def test_a_failed_run_says_why(store: Store) -> None:
    with pytest.raises(RuntimeError):
        train(store, fail_at=2)
    (run,) = past_runs(store, EXPERIMENT)
    assert run.state == "failed"
    assert "asked to break at step 2" in run.row()["error"]


def test_what_another_run_had_finished_counts(store: Store) -> None:
    train(store, sparsity="0.1")
    train(store, sparsity="0.1,0.2")
    assert said(store)[0] == ("finished", "4 of 4", "quick; seeds 2; sparsity 0.1, 0.2; steps 3")


def test_impossible_points_do_not_count(store: Store) -> None:
    train(store, sparsity="0.1,0.999")
    assert said(store) == [("finished", "2 of 2", "quick; seeds 2; sparsity 0.1, 0.999; steps 3")]


def test_a_running_one_is_seen_from_another_process_too(store: Store) -> None:
    running = Worker(EXPERIMENT, FakeSpec.of(seeds=1), store).run()
    while next(running).key is None:
        pass
    assert [row[0] for row in said(store)] == ["running"]
    running.close()
    assert [row[0] for row in said(store)] == ["stopped"]


def test_runs_of_another_version_are_left_out(store: Store) -> None:
    train(store)
    assert past_runs(store, replace(EXPERIMENT, version=2)) == []


def test_runs_whose_parameters_are_no_longer_taken_are_left_out(store: Store) -> None:
    class Stricter(FakeSpec):
        @classmethod
        def of(cls, **given: Any) -> Stricter:
            raise BadInput("steps", given["steps"], "something else")

    train(store)
    assert past_runs(store, replace(EXPERIMENT, spec=Stricter)) == []
