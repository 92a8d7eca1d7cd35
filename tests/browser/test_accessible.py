"""The panel for a hand without a mouse, for ears, for weak eyes and at the back of a room, in a real JupyterLab."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from itertools import pairwise

import pytest
from lab_driver import Lab, Panel
from playwright.sync_api import Browser, Page, expect
from seen_and_said import PANEL, faint, focused, misplaced, project, rules
from test_panel_in_browser import TESTS, write_with
from watching import ARTEFACTS, watched

pytestmark = pytest.mark.browser

SMALL = {"data": "digits", "seeds": 2, "budget": "4", "sparsity": "0.5", "epsilon": "2"}
ARROWS = "[role=slider]"
NOTES = """() => {  // what is announced, with the time in ms, and what has the focus, from now on
  const place = document.querySelector(".labkit-news");
  [window.news, window.focuses] = [[], []];
  const note = () => window.news.push([performance.now(), place.textContent]);
  new MutationObserver(note).observe(place, { childList: true });
  document.addEventListener("focusin", (event) => window.focuses.push(event.target.textContent));
}"""
FLURRY = """async () => {  // a second of mere progress, then three and a half in which the state changes as fast
  const status = document.querySelector(".labkit-status"), before = status.textContent;
  for (let i = 0; i < 45; i++) {
    status.textContent = i < 10 ? `progress ${i}` : `state ${i}`;
    if (i >= 10) status.classList.toggle("labkit-is-paused");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  status.classList.remove("labkit-is-paused");
  status.textContent = before;
}"""
FAILING = """
panel.close()
from fake_experiment import EXPERIMENT, FakeSpec

panel = LivePanel(FakeSpec.of(fail_at=3), experiment=EXPERIMENT)
panel"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    started = Lab(folder, tmp_path_factory.mktemp("store"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def ready(lab: Lab, browser: Browser) -> Iterator[Page]:
    """Notebook 00 before its first run: one page for all that is looked at."""
    with watched(browser, "accessible") as page:
        lab.open(page, write_with(lab.root, "00_tour.ipynb", **SMALL))
        lab.run_all(page)
        Panel(page).says("Ready. Press Run.")
        yield page


@pytest.fixture(scope="module")
def finished(ready: Page) -> Page:
    """The same after a run that was begun and watched by keys alone."""
    panel = Panel(ready)
    panel.button("run").focus()
    ready.evaluate(NOTES)
    ready.keyboard.press("Enter")
    panel.says("Finished")
    expect(panel.button("run")).to_be_focused()
    return ready


@pytest.fixture(scope="module")
def failed(lab: Lab, finished: Page) -> Page:
    """The panel of another experiment, in the first one's place, that has failed; for the last test alone."""
    shutil.copy(TESTS / "fake_experiment.py", lab.root)
    last = finished.locator(".jp-CodeCell").last
    last.locator(".cm-content").click()
    finished.keyboard.press("Control+A")
    finished.keyboard.insert_text(FAILING.strip())
    finished.keyboard.press("Control+Enter")
    last.locator("button.labkit-run").press("Space")
    Panel(finished).says("Failed: ")
    return finished


def in_theme(page: Page, name: str) -> None:
    """JupyterLab's light or dark theme, by its menu."""
    page.locator(".lm-MenuBar-itemLabel", has_text="Settings").click()
    page.locator(".lm-Menu-itemLabel", has_text="Theme").first.hover()
    page.get_by_role("menuitemcheckbox").or_(page.get_by_role("menuitem")).get_by_text(
        f"JupyterLab {name}", exact=True
    ).click()
    page.wait_for_selector(f"body[data-jp-theme-name='JupyterLab {name}']", state="attached")
    page.wait_for_timeout(300)


def walk(page: Page, back: bool = False) -> list[tuple[str, bool, str]]:
    """What Tab reaches, one after the other, until it leaves the panel."""
    steps = [focused(page)]
    while not steps[-1][0].startswith("outside"):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        steps.append(focused(page))
        assert len(steps) < 60, "Tab never leaves the panel"
    return steps[:-1]


def test_tab_reaches_everything_in_the_order_of_the_eye(ready: Page) -> None:
    ready.locator(f"{PANEL} select").first.focus()
    steps = walk(ready)
    names = [name for name, _, _ in steps]
    main = ["sparsity", "budget", "epsilon", "seeds"]
    expected = ["preset select", *(f"{name} {what}" for name in main for what in ("input", "slider"))]
    assert names[:10] == [*expected, "More settings"]
    assert names[10] == "Run"
    assert "Copy as command" in names[11:]
    assert [name for name, outlined, _ in steps if not outlined] == []
    assert [label for name, _, label in steps if name.endswith("slider")] == main
    last = ready.locator(f"{PANEL} :is(button, input):enabled:visible").last
    last.focus()
    assert [name for name, _, _ in walk(ready, back=True)] == names[::-1]


def test_settings_are_unfolded_by_a_key_and_then_reached(ready: Page) -> None:
    fold = ready.get_by_role("button", name="More settings")
    expect(fold).to_have_attribute("aria-expanded", "false")
    for key, state in (("Enter", "true"), ("Space", "false"), ("Space", "true")):
        fold.press(key)
        expect(fold).to_have_attribute("aria-expanded", state)
    ready.keyboard.press("Tab")
    assert focused(ready)[:2] == ("seed input", True)
    fold.press("Enter")


def test_arrows_move_a_slider_and_its_value_is_said(ready: Page) -> None:
    panel = Panel(ready)
    for field, keys, entered in (
        ("sparsity", "ArrowRight ArrowUp ArrowLeft", "0.51"),
        ("epsilon", "ArrowRight", "2.1"),
    ):
        handle = ready.locator(f".labkit-field-{field} {ARROWS}")
        before = panel.entry(field).input_value()
        for key in keys.split():
            handle.press(key)
            ready.wait_for_timeout(150)
        expect(panel.entry(field)).to_have_value(entered)
        assert float(handle.get_attribute("aria-valuetext")) == float(entered)  # not its logarithm
        expect(handle).to_be_focused()
        panel.type(field, before)


def test_a_plain_key_on_a_button_is_no_command_to_the_notebook(ready: Page) -> None:
    cells = ready.locator(".jp-Cell").count()
    for where in (Panel(ready).button("run"), ready.locator(f".labkit-field-seeds {ARROWS}")):
        for key in ("x", "b", "d", "d"):  # cut the cell, a new one, delete it
            where.press(key)
    ready.wait_for_timeout(200)
    assert ready.locator(".jp-Cell").count() == cells
    expect(ready.locator(PANEL)).to_be_visible()


def test_what_cannot_be_used_is_said_with_the_entry(ready: Page) -> None:
    panel = Panel(ready)
    entry = panel.entry("sparsity")
    panel.type("sparsity", "1.2")
    expect(entry).to_have_attribute("aria-invalid", "true")
    said = ready.evaluate(
        "(e) => e.getAttribute('aria-describedby').split(' ').map((id) => document.getElementById(id).textContent)",
        entry.element_handle(),
    )
    assert "removed" in said[0]
    assert "sparsity = '1.2' is not usable" in said[-1]
    expect(ready.locator(".labkit-news")).to_contain_text("sparsity = '1.2' is not usable")
    panel.type("sparsity", "0.5")
    expect(entry).not_to_have_attribute("aria-invalid", "true")


def test_the_focus_goes_to_what_may_be_pressed_next(finished: Page) -> None:
    assert finished.evaluate("window.focuses")[:2] == ["Pause", "Run"]  # begun with Run, which then was off


def test_a_run_is_announced_in_words_that_do_not_flood(finished: Page) -> None:
    expect(finished.locator(f"{PANEL} [role=status][aria-live=polite]")).to_contain_text("Finished: 2 of 2 replicates")
    said = len(finished.evaluate("window.news"))
    assert finished.evaluate("window.news.at(-1)[1]").endswith(Panel(finished).verdict.inner_text())
    finished.evaluate(FLURRY)
    news = finished.evaluate("window.news")
    assert "progress" not in "".join(text for _, text in news)  # of one and the same state, seconds after the last
    assert said < len(news) <= said + 2
    assert min(later - earlier for (earlier, _), (later, _) in pairwise(news)) > 2900  # ms


def test_charts_and_bars_say_what_they_show(finished: Page) -> None:
    panel = Panel(finished)
    verdict = panel.verdict.inner_text()
    said = panel.chart.get_attribute("aria-label")
    assert said.startswith("Chart of accuracy on the selection split against training step.")
    assert "dense parent 0." in said
    assert said.endswith(verdict)
    for figure in finished.locator("img.labkit-figure").all():  # drawn after the run: title, what is drawn, verdict
        expect(figure).to_have_attribute("alt", re.compile(rf"^.+\n.+; .+\n{re.escape(verdict)}$"))
    expect(finished.get_by_role("progressbar", name="how far the run is")).to_have_attribute("aria-valuenow", "100")
    expect(finished.get_by_role("meter", name="share of epsilon that is spent")).to_have_attribute(
        "aria-valuenow", "100"
    )
    expect(finished.get_by_role("button", name="Open the run quick; seeds 2")).to_be_visible()


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_no_rule_is_broken_and_every_text_has_contrast(finished: Page, theme: str) -> None:
    """The whole panel, no rule left out; also with an entry that is refused and with the folded settings in view."""
    ARTEFACTS.mkdir(exist_ok=True)
    in_theme(finished, theme)
    Panel(finished).type("sparsity", "1.2")
    expect(finished.locator(".labkit-field-sparsity .labkit-error")).not_to_be_empty()
    fold = finished.get_by_role("button", name="More settings")
    fold.click()
    finished.locator(PANEL).screenshot(path=ARTEFACTS / f"accessible-{theme.lower()}.png")
    tried, wrong = rules(finished, PANEL, "img.labkit-figure")
    texts, too_faint = faint(finished)
    fold.click()
    Panel(finished).type("sparsity", "0.5")
    table = [f"| {rule} | {count} | {len(wrong.get(rule, ()))} |" for rule, count in sorted(tried.items())]
    table += [f"| contrast of at least 4.5, measured on every text | {texts} | {len(too_faint)} |"]
    head = ["| rule | elements | broken or undecided |", "| --- | --- | --- |"]
    (ARTEFACTS / f"axe-{theme.lower()}.md").write_text("\n".join([*head, *table, ""]))
    assert wrong == {}
    assert len(tried) > 15
    assert too_faint == []
    assert texts > 60


@pytest.mark.parametrize(("width", "height", "zoom"), [(1280, 720, 1.5), (1024, 768, 1.0), (1024, 768, 1.5)])
def test_a_projector_cuts_nothing_off(finished: Page, width: int, height: int, zoom: float) -> None:
    fold = finished.get_by_role("button", name="More settings")
    fold.click()
    project(finished, width, height, zoom)
    found = misplaced(finished)
    finished.screenshot(path=ARTEFACTS / f"accessible-projector-{width}-{zoom:g}.png")
    project(finished, 1280, 1500, 1.0)
    fold.click()
    assert found == []


def test_what_has_failed_breaks_no_rule_either(failed: Page) -> None:
    in_theme(failed, "Dark")
    assert rules(failed, PANEL)[1] == {}
    assert faint(failed)[1] == []
    assert misplaced(failed) == []
    expect(Panel(failed).rows.first).to_contain_text("asked to break")  # for who has no mouse to hover with
    in_theme(failed, "Light")
