"""What pages the site has, and from which text of the repository each is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.executed import static, title
from tools.site.words import Section, SiteError, sections, slug

README, EXECUTED, HOME = "README.md", "docs/executed", "index.html"
# A heading of the README, or another file: its page, its name, and what a reader finds there.
KNOWN = {
    "Two commands": ("run-it", "Run it yourself", "What it needs, two commands, and the command line."),
    "Speed": ("benchmarks", "Benchmarks", "How fast it trains: the peer, the machine and the command of every table."),
    "Sweeps in many processes": (
        "sweeps", "Many processes", "Sweeps over processes and clusters, and what a run costs there.",
    ),
    "A class, and what happens to runs when something breaks": (
        "faults", "Faults and accessibility",
        "A class on one machine, what becomes of runs when something breaks, and what axe-core found.",
    ),
    "Limits, said plainly": ("limits", "Limits", "What these figures do not show."),
    "docs/scale.md": ("scale", "A thousand cards", "What a large cluster would need: arithmetic on what was measured."),
    "docs/teaching.md": ("teaching", "Teaching", "For a teacher: what to expect, what goes wrong, what to say."),
    "CONTRIBUTING.md": ("contributing", "Add a method", "How to add a method, a data set or a notebook."),
}  # fmt: skip


@dataclass(frozen=True)
class Notebook:
    """What the repository holds of a notebook.

    Args:
        stem: such as "01_random_search".
        copy: its executed copy.
        section: of the README; None where it has none.
    """

    stem: str
    copy: NotebookNode
    section: Section | None

    @property
    def number(self) -> str:
        return self.stem[:2]

    @property
    def called(self) -> str:
        """Its question, or its own title."""
        return self.section.question() if self.section else title(self.copy) or self.stem

    @property
    def executed_page(self) -> str:
        return f"{self.stem}-executed.html"

    @property
    def page(self) -> str:
        """What it found; the executed copy where the README says nothing of it."""
        return f"{self.stem}.html" if self.section else self.executed_page

    def opening(self) -> str:
        """The first paragraph of its prose, as Markdown: for a reader who knows nothing of the matter."""
        prose = next((cell.source for cell in self.copy.cells if cell.cell_type == "markdown"), "")
        blocks = Section(self.stem, "", prose).blocks()
        return next((block for block in blocks if not block.startswith("#")), "")


@dataclass(frozen=True)
class TextPage:
    """A page that shows a text as it stands.

    Args:
        name: its file.
        called: its heading, and what links to it say.
        what: what a reader finds there, as Markdown.
        source: the file of the text.
        markdown: the text, without its first heading.
        heading: under which it stands in its file.
    """

    name: str
    called: str
    what: str
    source: str
    markdown: str
    heading: str


@dataclass(frozen=True)
class Plan:
    """The site before it is written.

    Args:
        root: the repository.
        intro: the README before its first section.
        notebooks: in their order.
        texts: the other pages.
    """

    root: Path
    intro: Section
    notebooks: list[Notebook]
    texts: list[TextPage]

    @classmethod
    def of(cls, root: Path) -> Plan:
        """Read the repository.

        Raises:
            SiteError: the README speaks of a notebook of which there is no executed copy, or lacks a section to which
                every page leads.
        """
        intro, *rest = sections(README, (root / README).read_text(encoding="utf-8"))
        lacking = [name for name in KNOWN if not name.endswith(".md") and name not in {s.title for s in rest}]
        if lacking:
            raise SiteError(f"{README}: there is no section {lacking[0]!r}")
        about: dict[str, Section] = {}
        others = [
            section for section in rest if not section.number or about.setdefault(section.number, section) != section
        ]
        notebooks = []
        for path in sorted((root / EXECUTED).glob("[0-9][0-9]_*.ipynb")):
            copy = static(nbformat.read(path, as_version=4))
            notebooks.append(Notebook(path.stem, copy, about.pop(path.stem[:2], None)))
        for section in about.values():
            raise SiteError(f"{README}: {section.title!r} is about a notebook of which {EXECUTED} has no copy")
        texts = [_text_page(section) for section in others]
        for name in KNOWN:
            if name.endswith(".md"):
                first, *below = sections(name, (root / name).read_text(encoding="utf-8"))
                whole = "\n\n".join([first.text, *(f"## {section.title}\n\n{section.text}" for section in below)])
                texts.append(_text_page(Section(name, first.title, whole), name))
        return cls(root, intro, notebooks, texts)

    def page_of(self, path: str) -> str | None:
        """The page of a file, or of `FILE#place`; None if there is none."""
        file, _, place = path.partition("#")
        if file == README:
            return HOME if not place else self._page_of_section(place)
        for notebook in self.notebooks:
            if file in (f"{EXECUTED}/{notebook.stem}.ipynb", f"notebooks/{notebook.stem}.ipynb"):
                return f"{notebook.executed_page}{path[len(file) :]}"
        found = next((text.name for text in self.texts if text.source == file), None)
        return found and found + path[len(file) :]

    def _page_of_section(self, place: str) -> str | None:
        pages = {slug(notebook.section.title): notebook.page for notebook in self.notebooks if notebook.section}
        pages |= {slug(text.heading): text.name for text in self.texts if text.source == README}
        return pages.get(place)


def _text_page(section: Section, file: str = "") -> TextPage:
    known = KNOWN.get(file or section.title)
    name, called, what = known or (slug(section.title), section.title, section.summary())
    return TextPage(f"{name}.html", called, what, section.source, section.text, section.title)
