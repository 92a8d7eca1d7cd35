"""Documents and queries of the Hugging Face Hub: fetched once on request, read from the copy ever after.

Corpora of BEIR lie there in two ways: with their judgements inside (`mteb/scifact`), or in a neighbour of their own
(`BeIR/scifact` and `BeIR/scifact-qrels`). The copy has the layout of BEIR either way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from labkit.data import beir, hub
from labkit.data.copies import answering, new_folder
from labkit.data.corpus import Corpus, one_line
from labkit.errors import BadInput


def copy_path(name: str) -> Path:
    """Where the copy of `hub:NAME` lies, whether it is there or not.

    Raises:
        BadInput: NAME cannot be a corpus' name.
    """
    return hub.copy_path(name, "corpora").with_suffix("")


def load(name: str) -> Corpus:
    """Read the copy of `hub:NAME`; this never downloads.

    Raises:
        BadInput: it has not been fetched, or its copy cannot be used.
    """
    folder = copy_path(name)
    if not folder.is_dir():
        raise BadInput("data", name, f"a corpus fetched before; `labkit fetch {name} --as corpus` downloads this one")
    called = name.removeprefix("hub:")
    return beir.load(folder, source=name, name=called, licence="as the Hub's page says", public=True)


def fetch(name: str, tell: Callable[[str], None]) -> Path:
    """Download documents, queries and judgements; a copy that is here already is left as it is.

    Code of the corpus is never run.

    Args:
        name: hub:OWNER/NAME.
        tell: is told in one line what was left out: empty texts, and pairs that name what is not there.

    Returns:
        the folder.

    Raises:
        BadInput: the extra [hub] is not installed, the Hub does not answer, or the corpus is not in one of the two
            forms.
    """
    folder, wanted = copy_path(name), name.removeprefix("hub:")
    if folder.is_dir():
        return folder
    if Path(wanted).exists():  # the package would read that instead, and private files would count as public
        raise BadInput("data", name, f"a folder without a file or folder called {wanted}: change directory")
    try:
        import datasets
    except ImportError as error:
        raise BadInput("data", name, "with the extra [hub] installed: pip install 'labkit[hub]'") from error
    with answering("data", name):
        inside = "default" in datasets.get_dataset_config_names(wanted)
        documents = datasets.load_dataset(wanted, "corpus")
        queries = datasets.load_dataset(wanted, "queries")
        judged = datasets.load_dataset(wanted, "default") if inside else datasets.load_dataset(f"{wanted}-qrels")
    with new_folder(folder) as unfinished:
        known = [
            _write(unfinished / f"{kind}.jsonl", _rows(table, ("_id", "text"), name))
            for kind, table in (("corpus", documents), ("queries", queries))
        ]
        left_out = [empty for _, empty in known]
        (unfinished / "qrels").mkdir()
        kept = dangling = 0
        for split, table in judged.items():
            lines = ["\t".join(beir.COLUMNS)]
            for row in _rows({split: table}, tuple(beir.COLUMNS), name):
                query, document, score = (str(row[column]) for column in beir.COLUMNS)
                if query in known[1][0] and document in known[0][0]:
                    lines.append(f"{query}\t{document}\t{score}")
                else:
                    dangling += 1
            kept += len(lines) - 1
            (unfinished / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        if not kept:
            raise BadInput("data", name, "a corpus with pairs of queries and documents; it has none")
        if any(left_out) or dangling:
            tell(
                f"left out: {left_out[0]} empty documents, {left_out[1]} empty queries,"
                f" {dangling} pairs that name what is not there"
            )
    return folder


def _rows(splits: Mapping[str, Iterable[dict[str, Any]]], needed: tuple[str, ...], name: str) -> Iterator[dict]:
    for table in splits.values():
        for row in table:
            if missing := [column for column in needed if column not in row]:
                raise BadInput("data", name, f"the columns {', '.join(needed)}; {', '.join(missing)} is not there")
            yield row


def _write(file: Path, rows: Iterable[dict[str, Any]]) -> tuple[set[str], int]:
    """The ids that were written, and how many texts were empty."""
    known: set[str] = set()
    empty = 0
    with file.open("w", encoding="utf-8") as out:
        for row in rows:
            title, text = one_line(row.get("title") or ""), one_line(row["text"] or "")
            if not title and not text:
                empty += 1
                continue
            known.add(str(row["_id"]))
            kept = {"_id": str(row["_id"])} | ({"title": title} if title else {}) | {"text": text}
            out.write(json.dumps(kept, ensure_ascii=False) + "\n")
    return known, empty
