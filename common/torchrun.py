"""Several processes that train one network, as ``torchrun`` starts them; alone, all here is idle.

Each process runs the whole script. ``fit`` joins the processes, gives each its part of every batch,
and DistributedDataParallel averages the gradients: together they do what one process would do.
"""

from __future__ import annotations

import atexit
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import current_thread, main_thread
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
    """Meet the other processes, if torchrun started several.

    Raises:
        UserError: the others do not come, or the device cannot be used this way.
    """
    size = process_number("WORLD_SIZE", 1)
    if size == 1 or world()[1] > 1:
        return
    if device.type == "mps" or not dist.is_available():
        raise UserError(f"torchrun: got {size} processes on '{device}', allowed is 1")
    own_gpu = device.type == "cuda" and dist.is_nccl_available()
    own_gpu &= process_number("LOCAL_WORLD_SIZE", size) <= torch.cuda.device_count()
    try:  # NCCL (RCCL under ROCm) wants a GPU for each process; Gloo takes anything
        dist.init_process_group("nccl" if own_gpu else "gloo", timeout=timedelta(minutes=10))
    except (RuntimeError, ValueError) as e:
        raise UserError(
            f"torchrun: the {size} processes did not find each other ({_short(e)}); "
            "start all machines with the same --nnodes and --rdzv-endpoint"
        ) from e
    atexit.register(dist.destroy_process_group)
    if own_gpu:
        torch.cuda.set_device(device)


def part(n: int) -> tuple[slice, float]:
    """This process's part of a batch of ``n`` samples, and what to multiply its mean loss by.

    Parts may differ by one sample; so weighted, the average over processes is the batch's mean.
    A process without a sample takes the first one with weight 0, for all have to take part.
    """
    rank, size = world()
    if size == 1:
        return slice(None), 1.0
    first, last = rank * n // size, (rank + 1) * n // size
    if first == last:
        return slice(0, 1), 0.0
    return slice(first, last), (last - first) * size / n


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
    """Give all processes process 0's weights and buffers (BatchNorm's statistics are each one's own)."""
    if world()[1] > 1:
        for tensor in net.state_dict().values():
            dist.broadcast(tensor, src=0)


def replicated(net: Any) -> Callable[[torch.Tensor], Any]:
    """``net.run``, whose gradients the backward pass then averages over all processes."""
    if world()[1] == 1 or not any(p.requires_grad for p in net.parameters()):
        return net.run
    same_everywhere(net)
    listened = nn.Module()  # DistributedDataParallel listens where ``forward`` stands
    listened.net, listened.forward = net, net.run
    # its own copying of buffers would mix up spiking neurons' states, which may differ in shape;
    # static_graph: weights that the loss does not use are found out in the first step
    return DistributedDataParallel(
        listened, broadcast_buffers=False, init_sync=False, static_graph=True
    )


@contextmanager
def losing_a_process(advice: str) -> Iterator[None]:
    """Turn the loss of a process into one line in those that are left, however they hear of it.

    Raises:
        UserError: a process ended or does not answer; or torchrun, which saw that, ends this one.
    """

    def end(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        raise UserError(f"another process of this run ended, so torchrun ended this one; {advice}")

    if world()[1] == 1 or current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
        signal.signal(signal.SIGTERM, before)
    except RuntimeError as e:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        words = ("gloo", "nccl", "connection closed", "peer")
        if not isinstance(e, dist.DistError) and not any(w in str(e).lower() for w in words):
            raise
        raise UserError(f"a process of this run ended or is silent ({_short(e)}); {advice}") from e


def _short(e: Exception) -> str:
    return (str(e).strip().splitlines() or [type(e).__name__])[0][:160]
