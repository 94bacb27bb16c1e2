"""Lesson 01 — The leaky integrate-and-fire neuron

Question
    A unit of a deep network answers each input at once and then forgets it. A nerve cell collects
    its input over time and answers with short, identical pulses, called spikes. What is the
    smallest model that does this, and what does it leave out?

Idea
    The state of a neuron is one number: the membrane potential U, the voltage across the thin skin
    of the cell, its membrane, counted from its value at rest. An input current I raises U. Without
    input, U leaks away. When U crosses the threshold θ, the neuron fires a spike S, and U is reset:

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
    uv run 01_lif_neuron.py --beta 0.8   another neuron; also --threshold 2, or --only 3
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


def unit_of(count: float) -> str:
    """The word behind a number of spikes."""
    return "spike" if count == 1 else "spikes"


def spikes(count: float) -> str:
    """1 spike, 2 spikes."""
    return f"{count:.0f} {unit_of(count)}"


def potential(cfg: Config) -> str:
    """The label of an axis that shows U."""
    return f"potential U (θ = {cfg.threshold:g})"


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
    fewer, same, more = "fewer than 2.5 times as many", "2.5 times as many", "more than that"
    run.predict(
        "growth",
        "The third neuron gets 3 rheobases, 2.5 times the current of the second. How many spikes "
        "does it fire, compared with the second?",
        (fewer, same, more),
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
    rows = {"height_ratios": (1, 2.4, 0.7), "sharex": True, "sharey": "row"}
    fig, axes = plots.figure(3, 3, (11, 5.4), title, **rows)
    for i, strength in enumerate(strengths):
        top, centre, bottom = axes[:, i]
        top.set_title(f"{strength:g} × rheobase: {spikes(spk_rec[:, i].sum())}")
        top.plot(cur[:, i], color=plots.GREEN, drawstyle="steps-post")
        plots.membrane(centre, mem_rec[:, i], threshold=cfg.threshold, name="U, snn.Leaky")
        centre.plot(mem_by_hand[:, i], ".", color=plots.BLACK, markersize=3, label="U, by hand")
        plots.raster(bottom, spk_rec[:, i : i + 1])
        bottom.set_xlabel(STEP)
        bottom.set_yticks([])
    axes[0, 0].set_ylabel("current I\n(per step)")
    axes[1, 0].set_ylabel(potential(cfg))
    axes[2, 0].set_ylabel("spikes")
    axes[1, 0].legend(loc="lower right")
    run.figure(
        fig, "1_steady_current", look="how U climbs, where it stops, what a spike does to it"
    )

    steady = mem_rec[-1, 0].item() / cfg.threshold
    above = int((currents / (1 - cfg.beta) > cfg.threshold).sum())
    differ = int((spk_rec != spk_by_hand).sum())
    middle = int(spk_rec[:, 1].sum())
    strong = int(spk_rec[:, 2].sum())
    run.claim("settled", "0.8 × rheobase: where U ends", steady, unit="θ")
    run.claim("spikes_middle", "1.2 × rheobase: spikes", middle, unit=unit_of(middle))
    run.claim("spikes_strong", "3 × rheobase: spikes", strong, unit=unit_of(strong))
    alone = "The strongest current exceeds θ in a single step. "
    if strengths[-1] * cfg.rheobase < cfg.threshold:
        alone = "No single step's current reaches θ: the neuron adds them up. "
    growth = same
    if strong != 2.5 * middle:
        growth = more if strong > 2.5 * middle else fewer
    run.outcome("growth", growth)
    run.finding(
        f"{fires} of 3 neurons fire, and {above} of the 3 steady states I/(1−β) lie above θ. {alone}"
        "From the second neuron to the third, the current grows 2.5 times and the number of spikes "
        f"from {middle} to {strong}. "
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

    The membrane is a thin insulator between two salt solutions: a capacitor C. It is pierced by ion
    channels, tiny pores. Those that are always open let charge leak: a resistor R. A current I_in
    into the cell either charges C or escapes through R:

        I_in ──►──┬─────┬── U           I_in = C·dU/dt + U/R
                  R     C
                  └──┬──┘               τ·dU/dt = −U + R·I_in          with  τ = R·C
                   rest

    This is the *passive* membrane. It is linear: twice the current gives twice the potential. And
    it forgets, with the time constant τ, about 10 to 20 ms in the cortex. The *active* part of a
    real neuron is a second kind of channel, voltage-gated: it opens when U rises. From rest at
    −70 mV (our U = 0) the voltage climbs to about −55 mV (U = θ). There sodium ions rush in and
    drive it to about +30 mV, then potassium ions flow out and bring it down: a spike, over within
    1 or 2 ms. Hodgkin and Huxley describe it with four differential equations. But all spikes of
    a neuron look alike. So LIF keeps the passive membrane and replaces the active part by two
    rules, threshold and reset. The shape of the spike is lost, its time is kept.

    A program needs time steps Δt. While I_in is constant, the equation has an exact solution:

        U(t + Δt) = β·U(t) + (1 − β)·R·I_in          β = exp(−Δt/τ)                          (4)

    So the I of equation (1) is short for (1 − β)·R·I_in. In a network nn.Linear supplies it as a
    weighted sum of inputs x, I = Σ w·x. The factor (1 − β)·R is then part of the weights w.

    β describes the cell and your clock together: τ = 10 ms in steps of 1 ms is β = 0.905. More
    open channels mean a smaller R, a smaller τ and a smaller β. Half the time step means √β, and
    there is a trap: I contains 1 − β, so a current that flows all the time must be multiplied by
    (1 − √β)/(1 − β), about a half. (A spike from another neuron brings its whole charge at once:
    its weight stays as it is.) β = 1 never forgets, β = 0 has no memory at all. Forward Euler,
    the usual first guess, keeps 1 − Δt/τ instead of exp(−Δt/τ).
    """
    run.predict(
        "trap",
        "A neuron under 1.2 rheobases is simulated again with half the time step. β becomes √β, as "
        "it should, but the current per step stays what it was. How many times as many spikes does "
        "it fire in a second?",
        unit="times",
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

    # Half the time step: √β, twice as many steps, and a current that stays or shrinks.
    half_beta = math.sqrt(cfg.beta)
    shrink = (1 - half_beta) / (1 - cfg.beta)
    drive = 1.2 * cfg.rheobase * torch.tensor([1.0, shrink]).expand(2 * cfg.measured_steps, 2)
    spk_half, _ = simulate(drive, half_beta, cfg.threshold)
    trap, mended = (spk_half.sum(0) / spk_rec[:, 0].sum()).tolist()

    # A current with R·I_in = 1 is switched on. Time in units of τ, steps of half a τ.
    dt = 0.5
    time = dt * np.arange(11)
    solution = 1 - np.exp(-time)
    exact = np.zeros(11)
    euler = np.zeros(11)
    for k in range(10):
        exact[k + 1] = math.exp(-dt) * exact[k] + (1 - math.exp(-dt)) * 1
        euler[k + 1] = (1 - dt) * euler[k] + dt * 1
    euler_error = np.abs(euler - solution).max()

    title = f"β = {cfg.beta:g} forgets in {memory[1]} steps. "
    title += f"Twice the current: {active_ratio:.1f} times the spikes"
    fig, (ax, bx, cx) = plots.figure(1, 3, (12, 3.9), title, width_ratios=(1.1, 1.3, 1.1))
    shown = slice(0, 1 + 6 * max(memory) // 5)
    for i, beta in enumerate(betas.tolist()):
        look = {"color": plots.COLOURS[i], "linestyle": plots.DASHES[i]}
        ax.plot(left[shown, i], label=f"β = {beta:.3g}: below 37 % after {memory[i]}", **look)
        ax.plot(memory[i], left[memory[i], i], "o", color=plots.COLOURS[i])
    ax.axhline(1 / math.e, color="grey", linestyle=":", linewidth=1, label="37 %, 1/e")
    ax.legend()
    plots.label(ax, STEP, "share of the input left", "One input, and what is left of it")
    shown = slice(0, cfg.num_steps)
    for i, strength in ((1, 2.4), (0, 1.2)):
        colour = plots.COLOURS[i]
        bx.plot(passive[shown, i], "--", color=colour, label=f"{strength:g}, passive")
        bx.plot(active[shown, i], color=colour, label=f"{strength:g}, with spikes", linewidth=1.2)
    bx.axhline(cfg.threshold, color="grey", linestyle=":", linewidth=1)
    bx.set_ylim(top=4.1 * cfg.threshold)
    bx.legend(loc="upper left", ncols=2, title="current (rheobases)")
    head = f"Current × 2: passive U × {passive_ratio:.1f}, spikes × {active_ratio:.1f}"
    plots.label(bx, STEP, potential(cfg), head)
    cx.plot(time, solution, color="0.6", linewidth=4, label="solution")
    cx.plot(time, exact, "o", color=plots.BLUE, label="exp(−Δt/τ)")
    cx.plot(time, euler, "s--", color=plots.RED, markersize=5, label="Euler, 1 − Δt/τ")
    cx.legend(loc="lower right")
    head = f"Δt = τ/2: Euler, {100 * euler_error:.0f} % of R·I_in off"
    plots.label(cx, "time (τ)", "potential U (R·I_in)", head)
    run.figure(
        fig, "2_membrane", look="when each curve is below 37 %, and how high U gets without spikes"
    )

    run.claim("memory", "one input falls below 37 % after", memory[1], unit="steps")
    run.claim("active_ratio", "2.4 for 1.2 rheobases: spikes grow", active_ratio, unit="times")
    run.claim("trap", "half the step, same I: spikes", trap, unit="times")
    run.claim("mended", "half the step, I shrunk: spikes", mended, unit="times")
    run.claim("euler_error", "Euler, Δt = τ/2: error in R·I_in", euler_error, unit="1")
    run.finding(
        f"β = {cfg.beta:g} is a memory of about {memory[1]} steps (τ = {cfg.tau:.1f} ms). Twice "
        f"the current gives the passive membrane {passive_ratio:.1f} times the potential, and the "
        f"neuron with a threshold, here, {active_ratio:.1f} times the spikes. Who halves the time "
        f"step and changes β alone gets {trap:.1f} times the spikes; with I shrunk as well, "
        f"{mended:.2f} times (a finer clock rounds the intervals up by less)."
    )


@section
def section_resets(cfg: Config, run: Run) -> None:
    """3  What does a spike leave behind?

    When U crosses θ the neuron fires, and U has to pay for it, or it would fire at every step for
    as long as U stays above θ. snnTorch offers three rules, as reset_mechanism=…:

        "subtract"    U[t+1] = β·U[t] + I[t+1] − S[t]·θ            keeps what lay above θ
        "zero"        U[t+1] = β·U[t]·(1 − S[t]) + I[t+1]          forgets all of U
        "none"        U[t+1] = β·U[t] + I[t+1]                     a spike costs nothing

    Note the S[t]. A spike is paid for one step later, so the U that comes back together with a
    spike still stands above θ. The next call gets this U and not S[t]: before anything else, it
    compares U with θ to learn whether a reset is due. (reset_delay=False pays at once;
    studies/01_resets.py shows what else that changes.)

    Call the potential at the spike U. One step later it is β·U + I − θ with "subtract", since U
    leaks before θ is taken off, and I, not 0, with "zero". If U is less than θ/β, the first is
    the lower of the two. So where a current lifts U only just above θ at each spike, "subtract"
    fires more slowly; section 4 shows where.

    What each is good for: with little leak "subtract" lets the number of spikes follow the amount
    of input, which lesson 16 needs to turn a trained ReLU network into a spiking one. "zero" lets
    no input, however large, cause more than one spike. "none" is for output neurons whose
    potential is read and not their spikes (lesson 09).

    To drag β, θ and the input yourself, with these three resets: `uv run course.py pages` writes
    site/playground.html, part (a).
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
    fig, axes = plots.figure(3, 2, (11, 6.4), sharex=True, sharey="row")
    for row, reset in enumerate(RESETS):
        for ax, cur, name in zip(
            axes[row], (steady, kick), ("3 rheobases, steady", "3·θ, once"), strict=True
        ):
            spk_rec, mem_rec = simulate(cur, cfg.beta, cfg.threshold, reset)  # (T, 1) each
            mem, spk = mem_rec[: cfg.num_steps, 0], spk_rec[: cfg.num_steps, 0]
            plots.membrane(ax, mem, spk, cfg.threshold)
            ax.set_title(f"{reset}, {name}: {spikes(spk_rec.sum())}")
        kick_spikes[reset] = int(spk_rec.sum())  # of the last current, the single input
        axes[row, 0].set_ylabel(potential(cfg))
    axes[2, 0].set_xlabel(STEP)
    axes[2, 1].set_xlabel(STEP)
    axes[0, 1].legend(loc="upper right")
    counts = ", ".join(f"{count} with {reset}" for reset, count in kick_spikes.items())
    fig.suptitle(f"Spikes for one input of 3·θ: {counts}", x=0.01, ha="left")
    run.figure(fig, "3_resets", look="the potential right after each spike")

    # Without a leak (β = 1), all input is either still in U or was paid out in spikes of θ each.
    noise = 0.8 * cfg.threshold * torch.rand(cfg.long_steps, 1, generator=run.generator())
    kept = {}
    for reset in ("subtract", "zero"):
        spk_rec, mem_rec = simulate(noise, 1.0, cfg.threshold, reset)
        paid = cfg.threshold * spk_rec[:-1].sum()  # the spike of the last step is not yet paid for
        kept[reset] = ((paid + mem_rec[-1].sum()) / noise.sum()).item()

    for reset in RESETS:
        count = kick_spikes[reset]
        run.claim(f"kick_{reset}", f"{reset}: one input of 3·θ gives", count, unit=unit_of(count))
    run.claim(
        "kept_subtract",
        "subtract: noise accounted for",
        kept["subtract"],
        unit="1",
        target="0.999..1.001",
    )
    run.claim("kept_zero", "zero: noise accounted for", kept["zero"], unit="1")
    run.finding(
        f"One input of 3·θ becomes {spikes(kick_spikes['subtract'])} with subtract, "
        f"{spikes(kick_spikes['zero'])} with zero, {spikes(kick_spikes['none'])} with none. "
        f"Without a leak, subtract accounts for {100 * kept['subtract']:.0f} % of a noise between "
        f"0 and 0.8·θ, zero for {100 * kept['zero']:.0f} %: it throws away what stands above θ."
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
    f–I curve. It is the activation function of a spiking neuron: silent up to the rheobase, like a
    ReLU with a bias; then it rises, steeply at first, and ends at one spike a step.

    The rate is measured with snn.Leaky at 80 steady currents, for both resets. Zero can only have
    whole periods, so its rate climbs in stairs. Subtract carries its surplus over into the next
    interval, so its average period may lie between two whole numbers. Just past each stair of
    zero, where U ends barely above θ, subtract is the slower one (section 3). The other panels
    draw (5) for other neurons. A smaller β raises the rheobase, since more leaks away; so does a
    higher θ.
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

    title = f"Reset to zero: (5) gives the number of spikes for {agree} of 80 currents"
    fig, (ax, bx, cx) = plots.figure(1, 3, (12, 3.9), title, sharey=True)
    fine = np.geomspace(0.005 * cfg.threshold, 1.2 * cfg.threshold, 3000)
    rate = 1 / period(fine, cfg.beta, cfg.threshold)
    ax.plot(fine, rate, color="0.6", linewidth=3, label="zero, by (5)")
    ax.plot(cur, spikes_zero / cfg.measured_steps, "o", markersize=3.5, label="zero, measured")
    ax.plot(cur, spikes_subtract / cfg.measured_steps, "^", markersize=3.5, label="subtract")
    for beta, dash in zip((0.5, 0.9, 0.99), plots.DASHES, strict=False):
        bx.plot(fine, 1 / period(fine, beta, cfg.threshold), linestyle=dash, label=f"β = {beta:g}")
    for factor, dash in zip((0.5, 1, 2), plots.DASHES, strict=False):
        theta = factor * cfg.threshold
        cx.plot(fine, 1 / period(fine, cfg.beta, theta), linestyle=dash, label=f"θ = {theta:g}")
    current = "steady current I (per step)"
    plots.label(ax, current, "spikes per step", f"β = {cfg.beta:g}, θ = {cfg.threshold:g}")
    plots.label(bx, f"{current}, log", "", f"By (5), θ = {cfg.threshold:g}: other leaks")
    plots.label(cx, f"{current}, log", "", f"By (5), β = {cfg.beta:g}: other thresholds")
    bx.set_xscale("log")
    cx.set_xscale("log")
    for panel in (ax, bx, cx):
        panel.legend(loc="upper left")
    run.figure(fig, "4_fi_curve", look="the stairs of zero, and where each curve leaves the axis")

    run.claim(
        "fi_agree",
        "currents whose number of spikes (5) predicts",
        agree / 80,
        unit="1",
        target=">= 0.95",
        n=80,
    )
    run.claim("period_zero", "2 × rheobase, zero: interval", period_zero, unit="steps")
    run.claim("period_subtract", "2 × rheobase, subtract: interval", period_subtract, unit="steps")
    run.finding(
        "With reset to zero, the activation function of a spiking neuron under a steady current can "
        "be written down: silent up to the "
        f"rheobase, I = {cfg.rheobase:.3g}; above it a spike every n steps, where n is the first "
        f"whole number above ln(1 − rheobase/I)/ln β. This is right for {agree} of 80 currents. At "
        f"twice the rheobase n is {period_zero:.4g}; with subtract a spike comes every "
        f"{period_subtract:.4g} steps on average."
    )


@section
def section_varying_currents(cfg: Config, run: Run) -> None:
    """5  What does a neuron make of a current that changes?

    Written out, equation (1) without spikes is a weighted sum over the past:

        U[t] = I[t] + β·I[t−1] + β²·I[t−2] + …  =  Σ βᵏ·I[t−k]                               (6)

    It is the sum that SGD with momentum β keeps of its gradients. Such a sum smooths its input
    and lags behind it: on a long ramp by β/(1 − β) steps, about τ. So the first spike after a
    *step* of the current has to wait until U has climbed. On a *ramp* it comes some time after
    the current has crossed the rheobase. Under a *sine* the spikes keep to the upper half.

    The last current is *noise* with a mean of 0.75 rheobases, which on its own carries U to 0.75·θ
    and no further. It stands for the thousands of inputs of a neuron in the cortex, which nearly
    cancel on average. How uneven the intervals between spikes are is told by their *coefficient of
    variation*, CV: the standard deviation divided by the mean, 0 % for a clock and 100 % for pure
    chance.
    """
    never = "never: the mean is what counts"
    evenly = "now and then, at even intervals"
    unevenly = "now and then, at uneven intervals"
    often = "at every second step or more"
    run.predict(
        "noise_fires",
        "A steady current of 0.75 rheobases never fires the neuron. Noise is added, as much "
        "upwards as downwards; without spikes, U would have a standard deviation of θ/4 around "
        "0.75·θ. How does it "
        "fire now?",
        (never, evenly, unevenly, often),
    )
    steps = cfg.measured_steps
    t = torch.arange(steps)
    on = (t >= cfg.num_steps // 5) & (t < 3 * cfg.num_steps // 4)
    currents = {
        "step": 2 * cfg.rheobase * on,
        "ramp": 3 * cfg.rheobase * t / cfg.num_steps,
        "sine": 1.2 * cfg.rheobase * (1 + torch.sin(2 * math.pi * t / 40)),
    }
    cur = torch.stack(list(currents.values()), dim=1)  # (T, B = 3)
    spk_rec, mem_rec = simulate(cur, cfg.beta, cfg.threshold)
    crossing = cfg.num_steps / 3  # where the ramp reaches the rheobase
    first = int(spk_rec[:, 1].argmax())  # the first 1 in the column
    ramp_lag = first - crossing

    title = f"On the ramp, the first spike comes {ramp_lag:.1f} steps after the rheobase is crossed"
    rows = {"height_ratios": (1, 1.7), "sharex": True, "sharey": "row"}
    fig, axes = plots.figure(2, 3, (11, 4.6), title, **rows)
    drawn = slice(0, cfg.num_steps)
    for i, name in enumerate(currents):
        top, bottom = axes[:, i]
        top.set_title(f"{name}: {spikes(spk_rec[drawn, i].sum())}")
        top.plot(cur[drawn, i], color=plots.GREEN, label="current I")
        top.axhline(cfg.rheobase, color="grey", linestyle=":", label="rheobase")
        plots.membrane(bottom, mem_rec[drawn, i], spk_rec[drawn, i], cfg.threshold)
        bottom.set_xlabel(STEP)
    for ax in axes[:, 1]:
        ax.axvspan(crossing, first, color="0.85", label="lag")
    axes[0, 0].set_ylabel("current I\n(per step)")
    axes[1, 0].set_ylabel(potential(cfg))
    handles = axes[0, 1].get_lines() + axes[1, 1].get_legend_handles_labels()[0]
    fig.legend(handles=handles, loc="outside lower center", ncols=6)
    run.figure(fig, "5_step_ramp_sine", look="how long after its current each spike comes")

    # A sum with weights βᵏ multiplies the variance of white noise by Σ β²ᵏ = 1/(1 − β²).
    # The noise is scaled such that, without spikes, U scatters by θ/4 around its mean.
    scale = 0.25 * cfg.threshold * math.sqrt(1 - cfg.beta**2)
    mean = torch.full((steps, 50), 0.75 * cfg.rheobase)  # (T, B = 50), each with its own noise
    noise = mean + scale * torch.randn(steps, 50, generator=run.generator())
    spk_noise, mem_noise = simulate(noise, cfg.beta, cfg.threshold)
    spk_mean, mem_mean = simulate(mean, cfg.beta, cfg.threshold)
    noise_spikes = spk_noise.sum(0).mean().item()
    mean_spikes = spk_mean.sum(0).mean().item()
    isi = np.concatenate([intervals(spk) for spk in spk_noise.unbind(1)])
    cv = isi.std() / isi.mean() if len(isi) else 0.0

    title = (
        f"In {steps:,} steps, {noise_spikes:.1f} spikes from noise and {mean_spikes:.0f} from its "
    )
    title += f"mean alone; CV {100 * cv:.0f} %"
    fig, (ax, bx) = plots.figure(1, 2, (11, 3.3), title, width_ratios=(2.2, 1))
    drawn = slice(0, 3 * cfg.num_steps)
    plots.membrane(ax, mem_noise[drawn, 0], spk_noise[drawn, 0], cfg.threshold, name="noise")
    ax.plot(mem_mean[drawn, 0], color=plots.ORANGE, linestyle="-.", label="its mean alone")
    plots.label(ax, STEP, potential(cfg), "one of 50 neurons")
    ax.legend(loc="lower right", ncols=4)
    ax.set_ylim(bottom=-0.5 * cfg.threshold)
    bx.hist(isi, bins=30, color=plots.BLUE)
    bx.axvline(isi.mean(), color=plots.RED, linestyle="--", label="their mean")
    bx.legend()
    plots.label(
        bx, "steps from spike to spike", "intervals", f"all {len(isi):,} intervals of the 50"
    )
    run.figure(fig, "5_noise", look="how far the intervals spread on both sides of their mean")

    run.claim("ramp_lag", "ramp: steps from rheobase to spike", ramp_lag, unit="steps")
    run.claim(
        "noise_spikes", f"noise: spikes in {steps:,} steps", noise_spikes, unit="spikes", n=50
    )
    run.claim("mean_spikes", "its mean alone: spikes", mean_spikes, unit="spikes")
    run.claim("cv", "noise: CV of the intervals", cv, unit="1", n=len(isi))
    outcome = never
    if noise_spikes > 0:
        outcome = unevenly if cv > 0.2 else evenly
    if noise_spikes > 0.4 * steps:
        outcome = often
    run.outcome("noise_fires", outcome)
    run.finding(
        f"On the ramp the first spike comes {ramp_lag:.1f} steps after the current has crossed the "
        f"rheobase: U lags behind its input, on a long ramp by β/(1−β) = "
        f"{cfg.beta / (1 - cfg.beta):.1f} steps. In {steps:,} steps the "
        f"noise draws {noise_spikes:.1f} spikes a neuron and its mean alone {mean_spikes:.0f}; its "
        f"intervals scatter by {100 * cv:.0f} % of their mean."
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
        # A spike sets U to its restart value and starts the refractory clock.
        mem = torch.where(spk > 0, restart, mem)
        wait = torch.where(spk > 0, refractory, wait - 1)
        # While the clock runs, U keeps this value: it does not leak, takes no input, cannot fire.
        held = wait > 0
        # U[t+1] = β·U[t] + I[t+1] − w[t+1]
        mem = torch.where(held, mem, beta * mem + cur_t - w)
        spk = ((mem > threshold) & ~held).float()
        spk_rec.append(spk)
        mem_rec.append(mem)
        w_rec.append(w)
    return torch.stack(spk_rec), torch.stack(mem_rec), torch.stack(w_rec)


def burst_sizes(isi: np.ndarray) -> np.ndarray:
    """Spikes in each complete burst; a pause is an interval of more than twice the shortest one."""
    last = np.flatnonzero(isi > 2 * isi.min())  # the last spike of each burst
    return np.diff(last, prepend=-1)


@section
def section_limits(cfg: Config, run: Run) -> None:
    """6  What can this neuron not do?

    For 1 or 2 ms after a spike a real neuron cannot fire again: its *refractory period*. LIF can be
    given one. U is held for r steps after each spike, which makes every interval r steps longer.
    Below r is 5, so that the picture shows it.

    Something else is out of its reach. Under a steady current most real neurons *adapt*: their
    intervals grow. Others *burst*: they fire groups of spikes, with pauses in between. LIF can do
    neither, whatever β and θ are. A reset to zero wipes out the only number it has, so every
    interval starts from the same state and must be like the one before. (With subtract, intervals
    may differ by one step, as in 7, 8, 7, 7, 8, but without a trend.) What is missing is a second
    variable that outlives the spike. In a cell this may be a slow current w of potassium ions:

        U[t+1] = β·U[t] + I[t+1] − w[t+1]          w[t+1] = ρ·w[t] + b·S[t]                  (7)

    Each spike adds b to w, which works against the input and fades with ρ, here ten times as
    slowly as U does with β. This is adaptation. To burst, the neuron needs one change more: after
    a spike U restarts not at 0, but *above* θ, at θ/β. (In a cell calcium ions that flow in may
    lift U after each spike.) One leak later U is β·θ/β + I − w, which is above θ as long as w <
    I. So spike follows spike until w has reached I. A pause follows, in which w fades. Without w
    there would be no pause at all. The first burst is the longest, since w starts at 0.

    Below, four neurons get twice the rheobase: LIF, LIF with a refractory period, LIF with w, and
    LIF with w and the reset above θ.

    More: Neuronal Dynamics, chapter 6, https://neuronaldynamics.epfl.ch/online/Ch6.html. Equation
    (7) is a small form of Mihalaş and Niebur 2009, https://doi.org/10.1162/neco.2008.12-07-680.
    """
    steps = max(cfg.measured_steps, math.ceil(25 * cfg.tau))  # a pause between bursts takes 8 τ
    run.predict(
        "slower",
        "LIF gets twice the rheobase and, against it, a slow current w. Each spike adds 0.2 "
        "rheobases to w, which fades ten times as slowly as U. How many times as long as the first "
        "interval between spikes is the last?",
        unit="times",
    )
    # One value each for LIF, LIF with a refractory period, the adapting and the bursting neuron.
    refractory = torch.tensor([0.0, 5.0, 0.0, 0.0])  # steps
    jump = cfg.rheobase * torch.tensor([0.0, 0.0, 0.2, 0.2])  # b
    restart = torch.tensor([0.0, 0.0, 0.0, cfg.threshold / cfg.beta])
    cur = torch.full((steps, 4), 2 * cfg.rheobase)  # (T, B = 4)
    decay = cfg.beta**0.1  # ten times the time constant of U
    spk_rec, mem_rec, w_rec = adaptive_lif(
        cur, cfg.beta, cfg.threshold, refractory, restart, jump, decay
    )
    lif, late, adapting, bursting = [intervals(spk) for spk in spk_rec.unbind(1)]
    lif_uneven = lif.max() / lif.min()
    slower = adapting[-1] / adapting[0]
    sizes = burst_sizes(bursting)
    burst, pause = 0.0, 0.0
    ending = "it fires at an even pace: w does not reach I, so no pause comes."
    if len(sizes):
        burst = np.median(sizes).item()
        pause = np.median(bursting[bursting > 2 * bursting.min()]).item()
        ending = f"it bursts: about {burst:.0f} spikes, then a pause of about {pause:.0f} steps."

    span = f"all of {lif.max()}" if lif_uneven == 1 else f"of {lif.min()} to {lif.max()}"
    title = f"Intervals of LIF: {span} steps. With w: from {adapting[0]} to {adapting[-1]} steps.\n"
    title += f"With w and a reset above θ, {ending}"
    fig, axes = plots.stack(5, title, STEP, height=1.5)
    heads = (
        ("LIF, reset to zero", lif),
        ("LIF, refractory: held for 5 steps (grey)", late),
        ("LIF with a slow current w", adapting),
        ("LIF with w, and reset to θ/β, above θ", bursting),
    )
    drawn = slice(0, 3 * cfg.num_steps)
    for i, (head, isi) in enumerate(heads):
        first = ", ".join(str(n) for n in isi[:13])
        axes[i].set_title(f"{head}: intervals {first}, …")
        plots.membrane(axes[i], mem_rec[drawn, i], spk_rec[drawn, i], cfg.threshold)
        axes[i].set_ylabel(f"U (θ = {cfg.threshold:g})")
    for fired in torch.nonzero(spk_rec[drawn, 1])[:, 0].tolist():
        axes[1].axvspan(fired + 0.5, fired + 5.5, color="0.85")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    traces = {
        "with w": w_rec[drawn, 2] / cfg.rheobase,
        "with w, reset above θ": w_rec[drawn, 3] / cfg.rheobase,
    }
    plots.curves(axes[4], range(len(traces["with w"])), traces, markers=False)
    axes[4].axhline(2, color="grey", linestyle=":")
    axes[4].set_title("the slow current w; the dotted line is the input I")
    axes[4].set_ylabel("w (rheobases)")
    axes[4].set_ylim(top=3.2)
    axes[4].legend(loc="upper right", ncols=2)
    run.figure(fig, "6_limits", look="what w does while the intervals grow, and during a pause")

    run.claim(
        "lif_uneven",
        "LIF: longest / shortest interval",
        lif_uneven,
        unit="times",
        target="== 1",
        n=len(lif),
    )
    run.claim("late", "LIF, refractory 5 steps: interval", late.mean(), unit="steps")
    run.claim("slower", "with w: last interval / first", slower, unit="times")
    run.claim("burst", "and a reset above θ: a burst has", burst, unit="spikes", n=len(sizes))
    run.claim("pause", "and a pause has", pause, unit="steps", n=len(sizes))
    run.finding(
        f"LIF repeats itself: {len(lif)} intervals, {span} steps. With a slow current w added, the "
        f"last interval is {slower:.1f} times the first. With a reset above θ as well, {ending}",
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
