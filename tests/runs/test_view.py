from __future__ import annotations

import numpy as np
import pytest
import torch
from fake_experiment import EXPERIMENT, FakeSpec
from killable import DATA

from labkit.data import load
from labkit.runs import RunKey, Store, View, Worker, open_view, run_name
from labkit.runs.events import Artifact, Point, Result

SPEC = FakeSpec.of(sparsity="0.5,0.9", seeds=2)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as opened:
        yield opened


def view(store, spec=SPEC, **options) -> View:
    return View(store, EXPERIMENT, spec, "data", **options)


def put(store, sparsity: float, seed: int, accuracy: float, kind="cpu", finish=True, planned=2) -> None:
    point = SPEC.changed(sparsity=sparsity)
    key = RunKey("99", run_name("99", 1, point, "data"), seed, kind)
    with store.claim(key, point, {"seeds_planned": planned}):
        store.write(key, Point("curve", {"step": 1, "loss": accuracy}), Result("found", {"test_accuracy": accuracy}))
        store.write(key, Artifact("scores", {"x": torch.tensor([accuracy])}))
        if finish:
            store.finish(key)


def test_an_empty_store(store):
    empty = view(store)
    assert empty.results() == empty.series("curve") == empty.impossible() == []
    assert not empty.complete
    assert empty.planned_seeds() == set()
    assert [statuses for _, _, statuses in empty.points] == [{0: "missing", 1: "missing"}] * 2


def test_it_fills_in(store):
    filling = view(store)
    put(store, 0.5, 0, 0.25)
    assert filling.results() == [{"sparsity": 0.5, "seed": 0, "arm": "found", "test_accuracy": 0.25}]
    assert filling.series("curve") == [{"sparsity": 0.5, "seed": 0, "step": 1, "loss": 0.25}]
    put(store, 0.9, 0, 0.5, finish=False)
    assert len(filling.results()) == 1  # those of finished replicates
    assert len(filling.series("curve")) == 2  # curves of unfinished ones too
    assert [statuses for _, _, statuses in filling.points] == [
        {0: "finished", 1: "missing"},
        {0: "stopped", 1: "missing"},
    ]
    assert not filling.complete
    put(store, 0.9, 0, 0.5)
    put(store, 0.5, 1, 0.25)
    put(store, 0.9, 1, 0.25)
    assert filling.complete


def test_only_its_own_seeds_points_and_data(store):
    for sparsity, seed in [(0.5, 0), (0.5, 2), (0.7, 0)]:
        put(store, sparsity, seed, 0.25)
    assert [(row["sparsity"], row["seed"]) for row in view(store).results()] == [(0.5, 0)]
    assert View(store, EXPERIMENT, SPEC, "other data").results() == []
    assert [row["seed"] for row in view(store, SPEC.changed(seed=2, seeds=1)).results()] == [2]


def test_kinds_of_devices_are_never_mixed(store):
    put(store, 0.5, 0, 0.25, kind="cuda")
    assert view(store).device_kind == "cuda"  # the only kind with results
    put(store, 0.5, 0, 0.75, kind="cpu")
    assert view(store, device_kind="cuda").results()[0]["test_accuracy"] == 0.25
    assert view(store, SPEC.changed(device="cpu")).results()[0]["test_accuracy"] == 0.75
    assert len(view(store).results()) == 1


def test_arrays_of_one_replicate(store):
    put(store, 0.5, 1, 0.25)
    point = SPEC.points()[0]
    np.testing.assert_array_equal(view(store).arrays(point, 1, "scores")["x"], np.float32([0.25]))
    for seed, artifact in [(0, "scores"), (1, "landscape")]:
        with pytest.raises(KeyError):
            view(store).arrays(point, seed, artifact)


def test_impossible_points_are_told_apart_and_not_waited_for(store):
    put(store, 0.5, 0, 0.25)
    mixed = view(store, SPEC.changed(sparsity="0.5,0.999", seeds=1))
    assert mixed.impossible() == [{"sparsity": 0.999, "why": "nothing is left to walk"}]
    assert mixed.complete


def test_looks_are_counted(store):
    put(store, 0.5, 0, 0.25, planned=1)
    put(store, 0.5, 1, 0.25, planned=2)
    put(store, 0.5, 2, 0.25, planned=40)  # not one of this Spec's seeds
    assert view(store).planned_seeds() == {1, 2}


def test_open_view_finds_what_a_worker_stored(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_STORE", str(tmp_path))
    spec = FakeSpec.of(sparsity=0.5, seeds=1, steps=2, device="cpu")
    with Store(tmp_path) as store:
        list(Worker(EXPERIMENT, spec, store).run())
    opened = open_view(spec, EXPERIMENT)
    assert opened.complete
    assert opened.fingerprint == load("digits").fingerprint(b"") != DATA.fingerprint
    opened.store.close()
