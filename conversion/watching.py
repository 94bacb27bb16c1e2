"""Looking into networks while they run: what each layer gets and gives, spikes, and what they cost."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.cost import WEIGHTED
from common.io import UserError, live
from common.spiking import reset_state

import numpy as np
import torch
from torch import Tensor, nn

Seen = list[tuple[Tensor, Tensor]]
"""Input and output of each watched layer, in the order in which they act."""


def is_spiking(layer: nn.Module) -> bool:
    """Whether a layer keeps a potential: snn.Leaky, and lesson 16's neuron."""
    return hasattr(layer, "reset_mem")


def is_activation(layer: nn.Module) -> bool:
    """Whether a layer is a ReLU or, as lesson 16's clipped one, has a ceiling λ of its own."""
    return isinstance(layer, nn.ReLU) or hasattr(layer, "lam")


@torch.no_grad()
def look_inside(net: nn.Module, x: Tensor) -> tuple[Tensor, Seen]:
    """Call ``net`` once: its output, and what each activation or spiking layer got and gave."""
    seen: Seen = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        seen.append((inputs[0], out))

    watched = [layer for layer in net.modules() if is_spiking(layer) or is_activation(layer)]
    hooks = [layer.register_forward_hook(note) for layer in watched]
    try:
        out = net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return out, seen


def steps(net: nn.Module, x: Tensor, num_steps: int) -> Iterator[tuple[Tensor, Seen]]:
    """``look_inside`` at every step while a spiking network sees ``x (B, …)``, from rest to rest."""
    reset_state(net)
    for _ in range(num_steps):
        yield look_inside(net, x)
    reset_state(net)


def fan_out(net: nn.Sequential, neuron: int, shape: tuple[int, ...]) -> Tensor:
    """How many weights a spike of each neuron meets, ``shape``: the additions that the spike costs.

    Send 1 from every neuron through the layers up to the next one with weights, with all of these
    weights 1, and ask which neuron has contributed how much: that is a gradient. Pooling joins
    places, but each spike still meets all the weights that it would have met alone, hence the sum.

    Args:
        net: without shortcuts. ``neuron`` counts its spiking layers from 0; one step of that layer is
            ``(B, *shape)``.

    Raises:
        UserError: nothing with weights follows, or a layer whose synapses are not known here.
    """
    places = [i for i, layer in enumerate(net) if is_spiking(layer)]
    ones = torch.ones(1, *shape, requires_grad=True)
    x = ones
    with torch.enable_grad():
        for layer in list(net)[places[neuron] + 1 :]:
            if isinstance(layer, nn.AvgPool2d):
                x = layer(x) * layer.kernel_size**2
            elif isinstance(layer, (nn.Flatten, nn.Identity, nn.Dropout)):
                x = layer(x)
            elif isinstance(layer, WEIGHTED):
                copied = copy.deepcopy(layer).cpu()
                nn.init.ones_(copied.weight)
                copied.bias = None
                (fan,) = torch.autograd.grad(copied(x).sum(), ones)
                return fan[0]
            else:
                raise UserError(f"SynOps: got {type(layer).__name__} behind neurons; count by hand")
    raise UserError("SynOps: got neurons at the end of a network, expected a layer with weights")


@dataclass
class Shown:
    """A spiking network was shown N images. Spikes and operations are means per image."""

    times: list[int]
    logits: Tensor  # (times, N, 10): the mean output current up to each of these times
    spikes: np.ndarray  # (times,), of all layers
    synops: np.ndarray  # (times,): spikes times the weights that each one meets

    def accuracy(self, y: Tensor) -> np.ndarray:
        """Share of right answers at each time, ``(times,)``."""
        return (self.logits.argmax(2) == y.cpu()).float().mean(1).numpy()


@torch.no_grad()
def simulate(net: nn.Sequential, x: Tensor, times: Sequence[int], name: str = "") -> Shown:
    """Show images ``x (N, …)``, uint8 or 0..1, step by step, and read the answer at each of ``times``."""
    net.eval()
    device = next(net.parameters()).device
    parts = x.split(100)
    logits: list[Tensor] = []
    counts: dict[tuple[int, int], Tensor] = {}  # spikes of each neuron: (place in times, layer)
    for x_b in live(parts, f"   {name}", len(parts), quiet=not name):
        x_b = x_b.to(device)
        x_b = x_b.float() / 255 if x_b.dtype == torch.uint8 else x_b
        total: Tensor | float = 0.0
        so_far: list[Tensor] = []
        read = []
        for t, (out, seen) in enumerate(steps(net, x_b, times[-1]), 1):
            total = total + out  # (B, 10)
            spikes = [(s > 0).sum(0) for _, s in seen]
            so_far = [a + b for a, b in zip(so_far, spikes, strict=True)] if so_far else spikes
            if t in times:
                k = len(read)
                read.append((total / t).cpu())
                for i, count in enumerate(so_far):
                    counts[k, i] = counts.get((k, i), 0) + count.cpu()
        logits.append(torch.stack(read))
    spikes, synops = np.zeros(len(times)), np.zeros(len(times))
    for (k, i), count in counts.items():
        spikes[k] += count.sum().item() / len(x)
        synops[k] += (count * fan_out(net, i, tuple(count.shape))).sum().item() / len(x)
    return Shown(list(times), torch.cat(logits, 1), spikes, synops)


def break_even(times: Sequence[int], energies: np.ndarray, first: float, ann: float) -> float:
    """The T at which a spiking network has used as much energy as the ANN ``ann``: by straight lines.

    ``energies`` at ``times``; ``first`` is spent at T = 0, for the first layer's currents. Beyond the
    longest time the last line is continued.
    """
    t = np.array([0, *times], dtype=float)
    e = np.array([first, *energies], dtype=float)
    if ann > e[-1]:
        return float(t[-1] + (ann - e[-1]) * (t[-1] - t[-2]) / (e[-1] - e[-2]))
    return float(np.interp(ann, e, t))
