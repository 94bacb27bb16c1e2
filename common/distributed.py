"""Several processes that train one network, as ``torchrun`` starts them; with one process everything here is idle.

Each process runs the whole script. ``fit`` joins the processes, gives each its part of every batch, and lets
DistributedDataParallel average the gradients, so that together they do what one process would do alone.
"""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import current_thread, main_thread
from typing import Any

from common.io import UserError

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others before it gives up."""


def join(device: torch.device) -> tuple[int, int]:
    """Meet the other processes if torchrun started several; return this one's number and how many there are.

    Processes on GPUs of their own talk by NCCL (RCCL under ROCm), all others by Gloo.

    Raises:
        UserError: the others do not come, or the device cannot be used this way.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1 and not (dist.is_available() and dist.is_initialized()):
        if not dist.is_available() or device.type == "mps":
            raise UserError(
                f"torchrun: got {size} processes on '{device}', allowed is 1; give --device cpu for more"
            )
        here = int(os.environ.get("LOCAL_WORLD_SIZE", size))
        own_gpu = (
            device.type == "cuda" and here <= torch.cuda.device_count() and dist.is_nccl_available()
        )
        try:
            dist.init_process_group("nccl" if own_gpu else "gloo", timeout=PATIENCE)
        except (RuntimeError, ValueError) as e:  # DistNetworkError is a RuntimeError
            raise UserError(
                f"torchrun: the {size} processes did not find each other ({_first_line(e)}); start all "
                "machines with the same --nnodes and --rdzv-endpoint"
            ) from e
        if own_gpu:
            torch.cuda.set_device(device)
        atexit.register(_leave)
    return world()


def world() -> tuple[int, int]:
    """This process's number and the number of processes: ``(0, 1)`` before ``join`` or without torchrun."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def part(n: int) -> tuple[slice, float]:
    """This process's part of a batch of ``n`` samples, and what to multiply its mean loss by.

    The parts may differ by one sample. Weighted so, the average over processes that
    DistributedDataParallel takes is the mean over the whole batch. A process for which no sample is left
    takes the first one with weight zero, for it has to take part in the averaging.
    """
    rank, size = world()
    first, last = rank * n // size, (rank + 1) * n // size
    if first == last:
        return slice(0, 1), 0.0
    return slice(first, last), (last - first) * size / n


def total(*values: torch.Tensor) -> list[float]:
    """The sums of single numbers over all processes."""
    packed = torch.stack(
        [
            v.detach().double().cpu() if v.device.type == "mps" else v.detach().double()
            for v in values
        ]
    )
    if world()[1] > 1:
        dist.all_reduce(packed)
    return packed.tolist()


def from_rank_zero(value: Any) -> Any:
    """What process 0 holds: any object that pickles."""
    if world()[1] == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


@torch.no_grad()
def same_buffers(net: nn.Module) -> None:
    """Give every process the buffers of process 0: BatchNorm's running statistics, which each keeps of its own part."""
    if world()[1] > 1:
        parameters = dict(net.named_parameters())
        for name, tensor in net.state_dict().items():
            if name not in parameters:
                dist.broadcast(tensor, src=0)


class _RunIsForward(nn.Module):
    """``net.run`` under the name ``forward``, which is where DistributedDataParallel listens."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> Any:
        return self.net.run(x)  # type: ignore[operator]


def replicated(net: nn.Module) -> Any:
    """``net.run``, with gradients averaged over all processes in backward.

    The weights of process 0 go to all. Buffers are left alone: those of a spiking neuron are its state.
    """
    if world()[1] == 1 or not any(p.requires_grad for p in net.parameters()):
        return net.run
    with torch.no_grad():
        for p in net.parameters():
            dist.broadcast(p.detach(), src=0)
    same_buffers(net)
    # static_graph: weights that the loss does not use are found out in the first step, and stay unused
    return DistributedDataParallel(
        _RunIsForward(net), broadcast_buffers=False, init_sync=False, static_graph=True
    )


@contextmanager
def losing_a_process(advice: str) -> Iterator[None]:
    """Turn the loss of a process into one line in those that are left, whichever way they hear of it first.

    Raises:
        UserError: a process of this run ended or stopped answering; or torchrun, which noticed it, ends this one.
    """

    def end(_number: int, _frame: Any) -> None:
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
        text = str(e).lower()
        lost = isinstance(e, dist.DistError) or any(
            w in text for w in ("gloo", "nccl", "connection closed", "peer")
        )
        if not lost:
            raise
        raise UserError(
            f"another process of this run ended or does not answer ({_first_line(e)}); {advice}"
        ) from e


def _first_line(e: Exception) -> str:
    return (str(e).strip().splitlines() or [type(e).__name__])[0][:160]
