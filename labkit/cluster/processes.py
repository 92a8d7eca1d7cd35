"""Seats in processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing import connection, resource_tracker
from typing import Any

from labkit.cluster.remote import Remote
from labkit.cluster.seats import Lost
from labkit.device import cores
from labkit.errors import BadInput, LabError

MOST = 1024
VISIBLE = "CUDA_VISIBLE_DEVICES"


class ProcessSeat:
    """A process that is started fresh and spoken to through a pipe.

    Args:
        gpu: number, among the cards that this process sees, of the only one that it sees; None for all of them.
    """

    def __init__(self, gpu: int | None = None) -> None:
        self.gpu = gpu
        context = multiprocessing.get_context("spawn")  # a forked process cannot use CUDA
        # Else the first start would start it too, which lets Ctrl-C through again before the process has begun.
        resource_tracker.ensure_running()
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, gpu), name="labkit seat", daemon=True)
        with _uninterrupted():
            self.process.start()
        theirs.close()  # else the pipe would not end with the process

    def ask(self, method: str, *given: Any) -> None:
        """See `Seat`."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `answer` says that it has died
            self._pipe.send((method, given))

    def answer(self) -> Any:
        """See `Seat`."""
        try:
            value, error = self._pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            self.process.join(1.0)
            raise Lost(f"a process of the sweep has died (exit code {self.process.exitcode})") from error
        if error is not None:
            raise LabError(error)
        return value

    def close(self) -> None:
        """See `Seat`."""
        self.process.kill()
        self.process.join()
        self._pipe.close()

    @property
    def pipe(self) -> connection.Connection:
        """To wait for."""
        return self._pipe


class ProcessPool:
    """Processes of this machine, which divide its cores and take its cards in turn.

    Args:
        size: how many at once.
        gpus: cards that they are dealt out to; 0 leaves to each what this process sees.

    Raises:
        BadInput: no process, or too many.
    """

    def __init__(self, size: int, gpus: int = 0) -> None:
        if not 1 <= size <= MOST:
            raise BadInput("workers", size, f"1 to {MOST}")
        self.size, self._gpus = size, gpus
        self.threads = max(1, cores() // size)
        self._seats: list[ProcessSeat] = []

    def seat(self) -> ProcessSeat:
        """See `Pool`; the card that the fewest seats are on."""
        self._seats = [seat for seat in self._seats if seat.process.is_alive()]
        taken = Counter(seat.gpu for seat in self._seats)
        gpu = min(range(self._gpus), key=lambda card: (taken[card], card)) if self._gpus else None
        self._seats.append(ProcessSeat(gpu))
        return self._seats[-1]

    def wait(self, seats: Sequence[ProcessSeat], seconds: float) -> list[ProcessSeat]:
        """See `Pool`."""
        ready = set(connection.wait([seat.pipe for seat in seats], seconds))
        return [seat for seat in seats if seat.pipe in ready]

    def close(self) -> None:
        """See `Pool`."""
        for seat in self._seats:
            seat.close()
        self._seats.clear()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C, in this thread and in a process that it starts: the terminal sends it to that one as well."""
    if not hasattr(signal, "pthread_sigmask"):  # not on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def only(gpu: int, visible: str) -> str:
    """What a process that is to see one card alone is told.

    Args:
        gpu: its number among those that are visible here.
        visible: what this process was told; nothing if it sees all.
    """
    return visible.split(",")[gpu].strip() if visible else str(gpu)


def _serve(pipe: connection.Connection, gpu: int | None) -> None:
    """Answer until the other end is gone. A Ctrl-C of the terminal is the other end's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if gpu is not None:
        os.environ[VISIBLE] = only(gpu, os.environ.get(VISIBLE, ""))
    remote = Remote()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            method, given = pipe.recv()
            try:
                answer = getattr(remote, method)(*given), None
            except Exception as error:  # it is raised at the other end
                answer = None, f"{type(error).__name__}: {error}"
            pipe.send(answer)
