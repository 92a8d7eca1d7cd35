"""The line that restores a panel's state: to copy, and to paste another one."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as W

from labkit.errors import BadInput
from labkit.spec import Spec, from_state, state_text
from widgets.command_line import CommandLine


class StateLine:
    """The present state with a button that copies it, and a field that takes another one.

    Attributes:
        line: the present state, with its button.
        entry: a state that is put here is restored; then it is empty again.
        complaint: why it could not be restored; empty when it could.
        widget: all of it.

    Args:
        number: of the experiment.
        restore: called with the Spec of the state that was put into `entry`.
    """

    def __init__(self, number: str, restore: Callable[[Spec], None]) -> None:
        self._number, self._restore = number, restore
        self._spec: Spec | None = None
        self.line = CommandLine(label="Copy state")
        self.entry = W.Text(
            description="restore",
            placeholder="paste a state here",
            tooltip="Sets every parameter as the state says; the folder and the device stay",
            continuous_update=False,
        ).add_class("labkit-restore")
        self.complaint = W.Label().add_class("labkit-error")
        self.widget = W.VBox([self.line, self.entry, self.complaint]).add_class("labkit-state")
        self.entry.observe(lambda change: self._entered(change["new"]), "value")

    def show(self, spec: Spec) -> None:
        """The present state is this Spec's."""
        self._spec = spec
        self.line.text = state_text(self._number, spec)

    def lock(self, locked: bool) -> None:
        """Keep another state from being put in, or allow it again."""
        self.entry.disabled = locked

    def _entered(self, text: str) -> None:
        if not text.strip():
            return
        try:
            spec = restored(text, self._number, self._spec)
        except BadInput as error:
            self.complaint.value = str(error)
            return
        self.complaint.value = ""
        self.entry.value = ""
        self._restore(spec)


def restored(text: str, number: str, here: Spec) -> Spec:
    """The Spec of a state, on the device and in the store of `here`.

    Raises:
        BadInput: as `labkit.spec.from_state`.
    """
    return from_state(text, number, type(here)).changed(device=here.device, store=here.store)
