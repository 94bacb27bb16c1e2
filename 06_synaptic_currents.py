"""Lesson 06 — Synaptic currents: a second memory between the spike and the membrane

Question
    To the neuron of lesson 01 an input spike is a kick: U jumps in the step in which it arrives,
    and from then on only decays. A real synapse answers with a wave of current that lasts for many
    steps. What can a neuron do with such a wave that it cannot do with a kick, and what does the
    wave cost?

Idea
    Give the current a memory of its own. A weighted input spike x raises the synaptic current I; the
    current fades by the share α a step and feeds the membrane, which leaks by β as before:

        I[t+1] = α·I[t] + x[t+1]                       the synapse                              (1)
        U[t+1] = β·U[t] + I[t+1] − S[t]·θ              the membrane, as in lesson 01            (2)

    In snnTorch this is snn.Synaptic. With α = 0 the current forgets at once, I is x, and what is
    left is snn.Leaky. There is a third neuron, snn.Alpha, which section 1 introduces.

Read first
    Theory     Neuronal Dynamics, chapter 3, https://neuronaldynamics.epfl.ch/online/Ch3.html
    Practice   snnTorch tutorial 4,
               https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_4.html

Run
    uv run 06_synaptic_currents.py --predict    asks what you expect, then measures: start here
    uv run 06_synaptic_currents.py              without questions; about 15 seconds on two CPU cores
    uv run 06_synaptic_currents.py --alpha 0.8 --beta 0.4    other time constants
    uv run 06_synaptic_currents.py --full       ten times as many noisy trials

Builds on / leads to
    Lesson 01 (membrane, reset, rheobase). Lesson 13 feeds such neurons back into themselves, lesson
    20 runs filters like (1) over hundreds of steps. studies/06_filters.py goes on from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from common import plots
from common.io import UserError
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from multistep import saved_for_backward

import numpy as np
import snntorch as snn
import torch
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from torch import Tensor

STEP = "time step"
NAMES = ("Leaky", "Synaptic", "Alpha")
STATES = {"Leaky": 1, "Synaptic": 2, "Alpha": 3}  # numbers that a neuron carries from step to step
SLOW = "slow Leaky"  # introduced in section 3
LOOKS = {
    "Leaky": {"color": plots.BLUE, "linestyle": "-"},
    "Synaptic": {"color": plots.RED, "linestyle": "--"},
    "Alpha": {"color": plots.GREEN, "linestyle": "-."},
    SLOW: {"color": plots.BLACK, "linestyle": ":"},
}
NO_SPIKES = {"threshold": 1e9, "reset_mechanism": "none"}  # θ out of reach: the membrane alone


@dataclass
class Config(LessonConfig):
    """The threshold θ is 1 throughout. A few neurons are too little work for a GPU."""

    num_steps: int = bounded(150, 1, 100_000)
    """time steps that are drawn"""
    alpha: float = bounded(0.9, 0.05, 0.98)
    """share α of the synaptic current that is left after one step"""
    beta: float = bounded(0.8, 0.01, 0.95)
    """share β of the potential that is left after one step; less than alpha (snn.Alpha asks for it)"""
    trials: int = bounded(2000, 10, 100_000)
    """noisy trials behind each point of sections 4 and 5"""

    def validate(self) -> None:
        super().validate()
        if self.alpha < self.beta + 0.009:
            allowed = f"--beta + 0.01 = {self.beta + 0.01:g} and more (snn.Alpha needs α > β)"
            raise UserError(f"--alpha: got {self.alpha:g}, allowed is {allowed}")


SMOKE = {"trials": 50}
FULL = {"trials": 20_000}


def unit_of(count: float) -> str:
    """The word behind a number of spikes."""
    return "spike" if count == 1 else "spikes"


def run_leaky(x: Tensor, beta: float | Tensor, **options: object) -> dict[str, Tensor]:
    """snn.Leaky over the weighted input ``x (T, B)``; its current is that input and nothing else."""
    leaky = snn.Leaky(beta=beta, **options)
    mem = torch.zeros_like(x[0])
    spk_rec, mem_rec = [], []
    for x_t in x:  # (B,)
        spk, mem = leaky(x_t, mem)
        spk_rec.append(spk)
        mem_rec.append(mem)
    return {"spk": torch.stack(spk_rec), "mem": torch.stack(mem_rec), "I": x}


def run_synaptic(
    x: Tensor, alpha: float | Tensor, beta: float | Tensor, **options: object
) -> dict[str, Tensor]:
    """snn.Synaptic over ``x (T, B)``: two states, ``syn`` is I and ``mem`` is U."""
    synaptic = snn.Synaptic(alpha=alpha, beta=beta, **options)
    syn = torch.zeros_like(x[0])
    mem = torch.zeros_like(x[0])
    spk_rec, syn_rec, mem_rec = [], [], []
    for x_t in x:
        spk, syn, mem = synaptic(x_t, syn, mem)
        spk_rec.append(spk)
        syn_rec.append(syn)
        mem_rec.append(mem)
    return {
        "spk": torch.stack(spk_rec),
        "mem": torch.stack(mem_rec),
        "I": torch.stack(syn_rec),
    }


def run_alpha(
    x: Tensor, alpha: float | Tensor, beta: float | Tensor, **options: object
) -> dict[str, Tensor]:
    """snn.Alpha over ``x (T, B)``: three states, the two currents E and F, and U."""
    neuron = snn.Alpha(alpha=alpha, beta=beta, **options)
    exc = torch.zeros_like(x[0])
    inh = torch.zeros_like(x[0])
    mem = torch.zeros_like(x[0])
    spk_rec, exc_rec, inh_rec, mem_rec = [], [], [], []
    for x_t in x:
        spk, exc, inh, mem = neuron(x_t, exc, inh, mem)
        spk_rec.append(spk)
        exc_rec.append(exc)
        inh_rec.append(inh)
        mem_rec.append(mem)
    return {
        "spk": torch.stack(spk_rec),
        "mem": torch.stack(mem_rec),
        "E": torch.stack(exc_rec),
        "F": torch.stack(inh_rec),
    }


def mean_delay(cfg: Config) -> float:
    """Steps by which this run's Synaptic lags behind its input on average: equation (5)."""
    return cfg.alpha / (1 - cfg.alpha) + cfg.beta / (1 - cfg.beta)


def one_leak(cfg: Config) -> float:
    """β of the slow Leaky: all of that delay in a single leak, β/(1 − β), solved for β."""
    return mean_delay(cfg) / (1 + mean_delay(cfg))


def simulate(name: str, x: Tensor, cfg: Config, **options: object) -> dict[str, Tensor]:
    """The neuron of this ``name`` with this run's α and β, over ``x (T, B)``."""
    if name == "Leaky":
        return run_leaky(x, cfg.beta, **options)
    if name == SLOW:
        return run_leaky(x, one_leak(cfg), **options)
    if name == "Synaptic":
        return run_synaptic(x, cfg.alpha, cfg.beta, **options)
    return run_alpha(x, cfg.alpha, cfg.beta, **options)


def response_steps(cfg: Config) -> int:
    """Steps after which hardly anything is left of one input, for the slowest of the neurons."""
    return int(np.ceil(20 / (1 - max(cfg.alpha, one_leak(cfg)))))


def response(name: str, cfg: Config) -> Tensor:
    """h: the potential, step by step ``(T,)``, that one input of 1 at step 0 leaves behind."""
    x = torch.zeros(response_steps(cfg), 1)
    x[0] = 1
    return simulate(name, x, cfg, **NO_SPIKES)["mem"][:, 0]


@section
def section_four_rows(cfg: Config, run: Run) -> None:
    """1  What lies between a spike and the membrane?

    *In biology.* A spike that reaches the end of its nerve fibre releases molecules, the
    transmitter. They cross a narrow gap, bind to ion channels of the receiving cell and open them:
    the conductance g of its membrane rises, at fast synapses within about a millisecond. Then the
    channels shut one by one, at random, and g decays roughly exponentially: in a few ms at a fast
    excitatory synapse (AMPA channels), in 5 to 10 ms at an inhibitory one (GABA-A), in about 100 ms
    at a slow excitatory one (NMDA). As for β in lesson 01, α = exp(−Δt/τ_syn). With Δt = 1 ms, our
    α = 0.9 means τ_syn = 9.5 ms, and β = 0.8 means τ_mem = 4.5 ms.

    Equation (1) leaves something out. What flows through open channels is g·(V − U). It vanishes when
    U reaches the *reversal potential* V of the channel, about 0 mV for AMPA and NMDA, so each
    further spike lifts U by less. snnTorch's synaptic current does not depend on U.

    *The picture* shows four rows: spikes in, synaptic current, membrane, spikes out. In come one
    spike, two spikes in the same step, two spikes four steps apart, and five spikes five steps apart.
    The weight w of the input is chosen for each neuron such that one spike lifts U from rest to 0.6·θ
    at its highest point. So one spike is not enough, and two in the same step are. The current has
    a scale of its own in each column.

    *The third column* is snn.Alpha. It keeps two currents, both driven by x, with opposite signs:

        E[t+1] = α·E[t] + x[t+1]       F[t+1] = β·F[t] − x[t+1]       U[t+1] = κ·(E[t+1] + F[t+1])   (3)

    An input leaves E at x and F at −x, so their sum starts at 0. F fades faster, since β < α, so the
    sum rises; then it falls with E. U has no leak of its own in (3). In its place F decays by β. The
    constant factor is κ = ln β/(ln β − ln α). (snnTorch calls E and F excitatory and inhibitory. They
    are not two synapses; together they make one wave.)

    *The resets* differ as well. Leaky and Synaptic take θ from U, and in Synaptic the current flows
    on. Alpha, by default, clears E, F and U in the step after a spike, and loses the input of that step.

    To move α and β yourself: `uv run course.py pages` writes site/playground.html, part (a), with all
    three models.
    """
    every, leaky_only, slow_only, none = "all three", "Leaky only", "Synaptic and Alpha", "none"
    run.predict(
        "apart",
        "One input spike lifts U to 0.6·θ at its highest point, in all three neurons. Now two spikes "
        "come four steps apart. Which neurons fire?",
        (every, leaky_only, slow_only, none),
    )
    steps = max(cfg.num_steps, 150)
    spk_in = torch.zeros(steps, 1)  # (T, B = 1)
    spk_in[5] = 1
    spk_in[35] = 2  # two inputs fire in the same step
    spk_in[[75, 79]] = 1
    spk_in[[115, 120, 125, 130, 135]] = 1

    # snn.Synaptic by hand: equations (1) and (2), line by line. run_synaptic calls snnTorch instead.
    weight = 0.6 / response("Synaptic", cfg).max()
    syn = torch.zeros(1)
    mem = torch.zeros(1)
    spk = torch.zeros(1)
    by_hand = []
    for x_t in weight * spk_in:
        # I[t+1] = α·I[t] + x[t+1]
        syn = cfg.alpha * syn + x_t
        # U[t+1] = β·U[t] + I[t+1] − S[t]·θ
        mem = cfg.beta * mem + syn - spk * 1.0
        # S[t+1] = 1 if U[t+1] > θ else 0
        spk = (mem > 1.0).float()
        by_hand.append(spk)
    by_snntorch = simulate("Synaptic", weight * spk_in, cfg)["spk"]
    differ = int((torch.stack(by_hand) != by_snntorch).sum())

    rows = {"height_ratios": (0.6, 1, 1.6, 0.6), "sharex": True}
    fig, axes = plots.figure(4, 3, (12, 6.6), **rows)
    solid = {"color": plots.GREEN}
    light = {"color": plots.PINK, "linewidth": 1.2}
    fired, apart = {}, []
    for column, name in enumerate(NAMES):
        weight = 0.6 / response(name, cfg).max()
        record = simulate(name, weight * spk_in, cfg)
        fired[name] = int(record["spk"].sum())
        if record["spk"][75:115].any():
            apart.append(name)

        spikes, current, membrane, out = axes[:, column]
        spikes.vlines(np.arange(steps), 0, spk_in[:, 0], color=plots.BLACK, linewidth=2)
        spikes.set_title(f"snn.{name}, w = {weight:.2g}")
        for key, look in (("I", solid), ("E", solid), ("F", light)):
            if key in record:
                current.plot(record[key][:, 0], drawstyle="steps-post", label=key, **look)
        plots.membrane(membrane, record["mem"][:, 0], threshold=1.0, name="U")
        plots.raster(out, record["spk"])
        out.set_title(f"spikes out: {fired[name]}")
        out.set_xlabel(STEP)
        out.set_xlim(-1, cfg.num_steps)
        out.set_yticks([])
        current.margins(y=0.4)
        current.legend(loc="upper left", ncols=2)
        membrane.set_ylim(-0.2, 1.9)
    axes[2, 0].legend(loc="upper left", ncols=2)
    for ax, name in zip(
        axes[:, 0], ("spikes in", "current", "U (θ = 1)", "spikes out"), strict=True
    ):
        ax.set_ylabel(name)
    counts = ", ".join(f"{name} {count}" for name, count in fired.items())
    fig.suptitle(f"The same 10 spikes in; spikes out: {counts}", x=0.01, ha="left")
    look = "what the current does after each spike, and after U was reset"
    run.figure(fig, "1_four_rows", look=look)

    for name in NAMES:
        run.claim(
            f"out_{name.lower()}",
            f"{name}: spikes out",
            fired[name],
            unit=unit_of(fired[name]),
            n=10,
        )
    outcomes = {(): none, ("Leaky",): leaky_only, ("Synaptic", "Alpha"): slow_only, NAMES: every}
    run.outcome("apart", outcomes.get(tuple(apart), " and ".join(apart)))
    run.finding(
        f"From the same 10 input spikes Leaky makes {fired['Leaky']}, Synaptic {fired['Synaptic']} and "
        f"Alpha {fired['Alpha']}. Two spikes four steps apart make {' and '.join(apart) or 'none of them'} "
        "fire: the first spike must still be felt when the second comes. By hand and by "
        f"snn.Synaptic, the spikes differ at {differ} of {steps} steps."
    )


def closed_form(name: str, n: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """Equations (4): h at the steps ``n``."""
    if name == "Leaky":
        return beta**n
    if name == "Synaptic":
        return (alpha ** (n + 1) - beta ** (n + 1)) / (alpha - beta)
    kappa = np.log(beta) / (np.log(beta) - np.log(alpha))
    return kappa * (alpha**n - beta**n)


@section
def section_response(cfg: Config, run: Run) -> None:
    """2  What does one spike do to the membrane?

    As long as no threshold is reached, all three neurons are linear: the answer to many spikes is the
    sum of the answers to each. So it is enough to know the answer h[n] to a single input of 1, n steps
    after it came, the *impulse response*. In Synaptic, αᵏ of the input is left in I after k steps.
    At step k this enters U, where it fades by β for the n − k steps that remain. Add up over all k:

        Leaky        h[n] = βⁿ
        Synaptic     h[n] = Σ αᵏ·βⁿ⁻ᵏ = (αⁿ⁺¹ − βⁿ⁺¹)/(α − β)               a geometric sum        (4)
        Alpha        h[n] = κ·(αⁿ − βⁿ)                                      from (3)

    Three things can be read off. Leaky is highest at n = 0 for every β: it can only jump and decay,
    while the other two rise first. Alpha is Synaptic once more, one step later and scaled. (As β → α
    it becomes −ln α·n·αⁿ, which is t·exp(−t/τ) in steps: the *alpha function*, after which the
    neuron is named.) And nothing changes in (4) when α and β change places: below the threshold
    nobody can tell which of the two is the synapse. The slower decay sets the tail, whichever it is.

    The threshold tells the two apart, for a reset takes θ from U and not from I. That debt fades
    like everything in U, by β: a spike lowers U by θ in the next step, by β·θ in the one after, and
    by θ·(1 + β + β² + …) = θ/(1 − β) in all. So summed over time a slow membrane pays more for a
    spike. In the long run the sum of U is what came in, less what was paid:

        Σ U   =   Σ x · Σ h   −   spikes · θ/(1 − β)

    If spikes took nearly all of the input, their number would change by (1 − α)/(1 − β) when α and β
    change places. Near the threshold much stays in U and leaks away, and the number changes less.

    The third panel gives 64 neurons random input spikes. Their weights are such that without
    threshold U would be θ on average. Once α and β are as given, once they have changed places.
    """
    run.predict(
        "swap_spikes",
        f"α = {cfg.alpha:g} and β = {cfg.beta:g} change places, so now the membrane is the slower one. "
        "Below the threshold U stays the same. A spike costs θ/(1 − β) in all. By which factor does "
        "the number of spikes change (1 = not at all)?",
        unit="times",
    )
    n = np.arange(response_steps(cfg))
    h = {name: response(name, cfg).double().numpy() for name in NAMES}
    peak = {name: int(h[name].argmax()) for name in NAMES}

    # α and β change places: first one input without a threshold, then random spikes with it.
    one = torch.zeros(len(n), 1)
    one[0] = 1
    swapped = run_synaptic(one, cfg.beta, cfg.alpha, **NO_SPIKES)["mem"][:, 0].double().numpy()
    below = np.abs(swapped - h["Synaptic"]).max() / h["Synaptic"].max()
    steps = 2000
    spk_in = torch.bernoulli(torch.full((steps, 64), 0.2), generator=run.generator())  # (T, B)
    weight = 1 / (0.2 * h["Synaptic"].sum())
    as_given = run_synaptic(weight * spk_in, cfg.alpha, cfg.beta)
    exchanged = run_synaptic(weight * spk_in, cfg.beta, cfg.alpha)
    ratio = (exchanged["spk"].sum() / as_given["spk"].sum()).item()

    title = f"Highest after {peak['Leaky']} (Leaky), {peak['Synaptic']} (Synaptic), {peak['Alpha']} steps "
    title += f"(Alpha); α ↔ β makes {ratio:.2f} times the spikes"
    fig, (ax, bx, cx) = plots.figure(1, 3, (13, 3.9), title)
    shown = slice(0, min(len(n), max(cfg.num_steps // 2, 2)))
    for name in NAMES:
        highest = h[name].max()
        formula = closed_form(name, n, cfg.alpha, cfg.beta) / highest
        ax.plot(n[shown], h[name][shown] / highest, label=f"snn.{name}", **LOOKS[name])
        ax.plot(n[shown], formula[shown], ".", color=plots.BLACK, markersize=3)
        bx.semilogy(
            n[shown], np.where(h[name] > 0, h[name], np.nan)[shown] / highest, **LOOKS[name]
        )
    ax.plot([], [], ".", color=plots.BLACK, label="by (4)")
    ax.legend(loc="upper right")
    tail = cfg.alpha ** n[shown]
    bx.semilogy(n[shown], tail, color="0.6", linewidth=3, zorder=0, label=f"α = {cfg.alpha:g}: αⁿ")
    bx.set_ylim(1e-3, 2)
    bx.legend(loc="upper right")
    drawn = slice(0, 3 * cfg.num_steps)
    names = (f"α = {cfg.alpha:g}, β = {cfg.beta:g}", f"α = {cfg.beta:g}, β = {cfg.alpha:g}")
    looks = ({"color": plots.RED, "linestyle": "--"}, {"color": plots.PINK, "linestyle": ":"})
    for record, name, look in zip((as_given, exchanged), names, looks, strict=True):
        total = record["spk"][drawn].sum(1).cumsum(0)  # of all 64 neurons
        cx.plot(total, label=name, **look)
    cx.legend(loc="upper left")
    plots.label(ax, "steps since the input, n", "U / its highest value", "One input of 1")
    plots.label(bx, "steps since the input, n", "U / its highest value", "The same, logarithmic")
    plots.label(
        cx,
        STEP,
        "spikes so far, 64 neurons",
        "Synaptic, the first steps of 2,000",
    )
    run.figure(
        fig,
        "2_response",
        look="where each curve is highest, and which tail is parallel to the grey line",
    )

    run.claim("peak_synaptic", "Synaptic: highest after", peak["Synaptic"], unit="steps")
    run.claim("peak_alpha", "Alpha: highest after", peak["Alpha"], unit="steps")
    run.claim("swap_below", "α ↔ β, no threshold: U changes by", below, unit="1", target="<= 1e-4")
    run.claim("swap_spikes", "α ↔ β: spikes after / before", round(ratio, 2), unit="")
    same = "stays the same" if below < 1e-4 else f"changes by up to {100 * below:.2g} %"
    run.finding(
        f"Synaptic rises for {peak['Synaptic']} steps after its input and Alpha for {peak['Alpha']}; "
        f"Leaky falls at once. When α and β change places, U without a threshold {same}; with a "
        f"threshold, and input that would hold U at θ on average, the neuron makes {ratio:.2f} times "
        "as many spikes."
    )


def split_responses(delay: float, shares: Tensor, steps: int) -> Tensor:
    """h of neurons whose mean delay (5) lies to these ``shares (B,)`` in I and for the rest in U: ``(T, B)``."""
    in_current = shares * delay
    in_membrane = (1 - shares) * delay
    alpha = in_current / (1 + in_current)  # (B,); α/(1 − α) = in_current, solved for α
    beta = in_membrane / (1 + in_membrane)
    x = torch.zeros(steps, len(shares))  # (T, B): a column for each split
    x[0] = 1
    return run_synaptic(x, alpha, beta, **NO_SPIKES)["mem"]


def width(h: Tensor) -> int:
    """Steps at which the response ``h (T,)`` is at least half as high as its peak."""
    return int((h >= h.max() / 2).sum())


def train_against_volley(h: Tensor, gap: int, count: int = 5) -> float:
    """Highest U for ``count`` inputs ``gap`` steps apart, divided by that for all of them at once."""
    total = torch.zeros(len(h) + (count - 1) * gap)
    for k in range(count):
        total[k * gap : k * gap + len(h)] += h  # linear: answers add up
    return (total.max() / (count * h.max())).item()


@section
def section_two_decays(cfg: Config, run: Run) -> None:
    """3  Would a slower leak do the same?

    A larger β alone makes an answer longer, too. To see what a *second* decay adds, compare at equal
    delay. The mean delay between an input and its effect is Σ n·h[n] / Σ h[n], n weighted with h. It
    is the lag behind a ramp of lesson 01. Two decays in a row simply add theirs:

        mean delay   =   α/(1 − α)  +  β/(1 − β)                                               (5)

    At α = 0.9 and β = 0.8 it is 9 + 4 = 13 steps. Now keep the sum and move it between the two. All of
    it in one leak is the *slow Leaky*, β = 13/14: it jumps and fades for a long time. Split between
    two decays, the answer is a hump: it rises later, stays near its peak for longer, and its tail is
    shorter. So the sum (5) sets how late the answer comes on average, and the split sets its
    shape: most of a hump when the two are equal. (At α = β, where (4) is 0/0, it is h[n] = (n+1)·αⁿ.)

    What is the hump good for? Let five spikes come in, either all at once (a *volley*, from five
    inputs) or five steps apart (a *burst*, from one). Divide the highest U after the burst by that
    after the volley. If the ratio is small, a weight can be chosen with which the neuron fires for the
    volley and not for the burst: it hears whether spikes coincide. Near 1 no weight tells the two
    apart: it counts spikes, whenever they come. One spike alone would give 1/5. (At much longer gaps
    the tail counts, and the slow Leaky has the longer one.)
    """
    delay = mean_delay(cfg)
    run.predict(
        "peak_even",
        f"A single leak with a mean delay of {delay:.3g} steps answers with a jump: its highest U is at "
        "step 0. Now the same mean delay is split evenly, α = β. At which step is U highest?",
        unit="steps",
    )
    steps = response_steps(cfg)
    shares = torch.linspace(0, 1, 21)
    responses = split_responses(delay, shares, steps).T  # (B, T): a row for each split
    peaks = [int(h.argmax()) for h in responses]
    widths = [width(h) for h in responses]
    even = len(shares) // 2  # the one in the middle: half in I, half in U

    gaps = np.arange(11)
    names = ("Leaky", SLOW, "Synaptic")
    heard = {}
    for name in names:
        h = response(name, cfg)
        heard[name] = [train_against_volley(h, gap) for gap in gaps]

    title = f"A mean delay of {delay:.3g} steps: highest at step {peaks[0]} with one leak, at step "
    title += f"{peaks[even]} split evenly"
    fig, (ax, bx, cx) = plots.figure(1, 3, (13, 3.9), title)
    shown = slice(0, min(steps, int(4 * delay) + 2))
    looks = (
        (0, "all in U: slow Leaky", LOOKS[SLOW]),
        (2, "1/10 in I", {"color": plots.PINK, "linestyle": "-."}),
        (even, "half in I, half in U", {"color": plots.ORANGE, "linestyle": "-"}),
    )
    for i, name, look in looks:
        h = responses[i] / responses[i].max()
        ax.plot(h[shown], label=name, **look)
    ax.legend(loc="upper right")
    bx.plot(shares, widths, "s--", color="0.45", label="width at half height")
    bx.plot(shares, peaks, "o-", color="0.45", label="step of the peak")
    own = cfg.alpha / (1 - cfg.alpha) / delay
    bx.axvline(own, color=plots.RED, linestyle="--", label="Synaptic of this run")
    bx.set_ylim(0, 1.45 * max(widths))
    bx.legend(loc="upper left")
    for name in names:
        cx.plot(gaps, heard[name], marker="o", markersize=3, label=name, **LOOKS[name])
    cx.axhline(0.2, color="grey", linewidth=1)
    cx.text(0, 0.18, "1/5, as from one spike alone", va="top", fontsize=9)
    cx.set_ylim(0, 1.05)
    cx.legend(loc="upper right")
    plots.label(ax, "steps since the input", "U / its highest value", "Equal mean delay")
    plots.label(bx, "share of the mean delay that lies in I", "steps", "The same, for every split")
    plots.label(cx, "steps between the five spikes", "highest U / that of a volley", "Five spikes")
    run.figure(
        fig, "3_two_decays", look="jump or hump; the share that a burst has of a volley's effect"
    )

    run.claim("peak_even", "split evenly: highest at", peaks[even], unit="steps")
    run.claim("width_one", "one leak: width at half height", widths[0], unit="steps")
    run.claim("width_even", "split evenly: width at half height", widths[even], unit="steps")
    run.claim("burst_leaky", "burst / volley, Leaky", heard["Leaky"][5])
    run.claim("burst_synaptic", "burst / volley, Synaptic", heard["Synaptic"][5])
    run.finding(
        f"With a mean delay of {delay:.3g} steps, one leak is highest at step {peaks[0]} and above half "
        f"of that for {widths[0]} steps; the same delay split evenly peaks at step {peaks[even]} and "
        f"stays above half for {widths[even]}. A burst of five spikes, five steps apart, lifts U to "
        f"{100 * heard['Leaky'][5]:.0f} % of what a volley does in Leaky, {100 * heard[SLOW][5]:.0f} % "
        f"in the slow Leaky and {100 * heard['Synaptic'][5]:.0f} % in Synaptic."
    )


def first_spikes(spk: Tensor) -> Tensor:
    """Step of the first spike of each column of ``spk (T, B)``; T where there is none."""
    first = spk.argmax(0).double()
    first[spk.sum(0) == 0] = len(spk)
    return first


@section
def section_first_spike(cfg: Config, run: Run) -> None:
    """4  How late is the first spike, and how sure of its time?

    A current is switched on, of 1.5 to 2 rheobases in ten strengths. (The rheobase, the strongest
    steady current that never fires the neuron, is θ divided by the sum of h; so 1.5 is equally
    strong for every neuron.) Noise comes on top: a random number at each step, with a standard
    deviation σ of 0.2 rheobases. Measured are the step of the first spike, averaged over all trials
    and strengths, the *latency*; and its standard deviation from trial to trial at one and the same
    strength, the *jitter*.

    Two things make a jitter: how far noise throws U off, and how steeply U climbs when it meets θ. An
    error ΔU shifts the crossing by ΔU divided by the slope. Then the time is rounded to a whole step,
    which adds the variance 1/12 of a number anywhere between 0 and 1:

        jitter²   ≈   (ΔU/slope)²  +  1/12                                                     (6)

    (With noise so weak that the spike nearly always falls on the same step, 1/12 is too much.)
    A single leak climbs ever more slowly the nearer it comes to its final value. With a second decay
    U starts late and is steepest on the way. ΔU and slope are measured at 1.75 rheobases without a
    threshold, at the step at which U would meet θ without noise.
    """
    synaptic, slow, alike = "Synaptic's", "the slow Leaky's", "equally (within 5 %)"
    run.predict(
        "surer",
        "Synaptic and the slow Leaky have the same mean delay. The same noisy current, in rheobases "
        "of each, is switched on. Whose first spike scatters less from trial to trial?",
        (synaptic, slow, alike),
    )
    sigmas = np.array([0.1, 0.2, 0.4, 0.8])  # in rheobases
    levels = torch.linspace(1.5, 2.0, 10)  # so that nobody is favoured by where θ falls
    each = max(cfg.trials // len(levels), 2)
    names = (*NAMES, SLOW)
    steps = int(8 * mean_delay(cfg)) + 20
    noise = torch.randn(steps, 1, len(levels), each, generator=run.generator())
    scale = torch.tensor(sigmas, dtype=torch.float32)[:, None, None]
    drive = levels[:, None] + scale * noise  # (T, σ, level, trial), in rheobases
    shown = 1  # sigmas[1] is 0.2
    latency, jitter, climb, slope, error, expected = {}, {}, {}, {}, {}, {}
    for name in names:
        rheobase = 1 / response(name, cfg).sum()
        spk = simulate(name, rheobase * drive.flatten(1), cfg)["spk"]
        first = first_spikes(spk).reshape(drive.shape[1:])  # (σ, level, trial)
        latency[name] = first[shown].mean().item()
        jitter[name] = first.var(-1).mean(-1).sqrt().numpy()  # (σ,)
        # Without spikes: how fast U climbs at θ, and how far the noise throws it off there.
        steady = torch.full((steps, 1), 1.75 * rheobase)
        noisy = steady + 0.2 * rheobase * noise[:, 0].flatten(1)  # (T, trial)
        climb[name] = simulate(name, steady, cfg, **NO_SPIKES)["mem"][:, 0]
        meets = int((climb[name] > 1).int().argmax())  # the first step above θ
        slope[name] = climb[name][: meets + 1].diff(prepend=torch.zeros(1))[-1].item()
        error[name] = simulate(name, noisy, cfg, **NO_SPIKES)["mem"][meets].std().item()
        # jitter² ≈ (ΔU/slope)² + 1/12
        expected[name] = ((error[name] / slope[name]) ** 2 + 1 / 12) ** 0.5
    at = {name: jitter[name][shown] for name in names}

    title = f"Jitter under noise of 0.2 rheobases: {at['Leaky']:.2f} steps in Leaky, "
    title += f"{at['Synaptic']:.2f} in Synaptic, {at[SLOW]:.2f} in the slow Leaky"
    fig, (ax, bx) = plots.figure(1, 2, (12, 4.2), title)
    for name in names:
        until = int(1.5 * max(latency.values())) + 3
        ax.plot(climb[name][:until], label=name, **LOOKS[name])
    ax.axhline(1, color="grey", linewidth=1)
    ax.text(0, 1.02, "θ", va="bottom")
    markers = dict(zip(names, plots.MARKERS, strict=False))
    for name in names:
        head = f"{name}: step {latency[name]:.1f}"
        bx.plot(sigmas, jitter[name], marker=markers[name], label=head, **LOOKS[name])
    ax.legend(loc="lower right")
    bx.legend(loc="upper left", title="mean first spike, σ = 0.2")
    plots.label(ax, "steps since the current was switched on", "U without spikes (θ = 1)")
    ax.set_title("1.75 rheobases, no noise")
    plots.label(bx, "noise σ (rheobases)", "jitter (steps)", f"{10 * each:,} trials a point")
    run.figure(
        fig,
        "4_first_spike",
        look="how steep each curve is at θ; on the right Alpha lies on Synaptic",
    )

    trials = 10 * each
    for name, key in (("Leaky", "leaky"), ("Synaptic", "synaptic"), (SLOW, "slow")):
        run.claim(f"jitter_{key}", f"{name}: jitter", round(at[name], 2), "steps", n=trials)
    run.claim("expected_synaptic", "Synaptic: by (6)", round(expected["Synaptic"], 2), "steps")
    run.claim("expected_slow", "slow Leaky: by (6)", round(expected[SLOW], 2), "steps")
    surer = alike
    if at["Synaptic"] < 0.95 * at[SLOW]:
        surer = synaptic
    if at[SLOW] < 0.95 * at["Synaptic"]:
        surer = slow
    run.outcome("surer", surer)
    run.finding(
        f"Under this noise the first spike scatters by {at['Leaky']:.2f} steps in Leaky, by "
        f"{at['Synaptic']:.2f} in Synaptic and by {at[SLOW]:.2f} in the slow Leaky. In the last two, noise "
        f"throws U off by {error['Synaptic']:.3f} and {error[SLOW]:.3f} θ, and U climbs by "
        f"{slope['Synaptic']:.3f} and {slope[SLOW]:.3f} θ a step, from which (6) expects "
        f"{expected['Synaptic']:.2f} and {expected[SLOW]:.2f} steps."
    )


WEAK, STRONG = 0.65, 0.9  # what each of two inputs is worth in section 5, in θ


def pairs_of(name: str, cfg: Config, share: float = WEAK) -> Tensor:
    """Two inputs, 0, 1, 2, … steps apart, each worth ``share``·θ at its highest point: ``(T, B)``."""
    h = response(name, cfg)
    gaps = torch.arange(len(h) // 2)
    pairs = torch.zeros(len(h), len(gaps))  # a column for each gap
    pairs[0] += 1
    pairs[gaps, gaps] += 1
    return share / h.max() * pairs


def longest_gap(name: str, cfg: Config, share: float = WEAK) -> int:
    """Largest number of steps between two such inputs that still fire together."""
    fires = simulate(name, pairs_of(name, cfg, share), cfg)["spk"].any(
        0
    )  # (B,), True, …, True, False, …
    return int(fires.sum()) - 1


@section
def section_coincidence(cfg: Config, run: Run) -> None:
    """5  How far apart may two spikes be?

    A neuron with a short memory fires only if its inputs coincide: a *coincidence detector*. One with
    a long memory adds up whatever comes: an *integrator*. The same neuron can be either; its time
    constants decide. Two inputs, each strong enough for 0.65·θ at its highest point, come Δ steps
    apart. By linearity U is the sum of two responses, and the neuron fires if anywhere

        0.65·θ·(h[n] + h[n − Δ])/max h   >   θ                                                  (7)

    The longest such Δ is the neuron's *window*. In Leaky it can be written down: at the second input
    U is 0.65·θ·(1 + β^Δ), which is above θ as long as β^Δ > 0.35/0.65. In Synaptic the first answer
    is still near its peak at that Δ, so such inputs may come further apart. (Exercise 06c finds
    the window of any h.)

    A slower leak widens the window as well, and delays the answer more, by (5). So the section also
    asks how much a Leaky lags that has Synaptic's window. And it asks about strong inputs of 0.9·θ:
    they need only a little of each other, a tail is enough, and the slow Leaky's tail is longer.

    The other panel scatters 20 inputs around one moment. All at the same time, they would lift U to
    1.6·θ. How much may they scatter for the neuron to fire in half of the trials? A wide window is what
    you want if the inputs of one event arrive scattered. It does harm if the timing itself carries
    the message, as in hearing: a sound from the side reaches one ear a fraction of a millisecond
    before the other.
    """
    run.predict(
        "window_synaptic",
        f"Two inputs, each worth 0.65·θ. Leaky (β = {cfg.beta:g}) fires if they are up to "
        f"{longest_gap('Leaky', cfg)} steps apart. And Synaptic (α = {cfg.alpha:g})?",
        unit="steps",
    )
    names = (*NAMES, SLOW)
    scatters = mean_delay(cfg) * np.geomspace(0.05, 4, 13)  # standard deviations in steps
    normal = torch.randn(20, cfg.trials, generator=run.generator())
    window, share, half = {}, {}, {}
    for name in names:
        window[name] = longest_gap(name, cfg)
        weight = 1.6 / 20 / response(name, cfg).max()
        fired = []
        for scatter in scatters:
            middle = int(4 * scatter) + 1
            arrival = (middle + scatter * normal).round().long()
            arrival = arrival.clamp(0, 2 * middle - 1)  # (20, B), B trials side by side
            steps = 2 * middle + int(2 * mean_delay(cfg))  # U may rise after the last arrival
            volley = torch.zeros(steps, cfg.trials)  # (T, B)
            volley.scatter_add_(0, arrival, torch.ones(arrival.shape))
            spk = simulate(name, weight * volley, cfg)["spk"]
            fired.append(spk.any(0).float().mean().item())
        share[name] = np.array(fired)
        # the scatter at which the falling curve meets one half
        half[name] = float(np.exp(np.interp(-0.5, -share[name], np.log(scatters))).round(1))

    # The Leaky whose window is just that of Synaptic: β^Δ = (1 − w)/w, solved for β.
    beta = ((1 - WEAK) / WEAK) ** (1 / max(window["Synaptic"], 1))
    delay = mean_delay(cfg)
    delay_leaky = beta / (1 - beta)

    strong = {name: longest_gap(name, cfg, STRONG) for name in (SLOW, "Synaptic")}

    title = f"Two inputs may be {window['Leaky']} steps apart in Leaky, {window[SLOW]} in the slow Leaky, "
    title += f"{window['Synaptic']} in Synaptic"
    fig, (ax, bx) = plots.figure(1, 2, (12, 4.2), title)
    for name in names:
        highest = simulate(name, pairs_of(name, cfg), cfg, **NO_SPIKES)["mem"].max(0).values
        ax.plot(
            highest[: 3 * max(window.values()) + 2], label=f"{name}: {window[name]}", **LOOKS[name]
        )
        head = f"{name}: {half[name]:.1f} steps"
        bx.semilogx(scatters, 100 * share[name], ".", color=LOOKS[name]["color"])
        bx.semilogx(scatters, 100 * share[name], label=head, **LOOKS[name])
    ax.axhline(1, color="grey", linewidth=1)
    ax.text(3 * max(window.values()), 1.01, "θ", ha="right", va="bottom")
    bx.axhline(50, color="grey", linewidth=1)
    bx.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    bx.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    bx.xaxis.set_minor_formatter(NullFormatter())
    ax.legend(title="window (steps)", loc="upper right")
    bx.legend(title="half fire at", loc="upper left", bbox_to_anchor=(1.01, 1))
    plots.label(ax, "steps between the two inputs, Δ", "highest U (θ = 1)", "Two inputs of 0.65·θ")
    plots.label(bx, "scatter of the arrivals, s.d. (steps)", "trials that fire (%)")
    bx.set_title(f"20 inputs, {cfg.trials:,} trials a point")
    run.figure(
        fig,
        "5_coincidence",
        look="where each curve falls below the grey line; Alpha lies on Synaptic",
    )

    run.claim("window_leaky", "Leaky: window of two inputs", window["Leaky"], unit="steps")
    run.claim("window_slow", "slow Leaky: window", window[SLOW], unit="steps")
    run.claim("window_synaptic", "Synaptic: window", window["Synaptic"], unit="steps")
    run.claim("delay_leaky", "Leaky with that window: mean delay", delay_leaky, unit="steps")
    run.claim("half_slow", "slow Leaky: scatter that halves", half[SLOW], "steps", n=cfg.trials)
    run.claim(
        "half_synaptic", "Synaptic: scatter that halves", half["Synaptic"], "steps", n=cfg.trials
    )
    run.finding(
        f"Two spikes, each worth 0.65·θ, count as one event up to {window['Leaky']} steps apart in "
        f"Leaky and up to {window['Synaptic']} in Synaptic. At the same mean delay of {delay:.3g} steps a "
        f"slower leak alone reaches {window[SLOW]}; for {window['Synaptic']} it needs {delay_leaky:.3g}. With "
        f"0.9·θ each it is {strong['Synaptic']} in Synaptic and {strong[SLOW]} in the slow Leaky. Twenty spikes "
        f"may scatter by {half['Synaptic']:.1f} steps in Synaptic, {half[SLOW]:.1f} in the slow Leaky and "
        f"{half['Leaky']:.1f} in Leaky until half of the trials fail.",
        main=True,
        claim="window_synaptic",
    )


def kept_for_training(name: str, cfg: Config, learn: bool, num_steps: int = 20) -> float:
    """Bytes that autograd keeps for the backward pass, per neuron and step."""
    if name == "Leaky":
        neuron = snn.Leaky(beta=cfg.beta, learn_beta=learn)
    elif name == "Synaptic":
        neuron = snn.Synaptic(cfg.alpha, cfg.beta, learn_alpha=learn, learn_beta=learn)
    else:  # snnTorch 1.0: learn_alpha=True raises a TypeError in snn.Alpha
        neuron = snn.Alpha(cfg.alpha, cfg.beta, learn_beta=learn)
    x = torch.rand(num_steps, 1000, requires_grad=True)  # (T, B)
    states = [torch.zeros(1000) for _ in range(STATES[name])]
    spk_sum = torch.zeros(1000)
    with saved_for_backward() as kept:
        for x_t in x:
            spk, *states = neuron(x_t, *states)
            spk_sum = spk_sum + spk
        return round(kept() / x.numel())


@section
def section_cost(cfg: Config, run: Run) -> None:
    """6  What does the second state cost, and which neuron should I take?

    *Memory and arithmetic.* A state is a number for each neuron and each sample. It is kept from step to
    step, and it has to fade in every step, whether a spike comes or not. Leaky carries U, Synaptic I
    and U. Alpha in snnTorch carries E, F and U, although U follows from E and F. So a step takes one,
    two or three multiplications, and a chip has to keep one, two or three numbers next to each neuron.

    Training needs more: backpropagation keeps numbers from *every* step (lesson 09). If the decays
    are fixed, it needs of Leaky and Synaptic only the U at which each spike was decided; to fade by
    a constant leaves nothing to remember. (Alpha's reset multiplies once more, so it keeps more.)
    If decays are learnt, it needs what they multiplied. (Of Alpha only β can be learnt: snnTorch
    1.0 stops at learn_alpha=True there.)

    *A trap.* How much a weight contributes to U in total is the weight times the sum of h: 1/(1 − β)
    in Leaky, 1/((1 − α)(1 − β)) in Synaptic. So if you replace the one by the other and keep the
    weights, each of them counts for 1/(1 − α) times as much. Divide the weights by the ratio of the
    sums, or train anew. Even then the neuron is another one. Its U has the same mean and smaller
    fluctuations, because a slow filter averages over more of its input; if the mean lies below θ, it
    is the fluctuations that fire the neuron. (Far above θ, both fire alike.) Alpha fires less often
    even with fitted weights: each spike clears E and F, so U has to rise from 0 again.

        take       if
        Leaky      in doubt. One state. If its memory is too short, try a larger β first.
        Synaptic   weak inputs of one event come scattered, or the first spike after a current not far
                   above the rheobase should scatter little: more than a Leaky of the same mean
                   delay can do (sections 4, 5). Or if α is known, or to be learnt (learn_alpha=True).
        Alpha      a spike is to end all that came before it: its reset clears the currents. Keep α and
                   β apart, for κ divides by their difference (studies/06_filters.py).

    Measured are the bytes of each, and 64 neurons with random input spikes, whose weights would hold
    U of a Leaky without threshold at 0.9·θ on average.
    """
    run.predict(
        "fires_kept",
        f"snn.Leaky is replaced by snn.Synaptic with α = {cfg.alpha:g}, and all weights are kept. They "
        "held U of Leaky just below θ on average. In how many per cent of the steps does Synaptic fire?",
        unit="per cent",
    )
    carried = {name: 4 * STATES[name] for name in NAMES}  # float32 takes 4 bytes
    fixed = {name: kept_for_training(name, cfg, learn=False) for name in NAMES}
    learnt = {name: kept_for_training(name, cfg, learn=True) for name in NAMES}

    # Leaky's weights in the other neurons: as they are, and divided by what they are worth there.
    spk_in = torch.bernoulli(torch.full((1000, 64), 0.2), generator=run.generator())  # (T, B)
    worth = {name: response(name, cfg).sum().item() for name in NAMES}
    weight = 0.9 / (0.2 * worth["Leaky"])  # without spikes U would be 0.9·θ on average
    kept, divided = {}, {}
    for name in NAMES:
        kept[name] = simulate(name, weight * spk_in, cfg)["spk"].mean().item()
        fitting = weight * worth["Leaky"] / worth[name]
        divided[name] = simulate(name, fitting * spk_in, cfg)["spk"].mean().item()
    states = ", ".join(str(count) for count in carried.values())
    title = f"State: {states} bytes a neuron. Leaky's weights in Synaptic: a spike in "
    title += f"{100 * kept['Synaptic']:.0f} % of the steps"
    fig, (ax, bx) = plots.figure(1, 2, (13, 3.6), title)
    bytes_kept = {
        "state": carried,
        "kept of each step, decays fixed": fixed,
        "kept of each step, decays learnt": learnt,
    }
    plots.grouped_bars(ax, bytes_kept, fmt="{:.0f}")
    ax.margins(y=0.25)
    plots.label(ax, "", "bytes a neuron", "Memory, float32; of Alpha only β is learnt")
    plots.grouped_bars(bx, {"weights kept": kept, "weights divided": divided}, fmt="{:.3f}")
    plots.label(bx, "", "spikes per step and neuron", "Random input, 64 neurons")
    bx.margins(y=0.3)
    for panel in (ax, bx):
        for bars, hatch in zip(panel.containers, ("", "//", "xx"), strict=False):
            for bar in bars:
                bar.set(hatch=hatch, edgecolor="white")
        panel.legend(loc="upper left" if panel is ax else "upper right")
    run.figure(fig, "6_cost", look="what training keeps; Synaptic before and after its weights fit")

    run.claim("state_synaptic", "Synaptic: state of a neuron", carried["Synaptic"], "bytes")
    run.claim("fixed_synaptic", "Synaptic: kept a step, α, β fixed", fixed["Synaptic"], "bytes")
    run.claim("learnt_synaptic", "Synaptic: kept a step, learnt", learnt["Synaptic"], "bytes")
    run.claim("fires_leaky", "Leaky: fires at", kept["Leaky"], n=spk_in.numel())
    run.claim("fires_kept", "Synaptic, weights kept: fires at", kept["Synaptic"], n=spk_in.numel())
    run.claim("fires_divided", "Synaptic, divided: fires at", divided["Synaptic"], n=spk_in.numel())
    ratio = worth["Synaptic"] / worth["Leaky"]
    run.finding(
        f"State takes {states} bytes a neuron in Leaky, Synaptic and Alpha. Training keeps "
        f"{fixed['Leaky']}, {fixed['Synaptic']} and {fixed['Alpha']} bytes of each step if the decays are "
        f"fixed, {learnt['Leaky']} and {learnt['Synaptic']} if they are learnt (Alpha {learnt['Alpha']}, "
        "with β alone). With a "
        f"mean input of 0.9·θ Leaky fires at {100 * kept['Leaky']:.0f} % of the steps; Synaptic at "
        f"{100 * kept['Synaptic']:.0f} % with the same weights, and at {100 * divided['Synaptic']:.1f} % "
        f"with weights divided by {ratio:.3g}."
    )


def main(cfg: Config, run: Run) -> None:
    section_four_rows(cfg, run)
    section_response(cfg, run)
    section_two_decays(cfg, run)
    section_first_spike(cfg, run)
    section_coincidence(cfg, run)
    section_cost(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
