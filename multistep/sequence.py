"""Networks for sequences, of layers with different memories (lesson 13): LIF, ALIF, adLIF, with a loop, with gates.

What they have in common is what a fair comparison wants: membranes whose time constants are spread over the sequence, from
a tenth of it to all of it; an input that is scaled once, so that membranes vary by 0.6·θ as long as none fires; a loop that
is scaled by each neuron's own gain; gates whose time constants are spread over the sequence as well (Tallec & Ollivier 2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.spiking import over_time
from multistep.adaptive import Adaptation, peak_gain, quiet_std, triangle, unroll_adaptive

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Out = tuple[Tensor, Tensor]
"""Spikes and potentials of the read-out, ``(T, B, K)`` each."""

KAPPA = 1.8  # of ALIF, times 1 − ρ: what a spike adds to the threshold (Bellec et al. 2018)
SYNAPSE = math.exp(-1 / 5)  # α of RSynaptic
SLSTM_THRESHOLD = 0.1  # h lies between −1 and 1


@dataclass(frozen=True)
class Kind:
    """What a network's layers are made of; all spiking layers have the same membranes."""

    second: str = ""
    """what moves the second variable: "spikes" (ALIF), "membrane" (adLIF), "" (there is none)"""
    loop: bool = False
    """spikes come back to their own layer, through V"""
    reset: float = 1.0
    """what a spike takes from the membrane (ρ); 0: nothing"""
    synapse: bool = False
    """the input is a synaptic current that decays with α, as in snn.RSynaptic"""
    gates: str = ""
    """"LSTM", or "SLSTM": the same with spikes for outputs"""
    layers: int = 2
    scale: float = 0.6
    """standard deviation of the membranes, in units of θ, to which calibrate scales the input"""


class Fire(torch.autograd.Function):
    """A spike where x is above 0; on the way back the surrogate ½·max(0, 1 − |x|), a triangle."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return grad * triangle(x)


fire: Callable[[Tensor], Tensor] = Fire.apply


def spread(num_hidden: int, low: float, high: float) -> Tensor:
    """One number for each neuron, log-uniform from ``low`` to ``high``: ``(H,)``."""
    return low * (high / low) ** torch.rand(num_hidden)


class SpikingLayer(nn.Module):
    """Weights and the neurons behind them, over a whole sequence: ``(T, B, inputs)`` → spikes ``(T, B, H)``."""

    def __init__(self, num_inputs: int, num_hidden: int, kind: Kind, num_steps: int) -> None:
        super().__init__()
        H, T = num_hidden, num_steps
        self.kind = kind
        self.fc = nn.Linear(num_inputs, H)
        nn.init.normal_(self.fc.weight, std=num_inputs**-0.5)
        nn.init.zeros_(self.fc.bias)
        beta = torch.exp(-1 / spread(H, T / 10, T))  # membranes that keep a tenth of T, up to T
        self.register_buffer("beta", beta)
        self.register_buffer("decay", torch.zeros(H))
        self.register_buffer("by_mem", torch.zeros(H))
        if kind.second == "spikes":
            self.decay += torch.exp(-1 / spread(H, T / 10, T))
        if kind.second == "membrane":
            angle = 2 * math.pi / spread(H, 6, 2 * T)  # φ: one turn in 6 steps, up to 2·T
            self.decay += beta
            self.by_mem += 2 * beta * (1 - torch.cos(angle))
        self.V = nn.Parameter(nn.init.orthogonal_(torch.empty(H, H))) if kind.loop else None
        self.register_buffer("gain", torch.ones(()))  # set by calibrate
        self.register_buffer("loop_gain", 1 / peak_gain(self.adaptation())[:, None])  # (H, 1)

    def adaptation(self) -> Adaptation:
        """The layer's constants, as multistep.adaptive names them."""
        by_spikes = self.kind.second == "spikes"
        return Adaptation(
            beta=self.beta,
            decay=self.decay,
            by_mem=self.by_mem,
            by_spk=float(by_spikes),
            on_mem=float(not by_spikes),
            on_threshold=KAPPA * (1 - self.decay) * by_spikes,
            reset=self.kind.reset,
            alpha=SYNAPSE if self.kind.synapse else 0.0,
        )

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Set the gain of the input so that the membranes' standard deviation is ``kind.scale`` if none fires."""
        std = quiet_std(over_time(self.fc, x), self.adaptation())
        self.gain.fill_(self.kind.scale / std.clamp(min=1e-6))

    def forward(self, x: Tensor) -> Tensor:
        cur = F.linear(x, self.gain * self.fc.weight, self.gain * self.fc.bias)  # (T, B, H)
        V = None if self.V is None else self.loop_gain * self.V
        spk, _ = unroll_adaptive(cur, self.adaptation(), V, reset_grad=True)
        return spk


class GatedLayer(nn.Module):
    """An LSTM, or an SLSTM, which fires where h is above a threshold: ``(T, B, inputs)`` → ``(T, B, H)``."""

    def __init__(self, num_inputs: int, num_hidden: int, kind: Kind, num_steps: int) -> None:
        super().__init__()
        H = num_hidden
        self.spiking = kind.gates == "SLSTM"
        self.fc = nn.Linear(num_inputs, H) if self.spiking else nn.Identity()
        self.lstm = nn.LSTM(H if self.spiking else num_inputs, H)
        # b_f = ln u, b_i = −ln u: the cells' time constants u are spread from 1 to T (Tallec & Ollivier)
        log_u = torch.log(1 + torch.rand(H) * max(num_steps - 2, 0))
        with torch.no_grad():
            self.lstm.bias_ih_l0[: 2 * H] = torch.cat([-log_u, log_u])
            self.lstm.bias_hh_l0[: 2 * H] = 0

    def calibrate(self, x: Tensor) -> None:
        """Nothing to do: gates bring their own scale."""

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.lstm(self.fc(x))
        return fire(h - SLSTM_THRESHOLD) if self.spiking else h


class SequenceNet(nn.Module):
    """Layers of one kind, and a leaky read-out without spikes, whose own memory is ten steps."""

    def __init__(
        self,
        kind: Kind,
        num_hidden: int,
        num_steps: int,
        num_inputs: int = 1,
        num_outputs: int = 10,
    ) -> None:
        super().__init__()
        make = GatedLayer if kind.gates else SpikingLayer
        sizes = [num_inputs] + [num_hidden] * (kind.layers - 1)
        self.layers = nn.ModuleList(make(n, num_hidden, kind, num_steps) for n in sizes)
        self.fc_out = nn.Linear(num_hidden, num_outputs)

    def hidden(self, x: Tensor) -> list[Tensor]:
        """What leaves each layer: ``(T, B, inputs)`` → ``(T, B, H)`` each."""
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return outputs

    def run(self, x: Tensor) -> Out:
        """All steps from rest: ``(T, B, inputs)`` → spikes and potentials of the read-out, ``(T, B, K)``."""
        cur = over_time(self.fc_out, self.hidden(x)[-1])
        spk_rec, distance = unroll_adaptive(cur, Adaptation(beta=0.9))  # no reset
        return spk_rec, distance + 1  # U: its distance from θ, and θ

    def calibrate(self, x: Tensor) -> None:
        """Set the gain of each layer by a few sequences ``(T, B, inputs)``, from the first layer on."""
        for layer in self.layers:
            layer.calibrate(x)
            with torch.no_grad():
                x = layer(x)


@torch.no_grad()
def operations(net: SequenceNet, x: Tensor) -> dict[str, float]:
    """For one sequence: spikes, the additions they cause, and multiplications of what is no spike.

    A spike goes to all neurons of the next layer, and to its own layer where there is a loop.
    """
    readers = [layer.fc.out_features for layer in net.layers[1:]] + [net.fc_out.out_features]
    spikes, synops = 0.0, 0.0
    for layer, spk, reader in zip(net.layers, net.hidden(x), readers, strict=True):
        fired = spk.sum().item() / x.shape[1]
        back = 0 if layer.V is None else len(layer.V)
        spikes += fired
        synops += fired * (reader + back)
    macs = float(len(x) * net.layers[0].fc.weight.numel())  # the grey values
    return {"spikes": spikes, "synops": synops, "macs": macs}
