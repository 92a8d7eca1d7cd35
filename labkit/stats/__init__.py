"""Statistics: intervals, verdicts, non-inferiority, families, correlations, the best of many, censored steps."""

from labkit.stats.auc import auc
from labkit.stats.best import expected_best
from labkit.stats.censoring import restricted_mean
from labkit.stats.correlation import Correlation, ceiling, rank_correlation, reliability
from labkit.stats.family import holm, judge_family
from labkit.stats.intervals import mean_interval, paired_interval, paired_p_value, sampling_error
from labkit.stats.noninferiority import NonInferiority, judge_losses, loss_bound, loss_p_value, noninferiority, pick
from labkit.stats.verdict import FEWEST, LOOKS, Verdict, verdict

__all__ = [
    "FEWEST",
    "LOOKS",
    "Correlation",
    "NonInferiority",
    "Verdict",
    "auc",
    "ceiling",
    "expected_best",
    "holm",
    "judge_family",
    "judge_losses",
    "loss_bound",
    "loss_p_value",
    "mean_interval",
    "noninferiority",
    "paired_interval",
    "paired_p_value",
    "pick",
    "rank_correlation",
    "reliability",
    "restricted_mean",
    "sampling_error",
    "verdict",
]
