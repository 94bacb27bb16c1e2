"""Measuring a machine: times taken in turn, bytes alive at a time, energy where it has a counter, operations."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common.device import synchronize
from common.io import UserError

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def timed(
    contenders: dict[Any, Callable[[], object]], repeats: int, device: torch.device | str
) -> dict[Any, np.ndarray]:
    """Milliseconds of each call, ``(repeats,)`` by name.

    In turn, so that a busy machine is busy for all of them, and in a new order each round, so that none always finds
    the caches as the same other one left them.
    """
    times: dict[Any, list[float]] = {name: [] for name in contenders}
    rng, names = random.Random(0), list(contenders)
    for i in range(repeats + 2):
        for name in rng.sample(names, len(names)):
            call = contenders[name]
            begun = time.perf_counter()
            call()
            synchronize(device)
            if i >= 2:  # two rounds to warm up
                times[name].append(1000 * (time.perf_counter() - begun))
    return {name: np.asarray(t) for name, t in times.items()}


class LiveBytes(TorchDispatchMode):
    """Most bytes of tensors alive at one time inside the block, ``leave_out`` not counted; the same on every device."""

    def __init__(self, leave_out: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.outside = {t.untyped_storage().data_ptr() for t in leave_out}
        self.alive: dict[int, Callable[[], bool]] = {}
        self.size: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from torch.multiprocessing.reductions import StorageWeakRef

        out = func(*args, **(kwargs or {}))
        for t in tree_leaves(out):
            if (
                isinstance(t, torch.Tensor)
                and (storage := t.untyped_storage()).data_ptr() not in self.outside
            ):
                key = storage._cdata
                self.alive[key], self.size[key] = StorageWeakRef(storage).expired, storage.nbytes()
        self.alive = {k: expired for k, expired in self.alive.items() if not expired()}
        self.peak = max(self.peak, sum(self.size[k] for k in self.alive))
        return out


def measured_energy(
    step: Callable[[], object],
    device: torch.device | str,
    seconds: float = 2.0,
    counter: Path = Path("/sys/class/powercap/intel-rapl:0/energy_uj"),
) -> float | None:
    """Millijoules a call by the machine's own counter, everything else it does included; None where there is none.

    CPU: the package's energy counter (RAPL; Linux, often for root only). NVIDIA and AMD GPUs: the driver's power
    reading, averaged. Neither Apple's GPU nor a virtual machine shows one.
    """
    device = torch.device(device)
    calls, powers, start_uj = 0, [], None
    try:
        if device.type == "cpu":
            start_uj = int(counter.read_text(encoding="utf-8"))
        elif device.type == "cuda":
            torch.cuda.power_draw(device)
        else:
            return None
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            step()
            synchronize(device)
            calls += 1
            if device.type == "cuda" and calls % 20 == 1:
                powers.append(torch.cuda.power_draw(device))  # milliwatts
        spent = time.perf_counter() - begun
        if start_uj is not None:
            used = int(counter.read_text(encoding="utf-8")) - start_uj
            return used / 1000 / calls if used > 0 else None  # the counter runs over now and then
        return float(np.mean(powers)) * spent / calls
    except (OSError, ValueError, RuntimeError, ModuleNotFoundError, AttributeError):
        return None


def load_weights(net: nn.Module, path: Path) -> nn.Module:
    """Weights from ``checkpoints/`` into ``net``.

    Raises:
        UserError: the file is not there, or belongs to another network.
    """
    from safetensors.torch import load_file

    try:
        net.load_state_dict(load_file(path), strict=False)
    except (OSError, RuntimeError) as e:
        raise UserError(
            f"got no usable checkpoints/{path.name} ({str(e).splitlines()[0]}), expected the weights that "
            "the repository holds; get the file back with 'git checkout', or train it anew"
        ) from e
    return net.eval()


def effective_operations(x: torch.Tensor, layer: nn.Module) -> float:
    """Operations per sample that inputs ``x (B, C, H, W)`` or ``(B, N)`` cause, if zeros cause none.

    A convolution pads as TensorFlow does for ``padding="same"``; each non-zero input meets every window it lies
    in, in every output channel.
    """
    if isinstance(layer, nn.Linear):
        return float((x != 0).sum() / len(x)) * layer.out_features
    k, stride = layer.kernel_size[0], layer.stride[0]  # type: ignore[index]
    pad = max(0, (-(-x.shape[2] // stride) - 1) * stride + k - x.shape[2])
    active = F.pad(
        (x != 0).float().sum(1, keepdim=True), (pad // 2, pad - pad // 2) * 2
    )  # (B, 1, H + pad, W + pad)
    read = F.conv2d(
        active, torch.ones(1, 1, k, k), stride=stride
    )  # non-zero inputs that each output place reads
    return float(read.sum() / len(x)) * layer.out_channels  # type: ignore[operator]
