"""Executed notebooks as one HTML file that needs no other file and no network."""

from __future__ import annotations

import argparse
import html
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

from tools import mathml
from tools.executed import static, title

STYLE = (Path(__file__).parent / "report.css").read_text()
OUTSIDE = re.compile(
    r"""<(?:script|link|img|iframe|source|video|audio|object|embed)\b[^>]*\b(?:src|href|data)\s*=\s*["']?\s*(?:https?:)?//"""
    r"""|<script\b|@import|url\(\s*["']?\s*(?:https?:)?//""",
    re.IGNORECASE,
)


ADDRESSES = ("href", "src", "action", "formaction", "data", "xlink:href")
FRAMES = {"base", "embed", "form", "frame", "iframe", "object", "script"}  # what runs, or takes the reader elsewhere


class NotSelfContained(ValueError):
    """The page would load something from elsewhere, or run a script."""


def build(notebooks: list[Path], heading: str = "labkit") -> str:
    """The page: a table of contents, then each notebook.

    Args:
        notebooks: executed notebooks, in the order they shall be read.
        heading: the page's title.

    Raises:
        NotSelfContained: a notebook's prose or output asks for something outside the page.
    """
    read = {path.stem: static(nbformat.read(path, as_version=4)) for path in notebooks}
    contents = "".join(
        f'<li><a href="#{html.escape(stem)}">{html.escape(title(notebook) or stem)}</a></li>'
        for stem, notebook in read.items()
    )
    bodies = "".join(f'<article id="{html.escape(stem)}">{body(notebook)}</article>' for stem, notebook in read.items())
    colours = HtmlFormatter(style="default").get_style_defs(".highlight")
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(heading)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}\n{colours}</style></head>'
        f"<body><header><h1>{html.escape(heading)}</h1><nav><ol>{contents}</ol></nav></header>"
        f"<main>{bodies}</main></body></html>"
    )
    return harmless(page, "the report")


def harmless(page: str, name: str) -> str:
    """The page as it is, if nothing in it loads from elsewhere or runs.

    Args:
        page: HTML.
        name: what an error calls it.

    Raises:
        NotSelfContained: with the first thing that does.
    """
    active = Active()
    active.feed(page)
    outside = OUTSIDE.search(page)
    found = [outside.group()] if outside else active.found
    if found:
        raise NotSelfContained(f"{name} would load or run {found[0][:80]!r}")
    return page


class Active(HTMLParser):
    """Reads a page as a browser does, and finds what would run in it: handlers, frames, addresses that are programs."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        runs = tag in FRAMES or any(_runs(name, value or "") for name, value in attrs)
        if runs:
            self.found.append(self.get_starttag_text())


def _runs(name: str, value: str) -> bool:
    address = re.sub(r"[\x00-\x20]", "", value).lower()  # browsers overlook those inside an address
    return (
        name.startswith("on")
        or name in ("srcdoc", "http-equiv")
        or (name in ADDRESSES and address.startswith(("javascript:", "vbscript:", "data:text")))
    )


def body(notebook: NotebookNode) -> str:
    """The cells of a static notebook as HTML, its formulas as MathML; the notebook's prose changes with them."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = mathml.rendered(cell.source)
    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    return exporter.from_notebook_node(notebook)[0]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("outputs/report.html"))
    given = parser.parse_args(arguments)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(build(given.notebooks), encoding="utf-8")
    print(given.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
