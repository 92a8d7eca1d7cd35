"""What is left to do, in pieces; `tests/cluster` and the worker's tests run them."""

from __future__ import annotations

from unittest import mock

import pytest
from fake_experiment import EXPERIMENT, FakeSpec
from interleaved_experiment import TOGETHER

from labkit.errors import StoreError
from labkit.runs import RunKey, Store, Worker
from labkit.runs.pieces import claimed, pieces, planned

SPEC = FakeSpec.of(sparsity="0.5,0.9,0.999", seeds=2, steps=3, device="cpu")


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as opened:
        yield opened


def test_by_hand(store):
    """Two grid points of two seeds, and one that cannot exist."""
    left, finished = planned(EXPERIMENT, SPEC, store, "f" * 64, "cpu", {})
    assert [(point.sparsity, key.seed) for key, point in left] == [((0.5,), 0), ((0.5,), 1), ((0.9,), 0), ((0.9,), 1)]
    assert finished == 0
    assert [row["status"] for row in store.replicates()] == ["impossible", "impossible"]
    assert pieces(EXPERIMENT, left) == [[one] for one in left]
    assert pieces(TOGETHER, left) == [left[:2], left[2:]]


def test_what_is_finished_is_counted_and_not_left(store):
    list(Worker(EXPERIMENT, SPEC.changed(sparsity="0.5"), store).run())
    name = store.replicates()[0]["record"]["fingerprint"]
    left, finished = planned(EXPERIMENT, SPEC, store, name, "cpu", {})
    assert (len(left), finished) == (2, 2)


def test_what_others_write_is_told_apart_from_what_they_have_finished(store):
    left, _ = planned(EXPERIMENT, SPEC, store, "f" * 64, "cpu", {})
    held = store.claim(*left[0])
    with store.claim(*left[1]) as lease:
        store.finish(lease.key)
    leases, own, others = claimed(store, left, {})
    assert (own, others) == (left[2:], left[:1])
    assert [lease.key for lease in leases] == [key for key, _ in left[2:]]
    for lease in (held, *leases):
        lease.forget()


def test_leases_claimed_before_an_error_are_given_back(store):
    piece = [(RunKey("99", "a" * 16, seed, "cpu"), SPEC) for seed in (0, 1)]
    claim = store.claim

    def second_fails(key, *rest):
        if key.seed == 1:
            raise StoreError("locked")
        return claim(key, *rest)

    with mock.patch.object(store, "claim", second_fails), pytest.raises(StoreError) as raised:
        claimed(store, piece, {})
    assert raised.value.args == ("locked",)
    assert store.status(piece[0][0]) == "stopped"
