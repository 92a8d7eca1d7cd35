"""The static site of a small repository, by hand, and of one in which something is wrong."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from tools import gallery, report
from tools.site.build import build
from tools.site.links import check
from tools.site.pages import KNOWN
from tools.site.words import SiteError

README = """# small

A lab. It is small.

![The panel](docs/panel.png)

## Two commands

    make demo

See [the plan](docs/scale.md), [all](#what-notebook-01-asks), [a file](LICENSE) and [a paper](https://example.org/x).

## What notebook 01 asks

*Is it
so?* A paper says so.

![A curve](docs/results/01-full/curve.png)
![Bars](docs/panel.png)

| grid point | verdict |
| --- | --- |
| <b>0.5</b> | -0.1 no difference |
| a \\| b & c | better |

Read honestly: it is not so, by 0.1 at most. It may be. Nobody knows.
"""
OTHERS = [name for name in KNOWN if not name.endswith(".md") and name not in README]


def drawn(shade: int, size: tuple[int, int] = (60, 40)) -> bytes:
    packed = io.BytesIO()
    Image.new("L", size, shade).save(packed, "PNG")
    return packed.getvalue()


def notebook(*sources: str) -> nbformat.NotebookNode:
    """A notebook whose every code cell drew the panel, then a figure twice as fine as it is shown."""
    cells = [new_markdown_cell(source) for source in sources]
    for shade in (1, 2):
        output = new_output("display_data", data={"image/png": base64.b64encode(drawn(shade)).decode()})
        output.metadata = {"image/png": {"width": 30, "height": 20, "alt": f"Figure {shade}"}}
        cells.append(new_code_cell("show()", outputs=[output]))
    cells += [new_code_cell("s()", outputs=[new_output("stream", text="line\n" * count)]) for count in (24, 25)]
    cells.append(new_code_cell("seed: int = None", metadata={"tags": ["parameters"]}))
    return new_notebook(cells=cells)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A repository with two notebooks, one of which the README says nothing of."""
    root = tmp_path / "small"
    for folder in ("docs/executed", "docs/results/01-full"):
        (root / folder).mkdir(parents=True)
    others = "".join(f"\n## {name}\n\nShort.\n" for name in OTHERS)
    (root / "README.md").write_text(README + others)
    (root / "LICENSE").touch()
    for name in ("docs/scale.md", "docs/teaching.md", "CONTRIBUTING.md"):
        (root / name).write_text(f"# {name}\n\nText.\n\n## A part\n\n### A part\n\nMore.\n")
    (root / "docs/panel.png").write_bytes(drawn(1))
    (root / "docs/results/01-full/curve.png").write_bytes(drawn(9))
    (root / "docs/results/01-full/more_curves.png").write_bytes(drawn(8))
    nbformat.write(notebook("# Tour\n\nLook *around*.", "## Words\n\n$S$"), root / "docs/executed/00_tour.ipynb")
    nbformat.write(notebook("# Long title\n\nIdeas."), root / "docs/executed/01_case.ipynb")
    return root


def change(root: Path, old: str, new: str, name: str = "README.md") -> None:
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


def pages_of(root: Path) -> dict[str, BeautifulSoup]:
    return {path.name: BeautifulSoup(path.read_text(), "html.parser") for path in build(root, root / "site")}


def test_the_small_site_by_hand(small):
    pages = pages_of(small)
    names = "00_tour-executed 01_case-executed 01_case benchmarks contributing faults index limits run-it scale sweeps"
    assert set(pages) == {f"{name}.html" for name in [*names.split(), "teaching"]}
    first, second = pages["index.html"].select("article.card")
    assert first.h3.get_text() == "Is it so?"
    assert first.select_one(".answer").get_text() == "Answer It is not so, by 0.1 at most. It may be."
    assert first.img["alt"] == "A curve"
    assert second.h3.a["href"] == "00_tour-executed.html"
    assert second.select_one(".answer").get_text() == "What it is Look around."
    assert second.img["alt"] == "Figure 2"
    assert (second.img["width"], second.img["height"]) == ("30", "20")
    assert pages["index.html"].h1.get_text() == "A lab."
    links = {link.get_text(): link["href"] for link in pages["run-it.html"].main("a")}
    assert links == {"the plan": "scale.html", "all": "01_case.html", "a paper": "https://example.org/x"}


def test_a_notebooks_page_by_hand(small):
    page = pages_of(small)["01_case.html"]
    assert page.h1.get_text() == "Is it so?"
    rows = [[cell.get_text() for cell in row(["th", "td"])] for row in page.table("tr")]
    assert rows == [["grid point", "verdict"], ["<b>0.5</b>", "-0.1 no difference"], ["a | b & c", "better"]]
    assert [word.get_text() for word in page.select(".verdict")] == ["no difference", "better"]
    assert page.table["class"] == ["pinned"]
    images = [(image["alt"], image["width"]) for image in page("img")]
    assert images == [("A curve", "60"), ("Bars", "60"), ("more curves, full run", "60")]
    assert [heading.get_text() for heading in page("h2")][:3] == [
        "What it is about", "What was measured", "More pictures of these runs",
    ]  # fmt: skip


def test_an_executed_page_by_hand(small):
    page = pages_of(small)["00_tour-executed.html"]
    assert page.h1.get_text() == "Tour"
    assert page.math is not None
    folded = [part.get_text() for part in page.select("details:not(.contents)")]
    assert [part.split()[0] for part in folded] == ["25", "All"]
    assert "seed" in folded[1]
    assert [image["alt"] for image in page("img")] == ["Figure 1", "Figure 2"]
    pictures = list((small / "site" / "pictures").iterdir())
    assert len(pictures) == 4  # the panel's is one with Figure 1 of both notebooks
    assert "base64" not in str(page)


def test_a_new_notebook_gets_a_card_and_a_new_section_a_page(small):
    nbformat.write(notebook("# New"), small / "docs/executed/02_new.ipynb")
    section = README[README.index("## What") :].replace("01 asks", "02 asks").replace("Is it\nso?", "Is it new?")
    change(
        small, "Nobody knows.\n", f"Nobody knows.\n\n{section}\n## Something *else*\n\nIt is. [Back](#two-commands)\n"
    )
    pages = pages_of(small)
    assert [card.h3.get_text() for card in pages["index.html"].select(".card")] == ["Is it so?", "Is it new?", "Tour"]
    assert pages["something-else.html"].main.a["href"] == "run-it.html"
    more = {item.h3.get_text(): item.p.get_text() for item in pages["index.html"].select("ul.more li")}
    assert more["Something *else*"] == "It is."


def test_an_answer_may_be_the_first_item_of_a_list(small):
    change(small, "Read honestly: it is", "What this says:\n\n- **Nothing**, it is")
    assert "Nothing, it is not so" in str(pages_of(small)["index.html"].select_one(".card .answer").get_text())


def test_what_looks_like_html_stays_text(small):
    change(small, "It is small.", 'It is <script>alert("x")</script> small.')
    change(small, "Text.", '<img src="x" onerror="y"> <iframe src="//z"></iframe>', "CONTRIBUTING.md")
    pages = pages_of(small)
    assert '<script>alert("x")</script>' in pages["index.html"].get_text()
    assert pages["contributing.html"].main("img") == []


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (
            "README.md",
            "01-full/curve.png",
            "01-full/gone.png",
            "README.md: the picture 'docs/results/01-full/gone.png'",
        ),
        ("README.md", "docs/panel.png", "https://example.org/panel.png", "the picture 'https://example.org/panel.png'"),
        ("README.md", "docs/scale.md", "docs/gone.md", "README.md: a link leads to 'docs/gone.md', which is not there"),
        ("README.md", "#what-notebook-01", "#no-notebook", "'#no-notebook-asks', which is not there"),
        ("docs/teaching.md", "Text.", "[x](scale.md#gone)", "teaching.html: scale.html#gone leads nowhere"),
        ("README.md", "*Is it", "Is it", "'What notebook 01 asks' has not a question in italics"),
        ("README.md", "Read honestly:", "Read:", "has not a paragraph that begins 'Read honestly:'"),
        ("README.md", "## Speed", "## Fast", "README.md: there is no section 'Speed'"),
        ("README.md", "notebook 01", "notebook 07", "is about a notebook of which docs/executed has no copy"),
    ],
)
def test_what_is_not_there_is_named_and_the_earlier_site_stays(small, name, old, new, said):
    (small / "site").mkdir()
    for own in ("site.css", "index.html"):
        (small / "site" / own).write_text("before")
    change(small, old, new, name)
    with pytest.raises(SiteError, match=re.escape(said)):
        build(small, small / "site")
    assert (small / "site" / "index.html").read_text() == "before"
    assert {path.name for path in small.iterdir() if path.is_dir()} == {"docs", "site"}


def test_a_notebook_that_would_run_something_is_refused(small):
    nbformat.write(notebook("# Bad\n\n<script>x</script>"), small / "docs/executed/01_case.ipynb")
    with pytest.raises(report.NotSelfContained, match=r"01_case-executed\.html would load or run"):
        build(small, small / "site")


def test_a_folder_with_something_else_in_it_is_left_alone(small):
    with pytest.raises(SiteError, match="left alone"):
        build(small, small / "docs")
    assert (small / "docs" / "panel.png").is_file()


def test_a_second_site_replaces_the_first(small):
    build(small, small / "site")
    (small / "site" / "old.html").touch()
    assert "old.html" not in {path.name for path in build(small, small / "site")}


def test_the_command_says_where_the_site_is_or_what_is_wrong(small, monkeypatch, capsys):
    monkeypatch.chdir(small)
    assert gallery.main([]) == 0
    assert re.fullmatch(r"12 pages, 0\.0 MB: open .*outputs/site/index\.html\n", capsys.readouterr().out)
    change(small, "Read honestly:", "Read:")
    assert gallery.main(["-o", "elsewhere"]) == 2
    assert "the site is not made: README.md" in capsys.readouterr().err


def test_links_by_hand(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "c.png").touch()  # outside
    (site / "a.html").write_text('<p id="x"><a href="b.html#y"></a><a href="#x"></a><a href="mailto:a@b.c"></a></p>')
    (site / "b.html").write_text('<p id="y"><img src="c.png"></p>')
    (site / "c.png").touch()
    assert check(site) == 3
    (site / "b.html").write_text('<a href="a.html#z"></a><img src="../c.png"><a href="d.html"></a>')
    with pytest.raises(SiteError) as caught:
        check(site)
    assert str(caught.value).splitlines() == [
        "a.html: b.html#y leads nowhere",
        "b.html: a.html#z leads nowhere",
        "b.html: ../c.png leads nowhere",
        "b.html: d.html leads nowhere",
    ]
