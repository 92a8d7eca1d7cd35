"""A page that is asked at its end what it fetched and what failed in it, and whose last picture is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

from playwright.sync_api import Browser, Page, Request

ARTEFACTS = Path(__file__).parents[2] / "test-artefacts"


@contextmanager
def watched(browser: Browser, name: str, failed: Callable[[], bool] = lambda: False) -> Iterator[Page]:
    """A page; at the end nothing may have left this machine and no script may have failed.

    Args:
        browser: where it is opened.
        name: of the last picture, `NAME-end.png` among the artefacts.
        failed: whether the test has; then what the page's scripts complained of, and what it shows, is printed, for
            where nobody has the picture.
    """
    strangers: list[str] = []
    failures: list[str] = []
    complaints: list[str] = []

    def look(asked: Request) -> None:
        if urlparse(asked.url).scheme in ("http", "https", "ws", "wss"):
            host = urlparse(asked.url).hostname
            if host not in ("127.0.0.1", "localhost"):
                strangers.append(asked.url)

    opened = browser.new_page(viewport={"width": 1280, "height": 1500})
    opened.set_default_timeout(30_000)
    opened.on("request", look)
    opened.on("pageerror", lambda error: failures.append(str(error)))
    opened.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    yield opened
    if failed():
        print(*complaints[-10:], seen(opened), sep="\n")
    ARTEFACTS.mkdir(exist_ok=True)
    opened.screenshot(path=ARTEFACTS / f"{name}-end.png")
    opened.close()
    assert strangers == []
    assert failures == []


def seen(page: Page) -> str:
    """Each cell's prompt and what it put out, then the classes of the panel's rows and of their parts."""
    return page.evaluate("""() => {
        const classes = (part) => part.className.match(/labkit-\\S+/g)?.join(" ") ?? "no class of ours";
        const cells = [...document.querySelectorAll(".jp-CodeCell")].map((cell) => [
            cell.querySelector(".jp-InputPrompt")?.textContent,
            ...[...cell.querySelectorAll(".jp-OutputArea-output")].map((one) => one.textContent.slice(0, 80)),
        ].join(" | "));
        const rows = [...document.querySelectorAll(".labkit-field")].map((row) =>
            [classes(row), ...[...row.children].map((part) => classes(part))].join(" | "));
        return [`cells: ${cells.length}`, ...cells, `rows: ${rows.length}`, ...rows].join("\\n");
    }""")
