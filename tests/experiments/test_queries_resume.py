"""Notebook 03 stopped anywhere and resumed: a seeded run ends in the numbers of one that nobody stopped."""

from __future__ import annotations

import pytest
from small_queries import chunk, finish, kept, run_until, step

from labkit.runs import Store, worker

ARMS = ("fine-tuning", "direct", "direct-warm", "logit", "canaries")


@pytest.fixture(autouse=True)
def checkpoints_at_every_step(monkeypatch):
    monkeypatch.setattr(worker, "CHECKPOINT_SECONDS", 0.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("whole")) as store:
        yield kept(finish(store))


@pytest.mark.parametrize(
    "ends",
    [step("fine-tuning", 2), step("direct", 1), step("logit", 2), step("canaries", 1), chunk("untuned, written"),
     chunk("fine-tuning at epsilon 3, done"), chunk("canaries at epsilon 3, exposed")],
    ids=["fine-tuning", "direct", "logit", "canaries", "written", "tuned", "exposed"],
)  # fmt: skip
def test_a_seeded_run_ends_in_the_same_numbers_bit_for_bit(tmp_path, whole, ends):
    with Store(tmp_path) as store:
        assert run_until(store, ends)
        assert {row["status"] for row in store.replicates()} == {"stopped"}
        assert kept(finish(store)) == whole


def test_a_seeded_run_that_is_stopped_often(tmp_path, whole):
    with Store(tmp_path) as store:
        for work in ARMS:
            assert run_until(store, step(work, 1))
            assert run_until(store, step(work, 1))  # the second step, which is the resumed run's first
        assert kept(finish(store)) == whole
