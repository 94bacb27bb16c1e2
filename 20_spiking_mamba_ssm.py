"""Lesson 20 — Spiking state space models: long memory, all steps at once, and the reset in the way

Question
    A recurrent network walks through a sequence step by step, so a long sequence trains slowly. Which
    part of a spiking neuron forces it to walk, and what does a network lose that leaves this part out?

Idea
    Between two spikes a neuron is linear. A linear system that is driven by an input x and keeps a
    state h is called a state space model (SSM). Here each neuron has N states h₁ … h_N, complex
    numbers, and its potential U is a weighted sum of them. Δ is the time from one step to the next:

        h′(τ) = A·h(τ) + x(τ)         U(τ) = Re Σ C·h(τ)                                          (1)
        h[t] = a·h[t−1] + b·x[t]      a = e^(ΔA),  b = (a − 1)/A                                  (2)

    A LIF neuron is the case of one real state, A = −1/τ_m, with a spike and a reset added. Without
    the reset, step t is a sum over the past and can be had without step t − 1, for all t at once:

        U[t] = k[0]·x[t] + k[1]·x[t−1] + …              k[n] = Re Σ C·b·aⁿ                        (3)

    With the reset it cannot, it seems, because the sum needs the spikes before t. But if the spikes
    were known, it could. So guess them, work out U, and correct the guess until nothing changes:

        U⁽ⁱ⁺¹⁾ from the input x[t] − θ·S⁽ⁱ⁾[t−1] by (3)         S⁽ⁱ⁺¹⁾ = 1 if U⁽ⁱ⁺¹⁾ > θ else 0        (4)

Read first
    Theory     S4D, Gu et al. 2022, https://arxiv.org/abs/2206.11893 · Mamba, sections 2 and 3, Gu & Dao
               2023, https://arxiv.org/abs/2312.00752 · P-SpikeSSM https://arxiv.org/abs/2406.02923
    Practice   LeakyParallel and StateLeaky, https://snntorch.readthedocs.io/en/latest/snntorch.html

Run
    uv run 20_spiking_mamba_ssm.py --predict   asks what you expect, then measures it: start here
    uv run 20_spiking_mamba_ssm.py             about six minutes on one CPU core; also --only 1
    uv run 20_spiking_mamba_ssm.py --train     trains the network of section 5 anew: five minutes more, --resume
    uv run 20_spiking_mamba_ssm.py --full      784 steps; wants a GPU

Builds on / leads to
    01 the LIF, 13 the task and adLIF, which is (2) with one complex state, 18 attention. Next: the capstone.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from common import plots
from common.cost import estimated_energy_nj
from common.data import ImageData, mnist
from common.io import ROOT, UserError, live, write_atomic
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import over_time
from multistep import unroll, unroll_adaptive
from multistep.adaptive import Adaptation
from multistep.linear import convolve, kernel, unroll_linear
from multistep.sequence import fire
from training import evaluate, fit
from training.arms import count_parameters, interval, widest
from training.augment import jitter

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn


@dataclass
class Config(LessonConfig):
    """``num_steps`` is the number of pixels of an image: it is shrunk to the largest square of so many."""

    num_steps: int = bounded(196, 1, 784)
    """pixels of an image, one a step (T): 196 is 14 × 14, 784 is 28 × 28"""
    num_hidden: int = bounded(64, 2, 10_000)
    """neurons of each of the two layers in section 4 (H)"""
    num_states: int = bounded(4, 1, 256)
    """complex states of a neuron (N)"""
    dt_max: float = bounded(0.2, 1e-4, 10.0)
    """largest Δ at the start; the smallest is a fiftieth of it"""
    images: int = bounded(3_200, 10, 55_000)
    """training images of each network of section 4, each seen once"""
    updates: int = bounded(200, 1, 100_000)
    """updates of each network of section 6"""
    seeds: int = bounded(3, 2, 20)
    """trainings of each arm of a comparison"""
    train: bool = False
    """train the network of section 5 anew instead of reading it from checkpoints/"""
    best_epochs: int = bounded(2, 1, 1000)
    """passes over all training images in that training"""
    best_more_epochs: int = bounded(1, 1, 1000)
    """passes after that, at three tenths of the learning rate"""
    best_hidden: int = bounded(128, 2, 10_000)
    """neurons of each of its two layers"""
    resume: bool = False
    """go on with that training after its last finished epoch"""


SMOKE = {
    "num_steps": 16,
    "num_hidden": 8,
    "images": 64,
    "updates": 2,
    "seeds": 2,
    "best_epochs": 1,
    "best_hidden": 8,
}
FULL = {"num_steps": 784, "images": 55_000, "updates": 2000, "train": True, "best_epochs": 20}


def s4d(num_states: int, first: int = 0) -> Tensor:
    """The N rates A that S4D-Lin starts from: −½ + iπ·n for n = ``first``, ``first`` + 1, …"""
    n = torch.arange(first, first + num_states)
    return torch.complex(torch.full((num_states,), -0.5), math.pi * n.float())


def apart(x: Tensor, truth: Tensor) -> float:
    """The largest difference, as a share of the largest number."""
    difference = (x - truth).abs().max()
    return (difference / truth.abs().max()).item()


# ---------------------------------------------------------------- 1  one neuron


def walk(a: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    """Equation (2), a step at a time: complex ``a`` and ``weight`` = b·C ``(N,)``, input ``x (T,)`` → U ``(T,)``."""
    h = torch.zeros_like(a)
    mem_rec = []
    for x_t in x:
        h = a * h + x_t
        mem_rec.append((weight * h).real.sum())
    return torch.stack(mem_rec)


def euler(A: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """a and b if h changes by Δ times its slope at the start of the step."""
    return 1 + dt * A, torch.full_like(A, dt)


def bilinear(A: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """a and b if h changes by Δ times the mean of its slopes at the start and at the end."""
    end = 1 - dt * A / 2
    return (1 + dt * A / 2) / end, dt / end


def zero_order_hold(A: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """a and b if x holds still during the step: the exact solution, equation (2)."""
    a = torch.exp(dt * A)
    return a, (a - 1) / A


RULES_OF_STEP = {"Euler": euler, "bilinear": bilinear, "zero-order hold": zero_order_hold}


@section
def section_membrane(cfg: Config, run: Run) -> None:
    """1  What is a leaky membrane, seen as a state space model?

    Lesson 01's membrane without a spike is U[t] = β·U[t−1] + I[t]. That is equation (2) with one real
    state and a = β. A pulse at its input fades, and that is all it can do. With a complex A = −½ + iω the
    state turns while it fades, so its real part rings: that is adLIF of lesson 13. A neuron with N such
    states adds them up with its own weights C and can answer a pulse with almost any curve. S4D takes
    ω = 0, π, 2π, …, and the time step Δ says how long all of this lasts: about 2/Δ steps.

    The equation in continuous time becomes a step in one of three ways, which differ in a and b:

        Euler               a = 1 + ΔA                       b = Δ
        bilinear            a = (1 + ΔA/2) / (1 − ΔA/2)      b = Δ / (1 − ΔA/2)
        zero-order hold     a = e^(ΔA)                       b = (a − 1) / A

    After t steps a pulse is aᵗ times as large, so |a| decides. Where |a| > 1 the state explodes, although
    the true one, e^(At), fades for every A with a negative real part. Zero-order hold is exact as long
    as x does not change during a step.

    And the same numbers come out of (3), the convolution with the kernel k, which needs no state at all.
    """
    run.predict(
        "fate",
        "A = −½ + 3πi fades. It is stepped by Euler's rule with Δ = 0.1. What does |h| do in 196 steps?",
        ("fade, but too slowly", "stay about the same", "grow at least a millionfold"),
    )
    T, dt = 196, 0.1
    pulse = torch.zeros(T)
    pulse[0] = 1.0
    beta = math.exp(-0.5 * dt)
    one_real = walk(torch.tensor([beta + 0j]), torch.ones(1), pulse)
    lif = snn.Leaky(beta=beta, reset_mechanism="none")
    _, mem_rec, _ = unroll(lif, pulse.view(T, 1, 1), record_mem=True)
    differs = (mem_rec.flatten() - one_real).abs().max().item()

    torch.manual_seed(cfg.seed)
    A = s4d(4)
    a, b = zero_order_hold(A, dt)
    C = torch.randn(4, dtype=torch.complex64)
    one_ringing = walk(a[3:], torch.ones(1), pulse)
    weight = b * C
    four = walk(a, weight / weight.abs().max(), pulse)

    x = torch.randn(T, 1, 1, generator=run.generator())
    recurrent = walk(a, weight, x.flatten())
    k = kernel(a.unsqueeze(0), weight.unsqueeze(0), T)  # (T, 1)
    convolved = convolve(x, k).flatten()
    forms = apart(convolved, recurrent)

    # Three rules of stepping: constant input x = 1, for which the truth is (e^(At) − 1)/A.
    last = A[3:]  # −½ + 3πi
    t = torch.arange(1, T + 1)
    truth = (torch.exp(last * dt * t) - 1) / last  # (T,)
    shown, size, error = {}, {}, {}
    for name, rule in RULES_OF_STEP.items():
        a_rule, b_rule = rule(last, dt)
        size[name] = a_rule.abs().item()
        h = b_rule * (1 - a_rule**t) / (1 - a_rule)  # the sum of b·aⁿ
        error[name] = apart(h, truth)
        shown[name] = h.real[:40].clamp(-0.5, 0.5)
    grown = size["Euler"] ** T

    title = (
        f"Euler's step makes a fading state 10^{math.log10(grown):.0f} times as large in {T} steps"
    )
    fig, (ax, bx) = plots.figure(1, 2, (12, 4.2), title)
    lines = {"one real state (LIF)": one_real, "one complex state": one_ringing}
    lines["four complex states"] = four
    plots.curves(ax, range(T), lines, markers=False)
    ax.set_xlim(0, 120)
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.18), ncols=3)
    plots.label(ax, "steps after one pulse", "potential U", "what a neuron remembers of a pulse")
    plots.curves(bx, range(40), {"exact": truth.real[:40], **shown})
    bx.set_ylim(-0.5, 0.5)
    bx.legend(loc="upper left", bbox_to_anchor=(0, -0.18), ncols=4)
    plots.label(bx, "step", "real part of h", "constant input, A = −½ + 3πi, Δ = 0.1")
    run.figure(fig, "1_membrane", look="left: what fades and what rings; right: who leaves 'exact'")

    run.claim("lif", "LIF below θ against one real state", differs, "", "<= 1e-6")
    run.claim("forms", "convolution against step by step", forms, "1", "<= 1e-4")
    run.claim("euler", "Euler: |h| after 196 steps", math.log10(grown), "powers of ten")
    run.claim("bilinear", "bilinear: largest error, of the truth", error["bilinear"])
    run.claim("held", "zero-order hold: the same", error["zero-order hold"], "1", "<= 1e-4")
    run.outcome("fate", fate(grown))
    run.finding(
        f"A LIF neuron below its threshold is a state space model with one real state. With Δ = 0.1 Euler's "
        f"step multiplies a state of −½ + 3πi by {size['Euler']:.3f} a step, zero-order hold by "
        f"{size['zero-order hold']:.3f}. The bilinear rule keeps the size ({size['bilinear']:.3f}), but turns by another "
        f"angle: it is off by up to {100 * error['bilinear']:.0f} %."
    )


def fate(grown: float) -> str:
    """The answer to section 1's question."""
    if grown > 1e6:
        return "grow at least a millionfold"
    return "fade, but too slowly" if grown < 0.5 else "stay about the same"


# ---------------------------------------------------------------- 2  all steps at once


def steps(a: Tensor, b: Tensor) -> Tensor:
    """h[t] = a[t]·h[t−1] + b[t] from rest, one step after the other: ``(T, …)`` each."""
    h = [b[0]]
    for t in range(1, len(b)):
        h.append(a[t] * h[t - 1] + b[t])
    return torch.stack(h)


def scan(a: Tensor, b: Tensor) -> Tensor:
    """The same in about 2·log₂T rounds, each of which does all its steps at once."""
    T = len(b)
    if T == 1:
        return b
    even = slice(0, T // 2 * 2, 2)
    odd = slice(1, None, 2)
    # neighbours are joined into one step of twice the length: (a₁, b₁) then (a₂, b₂)
    joined_a = a[odd] * a[even]
    joined_b = a[odd] * b[even] + b[odd]
    every_second = scan(joined_a, joined_b)  # h after steps 1, 3, 5, …
    h = torch.empty_like(b)
    h[odd] = every_second
    h[0] = b[0]
    between = slice(2, None, 2)
    before = every_second[: len(b[between])]
    h[between] = a[between] * before + b[between]  # the steps in between
    return h


class Recurrence(torch.autograd.Function):
    """``apply(a, b)`` is ``scan(a, b)``; on the way back the errors run the same recursion from the end."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:  # type: ignore[override]
        h = scan(a, b)
        ctx.save_for_backward(a, h)
        return h

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        a, h = ctx.saved_tensors
        nothing = torch.zeros_like(h[:1])
        later = torch.cat([nothing, a[1:].flip(0).conj()])
        error = scan(later, grad.flip(0)).flip(0)  # δ[t] = ∂L/∂h[t] + a[t+1]*·δ[t+1]
        before = torch.cat([nothing, h[:-1]])
        return error * before.conj(), error


def seconds(function: Callable[[], object], repeats: int = 5) -> float:
    """The shortest of a few calls: what the work takes when nothing disturbs it."""
    function()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def convolved(x: Tensor, a: Tensor, weight: Tensor) -> Tensor:
    """Equation (3), kernel included: ``x (T, B, H)``, ``a`` and ``weight (H, N)`` → ``(T, B, H)``."""
    return convolve(x, kernel(a, weight, len(x)))


def associative_error(num_steps: int, run: Run) -> float:
    """How far snn.AssociativeLeaky's states are from its own recursion, after ``num_steps``, relative to them."""
    torch.manual_seed(run.cfg.seed)
    neuron = snn.AssociativeLeaky(8, 4, 4, 16, use_q_projection=False)
    neuron.output = False  # the states, not the spikes
    x = torch.randn(num_steps, 1, 8, generator=run.generator())
    with torch.no_grad():
        v = neuron.to_v(x)
        k = neuron.to_k(x)
        alpha = torch.sigmoid(neuron.to_alpha(x))
        written = torch.einsum("tbd,tbn->tbdn", v, k)
        kept = alpha.unsqueeze(2).expand_as(written)
        truth = steps(kept, written).flatten(2)  # S[t] = α[t]·S[t−1] + v[t]·k[t]ᵀ
        return apart(neuron(x)[-1], truth[-1])


@section
def section_scan(cfg: Config, run: Run) -> None:
    """2  How can all steps be worked out at once?

    Without a reset a step is h ← a·h + b, where b now stands for all that comes in, b·x[t] in (2). Two
    steps, one after the other, are again one such step:

        a₂·(a₁·h + b₁) + b₂ = (a₂·a₁)·h + (a₂·b₁ + b₂)                                            (5)

    This rule of joining is associative: it does not matter which neighbours are joined first. So T steps
    are joined in pairs, the pairs in pairs, and after log₂T rounds one pair stands for them all; on the
    way back down the steps in between are filled in. That is `scan`, above. A processor with room for
    all pairs of a round needs 2·log₂T rounds instead of T. The pairs may differ from step to step, which
    is what Mamba needs (section 6). The convolution (3) wants one a for all steps.

    What snnTorch 1.0.0 offers are neurons without a reset:

        LeakyParallel       PyTorch's nn.RNN, whose loop is in C++, with ReLU: U below 0 is cut off
        StateLeaky          equation (3) with k[n] = e^(−n/τ) and τ = 1/(1 − β)
        AssociativeLeaky    α[t] from the input, as in section 6; by cumulative sums and products

    Two of them hold a surprise. StateLeaky(β) does not leak by β. And AssociativeLeaky divides what is
    written at step r by the product of all α up to r, and multiplies by the product up to t later on.
    That is right on paper, but these products shrink like 2^(−r), and it adds 10⁻⁸ before it divides.
    """
    lengths = [16, 64] if cfg.smoke else [64, 256, 1024, 4096]
    run.predict(
        "scan_speed",
        f"{lengths[-1]:,} steps on one CPU core, in Python: how many times as fast as the loop is the scan?",
        unit="times",
    )
    dt = torch.logspace(-2, -0.7, 16).unsqueeze(1)  # 16 neurons, Δ from 0.01 to 0.2
    a = torch.exp(dt * s4d(4))
    weight = torch.randn(16, 4, dtype=torch.complex64, generator=run.generator())
    times: dict[str, list[float]] = {"loop": [], "scan": [], "convolution": []}
    off = 0.0
    for T in live(lengths, "   lengths", len(lengths)):
        x = torch.randn(T, 1, 16, generator=run.generator())
        b = x.unsqueeze(-1).expand(T, 1, 16, 4).to(a.dtype)
        every = a.expand_as(b)
        loop_s = seconds(partial(steps, every, b), 2)
        scan_s = seconds(partial(scan, every, b))
        kernel_s = seconds(partial(convolved, x, a, weight))
        times["loop"].append(loop_s)
        times["scan"].append(scan_s)
        times["convolution"].append(kernel_s)
        h_loop = steps(every, b)
        h_scan = scan(every, b)
        truth = (weight * h_loop).real.sum(-1)
        by_scan = (weight * h_scan).real.sum(-1)
        by_kernel = convolved(x, a, weight)
        off = max(off, apart(by_scan, truth), apart(by_kernel, truth))

    state = snn.StateLeaky(beta=0.5, channels=1)
    pulse = torch.zeros(3, 1, 1)
    pulse[0] = 1.0
    _, mem = state(pulse)
    leak = (mem[1] / mem[0]).item()
    far = [4, 8, 16, 24, 32, 48, 64, 96, 128, 196]
    wrong = [associative_error(T, run) for T in far]

    faster = loop_s / scan_s  # at the greatest length
    by_fourier = loop_s / kernel_s
    title = f"{lengths[-1]:,} steps: the scan is {faster:.0f} times as fast as the loop"
    fig, (ax, bx) = plots.figure(1, 2, (12, 4.2), title)
    shown = {name: 1000 * np.array(t) for name, t in times.items()}
    plots.curves(ax, lengths, shown)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(lengths, [f"{T:,}" for T in lengths])
    plots.label(ax, "steps T", "time (ms)", "16 neurons of 4 states, forward, one core")
    bx.plot(far, np.maximum(wrong, 1e-9), "o-", color=plots.RED)
    bx.set_yscale("log")
    plots.label(bx, "steps T", "error of the last state (1: all)", "snn.AssociativeLeaky")
    run.figure(fig, "2_scan", look="left: slopes; right: where the error leaves rounding behind")

    run.claim("agree", "loop, scan, convolution: difference", off, "1", "<= 1e-4")
    run.claim("scan_speed", f"scan against loop, {lengths[-1]:,} steps", faster, "times")
    run.claim("state_leak", "StateLeaky(β = 0.5) keeps a step", leak, "1")
    run.claim("associative", f"AssociativeLeaky, {far[-1]} steps: error", wrong[-1], "1")
    lost = np.array(far)[np.array(wrong) > 0.01]
    when = f"from about {lost[0]} steps on" if len(lost) else "nowhere up to 196 steps"
    run.finding(
        f"Loop, scan and convolution give the same numbers. For {lengths[-1]:,} steps the scan takes "
        f"1/{faster:.0f} of the loop's time, the convolution 1/{by_fourier:.0f}. "
        f"snn.StateLeaky(0.5) keeps {leak:.3f} a step, and snn.AssociativeLeaky is more than 1 % off {when}."
    )


# ---------------------------------------------------------------- 3  the reset, in parallel


def membrane_of(cur: Tensor, spk: Tensor, beta: float, threshold: float = 1.0) -> Tensor:
    """U for all steps at once if the spikes were ``spk (T, B, H)``: (3), with the reset as an input."""
    silent = torch.zeros_like(spk[:1])
    paid = torch.cat([silent, spk[:-1]])  # S[t−1]: a spike is paid for at the next step
    a = torch.full((cur.shape[-1], 1), complex(beta), device=cur.device)
    return unroll_linear(cur - threshold * paid, a, torch.ones_like(a))


def rounds(cur: Tensor, beta: float, most: int | None = None) -> list[Tensor]:
    """Equation (4) from a silent guess: the spikes after each round, until a round changes nothing."""
    spk = torch.zeros_like(cur)
    guesses = []
    for _ in range(most or len(cur) + 1):
        new = (membrane_of(cur, spk, beta) > 1).to(cur.dtype)
        guesses.append(new)
        if torch.equal(new, spk):
            break
        spk = new
    return guesses


def parallel_leaky(cur: Tensor, beta: float) -> Tensor:
    """The spikes of snn.Leaky, and its gradient: back through the last round only.

    snnTorch detaches the reset, so the way back is linear, and one pass does all of it.
    """
    with torch.no_grad():
        spk = rounds(cur, beta)[-1]
    return fire(membrane_of(cur, spk, beta) - 1)


LEAKS = (0.5, 0.8, 0.9, 0.95, 0.99)


@section
def section_reset(cfg: Config, run: Run) -> None:
    """3  Can the reset stay, and all steps still be worked out at once?

    With a reset the next step needs the spike of this one. A step is still a function of U, and functions
    can always be joined. What is missing is a short description of the joined one: (5) keeps two numbers
    however many steps it stands for, but each threshold on the way cuts the line into one more piece.

    Equation (4) goes another way. Take any guess of all spikes, say none. Work out U for all steps with
    these spikes as resets, which is linear, hence parallel, and see where it is above θ: that is the next
    guess. If a round changes nothing, U and spikes fit each other, and there is only one way to fit. Why does
    it end? Step 1 needs no spike before it, so it is right after round 1. Step 2 needs the spike of step
    1 only, so it is right after round 2. After T rounds everything is right; one more round sees that
    nothing changes. The hope is that far fewer will do (Feng et al. 2025, https://arxiv.org/abs/2506.12087:
    they report that three do, with a threshold softened for it). For neurons that are reset to
    a constant, Morrill et al. 2026 keep the reset exactly, with associative scans that take in many
    input spikes at once: https://arxiv.org/abs/2603.13283.

    The current is noise around a mean of 0.15 (θ = 1). The leak decides how far a wrong spike is felt.
    """
    run.predict(
        "rounds_slow",
        f"{cfg.num_steps} steps, β = 0.99. After how many rounds is every spike right?",
        unit="rounds",
    )
    T, B, H = cfg.num_steps, 8, 32
    cur = 0.15 + 0.3 * torch.randn(T, B, H, generator=run.generator())
    needed, wrong, spikes = {}, {}, {}
    for beta in live(LEAKS, "   leaks", len(LEAKS)):
        lif = snn.Leaky(beta=beta)
        true, _, _ = unroll(lif, cur)
        guesses = rounds(cur, beta)
        needed[beta] = max(1, len(guesses) - 1)  # the last round only sees that nothing changes
        count = max(1.0, true.sum().item())
        wrong[beta] = [(guess != true).sum().item() / count for guess in guesses]
        spikes[beta] = true.sum(0).max().item()
    slow = LEAKS[-1]  # its spikes and guesses are drawn below

    # The gradient against multistep.unroll.
    lif = snn.Leaky(beta=0.9, spike_grad=fire)
    leaf = cur.clone().requires_grad_()
    weights = torch.randn(T, B, H, generator=run.generator(1))
    spk_stepped, _, _ = unroll(lif, leaf)
    spk_at_once = parallel_leaky(leaf, 0.9)
    (grad_true,) = torch.autograd.grad((spk_stepped * weights).sum(), leaf)
    (grad,) = torch.autograd.grad((spk_at_once * weights).sum(), leaf)
    gradient = apart(grad, grad_true)

    # Time, forward and both ways, against the fast path of snn.Leaky.
    lif = snn.Leaky(beta=0.9)

    def stepped(x: Tensor) -> Tensor:
        return unroll(lif, x)[0]

    def both_ways(run_layer: Callable[[Tensor], Tensor]) -> None:
        run_layer(leaf).sum().backward()

    at_once = partial(parallel_leaky, beta=0.9)
    with torch.no_grad():
        rounds_s = seconds(partial(at_once, cur))
        stepped_s = seconds(partial(stepped, cur))
    forward = rounds_s / stepped_s
    rounds_s = seconds(partial(both_ways, at_once))
    stepped_s = seconds(partial(both_ways, stepped))
    both = rounds_s / stepped_s

    title = f"β = {slow}: every spike is right after {needed[slow]} rounds; β = 0.5: after {needed[0.5]}"
    fig, (ax, bx) = plots.figure(1, 2, (13, 4.8), title, width_ratios=(1.3, 1))
    rows = {}
    last = len(guesses) - 1
    for i in (0, 1, 2, 3, last // 4, last // 2, 3 * last // 4, last):
        if i <= last:
            rows[f"round {i + 1}"] = guesses[i][:, 0, 0]
    rows["snn.Leaky"] = true[:, 0, 0]
    plots.raster(ax, torch.stack(list(rows.values()), 1))
    ax.set_yticks(range(len(rows)), list(rows))
    ax.invert_yaxis()
    plots.label(ax, "step", "", f"one neuron, β = {slow}: the guess of some rounds")
    for i, (beta, share) in enumerate(wrong.items()):
        look = {"color": plots.COLOURS[i], "linestyle": plots.DASHES[i], "linewidth": 1.2}
        bx.plot(
            range(1, len(share) + 1),
            np.maximum(share, 1e-4),
            label=f"β = {beta}",
            **look,
        )
    bx.set_yscale("log")
    bx.legend(loc="upper left", bbox_to_anchor=(1, 1))
    plots.label(bx, "round", "wrong entries / true spikes", "drawn at 10⁻⁴: none is wrong")
    run.figure(
        fig, "3_reset", look="left: the part that is right grows from the left, round by round"
    )

    run.claim("rounds_fast", "β = 0.5: rounds until all is right", needed[0.5], "rounds")
    run.claim("rounds_slow", "β = 0.99: rounds until all is right", needed[slow], "rounds")
    left = max(share[-1] for share in wrong.values())
    run.claim("left", "wrong entries after the last round", left, "1", "<= 1e-3")
    run.claim("gradient", "gradient against unroll: difference", gradient, "1", "<= 1e-4")
    run.claim("time_both", "time, both ways, against unrolling", both, "times")
    run.finding(
        f"In the end {100 * left:.2g} % of the entries are wrong. That takes {needed[0.5]} rounds for β = 0.5, {needed[0.9]} for β = 0.9 and "
        f"{needed[slow]} for β = {slow}, where the busiest neuron fires {spikes[slow]:.0f} times in {T} steps: "
        f"{needed[slow] / max(1, spikes[slow]):.1f} rounds a spike. On this CPU, for β = 0.9, the rounds take {forward:.1f} "
        f"times the time of stepping forward, and {both:.1f} times both ways. The way back needs one pass.",
        claim="rounds_slow",
    )


# ---------------------------------------------------------------- 4  what each part buys


@dataclass(frozen=True)
class Kind:
    """An arm of section 4: the states of a neuron, and how its potential becomes spikes."""

    states: int = 4
    ringing: bool = True  # complex states; without it real ones, which only fade
    rule: str = "threshold"


def spread(num_hidden: int, dt_max: float) -> Tensor:
    """Δ of each neuron, ``(H,)``: from ``dt_max`` to a fiftieth of it, in random order."""
    dt = dt_max * torch.logspace(0, -math.log10(50), num_hidden)
    return dt[torch.randperm(num_hidden)]


class SSM(nn.Module):
    """Equations (1) and (2) for H neurons with N states each; A, C and Δ are learnt.

    A starts as S4D-Lin, A_n = −1/2 + iπ·n for n = 0 … N − 1; Δ is spread over the neurons.
    """

    def __init__(self, num_hidden: int, kind: Kind, dt_max: float) -> None:
        super().__init__()
        H, N = num_hidden, kind.states
        self.log_decay = nn.Parameter(torch.full((H, N), math.log(0.5)))
        first = 1 if N == 1 and kind.ringing else 0  # a single complex state has to ring
        self.omega = nn.Parameter(s4d(N, first).imag.repeat(H, 1), requires_grad=kind.ringing)
        self.C = nn.Parameter(torch.randn(H, N, 2))  # real and imaginary part
        self.log_dt = nn.Parameter(spread(H, dt_max).log())

    def discretise(self) -> tuple[Tensor, Tensor]:
        """Equation (2): a, and b·C in one, complex ``(H, N)`` each."""
        A = torch.complex(-self.log_decay.exp(), self.omega)  # Re A < 0: |a| < 1 whatever is learnt
        dt = self.log_dt.exp().unsqueeze(1)
        a = torch.exp(dt * A)
        C = torch.view_as_complex(self.C)
        return a, C * (a - 1) / A

    def forward(self, x: Tensor) -> Tensor:
        """All steps from rest: ``(T, B, H)`` → potentials ``(T, B, H)``."""
        return unroll_linear(x, *self.discretise())

    def step(self, x_t: Tensor, h: Tensor | float) -> tuple[Tensor, Tensor]:
        """One step: input ``(B, H)`` and states ``(B, H, N)`` → potentials ``(B, H)``, states."""
        a, weight = self.discretise()
        h = a * h + x_t.unsqueeze(-1)
        return (weight * h).real.sum(-1), h


def by_threshold(mem: Tensor) -> Tensor:
    """A spike where U is above 1, and no reset; on the way back lesson 13's surrogate, a triangle."""
    return fire(mem - 1)


def graded(mem: Tensor) -> Tensor:
    """The same, but the spike carries by how much U is above 1: a number instead of a bit."""
    return F.relu(mem - 1)


def by_chance(mem: Tensor) -> Tensor:
    """A spike with probability p = U, cut to 0 … 1; on the way back the slope of p, as in P-SpikeSSM."""
    p = mem.clamp(0, 1)
    spk = (torch.rand_like(p) < p).to(p.dtype)
    return spk + (p - p.detach())  # adds 0, and the gradient of p


def with_reset(mem: Tensor) -> Tensor:
    """U is the input of a LIF neuron, which has β = ½ and the reset of lesson 01."""
    spk, _ = unroll_adaptive(mem, Adaptation(beta=0.5, reset=1.0))
    return spk


RULES = {"threshold": by_threshold, "graded": graded, "chance": by_chance, "reset": with_reset}


class Layer(nn.Module):
    """Weights → states → BatchNorm → spikes: ``(T, B, inputs)`` → ``(T, B, H)``. Only spikes leave it."""

    def __init__(self, num_inputs: int, num_hidden: int, kind: Kind, dt_max: float) -> None:
        super().__init__()
        self.fc = nn.Linear(num_inputs, num_hidden)
        self.ssm = SSM(num_hidden, kind, dt_max)
        self.norm = nn.BatchNorm1d(num_hidden)  # keeps U near the threshold
        self.rule = kind.rule
        if kind.rule == "chance":  # or half of the neurons would start where p has no slope
            nn.init.constant_(self.norm.weight, 0.25)
            nn.init.constant_(self.norm.bias, 0.25)

    def forward(self, x: Tensor) -> Tensor:
        cur = over_time(self.fc, x)  # (T, B, H)
        mem = over_time(self.norm, self.ssm(cur))
        return RULES[self.rule](mem)


class LIFLayer(nn.Module):
    """The same weights and time constants with LIF neurons: one real state, a reset, β not learnt."""

    def __init__(self, num_inputs: int, num_hidden: int, kind: Kind, dt_max: float) -> None:
        super().__init__()
        self.fc = nn.Linear(num_inputs, num_hidden)
        self.norm = nn.BatchNorm1d(num_hidden)
        self.register_buffer("beta", torch.exp(-0.5 * spread(num_hidden, dt_max)))

    def forward(self, x: Tensor) -> Tensor:
        cur = over_time(self.norm, over_time(self.fc, x))
        gain = torch.sqrt(1 - self.beta**2)  # a slow membrane adds up more of its input
        spk, _ = unroll_adaptive(gain * cur, Adaptation(beta=self.beta, reset=1.0))
        return spk


class Net(nn.Module):
    """Layers of one kind, and a leaky read-out without spikes, whose own memory is ten steps."""

    def __init__(self, kind: Kind, num_hidden: int, dt_max: float = 0.2, layers: int = 2) -> None:
        super().__init__()
        make = LIFLayer if kind.rule == "LIF" else Layer
        inputs = [1] + [num_hidden] * (layers - 1)
        self.layers = nn.ModuleList(make(n, num_hidden, kind, dt_max) for n in inputs)
        self.fc_out = nn.Linear(num_hidden, 10)
        self.register_buffer("beta_out", torch.full((10, 1), 0.9, dtype=torch.complex64))

    def hidden(self, x: Tensor) -> list[Tensor]:
        """The spikes of each layer: ``(T, B, 1)`` → ``(T, B, H)`` each."""
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return outputs

    def run(self, x: Tensor) -> Tensor:
        """All steps from rest: ``(T, B, 1)`` → potentials of the read-out ``(T, B, 10)``."""
        cur = over_time(self.fc_out, self.hidden(x)[-1])
        return unroll_linear(cur, self.beta_out, torch.ones_like(self.beta_out))

    def step(self, x_t: Tensor, state: list[Any]) -> tuple[Tensor, list[Any]]:
        """One step: ``(B, 1)`` and the state, at first ``[0.0] * 3`` → potentials ``(B, 10)``, the new state."""
        new = []
        for layer, h in zip(self.layers, state[:-1], strict=True):
            mem, h = layer.ssm.step(layer.fc(x_t), h)
            x_t = RULES[layer.rule](layer.norm(mem))
            new.append(h)
        mem_out = 0.9 * state[-1] + self.fc_out(x_t)
        return mem_out, [*new, mem_out]


def one_pixel_a_step(x: Tensor, num_steps: int) -> Tensor:
    """``(B, 1, 28, 28)`` → ``(T, B, 1)``: shrunk to √T × √T, row after row, mean about 0, variance 1."""
    side = math.isqrt(num_steps)
    pixels = F.adaptive_avg_pool2d(x, side).flatten(1)  # (B, T)
    return ((pixels - 0.13) / 0.3).t().unsqueeze(-1).contiguous()


def last_steps(mem_rec: Tensor) -> Tensor:
    """The potentials of the read-out over the last fourteenth of the steps, averaged: ``(B, 10)``."""
    last = max(1, len(mem_rec) // 14)
    return mem_rec[-last:].mean(0)


def answer_loss(mem_rec: Tensor, y: Tensor) -> Tensor:
    """Cross entropy of the potentials at the end."""
    return F.cross_entropy(last_steps(mem_rec), y)


def answer(mem_rec: Tensor) -> Tensor:
    """The class with the highest potential at the end: ``(B,)``."""
    return last_steps(mem_rec).argmax(1)


def warm_up(progress: float) -> float:
    """The learning rate's factor: up in a straight line for 5 % of the updates, then down along a cosine."""
    if progress < 0.05:
        return progress / 0.05
    return 0.5 + 0.5 * math.cos(math.pi * (progress - 0.05) / 0.95)


def train_net(
    net: Net,
    lr: float,
    seed: int,
    data: ImageData,
    cfg: Config,
    run: Run,
    name: str = "",
    epochs: int = 1,
    batch_size: int = 32,
) -> list[dict[str, float]]:
    """Train on all of ``data.x_train``; A, C and Δ learn at 0.3 times the rate of the weights."""
    states = [p for key, p in net.named_parameters() if ".ssm." in key and p.requires_grad]
    others = [p for key, p in net.named_parameters() if ".ssm." not in key]
    groups = [{"params": others, "lr": lr}]
    if states:
        groups.append({"params": states, "lr": 0.3 * lr, "weight_decay": 0.0})
    return fit(  # the training loop of lesson 09
        net,
        data,
        partial(one_pixel_a_step, num_steps=cfg.num_steps),
        run=run,
        epochs=epochs,
        batch_size=batch_size,
        loss_fn=answer_loss,
        predict=answer,
        augment=partial(jitter, shift=1),
        weight_decay=0.01,
        groups=groups,
        seed=seed,
        schedule=warm_up,
        name=name,
        resume=cfg.resume and bool(name),
        quiet=not name,
    )


def arms(cfg: Config) -> dict[str, Kind]:
    """What section 4 compares."""
    N = cfg.num_states
    return {
        "LIF, with reset": Kind(1, False, "LIF"),
        "one real state": Kind(1, False),
        "one complex state": Kind(1),
        f"{N} states": Kind(N),
        f"{N} states, reset behind": Kind(N, rule="reset"),
        f"{N} states, by chance": Kind(N, rule="chance"),
        f"{N} states, graded": Kind(N, rule="graded"),
    }


RATES = (1e-2, 3e-2)


@dataclass
class Arm:
    """One arm of a comparison; accuracies in per cent."""

    lr: float  # that with the best validation accuracy
    test: list[float]  # a training each, with this rate and other seeds
    rate: float  # share of neurons that fire in a step


def train_arm(kind: Kind, data: ImageData, cfg: Config, run: Run) -> Arm:
    """Try each rate on half of the images, keep the one best on validation, then train each seed with it."""
    encode = partial(one_pixel_a_step, num_steps=cfg.num_steps)
    half = len(data.x_train) // 2
    fewer = replace(data, x_train=data.x_train[:half], y_train=data.y_train[:half])
    tried = []
    for lr in RATES:
        torch.manual_seed(cfg.seed)
        history = train_net(Net(kind, cfg.num_hidden, cfg.dt_max), lr, cfg.seed, fewer, cfg, run)
        tried.append(history[-1]["val"])
    lr = RATES[int(np.argmax(tried))]
    test, rates = [], []
    for seed in range(cfg.seed + 1, cfg.seed + 1 + cfg.seeds):
        torch.manual_seed(seed)
        net = Net(kind, cfg.num_hidden, cfg.dt_max)
        train_net(net, lr, seed, data, cfg, run)
        test.append(100 * evaluate(net, data.x_test, data.y_test, encode, answer))
        with torch.no_grad():
            images = data.x_val[:200].float().to(run.device) / 255
            spk_rec = torch.cat(net.eval().hidden(encode(images)))
        rates.append(spk_rec.ne(0).float().mean().item())
    return Arm(lr, test, float(np.mean(rates)))


def verdict(mean: float, half: float) -> str:
    """``+8.1 ± 2.0``, or with the words that it may be nothing."""
    said = f"{mean:+.1f} ± {half:.1f}"
    return said if abs(mean) > half else f"{said} (not told apart from 0)"


@section
def section_arms(cfg: Config, run: Run) -> None:
    """4  What do the states buy, and what does the way to a spike?

    The task is lesson 13's: an image of 14 × 14 grey values comes in as 196 steps, the read-out forgets
    with β = 0.9, and its last 14 steps are the answer. The network has two layers. A layer is a Linear,
    then the states of each neuron, then a BatchNorm, then the rule that makes spikes of U; only spikes go
    to the next layer. First the states change, and the rule is a threshold without a reset:

        LIF, with reset     one real state whose β is not learnt, and lesson 01's reset
        one real state      the same memory, learnt, without a reset
        one complex state   it rings: adLIF of lesson 13
        4 states            S4D

    Then the rule changes, behind 4 states:

        threshold           S = 1 if U > 1 else 0
        reset behind        U is the input of a LIF neuron with β = ½, which is reset
        by chance           S = 1 with probability p = U, cut to 0 … 1
        graded              S = U − 1 if U > 1 else 0: an event that carries a number

    Three of these rules have no memory, so all steps are done at once. The rule by chance is what sets P-SpikeSSM (ICLR
    2025) apart from deterministic networks like SPikE-SSM (which has a refractory neuron behind the SSM). A
    spike that is drawn has a mean that depends smoothly on U, so its gradient is no surrogate of a
    jump: it is the slope of p. The price is noise, in training and in every answer. And p has a slope
    for 0 < U < 1 only: BatchNorm has to start there, with mean and standard deviation ¼.

    Equal for all: width, images, updates, batches of 32. The states add few parameters (16 for a neuron
    with 4 of them, beside 64 weights). Each arm tries two learning rates on half the images;
    validation chooses. These are short trainings: an arm that is behind may catch up in a long one.
    """
    kinds = arms(cfg)
    lif, real, ringing, many, *rules = kinds
    run.predict(
        "best_step",
        "Which of these steps buys the most?",
        ("drop the reset", "let the state ring", f"{cfg.num_states} states instead of 1"),
    )
    data = run.data(mnist)
    n = cfg.images
    few = replace(
        data,
        x_train=data.x_train[:n],
        y_train=data.y_train[:n],
        x_val=data.x_val[:500],
        y_val=data.y_val[:500],
        x_test=data.x_test[:1000],
        y_test=data.y_test[:1000],
    )
    found = {}
    for name, kind in live(kinds.items(), "   arms", len(kinds)):
        found[name] = train_arm(kind, few, cfg, run)
        mean, half = interval(found[name].test)
        run.print(f"   {name:<26} {mean:5.1f} ± {half:.1f} %")

    pairs = {
        "drop the reset": (real, lif),
        "let the state ring": (ringing, real),
        f"{cfg.num_states} states instead of 1": (many, ringing),
        "reset behind, not threshold": (rules[0], many),
        "by chance, not threshold": (rules[1], many),
        "graded, not threshold": (rules[2], many),
    }
    gains = {}
    for step, (better, than) in pairs.items():
        gained = np.subtract(found[better].test, found[than].test)
        gains[step] = interval(gained)

    means = {name: float(np.mean(arm.test)) for name, arm in found.items()}
    title = f"{many} read {means[many]:.1f} % of the test images, LIF {means[lif]:.1f} %"
    fig, (ax, bx) = plots.figure(1, 2, (12.5, 4.6), title)
    for i, arm in enumerate(found.values()):
        mean, half = interval(arm.test)
        ax.errorbar(mean, i, xerr=half, fmt="o", color=plots.BLUE, capsize=4)
        ax.plot(arm.test, [i + 0.25] * len(arm.test), "|", color="0.4")
    ax.set_yticks(range(len(found)), list(found))
    ax.set_ylim(len(found) - 0.5, -0.7)
    plots.label(ax, "test images read correctly (%)", "", "mean, 95 % interval; ticks: trainings")
    for i, (mean, half) in enumerate(gains.values()):
        bx.errorbar(mean, i, xerr=half, fmt="s", color=plots.RED, capsize=4)
    bx.axvline(0, color="grey", linewidth=0.8)
    bx.set_yticks(range(len(gains)), list(gains))
    bx.set_ylim(len(gains) - 0.5, -0.7)
    plots.label(bx, "gain (points)", "", "one change at a time, same seeds")
    run.figure(fig, "4_arms", look="right: which intervals keep clear of the line at 0")

    rows = []
    for name, arm in found.items():
        mean, half = interval(arm.test)
        reads = f"{mean:.1f} ± {half:.1f}"
        rows.append((name, f"{arm.lr:g}", reads, f"{100 * arm.rate:.1f}"))
    run.table("Learning rate that validation chose", ("arm", "rate", "test %", "firing %"), rows)
    facts = {"n": len(few.y_test) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    for id, step in zip(("reset", "ring", "states"), list(pairs)[:3], strict=True):
        run.claim(f"gain_{id}", f"gain: {step}", gains[step][0], "points", **facts)
    run.claim("arm_lif", "LIF, with reset: test images", means[lif] / 100, **facts)
    run.claim("arm_many", f"{many}: test images", means[many] / 100, **facts)
    best = max(means, key=means.__getitem__)
    firsts = list(pairs)[:3]
    run.outcome("best_step", max(firsts, key=lambda step: gains[step][0]))
    said = [f"{step} {verdict(*gains[step])}" for step in pairs]
    run.finding(
        f"After {n:,} images, in points: {'; '.join(said)}. The best mean is that of {best}, "
        f"{means[best]:.1f} %."
    )


# ---------------------------------------------------------------- 5  a long training


BEST_LR = 1e-2


def best_of(history: list[dict[str, float]]) -> float:
    """The highest validation accuracy of a training."""
    return max(row["val"] for row in history)


def best_net(data: ImageData, cfg: Config, run: Run) -> Net:
    """Four complex states and a threshold: from checkpoints/, or with --train trained anew."""
    name = f"spiking_ssm_{cfg.num_steps}"
    torch.manual_seed(cfg.seed)
    net = Net(Kind(cfg.num_states), cfg.best_hidden, cfg.dt_max)
    if cfg.train or cfg.smoke:
        history = train_net(net, BEST_LR, cfg.seed, data, cfg, run, name, cfg.best_epochs)
        first = {key: value.clone() for key, value in net.state_dict().items()}
        more = train_net(
            net, 0.3 * BEST_LR, cfg.seed + 1, data, cfg, run, f"{name}_more", cfg.best_more_epochs
        )
        if best_of(more) < best_of(history):
            net.load_state_dict(first)
        for row in more:
            row["epoch"] += cfg.best_epochs
        history += more
        run.checkpoint(net, name)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        write_atomic(run.dir / f"{name}.csv", text.getvalue())  # the log of the training
        return net
    path = ROOT / "checkpoints" / f"{name}.safetensors"
    try:
        net.load_state_dict(load_file(path))
    except (OSError, RuntimeError) as e:
        raise UserError(
            f"cannot read checkpoints/{path.name} for {cfg.num_steps} steps, {cfg.best_hidden} neurons a "
            f"layer and {cfg.num_states} states ({type(e).__name__}); run with --train"
        ) from e
    return net.to(run.device)


@torch.no_grad()
def step_answers(net: Net, x: Tensor) -> Tensor:
    """The answers ``(B,)`` if ``x (T, B, 1)`` is read one step at a time."""
    state: list[Any] = [0.0] * (len(net.layers) + 1)
    mem_rec = []
    for x_t in x:
        mem, state = net.step(x_t, state)
        mem_rec.append(mem)
    return answer(torch.stack(mem_rec))


@torch.no_grad()
def operations(net: Net, x: Tensor) -> dict[str, float]:
    """For one sequence: spikes, the additions they cause, and multiplications of what is no spike.

    A complex state takes 4 multiplications for a·h and 2 for its share of U, at every step.
    """
    T, B, _ = x.shape
    first, second = net.layers
    H, N = first.ssm.log_decay.shape
    spikes_1, spikes_2 = [spk.sum().item() / B for spk in net.hidden(x)]
    synops = spikes_1 * second.fc.out_features + spikes_2 * net.fc_out.out_features
    states = 2.0 * T * H * N * 6
    pixels = float(T * H)
    spikes = spikes_1 + spikes_2
    return {"spikes": spikes, "synops": synops, "states": states, "pixels": pixels}


@section
def section_best(cfg: Config, run: Run) -> None:
    """5  How well does it read, and what does it carry from step to step?

    A longer training of the arm with the plain threshold: two layers of 128 neurons, all 55,000
    training images twice, and once more with a lower learning rate, each moved by up to one pixel.
    The weights come with the course, checkpoints/spiking_ssm_196.safetensors, with the log of the
    training; --train makes them anew. Validation images chose the epoch, test images chose nothing.

    It was trained with all steps at once. It can be used one step at a time: `Net.step` is equation (2). What
    it has to carry is h, and the read-out's ten potentials. That is the same after one pixel and after
    a million. Attention (lesson 18) keeps a key and a value of every token it has seen, and looks at
    all of them for each new one. On a device with little memory that listens all day, this decides.

    This is why SpikeGPT (2023, 216 million parameters), the first larger spiking language model, has
    no attention: it is built on RWKV, whose state has a fixed size as well.

    What a state costs: a·h is multiplied at every step, whether a spike came or not. BatchNorm
    folds into C and a constant, so it costs nothing. Count both kinds of work before you call it sparse.
    """
    run.predict(
        "accuracy",
        "What share of the 10,000 test images does it read correctly, a pixel a step?",
        unit="%",
    )
    data = run.data(mnist)
    net = best_net(data, cfg, run)
    encode = partial(one_pixel_a_step, num_steps=cfg.num_steps)
    accuracy = evaluate(net, data.x_test, data.y_test, encode, answer)
    net.eval()
    images = data.x_test[:200].float().to(run.device) / 255
    x = encode(images)  # (T, 200, 1)
    with torch.no_grad():
        mem_out = net.run(x)
        at_once = answer(mem_out)
        one = x[:, :1]  # the first image
        spk_rec = net.hidden(one)[1][:, 0].cpu()  # of the second layer, (T, H)
        mem_rec = mem_out[:, 0].cpu().numpy()  # (T, 10)
    same = (at_once == step_answers(net, x)).float().mean().item()

    _, state = net.step(x[0, :1], [0.0] * 3)
    carried = sum(h.nbytes for h in state)
    H = cfg.best_hidden
    tokens = [64, 256] if cfg.smoke else [256, 1024, 4096, 16_384]
    cache = [2 * 2 * t * H * 4 for t in tokens]  # two layers, keys and values, float32

    digit = int(data.y_test[0])
    title = f"A {digit}, pixel by pixel: {100 * accuracy:.2f} % of {len(data.y_test):,} test images are read correctly"
    fig, axes = plots.figure(3, 1, (10, 8), title, sharex=True, height_ratios=(0.7, 1.6, 1.5))
    axes[0].fill_between(
        range(len(x)), x[:, 0, 0].cpu(), x.min().item(), color=plots.BLACK, step="mid"
    )
    plots.label(axes[0], "", "input", "the rows of the image, one after the other")
    order = net.layers[1].ssm.log_dt.argsort(descending=True).cpu()
    plots.raster(axes[1], spk_rec[:, order], width=1.2)
    plots.label(axes[1], "", "neuron", "spikes of layer 2; long memories at the top")
    for k in range(10):
        chosen = k == digit
        look = (
            {"color": plots.RED, "linewidth": 2} if chosen else {"color": "0.6", "linewidth": 0.8}
        )
        axes[2].plot(mem_rec[:, k], label=f"digit {k}" if chosen else None, **look)
    axes[2].legend(loc="upper left")
    plots.label(axes[2], "step", "potential", "read-out; grey: the other nine digits")
    run.figure(fig, "5_digit", look="bottom: when the red line leaves the others")

    times = cache[-1] / carried
    title = f"At token {tokens[-1]:,} attention's cache holds {times:,.0f} times as much as the SSM's state"
    fig, ax = plots.figure(1, 1, (8, 4), title)
    state_kib = [carried / 1024] * len(tokens)
    plots.curves(ax, tokens, {"spiking SSM": state_kib, "attention": np.divide(cache, 1024)})
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(tokens, [f"{t:,}" for t in tokens])
    plots.label(ax, "tokens so far", "carried to the next token (KiB)")
    run.figure(fig, "5_tokens", look="the line that is flat")

    ops = operations(net, x)
    macs = ops["states"] + ops["pixels"]
    energy = estimated_energy_nj(ops["synops"], macs)
    target = ">= 0.98" if cfg.num_steps == 196 else ">= 0.985"
    run.claim(
        "accuracy",
        f"test images read, {cfg.num_steps} steps",
        accuracy,
        "1",
        target,
        n=len(data.y_test),
        seeds=1,
        real=True,
    )
    run.claim("same", "one step at a time: same answers", same, "1", ">= 0.99", n=len(at_once))
    run.claim("carried", "carried from step to step", carried, "bytes")
    run.claim("cache", f"attention's cache at {tokens[-1]:,}, of that", times, "times")
    run.claim(
        "work",
        "multiplications of states, per addition by spikes",
        ops["states"] / max(1, ops["synops"]),
        "",
    )
    parameters = count_parameters(net)
    run.ledger(
        model=f"spiking SSM, 2 × {H}, {cfg.num_states} states",
        accuracy=accuracy,
        n=len(data.y_test),
        data=f"{data.name}, sequential",
        num_steps=cfg.num_steps,
        parameters=parameters,
        bytes=4 * parameters,
        spikes=ops["spikes"],
        synops=ops["synops"],
        macs=macs,
        energy_estimated_nj=energy,
    )
    run.finding(
        f"{100 * accuracy:.2f} % of the test images are read correctly, a pixel a step, with {carried:,} bytes "
        f"from step to step, the same after every token; the cache of two layers of attention would "
        f"hold {times:,.0f} times as much after {tokens[-1]:,}. Its states take {ops['states'] / 1e6:.1f} million "
        f"multiplications an image, spikes or not; its spikes take {ops['synops'] / 1e6:.2f} million additions.",
        main=True,
        claim="accuracy",
    )


# ---------------------------------------------------------------- 6  selectivity


SYMBOLS = 4
BACK = 3  # the symbol that is asked for came so many symbols before
ARMS = {
    "fixed": (False, False),
    "Δ by input": (True, False),
    "Δ, B, C by input": (True, True),
}


def n_back_batch(number: int, length: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Symbols 1 … 4 among fillers 0: tokens ``(T, B)``, and the symbol three symbols before, or −1.

    A step holds a symbol with probability 0.25. Only steps that hold one have a right answer.
    """
    tokens = torch.randint(1, SYMBOLS + 1, (length, number), generator=draw)
    filler = torch.rand(length, number, generator=draw) < 0.75
    tokens[filler] = 0
    asked = torch.full_like(tokens, -1)
    for b in range(number):
        (places,) = torch.nonzero(tokens[:, b], as_tuple=True)
        before = tokens[places[:-BACK], b]
        asked[places[BACK:], b] = before - 1
    return tokens, asked


class SelectiveNet(nn.Module):
    """One layer of spiking neurons, each with N complex states, and a linear read-out of its spikes.

    With ``by_delta`` equation (6) makes Δ from the token, with ``by_gains`` (7) makes B and C.
    """

    def __init__(self, num_hidden: int, num_states: int, by_delta: bool, by_gains: bool) -> None:
        super().__init__()
        H, N, K = num_hidden, num_states, SYMBOLS + 1
        self.fc = nn.Linear(K, H)
        self.log_decay = nn.Parameter(torch.full((H, N), math.log(0.5)))
        self.omega = nn.Parameter(s4d(N).imag.repeat(H, 1))
        self.C = nn.Parameter(torch.randn(H, N, 2))
        dt = 0.5 * torch.logspace(0, -1, H)
        self.bias = nn.Parameter(dt.expm1().log())  # softplus(bias) is Δ
        self.to_delta = nn.Parameter(torch.zeros(K, H)) if by_delta else None
        self.to_B = nn.Parameter(torch.zeros(K, N)) if by_gains else None
        self.to_C = nn.Parameter(torch.zeros(K, N)) if by_gains else None
        self.norm = nn.BatchNorm1d(H)
        self.fc_out = nn.Linear(H, SYMBOLS)

    def delta(self, x: Tensor) -> Tensor:
        """Δ for every token ``x (T, B, K)``: ``(T, B, H)``, or the same for all, ``(H,)``."""
        if self.to_delta is None:
            return F.softplus(self.bias)
        return F.softplus(self.bias + x @ self.to_delta)  # (6)

    def run(self, tokens: Tensor) -> Tensor:
        """Tokens ``(T, B)`` → four scores at every step ``(T, B, 4)``."""
        x = F.one_hot(tokens, SYMBOLS + 1).float()  # (T, B, K)
        A = torch.complex(-self.log_decay.exp(), self.omega)
        dt = self.delta(x).unsqueeze(-1)
        a = torch.exp(dt * A)  # (T, B, H, N), or (H, N)
        cur = self.fc(x).unsqueeze(-1)  # (T, B, H, 1)
        b = (a - 1) / A * cur  # (2), with the input of each step
        C = torch.view_as_complex(self.C)
        if self.to_B is not None:
            b = b * (1 + x @ self.to_B).unsqueeze(2)  # (7)
            C = C * (1 + x @ self.to_C).unsqueeze(2)
        h = Recurrence.apply(a.expand_as(b), b)  # (T, B, H, N)
        mem = (C * h).real.sum(-1)  # (T, B, H)
        spk = fire(over_time(self.norm, mem) - 1)
        return self.fc_out(spk)


SELECTIVE_RATES = (1e-2, 3e-2)
LENGTH = 40  # steps of a sequence in training


def train_selective(
    arm: str, H: int, lr: float, seed: int, updates: int, cfg: Config, run: Run
) -> SelectiveNet:
    """Train on new sequences, 32 in an update."""
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(1000 + seed)
    net = SelectiveNet(H, cfg.num_states, *ARMS[arm]).to(run.device)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: warm_up(i / updates))
    for _ in range(updates):
        tokens, asked = n_back_batch(32, LENGTH, draw)
        scores = net.run(tokens.to(run.device))
        known = asked >= 0
        right = asked[known].to(run.device)
        loss = F.cross_entropy(scores[known], right)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def named(net: SelectiveNet, length: int, seed: int, number: int = 300) -> float:
    """Share of the questions in new sequences that are answered correctly, in per cent."""
    tokens, asked = n_back_batch(number, length, torch.Generator().manual_seed(seed))
    scores = net.run(tokens.to(net.bias.device)).cpu()
    known = asked >= 0
    said = scores[known].argmax(1)
    return 100 * (said == asked[known]).float().mean().item()


@section
def section_select(cfg: Config, run: Run) -> None:
    """6  What is selectivity, and which task needs it?

    So far a and b were the same at every step. In Mamba they depend on the token x[t]. What matters most
    is Δ, which is kept positive by softplus(z) = ln(1 + eᶻ):

        Δ[t] = softplus(bias + W_Δ·x[t])        a[t] = e^(Δ[t]·A),  b[t] = (a[t] − 1)/A           (6)
        B[t] = 1 + W_B·x[t]                     C[t] = C·(1 + W_C·x[t])                           (7)

    With a Δ near 0 a = 1 and b = 0: the state waits, and the token passes by. With a large Δ the past
    fades and the token goes in. In between, Δ is how far the states turn: time passes for tokens that
    count, and stands still for others. No kernel k[n] describes this any more, since the weight of
    an input depends on what came after it, not on how long ago it was. So there is no convolution, but
    there is the scan, since (5) joins any two steps. That is why Mamba matters: it selects what it
    keeps, is trained in parallel, and answers with a state of fixed size.

    The task: one of four symbols comes at a quarter of the steps, at random, and a filler at the others. At
    each symbol, name the one three symbols before it. In symbols the way back is always three, in
    steps it is different every time. (Psychologists call it n-back; Mamba's own task, selective
    copying, is a relative.) One layer of spiking neurons, threshold, no reset; a linear read-out of its
    spikes. All arms have equal parameters, new sequences in every update, two learning rates.

    What is open. Mamba-Spike (https://arxiv.org/abs/2408.11823) puts spiking neurons in front of a Mamba,
    SPikE-SSM (https://arxiv.org/abs/2410.17268) puts them behind each SSM. The states in between are ordinary
    numbers that are multiplied at every step, spikes or not (section 5). SpikeGPT's saving is counted in
    operations, for hardware that skips zeros; a GPU does not. Whether a reset is worth its price, how a
    spiking language model compares with an ordinary one of its size and training, and which chip
    holds complex states: none of this is settled. These are papers of 2023 to 2026, and no stable library.
    """
    run.predict(
        "fixed",
        "Four symbols, so chance is 25 %. What share does the network with a fixed Δ name correctly?",
        unit="%",
    )
    budget = count_parameters(SelectiveNet(32, cfg.num_states, True, True))
    share, nets = {}, {}
    for arm in live(ARMS, "   selectivity", len(ARMS)):
        by_delta, by_gains = ARMS[arm]
        make = partial(
            SelectiveNet, num_states=cfg.num_states, by_delta=by_delta, by_gains=by_gains
        )
        H = widest(make, budget)
        tried = []
        for lr in SELECTIVE_RATES:
            net = train_selective(arm, H, lr, cfg.seed, max(1, cfg.updates // 2), cfg, run)
            tried.append(named(net, LENGTH, 5))
        lr = SELECTIVE_RATES[int(np.argmax(tried))]
        seeds = range(cfg.seed + 1, cfg.seed + 1 + cfg.seeds)
        nets[arm] = [train_selective(arm, H, lr, seed, cfg.updates, cfg, run) for seed in seeds]
        share[arm] = [
            named(net, LENGTH, 100 + seed) for net, seed in zip(nets[arm], seeds, strict=True)
        ]
        run.print(
            f"   {arm:<18} H = {H}, rate {lr:g}: "
            + ", ".join(f"{s:.1f}" for s in share[arm])
            + " %"
        )
    lengths = [LENGTH, 2 * LENGTH, 4 * LENGTH]
    longer: dict[str, list[list[float]]] = {arm: [] for arm in ARMS}
    for arm in ARMS:
        for net in nets[arm]:
            longer[arm].append([named(net, T, 7, 100) for T in lengths])
    at_end = {arm: float(np.mean(rows, 0)[-1]) for arm, rows in longer.items()}

    means = {arm: interval(values) for arm, values in share.items()}
    fixed, by_delta, by_all = share.values()
    gained, half = interval(np.subtract(by_delta, fixed))
    title = f"Δ chosen by the token instead of fixed: {gained:+.0f} ± {half:.0f} points"
    fig, (ax, bx, cx) = plots.figure(1, 3, (15, 4.2), title)
    for i, (mean, reach) in enumerate(means.values()):
        ax.errorbar(mean, i, xerr=reach, fmt=plots.MARKERS[i], color=plots.COLOURS[i], capsize=4)
    ax.axvline(100 / SYMBOLS, color="0.4", linestyle=":", linewidth=1)
    ax.set_xlim(20, 102)
    ax.set_yticks(range(len(ARMS)), list(ARMS))
    ax.set_ylim(len(ARMS) - 0.5, -0.5)
    plots.label(ax, "symbols named correctly (%)", "", "equal parameters; dotted: chance")
    tokens = torch.eye(SYMBOLS + 1, device=run.device)
    with torch.no_grad():
        delta = nets["Δ by input"][0].delta(tokens).cpu()  # (5, H)
    at_filler = delta[0]
    at_symbol = delta[1:].mean(0)
    bx.scatter(at_filler, at_symbol, s=18, color=plots.BLUE)
    top = 1.05 * delta.max().item()
    bx.plot([0, top], [0, top], color="0.5", linestyle="--", linewidth=1)
    plots.label(
        bx, "Δ at a filler", "Δ at a symbol, mean of four", "one dot a neuron; dashed: equal"
    )
    plots.curves(cx, lengths, longer)
    cx.set_ylim(20, 102)
    cx.set_xticks(lengths)
    plots.label(
        cx, "steps of a sequence (trained with 40)", "named correctly (%)", "longer sequences"
    )
    run.figure(fig, "6_select", look="middle: neurons above the dashed line let fillers pass")

    facts = {"n": 300 * cfg.seeds, "seeds": cfg.seeds}
    for id, arm in (("fixed", "fixed"), ("delta", "Δ by input"), ("all", "Δ, B, C by input")):
        run.claim(id, f"{arm}: symbols named", means[arm][0] / 100, **facts)
    run.claim("selective_gain", "gain by Δ from the input", gained, "points", ">= 10", **facts)
    more, more_half = interval(np.subtract(by_all, by_delta))
    run.finding(
        f"With a fixed Δ the network names {means['fixed'][0]:.0f} % of the symbols, with a Δ that the token "
        f"chooses {means['Δ by input'][0]:.0f} %: {verdict(gained, half)} points. B and C by input add "
        f"{verdict(more, more_half)}. In sequences of {lengths[-1]} steps it is "
        f"{at_end['fixed']:.0f} and {at_end['Δ by input']:.0f} %."
    )


def main(cfg: Config, run: Run) -> None:
    section_membrane(cfg, run)
    section_scan(cfg, run)
    section_reset(cfg, run)
    section_arms(cfg, run)
    section_best(cfg, run)
    section_select(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
