"""Lesson 15 — STDP and e-prop: learning with what a synapse can know

Question
    BPTT stores every step and sends errors back through time. How far does a synapse get that sees only its own two
    neurons, and one signal from outside?

Idea
    **STDP.** A presynaptic spike before a postsynaptic one may have caused it; one after it cannot have. With
    Δt = t_post − t_pre, a pair of spikes changes the weight by (1); two traces, one a side, sum (1) over all pairs:

        Δw = A₊·exp(−Δt/τ₊) for Δt > 0         Δw = −A₋·exp(Δt/τ₋) for Δt < 0                          (1)
        x ← x·exp(−1/τ₊) + pre        y ← y·exp(−1/τ₋) + post        Δw = A₊·x·post − A₋·y·pre         (2)

    What stops the growth decides what is learnt: hard bounds (additive, Song, Miller & Abbott 2000) or steps that
    shrink near the bounds (multiplicative): μ = 0 or 1 in (Gütig et al. 2003)

        Δw = η·(1 − w)^μ·x·post − η·λ·w^μ·y·pre                        anti-Hebbian: both signs turned   (3)

    A layer needs two more things (Diehl & Cook 2015): neurons that silence each other, so that one wins, and a
    threshold that rises with each spike, so that none always wins. It learns at the winner's spike only; x is 1 at a
    pixel's spike and fades, so the winner moves toward what it has just seen:

        Δw_i = η·(x_i·(1 − w_i) − (1 − x_i)·w_i) = η·(x_i − w_i)                                       (4)

    Simpler than in the paper: (4) for its rules (3)–(6), current-based neurons, direct inhibition, one spike a step,
    100 steps of 1 ms at up to 200 Hz (there 350 ms, 64 Hz), no second try for images with few spikes.

    **e-prop** (Bellec et al. 2020; their equation numbers in square brackets). Adaptive LIF neurons j, inputs and
    recurrent spikes i, leaky read-outs k:

        v_j[t] = α·v_j[t−1] + Σ_i W_ji·z_i[t−1] + Σ_i W_ji·x_i[t] − z_j[t−1]·θ                         [6]
        z_j[t] = H(v_j[t] − θ − β·a_j[t])        a_j[t] = ρ·a_j[t−1] + z_j[t−1]                        [7–10]
        y_k[t] = κ·y_k[t−1] + Σ_j W_kj·z_j[t]                                                          [11]

    The gradient is exactly [1] a sum of two factors: dE/dW_ji = Σ_t dE/dz_j[t]·e_ji[t]. The eligibility trace
    e_ji = ∂z_j/∂h_j·ε_ji is how the synapse's past acts on this spike through the neuron's own state h = (v, a), and
    ε[t] = ∂h[t]/∂h[t−1]·ε[t−1] + ∂h[t]/∂W runs forward [13, 14]. With ψ = γ/θ·max(0, 1 − |v − θ − β·a|/θ) for ∂z/∂v
    and the reset as a constant, ∂v[t]/∂v[t−1] = α, ∂a[t]/∂v[t−1] = ψ[t−1], ∂a[t]/∂a[t−1] = ρ − β·ψ[t−1]. So

        ε_v = z̄_i[t] = α·z̄_i[t−1] + (x_i[t] or z_i[t−1])            the same for every j                [22]
        ε_a[t] = ψ_j[t−1]·z̄_i[t−1] + (ρ − β·ψ_j[t−1])·ε_a[t−1]      fades with ρ: seconds               [24]
        e_ji[t] = ψ_j[t]·(z̄_i[t] − β·ε_a[t])                         LIF: β = 0                         [23, 25]

    dE/dz_j[t] also runs through later spikes of other neurons. e-prop drops those and takes what is known now,
    L_j[t] = Σ_k B_jk·(π_k[t] − π*_k[t]) [4], with the read-out weights (symmetric) or fixed random numbers for B:

        ΔW_ji = −η·Σ_t L_j[t]·ē_ji[t]             ē[t] = κ·ē[t−1] + e[t], as the read-out leaks          [28]

    Without recurrent weights nothing is dropped: [28] *is* BPTT's gradient. With them it is an approximation.

Read first
    Theory:   Neuronal Dynamics, ch. 19, https://neuronaldynamics.epfl.ch/online/Ch19.html
              Bellec et al. 2020, https://www.nature.com/articles/s41467-020-17236-y
              Diehl & Cook 2015, https://doi.org/10.3389/fncom.2015.00099
    Practice: Frenkel, e-prop in PyTorch, https://github.com/ChFrenkel/eprop-PyTorch

Run
    uv run 15_stdp_online_learning.py            about seven minutes on one CPU core
    uv run 15_stdp_online_learning.py --smoke    seconds, stand-in data
    uv run 15_stdp_online_learning.py --full     400 neurons, three passes, five seeds of e-prop: a CPU will do

You should see
    STDP lifts inputs that fire together by 0.56 of the largest weight; its mirror image lowers them by 0.27.
    100 neurons: 83.5 % of the test images after half a minute of learning; without inhibition 18 % (validation).
    Cue task: e-prop 97.4 %, random feedback 95.4 %, BPTT 98.8 %. LIF of 20 ms: 51.8 %. LIF of 2 s: 91.6 %, although its
    gradient has a cosine of 0.05 to BPTT's (ALIF: 0.90). BPTT keeps 560 bytes a step, e-prop 55 KiB at any length.

Builds on / leads to
    09 (BPTT by hand), 13 (ALIF). snnTorch's own STDP learner is not exported; here the rule is written out.

Predict: with --wait 800 the cues lie 4 s back, twice the time constant of the adaptation. Is the task still learnt?
Next: uv run 16_ann_to_snn.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common import plots
from common.data import ImageData, batches, mnist
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from multistep import saved_for_backward

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from numba import njit
from torch import Tensor, nn

Outcome = tuple[
    tuple[Tensor, ...], Tensor, Tensor
]  # gradients of W_in, W_rec, W_out; class shares (B, K); mean rate


@dataclass
class Config(LessonConfig):
    """``num_steps`` is the time an MNIST image is shown to the STDP layer, in steps of 1 ms."""

    num_steps: int = bounded(100, 1, 100_000)
    """time steps per image in the STDP layer (T)"""
    neurons: int = bounded(100, 10, 10_000)
    """neurons of the STDP layer, and hidden neurons of the supervised networks beside it"""
    train_images: int = bounded(55_000, 20, 55_000)
    """MNIST images to learn from"""
    epochs: int = bounded(1, 1, 80)
    """the STDP layer's passes over them"""
    num_hidden: int = bounded(50, 2, 1000)
    """recurrent neurons in the cue task"""
    wait: int = bounded(240, 30, 5000)
    """steps of 5 ms from the last cue to the end of the cue task, the last 30 of them for the answer"""
    iterations: int = bounded(100, 1, 10_000)
    """weight updates in the cue task"""
    seeds: int = bounded(2, 1, 20)
    """seeds in the cue task"""


SMOKE = {
    "neurons": 20,
    "train_images": 60,
    "num_hidden": 8,
    "wait": 30,
    "iterations": 1,
    "seeds": 1,
}
FULL = {"neurons": 400, "epochs": 3, "iterations": 400, "seeds": 5}
FADE = np.float32(
    1 - 1 / 15_000
)  # of the thresholds that have risen, an image: without it all neurons fall silent
RECALL, BATCH, LR = (
    30,
    32,
    1e-2,
)  # cue task: last steps, in which the error is known; trials per update; of Adam


def stdp_traces(
    pre: Tensor, post: Tensor, a_plus: float, a_minus: float, tau_plus: float, tau_minus: float
) -> Tensor:
    """Weight change of P synapses with spikes ``pre, post (T, P)``, step by step with two traces each."""
    x, y, dw = (torch.zeros_like(pre[0]) for _ in range(3))  # (P,)
    for pre_t, post_t in zip(pre, post, strict=True):
        x, y = x * np.exp(-1 / tau_plus), y * np.exp(-1 / tau_minus)
        dw = (
            dw + a_plus * x * post_t - a_minus * y * pre_t
        )  # Δw = A₊·x·post − A₋·y·pre          (2)
        x, y = x + pre_t, y + post_t  # after reading: Δt = 0 changes nothing
    return dw


def stdp_window(
    dt: Tensor, a_plus: float, a_minus: float, tau_plus: float, tau_minus: float
) -> Tensor:
    """Equation (1): the weight change by one pair of spikes, ``dt = t_post − t_pre``."""
    after, before = (
        a_plus * torch.exp(-dt.abs() / tau_plus),
        -a_minus * torch.exp(-dt.abs() / tau_minus),
    )
    return torch.where(dt > 0, after, torch.where(dt < 0, before, 0.0))


@njit  # compiled, as below: each step needs the weights that the one before has left
def stdp_neuron(steps, mu, lam, sign, group, seed):  # type: ignore[no-untyped-def]
    """Weights of a LIF neuron after ``steps`` ms at 10 Hz; ``group`` of its 200 inputs share half their spikes."""
    np.random.seed(seed)
    w, x, pre, v, y, eta, fade = (
        np.full(200, 0.5),
        np.zeros(200),
        np.zeros(200),
        0.0,
        0.0,
        0.01,
        np.exp(-1 / 20),
    )
    for _ in range(steps):
        together = np.random.random() < 0.01  # an event that half of the group takes part in
        v, y, fires = (
            v * fade,
            y * fade,
            v > 15,
        )  # by the spikes of the step before: a delay of 1 ms
        v = 0.0 if fires else v
        for i in range(200):
            pre[i] = np.random.random() < (0.01 if i >= group else 0.505 if together else 0.005)
            x[i] *= fade  # Δw = η·(1−w)^μ·x·post − η·λ·w^μ·y·pre  (3)
            w[i] += sign * eta * ((1 - w[i]) ** mu * x[i] * fires - lam * w[i] ** mu * y * pre[i])
            w[i] = max(0.0, min(1.0, w[i]))
            x[i] += pre[i]
            v += w[i] * pre[i]
        y += fires
    return w


@njit
def present(images, w, theta, counts, learn, num_steps, inhibition, raise_theta, seed):  # type: ignore[no-untyped-def]
    """Show ``images (M, 784)`` to ``w (784, N)``: ``counts (M, N)`` gets the spikes; ``learn`` changes w and theta."""
    np.random.seed(seed)
    leak, eta, total = np.float32(np.exp(-1 / 20)), np.float32(0.01), np.float32(78.4)
    for m in range(len(images)):
        lit = np.nonzero(images[m])[0]
        v, last = np.zeros(w.shape[1], np.float32), np.full(w.shape[0], -1000)
        for t in range(num_steps):
            v *= leak
            for i in lit:
                if np.random.random() < 0.2 * images[m, i]:  # Poisson spikes, up to 0.2 a step
                    last[i] = t
                    v += w[i]
            winner = np.argmax(v - theta)
            if v[winner] > theta[winner]:
                counts[m, winner] += 1
                v = np.maximum(v - inhibition, -inhibition)  # one spike inhibits all the others
                v[winner] = 0
                if learn:
                    theta[winner] += raise_theta  # and makes the winner's next spike dearer
                    x = np.exp((last - t) / 20).astype(np.float32)
                    w[:, winner] += eta * (
                        x - w[:, winner]
                    )  # Δw = η·(x − w)                         (4)
                    w[:, winner] *= (
                        total / w[:, winner].sum()
                    )  # the sum of the weights stays, as in the paper
        if learn:
            theta *= FADE


class Features:
    """An unsupervised layer, and (once named) the class that each of its neurons answers to most."""

    def __init__(self, cfg: Config, inhibition: float = 100.0, raise_theta: float = 0.1) -> None:
        w = np.random.default_rng(cfg.seed).random((784, cfg.neurons)).astype(np.float32)
        self.w, self.theta = w * (78.4 / w.sum(0)), np.full(cfg.neurons, 10, np.float32)
        self.options = cfg.num_steps, np.float32(inhibition), np.float32(raise_theta)
        self.seed, self.labels = 1000 * cfg.seed, np.zeros(cfg.neurons, int)

    def show(self, images: Tensor, learn: bool = False, noise: int = 0) -> np.ndarray:
        """Spike counts ``(M, N)`` for images ``(M, 1, 28, 28)``; ``noise`` chooses other Poisson spikes."""
        counts = np.zeros((len(images), len(self.theta)), np.int32)
        x = images.flatten(1).numpy().astype(np.float32) / 255  # (M, 784)
        present(x, self.w, self.theta, counts, learn, *self.options, self.seed + noise)
        return counts

    def name_neurons(self, images: Tensor, y: Tensor) -> None:
        """The only use of labels, after learning: a neuron is named by the class that it spikes most for."""
        counts, y = self.show(images, noise=998), y.numpy()
        self.labels = np.argmax(
            [counts[y == k].mean(0) if (y == k).any() else 0 * self.theta for k in range(10)], 0
        )

    def accuracy(self, images: Tensor, y: Tensor) -> float:
        """The class whose neurons spike most, on average over them, answers."""
        counts, share = self.show(images, noise=999), np.full((len(images), 10), -1.0)  # (M, K)
        for k in set(self.labels):
            share[:, k] = counts[:, self.labels == k].mean(1)
        return float((share.argmax(1) == y.numpy()).mean())


# ------------------------------------------------------------------------------------ e-prop and BPTT as code


class RecurrentALIF(nn.Module):
    """n_in → n recurrent ALIF neurons → n_out leaky read-outs; ``beta = 0`` makes LIF neurons of them."""

    def __init__(
        self,
        n_in: int,
        n: int,
        n_out: int,
        g: torch.Generator,
        *,
        alpha: float = float(np.exp(-5 / 20)),
        kappa: float = float(np.exp(-5 / 20)),
        beta: float = 0.1,
        recurrent: bool = True,
    ) -> None:
        super().__init__()
        self.w_in = nn.Parameter(torch.randn(n, n_in, generator=g) / n_in**0.5)
        self.w_rec = nn.Parameter(
            torch.randn(n, n, generator=g) / n**0.5 * (1 - torch.eye(n)) * recurrent
        )
        self.w_out = nn.Parameter(torch.randn(n_out, n, generator=g) / n**0.5)
        self.register_buffer("random_feedback", torch.randn(n_out, n, generator=g) / n**0.5)
        self.register_buffer(
            "mask", (1 - torch.eye(n)) * recurrent
        )  # no neuron has a synapse onto itself
        self.alpha, self.kappa, self.beta, self.rho = (
            alpha,
            kappa,
            beta,
            float(np.exp(-5 / 2000)),
        )  # fade in a step
        self.theta, self.gamma = 0.6, 0.3

    def state(self, B: int) -> tuple[Tensor, ...]:
        """v, a, z, ψ ``(B, n)`` and y ``(B, K)`` before the first step."""
        return *[self.w_in.new_zeros(B, len(self.w_in))] * 4, self.w_in.new_zeros(
            B, len(self.w_out)
        )

    def forward(
        self, x_t: Tensor, state: tuple[Tensor, ...], cut: bool = False
    ) -> tuple[Tensor, ...]:
        """One step. ``cut``: no gradient through spikes to other neurons, the path that e-prop drops."""
        v, a, z, _, y = state
        cur = x_t @ self.w_in.T + (z.detach() if cut else z) @ self.w_rec.T
        v = (
            self.alpha * v + cur - self.theta * z.detach()
        )  # v[t] = α·v[t−1] + … − z[t−1]·θ       [6]
        a = self.rho * a + z  # a[t] = ρ·a[t−1] + z[t−1]             [10]
        u = (v - self.theta - self.beta * a) / self.theta
        psi = self.gamma / self.theta * (1 - u.detach().abs()).clamp(min=0)
        z = (u > 0).to(u.dtype)  # z[t] = H(v[t] − θ − β·a[t])          [9]
        z = z + self.theta * psi * (u - u.detach())  # adds 0, and to autograd ∂z/∂v = ψ
        y = self.kappa * y + z @ self.w_out.T  # y[t] = κ·y[t−1] + Σ_j W_kj·z_j[t]    [11]
        return v, a, z, psi, y


class EProp:
    """A network that runs forward with its eligibility traces ``(B, n, n_in + n)`` beside it; no step is stored."""

    def __init__(self, net: RecurrentALIF, B: int, feedback: Tensor) -> None:
        self.net, self.feedback, self.now, (n, n_in) = net, feedback, net.state(B), net.w_in.shape
        new = net.w_in.new_zeros
        self.pre, self.psi, self.out = new(B, n_in + n), new(B, n), new(B, n)
        self.grad, self.grad_out, self.synaptic = (
            new(n, n_in + n),
            new(net.w_out.shape),
            net.beta > 0 or net.kappa > 0,
        )
        self.eps_a, self.elig = (new(B, n, n_in + n) if self.synaptic else None for _ in range(2))

    @torch.no_grad()
    def step(self, x_t: Tensor) -> Tensor:
        """One step of network and traces; gives the read-out ``y (B, K)``."""
        net = self.net
        if self.synaptic:  # ε_a[t] = ψ[t−1]·z̄[t−1] + (ρ − β·ψ[t−1])·ε_a[t−1]                                   [24]
            self.eps_a.mul_((net.rho - net.beta * self.psi)[..., None]).addcmul_(
                self.psi[..., None], self.pre[:, None]
            )
        self.pre = net.alpha * self.pre + torch.cat(
            (x_t, self.now[2]), 1
        )  # z̄[t] = α·z̄[t−1] + x[t] or z[t−1]  [22]
        self.now = net(x_t, self.now)
        self.psi = self.now[3]
        if self.synaptic:  # ē[t] = κ·ē[t−1] + ψ[t]·(z̄[t] − β·ε_a[t])                                       [23, 25]
            self.elig.mul_(net.kappa).addcmul_(self.psi[..., None], self.pre[:, None])
            self.elig.addcmul_(self.eps_a, (-net.beta * self.psi)[..., None])
        self.out = net.kappa * self.out + self.now[2]
        return self.now[4]

    @torch.no_grad()
    def learn(self, error: Tensor) -> None:
        """Add this step's share of the gradient; ``error (B, K)`` is π − π* at the read-outs."""
        signal = error @ self.feedback  # L_j[t] = Σ_k B_jk·(π_k[t] − π*_k[t])  [4]
        if self.synaptic:
            self.grad += torch.einsum(
                "bj,bji->ji", signal, self.elig
            )  # Σ_t L_j[t]·ē_ji[t]                   [28]
        else:  # LIF, no leak at the read-out: ē_ji = ψ_j·z̄_i is made of what two neurons know, no trace is kept
            self.grad += (signal * self.psi).T @ self.pre
        self.grad_out += error.T @ self.out


def eprop_gradient(
    net: RecurrentALIF, x: Tensor, target: Tensor, recall: int, random: bool = False
) -> Outcome:
    """By e-prop: gradients of the cross entropy in the last ``recall`` steps. ``x`` is read a step at a time."""
    rule, share, rate = (
        EProp(net, len(target), net.random_feedback if random else net.w_out),
        0.0,
        0.0,
    )
    for t in range(len(x)):
        y = rule.step(x[t])
        rate = rate + rule.now[2].mean() / len(x)
        if t >= len(x) - recall:
            rule.learn((y.softmax(1) - F.one_hot(target, y.shape[1])) / (len(target) * recall))
            share = share + y.softmax(1) / recall
    w_in, w_rec = rule.grad.split((net.w_in.shape[1], len(net.w_in)), 1)
    return (w_in, w_rec * net.mask, rule.grad_out), share, rate


def forward_all(
    net: RecurrentALIF, x: Tensor, target: Tensor, recall: int, cut: bool = False
) -> tuple[Tensor, ...]:
    """All steps, and autograd keeps them: loss in the last ``recall`` steps, class shares (B, K), mean rate."""
    now, loss, share, rate = net.state(len(target)), 0.0, 0.0, 0.0
    for t in range(len(x)):
        now = net(x[t], now, cut)
        rate = rate + now[2].detach().mean() / len(x)
        if t >= len(x) - recall:
            loss = loss + F.cross_entropy(now[4], target) / recall
            share = share + now[4].detach().softmax(1) / recall
    return loss, share, rate


def bptt_gradient(
    net: RecurrentALIF, x: Tensor, target: Tensor, recall: int, cut: bool = False
) -> Outcome:
    """By BPTT: the same gradients through all steps."""
    loss, share, rate = forward_all(net, x, target, recall, cut)
    w_in, w_rec, w_out = torch.autograd.grad(loss, [net.w_in, net.w_rec, net.w_out])
    return (w_in, w_rec * net.mask, w_out), share, rate


RULES: dict[str, Callable[..., Outcome]] = {
    "BPTT": bptt_gradient,
    "e-prop, symmetric": eprop_gradient,
    "e-prop, random": lambda net, x, y, recall: eprop_gradient(net, x, y, recall, random=True),
}
ARMS = {  # in the cue task: rule, β, time constant of the membrane in steps of 5 ms
    "e-prop, LIF of 20 ms": ("e-prop, symmetric", 0.0, 4),
    "e-prop, LIF of 2 s": ("e-prop, symmetric", 0.0, 400),
    "e-prop, ALIF, random": ("e-prop, random", 0.1, 4),
    "e-prop, ALIF, symmetric": ("e-prop, symmetric", 0.1, 4),
    "BPTT, ALIF": ("BPTT", 0.1, 4),
}


def cue_trials(B: int, g: torch.Generator, wait: int, device: Any = "cpu") -> tuple[Tensor, Tensor]:
    """Cue accumulation, 5 ms a step: ``(T, B, 40)``, seven cues left or right, noise, a question; the side ``(B,)``."""
    side = (
        torch.rand(B, 7, generator=g) < torch.where(torch.rand(B, 1, generator=g) < 0.5, 0.7, 0.3)
    ).long()
    p = torch.zeros(7 * 30 + wait, B, 4, 10)  # (T, B, left/right/question/noise, neurons)
    for k in range(7):
        p[30 * k + 10 : 30 * (k + 1), torch.arange(B), side[:, k]] = 0.2  # 40 Hz
    p[-RECALL:, :, 2], p[:, :, 3] = 0.2, 0.05
    p = p.flatten(2)
    return (torch.rand(p.shape, generator=g) < p).float().to(device), (side.sum(1) > 3).long().to(
        device
    )


# ------------------------------------------------------------------------------------ the experiments


def experiment_synapse(cfg: Config) -> dict[str, Any]:
    """Pairs of spikes at each Δt: traces, equation (1), a rule that only counts; then 200 weights by three rules."""
    dts = torch.arange(-60, 61)
    pre, post = (torch.zeros(121, 121, dtype=torch.float64) for _ in range(2))  # (T, P)
    pre[60], post[60 + dts, torch.arange(121)] = 1.0, 1.0
    rules = {
        name: stdp_traces(pre, post, s, 0.8 * s, 20, 30)
        for name, s in (("Hebbian", 1), ("anti-Hebbian", -1))
    }
    error = (rules["Hebbian"] - stdp_window(dts.double(), 1, 0.8, 20, 30)).abs().max()
    signs = {
        "additive (μ = 0)": (0, 1.05, 1),
        "multiplicative (μ = 1)": (1, 1.05, 1),
        "anti-Hebbian": (0, 1.05, -1),
    }
    return {
        "dt": dts,
        "rules": {"counts only": 0.5 * pre.sum(0) * post.sum(0), **rules},
        "error": float(error),
        "weights": {
            k: stdp_neuron(2_000 if cfg.smoke else 500_000, *s, 40, cfg.seed)
            for k, s in signs.items()
        },
    }


def experiment_features(cfg: Config, data: ImageData) -> dict[str, Any]:
    """The layer with and without each ingredient (10,000 images, validation), then on all images."""
    x, few, accuracy = data.x_train[: cfg.train_images], min(10_000, cfg.train_images), {}
    arms = {
        "no inhibition": {"inhibition": 0},
        "fixed thresholds": {"raise_theta": 0},
        "both": {},
        "all images": {},
    }
    for name, options in arms.items():
        layer, began = Features(cfg, **options), time.perf_counter()
        for i in range(cfg.epochs if name == "all images" else 1):
            layer.show(x if name == "all images" else x[:few], learn=True, noise=i)
        seconds = time.perf_counter() - began
        layer.name_neurons(x[:few], data.y_train[:few])
        accuracy[name] = layer.accuracy(data.x_val, data.y_val)
    # everything is decided: the test images are looked at here, once
    return {
        "accuracy": accuracy,
        "seconds": seconds,
        "layer": layer,
        "test": layer.accuracy(data.x_test, data.y_test),
    }


def experiment_exact(cfg: Config) -> dict[str, float]:
    """Largest relative difference of e-prop's and BPTT's gradients where theory says there is none (float64)."""
    error, g = {}, torch.Generator().manual_seed(cfg.seed)
    for name, beta, recurrent in (
        ("LIF, feed-forward", 0.0, False),
        ("ALIF, feed-forward", 0.2, False),
        ("recurrent ALIF, BPTT not through other neurons", 0.2, True),
    ):
        net = RecurrentALIF(8, 12, 3, g, beta=beta, recurrent=recurrent).double()
        x, y = (
            (torch.rand(80, 6, 8, generator=g) < 0.3).double(),
            torch.randint(0, 3, (6,), generator=g),
        )
        pairs = zip(
            eprop_gradient(net, x, y, 40)[0],
            bptt_gradient(net, x, y, 40, cut=recurrent)[0],
            strict=True,
        )
        error[name] = max(float((a - b).norm() / b.norm().clamp(min=1e-12)) for a, b in pairs)
    return error


def cosines(net: RecurrentALIF, x: Tensor, y: Tensor) -> list[list[float]]:
    """Cosine to BPTT's gradient: symmetric and random feedback, each for W_in, W_rec, W_out."""
    exact = bptt_gradient(net, x, y, RECALL)[0]
    return [
        [
            float(F.cosine_similarity(a.flatten(), b.flatten(), dim=0))
            for a, b in zip(eprop_gradient(net, x, y, RECALL, random)[0], exact, strict=True)
        ]
        for random in (False, True)
    ]


def learn(
    net: RecurrentALIF, rule: str, trials: Any, updates: int, recall: int, lr: float
) -> dict[str, Any]:
    """Adam on gradients by ``rule``, its rate falling along a cosine; each batch is tested before learning from it."""
    optimizer, accuracy, began, rate = (
        torch.optim.Adam(net.parameters(), lr=lr),
        [],
        time.perf_counter(),
        0.0,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for x, y in trials:
        gradients, share, rate = RULES[rule](net, x, y, recall)
        accuracy.append(float((share.argmax(1) == y).float().mean()))
        for w, grad in zip(net.parameters(), gradients, strict=True):
            w.grad = grad
        optimizer.step()
        schedule.step()
    return {
        "curve": accuracy,
        "seconds": (time.perf_counter() - began) / len(accuracy),
        "rate": float(rate),
    }


@torch.no_grad()
def right(net: RecurrentALIF, x: Tensor, y: Tensor, recall: int) -> float:
    """How many of the samples ``x (T, B, n_in)`` get their class right."""
    return float((forward_all(net, x, y, recall)[1].argmax(1) == y).sum())


def experiment_cues(cfg: Config, device: torch.device) -> dict[str, dict[str, Any]]:
    """Train every arm on the cue task, test it on fresh trials; cosines to BPTT before and after."""
    arms: dict[str, dict[str, Any]] = {}
    for name, (rule, beta, tau) in ARMS.items():
        runs = []
        for seed in range(cfg.seed, cfg.seed + cfg.seeds):
            g, fresh = (
                torch.Generator().manual_seed(seed),
                torch.Generator().manual_seed(seed + 10_000),
            )
            net = RecurrentALIF(
                40, cfg.num_hidden, 2, g, beta=beta, alpha=float(np.exp(-1 / tau))
            ).to(device)
            probe = cue_trials(BATCH, fresh, cfg.wait, device)
            before = cosines(net, *probe)
            trials = (cue_trials(BATCH, g, cfg.wait, device) for _ in range(cfg.iterations))
            done = learn(net, rule, trials, cfg.iterations, RECALL, LR)
            n = 20 if cfg.smoke else 1000
            test = right(net, *cue_trials(n, fresh, cfg.wait, device), RECALL) / n
            runs.append(done | {"test": test, "cosine": [before, cosines(net, *probe)]})
        arms[name] = {k: np.asarray([r[k] for r in runs]) for k in runs[0]} | {
            "net": net,
            "n": n * cfg.seeds,
        }
    return arms


def experiment_traces(cfg: Config) -> dict[str, list[float]]:
    """Mean |ē| of the synapses of ten inputs that fire in the first 100 ms only: how long a cue is remembered."""
    out: dict[str, list[float]] = {}
    for name, (_, beta, tau) in list(ARMS.items())[:3]:
        g = torch.Generator().manual_seed(cfg.seed)
        net = RecurrentALIF(40, cfg.num_hidden, 2, g, beta=beta, alpha=float(np.exp(-1 / tau)))
        rule, (x, _) = EProp(net, 32, net.w_out), cue_trials(32, g, cfg.wait)
        x[:, :, :20], x[:20, :, :10] = 0.0, (torch.rand(20, 32, 10, generator=g) < 0.2).float()
        curve = out.setdefault(name.split(", ")[1], [])
        for x_t in x:
            rule.step(x_t)
            curve.append(float(rule.elig[:, :, :10].abs().mean()))
    return out


def experiment_memory(cfg: Config) -> dict[str, Any]:
    """Bytes kept from step to step until the weights can change, one sample, against the length T."""
    steps = (40, 60, 80) if cfg.smoke else (100, 200, 500, 1000, 1500, 2000)
    net, y = (
        RecurrentALIF(40, cfg.num_hidden, 2, torch.Generator().manual_seed(cfg.seed)),
        torch.zeros(1).long(),
    )
    kept: dict[str, list[int]] = {"BPTT": [], "e-prop": []}
    for T in steps:
        x, rule = (torch.rand(T, 1, 40) < 0.05).float(), EProp(net, 1, net.w_out)
        with saved_for_backward(net.parameters()) as bptt:
            out = forward_all(net, x, y, RECALL)  # noqa: F841 (holds the graph)
            kept["BPTT"].append(bptt())
        with saved_for_backward() as eprop:
            for x_t in x:
                rule.learn(rule.step(x_t).softmax(1))
            tensors = [
                v
                for v in [*vars(rule).values(), *rule.now]
                if isinstance(v, Tensor) and v is not net.w_out
            ]
            kept["e-prop"].append(eprop() + sum(v.nbytes for v in tensors))
    slope, first = np.polyfit(steps, kept["BPTT"], 1)
    bptt, eprop = (np.asarray(k) for k in kept.values())
    return {
        "steps": steps,
        "kept": kept,
        "slope": slope,
        "crossing": (eprop[-1] - first) / slope,
        "r2": 1 - np.var(bptt - slope * np.asarray(steps) - first) / np.var(bptt),
        "growth": eprop[-1] / eprop[0],
    }


def experiment_supervised(cfg: Config, data: ImageData, device: torch.device) -> dict[str, float]:
    """784–N–10 on MNIST without recurrence, one pass: test accuracy by rule, with as many neurons as the STDP layer."""
    accuracy, T = {}, 2 if cfg.smoke else 20
    show = lambda x, y: (x.flatten(1).expand(T, -1, -1), y)  # noqa: E731
    for rule in RULES:
        g = torch.Generator().manual_seed(cfg.seed)
        net = RecurrentALIF(
            784, cfg.neurons, 10, g, alpha=0.9, beta=0.0, kappa=0.0, recurrent=False
        ).to(device)
        x, y = data.x_train[: cfg.train_images], data.y_train[: cfg.train_images]
        learn(
            net,
            rule,
            (show(*b) for b in batches(x, y, 100, generator=g, device=device)),
            -(-len(x) // 100),
            T,
            2e-3,
        )
        accuracy[rule] = sum(
            right(net, *show(*b), T) for b in batches(data.x_test, data.y_test, 500, device=device)
        ) / len(data.y_test)
    return accuracy


# ------------------------------------------------------------------------------------ the figures


def plot_synapse(found: dict[str, Any]) -> Figure:
    gain = [w[:40].mean() - w[40:].mean() for w in found["weights"].values()]
    fig, axes = plots.figure(
        1,
        4,
        size=(14, 3.4),
        title=(
            f"Order in time decides the sign: inputs that fire together gain {gain[0]:+.2f}, by the mirror {gain[2]:+.2f}"
        ),
    )
    plots.curves(axes[0], found["dt"], found["rules"], markers=False)
    axes[0].set_ylim(-1.1, 2.2)  # room for the legend
    plots.label(axes[0], "Δt = t_post − t_pre (ms)", "Δw (in A₊)", "One pair of spikes")
    for ax, (name, w) in zip(axes[1:], found["weights"].items(), strict=True):
        ax.hist(
            [w[:40], w[40:]],
            20,
            range=(0, 1),
            stacked=True,
            color=[plots.RED, plots.SKY],
            label=["group", "rest"],
        )
        plots.label(ax, "weight (1 = bound)", "synapses", name)
    axes[2].legend()
    return fig


def plot_features(found: dict[str, Any], n: int) -> Figure:
    layer, side = found["layer"], int(np.ceil(np.sqrt(n)))
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(11.5, 5.6),
        width_ratios=(1.25, 1),
        title=(
            f"{n} neurons find the digits without labels; once named, {100 * found['test']:.1f} % of the test is right"
        ),
    )
    wall = np.zeros((side * side, 29, 29))
    wall[:n, :28, :28] = layer.w.T[np.argsort(layer.labels)].reshape(-1, 28, 28)
    wall = wall.reshape(side, side, 29, 29).swapaxes(1, 2).reshape(29 * side, -1)
    a.imshow(wall, cmap="gray_r", vmax=np.quantile(wall, 0.995))
    a.axis("off")
    a.set_title("Weights of each neuron, sorted by the class that names it")
    plots.bars(b, {k: 100 * v for k, v in found["accuracy"].items()}, fmt="{:.1f}")
    plots.label(b, "validation accuracy (%)", "", "10,000 images, and all of them")
    return fig


def plot_eprop(
    cfg: Config, arms: dict[str, Any], traces: dict[str, list[float]], memory: dict[str, Any]
) -> Figure:
    good, bad = (
        100 * arms[k]["test"].mean() for k in ("e-prop, ALIF, symmetric", "e-prop, LIF of 20 ms")
    )
    fig, (a, b, c) = plots.figure(
        1,
        3,
        size=(15, 4.4),
        title=(
            f"A trace that outlasts the wait learns: {good:.1f} % with adaptation, {bad:.1f} % with a membrane of 20 ms"
        ),
    )
    seconds, w = 5e-3 * np.arange(210 + cfg.wait), max(1, cfg.iterations // 10)
    plots.curves(a, seconds, {k: np.asarray(e) / max(e) for k, e in traces.items()}, markers=False)
    a.set(yscale="log", ylim=(1e-4, 2))
    a.axvspan(0, 0.1, color="0.85")
    a.axvspan(seconds[-RECALL], seconds[-1], color=plots.YELLOW, alpha=0.4)
    plots.label(
        a, "time (s)", "mean |ē|, peak = 1", "Trace of a cue (grey) until the answer (yellow)"
    )
    plots.curves(
        b,
        range(w, cfg.iterations + 1),
        {
            k: [100 * np.convolve(r, np.ones(w) / w, "valid") for r in v["curve"]]
            for k, v in arms.items()
        },
        markers=False,
    )
    plots.label(
        b,
        f"updates ({BATCH} fresh trials each)",
        "accuracy (%)",
        f"Cue task of {len(seconds)} steps",
    )
    plots.curves(c, memory["steps"], {k: np.asarray(v) / 2**10 for k, v in memory["kept"].items()})
    plots.label(
        c,
        "time steps T",
        "kept, one sample (KiB)",
        f"BPTT keeps more from {memory['crossing']:.0f} steps on",
    )
    return fig


FRENKEL = [  # the defaults of main.py, setup.py and models.py at commit 0f32a8f
    ("neuron", "LIF, τ_m = 2 s", "ALIF, τ_m = 20 ms, τ_a = 2 s; LIF of both τ_m"),
    ("sequence", "2,250 steps of 1 ms", "450 steps of 5 ms"),
    ("neurons, batch", "100, 5 trials", "50, 32 trials"),
    ("traces", "convolved over the stored run, (B, n, n_in, T)", "recursions, (B, n, n_in)"),
    ("surrogate", "γ·max(0, 1 − |v − θ|/θ), γ = 0.3, θ = 0.6", "divided by θ, else the same"),
    ("feedback; error", "symmetric; last 150 ms", "symmetric, random; last 150 ms"),
    ("optimiser", "Adam 1e-4, gradients × (0.05, 0.05, 1)", "Adam 1e-2"),
    ("data", "200 fixed trials, 10 epochs; 100 for test", "fresh trials; 1,000 a seed for test"),
]


def main(cfg: Config, run: Run) -> None:
    data = run.data(mnist)
    run.print("\n1  One synapse, one neuron")
    found = experiment_synapse(cfg)
    run.figure(plot_synapse(found), "synapse")
    run.claim(
        "window_error",
        "STDP by traces against A±·exp(−|Δt|/τ±): difference",
        found["error"],
        "",
        "<= 1e-6",
    )
    for key, (name, w) in zip(
        ("additive", "multiplicative", "anti"), found["weights"].items(), strict=True
    ):
        run.claim(
            f"gain_{key}",
            f"{name}: mean weight, correlated − independent",
            w[:40].mean() - w[40:].mean(),
            "",
        )
        run.claim(
            f"ends_{key}", f"{name}: weights within 0.1 of a bound", ((w < 0.1) | (w > 0.9)).mean()
        )
    run.print(f"\n2  {cfg.neurons} neurons, {cfg.train_images:,} digits, no labels")
    found, n = experiment_features(cfg, data), len(data.y_test)
    run.figure(plot_features(found, cfg.neurons), "features")
    for key, name in zip(("no_inhibition", "fixed", "few"), found["accuracy"], strict=False):
        run.claim(
            f"stdp_{key}",
            f"STDP layer, {name}, up to 10,000 images, validation",
            found["accuracy"][name],
            n=len(data.y_val),
            real=True,
        )
    run.claim(
        "stdp_accuracy",
        f"STDP layer, {cfg.neurons} neurons, test accuracy",
        found["test"],
        "1",
        ">= 0.87" if cfg.full else ">= 0.80",
        n=n,
        real=True,
    )
    run.claim("stdp_seconds", "it learns on one CPU core in", found["seconds"], "s", real=True)
    run.print(f"\n3  e-prop and BPTT; cue accumulation, {210 + cfg.wait} steps, {cfg.seeds} seeds")
    for key, (name, error) in zip(
        ("lif", "alif", "cut"), experiment_exact(cfg).items(), strict=True
    ):
        run.claim(
            f"exact_{key}",
            f"e-prop's gradient against BPTT's, relative: {name}",
            error,
            "",
            "<= 1e-5",
        )
    arms, memory = experiment_cues(cfg, run.device), experiment_memory(cfg)
    run.figure(plot_eprop(cfg, arms, experiment_traces(cfg), memory), "eprop")
    best, bptt = arms["e-prop, ALIF, symmetric"], arms["BPTT, ALIF"]
    run.checkpoint(best["net"])
    for key, (name, arm) in zip(
        ("lif", "lif_slow", "random", "eprop", "bptt"), arms.items(), strict=True
    ):
        run.claim(
            f"cue_{key}",
            f"cue task: {name}",
            arm["test"].mean(),
            "1",
            ">= 0.95" if key == "eprop" else None,
            n=arm["n"],
        )
    for layer, value in zip(("in", "rec", "out"), best["cosine"].mean(0)[1, 0], strict=True):
        run.claim(
            f"cosine_{layer}",
            f"W_{layer}: cosine of e-prop (symmetric, trained) and BPTT",
            value,
            "",
        )
    run.table(
        "Cue task",
        ("arm", "test accuracy by seed", "Hz", "s an update"),
        [
            (
                k,
                " ".join(f"{t:.3f}" for t in v["test"]),
                200 * v["rate"].mean(),
                v["seconds"].mean(),
            )
            for k, v in arms.items()
        ],
    )
    run.table(
        "Cosine of e-prop's gradient to BPTT's, untrained → trained by the arm",
        (
            "arm",
            *(f"{w}, {fb}" for fb in ("symmetric", "random") for w in ("W_in", "W_rec", "W_out")),
        ),
        [
            (k, *(f"{a:.2f} → {b:.2f}" for a, b in v["cosine"].mean(0).reshape(2, 6).T))
            for k, v in arms.items()
        ],
    )
    run.print("\n4  Memory, and three rules side by side")
    steps, digits = memory["steps"], experiment_supervised(cfg, data, run.device)
    run.claim(
        "memory_r2", "straightness (R²) of BPTT's memory against T", memory["r2"], "", ">= 0.999"
    )
    run.claim("memory_slope", "BPTT keeps, per step and sample", memory["slope"], "bytes")
    run.claim(
        "memory_growth",
        f"e-prop keeps, T = {steps[-1]:,} / {steps[0]}",
        memory["growth"],
        "ratio",
        "<= 1.01",
    )
    run.claim(
        "memory_crossing",
        "length from which on BPTT keeps more than e-prop",
        memory["crossing"],
        "steps",
    )
    for key, name in zip(("bptt", "eprop", "random"), RULES, strict=True):
        run.claim(
            f"mnist_{key}",
            f"MNIST, {cfg.neurons} hidden neurons: {name}",
            digits[name],
            n=n,
            real=True,
        )
    kib = [
        f"{k / 1024:,.0f} KiB"
        for k in (4 * (784 + 2 * cfg.neurons), *(p[-1] for p in memory["kept"].values()))
    ]
    run.table(
        "Three rules",
        ("", "STDP", "e-prop", "BPTT"),
        [
            (
                "a synapse needs",
                "two traces",
                "its traces, L_j from outside",
                "all later states, weights of others",
            ),
            (
                "memory grows with",
                f"neurons: {kib[0]} (MNIST)",
                f"synapses: {kib[2]}",
                f"T: {kib[1]} at {steps[-1]:,}",
            ),
            ("s per update, cue task", "—", best["seconds"].mean(), bptt["seconds"].mean()),
            ("accuracy, cue task", "— (no teacher)", best["test"].mean(), bptt["test"].mean()),
            ("accuracy, MNIST", found["test"], digits["e-prop, symmetric"], digits["BPTT"]),
        ],
    )
    run.table("Frenkel's e-prop in PyTorch and this one", ("", "Frenkel", "here"), FRENKEL)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
