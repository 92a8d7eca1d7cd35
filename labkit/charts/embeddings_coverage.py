"""What costs nothing in private training of sparse embeddings, and what no epsilon covers; beside the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.privacy.coverage import Said


def free() -> tuple[Said, ...]:
    """What is not charged."""
    from labkit.privacy.coverage import Said  # the package brings PyTorch

    return (
        Said("the rows that survive", "the noised map and the noised gradient of a step are one event of one sigma"),
        Said("the vocabulary", "declared public, hashed by a public function, or given: never read off private data"),
        Said("FEST's rows by public frequencies", "counted on examples that nobody promised to protect"),
        Said("LazyDP's late noise", "flushed before anything is shown, a row has had all the noise of DP-SGD"),
        Said("post-processing", "ranking or rounding with a released model looks at no example again"),
        Said("test and selection measures", "those splits are not protected: the guarantee is the training split's"),
    )


def not_covered() -> tuple[Said, ...]:
    """What is shown or stored for teaching and must be marked "not private"; exports leave it out."""
    from labkit.privacy.coverage import Said

    return (
        Said("rows that a batch touches", "an exact statistic of private examples, and LazyDP's table of delays too"),
        Said("noise on touched rows only (EANA)", "which rows move shows who takes part, however large the noise"),
        Said("threshold, fraction, k, learning rate", "picked on the selection split of many runs, not charged"),
        Said("the reduction within a margin", "a reading off a chart that depends on private data"),
        Said("a person with many examples", "where the unit is an example, epsilon protects one of them, not all"),
    )
