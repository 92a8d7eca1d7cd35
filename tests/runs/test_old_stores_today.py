"""What a notebook of today reads in a store of then, what it goes on with, and what it says it no longer reads."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from then import FAILED, HALF, KILLED, OLD, STOPPED, TOUR, finished

from labkit import experiments
from labkit.cli import main
from labkit.runs import RunKey, Store, Worker, open_view
from labkit.runs.events import Chunk
from labkit.runs.past import outdated

SEARCH = experiments.get("01")


@pytest.fixture
def old(tmp_path):
    return Path(shutil.copytree(OLD, tmp_path / "store"))


def test_the_notebook_of_then_and_now_reads_it(old):
    spec = SEARCH.spec.of(data="digits", device="cpu", sparsity="0.5,0.75,0.95", budget=4, width=4, steps=20,
                          evaluations=2, seeds=2, landscape_size=3, store=str(old))  # fmt: skip
    with Store(old) as store:
        view = open_view(spec, SEARCH, store)
        assert view.complete
        assert [row["test_accuracy"] for row in view.results()] == [
            row["test_accuracy"] for row in finished() if row["name"] != TOUR
        ]
        assert view.planned_seeds() == {2}
        assert "found" in str(SEARCH.charts["landscapes"](view).to_dict())
        assert SEARCH.claims(view)
        assert len(list(Worker(SEARCH, spec, store).run())) == 1  # data are loaded; nothing is left to do
        assert store.results() == finished()


def test_what_no_notebook_reads_any_more_is_said(old, capfd):
    tour = experiments.get("00")
    assert tour.version == 2  # of then: 1
    spec = tour.spec.of(data="digits", device="cpu", sparsity=0.5, budget=2, seeds=1, store=str(old))
    with Store(old) as store:
        view = open_view(spec, tour, store)
        assert view.results() == []
        assert [statuses for _, _, statuses in view.points] == [{0: "missing"}]
    why = "read by a notebook"

    def said(run: str) -> str:
        assert main(["show", run, "--store", str(old)]) == 0
        return capfd.readouterr().out

    shown = said(TOUR)
    assert f"{why}  no: notebook 00 computes other numbers now (version 2)" in shown
    assert "0.9442" in shown
    assert why not in said(HALF)
    assert why not in said(STOPPED)
    with Store(old) as store:
        (row, _) = store.replicates(name=HALF)
    later = dataclasses.replace(SEARCH, version=2)
    assert outdated(later, row) == "no: notebook 01 computes other numbers now (version 2)"


@pytest.mark.parametrize(("name", "sparsity"), [(STOPPED, 0.6), (KILLED, 0.4), (FAILED, 0.25)])
def test_what_was_begun_then_goes_on_now(old, tmp_path, name, sparsity):
    spec = SEARCH.spec.of(data="digits", device="cpu", sparsity=sparsity, budget=4, width=4, steps=20, evaluations=2,
                          seeds=1, landscape_size=0)  # fmt: skip
    key = RunKey("01", name, 0, "cpu")
    with Store(old) as store, Store(tmp_path / "new") as fresh:
        kept = set(store.chunks(key))
        assert kept == (set() if name == FAILED else {"dense", "scores-0-4"})
        assert set(store.checkpoints(key)) == (set() if name == FAILED else {"order-0-4"})
        events = [update.event for update in Worker(SEARCH, spec, store).run()]
        assert kept.isdisjoint(event.key for event in events if isinstance(event, Chunk))  # not done again
        list(Worker(SEARCH, spec, fresh).run())
        assert store.status(key) == "finished"
        mine, whole = store.results(name=name), fresh.results(name=name)
        assert [row["arm"] for row in mine] == [row["arm"] for row in whole] == ["found", "first", "random", "dense"]
        for one, other in zip(mine, whole, strict=True):
            # Another processor may have made the first half: it rounds otherwise.
            assert one["test_accuracy"] == pytest.approx(other["test_accuracy"], abs=0.02)
            assert one["test_loss"] == pytest.approx(other["test_loss"], rel=1e-2)
        assert len(store.points(key, "curve")) == len(fresh.points(key, "curve"))
        assert store.results()[: len(finished())] == finished()
        assert store.integrity() == []
