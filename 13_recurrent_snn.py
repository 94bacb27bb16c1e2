"""Lesson 13 — Recurrent spiking networks: how long can a network of spikes remember?

Question
    A digit comes in as 196 pixels, one at each time step, and the answer is due at the end. What in
    a spiking network can still know the first pixels then? And does training reach back that far?

Idea
    A LIF neuron keeps the share β = e^(−1/τ) of its potential U a step, and forgets within a few τ.
    There are three ways to a longer memory. The first is a second variable in each neuron:

        ALIF     a[t] = ρ·a[t−1] + S[t−1]        S[t] = 1 if U[t] > θ + κ·a[t] else 0             (1)
        adLIF    U[t] = r·U[t−1] − w[t−1] + I[t]              w[t] = r·w[t−1] + A·U[t]            (2)

    An ALIF neuron's spikes raise its threshold for a while. In adLIF the second variable w follows U
    itself and pulls it back, so U swings. The second way is a loop between neurons (snn.RLeaky,
    snn.RSynaptic): a matrix V brings the spikes back to their own layer. The third is gates, which
    decide from the input what a cell c keeps (LSTM; snn.SLSTM, which fires where its h is high):

        loop     U[t] = β·U[t−1] + I[t] + V·S[t−1] − θ·S[t−1]                                     (3)
        gates    c[t] = f[t]·c[t−1] + i[t]·g[t]               h[t] = o[t]·tanh(c[t])              (4)

    What the forward pass keeps, the backward pass of lesson 09 has to reach. It goes back through
    the same β, ρ, r, V and f, and a surrogate decides how much of V comes in.

Read first
    Theory     Bellec et al. 2020, on ALIF, https://www.nature.com/articles/s41467-020-17236-y
               Eshraghian et al. 2023, section V, https://arxiv.org/abs/2109.12894
               Baronig et al. 2025, why (2) swings and stays stable, https://arxiv.org/abs/2408.07517
    Practice   https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_regression_2.html

Run
    uv run 13_recurrent_snn.py --predict   asks what you expect, then measures it: start here
    uv run 13_recurrent_snn.py             a quarter of an hour on one CPU core; also --resume, --only 1
    uv run 13_recurrent_snn.py --train     trains the network of section 4 anew: ten minutes more
    uv run 13_recurrent_snn.py --full      784 steps, trained anew: hours; wants a GPU

Builds on / leads to
    01 gave β and the reset, 06 α, 09 the way back. 15 trains ALIF without a way back in time; 20
    takes the spikes out of the loop and runs all steps at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
    WIDE,
    Arm,
    count_parameters,
    draw_arms,
    draw_gains,
    interval,
    named,
    read_arms,
    told_apart,
    widest,
)
from training.clipped import ClippedAdam, warm_up
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
    best_hidden: int = bounded(128, 2, 10_000)
    """neurons of each of its two layers"""
    resume: bool = False
    """go on after the last finished epoch of a run that was stopped"""


SMOKE = {"num_steps": 16, "num_hidden": 8, "images": 64, "updates": 2, "seeds": 2}
SMOKE |= {"best_epochs": 1, "best_hidden": 8}
FULL = {"num_steps": 784, "images": 55_000, "updates": 2000}


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


def three_neurons() -> dict[str, ALIF | AdLIF]:
    """Those of section 1, at rest."""
    return {"LIF": LIF(20.0), "ALIF": ALIF(20.0, 200.0, 0.5), "adLIF": AdLIF(200.0, 40.0)}


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
    """Both potentials ``(T, 2)``, the spikes as ticks above them, cue and probe shaded."""
    ax.plot(mem[:, 0], color=plots.RED)
    ax.plot(mem[:, 1], color=plots.BLACK, linestyle="--")
    top = 1.15 * float(mem.max())
    for i, (place, colour) in enumerate(((1.15 * top, plots.RED), (top, plots.BLACK))):
        times = spk[:, i].nonzero().flatten()
        ax.plot(times, torch.full((len(times),), place), "|", color=colour, markersize=8)
    ax.axvspan(START, START + CUE, color=plots.ORANGE, alpha=0.15)
    ax.axvspan(len(mem) - PROBE, len(mem), color=plots.SKY, alpha=0.2)


@section
def section_neuron(cfg: Config, run: Run) -> None:
    """1  What does a neuron know of its past?

    A neuron remembers a cue if it answers the same question in another way because of it. So we give
    it two pasts: in one it gets a strong current, the cue, for 10 steps, in the other it does not.
    Then come 100 steps of silence, and then a probe, a current that is the same in both. If the
    spikes during the probe are the same, they do not tell of the cue. We count the steps of the probe at
    which one of the two fires and the other does not. Is that an accident of these 100 steps? To find
    out, the gap is varied from 60 to 140 steps as well.

    Three neurons are asked. Each is a few lines of Python, above. adLIF gets a weaker cue, 0.12 in place
    of 0.4, or its swing alone would go on firing:

        LIF      τ = 20 steps: in 100 steps its potential shrinks by e^(−100/20) = 0.0067
        ALIF     the same membrane; a spike raises the threshold by κ = 0.5, which fades with 200 steps
        adLIF    fades with 200 steps and swings once in 40; a spike takes nothing away

    How a swing answers, with more spikes or with fewer, sooner or later, depends on its phase when the
    probe begins.

    Is the swing of adLIF stable? One step is a matrix that acts on (U, w). Its determinant is r² and its
    trace is 2r − A. With A = 2r·(1 − cos φ) the trace is 2r·cos φ, so the eigenvalues are
    r·e^(±iφ): every step turns the pair by the angle φ = 2π/period, and shrinks it by r. That rests on
    one detail, in the line with w: it takes the *new* U (this is called symplectic Euler). With the
    old U the determinant is r² + A, and the swing grows wherever that is more than 1.
    """
    answers = ("sooner", "at the same step", "later")
    run.predict(
        "alif_answer",
        "An ALIF neuron got a cue and fired. 100 steps later, five times its membrane's τ, it gets a "
        "probe. Compared with a neuron that had no cue, its first spike of the probe comes …",
        answers,
    )
    cues = {"LIF": 0.4, "ALIF": 0.4, "adLIF": 0.12}
    fig, axes = plots.stack(4, xlabel="time step", height=1.7)
    cur = two_pasts(0.4, 0.2)
    axes[0].plot(cur[:, 0], color=plots.RED, label="with the cue")
    axes[0].plot(cur[:, 1], color=plots.BLACK, linestyle="--", label="without")
    axes[0].legend(loc="upper center", ncols=2)
    plots.label(axes[0], "", "current I", "the two pasts: a cue or none; then the same probe")
    answer, first, between = {}, {}, 0
    for ax, (name, neuron) in zip(axes[1:], three_neurons().items(), strict=True):
        mem, second, spk = record(neuron, two_pasts(cues[name], 0.2))  # (T, 2) each
        answer[name] = differing(spk)
        first[name] = spk[-PROBE:].argmax(0).tolist()
        between += int(spk[START + CUE : -PROBE].sum())
        two_traces(ax, mem, spk)
        if name == "ALIF":
            ax.plot(1 + 0.5 * second[:, 0], color=plots.RED, linewidth=1, alpha=0.6)
            ax.plot(1 + 0.5 * second[:, 1], color=plots.BLACK, linewidth=1, linestyle=":")
        who = "ALIF (thin: its threshold)" if name == "ALIF" else name
        with_cue, without = spk[-PROBE:].sum(0).int().tolist()
        said = f"{who}: {with_cue} spikes in the probe after a cue, {without} without"
        plots.label(ax, "", "potential U", f"{said}; {answer[name]} of {PROBE} steps differ")
    axes[-1].set_xlabel("time step")
    title = (
        f"{GAP} steps after a cue, the answers to the probe differ at\n"
        f"{answer['LIF']} of its {PROBE} steps in LIF, {answer['ALIF']} in ALIF, {answer['adLIF']} in adLIF"
    )
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(
        fig,
        "1_two_pasts",
        look="the blue band: do the upper ticks, with the cue, differ from the lower ones?",
    )

    gaps = range(60, 141, 10)
    tells = dict.fromkeys(answer, 0)  # at how many of the gaps the answer differs
    for gap in gaps:
        for name, neuron in three_neurons().items():
            *_, spk = record(neuron, two_pasts(cues[name], 0.2, gap))
            tells[name] += differing(spk) > 0
    for name, steps in answer.items():
        run.claim(f"{name.lower()}_differs", f"{name}: steps that differ, of {PROBE}", steps, "")
    later = first["ALIF"][0] - first["ALIF"][1]
    run.claim("alif_later", "ALIF: first spike of the probe later by", later, "steps")
    run.outcome("alif_answer", answers[1 + (later > 0) - (later < 0)])
    said = [f"{tells[name]} in {name}" for name in ("ALIF", "adLIF", "LIF")]
    run.finding(
        f"{GAP} steps after the cue, the answers to the probe differ at {answer['ALIF']} of its {PROBE} steps "
        f"in ALIF, at {answer['adLIF']} in adLIF and at {answer['LIF']} in LIF. Of {len(gaps)} gaps, from "
        f"{gaps[0]} to {gaps[-1]} steps, they differ after {', '.join(said)}. In the silence there were "
        f"{between} spikes: the memory is a state, not activity."
    )


# ---------------------------------------------------------------- 2  the layers


WIDTH = 32  # neurons of the layers of this section
PAST, SAME = 10, 60  # steps with different input, then steps with the same


def run_leaky(x: Tensor) -> Tensor:
    """``(T, B, WIDTH)`` → the potentials at each step, ``(T, B, WIDTH)``; so do the others below."""
    layer = snn.Leaky(beta=0.9)
    mem = layer.init_leaky()
    mem_rec = []
    for x_t in x:
        spk, mem = layer(x_t, mem)
        mem_rec.append(mem)
    return torch.stack(mem_rec)


def run_rleaky(x: Tensor) -> Tensor:
    """The same, and the spikes come back through V."""
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
    "adLIF": (run_adlif, WIDTH),
}
CARRIES = {  # layers of the table: what a neuron keeps, and what comes back to the layer
    "LIF": ("U", "nothing"),
    "adLIF": ("U, w", "nothing"),
    "RLeaky": ("U, S", "spikes"),
    "RSynaptic": ("U, i, S", "spikes"),
    "adLIF, loop": ("U, w, S", "spikes"),
    "SLSTM": ("c, h", "numbers"),
    "LSTM": ("c, h", "numbers"),
}


@section
def section_layers(cfg: Config, run: Run) -> None:
    """2  What do the layers carry from step to step?

    The layers of this lesson differ in what they take from one step to the next:

        LIF         U[t] = β·U[t−1] + I[t] − θ·S[t−1]                       S[t] = 1 if U[t] > θ else 0
        RLeaky      U[t] = β·U[t−1] + I[t] + V·S[t−1] − θ·S[t−1]            the loop V
        RSynaptic   i[t] = α·i[t−1] + I[t] + V·S[t−1]                       a current that fades by α
                    U[t] = β·U[t−1] + i[t] − θ·S[t−1]
        ALIF        as LIF or RLeaky, with the threshold θ + κ·a[t]         equation (1)
        adLIF       U[t] = r·U[t−1] − w[t−1] + I[t] (+ V·S[t−1])            equation (2)
        LSTM        c[t] = f[t]·c[t−1] + i[t]·g[t],  h[t] = o[t]·tanh(c[t]) gates f, i, o and g:
                                                                            from x[t] and h[t−1]
        SLSTM       the same; its output is S[t] = 1 if h[t] > θ else 0     inside, h stays a number

    A loop has H² weights, and what comes back through it are spikes: additions. The gates of an LSTM
    or SLSTM have 8·H² weights (with H inputs), and what comes back is the number h: multiplications.
    That is what an SLSTM costs more than RLeaky: it spikes to the outside only, and a chip that knows
    LIF neurons cannot run its inside. What it has in return is a memory whose length is learnt.

    The functions above step each layer through a sequence, as you would. Each begins at rest, with
    init_…: a layer that keeps its own state (init_hidden=True) and is not reset carries one sequence
    over into the next, and then an answer depends on what was asked before (exercise 13c).

    None is trained; β is 0.9 and α 0.8, all else is the libraries' default. adLIF is given τ = 200, so
    what it keeps is known beforehand, up to its phase, for U is compared and w is not. Two pasts of 10
    steps are followed by the same input: how long do the states differ? Each spike that only one of the
    two fires sets them apart again, and a random V passes it on; whether such a difference could be read
    out is not asked here. snn.SLSTM is tried twice, with 32 inputs and with one.
    """
    options = list(LAYERS)
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
    first = min(after, key=lambda name: after[name])
    lasts = max(left, key=lambda name: left[name][-1])
    end = {name: f"{100 * curve[-1]:.2g} %" for name, curve in left.items()}
    title = (
        f"{first} forgets first: {100 * after[first]:.2g} % is left after one step.\n"
        f"After {SAME}: snn.Leaky {end['snn.Leaky']}, snn.RLeaky {end['snn.RLeaky']}, "
        f"snn.RSynaptic {end['snn.RSynaptic']}, adLIF {end['adLIF']}"
    )
    fig, ax = plots.figure(1, 1, (9.5, 5), title)
    shown = {name: np.maximum(curve, 1e-6) for name, curve in left.items()}
    plots.curves(ax, range(SAME + 1), shown)
    plots.plt.setp(ax.lines, markevery=9)
    ax.set_yscale("log")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 0.08))
    plots.label(
        ax, "steps with the same input", "distance of two pasts (1: at first; 10⁻⁶: or less)"
    )
    run.figure(fig, "2_layers", look="which layers keep more than snn.Leaky, which has no loop")

    rows = []
    for name, (state, back) in CARRIES.items():
        net = SequenceNet(replace(KINDS[name], layers=1), 64, 10, num_inputs=64)
        rows.append((name, f"{count_parameters(net.layers[0]):,}", state, back))
    columns = ("layer of 64, 64 inputs", "parameters", "state of a neuron", "comes back")
    run.table("What a layer is made of, with its input's weights and SLSTM's Linear", columns, rows)

    loud = 20 * torch.randn(50, 8, WIDTH, generator=run.generator())
    slstm, silent = snn.SLSTM(WIDTH, WIDTH), 0.0
    syn, mem = slstm.init_slstm()
    for x_t in loud:
        spk, syn, mem = slstm(x_t, syn, mem)
        silent += spk.sum().item()
    draws = [100 * distance_of_pasts(run_rsynaptic, WIDTH, run)[-1] for _ in range(8)]
    run.claim("slstm_silent", "snn.SLSTM, θ = 1: its spikes", silent, "")
    run.claim("slstm_forgets", "snn.SLSTM(1, 32): after 1 step", after["snn.SLSTM(1, 32)"])
    run.claim("slstm_keeps", "snn.SLSTM(32, 32): the same", after["snn.SLSTM(32, 32)"])
    run.claim("lasts", f"{lasts}: left {SAME} steps later", float(left[lasts][-1]))
    run.outcome("forgets_first", first)
    why = ""
    if after["snn.SLSTM(1, 32)"] == 0:
        why = " (version 1.0.0 starts anew where state and input differ in shape)"
    run.finding(
        f"Of the distance between two pasts snn.SLSTM(1, 32) keeps {100 * after['snn.SLSTM(1, 32)']:.2g} % "
        f"for one step{why}, snn.SLSTM(32, 32) {100 * after['snn.SLSTM(32, 32)']:.0f} %. After {SAME} steps "
        f"adLIF has {end['adLIF']} left, where its setting τ = 200 gives e^(−{SAME}/200) = "
        f"{100 * math.exp(-SAME / 200):.0f} %; snn.RSynaptic {end['snn.RSynaptic']} ({min(draws):.0f} to "
        f"{max(draws):.0f} % in eight other draws of its weights), snn.RLeaky {end['snn.RLeaky']}, snn.Leaky "
        f"{end['snn.Leaky']} (its leak alone: 0.9^{SAME} = {100 * 0.9**SAME:.2g} %). At θ = 1 snn.SLSTM fired "
        f"{silent:.0f} times for strong input."
    )


# ---------------------------------------------------------------- 3  digits, pixel by pixel


STRONG, STRONGER = "LIF, stronger input", 4  # times the input of the other networks
KINDS = {
    "LIF": Kind(),
    STRONG: Kind(scale=STRONGER * 0.6),
    "LIF, no reset": Kind(reset=0.0),
    "ALIF": Kind("spikes"),
    "adLIF": Kind("membrane"),
    "adLIF, no reset": Kind("membrane", reset=0.0),
    "RLeaky": Kind(loop=True),
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


def make_optimizer(net: nn.Module, lr: float, loop_rate: float = 0.3) -> ClippedAdam:
    """The weights of a loop act at every step; they learn at ``loop_rate`` times the rate of the others."""
    loops = [p for name, p in net.named_parameters() if name.endswith(".V")]
    others = [p for name, p in net.named_parameters() if not name.endswith(".V")]
    groups = [{"params": others, "lr": lr}, {"params": loops, "lr": loop_rate * lr}]
    return ClippedAdam([group for group in groups if group["params"]])


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
    encode = partial(one_pixel_a_step, num_steps=cfg.num_steps)
    net.calibrate(encode(data.x_train[:256].float() / 255))
    options = {"epochs": 1, "batch_size": cfg.batch_size} | options
    history = fit(  # the training loop of lesson 09
        net,
        data,
        encode,
        run=run,
        loss_fn=answer_loss,
        predict=answer,
        seed=seed,
        optimizer=partial(make_optimizer, lr=lr),
        schedule=warm_up,
        resume=cfg.resume,
        **options,
    )
    return net, history


def few(data: ImageData, cfg: Config) -> ImageData:
    """The images of a short training: the first ``cfg.images``, and 1,000 validation images."""
    x, y = data.x_train[: cfg.images], data.y_train[: cfg.images]
    return replace(data, x_train=x, y_train=y, x_val=data.x_val[:1000], y_val=data.y_val[:1000])


def slug(name: str) -> str:
    """The name of an arm as a part of a file's name."""
    return name.replace(", ", "_").replace(" ", "_")


STEPS = {  # one change at a time: the arm with it, the arm without it
    "stronger input": (STRONG, "LIF"),
    "threshold raised by spikes": ("ALIF", "LIF"),
    "w that follows the membrane": ("adLIF", "LIF"),
    "no reset, without w": ("LIF, no reset", "LIF"),
    "no reset, with w": ("adLIF, no reset", "adLIF"),
    "a loop, with w, no reset": ("adLIF, loop", "adLIF, no reset"),
    "a loop, plain LIF": ("RLeaky", "LIF"),
}
DEPTHS = (", 1 layer", "", ", 3 layers")  # of adLIF with a loop
UPDATES = 800  # of each arm, 16 images each


def gain(arms: dict[str, Arm], better: str, than: str) -> tuple[float, float]:
    """By how many points one arm reads more than another, seed by seed: mean and half its interval."""
    return interval(np.subtract(arms[better].test, arms[than].test))


@torch.no_grad()
def step_by_step(layer: SpikingLayer, x: Tensor) -> Tensor:
    """The plain form of a layer below: ``(T, B, inputs)`` → spikes ``(T, B, H)``, the same as ``layer(x)``."""
    a = layer.adaptation()  # its constants, each a number or one for every neuron
    mem = second = syn = spk = torch.zeros(x.shape[1], len(layer.beta))  # (B, H) each
    spk_rec = []
    for x_t in x:
        cur = layer.gain * layer.fc(x_t)
        if layer.V is not None:
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

    Two layers of LIF neurons are changed one thing at a time:

        ALIF              spikes raise the threshold                     equation (1)
        adLIF             a second variable w follows the membrane       equation (2), and a reset by θ
        no reset          a spike takes nothing from the membrane
        loop              V brings the spikes back                       RLeaky is LIF with a loop

    and beside them stand RSynaptic, SLSTM and LSTM (the last two with one layer, for gates need many
    weights). An SLSTM has a Linear in front and θ = 0.1: section 2 has shown why.

    What is equal: parameters (each network is as wide as the number of the LIF network allows), images,
    updates (not seconds, which would compare code), batches, and the time constants of all
    membranes, which differ from neuron to neuron, from a tenth of the sequence to all of it. Weights
    are trained, the neurons' constants (β, ρ, κ, A) are not. Where there is a reset, its gradient is
    taken along (snnTorch leaves it out). What is not equal is the learning rate: each arm has its own,
    chosen on validation images by studies/13_arms.py, with a seed that reads no test images. V learns
    at 0.3 times that rate, because it acts at every step (section 5: 10 times); no other factor was tried.

    The input is scaled by one rule for all, before training: on 256 images the membranes' standard
    deviation is 0.6·θ as long as none fires. The rule was found with adLIF, and LIF fires rarely with
    it. So do ALIF and the loop without w, which remember through spikes: what they are worth where more
    of their neurons fire is not measured here. LIF stands there a second time, with 4 times the input: of 1, 2, 4 and 8 times the best on
    validation images (one training each). For the other arms no other scale was tried.

    step_by_step above is a layer of these networks. In multistep/sequence.py one function computes all
    steps, forward and backward, for a loop over 196 steps in Python is slow; both give the same spikes.

    Each arm is given 800 updates of 16 images (the LSNN of Bellec et al. 2018: 36,000), and may catch up
    in a longer training: an LSTM is known to read far more than 90 % then. Intervals are 95 % intervals
    over three trainings (Student's t, lesson 09), each by itself: among eight of them, the chance that
    at least one misses is about one in three.

    The trainings of all arms take half an hour, so their log comes with the course. Two of them are
    made anew here, in view: LIF, and the arm that swings and is not reset.
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
        run.print(f"   {name}, seed 1: {anew[name]:.1f} % here, {logged:.1f} % in the log")

    gains = {step: gain(arms, *pair) for step, pair in STEPS.items()}
    spiking = [name for name in arms if name != "LSTM"]
    best = max(spiking, key=lambda name: np.mean(arms[name].test))
    best_mean = np.mean(arms[best].test)
    lif_mean = np.mean(arms["LIF"].test)
    strong_mean = np.mean(arms[STRONG].test)
    title = (
        f"After {UPDATES} updates, at equal parameters: {best} reads {best_mean:.1f} % of the test images,\n"
        f"LIF {lif_mean:.1f} %, LIF with {STRONGER} times the input {strong_mean:.1f} %"
    )
    fig, (ax, bx) = plots.figure(1, 2, (12.5, 5.4), title, width_ratios=(1.6, 1))
    looks = {
        name: (*FAMILIES[k.gates or k.second], k.loop or bool(k.gates)) for name, k in KINDS.items()
    }
    draw_arms(ax, arms, looks, "with a loop or gates")
    draw_gains(bx, gains)
    run.figure(fig, "3_arms", look="right: which intervals keep clear of the line at 0")

    rows = []
    for name, arm in arms.items():
        mean, half = interval(arm.test)
        fires = "–" if name == "LSTM" else f"{100 * arm.rate:.1f}"
        read = f"{mean:.1f} ± {half:.1f}"
        if half > WIDE:
            read = ", ".join(f"{one:.0f}" for one in arm.test)
        rows.append(
            (
                name,
                str(arm.num_hidden),
                f"{arm.parameters:,}",
                f"{arm.lr:g}",
                read,
                fires,
            )
        )
    columns = ("arm", "neurons", "weights", "lr", "test %", "firing %")
    run.table("Neurons a layer, weights, the learning rate that validation chose", columns, rows)

    facts = {"n": len(data.y_test), "seeds": 1, "real": True}
    run.claim("lif_anew", "LIF, trained here", anew["LIF"] / 100, **facts)
    run.claim("adlif_anew", "adLIF, no reset, trained here", anew["adLIF, no reset"] / 100, **facts)
    seeds = len(arms["LIF"].test)
    facts |= {"n": seeds * len(data.y_test), "seeds": seeds}
    for id, step in (
        ("gain_swing", "w that follows the membrane"),
        ("gain_reset", "no reset, with w"),
        ("gain_loop", "a loop, with w, no reset"),
    ):
        run.claim(id, f"gain: {step}", gains[step][0], "points", **facts)
    fair, fair_half = gain(arms, "adLIF", STRONG)
    run.claim("gain_fair", f"adLIF over {STRONG}", fair, "points", **facts)
    most = max(gains, key=lambda step: gains[step][0])
    run.outcome("worth_most", most)
    told, open_ = told_apart({step: pair for step, pair in gains.items() if step != most})
    depth = []
    for of in DEPTHS:
        mean, half = interval(arms[f"adLIF, loop{of}"].test)
        depth.append(f"{mean:.1f} ± {half:.1f} %")
    mean, half = gains[most]
    run.finding(
        f"The largest gain of one change is {most}: {mean:+.1f} ± {half:.1f} points. That is at an input scale "
        f"found with adLIF, at which ALIF and RLeaky hardly fire, so that it says little of what these can do; over "
        f"LIF with {STRONGER} times the input adLIF gains {fair:+.1f} ± "
        f"{fair_half:.1f}. Told apart from 0 as well: {told}. Not told apart: {open_}. adLIF with a loop in "
        f"one, two and three layers reads {', '.join(depth)}."
    )


# ---------------------------------------------------------------- 4  a long training


BEST_LR = 1e-2


def best_net(data: ImageData, cfg: Config, run: Run) -> SequenceNet:
    """adLIF with a loop: from checkpoints/, or with --train trained anew; a smoke run trains a small one.

    --full trains, too, as long as no weights for its 784 steps are there. Matrix products of the training
    use 16-bit numbers where the processor has them: half the time.
    """
    kind, H, name = KINDS["adLIF, loop"], cfg.best_hidden, f"smnist_{cfg.num_steps}"
    path = ROOT / "checkpoints" / f"{name}.safetensors"
    if cfg.train or cfg.smoke or (cfg.full and not path.exists()):
        usual = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")
        options = {"epochs": cfg.best_epochs, "batch_size": 64, "name": name}
        net, history = train_net(kind, H, BEST_LR, cfg.seed, data, cfg, run, **options)
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


@section
def section_best(cfg: Config, run: Run) -> None:
    """4  How well can a network of spikes read, pixel by pixel?

    A long training of one of the networks of section 3: adLIF without a reset and with a loop, two
    layers of 128 neurons, all 55,000 training images eight times. It was chosen before section 3 was
    measured; whether its loop, 32,768 of its 50,826 weights, helps was not told apart there. The weights
    come with the course, as checkpoints/smnist_196.safetensors, with the log of their training beside
    them; --train makes them anew. Validation images chose the epoch that is kept, test images nothing.

    The network learnt to answer at the end, from the last 14 steps. What would it say if it were asked
    earlier? In the figure the answer is read at every step, by the same rule: the mean of the ten
    potentials over the 14 steps up to then. Half way two things are missing: the lower half of the
    digit, and any training to answer there. Which one costs how much, only a network trained to answer
    at step 98 would tell. Why the curve falls below chance in between is not explained here either. The
    spikes before the first ink come from the biases: the input is 0 there.

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
    run.figure(fig, "4_pixel_by_pixel", look="how late the red line leaves the others")

    inside = operations(net, encode(data.x_test[:500].float() / 255).to(run.device))
    neurons = 2 * cfg.best_hidden
    rate = inside["spikes"] / (T * neurons)
    text = f"test images read correctly, {T} steps"
    run.claim("accuracy", text, accuracy, "1", ">= 0.975", n=n, real=True)
    run.claim("half_way", "the same network, asked half way", half_way, n=n, real=True)
    run.claim("rate", "neurons that fire in a step", rate, n=500, real=True)
    run.claim("spikes", "spikes for one image", inside["spikes"], "", n=500, real=True)
    late = int(np.argmax(by_step >= 0.9)) + 1 if (by_step >= 0.9).any() else 0
    when = f"it gets to 90 % at step {late}" if late else "it never gets to 90 %"
    run.finding(
        f"{100 * accuracy:.2f} % of the test images are read correctly after {T} steps, one pixel each, by "
        f"{neurons} spiking neurons ({count_parameters(net):,} parameters, one training). Asked half way "
        f"the same network reads {100 * half_way:.0f} %; {when}. In a step {100 * rate:.0f} % of the "
        "neurons fire.",
        main=True,
        claim="accuracy",
    )
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
LONGEST = 50  # the longest delay that is trained
DELAYS = (5, 10, 20, 40, 80, 160, 320)  # those that are tested
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
    """A network that is trained on delays up to LONGEST, short ones first, log-uniform."""
    longest = 10 if cfg.smoke else LONGEST
    H = width_for(KINDS[name], cfg.num_hidden, SYMBOLS + 1, SYMBOLS)
    torch.manual_seed(seed)
    net = SequenceNet(KINDS[name], H, longest, SYMBOLS + 1, SYMBOLS)
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
def recall(
    net: SequenceNet, delays: Sequence[int], number: int, seed: int, run: Run
) -> list[float]:
    """Share of new sequences whose symbol is named correctly, for each delay."""
    draw = run.generator(seed)
    shares = []
    for delay in delays:
        x, y = recall_batch(delay, number, draw)
        named = when_asked(net.run(x.to(run.device))).argmax(1).cpu()
        shares.append((named == y).float().mean().item())
    return shares


@torch.no_grad()
def fires_while_waiting(net: SequenceNet, delay: int, run: Run) -> float:
    """Share of the neurons that fire in a step of the delay."""
    x, _ = recall_batch(delay, 20, run.generator(7))
    waiting = slice(CUE_STEPS, -ASK_STEPS)
    outputs = net.hidden(x.to(run.device))
    return float(np.mean([spk[waiting].abs().mean().item() for spk in outputs]))


def one_recall(name: str, lr: float, seed: int, cfg: Config, run: Run) -> dict[str, Any]:
    """One training and its test: the share of symbols named, for each delay, and how many neurons fire."""
    net = train_recall(name, lr, seed, cfg, run)
    delays = delays_of(cfg)
    shares = recall(net, delays, 20 if cfg.smoke else 200, 100 + seed, run)
    return {"shares": shares, "fires": fires_while_waiting(net, delays[-1], run)}


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
            (name, lr, seed, cfg.num_hidden, cfg.updates, cfg.smoke),
            code=(one_recall, train_recall, recall_batch, SequenceNet),
        )
    done = sweep(run, one_recall, tasks, marks, resume=cfg.resume)
    return {of[file]: result for file, result in live(done, "   store and recall", len(tasks))}


@section
def section_recall(cfg: Config, run: Run) -> None:
    """5  What is a loop for?

    A digit goes on to its last row, so section 3 says little about *holding* something that is over.
    Here is a task that consists of nothing else: store and recall (Bellec et al. 2018). One of four
    input lines fires for 5 steps; that is the symbol. Then comes the delay, in which all four lines
    fire at random (5 % of the steps). Then a fifth line asks, for 5 steps, and the network has to name
    the symbol.

    The networks are trained with delays of up to 50 steps and tested with up to 320. Membranes fade
    with time constants of 5 to 50 steps, and so do a and w. Without a loop nothing in a network
    lasts longer, and the noise of the delay is added up together with the symbol. A loop can do
    something that no leak can: a group of neurons that excite one another goes on firing, and each
    spike makes up for what the leak has taken. Such a state has no time constant. It holds one of a few
    values, and noise that is too weak to push it into another one leaves no trace.

    Equal are parameters and updates. V learns at 10 times the rate of the other weights (section 3: 0.3
    times), so that it can grow large; no other factor is compared here. Each arm has the better of two
    learning rates, 0.01 and 0.03 (the edge of what was tried), by its mean over all delays, with a seed
    that is not counted. ALIF's a lasts 50 steps at most here, 200 in section 1; ALIF with a loop, which
    Bellec et al. use, is not among the arms. Why adLIF gains little from its loop is open.

    Each training is tested with 200 sequences of each delay: one that guesses reads between 19 and 31 %
    in 19 cases of 20. While a network waits, its spikes are counted, of all neurons in a step.
    LIF holds nothing then, so its spikes are what the noise alone causes.
    """
    run.predict(
        "recall_loop",
        "RLeaky's membranes keep at most 50 steps, and it has never seen a delay beyond 50. Asked after "
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
    share: dict[str, np.ndarray] = {}
    neurons: dict[str, int] = {}  # of all layers
    spikes: dict[str, float] = {}  # of all of them in a step, while they wait
    for name, lr in best.items():
        mine = [found[name, lr, seed] for seed in seeds]
        share[name] = np.array([one["shares"] for one in mine])  # (seeds, delays)
        neurons[name] = KINDS[name].layers * width_for(
            KINDS[name], cfg.num_hidden, SYMBOLS + 1, SYMBOLS
        )
        spikes[name] = neurons[name] * float(np.mean([one["fires"] for one in mine]))
        by_delay = zip(delays, share[name].mean(0), strict=True)
        shown = "  ".join(f"{delay}: {100 * s:.0f}" for delay, s in by_delay)
        run.print(f"   {name:<16} rate {lr:g}   {shown}")

    last = {name: s[:, -1] for name, s in share.items()}  # (seeds,)
    mean = {name: float(s.mean()) for name, s in last.items()}
    title = (
        f"After {delays[-1]} steps RLeaky names {named(last['RLeaky'])}, LIF {named(last['LIF'])}"
    )
    fig, (ax, bx) = plots.figure(1, 2, (12.5, 4.6), title, width_ratios=(1.7, 1))
    plots.curves(ax, delays, {name: 100 * s for name, s in share.items()})
    ax.lines[RECALL.index("RLeaky")].set(linestyle="-", linewidth=4)
    ax.axvline(LONGEST, color="0.4", linewidth=1, linestyle=":")
    ax.axhline(100 / SYMBOLS, color="0.4", linewidth=1, linestyle=":")
    ax.set_xscale("log")
    ax.set_xticks(delays, [str(d) for d in delays])
    ax.minorticks_off()
    ax.set_ylim(0, 102)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 0.26))
    said = "dotted below: chance; bands: the seeds"
    plots.label(ax, "delay (steps); trained left of the dotted line", "named correctly (%)", said)
    shown = {
        f"{name}\n({neurons[name]} neurons)": n for name, n in spikes.items() if name != "LSTM"
    }
    plots.bars(bx, shown, fmt="{:.2g}")
    said = f"while waiting, delay of {delays[-1]} steps"
    plots.label(bx, "spikes of the network in a step", "", said)
    look = "which curves bend at the time constants, and which network fires most"
    run.figure(fig, "5_recall", look=look)

    facts = {"n": (20 if cfg.smoke else 200) * cfg.seeds, "seeds": cfg.seeds}
    for id, name in (
        ("recall_lif", "LIF"),
        ("recall_alif", "ALIF"),
        ("recall_adlif", "adLIF, no reset"),
        ("recall_loop", "RLeaky"),
    ):
        run.claim(id, f"{name}: after {delays[-1]} steps", mean[name], **facts)
    run.claim("waiting_loop", "RLeaky: spikes a step, waiting", spikes["RLeaky"], "", **facts)
    said = {name: named(s) for name, s in last.items()}
    run.finding(
        f"After {delays[-1]} steps RLeaky names {said['RLeaky']} of the symbols, adLIF with a loop "
        f"{said['adLIF, loop']}, the LSTM {said['LSTM']}; without a loop ALIF names {said['ALIF']}, adLIF "
        f"{said['adLIF, no reset']}, LIF {said['LIF']} (chance {100 / SYMBOLS:.0f} %). While it waits, "
        f"RLeaky sends {spikes['RLeaky']:.0f} spikes a step from {neurons['RLeaky']} neurons, LIF, which holds "
        f"nothing, {spikes['LIF']:.0f} from {neurons['LIF']}."
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
    """as snn.RLeaky or nn.LSTM begins; else V is scaled, or b_f = ln u"""


LOOP, LSTM = Kind(loop=True, layers=1), Kind(gates="LSTM", layers=1)
LAGS = {
    "LIF": Lag(Kind(reset=0.0, layers=1)),
    "adLIF": Lag(Kind("membrane", reset=0.0, layers=1)),
    "RLeaky, arctan": Lag(LOOP, arctan, default=True),
    "RLeaky, arctan cut": Lag(LOOP, arctan_cut, default=True),
    "RLeaky, triangle": Lag(LOOP, default=True),
    "RLeaky, triangle, V scaled": Lag(LOOP),
    "LSTM, PyTorch's biases": Lag(LSTM, default=True),
    "LSTM, b_f = ln u": Lag(LSTM),
}
ARCTAN, CUT, TRIANGLE = "RLeaky, arctan", "RLeaky, arctan cut", "RLeaky, triangle"
SCALED = "RLeaky, triangle, V scaled"
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
        out, x = unroll_adaptive(cur, a, V, surrogate=lag.surrogate)
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

    which is the identity's share β and a random matrix (the reset counts as a constant, as in snnTorch,
    so it is not in J). The entries of snn.RLeaky's V have variance 1/(3H), and the eigenvalues of
    diag(σ′)·V then fill a disc of radius √(mean of σ′² / 3) around 0 (the circular law; the σ′ are taken
    as independent). So J's largest eigenvalue is about

        β + √(mean of σ′² / 3)                                                                    (5)

    That is one step. Over many steps V stays and σ′ changes. The mean of σ′ pushes an error along the
    same directions at every step; its fluctuations push along others each time, and nearly cancel. So
    for the growth over many steps (5) should be used with each neuron's σ′ averaged over the steps first.

    With β = 0.98 there is room for 0.02 only. What decides is the surrogate. Is it its height and shape
    near θ, or its *tail*, which is what it lets through further away? arctan is 1 at θ, and 0.09 one θ
    away from it. Here it is compared with itself without the tail (0 beyond one θ), and with the
    triangle, which has no tail, half the height and another shape. The other way to a smaller disc is a
    smaller V: an orthogonal one times 1 − β, so that a spike's effect on U, summed over time, is about 1.

    The layers are not trained, and their input is noise: a current of mean 0.05 and standard deviation
    0.25 at each neuron. The growth belongs to that noise. With a weaker one fewer potentials come near θ,
    the mean of σ′² is smaller, and by (5) an error grows less.

    An LSTM's cell hands on the share f a step, its forget gate. PyTorch's biases make f about ½, so half
    of the error is gone after a step. Biases b_f = ln u, with u spread from 1 to T, make f = u/(1 + u):
    time constants of up to T steps (Tallec & Ollivier 2018). Section 3 starts LSTM and SLSTM so.
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

    title = (
        f"{T - 1} steps back in noise, RLeaky of snnTorch: × 10^{tens[ARCTAN]:.1f} with arctan, "
        f"× 10^{tens[TRIANGLE]:.1f} with the triangle"
    )
    fig, ax = plots.figure(1, 1, (10, 4.8), title)
    shown = {name: np.maximum(curve, 1e-12) for name, curve in norms.items()}
    plots.curves(ax, range(T), shown)
    ax.lines[-1].set(color="0.4", linestyle="-", marker="*")  # an eighth look: the cycle has seven
    plots.plt.setp(ax.lines, markevery=16)
    ax.lines[0].set(linewidth=6, alpha=0.35)  # LIF, which others follow
    beta = math.exp(-1 / LAG_TAU)
    one_step, predicted = beta + discs[ARCTAN]
    ax.plot(
        range(T),
        predicted ** np.arange(T),
        color="black",
        linewidth=0.8,
        label="arctan by (5), mean σ′",
    )
    ax.set_yscale("log")
    ax.set_ylim(1e-9, 1e9)
    ax.legend(loc="lower right", ncols=2)
    said = "before training; bands: the seeds"
    plots.label(ax, "steps back n", "error at step T − n (1: at T)", said)
    run.figure(fig, "6_lags", look="which lines rise, and which fall within a few steps")

    growth = 10 ** (tens[ARCTAN] / (T - 1))
    constant = -(T - 1) / (math.log(10) * tens["LIF"])
    for id, text, name in (
        ("lag_default", "RLeaky, arctan: error grows by", ARCTAN),
        ("lag_cut", "the same, arctan without its tail", CUT),
    ):
        run.claim(id, text, round(tens[name], 2), "powers of ten", seeds=cfg.seeds)
    run.claim(
        "lag_growth",
        "RLeaky, arctan: growth a step",
        growth,
        "times",
        seeds=cfg.seeds,
    )
    run.claim(
        "lag_predicted",
        "by (5) with mean σ′",
        predicted,
        "times",
        seeds=cfg.seeds,
    )
    target = f"{0.98 * LAG_TAU:g}..{1.02 * LAG_TAU:g}"
    text = f"LIF, τ = {LAG_TAU:g}: fades with"
    run.claim("lag_constant", text, constant, "steps", target)
    saved = tens[ARCTAN] - tens[TRIANGLE]
    soon = min(20, T - 1)
    left = float(np.log10(norms[LSTM_DEFAULT][:, soon]).mean())
    run.finding(
        f"On its way {T - 1} steps back an error of RLeaky, as snnTorch starts it and driven by noise, is multiplied by "
        f"10^{tens[ARCTAN]:.1f}; with the triangle it is 10^{tens[TRIANGLE]:.1f}, and with V scaled as well "
        f"10^{tens[SCALED]:.1f}. Of the {saved:.1f} powers of ten between the two surrogates arctan's tail "
        f"makes {tens[ARCTAN] - tens[CUT]:.1f}, height and shape near θ the rest. Arctan's growth is "
        f"{growth:.2f} a step; by (5) it is {predicted:.2f} with σ′ averaged over the steps, {one_step:.2f} "
        f"with σ′ of single steps. LIF has 10^{tens['LIF']:.1f}, an LSTM 10^{tens['LSTM, b_f = ln u']:.1f} "
        f"with b_f = ln u; with PyTorch's biases 10^{left:.1f} is left after {soon} steps already."
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
