"""A network on its way out of snnTorch and back: its graph, its files, and the spikes before and after."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.io import write_atomic
from exchange.comparing import spikes_of
from exchange.exporting import per_neuron, to_nir
from exchange.graphs import node_order
from exchange.reading import from_nir

import nir
import numpy as np
from torch import Tensor, nn


@dataclass
class Journey:
    """A network that has left snnTorch: its graph, its file, and what it was compared on."""

    graph: nir.NIRGraph
    path: Path
    x: Tensor  # (T, B, …)
    y: Tensor  # (B,)
    spikes: list[Tensor]  # snnTorch's, layer by layer, (T, B, …) each
    back: list[Tensor]  # the same after the file was read

    def differ(self, other: list[Tensor]) -> int:
        """Places, a neuron and a step, where snnTorch and another list of records are not alike."""
        return sum(int((a != b).sum()) for a, b in zip(self.spikes, other, strict=True))

    @property
    def total(self) -> int:
        """snnTorch's spikes, all layers."""
        return sum(int(spk.sum()) for spk in self.spikes)


def send(name: str, net: nn.Module, x: Tensor, y: Tensor, folder: Path) -> Journey:
    """Export a network, write the file, read it again, and run both on ``x (T, B, …)``."""
    net = per_neuron(net, x[0])  # β, α and θ for each neuron, as NIR has them
    graph = to_nir(net, x[0])
    path = write_atomic(folder / f"{name}.nir", lambda tmp: nir.write(tmp, graph))
    spikes, back = spikes_of(net, x), spikes_of(from_nir(path), x)
    what_simulators_need = partial(np.savez_compressed, x=x.numpy(), spikes=spikes[-1].numpy())

    def write(tmp: Path) -> None:
        with tmp.open("wb") as f:
            what_simulators_need(f)

    write_atomic(folder / f"{name}.npz", write)
    return Journey(nir.read(path), path, x, y, spikes, back)


def in_one_line(graph: nir.NIRGraph) -> str:
    """A chain of nodes in one line: ``input → fc1 Affine → lif1 LIF → …``."""
    names = []
    for name in node_order(graph):
        kind = type(graph.nodes[name]).__name__
        names.append(name if kind.lower() == name else f"{name} {kind}")
    return " → ".join(names)
