"""The static site: pages that need no script, no network and no server, made from what the repository holds.

Words and figures are those of the README, CONTRIBUTING, the documents and the executed notebooks; the site leads there.
"""

from __future__ import annotations

import html
import re
import shutil
import tempfile
from pathlib import Path

from bs4 import BeautifulSoup, Tag

from tools import report
from tools.executed import title
from tools.site.html import Pictures, Surroundings, dressed, html_of, inline
from tools.site.index import index
from tools.site.links import check
from tools.site.pages import EXECUTED, README, Notebook, Plan, TextPage
from tools.site.shell import STYLE, Body, page
from tools.site.words import PICTURE, SiteError

SITE = Path("outputs/site")
RESULTS = "docs/results"
PRINTED = 24  # lines of an output; more are folded


def build(root: Path, site: Path) -> list[Path]:
    """Make the pages anew; what was there before is gone once all of them are whole, and stays if they are not.

    Args:
        root: the repository.
        site: the folder of the pages; it may hold an earlier site.

    Returns:
        the pages.

    Raises:
        SiteError: a text lacks what the site shows of it, a picture or a link leads nowhere, or the folder holds
            something else.
        NotSelfContained: a page would load something from elsewhere, or run it.
    """
    if site.exists() and any(site.iterdir()) and not (site / STYLE.name).is_file():
        raise SiteError(f"{site} holds something else than a site, and is left alone: name another folder")
    site.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=site.parent) as folder:
        made = Path(folder) / "site"
        _write(Plan.of(root), made)
        check(made)
        shutil.rmtree(site, ignore_errors=True)
        made.rename(site)
    return sorted(site.glob("*.html"))


def _write(plan: Plan, folder: Path) -> None:
    pictures = Pictures(folder)
    shutil.copy(STYLE, folder)

    def around(source: str) -> Surroundings:
        return Surroundings(plan.root, source, pictures, plan.page_of)

    bodies = [index(plan, around(README))]
    for notebook in plan.notebooks:
        bodies.append(_executed(notebook, around(f"{EXECUTED}/{notebook.stem}.ipynb")))
        if notebook.section:
            bodies.append(_found(plan, notebook, around(README)))
    bodies += [_text(text, around(text.source)) for text in plan.texts]
    for body in bodies:
        (folder / body.name).write_text(page(body, plan), encoding="utf-8")


def _found(plan: Plan, notebook: Notebook, around: Surroundings) -> Body:
    """What a notebook asks and measured: the answer, what it is about, then the README's section as it stands."""
    section = notebook.section
    rest = _other_pictures(plan.root, notebook)
    parts = [
        f"<h2>What it is about</h2><p>{inline(notebook.opening())}</p>",
        f"<h2>What was measured</h2>{html_of(section.text)}",
        f"<h2>More pictures of these runs</h2>{rest}" if rest else "",
    ]
    made, contents = dressed("".join(parts), around)
    answer = f'<p><strong class="label">Answer</strong> {inline(section.answer())}</p>'
    above = (
        f'<p class="which">Notebook {notebook.number}. <a href="{notebook.executed_page}">See it executed</a>, '
        f'with its explanations and code.</p>\n<section class="answer" aria-label="Answer">{answer}</section>\n'
    )
    return Body(notebook.page, notebook.called, made, contents, f"{README}, {section.title!r}", above)


def _other_pictures(root: Path, notebook: Notebook) -> str:
    """The kept pictures of a notebook's runs that the README does not show."""
    shown = {address for _, address in PICTURE.findall(notebook.section.text)}
    images = []
    for path in sorted((root / RESULTS).glob(f"{notebook.number}-*/*.png")):
        address = path.relative_to(root).as_posix()
        if address not in shown:
            words = f"{path.stem.replace('_', ' ')}, {path.parent.name.partition('-')[2]} run"
            images.append(f'<p><img src="{html.escape(address)}" alt="{html.escape(words)}"></p>')
    return "".join(images)


def _executed(notebook: Notebook, around: Surroundings) -> Body:
    """The executed copy: its pictures lie beside the page, the cell of parameters and long prints are folded."""
    for cell in notebook.copy.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                around.pictures.of_output(output)
    soup = BeautifulSoup(report.body(notebook.copy), "html.parser")
    if soup.h1:
        soup.h1.decompose()
    for cell in soup(id=re.compile("^cell-id=")):
        del cell["id"]
    for cell in soup("div", class_="celltag_parameters"):
        _fold(soup, cell, "All parameters, with what they mean")
    for printed in soup.select(".output pre"):
        lines = len(printed.get_text().strip().splitlines())
        if lines > PRINTED:
            _fold(soup, printed, f"{lines} lines that it printed")
    made, contents = dressed(str(soup), around)
    also = ""
    if notebook.section:
        also = f' What larger runs found: <a href="{notebook.page}">{html.escape(notebook.called)}</a>'
    above = f'<p class="which">Notebook {notebook.number} as it was executed, with small settings.{also}</p>\n'
    return Body(notebook.executed_page, title(notebook.copy) or notebook.stem, made, contents, around.source, above)


def _fold(soup: BeautifulSoup, part: Tag, words: str) -> None:
    """Show only words, which unfold the part."""
    folded, summary = soup.new_tag("details"), soup.new_tag("summary")
    summary.string = words
    part.wrap(folded)
    folded.insert(0, summary)


def _text(text: TextPage, around: Surroundings) -> Body:
    made, contents = dressed(html_of(text.markdown), around)
    source = f"{text.source}, {text.heading!r}" if text.source == README else text.source
    return Body(text.name, text.called, made, contents, source)
