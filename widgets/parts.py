"""Small widgets by the hundred, with little to send to the page."""

from __future__ import annotations

from typing import TypeVar

import ipywidgets as W

Kind = TypeVar("Kind", bound=W.DOMWidget)


class Parts:
    """Makes the widgets of a panel's rows.

    ipywidgets opens a comm of its own for every widget's layout and another for its style, and sends every class that
    is added later in a message of its own: a panel of forty rows sent some 1,600 before a page could show it. What is
    made here has its classes from the start, and shares one layout and, by kind, one style. So none of these may have
    its layout or style changed: it would change all of them.
    """

    def __init__(self) -> None:
        self._layout = W.Layout()
        self._styles: dict[type[W.Widget], W.Widget] = {}

    def __call__(self, kind: type[Kind], *given: object, classes: str = "", **options: object) -> Kind:
        """A widget of this kind.

        Args:
            classes: CSS classes, with spaces between them.
            given, options: as for the kind itself.
        """
        if "style" in kind.class_trait_names():
            options["style"] = self._style(kind.style.klass)
        return kind(*given, layout=self._layout, _dom_classes=tuple(classes.split()), **options)

    def _style(self, kind: type[W.Widget]) -> W.Widget:
        if kind not in self._styles:
            self._styles[kind] = kind()
        return self._styles[kind]
