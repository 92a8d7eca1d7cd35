"""The trained weights of notebook 03, as others load them; nothing where nobody asked to keep them.

They are said whenever what they are of is there, from a chunk of an earlier execution as well.
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.experiments.kept import PEFT, kept
from labkit.experiments.queries.lab import Lab, Told
from labkit.experiments.queries.released import LANGUAGE, RETRIEVER
from labkit.retrieval.encoder import Encoder


def adapter(lab: Lab, place: int) -> Iterator[Told]:
    """The adapters as they are, under peft's names: with the rounding of the format in which they write queries."""
    if lab.point.keep_weights:
        layers = lab.adapters.layers.items()
        yield place, kept(LANGUAGE, {f"{PEFT}{name}.weight": layer.weight for name, layer in layers})


def retriever(lab: Lab, place: int, arm: str, encoder: Encoder) -> Iterator[Told]:
    """An arm's encoder, without the embeddings, which are the public model's."""
    if lab.point.keep_weights:
        yield place, kept(f"{RETRIEVER}{arm}", encoder.params())
