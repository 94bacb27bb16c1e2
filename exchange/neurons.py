"""NIR's neurons as layers, in snnTorch's time steps, with every parameter a node has.

NIR gives differential equations. A step of length dt, by Euler, the current first and then the membrane:

    i ← (1 − dt/τ_syn)·i + (dt/τ_syn)·w_in·S                     CubaLIF and CubaLI only; else i is the input     (1)
    v ← (1 − dt/τ)·v + (dt/τ)·v_leak + (dt/τ)·R·i                                                                 (2)
    z = H(v − θ)                                                                                                  (3)
    v ← v_reset  where z = 1                                                                                      (4)

Written as snnTorch writes it: α = 1 − dt/τ_syn, β = 1 − dt/τ, and a *gain* on what comes in, (dt/τ_syn)·w_in in (1) and
(dt/τ)·R in (2). With R = τ/dt, as snnTorch exports, the gain is 1, and ``snn.Leaky`` itself computes (2) to (4).
"""

from __future__ import annotations

import snntorch as snn
import torch
from torch import nn


def keep(neuron: nn.Module, **values: torch.Tensor | None) -> None:
    """Numbers of a neuron that move with it between devices and stand in its state_dict."""
    for name, value in values.items():
        neuron.register_buffer(name, value)


class LIF(snn.Leaky):
    """A leaky neuron with a gain, a resting potential and a reset potential: (2), (3), (4).

    ``beta, gain, drive, threshold, v_reset, start``: one value a neuron, in the shape of the layer. ``drive`` is
    (dt/τ)·v_leak; ``start`` is v before the first step.
    """

    def __init__(
        self,
        beta: torch.Tensor,
        gain: torch.Tensor,
        drive: torch.Tensor,
        threshold: torch.Tensor,
        v_reset: torch.Tensor,
        start: torch.Tensor,
    ) -> None:
        super().__init__(beta, threshold, init_hidden=True, reset_mechanism="zero")
        keep(self, gain=gain, drive=drive, v_reset=v_reset, start=start)

    def reset_mem(self) -> torch.Tensor:
        """Back to the start: the next step takes the shape of its batch, and v = ``start``."""
        self.mem = self.mem.new_zeros(0)
        return self.mem

    def forward(self, input_: torch.Tensor) -> torch.Tensor:
        """One step: ``(B, …)`` → spikes ``(B, …)``."""
        if self.mem.shape != input_.shape:
            self.mem = self.start.expand_as(input_)
        mem = self.beta * self.mem + self.drive + self.gain * input_  # (2)
        spk = self.fire(mem)  # (3)
        self.mem = torch.where(spk > 0, self.v_reset, mem)  # (4)
        return spk


class CubaLIF(snn.Synaptic):
    """A neuron with a synaptic current, as :class:`LIF` otherwise: (1), (2), (3), (4)."""

    def __init__(
        self,
        alpha: torch.Tensor,
        gain_syn: torch.Tensor,
        beta: torch.Tensor,
        gain: torch.Tensor,
        drive: torch.Tensor,
        threshold: torch.Tensor,
        v_reset: torch.Tensor,
        start: torch.Tensor,
    ) -> None:
        super().__init__(alpha, beta, threshold, init_hidden=True, reset_mechanism="zero")
        keep(self, gain_syn=gain_syn, gain=gain, drive=drive, v_reset=v_reset, start=start)

    def reset_mem(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Back to the start: no current, v = ``start``."""
        self.syn = self.syn.new_zeros(0)
        self.mem = self.mem.new_zeros(0)
        return self.syn, self.mem

    def forward(self, input_: torch.Tensor) -> torch.Tensor:
        """One step: ``(B, …)`` → spikes ``(B, …)``."""
        if self.mem.shape != input_.shape:
            self.syn = torch.zeros_like(input_)
            self.mem = self.start.expand_as(input_)
        self.syn = self.alpha * self.syn + self.gain_syn * input_  # (1)
        mem = self.beta * self.mem + self.drive + self.gain * self.syn  # (2)
        spk = self.fire(mem)  # (3)
        self.mem = torch.where(spk > 0, self.v_reset, mem)  # (4)
        return spk


class LI(nn.Module):
    """A membrane that never fires and sends v itself: (2); with a synaptic current (``alpha``) (1) and (2)."""

    def __init__(
        self,
        beta: torch.Tensor,
        gain: torch.Tensor,
        drive: torch.Tensor,
        start: torch.Tensor,
        alpha: torch.Tensor | None = None,
        gain_syn: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        keep(self, beta=beta, gain=gain, drive=drive, start=start, alpha=alpha, gain_syn=gain_syn)
        self.register_buffer("syn", torch.zeros(0), persistent=False)
        self.register_buffer("mem", torch.zeros(0), persistent=False)

    def reset_mem(self) -> torch.Tensor:
        """Back to the start: no current, v = ``start``."""
        self.syn = self.syn.new_zeros(0)
        self.mem = self.mem.new_zeros(0)
        return self.mem

    def forward(self, input_: torch.Tensor) -> torch.Tensor:
        """One step: ``(B, …)`` → membrane potentials ``(B, …)``."""
        if self.mem.shape != input_.shape:
            self.syn = torch.zeros_like(input_)
            self.mem = self.start.expand_as(input_)
        if self.alpha is None:
            self.syn = input_
        else:
            self.syn = self.alpha * self.syn + self.gain_syn * input_  # (1)
        self.mem = self.beta * self.mem + self.drive + self.gain * self.syn  # (2)
        return self.mem


class Delay(nn.Module):
    """Sends what came in ``steps`` steps ago, zeros before that: y(t) = x(t − delay). ``steps (…)``: one a line."""

    def __init__(self, steps: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("steps", steps)
        self.register_buffer("mem", torch.zeros(0), persistent=False)

    def reset_mem(self) -> torch.Tensor:
        """Empty the line."""
        self.mem = self.mem.new_zeros(0)
        return self.mem

    def forward(self, input_: torch.Tensor) -> torch.Tensor:
        """One step: ``(B, …)`` → ``(B, …)``."""
        longest = int(self.steps.max())
        if self.mem.shape != (longest + 1, *input_.shape):
            self.mem = input_.new_zeros(longest + 1, *input_.shape)
        self.mem = torch.cat([input_[None], self.mem[:-1]])  # (longest + 1, B, …), newest first
        place = self.steps.expand(1, *input_.shape)  # (1, B, …)
        return self.mem.gather(0, place)[0]


class RSynaptic(snn.RSynaptic):
    """snnTorch's ``RSynaptic`` with the reset in the step of the spike.

    With ``reset_delay=False`` snnTorch 1.0.0's own forward divides ``None`` by a number, and with ``reset_delay=True``
    a reset to zero comes a step late and takes that step's current with it. NIR's (4) is neither:

        I_syn[t] = α·I_syn[t−1] + I_in[t] + V·S[t−1]
        U[t]     = β·U[t−1] + I_syn[t];   S[t] = H(U[t] − θ);   U[t] ← 0 (or U[t] − θ) where S[t] = 1
    """

    def forward(self, input_: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """One step: ``(B, …)`` → spikes ``(B, …)``, with the states behind them if ``output=True``."""
        if self.mem.shape != input_.shape:
            self.spk = torch.zeros_like(input_)
            self.syn = torch.zeros_like(input_)
            self.mem = torch.zeros_like(input_)
        self.syn = self.alpha.clamp(0, 1) * self.syn + input_ + self.recurrent(self.spk)
        mem = self.beta.clamp(0, 1) * self.mem + self.syn
        self.spk = self.fire(mem)
        fired = self.spk.detach()
        if self.reset_mechanism == "zero":
            mem = mem - fired * mem
        elif self.reset_mechanism == "subtract":
            mem = mem - fired * self.threshold
        self.mem = mem
        if self.output:
            return self.spk, self.syn, self.mem
        return self.spk
