"""Where the panel trains: in its own kernel, in another process, or on a Ray cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from labkit.cluster.processes import ProcessPool
from labkit.cluster.ray_pool import LOCAL, RayPool
from labkit.cluster.sweep import Sweep
from labkit.device import cards
from labkit.errors import BadInput, LabError
from labkit.runs import Update, Worker
from labkit.runs.several import SomeTurns, turns_on

if TYPE_CHECKING:
    from labkit.cluster.seats import Pool
    from labkit.runs import Store
    from labkit.runs.experiment import Experiment
    from labkit.spec import Spec

KERNEL, PROCESS, RAY = "this kernel", "another process", "a Ray cluster"
EXPOSED = "Whoever reaches a Ray cluster can run code on it and read the data. local starts one that asks for a token."

Run = Callable[["Experiment", "Spec", "Store", Any], Iterator[Update]]


class Where:
    """A choice, and an address with it where there is one to give.

    Attributes:
        choice: one of `KERNEL`, `PROCESS` and `RAY`.
        address: of the Ray cluster, "local" or host:port.
        widget: all of it.
    """

    def __init__(self) -> None:
        self.choice = W.Dropdown(options=(KERNEL, PROCESS, RAY), description="run on").add_class("labkit-where")
        self.address = W.Text(value=LOCAL, description="address", continuous_update=False)
        self.address.add_class("labkit-address")
        self.exposed = W.Label(EXPOSED).add_class("labkit-exposed").add_class("labkit-quiet")
        self.widget = W.VBox([W.HBox([self.choice, self.address]), self.exposed])
        self.choice.observe(lambda _: self._show(), "value")
        self._show()

    def lock(self, locked: bool) -> None:
        """Keep the choice from being changed, or allow it again."""
        self.choice.disabled = self.address.disabled = locked

    def chosen(self) -> Run:
        """What runs a Spec where it is chosen now; its generator is iterated, paused and closed like a Worker's."""
        choice, address = self.choice.value, self.address.value.strip()

        def run(experiment: Experiment, spec: Spec, store: Store, load: Any) -> Iterator[Update]:
            if choice == KERNEL:
                return Worker(experiment, spec, store, load=load).run()
            return _elsewhere(experiment, spec, store, choice, address)

        return run

    def _show(self) -> None:
        display = None if self.choice.value == RAY else "none"
        self.address.layout.display = self.exposed.layout.display = display


def _turns(choice: str, address: str, device: str) -> SomeTurns:
    """On the card that the process is on, or on all that a Ray of this machine has; a cluster's are Ray's to share."""
    if choice == PROCESS:  # a process that starts is on the first card, whichever this kernel is on
        return turns_on(cards(device, 1))
    return turns_on(cards(device) if address == LOCAL else [])


def _elsewhere(
    experiment: Experiment, spec: Spec, store: Store, choice: str, address: str
) -> Generator[Update, None, None]:
    """A sweep's updates; what failed is raised once all the rest is done."""
    turns = _turns(choice, address, spec.device)
    try:
        pool: Pool = ProcessPool(1) if choice == PROCESS else RayPool(address, device=spec.device)
    except BadInput as error:  # of the place, not of a parameter: another place or address mends it
        raise LabError(str(error)) from error
    sweep = Sweep(experiment, spec, store, pool, turns=turns)
    with contextlib.closing(sweep.run()) as updates:
        yield from updates
    if sweep.failures:
        first = sweep.failures[0].error
        raise LabError(
            first if len(sweep.failures) == 1 else f"{len(sweep.failures)} replicates failed, first: {first}"
        )
