"""Specs: the frozen, checked parameters of an experiment."""

from labkit.spec.base import PRESETS, Spec
from labkit.spec.control import Control, control

__all__ = ["PRESETS", "Control", "Spec", "control"]
