from __future__ import annotations

import pytest
import torch

from labkit.cluster.packed import pack, pack_tensors, unpack, unpack_tensors
from labkit.runs.events import Artifact, Checkpoint, Chunk, Point, Progress, Result

TENSORS = {
    "a": torch.tensor([1.5, float("nan"), -0.0]),
    "b": torch.arange(6).view(2, 3).t(),
    "c": torch.tensor(True),
    "d": torch.tensor([0.1], dtype=torch.bfloat16),
    "e": torch.zeros(0, 3),
}


def same(left, right):
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert tensor.dtype == right[name].dtype
        assert tensor.shape == right[name].shape
        torch.testing.assert_close(tensor, right[name], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    "event",
    [
        Progress(1, 3, "walking", rate=2.5),
        Point("curve", {"step": 1, "arm": "fancy"}),
        Result("fancy", {"test_accuracy": 0.5}),
    ],
)
def test_plain_events_come_back_as_they_were(event):
    assert unpack(pack(event)) == event


@pytest.mark.parametrize("kind", [Chunk, Artifact])
def test_tensors_come_back_bit_for_bit(kind):
    packed = pack(kind("some key", TENSORS))
    assert isinstance(packed.tensors, bytes)
    event = unpack(packed)
    assert (type(event), event.key) == (kind, "some key")
    same(event.tensors, TENSORS)


def test_a_checkpoint_is_made_before_it_travels():
    held = {"step": torch.tensor(3)}
    packed = pack(Checkpoint("walk", lambda: held))
    held["step"] += 1
    assert unpack(packed).make()["step"] == 3


def test_views_of_one_storage_travel_each_for_itself():
    whole = torch.arange(10.0)
    same(unpack_tensors(pack_tensors({"left": whole[:5], "right": whole[5:]})), {"left": whole[:5], "right": whole[5:]})
