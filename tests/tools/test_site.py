"""The static site of this repository: every table, notebook and picture is on it, and nothing is from elsewhere."""

from __future__ import annotations

import html
import re
from itertools import pairwise
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from PIL import Image

from tools import report
from tools.site.build import build
from tools.site.links import check
from tools.site.words import first_sentences, sections, slug

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs") / "site"
    build(ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def read(real: Path) -> dict[str, BeautifulSoup]:
    return {path.name: BeautifulSoup(path.read_text(), "html.parser") for path in real.glob("*.html")}


def cells(line: str) -> list[str]:
    """The words of a row of a Markdown table, by hand."""
    parts = re.split(r"(?<!\\)\|", line.strip())[1:-1]
    return [html.unescape(re.sub(r"[`*]", "", part)).replace("\\|", "|").strip() for part in parts]


def test_every_table_of_the_texts_is_on_the_site_cell_by_cell(read):
    shown = [
        [[cell.get_text().strip() for cell in row(["th", "td"])] for row in table("tr")]
        for page in read.values()
        for table in page("table")
    ]
    expected = []
    for name in ("README.md", "docs/scale.md", "docs/teaching.md"):
        for block in re.findall(r"(?:^\|.*\n)+", (ROOT / name).read_text(), re.MULTILINE):
            lines = block.splitlines()
            expected.append([cells(line) for line in (lines[0], *lines[2:])])
    assert len(expected) > 25
    assert [table[:2] for table in expected if table not in shown] == []


def test_every_notebook_has_a_card_with_a_picture_and_ways_on(real, read):
    cards = read["index.html"].select("article.card")
    assert len(cards) == len(list((ROOT / "notebooks").glob("*.ipynb")))
    for card in cards:
        image = card.img
        assert (real / image["src"]).is_file()
        assert image["alt"]
        assert card.select("a[href$='-executed.html']")
        assert len(card.select_one("p.answer").get_text()) > 40


def test_every_picture_of_the_repository_is_there_with_its_size_and_words(real, read):
    pictures = {path.read_bytes() for path in (real / "pictures").iterdir()}
    for path in (ROOT / "docs" / "results").glob("*/*.png"):
        assert path.read_bytes() in pictures
    images = [image for page in read.values() for image in page("img")]
    assert len(images) > 100
    for image in images:
        assert image["alt"].strip()
        assert image["loading"] == "lazy"
        with Image.open(real / image["src"]) as opened:
            assert int(image["width"]) / int(image["height"]) == pytest.approx(opened.width / opened.height, rel=0.02)


def test_pages_are_light_and_read_in_order(real, read):
    assert max(path.stat().st_size for path in real.glob("*.html")) < 150_000
    for page in read.values():
        assert page.html["lang"] == "en"
        assert [len(page(name)) for name in ("h1", "main", "header", "footer")] == [1, 1, 1, 1]
        levels = [int(heading.name[1]) for heading in page.main(re.compile("h[1-6]"))]
        assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
        places = [element["id"] for element in page(id=True)]
        assert len(places) == len(set(places))
        assert page.body.a["href"] == "#main"
        assert all(table.parent["class"] == ["wide"] for table in page("table"))


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(real):
    for path in real.glob("*.html"):
        report.harmless(path.read_text(), path.name)
    assert not re.search(r"url\(|@import", (real / "site.css").read_text())
    assert check(real) > 500  # links that lead somewhere


def test_words_by_hand():
    text = "# T\n\nintro\n```\n## no heading\n```\n## One\n\na\n### Sub\n## Two\nb\n"
    assert [(s.title, s.text.strip()) for s in sections("x.md", text)] == [
        ("T", "intro\n```\n## no heading\n```"), ("One", "a\n### Sub"), ("Two", "b"),
    ]  # fmt: skip
    assert first_sentences("It is 0.5 of\nit. **Then** more. Third.", 2) == "It is 0.5 of it. **Then** more."
    assert first_sentences("These are:", 1) == "These are."
    assert slug("What notebook 01 asks, and what it measured") == "what-notebook-01-asks-and-what-it-measured"
