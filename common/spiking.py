"""Plumbing around snnTorch's neurons: reset, shape checks, running a neuron over a whole sequence."""

from __future__ import annotations

from collections.abc import Sequence

import snntorch as snn
import torch
from torch import nn

from common.results import UserError
from common.unroll import hold, over_segments, unroll

__all__ = ["check_time_first", "constant_current", "over_segments", "over_time", "reset_state", "spike_statistics",
           "spiking_layers", "unroll"]


def spiking_layers(net: nn.Module) -> dict[str, snn.SpikingNeuron]:
    """All spiking neurons of a network by name, nested ones included, in the order they were defined."""
    return {name: m for name, m in net.named_modules() if isinstance(m, snn.SpikingNeuron)}


def reset_state(net: nn.Module) -> None:
    """Set the hidden state of every spiking neuron in ``net`` to zero, and of no other network.

    ``snntorch.utils.reset`` looks at direct children only, and resets through a list of all neurons that
    were ever made (lesson 08 shows both); this walks the network itself.
    """
    for neuron in spiking_layers(net).values():
        for reset in ("reset_mem", "reset_hidden_state"):
            if hasattr(neuron, reset):
                getattr(neuron, reset)()
                break


def check_time_first(x: torch.Tensor, num_steps: int, what: str = "x") -> torch.Tensor:
    """Return ``x`` if its first dimension is time.

    Raises:
        UserError: with what was got, what was expected, and the transpose that mends it.
    """
    if x.shape[0] != num_steps:
        where = [i for i, n in enumerate(x.shape) if n == num_steps]
        fix = f"use {what}.transpose(0, {where[0]})" if where else "check num_steps"
        raise UserError(f"{what}: got {tuple(x.shape)}, expected T={num_steps} first; {fix}")
    return x


def over_time(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Apply a layer without state to all steps in one call: ``(T, B, …) → (T, B, …)``.

    If ``x`` is the same at every step (an ``expand``-ed view, stride 0 in time) the layer runs once and its
    output is expanded again.
    """
    if x.shape[0] > 1 and x.stride(0) == 0:
        return hold(layer(getattr(x, "held", x[0])), x.shape[0])
    y = layer(x.flatten(0, 1))
    return y.unflatten(0, x.shape[:2])


def constant_current(x: torch.Tensor, num_steps: int) -> torch.Tensor:
    """Show the same input at every step: ``(B, …) → (T, B, …)``, a view that takes no memory."""
    return hold(x, num_steps)


def spike_statistics(spk_recs: Sequence[torch.Tensor]) -> list[dict[str, float]]:
    """For each layer's ``spk_rec (T, B, …)``: mean rate per step, spikes per sample, share of silent neurons.

    A neuron counts as silent if it fires for no sample of the batch.
    """
    rows = []
    for spk in spk_recs:
        per_neuron = spk.flatten(2).sum((0, 1))  # (N,)
        rows.append({"rate": spk.mean().item(), "spikes_per_sample": spk.sum().item() / spk.shape[1],
                     "silent": (per_neuron == 0).float().mean().item()})
    return rows
