"""What one inference costs: operations by NeuroBench, energy by cited figures, latency by the clock."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from common.device import synchronize
from common.spiking import reset_state

import snntorch as snn
import torch
from torch import nn

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)

PICOJOULES = {"float32": (0.9, 4.6), "float16": (0.4, 1.5), "int8": (0.1, 0.3)}
"""An accumulate and a multiply-accumulate at 45 nm and 0.9 V (Horowitz, "Computing's energy problem",
ISSCC 2014, figure 1.1.9). A spike needs the addition only. With 8-bit integers the sum has 32 bits."""
PJ_PER_AC, PJ_PER_MAC = PICOJOULES["float32"]


def estimated_energy_nj(acs: float, macs: float, arithmetic: str = "float32") -> float:
    """*Estimated* energy of arithmetic alone, in nJ: memory traffic, leakage and control are left out."""
    pj_per_ac, pj_per_mac = PICOJOULES[arithmetic]
    return (acs * pj_per_ac + macs * pj_per_mac) / 1000


@torch.no_grad()
def workload(net: nn.Module, x: torch.Tensor) -> dict[str, float]:
    """Operations and sparsity for ``x (T, B, …)``, by NeuroBench through the one-step ``forward``.

    Returns:
        Per sample: ``acs`` (accumulates: spikes times fan-out), ``macs`` (for inputs that are no
        spikes), ``dense`` (what a network without zeros would do), ``spikes`` of all spiking layers;
        and ``activation_sparsity``, the share of zeros among those layers' outputs.
    """
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
    from neurobench.models import SNNTorchModel
    from torch.utils.data import DataLoader, TensorDataset

    samples = TensorDataset(x.transpose(0, 1).contiguous(), torch.zeros(x.shape[1]))  # (B, T, …)
    loader = DataLoader(samples, batch_size=len(samples))
    metrics = [[], [ActivationSparsity, SynapticOperations]]
    was_training = net.training
    net.reset = lambda: reset_state(net)  # NeuroBench's own reset misses nested neurons
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            found = Benchmark(SNNTorchModel(net), loader, [], [], metrics).run(quiet=True)
        spikes = sum(
            out.sum().item() for _, m, _, out in calls(net, x) if isinstance(m, snn.SpikingNeuron)
        )
    finally:
        del net.reset
        net.train(was_training)
        reset_state(net)
    operations = found["SynapticOperations"]
    return {
        "acs": float(operations["Effective_ACs"]),
        "macs": float(operations["Effective_MACs"]),
        "dense": float(operations["Dense"]),
        "spikes": spikes / x.shape[1],
        "activation_sparsity": float(found["ActivationSparsity"]),
    }


@torch.no_grad()
def calls(
    net: nn.Module, x: torch.Tensor
) -> Iterator[tuple[str, nn.Module, torch.Tensor, torch.Tensor]]:
    """Every call of a layer with weights or of a spiking layer while ``net`` steps through ``x (T, B, …)``.

    Yields:
        Name, module, its input and its output (of a spiking layer the spikes), each ``(B, …)``, step
        by step from rest. Whoever calls the modules again takes a list of all calls first.
    """
    seen: list[tuple[str, nn.Module, torch.Tensor, torch.Tensor]] = []
    names = {layer: name for name, layer in net.named_modules()}

    def note(layer: nn.Module, inputs: tuple[torch.Tensor, ...], out: Any) -> None:
        seen.append((names[layer], layer, inputs[0], out[0] if isinstance(out, tuple) else out))

    layers = [layer for layer in names if isinstance(layer, (*WEIGHTED, snn.SpikingNeuron))]
    hooks = [layer.register_forward_hook(note) for layer in layers]
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
def ann_macs(net: nn.Module, x_t: torch.Tensor, skip_zeros: bool = False) -> float:
    """Multiply-accumulates per sample of one pass through the linear and convolution layers of ``net``.

    Args:
        x_t: one time step of input, ``(B, …)``.
        skip_zeros: leave out inputs of a layer that are zero. For an ANN only: an SNN's layers have
            the shapes of an ANN, so that its dense count is the same, but not the activations.
    """
    total = 0.0 if skip_zeros else 0
    for _, layer, x, out in list(calls(net, x_t[None])):
        if not isinstance(layer, WEIGHTED):
            continue
        if skip_zeros:  # each input that is not zero counts once in every output that it reaches
            ones = {
                name: torch.full_like(p, name == "weight") for name, p in layer.named_parameters()
            }
            reached = torch.func.functional_call(layer, ones, (x != 0).to(x.dtype))
            total += reached.double().sum().item() / len(x)
        else:
            total += out[0].numel() * layer.weight[0].numel()
    return total


def latency(
    step: Callable[[], object], device: torch.device | str, repeats: int = 50
) -> tuple[float, float]:
    """Median and 95th percentile of the wall time of ``step()``, in ms, after five warm-up calls."""
    times = []
    for i in range(repeats + 5):
        start = time.perf_counter()
        step()
        synchronize(device)
        if i >= 5:
            times.append(1000 * (time.perf_counter() - start))
    times.sort()
    return times[len(times) // 2], times[min(len(times) - 1, int(0.95 * len(times)))]


@torch.no_grad()
def ledger_row(
    net: nn.Module, x: torch.Tensor, *, model: str, data: str, accuracy: float, n: int
) -> dict[str, Any]:
    """A network's row of the ledger (columns: ``claims.LEDGER``), measured on ``x (T, B, …)``.

    NeuroBench counts the multiplications of an input that is no spike train at every step. Where the
    input is constant in time (an expanded view) the first layer's current is computed once, so they
    are taken once. ``ann_macs_nonzero`` is missing: which activations of an ANN of this shape are zero
    is known only where it has been trained. A lesson that has one adds the column by ``ann_macs``.
    """
    num_steps, was_training = x.shape[0], net.training
    net.eval()
    counted = workload(net, x)
    is_constant = x.stride(0) == 0 and num_steps > 1
    macs = counted["macs"] / num_steps if is_constant else counted["macs"]
    p50, p95 = latency(lambda: net.run(x[:, :1]), x.device)  # type: ignore[operator]
    row = {"model": model, "data": data, "accuracy": accuracy, "n": n, "num_steps": num_steps}
    row["parameters"] = sum(p.numel() for p in net.parameters())
    row["bytes"] = sum(p.numel() * p.element_size() for p in net.parameters())
    row |= {"spikes": counted["spikes"], "synops": counted["acs"], "macs": macs}
    row["ann_macs"] = ann_macs(net, x[0])
    row |= {"latency_p50_ms": p50, "latency_p95_ms": p95}
    row["energy_estimated_nj"] = estimated_energy_nj(counted["acs"], macs)
    net.train(was_training)
    return row


def pareto_front(cost: Sequence[float], value: Sequence[float]) -> list[int]:
    """Indices of the points to which no other is preferable, from cheap to dear.

    A point is off the front if another costs no more, is worth no less, and is better in one of the
    two. Of equal points the first stays.
    """
    front: list[int] = []
    for i in sorted(range(len(cost)), key=lambda i: (cost[i], -value[i])):
        if not front or value[i] > value[front[-1]]:
            front.append(i)
    return front
