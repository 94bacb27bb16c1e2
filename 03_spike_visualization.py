"""Lesson 03 — Reading the language of spikes: you cannot debug what you cannot see

Question
    A spiking network does not learn. Its loss is a number like any other and does not say why. Its
    spikes do say why, if one can read them. What is there to see, and which numbers see it as well?

Idea
    Draw one row a neuron, time to the right, and a tick wherever a neuron fires: a *raster*. With
    S_i[t], 0 or 1, for neuron i of N at step t of T, it is the matrix S, drawn. There are two ways
    to read a matrix:

        along a row       one neuron        how often does it fire, and how regularly?
        down a column     one moment        who else fires now?

    Three patterns are ill, alone or mixed. In *silence* hardly anybody fires, so hardly anything is said.
    *Saturation* is a spike at every step, which says as little and costs the most. In *synchronous
    bursting* all neurons fire in the same few moments, so that N of them say what one would.

Read first
    Theory     snnbook, raster plots and population analysis, https://snnbook.net/
               Neuronal Dynamics, chapter 7, https://neuronaldynamics.epfl.ch/online/Ch7.html
    Practice   snnTorch tutorial 3,
               https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_3.html

Run
    uv run 03_spike_visualization.py --predict    asks what you expect, then measures it
    uv run 03_spike_visualization.py              about 40 seconds on two CPU cores
    uv run 03_spike_visualization.py --full       ten times the populations, more networks; 8 minutes

Builds on / leads to
    Lesson 01 gave the neuron, 02 the codes. The check of section 6, tutor/network_check.py, comes
    back in milestone A and wherever a network does not learn; 07 and 08 explain two of its findings.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from common import plots
from common.data import mnist
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import constant_current, reset_state
from training import evaluate, fit
from tutor.network_check import diagnose

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from snntorch import spikegen, spikeplot, surrogate
from torch import Generator, Tensor, nn

STEP = "time step"
THETA = 1.0  # the threshold θ of every neuron in this lesson
LETTERS = "ABCDEF"
TRIALS = 2000  # repetitions of a stimulus that stand for infinitely many
BIN = 5  # steps; spikes of one bin count as simultaneous
TICKS = {"s": 7, "c": "black", "marker": "s", "linewidths": 0}  # a saturated row has no gaps


@dataclass
class Config(LessonConfig):
    """The populations of section 4 have sizes and lengths of their own; networks run 15 steps."""

    num_steps: int = bounded(200, 1, 2_000)
    """time steps of a recording (T); at least 120 are made"""
    neurons: int = bounded(60, 10, 500)
    """neurons of a recording (N)"""
    beta: float = bounded(0.9, 0.5, 0.98)
    """share β of the potential that is left after one step"""
    populations: int = bounded(100, 1, 10_000)
    """populations of each kind that the rule of section 4 has to name"""
    train: int = bounded(3000, 32, 55_000)
    """training images of the networks of section 6"""
    networks: int = bounded(3, 1, 50)
    """networks (seeds) that are broken in section 6"""

    @property
    def steps(self) -> int:
        """Length of a recording: in fewer steps there is too little to read."""
        return max(self.num_steps, 120)

    @property
    def rheobase(self) -> float:
        """The strongest steady current that never makes a neuron fire (lesson 01)."""
        return THETA * (1 - self.beta)


SMOKE = {"num_steps": 60, "populations": 5, "train": 300, "networks": 1}
FULL = {"populations": 1000, "train": 20_000, "networks": 5}


def simulate(cur: Tensor, beta: float, mem: Tensor) -> tuple[Tensor, Tensor]:
    """Lesson 01's neurons, reset to zero: ``cur (T, N)``, start ``mem (N,)`` → spikes, potentials."""
    spk = torch.zeros_like(mem)
    spk_rec, mem_rec = [], []
    for cur_t in cur:
        # U[t+1] = β·U[t]·(1 − S[t]) + I[t+1]
        mem = beta * mem * (1 - spk) + cur_t
        spk = (mem > THETA).float()
        spk_rec.append(spk)
        mem_rec.append(mem)
    return torch.stack(spk_rec), torch.stack(mem_rec)  # (T, N) each


def white_noise(shape: tuple[int, int], beta: float, spread: float, random: Generator) -> Tensor:
    """A current ``(T, N)`` that alone would give U a standard deviation of ``spread``·θ."""
    return spread * THETA * np.sqrt(1 - beta**2) * torch.randn(shape, generator=random)


def pulses(num_steps: int, period: int, width: int) -> Tensor:
    """1 during the first ``width`` steps of each period, else 0: ``(T, 1)``."""
    return (torch.arange(num_steps) % period < width).float()[:, None]


def six_patterns(cfg: Config, random: Generator) -> dict[str, Tensor]:
    """Six populations ``(T, N)``, each with the name of what was done to it."""
    T, N, beta = cfg.steps, cfg.neurons, cfg.beta
    noise = white_noise((T, N), beta, 0.1, random)
    start_mem = THETA * torch.rand(N, generator=random)  # from rest, all would start together
    weak = torch.full((T, N), 0.5 * cfg.rheobase)
    strong = torch.full((T, N), 2 * THETA)
    # For 6 of 30 steps, all get enough to fire every third step or so.
    volley = weak + 0.45 * THETA * pulses(T, 30, 6) + noise
    # Noise around 1.6 rheobases: each neuron fires when its own noise lifts it over θ.
    ragged = 1.6 * cfg.rheobase + white_noise((T, N), beta, 0.5, random)
    # Currents of 1.2 to 3 rheobases and no noise at all.
    even = cfg.rheobase * torch.linspace(1.2, 3, N).expand(T, N)
    few = N // 10
    mixed = torch.cat([strong[:, :few], weak[:, few:]], dim=1) + noise
    mixed = mixed[:, torch.randperm(N, generator=random)]
    currents = {
        "silence": weak + noise,
        "saturation": strong + noise,
        "synchronous bursting": volley,
        "healthy, irregular": ragged,
        "healthy, regular": even,
        "most silent, a few saturated": mixed,
    }
    return {name: simulate(cur, beta, start_mem)[0] for name, cur in currents.items()}


def shuffled_patterns(cfg: Config, run: Run) -> list[tuple[str, Tensor]]:
    """The six patterns in an order that the seed has drawn, as ``(name, spikes)``."""
    random = run.generator()
    patterns = list(six_patterns(cfg, random).items())
    order = torch.randperm(6, generator=random).tolist()
    return [patterns[i] for i in order]


@section
def section_diagnose(cfg: Config, run: Run) -> None:
    """1  Six rasters: who is ill?

    Six populations of the same neurons, lesson 01's LIF. One is silent, one saturated, one bursts
    in synchrony; two are healthy: one fires irregularly, since noise drives it, and one regularly,
    since each neuron gets a steady current of its own. In the last, most neurons are silent and a
    few saturated. The seed has drawn which letter is which.

    The first figure shows the rasters without their names. Open it and write down a diagnosis for
    each letter before you look at the second. Nothing else of this lesson is as useful later on.

    snnTorch draws a raster with one call, spikeplot.raster(spk, ax), where spk is (T, N). Try to
    say of every dark or empty area which way it runs: along a row, it belongs to a neuron; down a
    column, to a moment.
    """
    patterns = shuffled_patterns(cfg, run)
    shown_steps = slice(0, 120)
    shown_neurons = slice(0, 60)
    for answers in (False, True):
        title = "Six populations. Which is ill, and of what?"
        if answers:
            title = "The same six, and what was done to them"
        fig, axes = plots.figure(2, 3, (12, 6.4), title, sharex=True, sharey=True)
        for ax, letter, (name, spk) in zip(axes.flat, LETTERS, patterns, strict=True):
            spikeplot.raster(spk[shown_steps, shown_neurons], ax, **TICKS)
            ax.set_title(f"{letter}: {name}" if answers else letter)
            ax.grid(False)
        for ax in axes[1]:
            ax.set_xlabel(STEP)
        for ax in axes[:, 0]:
            ax.set_ylabel("neuron")
        if answers:
            run.figure(fig, "1_answers", look="whether your six diagnoses were right")
            continue
        run.figure(fig, "1_unlabelled", look="rows, then columns; write down six diagnoses")
        run.predict(
            "bursting",
            "Open 1_unlabelled.png. Which population bursts in synchrony?",
            tuple(LETTERS),
        )
        run.predict(
            "deceives",
            "Count ticks: an ill population has nearly as many as the healthy, irregular one. "
            "Which is it?",
            tuple(LETTERS),
        )

    rates = {name: spk.mean().item() for name, spk in patterns}
    healthy = rates.pop("healthy, irregular")
    rates.pop("healthy, regular")
    nearest = min(rates, key=lambda name: abs(rates[name] - healthy))
    tells = "Here the mean rate tells them apart."
    if abs(rates[nearest] - healthy) < 0.25 * healthy:
        tells = "The mean rate alone hardly tells them apart; a look at the rows does."
    names = [name for name, _ in patterns]
    run.outcome("bursting", LETTERS[names.index("synchronous bursting")])
    run.claim("rate_healthy", "healthy, irregular: mean rate", healthy, unit="spikes per step")
    run.claim("rate_nearest", f"{nearest}: mean rate", rates[nearest], unit="spikes per step")
    run.outcome("deceives", LETTERS[names.index(nearest)])
    run.finding(
        f"Of the four populations that are not healthy, '{nearest}' comes closest to the healthy, irregular one in "
        f"its mean rate: {rates[nearest]:.3f} against {healthy:.3f} spikes per neuron and step. "
        f"{tells}"
    )


@section
def section_recording(cfg: Config, run: Run) -> None:
    """2  How does one recording look from five sides?

    N neurons get the same stimulus with different weights: neuron 0 gets 0.5 rheobases, the last
    one 3, and for a sixth of the time all of them get 2.5 times as much. Each also has noise of its
    own. Twenty repetitions, or *trials*, with new noise each time. From the same spikes:

    - *Raster*, one trial: rows and columns as before.
    - *Membrane traces*: why a neuron fires or does not. A flat trace below θ, at 0.7·θ say, tells
      that the input is too weak, and by how much: the level I/(1 − β) is proportional to I, so
      1/0.7 = 1.43 times the input brings it up to θ, and a little more fires it. A trace that
      stays at 0 gets no input at all. A saw blade is a steady current, ragged teeth are noise, and
      a trace that is above θ at every step is saturated.
    - *Rate*: ticks in a row over the number of steps. Against the input it is lesson 01's f–I curve.
      Noise rounds its corner: below the rheobase, where U would stop under θ, noise lifts it over
      θ now and then, the more often the nearer its level is. At the other end, an input above θ
      makes a spike at every step, and more input changes nothing. (Without noise the curve is a
      staircase, for a period is a whole number of steps.)
    - *PSTH*, the peristimulus time histogram: one neuron, all K trials laid over one another and
      counted in bins of Δ steps. It shows when the neuron fires, not only how much:

          PSTH[b] = spikes in bin b, all trials / (K·Δ)                                        (1)

      Just after the input has jumped it swings: up to then U was at much the same level in every
      trial, so that all trials fire together first, pause together, and fire together again,
      until the noise has spread them.
    - *ISI histogram*: the intervals between successive spikes of a neuron (inter-spike intervals).
      Its left edge is the shortest time in which U climbed back to θ after a reset. A coin that is
      thrown at every step has no such edge; the dashed line is one with the same mean interval.
    """
    T, N, beta = cfg.steps, cfg.neurons, cfg.beta
    run.predict(
        "psth_bin",
        "The PSTH of 20 trials is compared with the one of 2,000 trials. Narrow bins follow every "
        "change and hold few spikes; wide bins hold many and blur. Of bins of 1, 2, 4, 8, 16 and "
        "32 steps, which come nearest?",
        unit="steps",
    )
    random = run.generator()
    weights = torch.linspace(0.5, 3.0, N)  # input of each neuron, in rheobases
    on, off = T // 3, T // 3 + T // 6  # from step `on` to step `off` the stimulus is stronger
    stimulus = torch.ones(T, 1)
    stimulus[on:off] = 2.5
    trials = []
    for _ in range(20):
        cur = cfg.rheobase * weights * stimulus + white_noise((T, N), beta, 0.15, random)
        trials.append(simulate(cur, beta, torch.zeros(N)))
    spk = torch.stack([spk_rec for spk_rec, _ in trials])  # (K = 20 trials, T, N)
    mem = trials[0][1]  # (T, N), of the first trial

    # One neuron, 0.8 rheobases and 2 while the stimulus is stronger, in very many trials.
    cur = 0.8 * cfg.rheobase * stimulus + white_noise((T, TRIALS), beta, 0.15, random)
    many, _ = simulate(cur, beta, torch.zeros(TRIALS))  # (T, 2000)
    truth = many.mean(1)  # (T,) spikes per step
    widths = [1, 2, 4, 8, 16, 32]
    errors = [psth_error(many, width) for width in widths]
    best = int(np.argmin(errors))
    # Intervals need a long run: in a short one, the long intervals do not fit.
    long_steps = 20 * T
    steady = cfg.rheobase * torch.tensor([0.8, 2.0]).repeat_interleave(20)
    cur = steady + white_noise((long_steps, 40), beta, 0.15, random)
    spk_long, _ = simulate(cur, beta, torch.zeros(40))
    weak, strong = intervals(spk_long[:, :20]), intervals(spk_long[:, 20:])
    settled = truth[on // 2 : on]  # before the stimulus, without the climb from U = 0
    rate_below = settled.mean().item()
    rate_strong = truth[on:off].mean().item()

    close = [
        width for width, error in zip(widths, errors, strict=True) if error < 1.1 * errors[best]
    ]
    nearest, within = f"{close[0]} steps", ""
    if len(close) > 1:
        nearest = f"{close[0]} to {close[-1]} steps"
        within = " (all within 10 % of the best)"
    title = f"One stimulus, five readings. PSTH of 20 trials: best in bins of {nearest}"
    fig, axes = plots.figure(3, 2, (12, 9), title, width_ratios=(2, 1))
    for ax in axes[:, 0]:
        ax.axvspan(on, off, color="0.92", zorder=0)
        ax.set_xlim(-1, T)
    ax, bx = axes[0]
    spikeplot.raster(spk[0], ax, s=6, c="black", marker="|")
    plots.label(ax, STEP, "neuron", "Raster, one trial; grey: the input is 2.5 times as strong")
    ax.grid(False)
    strengths = torch.linspace(0.5, 7.5, 500)
    bx.plot(strengths, noiseless_rate(strengths, beta), color="0.6", label="no noise")
    bx.plot(weights, spk[:, on // 2 : on].mean((0, 1)), "o", markersize=4, label="before")
    bx.plot(2.5 * weights, spk[:, on:off].mean((0, 1)), "^", markersize=4, label="while stronger")
    bx.axvline(1, color="grey", linestyle=":", label="rheobase")
    bx.legend(loc="lower right")
    plots.label(bx, "input (rheobases)", "spikes per step", "Rate of each neuron, 20 trials")
    ax, bx = axes[1]
    marked = (0, N // 4, N - 1)
    for row, i in enumerate(marked):
        low = 2.2 * row  # one above the other
        times = torch.nonzero(spk[0, :, i])[:, 0]
        ax.plot(mem[:, i] + low, color=plots.COLOURS[row], linewidth=1.2)
        ax.axhline(THETA + low, color=plots.RED, linestyle="--", linewidth=0.8)
        ax.plot(times, torch.full((len(times),), 1.75 + low), "|", color=plots.BLACK, markersize=6)
    ax.set_yticks([0, 1, 2.2, 3.2, 4.4, 5.4], ["rest", "θ"] * 3)
    names = ", ".join(f"{weights[i]:.1f}" for i in marked)
    plots.label(ax, STEP, "potential U", f"Membranes at {names} rheobases, from the bottom up")
    n = np.arange(1, 301)
    for isi, name, colour in ((weak, "0.8", plots.BLUE), (strong, "2", plots.RED)):
        if len(isi):
            look = {"histtype": "step", "color": colour, "label": f"{name} rheobases"}
            bx.hist(isi, np.arange(0.5, 302, 3), density=True, **look)
    if len(weak):
        chance = 1 / weak.mean()
        coin = chance * (1 - chance) ** (n - 1)
        bx.plot(n, coin, "k--", linewidth=1, label="coin, mean as at 0.8")
        bx.legend(loc="upper right")
    bx.set_yscale("log")
    bx.set_ylim(1e-4, 2)
    plots.label(
        bx,
        "steps from spike to spike",
        "share per step",
        f"ISI, 20 neurons for {long_steps:,} steps each",
    )
    ax, bx = axes[2]
    stairs = psth(many[:, :20], widths[best])
    edges = np.arange(len(stairs) + 1) * widths[best]
    ax.stairs(stairs, edges, color=plots.BLUE, label=f"20 trials, bins of {widths[best]} steps")
    ax.plot(truth, color=plots.ORANGE, linewidth=1, label=f"{TRIALS:,} trials, bins of 1 step")
    ax.legend(loc="upper right")
    plots.label(ax, STEP, "spikes per step", "PSTH of one neuron: 0.8 rheobases, in the grey 2")
    bx.plot(widths, errors, "o-")
    bx.set_xscale("log", base=2)
    bx.set_xticks(widths, [str(width) for width in widths])
    plots.label(bx, "bin width Δ (steps)", "RMS error (spikes per step)", "PSTH, 20 trials: error")
    run.figure(
        fig, "2_recording", look="the same event, the grey bar, in every panel that has time"
    )

    worst = max(errors[best], 1e-12)
    run.claim("psth_bin", "PSTH, 20 trials: best bins", widths[best], unit="steps", n=20)
    run.claim(
        "psth_fine", "error, bins of 1 step / best", errors[0] / worst, "times", ">= 1.3", n=20
    )
    run.claim(
        "psth_coarse", "error, widest bins / best", errors[-1] / worst, "times", ">= 1.3", n=20
    )
    run.claim("rate_below", "0.8 rheobases, noise: rate", rate_below, unit="spikes per step")
    run.claim("rate_strong", "2 rheobases, noise: rate", rate_strong, unit="spikes per step")
    run.finding(
        f"A neuron at 0.8 rheobases would never fire without its noise; with it, it fires "
        f"{100 * rate_below:.1f} times in 100 steps, and {100 * rate_strong:.1f} times when the "
        f"input is 2.5 times as strong. A PSTH of 20 trials shows that best in bins of {nearest}"
        f"{within}; bins of 1 step are {errors[0] / worst:.1f} times as far "
        f"from the truth as the best, bins of {widths[-1]} steps {errors[-1] / worst:.1f} times."
    )


def noiseless_rate(rheobases: Tensor, beta: float) -> Tensor:
    """Lesson 01's f–I curve, reset to zero: spikes per step at a steady input in rheobases."""
    share = torch.clamp(1 / rheobases, max=1.0)  # log(1 − 1) is −∞: never, a rate of 0
    return 1 / (torch.floor(torch.log(1 - share) / np.log(beta)) + 1)


def psth_error(many: Tensor, width: int) -> float:
    """Root mean square distance between PSTHs of 20 trials and that of all, ``many (T, trials)``.

    The mean over 20 groups of trials, and over bins that begin at step 0, at step 1, and so on: else
    a wide bin that happens to end where the stimulus does would look good by luck.
    """
    truth = many.mean(1)  # (T,)
    distances = []
    for first in range(0, width, max(1, width // 8)):
        for group in range(20):
            few = many[first:, 20 * group : 20 * group + 20]
            stairs = psth(few, width).repeat_interleave(width)
            away = stairs - truth[first : first + len(stairs)]
            distances.append(away.square().mean().sqrt().item())
    return float(np.mean(distances))


def psth(spk: Tensor, width: int) -> Tensor:
    """Equation (1): ``spk (T, K)`` of K trials → spikes per step in each bin of ``width`` steps."""
    return counts(spk, width).mean(1) / width


def counts(spk: Tensor, width: int) -> Tensor:
    """Spikes in bins of ``width`` steps, ``(T, N) → (T // width, N)``; a rest at the end is left out."""
    width = min(width, len(spk))
    whole = len(spk) // width
    return spk[: whole * width].reshape(whole, width, -1).sum(1)


def intervals(spk: Tensor) -> np.ndarray:
    """Steps between successive spikes, of all neurons of ``spk (T, N)`` together."""
    found = [torch.nonzero(row)[:, 0].diff() for row in spk.unbind(1)]
    return torch.cat(found).numpy()


def cv_of(spk: Tensor) -> float:
    """Equation (3), averaged over the neurons that have two intervals or more; NaN if none has."""
    cvs = []
    for row in spk.unbind(1):
        isi = intervals(row[:, None])
        if len(isi) >= 2:
            cvs.append(isi.std() / isi.mean())
    return float(np.mean(cvs)) if cvs else float("nan")


def fano_of(spk: Tensor, window: int = 20) -> float:
    """Equation (4), averaged over the neurons with two spikes or more; NaN if none has."""
    n = counts(spk, window)  # (windows, N)
    n = n[:, n.sum(0) > 1]
    if n.numel() == 0:
        return float("nan")
    return (n.var(0) / n.mean(0)).mean().item()


def rho_of(spk: Tensor, width: int = BIN) -> float:
    """Equation (5) on the counts of ``width`` steps; 0 where nothing varies and it is not defined."""
    n = counts(spk, width)  # (bins, N)
    N = n.shape[1]
    each = n.var(0, correction=0).mean()  # ⟨Var_t[S_i]⟩_i
    together = n.mean(1).var(correction=0)  # Var_t[⟨S⟩_i]
    if each == 0 or N < 2:
        return 0.0
    return ((together / each - 1 / N) / (1 - 1 / N)).item()


@section
def section_numbers(cfg: Config, run: Run) -> None:
    """3  Which numbers see what you see?

    A network has too many layers and epochs to look at every raster. Four numbers, the first three
    along the rows:

        r = ticks / (N·T)                         the mean *rate*, spikes per neuron and step    (2)
        CV = σ(ISI) / mean(ISI)                   how irregular one neuron's intervals are       (3)
        F = Var[n] / mean(n)                      *Fano factor*: variance over mean of its spike
                                                  counts n in windows of 20 steps                (4)

    CV is 0 for a clock and near 1 for a coin that is thrown at every step and rarely falls on heads.
    Groups of spikes with pauses between them raise it; they take it above 1 if the pauses are
    irregular, or the groups large. (Equal pairs with equal pauses stay below.) F is also near 1 for
    the coin, and above 1 where the rate itself wanders from window to window. (Where intervals are
    independent of one another, F of long windows is CV²: studies/03_intervals.py. With a single
    spike F is 1 whatever else a neuron does, so such neurons are left out.)

    The fourth number looks down the columns. *Synchrony* ρ asks how much the population's mean
    fluctuates, compared with its members [Golomb and Rinzel 1993]. Spikes are counted in bins of 5
    steps, since "together" need not mean "in the same step":

        χ² = Var over time of the mean neuron / mean over neurons of its variance over time
        ρ = (χ² − 1/N) / (1 − 1/N)                                                               (5)

    Independent neurons still have χ² = 1/N: by chance, some fire together. ρ takes this share off,
    so that it is 0 for independent neurons and 1 for copies, whatever N. It is the mean covariance
    of a pair over the mean variance of one neuron. It tells what N neurons are worth. Noise of a
    mean of N has the variance σ²·(ρ + (1 − ρ)/N): at ρ = 0 it falls as 1/N, but at ρ = 0.9 a
    hundred neurons are hardly better than one.

    Where does a high ρ come from? Neurons share their input, have learnt the same weights, or excite
    one another. So ask what the input did before you call it a disease.

    For a test of what the numbers see, each row of the bursting raster is rotated by a random number
    of steps of its own: what leaves at the end comes in again at the start.
    """
    options = ("the mean rate r", "CV", "the Fano factor F", "synchrony ρ")
    run.predict(
        "changes",
        "Each row of the bursting raster is rotated by its own random number of steps. Which number "
        "changes most?",
        options,
    )
    patterns = shuffled_patterns(cfg, run)
    rows = []
    for letter, (name, spk) in zip(LETTERS, patterns, strict=True):
        rows.append((f"{letter}: {name}", *numbers_of(spk)))
    together = dict(patterns)["synchronous bursting"]
    random = run.generator(1)
    apart = torch.stack(
        [
            row.roll(int(torch.randint(cfg.steps, (), generator=random)))
            for row in together.unbind(1)
        ],
        dim=1,
    )
    before, after = numbers_of(together), numbers_of(apart)
    rows.append(("bursting, rows rotated", *after))
    columns = ("population", "rate r", "CV", "Fano F", "ρ")
    run.table("Four numbers of each raster", columns, [tuple(map(two_digits, r)) for r in rows])

    title = f"First 120 steps. Rows rotated: CV {before[1]:.2f} → {after[1]:.2f}, ρ {before[3]:.2f} → {after[3]:.2f}"
    look = {"sharex": True, "sharey": "row", "height_ratios": (2, 1)}
    fig, axes = plots.figure(2, 2, (11, 5.6), title, **look)
    heads = ("bursting in synchrony", "the same rows, each rotated")
    for column, (spk, head) in enumerate(zip((together, apart), heads, strict=True)):
        top, bottom = axes[:, column]
        spikeplot.raster(spk[:120, :60], top, **TICKS)
        top.set_title(head)
        top.grid(False)
        bottom.bar(
            range(len(spk[:120])), 100 * spk[:120].mean(1).numpy(), width=1, color=plots.BLUE
        )
        bottom.set_xlabel(STEP)
    axes[0, 0].set_ylabel("neuron")
    axes[1, 0].set_ylabel("neurons that\nfire (%)")
    run.figure(fig, "3_rotated", look="rows: nothing has changed. Columns: everything has")

    change = [abs(b - a) for a, b in zip(before, after, strict=True)]
    most = options[int(np.argmax(change))]
    run.outcome("changes", most)
    run.claim("cv_before", "bursting: CV", before[1], unit="")
    run.claim("cv_after", "rows rotated: CV", after[1], unit="")
    run.claim("rho_before", "bursting: ρ", before[3], unit="")
    run.claim("rho_after", "rows rotated: ρ", after[3], unit="")
    run.finding(
        f"Rotating the rows leaves the rate as it is, takes CV from {before[1]:.2f} to "
        f"{after[1]:.2f} and ρ from {before[3]:.2f} to {after[3]:.2f}. What changes most is "
        f"{most}. Rate, CV and Fano factor look at one row at a time, so "
        "they cannot see whether neurons fire together."
    )


def numbers_of(spk: Tensor) -> tuple[float, float, float, float]:
    """Rate, CV, Fano factor and synchrony of ``spk (T, N)``."""
    return spk.mean().item(), cv_of(spk), fano_of(spk), rho_of(spk)


def two_digits(cell: str | float) -> str:
    """A cell of a table: words as they are, numbers with two digits, a dash for what is undefined."""
    if isinstance(cell, str):
        return cell
    return "–" if np.isnan(cell) else f"{round(cell, 2) + 0.0:.2f}"


KINDS = ("silence", "saturation", "synchronous bursting", "healthy firing")

# What a population is made from: the range that sets the limits, and the range of the frozen test.
# The test's ranges are wider on both sides. They were written down, and committed, before any
# population had been drawn from them, and are not to be changed: a fingerprint in the tests guards
# them. A range that turned out too hard, or too easy, stays.
RANGES = {
    "neurons": ((40, 80), (20, 160)),
    "steps": ((150, 250), (100, 400)),
    "beta": ((0.85, 0.93), (0.78, 0.96)),
    "spread of the currents": ((0.10, 0.15), (0.0, 0.3)),
    "silence: level of U / θ": ((0.2, 0.5), (0.0, 0.6)),
    "silence: noise of U / θ": ((0.05, 0.12), (0.0, 0.15)),
    "saturation: current / θ": ((1.5, 3.0), (1.2, 6.0)),
    "saturation: noise of U / θ": ((0.05, 0.20), (0.0, 0.4)),
    "bursting: level of U / θ": ((0.4, 0.6), (0.0, 0.8)),
    "bursting: noise of U / θ": ((0.05, 0.12), (0.0, 0.2)),
    "bursting: period": ((15, 25), (8, 40)),
    "bursting: pulse / period": ((0.10, 0.20), (0.05, 0.3)),
    "bursting: peak of U / θ": ((1.4, 2.0), (1.2, 3.0)),
    "healthy: current, 0 = rheobase, 1 = θ": ((0.05, 0.20), (0.02, 0.5)),
    "healthy: noise of U / θ": ((0.15, 0.30), (0.05, 0.4)),
}

# The second test, frozen in the same way: a layer with random weights that listens to 400 inputs.
# Each neuron hears a random share of them, so that any two share some of their input.
LAYER_RANGES = {
    "neurons": (20, 160),
    "steps": (100, 400),
    "beta": (0.8, 0.95),
    "share of inputs heard": (0.05, 0.15),
    "spikes of an input per step": (0.1, 0.3),
    "silence: level of U / θ": (0.1, 0.5),
    "saturation: current / θ": (2.0, 5.0),
    "bursting: level of U / θ": (0.1, 0.5),
    "bursting: period": (10, 40),
    "bursting: steps of a volley": (1, 4),
    "bursting: peak of U / θ": (1.5, 3.0),
    "healthy: current, 0 = rheobase, 1 = θ": (0.05, 0.4),
}


def draw(span: tuple[float, float], random: Generator) -> float:
    """A number between the two ends of a range."""
    low, high = span
    return low + (high - low) * torch.rand((), generator=random).item()


def population(kind: str, frozen: bool, random: Generator) -> Tensor:
    """Spikes ``(T, N)`` of LIF neurons that are ``kind`` by what their noise-free potentials do.

    They never reach θ (silence); are above θ at every step (saturation); are above θ only in pulses
    that all share (bursting); or climb to θ again and again, each for itself (healthy).
    """
    which = 1 if frozen else 0
    N = round(draw(RANGES["neurons"][which], random))
    T = round(draw(RANGES["steps"][which], random))
    beta = draw(RANGES["beta"][which], random)
    spread = draw(RANGES["spread of the currents"][which], random)
    rheobase = THETA * (1 - beta)
    either_side = 1 + spread * (2 * torch.rand(N, generator=random) - 1)
    upwards = 1 + spread * torch.rand(N, generator=random)
    if kind == "silence":
        level = draw(RANGES["silence: level of U / θ"][which], random)
        noise = draw(RANGES["silence: noise of U / θ"][which], random)
        cur = (level * rheobase * either_side).expand(T, N)
    elif kind == "saturation":
        times_theta = draw(RANGES["saturation: current / θ"][which], random)
        noise = draw(RANGES["saturation: noise of U / θ"][which], random)
        cur = (times_theta * THETA * upwards).expand(T, N)
    elif kind == "synchronous bursting":
        level = draw(RANGES["bursting: level of U / θ"][which], random)
        noise = draw(RANGES["bursting: noise of U / θ"][which], random)
        period = round(draw(RANGES["bursting: period"][which], random))
        pulse = draw(RANGES["bursting: pulse / period"][which], random)
        peak = draw(RANGES["bursting: peak of U / θ"][which], random)
        width = max(1, round(pulse * period))
        # Added for `width` steps, this takes U from its level to its peak.
        kick = (peak - level) * rheobase / (1 - beta**width)
        cur = level * rheobase * either_side + kick * pulses(T, period, width)
    else:
        place = draw(RANGES["healthy: current, 0 = rheobase, 1 = θ"][which], random)
        noise = draw(RANGES["healthy: noise of U / θ"][which], random)
        cur = ((rheobase + place * (THETA - rheobase)) * upwards).expand(T, N)
    start_mem = THETA * torch.rand(N, generator=random)
    return simulate(cur + white_noise((T, N), beta, noise, random), beta, start_mem)[0]


def layer_population(kind: str, random: Generator) -> Tensor:
    """The same four kinds ``(T, N)`` in a layer of a network, driven by the spikes of 400 inputs."""
    N = round(draw(LAYER_RANGES["neurons"], random))
    T = round(draw(LAYER_RANGES["steps"], random))
    beta = draw(LAYER_RANGES["beta"], random)
    heard = torch.rand(400, N, generator=random) < draw(
        LAYER_RANGES["share of inputs heard"], random
    )
    weights = torch.rand(400, N, generator=random) * heard
    weights = weights / weights.sum(0).mean()  # if all 400 fire at once, a neuron gets 1 on average
    rate = draw(LAYER_RANGES["spikes of an input per step"], random)
    rheobase = THETA * (1 - beta)
    spikes_in = (torch.rand(T, 400, generator=random) < rate).float()
    if kind == "silence":
        mean = draw(LAYER_RANGES["silence: level of U / θ"], random) * rheobase
    elif kind == "saturation":
        mean = draw(LAYER_RANGES["saturation: current / θ"], random) * THETA
    elif kind == "synchronous bursting":
        mean = draw(LAYER_RANGES["bursting: level of U / θ"], random) * rheobase
    else:
        place = draw(LAYER_RANGES["healthy: current, 0 = rheobase, 1 = θ"], random)
        mean = rheobase + place * (THETA - rheobase)
    cur = mean / rate * (spikes_in @ weights)  # (T, N), with this mean
    if kind == "synchronous bursting":
        # Once a period every input fires, at a step of its own within the volley.
        period = round(draw(LAYER_RANGES["bursting: period"], random))
        width = round(draw(LAYER_RANGES["bursting: steps of a volley"], random))
        peak = draw(LAYER_RANGES["bursting: peak of U / θ"], random)
        step_of = torch.randint(width, (400,), generator=random)
        volley = (torch.arange(T)[:, None] % period == step_of).float()
        cur = cur + (peak * THETA - mean / (1 - beta)) * (volley @ weights)
    start_mem = THETA * torch.rand(N, generator=random)
    return simulate(cur, beta, start_mem)[0]


def shared_noise(cfg: Config, c: float, random: Generator) -> Tensor:
    """Section 1's irregular population, with a share ``c`` of the noise's variance common to all."""
    own = white_noise((cfg.steps, cfg.neurons), cfg.beta, 0.5, random)
    common = white_noise((cfg.steps, 1), cfg.beta, 0.5, random)
    noise = np.sqrt(1 - c) * own + np.sqrt(c) * common
    start_mem = THETA * torch.rand(cfg.neurons, generator=random)
    return simulate(1.6 * cfg.rheobase + noise, cfg.beta, start_mem)[0]


def halfway(low: list[float], high: list[float]) -> float:
    """The geometric mean of the highest of ``low`` and the lowest of ``high``: halfway on a log axis."""
    return float(np.sqrt(max(*low, 1e-3) * max(min(high), 1e-3)))


def name_of(spk: Tensor, limits: tuple[float, float, float]) -> str:
    """The rule. ``limits``: rate of silence, rate of saturation, ρ of synchrony."""
    silent, saturated, synchronous = limits
    r = spk.mean().item()
    if r < silent:
        return "silence"
    if r > saturated:
        return "saturation"
    # Only now: where hardly anything varies, synchrony means nothing.
    if rho_of(spk) > synchronous:
        return "synchronous bursting"
    return "healthy firing"


@section
def section_rule(cfg: Config, run: Run) -> None:
    """4  Can two numbers name the pattern?

    A rule with two of the four numbers: too few spikes is silence, too many is saturation, else ρ
    decides between synchronous bursting and healthy firing. Three limits are needed. They are set
    on populations that are made for it, halfway between the kinds.

    A rule that is tried on what it was made from proves nothing. So it is tried on two other sets,
    with as many populations of each kind:

    - *Wider ranges.* The same making, RANGES, but every parameter drawn from a range that reaches
      further on both sides.
    - *Another making.* A layer of a network with random weights, LAYER_RANGES: no noise current but
      the spikes of 400 inputs, some of which any two neurons share.

    Both sets are *frozen*: their ranges were written down and committed before the first population
    was drawn, and were not touched after the errors had been seen. What counts as right is how a
    population was made, not what it looks like. A healthy one that fires three spikes in all is
    healthy by its making; the rule may call it silent, and that is an error.

    (No error among n populations still allows an error rate of about 3/n.)

    Both sets hold the four kinds and nothing in between. A third set fills the gap between healthy
    and bursting. It is no test, since nobody can say what would be right. Section 1's irregular
    population gets noise of the same strength, but a share c of the noise's variance is common to
    all neurons. At c = 0 each is driven by itself, at c = 1 all get the same current.
    """
    run.predict(
        "frozen_right",
        "The rule has three limits, set on other populations. What share of the frozen test's "
        "populations with wider ranges does it name as they were made, in per cent?",
        unit="%",
    )
    random = run.generator(1)
    known = {}
    for kind in KINDS:
        known[kind] = [population(kind, False, random) for _ in range(cfg.populations)]
    rates = {kind: [spk.mean().item() for spk in known[kind]] for kind in KINDS}
    rhos = {kind: [rho_of(spk) for spk in known[kind]] for kind in KINDS}
    some = rates["synchronous bursting"] + rates["healthy firing"]
    limits = (
        halfway(rates["silence"], some),
        halfway(some, rates["saturation"]),
        halfway(rhos["healthy firing"], rhos["synchronous bursting"]),
    )

    tests = {"wider ranges": run.generator(2), "another making": run.generator(3)}
    lowest, share, errors = {}, {}, {}
    fastest, bursting_from, healthy_to = 0.0, 1.0, 0.0
    n = 4 * cfg.populations
    fig, axes = plots.figure(1, 3, (14, 4.8), sharey=True, width_ratios=(1.3, 1.3, 1))
    for ax, (test, random) in zip(axes[:2], tests.items(), strict=True):
        named_right = []
        for i, kind in enumerate(KINDS):
            rate, rho, right = [], [], 0
            for _ in range(cfg.populations):
                if test == "wider ranges":
                    spk = population(kind, True, random)
                else:
                    spk = layer_population(kind, random)
                right += name_of(spk, limits) == kind
                rate.append(max(spk.mean().item(), 3e-4))
                rho.append(rho_of(spk))
            named_right.append(right)
            if kind == "healthy firing":
                fastest, healthy_to = max(fastest, *rate), max(healthy_to, *rho)
            if kind == "synchronous bursting":
                bursting_from = min(bursting_from, *rho)
            look = {"color": plots.COLOURS[i], "markersize": 4, "alpha": 0.6, "label": kind}
            ax.plot(rate, rho, plots.MARKERS[i], **look)
        share[test] = sum(named_right) / n
        lowest[test] = min(named_right) / cfg.populations
        errors[test] = n - sum(named_right)
        ax.vlines(limits[:2], -0.1, 1.05, color=plots.BLACK, linewidth=1, linestyle="--")
        ax.hlines(limits[2], limits[0], limits[1], color=plots.BLACK, linewidth=1, linestyle="--")
        ax.set_xscale("log")
        head = f"{test.capitalize()}: {errors[test]} errors in {n:,}"
        plots.label(ax, "rate r (spikes per step; left edge: none)", "", head)
    axes[0].set_ylabel("synchrony ρ")
    axes[0].legend(loc="center left", fontsize=8)

    shares = np.linspace(0, 1, 21)
    rhos_between = []  # ten populations for each share of common noise
    random = run.generator(4)
    for c in shares:
        rhos_between.append([rho_of(shared_noise(cfg, c, random)) for _ in range(10)])
    between = np.mean(rhos_between, axis=1)
    called = np.array(rhos_between) > limits[2]  # (21, 10): bursting, by the rule
    border_low = float(shares[called.any(1)].min(initial=1.0))
    border_high = float(shares[~called.all(1)].max(initial=0.0))
    ax = axes[2]
    ax.plot(shares, rhos_between, ".", color=plots.SKY)
    ax.plot(shares, between, color=plots.BLUE, label="mean of 10 populations")
    ax.axhline(limits[2], color=plots.BLACK, linewidth=1, linestyle="--", label="limit of the rule")
    ax.legend(loc="upper left")
    plots.label(
        ax, "share c of the noise that all have in common", "", "In between: irregular firing"
    )
    title = "The rule: dashed lines at r = {:.3f} and {:.2f} and at ρ = {:.2f}".format(*limits)
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(
        fig, "4_frozen_test", look="the gaps between the kinds; and that the last panel has none"
    )

    border = f"{100 * border_low:.0f}"
    if border_high > border_low:
        border = f"{border} to {100 * border_high:.0f}"
    mixture = dict(shuffled_patterns(cfg, run))["most silent, a few saturated"]
    run.claim("frozen_lowest", "wider ranges: worst kind", lowest["wider ranges"], "1", ">= 0.95")
    run.claim(
        "other_lowest", "another making: worst kind", lowest["another making"], "1", ">= 0.95"
    )
    run.claim("frozen_right", "wider ranges: named as made", share["wider ranges"], "1", n=n)
    run.claim("border_low", "common noise: bursting for some from", border_low, "1")
    run.claim("border_high", "common noise: healthy for some up to", border_high, "1")
    run.finding(
        f"A rule with three limits on two numbers, rate and synchrony, makes {errors['wider ranges']} "
        f"errors on {n:,} populations from wider ranges and {errors['another making']} on {n:,} made "
        f"in another way. In ρ these kinds lie apart: up to {healthy_to:.2f} for healthy ones, from "
        f"{bursting_from:.2f} for bursts. In rate there is less room: the fastest healthy one has "
        f"{fastest:.3f}, and saturation begins at {limits[1]:.3f}. And once neurons share noise there "
        f"is no gap in ρ either: at {border} % of common noise the name changes. The "
        f"mix of silent and saturated neurons in section 1 is called '{name_of(mixture, limits)}'.",
        main=True,
        claim="frozen_lowest",
    )


def three_codes(film: Tensor, gain: float = 0.5) -> dict[str, Tensor]:
    """Rate, latency and delta code of ``film (T, 784)``, the first two of its first picture."""
    picture, num_steps = film[0], len(film)
    # A black pixel has an infinite latency: threshold and clip keep it silent (lesson 02).
    latency = {"tau": 5, "threshold": 0.01, "clip": True, "normalize": True, "linear": True}
    return {
        "rate": spikegen.rate(picture, num_steps=num_steps, gain=gain),
        "latency": spikegen.latency(picture, num_steps=num_steps, **latency),
        "delta": spikegen.delta(film, threshold=0.1, padding=True, off_spike=True),
    }


def code_of(spk: Tensor) -> str:
    """Two looks at ``spk (T, 784)`` that name the code."""
    fires = spk.abs()
    most = fires.sum(0).max().item()  # spikes of the busiest pixel: along the rows
    quiet = (fires.sum(1) == 0).float().mean().item()  # steps without a spike: down the columns
    if most <= 1:
        return "latency"
    if quiet > 0.5:
        return "delta"
    return "rate"


def moving(picture: Tensor, num_steps: int, every: int = 4) -> Tensor:
    """``picture (28, 28)`` moves a pixel to the right every so many steps: a film ``(T, 784)``."""
    return torch.stack([picture.roll(t // every, 1).flatten() for t in range(num_steps)])


@section
def section_codes(cfg: Config, run: Run) -> None:
    """5  How does a code look in a raster?

    The spikes that go *into* a network have a look as well, and it tells which of lesson 02's codes
    made them. Sort the pixels by brightness, the brightest on top:

        rate       bright rows are dense, dark rows thin; ticks fall at random in a row
        latency    one tick a row at most; the brighter, the earlier: the ticks form one curve
        delta      dark columns whenever the picture changes, and nothing in between

    So two looks go a long way. Along the rows: is there any pixel with more than one spike? If not,
    it is latency. Down the columns: do more than half of all steps have no spike at all? Then it is
    delta. What remains is rate. The function code_of does this, for 100 test images; the picture
    moves a pixel every four steps, which only delta notices. Two more sets try to fool it: a rate
    code with hardly any spikes, and delta of a picture that moves at every step.

    Dark columns were a disease in section 1. Here they are a message. A raster shows that neurons
    fire together, but not whether they should.
    """
    run.predict(
        "faint_named",
        "The rate code is made fainter: its gain is lowered from 0.5 to 0.01, so that a white pixel "
        "fires once in 100 steps, and there are 50 steps. What share of 100 such images do the two "
        "looks still call 'rate', in per cent?",
        unit="%",
    )
    data = run.data(mnist, n_train=cfg.train, n_val=500, n_test=1000)
    num_steps = max(8, cfg.steps // 4)
    right, faint_right, fast_right, n = 0, 0, 0, 0
    order, timing = [], []
    for image in data.x_test[:100, 0].float() / 255:
        codes = three_codes(moving(image, num_steps))
        for code, spk in codes.items():
            right += code_of(spk) == code
            n += 1
        faint = three_codes(moving(image, num_steps), gain=0.01)["rate"]
        faint_right += code_of(faint) == "rate"
        fast = three_codes(moving(image, num_steps, every=1))["delta"]
        fast_right += code_of(fast) == "delta"
        ink = image.flatten() > 0.01  # the pixels that are not black
        grey = image.flatten()[ink].numpy()
        total = codes["rate"][:, ink].sum(0).numpy()
        first = codes["latency"][:, ink].argmax(0).numpy()
        order.append(spearmanr(grey, total)[0])
        timing.append(spearmanr(grey, first)[0])
    image = data.x_test[int((data.y_test == 3).nonzero()[0]), 0].float() / 255
    codes = three_codes(moving(image, num_steps))

    title = f"Two looks name the code of {right} of {n} rasters"
    fig, axes = plots.figure(1, 4, (13, 4.2), title, width_ratios=(0.6, 1, 1, 1))
    axes[0].imshow(image, cmap="gray")
    axes[0].set_axis_off()
    axes[0].set_title("the picture")
    brightest = image.flatten().argsort(stable=True)[-200:]
    passed = moving(image, num_steps).mean(0).argsort(stable=True)[-200:]
    heads = {"rate": "Rate", "latency": "Latency", "delta": "Delta, picture moves (■ on, × off)"}
    for ax, (code, spk) in zip(axes[1:], codes.items(), strict=True):
        shown = spk[:, passed if code == "delta" else brightest]
        ons = {"s": 5, "c": plots.BLACK, "marker": "s", "linewidths": 0}
        offs = {"s": 7, "c": plots.RED, "marker": "x", "linewidths": 0.7}
        spikeplot.raster((shown > 0).float(), ax, **ons)
        spikeplot.raster((shown < 0).float(), ax, **offs)
        ax.set_xlim(-1, num_steps)
        ax.grid(False)
        plots.label(ax, STEP, "", heads[code])
    axes[1].set_ylabel("the 200 brightest pixels, brightest on top")
    axes[3].set_ylabel("the 200 pixels that were light longest")
    run.figure(
        fig, "5_codes", look="rows in the first, the curve in the second, columns in the third"
    )

    mean_order, mean_timing = float(np.nanmean(order)), float(np.nanmean(timing))
    run.claim("signature_rate", "rate: grey value and count, rank correlation", mean_order, "",
              ">= 0.8", n=100, real=True)  # fmt: skip
    run.claim("signature_latency", "latency: grey value and time, rank correlation", mean_timing,
              "", "<= -0.95", n=100, real=True)  # fmt: skip
    run.claim("codes_named", "codes named by two looks", right / n, "1", ">= 0.95", n=n, real=True)
    run.claim("faint_named", "rate code, gain 0.01: named", faint_right / 100, "1", n=100)
    run.claim("fast_named", "delta, a move a step: named", fast_right / 100, "1", n=100)
    run.finding(
        f"Two looks name the code of {right} of {n} rasters. They can be fooled: at a "
        f"gain of 0.01, where hardly a pixel fires twice, {faint_right} of 100 rate codes are still called "
        f"rate; and if the picture moves at every step, so that hardly any is quiet, {fast_right} of 100 "
        "delta codes are called delta."
    )


class Net(nn.Module):
    """784–100–100–10 LIF neurons that keep their potentials themselves (``init_hidden``)."""

    def __init__(self, slope: float | None = None, starts_from_rest: bool = True) -> None:
        super().__init__()
        # None: snnTorch's own surrogate. It acts in the backward pass only (lesson 07).
        steep = None if slope is None else surrogate.fast_sigmoid(slope=slope)
        options = {"beta": 0.9, "init_hidden": True, "spike_grad": steep}
        self.fc1 = nn.Linear(784, 100)
        self.lif1 = snn.Leaky(**options)
        self.fc2 = nn.Linear(100, 100)
        self.lif2 = snn.Leaky(**options)
        self.fc3 = nn.Linear(100, 10)
        self.lif3 = snn.Leaky(**options, output=True)  # gives its potential as well
        self.starts_from_rest = starts_from_rest

    def record(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """``x (T, B, 784)`` → the spikes of the three layers, ``(T, B, neurons)``, and ``mem_rec``."""
        if self.starts_from_rest:
            reset_state(self)  # every potential back to 0: the line that is forgotten most often
        spk_rec = [], [], []
        mem_rec = []
        for x_t in x:  # (B, 784)
            spk1 = self.lif1(self.fc1(x_t))  # (B, 100)
            spk2 = self.lif2(self.fc2(spk1))  # (B, 100)
            spk3, mem3 = self.lif3(self.fc3(spk2))  # (B, 10) each
            spk_rec[0].append(spk1)
            spk_rec[1].append(spk2)
            spk_rec[2].append(spk3)
            mem_rec.append(mem3)
        return [torch.stack(spk) for spk in spk_rec], torch.stack(mem_rec)

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``x (T, B, 784)`` → output spikes and potentials, ``(T, B, 10)`` each."""
        spk_rec, mem_rec = self.record(x)
        return spk_rec[2], mem_rec


@dataclass(frozen=True)
class Looks:
    """What the four looks see: a number a layer for the first three, one for the fourth."""

    dead: list[float]
    saturated: list[float]
    gradient: list[float]
    stale: float


def four_looks(net: Net, x: Tensor, y: Tensor) -> Looks:
    """The four looks of section 6 at ``net``, on one batch ``x (T, B, 784)``, ``y (B,)``."""
    reset_state(net)
    spk_rec, mem_rec = net.record(x)
    net.zero_grad()
    F.cross_entropy(mem_rec.mean(0), y).backward()
    dead, saturated, gradient = [], [], []
    for spk, fc in zip(spk_rec, (net.fc1, net.fc2, net.fc3), strict=True):
        rate = spk.mean((0, 1))  # (neurons,), over time and samples
        dead.append((rate == 0).float().mean().item())
        saturated.append((rate > 0.9).float().mean().item())
        gradient.append(fc.weight.grad.norm().item())
    net.zero_grad()
    reset_state(net)
    with torch.no_grad():
        first = torch.cat(net.run(x))  # output spikes and potentials
        second = torch.cat(net.run(x))  # the same batch again: from rest, the same answer
    stale = ((second - first).norm() / first.norm().clamp(min=1e-12)).item()
    reset_state(net)
    return Looks(dead, saturated, gradient, stale)


HEALTHY, ZEROED, LARGE = "healthy", "weights zeroed", "weights too large"
STEEP, STALE = "surrogate too steep", "no reset between batches"
EXPECTED = {
    HEALTHY: "",
    ZEROED: "silence",
    LARGE: "saturation",
    STEEP: "vanishing gradient",
    STALE: "state left over from the batch before",
}


def broken_copy(net: Net, how: str, seed: int) -> Net:
    """A copy of ``net`` with one thing broken; the seed decides how badly, or where."""
    slope = (1000, 2000, 5000)[seed % 3] if how == STEEP else None
    bad = Net(slope, starts_from_rest=how != STALE).to(net.fc1.weight.device)
    bad.load_state_dict(net.state_dict())
    with torch.no_grad():
        if how == ZEROED:
            layer = bad.fc2 if seed % 2 else bad.fc1
            layer.weight.zero_()
            layer.bias.zero_()
        if how == LARGE:
            bad.fc1.weight.abs_().mul_((30, 100, 300)[seed % 3])
    return bad


def encode(x: Tensor) -> Tensor:
    """Grey values as a steady current over 15 steps: ``(B, 1, 28, 28) → (15, B, 784)``."""
    return constant_current(x.flatten(1), 15)


@section
def section_network(cfg: Config, run: Run) -> None:
    """6  What is wrong with a network that does not learn?

    A layer's spikes are a raster, so sections 1 to 4 apply to every layer. But a raster does not
    show everything: not whether a gradient arrives, nor where a run starts. On one batch of 32
    images, four looks, each for every layer:

        dead         share of neurons that fire for no image                     ill from 90 %
        saturated    share of neurons that fire in over 90 % of all steps        ill from 30 %
        gradient     ‖∂L/∂W‖ of its weights, against the last layer's            ill below 1 %
        stale        show the same batch twice: how much does the output         ill above 0.01 %
                     change, relative to itself?

    The first two count neurons, since a mean rate hides them (section 4). A gradient too small
    has a cause that can be looked for: the *surrogate* is the slope that training uses in place of
    that of the step function, which is 0 (lesson 07). Where it is too steep, it is almost 0 at all
    potentials but those at θ, and hardly any error gets through. *Stale* state is the potential
    left over from the batch before: a run that does not start from rest answers for two batches
    (lesson 08).

    The output layer may be dead, if its potentials are read and not its spikes. Silence and
    saturation are named first. Either disturbs the gradients, so that gradients get no name then:
    behind a silent layer, weights get none at all, for no spike arrives there. (The silent layer
    itself does get one, since the surrogate looks at potentials.) For a faint gradient the check
    also names, of the layers on the error's way, the one whose surrogate lets least through. A
    faint gradient is not none: optimisers like Adam divide it by its own size, so something is
    learnt, only badly. To see how much, networks are also trained with nothing but the last layer.

    The function four_looks computes the numbers. diagnose(net, x, y) of tutor/network_check.py does
    so for any network with snnTorch neurons, names what it finds, the cause and a remedy, and leaves
    the network as it was. Milestone A's training asks it after the first and the last epoch, by
    fit(…, check=complaints).

    Networks are trained on MNIST, then copied and broken in four ways ("too large" also makes
    the first weights positive, so that none can hold a neuron back). The limits above were set by
    hand on networks of this shape, so this is a demonstration, not a test.
    """
    same, points, chance = "the same", "lower by some points", "near chance, 10 %"
    run.predict(
        "after",
        "A network has been trained. Now its surrogate is replaced by one that is far steeper (a "
        "fast sigmoid of slope 1,000 or more; 25 is usual), and the test images are shown. What "
        "happens to the accuracy?",
        (same, points, chance),
    )
    run.predict(
        "accuracy_steep_trained",
        "And what does a network reach that is trained with such a surrogate from the start, in per "
        "cent?",
        unit="%",
    )
    data = run.data(mnist, n_train=cfg.train, n_val=500, n_test=1000)
    x = encode(data.x_train[:32].float().to(run.device) / 255)
    y = data.y_train[:32].to(run.device)
    settings = {"epochs": 2, "lr": 4e-3, "batch_size": 64}
    accuracy = {how: [] for how in EXPECTED}
    right, healthy_right, named, looks, rasters = 0, 0, {}, {}, {}
    for seed in range(cfg.networks):
        torch.manual_seed(cfg.seed + seed)
        trained = Net()
        fit(trained, data, encode, run=run, seed=cfg.seed + seed, quiet=True, **settings)
        for how, expected in EXPECTED.items():
            net = broken_copy(trained, how, seed)
            found = diagnose(net, x, y)
            right += " + ".join(found.problems) == expected
            healthy_right += how == HEALTHY and found.healthy
            seen = four_looks(net, x, y)
            share = evaluate(net, data.x_test, data.y_test, encode, batch_size=50)
            accuracy[how].append(share)
            if seed > 0:
                continue
            named[how], looks[how] = found.problems, seen
            for line in found.lines():
                say = {"initial_indent": "   check   ", "subsequent_indent": "           "}
                run.print(textwrap.fill(f"{how}. {line}", 80, **say))
            reset_state(net)
            with torch.no_grad():
                net.run(x)
                rasters[how] = net.record(x)[0][1][:, 0, :40].cpu()  # of the batch's second showing
    mean = {how: float(np.mean(shares)) for how, shares in accuracy.items()}

    trained_steep = []
    for seed in range(cfg.networks):
        torch.manual_seed(cfg.seed + seed)
        net = Net(slope=1000)
        fit(net, data, encode, run=run, seed=cfg.seed + seed, quiet=True, **settings)
        trained_steep.append(evaluate(net, data.x_test, data.y_test, encode))
    steep_trained = float(np.mean(trained_steep))
    frozen = []  # for comparison: nothing but the last layer learns
    for seed in range(cfg.networks):
        torch.manual_seed(cfg.seed + seed)
        net = Net()
        for layer in (net.fc1, net.fc2):
            layer.requires_grad_(False)
        fit(net, data, encode, run=run, seed=cfg.seed + seed, quiet=True, **settings)
        frozen.append(evaluate(net, data.x_test, data.y_test, encode))
    last_only = float(np.mean(frozen))

    n = len(EXPECTED) * cfg.networks
    broken_right = right - healthy_right
    unseen = [
        how for how in EXPECTED if how != HEALTHY and torch.equal(rasters[how], rasters[HEALTHY])
    ]
    title = f"Named rightly: {broken_right} of {n - cfg.networks} broken, {healthy_right} of {cfg.networks} healthy. "
    title += f"No raster shows: {', '.join(unseen) or '–'}"
    look = {"height_ratios": (1.3, 1, 1), "sharey": "row"}
    fig, axes = plots.figure(3, len(EXPECTED), (15, 8), title, **look)
    layers = ("layer 1", "layer 2", "layer 3")
    for column, how in enumerate(EXPECTED):
        top, centre, bottom = axes[:, column]
        spikeplot.raster(rasters[how], top, s=10, c="black", marker="|")
        top.set_xlim(-0.7, 14.7)
        problems = " + ".join(named[how]).removesuffix(" from the batch before") or "nothing"
        plots.label(top, STEP, "", f"{how}\nfound: {problems}")
        top.title.set_fontsize(9)
        top.grid(False)
        place = np.arange(3)
        centre.bar(place - 0.2, 100 * np.array(looks[how].dead), 0.4, label="dead")
        centre.bar(
            place + 0.2, 100 * np.array(looks[how].saturated), 0.4, label="saturated", hatch="//"
        )
        centre.axhline(90, color=plots.BLUE, linestyle="--", linewidth=1)
        centre.axhline(30, color=plots.RED, linestyle=":", linewidth=1)
        centre.set_xticks(place, layers)
        centre.set_title(f"stale: {100 * looks[how].stale:.2g} %", fontsize=9)
        size = np.array(looks[how].gradient)
        bottom.bar(place, np.maximum(size / max(size[2], 1e-12), 1e-6), color=plots.GREEN)
        for layer in np.flatnonzero(size == 0):
            bottom.text(layer, 2e-6, "0", ha="center")
        bottom.axhline(0.01, color=plots.BLACK, linestyle="--", linewidth=1)
        bottom.set(yscale="log", ylim=(1e-6, 1e3))
        bottom.set_xticks(place, layers)
    axes[0, 0].set_ylabel("neuron of layer 2 (40 of 100),\none image, shown again")
    axes[1, 0].set_ylabel("neurons (%), ill from the line:\ndead --, saturated ⋯")
    axes[1, 0].legend(loc="upper left")
    axes[2, 0].set_ylabel("gradient / layer 3's\n(ill below the line)")
    run.figure(
        fig,
        "6_network_check",
        look="in which row of panels each disease shows",
    )

    loss = mean[HEALTHY] - mean[STEEP]
    outcome = same
    why = " (it acts in the backward pass only)" if loss == 0 else ""
    if loss > 0:
        outcome = chance if mean[STEEP] < 0.2 else points
    run.outcome("after", outcome)
    images = {"n": len(data.y_test), "seeds": cfg.networks, "real": True}
    run.claim("network_check", "networks named rightly by the check", right / n, "1", ">= 0.95", n=n,
              real=True)  # fmt: skip
    run.claim("accuracy_healthy", "healthy: test accuracy", mean[HEALTHY], "1", **images)
    run.claim("accuracy_steep", "steep surrogate after training", mean[STEEP], "1", **images)
    run.claim(
        "accuracy_steep_trained", "trained with it from the start", steep_trained, "1", **images
    )
    run.claim("accuracy_last", "only the last layer trained", last_only, "1", **images)
    run.claim("accuracy_stale", "no reset between batches", mean[STALE], "1", **images)
    run.finding(
        f"The check names {broken_right} of {n - cfg.networks} broken networks rightly, and finds nothing "
        f"in {healthy_right} of {cfg.networks} healthy ones. A steep surrogate that comes "
        f"after training changes the accuracy from {100 * mean[HEALTHY]:.1f} to "
        f"{100 * mean[STEEP]:.1f} %{why}. Networks trained with it from the start reach "
        f"{100 * steep_trained:.1f} % ({100 * min(trained_steep):.0f} to "
        f"{100 * max(trained_steep):.0f} over {cfg.networks} seed(s), same learning rate); with the hidden "
        f"layers not trained at all it is {100 * last_only:.1f} %. A trained network that is not reset "
        f"between batches of 50 images has {100 * mean[STALE]:.1f} %."
    )


def main(cfg: Config, run: Run) -> None:
    section_diagnose(cfg, run)
    section_recording(cfg, run)
    section_numbers(cfg, run)
    section_rule(cfg, run)
    section_codes(cfg, run)
    section_network(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
