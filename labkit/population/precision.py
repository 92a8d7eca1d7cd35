"""TF32 on request, for the length of a block and no longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def matmul_precision(tf32: bool) -> Iterator[None]:
    """float32 matrix products and convolutions in TF32 or not inside the block; the earlier setting afterwards."""
    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, conv.allow_tf32
    matmul.allow_tf32 = conv.allow_tf32 = tf32
    try:
        yield
    finally:
        matmul.allow_tf32, conv.allow_tf32 = before
