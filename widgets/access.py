"""The panel by keys and by ear: names, values and states for a screen reader, and news that do not flood it."""

from __future__ import annotations

from pathlib import Path

import anywidget


class Access(anywidget.AnyWidget):
    """To be put into the panel whose widgets it names; nothing of it is seen.

    ipywidgets gives a slider no name and, on a log scale, the exponent as its value; its folded settings open by a
    mouse only; JupyterLab takes plain keys for commands to the notebook. All of that is in the page, so it is mended
    there.
    """

    _esm = Path(__file__).with_suffix(".js")
