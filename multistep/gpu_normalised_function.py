"""BatchNorm and ``Leaky`` on a GPU as one function of autograd, which calls the kernels of ``gpu_normalised_kernels.py``."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from multistep import gpu
from multistep.surrogates import Surrogate

import torch
from torch import nn
from torch.autograd.function import once_differentiable

TILE = 2048
"""numbers that a program which adds up holds at a time"""

PROGRAMS = 512
"""at most, of those that add up"""

BLOCK = 1024
"""numbers a program in the other kernels"""

WARPS = 8


@lru_cache(maxsize=1)
def kernels() -> Any:
    """``multistep.gpu_normalised_kernels``, or None where ``gpu.kernels()`` is."""
    if gpu.kernels() is None:
        return None
    from multistep import gpu_normalised_kernels

    return gpu_normalised_kernels


class NormAndFire(torch.autograd.Function):
    """``x (T or 1, M, C)`` → spikes ``(T, M, C)``."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        around: torch.Tensor | None,
        norm: nn.BatchNorm2d,
        beta: torch.Tensor,
        theta: torch.Tensor,
        surrogate: Surrogate,
        num_steps: int,
    ) -> torch.Tensor:
        x = x.contiguous()
        S, M, C = x.shape
        with torch.cuda.device_of(x):
            if norm.training:
                line = _line_of_batch(x, weight, bias, norm)
            else:
                inverse = (norm.running_var + norm.eps).rsqrt()
                a = weight * inverse
                line = torch.stack([norm.running_mean, inverse, a, bias - a * norm.running_mean])
            spk = x.new_empty((num_steps, M, C))
            kernels().fire_kernel[(-(-M * C // BLOCK),)](
                x,
                line,
                None if around is None else around.contiguous(),
                beta,
                theta,
                spk,
                M * C,
                C,
                M * C if S > 1 else 0,
                STEPS=num_steps,
                BLOCK=BLOCK,
                enable_fp_fusion=False,
            )
        ctx.save_for_backward(x, line, beta, theta)
        ctx.surrogate, ctx.training, ctx.eps = surrogate, norm.training, norm.eps
        ctx.num_steps, ctx.around = num_steps, around is not None
        return spk

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, line, beta, theta = ctx.saved_tensors
        S, M, C = x.shape
        T, surrogate = ctx.num_steps, ctx.surrogate
        g, d = g.contiguous(), torch.empty_like(x)
        rows, width = _tile(C)
        programs, chunk = _cut(M, rows)
        sums = x.new_empty((programs, 2, C), dtype=torch.float32)
        found = x.new_empty((5, C), dtype=torch.float32)
        with torch.cuda.device_of(x):
            kernels().pull_kernel[(programs,)](
                g,
                x,
                line,
                beta,
                theta,
                d,
                sums,
                M,
                C,
                chunk,
                M * C,
                M * C if S > 1 else 0,
                surrogate.shift,
                surrogate.factor,
                STEPS=T,
                KIND=surrogate.kind,
                HELD=S == 1 and T > 1,
                ROWS=rows,
                WIDTH=width,
                num_warps=WARPS,
                enable_fp_fusion=False,
            )
            # fixed statistics pull nothing back
            count = float(S * M) if ctx.training else float("inf")
            kernels().slope_line_kernel[(-(-C // 16),)](
                sums, line, found, programs, C, count, PARTS=_power(programs), WIDTH=16
            )
            kernels().centre_kernel[(-(-S * M * C // BLOCK),)](
                d, x, found, S * M * C, C, BLOCK=BLOCK
            )
        return d, found[0], found[1], g if ctx.around else None, *[None] * 5


def _line_of_batch(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, norm: nn.BatchNorm2d
) -> torch.Tensor:
    """μ, 1/√(v + ε), a and c of this batch, ``(4, C)``; the running statistics take their step."""
    S, M, C = x.shape
    rows, width = _tile(C)
    programs, chunk = _cut(S * M, rows)
    sums = x.new_empty((programs, 2, C), dtype=torch.float32)
    line = x.new_empty((4, C), dtype=torch.float32)
    kernels().moments_kernel[(programs,)](
        x, sums, S * M, C, chunk, ROWS=rows, WIDTH=width, num_warps=WARPS
    )
    kernels().line_kernel[(-(-C // 16),)](
        sums,
        weight,
        bias,
        norm.running_mean,
        norm.running_var,
        line,
        programs,
        C,
        float(S * M),
        norm.eps,
        norm.momentum,
        PARTS=_power(programs),
        WIDTH=16,
    )
    return line


def _power(n: int) -> int:
    """The power of 2 that is not below ``n``."""
    return 1 << (n - 1).bit_length()


def _tile(channels: int) -> tuple[int, int]:
    """Rows and width of a tile, both powers of 2."""
    width = _power(channels)
    return max(1, TILE // width), width


def _cut(rows: int, tile: int) -> tuple[int, int]:
    """Into how many programs the rows are cut, and how many each takes: whole tiles."""
    tiles = -(-rows // tile)
    chunk = -(-tiles // PROGRAMS) * tile
    return -(-rows // chunk), chunk
