"""Notebook 04 stopped anywhere and resumed: a seeded run ends in the numbers of one that nobody stopped."""

from __future__ import annotations

import pytest
import torch
from small_embeddings import checkpoint, chunk, finish, kept, run_until, spec, table

from labkit.embeddings.trainer import EmbeddingTrainer
from labkit.experiments.embeddings import training
from labkit.runs import RunKey, Store, worker

STOPPED = {"epsilon": "8,plain", "epochs": 1.0, "evaluations": 3}  # seven steps, looks after the 2nd, 4th and 7th
METHODS = ("dpsgd", "fest", "adafest", "adafest_plus", "lazydp")


@pytest.fixture(autouse=True)
def checkpoints_at_every_step(monkeypatch):
    monkeypatch.setattr(worker, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(training, "STRIDE", 1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, Store(tmp_path_factory.mktemp("whole")) as store:
        patch.setattr(training, "STRIDE", 1)
        yield kept(finish(store, **STOPPED))


@pytest.mark.parametrize("number", [3, 4, 7])
@pytest.mark.parametrize("method", METHODS)
def test_in_the_middle_of_a_training(tmp_path, whole, method, number):
    with Store(tmp_path) as store:
        assert run_until(store, checkpoint(method, number), **STOPPED)
        assert {row["status"] for row in store.replicates()} == {"stopped"}
        assert kept(finish(store, **STOPPED)) == whole


@pytest.mark.parametrize("method", METHODS)
def test_between_two_trainings(tmp_path, whole, method):
    with Store(tmp_path) as store:
        assert run_until(store, chunk(method), **STOPPED)
        assert kept(finish(store, **STOPPED)) == whole


def test_stopped_often(tmp_path, whole):
    with Store(tmp_path) as store:
        for method in METHODS:
            assert run_until(store, checkpoint(method, 2), **STOPPED)
            assert run_until(store, checkpoint(method, 1), **STOPPED)  # a step after the last checkpoint
        assert kept(finish(store, **STOPPED)) == whole


def test_what_was_done_is_not_done_again(tmp_path, monkeypatch):
    steps, advance = [], EmbeddingTrainer.advance

    def counted(self, number):
        steps.append((self.method.name, self.done))
        advance(self, number)

    monkeypatch.setattr(EmbeddingTrainer, "advance", counted)
    with Store(tmp_path) as store:
        assert run_until(store, checkpoint("lazydp", 3), **STOPPED)
        before = len(steps)
        finish(store, **STOPPED)
    assert steps[before] == ("lazydp", 3)
    assert {name for name, _ in steps[before:]} == {"lazydp", "dpsgd"}  # and plain training


def test_a_checkpoint_of_lazydp_holds_what_is_owed(tmp_path):
    with Store(tmp_path) as store:
        assert run_until(store, checkpoint("lazydp", 6), **STOPPED)
        held = {}
        for row in store.replicates():
            key = RunKey(row["experiment"], row["name"], row["seed"], row["device_kind"])
            held |= {name: state for name, state in store.checkpoints(key).items() if '["lazydp"]' in name}
    (state,) = held.values()
    noised = state["mechanism.noised"]
    assert noised.shape == (400,)
    # The look at step 4 paid for all rows; the sixth step for the rows that it read.
    assert noised.unique().tolist() == [4, 5]


@pytest.mark.parametrize("ends", [checkpoint("adafest", 2), chunk("dpsgd")], ids=["training", "between"])
def test_a_tuned_run_ends_in_the_same_results(tmp_path, ends):
    changes = {"epsilon": "8", "method": "adafest", "learning_rate": "tuned", "rates": "1,3"}
    with Store(tmp_path / "whole") as store:
        whole = kept(finish(store, **changes))
    with Store(tmp_path / "stopped") as store:
        assert run_until(store, ends, **changes)
        assert kept(finish(store, **changes))[0] == whole[0]


@pytest.mark.parametrize("frequency", ["histogram", "gumbel"])
def test_a_run_with_charged_counts(tmp_path, frequency):
    changes = {"epsilon": "8", "method": "fest", "frequency": frequency, "frequency_share": 0.3}
    with Store(tmp_path / "whole") as store:
        whole = kept(finish(store, **changes))
    with Store(tmp_path / "stopped") as store:
        assert run_until(store, checkpoint("fest", 2), **changes)
        assert kept(finish(store, **changes)) == whole


def test_the_seconds_alone_differ(tmp_path, whole):
    """Otherwise nothing above would compare what was really run."""
    assert len(whole[0]) == len(spec(**STOPPED).points()) == 6
    assert all("auc" in row and "seconds_per_step" not in row for row in whole[0])
    assert {name: len(rows) for name, rows in whole[1].items()} == {
        "curve": 6 * 3, "survivors": 2 * 7, "spent": 3, "ledger": 5, "leak": 6,
    }  # fmt: skip
    assert torch.tensor([row["rows"] for row in whole[0]]).unique().tolist() == [sum(table().sizes)]
