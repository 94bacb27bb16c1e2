"""Several processes that train one network, as ``torchrun`` starts them; alone, all here is idle.

Each process runs the whole script. ``fit`` joins the processes, gives each its part of every batch,
and DistributedDataParallel averages the gradients: together they do what one process would do.
"""

from __future__ import annotations

import atexit
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from common.io import UserError, process_number

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def world() -> tuple[int, int]:
    """This process's number and how many there are: ``(0, 1)`` before ``join`` and without torchrun."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def join(device: torch.device) -> None:
    """Meet the other processes if torchrun started several; a ``UserError`` if that fails."""
    size = process_number("WORLD_SIZE", 1)
    if size == 1 or world()[1] > 1:
        return
    if device.type == "mps" or not dist.is_available():
        raise UserError(f"torchrun: got {size} processes on '{device}', allowed is 1")
    own_gpu = device.type == "cuda" and dist.is_nccl_available()
    own_gpu &= process_number("LOCAL_WORLD_SIZE", size) <= torch.cuda.device_count()
    try:  # NCCL (RCCL under ROCm) wants a GPU for each process; Gloo takes anything
        dist.init_process_group("nccl" if own_gpu else "gloo")
    except (RuntimeError, ValueError) as e:
        raise UserError(
            f"torchrun: the {size} processes did not find each other ({str(e).splitlines()[0]}); "
            "start all machines with the same --nnodes and --rdzv-endpoint"
        ) from e
    atexit.register(dist.destroy_process_group)
    if own_gpu:
        torch.cuda.set_device(device)


def part(n: int) -> tuple[slice, float]:
    """This process's part of a batch of ``n`` samples, and the weight of its mean loss.

    So weighted, the average over processes is the mean over the batch. All have to take part: a
    part that would be empty is one sample of weight 0.
    """
    rank, size = world()
    if size == 1:
        return slice(None), 1.0
    first, last = rank * n // size, (rank + 1) * n // size
    return slice(first, max(last, first + 1)), (last - first) * size / n


def total(*values: torch.Tensor) -> list[float]:
    """The sums of single numbers over all processes."""
    packed = torch.stack([v.detach().float() for v in values])
    if world()[1] > 1:
        dist.all_reduce(packed)
    return packed.tolist()


def from_rank_zero(value: Any) -> Any:
    """What process 0 holds: any object that pickles."""
    box = [value]
    if world()[1] > 1:
        dist.broadcast_object_list(box, src=0)
    return box[0]


def same_everywhere(net: nn.Module) -> None:
    """Give all processes process 0's weights and buffers (BatchNorm's saw only its own part)."""
    if world()[1] > 1:
        for tensor in net.state_dict().values():
            dist.broadcast(tensor, src=0)


def replicated(net: Any) -> Callable[[torch.Tensor], Any]:
    """``net.run``, whose gradients the backward pass then averages over all processes."""
    if world()[1] == 1 or not any(p.requires_grad for p in net.parameters()):
        return net.run
    same_everywhere(net)
    run = nn.Module()  # DistributedDataParallel listens where ``forward`` stands
    run.net, run.forward = net, net.run
    # buffers hold neurons' states, which are each process's own; static_graph allows unused weights
    return DistributedDataParallel(run, broadcast_buffers=False, init_sync=False, static_graph=True)


@contextmanager
def losing_a_process(advice: str) -> Iterator[None]:
    """Turn the loss of another process into a ``UserError``, however this one hears of it."""

    def lost(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun may say it once more
        raise UserError(f"another process of this run ended; {advice}")

    if world()[1] == 1:
        yield
        return
    before = signal.signal(signal.SIGTERM, lost)
    try:
        yield
    except RuntimeError as e:
        if not any(word in str(e).lower() for word in ("gloo", "nccl", "connection", "peer")):
            raise
        lost()
    signal.signal(signal.SIGTERM, before)
