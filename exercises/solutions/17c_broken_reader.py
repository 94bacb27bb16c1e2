"""17c  Broken on purpose, a reader that runs every file: model solution"""

from __future__ import annotations

import nir
import torch
from torch import Tensor


def read_and_run(graph: nir.NIRGraph, x: Tensor, dt: float) -> Tensor:
    """Run a chain of Affine and LIF nodes: ``x (T, B, N_in)`` → output spikes ``(T, B, N_out)``."""
    following = dict(graph.edges)  # the edges say what feeds what
    v = {}  # the potential of each LIF node
    out = []
    for x_t in x:
        signal = x_t
        name = following["input"]
        while name != "output":
            node = graph.nodes[name]
            if isinstance(node, nir.Affine):
                signal = signal @ torch.as_tensor(node.weight).T + torch.as_tensor(node.bias)
            if isinstance(node, nir.LIF):
                share = dt / torch.as_tensor(node.tau)
                v[name] = (1 - share) * v.get(name, 0.0) + share * torch.as_tensor(node.r) * signal
                spk = (v[name] > torch.as_tensor(node.v_threshold)).float()
                v[name] = torch.where(spk > 0, torch.as_tensor(node.v_reset), v[name])
                signal = spk
            name = following[name]
        out.append(signal)
    return torch.stack(out)
