"""Other readers of NIR: which platform takes which node, and the simulators that can be installed beside snnTorch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from exchange.comparing import quietly
from exchange.fields import DT

import nir
import numpy as np
import torch
from torch import nn

TARGETS = {
    "Loihi 2 (Lava-DL)": {
        "Conv2d",
        "Flatten",
        "Affine",
        "Linear",
        "CubaLIF",
        "IF",
        "LIF",
        "SumPool2d",
    },
    "SpiNNaker2": {
        "Conv1d",
        "Conv2d",
        "Flatten",
        "Affine",
        "Linear",
        "CubaLIF",
        "IF",
        "LIF",
        "SumPool2d",
    },
    "Speck, simulated (sinabs)": {
        "Conv1d",
        "Conv2d",
        "Flatten",
        "Affine",
        "IF",
        "LI",
        "LIF",
        "SumPool2d",
    },
    "Speck, on the chip": {"Conv2d", "Flatten", "Affine", "IF", "SumPool2d"},
    "Xylo (Rockpool)": {"Affine", "Linear", "CubaLIF", "LI", "LIF"},
    "BrainScaleS-2 (hxtorch)": {"Linear", "CubaLI", "CubaLIF"},
}
"""Nodes that each platform's NIR reader takes: https://neuroir.org/docs/supported_primitives.html (NIR calls that table
generated and perhaps not entirely accurate). The chip row of Speck is narrower than the table: sinabs 3.1.3 puts only
neurons without leak (its IAF layer) on the chip's cores. Akida reads no NIR at all."""

BRAILLE = [
    ("snnTorch", "95.0 %"),
    ("Norse", "94.29 %"),
    ("SpiNNaker2", "85.0 %"),
    ("Nengo", "55.7 %"),
    ("Lava", "48.6 %"),
]
"""One recurrent network for Braille letters, run from one NIR graph: published by Pedersen et al. 2024."""

INSTEAD = {
    "Flatten": "reorder weights",
    "Conv2d": "unroll into Affine",
    "AvgPool2d": "SumPool2d, weights/k²",
    "LIF": "IF and train again, or CubaLIF with a short τ_syn",
    "Affine": "Linear, bias as an input",
}
"""What could stand in the place of a node that is not taken."""


def second_simulators() -> dict[str, Callable[[nir.NIRGraph, torch.Tensor], torch.Tensor]]:
    """Other libraries that read NIR, where they are installed: feed-forward graph, ``x (T, B, N)`` → output spikes.

    Norse 1.1 ignores R and takes dt as an argument; sinabs 3.1 counts τ in steps and resets by subtraction;
    SpikingJelly 2.0 checks that R = τ/dt and resets to a value.
    """

    def stepped(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        state, out = None, []
        for x_t in x:
            z, state = net(x_t, state)
            out.append(z)
        return torch.stack(out)

    def norse(graph: nir.NIRGraph, x: torch.Tensor) -> torch.Tensor:
        return stepped(quietly(norse_torch.from_nir, graph, dt=DT), x)

    def norse_unit_r(graph: nir.NIRGraph, x: torch.Tensor) -> torch.Tensor:
        for n in graph.nodes.values():
            if isinstance(n, nir.LIF):  # v/R obeys the same equation with R = 1 and θ/R
                n.v_threshold, n.r = n.v_threshold / n.r, np.ones_like(n.r)
        return norse(graph, x)

    def spikingjelly(graph: nir.NIRGraph, x: torch.Tensor) -> torch.Tensor:
        return stepped(quietly(sj.import_from_nir, graph), x)

    def sinabs(graph: nir.NIRGraph, x: torch.Tensor) -> torch.Tensor:
        for n in graph.nodes.values():
            if isinstance(n, nir.LIF):
                n.tau, n.v_threshold, n.v_leak = (
                    torch.from_numpy(a) for a in (n.tau / DT, n.v_threshold, n.v_leak)
                )
        out = quietly(
            quietly(sinabs_nir.from_nir, graph, batch_size=x.shape[1]),
            x.transpose(0, 1).flatten(0, 1),
        )
        out = out[0] if isinstance(out, tuple) else out
        return out.unflatten(0, (x.shape[1], x.shape[0])).transpose(0, 1)

    found: dict[str, Callable[[nir.NIRGraph, torch.Tensor], torch.Tensor]] = {}
    with contextlib.suppress(ImportError):
        import norse.torch as norse_torch

        found |= {"Norse, graph as it is": norse, "Norse, with R = 1": norse_unit_r}
    with contextlib.suppress(ImportError):
        import sinabs.nir as sinabs_nir

        found["sinabs"] = sinabs
    with contextlib.suppress(ImportError):
        from spikingjelly.activation_based import nir_exchange as sj

        found["SpikingJelly"] = spikingjelly
    return found
