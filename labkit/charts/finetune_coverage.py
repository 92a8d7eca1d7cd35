"""What costs nothing in private sparse fine-tuning, and what no epsilon covers; beside the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.privacy.coverage import Said


def free() -> tuple[Said, ...]:
    """What is not charged."""
    from labkit.privacy.coverage import Said  # the package brings PyTorch

    return (
        Said("random rows", "drawn from a seed, before and without any look at the data"),
        Said("the largest public rows", "read off public weights alone, as are the statistics of frozen batch norms"),
        Said("SPARTA's |sum + noise|", "computed from noised sums that were paid for already"),
        Said("publishing which rows moved", "the choice is released with the network, at no further cost"),
        Said("more candidates for the search", "the private choice's epsilon does not depend on how many there are"),
        Said("test and selection measures", "those splits are not protected: the guarantee is the training split's"),
    )


def not_covered() -> tuple[Said, ...]:
    """What is shown or stored for teaching and must be marked "not private"; exports leave it out."""
    from labkit.privacy.coverage import Said

    return (
        Said("agreement with the noiseless choice", "that choice is an exact look at the private examples"),
        Said("the loss landscape", "exact losses of the training data at many points"),
        Said("clipped shares, counts of dropped examples", "exact statistics of private examples"),
        Said("the best of these methods", "found by comparing many runs, of which each had an epsilon of its own"),
        Said("tuned learning rates", "chosen by many runs on the selection split, not charged"),
        Said("the images behind the public weights", "whoever published them promised those people nothing here"),
    )
