"""The trained weights of one fine-tune, as others load them."""

from __future__ import annotations

from labkit.experiments.finetune.spec import LORA
from labkit.experiments.kept import PEFT, kept
from labkit.finetune.lora import ADAPTER
from labkit.finetune.tail import Tail
from labkit.population import Params, take
from labkit.runs.events import Artifact


def weights(method: str, tail: Tail, params: Params, k: int) -> Artifact:
    """Member k of a population: the whole network as `Network.stages` names its numbers, or adapters and head as peft
    does."""
    own = {name: tensor[0] for name, tensor in tail.member(k).full(take(params, slice(k, k + 1))).items()}
    if method == LORA:
        return kept(method, {PEFT + name.replace(f".{ADAPTER}.", "."): tensor for name, tensor in own.items()})
    return kept(method, tail.network.stages.state_dict() | own)
