"""What all pages share: head, skip link, navigation, and the list of pages at the foot."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

from tools import report
from tools.site.pages import HOME, Plan

STYLE = Path(__file__).with_name("site.css")
TOP = (
    (f"{HOME}#found", "What was found"), ("benchmarks.html", "Benchmarks"), ("faults.html", "Faults"),
    ("contributing.html", "Add a method"), ("run-it.html", "Run it"),
)  # fmt: skip


@dataclass(frozen=True)
class Body:
    """What one page has of its own.

    Args:
        name: its file.
        called: its heading.
        html: what stands below the heading.
        contents: places on the page and their words, for a list at its top.
        source: the file of the repository that it was made from; empty for several.
        above: HTML between heading and contents.
        lead: whether the heading is a sentence.
    """

    name: str
    called: str
    html: str
    contents: list[tuple[str, str]]
    source: str = ""
    above: str = ""
    lead: bool = False


def page(body: Body, plan: Plan) -> str:
    """The whole page.

    Raises:
        NotSelfContained: something in it would load from elsewhere, or run.
    """
    called = html.escape(body.called)
    whole = f"labkit: {called}" if body.name != HOME else "labkit: what was found"
    heading = f'<h1 class="lead">{called}</h1>' if body.lead else f"<h1>{called}</h1>"
    made = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{whole}</title>'
        f'<link rel="stylesheet" href="{STYLE.name}"></head>\n<body>'
        '<a class="skip" href="#main">Skip to the text</a>\n'
        f'<header><nav aria-label="Site">{_link(HOME, "labkit", body.name)}'
        f"<ul>{_items(TOP, body.name)}</ul></nav></header>\n"
        f'<main id="main">{heading}\n{body.above}{_contents(body)}{body.html}{_source(body)}</main>\n'
        f"<footer>{_all_pages(plan, body.name)}</footer></body></html>\n"
    )
    return report.harmless(made, f"the page {body.name}")


def _link(address: str, words: str, here: str) -> str:
    current = ' aria-current="page"' if address == here else ""
    return f'<a href="{html.escape(address)}"{current}>{html.escape(words)}</a>'


def _items(links: tuple[tuple[str, str], ...] | list[tuple[str, str]], here: str = "") -> str:
    return "".join(f"<li>{_link(address, words, here)}</li>" for address, words in links)


def _contents(body: Body) -> str:
    if len(body.contents) < 3:  # it fits the window anyway
        return ""
    places = [(f"#{place}", words) for place, words in body.contents]
    return f'<details class="contents"><summary>On this page</summary><ul>{_items(places)}</ul></details>\n'


def _source(body: Body) -> str:
    if not body.source:
        return ""
    return f'<p class="source">Made from <code>{html.escape(body.source)}</code> of the repository.</p>'


def _all_pages(plan: Plan, here: str) -> str:
    found = [(notebook.page, f"{notebook.number}: {notebook.called}") for notebook in plan.notebooks]
    executed = [(notebook.executed_page, notebook.stem) for notebook in plan.notebooks]
    others = [(text.name, text.called) for text in plan.texts]
    lists = (("What was found", found), ("Executed notebooks", executed), ("The lab", others))
    parts = "".join(f"<div><h2>{title}</h2><ul>{_items(links, here)}</ul></div>" for title, links in lists)
    return f'<nav aria-label="All pages">{parts}</nav>'
