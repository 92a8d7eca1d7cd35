"""The frozen description of an experiment, from which controls, parameters and a run's name are all made."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator, model_validator

from labkit.errors import BadInput
from labkit.spec.control import Control, control

PRESETS = ("quick", "full")


class Spec(BaseModel):
    """Every parameter of one experiment, resolved and checked.

    A missing or None field takes its preset's value; anything given wins. A changed Spec is a new one.
    Build it with `Spec.of(...)`, which raises `BadInput` with one line; the constructor raises pydantic's own error.
    """

    # What `data` names, "images", "corpus" or "table", and the field that names pretrained weights, if any does.
    data_kind: ClassVar[str] = "images"
    pretrained: ClassVar[str] = ""
    # Presets beside quick and full, by name: the values that differ from full's.
    more_presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    preset: str = control("quick", "full", help="size of the run", choices=PRESETS, hashed=False)
    seed: int = control(0, help="seed of the first replicate", ge=0, lt=2**31, hashed=False)
    seeds: int = control(
        5,
        10,
        help="replicates: seed, seed + 1, ...",
        ge=1,
        le=1000,
        hashed=False,
        low="one lucky line",
        high="a narrow band",
    )
    split_seed: int = control(0, help="seed of the split into train, selection and test", ge=0, lt=2**31)
    data: str = control(
        "fashion_mnist", help="fashion_mnist, digits, hub:NAME, or a path to an .npz file or image folder"
    )
    device: str = control("auto", help="where networks train", choices=("auto", "cpu", "cuda"), hashed=False)
    store: str = control("", help="folder of the results; empty for the default", hashed=False)

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        given = {name: value for name, value in given.items() if value is not None}
        preset = given.get("preset", "quick")
        known = preset if preset in (*PRESETS, *cls.more_presets) else "quick"  # its own field reports an unknown one
        return {name: item.presets[known] for name, item in cls.controls().items()} | given

    @field_validator("*", mode="before")
    @classmethod
    def _check(cls, value: Any, info: ValidationInfo) -> Any:
        return cls.controls()[info.field_name].parse(value)

    @classmethod
    @functools.cache
    def controls(cls) -> dict[str, Control]:
        """The `Control` of each field, by name, in the order of definition."""
        made = {}
        for name, info in cls.model_fields.items():
            extra = dict(info.json_schema_extra["control"])
            grid = get_origin(info.annotation) is tuple
            kind = extra.pop("kind", None) or (info.annotation.__args__[0] if grid else info.annotation).__name__
            for preset, changes in cls.more_presets.items():
                extra["presets"] = extra["presets"] | {preset: changes.get(name, extra["presets"]["full"])}
            made[name] = Control(name=name, kind=kind, grid=grid, **extra)
        if cls.more_presets:
            named = {preset: preset for preset in (*PRESETS, *cls.more_presets)}
            made["preset"] = replace(made["preset"], choices=tuple(named), presets=named)
        return made

    @classmethod
    def described(cls, name: str) -> dict[str, Any]:
        """What `control` was told of a field beside its presets: for a Spec that asks for the same thing."""
        extra = cls.model_fields[name].json_schema_extra["control"]
        return {key: value for key, value in extra.items() if key != "presets"}

    @classmethod
    def of(cls, **given: Any) -> Self:
        """A resolved Spec from some of its fields.

        Raises:
            BadInput: names the first parameter that cannot be used, its value and what is allowed.
        """
        for name in given:
            if name not in cls.controls():
                raise BadInput(name, given[name], "the parameters " + ", ".join(cls.controls()))
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "spec"
            known = cls.controls().get(name)
            allowed = known.allowed() if known else first["msg"].removeprefix("Value error, ")
            raise BadInput(name, given.get(name, first.get("input")), allowed) from None

    @classmethod
    def from_names(cls, namespace: Mapping[str, Any]) -> Self:
        """The Spec of a notebook's parameters cell: `of` with the fields found in `namespace`, usually `globals()`."""
        return cls.of(**{name: namespace[name] for name in cls.controls() if name in namespace})

    def changed(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked anew; a changed preset moves only the fields that still hold
        the old preset's value.

        Raises:
            BadInput: as `of`.
        """
        kept = {name: getattr(self, name) for name, item in self.controls().items()}
        if changes.get("preset", self.preset) != self.preset:
            kept = {name: value for name, value in kept.items() if name in self.modified()}
        return type(self).of(**(kept | changes))

    def modified(self) -> dict[str, Any]:
        """The fields whose value is not the preset's, the preset itself left out."""
        plain = type(self)(preset=self.preset)
        return {n: getattr(self, n) for n in self.controls() if n != "preset" and getattr(self, n) != getattr(plain, n)}

    def points(self) -> tuple[Self, ...]:
        """The same Spec once for each point of its grid, in the order written, each grid field holding one value."""
        grids = [name for name, item in self.controls().items() if item.grid]
        values = itertools.product(*(getattr(self, name) for name in grids))
        return tuple(self.model_copy(update={n: (v,) for n, v in zip(grids, point, strict=True)}) for point in values)

    def hashed(self) -> dict[str, Any]:
        """The fields that decide a run's numbers, as plain JSON values."""
        dumped = self.model_dump(mode="json")
        return {name: dumped[name] for name, item in self.controls().items() if item.hashed}

    def named(self) -> dict[str, Any]:
        """The fields that name a run, as plain JSON values: those that decide its numbers, and of those that say what
        is stored beside them (`Control.stored`) the ones that differ from preset quick."""
        stored = {name: item.presets["quick"] for name, item in self.controls().items() if item.stored}
        return self.hashed() | {name: getattr(self, name) for name, v in stored.items() if getattr(self, name) != v}

    def replicate_seeds(self) -> range:
        """The seeds of the replicates: seed, seed + 1, ..."""
        return range(self.seed, self.seed + self.seeds)
