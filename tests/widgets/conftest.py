"""Live panels on a store of their own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_experiment import EXPERIMENT

from labkit.runs import experiment as base
from widgets import LivePanel
from widgets.session import active


@pytest.fixture
def make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[..., LivePanel]]:
    """Makes live panels on one store; at the end nothing may go on, and no callback may have raised."""
    monkeypatch.setenv("LABKIT_LIVE", "1")
    made: list[LivePanel] = []

    def panel(experiment: base.Experiment = EXPERIMENT, **given: Any) -> LivePanel:
        made.append(LivePanel(experiment.spec.of(store=str(tmp_path / "store"), **given), experiment=experiment))
        return made[-1]

    with caplog.at_level(logging.WARNING):
        yield panel
    for one in made:
        one.close()
    assert active() == []
    assert [thread.name for thread in threading.enumerate() if "labkit" in thread.name] == []
    assert [record.getMessage() for record in caplog.records] == []
