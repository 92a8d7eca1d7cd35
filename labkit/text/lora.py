"""Low-rank adapters on a language model's linear layers, each of which can be asked for per-unit gradients."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.errors import BadInput
from labkit.streams import stream

if TYPE_CHECKING:
    from torch.autograd.function import FunctionCtx

    from labkit.text.language import Language

ALL_LINEAR = "all-linear"
ALPHA = 2.0  # peft's lora_alpha over the rank: what the adapters' product is multiplied by
WAY_OUT = "adapters on linear layers alone: name those in lora_targets, or all-linear"


class _PerUnit(torch.autograd.Function):
    """y = x W^T, whose gradient with respect to W is returned for each unit apart, as that of `copies`.

    All units share W, so forward and the gradient of x are one product; only the gradient of W is a product for each
    unit, and autograd hands it over without any hook.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, copies: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.units = copies.shape[0]
        return F.linear(x, weight)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, Tensor]:
        x, weight = ctx.saved_tensors
        # A unit's rows lie side by side: [units, rows of a unit * positions, features].
        deltas, inputs = grad.reshape(ctx.units, -1, grad.shape[-1]), x.reshape(ctx.units, -1, x.shape[-1])
        return grad @ weight, None, torch.bmm(deltas.transpose(1, 2), inputs)


class UnitLinear(nn.Linear):
    """A linear layer without bias that gives per-unit gradients while `copies` is set.

    Args:
        copies: leaf [units, out, in] that receives the gradients; a batch then holds the rows of each unit side by
            side. None for an ordinary layer.
    """

    copies: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight) if self.copies is None else _PerUnit.apply(x, self.weight, self.copies)


class Adapters:
    """LoRA adapters (Hu et al. 2021, arXiv 2106.09685) attached to a language model through peft.

    The model is changed in place. Its own weights are frozen; A starts at random, B at zero, so that nothing changes
    until the first step. The adapters have the model's device and dtype: attach them after the model was moved.

    Args:
        language: the pre-trained model.
        rank: of each adapter.
        targets: names of linear layers, separated by semicolons, or all-linear.
        seed: of the start of A.

    Raises:
        BadInput: no layer has such a name, or it is of a kind whose per-unit gradients we cannot take.
    """

    def __init__(self, language: Language, *, rank: int, seed: int, targets: str = ALL_LINEAR) -> None:
        from peft import LoraConfig, inject_adapter_in_model

        self.language = language
        names: str | list[str] = [part.strip() for part in targets.split(";") if part.strip()]
        if targets == ALL_LINEAR:
            names = ALL_LINEAR
        config = LoraConfig(r=rank, lora_alpha=ALPHA * rank, lora_dropout=0.0, target_modules=names, bias="none")
        with warnings.catch_warnings():
            # peft warns where a layer keeps its weight transposed (GPT-2), and then does the right thing.
            warnings.filterwarnings("ignore", message="fan_in_fan_out")
            try:
                self.model = inject_adapter_in_model(config, language.model)
            except ValueError as error:
                why = str(error).strip().splitlines()[0]
                raise BadInput("lora_targets", targets, f"names of the model's linear layers ({why})") from error
        self.layers = dict(self._swap(targets))
        self.restart(seed)

    def _swap(self, targets: str) -> Iterator[tuple[str, UnitLinear]]:
        for name, module in list(self.model.named_modules()):
            if not (hasattr(module, "lora_A") and hasattr(module, "lora_B")):
                continue
            for half in ("lora_A", "lora_B"):
                held = getattr(module, half)
                for adapter in list(held):
                    old = held[adapter]
                    if type(old) is not nn.Linear or old.bias is not None:
                        raise BadInput("lora_targets", targets, f"{WAY_OUT}; {name} is no linear layer")
                    new = UnitLinear(old.in_features, old.out_features, bias=False, device="meta")
                    new.weight = old.weight
                    held[adapter] = new
                    yield f"{name}.{half}", new
        known = {id(module.weight) for module in self.model.modules() if isinstance(module, UnitLinear)}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad and id(parameter) not in known:
                raise BadInput("lora_targets", targets, f"{WAY_OUT}; {name} would be trained too")

    @torch.no_grad()
    def restart(self, seed: int) -> None:
        """Back to the start of a seed: A random, B zero."""
        for name, layer in self.layers.items():
            if name.endswith("lora_A"):
                bound = layer.in_features**-0.5
                drawn = torch.rand(layer.weight.shape, generator=stream(seed, "lora", name))
                layer.weight.copy_((drawn * 2 - 1) * bound)
            else:
                layer.weight.zero_()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each adapter's weight, by name."""
        return {name: tuple(layer.weight.shape) for name, layer in self.layers.items()}

    def frozen(self) -> Sequence[Tensor]:
        """The model's own weights."""
        ours = {id(layer.weight) for layer in self.layers.values()}
        return [parameter for parameter in self.model.parameters() if id(parameter) not in ours]

    @torch.no_grad()
    def assign(self, weights: dict[str, Tensor]) -> None:
        """Set the adapters' weights, given in any float type."""
        torch._foreach_copy_([layer.weight for layer in self.layers.values()], [weights[name] for name in self.layers])
