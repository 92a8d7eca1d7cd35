"""The trained weights that runs hold, each set with all that is known of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit import experiments
from labkit.cli import provenance
from labkit.errors import BadInput, StoreError
from labkit.runs import RunKey, Store
from labkit.runs.reader import key_of
from labkit.runs.released import PREFIX

if TYPE_CHECKING:
    from labkit.runs.released import Released
    from labkit.spec import Spec

NO_NOISE = "not private: it was trained without noise, and may give away whom it was trained on"
HOLDS = "trained weights: one that was run with keep_weights = true"
NEEDED = ("epsilon_spent", "delta", "accountant", "noise_multiplier", "clip_norm", "steps", "sample_rate")


@dataclass(frozen=True)
class Offer:
    """One set of weights of one replicate.

    Args:
        what: they are of; the name of their folder.
        point: the replicate's grid point.
        values: of the result that they reached, and their noise source.
        reservation: why they have no guarantee, in words; empty where they have one, or read nothing private.
    """

    key: RunKey
    what: str
    point: Spec
    released: Released
    values: Mapping[str, Any]
    reservation: str


def offers(store: Store, name: str, replicate: str | None, arms: Collection[str]) -> list[Offer]:
    """The weights of a run's finished replicates.

    Args:
        replicate: SEED-DEVICE, for one alone.
        arms: what the weights should be of; empty for all.

    Raises:
        BadInput: there are none, or none such; or they are of an experiment that this labkit does not know.
        StoreError: a result lacks what a guarantee is stated with.
    """
    found = provenance.finished(store, name, lambda key: bool(kept(store, key)), HOLDS)
    if replicate is not None and replicate not in found:
        raise BadInput("replicate", replicate, f"one of {', '.join(found)}")
    keys = [key for called, key in found.items() if replicate in (None, called)]
    every = dict.fromkeys(what for key in keys for what in kept(store, key))
    if unknown := [arm for arm in arms if arm not in every]:
        raise BadInput("arm", unknown[0], f"one of {', '.join(every)}")
    return [_offer(store, key, what) for key in keys for what in kept(store, key) if not arms or what in arms]


def kept(store: Store, key: RunKey) -> Sequence[str]:
    """What the stored weights of a replicate are of."""
    return [name.removeprefix(PREFIX) for name in store.artifacts(key) if name.startswith(PREFIX)]


def _offer(store: Store, key: RunKey, what: str) -> Offer:
    if key.experiment not in experiments.names() or experiments.get(key.experiment).released is None:
        raise BadInput("run", key.name, "one of an experiment that keeps weights in this labkit")
    experiment = experiments.get(key.experiment)
    row = next(row for row in store.replicates(key.experiment, key.name) if key_of(row) == key)
    own = [row for row in store.results(key.name, key.experiment, key.device_kind) if row["seed"] == key.seed]
    hidden = experiment.not_private
    results = {row["arm"]: {name: value for name, value in row.items() if name not in hidden} for row in own}
    point = _point(experiment.spec, row["spec"])
    shapes = {name: array.shape for name, array in store.arrays(key, PREFIX + what).items()}
    released = experiment.released(what, point, key, results, shapes)
    values = {"noise_source": released.noise_source} | results.get(released.arm, {})
    offer = Offer(key, what, point, released, values, _reservation(released, values))
    if released.reads_private and not offer.reservation and (gone := [n for n in NEEDED if n not in values]):
        raise StoreError(f"run {key} lacks {', '.join(gone)}, without which its weights cannot be shared")
    return offer


def _reservation(released: Released, values: Mapping[str, Any]) -> str:
    if not released.reads_private:
        return ""
    why = provenance.reservation(values, NO_NOISE)
    return why or (f"not private: {released.spoilt}" if released.spoilt else "")


def _point(kind: type[Spec], stored: Mapping[str, Any]) -> Spec:
    """A stored grid point as it was run. It is not checked anew: a point may hold what no whole Spec does, such as no
    sparsity for a method that has a size of its own."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
    known = {name: value for name, value in values.items() if name in kind.controls()}
    return kind.of(preset=stored.get("preset")).model_copy(update=known)
