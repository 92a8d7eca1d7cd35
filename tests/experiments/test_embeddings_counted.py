"""A charged count in notebook 04 stopped and resumed: private data are counted once, whatever the noise comes from."""

from __future__ import annotations

from collections import Counter

import pytest
from small_embeddings import (
    Given,
    checkpoint,
    chunk,
    finish,
    jobs,
    recorded,
    run_until,
    told,
    write_months,
)

from labkit.experiments.embeddings import chosen, training
from labkit.runs import RunKey, Store, worker
from labkit.runs.events import Chunk, Progress
from labkit.runs.view import View

# A rough count: two of them never choose the same rows.
COUNTED = {"epsilon": "3", "epochs": 1.0, "method": "fest,adafest_plus", "frequency_share": 0.01}
SOURCES = [(source, frequency) for source in ("os", "seeded") for frequency in ("histogram", "gumbel")]


@pytest.fixture(autouse=True)
def checkpoints_at_every_step(monkeypatch):
    monkeypatch.setattr(worker, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(training, "STRIDE", 1)


@pytest.fixture
def begun(monkeypatch) -> list[Given]:
    return recorded(monkeypatch)


@pytest.fixture
def counts(monkeypatch) -> list[str]:
    """The method of each look at the data for rows, charged or not."""
    looked, original = [], chosen.choice

    def counting(ground, point, key):
        looked.append(point.method[0])
        return original(ground, point, key)

    monkeypatch.setattr(chosen, "choice", counting)
    return looked


def charged(view: View) -> Counter:
    """How many counts the ledger has of each method."""
    return Counter(row["method"] for row in view.series("ledger") if row["what"] == "counted")


def of(begun: list[Given], method: str) -> list[list[int]]:
    return [given.active.tolist() for given in begun if given.method.name == method]


@pytest.mark.parametrize(("source", "frequency"), SOURCES)
@pytest.mark.parametrize("method", ["fest", "adafest_plus"])
def test_a_training_that_goes_on_has_counted_once(tmp_path, begun, counts, method, source, frequency):
    changes = COUNTED | {"noise_source": source, "frequency": frequency}
    with Store(tmp_path) as store:
        assert run_until(store, checkpoint(method, 3), **changes)
        view = finish(store, **changes)
    assert counts == ["fest", "adafest_plus"]
    before, after = of(begun, method)
    assert before == after
    assert charged(view) == {"fest": 1, "adafest_plus": 1}


@pytest.mark.parametrize(("source", "frequency"), SOURCES)
def test_what_was_finished_is_not_counted_again(tmp_path, counts, source, frequency):
    changes = COUNTED | {"noise_source": source, "frequency": frequency}
    with Store(tmp_path) as store:
        assert run_until(store, chunk("fest"), **changes)
        assert counts == ["fest"]
        assert run_until(store, checkpoint("adafest_plus", 1), **changes)
        view = finish(store, **changes)
    assert counts == ["fest", "adafest_plus"]
    assert charged(view) == {"fest": 1, "adafest_plus": 1}


@pytest.mark.parametrize(("source", "frequency"), SOURCES)
def test_a_count_is_told_before_any_step(source, frequency):
    """And before the steps are put on record."""
    events = [event for _, event in told(jobs(**COUNTED | {"noise_source": source, "frequency": frequency}))]
    for method in ("fest", "adafest_plus"):
        name = f'["{method}"]'
        of_method = [e for e in events if name in getattr(e, "key", "") or name in getattr(e, "what", "")]
        first = of_method[0]
        assert isinstance(first, Chunk)
        assert first.key.startswith("chosen ")
        assert sum(isinstance(e, Chunk) and e.key.startswith("chosen ") for e in of_method) == 1
        assert any(isinstance(e, Progress) for e in of_method)


@pytest.mark.parametrize(("source", "frequency"), SOURCES)
def test_a_count_is_kept_before_any_step(tmp_path, begun, counts, source, frequency):
    """A run that is stopped right after it has them in its store, and trains on them."""
    changes = COUNTED | {"method": "fest", "noise_source": source, "frequency": frequency}
    with Store(tmp_path) as store:
        assert run_until(store, chunk("fest", "chosen "), **changes)
        assert of(begun, "fest") == []
        held = {}
        for row in store.replicates():
            held |= store.chunks(RunKey(row["experiment"], row["name"], row["seed"], row["device_kind"]))
        (rows,) = (dict(tensors)["rows"].tolist() for name, tensors in held.items() if name.startswith("chosen "))
        view = finish(store, **changes)
    assert counts == ["fest"]
    assert of(begun, "fest") == [rows]
    assert charged(view) == {"fest": 1}


def test_public_counts_are_neither_kept_nor_charged():
    events = told(jobs(**COUNTED | {"frequency": "public"}))
    assert not any(isinstance(event, Chunk) and event.key.startswith("chosen ") for _, event in events)


def test_a_stream_that_begins_again_has_counted_once(tmp_path, begun, counts):
    """It has no checkpoints: all of its months are trained again, on the rows that were counted."""
    path = write_months(tmp_path / "own.csv", (90, 80, 100, 60))
    changes = COUNTED | {"data": str(path), "vocabulary": "20", "order": "months", "method": "fest", "k": "2"}
    changes |= {"batch_size": 12, "noise_source": "os", "frequency": "histogram"}
    with Store(tmp_path / "store") as store:
        what = '"method":["fest"]'
        assert run_until(store, lambda e: what in getattr(e, "what", "") and "month 2: step" in e.what, **changes)
        view = finish(store, **changes)
    assert counts == ["fest"]
    kept = of(begun, "fest")
    assert len(kept) == 2 + 3
    assert all(rows == kept[0] for rows in kept)
    assert charged(view) == {"fest": 1}
