"""What costs nothing in private synthetic queries, and what no epsilon covers: said beside the ledger's totals."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.privacy.coverage import Said


def free() -> tuple[Said, ...]:
    """What is not charged."""
    from labkit.privacy.coverage import Said  # the package brings PyTorch

    return (
        Said("synthetic queries, as many as you like", "they follow from public documents and the tuned model alone"),
        Said("the encoder trained on them", "training on synthetic queries looks at no real one"),
        Said("public documents", "the whole index and the pre-trained model are declared public"),
        Said("queries of the untuned model", "it never saw a private query; so a warm start from them is free, too"),
        Said("test and selection measures", "those splits are not protected: the guarantee is the training split's"),
    )


def not_covered() -> tuple[Said, ...]:
    """What is shown or stored for teaching and must be marked "not private"; exports leave it out."""
    from labkit.privacy.coverage import Said

    return (
        Said("copies of training queries, and their share", "counted on private queries; a filter by them would leak"),
        Said("the encoder trained on real queries", "a baseline without privacy"),
        Said("clipped shares, counts of dropped examples", "exact statistics of private queries"),
        Said("exposure of canaries", "measured on what was trained on, in runs of their own"),
        Said("a document's other wordings", "at unit pair, epsilon protects one query, not all about one document"),
        Said("learning rate, clip norm, checkpoint", "chosen on the selection split of other runs, not charged"),
    )
