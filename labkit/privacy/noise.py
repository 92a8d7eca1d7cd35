"""Gaussian noise whose numbers depend on a member's key and the step alone, never on who trains beside it."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from labkit.streams import stream, stream_seed

SEEDED, OS = "seeded", "os"
SOURCES = (SEEDED, OS)
LANES = 64  # a row's numbers come in multiples: vector instructions then treat all of them alike, whoever stands beside
AT_ONCE = 1 << 16  # numbers made at once: what a CPU's cache holds


def noise_key(source: str, seed: int, run: str, member: str | int) -> int:
    """The 63-bit key of one member's noise.

    Args:
        source: `seeded` derives the key from the other arguments, so that a run can be repeated, by anybody: for
            teaching. `os` asks the operating system and ignores them; such a key is never written down, since its
            holder can subtract the noise.
        run, member: name the release. Arms that are compared share split, start and data order, never noise: two
            releases with one noise and two scales would give the gradient away.
    """
    return secrets.randbits(63) if source == OS else stream_seed(seed, "noise", run, member)


def draw_key(source: str, seed: int, *labels: str | int) -> int:
    """The 128-bit key of one Poisson draw; `source` as for `noise_key`. Whoever knows who was drawn knows too much, so
    it is as secret as the noise."""
    if source == OS:
        return secrets.randbits(128)
    return stream_seed(seed, "poisson", *labels) << 63 | stream_seed(seed, "poisson too", *labels)


def secret_stream(source: str, seed: int, *labels: str | int) -> torch.Generator:
    """A generator for one private choice; `source` as for `noise_key`.

    PyTorch keeps 32 bits of its seed: enough for numbers that stay secret themselves, too few for released noise.
    """
    return torch.Generator().manual_seed(secrets.randbits(63)) if source == OS else stream(seed, *labels)


def fill_normal(out: Tensor, keys: Sequence[int], step: int, wanted: Sequence[bool]) -> None:
    """Standard normal numbers into a CPU buffer [K, D]; members that are not `wanted` are left as they are.

    Each (key, step) has a stretch of its own of a counter-based generator (Philox 4x64), so that a step can be
    repeated without any state. Seeds of PyTorch's CPU generator would not do: it keeps 32 of their bits, and among
    100,000 steps two would probably be equal.
    """
    members = [k for k, wants in enumerate(wanted) if wants]
    width = -(-out.shape[1] // LANES) * LANES
    philox = np.random.Philox(key=0)  # one object, many states: to make one takes longer than a member's numbers
    state = philox.state
    for start in range(0, len(members), max(1, AT_ONCE // width)):
        some = members[start : start + max(1, AT_ONCE // width)]
        bits = np.empty((len(some), width // 2), dtype=np.uint64)
        for row, k in enumerate(some):
            state["state"]["key"][:] = keys[k], 0
            state["state"]["counter"][:] = 0, 0, 0, step
            philox.state = state
            bits[row] = philox.random_raw(width // 2)
        out[some] = normal_of_bits(torch.from_numpy(bits.view(np.int32)))[:, : out.shape[1]]


def normal_of_bits(bits: Tensor) -> Tensor:
    """Standard normal float32 numbers [..., 2 n] from as many random int32 (Box and Muller 1958).

    A radius comes from a uniform number of at least 2^-32, so the tails reach 6.7 standard deviations: small integers
    are exact in float32, and the smallest ones make the tails.
    """
    radius, angle = bits.chunk(2, -1)
    radius = (radius + 0.5).abs_().mul_(2.0**-31).log_().mul_(-2).sqrt_()
    angle = angle * (math.pi * 2.0**-31)
    return torch.cat([angle.cos().mul_(radius), angle.sin_().mul_(radius)], -1)
