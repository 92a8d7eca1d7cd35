"""Any `nn.Module` as a population, through `torch.func`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from labkit.population.architecture import HeInitialised
from labkit.population.autograd import accumulate_by_autograd
from labkit.population.params import Params, Shapes


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
    def module(self) -> nn.Module:
        """The skeleton, without memory for its parameters.

        Raises:
            ValueError: it has buffers (the running statistics of BatchNorm, say), which members would share.
        """
        with torch.device("meta"):
            module = self.factory()
        held = [name for name, _ in module.named_buffers()]
        if held:
            raise ValueError(f"factory: a module without buffers is needed; this one holds {', '.join(held)}")
        return module

    def shapes(self) -> Shapes:
        return {name: tuple(parameter.shape) for name, parameter in self.module.named_parameters()}

    def logits(self, params: Params, x: Tensor) -> Tensor:
        def one(own: Params, batch: Tensor) -> Tensor:
            return functional_call(self.module, own, (batch,))

        shared = x.dim() == self.example_dims + 1
        return vmap(one, in_dims=(0, None if shared else 0))(params, x)

    def accumulate(self, params: Params, x: Tensor, y: Tensor, out: Params, *, decay: float, scale: Tensor) -> Tensor:
        return accumulate_by_autograd(self.logits, params, x, y, out, decay=decay, scale=scale)

    def sliced(self, params: Params, kept: Sequence[Tensor]) -> tuple[ModulePopulation, Params]:
        raise NotImplementedError("a module's nodes are not known: mask its weights instead of removing nodes")

    def activation_numbers(self) -> int:
        return self.numbers
