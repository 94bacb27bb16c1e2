"""Lesson 15 — STDP and e-prop: learning with what a synapse can know

Question
    Backpropagation through time (lesson 09) stores every step and then sends errors backwards
    through all of them. A synapse in a brain, or on a chip that learns while it runs, can do nothing
    of the kind. It sees the spikes of the two neurons that it joins, as they come, and at best one
    signal from elsewhere. How much can be learnt with that?

Idea
    A *trace* is a number that jumps at an event and then fades. It remembers what happened lately
    without a list of times. S is 1 at a spike and 0 otherwise, and e^(−1/τ) is what is left of the
    trace after one step:

        x[t] = e^(−1/τ)·x[t−1] + S[t]                                                         (1)

    Spike-timing-dependent plasticity, STDP, changes a weight when one of the two neurons fires, by
    the trace of the other one. e-prop keeps a trace e in each synapse, its *eligibility*: what
    the synapse has done for the spike of this moment. A learning signal L tells neuron j whether it
    should have fired more or less:

        STDP, no goal      Δw_ji = A₊·x_i[t]·S_j[t] − A₋·y_j[t]·S_i[t]    i before, j behind  (2)
        e-prop, a goal     Δw_ji = −η·Σ_t L_j[t]·e_ji[t]                  the synapse         (3)

Read first
    Theory     Neuronal Dynamics, chapter 19, https://neuronaldynamics.epfl.ch/online/Ch19.html
               Bellec et al. 2020 (e-prop), https://www.nature.com/articles/s41467-020-17236-y
               Diehl & Cook 2015 (section 2), https://doi.org/10.3389/fncom.2015.00099
    Practice   Frenkel, e-prop in PyTorch, https://github.com/ChFrenkel/eprop-PyTorch

Run
    uv run 15_stdp_online_learning.py --predict   asks what you expect, then measures it: start here
    uv run 15_stdp_online_learning.py             ten minutes on one CPU core, six with --jobs 2
    uv run 15_stdp_online_learning.py --only 4    one section; --resume goes on after a stop
    uv run 15_stdp_online_learning.py --full      400 neurons, three passes; a CPU will do

Builds on / leads to
    09 (the gradient that e-prop wants to have), 13 (neurons that adapt). snnTorch has no STDP among
    its public layers, so it is written out here. Next: 16_ann_to_snn.py.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from common import plots
from common.claims import plain
from common.cost import estimated_energy_nj
from common.data import ImageData, batches, mnist
from common.io import live
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from multistep import saved_for_backward
from training.checkpoint import fingerprint, load_checkpoint, save_checkpoint
from training.sweep import fingerprint as mark_of
from training.sweep import sweep

import numpy as np
import torch
import torch.nn.functional as F
from numba import njit
from scipy.stats import t as student_t
from torch import Tensor, nn

NAMING = 5_000  # training images whose labels name the neurons of section 2


@dataclass
class Config(LessonConfig):
    """Sections 2 and 3 read digits, section 5 answers the cue task, section 6 sets them side by side."""

    num_steps: int = bounded(100, 1, 10_000)
    """time steps of 1 ms for which the STDP layer sees an image (T)"""
    neurons: int = bounded(100, 10, 10_000)
    """neurons of the STDP layer, and hidden neurons of the supervised network beside it"""
    train_images: int = bounded(55_000, 20, 55_000)
    """images that the STDP layer learns from"""
    epochs: int = bounded(1, 1, 100)
    """passes over them in section 3"""
    num_hidden: int = bounded(50, 2, 1000)
    """recurrent neurons in the cue task (n)"""
    wait: int = bounded(120, 15, 5000)
    """steps of 10 ms from the last cue to the end of a trial; the answer is due in the last 15"""
    iterations: int = bounded(70, 1, 10_000)
    """updates of the weights in the cue task"""
    seeds: int = bounded(3, 2, 20)
    """trainings of each arm of a comparison"""
    repeats: int = bounded(5, 2, 20)
    """layers trained in section 3, and networks whose gradients section 4 compares"""
    jobs: int = bounded(1, 1, 256)
    """trainings that run at the same time"""
    resume: bool = False
    """take over what a run that was stopped has finished"""


SMOKE = {
    "neurons": 20,
    "train_images": 60,
    "num_hidden": 8,
    "wait": 15,
    "iterations": 1,
    "seeds": 2,
    "repeats": 2,
}
FULL = {"neurons": 400, "epochs": 3, "iterations": 200, "seeds": 5}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean of a few trainings, and half the width of its 95 % interval (Student's t)."""
    n = len(values)
    half = student_t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n)
    return float(np.mean(values)), float(half)


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign for sentences: +0.61, −0.57."""
    return f"{value:+.{digits}f}".replace("-", "−")


# ---------------------------------------------------------------- 1  STDP


def stdp(
    spk_pre: Tensor,
    spk_post: Tensor,
    a_plus: float,
    a_minus: float,
    tau_plus: float,
    tau_minus: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Equation (2) for P synapses with the spikes ``spk_pre, spk_post (T, P)``, step by step.

    Returns the traces ``x_rec, y_rec`` after each step, and what each weight has gained by then,
    ``dw_rec``; ``(T, P)`` each.
    """
    x = torch.zeros_like(spk_pre[0])  # (P,), trace of the presynaptic spikes
    y = torch.zeros_like(spk_pre[0])  # trace of the postsynaptic spikes
    dw = torch.zeros_like(spk_pre[0])
    x_rec, y_rec, dw_rec = [], [], []
    for pre, post in zip(spk_pre, spk_post, strict=True):
        x = x * math.exp(-1 / tau_plus)
        y = y * math.exp(-1 / tau_minus)
        dw = dw + a_plus * x * post - a_minus * y * pre  # Δw = A₊·x·S_post − A₋·y·S_pre
        x = x + pre  # after they were read: a spike does not pair with one of the same step
        y = y + post
        x_rec.append(x)
        y_rec.append(y)
        dw_rec.append(dw)
    return torch.stack(x_rec), torch.stack(y_rec), torch.stack(dw_rec)


@njit  # compiled: each of half a million steps needs the weights that the step before has left
def one_neuron(seconds, sign, group, seed):  # type: ignore[no-untyped-def]
    """Equation (2) at 200 synapses of a LIF neuron, in steps of 1 ms; ``sign`` −1: anti-Hebbian.

    All inputs fire at 10 Hz; the first ``group`` of them fire half of their spikes together. Returns
    the mean weight of the group and of the others after each second, ``(seconds, 2)``.
    """
    np.random.seed(seed)
    eta, a_minus, fade = 0.01, 1.05, np.exp(-1 / 20)
    w = np.full(200, 0.5)
    x = np.zeros(200)
    pre = np.zeros(200)
    mem, y = 0.0, 0.0
    course = np.zeros((seconds, 2))
    for step in range(1000 * seconds):
        together = np.random.random() < 0.01  # 10 times a second half of the group fires at once
        post = mem > 15  # the neuron answers what came until the step before
        mem = 0.0 if post else mem * fade
        y *= fade
        for i in range(200):
            chance = 0.01
            if i < group:  # 0.5 % for all of them on their own, and half of the group together
                chance = 0.505 if together else 0.005
            pre[i] = np.random.random() < chance
            x[i] *= fade
            w[i] += sign * eta * (x[i] * post - a_minus * y * pre[i])  # equation (2)
            w[i] = min(1.0, max(0.0, w[i]))  # hard limits
            x[i] += pre[i]
            mem += w[i] * pre[i]
        y += post
        if step % 1000 == 999:
            course[step // 1000, 0] = w[:group].mean()
            course[step // 1000, 1] = w[group:].mean()
    return course


@section
def section_window(cfg: Config, run: Run) -> None:
    """1  How can a synapse tell a cause from a coincidence?

    A spike of the presynaptic neuron shortly *before* one of the postsynaptic neuron may have
    helped to cause it. A spike shortly *after* it cannot have. So STDP strengthens the synapse in
    the first case and weakens it in the second, the more the closer the two spikes are. With
    Δt = t_post − t_pre, one pair of spikes changes the weight by

        Δw = A₊·e^(−Δt/τ₊)   if Δt > 0          Δw = −A₋·e^(Δt/τ₋)   if Δt < 0                (4)

    This curve is the *STDP window*. To apply it to all pairs a synapse seems to need the times of
    all spikes. Two traces do as well. At a postsynaptic spike, the trace x of equation (1) is the
    sum of e^(−Δt/τ₊) over all earlier presynaptic spikes, since every term of the sum fades by the
    same factor. The trace y does the same for the other half. That is equation (2).

    Hebb's old rule, "what fires together, wires together", is often written as a product of the
    two spike counts. A product is the same whichever neuron came first, so it cannot tell a cause
    from a consequence. Order needs the sign of (4).

    If both signs of (4) are turned round, the rule is *anti-Hebbian*. It weakens what came before
    a spike, and so a neuron becomes deaf to inputs that predict its spikes. Some brains use such
    synapses to cancel signals that they can foresee.

    What does a neuron do with it? In the last figure 200 inputs, each at 10 Hz on average, drive
    one LIF neuron. The first 40, the group, fire half of their spikes together. Nobody tells the
    neuron so. All weights start at 0.5, and hard limits keep them from 0 to 1. Here τ₊ = τ₋ = 20 ms,
    and A₋ is 5 % larger than A₊, so that spikes that have nothing to do with each other weaken a
    synapse. (The window before has A₋ = 0.8·A₊, τ₊ = 20 ms and τ₋ = 30 ms, to be seen better.)
    """
    seconds = 20 if cfg.smoke else 100
    run.predict(
        "gap_hebbian",
        f"After {seconds} s of Hebbian STDP, by how much does the mean weight of the 40 inputs that "
        "fire together lie above the mean weight of the other 160 (weights go from 0 to 1)?",
    )
    a_plus, a_minus, tau_plus, tau_minus = 1.0, 0.8, 20.0, 30.0
    constants = (a_plus, a_minus, tau_plus, tau_minus)
    # One synapse, 300 steps: the presynaptic neuron fires first, then the other way round.
    spk_pre = torch.zeros(300, 1)
    spk_post = torch.zeros(300, 1)
    spk_pre[[30, 220]] = 1
    spk_post[[40, 210]] = 1
    x_rec, y_rec, dw_rec = stdp(spk_pre, spk_post, *constants)
    gain, loss = dw_rec[60, 0], dw_rec[-1, 0] - dw_rec[60, 0]
    title = f"Pre before post: Δw = {signed(gain)}·A₊. Pre after post: Δw = {signed(loss)}·A₊"
    fig, (ax, bx, cx) = plots.stack(3, title, "time (ms)")
    plots.raster(ax, torch.cat([spk_post, spk_pre], 1), width=3)
    ax.set_yticks([0, 1], ["post", "pre"])
    ax.set_title("spikes of both neurons")
    plots.curves(
        bx, range(300), {"x, of pre": x_rec[:, 0], "y, of post": y_rec[:, 0]}, markers=False
    )
    for step, trace in ((40, x_rec[39, 0]), (220, y_rec[219, 0])):
        bx.plot(step, trace, "o", color=plots.BLACK, markersize=9, mfc="none")
    bx.set_title("their traces; circle: what the other neuron's spike reads")
    cx.plot(dw_rec[:, 0], color=plots.BLACK)
    cx.axhline(0, color="0.6", linewidth=0.8)
    cx.set_title("change of the weight (1 is A₊)")
    run.figure(
        fig, "1_traces", look="which spike moves the weight, and how high the trace is by then"
    )

    # The window: 121 synapses, each with one pair of spikes. Pre fires at 60, post at 60 + Δt.
    delays = torch.arange(-60, 61)
    spk_pre = torch.zeros(121, 121)  # (T, P)
    spk_post = torch.zeros(121, 121)
    spk_pre[60] = 1
    spk_post[60 + delays, torch.arange(121)] = 1
    window = {}
    for name, sign in (("Hebbian", 1), ("anti-Hebbian", -1)):
        _, _, dw_rec = stdp(spk_pre, spk_post, sign * a_plus, sign * a_minus, tau_plus, tau_minus)
        window[name] = dw_rec[-1]  # (P,)
    window["product of counts (any size)"] = 0.5 * spk_pre.sum(0) * spk_post.sum(0)
    before = window["Hebbian"][delays == 10].item()
    after = window["Hebbian"][delays == -10].item()

    courses = {}
    for name, sign in (("Hebbian", 1), ("anti-Hebbian", -1)):
        one = [one_neuron(seconds, sign, 40, cfg.seed + i) for i in range(cfg.seeds)]
        courses[name] = np.stack(one)  # (seeds, seconds, 2)
    gaps = {name: course[:, -1, 0] - course[:, -1, 1] for name, course in courses.items()}
    gap_hebbian = gaps["Hebbian"].mean()
    gap_anti = gaps["anti-Hebbian"].mean()

    title = (
        f"Inputs that fire together: {signed(gap_hebbian)} against the others by the Hebbian rule, "
        f"{signed(gap_anti)} by its mirror image"
    )
    fig, axes = plots.figure(1, 3, (13.5, 3.8), title)
    plots.curves(axes[0], delays, window, markers=False)
    axes[0].set_ylim(-1.1, 1.9)  # room for the legend
    plots.label(axes[0], "Δt = t_post − t_pre (ms)", "Δw of one pair (1 is A₊)", "The window")
    for ax, (name, course) in zip(axes[1:], courses.items(), strict=True):
        both = {"the 40 that fire together": course[:, :, 0], "the other 160": course[:, :, 1]}
        plots.curves(ax, np.arange(1, seconds + 1), both, markers=False)
        ax.set_ylim(0, 1)
        plots.label(ax, "time (s)", "mean weight (limits: 0 and 1)", f"{name}: {cfg.seeds} neurons")
    run.figure(fig, "1_window", look="the sign on each side of 0; which of the two lines is on top")

    run.claim("before", "pre 10 ms before post: Δw", before, "of A₊")
    run.claim("after", "pre 10 ms after post: Δw", after, "of A₊")
    run.claim("gap_hebbian", "Hebbian: group − others", gap_hebbian, "", seeds=cfg.seeds)
    run.claim("gap_anti", "anti-Hebbian: group − others", gap_anti, "", seeds=cfg.seeds)
    verb = "lifts" if gap_hebbian > 0 else "does not lift"
    other = "lowers" if gap_anti < 0 else "does not lower"
    run.finding(
        f"The order decides the sign: {signed(before)}·A₊ if the presynaptic spike comes 10 ms before the "
        f"other, {signed(after)}·A₊ if it comes 10 ms after it. A neuron with the Hebbian rule {verb} "
        f"inputs that fire together above the others ({signed(gap_hebbian)}), its mirror image {other} "
        f"them ({signed(gap_anti)}); {cfg.seeds} neurons each."
    )


# ---------------------------------------------------------------- 2  a layer without labels


@njit(nogil=True)  # compiled, as above; several layers may run at a time
def present(images, w, threshold, counts, num_steps, learn, inhibit, rise, eta, seed):  # type: ignore[no-untyped-def]
    """Show ``images (M, 784)``, values 0 to 1, and count each neuron's spikes in ``counts (M, N)``.

    With ``learn``, the weights ``w (784, N)`` and the thresholds ``(N,)`` change on the way.
    """
    np.random.seed(seed)
    fade = np.float32(np.exp(-1 / 20))
    wait = np.zeros(w.shape[0], np.int64)  # steps until each pixel's next spike
    for m in range(len(images)):
        lit = np.nonzero(images[m])[0]
        for i in lit:
            wait[i] = np.random.geometric(0.2 * images[m, i])
        x = np.zeros(w.shape[0], np.float32)  # trace of each pixel's spikes
        mem = np.zeros(w.shape[1], np.float32)
        for _ in range(num_steps):
            x *= fade
            mem *= fade
            for i in lit:
                wait[i] -= 1
                if wait[i] == 0:  # a chance of 0.2 in each step if it is white, that is, 200 Hz
                    wait[i] = np.random.geometric(0.2 * images[m, i])
                    x[i] = 1
                    for j in range(w.shape[1]):
                        mem[j] += w[i, j]
            fires = mem > threshold  # (N,)
            if inhibit and fires.any():
                best = np.argmax(mem - threshold)
                fires[:] = False
                fires[best] = True  # only the neuron furthest above its threshold fires
                mem[:] = -100  # and it silences the others
            for j in np.nonzero(fires)[0]:
                counts[m, j] += 1
                mem[j] = 0
                if learn:
                    threshold[j] += rise
                    w[:, j] += eta * (x - w[:, j])  # equation (5)
                    w[:, j] *= np.float32(78.4) / w[:, j].sum()
        if learn:
            threshold *= np.float32(1 - 1 / 15_000)  # or all would fall silent in the end


class Layer(nn.Module):
    """Neurons that learn by ``present``, and the digit that each of them is named after."""

    def __init__(self, cfg: Config, seed: int, inhibit: bool = True, rise: float = 0.1) -> None:
        super().__init__()
        w = np.random.default_rng(seed).random((784, cfg.neurons)).astype(np.float32)
        w *= np.float32(78.4) / w.sum(0)  # 0.1 for each pixel, on average
        self.w = nn.Parameter(torch.from_numpy(w), requires_grad=False)  # (784, N)
        self.threshold = nn.Parameter(torch.full((cfg.neurons,), 10.0), requires_grad=False)
        self.names = torch.zeros(cfg.neurons, dtype=torch.long)  # a digit for each neuron
        self.num_steps, self.inhibit, self.rise, self.seed = cfg.num_steps, inhibit, rise, seed

    def forward(self, images: Tensor, learn: bool = False, noise: int = 0) -> Tensor:
        """Spikes of each neuron, ``(M, 1, 28, 28) → (M, N)``; ``noise`` draws other input spikes."""
        x = images.flatten(1).numpy().astype(np.float32) / 255  # (M, 784)
        counts = np.zeros((len(x), len(self.threshold)), np.int32)
        w, threshold = self.w.numpy(), self.threshold.numpy()  # the same memory
        how = (self.num_steps, learn, self.inhibit, np.float32(self.rise), np.float32(0.01))
        present(x, w, threshold, counts, *how, 1000 * self.seed + noise)
        return torch.from_numpy(counts)

    def name_neurons(self, images: Tensor, y: Tensor) -> None:
        """Name each neuron after the digit for which it fires most: the only use of labels."""
        counts = self(images, noise=998)
        mean = torch.zeros(10, counts.shape[1])
        for digit in range(10):
            if (y == digit).any():
                mean[digit] = counts[y == digit].float().mean(0)
        self.names = mean.argmax(0)

    def answer(self, images: Tensor) -> Tensor:
        """The digit whose neurons fire most, on average over them: ``(M,)``."""
        counts = self(images, noise=999).float()
        votes = torch.full((len(counts), 10), -1.0)
        for digit in self.names.unique():
            votes[:, digit] = counts[:, self.names == digit].mean(1)
        return votes.argmax(1)

    def accuracy(self, images: Tensor, y: Tensor) -> float:
        """Share of the images that are answered rightly."""
        return (self.answer(images) == y).float().mean().item()


def wall(w: Tensor, columns: int) -> np.ndarray:
    """The weights of N neurons as one picture: ``(784, N)`` → rows of ``columns`` digits."""
    rows = math.ceil(w.shape[1] / columns)
    picture = np.zeros((29 * rows, 29 * columns))
    for k in range(w.shape[1]):
        top, left = 29 * (k // columns), 29 * (k % columns)
        picture[top : top + 28, left : left + 28] = w[:, k].reshape(28, 28)
    return picture


def neurons_for(share: float, spikes: Tensor) -> int:
    """How many neurons it takes to have ``share`` of all ``spikes (N,)``, the busiest first."""
    running = spikes.sort(descending=True).values.cumsum(0) / spikes.sum().clamp(min=1)
    return min(int((running < share).sum()) + 1, len(spikes))


@section
def section_competition(cfg: Config, run: Run) -> None:
    """2  How do a hundred neurons come to learn different things?

    A neuron with STDP finds the pattern that is most frequent in its input. A layer of neurons that
    all get the same input, and apply the same rule, would find that pattern a hundred times. Two
    things keep them apart (Diehl & Cook 2015):

        inhibition             the neuron furthest above its threshold fires and silences the others
        adaptive thresholds    each spike of a neuron raises its threshold: who wins often has to
                               try harder next time

    The neurons are LIF with a time constant of 20 ms. Each pixel fires at random, up to 200 times
    a second if it is white, for T steps of 1 ms. The rule is a simple form of STDP. It acts when the
    postsynaptic neuron fires, and reads the trace x of each pixel. A spike sets this trace to 1,
    instead of adding 1, so that it stays between 0 and 1:

        Δw_i = η·x_i·(1 − w_i) − η·(1 − x_i)·w_i = η·(x_i − w_i)                              (5)

    Pixels that fired just before the winner's spike gain. Pixels that were silent lose, whether they
    fire later or not: (5) is half of (2), and the second half is a guess that what has not fired
    will come too late. There are no hard limits, since a gain shrinks as w comes near 1, and a loss
    as w comes near 0. Together: the winner's weights move towards the picture it has just seen. The
    weights of each neuron are scaled to the same sum, so that nobody wins by size.

    There is no label in any of this. When learning is over, each neuron is named after the digit for
    which it fires most; this takes the labels of the first 5,000 training images. An image is then
    answered by the digit whose neurons fire most, on average over them.

    Three layers see the first 5,000 training images once: one without inhibition, one whose
    thresholds stay at 10, where all of them start, and one with both. The answers to the 5,000
    validation images are counted.
    """
    run.predict(
        "fixed",
        "The layer has inhibition, but its thresholds are fixed. What share of the validation images "
        "does it answer rightly (guessing: 10 %)?",
        unit="%",
    )
    data = run.data(mnist)
    few = min(5_000, cfg.train_images)
    arms = {
        "no inhibition": {"inhibit": False},
        "fixed thresholds": {"rise": 0.0},
        "both": {},
    }
    tasks = [(name, cfg.seed + i) for name in arms for i in range(cfg.seeds)]

    def train(task: tuple[str, int]) -> tuple[Layer, float, Tensor]:
        """The layer, its accuracy, and the spikes of its neurons for 1,000 images, ``(N,)``."""
        name, seed = task
        layer = Layer(cfg, seed, **arms[name])
        layer(data.x_train[:few], learn=True)
        layer.name_neurons(data.x_train[:NAMING], data.y_train[:NAMING])
        right = layer.accuracy(data.x_val, data.y_val)
        return layer, right, layer(data.x_val[:1000], noise=997).sum(0)

    with ThreadPoolExecutor(cfg.jobs) as pool:
        trained = list(live(pool.map(train, tasks), "   layers", len(tasks)))
    by_arm = {name: trained[i * cfg.seeds : (i + 1) * cfg.seeds] for i, name in enumerate(arms)}
    accuracy = {name: [right for _, right, _ in rows] for name, rows in by_arm.items()}
    busy = {}
    for name, rows in by_arm.items():
        busy[name] = float(np.mean([neurons_for(0.9, spikes) for _, _, spikes in rows]))
    mean = {name: float(np.mean(values)) for name, values in accuracy.items()}

    title = "Images answered rightly: " + ", ".join(
        f"{name} {100 * value:.0f} %" for name, value in mean.items()
    )
    fig, axes = plots.figure(3, 1, (10, 5.6), title)
    for ax, (name, rows) in zip(axes, by_arm.items(), strict=True):
        layer, _, spikes = rows[0]
        w = layer.w[:, spikes.argsort(descending=True, stable=True)[:30]].numpy()
        ax.imshow(wall(w, 15), cmap="gray_r", vmin=0, vmax=np.quantile(w, 0.995))
        ax.set_axis_off()
        head = f"{name}: 90 % of the spikes come from {busy[name]:.0f} of {cfg.neurons} neurons"
        ax.set_title(f"{head} (weights of the {w.shape[1]} that fire most)")
    run.figure(fig, "2_competition", look="how many different digits each layer has found")

    facts = {"n": len(data.y_val) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    run.claim("no_inhibition", "no inhibition: validation", mean["no inhibition"], **facts)
    run.claim("fixed", "fixed thresholds: validation", mean["fixed thresholds"], **facts)
    run.claim("both", "both: validation", mean["both"], **facts)
    run.claim("busy_fixed", "fixed: neurons for 90 % of spikes", busy["fixed thresholds"], "")
    run.claim("busy_both", "both: neurons for 90 % of spikes", busy["both"], "")
    lowest = {name: 100 * min(values) for name, values in accuracy.items()}
    highest = {name: 100 * max(values) for name, values in accuracy.items()}
    ahead = lowest["both"] > max(highest["no inhibition"], highest["fixed thresholds"])
    verdict = "Each seed of it beats" if ahead else "Not each seed of it beats"
    run.finding(
        f"With inhibition and adaptive thresholds {100 * mean['both']:.1f} % of the validation images "
        f"are answered rightly after {few:,} images without labels. {verdict} all layers that lack "
        f"one of the two ({100 * mean['no inhibition']:.1f} % and {100 * mean['fixed thresholds']:.1f} "
        f"%). With fixed thresholds {busy['fixed thresholds']:.0f} of {cfg.neurons} neurons give 90 % "
        f"of the spikes, with both {busy['both']:.0f}."
    )


# ---------------------------------------------------------------- 3  more images


def stops(cfg: Config) -> list[int]:
    """After how many images the layer of section 3 is asked: at some places in the first pass, then once a pass."""
    early = [n for n in (2_500, 5_000, 10_000, 20_000, 40_000) if n < cfg.train_images]
    return early + [cfg.train_images * (k + 1) for k in range(cfg.epochs)]


def train_layer(
    cfg: Config, run: Run, data: ImageData, seed: int
) -> tuple[Layer, list[float], float]:
    """Train one layer from stop to stop, with a checkpoint at each.

    Returns it, its accuracy on validation images at each stop, and on test images at the end.
    """
    layer = Layer(cfg, seed)
    history: list[dict[str, float]] = []
    state = {"net": layer, "history": history}
    path = run.dir / f"checkpoint_stdp_{seed}.pt"
    code = mark_of(code=[present, train_layer])
    mark = fingerprint(run, layer, data, len(stops(cfg)), layer_seed=seed, code=code)
    if cfg.resume:
        load_checkpoint(path, mark, state, run)
    # Each layer sees the images in an order of its own, so that the seeds stand for that, too.
    generator = torch.Generator().manual_seed(seed)
    passes = [torch.randperm(cfg.train_images, generator=generator) for _ in range(cfg.epochs)]
    images = torch.cat(passes)
    for stop in stops(cfg)[len(history) :]:
        seen = int(history[-1]["images"]) if history else 0
        layer(data.x_train[images[seen:stop]], learn=True, noise=len(history))
        layer.name_neurons(data.x_train[:NAMING], data.y_train[:NAMING])
        history.append({"images": stop, "right": layer.accuracy(data.x_val, data.y_val)})
        save_checkpoint(path, mark, state)
        right = 100 * history[-1]["right"]
        run.print(f"   layer {seed}: {stop:7,} images, {right:.1f} % of validation")
    layer.name_neurons(data.x_train[:NAMING], data.y_train[:NAMING])  # not done yet after --resume
    validation = [row["right"] for row in history]
    return layer, validation, layer.accuracy(data.x_test, data.y_test)


@section
def section_images(cfg: Config, run: Run) -> float:
    """3  Do more images help?

    A trap first. A layer answers 86 % rightly after 10,000 images, another one 84 % after 55,000.
    Did more images do harm? Not if the first was asked for validation images and the second for test
    images: then two things differ, and which of them made the difference is not known.

    So one split for all numbers. The first 55,000 of MNIST's 60,000 training images are learnt from,
    and the first 5,000 of them name the neurons, whatever the number of images seen. The last 5,000
    are for validation: they are asked after every stop of the curve. The 10,000 test images are asked
    once, at the end, of the layers that have seen everything. No result chooses anything here.

    Five layers (--repeats) differ in their first weights, in the random input spikes and in the order
    in which the same images come.

    Can learning by (5) get worse with time? η stays as it is, so the weights never come to rest: each
    spike of a neuron replaces 1 % of what it knew by the picture before it. And a neuron has no
    reason to care for a boundary between two digits: it moves to where images are frequent.

    For comparison: Diehl & Cook report 95 % with 6,400 neurons.
    """
    most = cfg.train_images * cfg.epochs
    few = min(10_000, cfg.train_images)
    answers = ("more rightly", "fewer rightly", "the seeds do not tell")
    run.predict(
        "direction",
        f"The same layers, the same validation images: after {few:,} images, and after {most:,}. What "
        f"do {cfg.repeats} seeds say about the difference?",
        answers,
    )
    data = run.data(mnist)
    seeds = [cfg.seed + i for i in range(cfg.repeats)]
    with ThreadPoolExecutor(cfg.jobs) as pool:
        trained = list(pool.map(lambda seed: train_layer(cfg, run, data, seed), seeds))
    places = stops(cfg)
    validation = 100 * np.array([curve for _, curve, _ in trained])  # (seeds, stops)
    test = [right for _, _, right in trained]
    accuracy = float(np.mean(test))
    gain, half = interval(validation[:, -1] - validation[:, places.index(few)])
    easier, easier_half = interval(validation[:, -1] - 100 * np.array(test))
    verdict = answers[2]
    if abs(gain) > half:
        verdict = answers[0] if gain > 0 else answers[1]
    layer = trained[0][0]
    run.checkpoint(layer)

    title = f"Learnt without labels: {100 * accuracy:.1f} % of the test images right"
    fig, (ax, bx) = plots.figure(1, 2, (12.5, 5.6), title, width_ratios=(1, 1.1))
    w = layer.w[:, layer.names.argsort(stable=True)].numpy()
    picture = wall(w, math.ceil(math.sqrt(cfg.neurons)))
    ax.imshow(picture, cmap="gray_r", vmin=0, vmax=np.quantile(w, 0.995))
    ax.set_axis_off()
    ax.set_title(f"Weights of the {cfg.neurons} neurons of one layer, sorted by their names")
    plots.curves(bx, places, {"validation": validation})
    spread = ([100 * (accuracy - min(test))], [100 * (max(test) - accuracy)])
    look = {"fmt": "s", "color": plots.RED, "capsize": 4, "label": "test, at the end"}
    bx.errorbar([places[-1]], [100 * accuracy], spread, **look)
    bx.set_xscale("log")
    bx.set_xticks(places, [f"{n / 1000:g}" for n in places])
    bx.minorticks_off()
    bx.legend(loc="lower right", title=f"mean and range of {cfg.repeats} layers")
    plots.label(bx, "thousand images seen", "answered rightly (%)", "One split for all numbers")
    run.figure(fig, "3_images", look="digits that many neurons share; the end of the blue curve")

    target = ">= 0.87" if cfg.full else ">= 0.83"
    of_test = {"n": len(data.y_test) * cfg.repeats, "seeds": cfg.repeats, "real": True}
    of_val = {"n": len(data.y_val) * cfg.repeats, "seeds": cfg.repeats, "real": True}
    at_few = validation[:, places.index(few)].mean() / 100
    at_most = validation[:, -1].mean() / 100
    run.claim("stdp_accuracy", "test images right, no labels", accuracy, "1", target, **of_test)
    run.claim("stdp_few", f"validation after {few:,}", at_few, **of_val)
    run.claim("stdp_all", f"validation after {most:,}", at_most, **of_val)
    run.claim("more_images", f"{few:,} → {most:,} images", gain, "points", **of_val)
    run.claim("easier", "validation − test, same layers", easier, "points", **of_test)
    run.outcome("direction", verdict)
    sets = "which may be chance"
    if abs(easier) > easier_half:
        sets = "so a number of one set says nothing beside a number of the other"
    run.finding(
        f"{cfg.neurons} neurons that were never told a label get {100 * accuracy:.1f} % of the test "
        f"images right (labels only name the neurons afterwards). From {few:,} to {most:,} images "
        f"they gain {signed(gain, 1)} ± {half:.1f} points on the same validation images: {verdict}. "
        f"For the very same layers, validation minus test is {signed(easier, 1)} ± {easier_half:.1f} points, {sets}."
    )
    run.ledger(**layer_costs(layer, data, test[0], cfg))
    return accuracy


def layer_costs(layer: Layer, data: ImageData, accuracy: float, cfg: Config) -> dict[str, object]:
    """The ledger's row of one layer. Each input spike is added up in every neuron: N operations."""
    some = data.x_test[:500]
    inputs = 0.2 * cfg.num_steps * some.float().mean(0).sum().item() / 255  # spikes of all pixels
    spikes = inputs + layer(some, noise=996).sum().item() / len(some)
    size = layer.w.numel() + layer.threshold.numel()
    synops = inputs * cfg.neurons
    row = {"model": f"STDP layer, {cfg.neurons} neurons", "data": data.name, "accuracy": accuracy}
    row |= {"n": len(data.y_test), "num_steps": cfg.num_steps, "parameters": size}
    row |= {"bytes": 4 * size, "spikes": spikes, "synops": synops, "macs": 0}
    return row | {"energy_estimated_nj": estimated_energy_nj(synops, 0)}


# ---------------------------------------------------------------- 4  e-prop


RECALL = 15  # the last steps of a trial, in which an answer is due
STEP = 10.0  # ms in one step of sections 4 and 5
FAST = math.exp(-STEP / 20)  # β: a membrane of 20 ms
SLOW = math.exp(-STEP / 2000)  # ρ: an adaptation of 2 s


class State(NamedTuple):
    """What a network hands on from one step to the next, ``(B, n)`` each."""

    mem: Tensor
    a: Tensor
    spk: Tensor
    psi: Tensor


class AdaptiveNet(nn.Module):
    """n_in inputs → n adaptive LIF neurons with recurrent weights → n_out sums of their spikes.

    Without adaptation (``b = 0``) the neurons are LIF. ``gain`` scales the recurrent weights.
    """

    def __init__(
        self, sizes: tuple[int, int, int], generator: torch.Generator, **how: float
    ) -> None:
        """``sizes``: n_in, n and n_out. ``how``: ``b``, ``beta`` and ``gain``, where they differ from the usual."""
        super().__init__()
        n_in, n, n_out = sizes
        w_in = torch.randn(n, n_in, generator=generator) / n_in**0.5
        w_rec = torch.randn(n, n, generator=generator) / n**0.5
        w_rec.fill_diagonal_(0)  # no neuron has a synapse onto itself
        self.w_in = nn.Parameter(w_in)
        self.w_rec = nn.Parameter(how.get("gain", 1.0) * w_rec)
        self.w_out = nn.Parameter(torch.randn(n_out, n, generator=generator) / n**0.5)
        random = torch.randn(n_out, n, generator=generator) / n**0.5
        self.register_buffer("random_feedback", random)
        self.b = how.get("b", 0.1)  # rise of the threshold after a spike
        self.beta = how.get("beta", FAST)  # what is left of the potential after a step
        self.rho, self.threshold = SLOW, 0.6

    def rest(self, batch: int) -> State:
        """The state before the first step."""
        zero = self.w_in.new_zeros(batch, len(self.w_in))
        return State(zero, zero, zero, zero)

    def forward(self, x_t: Tensor, state: State, cut: bool = False) -> tuple[Tensor, State]:
        """One step, equation (6): ``x_t (B, n_in)`` → read-out ``(B, n_out)`` and the new state.

        ``cut``: autograd does not follow spikes to other neurons, the path that e-prop leaves out.
        """
        mem, a, spk, _ = state
        heard = spk.detach() if cut else spk
        cur = x_t @ self.w_in.T + heard @ self.w_rec.T  # (B, n)
        mem = (
            self.beta * mem + cur - self.threshold * spk.detach()
        )  # the reset is detached: lesson 09
        a = self.rho * a + spk
        distance = (mem - self.threshold - self.b * a) / self.threshold
        psi = 0.5 * (1 - distance.detach().abs()).clamp(min=0)  # surrogate ∂S/∂U: a triangle
        spk = (distance > 0).to(mem.dtype)
        spk = spk + self.threshold * psi * (
            distance - distance.detach()
        )  # adds 0, and ψ to autograd
        return spk @ self.w_out.T, State(mem, a, spk, psi)


class EProp:
    """Runs a network forward with the traces of its synapses beside it. No step is stored.

    The synapses of neuron j come from the n_in inputs and then from the n neurons: m = n_in + n.
    """

    def __init__(self, net: AdaptiveNet, batch: int, feedback: Tensor) -> None:
        n, n_in = net.w_in.shape
        zeros = net.w_in.new_zeros
        self.net, self.feedback, self.state = net, feedback, net.rest(batch)
        self.pre = zeros(batch, n_in + n)  # x̄: one number for each presynaptic neuron
        self.slow = zeros(batch, n, n_in + n if net.b else 1)  # ε: one for each synapse
        self.grad = zeros(n, n_in + n)
        self.grad_out = torch.zeros_like(net.w_out)

    @torch.no_grad()
    def step(self, x_t: Tensor) -> Tensor:
        """One step of the network and its traces, equations (6) and (8); returns the read-out ``(B, n_out)``."""
        net, psi = self.net, self.state.psi[..., None]  # (B, n, 1)
        if net.b:  # ε[t] = ρ·ε[t−1] + ψ[t−1]·(x̄[t−1] − b·ε[t−1]), in place
            self.slow.mul_(net.rho - net.b * psi).addcmul_(psi, self.pre[:, None])
        arriving = torch.cat((x_t, self.state.spk), 1)  # (B, m)
        self.pre = net.beta * self.pre + arriving  # x̄[t] = β·x̄[t−1] + S_i
        out, self.state = net(x_t, self.state)
        return out

    def eligibility(self) -> Tensor:
        """e[t] = ψ[t]·(x̄[t] − b·ε[t]), ``(B, n, m)``."""
        through = self.pre[:, None] - self.net.b * self.slow if self.net.b else self.pre[:, None]
        return self.state.psi[..., None] * through

    @torch.no_grad()
    def learn(self, error: Tensor) -> None:
        """Add Σ L_j·e_ji of this step to the gradient; ``error (B, n_out)`` is π − π* at the read-outs."""
        signal = error @ self.feedback  # L_j = Σ_k W_out,kj·(π_k − π*_k)
        if self.net.b:
            self.grad += torch.einsum("bj,bji->ji", signal, self.eligibility())
        else:  # LIF: e_ji = ψ_j·x̄_i is made of two neurons' numbers, so no synapse has to keep any
            self.grad += (signal * self.state.psi).T @ self.pre
        self.grad_out += error.T @ self.state.spk


class Learnt(NamedTuple):
    """What one batch teaches: gradients of ``w_in, w_rec, w_out``, mean answers ``(B, n_out)``, mean spikes a step."""

    grads: tuple[Tensor, Tensor, Tensor]
    answer: Tensor
    rate: float


def eprop(net: AdaptiveNet, x: Tensor, y: Tensor, recall: int, random: bool = False) -> Learnt:
    """Gradients of the mean cross entropy in the last ``recall`` steps of ``x (T, B, n_in)``, by e-prop."""
    rule = EProp(net, len(y), net.random_feedback if random else net.w_out.detach())
    answer = torch.zeros(())
    spikes = 0.0
    for t, x_t in enumerate(x):
        out = rule.step(x_t)
        spikes += rule.state.spk.mean().item()
        if t >= len(x) - recall:
            share = out.softmax(1)  # π
            rule.learn((share - F.one_hot(y, share.shape[1])) / (recall * len(y)))
            answer = answer + share / recall
    w_in, w_rec = rule.grad.split((x.shape[2], len(net.w_in)), 1)
    w_rec = w_rec.clone().fill_diagonal_(0)
    return Learnt((w_in, w_rec, rule.grad_out), answer, spikes / len(x))


def eprop_random(net: AdaptiveNet, x: Tensor, y: Tensor, recall: int) -> Learnt:
    """The same with fixed random numbers in the place of the read-out's weights."""
    return eprop(net, x, y, recall, random=True)


def forward_all(
    net: AdaptiveNet, x: Tensor, y: Tensor, recall: int, cut: bool = False
) -> tuple[Tensor, Tensor, float]:
    """All steps under autograd, which keeps them: loss, mean answer ``(B, n_out)``, mean spikes a step."""
    state = net.rest(len(y))
    loss, answer = torch.zeros(()), torch.zeros(())
    spikes = 0.0
    for t, x_t in enumerate(x):
        out, state = net(x_t, state, cut)
        spikes += state.spk.mean().item()
        if t >= len(x) - recall:
            loss = loss + F.cross_entropy(out, y) / recall
            answer = answer + out.detach().softmax(1) / recall
    return loss, answer, spikes / len(x)


def bptt(net: AdaptiveNet, x: Tensor, y: Tensor, recall: int, cut: bool = False) -> Learnt:
    """The same gradients by BPTT: back through all steps."""
    loss, answer, rate = forward_all(net, x, y, recall, cut)
    w_in, w_rec, w_out = torch.autograd.grad(loss, [net.w_in, net.w_rec, net.w_out])
    return Learnt((w_in, w_rec.fill_diagonal_(0), w_out), answer, rate)


LAYERS = ("W_in", "W_rec", "W_out")


def cosines(a: Learnt, b: Learnt) -> list[float]:
    """How far two gradients point the same way (1: wholly), for each layer."""
    pairs = zip(a.grads, b.grads, strict=True)
    return [F.cosine_similarity(p.flatten(), q.flatten(), dim=0).item() for p, q in pairs]


def left_out(a: Learnt, b: Learnt) -> list[float]:
    """Length of the difference over the length of ``b``, for each layer."""
    pairs = zip(a.grads, b.grads, strict=True)
    return [((p - q).norm() / q.norm().clamp(min=1e-30)).item() for p, q in pairs]


def cue_trials(batch: int, wait: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Trials of the cue task (section 5): ``x (T, B, 40)``, and the side with more cues ``(B,)``.

    Of the 40 inputs, ten each are for cues on the left, cues on the right, the question, and noise.
    """
    biased = torch.where(torch.rand(batch, 1, generator=generator) < 0.5, 0.7, 0.3)
    right = torch.rand(batch, 7, generator=generator) < biased  # seven cues, each left or right
    chance = torch.zeros(7 * 15 + wait, batch, 4, 10)  # of a spike
    for k in range(7):
        on = slice(15 * k + 5, 15 * (k + 1))  # 50 ms of pause, 100 ms of cue at 40 Hz
        chance[on, torch.arange(batch), right[:, k].long()] = 0.4
    chance[-RECALL:, :, 2] = 0.4
    chance[:, :, 3] = 0.1
    chance = chance.flatten(2)
    x = (torch.rand(chance.shape, generator=generator) < chance).float()
    return x, (right.sum(1) > 3).long()


def watch_one_synapse(x: Tensor, b: float) -> Tensor:
    """A neuron with two inputs ``x (T, 2)``; of the first synapse S, U, its threshold, x̄, ε, e: ``(6, T)``."""
    net = AdaptiveNet((2, 1, 1), torch.Generator(), b=b)
    with torch.no_grad():
        net.w_in.copy_(torch.tensor([[0.3, 0.45]]))
    rule = EProp(net, 1, net.w_out)
    rows = []
    for x_t in x:
        rule.step(x_t[None])
        mem, a, spk, _ = rule.state
        threshold = net.threshold + b * a
        numbers = (
            spk,
            mem,
            threshold,
            rule.pre[:, :1],
            rule.slow[:, :, 0],
            rule.eligibility()[:, :, 0],
        )
        rows.append(torch.cat(numbers, 1)[0])
    return torch.stack(rows, 1).detach()


@section
def section_eprop(cfg: Config, run: Run) -> None:
    """4  How much of BPTT's gradient can a synapse work out by itself?

    STDP has no goal. BPTT has one, and no brain or small chip can follow it, for three reasons. It
    runs backwards in time, after the end. It needs the states of all neurons at all steps. And on
    its way back an error passes the weights of *other* synapses, which a synapse cannot know.

    The network here has adaptive LIF neurons: each spike raises the threshold of its neuron by b,
    and the rise fades slowly. (Exercise 01d is this neuron.) With S_i for the spikes that arrive,
    from inputs now and from neurons one step ago:

        U_j[t] = β·U_j[t−1] + Σ_i W_ji·S_i − θ·S_j[t−1]       S_j[t] = 1 if U_j[t] > θ + b·a_j[t]
        a_j[t] = ρ·a_j[t−1] + S_j[t−1]                        read-out k: Σ_j W_out,kj·S_j[t]  (6)

    BPTT's gradient can be written in another order, exactly (Bellec et al. 2020):

        ∂E/∂W_ji = Σ_t ∂E/∂S_j[t]·e_ji[t]                                                     (7)

    The eligibility e_ji[t] is how much S_j[t] changes with W_ji by what happened inside neuron j so
    far. That can be worked out *forward* in time, by a chain rule that needs one step of memory:

        x̄_i[t]  = β·x̄_i[t−1] + S_i                 how U_j depends on W_ji: alike for all j
        ε_ji[t] = ρ·ε_ji[t−1] + e_ji[t−1]           how a_j depends on W_ji: fades within seconds
        e_ji[t] = ψ_j[t]·(x̄_i[t] − b·ε_ji[t])       ψ: surrogate of ∂S/∂U, as in lesson 07    (8)

    Nothing in (8) comes from elsewhere. What does is ∂E/∂S_j[t]. A spike acts on the loss through
    the read-out at once, and through *later spikes of other neurons*. The second part lies in the
    future. e-prop drops it, and nothing else, and sends neuron j what is known now:

        L_j[t] = Σ_k W_out,kj·(π_k[t] − π*_k[t])     π: softmax of the read-outs, π*: the target (9)

    L_j still uses the weights of the read-out backwards. With fixed random numbers in their place,
    *random feedback*, no synapse has to know the weight of another one.

    The first figure is one synapse, with a burst of input at the start. The second sets e-prop's
    gradients beside BPTT's, on 32 trials of section 5's task, in networks that have not learnt yet.
    `gain` makes the recurrent weights stronger or weaker, and with them the part that is dropped.
    """
    run.predict(
        "cosine_in",
        "Two gradients that point the same way have a cosine of 1, two that have nothing to do with "
        "each other one of 0. For the input weights, what is the cosine of e-prop's and BPTT's?",
    )
    T = 150
    burst = torch.zeros(T)
    burst[[2, 4, 6, 9]] = 1
    noise = (torch.rand(T, generator=run.generator()) < 0.4).float()
    x = torch.stack([burst, noise], 1)  # (T, 2)
    of_lif = watch_one_synapse(x, 0.0)[-1]  # e, (T,)
    spk, mem, threshold, pre, slow, of_adaptive = watch_one_synapse(x, 0.1)
    seconds = np.arange(T) * STEP / 1000
    late = of_adaptive[100:].abs().max().item()
    late_lif = of_lif[100:].abs().max().item()
    title = f"One second later an eligibility of {plain(late)} is left (adaptive), {plain(late_lif)} (LIF)"
    fig, (ax, bx, cx, dx) = plots.stack(4, title, "time (s)", height=1.6)
    plots.raster(ax, torch.stack([spk, burst], 1), dt=STEP / 1000)
    ax.set_yticks([0, 1], ["neuron", "input"])
    ax.set_title("spikes: the input of the synapse, and the neuron (noise drives it as well)")
    bx.plot(seconds, mem, color=plots.BLUE, label="U")
    bx.plot(seconds, threshold, color=plots.RED, linestyle="--", label="threshold θ + b·a")
    bx.set_title("the adaptive neuron")
    plots.curves(cx, seconds, {"x̄, 20 ms": pre, "ε, 2 s": slow}, markers=False)
    cx.set_title("what the synapse keeps")
    plots.curves(dx, seconds, {"adaptive": of_adaptive, "LIF": of_lif}, markers=False)
    dx.set_title("eligibility e: what this weight has done for a spike now")
    for panel in (bx, cx, dx):
        panel.legend(loc="upper left", bbox_to_anchor=(1, 1))
    run.figure(fig, "4_synapse", look="the eligibilities long after the input has ended")

    gains = (0.0, 0.5, 1.0, 2.0, 4.0)
    same = np.zeros((3, cfg.repeats, len(gains)))  # cosine with BPTT: layer, seed, gain
    dropped = np.zeros((3, cfg.repeats))
    by_chance = np.zeros((3, cfg.repeats))
    exact = []
    pairs = [(i, k) for i in range(cfg.repeats) for k in range(len(gains))]
    for i, k in live(pairs, "   gradients", len(pairs)):
        generator = run.generator(i)
        net = AdaptiveNet((40, cfg.num_hidden, 2), generator, gain=gains[k]).double()
        x, y = cue_trials(32, cfg.wait, generator)
        ours, theirs = eprop(net, x.double(), y, RECALL), bptt(net, x.double(), y, RECALL)
        same[:, i, k] = cosines(ours, theirs)
        if gains[k] == 1:
            exact.append(max(left_out(ours, bptt(net, x.double(), y, RECALL, cut=True))))
            dropped[:, i] = left_out(ours, theirs)
            by_chance[:, i] = cosines(eprop_random(net, x.double(), y, RECALL), theirs)
            sample = (ours, theirs)
    usual = same[:, :, gains.index(1.0)].mean(1)  # (3,)
    strong = same[0, :, -1].mean()

    title = f"Cosine of e-prop and BPTT: {usual[0]:.2f} for W_in, {usual[1]:.2f} for W_rec, {usual[2]:.2f} for W_out"
    fig, axes = plots.figure(1, 3, (13.5, 4), title)
    for layer, ax in enumerate(axes[:2]):
        ours, theirs = (g.grads[layer].flatten().numpy() for g in sample)
        largest = 1e3 * np.abs(theirs).max()
        ax.plot([-largest, largest], [-largest, largest], color="0.6", linewidth=1)
        ax.plot(1e3 * theirs, 1e3 * ours, ".", color=plots.BLUE, markersize=2)
        head = f"{LAYERS[layer]}: a dot is a weight"
        plots.label(ax, "gradient by BPTT (10⁻³)", "gradient by e-prop (10⁻³)", head)
    plots.curves(axes[2], gains, {name: same[k] for k, name in enumerate(LAYERS)})
    plots.label(
        axes[2],
        "gain of the recurrent weights",
        "cosine of the two gradients",
        f"{cfg.repeats} networks",
    )
    run.figure(fig, "4_gradients", look="how near the dots lie to the grey line; what gain does")

    rows = []
    for k, name in enumerate(LAYERS):
        parts = (usual[k], dropped[k].mean(), by_chance[k].mean())
        rows.append((name, *(f"{part:.2f}" for part in parts)))
    columns = ("weights", "cosine", "left out of BPTT's", "cosine, random feedback")
    run.table(f"e-prop beside BPTT, before learning, {cfg.repeats} networks", columns, rows)
    run.claim("cut", "both without the dropped path: differ", max(exact), "1", "<= 1e-9")
    run.claim("cosine_in", "W_in: cosine of e-prop and BPTT", usual[0], "", seeds=cfg.repeats)
    run.claim("cosine_rec", "W_rec: the same", usual[1], "", seeds=cfg.repeats)
    run.claim("cosine_out", "W_out: the same", usual[2], "", seeds=cfg.repeats)
    run.claim("cosine_strong", f"W_in, gain {gains[-1]:g}: the same", strong, "", seeds=cfg.repeats)
    run.claim("cosine_random", "W_in, random feedback", by_chance[0].mean(), "", seeds=cfg.repeats)
    change, half = interval(same[0, :, -1] - same[0, :, gains.index(1.0)])
    run.finding(
        f"e-prop leaves out errors that pass through other neurons' spikes, and nothing else: without "
        f"that path the two gradients differ by {plain(max(exact))} of their length. With it the cosine is {usual[0]:.2f} for "
        f"the input weights, {usual[1]:.2f} for the recurrent ones and {usual[2]:.2f} for the read-out, "
        f"where there is nothing to leave out. Recurrent weights {gains[-1]:g} times as strong change the "
        f"first of these by {signed(change)} ± {half:.2f}. With random feedback it is "
        f"{signed(by_chance[0].mean())}: nothing has been learnt yet."
    )


# ---------------------------------------------------------------- 5  the cue task


@dataclass(frozen=True)
class Arm:
    """One way to learn the cue task."""

    rule: Callable[..., Learnt]
    b: float
    beta: float


ARMS = {
    "e-prop, LIF of 20 ms": Arm(eprop, 0.0, FAST),
    "e-prop, LIF of 2 s": Arm(eprop, 0.0, SLOW),
    "e-prop, adaptive": Arm(eprop, 0.1, FAST),
    "the same, random feedback": Arm(eprop_random, 0.1, FAST),
    "BPTT, adaptive": Arm(bptt, 0.1, FAST),
}
RATES = (5e-3, 1e-2, 2e-2, 4e-2)


@torch.no_grad()
def share_right(net: AdaptiveNet, trials: int, wait: int, generator: torch.Generator) -> float:
    """Share of fresh trials of the cue task that the network answers rightly."""
    x, y = cue_trials(trials, wait, generator)
    _, answer, _ = forward_all(net, x, y, RECALL)
    return (answer.argmax(1) == y).float().mean().item()


def train_cues(cfg: Config, name: str, lr: float, seed: int) -> dict[str, object]:
    """Train one network on the cue task; every batch of 32 trials is new. Small networks: on the CPU.

    Returns its accuracy on 1,000 fresh trials (``right``), that on each batch before learning from it
    (``curve``), and for W_in the cosine of its gradient to BPTT's, ``before`` and ``after`` learning.
    """
    arm = ARMS[name]
    generator = torch.Generator().manual_seed(seed)
    fresh = torch.Generator().manual_seed(seed + 10_000)
    net = AdaptiveNet((40, cfg.num_hidden, 2), generator, b=arm.b, beta=arm.beta)
    probe = cue_trials(32, cfg.wait, fresh)
    before, _, _ = cosines(arm.rule(net, *probe, RECALL), bptt(net, *probe, RECALL))
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, cfg.iterations)
    curve = []
    for _ in range(cfg.iterations):
        x, y = cue_trials(32, cfg.wait, generator)  # (T, B, 40), (B,)
        learnt = arm.rule(net, x, y, RECALL)
        for weight, grad in zip(net.parameters(), learnt.grads, strict=True):
            weight.grad = grad
        optimizer.step()
        schedule.step()
        curve.append((learnt.answer.argmax(1) == y).float().mean().item())
    after, _, _ = cosines(arm.rule(net, *probe, RECALL), bptt(net, *probe, RECALL))
    right = share_right(net, 20 if cfg.smoke else 1000, cfg.wait, fresh)
    return {"right": right, "curve": curve, "before": before, "after": after, "rate": learnt.rate}


def train_all(
    cfg: Config, run: Run, todo: Sequence[tuple[str, float, int]]
) -> dict[tuple[str, float, int], dict]:
    """``train_cues`` for each ``(arm, learning rate, seed)``, ``--jobs`` at a time, each on one thread."""
    by_name = {f"{name}, rate {lr:g}, seed {seed}": (name, lr, seed) for name, lr, seed in todo}
    tasks = {text: (cfg, *one) for text, one in by_name.items()}
    code = (AdaptiveNet, EProp, eprop, bptt, forward_all, cue_trials, train_cues)
    facts = (cfg.num_hidden, cfg.wait, cfg.iterations, cfg.smoke)
    marks = {text: mark_of(*facts, *one, code=code) for text, one in by_name.items()}
    results = {}
    for text, result in sweep(run, train_cues, tasks, marks, cfg.jobs, cfg.resume):
        results[by_name[text]] = result
        done = f"{len(results):2d}/{len(tasks)}"
        run.print(f"   {done}  {text}: {100 * result['right']:.1f} %")
    return results


def best_rates(cfg: Config, run: Run) -> dict[str, float]:
    """For each arm the best learning rate of RATES, by one network and trials that are not reported."""
    rates = RATES[:1] if cfg.smoke else RATES
    seed = cfg.seed + 1000
    results = train_all(cfg, run, [(name, lr, seed) for name in ARMS for lr in rates])
    best = {}
    for name in ARMS:
        right = [results[name, lr, seed]["right"] for lr in rates]
        best[name] = rates[int(np.argmax(right))]
    return best


FRENKEL = (  # main.py, setup.py and models.py at commit 0f32a8f
    ("neurons", "LIF, 2 s", "adaptive LIF, 20 ms, 2 s"),
    ("a trial", "2,250 steps of 1 ms", "225 steps of 10 ms"),
    ("traces", "all steps at once", "step by step, forward"),
    ("memory grows with", "synapses × steps", "synapses"),
    ("read-out", "leaky, 20 ms", "without leak"),
    ("trials", "200, ten times", "always new ones"),
)


@section
def section_cues(cfg: Config, run: Run) -> tuple[float, float]:
    """5  Can a synapse learn from what it did a second ago?

    In the task of Bellec et al. a mouse runs along a corridor and sees seven cues, each on the left
    or on the right. Then nothing happens for a while, and at the end it has to turn to the side that
    had more cues. The network gets 40 spike trains: ten for each side, ten for the question at the
    end, and ten of noise. Whether an answer was right is known in the last 150 ms alone.

    So a weight must be blamed, or praised, for a spike more than a second old. By equation (3) this
    works as far as the synapse's eligibility has lived that long. In (8), x̄ fades with the membrane,
    and ε with the adaptation. With the usual --wait, the last cue is 1.2 s old at the end:

        LIF, membrane of 20 ms        e^(−1200/20) of its trace is left: nothing
        LIF, membrane of 2 s          e^(−1200/2000) = 55 %; but so slow a membrane adds up all noise
        adaptive, 20 ms and 2 s       a fast membrane, and 55 % in the part that adapts

    Five arms get the same number of updates and trials, and each its own learning rate: four are tried
    with one network each, and the best goes on to new networks, which answer 1,000 new trials each. The
    last two arms tell what random feedback costs, and what BPTT, which stores all steps, reaches.
    """
    run.predict(
        "cue_lif",
        "e-prop, LIF neurons with a membrane of 20 ms, and the answer is due "
        f"{(cfg.wait - RECALL) * STEP / 1000:.2g} s after the last cue. What share of the trials does the "
        "network get right (guessing: 50 %)?",
        unit="%",
    )
    lr = best_rates(cfg, run)
    seeds = [cfg.seed + i for i in range(cfg.seeds)]
    results = train_all(cfg, run, [(name, lr[name], seed) for name in ARMS for seed in seeds])
    by_arm = {name: [results[name, lr[name], seed] for seed in seeds] for name in ARMS}
    right = {name: [100 * one["right"] for one in rows] for name, rows in by_arm.items()}
    mean = {name: float(np.mean(values)) for name, values in right.items()}

    x, y = cue_trials(1, cfg.wait, run.generator())
    T = len(x)
    side = ("on the left", "on the right")[int(y[0])]
    lif, slow_lif, adaptive, random, backward = ARMS
    title = f"e-prop answers {mean[adaptive]:.1f} % rightly with adaptive neurons, {mean[lif]:.1f} % with LIF of 20 ms"
    fig, (ax, bx) = plots.figure(1, 2, (13, 5), title, width_ratios=(1.15, 1))
    plots.raster(ax, x[:, 0], dt=STEP / 1000, width=1)
    ax.set_yticks([4.5, 14.5, 24.5, 34.5], ["left", "right", "question", "noise"])
    ax.axvspan((T - RECALL) * STEP / 1000, T * STEP / 1000, color=plots.YELLOW, alpha=0.4)
    plots.label(
        ax, "time (s)", "inputs, ten each", f"One trial: more cues {side}; yellow: answer due"
    )
    width = max(1, cfg.iterations // 10)
    smooth = {}
    for name, rows in by_arm.items():
        curves = [np.convolve(one["curve"], np.ones(width) / width, "valid") for one in rows]
        smooth[name] = 100 * np.array(curves)
    plots.curves(bx, range(width, cfg.iterations + 1), smooth, markers=False)
    bx.set_ylim(35, 101)
    bx.legend(loc="upper center", bbox_to_anchor=(0.45, -0.16), ncols=2)
    head = f"mean and range of {cfg.seeds} seeds"
    plots.label(bx, "updates, 32 new trials each", "answered rightly (%)", head)
    run.figure(fig, "5_cues", look="which curves leave the 50 % of guessing, and when")

    rows = []
    for name, of_arm in by_arm.items():
        middle, half = interval(right[name])
        before, after = (np.mean([one[when] for one in of_arm]) for when in ("before", "after"))
        hertz = np.mean([one["rate"] for one in of_arm]) * 1000 / STEP
        cells = (f"{lr[name]:g}", f"{middle:.1f} ± {half:.1f}", f"{hertz:.0f}")
        rows.append((name, *cells, f"{before:.2f} → {after:.2f}".replace("-", "−")))
    run.table("Cue task", ("arm", "rate", "right, %", "Hz", "cosine to BPTT, W_in"), rows)
    run.table("Frenkel's e-prop in PyTorch, and this one", ("", "Frenkel", "here"), FRENKEL)

    facts = {"n": 1000 * cfg.seeds, "seeds": cfg.seeds}
    run.claim("cue_lif", "e-prop, LIF of 20 ms", mean[lif] / 100, **facts)
    run.claim("cue_lif_slow", "e-prop, LIF of 2 s", mean[slow_lif] / 100, **facts)
    run.claim("cue_eprop", "e-prop, adaptive", mean[adaptive] / 100, "1", ">= 0.95", **facts)
    run.claim("cue_random", "e-prop, adaptive, random feedback", mean[random] / 100, **facts)
    run.claim("cue_bptt", "BPTT, adaptive", mean[backward] / 100, **facts)
    behind, half = interval(np.subtract(right[backward], right[adaptive]))
    aligned = [np.mean([one[when] for one in by_arm[random]]) for when in ("before", "after")]
    run.finding(
        f"With adaptive neurons e-prop gets {mean[adaptive]:.1f} % of the trials right and never looks "
        f"back; BPTT gets {mean[backward]:.1f} % ({signed(behind, 1)} ± {half:.1f} points, {cfg.seeds} seeds). "
        f"LIF neurons of 20 ms get {mean[lif]:.1f} %, of 2 s {mean[slow_lif]:.1f} %. With random feedback "
        f"it is {mean[random]:.1f} %: its gradient's cosine to BPTT's is {signed(aligned[0])} at the start and "
        f"{signed(aligned[1])} in the end."
    )
    return mean[adaptive], mean[backward]


# ---------------------------------------------------------------- 6  three rules


def bptt_bytes(net: AdaptiveNet, x: Tensor) -> int:
    """Bytes that BPTT keeps for one trial ``x (T, 1, n_in)`` until it goes back, weights left out."""
    y = torch.zeros(1, dtype=torch.long)
    with saved_for_backward(net.parameters()) as kept:
        out = forward_all(net, x, y, RECALL)  # has to live until the bytes are counted
        held = kept()
    del out
    return held


def eprop_bytes(net: AdaptiveNet, x: Tensor) -> int:
    """Bytes that e-prop keeps from step to step for one trial: its traces and the network's state."""
    rule = EProp(net, 1, net.w_out)
    for x_t in x:
        rule.step(x_t)
    return sum(tensor.nbytes for tensor in (rule.pre, rule.slow, *rule.state))


def seconds_of(rule: Callable[..., Learnt], net: AdaptiveNet, x: Tensor, y: Tensor) -> float:
    """Median time of three gradients, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        rule(net, x, y, RECALL)
        times.append(time.perf_counter() - began)
    torch.set_num_threads(threads)
    return float(np.median(times))


def supervised(cfg: Config, data: ImageData, seed: int) -> float:
    """784–N–10 on MNIST by e-prop, one pass, no recurrent weights: share of test images right.

    Nothing passes through other neurons here, so e-prop's gradient is BPTT's, and this is both.
    """
    steps = min(20, cfg.num_steps)
    generator = torch.Generator().manual_seed(seed)
    net = AdaptiveNet((784, cfg.neurons, 10), generator, b=0.0, beta=0.9, gain=0.0)
    trained = [net.w_in, net.w_out]
    x_train, y_train = data.x_train[: cfg.train_images], data.y_train[: cfg.train_images]
    updates = math.ceil(len(x_train) / 100)
    optimizer = torch.optim.Adam(trained, lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for x_b, y_b in batches(x_train, y_train, 100, generator=generator):
        x = x_b.flatten(1).expand(steps, -1, -1)  # (T, B, 784): grey values, the same at every step
        w_in, _, w_out = eprop(net, x, y_b, steps).grads
        net.w_in.grad, net.w_out.grad = w_in, w_out
        optimizer.step()
        schedule.step()
    right = 0
    with torch.no_grad():
        for x_b, y_b in batches(data.x_test, data.y_test, 500):
            x = x_b.flatten(1).expand(steps, -1, -1)
            _, answer, _ = forward_all(net, x, y_b, steps)
            right += (answer.argmax(1) == y_b).sum().item()
    return right / len(data.y_test)


@section
def section_rules(cfg: Config, run: Run) -> None:
    """6  What does each rule have to know, and what does it cost?

    BPTT keeps every step until it goes back, so its memory grows with T (lesson 09). e-prop keeps
    its traces, whatever T is: x̄ for every presynaptic neuron, and ε for every *synapse*. So the
    question is which is larger, with about c numbers for a neuron and step:

        BPTT     c·n·T              e-prop     n·(n_in + n), and a few for each neuron       (10)

    (The gradient itself is left out on both sides.) They are equal at T ≈ (n_in + n)/c: wide networks
    on short sequences favour BPTT, and streams that do not end leave e-prop alone. Both count for
    each sample of a batch, so the saving is largest for a device that learns from one stream. LIF
    neurons need no ε; then e-prop keeps numbers for neurons only, and so does STDP.

    In time there is no such gain. Each step of e-prop updates every synapse of every sample, where
    BPTT multiplies matrices forward and once more back.

    And what does it cost to have no teacher? Digits are learnt once more by as many hidden neurons as
    in section 3, with labels, in one pass over the same images. Without recurrent weights e-prop and
    BPTT are the same rule (section 4, gain 0).

    Where do the local rules fall short? STDP learns what is frequent, not what is wanted. e-prop
    needs somebody to send L_j, and what it drops grows with the recurrent weights, and with the
    number of layers: through a second hidden layer its L_j would have to be sent, too.
    """
    steps = (40, 60, 80) if cfg.smoke else (20, 50, 100, 200, 500, 1000, 2000)
    net = AdaptiveNet((40, cfg.num_hidden, 2), run.generator())
    run.predict(
        "crossing",
        f"{cfg.num_hidden} adaptive neurons, 40 inputs, one trial at a time. From how many time steps on "
        "does BPTT keep more bytes than e-prop?",
        unit="steps",
    )
    kept: dict[str, list[int]] = {"BPTT": [], "e-prop": []}
    for T in steps:
        x = (torch.rand(T, 1, 40, generator=run.generator(T)) < 0.05).float()
        kept["BPTT"].append(bptt_bytes(net, x))
        kept["e-prop"].append(eprop_bytes(net, x))
    per_step, constant = np.polyfit(steps, kept["BPTT"], 1)
    crossing = (kept["e-prop"][-1] - constant) / per_step
    fig, ax = plots.figure(1, 1, (8.5, 3.9), f"BPTT keeps more from about {crossing:.0f} steps on")
    plots.curves(ax, steps, {name: np.divide(values, 1024) for name, values in kept.items()})
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(steps, [f"{T:,}" for T in steps])
    ax.set_yticks([10, 30, 100, 300, 1000], ["10", "30", "100", "300", "1,000"])
    ax.minorticks_off()
    plots.label(ax, "time steps T", f"kept for one trial (KiB), n = {cfg.num_hidden}")
    run.figure(fig, "6_memory", look="the line that is flat")

    x, y = cue_trials(32, cfg.wait, run.generator())
    seconds = {"e-prop": seconds_of(eprop, net, x, y), "BPTT": seconds_of(bptt, net, x, y)}
    data = run.data(mnist)
    seeds = range(cfg.seed, cfg.seed + cfg.seeds)
    taught = [supervised(cfg, data, seed) for seed in live(seeds, "   with labels", cfg.seeds)]
    with_labels, half = interval(taught)

    longest = f"{steps[-1]:,}"
    per_neuron = 4 * (40 + 2 * cfg.num_hidden)  # x of each input; y and U of each neuron
    kib = [f"{value / 1024:,.1f}" for value in (per_neuron, kept["e-prop"][-1], kept["BPTT"][-1])]
    none = "—"
    unlabelled, cues = none, (none, none)
    found = run.results  # under --only 6 the sections before it have not run
    if section_images.number in found:
        unlabelled = f"{100 * found[section_images.number]:.1f}"
    if section_cues.number in found:
        by_eprop, by_bptt = found[section_cues.number]
        cues = (f"{by_eprop:.1f}", f"{by_bptt:.1f}")
    taught_text = f"{100 * with_labels:.1f}"
    rows = [
        ("goal", "none", "a target", "a target"),
        ("a synapse reads", "two spike trains", "and ψ_j, L_j", "later states,"),
        ("", "", "", "other weights"),
        ("it learns", "at a spike", "at every step", "after the end"),
        ("keeps, for each", "neuron", "synapse", "neuron and step"),
        (f"KiB, T = {longest}", *kib),
        ("s, 32 cue trials", none, f"{seconds['e-prop']:.2f}", f"{seconds['BPTT']:.2f}"),
        (f"MNIST, N = {cfg.neurons}, %", unlabelled, taught_text, taught_text),
        ("cue task, %", none, *cues),
    ]
    run.table("Three rules", ("", "STDP", "e-prop", "BPTT"), rows)
    n = len(data.y_test) * cfg.seeds
    growth = kept["e-prop"][-1] / kept["e-prop"][0]
    run.claim("memory_slope", "BPTT keeps, a step and trial", per_step, "bytes")
    run.claim("memory_growth", f"e-prop, T = {longest} over {steps[0]}", growth, "times", "<= 1.01")
    run.claim("crossing", "BPTT keeps more from", round(crossing, 1), "steps")
    run.claim("slower", "time of e-prop over BPTT", seconds["e-prop"] / seconds["BPTT"], "times")
    run.claim(
        "labels",
        f"MNIST, {cfg.neurons} neurons, with labels",
        with_labels,
        n=n,
        seeds=cfg.seeds,
        real=True,
    )
    run.finding(
        f"From about {crossing:.0f} steps on BPTT keeps more than e-prop ({per_step:.0f} bytes for every "
        f"step and trial; e-prop {kept['e-prop'][-1] / 1024:.0f} KiB at any length). With labels, {cfg.neurons} "
        f"neurons get {100 * with_labels:.1f} ± {100 * half:.1f} % of the test images right after one pass."
    )
    if unlabelled != none and cues[0] != none:
        run.finding(
            f"STDP reads two neurons and no label: {unlabelled} % of MNIST's test images with {cfg.neurons} "
            f"neurons, {taught_text} % with labels. e-prop adds one signal and a trace in each synapse: "
            f"{cues[0]} % of a task with a second of memory, BPTT {cues[1]} %.",
            main=True,
            claim="stdp_accuracy",
        )


def main(cfg: Config, run: Run) -> None:
    section_window(cfg, run)
    section_competition(cfg, run)
    section_images(cfg, run)
    section_eprop(cfg, run)
    section_cues(cfg, run)
    section_rules(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
