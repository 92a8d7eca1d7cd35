"""Charts drawn from the store alone: functions from a View to an Altair chart."""

from labkit.charts.accuracy import accuracy_by_sparsity
from labkit.charts.candidates import best_of_k, loss_against_accuracy
from labkit.charts.curves import steps_to_threshold, training_curves
from labkit.charts.differences import difference_by_sparsity
from labkit.charts.lines import curvature, interpolation, profiles
from labkit.charts.png import Still, png, still
from labkit.charts.surfaces import landscapes, path
from labkit.charts.table import verdict_rows, verdict_table

__all__ = [
    "Still",
    "accuracy_by_sparsity",
    "best_of_k",
    "curvature",
    "difference_by_sparsity",
    "interpolation",
    "landscapes",
    "loss_against_accuracy",
    "path",
    "png",
    "profiles",
    "steps_to_threshold",
    "still",
    "training_curves",
    "verdict_rows",
    "verdict_table",
]
