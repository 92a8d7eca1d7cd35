"""The data and the pretrained weights that a Spec names, loaded with the store's key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.data import Split
    from labkit.data.corpus import Corpus
    from labkit.data.table import Table
    from labkit.runs.store import Store
    from labkit.spec import Spec

NO_MODEL = "none"  # what a field that names weights says where there are none


def load_inputs(spec: Spec, store: Store) -> Split | Corpus | Table:
    """What the Spec's experiment works on: images split by its `split_seed`, or a corpus or a table, which the
    experiment splits.

    Raises:
        BadInput: the data cannot be used.
    """
    if spec.data_kind == "corpus":
        from labkit.data.corpora import load_corpus

        return load_corpus(spec.data, store.key)
    if spec.data_kind == "table":
        from labkit.data.tables import load_table

        return load_table(spec.data, store.key)
    from labkit.data import load, split

    return split(load(spec.data), spec.split_seed, store.key)


def fingerprint(spec: Spec, store: Store) -> str:
    """The fingerprint of the Spec's data set, as the store names runs by it.

    Raises:
        BadInput: the data cannot be used.
    """
    if spec.data_kind in ("corpus", "table"):
        return load_inputs(spec, store).fingerprint
    from labkit.data import load

    return load(spec.data).fingerprint(store.key)


def weights(spec: Spec) -> str:
    """The sha256 of the pretrained weights that the Spec names, empty without any.

    A model for images is an image model; for a corpus or a table it is a language model.

    Raises:
        BadInput: they are not here.
    """
    if not spec.pretrained or getattr(spec, spec.pretrained) == NO_MODEL:
        return ""
    name = getattr(spec, spec.pretrained)
    if spec.data_kind == "images":
        from labkit.data.image_models import find_image_model

        return find_image_model(name).sha256
    from labkit.data.models import find_model

    return find_model(name).sha256
