"""What the panel looks like: the widgets and their places, and which buttons may be pressed when."""

from __future__ import annotations

import html
from pathlib import Path

import ipywidgets as W

from widgets.access import Access
from widgets.command_line import CommandLine
from widgets.controls import Controls
from widgets.gauge import Gauge
from widgets.live_chart import LiveChart
from widgets.live_table import LiveTable
from widgets.run_table import RunTable
from widgets.state_line import StateLine
from widgets.where import Where

STYLE = Path(__file__).with_name("panel.css")
USABLE = {  # buttons that do something in each state
    "idle": ("run",),
    "running": ("pause", "stop"),
    "pausing": ("resume", "stop"),
    "paused": ("resume", "stop"),
    "stopping": (),
    "replaced": (),
}
TONES = ("calm", "busy", "good", "bad")


class Board:
    """The panel's widgets, without what happens when they are used.

    Args:
        question: the panel's heading.
        controls: the Spec's controls.
        spec: the live chart, as a Vega-Lite specification.
        store: the folder of the results, shown in full.
        table: of the latest rows of a series, below the chart; None for none.
        state: the line that restores the controls' state; None for none.
    """

    def __init__(
        self,
        question: str,
        controls: Controls,
        spec: dict,
        store: Path,
        table: LiveTable | None = None,
        state: StateLine | None = None,
    ) -> None:
        self.controls, self.state = controls, state
        self.buttons = {
            "run": _button("Run", "Train with these parameters, or go on where it stopped", "play", "primary"),
            "pause": _button("Pause", "Wait after the step in work; nothing is lost", "pause"),
            "resume": _button("Resume", "Go on", "play", "primary"),
            "stop": _button("Stop", "End after the step in work; Run goes on from there", "stop"),
        }
        self.where = Where()
        self.status = W.Label().add_class("labkit-status")
        self.bar = W.FloatProgress(min=0, max=1).add_class("labkit-bar")
        self.facts = W.Label().add_class("labkit-facts").add_class("labkit-quiet")
        self.gauge = Gauge()
        self.chart, self.table = LiveChart(spec), table
        self.verdict = W.Label().add_class("labkit-verdict")
        self.runs = RunTable().add_class("labkit-table")
        self.command = CommandLine()
        buttons = W.Box(list(self.buttons.values())).add_class("labkit-buttons")
        self.widget = W.VBox(
            [
                W.HTML(
                    f"<style>{STYLE.read_text()}</style><h3>{html.escape(question[:1].upper() + question[1:])}</h3>"
                ).add_class("labkit-head"),
                controls.widget,
                W.Box([buttons, self.status]).add_class("labkit-bridge"),
                self.where.widget,
                self.bar,
                self.facts,
                self.gauge.widget,
                self.chart,
                *([table.widget] if table else []),
                self.verdict,
                self.runs,
                self.command,
                *([state.widget] if state else []),
                W.Label(f"Results are kept in {store}").add_class("labkit-store").add_class("labkit-quiet"),
                Access(),
            ]
        ).add_class("labkit-panel")
        self.verdict.layout.display = "none"

    def show_state(self, state: str, text: str, tone: str = "calm") -> None:
        """Say how things stand, and leave on only what may be pressed now.

        Args:
            state: a key of `USABLE`.
            text: one line.
            tone: one of `TONES`; the text says it as well, the colour only helps.
        """
        for name, button in self.buttons.items():
            button.disabled = name not in USABLE[state] or bool(name == "run" and self.controls.error)
        waits = state in ("pausing", "paused")
        self.buttons["pause"].layout.display = "none" if waits else None
        self.buttons["resume"].layout.display = None if waits else "none"
        self.controls.lock(state != "idle")
        self.where.lock(state != "idle")
        if self.state:
            self.state.lock(state != "idle")
        self.runs.locked = state != "idle"
        with self.status.hold_sync():  # words and classes come together: the page announces a state by them
            self.status.value = text
            for other in (*TONES, *(f"is-{name}" for name in USABLE)):
                self.status.remove_class(f"labkit-{other}")
            self.status.add_class(f"labkit-{tone}").add_class(f"labkit-is-{state}")

    def close(self) -> None:
        """Take every widget off the page, with the layouts and styles that ipywidgets would keep."""
        waiting: list[W.Widget] = [self.widget]
        while waiting:
            widget = waiting.pop()
            waiting += getattr(widget, "children", ())
            waiting += (getattr(widget, name) for name in ("layout", "style") if widget.has_trait(name))
            widget.close()

    def show_verdict(self, text: str) -> None:
        """The verdict in words; nothing while there is none."""
        self.verdict.value = text
        self.verdict.layout.display = None if text else "none"


def _button(text: str, tooltip: str, icon: str, style: str = "") -> W.Button:
    button = W.Button(description=text, tooltip=tooltip, icon=icon, button_style=style)
    return button.add_class(f"labkit-{text.lower()}")
