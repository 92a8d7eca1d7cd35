"""The static site on a phone and on a projector, in light and in dark, from the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser
from seen_and_said import CONTRASTS, rules
from watching import ARTEFACTS, watched

from tools.site.build import build

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
SIZES = {"phone": (390, 844), "projector": (1920, 1080)}
LOOKED_AT = ("index.html", "01_random_search.html")
SPILLS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs") / "site"
    build(ROOT, folder)
    return folder


@pytest.mark.parametrize("screen", SIZES)
def test_no_page_scrolls_sideways_and_no_rule_is_broken(site: Path, browser: Browser, screen: str) -> None:
    width, height = SIZES[screen]
    with watched(browser, f"site-{screen}") as page:
        page.set_viewport_size({"width": width, "height": height})
        page.goto((site / "index.html").as_uri())
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / f"site-{screen}.png")
        spilling = {}
        for path in sorted(site.glob("*.html")) if screen == "phone" else [site / name for name in LOOKED_AT]:
            page.goto(path.as_uri(), wait_until="domcontentloaded")  # pictures have their size in the page
            spilling[path.name] = page.evaluate(SPILLS)
        wrong, faint = {}, {}
        for name in LOOKED_AT:
            page.goto((site / name).as_uri(), wait_until="domcontentloaded")
            for theme in ("dark", "light"):
                page.emulate_media(color_scheme=theme)
                texts = page.evaluate(CONTRASTS, "body")
                faint[name, theme] = [text for text in texts if text[0] < 4.5]
                assert len(texts) > 60
            tried, wrong[name] = rules(page, "html")
            assert len(tried) > 15
            wrong[name].pop("color-contrast", None)  # undecided where a table scrolls; measured above on every text
    assert {name: pixels for name, pixels in spilling.items() if pixels} == {}
    assert {where: found for where, found in wrong.items() if found} == {}
    assert {where: found for where, found in faint.items() if found} == {}
