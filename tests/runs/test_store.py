from __future__ import annotations

import math
import threading

import numpy as np
import pytest
import torch
from fake_experiment import FakeSpec

from labkit.errors import Busy, StoreError
from labkit.runs import Finished, RunKey, Store
from labkit.runs.events import Artifact, Checkpoint, Chunk, Point, Progress, Result
from labkit.runs.owner import LeaseLost

SPEC = FakeSpec.of(sparsity=0.5)
KEY = RunKey("99", "a" * 16, 0, "cpu")
TENSOR = torch.arange(6.0).reshape(2, 3)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as opened:
        yield opened


def files_of(store: Store) -> list[str]:
    return sorted(path.name for path in store.folder(KEY).iterdir()) if store.folder(KEY).exists() else []


def test_a_run_from_claim_to_finish(store):
    assert store.status(KEY) == "missing"
    with store.claim(KEY, SPEC, {"seeds_planned": 5}) as lease:
        assert store.status(KEY) == "running"
        assert lease.record == {"seeds_planned": 5}
        store.write(KEY, Point("curve", {"arm": "found", "step": 1, "accuracy": 0.5}))
        store.write(KEY, Progress(1, 2, "half"))
        store.write(KEY, Result("found", {"test_accuracy": np.float32(0.75), "parameters": np.int64(10)}))
        store.write(KEY, Artifact("scores", {"loss": TENSOR}))
        assert store.results() == []  # those of finished replicates
        store.finish(KEY, {"wall_seconds": 1.5})
    assert store.status(KEY) == "finished"
    assert store.points(KEY, "curve") == [{"arm": "found", "step": 1, "accuracy": 0.5}]
    row = {"name": KEY.name, "seed": 0, "device_kind": "cpu", "arm": "found", "test_accuracy": 0.75, "parameters": 10}
    assert store.results() == store.results(name=KEY.name) == store.results(experiment="99") == [row]
    assert store.results(name="other") == store.results(experiment="00") == store.results(device_kind="cuda") == []
    np.testing.assert_array_equal(store.arrays(KEY, "scores")["loss"], TENSOR.numpy())
    [replicate] = store.replicates()
    assert replicate["record"] == {"seeds_planned": 5, "wall_seconds": 1.5}
    assert FakeSpec.of(**replicate["spec"]) == SPEC
    assert replicate["created"] <= replicate["finished"]
    assert store.integrity() == []


def test_a_finished_run_is_not_claimed_again(store):
    with store.claim(KEY, SPEC):
        store.finish(KEY)
    with pytest.raises(Finished):
        store.claim(KEY, SPEC)
    with pytest.raises(LeaseLost):
        store.write(KEY, Result("found", {"test_accuracy": 0.9}))


def test_a_result_is_written_once(store):
    with store.claim(KEY, SPEC):
        store.write(KEY, Result("found", {"test_accuracy": 0.75}))
        store.write(KEY, Result("found", {"test_accuracy": 0.75}))
        with pytest.raises(StoreError, match="not overwritten"):
            store.write(KEY, Result("found", {"test_accuracy": 0.76}))
        store.finish(KEY)
    assert [row["test_accuracy"] for row in store.results()] == [0.75]


def test_leaving_early_is_a_stop_and_an_error_a_failure(store):
    with store.claim(KEY, SPEC):
        pass
    assert store.status(KEY) == "stopped"
    with pytest.raises(ZeroDivisionError), store.claim(KEY, SPEC):
        _ = 1 / 0
    assert store.status(KEY) == "failed"
    assert store.replicates()[0]["error"] == "ZeroDivisionError: division by zero"
    with store.claim(KEY, SPEC):  # and a failed run may be tried again
        assert store.replicates()[0]["error"] == ""
    with pytest.raises(KeyboardInterrupt), store.claim(KEY, SPEC):
        raise KeyboardInterrupt
    assert store.status(KEY) == "stopped"


def test_an_impossible_point_is_remembered_and_never_claimed(store):
    store.impossible(KEY, SPEC, "a layer without a node")
    store.impossible(KEY, SPEC, "said twice")
    assert store.status(KEY) == "impossible"
    assert store.replicates()[0]["error"] == "a layer without a node"
    with pytest.raises(Finished):
        store.claim(KEY, SPEC)


def test_what_a_resumed_run_finds(store):
    with store.claim(KEY, SPEC, {"seeds_planned": 5, "torch": "old"}):
        store.write(KEY, Chunk("first", {"w": TENSOR}), Point("curve", {"step": 1}))
        store.write(KEY, Checkpoint("second", lambda: {"w": TENSOR + 1}))
        store.write(KEY, Point("curve", {"step": 2}))
    with store.claim(KEY, SPEC, {"torch": "new"}) as lease:
        assert lease.record == {"seeds_planned": 5, "torch": "new"}
        assert torch.equal(store.chunks(KEY)["first"]["w"], TENSOR)
        assert torch.equal(store.checkpoints(KEY)["second"]["w"], TENSOR + 1)
        # The point after the checkpoint will be said again.
        assert store.points(KEY, "curve") == [{"step": 1}]


def test_without_a_checkpoint_all_points_are_said_again(store):
    with store.claim(KEY, SPEC):
        store.write(KEY, Point("curve", {"step": 1}), Artifact("scores", {"loss": TENSOR}))
    with store.claim(KEY, SPEC):
        assert store.points(KEY, "curve") == []
        assert store.artifacts(KEY) == ["scores"]


def test_a_checkpoint_is_replaced_and_a_chunk_ends_it(store):
    with store.claim(KEY, SPEC):
        for step in range(3):
            store.write(KEY, Checkpoint("arm", lambda step=step: {"w": TENSOR + step}))
            assert len(files_of(store)) == 1
        assert torch.equal(store.checkpoints(KEY)["arm"]["w"], TENSOR + 2)
        store.write(KEY, Checkpoint("other", lambda: {"w": TENSOR}))
        store.write(KEY, Chunk("arm", {"w": TENSOR}))
        assert set(store.checkpoints(KEY)) == {"other"}
        store.write(KEY, Artifact("kept", {"w": TENSOR}))
        store.finish(KEY)
    assert store.chunks(KEY) == store.checkpoints(KEY) == {}
    assert [name.split("-")[0] for name in files_of(store)] == ["artifact"]


def test_an_equal_checkpoint_does_not_delete_its_own_file(store):
    with store.claim(KEY, SPEC):
        for _ in range(2):
            store.write(KEY, Checkpoint("arm", lambda: {"w": TENSOR}))
        assert torch.equal(store.checkpoints(KEY)["arm"]["w"], TENSOR)


def test_keys_that_look_alike_in_a_file_name_stay_apart(store):
    with store.claim(KEY, SPEC):
        store.write(KEY, Artifact("a/b", {"w": TENSOR}), Artifact("a_b", {"w": TENSOR}))
        assert len(files_of(store)) == 2


def test_a_write_happens_whole_or_not_at_all(store):
    with store.claim(KEY, SPEC):
        with pytest.raises(ValueError, match="accuracy = nan"):
            store.write(KEY, Point("curve", {"step": 1}), Point("curve", {"accuracy": math.nan}))
        assert store.points(KEY, "curve") == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32("nan"), None, [1], TENSOR])
@pytest.mark.parametrize("event", [Point, Result])
def test_no_other_value_reaches_the_database(store, event, bad):
    with store.claim(KEY, SPEC), pytest.raises(ValueError, match=r"^loss = "):
        store.write(KEY, event("curve", {"loss": bad}))


def test_a_record_is_checked_too(store):
    with pytest.raises(ValueError, match=r"^device\.speed\[1\] = inf"):
        store.claim(KEY, SPEC, {"device": {"speed": [1.0, math.inf]}})
    assert store.status(KEY) == "missing"


def test_a_damaged_file_is_noticed(store):
    with store.claim(KEY, SPEC):
        store.write(KEY, Artifact("scores", {"loss": TENSOR}))
        store.finish(KEY)
    [file] = store.folder(KEY).iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"\0" if whole[-1:] != b"\0" else whole[:-1] + b"\1")
    with pytest.raises(StoreError, match=r"altered or is truncated; `labkit rm a{16}`"):
        store.arrays(KEY, "scores")
    file.unlink()
    assert len(store.integrity()) == 1


def test_a_missing_artifact_is_a_key_error(store):
    with pytest.raises(KeyError, match="scores"):
        store.arrays(KEY, "scores")


def test_bfloat16_arrays_are_readable(store):
    with store.claim(KEY, SPEC):
        store.write(KEY, Artifact("scores", {"loss": TENSOR.bfloat16()}))
    assert store.arrays(KEY, "scores")["loss"].dtype == np.float32


def test_a_held_replicate_is_busy_and_not_removed(store):
    with store.claim(KEY, SPEC):
        with pytest.raises(Busy, match="being written by process"):
            store.claim(KEY, SPEC)
        with pytest.raises(Busy):
            store.remove(KEY)
        assert store.status(KEY) == "running"


def test_remove_leaves_nothing(store):
    for seed in (0, 1):
        key = RunKey("99", KEY.name, seed, "cpu")
        with store.claim(key, SPEC):
            store.write(
                key, Point("curve", {"step": 1}), Result("found", {"x": 1}), Artifact("scores", {"loss": TENSOR})
            )
            store.finish(key)
    assert store.remove(KEY) == 1
    assert [row["seed"] for row in store.replicates()] == [1]
    assert store.remove(KEY.name) == 1
    assert store.replicates() == store.results() == store.points_since(0)[1] == []
    assert not (store.path / "files" / KEY.name).exists()
    assert store.integrity() == []


def test_leftover_files_go_with_the_next_claim(store):
    with store.claim(KEY, SPEC):
        store.write(KEY, Chunk("first", {"w": TENSOR}))
    (store.folder(KEY) / "checkpoint-x-000000000000.safetensors.1234.tmp").write_bytes(b"half")
    with store.claim(KEY, SPEC):
        assert [name.split("-")[0] for name in files_of(store)] == ["chunk"]


def test_two_threads_share_a_store(store):
    def work(seed: int) -> None:
        key = RunKey("99", KEY.name, seed, "cpu")
        with store.claim(key, SPEC):
            for step in range(20):
                store.write(key, Point("curve", {"step": step}))
            store.finish(key)
        store.close_thread()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row["status"] for row in store.replicates()] == ["finished"] * 4
    for seed in range(4):
        assert [p["step"] for p in store.points(RunKey("99", KEY.name, seed, "cpu"), "curve")] == list(range(20))
