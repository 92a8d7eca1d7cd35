"""A page in a real Chromium that may talk to this machine alone, and whose last picture is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_driver import CHROMIUM_ARGS, Lab
from playwright.sync_api import Browser, Page, sync_playwright
from watching import ARTEFACTS, watched


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium_path, args=CHROMIUM_ARGS)
        yield launched
        launched.close()


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Lets fixtures know whether their test has failed."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page; at the end nothing may have left this machine and no script may have failed."""
    with watched(browser, request.node.name, lambda: request.node.stash.get(FAILED, False)) as opened:
        yield opened


@pytest.fixture
def shoot(page: Page, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Keeps a picture of what the page shows, or of the whole notebook, under a name."""

    def picture(name: str, whole: bool = False) -> None:
        ARTEFACTS.mkdir(exist_ok=True)
        size = page.viewport_size
        if whole:  # the notebook scrolls in itself, so the window must be as tall as its cells
            page.evaluate("document.querySelector('.jp-Cell').scrollIntoView()")
            last = page.locator(".jp-Cell").last.bounding_box()
            page.set_viewport_size({"width": size["width"], "height": int(last["y"] + last["height"]) + 60})
            page.wait_for_timeout(300)
        else:
            page.evaluate("document.querySelector('.labkit-panel')?.scrollIntoView()")
        page.screenshot(path=ARTEFACTS / f"{request.node.name}-{name}.png")
        page.set_viewport_size(size)

    return picture


@pytest.fixture
def start_lab(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Starts a JupyterLab on an empty folder; on a failure its last words are printed."""
    started: list[Lab] = []

    def start(**options: object) -> Lab:
        root = tmp_path / "lab"
        root.mkdir()
        started.append(Lab(root, tmp_path / "store", **options))
        return started[-1]

    yield start
    for lab in started:
        lab.close()
        print((lab.root / "lab.log").read_text()[-2000:])
