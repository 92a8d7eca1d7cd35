from __future__ import annotations

from collections import Counter

import pytest
from fake_experiment import EXPERIMENT, FakeSpec
from killable import DATA, processes, work

from labkit.runs import Store, View
from labkit.runs.reader import key_of


@pytest.fixture(scope="module")
def context():
    return processes()


def together(context, target, arguments) -> None:
    started = [context.Process(target=target, args=args, kwargs=options) for args, options in arguments]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * len(started)


def test_processes_share_the_work_of_one_spec(context, tmp_path):
    parameters = {"sparsity": "0.5,0.9", "seeds": 3, "steps": 10, "delay": 0.002}
    work(tmp_path / "alone", 1.0, **parameters)
    together(context, work, [((tmp_path / "shared", 0.02), parameters)] * 3)
    with Store(tmp_path / "alone") as alone, Store(tmp_path / "shared") as shared:
        assert shared.integrity() == []
        view = View(shared, EXPERIMENT, FakeSpec.of(device="cpu", **parameters), DATA.fingerprint)
        assert view.complete
        assert view.results() == View(alone, EXPERIMENT, view.spec, DATA.fingerprint).results()
        for row in shared.replicates():
            steps = Counter((point["arm"], point["step"]) for point in shared.points(key_of(row), "curve"))
            assert set(steps.values()) == {1}
            assert len(steps) == 2 * 10


def test_processes_write_different_runs_at_once(context, tmp_path):
    parameters = [{"sparsity": "0.5", "seeds": 2, "steps": 30, "split_seed": split_seed} for split_seed in range(3)]
    together(context, work, [((tmp_path / "store", 0.0), options) for options in parameters])
    with Store(tmp_path / "store") as store:
        assert store.integrity() == []
        assert Counter(row["status"] for row in store.replicates()) == {"finished": 6}
        assert {len(store.points(key_of(row), "curve")) for row in store.replicates()} == {60}


def test_a_new_store_is_made_by_many_processes_at_once(context, tmp_path):
    for attempt in range(3):
        together(context, _open, [((tmp_path / str(attempt),), {})] * 4)
        assert len(list((tmp_path / str(attempt)).glob("key*"))) == 1


def _open(path) -> None:
    with Store(path) as store:
        assert len(store.key) == 32
        assert store.replicates() == []
