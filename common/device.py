"""Which device a lesson runs on, what it is called, and how much memory a computation takes."""

from __future__ import annotations

import os
import platform
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch


def device_names() -> list[str]:
    """Devices present on this machine, the best first. ROCm GPUs appear as ``cuda``: PyTorch names them so."""
    names = ["cuda"] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def pick_device(name: str = "auto") -> torch.device:
    """Turn ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N`` into a device that exists here.

    Under torchrun every process of a machine takes the GPU of its ``LOCAL_RANK``.

    Raises:
        ValueError: the name is unknown, or there is no such device on this machine.
    """
    present = device_names()
    if name == "auto":
        name = present[0]
        if name == "cuda" and "LOCAL_RANK" in os.environ:
            name = f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise ValueError(f"got '{name}', allowed are auto, {', '.join(present)}")
    if kind not in present or (
        kind == "cuda" and index and int(index) >= torch.cuda.device_count()
    ):
        raise ValueError(
            f"got '{name}', but this machine has only {', '.join(present)}; leave the flag out"
        )
    return torch.device(name)


def _cpu_model() -> str:
    """The processor's name as the system gives it; falls back to the architecture."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            for line in f:
                if line.lower().startswith(("model name", "hardware")):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def ram_bytes() -> int | None:
    """Physical memory in bytes, or None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None


def describe(device: torch.device | str) -> str:
    """One phrase for results and headers, such as ``CPU, 2 cores (AMD EPYC)``."""
    device = torch.device(device)
    if device.type == "cuda":
        p = torch.cuda.get_device_properties(device)
        stack = f"ROCm {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
        return f"{p.name}, {p.total_memory / 2**30:.0f} GiB ({stack})"
    if device.type == "mps":
        return f"Apple GPU (MPS), {_cpu_model()}"
    return f"CPU, {os.cpu_count()} cores ({_cpu_model()})"


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and PyTorch; return a CPU generator with the same seed for shuffling data."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def synchronize(device: torch.device | str) -> None:
    """Wait until a GPU has finished what was queued, so that a clock reads true. Nothing to do on a CPU."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees, as PyTorch does on a GPU; True if the system can be told so.

    Otherwise the C library hands every freed buffer of some megabytes back, and gets the next one page by page,
    each of them cleared first: for a layer of LIF neurons that takes longer than its arithmetic. Known to glibc
    (most Linux systems); elsewhere nothing happens.
    """
    import ctypes

    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library, such as musl
        return False
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    return bool(mallopt(trim_threshold, 2**31 - 1)) and bool(mallopt(mmap_max, 0))


def peak_memory(device: torch.device | str) -> int:
    """Highest memory so far, in bytes: allocated on the GPU, or resident in this process on a CPU."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    try:  # Linux: getrusage would also count what the parent process held before it started this one
        with open("/proc/self/status", encoding="utf-8") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return _windows_peak()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kibibytes on Linux, bytes on macOS


def _windows_peak() -> int:
    import ctypes
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        _fields_ = [("cb", wintypes.DWORD), ("PageFaultCount", wintypes.DWORD)] + [
            (name, ctypes.c_size_t)
            for name in ("PeakWorkingSetSize", "WorkingSetSize", "a", "b", "c", "d", "e", "f")
        ]

    counters = Counters(cb=ctypes.sizeof(Counters))
    windll = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]
    windll.GetCurrentProcess.restype = wintypes.HANDLE
    windll.K32GetProcessMemoryInfo.argtypes = [wintypes.HANDLE, ctypes.c_void_p, wintypes.DWORD]
    windll.K32GetProcessMemoryInfo(windll.GetCurrentProcess(), ctypes.byref(counters), counters.cb)
    return int(counters.PeakWorkingSetSize)


class _Saved:
    """A tensor held for backward, on behalf of ``saved_for_backward``."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor.detach()  # an output would hold its own graph, and never be let go


@contextmanager
def saved_for_backward(leave_out: Iterable[torch.Tensor] = ()) -> Iterator[Callable[[], int]]:
    """Count the bytes that autograd keeps alive until backward.

    Run the forward pass inside the block and call the yielded function at its end, while the output is
    still referenced. Each storage counts once, however many tensors share it; a tensor that autograd
    has already let go again does not count. Parameters and the input count too, for they are kept as well, so
    compare two runs, look at the slope over ``num_steps``, or ``leave_out`` tensors. The figure is the same on
    every device.

        with saved_for_backward() as kept:
            loss = loss_fn(net.run(x))
            print(kept(), "bytes")
    """
    import weakref

    alive: weakref.WeakSet[_Saved] = weakref.WeakSet()
    left_out = {t.untyped_storage().data_ptr() for t in leave_out}

    def pack(tensor: torch.Tensor) -> _Saved:
        saved = _Saved(tensor)
        alive.add(saved)
        return saved

    def kept() -> int:
        storages = {
            s.tensor.untyped_storage().data_ptr(): s.tensor.untyped_storage().nbytes()
            for s in alive
        }
        return sum(n for address, n in storages.items() if address not in left_out)

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor):
        yield kept
