"""What costs nothing, and what no epsilon covers: both are said beside every epsilon."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """Something on the page, and why it stands where it does."""

    what: str
    why: str


def free() -> tuple[Said, ...]:
    """What is not charged."""
    return (
        Said("post-processing", "pruning, rounding, averaging or plotting a released model looks at no example again"),
        Said("public data", "normalisation constants, class names and the data set's size are declared public"),
        Said("fixed random masks", "they are drawn from a seed, before and without any look at the data"),
        Said("more candidates for a private choice", "the exponential mechanism's epsilon does not depend on them"),
        Said("test and selection accuracy", "those splits are not protected: the guarantee is the training split's"),
    )


def not_covered() -> tuple[Said, ...]:
    """What is shown or stored for teaching and must be marked "not private"; exports leave it out."""
    return (
        Said("training loss, clipped shares, counts of dropped examples", "exact statistics of private examples"),
        Said("loss landscapes on training data", "exact private losses at many points"),
        Said("losing runs", "a guarantee for the winner supposes that the others stay hidden"),
        Said("the epsilon for a wanted accuracy", "a reading off a chart that depends on private data"),
        Said("tuned learning rates", "chosen by many runs on the selection split, on other seeds, not charged"),
    )
