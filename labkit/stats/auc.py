"""The area under the ROC curve, and how far one test set lets it be known."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata


def auc(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """The AUC and its standard error on this test set (DeLong et al. 1988).

    The AUC is the share of pairs of a positive and a negative example in which the positive scores higher, ties
    counting half. Its variance is that of the positives' shares over the number of positives, and the negatives' alike.

    Args:
        labels: 0 or 1, [n].
        scores: finite, [n].

    Returns:
        both, float64; an error of 0 where a class has a single example.

    Raises:
        ValueError: one class only, or a score that is not finite.
    """
    positive = np.asarray(labels) == 1
    scores = np.asarray(scores, np.float64)
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        raise ValueError(f"both labels are needed; there are {m} positives and {n} negatives")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite")
    everywhere = rankdata(scores)
    above = (everywhere[positive] - rankdata(scores[positive])) / n  # of each positive: negatives below it
    below = 1 - (everywhere[~positive] - rankdata(scores[~positive])) / m
    variance = sum(part.var(ddof=1) / len(part) for part in (above, below) if len(part) > 1)
    return float(above.mean()), float(np.sqrt(variance))
