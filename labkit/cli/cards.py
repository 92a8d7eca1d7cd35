"""The model card of exported weights: what they are, how to load them, what made them, and what is guaranteed."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labkit.cli import provenance
from labkit.cli.offers import Offer
from labkit.cli.table import printable
from labkit.experiments.kept import shown
from labkit.spec import typed

OF_THE_MACHINE = ("store", "device", "seed", "seeds")  # fields of a Spec that say where and how often it was run
PATHS = ("data", "model")  # fields that may be a path of somebody's machine
NOTHING = "no guarantee is needed: no private record was read"
ADD_UP = (
    ("other weights trained on the same data", "other arms, seeds and runs each cost their own epsilon; they add up"),
    ("the choice of these settings, or of this run among others", "whoever chose may have looked at other runs"),
    ("the people of the selection and test splits", "the training split alone is protected; figures read the others"),
    ("normalisation constants", "public by declaration: nobody computed them here"),
    ("who breaks the generator of the noise", "Philox is no cryptographic generator"),
)


def guarantee(offer: Offer) -> str:
    """The guarantee in a line, or why there is none."""
    from labkit.privacy.record import RELATION

    if not offer.released.reads_private:
        return NOTHING
    if offer.reservation:
        return f"no guarantee; {offer.reservation}"
    values, unit = offer.values, offer.released.unit
    return f"epsilon {values['epsilon_spent']!r} at delta {values['delta']!r}; {RELATION}: {unit} (training split only)"


def card(offer: Offer, ledger: Sequence[Mapping[str, Any]]) -> str:
    """The card as Markdown with its front matter, in the format of the Hugging Face Hub; nothing is sent anywhere.

    Args:
        ledger: the rows of all that was done with the same data, as far as they are known.
    """
    from huggingface_hub import ModelCard

    released = offer.released
    parts = [f"# {_text(released.what)}"]
    if offer.reservation:
        parts.append(f"> **No guarantee.** These weights are {_text(offer.reservation)}.")
    parts += ["## Guarantee", *_guaranteed(offer, ledger)]
    usage = f"```python\n{released.usage}\n```"
    parts += ["## How to load it", "In the folder of this card, with labkit installed:", usage]
    parts += ["## What trained it", _table(("", ""), _trained(offer))]
    parts += ["## What it reached", *_figures(offer)]
    parts += ["## Licences", _table(("of", "what may be done with it"), released.licences.items())]
    return str(ModelCard(f"---\n{_front(offer)}\n---\n\n" + "\n\n".join(parts) + "\n"))


def _front(offer: Offer) -> str:
    from huggingface_hub import ModelCardData

    released = offer.released
    promised = "differential-privacy" if released.reads_private else "public-data"
    return ModelCardData(
        license="other",
        license_name="those-of-model-and-data",
        base_model=released.base.removeprefix("hub:") or None,
        datasets=[shown(offer.point.data).removeprefix("hub:")],
        tags=["labkit", "not-private" if offer.reservation else promised, *released.tags],
        library_name=released.library,
    ).to_yaml()


def _guaranteed(offer: Offer, ledger: Sequence[Mapping[str, Any]]) -> list[str]:
    """The section that says what is promised to whom, or that nothing is."""
    from labkit.privacy.record import RELATION, SECRET

    released, values = offer.released, offer.values
    if not released.reads_private:
        return [f"{NOTHING[0].upper()}{NOTHING[1:]}. These weights follow from what is public:", _list(released.public)]
    if offer.reservation:
        return [f"**None.** These weights are {_text(offer.reservation)}. No epsilon and no delta hold for them."]
    again = values.get("executions", 1)
    facts = {
        "epsilon": values["epsilon_spent"],
        "delta": values["delta"],
        "relation": f"{RELATION}: {released.unit}",
        "protected records": "not known" if released.units is None else released.units,
        "sampling": "Poisson: each record is in a step's batch with the probability sample rate, whoever else is",
        "sample rate": values["sample_rate"],
        "steps": values["steps"],
        "clip norm": values["clip_norm"],
        "noise multiplier": values["noise_multiplier"],
        "accountant": values["accountant"],
        "noise": SECRET,
        "executions": f"{again}: what a stop made it do again is charged" if again > 1 else 1,
    }
    charged = released.charged
    said = [
        f"These weights are ({values['epsilon_spent']!r}, {values['delta']!r})-differentially private for adding or "
        f"removing {_text(released.unit)} of the training split.",
        f"That is the joint cost of {released.steps}{', and of:' if charged else '.'}",
        *([_list(charged)] if charged else []),
    ]
    said += [_table(("", ""), facts.items()), "What is public, and so not protected:", _list(released.public)]
    not_covered = dict((*ADD_UP, *released.uncovered)).items()
    return [*said, "What this epsilon does **not** cover:", _table(("what", "why"), not_covered), *_totals(ledger)]


def _totals(ledger: Sequence[Mapping[str, Any]]) -> list[str]:
    from labkit.charts.frontier_ledger import in_total

    if (total := in_total(ledger)) is None:
        return []
    return [
        f"All that the store which this comes from did with these data, tuning and losing runs included: epsilon "
        f"{total['epsilon']:.4g} at delta {total['delta']:.3g} for {total['networks']:,} networks; not a releasable "
        "guarantee, and other stores are not in it."
    ]


def _trained(offer: Offer) -> Iterable[tuple[str, Any]]:
    yield from provenance.origin(offer.key).items()
    for name in offer.point.controls():
        value = getattr(offer.point, name)
        if name not in OF_THE_MACHINE:
            yield name, shown(value) if name in PATHS else typed(value)


def _figures(offer: Offer) -> list[str]:
    field, members = offer.released.tested_on
    figures = {name: offer.values[field] for name, field in offer.released.figures.items() if field in offer.values}
    if not figures:
        return ["Nothing was measured."]
    size = f"On {offer.values[field]:,} {members} of the test split" if field in offer.values else "On the test split"
    return [f"{size}, which is not protected, and which nothing was trained on:", _table(("", ""), figures.items())]


def _table(head: tuple[str, str], rows: Iterable[tuple[str, Any]]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "| --- | --- |"]
    return "\n".join(lines + [f"| {_text(name)} | {_text(value)} |" for name, value in rows])


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {_text(item)}" for item in items)


def _text(value: Any) -> str:
    """A value on one line that is nothing but text, whatever it holds: no table cell, markup or code is begun by it."""
    plain = html.escape(printable(value if isinstance(value, str) else repr(value)), quote=False)
    return "".join(f"\\{letter}" if letter in "\\`*[]|" else letter for letter in plain)
