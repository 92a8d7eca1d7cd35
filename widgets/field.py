"""One row of the panel: a parameter's name, slider, entry and complaint."""

from __future__ import annotations

import threading
from typing import Any

import ipywidgets as W

from labkit.spec import Control, typed
from widgets import sliders
from widgets.parts import Parts


class Field:
    """The widgets of one parameter. The entry holds its value as text; a slider writes to the entry.

    Attributes:
        entry: a text field, a dropdown or a check box.
        slider: None where a slider does not suit. While the entry holds several values it stands at the first, and
            takes their place when it is moved.
        note: the unit, or how many values there are, and the preset's own value where the entry holds another.
        complaint: the line that says why the entry cannot be used; empty when it can.
        help: what the parameter is and what it may be; a screen reader says it with the entry, a mouse over the name.
        widget: all of it, one row of the panel.

    Args:
        lock: held by whoever shows a value, and while a slider's edit is worked on.
        parts: what makes the widgets of all rows.
    """

    def __init__(self, item: Control, lock: threading.RLock, parts: Parts) -> None:
        self.item = item
        self._lock = lock
        self.entry = _entry(item, parts)
        self.slider = sliders.slider(item, parts)
        self.complaint = parts(W.Label, classes="labkit-error")
        self.note = parts(W.Label, classes="labkit-note labkit-quiet")
        self.help = parts(W.Label, f"{item.help}; {item.allowed()}", classes="labkit-help labkit-unseen")
        row = [self.entry, self._middle(parts), self.note, self.complaint, self.help]
        self.widget = parts(W.Box, row, classes=f"labkit-field labkit-field-{item.name}")
        if self.slider:
            self.slider.observe(self._slid, "value")
        self._showing = False

    def meant(self, given: Any) -> Any:
        """What an entry says to the Spec: None, which is the preset's value, for an empty number."""
        return None if self.item.kind in ("int", "float") and not given.strip() else given

    def show(self, value: Any, preset: str) -> None:
        """Set the row to a value of the Spec, without its being taken for an edit of the slider.

        Args:
            value: as the Spec holds it.
            preset: the name of the preset whose own value is shown beside a value that differs.
        """
        usual = self.item.parse(self.item.presets[preset])
        differs = "" if value == usual else f"({preset}: {text(usual)})"
        many = f"{len(value)} values, a run each" if isinstance(value, tuple) and len(value) > 1 else ""
        self.note.value = f"{many or self.item.unit} {differs}".strip()
        self.entry.value = text(value) if isinstance(self.entry, W.Text) else value
        self.complaint.value = ""
        if self.slider:
            self._place(value if isinstance(value, tuple) else (value,))

    def lock(self, locked: bool) -> None:
        """Keep the row from being edited, or allow it again."""
        self.entry.disabled = locked
        if self.slider:
            self.slider.disabled = locked

    def _place(self, values: tuple) -> None:
        numbers = [value for value in values if not isinstance(value, str)]
        if numbers:
            self._showing = True  # the slider may stop at another value than the entry holds
            self.slider.value = numbers[0]
            self._showing = False

    def _slid(self, change: dict[str, Any]) -> None:
        with self._lock:
            if not self._showing:
                self.entry.value = text(sliders.stop(self.item, change["new"]))

    def _middle(self, parts: Parts) -> W.Box:
        if not self.slider:
            return parts(W.Box, [parts(W.Label, self.item.help, classes="labkit-quiet")], classes="labkit-middle")
        low, high = (f"{end:,.0f}" if self.item.kind == "int" else f"{end:g}" for end in sliders.ends(self.item))
        words = [parts(W.Label, self.item.low or low), parts(W.Label, self.item.high or high)]
        ends = parts(W.Box, words, classes="labkit-ends labkit-quiet")
        return parts(W.Box, [self.slider, ends], classes="labkit-middle")


def _entry(item: Control, parts: Parts) -> W.Text | W.Dropdown | W.Checkbox:
    common = {"description": sliders.label(item), "classes": "labkit-entry"}
    if item.kind == "bool":
        return parts(W.Checkbox, indent=False, **common)
    if item.choices and not item.grid:
        return parts(W.Dropdown, options=item.choices, **common)
    return parts(W.Text, continuous_update=False, **common)


def text(value: Any) -> str:
    """A value of a Spec as an entry shows it: exact, and a comma list where there are several."""
    return typed(value, ", ")
