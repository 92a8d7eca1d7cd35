"""What a stored set of trained weights is: all that the card which goes with it says, but the figures of its cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PREFIX = "weights "  # of the artifacts that hold trained weights; behind it stands what they are of


@dataclass(frozen=True, kw_only=True)
class Released:
    """One set of trained weights, as others get it. Everything here is public.

    Args:
        what: it is, in a sentence without a full stop.
        arm: of the stored result that it reached.
        usage: Python that loads it in the folder where it lies.
        library: whose format it has, "pytorch" or "peft".
        tags: of the card.
        base: the public model that it changes or reads; empty for none.
        licences: of data and model, by what they are of.
        adapter: the fields of peft's configuration; empty for a plain state dict.
        figures: what it reached: name in words -> field of the result.
        tested_on: field of the result that holds the size of the test set, and what its members are.
        unit: what one record is, in words.
        units: how many there are.
        public: what is declared public, and so not protected.
        steps: what the steps are that a guarantee is stated with, in words.
        charged: what epsilon pays for beside them.
        uncovered: what it does not cover, each with its reason.
        reads_private: whether anything private was read at all.
        spoilt: why there is no guarantee although there is noise, in words; empty where there is one.
        noise_source: "seeded" or "os".
    """

    what: str
    arm: str
    usage: str
    library: str
    tags: tuple[str, ...]
    base: str
    licences: Mapping[str, str]
    figures: Mapping[str, str]
    tested_on: tuple[str, str]
    unit: str
    units: int | None
    public: tuple[str, ...]
    uncovered: tuple[tuple[str, str], ...]
    noise_source: str
    steps: str = "the steps below"
    charged: tuple[str, ...] = ()
    adapter: Mapping[str, Any] = field(default_factory=dict)
    reads_private: bool = True
    spoilt: str = ""
