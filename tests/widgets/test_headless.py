"""A panel where nobody looks: it trains in the cell and shows the same figure, still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_experiment import EXPERIMENT, FakeSpec

from labkit.charts.png import Still
from labkit.errors import BadInput, LabError
from labkit.runs import Store, Worker
from widgets import LivePanel, headless


@pytest.fixture(autouse=True)
def nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.delenv("LABKIT_LIVE", raising=False)


@pytest.mark.parametrize(
    ("environment", "live"),
    [
        ({}, False),
        ({"JPY_SESSION_NAME": "01.ipynb"}, True),
        ({"LABKIT_LIVE": "1"}, True),
        ({"JPY_SESSION_NAME": "01.ipynb", "LABKIT_LIVE": "0"}, False),
    ],
)
def test_who_looks(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], live: bool) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert headless.is_live() is live


def test_it_trains_to_the_end_and_shows_a_still_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[Any] = []
    panel = LivePanel(FakeSpec.of(store=str(tmp_path), seeds=2), experiment=EXPERIMENT)
    assert capsys.readouterr().out.splitlines()[-1].startswith("finished: 2 of 2 replicates in ")
    assert len(panel.run.results()) == 4
    assert isinstance(panel.figure("curve"), Still)
    monkeypatch.setattr("widgets.panel.display", shown.append)
    panel._ipython_display_()
    (picture,) = shown
    assert picture.data.startswith(b"\x89PNG")
    assert capsys.readouterr().out == "undecided: 4 results of a fake experiment\n"
    panel.close()


def test_what_was_stored_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        LivePanel(FakeSpec.of(store=str(tmp_path), seeds=1), experiment=EXPERIMENT).close()
    assert capsys.readouterr().out.splitlines()[-1] == "finished: all of it was stored already"


def test_live_and_still_are_one_chart(tmp_path: Path) -> None:
    """The picture is the live chart's specification with the live chart's rows."""
    from widgets.live_curve import live_curve, with_rows

    panel = LivePanel(FakeSpec.of(store=str(tmp_path), seeds=1, steps=3), experiment=EXPERIMENT)
    drawn = with_rows(EXPERIMENT, panel.run).to_dict()
    live = live_curve(EXPERIMENT, panel.spec).to_dict()
    rows = drawn["data"]["values"]
    assert len(rows) == 2 * 3
    different = {"data": None, "width": None}
    assert drawn | different == live | different
    assert live["data"] == {"name": "points"}
    panel.close()


def test_bad_input_and_failures_are_raised(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="steps = 13"):
        LivePanel(FakeSpec.of(store=str(tmp_path), steps=13), experiment=EXPERIMENT)
    with pytest.raises(RuntimeError, match="asked to break"):
        LivePanel(FakeSpec.of(store=str(tmp_path), fail_at=2), experiment=EXPERIMENT)


def test_an_incomplete_run_is_no_run(tmp_path: Path) -> None:
    panel = LivePanel(FakeSpec.of(store=str(tmp_path), seeds=2), experiment=EXPERIMENT)
    panel.store.remove(panel.view.points[0][1])
    with pytest.raises(LabError, match="not complete"):
        _ = panel.run
    with pytest.raises(LabError, match="not complete"):
        panel.claims()
    panel.close()


def test_progress_is_said_now_and_then(tmp_path: Path) -> None:
    lines: list[str] = []
    seconds = iter(range(10_000))
    with Store(tmp_path) as store:
        spec = FakeSpec.of(seeds=1, steps=5)
        headless.train(Worker(EXPERIMENT, spec, store), lines.append, lambda: next(seconds) * 0.25)
    assert lines[-1].startswith("finished: 1 of 1 replicates in ")
    assert lines[-2].startswith("walking plain · sparsity 0.5, seed 0 · 0 of 1 replicates · about ")
    assert len(lines) < 6


def test_an_interrupt_is_a_stop_that_can_be_resumed(tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    seconds = iter(range(10_000))
    with Store(tmp_path) as store:
        worker = Worker(EXPERIMENT, FakeSpec.of(seeds=1, steps=50), store)
        with pytest.raises(KeyboardInterrupt):
            headless.train(worker, interrupt, lambda: float(next(seconds)))
        assert [row["status"] for row in store.replicates()] == ["stopped"]
