"""The first page: what the lab is, then a card for each notebook, then where the rest is."""

from __future__ import annotations

import html

from labkit.stats.verdict import BETTER, NO_DIFFERENCE, UNDECIDED, WORSE
from tools.site.html import VERDICTS, Picture, Pictures, Surroundings, dressed, html_of, inline
from tools.site.pages import HOME, README, Notebook, Plan
from tools.site.shell import Body
from tools.site.words import first_sentences

LEGEND = (
    ((BETTER, WORSE), "A difference that is more than chance, and may well be larger than the margin."),
    ((NO_DIFFERENCE,), "Whatever difference there is, it is surely smaller than the margin."),
    ((UNDECIDED,), "The runs do not suffice to say either. It does not mean equal."),
    (("non-inferior",), "Surely not worse by more than the margin."),
)


def index(plan: Plan, around: Surroundings) -> Body:
    """The first page.

    Args:
        around: where the README's pictures and links go.
    """
    lead, more = _split(plan.intro.blocks()[0])
    answered_first = sorted(plan.notebooks, key=lambda notebook: notebook.section is None)
    cards = "".join(_card(notebook, around) for notebook in answered_first)
    elsewhere = "".join(
        f'<li><h3><a href="{text.name}">{html.escape(text.called)}</a></h3><p>{inline(text.what)}</p></li>'
        for text in plan.texts
    )
    body = (
        f'<section aria-labelledby="found"><h2 id="found">What was found</h2>\n'
        f'<div class="cards">{cards}</div></section>\n'
        f"{_legend(plan)}"
        f'<section aria-labelledby="try"><h2 id="try">Try it</h2>{_commands(plan)}{_panel(plan, around)}</section>\n'
        f'<section aria-labelledby="more"><h2 id="more">More</h2><ul class="more">{elsewhere}</ul></section>\n'
    )
    return Body(HOME, lead, body, [], README, f"<p>{inline(more)}</p>\n", lead=True)


def _legend(plan: Plan) -> str:
    """What the verdicts mean, and where the other words are explained."""
    pairs = []
    for words, meaning in LEGEND:
        terms = "".join(f'<dt class="verdict {VERDICTS[word]}">{word}</dt>' for word in words)
        pairs.append(f"<div>{terms}<dd>{meaning}</dd></div>")
    explains = next((notebook for notebook in plan.notebooks if notebook.section is None), None)  # asks no question
    link = f'<a href="{explains.page}">{html.escape(explains.called)}</a>' if explains else ""
    return (
        '<aside class="legend" aria-labelledby="verdicts"><h2 id="verdicts">How to read a verdict</h2>'
        "<p>Two ways to train are compared seed by seed, against a margin that was fixed before the run: a smaller "
        f"difference would not matter.</p><dl>{''.join(pairs)}</dl>"
        + (f"<p>What sparsity and epsilon are, in plain words: {link}.</p>" if link else "")
        + "</aside>\n"
    )


def _split(paragraph: str) -> tuple[str, str]:
    """Its first sentence, and the others."""
    lead = first_sentences(paragraph, 1)
    return lead, " ".join(paragraph.split()).removeprefix(lead).strip()


def _card(notebook: Notebook, around: Surroundings) -> str:
    links = [(notebook.executed_page, f"Notebook {notebook.number}, executed")]
    if notebook.section:
        alt, address = notebook.section.picture()
        picture = around.picture(address), alt
        label, said = "Answer", notebook.section.answer()
        links.insert(0, (notebook.page, f"Tables and pictures of {notebook.number}"))
    else:
        picture = _drawn(notebook, around.pictures)
        label, said = "What it is", first_sentences(notebook.opening(), 2)
    image = ""
    if picture:
        shown, alt = picture
        image = (
            f'<a class="picture" href="{notebook.page}"><img src="{shown.address}" width="{shown.width}" '
            f'height="{shown.height}" alt="{html.escape(alt)}" loading="lazy"></a>'
        )
    ways = "".join(f'<li><a href="{address}">{words}</a></li>' for address, words in links)
    return (
        f'<article class="card"><h3><a href="{notebook.page}">{html.escape(notebook.called)}</a></h3>'
        f'<p class="answer"><strong class="label">{label}</strong> {inline(said)}</p>{image}'
        f'<ul class="ways">{ways}</ul></article>\n'
    )


def _drawn(notebook: Notebook, pictures: Pictures) -> tuple[Picture, str] | None:
    """The first figure that a notebook's own cells drew, after the panel's picture, and its description."""
    outputs = [output for cell in notebook.copy.cells for output in cell.get("outputs", [])]
    drawn = [output for output in outputs if "image/png" in output.get("data", {})]
    if not drawn:
        return None
    chosen = drawn[min(1, len(drawn) - 1)]
    return pictures.of_output(chosen), chosen.metadata["image/png"]["alt"]


def _commands(plan: Plan) -> str:
    text = next((text for text in plan.texts if text.name == "run-it.html"), None)
    blocks = text.markdown.split("\n\n") if text else []
    first = next((block for block in blocks if block.startswith("    ")), "")
    return html_of(first) + (f'<p><a href="{text.name}">What it needs, and the command line</a></p>' if text else "")


def _panel(plan: Plan, around: Surroundings) -> str:
    pictures = "\n\n".join(block for block in plan.intro.blocks() if block.startswith("!["))
    return dressed(html_of(pictures), around)[0]
