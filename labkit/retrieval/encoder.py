"""One small encoder for queries and documents, on the frozen token embeddings of a public language model."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.errors import BadInput
from labkit.streams import stream

WIDER = 2  # the feed-forward part of a layer is so many times wider than the layer
FAR = -1e9  # an attention score that no softmax sees; infinity would make NaN of a text without a token


class Tokens(Protocol):
    """Right-padded texts: `ids`, int64 [n, T], and `mask`, bool [n, T], True at real tokens."""

    ids: Tensor
    mask: Tensor


class Layer(nn.Module):
    """A pre-norm transformer layer without dropout: x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_wide = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.merge = _linear(width, 3 * width), _linear(width, width)
        self.widen, self.narrow = _linear(width, WIDER * width), _linear(WIDER * width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        count, length, width = x.shape
        parts = self.attend(self.before_attention(x)).view(count, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) / math.sqrt(width // self.heads)
        scores = scores.masked_fill(~mask[:, None, None, :], FAR)
        found = (scores.softmax(-1) @ value).transpose(1, 2).reshape(count, length, width)
        x = x + self.merge(found)
        return x + self.narrow(F.gelu(self.widen(self.before_wide(x))))


class Encoder(nn.Module):
    """Texts to points of the unit sphere; a query's and a document's cosine is their score.

    The embeddings are frozen and standardised, each dimension by its mean and deviation over the vocabulary, which is
    public; a linear map, transformer layers and the mean over real tokens follow.

    Args:
        vectors: [V, E], a public model's token embeddings.
        width: of the layers and of the result; a multiple of `heads`.
        layers: how many; 0 leaves a linear map of the mean embedding.
        seed: of the initial weights.

    Raises:
        BadInput: a width that the heads do not divide, or a number of layers below 0.
    """

    def __init__(self, vectors: Tensor, width: int, layers: int, heads: int, seed: int) -> None:
        super().__init__()
        if heads < 1 or width < 1 or width % heads:
            raise BadInput("width", width, f"a multiple of the {heads} heads")
        if layers < 0:
            raise BadInput("layers", layers, "0 or more")
        self.width, self.vocabulary = width, len(vectors)
        self.project = _linear(vectors.shape[1], width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.last = nn.LayerNorm(width)
        self._initialise(stream(seed, "encoder"))
        self.register_buffer("vectors", standardised(vectors), persistent=False)
        self.to(vectors.device)

    def _initialise(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, nn.Linear):
                    module.weight.normal_(0, module.in_features**-0.5, generator=generator)
                    module.bias.zero_()
            for layer in self.layers:  # the residual stream keeps its scale whatever the depth
                for ending in (layer.merge, layer.narrow):
                    ending.weight.mul_((2 * len(self.layers)) ** -0.5)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Unit vectors [b, width] of texts: ids int64 [b, T], mask bool [b, T]."""
        x = self.project(F.embedding(ids, self.vectors))
        for layer in self.layers:
            x = layer(x, mask)
        real = mask.unsqueeze(-1)
        exact = self.last(x).to(torch.promote_types(x.dtype, torch.float32))  # also where products are bfloat16
        mean = exact.masked_fill(~real, 0).sum(1) / real.sum(1).clamp(min=1)
        return F.normalize(mean, dim=-1)

    def params(self) -> dict[str, Tensor]:
        """The trained weights by name, detached and not copied, for `torch.func.functional_call`."""
        return {name: weight.detach() for name, weight in self.named_parameters()}

    def copy(self) -> Encoder:
        """Another encoder with the same weights, which can be trained apart; both share the frozen embeddings."""
        other = Encoder.__new__(Encoder)
        nn.Module.__init__(other)
        other.width, other.vocabulary = self.width, self.vocabulary
        for name, module in self.named_children():
            other.add_module(name, copy.deepcopy(module))
        other.register_buffer("vectors", self.vectors, persistent=False)
        return other


def standardised(vectors: Tensor) -> Tensor:
    """Each dimension of [V, E] with mean 0 and deviation 1 over the vocabulary, float32; a constant one becomes 0."""
    vectors = vectors.detach().float()
    deviation, mean = torch.std_mean(vectors, 0, correction=0)
    return (vectors - mean) / torch.where(deviation > 0, deviation, 1.0)


def encode(encoder: Encoder, tokens: Tokens, batch: int = 512) -> Tensor:
    """Unit vectors [n, width], float32, without gradients, on the encoder's device."""
    device = encoder.vectors.device
    found = torch.empty(len(tokens.ids), encoder.width, device=device)
    with torch.no_grad():
        for rows, length in batches_by_length(tokens.mask, batch):
            ids, mask = tokens.ids[rows, :length], tokens.mask[rows, :length]
            found[rows.to(device)] = encoder(ids.to(device), mask.to(device))
    return found


def batches_by_length(mask: Tensor, batch: int) -> Iterator[tuple[Tensor, int]]:
    """Rows in batches of like length, with the length that holds them: little time goes into padding."""
    lengths = lengths_of(mask)
    for rows in torch.argsort(lengths, stable=True).split(batch):
        yield rows.to(mask.device), int(lengths[rows].max())


def lengths_of(mask: Tensor) -> Tensor:
    """The places that each right-padded text takes, at least 1: int64 [n] on the CPU, read once."""
    places = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    return (mask * places).amax(1).clamp(min=1).cpu()


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """Without PyTorch's own initial weights, which come from the global generator."""
    return nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")
