"""Rows with the largest noisy scores move (SPARTA, 2503.12822), in four readings of what a score is."""

from labkit.finetune.method import Method, Moves, Setting, beside_rows
from labkit.finetune.scores import ABSOLUTE, NOISY, NORM, SUM


def moves(setting: Setting) -> Moves:
    return Moves(setting.network, beside_rows(setting.network, setting.first), None)


METHODS = (
    Method("sparta", "rows by |sum of clipped gradients|", moves, sized=True, reading=SUM),
    Method("sparta_abs", "rows by sum of |clipped gradients|", moves, sized=True, reading=ABSOLUTE),
    Method("sparta_noisy", "rows by |noisy sum|", moves, sized=True, reading=NOISY),
    Method("sparta_norm", "rows by noisy row norms", moves, sized=True, reading=NORM),
)
