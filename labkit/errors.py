"""What can go wrong, in one line a reader can act on."""

from __future__ import annotations


class LabError(Exception):
    """Base of every error that labkit raises on purpose; its text is one line, fit for a terminal or a panel."""


class BadInput(LabError, ValueError):
    """A parameter that cannot be used, told before anything trains.

    Args:
        parameter: the name of the parameter, as the Spec or the command line spells it.
        value: what was given.
        allowed: what would have been accepted, in words.
    """

    def __init__(self, parameter: str, value: object, allowed: str) -> None:
        self.parameter, self.value, self.allowed = parameter, value, allowed
        super().__init__(parameter, value, allowed)

    def __str__(self) -> str:
        return f"{self.parameter} = {self.value!r} is not usable; allowed: {self.allowed}"


class StoreError(LabError):
    """The store cannot be opened, read or written."""


class Busy(LabError):
    """Another living process is writing the same replicate."""


class ClaimFailed(LabError, AssertionError):
    """A notebook's numeric claim did not hold on this run."""
