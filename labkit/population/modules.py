"""Any `nn.Module` as a population, through `torch.func`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from labkit.population.architecture import HeInitialised, expand_labels
from labkit.population.autograd import accumulate_by_autograd
from labkit.population.clipping import Clipped
from labkit.population.examples import clip_by_taps, clip_by_vmap, refuse_batch_norm
from labkit.population.params import Params, Shapes, members
from labkit.population.taps import formulas, tap_shapes


@dataclass(frozen=True)
class ModulePopulation(HeInitialised):
    """K copies of one module under `vmap`. The module must be a pure function of its parameters and input.

    Args:
        factory: builds the module; its class decides the shapes, not its random numbers.
        example_dims: dimensions of one example without its batch axis (3 for an image).
        numbers: numbers held per example and member in a backward pass, for predicting memory.
    """

    factory: Callable[[], nn.Module]
    example_dims: int = 1
    numbers: int = 4096

    @cached_property
    def _skeleton(self) -> nn.Module:
        with torch.device("meta"):
            return self.factory()

    @cached_property
    def module(self) -> nn.Module:
        """The skeleton, without memory for its parameters.

        Raises:
            ValueError: it has buffers (the running statistics of BatchNorm, say), which members would share.
        """
        held = [name for name, _ in self._skeleton.named_buffers()]
        if held:
            raise ValueError(f"factory: a module without buffers is needed; this one holds {', '.join(held)}")
        return self._skeleton

    def shapes(self) -> Shapes:
        return {name: tuple(parameter.shape) for name, parameter in self.module.named_parameters()}

    def logits(self, params: Params, x: Tensor) -> Tensor:
        def one(own: Params, batch: Tensor) -> Tensor:
            return functional_call(self.module, own, (batch,))

        shared = x.dim() == self.example_dims + 1
        return vmap(one, in_dims=(0, None if shared else 0))(params, x)

    def accumulate(self, params: Params, x: Tensor, y: Tensor, out: Params, *, decay: float, scale: Tensor) -> Tensor:
        return accumulate_by_autograd(self.logits, params, x, y, out, decay=decay, scale=scale)

    def clipped_sum(
        self,
        params: Params,
        x: Tensor,
        y: Tensor,
        out: Params,
        *,
        clip: Tensor,
        weight: Tensor,
        fresh: bool,
        masks: Params | None = None,
    ) -> Clipped:
        """As `Architecture.clipped_sum`; every example passes through the module alone, as a batch of one.

        A module of `nn.Linear`, `nn.Conv2d`, `nn.Embedding`, `nn.LayerNorm` and `nn.GroupNorm`, each used once, needs
        no per-example gradient in memory; any other is differentiated a few examples at a time.

        Raises:
            BadInput: the module holds a BatchNorm.
        """
        refuse_batch_norm(self._skeleton)
        shared = x.dim() == self.example_dims + 1
        y = expand_labels(y, members(params))
        given = {"shared": shared, "clip": clip, "weight": weight, "fresh": fresh, "masks": masks}
        forms = formulas(self.module)
        example = x[:1] if shared else x[0, :1]
        shapes = forms and tap_shapes(self.module, forms, {name: t[0] for name, t in params.items()}, example)
        if not forms or not shapes:
            return clip_by_vmap(self.module, params, x, y, out, **given)
        return clip_by_taps(self.module, forms, shapes, params, x, y, out, **given)

    def sliced(self, params: Params, kept: Sequence[Tensor]) -> tuple[ModulePopulation, Params]:
        raise NotImplementedError("a module's nodes are not known: mask its weights instead of removing nodes")

    def activation_numbers(self) -> int:
        return self.numbers
