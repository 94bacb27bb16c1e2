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
    uv run 20_spiking_mamba_ssm.py             about seven minutes of an idle CPU core; also --only 1
    uv run 20_spiking_mamba_ssm.py --train     trains the network of section 5 anew: about six minutes more; also --resume
    uv run 20_spiking_mamba_ssm.py --full      784 steps; wants a GPU

Builds on / leads to
    01 the LIF, 13 the task and adLIF, which is (2) with one complex state, 18 attention. Next: the capstone.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from common import plots
from common.claims import plain
from common.cost import estimated_energy_nj
from common.data import ImageData, mnist
from common.io import ROOT, UserError, live, write_atomic
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import over_time
from multistep import unroll, unroll_adaptive
from multistep.adaptive import Adaptation
from multistep.linear import convolve, kernel, unroll_linear
from multistep.meters import timed
from multistep.sequence import fire
from training import evaluate, fit
from training.arms import count_parameters, interval, told_apart, widest
from training.augment import jitter
from training.clipped import warm_up

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
    seeds: int = bounded(5, 2, 20)
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
    "images": 32,
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
    """Equations (2) and (1), a step at a time: complex ``a`` and ``weight (N,)``, input ``x (T,)`` → U ``(T,)``.

    All of it is linear, so b may as well be multiplied by afterwards, with C: ``weight`` is b·C.
    """
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
    half = dt * A / 2
    end = 1 - half
    return (1 + half) / end, dt / end


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
    ω = 0, π, 2π, …, and the time step Δ says how long all of this lasts: a step leaves e^(−Δ/2) of it, so
    after 2/Δ steps 37 % are left.

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
    difference = mem_rec.flatten() - one_real
    differs = difference.abs().max().item()

    torch.manual_seed(cfg.seed)
    A = s4d(4)
    a, b = zero_order_hold(A, dt)
    weight = b * torch.randn(4, dtype=torch.complex64)  # b·C
    one_ringing = walk(a[3:], torch.ones(1), pulse)
    four = walk(a, weight, pulse)

    # Three rules of stepping: constant input x = 1, for which the truth is (e^(At) − 1)/A.
    last = A[3:]  # −½ + 3πi
    t = torch.arange(1, T + 1)
    powers = torch.exp(last * dt * t)  # e^(At), (T,)
    truth = (powers - 1) / last
    shown, size, turn, error = {}, {}, {}, {}
    for name, rule in RULES_OF_STEP.items():
        a_rule, b_rule = rule(last, dt)
        size[name] = a_rule.abs().item()
        turn[name] = a_rule.angle().item()
        series = (1 - a_rule**t) / (1 - a_rule)
        h = b_rule * series  # the sum of b·aⁿ
        error[name] = apart(h, truth)
        shown[name] = h.real[:40]
    grown = T * math.log10(size["Euler"])  # in powers of ten

    title = f"Euler's step makes a fading state {plain(10**grown)} times as large in {T} steps"
    fig, (ax, bx) = plots.figure(1, 2, (12, 4.2), title)
    lines = {"one real state (LIF)": one_real, "one complex state": one_ringing}
    lines["four complex states, scaled"] = four / four.abs().max()
    plots.curves(ax, range(T), lines, markers=False)
    ax.set_xlim(0, 120)
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.18), ncols=3)
    plots.label(ax, "steps after one pulse", "potential U", "what a neuron remembers of a pulse")
    bx.plot(t[:40], truth.real[:40], color="0.8", linewidth=7, label="exact")
    plots.curves(bx, t[:40], shown)
    bx.set_ylim(-0.3, 0.3)
    bx.legend(loc="upper left", bbox_to_anchor=(0, -0.18), ncols=4)
    plots.label(bx, "step", "real part of h", "constant input, A = −½ + 3πi, Δ = 0.1")
    run.figure(fig, "1_membrane", look="left: what fades and what rings; right: who leaves 'exact'")

    run.claim("lif", "LIF below θ against one real state", differs, "", "<= 1e-6")
    run.claim("euler", f"Euler: |h| after {T} steps", grown, "powers of ten")
    run.claim("bilinear", "bilinear: largest error, of the truth", error["bilinear"])
    run.claim("held", "zero-order hold: the same", error["zero-order hold"], "1", "<= 1e-4")
    run.outcome("fate", fate(grown))
    held = "zero-order hold"
    run.finding(
        f"A LIF neuron below its threshold is a state space model with one real state. With Δ = 0.1 a state "
        f"of −½ + 3πi should shrink to {size[held]:.3f} a step and turn by {turn[held]:.2f}, and by zero-order "
        f"hold it does. Euler's step multiplies it by {size['Euler']:.3f}. The bilinear one shrinks it to "
        f"{size['bilinear']:.3f} and turns it by {turn['bilinear']:.2f}: together an error of up to {100 * error['bilinear']:.0f} %."
    )


def fate(grown: float) -> str:
    """The answer to section 1's question, from how many powers of ten |h| has grown by."""
    if grown > 6:
        return "grow at least a millionfold"
    return "fade, but too slowly" if grown < -0.3 else "stay about the same"


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


Recursion = Callable[[Tensor, Tensor], Tensor]


def by_states(recursion: Recursion, x: Tensor, a: Tensor, weight: Tensor) -> Tensor:
    """U by way of the states: ``x (T, B, H)``, ``a`` and ``weight (H, N)`` → ``(T, B, H)``."""
    shape = (*x.shape, a.shape[-1])  # (T, B, H, N)
    b = x.unsqueeze(-1).expand(shape)
    b = b.to(a.dtype)
    every = a.expand_as(b)
    h = recursion(every, b)
    mem = weight * h
    return mem.real.sum(-1)


def by_kernel(x: Tensor, a: Tensor, weight: Tensor) -> Tensor:
    """The same by equation (3), kernel included."""
    k = kernel(a, weight, len(x))  # (T, H)
    return convolve(x, k)


def associative_errors(num_steps: int, run: Run) -> list[float]:
    """How far snn.AssociativeLeaky's states are from their own recursion after each step, relative to them."""
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
        got = neuron(x)
    return [apart(got[t], truth[t]) for t in range(num_steps)]


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
    is what Mamba needs (section 6).

    The convolution (3) wants one a for all steps. Written out it takes T² products; `convolve` takes the
    way by frequencies, where a convolution is a product: two fast Fourier transforms (FFT) there, one
    back, about T·log₂T operations.

    What snnTorch 1.0.0 offers are neurons without a reset:

        LeakyParallel       PyTorch's nn.RNN, whose loop is in C++, with ReLU: U below 0 is cut off
        StateLeaky          equation (3) with k[n] = e^(−n/τ) and τ = 1/(1 − β)
        AssociativeLeaky    h[t] = α[t]·h[t−1] + v[t], with α from the input, as h[t] = P[t]·Σ v[r]/P[r]

    Two of them hold a surprise. StateLeaky(β) does not leak by β. And P[t] = α[1]·α[2]·…·α[t] shrinks
    like 2^(−t): AssociativeLeaky adds 10⁻⁸ to it before it divides, and that is soon the larger part.
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
        calls = {  # from the same input to the same potentials
            "loop": partial(by_states, steps, x, a, weight),
            "scan": partial(by_states, scan, x, a, weight),
            "convolution": partial(by_kernel, x, a, weight),
        }
        for name, taken in timed(calls, 1, "cpu").items():
            times[name].append(taken[0])  # ms
        truth = calls["loop"]()
        for name in ("scan", "convolution"):
            off = max(off, apart(calls[name](), truth))

    state = snn.StateLeaky(beta=0.5, channels=1)
    pulse = torch.zeros(3, 1, 1)
    pulse[0] = 1.0
    _, mem = state(pulse)
    leak = (mem[1] / mem[0]).item()
    wrong = associative_errors(196, run)

    loop_ms, scan_ms, kernel_ms = [taken[-1] for taken in times.values()]  # at the greatest length
    faster = loop_ms / scan_ms
    title = f"{lengths[-1]:,} steps: the scan is {faster:.0f} times as fast as the loop"
    fig, (ax, bx) = plots.figure(1, 2, (12, 4.2), title)
    plots.curves(ax, lengths, times)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(lengths, [f"{T:,}" for T in lengths])
    plots.label(ax, "steps T", "time (ms)", "16 neurons of 4 states, from x to U, one core")
    bx.plot(range(1, 197), np.maximum(wrong, 1e-9), color=plots.RED)
    bx.set_yscale("log")
    plots.label(bx, "step", "error of the state (1: all)", "snn.AssociativeLeaky")
    run.figure(fig, "2_scan", look="left: slopes; right: where the error leaves rounding behind")

    run.claim("agree", "loop, scan, convolution: difference", off, "1", "<= 1e-4")
    run.claim("scan_speed", f"scan against loop, {lengths[-1]:,} steps", faster, "times")
    run.claim("state_leak", "StateLeaky(β = 0.5) keeps a step", leak, "1")
    run.claim("associative", "AssociativeLeaky, 196 steps: error", wrong[-1], "1")
    lost = np.flatnonzero(np.array(wrong) > 0.01)
    when = f"from step {lost[0] + 1} on" if len(lost) else "nowhere up to step 196"
    run.finding(
        f"Loop, scan and convolution give the same numbers. For {lengths[-1]:,} steps, from x to U, the scan "
        f"takes 1/{faster:.0f} of the loop's time, the convolution 1/{loop_ms / kernel_ms:.0f}. "
        f"snn.StateLeaky(0.5) keeps {leak:.3f} a step, and snn.AssociativeLeaky is more than 1 % off {when}."
    )


# ---------------------------------------------------------------- 3  the reset, in parallel


def membrane_of(cur: Tensor, spk: Tensor, beta: float, threshold: float = 1.0) -> Tensor:
    """U for all steps at once if the spikes were ``spk (T, B, H)``: (3), with the reset as an input."""
    silent = torch.zeros_like(spk[:1])
    paid = torch.cat([silent, spk[:-1]])  # S[t−1]: a spike is paid for at the next step
    a = torch.full((cur.shape[-1], 1), complex(beta), device=cur.device)
    weight = torch.ones_like(a)
    return unroll_linear(cur - threshold * paid, a, weight)


def rounds(cur: Tensor, beta: float, most: int | None = None) -> list[Tensor]:
    """Equation (4) from a silent guess: the spikes after each round, until a round changes nothing."""
    spk = torch.zeros_like(cur)
    guesses = []
    for _ in range(most or len(cur) + 1):
        above = membrane_of(cur, spk, beta) > 1
        new = above.to(cur.dtype)
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
    mem = membrane_of(cur, spk, beta)
    return fire(mem - 1)


LEAKS = (0.5, 0.8, 0.9, 0.95, 0.99)


@section
def section_reset(cfg: Config, run: Run) -> None:
    """3  Can the reset stay, and all steps still be worked out at once?

    With a reset the next step needs the spike of this one. A step is still a function of U, and functions
    can always be joined. What is missing is a short description of the joined one: (5) keeps two numbers
    however many steps it stands for, but each threshold on the way may cut the line in several places.
    With β = 0.99 and the noise below, 20 steps joined are a line of some 20 to 50 pieces (−3 < U < 3).

    Equation (4) goes another way. Take any guess of all spikes, say none. Work out U for all steps with
    these spikes as resets, which is linear, hence parallel, and see where it is above θ: that is the next
    guess. If a round changes nothing, U and spikes fit each other, and there is only one way to fit. Why does
    it end? Step 1 needs no spike before it, so it is right after round 1. Step 2 needs the spike of step
    1 only, so it is right after round 2. After T rounds everything is right; one more round sees that
    nothing changes. The hope is that far fewer will do (Feng et al. 2025, https://arxiv.org/abs/2506.12087:
    they report that three do, with a threshold softened for it). For neurons that are reset to
    a constant, Morrill et al. 2026 keep the reset exactly, with associative scans that take in many
    input spikes at once: https://arxiv.org/abs/2603.13283.

    The current is noise around a mean of 0.15 (θ = 1), the same for five leaks. A slow leak does two
    things: a wrong spike is felt for longer, and the neuron fires more often.
    """
    run.predict(
        "rounds_slow",
        f"{cfg.num_steps} steps, β = 0.99. After how many rounds is every spike right?",
        unit="rounds",
    )
    T, B, H = cfg.num_steps, 8, 32
    cur = 0.15 + 0.3 * torch.randn(T, B, H, generator=run.generator())
    true, guesses, needed, wrong, spikes = {}, {}, {}, {}, {}
    for beta in live(LEAKS, "   leaks", len(LEAKS)):
        true[beta], _, _ = unroll(snn.Leaky(beta=beta), cur)
        guesses[beta] = rounds(cur, beta)
        needed[beta] = max(
            1, len(guesses[beta]) - 1
        )  # the last round only sees that nothing changes
        count = max(1.0, true[beta].sum().item())
        wrong[beta] = []
        for guess in guesses[beta]:
            differing = (guess != true[beta]).sum().item()
            wrong[beta].append(differing / count)
        spikes[beta] = int(true[beta].sum(0).max())
    fast, slow = LEAKS[0], LEAKS[-1]

    # The gradient against multistep.unroll.
    lif = snn.Leaky(beta=0.9, spike_grad=fire)
    leaf = cur.clone().requires_grad_()
    weights = torch.randn(T, B, H, generator=run.generator(1))
    spk_stepped, _, _ = unroll(lif, leaf)
    spk_at_once = parallel_leaky(leaf, 0.9)
    loss_stepped = (spk_stepped * weights).sum()
    loss_at_once = (spk_at_once * weights).sum()
    (grad_true,) = torch.autograd.grad(loss_stepped, leaf)
    (grad,) = torch.autograd.grad(loss_at_once, leaf)
    gradient = apart(grad, grad_true)

    # Time, forward and both ways, against the fast path of snn.Leaky.
    lif = snn.Leaky(beta=0.9)

    def stepped(x: Tensor) -> Tensor:
        return unroll(lif, x)[0]

    def both_ways(run_layer: Callable[[Tensor], Tensor]) -> None:
        run_layer(leaf).sum().backward()

    at_once = partial(parallel_leaky, beta=0.9)
    with torch.no_grad():
        taken = timed({"rounds": partial(at_once, cur), "steps": partial(stepped, cur)}, 1, "cpu")
    forward = taken["rounds"][0] / taken["steps"][0]
    calls = {"rounds": partial(both_ways, at_once), "steps": partial(both_ways, stepped)}
    taken = timed(calls, 1, "cpu")
    both = taken["rounds"][0] / taken["steps"][0]

    title = f"β = {slow}: every spike is right after {needed[slow]} rounds; β = {fast}: after {needed[fast]}"
    fig, (ax, bx) = plots.figure(1, 2, (13, 4.8), title, width_ratios=(1.3, 1))
    last = needed[slow] - 1  # the round that puts the last wrong spike right
    late = guesses[slow][last - 1] if last else torch.zeros_like(cur)
    _, b, h = (late != true[slow]).nonzero()[0] if last else (0, 0, 0)  # and the neuron it is in
    rows = {}
    quarters = [last // 4, last // 2, 3 * last // 4, last]
    for i in [0, 1, 2, 3, *quarters]:
        if i <= last:
            rows[f"round {i + 1}"] = guesses[slow][i][:, b, h]
    rows["snn.Leaky"] = true[slow][:, b, h]
    plots.raster(ax, torch.stack(list(rows.values()), 1))
    ax.set_yticks(range(len(rows)), list(rows))
    ax.invert_yaxis()
    plots.label(ax, "step", "", f"β = {slow}: the guesses for the neuron that is right last")
    for i, (beta, share) in enumerate(wrong.items()):
        look = {"color": plots.COLOURS[i], "linestyle": plots.DASHES[i], "linewidth": 1.2}
        drawn = np.maximum(share, 1e-4)
        bx.plot(range(1, len(share) + 1), drawn, label=f"β = {beta}", **look)
    bx.set_yscale("log")
    bx.legend(loc="upper left", bbox_to_anchor=(1, 1))
    plots.label(bx, "round", "wrong entries / true spikes", "drawn at 10⁻⁴: none is wrong")
    run.figure(
        fig, "3_reset", look="left: the part that is right grows from the left, round by round"
    )

    rows = []
    for beta in LEAKS:
        each = needed[beta] / max(1, spikes[beta])
        rows.append((beta, needed[beta], spikes[beta], f"{each:.1f}"))
    heads = ("β", "rounds until all is right", "spikes of the busiest neuron", "rounds a spike")
    run.table(f"{T} steps, {B * H} neurons", heads, rows)
    run.claim("rounds_fast", f"β = {fast}: rounds until all is right", needed[fast], "rounds")
    run.claim("rounds_slow", f"β = {slow}: rounds until all is right", needed[slow], "rounds")
    left = max(share[-1] for share in wrong.values())
    run.claim("left", "wrong entries after the last round", left, "1", "<= 1e-3")
    run.claim("gradient", "gradient against unroll: difference", gradient, "1", "<= 1e-4")
    run.claim("time_both", "time, both ways, against unrolling", both, "times")
    run.finding(
        f"After the last round {100 * left:.2g} % of the entries are wrong. That takes {needed[fast]} rounds for "
        f"β = {fast}, where the busiest neuron fires {spikes[fast]} times in {T} steps, and {needed[slow]} for "
        f"β = {slow}, where it fires {spikes[slow]} times. On this CPU, for β = 0.9 ({needed[0.9]} rounds), they take "
        f"{forward:.1f} times the time of stepping forward, and {both:.1f} times both ways: the way back needs one pass.",
        claim="rounds_slow",
    )


# ---------------------------------------------------------------- 4  what each part buys


@dataclass(frozen=True)
class Kind:
    """An arm of section 4: the states of a neuron, whether it is reset, and how U becomes spikes."""

    states: int = 1
    ringing: bool = True  # complex states; without it real ones, which only fade
    reset: bool = False  # a spike takes 1 from U
    rule: str = "threshold"


def spread(num_hidden: int, dt_max: float) -> Tensor:
    """Δ of each neuron, ``(H,)``: from ``dt_max`` to a fiftieth of it, in random order."""
    dt = dt_max * torch.logspace(0, -math.log10(50), num_hidden)
    order = torch.randperm(num_hidden)
    return dt[order]


class SSM(nn.Module):
    """Equations (1) and (2) for H neurons with N states each; A, C and Δ are learnt.

    A starts as S4D-Lin, A_n = −1/2 + iπ·n for n = 0 … N − 1; Δ is spread over the neurons.
    """

    def __init__(self, num_hidden: int, kind: Kind, dt_max: float) -> None:
        super().__init__()
        H, N = num_hidden, kind.states
        self.log_decay = nn.Parameter(torch.full((H, N), math.log(0.5)))
        first = 1 if N == 1 and kind.ringing else 0  # a single complex state has to ring
        omega = s4d(N, first).imag.repeat(H, 1)
        self.omega = nn.Parameter(omega, requires_grad=kind.ringing)
        self.C = nn.Parameter(torch.randn(H, N, 2))  # real and imaginary part
        dt = spread(H, dt_max)
        self.log_dt = nn.Parameter(dt.log())

    def discretise(self) -> tuple[Tensor, Tensor]:
        """Equation (2): a, and b·C in one, complex ``(H, N)`` each."""
        A = torch.complex(-self.log_decay.exp(), self.omega)  # Re A < 0: |a| < 1 whatever is learnt
        dt = self.log_dt.exp().unsqueeze(1)
        a = torch.exp(dt * A)
        b = (a - 1) / A
        return a, b * torch.view_as_complex(self.C)

    def forward(self, x: Tensor) -> Tensor:
        """All steps from rest: ``(T, B, H)`` → potentials ``(T, B, H)``."""
        a, weight = self.discretise()
        return unroll_linear(x, a, weight)

    def step(self, x_t: Tensor, h: Tensor | float) -> tuple[Tensor, Tensor]:
        """One step: input ``(B, H)`` and states ``(B, H, N)`` → potentials ``(B, H)``, states."""
        a, weight = self.discretise()
        h = a * h + x_t.unsqueeze(-1)
        mem = weight * h
        return mem.real.sum(-1), h


def by_threshold(mem: Tensor) -> Tensor:
    """A spike where U is above 1, and no reset; on the way back lesson 13's surrogate, a triangle."""
    return fire(mem - 1)


def graded(mem: Tensor) -> Tensor:
    """The same, but the spike carries by how much U is above 1: a number instead of a bit."""
    return F.relu(mem - 1)


def by_chance(mem: Tensor) -> Tensor:
    """A spike with probability p = (1 + U)/4, cut to 0 … 1; on the way back the slope of p, as in P-SpikeSSM."""
    p = (1 + mem) / 4
    p = p.clamp(0, 1)
    drawn = torch.rand_like(p) < p
    spk = drawn.to(p.dtype)
    return spk + (p - p.detach())  # adds 0, and the gradient of p


RULES = {"threshold": by_threshold, "graded": graded, "chance": by_chance}


def with_reset(mem: Tensor, beta: Tensor) -> Tensor:
    """The threshold, and a reset: each spike takes 1 from U, of which a share ``beta (H,)`` is left a step later.

    ``mem`` is what the input makes of U, so mem[t] − β·mem[t−1] is the current of a LIF neuron with this U.
    """
    nothing = torch.zeros_like(mem[:1])
    before = torch.cat([nothing, mem[:-1]])
    cur = mem - beta * before
    lif = Adaptation(beta=beta, reset=1.0)
    spk, _ = unroll_adaptive(cur, lif)
    return spk


class Layer(nn.Module):
    """Weights → states → BatchNorm → spikes: ``(T, B, inputs)`` → ``(T, B, H)``. Only spikes leave it."""

    def __init__(self, num_inputs: int, num_hidden: int, kind: Kind, dt_max: float) -> None:
        super().__init__()
        self.fc = nn.Linear(num_inputs, num_hidden)
        self.ssm = SSM(num_hidden, kind, dt_max)
        self.norm = nn.BatchNorm1d(num_hidden)  # keeps U near the threshold
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        cur = over_time(self.fc, x)  # (T, B, H)
        mem = over_time(self.norm, self.ssm(cur))
        if not self.kind.reset:
            return RULES[self.kind.rule](mem)
        a, _ = self.ssm.discretise()
        return with_reset(mem, a[:, 0].detach().abs())  # the reset fades as the first state does


class Net(nn.Module):
    """Layers of one kind, and a leaky read-out without spikes, whose own memory is ten steps."""

    def __init__(self, kind: Kind, num_hidden: int, dt_max: float = 0.2, layers: int = 2) -> None:
        super().__init__()
        inputs = [1] + [num_hidden] * (layers - 1)
        self.layers = nn.ModuleList(Layer(n, num_hidden, kind, dt_max) for n in inputs)
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
        spk = self.hidden(x)[-1]
        cur = over_time(self.fc_out, spk)
        weight = torch.ones_like(self.beta_out)
        return unroll_linear(cur, self.beta_out, weight)

    def step(self, x_t: Tensor, state: list[Any]) -> tuple[Tensor, list[Any]]:
        """One step: ``(B, 1)`` and the state, at first ``[0.0] * 3`` → potentials ``(B, 10)``, the new state."""
        new = []
        for layer, h in zip(self.layers, state[:-1], strict=True):
            mem, h = layer.ssm.step(layer.fc(x_t), h)
            x_t = RULES[layer.kind.rule](layer.norm(mem))
            new.append(h)
        mem_out = 0.9 * state[-1] + self.fc_out(x_t)
        return mem_out, [*new, mem_out]


def one_pixel_a_step(x: Tensor, num_steps: int) -> Tensor:
    """``(B, 1, 28, 28)`` → ``(T, B, 1)``: shrunk to √T × √T, row after row, mean about 0, variance 1."""
    side = math.isqrt(num_steps)
    pixels = F.adaptive_avg_pool2d(x, side).flatten(1)  # (B, T)
    return ((pixels - 0.13) / 0.3).t().unsqueeze(-1).contiguous()


def last_steps(mem_rec: Tensor) -> Tensor:
    """As in lesson 13, the potentials of the read-out over the last fourteenth of the steps, averaged: ``(B, 10)``."""
    last = max(1, len(mem_rec) // 14)
    return mem_rec[-last:].mean(0)


def answer_loss(mem_rec: Tensor, y: Tensor) -> Tensor:
    """Cross entropy of the potentials at the end."""
    return F.cross_entropy(last_steps(mem_rec), y)


def answer(mem_rec: Tensor) -> Tensor:
    """The class with the highest potential at the end: ``(B,)``."""
    return last_steps(mem_rec).argmax(1)


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
    return {
        "LIF: real, reset": Kind(ringing=False, reset=True),
        "real": Kind(ringing=False),
        "ringing": Kind(),
        "ringing, reset": Kind(reset=True),
        f"{cfg.num_states} ringing": Kind(cfg.num_states),
        "ringing, by chance": Kind(rule="chance"),
        "ringing, graded": Kind(rule="graded"),
    }


RATES = (1e-2, 3e-2, 1e-1, 3e-1)


@dataclass
class Arm:
    """One arm of a comparison; accuracies in per cent."""

    lr: float  # that with the best validation accuracy
    test: list[float]  # a training each, with this rate and other seeds
    rate: float  # share of neurons that fire in a step


def train_arm(kind: Kind, data: ImageData, cfg: Config, run: Run) -> Arm:
    """Try each rate, keep the one best on validation images, then train with it from other seeds."""
    encode = partial(one_pixel_a_step, num_steps=cfg.num_steps)
    tried = []
    for lr in RATES:
        torch.manual_seed(cfg.seed)
        history = train_net(Net(kind, cfg.num_hidden, cfg.dt_max), lr, cfg.seed, data, cfg, run)
        tried.append(history[-1]["val"])
    lr = RATES[int(np.argmax(tried))]
    test, rates = [], []
    for seed in range(cfg.seed + 1, cfg.seed + 1 + cfg.seeds):
        torch.manual_seed(seed)
        net = Net(kind, cfg.num_hidden, cfg.dt_max)
        train_net(net, lr, seed, data, cfg, run)
        share = evaluate(net, data.x_test, data.y_test, encode, answer)
        test.append(100 * share)
        with torch.no_grad():
            images = data.x_val[:200].float().to(run.device) / 255
            spk_rec = torch.cat(net.eval().hidden(encode(images)))
        fired = spk_rec.ne(0).float()
        rates.append(fired.mean().item())
    return Arm(lr, test, float(np.mean(rates)))


def bounds(chosen: dict[str, float], rates: tuple[float, ...]) -> str:
    """A sentence that names the arms whose rate is the lowest or the highest tried, or nothing."""
    ends = (min(rates), max(rates))
    edge = [f"{arm} ({lr:g})" for arm, lr in chosen.items() if lr in ends]
    if not edge:
        return ""
    return f" With the lowest or highest rate tried, so at least what is shown: {', '.join(edge)}."


def verdict(mean: float, half: float) -> str:
    """``+8.1 ± 2.0``, or with the words that it may be nothing."""
    said = f"{mean:+.1f} ± {half:.1f}"
    return said if abs(mean) > half else f"{said} (not told apart from 0)"


@section
def section_arms(cfg: Config, run: Run) -> None:
    """4  What does a network lose without the reset, and what do the states buy?

    The task is lesson 13's: an image of 14 × 14 grey values comes in as 196 steps, the read-out forgets
    with β = 0.9, and its last 14 steps are the answer. The network has two layers. A layer is a Linear,
    then the states of each neuron, then a BatchNorm, then the rule that makes spikes of U; only spikes go
    to the next layer. The neuron in the middle of the comparison, `ringing`, has one complex state and a
    plain threshold, S = 1 if U > 1 else 0. Each other one differs from it in one thing; only the LIF neuron
    does not, which differs in one thing from `real`:

        LIF: real, reset       one real state, and each spike takes 1 from U
        real                   the same without the reset
        ringing                one complex state: adLIF of lesson 13
        ringing, reset         each spike takes 1 from U
        4 ringing              four complex states, S4D's
        ringing, by chance     S = 1 with probability p = (1 + U)/4, cut to 0 … 1
        ringing, graded        S = U − 1 if U > 1 else 0: an event that carries a number

    The reset can be switched alone because a neuron is linear between spikes: U is what the input makes
    of it, which is had for all steps at once, less what past spikes took. This second part has to walk
    (`with_reset`). It is taken after the BatchNorm, and each step leaves a share |a| of it, as of the
    first state; but it does not ring, even where that state does.

    A reset takes spikes away. So read the gain by dropping it beside the firing, the share of neurons that
    fire in a step: points that are paid for with several times the spikes are not had for nothing.

    With a threshold a network is deterministic: the same image always makes the same spikes. The rule by
    chance is that of P-SpikeSSM (ICLR 2025). A jump has no slope, but the mean of a drawn spike is p, and p
    has one: that is sent back. For a loss that is linear in S this is right on average; behind a further
    layer it is an approximation too. It has a width as a surrogate has: the 4, which makes the slope ¼ for
    −1 < U < 3 and 0 elsewhere. Another p may do better or worse. The price is noise, in training and in
    every answer.

    Equal for all: width, images, updates, batches of 32. A state adds 4 parameters to a neuron that has 64
    weights. Each arm tries four learning rates; validation images choose, and five other seeds train. Where
    they choose the lowest or the highest, 0.01 or 0.3, a rate beyond it might do better: the share of that
    arm is then "at least" so much, and a difference from it has no such bound. And these are short
    trainings: an arm that is behind may catch up in a long one.
    """
    kinds = arms(cfg)
    lif, real, ringing, reset, many, chance, grade = kinds
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
        "drop the reset, ringing": (ringing, reset),
        f"{cfg.num_states} states instead of 1": (many, ringing),
        "by chance, not threshold": (chance, ringing),
        "graded, not threshold": (grade, ringing),
    }
    gains = {}
    for step, (better, than) in pairs.items():
        gained = np.subtract(found[better].test, found[than].test)
        gains[step] = interval(gained, len(pairs))
    told, open_ = told_apart(gains)

    asked = ("let the state ring", "drop the reset", f"{cfg.num_states} states instead of 1")
    told_in_title = []
    for step in asked:
        mean, half = gains[step]
        told_in_title.append(f"{step}: {mean:+.0f} ± {half:.0f}")
    title = f"Points gained: {'; '.join(told_in_title)}"
    fires = {name: 100 * arm.rate for name, arm in found.items()}  # per cent of neurons in a step
    chosen = {name: arm.lr for name, arm in found.items()}
    bound = bounds(chosen, RATES)
    fig, (ax, bx) = plots.figure(1, 2, (12.5, 4.6), title)
    for i, arm in enumerate(found.values()):
        mean, half = interval(arm.test)
        ax.errorbar(mean, i, xerr=half, fmt="o", color=plots.BLUE, capsize=4)
        ax.plot(arm.test, [i + 0.25] * len(arm.test), "|", color="0.4")
    ax.set_yticks(range(len(found)), [f"{name}\nfires {fires[name]:.1f} %" for name in found])
    ax.set_ylim(len(found) - 0.5, -0.7)
    plots.label(ax, "test images read correctly (%)", "", "mean, 95 % interval; ticks: trainings")
    for i, (mean, half) in enumerate(gains.values()):
        bx.errorbar(mean, i, xerr=half, fmt="s", color=plots.RED, capsize=4)
    bx.axvline(0, color="grey", linewidth=0.8)
    ticks = []
    for step, (better, than) in pairs.items():
        ticks.append(f"{step}\nfiring {fires[than]:.1f} → {fires[better]:.1f} %")
    bx.set_yticks(range(len(gains)), ticks)
    bx.set_ylim(len(gains) - 0.5, -0.7)
    plots.label(bx, "gain (points)", "", "differences; all six intervals hold with 95 %")
    run.figure(fig, "4_arms", look="right: which intervals keep clear of the line at 0")

    rows = []
    for name, arm in found.items():
        mean, half = interval(arm.test)
        row = (
            name,
            f"{arm.lr:g}",
            f"{mean:.1f} ± {half:.1f}",
            f"{fires[name]:.1f}",
        )
        rows.append(row)
    heads = ("arm", "rate", "test %", "firing %")
    run.table("Learning rates by validation images; then the test images", heads, rows)
    facts = {"n": len(few.y_test) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    ids = ("reset", "ring", "reset_ringing", "states")
    for id, step in zip(ids, list(pairs)[:4], strict=True):
        mean, half = gains[step]
        run.claim(f"gain_{id}", f"{step} (± {half:.1f})", mean, "points", **facts)
    run.claim("arm_ringing", f"{ringing}: test images", np.mean(found[ringing].test) / 100, **facts)
    run.outcome("best_step", max(asked, key=lambda step: gains[step][0]))
    run.finding(
        f"After {n:,} images, in points, told apart from 0: {told}. Not told apart from 0: {open_}. "
        f"Dropping the reset takes the share of neurons that fire in a step from {fires[reset]:.1f} to "
        f"{fires[ringing]:.1f} % if the state rings, from {fires[lif]:.1f} to {fires[real]:.1f} % if it fades.{bound}"
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
    spk_1, spk_2 = net.hidden(x)
    spikes_1 = spk_1.sum().item() / B
    spikes_2 = spk_2.sum().item() / B
    synops = spikes_1 * second.fc.out_features + spikes_2 * net.fc_out.out_features
    states = 2.0 * T * H * N * 6
    pixels = float(T * H)
    spikes = spikes_1 + spikes_2
    return {"spikes": spikes, "synops": synops, "states": states, "pixels": pixels}


@section
def section_best(cfg: Config, run: Run) -> None:
    """5  How well does it read, and what does it carry from step to step?

    A longer training of the arm with four states: two layers of 128 neurons, all 55,000 training images
    twice, and once more with a lower learning rate, each moved by up to one pixel. (Four because S4D has
    several; that one would read less is not shown by section 4. Try --num-states 1 --train --only 5.)
    The weights come with the course, checkpoints/spiking_ssm_196.safetensors, with the log of the
    training; --train makes them anew. Validation images chose the epoch, test images chose nothing.

    It was trained with all steps at once. It can be used one step at a time: `Net.step` is equation (2). What
    it has to carry is h, and the read-out's ten potentials. That is the same after one pixel and after
    a million. Attention (lesson 18) keeps a key and a value of every token it has seen, and looks at
    all of them for each new one. On a device with little memory that listens all day, this decides.

    This is why SpikeGPT (2023, 216 million parameters), the first larger spiking language model, has
    no attention. It is built on RWKV, whose memory is a few running sums for each channel, recurrences
    like (2) with a real a; its layers send each other spikes.

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
    alike = at_once == step_answers(net, x)
    same = alike.float().mean().item()

    _, state = net.step(x[0, :1], [0.0] * 3)
    carried = sum(h.nbytes for h in state)
    H = cfg.best_hidden
    tokens = 16_384
    cache = 2 * 2 * tokens * H * 4  # two layers, keys and values, float32

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
    run.figure(fig, "5_digit", look="bottom: when the thick line leaves the others")

    times = cache / carried

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
    run.claim("cache", f"attention's cache at {tokens:,}, of that", times, "times")
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
        f"hold {times:,.0f} times as much after {tokens:,}. Its states take {ops['states'] / 1e6:.1f} million "
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
        earlier, later = places[:-BACK], places[BACK:]
        asked[later, b] = tokens[earlier, b] - 1
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
        omega = s4d(N).imag.repeat(H, 1)
        self.omega = nn.Parameter(omega)
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
        mem = over_time(self.norm, mem)
        spk = fire(mem - 1)
        return self.fc_out(spk)


SELECTIVE_RATES = (1e-2, 3e-2, 1e-1)
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
    draw = torch.Generator().manual_seed(seed)
    tokens, asked = n_back_batch(number, length, draw)
    scores = net.run(tokens.to(net.bias.device)).cpu()
    known = asked >= 0
    said = scores[known].argmax(1)
    right = said == asked[known]
    return 100 * right.float().mean().item()


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
    spikes. All arms have equal parameters, new sequences in every update, and try three learning rates.

    These are short trainings again: an arm that is behind may catch up. Where an arm chooses the highest
    of its three rates, 0.1, a higher one might do better, so its share is "at least".

    What is open. Mamba-Spike (https://arxiv.org/abs/2408.11823) puts spiking neurons in front of a Mamba;
    others put a neuron with a refractory state behind each SSM (https://arxiv.org/abs/2410.17268). The
    states in between are ordinary numbers that are multiplied at every step, spikes or not (section 5).
    SpikeGPT's saving is counted in operations, for hardware that skips zeros; a GPU does not. Whether a
    reset is worth its price, how a spiking language model compares with an ordinary one of its size and
    training, and which chip holds complex states: none of this is settled. These are papers of 2023 to
    2026, and no stable library.
    """
    run.predict(
        "fixed",
        "Four symbols, so chance is 25 %. What share does the network with a fixed Δ name correctly?",
        unit="%",
    )
    budget = count_parameters(SelectiveNet(32, cfg.num_states, True, True))
    lengths = [LENGTH, 2 * LENGTH, 4 * LENGTH]
    number = 20 if cfg.smoke else 300  # new sequences to be asked about
    longer: dict[str, np.ndarray] = {}
    chosen: dict[str, float] = {}
    for arm in live(ARMS, "   selectivity", len(ARMS)):
        by_delta, by_gains = ARMS[arm]
        make = partial(
            SelectiveNet, num_states=cfg.num_states, by_delta=by_delta, by_gains=by_gains
        )
        H = widest(make, budget)
        tried = []
        for lr in SELECTIVE_RATES:
            net = train_selective(arm, H, lr, cfg.seed, cfg.updates, cfg, run)
            tried.append(named(net, LENGTH, 5, number))
        lr = SELECTIVE_RATES[int(np.argmax(tried))]
        chosen[arm] = lr
        rows = []
        for seed in range(cfg.seed + 1, cfg.seed + 1 + cfg.seeds):
            net = train_selective(arm, H, lr, seed, cfg.updates, cfg, run)
            rows.append([named(net, T, 100 + seed, number) for T in lengths])
        longer[arm] = np.array(rows)  # (trainings, lengths)
        if arm == "Δ by input":
            with torch.no_grad():
                delta = net.delta(torch.eye(SYMBOLS + 1, device=run.device)).cpu()  # (5, H)
        said = ", ".join(f"{share:.1f}" for share in longer[arm][:, 0])
        run.print(f"   {arm:<18} H = {H}, rate {lr:g}: {said} %")

    share = {arm: rows[:, 0] for arm, rows in longer.items()}
    means = {arm: interval(values) for arm, values in share.items()}
    fixed, by_delta, by_all = share.values()
    gained, half = interval(by_delta - fixed, 2)
    more, more_half = interval(by_all - by_delta, 2)
    title = f"Δ chosen by the token instead of fixed: {gained:+.0f} ± {half:.0f} points"
    fig, (ax, bx, cx) = plots.figure(1, 3, (15, 4.2), title)
    for i, (mean, reach) in enumerate(means.values()):
        ax.errorbar(mean, i, xerr=reach, fmt=plots.MARKERS[i], color=plots.COLOURS[i], capsize=4)
    ax.axvline(100 / SYMBOLS, color="0.4", linestyle=":", linewidth=1)
    ax.set_xlim(20, 102)
    ax.set_yticks(range(len(ARMS)), list(ARMS))
    ax.set_ylim(len(ARMS) - 0.5, -0.5)
    plots.label(ax, "symbols named correctly (%)", "", "equal parameters; dotted: chance")
    at_filler, at_symbol = delta[0], delta[1:].mean(0)
    bx.scatter(at_filler, at_symbol, s=18, color=plots.BLUE)
    ends = [0.7 * delta.min().item(), 1.4 * delta.max().item()]
    bx.plot(ends, ends, color="0.5", linestyle="--", linewidth=1)
    bx.set_xscale("log")
    bx.set_yscale("log")
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

    facts = {"n": number * cfg.seeds, "seeds": cfg.seeds}
    for id, arm in (("fixed", "fixed"), ("delta", "Δ by input"), ("all", "Δ, B, C by input")):
        run.claim(id, f"{arm}: symbols named", means[arm][0] / 100, **facts)
    run.claim("selective_gain", "gain by Δ from the input", gained, "points", ">= 10", **facts)
    fixed_then, delta_then = longer["fixed"][:, -1].mean(), longer["Δ by input"][:, -1].mean()
    run.finding(
        f"With a fixed Δ the network names {means['fixed'][0]:.0f} % of the symbols, with a Δ that the token "
        f"chooses {means['Δ by input'][0]:.0f} %: {verdict(gained, half)} points. B and C by input add "
        f"{verdict(more, more_half)}. From {LENGTH} to {lengths[-1]} steps it goes to {fixed_then:.0f} % with a "
        f"fixed Δ and to {delta_then:.0f} % with Δ by input.{bounds(chosen, SELECTIVE_RATES)}"
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
