"""Which device a lesson runs on, what it is called, its random numbers and its memory."""

from __future__ import annotations

import os
import platform
import random
import re
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from common.io import process_number

import numpy as np
import psutil
import torch


def device_names() -> list[str]:
    """Devices of this machine, the best first. PyTorch calls the GPUs of ROCm ``cuda`` as well."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name, present in here.items() if present] + ["cpu"]


def pick_device(name: str = "auto") -> torch.device:
    """Turn ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N`` into a device that exists here.

    Under torchrun every process of a machine takes the GPU of its ``LOCAL_RANK``.

    Raises:
        ValueError: the name is unknown, or there is no such device on this machine.
    """
    present, gpus = device_names(), torch.cuda.device_count()
    if name == "auto":
        name = present[0]
        if name == "cuda" and "LOCAL_RANK" in os.environ:
            name = f"cuda:{process_number('LOCAL_RANK', 0) % gpus}"
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise ValueError(f"got '{name}', allowed are auto, {', '.join(present)}")
    kind, _, index = name.partition(":")
    if kind not in present or (index and int(index) >= gpus):
        here = ", ".join(present)
        raise ValueError(f"got '{name}', but this machine has only {here}; leave the flag out")
    return torch.device(name)


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


def _cpu_model() -> str:
    """The processor's name as Linux gives it, or what Python knows of it elsewhere."""
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        if found := re.search(r"(?im)^(?:model name|hardware)\s*:\s*(\S.*)$", text):
            return found[1].strip()
    return platform.processor() or platform.machine()


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and PyTorch; return a CPU generator with the same seed for shuffling data."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def synchronize(device: torch.device | str) -> None:
    """Wait until a GPU has finished what was queued, so that a clock reads true."""
    device = torch.device(device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_memory(device: torch.device | str) -> int:
    """Highest memory so far, in bytes: allocated on the GPU, or resident in this process on a CPU."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource

    # Linux: ru_maxrss would also count what the parent process held before it started this one.
    with suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        if found := re.search(r"VmHWM:\s*(\d+) kB", status):
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, else kibibytes


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    packages = {name: version(name) for name in ("torch", "snntorch", "numpy")}
    return {"python": platform.python_version()} | packages
