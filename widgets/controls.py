"""Controls made from a Spec: every bound, unit and word is the Spec's own."""

from __future__ import annotations

import threading
from typing import Any

import ipywidgets as W
import traitlets

from labkit.errors import BadInput
from labkit.spec import Spec
from widgets.field import Field, text
from widgets.parts import Parts


class Controls(traitlets.HasTraits):
    """The controls of a Spec, and the Spec they make.

    Attributes:
        spec: the last usable Spec; a new one for every edit. Observe it to be told.
        error: why the present entries make no Spec, in one line; empty when they do.
        fields: the `Field` of each parameter, by name.
        said: the parameters that have no row in a lesson, with the values that are in force.
        widget: all rows; parameters whose ends have words stand in front, the others are folded away.
        more: what holds the folded rows; opened where one of them is to blame.

    Args:
        spec: what is shown at first.
        hidden: parameters without a row; they keep their value.
        fixed: the same for a lesson: their values are said in words, and another preset does not move them.
        lock: held while an edit is worked on, since callbacks may come on several threads.
    """

    spec = traitlets.Instance(Spec)
    error = traitlets.Unicode()

    def __init__(
        self,
        spec: Spec,
        *,
        hidden: tuple[str, ...] = (),
        fixed: tuple[str, ...] = (),
        lock: threading.RLock | None = None,
    ) -> None:
        super().__init__(spec=spec)
        self._lock = lock or threading.RLock()
        self._showing, self._fixed = False, fixed
        parts = Parts()
        self.fields = {
            name: Field(item, self._lock, parts)
            for name, item in sorted(spec.controls().items(), key=lambda pair: _place(pair[0]))
            if name not in (*hidden, *fixed)
        }
        self._general = W.Label().add_class("labkit-error")
        self.said = W.Label().add_class("labkit-fixed").add_class("labkit-quiet")
        self.widget = self._arranged()
        self.show(spec)
        for name, field in self.fields.items():
            field.entry.observe(lambda change, name=name: self._edited(name, change["new"]), "value")

    def show(self, spec: Spec) -> None:
        """Set every control to this Spec, exactly."""
        with self._lock:
            self._showing = True
            for name, field in self.fields.items():
                field.show(getattr(spec, name), spec.preset)
            self._showing = False
            self._general.value = ""
            self.said.value = said(spec, self._fixed)
            self.error = ""
            self.spec = spec

    def blame(self, error: BadInput) -> None:
        """Show why the present entries cannot be used, beside the control that is to blame."""
        with self._lock:
            for field in self.fields.values():
                field.complaint.value = ""
            at_fault = self.fields.get(error.parameter)
            (at_fault.complaint if at_fault else self._general).value = str(error)
            if at_fault and at_fault.widget in self.more.children[0].children:
                self.more.selected_index = 0  # a complaint in a closed fold would be read by nobody
            self.error = str(error)

    def lock(self, locked: bool) -> None:
        """Keep every control from being edited, or allow it again."""
        for field in self.fields.values():
            field.lock(locked)

    def _edited(self, name: str, new: Any) -> None:
        with self._lock:
            if self._showing:
                return
            entered = {other: field.entry.value for other, field in self.fields.items()}
            entered[name] = new  # an edit on another thread may have drawn the old value over it meanwhile
            entered = {other: self.fields[other].meant(given) for other, given in entered.items()}
            # A changed preset moves the fields that held the old one's value; the other entries say nothing then.
            if name == "preset":
                entered = {"preset": entered["preset"]} | {other: getattr(self.spec, other) for other in self._fixed}
            try:
                spec = self.spec.changed(**entered)
            except BadInput as error:
                self.blame(error)
            else:
                self.show(spec)

    def _arranged(self) -> W.VBox:
        main = [field.widget for field in self.fields.values() if field.slider or field.item.name == "preset"]
        rest = [field.widget for field in self.fields.values() if field.widget not in main]
        self.more = W.Accordion([W.VBox(rest)], titles=("More settings",)).add_class("labkit-more")
        return W.VBox([*main, *([self.more] if rest else []), self.said, self._general]).add_class("labkit-controls")


def said(spec: Spec, names: tuple[str, ...]) -> str:
    """Parameters that a lesson fixes, in a sentence; empty without any."""
    values = [f"{name.replace('_', ' ')} {text(getattr(spec, name)) or 'empty'}" for name in names]
    return f"Fixed for this lesson: {'; '.join(values)}." if values else ""


def _place(name: str) -> int:
    """The preset first, then what is this experiment's own, then what all experiments share."""
    return 0 if name == "preset" else 2 if name in Spec.model_fields else 1


def build(spec: Spec, **options: Any) -> Controls:
    """The controls of a Spec; options as for `Controls`."""
    return Controls(spec, **options)
