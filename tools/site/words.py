"""What the site says, from the repository's own texts: sections, and of a notebook its question, answer and picture.

Three habits of the README are relied upon, and a section that has lost one is named in the error. A section on a
notebook has `notebook NN` in its heading and begins with its question in italics; what came out stands in a paragraph
that begins `Read honestly:`, or is the first item of the list below a line that begins `What this says`; its first
picture is the one to remember.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NOTEBOOK = re.compile(r"\bnotebook (\d\d)\b")
FENCE = re.compile(r"^(```|~~~)")
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z*`\[])")
HONEST, SAYS = "Read honestly:", "What this says"


class SiteError(ValueError):
    """A text of the repository lacks what the site shows of it, or a link of the site leads nowhere."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it.

    Args:
        source: the file that it is from, relative to the repository's root.
        title: the heading, as Markdown.
        text: Markdown, without the heading, up to the next one of its level.
    """

    source: str
    title: str
    text: str

    @property
    def number(self) -> str:
        """Of the notebook that it is about, such as "01"; empty if it is about none."""
        found = NOTEBOOK.search(self.title)
        return found[1] if found else ""

    def blocks(self) -> list[str]:
        """Its paragraphs, lists, tables and code blocks, each on one line or several, without blank ones."""
        return [block for block in re.split(r"\n\s*\n", self.text.strip("\n")) if block.strip()]

    def question(self) -> str:
        """What the notebook asks, without the marks of italics."""
        found = re.match(r"\*([^*]+\?)\*", self.text.strip())
        if not found:
            raise self._lacks("a question in italics as its first words")
        return " ".join(found[1].split())

    def answer(self, sentences: int = 2) -> str:
        """The first sentences of what came out, as Markdown."""
        blocks = self.blocks()
        for place, block in enumerate(blocks):
            if block.startswith(HONEST):
                said = block.removeprefix(HONEST).strip()
                return first_sentences(said[0].upper() + said[1:], sentences)
            if block.startswith(SAYS) and blocks[place + 1 :] and blocks[place + 1].startswith("- "):
                item = re.split(r"\n- ", blocks[place + 1])[0].removeprefix("- ")
                return first_sentences(item, sentences)
        raise self._lacks(f"a paragraph that begins {HONEST!r}, or a list below {SAYS!r}")

    def picture(self) -> tuple[str, str]:
        """Description and path of the first picture."""
        found = PICTURE.search(self.text)
        if not found:
            raise self._lacks("a picture")
        return found[1], found[2]

    def summary(self) -> str:
        """The first sentence of the first paragraph or list, as Markdown; empty without one."""
        prose = (block for block in self.blocks() if not block.startswith(("    ", "|", "!", "#", "```")))
        return first_sentences(next(prose, "").removeprefix("- "), 1)

    def _lacks(self, what: str) -> SiteError:
        return SiteError(f"{self.source}: the section {self.title!r} has not {what}")


def sections(source: str, markdown: str) -> list[Section]:
    """The text before the first heading of level 2, under the heading of level 1, then each section of level 2."""
    found: list[tuple[str, list[str]]] = [("", [])]
    fenced = False
    for line in markdown.splitlines():
        fenced ^= bool(FENCE.match(line))
        heading = None if fenced else re.match(r"(#{1,2}) +(.+)", line)
        if heading is None:
            found[-1][1].append(line)
        elif heading[1] == "#" and not found[0][0]:
            found[0] = (heading[2], found[0][1])
        else:
            found.append((heading[2], []))
    return [Section(source, title, "\n".join(lines)) for title, lines in found]


def first_sentences(text: str, count: int) -> str:
    """So many sentences of a paragraph, on one line; one that announces with a colon what is not there ends in a full
    stop."""
    said = " ".join(SENTENCE_END.split(" ".join(text.split()))[:count])
    return f"{said[:-1]}." if said.endswith(":") else said


def slug(heading: str) -> str:
    """A heading as the name of a file or of a place in a page, as GitHub writes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
