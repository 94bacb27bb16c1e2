"""Lesson 01 — The leaky integrate-and-fire neuron

Question
    A unit of a deep network answers each input at once and then forgets it. A nerve cell collects
    its input over time and answers with short, identical pulses, called spikes. What is the
    smallest model that does this, and what does it leave out?

Idea
    The state of a neuron is one number: the membrane potential U, the voltage across the wall of
    the cell, counted from its value at rest. An input current I raises U. Without input, U leaks
    away. When U crosses the threshold θ, the neuron fires a spike S, and U is reset:

        U[t+1] = β·U[t] + I[t+1] − S[t]·θ          leak, integrate, reset                     (1)
        S[t+1] = 1 if U[t+1] > θ else 0            fire                                       (2)

    β, between 0 and 1, is the share of U that is left after one time step. This is the leaky
    integrate-and-fire neuron, LIF for short; in snnTorch it is snn.Leaky. Seen from PyTorch it is
    a recurrent cell with one state variable and, where an RNN has tanh, a step function.

Read first
    Theory     Neuronal Dynamics, chapter 1, https://neuronaldynamics.epfl.ch/online/Ch1.html
               Eshraghian et al. 2023, section II, https://arxiv.org/abs/2109.12894
    Practice   snnTorch tutorial 2,
               https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_2.html

Run
    uv run 01_lif_neuron.py --predict    asks what you expect, then measures it: start here
    uv run 01_lif_neuron.py              without questions; about 10 seconds on two CPU cores
    uv run 01_lif_neuron.py --beta 0.5   another neuron; also --threshold 2, or --only 3
    uv run 01_lif_neuron.py --full       measures twenty times as many steps

Builds on / leads to
    Needs PyTorch and a little calculus, no neuroscience. Lesson 02 turns data into the current I,
    06 gives the current a time course, 07 and 09 train through (1) and (2), 13 adds memory to them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from common import plots
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run

import numpy as np
import snntorch as snn
import torch
from torch import Tensor

STEP = "time step (1 ms)"
RESETS = ("subtract", "zero", "none")


@dataclass
class Config(LessonConfig):
    """A few neurons are too little work for a GPU: this lesson stays on the CPU."""

    num_steps: int = bounded(100, 1, 100_000)
    """time steps that are drawn, 1 ms each"""
    beta: float = bounded(0.9, 0.05, 0.999)
    """share β of the potential that is left after one step"""
    threshold: float = bounded(1.0, 0.01, 100.0)
    """potential θ above which the neuron fires"""
    long_steps: int = bounded(1000, 200, 50_000)
    """time steps of a run that is measured and not drawn"""

    @property
    def rheobase(self) -> float:
        """The strongest steady current that never makes the neuron fire: equation (3)."""
        return self.threshold * (1 - self.beta)

    @property
    def tau(self) -> float:
        """The membrane time constant τ in steps: equation (4) solved for τ."""
        return -1 / math.log(self.beta)

    @property
    def measured_steps(self) -> int:
        """Length of a measured run: ``long_steps``, or more where the membrane is very slow."""
        return max(self.long_steps, self.num_steps, math.ceil(10 * self.tau))


SMOKE = {"long_steps": 200}
FULL = {"long_steps": 20_000}


def spikes(count: float) -> str:
    """1 spike, 2 spikes."""
    return f"{count:.0f} spike" if count == 1 else f"{count:.0f} spikes"


@section
def section_steady_current(cfg: Config, run: Run) -> None:
    """1  What does a neuron do with a steady current?

    A current I is switched on and stays on. Until the first spike, equation (1) reads U ← β·U + I.
    The leak takes a fixed share of U, so it takes more the higher U has climbed. U comes to rest
    where the leak takes just what the current brings:

        U = β·U + I          so          U = I/(1 − β)          the steady state             (3)

    The neuron fires only if this value lies above θ. The current that just fails to get there is
    called the *rheobase*: θ·(1 − β), a tenth of the threshold when β is 0.9.

    Three copies of one neuron get 0.8, 1.2 and 3 times the rheobase. The first loop is the one that
    every snnTorch program has. The second is the same neuron written out by hand.
    """
    strengths = (0.8, 1.2, 3.0)  # in rheobases
    currents = cfg.rheobase * torch.tensor(strengths)
    weak, middle, strong = currents.tolist()
    answers = ("none of them", "the strongest", "the two strongest", "all three, in time")
    run.predict(
        "which_fire",
        f"Three neurons have β = {cfg.beta:g} and θ = {cfg.threshold:g}. A steady current of "
        f"{weak:.3g}, {middle:.3g} or {strong:.3g} flows into each. Which of them ever fire?",
        answers,
    )
    cur = torch.zeros(cfg.num_steps, 3)  # (T, B): T time steps, B neurons side by side
    cur[cfg.num_steps // 10 :] = currents

    # By snnTorch: one call of the neuron for each time step.
    lif = snn.Leaky(beta=cfg.beta, threshold=cfg.threshold)
    mem = torch.zeros(3)  # every neuron starts at rest
    spk_list, mem_list = [], []
    for cur_t in cur:  # (B,)
        spk, mem = lif(cur_t, mem)
        spk_list.append(spk)
        mem_list.append(mem)
    spk_rec = torch.stack(spk_list)  # (T, B), 1 where a neuron fires
    mem_rec = torch.stack(mem_list)  # (T, B)

    # By hand: the two equations, line by line.
    mem = torch.zeros(3)
    spk = torch.zeros(3)
    spk_list, mem_list = [], []
    for cur_t in cur:
        # U[t+1] = β·U[t] + I[t+1] − S[t]·θ
        mem = cfg.beta * mem + cur_t - spk * cfg.threshold
        # S[t+1] = 1 if U[t+1] > θ else 0
        spk = (mem > cfg.threshold).float()
        spk_list.append(spk)
        mem_list.append(mem)
    spk_by_hand = torch.stack(spk_list)
    mem_by_hand = torch.stack(mem_list)

    fires = int(spk_rec.any(0).sum())
    title = f"Current in, spikes out: {fires} of 3 neurons fire"
    rows = {"height_ratios": (1, 2.4, 0.6), "sharex": True, "sharey": "row"}
    fig, axes = plots.figure(3, 3, (11, 5.4), title, **rows)
    for i, strength in enumerate(strengths):
        top, centre, bottom = axes[:, i]
        top.set_title(f"{strength:g} × rheobase: {spikes(spk_rec[:, i].sum())}")
        top.plot(cur[:, i], color=plots.GREEN)
        plots.membrane(centre, mem_rec[:, i], None, cfg.threshold, name="U, snn.Leaky")
        centre.plot(mem_by_hand[:, i], ".", color=plots.BLACK, markersize=3, label="U, by hand")
        plots.raster(bottom, spk_rec[:, i : i + 1])
        bottom.set_xlabel(STEP)
        bottom.set_yticks([])
    axes[0, 0].set_ylabel("current I\n(per step)")
    axes[1, 0].set_ylabel(f"potential U (θ = {cfg.threshold:g})")
    axes[2, 0].set_ylabel("spikes S")
    axes[1, 0].legend(loc="lower right")
    run.figure(
        fig, "1_steady_current", look="how U climbs, where it stops, what a spike does to it"
    )

    steady = mem_rec[-1, 0].item() / cfg.threshold
    above = int((currents / (1 - cfg.beta) > cfg.threshold).sum())
    differ = int((spk_rec != spk_by_hand).sum())
    run.claim("settled", "0.8 × rheobase: where U ends", steady, "θ")
    run.claim("spikes_middle", "1.2 × rheobase: spikes", spk_rec[:, 1].sum().item(), "")
    run.claim("spikes_strong", "3 × rheobase: spikes", spk_rec[:, 2].sum().item(), "")
    run.outcome("which_fire", answers[fires])
    run.finding(
        f"{fires} of 3 neurons fire, and {above} of the 3 steady states I/(1−β) lie above θ. One step's "
        "current may be far below θ: the neuron adds it up. "
        f"By hand and by snn.Leaky, the spikes differ at {differ} of {cur.numel()} steps."
    )


def simulate(
    cur: Tensor, beta: float, threshold: float, reset: str = "subtract"
) -> tuple[Tensor, Tensor]:
    """The first loop of section 1 as a function: ``cur (T, B)`` → ``spk_rec, mem_rec (T, B)``."""
    lif = snn.Leaky(beta=beta, threshold=threshold, reset_mechanism=reset)
    mem = torch.zeros_like(cur[0])
    spk_rec, mem_rec = [], []
    for cur_t in cur:
        spk, mem = lif(cur_t, mem)
        spk_rec.append(spk)
        mem_rec.append(mem)
    return torch.stack(spk_rec), torch.stack(mem_rec)


def passive_membrane(cur: Tensor, beta: float | Tensor) -> Tensor:
    """Leak and integrate, never fire: ``cur (T, B)`` → potential ``(T, B)``."""
    mem = torch.zeros_like(cur[0])
    mem_rec = []
    for cur_t in cur:
        # U[t+1] = β·U[t] + I[t+1]
        mem = beta * mem + cur_t
        mem_rec.append(mem)
    return torch.stack(mem_rec)


@section
def section_membrane(cfg: Config, run: Run) -> None:
    """2  What is β, and where does it come from?

    The wall of a cell is a thin insulator between two salt solutions: a capacitor C. It is pierced
    by ion channels, tiny pores. Those that are always open let charge leak: a resistor R. A current
    into the cell either charges C or escapes through R:

        I ──►──┬─────┬── U           I = C·dU/dt + U/R
               R     C
               └──┬──┘               τ·dU/dt = −U + R·I          with  τ = R·C
                rest

    This is the *passive* membrane. It is linear: twice the current gives twice the potential. And it
    forgets, with the time constant τ, about 10 to 20 ms in the cortex. The *active* part of a real
    neuron is a second kind of channel, which opens when U rises. Sodium ions rush in and drive U
    up further, then potassium ions flow out and bring it down: a spike, over within 1 or 2 ms.
    Hodgkin and Huxley describe it with four differential equations, solved in steps of about
    0.01 ms. But all spikes of a neuron look alike. So LIF keeps the passive membrane and replaces
    the active part by two rules, threshold and reset. The shape of the spike is lost, its time kept.

    A program needs time steps Δt. While I is constant, the equation has an exact solution:

        U(t + Δt) = β·U(t) + (1 − β)·R·I          β = exp(−Δt/τ)                             (4)

    snnTorch leaves the factor (1 − β)·R to the weights, which are learnt anyway; what remains is
    equation (1) without spikes. So β describes the cell and your clock together: τ = 10 ms in
    steps of 1 ms is β = 0.90. More open channels mean a smaller R, a smaller τ and a smaller β; half the time step
    means √β. β = 1 never forgets, β = 0 has no memory at all. Forward Euler, the usual first guess,
    keeps 1 − Δt/τ instead of exp(−Δt/τ).
    """
    run.predict(
        "memory",
        f"A membrane with β = {cfg.beta:g} gets one input and then nothing. After how many steps is "
        "less than 37 % of it left (1/e, a good third)?",
        unit="steps",
    )
    # One input of 1 to three membranes.
    betas = torch.tensor([0.5, cfg.beta, 0.99])
    pulse = torch.zeros(cfg.measured_steps, 3)  # (T, B)
    pulse[0] = 1.0
    left = passive_membrane(pulse, betas)  # (T, B), the share of the input that is left
    forgotten = left < 1 / math.e
    memory = forgotten.float().argmax(0).tolist()  # the first such step

    # One steady current and twice that, with and without the active part.
    steady = cfg.rheobase * torch.tensor([1.2, 2.4]).expand(cfg.measured_steps, 2)
    passive = passive_membrane(steady, cfg.beta)
    spk_rec, active = simulate(steady, cfg.beta, cfg.threshold)
    passive_ratio = (passive[-1, 1] / passive[-1, 0]).item()
    active_ratio = (spk_rec[:, 1].sum() / spk_rec[:, 0].sum()).item()

    # A current with R·I = 1 is switched on. Time in units of τ, steps of half a τ.
    dt = 0.5
    time = dt * np.arange(11)
    solution = 1 - np.exp(-time)
    exact = np.zeros(11)
    euler = np.zeros(11)
    for k in range(10):
        exact[k + 1] = math.exp(-dt) * exact[k] + (1 - math.exp(-dt)) * 1
        euler[k + 1] = (1 - dt) * euler[k] + dt * 1
    euler_error = np.abs(euler - solution).max()

    share = left[memory[1], 1].item()
    title = f"β = {cfg.beta:g}: {100 * share:.0f} % of an input is left after {memory[1]} steps"
    fig, (ax, bx, cx) = plots.figure(1, 3, (12, 3.8), title, width_ratios=(1.2, 1.2, 1))
    traces = {}
    for i, beta in enumerate(betas.tolist()):
        traces[f"β = {beta:.3g}: {memory[i]} steps to 37 %"] = left[: cfg.num_steps, i]
    plots.curves(ax, range(cfg.num_steps), traces, markers=False)
    ax.axhline(1 / math.e, color="grey", linestyle=":", linewidth=1)
    plots.label(ax, STEP, "share of the input left", "One input, and what is left of it")
    shown = slice(0, cfg.num_steps)
    bx.plot(passive[shown, 1], color=plots.SKY, linestyle="--", label="passive")
    plots.membrane(bx, active[shown, 1], spk_rec[shown, 1], cfg.threshold, name="with spikes")
    bx.set_ylim(top=3.5 * cfg.threshold)
    bx.legend(loc="upper right", ncols=2)
    head = f"Current × 2: passive U × {passive_ratio:.1f}, spikes × {active_ratio:.1f}"
    plots.label(bx, STEP, f"potential U (θ = {cfg.threshold:g})", head)
    cx.plot(time, solution, color="0.6", linewidth=4, label="solution")
    cx.plot(time, exact, "o", color=plots.BLUE, label="exp(−Δt/τ)")
    cx.plot(time, euler, "s--", color=plots.RED, markersize=5, label="Euler, 1 − Δt/τ")
    cx.legend(loc="lower right")
    plots.label(
        cx, "time (τ)", "potential U (R·I)", f"Δt = τ/2: Euler is {100 * euler_error:.0f} % off"
    )
    run.figure(
        fig, "2_membrane", look="the dotted line at 37 %, and how high U gets without spikes"
    )

    run.claim("memory", "one input falls below 37 % after", memory[1], "steps")
    run.claim("passive_ratio", "twice the current: passive U grows", passive_ratio, "times")
    run.claim("active_ratio", "twice the current: spikes grow", active_ratio, "times")
    run.claim("euler_error", "Euler, Δt = τ/2: largest error", euler_error)
    run.finding(
        f"β = {cfg.beta:g} is a memory of about {memory[1]} steps (τ = {cfg.tau:.1f} ms). "
        f"The passive membrane is linear: twice the current, {passive_ratio:.1f} times the "
        f"potential. The neuron with a threshold gives {active_ratio:.1f} times the spikes."
    )


@section
def section_resets(cfg: Config, run: Run) -> None:
    """3  What does a spike leave behind?

    When U crosses θ the neuron fires, and U has to pay for it, or it would fire at every step from
    then on. snnTorch offers three rules, as reset_mechanism=…:

        "subtract"    U[t+1] = β·U[t] + I[t+1] − S[t]·θ            keeps what lay above θ
        "zero"        U[t+1] = β·U[t]·(1 − S[t]) + I[t+1]          forgets all of U
        "none"        U[t+1] = β·U[t] + I[t+1]                     a spike costs nothing

    Note the S[t]. A spike is paid for one step later, so the U that comes back together with a spike
    still stands above θ. And by the time θ is taken off, U has leaked once more. Right after a spike
    U is therefore β·U + I − θ with "subtract", and I, not 0, with "zero". Subtract is the lower of
    the two as long as U < θ/β: with a weak input it fires a little more slowly than zero.

    What each is good for: "subtract" lets the number of spikes follow the amount of input, which
    lesson 16 needs to turn a trained ReLU network into a spiking one. "zero" lets no input, however
    large, cause more than one spike, and makes every interval start afresh. "none" is for output
    neurons whose potential is read and not their spikes (lesson 09).
    """
    run.predict(
        "kick_subtract",
        f"A neuron with β = {cfg.beta:g} and reset by subtraction gets a single input of 3·θ, then "
        "nothing. How many spikes come out?",
    )
    steady = torch.full((cfg.num_steps, 1), 3 * cfg.rheobase)  # (T, B = 1)
    kick = torch.zeros(cfg.measured_steps, 1)
    kick[min(10, cfg.num_steps - 1)] = 3 * cfg.threshold
    kick_spikes = {}
    title = "Three ways to pay for a spike, two kinds of input"
    fig, axes = plots.figure(3, 2, (11, 6.4), title, sharex=True, sharey="row")
    for row, reset in enumerate(RESETS):
        for ax, cur, name in zip(axes[row], (steady, kick), ("steady", "single"), strict=True):
            spk_rec, mem_rec = simulate(cur, cfg.beta, cfg.threshold, reset)  # (T, 1) each
            mem, spk = mem_rec[: cfg.num_steps, 0], spk_rec[: cfg.num_steps, 0]
            plots.membrane(ax, mem, spk, cfg.threshold)
            ax.set_title(f"{reset}, {name} input: {spikes(spk_rec.sum())}")
            if cur is kick:
                kick_spikes[reset] = int(spk_rec.sum())
        axes[row, 0].set_ylabel(f"potential U (θ = {cfg.threshold:g})")
    axes[2, 0].set_xlabel(STEP)
    axes[2, 1].set_xlabel(STEP)
    axes[2, 1].legend(loc="center right")
    run.figure(fig, "3_resets", look="the potential right after each spike")

    # Without a leak (β = 1), all input is either still in U or was paid out in spikes of θ each.
    noise = 0.8 * cfg.threshold * torch.rand(cfg.long_steps, 1, generator=run.generator())
    kept = {}
    for reset in ("subtract", "zero"):
        spk_rec, mem_rec = simulate(noise, 1.0, cfg.threshold, reset)
        paid = cfg.threshold * spk_rec[:-1].sum()  # the spike of the last step is not yet paid for
        kept[reset] = ((paid + mem_rec[-1].sum()) / noise.sum()).item()

    for reset in RESETS:
        run.claim(f"kick_{reset}", f"{reset}: spikes for one 3·θ", kick_spikes[reset], "")
    run.claim(
        "kept_subtract", "subtract: input accounted for", kept["subtract"], "1", "0.999..1.001"
    )
    run.claim("kept_zero", "zero: input accounted for", kept["zero"])
    run.finding(
        f"One input of 3·θ becomes {spikes(kick_spikes['subtract'])} with subtract, "
        f"{spikes(kick_spikes['zero'])} with zero, {spikes(kick_spikes['none'])} with none. Without a "
        f"leak, subtract accounts for {100 * kept['subtract']:.0f} % of its input and zero for "
        f"{100 * kept['zero']:.0f} %: zero throws away what stands above θ."
    )


def period(cur: np.ndarray | float, beta: float, threshold: float) -> np.ndarray:
    """Equation (5): steps between spikes under a steady current; infinite up to the rheobase."""
    share = np.minimum(threshold * (1 - beta) / np.asarray(cur), 1.0)
    with np.errstate(divide="ignore"):  # ln 0 = −∞ is right: the neuron never fires
        x = np.log(1 - share) / np.log(beta)
    return np.floor(x) + 1


def intervals(spk: Tensor) -> np.ndarray:
    """Steps from each spike of one neuron ``spk (T,)`` to the next."""
    times = torch.nonzero(spk)[:, 0]
    return times.diff().numpy()


@section
def section_fi_curve(cfg: Config, run: Run) -> None:
    """4  How fast does a neuron fire?

    The answer takes three lines. Reset U to zero, and count the n steps since the last spike:

        U after n steps is       I·(1 − βⁿ)/(1 − β)            a geometric sum
        it exceeds θ when        βⁿ < 1 − θ·(1 − β)/I
        that is, when            n > x = ln(1 − θ·(1 − β)/I) / ln β                          (5)

    So the neuron fires every ⌊x⌋ + 1 steps: ⌊x⌋ is x rounded down, and one more is the first whole
    number above x. Up to the rheobase there is no such n. Firing rate against current is called the
    f–I curve. It is the activation function of a spiking neuron: silent at first, like a ReLU with
    a bias, then rising.

    The rate is measured with snn.Leaky at 80 steady currents, for both resets. Zero can only have
    whole periods, so its rate climbs in stairs. Subtract carries its surplus over into the next
    interval, so its average can be anything in between. The other two panels draw (5) for other
    neurons. A smaller β raises the rheobase, since more leaks away; a higher θ stretches the curve.
    """
    twice = 2 * cfg.rheobase
    run.predict(
        "period_zero",
        f"β = {cfg.beta:g}, θ = {cfg.threshold:g}, reset to zero, and twice the rheobase: "
        f"I = {twice:.3g}. How many steps lie between two spikes?",
        unit="steps",
    )
    cur = np.linspace(0.4 * cfg.rheobase, 1.2 * cfg.threshold, 80)
    drive = torch.tensor(cur, dtype=torch.float32).expand(cfg.measured_steps, -1)  # (T, B = 80)
    spikes_zero = simulate(drive, cfg.beta, cfg.threshold, "zero")[0].sum(0).numpy()
    spikes_subtract = simulate(drive, cfg.beta, cfg.threshold, "subtract")[0].sum(0).numpy()
    predicted = np.floor(cfg.measured_steps / period(cur, cfg.beta, cfg.threshold))
    agree = int((spikes_zero == predicted).sum())

    at_twice = torch.full((cfg.measured_steps, 1), twice)
    spk_zero, _ = simulate(at_twice, cfg.beta, cfg.threshold, "zero")
    spk_subtract, _ = simulate(at_twice, cfg.beta, cfg.threshold, "subtract")
    period_zero = intervals(spk_zero[:, 0]).mean().item()
    period_subtract = intervals(spk_subtract[:, 0]).mean().item()

    title = f"The closed form gives the number of spikes for {agree} of 80 currents"
    fig, (ax, bx, cx) = plots.figure(1, 3, (12, 3.8), title, sharey=True)
    fine = np.linspace(0.01 * cfg.threshold, 1.2 * cfg.threshold, 2000)
    rate = 1 / period(fine, cfg.beta, cfg.threshold)
    ax.plot(fine, rate, color="0.6", linewidth=3, label="closed form")
    ax.plot(cur, spikes_zero / cfg.measured_steps, "o", markersize=3.5, label="zero")
    ax.plot(cur, spikes_subtract / cfg.measured_steps, "^", markersize=3.5, label="subtract")
    for beta, dash in zip((0.5, 0.9, 0.99), plots.DASHES, strict=False):
        bx.plot(fine, 1 / period(fine, beta, cfg.threshold), linestyle=dash, label=f"β = {beta:g}")
    for factor, dash in zip((0.5, 1, 2), plots.DASHES, strict=False):
        theta = factor * cfg.threshold
        cx.plot(fine, 1 / period(fine, cfg.beta, theta), linestyle=dash, label=f"θ = {theta:g}")
    plots.label(ax, "steady current I (per step)", "spikes per step", f"β = {cfg.beta:g}: measured")
    plots.label(
        bx, "steady current I (per step)", "", f"Other leaks, θ = {cfg.threshold:g}: closed form"
    )
    plots.label(
        cx, "steady current I (per step)", "", f"Other thresholds, β = {cfg.beta:g}: closed form"
    )
    for panel in (ax, bx, cx):
        panel.legend(loc="upper left")
    run.figure(fig, "4_fi_curve", look="the stairs of zero, and where each curve leaves the axis")

    run.claim("fi_agree", "currents that (5) gets right", agree / 80, "1", ">= 0.95", n=80)
    run.claim("period_zero", "2 × rheobase, zero: interval", period_zero, "steps")
    run.claim("period_subtract", "2 × rheobase, subtract: interval", period_subtract, "steps")
    run.finding(
        f"The activation function of a spiking neuron can be written down: silent up to "
        f"I = {cfg.rheobase:.3g}, then ⌊x⌋ + 1 steps from spike to spike, right for {agree} of 80 "
        f"currents. At twice the rheobase a spike comes every {period_zero:.4g} steps with zero, and "
        f"every {period_subtract:.4g} on average with subtract."
    )


@section
def section_varying_currents(cfg: Config, run: Run) -> None:
    """5  What does a neuron make of a current that changes?

    Written out, equation (1) without spikes is a weighted sum over the past:

        U[t] = I[t] + β·I[t−1] + β²·I[t−2] + …  =  Σ βᵏ·I[t−k]                               (6)

    It is the sum that SGD with momentum β keeps of its gradients. Such a sum smooths its input and
    lags behind it by about τ. Below, one neuron gets a step, a ramp, a sine and a noise.

    The noise has a mean of 0.75 rheobases, which on its own carries U to 0.75·θ and no further. It
    stands for the thousands of inputs that a neuron in the cortex has. Those that raise U and those
    that lower it nearly cancel on average, and what is left of them fluctuates.
    """
    never = "never: the mean is what counts"
    sometimes = "now and then, at uneven intervals"
    often = "at every second step or more"
    run.predict(
        "noise_fires",
        "A steady current of 0.75 rheobases never fires the neuron. Noise is added to it, as much "
        "upwards as downwards. How often does the neuron fire now?",
        (never, sometimes, often),
    )
    steps = cfg.measured_steps
    t = torch.arange(steps)
    on = (t >= cfg.num_steps // 5) & (t < 3 * cfg.num_steps // 4)
    # A sum with weights βᵏ multiplies the variance of white noise by Σ β²ᵏ = 1/(1 − β²).
    # The noise is scaled such that, without spikes, U scatters by θ/4 around its mean.
    scale = 0.25 * cfg.threshold * math.sqrt(1 - cfg.beta**2)
    noise = scale * torch.randn(steps, generator=run.generator())
    mean = torch.full((steps,), 0.75 * cfg.rheobase)
    currents = {
        "step": 2 * cfg.rheobase * on,
        "ramp": 3 * cfg.rheobase * t / cfg.num_steps,
        "sine": 1.2 * cfg.rheobase * (1 + torch.sin(2 * math.pi * t / 40)),
        "noise": mean + noise,
        "mean": mean,
    }
    cur = torch.stack(list(currents.values()), dim=1)  # (T, B = 5)
    spk_rec, mem_rec = simulate(cur, cfg.beta, cfg.threshold)
    first_on_ramp = int(spk_rec[:, 1].argmax())  # the first 1 in the column
    ramp_current = currents["ramp"][first_on_ramp].item() / cfg.rheobase
    noise_spikes = int(spk_rec[:, 3].sum())
    mean_spikes = int(spk_rec[:, 4].sum())

    title = (
        f"{spikes(noise_spikes)} from noise in {steps:,} steps, {mean_spikes} from its mean alone"
    )
    rows = {"height_ratios": (1, 1.7), "sharex": True, "sharey": "row"}
    fig, axes = plots.figure(2, 4, (13, 5), title, **rows)
    drawn = slice(0, cfg.num_steps)
    for i, name in enumerate(("step", "ramp", "sine", "noise")):
        top, bottom = axes[:, i]
        top.set_title(f"{name}: {spikes(spk_rec[drawn, i].sum())}")
        top.plot(cur[drawn, i], color=plots.GREEN)
        top.axhline(cfg.rheobase, color="grey", linestyle=":", label="rheobase")
        plots.membrane(bottom, mem_rec[drawn, i], spk_rec[drawn, i], cfg.threshold)
        bottom.set_xlabel(STEP)
    axes[0, 0].set_ylabel("current I (per step)")
    axes[1, 0].set_ylabel(f"potential U (θ = {cfg.threshold:g})")
    axes[1, 0].set_ylim(bottom=-0.6 * cfg.threshold)
    axes[0, 0].legend(loc="upper right")
    axes[1, 1].legend(loc="lower left", ncols=3, fontsize=8, columnspacing=1, handlelength=1.2)
    run.figure(fig, "5_varying_currents", look="how long after its current each spike comes")

    run.claim("ramp_current", "ramp: current at the first spike", ramp_current, "rheobases")
    run.claim("noise_spikes", f"noise: spikes in {steps:,} steps", noise_spikes, "")
    run.claim("mean_spikes", "its mean alone: spikes", mean_spikes, "")
    outcome = never
    if noise_spikes > 0:
        outcome = sometimes if noise_spikes < 0.4 * steps else often
    run.outcome("noise_fires", outcome)
    run.finding(
        f"The noise draws {spikes(noise_spikes)} in {steps:,} steps, its mean alone {mean_spikes}. On "
        f"the ramp, the current has reached {ramp_current:.2f} rheobases when the first spike comes: "
        "U lags behind its input."
    )


def adaptive_lif(
    cur: Tensor,
    beta: float,
    threshold: float,
    refractory: Tensor,
    restart: Tensor,
    jump: Tensor,
    decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Equation (7): LIF with a refractory period and a slow current w.

    Args:
        cur: input current ``(T, B)``.
        refractory: steps for which a neuron is held after a spike, ``(B,)``.
        restart: the potential at which it is held, and from which it goes on, ``(B,)``.
        jump: b, what a spike adds to w, ``(B,)``.
        decay: ρ, the share of w that is left after one step.

    Returns:
        ``spk_rec, mem_rec, w_rec``, each ``(T, B)``. With zeros for ``refractory``, ``restart`` and
        ``jump`` this is snn.Leaky with reset to zero.
    """
    mem = torch.zeros_like(cur[0])
    spk = torch.zeros_like(cur[0])
    w = torch.zeros_like(cur[0])
    wait = torch.zeros_like(cur[0])  # steps that are left of the refractory period
    spk_rec, mem_rec, w_rec = [], [], []
    for cur_t in cur:
        # w[t+1] = ρ·w[t] + b·S[t]
        w = decay * w + jump * spk
        # A spike sets U and starts the clock.
        mem = torch.where(spk > 0, restart, mem)
        wait = torch.where(spk > 0, refractory, wait - 1)
        # U[t+1] = β·U[t] + I[t+1] − w[t+1], unless the neuron is held
        mem = torch.where(wait > 0, mem, beta * mem + cur_t - w)
        spk = ((mem > threshold) & (wait <= 0)).float()
        spk_rec.append(spk)
        mem_rec.append(mem)
        w_rec.append(w)
    return torch.stack(spk_rec), torch.stack(mem_rec), torch.stack(w_rec)


@section
def section_limits(cfg: Config, run: Run) -> None:
    """6  What can this neuron not do?

    For 1 or 2 ms after a spike a real neuron cannot fire again: its *refractory period*. LIF can be
    given one. U is held for r steps after each spike, which makes every interval r steps longer.

    Something else is out of its reach. Under a steady current most real neurons *adapt*: their
    intervals grow. Others *burst*: they fire groups of spikes, with pauses in between. LIF can do
    neither, whatever β and θ are. A reset to zero wipes out the only number it has, so every interval
    starts from the same state and must be like the one before. (With subtract, intervals may
    differ by one step, as in 7, 8, 7, 7, 8, but without a trend.) What is missing is a second
    variable that outlives the spike. In a cell this may be a slow current w of potassium ions:

        U[t+1] = β·U[t] + I[t+1] − w[t+1]          w[t+1] = ρ·w[t] + b·S[t]                  (7)

    Each spike adds b to w, which works against the input and fades with ρ, here ten times as slowly
    as U does with β. This is adaptation. A burst needs one thing more: a reset *above* θ, as if
    another current pushed U up again after each spike. Then one spike leads straight to the next, and
    to the next, until w has grown so much that it drags U below θ. A pause follows, in which w fades.
    Below, four neurons get the same current, twice the rheobase.

    More: Neuronal Dynamics, chapter 6, https://neuronaldynamics.epfl.ch/online/Ch6.html. Equation (7)
    is a small form of Mihalaş and Niebur 2009, https://doi.org/10.1162/neco.2008.12-07-680.
    """
    steps = max(cfg.measured_steps, math.ceil(25 * cfg.tau))  # a pause between bursts takes 11 τ
    run.predict(
        "slower",
        "LIF gets twice the rheobase and, against it, a slow current w. Each spike adds 0.2 rheobases "
        "to w, which fades ten times as slowly as U. How many times as long as the first interval "
        "between spikes is the last?",
        unit="times",
    )
    # One value each for LIF, LIF with a refractory period, the adapting and the bursting neuron.
    refractory = torch.tensor([0.0, 5.0, 0.0, 2.0])  # steps
    jump = cfg.rheobase * torch.tensor([0.0, 0.0, 0.2, 0.45])  # b
    high = (cfg.threshold + 0.35 * cfg.rheobase) / cfg.beta  # above θ, even after one more leak
    restart = torch.tensor([0.0, 0.0, 0.0, high])
    cur = torch.full((steps, 4), 2 * cfg.rheobase)  # (T, B = 4)
    decay = cfg.beta**0.1  # ten times the time constant of U
    spk_rec, mem_rec, w_rec = adaptive_lif(
        cur, cfg.beta, cfg.threshold, refractory, restart, jump, decay
    )
    lif, late, adapting, bursting = [intervals(spk) for spk in spk_rec.unbind(1)]
    lif_uneven = lif.max() / lif.min()
    slower = adapting[-1] / adapting[0]
    pause = bursting.max() / bursting.min()

    title = (
        f"Last interval / first, adapting: {slower:.1f}. Longest / shortest, bursting: {pause:.0f}"
    )
    fig, axes = plots.stack(5, title, STEP, height=1.5)
    heads = (
        ("LIF, reset to zero", lif),
        ("LIF, refractory for 5 steps", late),
        ("slow current w", adapting),
        ("slow current w, reset above θ, refractory for 2 steps", bursting),
    )
    drawn = slice(0, 3 * cfg.num_steps)
    for i, (head, isi) in enumerate(heads):
        first = ", ".join(str(n) for n in isi[:9])
        axes[i].set_title(f"{head}: intervals {first}, …")
        plots.membrane(axes[i], mem_rec[drawn, i], spk_rec[drawn, i], cfg.threshold)
        axes[i].set_ylabel(f"U (θ = {cfg.threshold:g})")
    traces = {
        "adapting": w_rec[drawn, 2] / cfg.rheobase,
        "bursting": w_rec[drawn, 3] / cfg.rheobase,
    }
    plots.curves(axes[4], range(len(traces["adapting"])), traces, markers=False)
    axes[4].axhline(1, color="grey", linestyle=":")
    axes[4].set_title("the slow current w; above the dotted line, I − w is less than the rheobase")
    axes[4].set_ylabel("w (rheobases)")
    run.figure(fig, "6_limits", look="what w does while the intervals grow, and during a pause")

    run.claim("lif_uneven", "LIF: longest / shortest interval", lif_uneven, "", "== 1", n=len(lif))
    run.claim("late", "LIF, refractory 5 steps: interval", late.mean(), "steps")
    run.claim("slower", "with w: last interval / first", slower, "times")
    run.claim("pause", "bursting: longest / shortest", pause, "times")
    span = f"all of {lif.max()}" if lif_uneven == 1 else f"of {lif.min()} to {lif.max()}"
    run.finding(
        f"LIF repeats itself: {len(lif)} intervals, {span} steps. With a slow current added, the last "
        f"interval is {slower:.1f} times the first. With a reset above θ as well, it bursts: the "
        f"longest interval is {pause:.0f} times the shortest.",
        main=True,
        claim="lif_uneven",
    )


def main(cfg: Config, run: Run) -> None:
    section_steady_current(cfg, run)
    section_membrane(cfg, run)
    section_resets(cfg, run)
    section_fi_curve(cfg, run)
    section_varying_currents(cfg, run)
    section_limits(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
