"""Trained weights as the store keeps them: float32, under the names of a plain module or of peft's own files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from labkit.runs.events import Artifact
from labkit.runs.released import PREFIX

if TYPE_CHECKING:
    from torch import Tensor

PEFT = "base_model.model."  # in front of a parameter's name in peft's files
HALF = re.compile(r"(.*)\.lora_[AB]\.weight")


def kept(what: str, tensors: Mapping[str, Tensor]) -> Artifact:
    """The artifact that holds weights.

    Args:
        what: they are of, as a folder may be called.
        tensors: by the names that they are exported under; on any device, in any format.
    """
    # bfloat16 is part of float32: nothing is rounded. Whole numbers, such as positions, stay what they are.
    plain = {n: t.detach().float() if t.is_floating_point() else t.detach() for n, t in tensors.items()}
    return Artifact(f"{PREFIX}{what}", {name: tensor.cpu().clone() for name, tensor in plain.items()})


def adapter(names: Iterable[str], *, rank: int, alpha: float, base: str) -> dict[str, Any]:
    """The fields of `peft.LoraConfig` for stored tensors.

    Args:
        names: of the tensors, as peft's files have them.
        rank, alpha: that the adapters were trained with.
        base: the public model's name.
    """
    plain = [name.removeprefix(PEFT) for name in names]
    layers = dict.fromkeys(found[1] for name in plain if (found := HALF.fullmatch(name)))
    whole = dict.fromkeys(name.rpartition(".")[0] for name in plain if not HALF.fullmatch(name))
    return {
        # A list of names would also take every layer whose name ends like one of them.
        "r": rank, "lora_alpha": alpha, "lora_dropout": 0.0, "bias": "none", "inference_mode": True,
        "target_modules": "|".join(map(re.escape, layers)), "modules_to_save": [*whole] or None,
        "base_model_name_or_path": base,
    }  # fmt: skip


def shown(name: str) -> str:
    """What a card calls data or a model: of a path the last part alone, since the rest tells of somebody's machine."""
    plain = name.startswith("hub:") or not re.search(r"[/\\~]", name)
    return name if plain else re.split(r"[/\\]", name.rstrip("/\\"))[-1]


def units(batch_size: int, result: Mapping[str, Any]) -> int | None:
    """n, from the share of the examples that an expected batch is; None where nothing was drawn."""
    return round(batch_size / result["sample_rate"]) if result.get("sample_rate") else None


def data_licence(name: str) -> str:
    """What may be done with images; of a user's own, or of what is not here now, that only they can say."""
    from labkit.data import load, names

    return load(name).licence if name in names() else "that of its source"
