"""Plumbing around snnTorch's neurons: reset, running a layer over a whole sequence."""

from __future__ import annotations

import snntorch as snn
import torch
from torch import nn


def spiking_layers(net: nn.Module) -> dict[str, snn.SpikingNeuron]:
    """All spiking neurons of a network by name, nested ones included, in the order they were defined."""
    return {name: m for name, m in net.named_modules() if isinstance(m, snn.SpikingNeuron)}


def reset_state(net: nn.Module) -> None:
    """Set the hidden state of every spiking neuron in ``net`` to zero, and of no other network.

    ``snntorch.utils.reset`` looks at direct children only, and resets through a list of all neurons that
    were ever made (lesson 08 shows both); this walks the network itself, and takes along any other layer
    that keeps a state and can forget it.
    """
    for layer in list(net.modules()):
        for reset in ("reset_mem", "reset_hidden_state"):
            if hasattr(layer, reset):
                getattr(layer, reset)()
                break


def hold(y: torch.Tensor, num_steps: int) -> torch.Tensor:
    """Show ``y (B, …)`` at every step: ``(T, B, …)``, a view that takes no memory.

    The view remembers ``y``, so that ``multistep.unroll`` can sum the gradient over time as it goes.
    """
    held = y.unsqueeze(0).expand(num_steps, *y.shape)
    held.held = y  # type: ignore[attr-defined]
    return held


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
