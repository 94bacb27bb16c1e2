"""Memory of an unrolled network: what autograd keeps of it, and what the C library takes back."""

from __future__ import annotations

import ctypes
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import torch


class Saved:
    """A tensor held for backward, and counted as long as it is."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor.detach()  # an output would hold its own graph, and never be let go

    def restored(self) -> torch.Tensor:
        """What backward is given."""
        return self.tensor


def restore(saved: Saved) -> torch.Tensor:
    return saved.restored()


_COUNTING: list[weakref.WeakSet[Saved]] = []
"""what is alive, for each ``saved_for_backward`` that is at work"""


def count(saved: Saved) -> Saved:
    """Let every ``saved_for_backward`` around see what is held: by a hook of autograd's, or otherwise."""
    for alive in _COUNTING:
        alive.add(saved)
    return saved


@contextmanager
def saved_for_backward(leave_out: Iterable[torch.Tensor] = ()) -> Iterator[Callable[[], int]]:
    """Count the bytes that autograd keeps alive until backward.

    Run the forward pass inside the block and call the yielded function at its end, while the output
    is still referenced. Each storage counts once, however many tensors share it; a tensor that
    autograd has already let go again does not count. Parameters and the input count too, for they
    are kept as well, so compare two runs, look at the slope over ``num_steps``, or ``leave_out``
    tensors. The figure is the same on every device.

        with saved_for_backward() as kept:
            loss = loss_fn(net.run(x))
            print(kept(), "bytes")
    """
    alive: weakref.WeakSet[Saved] = weakref.WeakSet()
    left_out = {t.untyped_storage().data_ptr() for t in leave_out}

    def pack(tensor: torch.Tensor) -> Saved:
        return count(Saved(tensor))

    def kept() -> int:
        sizes = {}
        for saved in alive:
            storage = saved.tensor.untyped_storage()
            if storage.data_ptr() not in left_out:
                sizes[storage.data_ptr()] = storage.nbytes()
        return sum(sizes.values())

    _COUNTING.append(alive)
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, restore):
            yield kept
    finally:
        _COUNTING[:] = [other for other in _COUNTING if other is not alive]


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees, as PyTorch does on a GPU; True if the system can be told so.

    Otherwise the C library hands every freed buffer of some megabytes back, and gets the next one
    page by page, each of them cleared first: for a layer of LIF neurons that takes longer than its
    arithmetic. Known to glibc (most Linux systems); elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    with suppress(OSError, AttributeError):  # another C library, such as musl
        mallopt = ctypes.CDLL(None).mallopt
        trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h
        return bool(mallopt(trim_threshold, 2**31 - 1)) and bool(mallopt(mmap_max, 0))
    return False
