"""One parameter of an experiment: its bounds, unit, help and presets, typed once and read by everybody."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo

TRUE, FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


@dataclass(frozen=True, kw_only=True)
class Control:
    """Everything that a slider, a command line or a store column needs to know of one parameter.

    Args:
        kind: "int", "float", "bool" or "str".
        grid: whether a comma list of values is accepted (one stored run for each).
        presets: the value of this parameter in each preset, by the preset's name.
        help: one line in plain words.
        unit: the unit of the value; empty for a share or a count without one.
        ge, gt, le, lt: bounds of each value.
        choices: the words allowed, for a parameter of kind "str" with a closed list.
        words: words allowed beside numbers (`clipped` and `plain` for an epsilon).
        low, high: what the two ends of the slider mean, in words.
        log: whether a slider is better on a log scale.
        hashed: whether the value decides a run's numbers, and so names it; seeds, preset, store and device are only
            recorded.
        stored: whether it says what is stored beside the numbers, and decides none: other seeds of noise would make
            another release of what is the same one. It names a run only where it differs from preset quick, so
            that a run which was stored before there was such a control keeps its name. Use it with `hashed=False`.
    """

    name: str = ""
    kind: str = "float"
    grid: bool = False
    presets: dict[str, Any] = field(default_factory=dict)
    help: str = ""
    unit: str = ""
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    low: str = ""
    high: str = ""
    log: bool = False
    hashed: bool = True
    stored: bool = False

    def allowed(self) -> str:
        """What this parameter accepts, in words."""
        if self.choices:
            what = "one of " + ", ".join(self.choices)
        elif self.kind == "bool":
            what = "true or false"
        elif self.kind == "str":
            what = "a text"
        else:
            what = f"{'a whole number' if self.kind == 'int' else 'a number'} in {self._range()}"
            if self.words:
                what += ", or " + " or ".join(f"`{word}`" for word in self.words)
        return what + (", or a comma list of them" if self.grid else "") + (f" ({self.unit})" if self.unit else "")

    def _range(self) -> str:
        low = f"({self.gt:.12g}" if self.gt is not None else "(-inf" if self.ge is None else f"[{self.ge:.12g}"
        high = f"{self.lt:.12g})" if self.lt is not None else "inf)" if self.le is None else f"{self.le:.12g}]"
        return f"{low}, {high}"

    def parse(self, value: Any) -> Any:
        """The value as the Spec holds it: a checked scalar, or a tuple of them for a grid.

        Raises:
            ValueError: the value is not allowed; the text says what is.
        """
        if not self.grid:
            return self._scalar(value)
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        items = list(value) if isinstance(value, (list, tuple)) else [value]
        if not items:
            raise ValueError(self.allowed())
        parsed = tuple(self._scalar(item) for item in items)
        return tuple(dict.fromkeys(parsed))  # a value named twice is one run

    def _scalar(self, value: Any) -> Any:
        if self.kind == "bool":
            word = str(value).strip().lower()
            if isinstance(value, (bool, str, int)) and word in TRUE | FALSE:
                return word in TRUE
            raise ValueError(self.allowed())
        if self.kind == "str":
            if not isinstance(value, str) or (self.choices and value not in self.choices):
                raise ValueError(self.allowed())
            return value
        if isinstance(value, str) and value.strip() in self.words:
            return value.strip()
        return self._number(value)

    def _number(self, value: Any) -> int | float:
        if isinstance(value, bool):
            raise ValueError(self.allowed())
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise ValueError(self.allowed()) from error
        outside = (
            not math.isfinite(number)
            or (self.ge is not None and number < self.ge)
            or (self.gt is not None and number <= self.gt)
            or (self.le is not None and number > self.le)
            or (self.lt is not None and number >= self.lt)
        )
        if outside or (self.kind == "int" and number != int(number)):
            raise ValueError(self.allowed())
        return int(number) if self.kind == "int" else number


def typed(value: Any, between: str = ",") -> str:
    """A value of a Spec as it is typed: exact, and a list with `between` where there are several."""
    if isinstance(value, tuple):
        return between.join(typed(item) for item in value)
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def control(quick: Any, full: Any = None, *, help: str, **rest: Any) -> FieldInfo:
    """A Spec field with its presets and everything a `Control` says of it.

    Args:
        quick: the value in preset quick (CPU and CI).
        full: the value in preset full (one GPU); the same as quick when None.
        help: one line in plain words.
        rest: any other field of `Control`.
    """
    presets = {"quick": quick, "full": quick if full is None else full}
    return Field(json_schema_extra={"control": {"presets": presets, "help": help, **rest}})
