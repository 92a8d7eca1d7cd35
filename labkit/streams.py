"""Generators of independent streams, named by what they are for."""

from __future__ import annotations

import hashlib

import torch


def stream_seed(seed: int, *labels: str | int) -> int:
    """A seed for one purpose, from the run's seed and the purpose's name: 63 bits of SHA-256."""
    text = "/".join(map(str, (seed, *labels)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *labels: str | int) -> torch.Generator:
    """A CPU generator of its own for one purpose, the same on every device."""
    return torch.Generator().manual_seed(stream_seed(seed, *labels))
