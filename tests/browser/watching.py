"""A page that is asked at its end what it fetched and what failed in it, and whose last picture is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

from playwright.sync_api import Browser, Page, Request

ARTEFACTS = Path(__file__).parents[2] / "test-artefacts"


@contextmanager
def watched(browser: Browser, name: str) -> Iterator[Page]:
    """A page; at the end nothing may have left this machine and no script may have failed.

    Args:
        browser: where it is opened.
        name: of the last picture, `NAME-end.png` among the artefacts.
    """
    strangers: list[str] = []
    failures: list[str] = []

    def look(asked: Request) -> None:
        if urlparse(asked.url).scheme in ("http", "https", "ws", "wss"):
            host = urlparse(asked.url).hostname
            if host not in ("127.0.0.1", "localhost"):
                strangers.append(asked.url)

    opened = browser.new_page(viewport={"width": 1280, "height": 1500})
    opened.set_default_timeout(30_000)
    opened.on("request", look)
    opened.on("pageerror", lambda error: failures.append(str(error)))
    yield opened
    ARTEFACTS.mkdir(exist_ok=True)
    opened.screenshot(path=ARTEFACTS / f"{name}-end.png")
    opened.close()
    assert strangers == []
    assert failures == []
