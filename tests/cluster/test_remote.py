from __future__ import annotations

import itertools
import weakref

import pytest
import torch
from fake_experiment import ARMS, FakeSpec

import labkit
from labkit.cluster.packed import unpack
from labkit.cluster.remote import CHECKPOINT_SECONDS, SAID_SECONDS, Remote, Task
from labkit.data import load
from labkit.runs.events import Checkpoint, Chunk, Point, Progress

KEY = bytes(32)


def opened(spec, seconds):
    """A remote whose every look at the clock is so much later, and what it says of itself."""
    remote = Remote(clock=itertools.count(step=seconds).__next__)
    return remote, remote.open("fake_experiment", spec.model_dump(mode="json"), KEY, torch.get_num_threads())


@pytest.fixture
def spec():
    return FakeSpec.of(sparsity="0.5,0.9", steps=3, device="cpu")


def answers(remote, said):
    found = [said]
    while not said.ended:
        said = remote.more()
        found.append(said)
    return found


def test_what_it_says_of_itself(spec):
    _, found = opened(spec, 0.0)
    assert (found.version, found.device_kind, found.refused) == (labkit.__version__, "cpu", None)
    assert found.fingerprint == load("digits").fingerprint(KEY)
    assert found.record["labkit"] == labkit.__version__


def test_bad_input_is_said_and_not_raised():
    _, found = opened(FakeSpec.of(steps=13), 0.0)
    assert found.refused == ("steps", 13, "any number but 13, which no bound can say")
    _, found = opened(FakeSpec.of(data="digits", device="cpu").changed(data="nowhere.npz"), 0.0)
    assert found.refused[0] == "data"


def test_nothing_goes_on_after_a_chunk_until_it_is_asked(spec):
    """Whoever asks has it on record by then: with noise from the operating system a stretch must be, before it runs."""
    remote, _ = opened(spec, 0.0)
    said = answers(remote, remote.begin(Task([(1, 7)], {}, {})))
    kinds = [[type(unpack(packed)) for _, packed in one.events if unpack(packed) is not Progress] for one in said]
    assert [Chunk in some for some in kinds] == [True, True, False]
    assert all(some[-1] is Progress and some[-2] is Chunk for some in kinds[:2])
    assert sum(some.count(Point) for some in kinds) == 3 * len(ARMS)


def test_events_are_collected_for_a_while_and_checkpoints_made_now_and_then(spec):
    slow, _ = opened(spec, SAID_SECONDS)
    said = answers(slow, slow.begin(Task([(0, 0)], {}, {})))
    assert max(len(one.events) for one in said) <= 2
    assert not any(isinstance(unpack(packed), Checkpoint) for one in said for _, packed in one.events)
    slower, _ = opened(spec, CHECKPOINT_SECONDS)
    said = answers(slower, slower.begin(Task([(0, 0)], {}, {})))
    assert sum(isinstance(unpack(packed), Checkpoint) for one in said for _, packed in one.events) == 3 * len(ARMS)


def test_of_progress_the_last_is_said(spec):
    remote, _ = opened(spec, 0.0)
    first = remote.begin(Task([(0, 0)], {}, {}))
    progress = [unpack(packed) for _, packed in first.events if isinstance(unpack(packed), Progress)]
    assert [event.done for event in progress] == [3]


def test_what_the_experiment_raises_is_said_after_what_came_before():
    remote, _ = opened(FakeSpec.of(steps=3, fail_at=2, device="cpu"), 0.0)
    said = remote.begin(Task([(0, 0)], {}, {}))
    assert said.ended
    assert said.error == "RuntimeError: the fake experiment was asked to break at step 2"
    assert [unpack(packed).values["step"] for _, packed in said.events if isinstance(unpack(packed), Point)] == [1]


def test_threads_are_those_it_is_told(spec, monkeypatch):
    asked = []
    monkeypatch.setattr("torch.set_num_threads", asked.append)
    Remote().open("fake_experiment", spec.model_dump(mode="json"), KEY, 3)
    assert asked == [3]


def test_at_rest_it_holds_nothing_of_the_last_piece_and_frees_its_card(spec, monkeypatch):
    freed = []
    monkeypatch.setattr("labkit.device.free_memory", freed.append)
    remote, _ = opened(spec, CHECKPOINT_SECONDS)
    remote.begin(Task([(0, 0)], {}, {}))
    piece = weakref.ref(remote._events)
    remote.rest()
    assert (freed, piece()) == ([torch.device("cpu")], None)
    assert answers(remote, remote.begin(Task([(1, 0)], {}, {})))[-1].error is None
