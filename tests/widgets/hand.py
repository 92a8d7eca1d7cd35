"""What a hand does at a panel and an eye sees, by the traits that a browser would set and show."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from widgets import LivePanel

SOON = 10.0


def until(condition: Callable[[], object], what: str = "", seconds: float = SOON) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain {what}"
        time.sleep(0.005)


class Hand:
    """What a hand does and an eye sees."""

    def __init__(self, panel: LivePanel) -> None:
        self.panel, self.board = panel, panel.live.board

    def press(self, name: str) -> None:
        button = self.board.buttons[name]
        assert not button.disabled, f"{name} cannot be pressed: {self.says()}"
        button.click()

    def says(self) -> str:
        return self.board.status.value

    def usable(self) -> set[str]:
        return {name for name, button in self.board.buttons.items() if not button.disabled}

    def entry(self, name: str) -> Any:
        return self.board.controls.fields[name].entry

    def slider(self, name: str) -> Any:
        return self.board.controls.fields[name].slider

    def points(self) -> int:
        return len(self.board.chart.rows)

    def wait_for(self, text: str, seconds: float = SOON) -> None:
        until(lambda: text in self.says(), f"for {text!r}; it says {self.says()!r}", seconds)

    def runs(self) -> list[tuple[str, str]]:
        return [(row["state"], row["parameters"]) for row in self.board.runs.rows]
