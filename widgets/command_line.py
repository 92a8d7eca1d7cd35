"""The shell command that does what the panel shows."""

from __future__ import annotations

import shlex
from pathlib import Path

import anywidget
import traitlets

from labkit.spec import Spec, typed

OPTIONS = ("preset", "device", "store")  # these have an option of their own; the others are given by -p


class CommandLine(anywidget.AnyWidget):
    """A line, such as a command, and a button that copies it."""

    _esm = Path(__file__).with_suffix(".js")
    text = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode("Copy as command").tag(sync=True)


def command(experiment: str, spec: Spec) -> str:
    """The `labkit run` line of a Spec: what differs from its preset is said, the rest is left out."""
    words = ["labkit", "run", experiment]
    differing = spec.modified()
    for name, value in differing.items():
        if name not in OPTIONS:
            words += ["-p", name, typed(value)]
    if spec.preset != "quick":
        words += ["--preset", spec.preset]
    for name in OPTIONS[1:]:
        if name in differing:
            words += [f"--{name}", differing[name]]
    return shlex.join(words)
