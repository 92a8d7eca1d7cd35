"""Seats on a Ray cluster: each an actor. Only this file knows Ray, which is the extra [cluster]."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from labkit.cluster.remote import Remote
from labkit.cluster.seats import Lost
from labkit.device import cores
from labkit.errors import BadInput, LabError

LOCAL = "local"
REACH_SECONDS = 10.0
AUTH = "RAY_AUTH_MODE"  # unset, Ray asks for a token in clusters that it starts
OBJECT_BYTES = 200 * 2**20  # Ray's object store on this machine: answers are small


class RaySeat:
    """An actor that holds a `Remote`."""

    def __init__(self, ray: ModuleType, gpus: float) -> None:
        self._ray = ray
        # No restart by Ray: a piece goes on from what the store holds, which an actor does not know.
        made = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0)(Remote)
        self._actor = made.remote()
        self.asked: Any = None

    def ask(self, method: str, *given: Any) -> None:
        """See `Seat`."""
        self.asked = getattr(self._actor, method).remote(*given)

    def answer(self) -> Any:
        """See `Seat`."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(self.asked)
        except errors.RayActorError as error:
            raise Lost("a worker of the Ray cluster has died") from error
        except errors.RayTaskError as error:
            raise LabError(f"{type(error.cause).__name__}: {error.cause}") from error

    def close(self) -> None:
        """See `Seat`."""
        self._ray.kill(self._actor)


class RayPool:
    """A Ray cluster that runs, or one of this machine's cores and cards for the time of a sweep.

    Ray's processes listen on all addresses of a machine. Those that are started here answer nobody without the token
    that Ray keeps in the user's home; what an existing cluster answers to is its owner's to say. Whoever it answers can
    run code there and read the data.

    Args:
        address: "local", or host:port of a cluster that this machine is a node of.
        gpus_per_run: cards of each seat; a fraction shares one. None for one card each where there are any.
        device: the Spec's.

    Raises:
        BadInput: Ray is not installed or is told to ask for no token, nothing answers at the address within ten
            seconds, or there are no cards where the Spec wants them.
    """

    threads = 1

    def __init__(self, address: str, gpus_per_run: float | None = None, device: str = "auto") -> None:
        if gpus_per_run is not None and not 0 < gpus_per_run <= 64:
            raise BadInput("gpus_per_run", gpus_per_run, "above 0, at most 64; 0.5 puts two runs on one card")
        if gpus_per_run is not None and device == "cpu":
            raise BadInput("gpus_per_run", gpus_per_run, "nothing with device cpu")
        if address != LOCAL:
            reachable(address)
        elif os.environ.get(AUTH, "token").lower() != "token":
            raise BadInput(
                "ray", address, f"{AUTH} unset or token: else whoever reaches this machine could run code here"
            )
        # Ray reports usage to its makers unless it is told not to, and it reads that nowhere else.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ray = _ray(address)
        given = {"log_to_driver": False, "logging_level": "error"}
        if address == LOCAL:
            own = {"num_cpus": cores(), "object_store_memory": OBJECT_BYTES, "include_dashboard": False}
            self._ray.init(address="local", **own, **given)
        else:
            try:
                self._ray.init(address=address, **given)
            except (ConnectionError, RuntimeError) as error:
                raise BadInput("ray", address, f"a cluster that this machine is a node of ({error})") from error
        try:
            have = self._ray.cluster_resources()
            cards = have.get("GPU", 0.0)
            if device == "cuda" and not cards:
                raise BadInput("ray", address, "a cluster with a GPU for device cuda; it has none")
            if gpus_per_run is not None and not cards:
                raise BadInput("gpus_per_run", gpus_per_run, "nothing: the cluster has no GPU")
            self._gpus = (gpus_per_run or 1.0) if cards and device != "cpu" else 0.0
            room = int(cards / self._gpus) if self._gpus else int(have.get("CPU", 0.0))
            self.size = min(room, int(have.get("CPU", 0.0)))
            if self.size < 1:
                raise BadInput("gpus_per_run", gpus_per_run, f"at most the {cards:g} GPUs of the cluster")
        except BaseException:
            self.close()
            raise

    def seat(self) -> RaySeat:
        """See `Pool`."""
        return RaySeat(self._ray, self._gpus)

    def wait(self, seats: Sequence[RaySeat], seconds: float) -> list[RaySeat]:
        """See `Pool`."""
        by = {seat.asked: seat for seat in seats}
        ready, _ = self._ray.wait(list(by), num_returns=1, timeout=seconds)
        if ready:  # whatever else has come meanwhile
            ready, _ = self._ray.wait(list(by), num_returns=len(by), timeout=0)
        return [by[asked] for asked in ready]

    def close(self) -> None:
        """See `Pool`; a cluster that ran before goes on running."""
        self._ray.shutdown()


def reachable(address: str) -> None:
    """Knock at host:port.

    Raises:
        BadInput: not of that form, or nothing answers within ten seconds.
    """
    host, _, port = address.rpartition(":")
    allowed = f"{LOCAL}, or host:port of a Ray cluster that answers within {REACH_SECONDS:g} s"
    if "/" in address or not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise BadInput("ray", address, allowed)
    try:
        with contextlib.closing(socket.create_connection((host, int(port)), REACH_SECONDS)):
            pass
    except OSError as error:
        raise BadInput("ray", address, f"{allowed} ({error.strerror or error})") from error


def _ray(address: str) -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise BadInput("ray", address, "an installed Ray: pip install 'labkit[cluster]'") from error
    return ray
