"""Which name reads which corpus. A new one is a loader in its own file and a line here."""

from __future__ import annotations

from pathlib import Path

from labkit.data import beir, hpo, hub_corpus
from labkit.data.corpus import Corpus
from labkit.errors import BadInput

NAMED = ("hpo",)  # corpora that need neither a path nor a download


def load_corpus(name: str, key: bytes = b"") -> Corpus:
    """The corpus that the `data` parameter names.

    Args:
        name: "hpo", "hub:NAME" (fetched before), or a folder in the layout of BEIR.
        key: the store's key, for the fingerprint of texts that are not public.

    Raises:
        BadInput: there is no such corpus, or it cannot be used; nothing is ever downloaded here.
        ValueError: the texts are not public and no key was given.
    """
    if name == "hpo":
        return hpo.load()
    if name.startswith("hub:"):
        return hub_corpus.load(name)
    if name and Path(name).expanduser().is_dir():
        return beir.load(Path(name).expanduser(), source=name, key=key)
    allowed = f"{', '.join(NAMED)}, hub:NAME, or a folder of corpus.jsonl, queries.jsonl and qrels that exists"
    raise BadInput("data", name, allowed)
