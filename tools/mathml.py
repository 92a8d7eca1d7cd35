"""LaTeX in markdown as MathML, which browsers draw without a script."""

from __future__ import annotations

import re

from latex2mathml.converter import convert

CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]+`)", re.DOTALL)
DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
INLINE = re.compile(r"(?<![\\$\w])\$(?=\S)([^$\n]+?)(?<=\S)\$(?![\d$])")  # as Jupyter: `$5 and $6` is money


def rendered(markdown: str) -> str:
    """The markdown with each formula replaced; code, and a dollar that begins no formula, stay as they are."""
    parts = CODE.split(markdown)
    return "".join(part if place % 2 else _formulas(part) for place, part in enumerate(parts))


def _formulas(text: str) -> str:
    text = DISPLAY.sub(lambda found: convert(found[1].strip(), display="block"), text)
    return INLINE.sub(lambda found: convert(found[1]), text)
