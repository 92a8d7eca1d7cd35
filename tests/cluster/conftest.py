from __future__ import annotations

import pytest
from fake_experiment import EXPERIMENT, FakeSpec
from kept import numbers

from labkit.cluster.sweep import Sweep
from labkit.runs import Store, Worker

SMALL = {"sparsity": "0.5,0.9", "seeds": 2, "steps": 5, "device": "cpu"}


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def asked():
    return FakeSpec.of(**SMALL)


@pytest.fixture
def sweep(store, asked):
    """Makes a sweep of the fake experiment."""
    return lambda pool, spec=asked: Sweep(EXPERIMENT, spec, store, pool, home="fake_experiment")


@pytest.fixture(scope="session")
def alone(tmp_path_factory):
    """What one process makes of it."""
    with Store(tmp_path_factory.mktemp("alone")) as opened:
        list(Worker(EXPERIMENT, FakeSpec.of(**SMALL), opened).run())
        return numbers(opened)
