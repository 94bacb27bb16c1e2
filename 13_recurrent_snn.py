"""Lesson 13 — Recurrent spiking networks: how long can a network of spikes remember?

Question
    A digit comes in as 196 pixels, one at each time step, and the answer is due at the end. What in
    a spiking network can still know the first pixels then? And does training reach back that far?

Idea
    A LIF neuron keeps the share β = e^(−1/τ) of its potential U a step, and forgets within a few τ.
    The plain way to a longer memory is a longer τ, but such a neuron adds up all that came within it.
    There are three other ways. The first is a second variable in each neuron:

        ALIF     a[t] = ρ·a[t−1] + S[t−1]        S[t] = 1 if U[t] > θ + κ·a[t] else 0             (1)
        adLIF    U[t] = r·U[t−1] − w[t−1] + I[t]              w[t] = r·w[t−1] + A·U[t]            (2)

    An ALIF neuron's spikes raise its threshold for a while. In adLIF the second variable w follows U
    itself and pulls it back, so U swings. The second way is a loop between neurons (snn.RLeaky,
    snn.RSynaptic): a matrix V brings the spikes back to their own layer. The third is gates, which
    decide from the input what a cell c keeps (LSTM; snn.SLSTM, which fires where its h is high):

        loop     U[t] = β·U[t−1] + I[t] + V·S[t−1] − θ·S[t−1]                                     (3)
        gates    c[t] = f[t]·c[t−1] + i[t]·g[t]               h[t] = o[t]·tanh(c[t])              (4)

    What the forward pass keeps, the backward pass of lesson 09 has to reach: through the same
    β, ρ, r, V and f, with V times a surrogate.

Read first
    Theory     Bellec et al. 2020, on ALIF, https://www.nature.com/articles/s41467-020-17236-y
               Eshraghian et al. 2023, section V, https://arxiv.org/abs/2109.12894
               Baronig et al. 2025, why (2) swings and stays stable, https://arxiv.org/abs/2408.07517
    Practice   https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_regression_2.html

Run
    uv run 13_recurrent_snn.py --predict   asks what you expect, then measures it: start here
    uv run 13_recurrent_snn.py             about five minutes of one CPU core; also --resume, --only 1
    uv run 13_recurrent_snn.py --train     trains the network of section 4 anew: ten minutes more
    uv run 13_recurrent_snn.py --full      784 steps: half an hour; with --train two hours

Builds on / leads to
    01 gave β and the reset, 06 α, 09 the way back. 15 trains ALIF without a way back in time; 20
    takes the spikes out of the loop and runs all steps at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from common import plots
from common.cost import estimated_energy_nj, latency
from common.data import ImageData, batches, mnist
from common.io import ROOT, UserError, live, write_atomic
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from multistep import triangle, unroll_adaptive
from multistep.sequence import Kind, Out, SequenceNet, SpikingLayer, operations
from training import evaluate, fit
from training.arms import (
    against,
    arm_rows,
    count_parameters,
    draw_arms,
    draw_gains,
    gain,
    named,
    only_paired,
    read_arms,
    signed,
    slug,
    told_apart,
    widest,
)
from training.augment import jitter
from training.clipped import make_optimizer, warm_up
from training.measured import go_on
from training.sweep import fingerprint, sweep

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
    """neurons of each layer of the LIF network; the others get as many parameters as that makes"""
    images: int = bounded(12_800, 10, 55_000)
    """training images of each network of section 3, each seen once"""
    batch_size: int = bounded(16, 1, 60_000)
    """images in one update of the weights (B)"""
    updates: int = bounded(300, 1, 100_000)
    """updates of each network of section 5"""
    seeds: int = bounded(3, 2, 20)
    """trainings of each arm of a comparison"""
    train: bool = False
    """train the network of section 4 anew instead of reading it from checkpoints/"""
    best_epochs: int = bounded(8, 1, 1000)
    """passes over all training images in that training"""
    moved_epochs: int = bounded(0, 0, 1000)
    """further passes, in rounds of 6, for which each image is moved by up to a pixel every time"""
    best_hidden: int = bounded(128, 2, 10_000)
    """neurons of each of its two layers"""
    resume: bool = False
    """go on after the last finished epoch of a run that was stopped"""


SMOKE = {"num_steps": 16, "num_hidden": 8, "images": 64, "updates": 2, "seeds": 2}
SMOKE |= {"best_epochs": 1, "best_hidden": 8}
FULL = {"num_steps": 784, "moved_epochs": 18}


# ---------------------------------------------------------------- 1  one neuron


class ALIF:
    """Equation (1), a step at a time, with the membrane of lesson 01; θ is 1."""

    def __init__(self, tau: float, tau_adapt: float, kappa: float) -> None:
        self.beta = math.exp(-1 / tau)
        self.rho = math.exp(-1 / tau_adapt)
        self.kappa = kappa
        self.mem = self.second = self.spk = torch.zeros(())

    def __call__(self, cur: Tensor) -> Tensor:
        """The current of one step → the spikes of this step."""
        self.second = self.rho * self.second + self.spk
        self.mem = self.beta * self.mem + cur - self.spk
        self.spk = (self.mem > 1 + self.kappa * self.second).float()
        return self.spk


class LIF(ALIF):
    """The same without adaptation."""

    def __init__(self, tau: float) -> None:
        super().__init__(tau, 1.0, kappa=0.0)


class AdLIF:
    """Equation (2), a step at a time. A spike costs nothing.

    Left alone, U swings once in ``period`` steps and fades with ``tau``.
    """

    def __init__(self, tau: float, period: float) -> None:
        self.r = math.exp(-1 / tau)
        self.A = 2 * self.r * (1 - math.cos(2 * math.pi / period))
        self.mem = self.second = torch.zeros(())

    def __call__(self, cur: Tensor) -> Tensor:
        """The current of one step → the spikes of this step."""
        self.mem = self.r * self.mem - self.second + cur
        self.second = self.r * self.second + self.A * self.mem  # w, from the new U
        return (self.mem > 1).float()


START, CUE, GAP, PROBE = 10, 10, 100, 40  # steps before the cue, of the cue, after it, of the probe


def two_pasts(cue: float, probe: float, gap: int = GAP) -> Tensor:
    """Two currents ``(T, 2)``: one with a cue, one without; after a gap both get the same probe."""
    cur = torch.zeros(START + CUE + gap + PROBE, 2)
    cur[START : START + CUE, 0] = cue
    cur[-PROBE:] = probe
    return cur


def four_neurons() -> dict[str, ALIF | AdLIF]:
    """Those of section 1, at rest."""
    plain = {"LIF": LIF(20.0), "slow LIF": LIF(200.0)}
    return plain | {"ALIF": ALIF(20.0, 200.0, 0.5), "adLIF": AdLIF(200.0, 40.0)}


def record(neuron: ALIF | AdLIF, cur: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U, the second variable and the spikes at each step, ``(T, 2)`` each."""
    mem_rec, second_rec, spk_rec = [], [], []
    for cur_t in cur:  # (2,)
        spk = neuron(cur_t)
        spk_rec.append(spk)
        mem_rec.append(neuron.mem.expand(2))
        second_rec.append(neuron.second.expand(2))
    return torch.stack(mem_rec), torch.stack(second_rec), torch.stack(spk_rec)


def differing(spk: Tensor) -> int:
    """Steps of the probe at which one of the two neurons fires and the other does not; ``spk (T, 2)``."""
    probe = spk[-PROBE:]
    return int((probe[:, 0] != probe[:, 1]).sum())


def two_traces(ax: Any, mem: Tensor, spk: Tensor) -> None:
    """Two potentials ``(T, 2)``, red and dashed black, and the spikes of each as ticks above them."""
    ax.plot(mem[:, 0], color=plots.RED)
    ax.plot(mem[:, 1], color=plots.BLACK, linestyle="--")
    top = 1.15 * float(mem.max())
    heights = (1.15 * top, top)
    for i, color in enumerate((plots.RED, plots.BLACK)):
        times = spk[:, i].nonzero().flatten()
        height = torch.full((len(times),), heights[i])
        ax.plot(times, height, "|", color=color, markersize=8)


@section
def section_neuron(cfg: Config, run: Run) -> None:
    """1  What does a neuron know of its past?

    A neuron remembers a cue if it answers the same question in another way because of it. So we give it
    two pasts: in one it gets a strong current, the cue, for 10 steps, in the other not. Then come 100
    steps of silence (60 to 140 are tried, too) and a probe, the same current in both. If the spikes during
    the probe are the same, nothing shows that there was a cue. We count the steps of the probe at which
    one of the two fires and the other does not.

    Four neurons are asked. Each is a few lines of Python, above. adLIF gets a weaker cue, 0.12 in place
    of 0.4, or its swing alone would go on firing, so the counts are no ranking:

        LIF        τ = 20 steps: in 100 steps its potential shrinks by e^(−100/20) = 0.0067
        slow LIF   τ = 200 steps: the plain way to a longer memory
        ALIF       LIF's membrane; a spike raises the threshold by κ = 0.5, which fades with 200 steps
        adLIF      fades with 200 steps and swings once in 40; a spike takes nothing away

    What keeps the cue is the time constant of 200 steps, with or without a second variable. What does
    that one buy? The slow LIF holds the cue in U itself, added to all else of the last 200 steps. ALIF
    keeps U short, for what comes now, and the past apart from it, in the threshold. In adLIF w makes U
    swing: half a swing later, 20 steps, the same cue counts with the other sign, so U tells *when* it
    came. A network that needs both, short and long, uses a or w.

    Is the swing of adLIF stable? One step is a matrix that acts on (U, w), with determinant r² and trace
    2r − A. With A = 2r·(1 − cos φ) the trace is 2r·cos φ, so the eigenvalues are r·e^(±iφ): every step
    turns the pair by the angle φ = 2π/period, and shrinks it by r. That rests on one detail: w takes the
    *new* U (symplectic Euler). With the old U the determinant is r² + A, and the swing grows above 1.
    """
    options = ("sooner", "at the same step", "later")
    run.predict(
        "alif_answer",
        "An ALIF neuron got a cue and fired. 100 steps later, five times its membrane's τ, it gets a "
        "probe. Compared with a neuron that had no cue, its first spike of the probe comes …",
        options,
    )
    cues = {"LIF": 0.4, "slow LIF": 0.4, "ALIF": 0.4, "adLIF": 0.12}
    long = {"LIF": "LIF, τ = 20", "slow LIF": "LIF, τ = 200", "ALIF": "ALIF (thin: its threshold)"}
    fig, axes = plots.stack(5, xlabel="time step", height=1.6)
    cur = two_pasts(0.4, 0.2)
    axes[0].plot(cur[:, 0], color=plots.RED, label="with the cue")
    axes[0].plot(cur[:, 1], color=plots.BLACK, linestyle="--", label="without")
    axes[0].legend(loc="upper center", ncols=2)
    plots.label(axes[0], "", "current I", "the two pasts: a cue or none; then the same probe")
    differ, first, between = {}, {}, 0
    for ax, (name, neuron) in zip(axes[1:], four_neurons().items(), strict=True):
        mem, second, spk = record(neuron, two_pasts(cues[name], 0.2))  # (T, 2) each
        differ[name] = differing(spk)
        first[name] = spk[-PROBE:].argmax(0).tolist()
        between += int(spk[START + CUE : -PROBE].sum())
        two_traces(ax, mem, spk)
        ax.axvspan(START, START + CUE, color=plots.ORANGE, alpha=0.15)
        ax.axvspan(len(mem) - PROBE, len(mem), color=plots.SKY, alpha=0.2)
        if name == "ALIF":
            ax.plot(1 + 0.5 * second[:, 0], color=plots.RED, linewidth=1, alpha=0.6)
            ax.plot(1 + 0.5 * second[:, 1], color=plots.BLACK, linewidth=1, linestyle=":")
        who = long.get(name, name)
        with_cue, without = spk[-PROBE:].sum(0).int().tolist()
        said = f"{who}: {with_cue} spikes in the probe after a cue, {without} without"
        plots.label(ax, "", "potential U", f"{said}; {differ[name]} of {PROBE} steps differ")
    axes[-1].set_xlabel("time step")
    title = (
        f"{GAP} steps after a cue, the answers to the probe differ at {differ['LIF']} of its {PROBE} steps in LIF\n"
        f"with τ = 20, {differ['slow LIF']} with τ = 200, {differ['ALIF']} in ALIF, {differ['adLIF']} in adLIF"
    )
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(
        fig,
        "1_two_pasts",
        look="the blue band: do the upper ticks, with the cue, differ from the lower ones?",
    )

    gaps = range(60, 141, 10)
    tells = dict.fromkeys(differ, 0)  # at how many of the gaps the answer differs
    for gap in gaps:
        for name, neuron in four_neurons().items():
            *_, spk = record(neuron, two_pasts(cues[name], 0.2, gap))
            tells[name] += differing(spk) > 0
    for name, steps in differ.items():
        run.claim(f"{slug(name.lower())}_differs", f"{name}: steps that differ", steps, "")
    later = first["ALIF"][0] - first["ALIF"][1]
    run.claim("alif_later", "ALIF: first spike of the probe later by", later, "steps")
    run.outcome("alif_answer", options[1 + (later > 0) - (later < 0)])
    said = [f"{tells[name]} in {name}" for name in ("ALIF", "adLIF", "slow LIF", "LIF")]
    sooner = first["slow LIF"][1] - first["slow LIF"][0]
    run.finding(
        f"{GAP} steps after the cue, the answers to the probe differ at {differ['LIF']} of its {PROBE} steps "
        f"in LIF with τ = 20, at {differ['slow LIF']} with τ = 200, at {differ['ALIF']} in ALIF and at "
        f"{differ['adLIF']} in adLIF. Of {len(gaps)} gaps, from {gaps[0]} to {gaps[-1]} steps, they differ "
        f"after {', '.join(said)}: a time constant of 200 steps keeps the cue, with a second variable or "
        f"without. What differs is how: the first spike comes {sooner} steps sooner in the slow LIF, "
        f"where the cue is added to the probe, {later} later in ALIF, and adLIF swings. "
        f"In the silence there were {between} spikes: the memory is a state, not activity."
    )


# ---------------------------------------------------------------- 2  the layers


WIDTH = 32  # neurons of the layers of this section
PAST, SAME, SOON = 10, 60, 10  # steps with different input, with the same, a look in between


def run_leaky(x: Tensor, beta: float = 0.9) -> Tensor:
    """``(T, B, WIDTH)`` → the potentials at each step, ``(T, B, WIDTH)``; so do the others below."""
    layer = snn.Leaky(beta=beta)
    mem = layer.init_leaky()
    mem_rec = []
    for x_t in x:
        spk, mem = layer(x_t, mem)
        mem_rec.append(mem)
    return torch.stack(mem_rec)


def run_slow(x: Tensor) -> Tensor:
    """The same neuron with a longer τ, and with the input that adLIF gets below."""
    return run_leaky(0.1 * x, math.exp(-1 / 200))


def run_rleaky(x: Tensor) -> Tensor:
    """As run_leaky, and the spikes come back through V."""
    layer = snn.RLeaky(beta=0.9, linear_features=WIDTH)
    spk, mem = layer.init_rleaky()
    mem_rec = []
    for x_t in x:
        spk, mem = layer(x_t, spk, mem)  # the spikes of the last step come in again
        mem_rec.append(mem)
    return torch.stack(mem_rec)


def run_rsynaptic(x: Tensor) -> Tensor:
    """As RLeaky, with a synaptic current in front of the membrane."""
    layer = snn.RSynaptic(alpha=0.8, beta=0.9, linear_features=WIDTH)
    spk, syn, mem = layer.init_rsynaptic()
    mem_rec = []
    for x_t in x:
        spk, syn, mem = layer(x_t, spk, syn, mem)
        mem_rec.append(mem)
    return torch.stack(mem_rec)


def run_slstm(x: Tensor) -> Tensor:
    """``(T, B, inputs)``: gates. snnTorch calls the cell c ``syn`` and h ``mem``."""
    layer = snn.SLSTM(x.shape[2], WIDTH)
    syn, mem = layer.init_slstm()
    syn_rec = []
    for x_t in x:
        spk, syn, mem = layer(x_t, syn, mem)
        syn_rec.append(syn)
    return torch.stack(syn_rec)


def run_lstm(x: Tensor) -> Tensor:
    """PyTorch's gates, whose output is h itself."""
    layer = nn.LSTMCell(WIDTH, WIDTH)
    h = c = torch.zeros(x.shape[1], WIDTH)
    c_rec = []
    for x_t in x:
        h, c = layer(x_t, (h, c))
        c_rec.append(c)
    return torch.stack(c_rec)


def run_adlif(x: Tensor) -> Tensor:
    """Section 1's neuron, with a swing of its own for each neuron; snnTorch has none."""
    layer = AdLIF(200.0, 40.0)
    layer.A = layer.A * 4 ** torch.linspace(-1, 1, WIDTH)  # periods from 20 to 80 steps
    mem_rec = []
    for x_t in x:
        layer(0.1 * x_t)
        mem_rec.append(layer.mem)
    return torch.stack(mem_rec)


@torch.no_grad()
def distance_of_pasts(layer: Callable[[Tensor], Tensor], inputs: int, run: Run) -> np.ndarray:
    """Two pasts of 10 steps, then the same input: how far apart are the states (1: at first)?"""
    B = 8
    x = torch.randn(PAST + SAME, 2 * B, inputs, generator=run.generator())
    x[PAST:, B:] = x[PAST:, :B]
    state = layer(x)  # (T, 2·B, H)
    distance = (state[:, :B] - state[:, B:]).flatten(1).norm(dim=1)
    return (distance[PAST - 1 :] / distance[PAST - 1]).numpy()


LAYERS = {  # the layer, and the width of its input
    "snn.Leaky": (run_leaky, WIDTH),
    "snn.RLeaky": (run_rleaky, WIDTH),
    "snn.RSynaptic": (run_rsynaptic, WIDTH),
    "snn.SLSTM(32, 32)": (run_slstm, WIDTH),
    "snn.SLSTM(1, 32)": (run_slstm, 1),
    "nn.LSTMCell": (run_lstm, WIDTH),
    "adLIF, τ = 200": (run_adlif, WIDTH),
    "snn.Leaky, τ = 200": (run_slow, WIDTH),
}
ADLIF, SLOW = "adLIF, τ = 200", "snn.Leaky, τ = 200"


@section
def section_layers(cfg: Config, run: Run) -> None:
    """2  What do the layers carry from step to step?

    The layers of this lesson differ in what they take from one step to the next:

        LIF         U[t] = β·U[t−1] + I[t] − θ·S[t−1]                       S[t] = 1 if U[t] > θ else 0
        RLeaky      U[t] = β·U[t−1] + I[t] + V·S[t−1] − θ·S[t−1]            the loop V
        RSynaptic   syn[t] = α·syn[t−1] + I[t] + V·S[t−1]                   a current that fades by α
                    U[t] = β·U[t−1] + syn[t] − θ·S[t−1]
        ALIF        as LIF or RLeaky, with the threshold θ + κ·a[t]         equation (1)
        adLIF       U[t] = r·U[t−1] − w[t−1] + I[t] (+ V·S[t−1])            equation (2)
        LSTM        c[t] = f[t]·c[t−1] + i[t]·g[t],  h[t] = o[t]·tanh(c[t]) gates f, i, o and g:
                                                                            from x[t] and h[t−1]
        SLSTM       the same; its output is S[t] = 1 if h[t] > θ else 0     inside, h stays a number

    With H neurons and H inputs LIF has H² weights, RLeaky 2·H², and through its loop come spikes: additions.
    An LSTM or SLSTM has 8·H², and h comes back, a number: multiplications. An SLSTM spikes to the outside
    only, and a chip for LIF neurons cannot run its inside. In return the length of its memory is learnt.

    The functions above step each layer through a sequence, as you would. Each begins at rest, with
    init_…: a layer that keeps its own state (init_hidden=True) and is not reset carries one sequence
    over into the next, and then an answer depends on what was asked before (exercise 13c).

    None is trained; β is 0.9 (τ = 9.5 steps) and α 0.8, all else is the libraries' default. adLIF is given
    τ = 200 and a tenth of the input, and so that w is not credited with what τ does, an snn.Leaky with the
    same τ and input stands beside it: the leak leaves e^(−n/200) of Leaky's U, and of adLIF's pair (U, w),
    whose two parts take turns. Two pasts of 10 steps are followed by the same input: how far apart are the
    states, U or c? Each spike that only one of the two fires sets them apart again, and a random V passes
    it on: such a distance is not yet a memory that can be read.
    Gates begin with f about ½, so c alone would keep 0.5^10 = 0.1 % in 10 steps; and |h| = |o·tanh(c)| < 1:
    SLSTM's default θ = 1 is never crossed. It is tried with 32 inputs and with one.
    """
    options = list(LAYERS)
    same = ("adLIF, by more than 10 points", "LIF, by more than 10 points", "about the same")
    run.predict(
        "w_keeps",
        "adLIF with τ = 200 and a LIF (snn.Leaky) with τ = 200: which keeps more of a difference for "
        f"{SAME} steps?",
        same,
    )
    run.predict(
        "forgets_first",
        "Different input for 10 steps, then the same: which layer's state forgets the difference first?",
        options,
    )
    torch.manual_seed(cfg.seed)
    left = {}
    for name, (layer, inputs) in LAYERS.items():
        left[name] = distance_of_pasts(layer, inputs, run)
    after = {name: float(curve[1]) for name, curve in left.items()}  # one step
    soon = {name: f"{100 * curve[SOON]:.2g} %" for name, curve in left.items()}
    end = {name: f"{100 * curve[-1]:.2g} %" for name, curve in left.items()}
    slstm_end, lstm_end = soon["snn.SLSTM(32, 32)"], soon["nn.LSTMCell"]
    leaky, slow, adlif = end["snn.Leaky"], end[SLOW], end[ADLIF]
    first = min(after, key=lambda name: after[name])
    title = (
        f"Gates as they begin: snn.SLSTM(32, 32) has {slstm_end} left after {SOON} steps, "
        f"nn.LSTMCell {lstm_end}.\n"
        f"After {SAME} steps snn.Leaky has {leaky} with τ = 9.5 and {slow} with τ = 200, "
        f"adLIF with τ = 200 {adlif}"
    )
    fig, ax = plots.figure(1, 1, (10, 5), title)
    plots.curves(ax, range(SAME + 1), {k: np.maximum(curve, 1e-12) for k, curve in left.items()})
    plots.plt.setp(ax.lines, markevery=9)
    ax.lines[list(LAYERS).index("nn.LSTMCell")].set(linestyle="-", linewidth=6, alpha=0.4)
    ax.lines[list(LAYERS).index(SLOW)].set(color=plots.BLACK, marker="", linewidth=2)
    ax.set_yscale("log")
    ax.set_ylim(1e-6, 2)
    ax.legend(loc="lower right")
    plots.label(ax, "steps with the same input", "distance of the two states (1: at first)")
    run.figure(fig, "2_layers", look="which layers keep more than snn.Leaky with the same τ")

    loud = 20 * torch.randn(50, 8, WIDTH, generator=run.generator())
    slstm, silent = snn.SLSTM(WIDTH, WIDTH), 0.0
    syn, mem = slstm.init_slstm()
    for x_t in loud:
        spk, syn, mem = slstm(x_t, syn, mem)
        silent += spk.sum().item()
    ranges = {}  # nine draws of the weights, the one of the figure included
    for name in ("snn.RSynaptic", "snn.RLeaky"):
        layer = LAYERS[name][0]
        draws = [100 * distance_of_pasts(layer, WIDTH, run)[-1] for _ in range(8)]
        draws.append(100 * left[name][-1])
        ranges[name] = f"{min(draws):.0f} to {max(draws):.0f} %"
    forgets, keeps = after["snn.SLSTM(1, 32)"], after["snn.SLSTM(32, 32)"]
    run.claim("slstm_silent", "snn.SLSTM, θ = 1: its spikes", silent, "")
    run.claim("slstm_forgets", "snn.SLSTM(1, 32): after 1 step", forgets)
    run.claim("slstm_keeps", "snn.SLSTM(32, 32): the same", keeps)
    adlif_left, slow_left = float(left[ADLIF][-1]), float(left[SLOW][-1])
    run.claim("adlif_left", f"{ADLIF}: after {SAME} steps", adlif_left)
    run.claim("slow_left", f"{SLOW}: the same", slow_left)
    more = adlif_left - slow_left
    run.outcome("w_keeps", same[2] if abs(more) <= 0.1 else same[int(more < 0)])
    run.outcome("forgets_first", first)
    why = "it is τ that keeps, and w makes it swing"
    if abs(more) > 0.1:
        why = "w counts beside τ"
    others = [name for name in left if name != "snn.SLSTM(1, 32)"]
    lowest, second = sorted(others, key=lambda name: left[name][SOON])[:2]
    gates = {lowest, second} == {"snn.SLSTM(32, 32)", "nn.LSTMCell"}
    lead = "Gates, as the libraries begin them, forget fastest: after" if gates else "After"
    run.finding(
        f"{lead} {SOON} steps of the same input {lowest} has {soon[lowest]} "
        f"of the distance between two pasts left, "
        f"{second} {soon[second]}, "
        f"snn.Leaky {soon['snn.Leaky']}. "
        f"After {SAME} steps snn.Leaky has {leaky} (its leak alone: 0.9^{SAME} = {100 * 0.9**SAME:.2g} %), "
        f"with τ = 200 {slow}, and adLIF with τ = 200 {adlif} "
        f"(by the leak: e^(−{SAME}/200) = {100 * math.exp(-SAME / 200):.0f} %): "
        f"{why}. "
        f"With a loop, β as snn.Leaky, snn.RLeaky has {ranges['snn.RLeaky']}, "
        f"snn.RSynaptic {ranges['snn.RSynaptic']} (nine draws of the weights). "
        f"Two traps of snn.SLSTM in version 1.0.0: "
        f"with one input it has {100 * forgets:.2g} % left after one step, "
        f"for it starts anew where state and input differ in width; "
        f"and at θ = 1 it fired {silent:.0f} times for strong input."
    )


# ---------------------------------------------------------------- 3  digits, pixel by pixel


STRONGER = 4  # times the input of the other networks
LIF_4, ALIF_4, RLEAKY_4 = (f"{name}, stronger input" for name in ("LIF", "ALIF", "RLeaky"))
KINDS = {
    "LIF": Kind(),
    LIF_4: Kind(scale=STRONGER * 0.6),
    "LIF, no reset": Kind(reset=0.0),
    "ALIF": Kind("spikes"),
    ALIF_4: Kind("spikes", scale=STRONGER * 0.6),
    "adLIF": Kind("membrane"),
    "adLIF, no reset": Kind("membrane", reset=0.0),
    "RLeaky": Kind(loop=True),
    RLEAKY_4: Kind(loop=True, scale=STRONGER * 0.6),
    "RSynaptic": Kind(loop=True, synapse=True),
    "ALIF, loop": Kind("spikes", loop=True),
    "adLIF, loop": Kind("membrane", loop=True, reset=0.0),
    "adLIF, loop, 1 layer": Kind("membrane", loop=True, reset=0.0, layers=1),
    "adLIF, loop, 3 layers": Kind("membrane", loop=True, reset=0.0, layers=3),
    "SLSTM": Kind(gates="SLSTM", layers=1),
    "LSTM": Kind(gates="LSTM", layers=1),
}


def width_for(kind: Kind, num_hidden: int, num_inputs: int = 1, num_outputs: int = 10) -> int:
    """The widest network of a kind with at most as many parameters as LIF layers of ``num_hidden`` make."""
    lif = SequenceNet(KINDS["LIF"], num_hidden, 2, num_inputs, num_outputs)
    budget = count_parameters(lif)
    return widest(lambda H: SequenceNet(kind, H, 2, num_inputs, num_outputs), budget)


def one_pixel_a_step(x: Tensor, num_steps: int) -> Tensor:
    """``(B, 1, 28, 28)`` → ``(T, B, 1)``: shrunk to √T × √T pixels, then row after row."""
    side = math.isqrt(num_steps)
    pixels = F.adaptive_avg_pool2d(x, side).flatten(1)  # (B, T)
    return pixels.t().unsqueeze(-1).contiguous()


def last_steps(out: Out) -> Tensor:
    """The potentials of the read-out over the last fourteenth of the steps, averaged: ``(B, K)``."""
    _, mem_rec = out
    last = max(1, len(mem_rec) // 14)
    return mem_rec[-last:].mean(0)


def answer_loss(out: Out, y: Tensor) -> Tensor:
    """Cross entropy of the potentials at the end."""
    return F.cross_entropy(last_steps(out), y)


def answer(out: Out) -> Tensor:
    """The class with the highest potential at the end: ``(B,)``."""
    return last_steps(out).argmax(1)


def train_net(
    kind: Kind,
    num_hidden: int,
    lr: float,
    seed: int,
    data: ImageData,
    cfg: Config,
    run: Run,
    **options: Any,
) -> tuple[SequenceNet, list[dict[str, float]]]:
    """A network of one kind, trained on all of ``data.x_train``; the epoch best on validation images is kept.

    Returns the network and one row an epoch, as ``training.fit`` writes it; ``options`` go to ``fit``.
    """
    torch.manual_seed(seed)
    net = SequenceNet(kind, num_hidden, cfg.num_steps)
    net.calibrate(one_pixel_a_step(data.x_train[:256].float() / 255, cfg.num_steps))
    return net, train_on(net, lr, seed, data, cfg, run, **options)


def train_on(
    net: SequenceNet,
    lr: float,
    seed: int,
    data: ImageData,
    cfg: Config,
    run: Run,
    **options: Any,
) -> list[dict[str, float]]:
    """Train ``net`` from the weights that it has; returns what ``train_net`` returns beside the network."""
    options = {"epochs": 1, "batch_size": cfg.batch_size} | options
    return fit(  # the training loop of lesson 09
        net,
        data,
        partial(one_pixel_a_step, num_steps=cfg.num_steps),
        run=run,
        loss_fn=answer_loss,
        predict=answer,
        seed=seed,
        optimizer=partial(make_optimizer, lr=lr),
        schedule=warm_up,
        resume=cfg.resume,
        **options,
    )


def few(data: ImageData, cfg: Config) -> ImageData:
    """The images of a short training: the first ``cfg.images``, and 1,000 validation images."""
    x, y = data.x_train[: cfg.images], data.y_train[: cfg.images]
    return replace(data, x_train=x, y_train=y, x_val=data.x_val[:1000], y_val=data.y_val[:1000])


STEPS = {  # one change at a time: the arm with it, the arm without it
    "stronger input": (LIF_4, "LIF"),
    "threshold raised by spikes": (ALIF_4, LIF_4),
    "a loop, plain LIF": (RLEAKY_4, LIF_4),
    "w that follows the membrane": ("adLIF", LIF_4),
    "no reset, with w": ("adLIF, no reset", "adLIF"),
    "a loop, with w, no reset": ("adLIF, loop", "adLIF, no reset"),
}
UPDATES = 800  # of each arm, 16 images each
LOGGED_STEPS = 196  # of the arms in the log that comes with the course


@torch.no_grad()
def step_by_step(layer: SpikingLayer, x: Tensor, cut: float = math.inf) -> Tensor:
    """The plain form of a layer below: ``(T, B, inputs)`` → spikes ``(T, B, H)``, the same as ``layer(x)``.

    From step ``cut`` on nothing comes back through V: section 5 needs that.
    """
    a = layer.adaptation()  # its constants, each a number or one for every neuron
    mem = second = syn = spk = x.new_zeros(x.shape[1], len(layer.beta))  # (B, H) each
    spk_rec = []
    for t, x_t in enumerate(x):
        cur = layer.gain * layer.fc(x_t)
        if layer.V is not None and t < cut:
            cur = cur + spk @ (layer.loop_gain * layer.V).t()  # equation (3)
        syn = a.alpha * syn + cur
        mem = a.beta * mem - a.on_mem * second + syn - a.reset * spk
        spk = (mem > 1 + a.on_threshold * second).float()
        second = a.decay * second + a.by_spk * spk + a.by_mem * mem  # a of (1) or w of (2)
        spk_rec.append(spk)
    return torch.stack(spk_rec)


FAMILIES = {  # colour and marker
    "": (plots.BLUE, "o"),
    "spikes": (plots.ORANGE, "s"),
    "membrane": (plots.GREEN, "^"),
    "SLSTM": (plots.BLACK, "D"),
    "LSTM": (plots.BLACK, "D"),
}


@section
def section_digits(cfg: Config, run: Run) -> None:
    """3  What does each kind of memory buy?

    Sequential MNIST: an image is shrunk to 14 × 14 pixels and read like a line of text, one grey value
    at each of 196 steps. The answer is due after the last pixel. A read-out that averaged over all
    steps would remember for the network; here the read-out forgets (β = 0.9), and only its last 14
    steps count. So what was seen in the first rows has to be in the layers.

    Two layers of LIF neurons are changed one thing at a time: ALIF, equation (1); adLIF, (2) with a reset
    by θ; "no reset", where a spike takes nothing from the membrane; a loop V (RLeaky is LIF with a loop).
    Beside them stand RSynaptic, SLSTM and LSTM (the last two with one layer, for gates need many
    weights). An SLSTM has a Linear in front and θ = 0.1, for the two reasons of section 2.

    Equal are parameters (with a loop 38 neurons a layer in place of 64: a gain of a loop is what it buys
    less what those neurons would have done), images, updates, batches, and the time constants of all
    membranes: from a tenth of the sequence to all of it, neuron by neuron. Weights are trained, the
    neurons' constants (β, ρ, κ, A) are not. A reset's gradient is taken along (snnTorch leaves it out).
    Each arm has its own learning rate, chosen on validation images by studies/13_arms.py, with a seed
    that reads no test images. V learns at 0.3 times that rate (section 5: 10 times).

    How strong is the input? One rule scales it before training: on 256 images the membranes' standard
    deviation is 0.6·θ as long as none fires. LIF, ALIF and RLeaky hardly fire then, so these three are
    trained with 4 times the input as well, the best of 1, 2, 4 and 8 for LIF on validation images, and
    only there compared with each other. adLIF keeps its own input; what w buys is counted over LIF with
    the stronger one, so w and the input change together. The other arms have the weak input alone.

    step_by_step above is a layer of these networks, with a switch for each line of section 2's table
    (on_mem and by_mem for w, on_threshold and by_spk for a); multistep/sequence.py does all steps at once.

    800 updates of 16 images are few (the LSNN of Bellec et al. 2018: 36,000); an LSTM is known to read far
    more than 90 % after longer training. Intervals are 95 % intervals (Student's t, lesson 09) of three
    differences, seed by seed: a seed fixes the order of the images. Of eight such intervals, if independent,
    at least one misses with a chance of 1 − 0.95⁸ = 34 %; and "not told apart" does not mean equal.
    All trainings take half an hour, so their log comes with the course; two are made anew here, in view.
    """
    run.predict(
        "worth_most",
        "Which single change makes the network read the most additional digits?",
        list(STEPS),
    )
    data = run.data(mnist)
    arms = read_arms(ROOT / "checkpoints" / "smnist_arms.csv")
    encode = partial(one_pixel_a_step, num_steps=cfg.num_steps)
    anew = {}
    for name in ("LIF", "adLIF, no reset"):
        kind, H, lr = KINDS[name], width_for(KINDS[name], cfg.num_hidden), arms[name].lr
        some = few(data, cfg)
        net, _ = train_net(kind, H, lr, cfg.seed + 1, some, cfg, run, name=slug(name))
        anew[name] = 100 * evaluate(net, data.x_test, data.y_test, encode, answer)
        logged = arms[name].test[0]
        here, there = f"{anew[name]:.1f} % here", f"{logged:.1f} % in the log"
        if cfg.num_steps != LOGGED_STEPS:
            here, there = f"{here} ({cfg.num_steps} steps)", f"{there} ({LOGGED_STEPS} steps)"
        run.print(f"   {name}, seed 1: {here}, {there}")

    gains = {step: gain(arms, *pair) for step, pair in STEPS.items()}
    spiking = [name for name in arms if name != "LSTM"]
    best = max(spiking, key=lambda name: np.mean(arms[name].test))
    read = {name: float(np.mean(arm.test)) for name, arm in arms.items()}
    title = (
        f"After {UPDATES} updates, at equal parameters: {best} reads {read[best]:.1f} % of the test images;\n"
        f"with {STRONGER} times the input LIF {read[LIF_4]:.1f} %, ALIF {read[ALIF_4]:.1f} %, "
        f"RLeaky {read[RLEAKY_4]:.1f} %"
    )
    fig, (ax, bx) = plots.figure(1, 2, (12.5, 5.8), title, width_ratios=(1.6, 1))
    looks = {
        name: (*FAMILIES[k.gates or k.second], k.loop or bool(k.gates)) for name, k in KINDS.items()
    }
    draw_arms(ax, arms, looks, "with a loop or gates")
    draw_gains(bx, gains)
    plots.label(bx, "gain (points), seed by seed", "", "w: at its own input, over LIF with 4 ×")
    run.figure(fig, "3_arms", look="right: which intervals keep clear of the line at 0")

    columns = ("arm", "input", "neurons", "weights", "lr", "test %", "fires %")
    title = "Neurons a layer; lr: chosen by validation; compare at the same input"
    run.table(title, columns, arm_rows(arms, KINDS))

    facts = {"n": len(data.y_test), "seeds": 1, "real": True}
    run.claim("lif_anew", "LIF, trained here", anew["LIF"] / 100, **facts)
    run.claim("adlif_anew", "adLIF, no reset, trained here", anew["adLIF, no reset"] / 100, **facts)
    seeds = len(arms["LIF"].test)
    facts |= {"n": seeds * len(data.y_test), "seeds": seeds}
    for id, step in (
        ("gain_swing", "w that follows the membrane"),
        ("gain_reset", "no reset, with w"),
        ("gain_loop", "a loop, plain LIF"),
    ):
        run.claim(id, f"gain: {step}", gains[step][0], "points", **facts)
    most = max(gains, key=lambda step: gains[step][0])
    run.outcome("worth_most", most)
    told, open_ = told_apart(gains)
    weak = only_paired(arms, STEPS)
    depth = against(arms, "adLIF, loop", ("1 layer", "3 layers"))
    mean, half = gains[most]
    slstm = ", ".join(f"{one:.0f}" for one in arms["SLSTM"].test)
    run.finding(
        f"The largest gain is {most}: {mean:+.1f} ± {half:.1f} points, {' over '.join(STEPS[most])}; "
        f"at one and the same input adLIF reads {signed(*gain(arms, 'adLIF', 'LIF'))} more than LIF. "
        f"Told apart from 0, seed by seed: {told}. "
        f"Without pairing the seeds the interval spans 0 for: {weak}. "
        f"The loop is paid for with neurons: {arms[RLEAKY_4].num_hidden} a layer, LIF {arms[LIF_4].num_hidden}. "
        f"Not told apart: {open_}. "
        f"Depth, at equal parameters and against two layers of adLIF with a loop: {depth}. "
        f"SLSTM's trainings read {slstm} %; "
        f"{arms['SLSTM'].silent} of these networks never fires any more, and guesses."
    )


# ---------------------------------------------------------------- 4  a long training


BEST_LR = 1e-2
ROUND = 6  # passes with moved images, in which the learning rate goes up and comes down once
SLOWER = 0.6  # the highest learning rate of such a round, by that of the round before


def train_long(
    data: ImageData, cfg: Config, run: Run, name: str
) -> tuple[SequenceNet, list[dict[str, float]]]:
    """Train on the images as they are, then in rounds on moved ones; validation chooses the round and its epoch."""
    kind, H = KINDS["adLIF, loop"], cfg.best_hidden
    options = {"epochs": cfg.best_epochs, "batch_size": 64, "name": name}
    net, history = train_net(kind, H, BEST_LR, cfg.seed, data, cfg, run, **options)
    options["augment"] = partial(jitter, shift=1)
    rate = BEST_LR / 2
    for first in range(0, cfg.moved_epochs, ROUND):
        number = first // ROUND
        options["epochs"] = min(ROUND, cfg.moved_epochs - first)
        options["name"] = f"{name}_moved{number + 1 if number else ''}"
        before = {key: value.clone() for key, value in net.state_dict().items()}
        rows = train_on(net, rate, cfg.seed + number, data, cfg, run, **options)
        if max(row["val"] for row in rows) <= max(row["val"] for row in history):
            net.load_state_dict(before)
        go_on(history, rows)
        rate *= SLOWER
    return net, history


def best_net(data: ImageData, cfg: Config, run: Run) -> SequenceNet:
    """adLIF with a loop: from checkpoints/, or with --train trained anew; a smoke run trains a small one.

    There are weights for 196 steps and, for --full, for 784. Matrix products of the training use 16-bit
    numbers where the processor has them: half the time.
    """
    kind, H, name = KINDS["adLIF, loop"], cfg.best_hidden, f"smnist_{cfg.num_steps}"
    path = ROOT / "checkpoints" / f"{name}.safetensors"
    if cfg.train or cfg.smoke:
        usual = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")
        net, history = train_long(data, cfg, run, name)
        torch.set_float32_matmul_precision(usual)
        run.checkpoint(net, name)
        rows = [",".join(history[0])]  # the log of the training
        rows += [",".join(f"{value:.6g}" for value in row.values()) for row in history]
        write_atomic(run.dir / f"{name}.csv", "\n".join(rows) + "\n")
        return net
    net = SequenceNet(kind, H, cfg.num_steps)
    try:
        net.load_state_dict(load_file(path))
    except (OSError, RuntimeError) as e:
        raise UserError(
            f"cannot read checkpoints/{path.name} for {cfg.num_steps} steps and {H} neurons a layer "
            f"({type(e).__name__}); run with --train"
        ) from e
    return net.to(run.device)


@torch.no_grad()
def accuracy_by_step(net: SequenceNet, data: ImageData, cfg: Config) -> np.ndarray:
    """Test accuracy if the answer were read after 1 … T steps: ``(T,)``, as a share."""
    right = torch.zeros(math.isqrt(cfg.num_steps) ** 2)
    device = next(net.parameters()).device
    for x_b, y_b in batches(data.x_test, data.y_test, 500, device=device):
        _, mem_rec = net.run(one_pixel_a_step(x_b, cfg.num_steps))  # (T, B, 10)
        last = max(1, len(mem_rec) // 14)
        summed = mem_rec.cumsum(0)
        before = F.pad(summed, (0, 0, 0, 0, last, 0))[: len(summed)]
        window = summed - before  # the sum of the last steps up to t
        right += (window.argmax(2) == y_b).sum(1).cpu()
    return (right / len(data.y_test)).numpy()


def best_log(cfg: Config, run: Run) -> np.ndarray:
    """The log of the long training, ``(passes, 5)``: epoch, loss, train, val, seconds; made here or shipped."""
    folder = run.dir if cfg.train else ROOT / "checkpoints"
    path = folder / f"smnist_{cfg.num_steps}.csv"
    return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)


def why_missed(log: np.ndarray, moved: int, accuracy: float) -> str:
    """What the log of the long training says where the target was missed.

    Args:
        moved: passes with moved images.
        accuracy: on the test images, as a share.
    """
    best = int(log[:, 3].argmax())
    train, val, test = 100 * log[best, 2], 100 * log[best, 3], 100 * accuracy
    text = (
        f"Section 4: of {len(log)} passes validation images chose number {best + 1}. In it {train:.1f} % of the training "
        f"images were read correctly; after it {val:.1f} % of the validation images and {test:.1f} % of the test images."
    )
    if val - test > 0.5:
        text += f" Validation images flatter the pass that they chose among {len(log)}."
    gap = train - test
    if gap > 1:
        asked = "images that are changed more" if moved else "more images (moved copies)"
        return f"{text} The gap of {gap:.1f} points asks for {asked}, not for more passes."
    return (
        f"{text} The two lie close together: more passes, or a larger network, are the next step."
    )


@section
def section_best(cfg: Config, run: Run) -> None:
    """4  How well can a network of spikes read, pixel by pixel?

    A long training of one of the networks of section 3: adLIF without a reset and with a loop, two
    layers of 128 neurons, all 55,000 training images eight times. It was chosen before section 3 was
    measured; whether its loop, 32,768 of its 50,826 weights, helps was not told apart there. Weights and
    log come with the course, as checkpoints/smnist_196.*; --train makes them anew. (--full reads all 784
    pixels, by smnist_784.*: the same network trained in the same way, and then for eighteen passes more, in
    which each image is moved by up to a pixel both ways, anew every time. They are three rounds of six: in
    each the learning rate comes down to 0 once.) Validation images chose the epoch that is kept; test
    images chose nothing. With --full they chose the last pass of the second round. Validation accuracy was
    97.5 % before the rounds, then 97.8 and 98.0 % at the end of the first two, and test accuracy 97.0, 97.4
    and 97.2 %, each ± 0.3: whether moved images help on test images is not told apart here.

    The network learnt to answer at the end, from the last 14 steps. In the figure the answer is read at
    every step by the same rule, from the 14 steps up to then. Half way two things are missing: the lower
    half of the digit, and any training to answer there; which costs how much was not measured, nor why
    the curve falls below chance in between.

    Sequences of different lengths are padded with zeros to share a batch. Then the last step of a short
    one is such an untrained step too: each has to be read where it ends (exercise 13d).
    """
    run.predict(
        "half_way",
        "The network answers after 196 pixels. If the same network is asked after half of them, what "
        "share of the test images does it read correctly?",
        unit="%",
    )
    data = run.data(mnist)
    net = best_net(data, cfg, run)
    encode = partial(one_pixel_a_step, num_steps=cfg.num_steps)
    accuracy = evaluate(net, data.x_test, data.y_test, encode, answer)
    by_step = accuracy_by_step(net, data, cfg)
    T, n = len(by_step), len(data.y_test)
    half_way = float(by_step[T // 2 - 1])

    digit = int(data.y_test[0])
    x = encode(data.x_test[:1].float() / 255).to(run.device)  # (T, 1, 1)
    with torch.no_grad():
        second = net.hidden(x)[1][:, 0].cpu()  # (T, H)
        mem = net.run(x)[1][:, 0].cpu().numpy()  # (T, 10)
    title = (
        f"A {digit}, pixel by pixel: {100 * accuracy:.2f} % of {n:,} test images are read correctly"
    )
    heights = (0.8, 1.6, 1.4, 1.4)
    fig, axes = plots.figure(4, 1, (10, 9.5), title, sharex=True, height_ratios=heights)
    axes[0].fill_between(range(T), x[:, 0, 0].cpu(), color=plots.BLACK, step="mid", alpha=0.7)
    plots.label(axes[0], "", "grey value", "input: the rows of the image, one after the other")
    swings = net.layers[1].by_mem.argsort().cpu()  # slow swings first
    plots.raster(axes[1], second[:, swings], width=1.2)
    said = "spikes of the second layer, slow neurons below, fast ones above"
    plots.label(axes[1], "", "neuron", said)
    for k in range(10):
        colour, width = (plots.RED, 2.5) if k == digit else ("0.6", 1)
        axes[2].plot(mem[:, k], color=colour, linewidth=width)
    axes[2].axvspan(T - max(1, T // 14), T - 1, color=plots.SKY, alpha=0.3)
    said = f"read-out: the right digit, {digit}, in thick red; blue: what counts"
    plots.label(axes[2], "", "potential", said)
    axes[3].plot(100 * by_step, color=plots.BLUE)
    axes[3].axhline(10, color="grey", linestyle=":", linewidth=1)
    axes[3].set_ylim(0, 100)
    said = "all test images, if they were asked at this step; dotted: chance"
    plots.label(axes[3], "time step (pixel)", "read correctly (%)", said)
    run.figure(
        fig,
        "4_pixel_by_pixel",
        look="the end: from which step on does the red line stay on top",
    )

    inside = operations(net, encode(data.x_test[:500].float() / 255).to(run.device))
    neurons = 2 * cfg.best_hidden
    rate = inside["spikes"] / (T * neurons)
    text = f"test images read correctly, {T} steps"
    run.claim("accuracy", text, accuracy, "1", ">= 0.975", n=n, real=True)
    run.claim("half_way", "the same network, asked half way", half_way, n=n, real=True)
    run.claim("rate", "neurons that fire in a step", rate, n=500, real=True)
    run.claim("spikes", "spikes for one image", inside["spikes"], "", n=500, real=True)
    half = 196 * math.sqrt(accuracy * (1 - accuracy) / n)  # of the 95 % interval, in points
    late = int(np.argmax(by_step >= 0.9)) + 1 if (by_step >= 0.9).any() else 0
    when = f"it gets to 90 % at step {late}" if late else "it never gets to 90 %"
    run.finding(
        f"{100 * accuracy:.2f} % of the test images are read correctly after {T} steps, one pixel each, by "
        f"{neurons} spiking neurons ({count_parameters(net):,} parameters, one training; 95 % interval of the "
        f"test set: ± {half:.1f} points). Asked half way "
        f"the same network reads {100 * half_way:.0f} %; {when}. In a step {100 * rate:.0f} % of the "
        "neurons fire.",
        main=True,
        claim="accuracy",
    )
    if any(claim.id == "accuracy" and claim.met is False for claim in run.claims):
        run.note(why_missed(best_log(cfg, run), cfg.moved_epochs, accuracy))
    p50, p95 = latency(lambda: net.run(x), run.device, repeats=5 if cfg.smoke else 20)
    run.ledger(
        model=f"adLIF with a loop, 2 × {cfg.best_hidden}",
        data=f"{data.name}, a pixel a step",
        n=n,
        accuracy=accuracy,
        num_steps=T,
        parameters=count_parameters(net),
        bytes=4 * count_parameters(net),
        latency_p50_ms=p50,
        latency_p95_ms=p95,
        energy_estimated_nj=estimated_energy_nj(inside["synops"], inside["macs"]),
        **inside,
    )


# ---------------------------------------------------------------- 5  store and recall


SYMBOLS, CUE_STEPS, ASK_STEPS, NOISE = 4, 5, 5, 0.05
FADE = 50  # the longest time constant of a neuron, in steps
DELAYS = (5, 10, 20, 40, 80, 160, 320)  # those that are tested; all but the last are trained
SHOWN = 80  # the delay of the raster
RECALL = ("LIF", "ALIF", "adLIF, no reset", "RLeaky", "adLIF, loop", "LSTM")
RECALL_RATES = (1e-2, 3e-2)


def recall_batch(delay: int, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sequences of zeros and ones ``(5 + delay + 5, B, 5)`` and the symbols that they begin with ``(B,)``.

    The line of the symbol is 1 for five steps. In the delay each of the four lines is 1 at random, with
    probability 0.05. Then the fifth line is 1 for five steps: it asks.
    """
    y = torch.randint(SYMBOLS, (batch,), generator=generator)
    x = torch.zeros(CUE_STEPS + delay + ASK_STEPS, batch, SYMBOLS + 1)
    x[:CUE_STEPS, torch.arange(batch), y] = 1
    noise = torch.rand(delay, batch, SYMBOLS, generator=generator) < NOISE
    x[CUE_STEPS : CUE_STEPS + delay, :, :SYMBOLS] = noise.float()
    x[CUE_STEPS + delay :, :, SYMBOLS] = 1
    return x, y


def when_asked(out: Out) -> Tensor:
    """The potentials of the read-out over the five steps of the question, averaged: ``(B, 4)``."""
    _, mem_rec = out
    return mem_rec[-ASK_STEPS:].mean(0)


def train_recall(name: str, lr: float, seed: int, cfg: Config, run: Run) -> SequenceNet:
    """A network that is trained on delays up to the last but one of DELAYS, short ones first; τ up to FADE."""
    longest = delays_of(cfg)[-2]
    H = width_for(KINDS[name], cfg.num_hidden, SYMBOLS + 1, SYMBOLS)
    torch.manual_seed(seed)
    net = SequenceNet(KINDS[name], H, FADE, SYMBOLS + 1, SYMBOLS)
    draw = run.generator(1000 + seed)
    net.calibrate(recall_batch(longest // 2, 64, draw)[0])
    net.to(run.device)
    optimizer = make_optimizer(net, lr, loop_rate=10.0)  # to hold a symbol, V has to grow a lot
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: warm_up(i / cfg.updates))
    for i in range(cfg.updates):
        limit = longest * min(1.0, 0.1 + 1.5 * i / cfg.updates)
        delay = round(2 * (max(limit, 3.0) / 2) ** torch.rand((), generator=draw).item())
        x, y = recall_batch(delay, 32, draw)
        loss = F.cross_entropy(when_asked(net.run(x.to(run.device))), y.to(run.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net


@torch.no_grad()
def run_cut(net: SequenceNet, x: Tensor) -> Out:
    """``net.run(x)`` in plain form, with V = 0 from the first step after the symbol."""
    spk_rec = x
    for layer in net.layers:
        spk_rec = step_by_step(layer, spk_rec, CUE_STEPS)
    mem, mem_rec = 0.0, []
    for spk in spk_rec:
        mem = 0.9 * mem + net.fc_out(spk)  # the read-out
        mem_rec.append(mem)
    return spk_rec, torch.stack(mem_rec)


@torch.no_grad()
def recall(
    net: SequenceNet,
    number: int,
    seed: int,
    cfg: Config,
    run: Run,
    cut: bool = False,
    noise: bool = True,
) -> list[float]:
    """Share of new sequences whose symbol is named correctly, for each delay."""
    draw = run.generator(seed)
    shares = []
    for delay in delays_of(cfg):
        x, y = recall_batch(delay, number, draw)
        if not noise:
            x[CUE_STEPS:-ASK_STEPS] = 0
        x = x.to(run.device)
        out = run_cut(net, x) if cut else net.run(x)
        said = when_asked(out).argmax(1).cpu()
        shares.append((said == y).float().mean().item())
    return shares


def one_recall(name: str, lr: float, seed: int, cfg: Config, run: Run) -> dict[str, Any]:
    """One training and its test: the share of symbols named, for each delay.

    RLeaky is tested again with its loop cut, and again without noise.
    """
    net = train_recall(name, lr, seed, cfg, run)
    number = 20 if cfg.smoke else 200
    shares = {"shares": recall(net, number, 100 + seed, cfg, run)}
    if name == "RLeaky":
        shares["cut"] = recall(net, number, 100 + seed, cfg, run, cut=True)
        shares["quiet"] = recall(net, number, 100 + seed, cfg, run, noise=False)
    return shares


def delays_of(cfg: Config) -> tuple[int, ...]:
    """Those that are tested."""
    return (5, 10) if cfg.smoke else DELAYS


def recall_all(points: list[tuple[str, float, int]], cfg: Config, run: Run) -> dict[Any, Any]:
    """The result of each (arm, learning rate, seed); with --resume those that are finished are taken over."""
    of, tasks, marks = {}, {}, {}
    for name, lr, seed in points:
        file = f"recall_{slug(name)}_{lr:g}_{seed}"
        of[file] = (name, lr, seed)
        tasks[file] = (name, lr, seed, cfg, run)
        marks[file] = fingerprint(
            (name, lr, seed, cfg.num_hidden, cfg.updates, cfg.smoke, FADE, DELAYS),
            code=(one_recall, recall, train_recall, recall_batch, SequenceNet),
        )
    done = sweep(run, one_recall, tasks, marks, resume=cfg.resume)
    return {of[file]: result for file, result in live(done, "   store and recall", len(tasks))}


def one_noise(run: Run) -> Tensor:
    """Four sequences ``(T, 4, 5)``, one for each symbol, all with the same noise."""
    x, _ = recall_batch(SHOWN, SYMBOLS, run.generator(7))
    x[:CUE_STEPS, :, :SYMBOLS] = torch.eye(SYMBOLS)
    x[CUE_STEPS:-ASK_STEPS] = x[CUE_STEPS:-ASK_STEPS, :1].clone()
    return x.to(run.device)


def telling(spk: Tensor) -> int:
    """Neurons that fire in the last 20 steps of the delay after one symbol, but not after every symbol."""
    late = spk[-ASK_STEPS - 20 : -ASK_STEPS].amax(0)  # (4, H): 1 if it has fired
    return int((late.amax(0) != late.amin(0)).sum())


def draw_loop(net: SequenceNet, run: Run) -> Tensor:
    """The first layer's spikes for each symbol, with its loop and without.

    Returns its spikes a step in the delay: (4,), a value for each symbol, with the loop.
    """
    layer, x = net.layers[0], one_noise(run)
    whole, cut = step_by_step(layer, x), step_by_step(layer, x, CUE_STEPS)  # (T, 4, H)
    often = whole[CUE_STEPS:-ASK_STEPS].mean(0)
    order = (10 * often.argmax(0) - often.amax(0)).argsort().cpu()  # by the symbol they fire for
    title = (
        f"In the delay's last 20 steps {telling(whole)} of {whole.shape[2]} neurons of layer 1 fire for some symbols only;\n"
        f"with V = 0 as soon as the symbol is over, {telling(cut)} do (RLeaky, one training, one noise)"
    )
    fig, axes = plots.figure(2, SYMBOLS, (12, 4.8), title, sharex=True, sharey=True)
    for row, spk, who in zip(axes, (whole, cut), ("with its loop", "V = 0"), strict=True):
        for k, ax in enumerate(row):
            plots.raster(ax, spk[:, k, order].cpu(), width=1.2)
            end = len(spk)
            ax.axvspan(0, CUE_STEPS, color=plots.ORANGE, alpha=0.2)
            ax.axvspan(end - ASK_STEPS, end, color=plots.SKY, alpha=0.3)
            rate = spk[CUE_STEPS:-ASK_STEPS, k].sum(1).mean()
            plots.label(ax, "", "", f"symbol {k + 1}: {rate:.1f} spikes a step")
        row[0].set_ylabel(f"neuron ({who})")
    for ax in axes[1]:
        ax.set_xlabel("time step")
    run.figure(
        fig,
        "5_loop",
        look=f"after the orange band: which neurons go on firing for {SHOWN} steps, for which symbol few",
    )
    return often.sum(1).cpu()


@section
def section_recall(cfg: Config, run: Run) -> None:
    """5  What is a loop for?

    A digit goes on to its last row, so section 3 says little about *holding* something that is over. Store
    and recall (Bellec et al. 2018) is nothing else. One of four input lines fires for 5 steps; that is the
    symbol. Then comes the delay, in which all four lines fire at random (5 % of the steps). Then a fifth
    line asks, for 5 steps, and the network has to name the symbol.

    Membranes fade with time constants of 5 to 50 steps here, and so do a and w. After 160 steps the
    slowest of them has kept e^(−160/50) = 4 % of the symbol, and has added up the noise of the delay. A
    loop can do what no leak can: neurons that excite one another go on firing, and each spike makes up
    for what the leak has taken. Such a pattern of spikes has no time constant. It stands for one of a few
    symbols, and noise that is too weak to push it into another pattern leaves no trace. One of the symbols
    may be held by hardly any spikes: "none of the other patterns" is a state, too.

    A network may fail at a long delay because its memory has faded, because it was never trained on
    delays so long, or because it was not trained enough. So all are trained with delays of 2 to 160 steps
    (the logarithm is uniform: most are short, and the long ones come later in training). Up to 160 steps
    the second cause is excluded, the third is not; only 320 steps are new to all.

    That RLeaky's loop holds the symbol is a guess so far: training might find another way. The test
    needs no training. In the trained network V is set to 0 from the first step after the symbol
    (run_cut). If the loop holds the symbol, naming falls to chance. It may fall sooner than in LIF, which
    was trained without a loop and had to use its leak; this network was trained with one, and nothing
    made it use its leak. And without the noise of the delay, what holds the symbol has to do so alone.

    Equal are parameters and updates. V learns at 10 times the rate of the other weights (section 3: 0.3
    times), so that it can grow large. Each arm has the better of two learning rates, 0.01 and 0.03 (the
    edge of what was tried), by its mean over all delays, with a seed that is not counted below. ALIF with
    a loop, which Bellec et al. use, is not among the arms.
    Each training is tested with 200 sequences of each delay; one that guesses reads 19 to 31 %, 19 times in 20.
    """
    run.predict(
        "recall_loop",
        "RLeaky's membranes keep at most 50 steps, and it has never seen a delay beyond 160. Asked after "
        "320 steps of noise, what share of the symbols does it name correctly? (Chance: 25 %)",
        unit="%",
    )
    delays = delays_of(cfg)
    tried = recall_all([(name, lr, cfg.seed) for name in RECALL for lr in RECALL_RATES], cfg, run)
    best = {}
    for name in RECALL:
        best[name] = max(RECALL_RATES, key=lambda lr: np.mean(tried[name, lr, cfg.seed]["shares"]))
    seeds = range(cfg.seed + 1, cfg.seed + 1 + cfg.seeds)
    found = recall_all([(name, best[name], seed) for name in RECALL for seed in seeds], cfg, run)
    share: dict[str, np.ndarray] = {}  # (seeds, delays) each
    for name, lr in best.items():
        share[name] = np.array([found[name, lr, seed]["shares"] for seed in seeds])
    loops = [found["RLeaky", best["RLeaky"], seed] for seed in seeds]
    cut = np.array([one["cut"] for one in loops])
    quiet = np.array([one["quiet"] for one in loops])
    rows = []
    for name, shares in (share | {"RLeaky, V = 0": cut, "RLeaky, no noise": quiet}).items():
        rows.append(
            (name, best.get(name, best["RLeaky"]), *(f"{100 * s:.0f}" for s in shares.mean(0)))
        )
    columns = ("delay (steps)", "lr", *map(str, delays))
    run.table(f"Named correctly (%), mean of {cfg.seeds} trainings", columns, rows)
    spikes = draw_loop(train_recall("RLeaky", best["RLeaky"], seeds[0], cfg, run), run)
    at = {name: named(s[:, -2]) for name, s in share.items()}  # the longest delay that is trained
    at_cut = named(cut[:, -2])

    title = (
        f"After {delays[-2]} steps RLeaky names {at['RLeaky']} of the symbols,\n"
        f"LIF {at['LIF']}; with V = 0 RLeaky names {at_cut}"
    )
    fig, (ax, bx) = plots.figure(1, 2, (12.5, 4.9), title, sharey=True, width_ratios=(1.5, 1))
    plots.curves(ax, delays, {name: 100 * s for name, s in share.items()})
    ax.lines[RECALL.index("RLeaky")].set(linestyle="-", linewidth=4)
    controls = {"as trained": share["RLeaky"], "no noise in the delay": quiet, "V = 0": cut}
    plots.curves(bx, delays, {name: 100 * s for name, s in controls.items()})
    bx.lines[0].set(linewidth=6, alpha=0.4)  # another may lie on it
    for one in (ax, bx):
        look = {"color": "0.4", "linewidth": 1, "linestyle": ":"}
        one.axvline(delays[-2], **look)
        one.axhline(100 / SYMBOLS, **look)
        one.set_xscale("log")
        one.set_xticks(delays, [str(d) for d in delays])
        one.minorticks_off()
        one.legend(loc="lower left", bbox_to_anchor=(0, 0.26))
    ax.set_ylim(0, 102)
    trained = "delay (steps); trained up to the dotted line"
    plots.label(ax, trained, "named correctly (%)", "dotted below: chance; bands: the seeds")
    plots.label(bx, trained, "", "the trained RLeaky, tested in three ways")
    run.figure(
        fig, "5_recall", look="which curves are still high at 160 steps; right: what V = 0 does"
    )

    facts = {"n": (20 if cfg.smoke else 200) * cfg.seeds, "seeds": cfg.seeds}
    last, held = share["RLeaky"][:, -1], cut[:, -2]
    trained_to, new = delays[-2:]
    run.claim("recall_loop", f"RLeaky: after {new} steps", last.mean(), **facts)
    run.claim("recall_cut", f"the same, V = 0: after {trained_to}", held.mean(), **facts)
    for name in ("LIF", "ALIF", "adLIF, no reset"):
        id = "recall_" + name.split(",")[0].lower()
        run.claim(id, f"{name}: after {trained_to} steps", share[name][:, -2].mean(), **facts)
    whole = share["RLeaky"][:, -2]
    lost = whole.min() - held.max()
    holder = "It is the loop that holds the symbol" if lost > 0.3 else "The loop is not all of it"
    alive = ": nothing outside keeps it up." if quiet[:, -1].min() > 0.5 else "."
    mid = min(2, len(delays) - 2)  # 20 steps
    early, lif = cut[:, mid], share["LIF"][:, mid]
    sooner = ""
    if early.mean() < lif.mean() - 0.05:
        sooner = (
            f" Without V they forget sooner than LIF, which never had a loop ({named(early)} and {named(lif)} "
            f"after {delays[mid]} steps), likely because they were trained with V, not to use their leak."
        )
    low, second = spikes.sort().values[:2].tolist()
    how = "near silence" if low < second / 2 else "the fewest spikes"
    run.finding(
        f"After {trained_to} steps, a delay that all were trained on, "
        f"RLeaky names {at['RLeaky']} of the symbols, "
        f"without a loop adLIF {at['adLIF, no reset']}, "
        f"LIF {at['LIF']} "
        f"(chance {100 / SYMBOLS:.0f} %; in brackets, here and below, "
        f"the lowest and the highest of {cfg.seeds} trainings). "
        f"After {new} steps, which are new to all, RLeaky names {named(last)}. "
        f"{holder}: with V = 0 from the first step after it, "
        f"the same networks name {at_cut} after {trained_to} steps.{sooner} "
        f"In the figure symbol {int(spikes.argmin()) + 1} is held by {how}: {low:.1f} spikes a step in layer 1, "
        f"the next one up {second:.1f}. "
        f"Without noise they name {named(quiet[:, -1])} after {new}{alive}"
    )


# ---------------------------------------------------------------- 6  the way back


def arctan(x: Tensor) -> Tensor:
    """snnTorch's default surrogate: it falls with the square of the distance, and is never 0."""
    return 1 / (1 + (math.pi * x) ** 2)


def arctan_cut(x: Tensor) -> Tensor:
    """The same without its tail: 0 further than one θ from the threshold."""
    return arctan(x) * (x.abs() < 1)


@dataclass
class Lag:
    """One curve of section 6: a layer, its surrogate, and how V or the gates begin."""

    kind: Kind
    surrogate: Callable[[Tensor], Tensor] = triangle
    default: bool = False
    """as snn.RLeaky or nn.LSTM begins; else as in sections 3 and 5: V scaled, the reset's gradient; b_f = ln u"""


LOOP, LSTM = Kind(loop=True, layers=1), Kind(gates="LSTM", layers=1)
LAGS = {
    "LIF": Lag(Kind(reset=0.0, layers=1)),
    "adLIF": Lag(Kind("membrane", reset=0.0, layers=1)),
    "RLeaky, arctan": Lag(LOOP, arctan, default=True),
    "RLeaky, arctan cut": Lag(LOOP, arctan_cut, default=True),
    "RLeaky, triangle": Lag(LOOP, default=True),
    "RLeaky of sections 3 and 5": Lag(LOOP),
    "LSTM, PyTorch's biases": Lag(LSTM, default=True),
    "LSTM, b_f = ln u": Lag(LSTM),
}
ARCTAN, CUT, TRIANGLE = "RLeaky, arctan", "RLeaky, arctan cut", "RLeaky, triangle"
SCALED = "RLeaky of sections 3 and 5"
LSTM_DEFAULT = "LSTM, PyTorch's biases"
LAG_TAU = 50.0  # of all membranes in this section


def gradient_by_lag(lag: Lag, T: int, seed: int) -> tuple[np.ndarray, list[float]]:
    """‖∂L/∂I[T − n]‖ over ‖∂L/∂I[T]‖ for n = 0 … T − 1, and the radius of the disc of equation (5).

    The radius is given with the σ′ of single steps, and with their mean over the steps (0 without a loop).
    L = Σ w·S[T], with random w; the layer is not trained, and its input current is noise.
    """
    H, B = 64, 16
    torch.manual_seed(seed)
    layer = SequenceNet(lag.kind, H, T, num_inputs=H).layers[0]
    cur = (0.05 + 0.25 * torch.randn(T, B, H)).requires_grad_()
    variance, radii = 0.0, [0.0, 0.0]  # of H entries of V
    if lag.kind.gates:
        if lag.default:
            layer.lstm.reset_parameters()
        out, _ = layer.lstm(cur)
    else:
        beta = math.exp(-1 / LAG_TAU)
        a = replace(layer.adaptation(), beta=beta)
        if lag.kind.second:
            a = replace(a, decay=beta, by_mem=2 * beta * (1 - math.cos(2 * math.pi / 40)))
        V = None
        if lag.kind.loop:
            V = nn.Linear(H, H).weight if lag.default else (1 - beta) * layer.V
            variance = 1 / 3 if lag.default else (1 - beta) ** 2
        along = lag.kind.loop and not lag.default
        out, x = unroll_adaptive(cur, a, V, surrogate=lag.surrogate, reset_grad=along)
        slope = lag.surrogate(x.detach())  # σ′: (T, B, H)
        radii = [math.sqrt(variance * s.square().mean()) for s in (slope, slope.mean(0))]
    (out[-1] * torch.randn(B, H)).sum().backward()
    norms = cur.grad.norm(dim=(1, 2)).flip(0).numpy()  # lag 0 first
    return norms / max(norms[0], 1e-30), radii


@section
def section_lags(cfg: Config, run: Run) -> None:
    """6  How far back does an error reach?

    A memory that training cannot reach is of no use. Back through a membrane without a loop an error
    keeps the share β a step, as lesson 09 has shown: δ[t−n] = βⁿ·δ[t]. In adLIF the pair of errors of
    U and w turns as the pair (U, w) does, and shrinks by r. With a loop every step back multiplies by

        J = β·1 + diag(σ′)·V,  transposed

    (the reset counts as a constant, as in snnTorch). The entries of snn.RLeaky's V have variance 1/(3H), and
    the eigenvalues of diag(σ′)·V then fill a disc of radius √(mean of σ′² / 3) around 0 (the circular law;
    the σ′ are taken as independent). So J's largest eigenvalue is about

        β + √(mean of σ′² / 3)                                                                    (5)

    That is one step. V is the same at each step, σ′ is not: its mean over the steps multiplies up along
    the same directions; what changes from step to step adds up as a random walk does, and counts little.
    So for the growth over many steps σ′ is averaged over the steps before (5) is used.

    With β = 0.98 an error keeps its size only if the disc's radius is at most 0.02. The surrogate decides,
    by its height and shape near θ, or by its *tail*: arctan is 1 at θ, and 0.09 one θ away. So it is
    compared with itself without the tail (0 beyond one θ), and with the triangle: no tail, half the height.

    The fourth curve is RLeaky as sections 3 and 5 start it: the triangle; V an orthogonal matrix times
    1 − β, so that a spike's effect on U, summed over time, is about 1; and the reset's gradient taken
    along, J = β·1 + diag(σ′)·(V − θ·1), transposed: near θ the reset shrinks the error, too.

    No layer is trained; the input is noise of mean 0.05 and standard deviation 0.25 at each neuron. With
    weaker noise σ′ is smaller, and by (5) an error grows less.
    An LSTM's cell hands on the share f a step. PyTorch's biases make f about ½. Biases b_f = ln u, with u
    spread from 1 to T, make f = u/(1 + u): time constants of up to T steps (Tallec & Ollivier 2018).
    Section 3 starts LSTM and SLSTM so.
    """
    run.predict(
        "lag_default",
        "RLeaky as snnTorch makes it (arctan, τ = 50): by how many powers of ten does an error grow (+) or "
        "shrink (−) on its way 150 steps back?",
    )
    T = 20 if cfg.smoke else 151
    norms, discs = {}, {}
    for name, lag in LAGS.items():
        found = [gradient_by_lag(lag, T, cfg.seed + i) for i in range(cfg.seeds)]
        norms[name] = np.stack([np.maximum(curve, 1e-30) for curve, _ in found])  # (seeds, T)
        discs[name] = np.mean([radii for _, radii in found], axis=0)  # of a step, of the mean
    tens = {name: float(np.log10(curve[:, -1]).mean()) for name, curve in norms.items()}

    beta = math.exp(-1 / LAG_TAU)
    by_5 = {name: (T - 1) * np.log10(beta + discs[name]) for name in (ARCTAN, TRIANGLE)}
    high, low, ours = tens[ARCTAN], tens[TRIANGLE], tens[SCALED]
    title = (
        f"{T - 1} steps back in noise, an error of snn.RLeaky as it begins is multiplied by\n"
        f"$\\mathbf{{10^{{{high:.1f}}}}}$ with arctan, "
        f"$\\mathbf{{10^{{{low:.1f}}}}}$ with the triangle; "
        f"as sections 3 and 5 start it, by $\\mathbf{{10^{{{ours:.1f}}}}}$"
    )
    fig, (ax, bx) = plots.figure(1, 2, (12.5, 5), title, sharey=True)
    looped = {name: curve for name, curve in norms.items() if LAGS[name].kind.loop}
    others = {name: curve for name, curve in norms.items() if name not in looped}
    plots.curves(ax, range(T), others)
    plots.curves(bx, range(T), looped)
    for name in (ARCTAN, TRIANGLE):
        line = 10 ** np.linspace(0, by_5[name][1], T)
        said = "the two by (5), mean σ′" if name == ARCTAN else None
        bx.plot(range(T), line, color="black", linewidth=0.8, label=said)
    for one in (ax, bx):
        plots.plt.setp(one.lines, markevery=16)
        one.set_yscale("log")
        one.set_ylim(1e-9, 1e9)
        one.legend(loc="lower left" if one is bx else "upper right")
    plots.label(
        ax, "steps back n", "error at step T − n (1: at T)", "leaks and gates; bands: the seeds"
    )
    plots.label(bx, "steps back n", "", "RLeaky, before training")
    run.figure(fig, "6_lags", look="which lines rise, and which fall within a few steps")

    constant = -(T - 1) / (math.log(10) * tens["LIF"])
    for id, text, power in (
        ("lag_default", "RLeaky, arctan: error grows by", tens[ARCTAN]),
        ("lag_predicted", "the same by (5), mean σ′", by_5[ARCTAN][1]),
        ("lag_cut", "RLeaky, arctan without its tail", tens[CUT]),
        ("lag_triangle", "RLeaky, triangle", tens[TRIANGLE]),
        ("lag_triangle_predicted", "the same by (5), mean σ′", by_5[TRIANGLE][1]),
    ):
        run.claim(id, text, round(float(power), 2), "powers of ten", seeds=cfg.seeds)
    target = f"{0.98 * LAG_TAU:g}..{1.02 * LAG_TAU:g}"
    text = f"LIF, τ = {LAG_TAU:g}: fades with"
    run.claim("lag_constant", text, constant, "steps", target)
    soon = min(20, T - 1)
    left = float(np.log10(norms[LSTM_DEFAULT][:, soon]).mean())
    of_single, of_mean = by_5[ARCTAN]
    run.finding(
        f"On its way {T - 1} steps back an error of RLeaky, "
        f"as snnTorch starts it and driven by noise, is multiplied by 10^{high:.1f} "
        f"(by (5): 10^{of_mean:.1f} with σ′ averaged over the steps, "
        f"10^{of_single:.1f} with σ′ of single steps), "
        f"with the triangle by 10^{low:.1f} (by (5): 10^{by_5[TRIANGLE][1]:.1f}). "
        f"Of the {high - low:.1f} powers of ten between them "
        f"arctan's tail makes {high - tens[CUT]:.1f}, height and shape near θ the rest. "
        f"As sections 3 and 5 start RLeaky, it is 10^{ours:.1f}, "
        f"in LIF 10^{tens['LIF']:.1f}, "
        f"in an LSTM 10^{tens['LSTM, b_f = ln u']:.1f} with b_f = ln u; "
        f"with PyTorch's biases 10^{left:.1f} is left after {soon} steps already. "
        "The lesson's question, answered in a sentence: "
        "a membrane, an a or a w remembers for a few of its time constants, be they short or long, "
        "a loop as long as what it holds outlives the noise, "
        "a gate as long as it has learnt to. Before training an error comes back at about its size "
        "only if one step multiplies it by about 1; how much training minds that was not measured, "
        f"and section 5 learns from a start at 10^{ours:.1f}."
    )


def main(cfg: Config, run: Run) -> None:
    section_neuron(cfg, run)
    section_layers(cfg, run)
    section_digits(cfg, run)
    section_best(cfg, run)
    section_recall(cfg, run)
    section_lags(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
