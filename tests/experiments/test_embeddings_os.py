"""Notebook 04 with noise of the operating system: what a resumed run does again is charged, and no key is stored."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_embeddings import Given, checkpoint, finish, recorded, run_until, write_csv

from labkit.experiments.embeddings import training
from labkit.experiments.embeddings.claims import claims
from labkit.privacy import spent
from labkit.privacy.events import dp_sgd
from labkit.runs import RunKey, Store, worker

OS = {"epsilon": "3", "epochs": 1.0, "evaluations": 3, "noise_source": "os"}
METHODS = ("dpsgd", "fest", "adafest", "adafest_plus", "lazydp")


@pytest.fixture(autouse=True)
def checkpoints_at_every_step(monkeypatch):
    monkeypatch.setattr(worker, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(training, "STRIDE", 1)


@pytest.fixture
def begun(monkeypatch) -> list[Given]:
    return recorded(monkeypatch)


def states(store: Store, method: str) -> list[dict]:
    """The checkpoints of a method's trainings."""
    found = []
    for row in store.replicates():
        key = RunKey(row["experiment"], row["name"], row["seed"], row["device_kind"])
        found += [state for name, state in store.checkpoints(key).items() if f'["{method}"]' in name]
    return found


def doing(method: str, step: int):
    return lambda event: f'"method":["{method}"]' in getattr(event, "what", "") and f"step {step} of" in event.what


@pytest.mark.parametrize("method", METHODS)
def test_what_is_done_again_is_charged(tmp_path, begun, method):
    with Store(tmp_path) as store:
        # In the fourth of seven steps: its checkpoint was not offered yet, and that of the third is the last.
        assert run_until(store, doing(method, 4), **OS)
        (state,) = states(store, method)
        assert "keys" not in state
        first = int(state["counts"][0])
        assert first == 3
        view = finish(store, **OS)
    assert all(claim.holds for claim in claims(view)), [claim for claim in claims(view) if not claim.holds]
    rows = {row["arm"]: row for row in view.results()}
    values = rows[method]
    noise, rate, delta = (values[name] for name in ("noise_multiplier", "sample_rate", "delta"))
    ledger = [row for row in view.series("ledger") if f'"method":["{method}"]' in row["group"]]
    assert [row["group"][-11:] for row in ledger] == ["execution 0", "execution 1"]
    steps = sum(row["steps"] for row in ledger)
    assert steps == values["steps"] + ledger[0]["steps"] - first > values["steps"]
    assert values["epsilon_spent"] == pytest.approx(spent([dp_sgd(rate, noise, steps)], delta).epsilon, rel=1e-3)
    assert len({given.noise for given in begun}) == len({given.draw for given in begun}) == len(begun) == 6
    for other in METHODS:
        assert (rows[other]["epsilon_spent"] > 3) == (other == method) == (rows[other]["executions"] == 2)


def test_a_month_that_is_done_again_is_charged_and_the_others_are_not(tmp_path):
    """A stream has no checkpoints: months that were begun are all begun again, and each is charged by itself."""
    path = write_csv(tmp_path / "own.csv", 500, months=5)
    stream = OS | {"data": str(path), "vocabulary": "20", "order": "months", "method": "dpsgd", "batch_size": 12}
    with Store(tmp_path / "store") as store:
        seen = []

        def ends(event) -> bool:
            if "month 2: step" in getattr(event, "what", ""):
                seen.append(event)
            return len(seen) == 3

        assert run_until(store, ends, **stream)
        view = finish(store, **stream)
    (values,) = view.results()
    counted = {}
    for row in view.series("ledger"):
        name = row["group"].partition("month ")[2][0]
        counted.setdefault(name, []).append(row["steps"])
    assert {name: len(steps) for name, steps in counted.items()} == {"1": 2, "2": 2, "3": 1, "4": 1}
    assert values["executions"] == 2
    noise, rate, delta = (values[name] for name in ("noise_multiplier", "sample_rate", "delta"))
    dearest = max(sum(steps) for steps in counted.values())
    assert values["epsilon_spent"] == pytest.approx(spent([dp_sgd(rate, noise, dearest)], delta).epsilon, rel=0.1)
    assert values["epsilon_spent"] > 3.2


def stored(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "key")


@pytest.mark.parametrize("source", ["os", "seeded"])
def test_nothing_of_the_keys_of_the_system_is_in_a_file(tmp_path, begun, source):
    changes, seen = OS | {"noise_source": source}, []
    with Store(tmp_path) as store:
        for method in METHODS:
            assert run_until(store, checkpoint(method, 2), **changes)
            seen.append(stored(tmp_path))
        finish(store, **changes)
        seen.append(stored(tmp_path))
    held = b"".join(seen)
    found = [given.noise.to_bytes(8, order) in held for given in begun for order in ("little", "big")]
    found += [given.draw.to_bytes(16, order) in held for given in begun for order in ("little", "big")]
    assert any(found) == (source == "seeded")  # a seeded run's are no secret: they derive from its seed
