"""What one inference costs: operations and sparsity by NeuroBench, energy by cited figures, latency by the clock."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from common.device import synchronize
from common.spiking import reset_state, spiking_layers

import snntorch as snn
import torch
from torch import nn

# Horowitz, "Computing's energy problem", ISSCC 2014, figure 1.1.9: 45 nm, 0.9 V, 32-bit floating point.
# A multiply-accumulate is a multiplication (3.7 pJ) and an addition (0.9 pJ); a spike needs the addition only.
PJ_PER_AC = 0.9
PJ_PER_MAC = 4.6


def estimated_energy_nj(acs: float, macs: float) -> float:
    """*Estimated* energy in nJ of arithmetic alone; memory traffic, leakage and control are left out."""
    return (acs * PJ_PER_AC + macs * PJ_PER_MAC) / 1000


@torch.no_grad()
def workload(net: nn.Module, x: torch.Tensor) -> dict[str, float]:
    """Operations and sparsity for ``x (T, B, …)``, by NeuroBench through the network's one-step ``forward``.

    Returns:
        Per sample: ``acs`` (accumulates: spikes times fan-out), ``macs`` (inputs that are no spikes),
        ``dense`` (what a network without zeros would do), ``spikes`` of all spiking layers; and
        ``activation_sparsity``, the share of zeros among those layers' outputs.
    """
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
    from neurobench.models import SNNTorchModel
    from torch.utils.data import DataLoader, TensorDataset

    batch_first = x.transpose(0, 1).contiguous()  # (B, T, …): NeuroBench's order
    loader = DataLoader(
        TensorDataset(batch_first, torch.zeros(len(batch_first))), batch_size=len(batch_first)
    )
    was_training = net.training
    spikes = torch.zeros((), device=x.device)

    def count(_m: nn.Module, _i: Any, out: Any) -> None:
        spikes.add_((out[0] if isinstance(out, tuple) else out).sum())

    hooks = [m.register_forward_hook(count) for m in spiking_layers(net).values()]
    net.reset = lambda: reset_state(net)  # type: ignore[assignment]  # NeuroBench's own reset misses nested neurons
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            model = SNNTorchModel(net)
            result = Benchmark(
                model, loader, [], [], [[], [ActivationSparsity, SynapticOperations]]
            ).run(quiet=True)
    finally:
        del net.reset
        for hook in hooks:
            hook.remove()
        net.train(was_training)
        reset_state(net)
    ops = result["SynapticOperations"]
    return {
        "acs": float(ops["Effective_ACs"]),
        "macs": float(ops["Effective_MACs"]),
        "dense": float(ops["Dense"]),
        "spikes": spikes.item() / x.shape[1],
        "activation_sparsity": float(result["ActivationSparsity"]),
    }


@torch.no_grad()
def calls(
    net: nn.Module, x: torch.Tensor
) -> Iterator[tuple[str, nn.Module, torch.Tensor, torch.Tensor]]:
    """Every call of a layer with weights or of a spiking layer while ``net`` steps through ``x (T, B, …)`` from rest.

    Yields:
        Name, module, its input and its output (the spikes, for a spiking layer), each ``(B, …)``, step by step.
    """
    seen: list[tuple[str, nn.Module, torch.Tensor, torch.Tensor]] = []
    hooks = [
        m.register_forward_hook(
            lambda m, i, out, n=n: seen.append(
                (n, m, i[0], out[0] if isinstance(out, tuple) else out)
            )
        )
        for n, m in net.named_modules()
        if isinstance(m, (nn.Linear, nn.Conv1d, nn.Conv2d, snn.SpikingNeuron))
    ]
    try:
        reset_state(net)
        for x_t in x:
            net(x_t)
            yield from seen
            seen.clear()
    finally:
        for hook in hooks:
            hook.remove()
        reset_state(net)


@torch.no_grad()
def ann_macs(net: nn.Module, x_t: torch.Tensor) -> int:
    """Multiply-accumulates of one pass of an ANN with the same linear and convolution layers, per sample.

    Args:
        x_t: one time step of input ``(B, …)``.
    """
    total = 0

    def count(layer: nn.Module, _inputs: Any, out: torch.Tensor) -> None:
        nonlocal total
        fan_in = layer.weight[0].numel()  # type: ignore[union-attr, operator]
        total += out[0].numel() * fan_in

    hooks = [
        m.register_forward_hook(count)
        for m in net.modules()
        if isinstance(m, (nn.Linear, nn.Conv1d, nn.Conv2d))
    ]
    try:
        net(x_t)
    finally:
        for hook in hooks:
            hook.remove()
        reset_state(net)
    return total


def latency(
    step: Callable[[], object], device: torch.device | str, repeats: int = 50
) -> tuple[float, float]:
    """Median and 95th percentile of the wall time of ``step()``, in milliseconds, after five warm-up calls."""
    times = []
    for i in range(repeats + 5):
        start = time.perf_counter()
        step()
        synchronize(device)
        if i >= 5:
            times.append(1000 * (time.perf_counter() - start))
    ordered = sorted(times)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


@torch.no_grad()
def ledger_row(
    net: nn.Module, x: torch.Tensor, *, model: str, data: str, accuracy: float, n: int
) -> dict[str, Any]:
    """A network's row of the ledger, measured on ``x (T, B, …)``; see ``results.LEDGER`` for the columns.

    NeuroBench counts the multiply-accumulates of an input that is no spike train at every step. Where the
    input is constant in time (an expanded view), the first layer's current is computed once, so the energy
    estimate takes them once.
    """
    num_steps = x.shape[0]
    device = x.device
    was_training = net.training
    net.eval()
    w = workload(net, x)
    macs = w["macs"] / num_steps if x.stride(0) == 0 and num_steps > 1 else w["macs"]
    p50, p95 = latency(lambda: net.run(x[:, :1]), device)  # type: ignore[operator]
    row = {
        "model": model,
        "data": data,
        "accuracy": accuracy,
        "n": n,
        "num_steps": num_steps,
        "parameters": sum(p.numel() for p in net.parameters()),
        "bytes": sum(p.numel() * p.element_size() for p in net.parameters()),
        "spikes": w["spikes"],
        "synops": w["acs"],
        "macs": macs,
        "ann_macs": ann_macs(net, x[0]),
        "latency_p50_ms": p50,
        "latency_p95_ms": p95,
        "energy_estimated_nj": estimated_energy_nj(w["acs"], macs),
    }
    net.train(was_training)
    return row


def pareto_front(cost: Sequence[float], value: Sequence[float]) -> list[int]:
    """Indices of the points to which no other is preferable, from cheap to dear.

    A point is off the front if another costs no more, is worth no less, and is better in one of the two. Of equal
    points the first stays.
    """
    front: list[int] = []
    for i in sorted(range(len(cost)), key=lambda i: (cost[i], -value[i])):
        if not front or value[i] > value[front[-1]]:
            front.append(i)
    return front


def knee(cost: Sequence[float], value: Sequence[float], tolerance: float) -> int:
    """Index of the cheapest point whose value is at most ``tolerance`` below the best of all points."""
    enough = max(value) - tolerance - 1e-12  # 0.98 − 0.97 is a little more than 0.01
    return min(
        (i for i in range(len(cost)) if value[i] >= enough), key=lambda i: (cost[i], -value[i])
    )
