"""What running a network costs on this machine: its time, its working memory, its energy where a meter is."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from common.device import synchronize
from common.spiking import reset_state

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Name = TypeVar("Name", bound=Hashable)

FASTEST_OF, WARM_UP = 5, 2
"""Calls behind each time that ``timed`` gives, and rounds that it throws away first"""

ENERGY_COUNTER = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
"""RAPL: microjoules that the processor has taken so far (Linux; often for root only)"""


def clock_for(device: torch.device | str, threads: int) -> Callable[[], float]:
    """Seconds of this process on the CPU for one thread there; else, or if that clock is coarse, by the wall."""
    fine = time.get_clock_info("process_time").resolution < 1e-6  # not so on Windows
    if torch.device(device).type == "cpu" and threads == 1 and fine:
        return time.process_time
    return time.perf_counter


def timed(
    calls: Mapping[Name, Callable[[], object]],
    rounds: int,
    device: torch.device | str,
    threads: int = 1,
) -> dict[Name, np.ndarray]:
    """Milliseconds of each call, ``(rounds,)`` by name; each is the fastest of five, after a warm-up.

    On a CPU with one thread it is the time that the processor spends on this process (``clock_for``), so that
    other programs' turns do not count. They still take caches and bandwidth, and that can make a call
    longer, never shorter: so the fastest counts. The five are spread over the whole measurement, and the
    calls take turns, each time in a new order, so that a busy minute is one for all of them.
    """
    times: dict[Name, list[float]] = {name: [] for name in calls}
    names = list(calls)
    rng = random.Random(0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    clock = clock_for(device, threads)
    try:
        for i in range(FASTEST_OF * rounds + WARM_UP):
            for name in rng.sample(names, len(names)):
                begun = clock()
                calls[name]()
                synchronize(device)
                if i >= WARM_UP:
                    times[name].append(1000 * (clock() - begun))
    finally:
        torch.set_num_threads(before)
    return {name: np.reshape(t, (FASTEST_OF, rounds)).min(0) for name, t in times.items()}


class LiveBytes(TorchDispatchMode):
    """``peak``: most bytes of tensors alive at one time inside the block, the same on every device.

    Args:
        leave_out: tensors, such as weights and input, whose memory is not counted.
    """

    def __init__(self, leave_out: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.outside = {t.untyped_storage().data_ptr() for t in leave_out}
        self.alive: dict[int, Callable[[], bool]] = {}
        self.size: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and note which of its results are new memory."""
        from torch.multiprocessing.reductions import StorageWeakRef

        out = func(*args, **(kwargs or {}))
        for t in tree_leaves(out):
            if not isinstance(t, torch.Tensor):
                continue
            storage = t.untyped_storage()
            if storage.data_ptr() in self.outside:
                continue
            self.alive[storage._cdata] = StorageWeakRef(storage).expired
            self.size[storage._cdata] = storage.nbytes()
        self.alive = {k: expired for k, expired in self.alive.items() if not expired()}
        self.peak = max(self.peak, sum(self.size[k] for k in self.alive))
        return out


def measured_energy(
    step: Callable[[], object],
    device: torch.device | str,
    seconds: float = 2.0,
    counter: Path = ENERGY_COUNTER,
) -> float | None:
    """Millijoules a call by the machine's own meter, whatever else it does included; None where there is none.

    A CPU has an energy counter, an NVIDIA or AMD GPU a power reading, which is averaged. Neither
    Apple's GPU nor a virtual machine shows one.
    """
    kind = torch.device(device).type
    try:
        if kind == "cpu":
            return _by_energy_counter(step, seconds, counter)
        if kind == "cuda":
            return _by_power_reading(step, torch.device(device), seconds)
    except (OSError, ValueError, RuntimeError, ModuleNotFoundError, AttributeError):
        pass  # no counter, no right to read it, or no driver that answers
    return None


def _by_energy_counter(step: Callable[[], object], seconds: float, counter: Path) -> float | None:
    before = int(counter.read_text(encoding="utf-8"))
    begun, calls = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        step()
        calls += 1
    used = int(counter.read_text(encoding="utf-8")) - before  # µJ
    return used / 1000 / calls if used > 0 else None  # the counter runs over now and then


def _by_power_reading(
    step: Callable[[], object], device: torch.device, seconds: float
) -> float | None:
    powers: list[int] = []  # mW
    begun, calls = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        step()
        synchronize(device)
        if calls % 20 == 0:
            powers.append(torch.cuda.power_draw(device))
        calls += 1
    spent = time.perf_counter() - begun
    return float(np.mean(powers)) * spent / calls  # mW · s = mJ


@torch.no_grad()
def neurobench(net: Any, x: torch.Tensor) -> dict[str, float]:
    """NeuroBench's metrics of a spiking network for ``x (T, B, …)``; what depends on the input is for one sample."""
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.static import ConnectionSparsity, Footprint
    from neurobench.metrics.workload import ActivationSparsity, MembraneUpdates, SynapticOperations
    from neurobench.models import SNNTorchModel
    from torch.utils.data import DataLoader, TensorDataset

    samples = TensorDataset(x.transpose(0, 1).contiguous(), torch.zeros(x.shape[1]))  # (B, T, …)
    loader = DataLoader(samples, batch_size=500)
    workload = [ActivationSparsity, SynapticOperations, MembraneUpdates]
    net.reset = partial(reset_state, net)  # how NeuroBench puts a network to rest
    found = Benchmark(SNNTorchModel(net), loader, [], [], [[], workload]).run(quiet=True)
    del net.reset
    reset_state(net)
    net(x[0, :1])  # the footprint holds potentials, too: those of one picture
    footprint = Footprint()(SNNTorchModel(net))
    reset_state(net)
    operations = found["SynapticOperations"]
    return {
        "footprint": float(footprint),
        "connection_sparsity": float(ConnectionSparsity()(SNNTorchModel(net))),
        "activation_sparsity": float(found["ActivationSparsity"]),
        "acs": float(operations["Effective_ACs"]),
        "macs": float(operations["Effective_MACs"]),
        "dense": float(operations["Dense"]),
        "updates": float(found["MembraneUpdates"]),
    }


def kept_for_training(core: Callable[..., torch.Tensor], tokens: int, d: int) -> float:
    """MiB that autograd keeps until the gradient is known, for ``core(q, k, v)`` of ``(tokens, d)`` each."""
    sizes: dict[int, int] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    q, k, v = torch.ones(3, tokens, d, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        core(q, k, v)
    return sum(sizes.values()) / 2**20
