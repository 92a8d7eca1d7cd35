"""K networks that differ from one public network in what moves alone: the population that a fine-tune trains.

What moves is all that is stacked: whole parameters [K, ...], and of a weight some rows, [K, r, ...]. Everything else
is the public network's, once for all members. What is not there cannot move, gets no noise and costs no memory.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from labkit.errors import BadInput
from labkit.finetune.clip import clipped
from labkit.finetune.moving import Moving, moving
from labkit.finetune.network import Network
from labkit.finetune.tapped import overwritten, refuse_mixing, tapped_alone, tapped_stacked
from labkit.population.clipping import Clipped
from labkit.population.params import Params, Shapes, members
from labkit.population.taps import hooked

AT_ONCE = 512  # images that pass the frozen stages together


class Tail:
    """The stages of a public network from the first that holds something that moves.

    It serves where private training and evaluation ask for an `Architecture`, with `features(images)` in place of the
    images.

    Args:
        network: the public network, on the device and in the format in which to compute.
        whole: parameters that move in full, by their names in `network.stages`.
        rows: rows that move of the weights of layers: layer name -> int64 [K, r], one set for each member, or [1, r].
        base: values that stand in place of the network's own where nothing moves, without an axis of members.
        absolute: whether a clipped sum adds up the absolute values of the weights' clipped gradients instead.

    Raises:
        BadInput: nothing moves, a name that is none, a layer without formulas for per-example gradients, absolute
            values of what is no weight of a layer, or a network for which the formulas do not hold.
    """

    def __init__(
        self,
        network: Network,
        whole: Collection[str],
        rows: Mapping[str, Tensor] | None = None,
        *,
        base: Mapping[str, Tensor] | None = None,
        absolute: bool = False,
    ) -> None:
        own = network.parameters() | dict(base or {})
        first = next(iter(own.values()))
        self.network, self.whole, self.absolute, self.base = network, frozenset(whole), absolute, dict(base or {})
        self.rows = {name: index.to(first.device) for name, index in (rows or {}).items() if index.shape[-1]}
        moves = self.whole | {f"{name}.weight" for name in self.rows}
        if unknown := moves - own.keys():
            raise BadInput("whole", sorted(unknown)[0], f"names of parameters of {network.name}")
        if not moves:
            raise BadInput("method", "one that moves nothing", "at least one number that moves")
        if unknown := own.keys() - network.parameters().keys():
            raise BadInput("base", sorted(unknown)[0], f"names of parameters of {network.name}")
        weights = {f"{name}.weight" for name in (*network.weight_layers(), network.head)}
        if absolute and not moves <= weights:
            raise BadInput("absolute", sorted(moves - weights)[0], "weights of linear layers and convolutions alone")
        self.first = min(network.stage_of(name) for name in moves)
        self.module = network.stages[self.first :]  # under their old numbers
        self.names = tuple(name for name in own if name in moves)
        self._own = {name: tensor for name, tensor in own.items() if network.stage_of(name) >= self.first}
        self._buffers = dict(self.module.named_buffers())
        self.layers = self._layers()
        transform = network.transform
        drawing = torch.Generator().manual_seed(0)
        two = self.features(torch.randn(2, transform.channels, *transform.size, generator=drawing).to(first.device))
        self.example_dims = two.dim() - 1
        refuse_mixing(self.module, self._call, self.layers, network.head, two)
        self.overwritten = overwritten(self.module, self._call, self.layers, two[:1])
        # One after another a member's last bits cannot depend on its neighbours, and a convolution fills a card alone.
        convolves = any(isinstance(m, nn.Conv2d) for m in self.module.modules())
        self.stacked = first.device.type == "cuda" and not convolves
        self._alone: dict[int, Tail] = {}
        self._activations: int | None = None

    def _layers(self) -> dict[str, Moving]:
        """What moves of which layer, by the layer's name."""
        found: dict[str, set[str]] = {}
        for name in self.names:
            layer, _, kind = name.rpartition(".")
            found.setdefault(layer, set()).add(kind)
        made = {}
        for name, kinds in found.items():
            rows = None if f"{name}.weight" in self.whole else self.rows.get(name)
            layer = self.network.stages.get_submodule(name)
            made[name] = moving(name, layer, weight="weight" in kinds, bias="bias" in kinds, rows=rows)
        return made

    @torch.no_grad()
    def features(self, x: Tensor, at: int = 0) -> Tensor:
        """What the frozen stages make of images [n, channels, h, w]: the examples of everything that moves.

        Args:
            at: the number of the stage that x is the input of; 0 for images.

        Raises:
            BadInput: x is what something that moves has passed on.
        """
        if at > self.first:
            raise BadInput("at", at, f"at most {self.first}, the first stage of which anything moves")
        frozen, dtype = self.network.stages[at : self.first], next(iter(self._own.values())).dtype
        if not len(frozen):
            return x.to(dtype)
        base = {name: tensor for name, tensor in self.base.items() if self.network.stage_of(name) < self.first}
        return torch.cat([functional_call(frozen, base, (part.to(dtype),)) for part in x.split(AT_ONCE)])

    def shapes(self) -> Shapes:
        """The shape of each moving parameter of one member: of a weight, of the rows that move."""
        return {name: tuple(self._public(name).shape[1:]) for name in self.names}

    def start(self, head: Mapping[str, Tensor], count: int = 1) -> Params:
        """`count` members that are the public network with a new head, [K, ...] or [...] (`Network.drawn_head`)."""
        made = {name: self._public(name).expand(count, *self.shapes()[name]).clone() for name in self.names}
        for name, value in head.items():
            if name in made:
                made[name].copy_(value)
        return made

    def _public(self, name: str) -> Tensor:
        """The public values of what moves, [K or 1, ...]."""
        if name in self.whole:
            return self._own[name].unsqueeze(0)
        return self._own[name][self.rows[name.rpartition(".")[0]]]

    def member(self, k: int) -> Tail:
        """The tail of one member, for its parameters [1, ...]."""
        if all(len(index) == 1 for index in self.rows.values()):
            return self
        if k not in self._alone:
            one = self._alone[k] = copy.copy(self)
            one.rows = {name: index[k : k + 1] if len(index) > 1 else index for name, index in self.rows.items()}
            one.layers, one._alone = one._layers(), {}
        return self._alone[k]

    def full(self, params: Params) -> Params:
        """The parameters [K, ...] with the rows that move in their places among those that do not."""
        made, count = {}, members(params)
        for name, value in params.items():
            made[name] = value
            if name not in self.whole:
                made[name] = self._own[name].unsqueeze(0).repeat(count, *[1] * self._own[name].dim())
                index = self.rows[name.rpartition(".")[0]].expand(count, -1)
                made[name][torch.arange(count, device=index.device).unsqueeze(1), index] = value
        return made

    def _call(self, own: Params, x: Tensor) -> Tensor:
        """Logits [B, classes] of one member."""
        given = {name: own.get(name, tensor) for name, tensor in self._own.items()}
        return functional_call(self.module, given | self._buffers, (x,))

    def _shared(self, x: Tensor) -> bool:
        return x.dim() == self.example_dims + 1

    def logits(self, params: Params, x: Tensor) -> Tensor:
        """Logits [K, B, classes] of features x: [B, ...] shared by all members, or [K, B, ...]."""
        full, shared = self.full(params), self._shared(x)
        if self.stacked:
            return vmap(self._call, (0, None if shared else 0))(full, x)
        each = [{name: tensor[k] for name, tensor in full.items()} for k in range(members(params))]
        return torch.stack([self._call(own, x if shared else x[k]) for k, own in enumerate(each)])

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
        """As `Architecture.clipped_sum`, over what moves alone.

        Raises:
            BadInput: masks; what must not move is not among the parameters.
        """
        if masks:
            raise BadInput("masks", ", ".join(masks), "none: what is frozen is not among the parameters")
        count = members(params)
        y, weight = (t.expand(count, t.shape[-1]) for t in (y, weight))
        if self.stacked:
            found = tapped_stacked(self.module, self._call, self.layers, self._detached(params), x, y, self._shared(x))
            return clipped(self.layers, found, out, clip=clip, weight=weight, fresh=fresh, absolute=self.absolute)
        reports = []
        for k in range(count):
            one, place = self.member(k), slice(k, k + 1)
            own = {name: tensor[0] for name, tensor in one._detached({n: t[place] for n, t in params.items()}).items()}
            batch = x if self._shared(x) else x[k]
            found = tapped_alone(one.module, one._call, one.layers, own, batch, y[place], one.overwritten)
            buffers = {name: tensor[place] for name, tensor in out.items()}
            given = {"clip": clip[place], "weight": weight[place], "fresh": fresh, "absolute": self.absolute}
            reports.append(clipped(one.layers, found, buffers, **given))
        return Clipped(*(torch.cat([getattr(r, n) for r in reports]) for n in ("loss", "norms", "clipped", "dropped")))

    def _detached(self, params: Params) -> Params:
        return self.full({name: tensor.detach() for name, tensor in params.items()})

    def activation_numbers(self) -> int:
        """Numbers held per example and member during a forward pass; for predicting memory."""
        if self._activations is not None:
            return self._activations
        found: list[int] = []
        transform = self.network.transform
        blank = torch.zeros(1, transform.channels, *transform.size, device=next(iter(self._own.values())).device)

        def note(_: str, given: Tensor, output: Tensor) -> Tensor:
            found.append(output[0].numel())
            return output

        leaves = [name for name, module in self.module.named_modules() if not list(module.children())]
        with torch.no_grad(), hooked(self.module, leaves, note):
            self._call({}, self.features(blank))
        self._activations = sum(found)
        return self._activations
