"""Convolution, bias, ReLU and pooling in one kernel on CUDA, for networks that are only evaluated.

Apart, these steps write and read every unpooled map four times, which is what evaluating many small networks waits
for. Here a map is pooled while it is still in registers. Forward only; training differentiates the plain operations.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

PIXELS = 64  # pooled pixels of one program


@triton.jit
def _kernel(
    maps, weight, bias, out, images, stride_image, stride_member,
    INPUTS: tl.constexpr, OUTPUTS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
    INPUT_BLOCK: tl.constexpr, OUTPUT_BLOCK: tl.constexpr, BLOCK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    member = tl.program_id(1)
    pooled: tl.constexpr = (HEIGHT // 2) * (WIDTH // 2)
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # a pooled pixel of some image
    image, pixel = place // pooled, place % pooled
    top, left = 2 * (pixel // (WIDTH // 2)), 2 * (pixel % (WIDTH // 2))
    channel = tl.arange(0, OUTPUT_BLOCK)
    inside = place < images * pooled
    source = maps + image.to(tl.int64) * stride_image + member * stride_member
    kernel = weight + member * (OUTPUTS * INPUTS * 9) + channel[:, None] * (INPUTS * 9)
    a = tl.zeros((OUTPUT_BLOCK, BLOCK), dtype=tl.float32)  # the four pixels under one pooled pixel
    b = tl.zeros((OUTPUT_BLOCK, BLOCK), dtype=tl.float32)
    c = tl.zeros((OUTPUT_BLOCK, BLOCK), dtype=tl.float32)
    d = tl.zeros((OUTPUT_BLOCK, BLOCK), dtype=tl.float32)
    for start in range(0, INPUTS, INPUT_BLOCK):
        inputs = start + tl.arange(0, INPUT_BLOCK)
        for u in tl.static_range(4):  # the 4 x 4 patch of inputs that these four pixels see
            for v in tl.static_range(4):
                row, column = top + u - 1, left + v - 1
                seen = inside & (row >= 0) & (row < HEIGHT) & (column >= 0) & (column < WIDTH)
                at = source[None, :] + inputs[:, None] * (HEIGHT * WIDTH) + (row * WIDTH + column)[None, :]
                x = tl.load(at, mask=seen[None, :] & (inputs < INPUTS)[:, None], other=0.0)
                for dy in tl.static_range(2):
                    for dx in tl.static_range(2):
                        if (u - dy >= 0) and (u - dy <= 2) and (v - dx >= 0) and (v - dx <= 2):
                            tap = kernel + inputs[None, :] * 9 + ((u - dy) * 3 + v - dx)
                            w = tl.load(tap, mask=(channel < OUTPUTS)[:, None] & (inputs < INPUTS)[None, :], other=0.0)
                            if INPUTS == 1:
                                part = tl.sum(w, 1)[:, None] * tl.sum(x, 0)[None, :]
                            else:
                                part = tl.dot(w, x, input_precision=PRECISION)
                            if dy == 0 and dx == 0:
                                a += part
                            elif dy == 0:
                                b += part
                            elif dx == 0:
                                c += part
                            else:
                                d += part
    most = tl.maximum(tl.maximum(a, b), tl.maximum(c, d))
    most += tl.load(bias + member * OUTPUTS + channel, mask=channel < OUTPUTS, other=0.0)[:, None]
    target = out + (image.to(tl.int64) * tl.num_programs(1) + member) * (OUTPUTS * pooled) + pixel
    stored = inside[None, :] & (channel < OUTPUTS)[:, None]
    tl.store(target[None, :] + channel[:, None] * pooled, tl.maximum(most, 0.0), mask=stored)


def convolve_pool(maps: Tensor, weight: Tensor, bias: Tensor, *, shared: bool) -> Tensor:
    """max_pool2d(relu(convolution + bias), 2) of each member: [B, K * out, h / 2, w / 2].

    Args:
        maps: [B, in, h, w] where `shared`, else [B, K * in, h, w]; contiguous float32.
        weight, bias: [K, out, in, 3, 3] and [K, out].
    """
    count, outputs, inputs = weight.shape[:3]
    images, _, height, width = maps.shape
    out = torch.empty(images, count * outputs, height // 2, width // 2, device=maps.device)
    places = images * (height // 2) * (width // 2)
    tf32 = torch.backends.cudnn.allow_tf32
    stride_member = 0 if shared else inputs * height * width
    _kernel[(triton.cdiv(places, PIXELS), count)](
        maps, weight.contiguous(), bias.contiguous(), out, images, maps.stride(0), stride_member,
        INPUTS=inputs, OUTPUTS=outputs, HEIGHT=height, WIDTH=width,
        INPUT_BLOCK=1 if inputs == 1 else 16, OUTPUT_BLOCK=max(16, triton.next_power_of_2(outputs)),
        BLOCK=PIXELS, PRECISION="tf32" if tf32 else "ieee",
    )  # fmt: skip
    return out
