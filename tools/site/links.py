"""Whether every link, place and picture of a folder of pages is there."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.site.words import SiteError

LOADED = ("src", "href")


class _Read(HTMLParser):
    """The addresses and the places of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.places: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in LOADED:
                self.addresses.append(value or "")
            elif name == "id":
                self.places.add(value or "")


def check(folder: Path) -> int:
    """Follow every link of every page.

    Args:
        folder: the pages, all in it; what they link to lies in it or below. Links to other sites are for readers, and
            are not followed.

    Returns:
        how many led somewhere.

    Raises:
        SiteError: naming the pages and what is not there.
    """
    pages = {path.name: _Read(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.html"))}
    followed, broken = 0, []
    for name, page in pages.items():
        for address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = unquote(parts.path) or name
            place = unquote(parts.fragment)
            there = target in pages if target.endswith(".html") else (folder / target).is_file()
            inside = (folder / target).resolve().is_relative_to(folder.resolve())
            followed += 1
            if not (there and inside) or (place and place not in pages[target].places):
                broken.append(f"{name}: {address or 'an empty address'} leads nowhere")
    if broken:
        raise SiteError("\n".join(broken))
    return followed
