"""Specs: the frozen, checked parameters of an experiment."""

from labkit.spec.base import PRESETS, Spec
from labkit.spec.control import Control, control, typed
from labkit.spec.state import from_state, state_text

__all__ = ["PRESETS", "Control", "Spec", "control", "from_state", "state_text", "typed"]
