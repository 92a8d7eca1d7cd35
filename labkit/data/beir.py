"""The user's own documents and queries: a folder in the layout of BEIR (Thakur and others 2021, arXiv 2104.08663).

corpus.jsonl     {"_id": "d1", "title": "may be missing", "text": "..."} a line
queries.jsonl    {"_id": "q1", "text": "..."} a line
qrels.tsv        query-id, corpus-id and score under a header, or qrels/train.tsv, qrels/test.tsv and others
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit.data.corpus import Corpus, make_corpus, one_line
from labkit.errors import BadInput

LAYOUT = "a folder of corpus.jsonl, queries.jsonl, and qrels.tsv or qrels/*.tsv"
COLUMNS = ["query-id", "corpus-id", "score"]


def load(
    folder: Path,
    *,
    source: str = "",
    name: str = "",
    licence: str = "the user's own",
    public: bool = False,
    key: bytes = b"",
) -> Corpus:
    """Read documents, queries and every pair with a score above 0.

    All files of judgements are read as one, since labkit splits anew. A query with several documents is several pairs;
    a query without a pair is left alone. A document is its title and its text.

    Args:
        folder: where the files are.
        source: the `data` parameter as it was given, for error messages; the folder by default.
        name: the corpus' short name; the folder's by default.
        licence, public, key: as in `make_corpus`.

    Raises:
        BadInput: a file that is missing or cannot be read, an empty document or query, an id that comes twice, a pair
            that names what is not there, no pairs at all.
    """
    source = source or str(folder)
    documents, titles = {}, []
    for number, row in _rows(folder / "corpus.jsonl", source):
        title, text = one_line(_text(row, "title", source, number)), one_line(_text(row, "text", source, number))
        _keep(documents, row["_id"], one_line(f"{title} {text}"), "document", source)
        titles.append(title)
    queries: dict[str, str] = {}
    for number, row in _rows(folder / "queries.jsonl", source):
        _keep(queries, row["_id"], one_line(_text(row, "text", source, number)), "query", source)
    places = {document: row for row, document in enumerate(documents)}
    pairs: dict[tuple[str, str], None] = {}
    for file in _judgements(folder, source):
        for query, document in _relevant(file, source):
            for kind, identity, known in (("query", query, queries), ("document", document, places)):
                if identity not in known:
                    missing = f"a pair in {file.name} names {kind} {identity!r}, which is missing"
                    raise BadInput("data", source, f"pairs of queries and documents that are there; {missing}")
            pairs[query, document] = None
    if not pairs:
        raise BadInput("data", source, "at least one pair with a score above 0; there is none")
    return make_corpus(
        name or folder.resolve().name,
        list(documents.values()),
        [queries[query] for query, _ in pairs],
        [places[document] for _, document in pairs],
        titles=titles if all(titles) else (),
        licence=licence,
        public=public,
        key=key,
    )


def _rows(file: Path, source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if not file.is_file():
        raise BadInput("data", source, f"{LAYOUT}; {file.name} is missing")
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(_readable(lines, file, source), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                row = None
            if not isinstance(row, dict) or not isinstance(row.get("_id"), str):
                allowed = f"a JSON object with a text _id on every line; line {number} of {file.name} has none"
                raise BadInput("data", source, allowed)
            yield number, row


def _readable(lines: Iterator[str], file: Path, source: str) -> Iterator[str]:
    try:
        yield from lines
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("data", source, f"files of UTF-8 text; {file.name} cannot be read") from error


def _text(row: dict[str, Any], field: str, source: str, number: int) -> str:
    text = row.get(field) or ""
    if not isinstance(text, str):
        raise BadInput("data", source, f"texts alone; {field} of {row['_id']!r} (line {number}) is none")
    return text


def _keep(kept: dict[str, str], identity: str, text: str, kind: str, source: str) -> None:
    if not text:
        raise BadInput("data", source, f"texts with at least one letter; {kind} {identity!r} is empty")
    if identity in kept:
        raise BadInput("data", source, f"ids that come once; {kind} {identity!r} comes twice")
    kept[identity] = text


def _judgements(folder: Path, source: str) -> list[Path]:
    single = folder / "qrels.tsv"
    files = [single] if single.is_file() else sorted((folder / "qrels").glob("*.tsv"))
    if not files:
        raise BadInput("data", source, f"{LAYOUT}; no qrels are there")
    return files


def _relevant(file: Path, source: str) -> Iterator[tuple[str, str]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(_readable(lines, file, source), 1):
            cells = line.rstrip("\r\n").split("\t")
            if cells == COLUMNS or cells == [""]:
                continue
            try:
                query, document, score = cells
                relevant = float(score) > 0
            except ValueError as error:
                allowed = f"{', '.join(COLUMNS)} on every line, tabs between; line {number} of {file.name} differs"
                raise BadInput("data", source, allowed) from error
            if relevant:
                yield query, document
