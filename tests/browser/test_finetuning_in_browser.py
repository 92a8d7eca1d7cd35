"""A person watches rows being fine-tuned, in notebook 05's panel in a real JupyterLab in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from lab_driver import Lab, Panel
from playwright.sync_api import Page, expect
from test_panel_in_browser import write_with

pytestmark = pytest.mark.browser

SMALL = {
    "data": "digits", "method": "head", "epsilon": "8", "batch_size": 256, "epochs": 2.0, "evaluations": 4, "seeds": 1,
    "landscape_size": 0,
}  # fmt: skip
FIGURES = ["finetune_ordered", "finetune_table", "finetune_verdicts", "finetune_agreement", "finetune_noise", "ledger"]
PATIENCE = 30_000  # ms, as for the steps of the page itself


def test_a_person_watches_rows_being_fine_tuned(
    start_lab: Callable[..., Lab], page: Page, shoot: Callable[..., None]
) -> None:
    lab = start_lab(subshells=True)
    lab.open(page, write_with(lab.root, "05_private_sparse_finetuning.ipynb", **SMALL))
    lab.run_all(page)
    panel, field = Panel(page), page.locator(".labkit-field-sparsity")
    ends = field.locator(".labkit-ends .widget-label")
    complaints = page.locator(".labkit-error").filter(has_text=re.compile(r"\S"))
    lines, marks = (panel.chart.locator(f".mark-{kind}.role-mark path") for kind in ("line", "symbol"))
    figures = [page.locator(f".labkit-figure-{name} img") for name in FIGURES]
    panel.says("Ready. Press Run.")
    placeholders = [figure.get_attribute("src") for figure in figures]

    # Methods of fixed size refuse a sparsity. What they move is counted first, so only Run can tell.
    expect(ends).to_have_text(["nearly all weights move", "hardly any row moves"])
    panel.drag("sparsity", 0.3)
    expect(panel.entry("sparsity")).to_have_value(re.compile(r"^0\.(2|3)\d?$"))
    sparsity = panel.entry("sparsity").input_value()
    expect(field.locator(".labkit-note")).to_have_text("(quick: 0.8)")
    panel.button("run").click()
    panel.says("These parameters cannot be used.")
    refused = "is not usable; allowed: no sparsity with methods of fixed size: head moves 2,570 numbers"
    expect(complaints).to_have_text([f"sparsity = '{sparsity}' {refused}"])
    expect(field.locator(".labkit-error")).to_be_visible()
    expect(panel.button("run")).to_be_disabled()
    expect(page.locator(".labkit-table")).to_have_text("No earlier runs in this store.")  # so nothing was trained
    expect(marks).to_have_count(0)
    for part in (panel.spent, panel.verdict):
        expect(part).to_be_hidden()
    shoot("1-refused")

    page.get_by_text("More settings").click()
    panel.type("method", "all, sparta")
    expect(complaints).to_have_count(0)
    panel.drag("epsilon", 0.5)
    expect(panel.entry("epsilon")).to_have_value(re.compile(r"^3(\.\d)?$"))
    epsilon = panel.entry("epsilon").input_value()
    panel.button("run").click()
    panel.wait_for_points(1)
    # The gauge is that of random rows, which are not trained first.
    spent = re.compile(rf"epsilon [\d.]+ of {epsilon} spent after \d+ of 10 steps")
    expect(panel.spent).to_contain_text(spent, timeout=PATIENCE)
    shoot("2-running")
    panel.says("Finished: 3 of 3 replicates", seconds=60)  # random rows run beside the two that were asked for
    assert panel.points() == 3 * 4  # fine-tunes, looks: every row once
    # That counts the rows that the chart was handed; a person sees what was drawn of them.
    expect(lines).to_have_count(3)
    expect(marks).to_have_count(3 * 4)
    expect(marks.first).to_be_visible()
    expect(panel.chart.locator(".role-legend-label text")).to_have_text(["all weights", "random rows", "SPARTA, |sum|"])
    for arm, colour in {"all": "#333333", "random-rows": "#0072B2", "sparta": "#D55E00"}.items():  # as in the figures
        expect(panel.chart.locator(f".mark-line.role-mark path[aria-label*='arm: {arm};']")).to_have_attribute(
            "stroke", colour
        )
    axis = panel.chart.locator("[aria-label^='X-axis']")
    expect(axis).to_have_attribute("aria-label", re.compile("from 0 to 10$"))
    expect(panel.spent).to_contain_text(f"a network of epsilon {epsilon}")
    for one, other in (("sparta", "all"), ("random", "all"), ("sparta", "random")):
        expect(panel.verdict).to_contain_text(f"epsilon {epsilon}: {one} against {other}: undecided")
    for part in (panel.spent, panel.verdict):
        expect(part).to_be_visible()
    expect(panel.rows).to_have_count(1)
    expect(panel.rows).to_contain_text(f"epsilon {epsilon}; method all, sparta; sparsity {sparsity}")

    for figure, placeholder in zip(figures, placeholders, strict=True):
        expect(figure).not_to_have_attribute("src", placeholder, timeout=PATIENCE)
        figure.evaluate("(image) => image.decode()")  # raises where the bytes are no picture
    claims = page.locator(".jp-CodeCell").last
    claims.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    expect(claims).to_contain_text("holds: the share of weights frozen is the sparsity", timeout=PATIENCE)
    expect(claims).not_to_contain_text("FAILS")
    shoot("3-finished", whole=True)

    # A refusal is seen although its row is folded away, and is gone with its cause.
    panel.type("batch_size", "100000")
    page.get_by_text("More settings").click()
    expect(panel.entry("batch_size")).to_be_hidden()
    panel.button("run").click()
    panel.says("These parameters cannot be used.")
    expect(page.locator(".labkit-field-batch_size .labkit-error")).to_be_visible()
    panel.type("batch_size", "256")
    panel.says("Ready. Press Run.")

    # The first run's rows came as messages, so that nothing in the page's traits tells of their end.
    panel.mark_drawing()
    panel.type("epsilon", "1.5")
    panel.button("run").click()
    panel.says("Finished: 3 of 3 replicates", seconds=60)
    assert panel.same_drawing()  # a new one would begin empty by itself
    for drawn in (marks, panel.chart.locator(".mark-symbol.role-mark path[aria-label*='epsilon: 1.5;']")):
        expect(drawn).to_have_count(3 * 4)
    assert panel.points() == 3 * 4
