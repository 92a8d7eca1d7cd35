"""Sentences of film reviews with how people rated them (Hutto and Gilbert 2014, of VADER), vendored."""

from __future__ import annotations

import gzip
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from labkit.data.packed import FILES, read_checked
from labkit.data.table import Table, make_table

FILE = "movies.tsv.gz"
SHA256 = "61bb70068cf5c02013b1ec90daa6bd65860bdb822a0e50e5590118a9531261f5"
LICENCE = "MIT, (c) 2016 C.J. Hutto (vaderSentiment 3.3.2; sentences of reviews on Rotten Tomatoes)"
CLEAR = 0.5  # of a valence from -4 to 4: below it the raters saw hardly any


def load(folder: Path | Traversable = FILES) -> Table:
    """10,072 sentences with a mean valence of at least 0.5 either way; label 1 (49.6 %) where they are positive.

    The texts are still whole: a model's tokenizer cuts them into words. A sentence stands for itself.

    Args:
        folder: where the file is; the package's own by default.

    Raises:
        BadInput: the file is missing, truncated or altered.
    """
    raw = gzip.decompress(read_checked(folder, FILE, SHA256, "movies")).decode()
    rated = [line.split("\t") for line in raw.splitlines()]
    clear = [(float(valence), text) for valence, text in rated if abs(float(valence)) >= CLEAR]
    return make_table(
        "movies",
        ("word",),
        np.empty((len(clear), 0), np.int64),
        (),
        np.asarray([valence > 0 for valence, _ in clear]),
        licence=LICENCE,
        public=True,
        vocabulary="the words of the model's tokenizer, which is published with it",
        bag=True,
        texts=[text for _, text in clear],
    )
