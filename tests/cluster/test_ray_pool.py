"""A Ray cluster on this machine's cores, one of whose workers is killed in the middle; and what is refused of one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import ray
from kept import numbers, statuses

from labkit.cluster import ray_pool
from labkit.cluster.ray_pool import AUTH, RayPool, reachable
from labkit.errors import BadInput
from labkit.runs.events import Point


@pytest.fixture
def pool(monkeypatch):
    # Ray's workers import what labkit's environment has; the fake experiment is in the tests alone.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    made = RayPool("local", device="cpu")
    yield made
    made.close()


def actors() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.name().startswith("ray::Remote")]


def without_token(address: str) -> subprocess.Popen:
    """Somebody on this machine who wants in."""
    code = f"from ray._raylet import GcsClient; GcsClient(address={address!r}).get_all_node_info()"
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {AUTH: "disabled"}
    return subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*:FutureWarning:ray.*")
def test_a_worker_is_killed_and_the_numbers_are_those_of_one_process(pool, sweep, store, asked, alone):
    one, killed = sweep(pool, asked.changed(delay=0.02)), False
    with without_token(ray.get_runtime_context().gcs_address) as stranger:
        for update in one.run():
            if not killed and isinstance(update.event, Point):
                os.kill(actors()[0].pid, signal.SIGKILL)
                killed = True
        _, words = stranger.communicate(timeout=60)
    assert (one.lost, one.failures) == (1, [])
    assert statuses(store) == ["finished"] * 4
    assert numbers(store) == alone
    assert pool.threads == 1
    assert stranger.returncode == 1
    assert "AuthenticationError" in words


@pytest.mark.parametrize(
    "address", ["nowhere", "ray://127.0.0.1:10001", "127.0.0.1:", ":6379", "127.0.0.1:0", "h:99999"]
)
def test_an_address_that_is_none(address):
    with pytest.raises(BadInput, match="local, or host:port of a Ray cluster that answers within 10 s"):
        reachable(address)


def test_nobody_there_is_said_within_ten_seconds():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(BadInput, match=f"ray = '{address}' is not usable; allowed: .*refused"):
        RayPool(address)
    assert time.monotonic() - began < 10


def test_a_host_that_does_not_answer_is_given_ten_seconds(monkeypatch):
    asked = []

    def connect(where, timeout):
        asked.append((where, timeout))
        raise TimeoutError("timed out")

    monkeypatch.setattr(ray_pool.socket, "create_connection", connect)
    with pytest.raises(BadInput, match="timed out"):
        reachable("192.0.2.1:6379")
    assert asked == [(("192.0.2.1", 6379), 10.0)]


@pytest.mark.parametrize(
    ("gpus", "device", "words"),
    [
        (0.0, "auto", "gpus_per_run = 0.0 .* above 0, at most 64"),
        (-1.0, "cuda", "above 0"),
        (float("nan"), "auto", "above 0"),
        (0.5, "cpu", "gpus_per_run = 0.5 .* nothing with device cpu"),
    ],
)
def test_shares_of_cards_that_make_no_sense(gpus, device, words):
    with pytest.raises(BadInput, match=words):
        RayPool("local", gpus, device)


def test_a_cluster_that_would_answer_anybody_is_not_started(monkeypatch):
    monkeypatch.setenv(AUTH, "disabled")
    with pytest.raises(BadInput, match="ray = 'local' is not usable; allowed: RAY_AUTH_MODE unset or token"):
        RayPool("local")


class FakeRay:
    """A cluster with some resources."""

    def __init__(self, **resources):
        self.resources, self.down = resources, False

    def init(self, **given):
        pass

    def cluster_resources(self):
        return self.resources

    def shutdown(self):
        self.down = True


@pytest.mark.parametrize(
    ("resources", "gpus", "device", "words"),
    [
        ({"CPU": 2.0}, None, "cuda", "ray = 'local' .* a cluster with a GPU for device cuda; it has none"),
        ({"CPU": 2.0}, 0.5, "auto", "gpus_per_run = 0.5 .* nothing: the cluster has no GPU"),
        ({"CPU": 2.0, "GPU": 1.0}, 2.0, "auto", "gpus_per_run = 2.0 .* at most the 1 GPUs of the cluster"),
    ],
)
def test_a_cluster_without_the_cards_is_refused_and_left(monkeypatch, resources, gpus, device, words):
    ray = FakeRay(**resources)
    monkeypatch.setattr(ray_pool, "_ray", lambda address: ray)
    with pytest.raises(BadInput, match=words):
        RayPool("local", gpus, device)
    assert ray.down


@pytest.mark.parametrize(
    ("resources", "gpus", "device", "size"),
    [
        ({"CPU": 8.0}, None, "auto", 8),
        ({"CPU": 8.0, "GPU": 2.0}, None, "cuda", 2),
        ({"CPU": 8.0, "GPU": 2.0}, 0.5, "auto", 4),
        ({"CPU": 3.0, "GPU": 2.0}, 0.5, "auto", 3),
        ({"CPU": 8.0, "GPU": 2.0}, None, "cpu", 8),
    ],
)
def test_how_many_fit(monkeypatch, resources, gpus, device, size):
    monkeypatch.setattr(ray_pool, "_ray", lambda address: FakeRay(**resources))
    assert RayPool("local", gpus, device).size == size
