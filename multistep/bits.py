"""Spikes kept as bits: what autograd holds of zeros and ones takes a thirty-second of float32.

The layer after a spiking layer keeps the spikes for the gradient of its weights, ∂L/∂W = Σ δ[t]·S[t]ᵀ, four bytes each
where one bit says it all. Eight of them make a byte by one multiplication: with the bytes b₀ … b₇ of a 64-bit number x
all 0 or 1, the top byte of x·Σⱼ 2^(7j), j = 1 … 8, is Σᵢ bᵢ·2^i, since bᵢ stands at 2^(8i) and 8i + 7·(8 − i) = 56 + i.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from multistep.memory import Saved, count, restore

import torch
from torch import Tensor, nn

SMALLEST = 1024
"""numbers below which a tensor is left as it is"""

GATHER = sum(1 << 7 * j for j in range(1, 9))


class Bits(Saved):
    """A tensor of zeros and ones as bits, in the order in which it lay in memory."""

    def __init__(self, tensor: Tensor, ones: Tensor) -> None:
        self.order = sorted(range(tensor.dim()), key=lambda i: -tensor.stride(i))
        self.shape, self.dtype = [tensor.shape[i] for i in self.order], tensor.dtype
        super().__init__(pack(ones.permute(self.order)))

    def restored(self) -> Tensor:
        back = [self.order.index(i) for i in range(len(self.order))]
        return unpack(self.tensor, self.shape, self.dtype).permute(back)


@contextmanager
def spikes_as_bits() -> Iterator[None]:
    """Inside, autograd keeps every tensor that holds nothing but zeros and ones as bits. The gradients are the same.

        with spikes_as_bits():
            spk_rec, mem_rec = net.run(x)
        loss_fn(mem_rec, y).backward()

    A tensor is looked at when it is saved: one that is not of spikes is known by its first numbers, as a rule. On a GPU
    the answer waits for the device. A tensor that somebody else holds too, such as a record you return, takes its four
    bytes all the same. Does not reach into the segments of ``over_segments``, which are not kept.
    """
    with torch.autograd.graph.saved_tensors_hooks(_pack_if_spikes, restore):
        yield


def _pack_if_spikes(tensor: Tensor) -> Saved:
    ones = _ones_of(tensor)
    return count(Saved(tensor) if ones is None else Bits(tensor, ones))


def _ones_of(tensor: Tensor) -> Tensor | None:
    """Where the ones are, ``(…) bool``, if all else is zero; None otherwise."""
    if tensor.numel() < SMALLEST or not tensor.is_floating_point():
        return None
    if isinstance(tensor, nn.Parameter) or 0 in tensor.stride():
        return None  # kept by its module, or a view that takes no memory
    first = tensor.as_strided((64,), (1,)) if _is_dense(tensor) else tensor.flatten()[:64]
    if not bool(((first == 0) | (first == 1)).all()):
        return None
    ones = tensor == 1
    return ones if int(ones.sum()) == int(tensor.count_nonzero()) else None


def _is_dense(tensor: Tensor) -> bool:
    order = sorted(range(tensor.dim()), key=lambda i: -tensor.stride(i))
    return tensor.permute(order).is_contiguous()


def pack(ones: Tensor) -> Tensor:
    """Bits of a tensor of truth values, eight a byte: ``(…) bool → (N/8,) uint8``."""
    flat = ones.contiguous().view(torch.uint8).flatten()
    flat = nn.functional.pad(flat, (0, -len(flat) % 8))  # (8·bytes,)
    return (flat.view(torch.int64) * GATHER >> 56).to(torch.uint8)


def unpack(bits: Tensor, shape: list[int], dtype: torch.dtype) -> Tensor:
    """The inverse of ``pack``, as numbers of the given type and shape."""
    numbers = _table(bits.device, dtype).index_select(0, bits.int()).flatten()  # (8·bytes,)
    return numbers[: math.prod(shape)].view(shape)


@lru_cache(maxsize=16)
def _table(device: torch.device, dtype: torch.dtype) -> Tensor:
    """The eight bits of each byte as numbers, ``(256, 8)``."""
    byte = torch.arange(256, device=device)
    return (byte[:, None] >> torch.arange(8, device=device) & 1).to(dtype)
