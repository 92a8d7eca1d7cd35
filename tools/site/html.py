"""Markdown as pages show it: what is wide scrolls in its own box, pictures lie beside the page, links stay inside."""

from __future__ import annotations

import base64
import hashlib
import io
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import mistune
from bs4 import BeautifulSoup, NavigableString, Tag
from nbformat import NotebookNode
from PIL import Image

from labkit.stats.verdict import BETTER, NO_DIFFERENCE, SLIGHTLY_BETTER, SLIGHTLY_WORSE, UNDECIDED, WORSE
from tools.site.words import SiteError, slug

FOLDER = "pictures"
# A verdict's word, and its colour, without which it can be read; of two that end alike the longer stands first.
VERDICTS = {
    SLIGHTLY_BETTER: "good", SLIGHTLY_WORSE: "bad", BETTER: "good", WORSE: "bad", NO_DIFFERENCE: "same",
    UNDECIDED: "open", "non-inferior": "good", "not shown": "open", "none picked": "open",
}  # fmt: skip
VERDICT = re.compile(rf"(?<!\S)({'|'.join(map(re.escape, VERDICTS))})$")
OUTSIDE = re.compile(r"(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
LONG, PINNED = 28, 18  # letters: a cell that wraps; a first column that stays in view while the others scroll
MANY = 6  # columns; with more of them a verdict stands below its number
HEADINGS = ["h1", "h2", "h3", "h4", "h5", "h6"]


@dataclass(frozen=True)
class Picture:
    """A picture of the site: its address from a page, and its size in its own pixels."""

    address: str
    width: int
    height: int


class Pictures:
    """The site's pictures, each content once, under its hash.

    Args:
        site: the folder of the pages.
    """

    def __init__(self, site: Path) -> None:
        self.site = site
        (site / FOLDER).mkdir(parents=True, exist_ok=True)

    def add(self, content: bytes) -> Picture:
        """Keep a picture."""
        with Image.open(io.BytesIO(content)) as opened:
            (width, height), kind = opened.size, opened.format.lower()
        address = f"{FOLDER}/{hashlib.sha256(content).hexdigest()[:16]}.{kind}"
        (self.site / address).write_bytes(content)
        return Picture(address, width, height)

    def of_output(self, output: NotebookNode) -> Picture:
        """Keep the PNG picture of a notebook's output, and write its address there, where nbconvert looks for it.

        Returns:
            the picture at the size in which the notebook shows it.
        """
        kept = self.add(base64.b64decode(output.data["image/png"]))
        output.metadata["filenames"] = {"image/png": kept.address}
        own = output.metadata.setdefault("image/png", {})
        own.setdefault("width", kept.width)
        own.setdefault("height", kept.height)
        return replace(kept, width=own["width"], height=own["height"])


@dataclass(frozen=True)
class Surroundings:
    """Where a text comes from, and what its links and pictures become.

    Args:
        root: the repository.
        source: the text's file, relative to it.
        pictures: where its pictures go.
        page_of: the page of a file of the repository, or of `FILE#place`; None if the site has none.
    """

    root: Path
    source: str
    pictures: Pictures
    page_of: Callable[[str], str | None]

    def path(self, address: str) -> str:
        """An address in the text as a path in the repository."""
        return posixpath.normpath(posixpath.join(posixpath.dirname(self.source), address))

    def link(self, address: str) -> str | None:
        """The address that a link has on the site; None for a file of the repository of which there is no page.

        Raises:
            SiteError: there is nothing where it leads.
        """
        if OUTSIDE.match(address):
            return address
        path, _, place = address.partition("#")
        path = self.path(path) if path else self.source
        page = self.page_of(f"{path}#{place}") if place else self.page_of(path)
        if page is None and (place or not (self.root / path).exists()):
            raise SiteError(f"{self.source}: a link leads to {address!r}, which is not there")
        return page

    def picture(self, address: str) -> Picture:
        """The picture of the site that shows a file of the repository.

        Raises:
            SiteError: there is no such file, or it is not in the repository.
        """
        path = self.root / self.path(address)
        if OUTSIDE.match(address) or not path.is_file():
            raise SiteError(f"{self.source}: the picture {address!r} is not there")
        return self.pictures.add(path.read_bytes())


def html_of(markdown: str) -> str:
    """Markdown as HTML; HTML that stands in it is shown as text."""
    return mistune.create_markdown(escape=True, plugins=["table"])(markdown)


def inline(markdown: str) -> str:
    """A sentence or two as HTML without a paragraph around them; links become words."""
    soup = BeautifulSoup(html_of(markdown), "html.parser")
    for link in soup("a"):
        link.unwrap()
    return soup.p.decode_contents() if soup.p else ""


def dressed(html: str, around: Surroundings) -> tuple[str, list[tuple[str, str]]]:
    """The HTML of a text as the body of a page whose heading of level 1 is written elsewhere.

    Returns:
        the body, and its headings of level 2: the place of each in the page, and its words.
    """
    soup = BeautifulSoup(html, "html.parser")
    for mark in soup("a", class_="anchor-link"):
        mark.decompose()
    for link in soup("a", href=True):
        target = around.link(link["href"])
        if target is None:
            link.unwrap()
        else:
            link["href"] = target
    for image in soup("img"):
        _picture(soup, image, around)
    for table in soup("table"):
        _table(soup, table)
    contents = _headings(soup)
    return str(soup), contents


def _picture(soup: BeautifulSoup, image: Tag, around: Surroundings) -> None:
    """Give a picture its size, and a link to itself for who wants to see it larger, in a box that scrolls."""
    if not image["src"].startswith(f"{FOLDER}/"):
        shown = around.picture(image["src"])
        image["src"], image["width"], image["height"] = shown.address, shown.width, shown.height
    image["loading"] = "lazy"
    image["style"] = f"--width: {image['width']}px"
    paragraph = image.parent
    box = soup.new_tag("figure")
    image.replace_with(box)
    link = soup.new_tag("a", href=image["src"])
    link.append(image)
    box.append(link)
    if paragraph.name == "p":
        _split(soup, paragraph)


def _split(soup: BeautifulSoup, paragraph: Tag) -> None:
    """Figures are no part of a paragraph: they stand after what was written before them."""
    for child in list(paragraph.contents):
        if getattr(child, "name", None) == "figure":
            paragraph.insert_before(child.extract())
    if not paragraph.get_text(strip=True) and not paragraph("img"):
        paragraph.decompose()


def _table(soup: BeautifulSoup, table: Tag) -> None:
    names = [cell.get_text(" ", strip=True) for cell in table("th")]
    for cell in table.select("thead th"):
        cell["scope"] = "col"
        if not cell.get_text(strip=True):  # a corner without words is no heading
            cell.name = "td"
            del cell["scope"]
    firsts = [row.find(["td", "th"]) for row in table.select("tbody tr")]
    for first in firsts:
        first.name, first["scope"] = "th", "row"
    pinned = max((len(first.get_text()) for first in firsts), default=0) <= PINNED
    table["class"] = ["pinned"] * pinned + ["many"] * (len(names) > MANY)
    for cell in table(["td", "th"]):
        if len(cell.get_text()) > LONG:
            cell["class"] = "long"
        elif cell.name == "td":
            _verdict(soup, cell)
    label = "Table: " + ", ".join(name for name in names[:4] if name)
    table.wrap(soup.new_tag("div", attrs={"class": "wide", "role": "group", "tabindex": "0", "aria-label": label}))


def _verdict(soup: BeautifulSoup, cell: Tag) -> None:
    text = cell.string
    found = VERDICT.search(text) if text else None
    if found:
        word = soup.new_tag("span", attrs={"class": f"verdict {VERDICTS[found[1]]}"})
        word.string = found[1]
        text.replace_with(NavigableString(text[: found.start()]))
        cell.append(word)


def _headings(soup: BeautifulSoup) -> list[tuple[str, str]]:
    """Number the headings anew, from level 2 on without a gap, and give each a place; they change in the soup."""
    found, seen, contents, level = soup(HEADINGS), {"main"}, [], 1
    highest = min((int(heading.name[1]) for heading in found), default=1)
    for heading in found:
        level = min(int(heading.name[1]) - highest + 2, level + 1)
        heading.name = f"h{level}"
        words = heading.get_text().strip()
        place = name = slug(words)
        copies = 1
        while place in seen:
            place, copies = f"{name}-{copies}", copies + 1
        seen.add(place)
        heading["id"] = place
        if level == 2:
            contents.append((place, words))
    return contents
