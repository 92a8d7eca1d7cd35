"""Stored texts that are markup: a query, an error, a parameter. None of them may act where it is shown."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
import vl_convert
from fake_experiment import EXPERIMENT, FakeSpec
from hypothesis import given
from hypothesis import strategies as st
from killable import DATA
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from labkit import cli
from labkit.charts.queries_text import text_table
from labkit.charts.theme import themed
from labkit.cli.table import printable
from labkit.runs import Store, View, Worker
from labkit.runs.events import Result
from tools import report
from tools.results import grid
from widgets.headless import train
from widgets.live_curve import with_rows

HOSTILE = "<img src=x onerror=\"document.title='run'\">"
TERMINAL = "\x1b]0;mine\x07\x1b[2J\nrm\u202e"
WIDGETS = Path(__file__).parents[2] / "widgets"


class Tags(HTMLParser):
    """The elements of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


def svg(chart) -> str:
    return vl_convert.vegalite_to_svg(chart.to_json())


def test_in_a_table_of_a_chart_it_is_text():
    drawn = svg(themed(text_table([("model", "query"), ("tuned", HOSTILE)], (0, 190))))
    assert "&lt;img" in drawn
    assert "img" not in Tags(drawn).tags


def test_in_the_live_curve_it_is_text(tmp_path):
    def run(point, seed, resources):
        for event in EXPERIMENT.run(point, seed, resources):
            yield type(event)(event.series, event.values | {"arm": HOSTILE}) if hasattr(event, "series") else event

    with Store(tmp_path) as store:
        spec = FakeSpec.of(sparsity=0.5, seeds=1, steps=3, device="cpu")
        experiment = dataclasses.replace(EXPERIMENT, run=run)
        train(Worker(experiment, spec, store, load=lambda *unused: DATA), lambda said: None)
        drawn = svg(with_rows(experiment, View(store, experiment, spec, DATA.fingerprint)))
    assert "&lt;img" in drawn
    assert "img" not in Tags(drawn).tags


def test_no_script_of_the_panel_makes_markup_of_a_text():
    # An innerHTML that is written out in the script holds nothing that was stored.
    makers = re.compile(
        r"innerHTML(?! = '[^'$]*';)|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc|\beval\b"
    )
    assert makers.search("el.innerHTML = `<b>${text}</b>`;")
    scripts = sorted(WIDGETS.glob("*.js"))
    assert len(scripts) >= 3
    assert {file.name: found for file in scripts if (found := makers.findall(file.read_text()))} == {}


def test_no_widget_but_two_makes_markup_and_both_escape():
    """The two are looked at in tests/widgets: a stored text in each is no markup."""
    makers = re.compile(r"\bW\.HTML\w*\(|allow_html|_repr_html_|text/html|display\(HTML")
    found = {file.name for file in WIDGETS.glob("*.py") if makers.search(file.read_text())}
    assert found <= {"board.py", "live_table.py"}


@pytest.fixture
def stored(tmp_path):
    """A store whose one run failed with a hostile text, on hostile data, with a hostile arm and value."""
    spec = FakeSpec.of(data=HOSTILE + TERMINAL, sparsity=0.5, seeds=1, device="cpu")

    def run(point, seed, resources):
        yield Result(HOSTILE + TERMINAL, {"query": HOSTILE + TERMINAL})
        raise RuntimeError(HOSTILE + TERMINAL)

    with Store(tmp_path / "store") as store:
        worker = Worker(dataclasses.replace(EXPERIMENT, run=run), spec, store, load=lambda *unused: DATA)
        with pytest.raises(RuntimeError, match="onerror"):
            list(worker.run())
        yield store


@pytest.mark.parametrize("command", ["show", "runs"])
def test_on_a_terminal_it_drives_nothing(stored, capsys, command):
    (row,) = stored.replicates()
    named = [row["name"]] if command == "show" else []
    assert cli.main([command, *named, "--store", str(stored.path)]) == 0
    out = capsys.readouterr().out
    assert "onerror" in out
    assert r"\x1b]0;mine\x07\x1b[2J\nrm\u202e" in out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out)


def test_nor_does_an_error_that_names_it(tmp_path, capsys):
    assert cli.main(["show", TERMINAL, "--store", str(tmp_path)]) == 2
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", capsys.readouterr().err)


@given(st.text())
def test_what_is_printable_is_one_line_and_keeps_what_can_be_read(text):
    said = printable(text)
    assert said.isprintable()
    assert printable("Größe, 大小: \\n") == "Größe, 大小: \\n"
    assert said == text or not text.isprintable()


def test_in_a_markdown_table_it_is_text():
    assert grid([["a", "b"], [f"{HOSTILE} | x\ny", "p < 1 & q"]]).splitlines()[2:] == [
        f"| &lt;img {HOSTILE[5:]} \\| x y | p &lt; 1 &amp; q |"
    ]


def executed(folder: Path, *outputs, name="01_case", prose="# Case") -> Path:
    notebook = new_notebook(cells=[new_markdown_cell(prose), new_code_cell(f"x = {HOSTILE!r}", outputs=list(outputs))])
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def test_in_the_report_it_is_text(tmp_path):
    printed = new_output("stream", text=HOSTILE)
    shown = new_output("display_data", data={"text/plain": HOSTILE})
    failed = new_output("error", ename=HOSTILE, evalue=HOSTILE, traceback=[HOSTILE])
    name = "x' onmouseover='alert(1)'\" onclick=\"alert(1)"
    page = report.build([executed(tmp_path, printed, shown, failed, name=name)], HOSTILE)
    assert page.count("&lt;img") >= 4
    assert "img" not in Tags(page).tags


@pytest.mark.parametrize(
    "markup",
    [
        HOSTILE,
        '<svg onload="alert(1)"></svg>',
        "<b title='>' onclick=alert(1)>x</b>",
        '<a href="java\nscript:alert(1)">x</a>',
        '<iframe srcdoc="x"></iframe>',
        '<meta http-equiv="refresh" content="0">',
        '<form action="/">x</form>',
    ],
)
@pytest.mark.parametrize("kind", ["prose", "text/html", "text/markdown"])
def test_a_report_in_which_it_is_markup_is_refused(tmp_path, markup, kind):
    if kind == "prose":
        path = executed(tmp_path, prose=markup)
    else:
        path = executed(tmp_path, new_output("display_data", data={kind: markup}))
    with pytest.raises(report.NotSelfContained, match="would load or run"):
        report.build([path])
