"""Lesson 13 — Recurrent spiking networks: how long can a network of spikes remember?

Question
    A LIF neuron forgets within a few time constants. What makes spiking networks remember longer: a slow variable in
    each neuron, a loop between neurons, or gates; and does training reach back that far?

Idea
    Three memories. The membrane keeps the share β = exp(−1/τ) of itself a step. A loop V feeds spikes back, so that
    activity can keep itself alive (snn.RLeaky, snn.RSynaptic). And the threshold can remember: an adaptive LIF neuron
    (ALIF) gets harder to excite with each spike of its own, and recovers with the slow constant τ_a, ρ = exp(−1/τ_a).
    In the course's letters (Bellec et al. write α for our β and β for our κ):

        a[t] = ρ·a[t−1] + S[t−1]                             A[t] = θ + κ·a[t]                             (1)
        U[t] = β·U[t−1] + I[t] + V·S[t−1] − θ·S[t−1]         S[t] = H(X[t]),   X[t] = U[t] − A[t]          (2)

    as in Bellec et al. 2020 (Methods, "Network models"). A neuron that fired stays quieter: a memory without spikes.

    BPTT for (1) and (2), from the last step to the first; the reset counts as a constant, as in snnTorch:

        ε[t] = σ′(X[t])·(∂L/∂S[t] + Vᵀ·δ[t+1] + δa[t+1])                                                   (3)
        δ[t] = ε[t] + β·δ[t+1]            δa[t] = ρ·δa[t+1] − κ·ε[t]            ∂L/∂V = Σ δ[t]·S[t−1]ᵀ      (4)

    How far back does an error reach? Through a threshold alone, ρ − κ·σ′ of δa is left a step. An arctan's σ′ is 0.09
    even at X = −θ: there it fades in 1/(0.09·κ) steps, while the neuron remembers for τ_a. So, as Bellec et al.:
                                  σ′(X) = 0.3·max(0, 1 − |X|/θ)                                             (5)
    A membrane alone leaves δ[t−n] = βⁿ·δ[t]. With a loop each step back multiplies by Jᵀ, J = β·1 + V·diag(σ′). If V's
    entries are independent with variance g²/(3H), as nn.Linear's are for g = 1, the eigenvalues of V·diag(σ′) fill a
    disc around 0 (the circular law); J's largest is about        β + g·√(E[σ′²]/3)                         (6)
    A β near 1, which helps memory, leaves little room for g: beyond it gradients explode. An LSTM's cell passes on
    sigmoid(b_f), half of it if b_f ≈ 0. Biases b_f = ln u, u from 1 to T ("chrono"), spread time constants up to T.

Read first
    Theory:   Bellec et al. 2020 (ALIF, Methods), https://www.nature.com/articles/s41467-020-17236-y
              Bellec et al. 2018 (LSNN, store and recall, sequential MNIST), https://arxiv.org/abs/1803.09574
              Tallec & Ollivier 2018 (gates and time), https://arxiv.org/abs/1804.11188
    Practice: https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_regression_2.html

Run
    uv run 13_recurrent_snn.py              eighteen minutes on one thread of a busy machine
    uv run 13_recurrent_snn.py --resume     go on after Ctrl-C: finished epochs of the image networks are kept
    uv run 13_recurrent_snn.py --full       784 steps, for a GPU. NOT RUN: ALIF alone some 30 CPU hours (scaled)

You should see
    Back through 199 steps an error is multiplied by 5·10⁷ in RLeaky as snnTorch starts it (0.4 with (5)), 5·10⁻⁵ in
    Leaky, 6·10⁻⁴ in ALIF with the arctan, 0.016 with (5), 0.03 in an LSTM with chrono biases. Memory horizon: Leaky 66
    steps, ALIF 198 (τ_a is 200; without a loop 57); RLeaky, RSynaptic, SLSTM, LSTM at least 1,280, for which RLeaky
    fires in 30 % of the steps, ALIF in 1.3. 196 pixel steps: LSTM 90 %, SLSTM 79, ALIF 61 (two layers 67), Leaky 47,
    RSynaptic 42, RLeaky 38; a read-out that remembers gives Leaky 52 and hides what layers forget. Seeds: ± 8 points.

Builds on / leads to
    09 gave BPTT through a membrane, 06 RSynaptic's current. 15 trains ALIF by e-prop, 20 makes the loop linear.

Predict: with --tau-adapt 20 the threshold forgets as fast as the membrane. What becomes of ALIF's two horizons?
Next: uv run 14_loss_and_regularization.py
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from common import plots
from common.cost import estimated_energy_nj, latency
from common.data import ImageData, mnist
from common.device import synchronize
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from common.spiking import over_time
from multistep import unroll
from training import evaluate, fit

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import nn

Out = tuple[torch.Tensor, torch.Tensor]  # spk_rec and mem_rec of the read-out, each (T, B, K)


@dataclass
class Config(LessonConfig):
    """``num_steps`` is the length of an image's sequence: it is shrunk to the largest square of so many pixels."""

    num_steps: int = bounded(196, 1, 784)
    """pixels of an image, one a step (T): 196 is 14×14, 784 is 28×28"""
    epochs: int = bounded(8, 1, 1000)
    """passes over the training images; SLSTM, which has to be stepped, gets half as many, unless --full is given"""
    num_hidden: int = bounded(64, 2, 10_000)
    """neurons of one recurrent layer; the other networks get as many parameters as that makes"""
    tau: float = bounded(20.0, 1.0, 1e4)
    """time constant of every membrane, in steps"""
    tau_adapt: float = bounded(200.0, 1.0, 1e5)
    """time constant of ALIF's threshold, in steps"""
    train_images: int = bounded(10_000, 10, 55_000)
    """training images"""
    updates: int = bounded(1000, 1, 100_000)
    """gradient steps of each store-and-recall network"""
    seeds: int = bounded(2, 1, 20)
    """seeds of every trained network"""
    resume: bool = False
    """go on from the checkpoints of a run that was cut"""


SMOKE = {
    "num_steps": 16,
    "epochs": 1,
    "num_hidden": 8,
    "train_images": 64,
    "updates": 2,
    "seeds": 1,
}
FULL = {
    "num_steps": 784,
    "epochs": 60,
    "num_hidden": 256,
    "tau_adapt": 700.0,
    "train_images": 55_000,
    "seeds": 3,
}

BATCH, LR = (
    50,
    1e-2,
)  # images a gradient step; learning rate at the start, it falls to zero along a cosine
SLOWER = {
    "recall": 0.2,
    "images": 0.02,
}  # a spiking loop's weights learn slower: each of them acts at every step
KAPPA, TAU_SYN = (
    1.2,
    10.0,
)  # rise of ALIF's threshold with a spike, in units of θ; RSynaptic's synapse, in steps
SLSTM_THRESHOLD = 0.1  # of the hidden state h, which lies between −1 and 1
LOOP = {"RLeaky": 0.2, "RSynaptic": 0.1, "ALIF": 0.2}  # g of equation (6): scales V at the start
SYMBOLS, CUE, NOISE, READ = (
    4,
    5,
    0.05,
    5,
)  # store and recall: symbols, steps shown, noise, steps read
LONGEST, DELAYS = (
    200,
    (5, 10, 20, 40, 80, 160, 320, 640, 1280),
)  # delays in steps: longest trained, and those tested


def decay(tau: float) -> float:
    """The share of a variable with time constant ``tau`` (steps) that is left a step later."""
    return math.exp(-1 / tau)


Slope = Callable[[torch.Tensor], torch.Tensor]
triangle: Slope = lambda X: (1 - X.abs()).clamp_(min=0).mul_(0.3)  # noqa: E731  (σ′ of equation (5), θ = 1)
arctan: Slope = lambda X: X.mul(torch.pi).square_().add_(1).reciprocal_()  # noqa: E731  (snnTorch's: 1/(1 + (πX)²))
TRIANGLE = snn.surrogate.custom_surrogate(
    lambda X, g, spk: g * triangle(X)
)  # for snnTorch's neurons


class ALIFThroughTime(torch.autograd.Function):
    """Equations (1), (2) over all steps, backward by (3), (4): ``(T, B, H) → spikes (T, B, H)``. Only X is kept."""

    @staticmethod
    def forward(
        ctx: Any,
        cur: torch.Tensor,
        V: torch.Tensor,
        beta: float,
        rho: float,
        kappa: float,
        theta: float,
        slope: Slope,
    ) -> torch.Tensor:
        a, mem, spk = (torch.zeros_like(cur[0]) for _ in range(3))  # (B, H) each
        X, S, loop = (
            torch.empty_like(cur),
            torch.empty_like(cur),
            V.t() - theta * torch.eye(len(V)).to(V),
        )
        for t in range(len(cur)):
            # a[t] = ρ·a[t−1] + S[t−1]
            a.mul_(rho).add_(spk)
            # U[t] = β·U[t−1] + I[t] + V·S[t−1] − θ·S[t−1]; the reset is one more weight, on V's diagonal
            mem.mul_(beta).add_(cur[t]).addmm_(spk, loop)
            # X[t] = U[t] − A[t],   A[t] = θ + κ·a[t],   S[t] = H(X[t])
            torch.add(mem, a, alpha=-kappa, out=X[t]).sub_(theta)
            spk = torch.gt(X[t], 0, out=S[t])
        ctx.save_for_backward(X, V)
        ctx.constants = beta, rho, kappa, slope
        return S

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        (X, V), (beta, rho, kappa, slope) = ctx.saved_tensors, ctx.constants
        sigma = slope(X)  # σ′(X), at all steps at once
        d_cur, d_mem, d_a = torch.empty_like(X), torch.zeros_like(X[0]), torch.zeros_like(X[0])
        for t in reversed(range(len(X))):
            # ε[t] = σ′(X[t])·(∂L/∂S[t] + Vᵀ·δ[t+1] + δa[t+1])
            e = torch.addmm(d_a, d_mem, V).add_(g[t]).mul_(sigma[t])
            # δ[t] = ε[t] + β·δ[t+1]
            d_mem = torch.add(e, d_mem, alpha=beta, out=d_cur[t])
            # δa[t] = ρ·δa[t+1] − κ·ε[t]
            d_a.mul_(rho).sub_(e, alpha=kappa)
        # ∂L/∂V = Σ δ[t]·S[t−1]ᵀ, one large product instead of T small ones
        d_V = d_cur[1:].flatten(0, 1).t() @ (X[:-1] > 0).to(X).flatten(0, 1)
        return d_cur, d_V, None, None, None, None, None


class ALIF(snn.SpikingNeuron):
    """A layer of adaptive LIF neurons in snnTorch's manner (hidden state, ``reset_mem``), with or without a loop."""

    def __init__(
        self,
        beta: float,
        rho: float,
        kappa: float,
        linear_features: int,
        loop: bool = True,
        slope: Slope = triangle,
    ) -> None:
        super().__init__(init_hidden=True, spike_grad=TRIANGLE if slope is triangle else None)
        self.slope = slope
        self.beta, self.rho, self.kappa = beta, rho, kappa
        self.recurrent = nn.Linear(linear_features, linear_features) if loop else None
        self.reset_mem()

    def reset_mem(self) -> None:
        self.spk = self.mem = self.a = torch.zeros(())

    def forward(self, cur: torch.Tensor) -> torch.Tensor:
        """One step, equations (1) and (2), from the state that the step before left: ``(B, H) → spikes (B, H)``."""
        spk, mem, a = (s.to(cur).expand_as(cur) for s in (self.spk, self.mem, self.a))
        fed_back = self.recurrent(spk) if self.recurrent else 0
        self.a = self.rho * a + spk
        self.mem = self.beta * mem + cur + fed_back - self.threshold * spk.detach()
        self.spk = self.spike_grad(self.mem - (self.threshold + self.kappa * self.a))
        return self.spk

    def run(self, cur: torch.Tensor) -> torch.Tensor:
        """All steps from rest, fast: ``(T, B, H) → spikes (T, B, H)``."""
        H, r = cur.shape[-1], self.recurrent
        cur, V = (cur + r.bias, r.weight) if r else (cur, cur.new_zeros(H, H))
        return ALIFThroughTime.apply(
            cur, V, self.beta, self.rho, self.kappa, self.threshold.item(), self.slope
        )


class LSTM(nn.LSTM):
    """``nn.LSTM`` with the same methods. What leaves it are numbers between −1 and 1, not spikes."""

    state: Out | None = None

    def reset_mem(self) -> None:
        self.state = None

    def forward(self, cur: torch.Tensor) -> torch.Tensor:
        h, self.state = super().forward(cur[None], self.state)
        return h[0]

    def run(self, cur: torch.Tensor) -> torch.Tensor:
        return super().forward(cur)[0]


KINDS = (
    "Leaky",
    "RLeaky",
    "RSynaptic",
    "ALIF",
    "SLSTM",
    "LSTM",
)  # Leaky gets a second layer in the loop's place


def layer(
    kind: str, num_hidden: int, cfg: Config, longest: int | None = None, g: float | None = None
) -> nn.Module:
    """One layer of ``num_hidden`` neurons. ``longest``: for chrono initialisation; None leaves PyTorch's."""
    beta, H = decay(cfg.tau), num_hidden
    if kind == "Leaky":
        return snn.Leaky(beta=beta, init_hidden=True)
    if "RLeaky" in kind:
        spike_grad = snn.surrogate.atan() if "arctan" in kind else TRIANGLE
        made = snn.RLeaky(beta=beta, linear_features=H, spike_grad=spike_grad, init_hidden=True)
    elif kind == "RSynaptic":
        made = snn.RSynaptic(
            alpha=decay(TAU_SYN),
            beta=beta,
            linear_features=H,
            spike_grad=TRIANGLE,
            init_hidden=True,
        )
    elif "ALIF" in kind:
        slope = arctan if "arctan" in kind else triangle
        made = ALIF(beta, decay(cfg.tau_adapt), KAPPA, H, loop=kind == "ALIF", slope=slope)
    else:  # SLSTM's input must be as wide as the layer: see experiment_slstm
        made = (
            LSTM(H, H)
            if kind == "LSTM"
            else snn.SLSTM(H, H, threshold=SLSTM_THRESHOLD, init_hidden=True)
        )
        bias_ih, bias_hh = (p for name, p in made.named_parameters() if "bias" in name)
        if longest:  # chrono: b_f = ln u, u uniform in 1..longest − 1, and b_i = −b_f; the gates' order is i, f, g, o
            b_f = torch.log(1 + torch.rand(H) * max(longest - 2, 0))
            bias_ih.data[: 2 * H], bias_hh.data[: 2 * H] = torch.cat([-b_f, b_f]), 0
    if getattr(made, "recurrent", None) is not None:
        made.recurrent.weight.data *= LOOP[kind] if g is None else g
    return made


def run_layer(made: nn.Module, cur: torch.Tensor) -> torch.Tensor:
    """All steps of one layer from rest: ``(T, B, H) → (T, B, H)``."""
    return made.run(cur) if hasattr(made, "run") else unroll(made, cur)[0]


class SequenceNet(nn.Module):
    """(Linear → layer) × L → Linear → leaky read-out without reset, read at the end. Its own memory is short (β = 0.9,
    ten steps): what is older must come from the layers."""

    def __init__(
        self,
        kind: str,
        widths: Sequence[int],
        num_inputs: int,
        num_outputs: int,
        cfg: Config,
        longest: int,
    ) -> None:
        super().__init__()
        self.kind, self.path = kind, nn.ModuleList()
        for n_in, n_out in zip((num_inputs, *widths), widths, strict=False):
            self.path += [nn.Linear(n_in, n_out), layer(kind, n_out, cfg, longest)]
            nn.init.normal_(self.path[-2].weight, std=0.5 * n_in**-0.5)
            nn.init.normal_(
                self.path[-2].bias, std=1 - decay(cfg.tau)
            )  # alone it takes U to about θ: b/(1 − β)
        self.fc_out = nn.Linear(widths[-1], num_outputs)
        self.out = snn.Leaky(beta=0.9, reset_mechanism="none", init_hidden=True, output=True)
        for (
            p
        ) in self.parameters():  # loops make single batches explode: no gradient is longer than 1
            p.register_hook(lambda grad: grad / grad.norm().clamp(min=1))

    def groups(self, task: str) -> list[dict[str, Any]]:
        """The parameters for an optimiser, each with its learning rate."""
        return [
            {"params": [p], "lr": LR * (SLOWER[task] if "recurrent" in name else 1)}
            for name, p in self.named_parameters()
        ]

    def forward(self, x_t: torch.Tensor) -> Out:
        """One step: ``(B, inputs)`` → spikes and membrane of the read-out, each ``(B, K)``."""
        for part in self.path:
            x_t = part(x_t)
        return self.out(self.fc_out(x_t))

    def hidden(self, x: torch.Tensor) -> list[torch.Tensor]:
        """What leaves each layer over all steps, ``(T, B, H)`` each."""
        pairs = zip(self.path[::2], self.path[1::2], strict=True)
        return [x := run_layer(made, over_time(fc, x)) for fc, made in pairs]

    def run(self, x: torch.Tensor) -> Out:
        """All steps: ``(T, B, inputs)`` → ``spk_rec, mem_rec``, each ``(T, B, K)``, starting from rest."""
        return unroll(self.out, over_time(self.fc_out, self.hidden(x)[-1]), record_mem=True)[:2]


def read_out(out: Out, last: int = READ) -> torch.Tensor:
    """The mean of the read-out's membrane over the ``last`` steps: ``(T, B, K) → (B, K)``. 0: over all, which remembers
    the whole sequence, whatever the layers do."""
    return out[1][-last:].mean(0)


def count_parameters(
    kind: str, width: int, layers: int, num_inputs: int = 1, num_outputs: int = 10
) -> int:
    """Parameters of a ``SequenceNet`` with ``layers`` layers of ``width`` neurons each."""
    H = width
    loop = {"Leaky": 0, "ALIF, no loop": 0, "SLSTM": 8 * H * (H + 1), "LSTM": 8 * H * (H + 1)}.get(
        kind, H * (H + 1)
    )
    return (num_inputs + 1) * H + (layers - 1) * H * (H + 1) + layers * loop + (H + 1) * num_outputs


def widths_for(
    kind: str, budget: int, layers: int = 1, num_inputs: int = 1, num_outputs: int = 10
) -> list[int]:
    """The widest layers whose network has at most ``budget`` parameters."""
    fits = lambda width: count_parameters(kind, width, layers, num_inputs, num_outputs) <= budget  # noqa: E731
    return [next(w for w in range(2, budget) if not fits(w + 1))] * layers


def experiment_adaptation(cfg: Config) -> np.ndarray:
    """One ALIF neuron under a steady current that pauses twice: rows U, A and S."""
    cur, neuron, rows = torch.zeros(600, 1, 1), layer("ALIF, no loop", 1, cfg), []
    cur[20:220], cur[320:360], cur[560:600] = 0.12, 0.12, 0.12
    with torch.no_grad():
        for spk in map(neuron, cur):
            rows.append((neuron.mem.item(), 1 + KAPPA * neuron.a.item(), spk.item()))
    return np.array(rows).T


def experiment_slstm(cfg: Config) -> list[tuple[str, str, float, str, str | None]]:
    """Two traps of ``snn.SLSTM``, as claims: its default threshold, and an input of another width than the layer."""
    torch.manual_seed(cfg.seed)
    x, found = 20 * torch.randn(50, 8, 16), []
    for key, threshold, target in (("silent", 1.0, "== 0"), ("spikes", SLSTM_THRESHOLD, None)):
        spikes = unroll(snn.SLSTM(16, 16, threshold=threshold), x)[0].sum().item()
        found.append(
            (f"slstm_{key}", f"SLSTM, threshold {threshold:g}: spikes", spikes, "spikes", target)
        )
    for key, num_inputs, target in (("forgets", 1, "== 0"), ("remembers", 16, None)):
        cell, one = snn.SLSTM(num_inputs, 16), torch.randn(20, 8, num_inputs)
        other = torch.cat([one[:-1] + 1, one[-1:]])  # another past, the same last step
        a, b = (unroll(cell, past, record_mem=True)[1][-1] for past in (one, other))
        found.append(
            (
                f"slstm_{key}",
                f"SLSTM, {num_inputs} → 16: largest effect of another past on the state h",
                (a - b).abs().max().item(),
                "",
                target,
            )
        )
    return found


LAGS = {  # name → kind, g of equation (6), chrono initialisation
    "Leaky": ("Leaky", None, False),
    "RLeaky, g = 1, arctan": ("RLeaky, arctan", 1.0, False),
    "RLeaky, g = 1": ("RLeaky", 1.0, False),
    "RLeaky, g = 0.2": ("RLeaky", 0.2, False),
    "RSynaptic, g = 1": ("RSynaptic", 1.0, False),
    "RSynaptic, g = 0.1": ("RSynaptic", 0.1, False),
    "ALIF, no loop, arctan": ("ALIF, no loop, arctan", None, False),
    "ALIF, no loop": ("ALIF, no loop", None, False),
    "LSTM, PyTorch's start": ("LSTM", None, False),
    "LSTM, chrono": ("LSTM", None, True),
    "SLSTM, PyTorch's start": ("SLSTM", None, False),
    "SLSTM, chrono": ("SLSTM", None, True),
}


def experiment_lags(cfg: Config, device: torch.device) -> dict[str, Any]:
    """‖∂L/∂I[T − n]‖ / ‖∂L/∂I[T]‖ for L = Σ w·S[T] with random w, before training; noise as input."""
    T, B, H = (12, 4, 8) if cfg.smoke else (200, 16, 128)
    norms, growth = {}, {}
    for name, (kind, g, chrono) in LAGS.items():
        rows = []
        for seed in range(cfg.seed, cfg.seed + cfg.seeds):
            torch.manual_seed(seed)
            made = layer(kind, H, cfg, T if chrono else None, g).to(device)
            cur = (0.1 + 0.5 * torch.randn(T, B, H)).to(device).requires_grad_()
            (run_layer(made, cur)[-1] * torch.randn(B, H).to(device)).sum().backward()
            rows.append(cur.grad.norm(dim=(1, 2)).flip(0).cpu().numpy())  # (T,), lag 0 first
            if "RLeaky" in kind:
                mem = unroll(made, cur.detach(), record_mem=True)[1]
                power = (
                    (arctan if "arctan" in kind else triangle)(mem - 1).square().mean().item()
                )  # E[σ′²]
                growth[name] = decay(cfg.tau) + g * (power / 3) ** 0.5  # equation (6)
        norms[name] = np.stack([r / r[0] for r in rows])  # (seeds, T)
    return {"norms": norms, "growth": growth, "T": T}


def recall_batch(delay: int, batch: int, generator: torch.Generator) -> Out:
    """x ``(CUE + delay + READ, B, SYMBOLS + 1)`` of zeros and ones, and the symbols ``(B,)``: a symbol's line fires for
    CUE steps, then all symbol lines at random with probability NOISE; the last line asks for READ steps."""
    y = torch.randint(SYMBOLS, (batch,), generator=generator)
    x = torch.zeros(CUE + delay + READ, batch, SYMBOLS + 1)
    x[:CUE, torch.arange(batch), y] = 1
    x[CUE : CUE + delay, :, :SYMBOLS] = (
        torch.rand(delay, batch, SYMBOLS, generator=generator) < NOISE
    ).float()
    x[CUE + delay :, :, SYMBOLS] = 1
    return x, y


def experiment_recall(cfg: Config, run: Run) -> dict[str, dict[str, Any]]:
    """Train each network on delays of up to LONGEST steps; test it on each of DELAYS. Equal parameters."""
    width, delays = (6, (5, 10)) if cfg.smoke else (64, DELAYS)
    budget, found = count_parameters("RLeaky", width, 1, SYMBOLS + 1, SYMBOLS), {}
    for kind in (*KINDS[:1], "ALIF, no loop", *KINDS[1:]):
        accuracy, rates = [], []
        constant = 0 if "LSTM" in kind else max(cfg.tau, cfg.tau_adapt if "ALIF" in kind else 0)
        widths = widths_for(
            kind, budget, 2 if kind in ("Leaky", "ALIF, no loop") else 1, SYMBOLS + 1, SYMBOLS
        )
        for seed in range(cfg.seed, cfg.seed + cfg.seeds):
            torch.manual_seed(seed)
            net = SequenceNet(kind, widths, SYMBOLS + 1, SYMBOLS, cfg, LONGEST).to(run.device)
            train_recall(
                net, -(-cfg.updates // (1 + (kind == "SLSTM"))), 20 if cfg.smoke else LONGEST, seed
            )
            g, scores = (
                torch.Generator().manual_seed(10_000),
                [],
            )  # sequences that training never saw
            with torch.no_grad():
                for delay in delays:
                    x, y = (
                        v.to(run.device) for v in recall_batch(delay, 20 if cfg.smoke else 500, g)
                    )
                    scores.append((read_out(net.run(x)).argmax(1) == y).float().mean().item())
                rates.append(np.mean([s[CUE:-READ].abs().mean().item() for s in net.hidden(x)]))
            accuracy.append(scores)
        mean = np.mean(accuracy, 0)
        found[kind] = {
            "accuracy": np.array(accuracy),
            "rate": float(np.mean(rates)),
            "constant": constant,
            "horizon": horizon(delays, mean, 1 / SYMBOLS),
            "delays": delays,
        }
        run.print(
            f"          {kind}: "
            + "  ".join(f"{d}: {a:.2f}" for d, a in zip(delays, mean, strict=True))
        )
    return found


def train_recall(net: SequenceNet, updates: int, longest: int, seed: int) -> None:
    """One delay a batch, drawn log-uniformly up to a limit that grows to ``longest`` within 60 % of the updates."""
    g, device = torch.Generator().manual_seed(seed), next(net.parameters()).device
    optimizer = torch.optim.Adam(net.groups("recall"))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for i in range(updates):
        limit = max(5.0, longest * min(1.0, 0.1 + 1.5 * i / updates))
        delay = round(2 * (limit / 2) ** torch.rand((), generator=g).item())
        x, y = recall_batch(delay, 64, g)
        loss = F.cross_entropy(read_out(net.run(x.to(device))), y.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def horizon(delays: Sequence[int], accuracy: np.ndarray, chance: float) -> float:
    """The delay (interpolated) at which accuracy has fallen half way from 1 to chance; the longest if it never has."""
    half, below = (1 + chance) / 2, np.nonzero(accuracy < (1 + chance) / 2)[0]
    if len(below) == 0 or (i := below[0]) == 0:
        return float(delays[0 if len(below) else -1])
    return float(np.exp(np.interp(-half, -accuracy[i - 1 : i + 1], np.log(delays[i - 1 : i + 1]))))


def one_pixel_a_step(x: torch.Tensor, num_steps: int) -> torch.Tensor:
    """``(B, 1, 28, 28)`` → ``(T, B, 1)``: shrunk to side² ≤ num_steps pixels, then row after row, T = side²."""
    return F.adaptive_avg_pool2d(x, math.isqrt(num_steps)).flatten(1).t().unsqueeze(-1).contiguous()


def train_images(
    kind: str, layers: int, cfg: Config, data: ImageData, run: Run, last: int = READ
) -> dict[str, Any]:
    """Train and test a network for each seed; all have the parameters of RLeaky with ``num_hidden`` neurons."""
    widths, accuracy = widths_for(kind, count_parameters("RLeaky", cfg.num_hidden, 1), layers), []
    encode, predict = (
        partial(one_pixel_a_step, num_steps=cfg.num_steps),
        lambda out: read_out(out, last).argmax(1),
    )
    for seed in range(cfg.seed, cfg.seed + cfg.seeds):
        torch.manual_seed(seed)
        net = SequenceNet(kind, widths, 1, 10, cfg, cfg.num_steps)
        history = fit(
            net,
            data,
            encode,
            run=run,
            seed=seed,
            groups=net.groups("images"),
            batch_size=BATCH,
            epochs=-(-cfg.epochs // 2) if kind == "SLSTM" and not cfg.full else cfg.epochs,
            loss_fn=lambda out, y: F.cross_entropy(read_out(out, last), y),
            predict=predict,
            quiet=True,
            name=f"{kind}_{layers}_{last}_{seed}",
            resume=cfg.resume,
        )
        accuracy.append(evaluate(net, data.x_test, data.y_test, encode, predict=predict))
    run.print(
        f"          {kind}: {np.round(accuracy, 4)}, {history[-1]['seconds'] / len(history):.1f} s an epoch"
    )
    return {
        "net": net,
        "accuracy": np.array(accuracy),
        "widths": widths,
        "epochs": len(history),
        "parameters": count_parameters(kind, widths[0], layers),
    }


def experiment_images(
    cfg: Config, data: ImageData, run: Run
) -> tuple[dict[str, Any], dict[int, Any]]:
    """Equal parameters: first a read-out that remembers by itself; then each kind, and ALIF in one to three layers."""
    found = {"Leaky, read over all steps": train_images("Leaky", 2, cfg, data, run, last=0)} | {
        kind: train_images(kind, 2 if kind == "Leaky" else 1, cfg, data, run) for kind in KINDS
    }
    return found, {1: found["ALIF"]} | {
        layers: train_images("ALIF", layers, cfg, data, run) for layers in (2, 3)
    }


def stepped(made: nn.Module, cur: torch.Tensor) -> torch.Tensor:
    """What ``run_layer`` computes, by calling the layer once a step."""
    made.reset_mem()
    return torch.stack([made(cur_t) for cur_t in cur])


def experiment_speed(cfg: Config, device: torch.device) -> dict[str, list[float]]:
    """Seconds of forward and backward, stepped and by the fast path; the better of two runs."""
    (T, B, H), found = (5, 2, 8) if cfg.smoke else (784, 32, cfg.num_hidden), {k: [] for k in KINDS}
    for kind in KINDS:
        made, cur = layer(kind, H, cfg).to(device), torch.randn(T, B, H).to(device).requires_grad_()
        for way in (stepped, run_layer, stepped, run_layer):
            started = time.perf_counter()
            way(made, cur).sum().backward()
            synchronize(device)
            found[kind].append(time.perf_counter() - started)
        found[kind] = [min(found[kind][k::2]) for k in (0, 1)]
    return found


@torch.no_grad()
def costs(net: SequenceNet, x: torch.Tensor) -> dict[str, float]:
    """Per sample: spikes, accumulates that they cause, multiply-accumulates of what is no spike."""
    outputs, H, readers = net.hidden(x), net.fc_out.in_features, (*net.path[2::2], net.fc_out)
    spikes = [0.0 if net.kind == "LSTM" else S.sum().item() / x.shape[1] for S in outputs]
    # a spike goes to all that read the layer: the next Linear, and the layer itself if it has a loop
    synops = sum(
        s * (fc.out_features + H * (net.kind in LOOP))
        for s, fc in zip(spikes, readers, strict=True)
    )
    # numbers are the pixels, all that an LSTM's gates see (current and state h), and what an LSTM gives to the read-out
    macs = (
        net.path[0].weight.numel()
        + 8 * H * H * ("LSTM" in net.kind)
        + 10 * H * (net.kind == "LSTM")
    )
    return {
        "spikes": sum(spikes),
        "synops": synops,
        "macs": float(len(x) * macs),
        "energy_estimated_nj": estimated_energy_nj(synops, len(x) * macs),
    }


def plot_adaptation(found: np.ndarray, cfg: Config) -> Figure:
    mem, threshold, spk = found
    gaps = np.diff(np.nonzero(spk[:220])[0])
    fig, ax = plots.figure(
        1,
        1,
        size=(10, 3.6),
        title=(
            f"A steady current: the steps between ALIF's spikes grow from {gaps[0]} to {gaps[-1]};\nafter 200 steps of "
            f"silence the threshold still stands at {threshold[559]:.2f}"
        ),
    )
    plots.membrane(ax, mem, spk, None)
    ax.plot(
        threshold,
        color=plots.RED,
        linestyle="--",
        label=f"threshold A, τ_a = {cfg.tau_adapt:g} steps",
    )
    ax.legend()
    plots.label(ax, "time (steps)", "in units of θ")
    return fig


def plot_lags(found: dict[str, Any]) -> Figure:
    norms, T = found["norms"], found["T"]
    told = (
        "RLeaky, g = 1, arctan",
        "Leaky",
        "ALIF, no loop, arctan",
        "ALIF, no loop",
        "LSTM, chrono",
    )
    text = [f"{n}: {norms[n][:, -1].mean():.0e}" for n in told]
    fig, axes = plots.figure(
        1,
        2,
        size=(12, 4.6),
        title=(
            f"What is left of an error {T - 1} steps back? {'; '.join(text[:2])};\n{'; '.join(text[2:])}"
        ),
    )
    names = (
        [n for n in norms if "LSTM" not in n and "0.1" not in n],
        [n for n in norms if "LSTM" in n],
    )
    for ax, mine, title in zip(
        axes, names, ("Neurons with fixed time constants", "Gates"), strict=True
    ):
        plots.curves(
            ax,
            np.arange(T),
            {n: np.where(norms[n] > 0, norms[n], np.nan) for n in mine},
            markers=False,
        )
        ax.set_yscale("log")
        ax.set_ylim(1e-12, 1e9)
        plots.label(ax, "lag n (steps)", "‖∂L/∂I[T−n]‖ / ‖∂L/∂I[T]‖", title)
    return fig


def plot_recall(found: dict[str, dict[str, Any]]) -> Figure:
    delays = next(iter(found.values()))["delays"]
    text = [
        f"{k} {'≥ ' if r['horizon'] >= delays[-1] else ''}{r['horizon']:.0f}"
        for k, r in found.items()
    ]
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(12, 4.6),
        width_ratios=(1.3, 1),
        title=("Memory horizon in steps: " + ", ".join(text[:4]) + ",\n" + ", ".join(text[4:])),
    )
    plots.curves(a, delays, {kind: 100 * r["accuracy"] for kind, r in found.items()})
    a.axhline(50 * (1 + 1 / SYMBOLS), color="0.5", linewidth=1, linestyle=":")
    a.axvline(LONGEST, color="0.5", linewidth=1, linestyle=":")
    a.set_xscale("log")
    a.set_xticks(delays, [str(d) for d in delays], minor=False)
    a.legend(fontsize=8, loc="lower left")
    plots.label(
        a,
        "delay (steps); trained up to the dotted line",
        "accuracy (%)",
        f"{SYMBOLS} symbols, chance {100 / SYMBOLS:.0f} %; dotted: half way to chance",
    )
    plots.bars(
        b,
        {k: 100 * r["rate"] for k, r in found.items() if k != "LSTM"},
        fmt="{:.2g}",
        color=plots.SKY,
    )
    plots.label(
        b,
        "spikes per neuron and step (%)",
        "",
        f"What memory costs during a delay of {delays[-1]} steps",
    )
    return fig


def plot_images(
    found: dict[str, dict[str, Any]], depth: dict[int, dict[str, Any]], about: str
) -> Figure:
    value = {k: 100 * r["accuracy"].mean() for k, r in found.items()}
    best = max(KINDS[1:4], key=value.__getitem__)  # of the loops without gates
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(12, 4.2),
        width_ratios=(1.5, 1),
        title=(
            f"{about}: {best} {value[best]:.1f} %, Leaky {value['Leaky']:.1f} %, LSTM {value['LSTM']:.1f} %"
        ),
    )
    plots.bars(a, {f"{k}: {v:.1f}": v for k, v in value.items()}, fmt="", color=plots.SKY)
    a.plot(
        [100 * r["accuracy"] for r in found.values()],
        range(len(found)),
        "o",
        color=plots.BLACK,
        markersize=3.5,
    )
    plots.label(a, "test accuracy (%)", "", "Equal numbers of parameters (dots: single seeds)")
    plots.curves(
        b, list(depth), {"ALIF": np.stack([100 * r["accuracy"] for r in depth.values()], 1)}
    )
    b.set_xticks(list(depth), [f"{n} × {r['widths'][0]}" for n, r in depth.items()])
    plots.label(
        b,
        "recurrent layers × neurons",
        "test accuracy (%)",
        "Depth at equal parameters (band: seeds)",
    )
    return fig


def main(cfg: Config, run: Run) -> None:
    data = run.data(mnist, n_train=cfg.train_images)
    data = replace(
        data, x_val=data.x_val[:1000], y_val=data.y_val[:1000]
    )  # enough to choose an epoch
    T, n, seeds = math.isqrt(cfg.num_steps) ** 2, len(data.y_test), cfg.seeds
    short = lambda name: re.sub(r"[^a-z0-9]+", "_", name.lower())  # noqa: E731

    run.print("\n1  The adaptive threshold, and two traps of SLSTM")
    run.figure(plot_adaptation(experiment_adaptation(cfg), cfg), "adaptation")
    for claim in experiment_slstm(cfg):
        run.claim(*claim)

    run.print("\n2  Gradient against lag, before training")
    lags = experiment_lags(cfg, run.device)
    run.figure(plot_lags(lags), "gradients")
    last = lags["T"] - 1
    for name, norms in lags["norms"].items():
        run.claim(
            f"lag_{short(name)}",
            f"{name}: gradient at lag {last} / at lag 0",
            norms[:, -1].mean(),
            "×",
            n=seeds,
        )
    run.claim(
        "lag_constant",
        f"Leaky: time constant of the gradient; the membrane's is {cfg.tau:g}",
        -last / math.log(lags["norms"]["Leaky"][0, -1]),
        "steps",
        f"{0.99 * cfg.tau:g}..{1.01 * cfg.tau:g}",
    )
    for name, edge in lags["growth"].items():
        factor = lags["norms"][name][:, -1].mean().item() ** (1 / last)
        run.claim(
            f"growth_{short(name)}",
            f"{name}: growth of the gradient a step; {edge:.3f} by (6)",
            factor,
            "×",
        )

    run.print(
        f"\n3  Store and recall: {SYMBOLS} symbols, noise {NOISE:g} a line and step, accuracy by delay in steps"
    )
    recall = experiment_recall(cfg, run)
    run.figure(plot_recall(recall), "recall")
    longest = recall["Leaky"]["delays"][-1]
    for kind, r in recall.items():
        text = (
            f"longest time constant {r['constant']:g} steps" if r["constant"] else "learnt gates"
        ) + (
            f"; at least, {longest} is the longest delay tested" if r["horizon"] >= longest else ""
        )
        run.claim(
            f"horizon_{short(kind)}",
            f"{kind}: memory horizon ({text})",
            r["horizon"],
            "steps",
            n=500 * seeds,
        )
        run.claim(
            f"rate_{short(kind)}",
            f"{kind}: mean |output| a neuron and step in a delay of {longest}",
            r["rate"],
        )

    run.print(
        f"\n4  {data.name}, {T} steps (one pixel each): {len(data.x_train):,} images, {seeds} seeds"
    )
    images, depth = experiment_images(cfg, data, run)
    run.figure(plot_images(images, depth, f"{data.name}, {T} pixels, one a step"), "images")
    x = one_pixel_a_step(data.x_test[:200].to(run.device).float() / 255, T)
    goals = {"ALIF": ">= 0.93", "SLSTM": ">= 0.97"} if cfg.full else {}
    for name, r in (images | {f"ALIF, {i} layers": r for i, r in depth.items() if i > 1}).items():
        text = f"{name}: test accuracy, {T} steps, {r['parameters']:,} parameters, {r['epochs']} epochs"
        run.claim(
            f"accuracy_{short(name)}",
            text,
            r["accuracy"].mean(),
            target=goals.get(name),
            n=n * seeds,
            real=True,
        )
        p50, p95 = latency(
            lambda net=r["net"]: net.run(x[:, :1]), run.device, repeats=5 if cfg.smoke else 20
        )
        run.ledger(
            model=f"{name}, {len(r['widths'])} × {r['widths'][0]}",
            data=f"{data.name}, a pixel a step",
            n=n,
            accuracy=float(r["accuracy"][-1]),
            num_steps=T,
            bytes=4 * r["parameters"],
            **costs(r["net"], x),
            parameters=r["parameters"],
            latency_p50_ms=p50,
            latency_p95_ms=p95,
        )

    run.print("\n5  Speed")
    speed, steps = experiment_speed(cfg, run.device), 5 if cfg.smoke else 784
    for kind, (slow, fast) in speed.items():  # SLSTM has no fast path: about 1
        run.claim(
            f"speed_{short(kind)}", f"{kind}: stepped / fast path, {steps} steps", slow / fast, "×"
        )


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
