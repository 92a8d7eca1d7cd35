"""The exact state of a panel as one short line: `05 method=random sparsity=0.8 seed=3`.

The experiment's number, then what differs from the preset, in the order of the Spec; the rest is left out and takes
the preset's value. `device` and `store` are no part of it: they belong to the machine that the line is read on. A value
with spaces or quotes stands in double quotes, as JSON writes it, so that the line has no second one.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

from labkit.errors import BadInput
from labkit.spec.base import Spec
from labkit.spec.control import typed

S = TypeVar("S", bound=Spec)

OF_THE_MACHINE = ("device", "store")
WHOLE = "a state: the notebook's number, then NAME=VALUE, as `05 method=random seed=3`"
VALUE = "a value; one with spaces or quotes in double quotes, as JSON writes it"
BEGUN = re.compile(r"(?P<name>\w+)=(?P<value>.*)")
WORD = re.compile(r'\s*(?:(?P<name>\w+)=(?P<value>"(?:[^"\\]|\\.)*"|[^\s"]+)|(?P<other>\S+))(?=\s|$)')


def state_text(number: str, spec: Spec) -> str:
    """The line that `from_state` makes this Spec of, whatever its device and store.

    Args:
        number: of the experiment that the Spec belongs to.
    """
    preset = {} if spec.preset == "quick" else {"preset": spec.preset}
    said = {name: value for name, value in spec.modified().items() if name not in OF_THE_MACHINE}
    return " ".join([number, *(f"{name}={_written(value)}" for name, value in (preset | said).items())])


def from_state(line: str, number: str, kind: type[S]) -> S:
    """The Spec that a line describes, with the preset's own device and store.

    Args:
        number: of the experiment whose state it must be.
        kind: that experiment's Spec.

    Raises:
        BadInput: it is the state of another notebook or none at all; or names the first parameter that cannot be used.
    """
    (first, number_read), *rest = _words(line) or [("", "")]
    if first or number_read != number:
        raise BadInput("state", line, f"a state of notebook {number}: it begins with {number}")
    given: dict[str, str] = {}
    for name, value in rest:
        if name in OF_THE_MACHINE:
            raise BadInput(name, value, "nothing: a state leaves it to the machine that it is read on")
        if name in given:
            raise BadInput(name, value, f"one value; {given[name]!r} was given too")
        given[name] = value
    return kind.of(**given)


def _words(line: str) -> list[tuple[str, str]]:
    """Names and values in the order of the line; the number in front has no name.

    Raises:
        BadInput: a word after it is not NAME=VALUE.
    """
    found = []
    for word in WORD.finditer(line):
        name, value = word["name"] or "", word["value"] or word["other"]
        if not name and found:
            begun = BEGUN.match(value)
            raise BadInput(begun["name"], begun["value"], VALUE) if begun else BadInput("state", value, WHOLE)
        found.append((name, _read(name, value)))
    return found


def _read(name: str, value: str) -> str:
    if not name or not value.startswith('"'):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise BadInput(name, value, VALUE) from None


def _written(value: Any) -> str:
    text = typed(value)
    plain = text and text.isprintable() and " " not in text and '"' not in text
    return text if plain else json.dumps(text)
