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

    A LIF neuron is the case of one real state, A = −1/τ_m and C = 1/b, with a spike and a reset added.
    Without the reset, U at step t is a sum over the past, and no step has to wait for another:

        U[t] = k[0]·x[t] + k[1]·x[t−1] + …              k[n] = Re Σ C·b·aⁿ                        (3)

    With the reset the sum needs the spikes before t, which are not known yet. If they were, they would be
    one more input. So guess them, work out U, and correct the guess until nothing changes (for the LIF):

        U⁽ⁱ⁺¹⁾ from the input x[t] − θ·S⁽ⁱ⁾[t−1] by (3)         S⁽ⁱ⁺¹⁾ = 1 if U⁽ⁱ⁺¹⁾ > θ else 0        (4)

Read first
    Theory     S4D, Gu et al. 2022, https://arxiv.org/abs/2206.11893 · Mamba, sections 2 and 3, Gu & Dao
               2023, https://arxiv.org/abs/2312.00752 · P-SpikeSSM https://arxiv.org/abs/2406.02923
    Practice   LeakyParallel and StateLeaky, https://snntorch.readthedocs.io/en/latest/snntorch.html

Run
    uv run 20_spiking_mamba_ssm.py --predict   asks what you expect, then measures it: start here
    uv run 20_spiking_mamba_ssm.py             about eight minutes of an idle CPU core, or more; also --resume
    uv run 20_spiking_mamba_ssm.py --train     trains the network of section 5 anew: about six minutes more
    uv run 20_spiking_mamba_ssm.py --full      784 steps; wants a GPU

Builds on / leads to
    01 the LIF, 13 the task and adLIF, 18 attention. Next: the capstone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from common import plots
from common.claims import plain
from common.cost import estimated_energy_nj
from common.data import ImageData, mnist
from common.io import ROOT, UserError, live
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import over_time
from multistep import unroll, unroll_adaptive
from multistep.adaptive import Adaptation
from multistep.linear import convolve, kernel, unroll_linear
from multistep.meters import timed
from multistep.sequence import fire
from training import evaluate, fit
from training.arms import (
    best_rate,
    count_parameters,
    draw_differences,
    draw_trainings,
    each_arm,
    interval,
    signed,
    verdict,
    widest,
    write_rows,
)
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
    """``num_steps`` is the number of pixels of an image: the image is shrunk to the largest square of no more."""

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
    jobs: int = bounded(1, 1, 256)
    """arms that are trained at the same time"""
    resume: bool = False
    """take over the arms of sections 4 and 6 and the epochs of section 5 that a stopped run has finished"""


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


def zero_order_hold(A: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """a and b if x holds still during the step: the exact solution, equation (2)."""
    a = torch.exp(dt * A)
    return a, (a - 1) / A


@section
def section_membrane(cfg: Config, run: Run) -> None:
    """1  What is a leaky membrane, seen as a state space model?

    Lesson 01's membrane without a spike is U[t] = β·U[t−1] + I[t]. That is (2) with one real state and
    a = β; C = 1/b lets the input count in full. A pulse at its input fades, and that is all it can do. With
    a complex A = −½ + iω the state turns while it fades, so its real part rings, as adLIF of lesson 13 does
    between its spikes. A neuron with N such states adds them up with its own weights C and can answer a
    pulse with almost any curve. S4D takes ω = 0, π, 2π, …, and the time step Δ says how long all of this
    lasts: a step leaves e^(−Δ/2) of it, so after 2/Δ steps 37 % are left.

    The equation in continuous time becomes a step in several ways, which differ in a and b:

        Euler               a = 1 + ΔA          b = Δ
        zero-order hold     a = e^(ΔA)          b = (a − 1) / A

    After t steps a pulse is |a|ᵗ times as large. Where |a| > 1 the state explodes, although the true one,
    e^(At), fades for every A with a negative real part. Zero-order hold is exact as long as x does not
    change during a step.

    And the same numbers come out of (3), the convolution with the kernel k, which needs no state at all.
    """
    run.predict(
        "euler",
        "A = −½ + 3πi fades. Euler's rule steps it with Δ = 0.1. By how many powers of ten does |h| grow in "
        "196 steps? (Below 0: it shrinks.)",
        unit="powers of ten",
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

    # How much is left of a pulse after t steps: by two rules, and in truth.
    last = A[3:]  # −½ + 3πi
    t = torch.arange(T + 1)
    truth = torch.exp(last * dt * t).abs()  # (T + 1,)
    size, left = {}, {}
    for name, rule in {"Euler": euler, "zero-order hold": zero_order_hold}.items():
        a_rule, _ = rule(last, dt)
        size[name] = a_rule.abs().item()
        left[name] = size[name] ** t.double()
    grown = T * math.log10(size["Euler"])  # in powers of ten

    title = f"Euler's step makes a fading state {plain(10**grown)} times as large in {T} steps"
    fig, (ax, mx, bx) = plots.figure(
        1,
        3,
        (14, 4.2),
        title,
    )
    lines = {"real (LIF)": one_real, "complex, ω = 3π": one_ringing}
    plots.curves(ax, range(T), lines, markers=False)
    plots.label(ax, "steps after one pulse", "potential U", "one state")
    mx.plot(four / four.abs().max(), color=plots.RED)
    plots.label(
        mx,
        "steps after one pulse",
        "U, scaled",
        "four states, ω = 0, π, 2π, 3π",
    )
    for shown in (ax, mx):
        shown.set_xlim(0, 100)
    bx.plot(t, truth, color="0.8", linewidth=7, label="true: e^(At)")
    plots.curves(bx, t, left, markers=False)
    bx.set_yscale("log")
    bx.legend(loc="upper left")
    plots.label(
        bx,
        "steps after one pulse",
        "size of the state",
        "A = −½ + 3πi, Δ = 0.1",
    )
    run.figure(fig, "1_membrane", look="what fades, what rings; right: who leaves the truth")

    run.claim(
        "lif",
        "LIF below θ against one real state",
        differs,
        "",
        "<= 1e-6",
    )
    run.claim("euler", f"Euler: |h| after {T} steps", grown, "powers of ten")
    run.finding(
        f"A LIF neuron below its threshold is a state space model with one real state. With Δ = 0.1 a state "
        f"of −½ + 3πi should shrink to {math.exp(-0.05):.3f} of its size in a step. Zero-order hold takes it to "
        f"{size['zero-order hold']:.3f}, Euler's rule to {size['Euler']:.3f}."
    )


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


def by_states(
    recursion: Callable[[Tensor, Tensor], Tensor], x: Tensor, a: Tensor, weight: Tensor
) -> Tensor:
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


@section
def section_scan(cfg: Config, run: Run) -> None:
    """2  How can all steps be worked out at once?

    Without a reset a step is h ← a·h + b, where b now stands for all that comes in, b·x[t] in (2). Two
    steps, one after the other, are again one such step:

        a₂·(a₁·h + b₁) + b₂ = (a₂·a₁)·h + (a₂·b₁ + b₂)                                            (5)

    This rule of joining is associative: it does not matter which neighbours are joined first. So T steps
    are joined in pairs, the pairs in pairs, and after log₂T rounds one pair stands for them all; on the
    way back down the steps in between are filled in. That is `scan`, above. A processor with room for
    all pairs of a round needs 2·log₂T rounds instead of T. One core does the pairs one after the other,
    about 2T of them: it saves calls from Python, not work, so in a long sequence its time grows with T,
    as the loop's does. The pairs may differ from step to step, which is what Mamba needs (section 6).

    The convolution (3) wants one a for all steps. Written out it takes T² products; `convolve` takes the
    way by frequencies, where a convolution is a product: two fast Fourier transforms (FFT) there, one
    back, about T·log₂T operations. Before that the kernel has to be built, aⁿ for all states of all neurons
    and all n, and while a network learns, a changes: so it is built anew in every update, once for a batch.

    snnTorch 1.0.0 has three neurons without a reset. LeakyParallel is PyTorch's nn.RNN, whose loop is in
    C++, with ReLU, so that a U below 0 is cut off. StateLeaky is (3) with one real state; but StateLeaky(β)
    keeps e^(β−1) of U a step, not β: 0.607 for β = 0.5. AssociativeLeaky, whose leak depends on the input,
    divides by the product of all leaks so far plus 10⁻⁸: wrong after some fifteen steps, as it starts.
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
    ways = ("loop in Python", "scan", "convolution", "convolution, kernel given")
    times: dict[str, list[float]] = {way: [] for way in ways}
    off = 0.0
    for T in live(lengths, "   lengths", len(lengths)):
        x = torch.randn(T, 1, 16, generator=run.generator())
        calls = [  # from the same input to the same potentials
            partial(by_states, steps, x, a, weight),
            partial(by_states, scan, x, a, weight),
            partial(by_kernel, x, a, weight),
            partial(convolve, x, kernel(a, weight, T)),
        ]
        for way, taken in timed(dict(zip(ways, calls, strict=True)), 9, "cpu").items():
            times[way].append(min(taken))  # ms
        truth = calls[0]()
        for call in calls[1:]:
            off = max(off, apart(call(), truth))

    loop_ms, scan_ms, kernel_ms, given_ms = [taken[-1] for taken in times.values()]
    faster = loop_ms / scan_ms  # at the greatest length
    built = 1 - given_ms / kernel_ms
    title = f"{lengths[-1]:,} steps: the scan is {faster:.0f} times as fast as a loop in Python"
    fig, ax = plots.figure(1, 1, (9.5, 4.2), title)
    plots.curves(ax, lengths, times)
    slope_1 = [times["scan"][-1] * T / lengths[-1] for T in lengths]
    ax.plot(lengths, slope_1, color="0.4", linestyle=":", label="twice the steps, twice the time")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(lengths, [f"{T:,}" for T in lengths])
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    plots.label(ax, "steps T", "time (ms)", "from x to U; 16 neurons of 4 states, one core")
    run.figure(fig, "2_scan", look="where does the scan become as steep as the dotted line?")

    run.claim("agree", "loop, scan, convolution: apart by", off, "1", "<= 1e-4")
    run.claim("scan_speed", f"{lengths[-1]:,} steps: loop, in scans", round(faster, 1), "times")
    run.claim("kernel_built", "convolution: its kernel takes", round(100 * built), "%")
    run.finding(
        f"Loop, scan and convolution give the same numbers. For {lengths[-1]:,} steps of one "
        f"sequence the scan takes 1/{faster:.0f} of the time of a loop in Python, the convolution "
        f"1/{loop_ms / kernel_ms:.0f}, of which {100 * built:.0f} % goes into the kernel. "
        "All steps truly at once need other hardware than one core."
    )


# ---------------------------------------------------------------- 3  the reset, in parallel


def potentials(cur: Tensor, beta: float) -> Tensor:
    """U for all steps at once, without a reset: (3) for one real state, ``cur (T, B, H)`` → ``(T, B, H)``."""
    a = torch.full((cur.shape[-1], 1), complex(beta), device=cur.device)
    return unroll_linear(cur, a, torch.ones_like(a))


def potentials_with(spk: Tensor, cur: Tensor, beta: float) -> Tensor:
    """U for all steps at once if the spikes were ``spk (T, B, H)``: the reset is one more input (θ = 1)."""
    silent = torch.zeros_like(spk[:1])
    paid = torch.cat([silent, spk[:-1]])  # S[t−1]: a spike is paid for at the next step
    return potentials(cur - paid, beta)


def rounds(cur: Tensor, beta: float) -> list[Tensor]:
    """Equation (4) from a silent guess: the spikes after each round, until a round changes nothing."""
    spk = torch.zeros_like(cur)
    guesses = []
    for _ in range(len(cur) + 1):
        above = potentials_with(spk, cur, beta) > 1
        new = above.to(cur.dtype)
        guesses.append(new)
        if torch.equal(new, spk):
            break
        spk = new
    return guesses


def parallel_leaky(cur: Tensor, beta: float) -> Tensor:
    """The spikes of snn.Leaky, its gradient with `fire`'s triangle: the reset is detached, the way back one pass."""
    with torch.no_grad():
        spk = rounds(cur, beta)[-1]
    mem = potentials_with(spk, cur, beta)
    return fire(mem - 1)


def by_loop(cur: Tensor, beta: float) -> Tensor:
    """The same spikes and the same gradient by a compiled loop WITH the reset, that of section 4."""
    spk, _ = unroll_adaptive(cur, Adaptation(beta=beta, reset=1.0))
    return spk


def without_reset(cur: Tensor, beta: float) -> Tensor:
    """The spikes of a neuron that is never reset: on a CPU a compiled loop too."""
    return fire(potentials(cur, beta) - 1)


def there_and_back(layer: Callable[[Tensor], Tensor], leaf: Tensor) -> None:
    """Forward and backward."""
    spk = layer(leaf)
    spk.sum().backward()


def times_of_stepping(cur: Tensor, beta: float) -> np.ndarray:
    """Forward and backward: the time of the rounds and of the loop without a reset, over that of `by_loop`."""
    leaf = cur.clone().requires_grad_()
    layers = {
        "loop with reset": partial(by_loop, beta=beta),
        "rounds": partial(parallel_leaky, beta=beta),
        "loop without": partial(without_reset, beta=beta),
    }
    calls = {}
    for name, layer in layers.items():
        calls[name] = partial(there_and_back, layer, leaf)
    loop, *others = [min(taken) for taken in timed(calls, 9, "cpu").values()]  # ms
    return np.array(others) / loop


LEAKS = (0.5, 0.8, 0.9, 0.95, 0.99)


@section
def section_reset(cfg: Config, run: Run) -> str:
    """3  Can the reset stay, and all steps still be worked out at once?

    With a reset the next step needs the spike of this one. A step is still a function: U after it depends
    on U before it. Functions can always be joined. What is missing is a short description of the joined
    one. Plot U after the steps against U before them: without a reset that is a straight line, two numbers,
    as in (5). With one, each threshold on the way may cut it in several places. For β = 0.99, the noise below
    and U from −3 to 3 before them, 20 steps joined are a line of about 10 to 80 pieces.

    Equation (4) goes another way. Take any guess of all spikes, say none. Work out U for all steps with
    these spikes as resets, which is linear, hence parallel, and see where it is above θ: that is the next
    guess. Step 1 needs no spike before it, so it is right after round 1. Step 2 needs the spike of step 1
    only, so it is right after round 2. After T rounds everything is right. A round that changes nothing
    has found U and spikes that fit each other, and since each step follows from those before it, only
    the true ones do. The hope is that far fewer rounds suffice. Feng et al. 2025 report three, with a
    threshold softened for it (https://arxiv.org/abs/2506.12087). For neurons that are reset to a constant,
    Morrill et al. 2026 keep the reset exactly, with associative scans that take in many input spikes at
    once: https://arxiv.org/abs/2603.13283.

    The current is noise around a mean of 0.15 (θ = 1), the same for five leaks. A missing spike leaves U
    too high, so later steps seem to fire as well; their resets then silence all but the first. So with
    a slow leak two rounds settle about one spike (figure, rounds 1 to 4).

    On one CPU core nothing runs at once, so without a reset a neuron walks too. Both loops are compiled:
    `unroll_adaptive` with the reset, `unroll_linear` without (in complex numbers). A reset is one subtraction.
    What it costs is the walk, T steps for about 2·log₂T rounds, where all pairs fit: not measured here.
    """
    run.predict(
        "rounds_slow",
        f"{cfg.num_steps} steps, β = 0.99. After how many rounds is every spike right?",
        unit="rounds",
    )
    T, B, H = cfg.num_steps, 8, 32
    cur = 0.15 + 0.3 * torch.randn(T, B, H, generator=run.generator())
    true, guesses, needed, settled, spikes = {}, {}, {}, {}, {}
    for beta in live(LEAKS, "   leaks", len(LEAKS)):
        true[beta], _, _ = unroll(snn.Leaky(beta=beta), cur)
        guesses[beta] = rounds(cur, beta)
        # the last round only sees that nothing changes
        needed[beta] = max(1, len(guesses[beta]) - 1)
        settled[beta] = []
        for guess in guesses[beta]:
            right = (guess == true[beta]).float()
            so_far = right.cumprod(0)  # 1 up to the first wrong step
            settled[beta].append(100 * so_far.mean().item())
        spikes[beta] = int(true[beta].sum(0).max())
    fast, slow = LEAKS[0], LEAKS[-1]
    rounds_time, linear_time = times_of_stepping(cur, 0.9)

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
    for i, (beta, share) in enumerate(settled.items()):
        look = {"color": plots.COLOURS[i], "linestyle": plots.DASHES[i]}
        bx.plot(range(1, len(share) + 1), share, label=f"β = {beta}", **look)
    bx.legend(loc="lower right")
    said = f"how far the spikes are right, mean of {B * H} neurons"
    plots.label(bx, "round", "steps before the first wrong one (%)", said)
    run.figure(fig, "3_reset", look="left: what is right grows from the left, round by round")

    rows = []
    for beta in LEAKS:
        each = needed[beta] / max(1, spikes[beta])
        rows.append((beta, needed[beta], spikes[beta], f"{each:.1f}"))
    heads = ("β", "rounds until all is right", "spikes of the busiest", "rounds a spike")
    run.table(f"{T} steps, {B * H} neurons", heads, rows)
    run.claim("rounds_fast", f"rounds until right, β = {fast}", needed[fast], "rounds")
    run.claim("rounds_slow", f"rounds until right, β = {slow}", needed[slow], "rounds")
    run.claim("time_rounds", "rounds, in loops with reset", round(rounds_time), "times")
    run.claim("time_pass", "loop without, in loops with", round(linear_time, 1), "times")
    run.finding(
        f"The rounds are exact, but not fast: {needed[fast]} of them for β = {fast}, where the "
        f"busiest neuron fires {spikes[fast]} times in {T} steps, {needed[slow]} for β = {slow}, "
        f"where it fires {spikes[slow]} times. On one core, forward and backward, the {needed[0.9]} "
        f"rounds at β = 0.9 take {rounds_time:.0f} times as long as a loop with the reset, and a "
        f"loop without it, in complex numbers, {linear_time:.1f} times as long.",
        claim="rounds_slow",
    )
    return (
        f"Guessed and corrected it stays, exactly, in {needed[0.9]} rounds for {T} steps at β = 0.9, "
        f"{needed[slow]} at {slow}. On one core a loop without it takes {linear_time:.1f} times the time of one with it."
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

    ``mem`` is the potential without a reset; the current of a LIF neuron with this U is mem[t] − β·mem[t−1].
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


def one_pixel_a_step(x: Tensor, num_steps: int, draws: int = 1) -> Tensor:
    """``(B, 1, 28, 28)`` → ``(T, draws·B, 1)``: shrunk to √T × √T, row after row, mean about 0, variance 1."""
    side = math.isqrt(num_steps)
    pixels = F.adaptive_avg_pool2d(x, side).flatten(1)  # (B, T)
    one = ((pixels - 0.13) / 0.3).t().unsqueeze(-1).contiguous()
    return one.repeat(1, draws, 1)


def last_steps(mem_rec: Tensor) -> Tensor:
    """As in lesson 13, the potentials of the read-out over the last fourteenth of the steps, averaged: ``(B, 10)``."""
    last = max(1, len(mem_rec) // 14)
    return mem_rec[-last:].mean(0)


def answer_loss(mem_rec: Tensor, y: Tensor) -> Tensor:
    """Cross entropy of the potentials at the end."""
    return F.cross_entropy(last_steps(mem_rec), y)


def answer(mem_rec: Tensor, draws: int = 1) -> Tensor:
    """The class with the highest potential at the end, of all draws together: ``(B,)``."""
    mem = last_steps(mem_rec)  # (draws·B, 10)
    return mem.view(draws, -1, mem.shape[-1]).mean(0).argmax(1)


def train_net(
    net: Net,
    lr: float,
    seed: int,
    data: ImageData,
    cfg: Config,
    run: Run,
    name: str = "",
    epochs: int = 1,
) -> list[dict[str, float]]:
    """Train on all of ``data.x_train``; A, C and Δ learn at 0.3 times the rate of the weights."""
    states = [p for key, p in net.named_parameters() if ".ssm." in key and p.requires_grad]
    others = [p for key, p in net.named_parameters() if ".ssm." not in key]
    slow = {"params": states, "lr": 0.3 * lr, "weight_decay": 0.0}
    return fit(  # the training loop of lesson 09
        net,
        data,
        partial(one_pixel_a_step, num_steps=cfg.num_steps),
        run=run,
        epochs=epochs,
        batch_size=32,
        loss_fn=answer_loss,
        predict=answer,
        augment=partial(jitter, shift=1),
        weight_decay=0.01,
        groups=[{"params": others, "lr": lr}, slow],
        seed=seed,
        schedule=warm_up,
        name=name,
        resume=cfg.resume and bool(name),
        quiet=not name,
    )


def arms(cfg: Config) -> dict[str, Kind]:
    """What section 4 compares."""
    return {
        "LIF": Kind(ringing=False, reset=True),
        "LIF, no reset": Kind(ringing=False),
        "ringing, reset": Kind(reset=True),
        "ringing": Kind(),
        f"{cfg.num_states} ringing": Kind(cfg.num_states),
        "ringing, by chance": Kind(rule="chance"),
        "ringing, graded": Kind(rule="graded"),
    }


DRAWS = 8  # of the same image, where spikes are drawn by chance


def train_arm(arm: str, data: ImageData, cfg: Config, run: Run) -> dict[str, Any]:
    """The rate that is best on validation images; then, from other seeds, test images read (%) and firing (%)."""
    kind = arms(cfg)[arm]
    encode = partial(one_pixel_a_step, num_steps=cfg.num_steps)

    def trained(lr: float, seed: int) -> tuple[Net, float]:
        torch.manual_seed(seed)
        net = Net(kind, cfg.num_hidden, cfg.dt_max)
        history = train_net(net, lr, seed, data, cfg, run)
        return net, history[-1]["val"]

    lr = best_rate(lambda rate: trained(rate, cfg.seed)[1])
    test, averaged, fires = [], [], []
    for seed in range(cfg.seed + 1, cfg.seed + 1 + cfg.seeds):
        net, _ = trained(lr, seed)
        test.append(100 * evaluate(net, data.x_test, data.y_test, encode, answer))
        if kind.rule == "chance":
            many = partial(encode, draws=DRAWS), partial(answer, draws=DRAWS)
            share = evaluate(net, data.x_test, data.y_test, *many, batch_size=100)
            averaged.append(100 * share)
        with torch.no_grad():
            images = data.x_val[:200].float().to(run.device) / 255
            spk_rec = torch.cat(net.eval().hidden(encode(images)))
        fires.append(100 * spk_rec.ne(0).float().mean().item())
    return {"lr": lr, "test": test, "averaged": averaged, "fires": float(np.mean(fires))}


def judged(mean: float, half: float) -> str:
    """A gain in points, and what its interval says of it."""
    if abs(mean) <= half:
        return f"{signed(mean, half)} (open)"
    said = "a gain" if mean > 0 else "a loss"
    return f"{signed(mean, half)} ({said})"


def price(drops: dict[str, tuple[float, float]], firing: list[tuple[float, float]]) -> str:
    """What dropping the reset does: the points gained by it, and how many times as much fires."""
    points = []
    for name, (mean, half) in drops.items():
        said = judged(mean, half)
        if said.endswith("(open)"):
            said = said.replace("(open)", f"(open: a loss of {half - mean:.0f} is not excluded)")
        points.append(f"{name} {said}")
    more = []
    for before, after in firing:
        more.append(f"{after / before:.1f}" if before else "∞")
    gained = ", ".join(points)
    return f"Dropping the reset, in points: {gained}, at {' and '.join(more)} times the firing."


@section
def section_arms(cfg: Config, run: Run) -> str:
    """4  What does a network lose without the reset, and what do the states buy?

    The task is lesson 13's: an image of 14 × 14 grey values comes in as 196 steps. Ten leaky potentials
    without spikes read out the digit (β = 0.9); their mean over the last 14 steps is the answer. Each of
    the two layers is a Linear, the states of its neurons, a BatchNorm and the rule that makes spikes of
    U; only spikes go on. Seven kinds of neuron, each with a partner from which it differs in one thing:

        LIF                    one real state, and each spike takes 1 from U
        LIF, no reset          the same, and a spike takes nothing
        ringing, reset         one complex state; each spike takes 1 from U, and this part only fades
        ringing                the same state, and a spike takes nothing
        4 ringing              four complex states, S4D's
        ringing, by chance     S = 1 with probability p = (1 + U)/4, cut to 0 … 1
        ringing, graded        S = U − 1 if U > 1 else 0: an event that carries a number

    The reset can be switched alone because a neuron is linear between spikes. Its U has two parts: what
    the input adds, worked out for all steps at once and normalised by BatchNorm; and what its own spikes
    took, subtracted afterwards, step by step (`with_reset`): of what a spike takes, a share |a| is left a
    step later. For the LIF this is the reset of (4). The ringing neuron gets the
    same one, so that only the reset is switched; in adLIF what a spike takes would ring as well.

    A reset takes spikes away, and it does so after the BatchNorm has set U, so it also moves the point at
    which a neuron works. What the reset does is therefore not separated from firing less. Read the gain
    by dropping it beside the firing, the share of neurons that fire in a step.

    With a threshold a network is deterministic: the same image always makes the same spikes. The rule by
    chance is that of P-SpikeSSM (ICLR 2025). A jump has no slope, but the mean of a drawn spike is p, and p
    has one: that is sent back. For a loss that is linear in S this is right on average; behind a further
    layer it is an approximation too. The slope is ¼ for −1 < U < 3 and 0 elsewhere. More than noise comes
    with it: at the start a quarter of the neurons fire, and 16 % with the threshold. To see what the noise
    in an answer costs, 8 draws of it are averaged.

    Equal for all: width, images, updates, batches of 32. A state adds 4 parameters to a neuron, which has
    one weight in layer 1 and 64 in layer 2. Each arm climbs a ladder of learning rates, 0.001, 0.003, … 3,
    until validation images find both neighbours of a rate no better; then five other seeds train. A gain
    is open if its interval holds 0; all six intervals hold together with 95 %. These are short trainings:
    an arm that is behind may catch up in a long one. All start with Δ ≤ 0.2, so the LIF with β ≥ 0.9.
    """
    names = list(arms(cfg))
    lif, lif_free, reset, ringing, many, chance, grade = names
    asked = ("drop the reset, LIF", "let the state ring", f"{cfg.num_states} states instead of 1")
    run.predict("best_step", "Which of these steps buys the most?", asked)
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
    code = (train_net, Net, Layer, SSM, with_reset, by_threshold, by_chance, graded)
    trained = dict(each_arm(run, train_arm, names, code, few))
    found = {name: trained[name] for name in names}
    fires = {name: arm["fires"] for name, arm in found.items()}

    pairs = {
        "drop the reset, LIF": (lif_free, lif),
        "drop the reset, ringing": (ringing, reset),
        "let the state ring": (ringing, lif_free),
        f"{cfg.num_states} states instead of 1": (many, ringing),
        "by chance, not threshold": (chance, ringing),
        "graded, not threshold": (grade, ringing),
    }
    gains = {}
    for step, (better, than) in pairs.items():
        gained = np.subtract(found[better]["test"], found[than]["test"])
        gains[step] = interval(gained, len(pairs))

    lif_gain, ringing_gain, ring_gain = [judged(*gains[step]) for step in list(pairs)[:3]]
    title = (
        f"Let the state ring: {ring_gain}; drop the reset: ringing {ringing_gain}, LIF {lif_gain}"
    ).replace("-", "−")
    fig, (ax, bx) = plots.figure(1, 2, (12.5, 4.6), title)
    draw_trainings(ax, {name: arm["test"] for name, arm in found.items()})
    ax.set_yticks(range(len(found)), [f"{name}\nfires {fires[name]:.1f} %" for name in found])
    plots.label(ax, "test images read correctly (%)", "", "mean, 95 % interval; ticks: trainings")
    draw_differences(bx, gains)
    plots.label(bx, "gain (points)", "", "filled: told apart from 0; white: open")
    run.figure(fig, "4_arms", look="right: which gains keep clear of 0; left: who fires how much")

    rows = []
    for name, arm in found.items():
        mean, half = interval(arm["test"])
        rows.append((name, f"{arm['lr']:g}", f"{mean:.1f} ± {half:.1f}", f"{fires[name]:.1f}"))
    heads = ("arm", "rate", "test %", "firing %")
    run.table("Rate by validation, then test images", heads, rows)
    facts = {"n": len(few.y_test) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    ids = ("reset", "reset_ringing", "ring", "states")
    for id, step in zip(ids, list(pairs)[:4], strict=True):
        mean, half = gains[step]
        run.claim(f"gain_{id}", f"{step} (± {half:.1f})", mean, "points", **facts)
    averaged = np.mean(found[chance]["averaged"])
    run.claim("arm_ringing", "ringing: test images", np.mean(found[ringing]["test"]) / 100, **facts)
    run.claim("averaged", f"by chance, mean of {DRAWS} draws", averaged / 100, **facts)
    run.outcome("best_step", max(asked, key=lambda step: gains[step][0]))
    drops = {"LIF": gains["drop the reset, LIF"], "ringing": gains["drop the reset, ringing"]}
    paid = price(drops, [(fires[lif], fires[lif_free]), (fires[reset], fires[ringing])])
    won_back = averaged - np.mean(found[chance]["test"])
    gained = [f"{step}: {judged(*gains[step])}" for step in list(pairs)[2:]]
    run.finding(
        f"Points gained: {'; '.join(gained)}. Averaging {DRAWS} draws changes chance by "
        f"{won_back:+.1f}. {paid}".replace("-", "−")
    )
    return paid


# ---------------------------------------------------------------- 5  a long training


BEST_LR = 1e-2


def best_of(history: list[dict[str, float]]) -> float:
    """The highest validation accuracy of a training."""
    return max(row["val"] for row in history)


def train_best(net: Net, name: str, data: ImageData, cfg: Config, run: Run) -> None:
    """Train for some epochs, and a few more at a lower rate; keep these if validation images say so."""
    history = train_net(net, BEST_LR, cfg.seed, data, cfg, run, name, cfg.best_epochs)
    first = {key: value.clone() for key, value in net.state_dict().items()}
    seed, epochs = cfg.seed + 1, cfg.best_more_epochs
    more = train_net(net, 0.3 * BEST_LR, seed, data, cfg, run, f"{name}_more", epochs)
    if best_of(more) < best_of(history):
        net.load_state_dict(first)
    for row in more:
        row["epoch"] += cfg.best_epochs
    run.checkpoint(net, name)
    write_rows(run.dir / f"{name}.csv", history + more)  # the log of the training


def best_net(data: ImageData, cfg: Config, run: Run) -> Net:
    """Four complex states and a threshold: from checkpoints/, or with --train trained anew."""
    name = f"spiking_ssm_{cfg.num_steps}"
    torch.manual_seed(cfg.seed)
    net = Net(Kind(cfg.num_states), cfg.best_hidden, cfg.dt_max)
    if cfg.train or cfg.smoke:
        train_best(net, name, data, cfg, run)
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
    """For one sequence: spikes, the additions they cause, multiplications of what is no spike, and ``dense``.

    A complex state takes 4 multiplications for a·h and 2 for its share of U, at every step. ``dense`` is
    what the weights that spikes go through would take if the layers sent numbers.
    """
    T, B, _ = x.shape
    first, second = net.layers
    H, N = first.ssm.log_decay.shape
    spk_1, spk_2 = net.hidden(x)
    spikes_1 = spk_1.sum().item() / B
    spikes_2 = spk_2.sum().item() / B
    outputs = net.fc_out.out_features
    return {
        "spikes": spikes_1 + spikes_2,
        "synops": spikes_1 * H + spikes_2 * outputs,
        "dense": float(T * H * (H + outputs)),
        "states": 2.0 * T * H * N * 6,
        "pixels": float(T * H),
    }


@section
def section_best(cfg: Config, run: Run) -> float:
    """5  How well does it read, and what does it carry from step to step?

    A longer training of the arm with four states: two layers of 128 neurons, all 55,000 training images
    twice, and once more with a lower learning rate, each moved by up to one pixel. (Section 4 leaves
    open whether one state reads less: try --num-states 1 --train --only 5.)
    The weights come with the course, checkpoints/spiking_ssm_196.safetensors, with the log of the
    training; --train makes them anew. Validation images chose the epoch, test images chose nothing.

    It was trained with all steps at once. It can be used one step at a time: `Net.step` is equation (2). What
    it has to carry is h, and the read-out's ten potentials. That is the same after one pixel and after
    a million. Attention (lesson 18) keeps a key and a value of every token it has seen, and looks at
    all of them for each new one. (Its memory is worked out here for two layers as wide; no such network
    is trained.) On a device with little memory that listens all day, this decides.

    This is why SpikeGPT (2023, 216 million parameters), the first larger spiking language model, has no
    attention. It is built on RWKV, whose memory is a few running sums for each channel, recurrences like
    (2) with a real a; its layers send each other spikes, and it reads a token a step, as we do pixels. On
    its tests it comes near ordinary models. Its authors (https://arxiv.org/abs/2302.13939) count a 32nd
    of the operations; that holds for hardware that skips zeros, which a GPU does not.

    What a state costs: a·h is multiplied at every step, whether a spike came or not. BatchNorm
    folds into C and a constant, so it costs nothing. Count both kinds of work before you call it sparse:
    what the spikes save is the products of the weights behind them.

    In the figure some neurons fire before any ink has come. The background lies below the line at 0: it
    is −0.43 at every step, and a BatchNorm's constant adds to it. A blank start is an input as well.
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
    token = 2 * 2 * H * 4  # bytes for each: two layers, keys and values, float32
    tokens = 16_384
    times = round(token * tokens / carried)
    times_here = round(token * len(x) / carried)

    digit = int(data.y_test[0])
    title = f"A {digit}, pixel by pixel: {100 * accuracy:.2f} % of {len(data.y_test):,} test images are read correctly"
    fig, axes = plots.figure(3, 1, (10, 8), title, sharex=True, height_ratios=(0.7, 1.6, 1.5))
    pixels = x[:, 0, 0].cpu()
    axes[0].fill_between(range(len(x)), pixels, x.min().item(), color=plots.BLACK, step="mid")
    axes[0].axhline(0, color=plots.RED, linewidth=0.8)
    said = f"the image, row after row; line: 0; background: {x.min().item():.2f}"
    plots.label(axes[0], "", "input", said.replace("-", "−"))
    ssm = net.layers[1].ssm
    dt = ssm.log_dt.exp().unsqueeze(1)
    fading = dt * ssm.log_decay.exp()  # Δ·|Re A|, (H, N)
    slowest = fading.amin(1)  # a neuron's longest memory is 1/slowest steps
    order = slowest.argsort(descending=True).cpu()
    plots.raster(axes[1], spk_rec[:, order], width=1.2)
    plots.label(axes[1], "", "neuron", "spikes of layer 2; at the top those with the slowest state")
    for k in range(10):
        look = {"color": "0.6", "linewidth": 0.8}
        if k == digit:
            look = {"color": plots.RED, "linewidth": 2, "label": f"digit {k}", "zorder": 3}
        axes[2].plot(mem_rec[:, k], **look)
    axes[2].legend(loc="upper left")
    said = f"read-out; grey: the other nine digits; {leads(mem_rec, digit)}"
    plots.label(axes[2], "step", "potential", said)
    run.figure(fig, "5_digit", look="bottom: which ink does the thick line wait for?")

    ops = operations(net, x)
    macs = ops["states"] + ops["pixels"]
    target = ">= 0.98" if cfg.num_steps == 196 else ">= 0.985"
    facts = {"n": len(data.y_test), "seeds": 1, "real": True}
    run.claim("accuracy", f"test images, {cfg.num_steps} steps", accuracy, "1", target, **facts)
    run.claim("same", "one step at a time: same answers", same, "1", ">= 0.99", n=len(at_once))
    run.claim("carried", "carried from step to step", carried, "bytes")
    run.claim("cache", f"attention, {tokens:,} tokens", times, "times")
    run.claim("work", "additions a dense product", ops["synops"] / ops["dense"])
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
        energy_estimated_nj=estimated_energy_nj(ops["synops"], macs),
    )
    run.finding(
        f"{100 * accuracy:.2f} % of the test images are read correctly, a pixel a step, with "
        f"{carried:,} bytes carried from step to step. Two layers of attention as wide would keep "
        f"{times_here:,} times as much after these {len(x)} tokens and {times:,} times after "
        f"{tokens:,}. The spikes take {ops['synops'] / 1e6:.2f} million additions an image where "
        f"dense layers would take {ops['dense'] / 1e6:.1f} million multiplications; the states "
        f"take {ops['states'] / 1e6:.1f} million, spikes or not.",
        claim="accuracy",
    )
    return accuracy


def leads(mem_rec: np.ndarray, digit: int) -> str:
    """From which step to the end the read-out ``(T, 10)`` is highest for ``digit``."""
    others = np.flatnonzero(mem_rec.argmax(1) != digit)
    first = others[-1] + 1 if len(others) else 0
    if first == len(mem_rec):
        return "another digit leads at the end"
    return f"digit {digit} leads from step {first} on"


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


LENGTH = 40  # steps of a sequence in training
LENGTHS = (LENGTH, 2 * LENGTH, 4 * LENGTH)  # those that are asked about
SOLVED = 99.0  # %; above it there is nothing left for B and C to gain


def train_selective(arm: str, H: int, lr: float, seed: int, cfg: Config, run: Run) -> SelectiveNet:
    """Train on new sequences, 32 in an update."""
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(1000 + seed)
    net = SelectiveNet(H, cfg.num_states, *ARMS[arm]).to(run.device)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: warm_up(i / cfg.updates))
    for _ in range(cfg.updates):
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


def share_right(scores: Tensor, asked: Tensor) -> float:
    """Share of the questions whose highest score ``(T, B, 4)`` is that of the right symbol, in per cent."""
    known = asked >= 0
    right = scores[known].argmax(1) == asked[known]
    return 100 * right.float().mean().item()


@torch.no_grad()
def named(net: SelectiveNet, length: int, seed: int, number: int = 300) -> float:
    """Share of the questions in new sequences that are answered correctly, in per cent."""
    tokens, asked = n_back_batch(number, length, torch.Generator().manual_seed(seed))
    scores = net.run(tokens.to(net.bias.device)).cpu()
    return share_right(scores, asked)


def named_by_age(length: int, seed: int, number: int = 300) -> float:
    """The same for a reader that goes by how long ago each symbol came, and by nothing else.

    The third symbol back stands n steps ago with probability (n−1)·(n−2)/2·¼³·¾^(n−3). A symbol that came
    n steps ago has so many votes.
    """
    tokens, asked = n_back_batch(number, length, torch.Generator().manual_seed(seed))
    n = torch.arange(length, dtype=torch.float64)
    pairs_between = (n - 1) * (n - 2) / 2
    votes = pairs_between * 0.25**3 * 0.75 ** (n - 3)
    votes[0] = 0
    came = F.one_hot(tokens, SYMBOLS + 1)[..., 1:].double()  # (T, B, 4)
    scores = convolve(came, votes.unsqueeze(1).expand(-1, SYMBOLS))
    return share_right(scores.round(decimals=9), asked)  # so that equal votes stay equal


def train_select(arm: str, data: None, cfg: Config, run: Run) -> dict[str, Any]:
    """As `train_arm`; shares named ``(trainings, lengths)``, and Δ of the last network for each token."""
    by_delta, by_gains = ARMS[arm]
    budget = count_parameters(SelectiveNet(32, cfg.num_states, True, True))
    make = partial(SelectiveNet, num_states=cfg.num_states, by_delta=by_delta, by_gains=by_gains)
    H = widest(make, budget)
    number = 20 if cfg.smoke else 300  # new sequences to be asked about

    def score(lr: float) -> float:
        return named(train_selective(arm, H, lr, cfg.seed, cfg, run), LENGTH, 5, number)

    lr = best_rate(score)
    shares = []
    for seed in range(cfg.seed + 1, cfg.seed + 1 + cfg.seeds):
        net = train_selective(arm, H, lr, seed, cfg, run)
        shares.append([named(net, length, 100 + seed, number) for length in LENGTHS])
    with torch.no_grad():
        delta = net.delta(torch.eye(SYMBOLS + 1, device=run.device)).tolist()
    return {"H": H, "lr": lr, "shares": shares, "delta": delta}


@section
def section_select(cfg: Config, run: Run) -> None:
    """6  What is selectivity, and which task needs it?

    So far a and b were the same at every step. In Mamba they depend on the token x[t], here a symbol as a
    one-hot vector, of which a Linear makes the current I[t]. B weighs what comes in; so far it was 1:

        h[t] = a[t]·h[t−1] + B[t]·b[t]·I[t]     U[t] = Re Σ C[t]·h[t]
        Δ[t] = softplus(bias + W_Δ·x[t])        a[t] = e^(Δ[t]·A),  b[t] = (a[t] − 1)/A           (6)
        B[t] = 1 + W_B·x[t]                     C[t] = C·(1 + W_C·x[t])                           (7)

    softplus(z) = ln(1 + eᶻ) keeps Δ positive. (Mamba's B and C are W·x, without the 1, and Δ·B stands for
    its b·B.) Δ matters most. Near 0 it makes a = 1 and b = 0: the state waits, and the token has no effect.
    A large Δ makes the past fade and lets the token in. In between, the larger Δ is, the further the
    states turn: time passes for tokens that count, and stands still for others. No kernel k[n] describes
    this any more, since the weight of an input depends on what came after it, not on how long ago it was.
    So there is no convolution, but there is the scan, since (5) joins any two steps. That is why Mamba
    matters: it selects what it keeps, is trained in parallel, and answers with a state of fixed size.

    The task: one of four symbols comes at a quarter of the steps, at random, and a filler at the others. At
    each symbol, name the one three symbols before it. In symbols the way back is always three, in
    steps it is different every time. (Psychologists call it n-back.) How far does one get by age alone?
    The symbol asked for is in 4 of 10 cases 7 to 11 steps old, so let every symbol so far vote with the
    probability that the right one is as old as it is: that is about what ONE fixed kernel can do, and the
    dashed line shows how often it is right. A layer has one kernel a neuron, and thresholds, and may get
    a few points further.

    One layer of spiking neurons, threshold, no reset; a linear read-out of its spikes. All arms have equal
    parameters, new sequences in every update, and climb section 4's ladder. An arm that is behind may catch up.

    What others build. Mamba-Spike (https://arxiv.org/abs/2408.11823): recurrent LIF neurons make sparse spikes
    of a camera's events, which are counted in windows of time; the counts go, as ordinary numbers, through
    a Mamba, and only the front end spikes. SpikingSSMs (https://arxiv.org/abs/2408.14909): a neuron with a
    reset behind each SSM, whose spikes a small network predicts, so that training need not walk. P-SpikeSSM
    (section 4): no reset, spikes by chance. Where is this heading? In all of them the memory is in states
    that are multiplied at every step, the spikes are messages between layers, and the reset is what is
    dropped or approximated first. What is open: whether a reset is worth its price, how a spiking language
    model compares with an ordinary one of its size and training, and which chip holds complex states.
    """
    run.predict(
        "fixed",
        "Four symbols, so chance is 25 %. What share does the network with a fixed Δ name correctly?",
        unit="%",
    )
    trained: dict[str, dict[str, Any]] = {}
    code = (train_selective, SelectiveNet, Recurrence, scan, n_back_batch, named)
    for arm, result in each_arm(run, train_select, ARMS, code):
        trained[arm] = result
        said = ", ".join(f"{row[0]:.1f}" for row in result["shares"])
        run.print(f"   {arm:<17} H = {result['H']}, rate {result['lr']:g}: {said} %")
    longer = {arm: np.array(trained[arm]["shares"]) for arm in ARMS}  # (trainings, lengths)
    by_age = [named_by_age(length, 5) for length in LENGTHS]
    fixed, by_delta, by_all = [shares[:, 0] for shares in longer.values()]
    gained, half = interval(by_delta - fixed, 2)
    more, more_half = interval(by_all - by_delta, 2)

    title = f"Δ chosen by the token instead of fixed: {signed(gained, half, 0)} points"
    fig, (ax, bx) = plots.figure(1, 2, (12.5, 4.6), title)
    for i, (arm, shares) in enumerate(longer.items()):
        mean = shares.mean(0)
        reach = [mean - shares.min(0), shares.max(0) - mean]
        look = {"color": plots.COLOURS[i], "marker": plots.MARKERS[i], "capsize": 3}
        beside = np.array(LENGTHS) + 3 * i  # so that no arm hides another
        ax.errorbar(beside, mean, reach, linestyle=plots.DASHES[i], label=arm, **look)
    ax.plot(LENGTHS, by_age, color="0.4", linestyle="--", linewidth=1)
    ax.annotate("by age alone: votes of one kernel", (LENGTHS[-1], by_age[-1] - 5), ha="right")
    ax.axhline(100 / SYMBOLS, color="0.4", linestyle=":", linewidth=1, label="chance")
    ax.set_ylim(20, 102)
    ax.set_xticks(LENGTHS)
    ax.legend(loc="center right", bbox_to_anchor=(1, 0.62))
    said = f"mean, range of {cfg.seeds} trainings, drawn side by side"
    plots.label(ax, f"steps of a sequence (trained with {LENGTH})", "named correctly (%)", said)
    delta = np.array(trained["Δ by input"]["delta"])  # (5, H)
    at_filler, at_symbol = delta[0], delta[1:].mean(0)
    bx.scatter(at_filler, at_symbol, s=18, color=plots.BLUE)
    ends = [0.7 * delta.min(), 1.4 * delta.max()]
    bx.plot(ends, ends, color="0.5", linestyle="--", linewidth=1)
    bx.set_xscale("log")
    bx.set_yscale("log")
    said = "Δ by input, the last training: a dot a neuron; dashed: equal"
    plots.label(bx, "Δ at a filler", "Δ at a symbol, mean of four", said)
    run.figure(
        fig,
        "6_select",
        look="right: a neuron far above the line stands still at fillers, moves at symbols",
    )

    facts = {"n": (20 if cfg.smoke else 300) * cfg.seeds, "seeds": cfg.seeds}
    for id, arm in (("fixed", "fixed"), ("delta", "Δ by input"), ("all", "Δ, B, C by input")):
        run.claim(id, f"{arm}: symbols named", longer[arm][:, 0].mean() / 100, **facts)
    run.claim("by_age", "by age alone: symbols named", by_age[0] / 100, n=300)
    run.claim("selective_gain", "gain by Δ from the input", gained, "points", ">= 10", **facts)
    fixed_then = longer["fixed"][:, -1].mean()
    delta_then = longer["Δ by input"][:, -1].mean()
    last = f"B and C by input add {verdict(more, more_half)}."
    if by_delta.mean() > SOLVED:
        last = "So the task is solved, and cannot show what B and C are good for."
    run.finding(
        f"With a fixed Δ the network names {fixed.mean():.0f} % of the symbols; by age alone it "
        f"would be {by_age[0]:.0f} %. With a Δ that the token chooses it names "
        f"{by_delta.mean():.1f} %, in points {verdict(gained, half)}. {last} From {LENGTH} to "
        f"{LENGTHS[-1]} steps the share goes to {fixed_then:.0f} % with a fixed Δ and to "
        f"{delta_then:.0f} % with Δ by input."
    )
    kept, paid, accuracy = [run.results.get(number) for number in (3, 4, 5)]
    if kept and paid and accuracy:  # none of them with --only
        run.finding(
            f"A reset makes each step wait for the spike before it. {kept} Without it steps join in about "
            f"2·log₂T rounds, which pays where many run at once (not measured). {paid} "
            f"{100 * accuracy:.2f} % is one training without a reset; none with one was as long.",
            main=True,
            claim="accuracy",
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
