"""Eight ways to write ``forward``, and three exporters: which graphs come out right, which wrong, which not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from exchange.comparing import quietly, spikes_of
from exchange.exporting import to_nir
from exchange.nodes import lif_node
from exchange.reading import from_nir

import nir
import nirtorch
import snntorch as snn
import torch
import torch.nn.functional as F
from snntorch.export_nir import export_to_nir
from torch import Tensor, nn

RIGHT, WRONG, STOPPED = "same spikes", "WRONG, silently", "stops"


class Probe(nn.Module):
    """A small network whose ``forward`` is one of the ways below to write a step."""

    def __init__(self, step: Callable[[Probe, Tensor], Tensor]) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(8, 8), nn.Linear(8, 8)
        self.norm = nn.BatchNorm1d(8)
        options = {"init_hidden": True, "reset_mechanism": "zero"}
        beta, threshold = torch.full((8,), 0.875), torch.ones(8)
        self.lif1 = snn.Leaky(beta=beta, threshold=threshold, **options)
        self.lif2 = snn.Leaky(beta=beta, threshold=threshold, **options)
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """One step: ``(B, 8)`` → ``(B, 8)``."""
        return self.step(self, x)


def plain_step(net: Probe, x: Tensor) -> Tensor:
    """modules in a row"""
    return net.lif2(net.fc2(net.lif1(net.fc1(x))))


def skip_connection(net: Probe, x: Tensor) -> Tensor:
    """fc2(spk) + spk"""
    spk = net.lif1(net.fc1(x))
    return net.lif2(net.fc2(spk) + spk)


def scaled_spikes(net: Probe, x: Tensor) -> Tensor:
    """fc2(0.5 * spk)"""
    return net.lif2(net.fc2(0.5 * net.lif1(net.fc1(x))))


def a_function(net: Probe, x: Tensor) -> Tensor:
    """lif1(F.relu(cur))"""
    return net.lif2(net.fc2(net.lif1(F.relu(net.fc1(x)))))


def used_twice(net: Probe, x: Tensor) -> Tensor:
    """lif1 called twice"""
    spk = net.lif1(net.fc2(net.lif1(net.fc1(x))))
    return net.lif2(net.fc2(spk))


def loop_over_time(net: Probe, x: Tensor) -> Tensor:
    """for step in range(3)"""
    for _ in range(3):
        out = net.lif2(net.fc2(net.lif1(net.fc1(x))))
    return out


def branch_on_data(net: Probe, x: Tensor) -> Tensor:
    """if spk.sum() > 0"""
    spk = net.lif1(net.fc1(x))
    return net.lif2(net.fc2(spk) if spk.sum() > 0 else spk)


def with_batchnorm(net: Probe, x: Tensor) -> Tensor:
    """BatchNorm1d"""
    return net.lif2(net.fc2(net.lif1(net.norm(net.fc1(x)))))


STEPS = (
    plain_step,
    skip_connection,
    scaled_spikes,
    a_function,
    used_twice,
    loop_over_time,
    branch_on_data,
    with_batchnorm,
)


def by_watching(net: Probe, x_t: Tensor) -> nir.NIRGraph:
    """snnTorch's exporter: it runs forward and notes which module's output enters which module."""
    return export_to_nir(net, sample_data=x_t, ignore_dims=[0])


def by_tracing(net: Probe, x_t: Tensor) -> nir.NIRGraph:
    """nirtorch's exporter: torch.fx runs forward on stand-ins, which record every operation on them."""
    return nirtorch.torch_to_nir(net, module_map={snn.Leaky: lif_node})


EXPORTERS = {"watching": by_watching, "tracing": by_tracing, "to_nir": to_nir}


def verdict(
    step: Callable[[Probe, Tensor], Tensor],
    export: Callable[[Probe, Tensor], nir.NIRGraph],
    inputs: Sequence[Tensor],
    seed: int,
) -> str:
    """Is the exported graph shown to be wrong, is there an error, or are all spikes the same?

    The first of ``inputs``, each ``(T, B, 8)``, is what the exporter sees. On all of them, from rest, the graph's
    spikes are compared with the network's. "Same spikes" holds for these inputs only.
    """
    torch.manual_seed(seed)
    net = Probe(step).eval()
    try:
        graph = quietly(export, net, inputs[0][0])
    except Exception:  # any error is better than a wrong graph
        return STOPPED
    for x in inputs:
        want = spikes_of(net, x)
        try:
            got = spikes_of(from_nir(graph), x)
        except Exception:  # a graph in pieces, which nobody could run
            return WRONG
        if len(got) != len(want):
            return WRONG
        for ours, theirs in zip(want, got, strict=True):
            if not torch.equal(ours, theirs):
                return WRONG
    return RIGHT


def verdicts(inputs: Sequence[Tensor], seed: int) -> dict[str, list[str]]:
    """Of each exporter, what becomes of each of ``STEPS``, judged on ``inputs``.

    One of them should be silent: then no neuron of ``lif1`` spikes in step 0, and ``branch_on_data`` takes the branch
    that an exporter does not see while it is shown an input that makes neurons spike.
    """
    found = {}
    for name, export in EXPORTERS.items():
        found[name] = [verdict(step, export, inputs, seed) for step in STEPS]
    return found
