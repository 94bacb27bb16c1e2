"""What a decision of Pong's network costs: operations that active inputs cause, counted layer by layer."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cache
from typing import Any

from common.cost import estimated_energy_nj, latency
from common.spiking import constant_current
from games.pong.env import ACTIONS, SIZE

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

LAYERS = ("conv1", "conv2", "conv3", "fc1", "fc2")


@cache
def reach(name: str, width: int, hidden: int) -> torch.Tensor:
    """Operations that one active input of a layer causes, by position: ``(H, W)`` for convolutions, else ``()``."""
    if name in ("fc1", "fc2"):
        return torch.tensor(float(hidden if name == "fc1" else len(ACTIONS)))
    k, s, size, out = {
        "conv1": (7, 3, 28, width),
        "conv2": (3, 2, 14, 2 * width),
        "conv3": (3, 2, 7, 2 * width),
    }[name]
    everywhere, kernel = torch.ones(1, 1, size, size), torch.ones(1, 1, k, k)
    reads = F.conv_transpose2d(everywhere, kernel, stride=s)[0, 0]  # with padding
    first = 2 if name == "conv1" else 0
    size_in = {"conv1": SIZE, "conv2": 28, "conv3": 14}[name]
    return out * reads[first:, first:][:size_in, :size_in]


def operations(net: nn.Module, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """What the non-zero ``inputs`` of the five layers cause, ``(…, C, H, W)`` or ``(…, N)`` each: operations, summed.

    For spikes these are accumulates; a spike of strength (an activation, an event count) takes a multiplication.
    """
    width, hidden = net.conv1.out_channels, net.fc1.out_features
    found = []
    for name, x in zip(LAYERS, inputs, strict=True):
        r = reach(name, width, hidden).to(x.device)
        active = (x != 0).to(r.dtype) if not x.requires_grad else x
        found.append((active.sum(-3) * r).sum() if r.ndim else active.sum() * r)
    return found


def dense_macs(net: nn.Module) -> int:
    """Multiply-accumulates of one decision if nothing is skipped."""
    sizes = {"conv1": 28 * 28, "conv2": 14 * 14, "conv3": 7 * 7, "fc1": 1, "fc2": 1}
    return sum(n * getattr(net, name).weight.numel() for name, n in sizes.items())


def summed(net: nn.Module, inputs: Sequence[torch.Tensor], decisions: int) -> dict[str, Any]:
    """Per decision, for ``decisions`` of them whose layers got ``inputs``; ``inputs[1:]`` are spikes or activations."""
    by_layer = [n.item() / decisions for n in operations(net, inputs)]
    spikes = sum((h != 0).sum().item() for h in inputs[1:]) / decisions
    return {"by_layer": by_layer, "synops": sum(by_layer[1:]), "spikes": spikes}


@torch.no_grad()
def cost(agent: nn.Module, maps: torch.Tensor) -> dict[str, Any]:
    """Per decision on ``maps (B, 3, 84, 84)``: ``macs`` of the first layer, ``synops`` after it, ``spikes``, energy, and
    ``updates`` of membranes (a current or a bias is added to each neuron in each step), which the energy leaves out.

    ``agent`` is a network with ``activations``, or a spiking one with ``run``, ``net`` and ``num_steps``.
    """
    if (b := len(maps)) > 100:  # in parts, to save memory
        parts = [(cost(agent, m), len(m)) for m in maps.split(100)]
        weights = [n for _, n in parts]
        return {k: np.average([c[k] for c, _ in parts], 0, weights).tolist() for k in parts[0][0]}
    x, spiking = maps.float() / 255, hasattr(agent, "num_steps")
    hidden = agent.run(constant_current(x, agent.num_steps))[0] if spiking else agent.activations(x)
    net = agent.net if spiking else agent
    found = summed(net, [x, *hidden], b)
    first, synops = found["by_layer"][0], found["synops"]
    macs = first + (0 if spiking else synops)
    found |= {"inputs": (maps != 0).sum().item() / b, "macs": macs, "dense": dense_macs(net)}
    found["updates"] = sum(h.numel() for h in hidden) / b if spiking else 0.0
    return found | {"energy_nj": estimated_energy_nj(synops if spiking else 0.0, macs)}


def row(model: str, agent: nn.Module, maps: torch.Tensor, reward: float, n: int) -> dict[str, Any]:
    """A row of the ledger; ``accuracy`` is the mean reward in points."""
    c, net = cost(agent, maps), getattr(agent, "net", agent)
    here, x = copy.deepcopy(agent).cpu(), maps[:1].cpu().float() / 255  # times are the host's
    with torch.no_grad():
        p50, p95 = latency(lambda: here(x), "cpu")
    count = sum(p.numel() for p in net.parameters())
    return {
        "model": f"{model} (reward in points)",
        "data": "ALE/Pong-v5",
        "accuracy": reward,
        "n": n,
        "num_steps": getattr(agent, "num_steps", 1),
        "parameters": count,
        "bytes": 4 * count,
        "spikes": c["spikes"],
        "synops": c["synops"],
        "macs": c["macs"],
        "ann_macs": c["dense"],
        "latency_p50_ms": p50,
        "latency_p95_ms": p95,
        "energy_estimated_nj": c["energy_nj"],
    }
