"""Lesson 15 — STDP and e-prop: learning with what a synapse can know

Question
    Backpropagation through time (BPTT, lesson 09) stores every step and then sends errors
    backwards through all of them. A synapse in a brain, or on a chip that learns while it runs,
    can do nothing of the kind. It sees the spikes of the two neurons that it joins, as they come,
    and at best one signal from elsewhere. How much can be learnt with that?

Idea
    A synapse leads from neuron i, the *presynaptic* one, to neuron j, the *postsynaptic* one; w_ji
    is its weight. S is 1 in a step with a spike, otherwise 0. A *trace* jumps at a spike and then
    fades, so it remembers what happened lately; e^(−1/τ) is what is left of it after a step:

        x_i[t] = e^(−1/τ)·x_i[t−1] + S_i[t]                 y_j: the same of neuron j         (1)

    Spike-timing-dependent plasticity, STDP, changes the weight when one of the two neurons fires, by
    the trace of the other one; A₊ and A₋ are the sizes of a gain and of a loss. e-prop keeps a trace
    e_ji in the synapse, its *eligibility*: how much the weight helps neuron j to fire just now or, if
    below 0, holds it back. A signal L_j tells neuron j to fire more (L_j < 0) or less. η: a rate.

        STDP, no goal      Δw_ji = A₊·x_i[t]·S_j[t] − A₋·y_j[t]·S_i[t]                        (2)
        e-prop, a goal     Δw_ji = −η·Σ_t L_j[t]·e_ji[t]                                      (3)

Read first
    Theory     Neuronal Dynamics, chapter 19, https://neuronaldynamics.epfl.ch/online/Ch19.html
               Bellec et al. 2020 (e-prop), https://www.nature.com/articles/s41467-020-17236-y
               Diehl & Cook 2015 (section 2), https://doi.org/10.3389/fncom.2015.00099
    Practice   Frenkel, e-prop in PyTorch, https://github.com/ChFrenkel/eprop-PyTorch

Run
    uv run 15_stdp_online_learning.py --predict   asks what you expect, then measures it
    uv run 15_stdp_online_learning.py             a quarter of an hour on a CPU; --jobs 2 halves it
    uv run 15_stdp_online_learning.py --only 4    one section; --resume goes on after a stop
    uv run 15_stdp_online_learning.py --full      400 neurons, three passes; a CPU will do

Builds on / leads to
    09 (the gradient that e-prop wants to have), 13 (neurons that adapt). snnTorch has no STDP
    among its public layers, so it is written out here. Next: 16_ann_to_snn.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from common import plots
from common.claims import plain
from common.cost import estimated_energy_nj
from common.data import ImageData, mnist
from common.io import live
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from multistep import saved_for_backward
from training.arms import interval
from training.sweep import train_all

import numpy as np
import torch
import torch.nn.functional as F
from numba import njit
from torch import Tensor, nn


@dataclass
class Config(LessonConfig):
    """Sections 2 and 3 read digits, section 5 answers the cue task."""

    num_steps: int = bounded(100, 1, 10_000)
    """time steps of 1 ms for which the STDP layer sees an image (T)"""
    neurons: int = bounded(100, 10, 10_000)
    """neurons of the STDP layer"""
    train_images: int = bounded(55_000, 20, 55_000)
    """images that the STDP layer learns from"""
    epochs: int = bounded(1, 1, 100)
    """passes over them in section 3"""
    num_hidden: int = bounded(50, 2, 1000)
    """recurrent neurons in the cue task (n)"""
    wait: int = bounded(120, 15, 5000)
    """steps of 10 ms from the last cue to the end of a trial; the answer is due in the last 15"""
    iterations: int = bounded(100, 1, 10_000)
    """updates of the weights in the cue task"""
    seeds: int = bounded(3, 2, 20)
    """trainings of each arm of a comparison"""
    repeats: int = bounded(5, 2, 20)
    """layers trained in section 3, and networks whose gradients section 4 compares"""
    jobs: int = bounded(1, 1, 256)
    """trainings that run at the same time"""
    resume: bool = False
    """take over the trainings that a run that was stopped has finished"""


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


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign for sentences: +0.61, −0.57."""
    return f"{value:+.{digits}f}".replace("-", "−")


def or_nothing(value: float) -> str:
    """A size in two digits; what is below 10⁻⁹ is as good as nothing, and is said to be so."""
    return "below 10⁻⁹" if value < 1e-9 else plain(float(f"{value:.1e}"))


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

    Returns ``x_rec, y_rec, dw_rec``: traces and gain of each weight after each step, ``(T, P)``.
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


# compiled, and kept for the next run: each of half a million steps needs the weights that the step before has left
@njit(cache=True)
def one_neuron(seconds, sign, group, seed):  # type: ignore[no-untyped-def]
    """Equation (2) at 200 synapses of a LIF neuron, in steps of 1 ms; ``sign`` −1: anti-Hebbian.

    All inputs fire at 10 Hz; the first ``group`` of them fire half of their spikes together.
    Returns the mean weight of the group and of the others after each second, ``(seconds, 2)``, and
    for the others the sums of the x and y that were read: pairs in which they came first or second.
    """
    np.random.seed(seed)
    eta = 0.01
    a_minus = 1.05
    fade = np.exp(-1 / 20)
    w = np.full(200, 0.5)
    x = np.zeros(200)
    pre = np.zeros(200)
    mem = 0.0
    y = 0.0
    course = np.zeros((seconds, 2))
    came_first = 0.0
    came_second = 0.0
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
            gain = x[i] * post
            loss = y * pre[i]
            w[i] += sign * eta * (gain - a_minus * loss)  # equation (2)
            w[i] = min(1.0, max(0.0, w[i]))  # hard limits
            x[i] += pre[i]
            mem += w[i] * pre[i]
            if i >= group:
                came_first += gain
                came_second += loss
        y += post
        if step % 1000 == 999:
            course[step // 1000, 0] = w[:group].mean()
            course[step // 1000, 1] = w[group:].mean()
    return course, came_first, came_second


@section
def section_window(cfg: Config, run: Run) -> None:
    """1  How can a synapse tell a cause from a coincidence?

    A spike of the presynaptic neuron shortly *before* one of the postsynaptic neuron may have
    helped to cause it. A spike shortly *after* it cannot have. So STDP strengthens the synapse in
    the first case and weakens it in the second, the more the closer the two spikes are. With
    Δt = t_post − t_pre, one pair of spikes changes the weight by

        Δw = A₊·e^(−Δt/τ₊)   if Δt > 0          Δw = −A₋·e^(Δt/τ₋)   if Δt < 0                (4)

    This curve is the *STDP window*. To apply it to all pairs a synapse seems to need the times of
    all spikes. Two traces do as well. At a postsynaptic spike, x of (1) is the sum of e^(−Δt/τ₊)
    over all earlier presynaptic spikes, since every term of the sum fades by the same factor. The
    trace y does the same for the other half. That is equation (2).

    A product of the two spike counts ("what fires together, wires together") is the same whichever
    neuron came first, so it cannot tell a cause from a consequence; the window (4) can. With the
    signs of (4) the rule is called *Hebbian*. With both turned round it is *anti-Hebbian*: it
    weakens what came before a spike. Some brains use such synapses to cancel what they can foresee,
    such as the effect of the animal's own movements on its senses.

    What does a neuron do with it? In the last figure 200 inputs, each at 10 Hz on average, drive
    one LIF neuron. The first 40, the group, fire half of their spikes together. All weights start
    at 0.5 and stay between 0 and 1. A₋ = 1.05·A₊ and τ₊ = τ₋ = 20 ms. (Single pairs: A₋ = 0.8·A₊,
    τ₋ = 30 ms.) No input is made to fire just after the neuron, and no arm uses a product. So this
    neuron shows what becomes of inputs that coincide; only the single pairs show the order.

    The other 160 inputs fire by chance. Without any effect they would come before and after the
    neuron's spikes equally often, and A₋ > A₊ would weaken them (and strengthen them under the
    mirrored rule). But each of them helps to cause some spikes, and so it comes first more often
    than second. The more spikes the group causes, the fewer are left for one of them to cause.
    """
    seconds = 20 if cfg.smoke else 100
    run.predict(
        "gap_hebbian",
        f"After {seconds} s of Hebbian STDP, by how much does the mean weight of the 40 inputs "
        "that fire together lie above the mean weight of the other 160 (weights go from 0 to 1)?",
    )
    a_plus, a_minus, tau_plus, tau_minus = 1.0, 0.8, 20.0, 30.0
    # One synapse: the presynaptic neuron fires first, and much later the other way round.
    spk_pre = torch.zeros(400, 1)
    spk_post = torch.zeros(400, 1)
    spk_pre[[30, 330]] = 1
    spk_post[[40, 320]] = 1
    x_rec, y_rec, dw_rec = stdp(spk_pre, spk_post, a_plus, a_minus, tau_plus, tau_minus)
    gain = dw_rec[60, 0]
    loss = dw_rec[-1, 0] - gain
    title = f"Pre 10 ms before post: Δw = {signed(gain)}·A₊. 10 ms after: Δw = {signed(loss)}·A₊"
    fig, (ax, bx, cx) = plots.stack(3, title, "time (ms)")
    plots.raster(ax, torch.cat([spk_post, spk_pre], 1), width=3)
    ax.set_yticks([0, 1], ["post", "pre"])
    ax.set_title("spikes of both neurons")
    traces = {
        "x, of pre": x_rec[:, 0],
        "y, of post": y_rec[:, 0],
    }
    plots.curves(bx, range(400), traces, markers=False)
    for step, trace in ((40, x_rec), (330, y_rec)):  # faded in this step, and no spike added yet
        bx.plot(step, trace[step, 0], "o", color=plots.BLACK, markersize=9, mfc="none")
    bx.set_title("their traces; circle: what the other neuron's spike reads")
    bx.legend(loc="upper center")
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
    courses = {}
    surplus = {}
    for name, sign in (("Hebbian", 1), ("anti-Hebbian", -1)):
        _, _, dw_rec = stdp(spk_pre, spk_post, sign * a_plus, sign * a_minus, tau_plus, tau_minus)
        window[name] = dw_rec[-1]  # (P,)
        weights = []
        shares = []
        for i in range(cfg.seeds):
            course, first, second = one_neuron(seconds, sign, 40, cfg.seed + i)
            weights.append(course)
            shares.append(first / second - 1)
        courses[name] = np.stack(weights)  # (seeds, seconds, 2)
        surplus[name] = np.mean(shares)
    window["product of counts (any size)"] = 0.5 * spk_pre.sum(0) * spk_post.sum(0)
    before = window["Hebbian"][delays == 10].item()
    after = window["Hebbian"][delays == -10].item()
    group, others = courses["Hebbian"][:, -1].mean(0)
    gap = group - others
    group_anti, others_anti = courses["anti-Hebbian"][:, -1].mean(0)
    gap_anti = group_anti - others_anti

    title = (
        f"Inputs that fire together: {signed(gap)} against the others by the Hebbian rule, "
        f"{signed(gap_anti)} by its mirror image"
    )
    fig, axes = plots.figure(1, 3, (13.5, 3.8), title)
    plots.curves(axes[0], delays, window, markers=False)
    axes[0].set_ylim(-1.1, 1.9)  # room for the legend
    head = f"The window\nA₋ {a_minus:g}·A₊, τ₊ {tau_plus:g} ms, τ₋ {tau_minus:g} ms"
    plots.label(axes[0], "Δt = t_post − t_pre (ms)", "Δw of one pair (1 is A₊)", head)
    for ax, (name, course) in zip(axes[1:], courses.items(), strict=True):
        both = {
            "the 40 that fire together": course[:, :, 0],
            "the other 160": course[:, :, 1],
        }
        plots.curves(ax, np.arange(1, seconds + 1), both, markers=False)
        ax.set_ylim(-0.05, 1.35)
        head = f"{name}: mean and range of {cfg.seeds} neurons\nA₋ 1.05·A₊, τ₊ = τ₋ = 20 ms"
        plots.label(ax, "time (s)", "mean weight (limits: 0 and 1)", head)
    run.figure(fig, "1_window", look="the sign on each side of 0; which of the lines is on top")

    text = "anti-Hebbian: the 160 come before a spike more often than after, by"
    run.claim("before", "pre 10 ms before post: Δw", before, "of A₊")
    run.claim("after", "pre 10 ms after post: Δw", after, "of A₊")
    run.claim("gap_hebbian", "Hebbian: group − others", gap, "", seeds=cfg.seeds)
    run.claim("gap_anti", "anti-Hebbian: group − others", gap_anti, "", seeds=cfg.seeds)
    run.claim("surplus", text, surplus["anti-Hebbian"], seeds=cfg.seeds)
    verb = "lifts" if gap > 0 else "does not lift"
    other = "lowers" if gap_anti < 0 else "does not lower"
    run.finding(
        f"The order decides the sign: {signed(before)}·A₊ if the presynaptic spike comes 10 ms "
        f"before the other, {signed(after)}·A₊ if it comes 10 ms after it. Within {seconds} s the "
        f"Hebbian rule {verb} inputs that fire together above the others ({signed(gap)}), its "
        f"mirror image {other} them ({signed(gap_anti)}); {cfg.seeds} neurons each. No arm here "
        "separates the order of these spikes from their coincidence."
    )
    more = 100 * surplus["Hebbian"]
    more_anti = 100 * surplus["anti-Hebbian"]
    run.finding(
        "The other 160 inputs come before a spike more often than after it, as they help to cause "
        f"it: by {more:.0f} % under the Hebbian rule, where the group has weights of {group:.2f} and "
        f"causes spikes as well; by {more_anti:.0f} % under its mirror image, where the group has "
        f"{group_anti:.2f}. Since A₋ is 5 % larger than A₊, the Hebbian rule weakens an input whose "
        "lead is below 5 %, and its mirror image one above. Their mean weights go from 0.5 to "
        f"{others:.2f} and to {others_anti:.2f}."
    )


# ---------------------------------------------------------------- 2  a layer without labels


NAMING = 5_000  # training images whose labels name the neurons
ETA = np.float32(0.01)  # η of equation (5)
TOTAL = np.float32(78.4)  # sum of each neuron's weights: 0.1 for each of the 784 pixels


@njit(cache=True)  # compiled, as above
def present(  # type: ignore[no-untyped-def]
    images, w, threshold, num_steps, learn, inhibit, rise, seed
):
    """Show ``images (M, 784)``, values 0 to 1, and count each neuron's spikes: ``(M, N)``.

    With ``learn``, the weights ``w (784, N)`` and the thresholds ``(N,)`` change on the way.
    """
    np.random.seed(seed)
    fade = np.float32(np.exp(-1 / 20))
    num_pixels, num_neurons = w.shape
    counts = np.zeros((len(images), num_neurons), np.int64)
    for m in range(len(images)):
        lit = np.nonzero(images[m])[0]
        x = np.zeros(num_pixels, np.float32)  # trace of each pixel's spikes
        mem = np.zeros(num_neurons, np.float32)
        for _ in range(num_steps):
            x *= fade
            mem *= fade
            for i in lit:
                if np.random.random() < 0.2 * images[m, i]:  # white: 200 spikes a second
                    x[i] = 1
                    mem += w[i]
            fires = mem > threshold  # (N,)
            if inhibit and fires.any():
                best = np.argmax(mem - threshold)
                fires[:] = False
                fires[best] = True  # only the neuron furthest above its threshold fires,
                mem[:] = -100  # and it silences the others for most of the time that is left
            for j in np.nonzero(fires)[0]:
                counts[m, j] += 1
                mem[j] = 0
                if learn:
                    threshold[j] += rise
                    w[:, j] += ETA * (x - w[:, j])  # equation (5)
                    w[:, j] *= TOTAL / w[:, j].sum()
        if learn and rise > 0:
            threshold *= np.float32(1 - 1 / 15_000)  # or all would fall silent in the end
    return counts


class Layer:
    """Neurons that learn by ``present``, and the digit that each of them is named after."""

    def __init__(
        self,
        cfg: Config,
        seed: int,
        inhibit: bool = True,
        rise: float = 0.1,
        height: float = 10.0,
    ) -> None:
        """``height``: of all thresholds at the start; each spike adds ``rise`` to one of them."""
        w = np.random.default_rng(seed).random((784, cfg.neurons)).astype(np.float32)
        self.w = w * (TOTAL / w.sum(0))  # (784, N)
        self.threshold = np.full(cfg.neurons, height, np.float32)
        self.names = np.zeros(cfg.neurons, int)  # a digit for each neuron
        self.how = (cfg.num_steps, inhibit, np.float32(rise))
        self.next_seed = 1000 * seed

    def show(self, images: Tensor, learn: bool = False) -> np.ndarray:
        """Spikes of each neuron, ``(M, 1, 28, 28) → (M, N)``; each call draws new input spikes."""
        x = images.flatten(1).numpy().astype(np.float32) / 255  # (M, 784)
        num_steps, inhibit, rise = self.how
        seed = self.next_seed
        self.next_seed += 1
        return present(x, self.w, self.threshold, num_steps, learn, inhibit, rise, seed)

    def name_neurons(self, counts: np.ndarray, y: Tensor) -> None:
        """Name each neuron after the digit for which it fires most: the only use of labels."""
        is_digit = np.eye(10)[y.numpy()]  # (M, 10)
        images = is_digit.sum(0).clip(min=1)  # of each digit
        mean = is_digit.T @ counts / images[:, None]  # (10, N)
        self.names = mean.argmax(0)

    def answer(self, counts: np.ndarray) -> np.ndarray:
        """The digit whose neurons fire most, on average over them: ``(M, N) → (M,)``."""
        votes = np.full((len(counts), 10), -1.0)
        for digit in np.unique(self.names):
            votes[:, digit] = counts[:, self.names == digit].mean(1)
        return votes.argmax(1)


def train_layer(
    cfg: Config,
    data: ImageData,
    options: dict[str, Any],
    seed: int,
    stops: Sequence[int],
    test: bool = False,
) -> dict[str, Any]:
    """Train one layer on ``stops[-1]`` images; at each stop it answers the validation images.

    ``test``: in the end it answers the test images, too. Each seed sees the images in an order of
    its own, and the same images again in every pass.
    """
    layer = Layer(cfg, seed, **options)
    generator = torch.Generator().manual_seed(seed)
    passes = [torch.randperm(cfg.train_images, generator=generator) for _ in range(cfg.epochs)]
    order = torch.cat(passes)
    validation = []
    seen = 0
    for stop in stops:
        layer.show(data.x_train[order[seen:stop]], learn=True)
        layer.name_neurons(layer.show(data.x_train[:NAMING]), data.y_train[:NAMING])
        counts = layer.show(data.x_val)  # (M, N)
        validation.append(np.mean(layer.answer(counts) == data.y_val.numpy()))
        seen = stop
    found = {
        "validation": validation,
        "spikes": counts.sum(0).tolist(),  # of each neuron
        "height": float(layer.threshold.mean()),
        "names": layer.names.tolist(),
        "w": layer.w.round(3).tolist(),
    }
    if test:
        counts = layer.show(data.x_test)
        found["test"] = np.mean(layer.answer(counts) == data.y_test.numpy())
        found["spikes an image"] = counts.sum() / len(counts)
    return found


def wall(w: np.ndarray, columns: int) -> np.ndarray:
    """The weights of N neurons as one picture: ``(784, N)`` → rows of ``columns`` digits."""
    rows = math.ceil(w.shape[1] / columns)
    picture = np.zeros((29 * rows, 29 * columns))
    for k in range(w.shape[1]):
        top = 29 * (k // columns)
        left = 29 * (k % columns)
        digit = w[:, k].reshape(28, 28)
        picture[top : top + 28, left : left + 28] = digit
    return picture


LAYER_CODE = (present, Layer, train_layer)  # what decides the numbers of sections 2 and 3


@section
def section_competition(cfg: Config, run: Run) -> None:
    """2  How do a hundred neurons come to learn different things?

    A neuron with STDP learns at its own spikes, so it moves towards what makes it fire. Neurons that
    all get the same input, and apply the same rule, would find one picture a hundred times. Two
    things keep them apart (Diehl & Cook 2015):

        inhibition             the neuron furthest above its threshold fires and silences the rest
        adaptive thresholds    each spike of a neuron raises its threshold by 0.1, so who wins often
                               has to try harder; after each image all fade by 1/15,000

    The neurons are LIF with a time constant of 20 ms. Each pixel fires at random, up to 200 times
    a second if it is white, for T steps of 1 ms. The rule is a simple form of STDP. It acts when
    the postsynaptic neuron fires, and reads the trace x of each pixel. A spike sets this trace to
    1, instead of adding 1, so that it stays between 0 and 1:

        Δw_i = η·x_i·(1 − w_i) − η·(1 − x_i)·w_i = η·(x_i − w_i)                              (5)

    Pixels that fired just before the winner's spike gain. Pixels that were silent lose at once;
    rule (2) would take something from them only when they fire, after the winner's spike. A gain
    shrinks as w comes near 1, and a loss as w comes near 0, so no hard limits are needed. Together:
    the winner's weights move towards the picture it has just seen.

    Rule (5) reads two neurons and nothing else. The layer around it needs more: the race compares
    all neurons, and after each step of (5) the winner's weights are scaled to a fixed sum, so that
    nobody wins by size. Somebody has to add up all 784 of them.
    There is no label in any of this. When learning is over, each neuron is named after the digit
    for which it fires most, by the labels of the first 5,000 training images. An image is answered
    by the digit whose neurons fire most, on average over them. (A neuron that never fires is named 0
    and counts among the 0s, so where few neurons fire, 0 is answered too seldom. An image for which
    nothing fires gets the lowest digit that is a name.)

    Five kinds of layer see 5,000 training images once. One has both. One has no inhibition; its
    thresholds rise as well, so the two differ in their heights, too (see the table). Do thresholds
    have to adapt, or only to be high? The others have inhibition and fixed thresholds: at 10, where
    the adaptive ones start; at 40, near the potential to which an average image drives a neuron that
    has not learnt; and at the mean height that the adaptive ones reach. No other height is tried.
    The answers to the 5,000 validation images are counted.
    """
    run.predict(
        "fixed",
        "The layer has inhibition, but its thresholds are fixed at 10. What share of the "
        "validation images does it answer rightly (guessing: 10 %)?",
        unit="%",
    )
    data = run.data(mnist)
    few = min(5_000, cfg.train_images)
    seeds = [cfg.seed + i for i in range(cfg.seeds)]
    arms = {
        "no inhibition": {"inhibit": False},
        "thresholds fixed at 10": {"rise": 0.0},
        "thresholds fixed at 40": {"rise": 0.0, "height": 40.0},
        "both": {},
    }
    tasks = {}
    for name, options in arms.items():
        for seed in seeds:
            tasks[f"{name}, seed {seed}"] = (options, seed, [few])
    results = train_all(run, train_layer, tasks, LAYER_CODE, data)
    tasks = {}
    for seed in seeds:
        options = {"rise": 0.0, "height": results[f"both, seed {seed}"]["height"]}
        tasks[f"thresholds fixed as high, seed {seed}"] = (options, seed, [few])
    results |= train_all(run, train_layer, tasks, LAYER_CODE, data)

    tasks_of = {
        "no_inhibition": "no inhibition",
        "both": "both",
        "fixed": "thresholds fixed at 10",
        "fixed_middle": "thresholds fixed at 40",
        "fixed_high": "thresholds fixed as high",
    }
    layers = {id: [results[f"{of}, seed {seed}"] for seed in seeds] for id, of in tasks_of.items()}
    height = {id: np.mean([layer["height"] for layer in layers[id]]) for id in layers}
    names = tasks_of | {
        "both": "inhibition + adaptive thresholds",
        "fixed_high": f"thresholds fixed at {height['both']:.0f}",
    }
    percent = {}
    mean = {}
    named = {}  # the digits that the neurons that fire are named after, in each layer
    firing = {}  # how many neurons fire at all for the validation images
    rows = []
    fig, axes = plots.figure(2, 3, (12.5, 6.4))
    for id, ax in zip(layers, axes.flat, strict=False):
        percent[id] = [100 * layer["validation"][0] for layer in layers[id]]
        active = []
        named[id] = []
        for layer in layers[id]:
            fires = np.array(layer["spikes"]) > 0
            active.append(fires.sum())
            digits = np.array(layer["names"])[fires]
            named[id].append(set(digits))
        firing[id] = np.mean(active)
        kinds = [len(digits) for digits in named[id]]
        mean[id] = float(np.mean(percent[id]))
        means = (f"{height[id]:.0f}", f"{firing[id]:.1f}", f"{np.mean(kinds):.1f}")
        rows.append((names[id], *means))
        first = layers[id][0]
        spikes = np.array(first["spikes"])
        busiest = np.argsort(-spikes, kind="stable")[:18]
        w = np.array(first["w"])[:, busiest]  # (784, 18)
        w[:, spikes[busiest] == 0] = 0  # silent neurons, still random, stay white
        ax.imshow(wall(w, 6), cmap="gray_r", vmin=0, vmax=np.quantile(w, 0.995))
        ax.set(xticks=[], yticks=[])
        right = f"{percent[id][0]:.0f} % right (mean of {cfg.seeds} layers: {mean[id]:.0f} %)"
        ax.set_title(f"{names[id]}\n{right}\nneurons that fire: {active[0]}, digits: {kinds[0]}")
    is_digit = F.one_hot(data.y_train[:few], 10).double()  # (few, 10)
    images = is_digit.sum(0)  # of each digit
    white = data.x_train[:few].flatten(1).double().sum(1) / 255  # ink: white pixels of an image
    ink = is_digit.T @ white / images.clamp(min=1) / white.mean()
    axes[1, 2].bar(range(10), ink, color=plots.BLUE)
    axes[1, 2].axhline(1, color="0.4", linewidth=0.8)
    axes[1, 2].set_xticks(range(10))
    plots.label(axes[1, 2], "digit", "ink (average image: 1)", "Ink of the training images")
    one = {id: len(of_each[0]) for id, of_each in named.items()}
    most = max(kinds for id, kinds in one.items() if id != "both")
    both = one["both"]
    heights = ", ".join(f"{height[id]:.0f}" for id in ("fixed", "fixed_middle", "fixed_high"))
    title = f"Seed {cfg.seed}, both: {both} digits. No inhibition, or fixed at {heights}: {most} at most"
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "2_competition", look="the busiest neurons; black: largest weight of a panel")

    columns = ("layer", "last threshold", "neurons firing", "digits")
    run.table(f"Mean of {cfg.seeds} layers of each kind", columns, rows)

    facts = {"n": len(data.y_val), "seeds": cfg.seeds, "real": True}
    for id, name in names.items():
        run.claim(id, f"{name}: right", mean[id] / 100, **facts)
    worst = min(percent.pop("both"))
    best_other = max(max(values) for values in percent.values())
    verdict = "beats" if worst > best_other else "does not beat"
    run.finding(
        f"With inhibition and adaptive thresholds {mean['both']:.1f} % of the validation images are "
        f"answered rightly after {few:,} images without labels. Its worst seed {verdict} the best "
        f"layer of every other kind: {mean['no_inhibition']:.1f} % without inhibition; with "
        f"thresholds fixed at 10 {mean['fixed']:.1f} %, at 40 {mean['fixed_middle']:.1f} %, at "
        f"{height['both']:.0f}, as high as the adaptive ones get on average, "
        f"{mean['fixed_high']:.1f} %. To answer 0 to every image would give "
        f"{100 * (data.y_val == 0).float().mean():.1f} %."
    )
    # Each weight is 0.1 on average; a trace of U's time constant adds up 1/(1 − fade) steps.
    drive = 0.1 * 0.2 * white.mean() / (1 - math.exp(-1 / 20))
    found = sorted(set.union(*named["no_inhibition"]))
    run.finding(
        f"Without inhibition the thresholds end at {height['no_inhibition']:.0f}, against "
        f"{height['both']:.0f} with it: only much ink drives a neuron so high. Neurons are named "
        f"after {' and '.join(map(str, found))}. The digit with the most ink is {ink.argmax()}, "
        f"{ink.max():.2f} times the average; the most frequent one is {images.argmax()}."
    )
    run.finding(
        f"With thresholds fixed at 10, 40 and {height['both']:.0f} the neurons that fire number "
        f"{firing['fixed']:.0f}, {firing['fixed_middle']:.0f} and {firing['fixed_high']:.0f}. "
        f"An average image drives a neuron that has not learnt to about {drive:.0f}. One that has "
        "moved towards the images is driven higher, and with equal thresholds it wins again."
    )


# ---------------------------------------------------------------- 3  more images


@section
def section_images(cfg: Config, run: Run) -> float:
    """3  Do more images help?

    Such a question needs one set of images on which all answers are counted. So there is one split
    for all numbers. The layers learn from the first 55,000 of MNIST's 60,000 training images, whose
    first 5,000 always name the neurons. The last 5,000 are for validation: they are asked at every
    stop of the curve. The 10,000 test images, written by other people and perhaps harder, are asked
    once, at the end. Five layers (--repeats) differ in first weights, input spikes and order of images.
    Nothing in (5) promises that more images help: each spike of a neuron replaces 1 % of what it
    knew by the picture before it, for ever, and it moves to the images that make it fire.
    For comparison: Diehl & Cook report 83 % with 100 neurons and 95 % with 6,400. Lesson 09's
    network is told the label of every image and gets above 98 %.
    """
    most = cfg.train_images * cfg.epochs
    few = min(10_000, cfg.train_images)
    answers = ("accuracy rises", "accuracy falls", "the seeds do not tell")
    run.predict(
        "direction",
        f"The same layers, the same validation images: after {few:,} images, and after {most:,}. "
        f"What do {cfg.repeats} seeds say about the difference?",
        answers,
    )
    data = run.data(mnist)
    stops = [n for n in (2_500, 5_000, 10_000, 20_000) if n < cfg.train_images]
    stops += [cfg.train_images * (k + 1) for k in range(cfg.epochs)]
    tasks = {}
    for seed in range(cfg.seed, cfg.seed + cfg.repeats):
        tasks[f"layer {seed}"] = ({}, seed, stops, True)
    results = train_all(run, train_layer, tasks, LAYER_CODE, data)
    layers = [results[name] for name in tasks]

    validation = 100 * np.array([layer["validation"] for layer in layers])  # (seeds, stops)
    test = 100 * np.array([layer["test"] for layer in layers])
    at_few = validation[:, stops.index(few)]
    at_most = validation[:, -1]
    accuracy = float(test.mean())
    gain, half = interval(at_most - at_few)
    easier, easier_half = interval(at_most - test)
    verdict = answers[2]
    if abs(gain) > half:
        verdict = answers[0] if gain > 0 else answers[1]
    run.outcome("direction", verdict)

    title = f"Learnt without labels: {accuracy:.1f} % of the test images right"
    fig, (ax, bx) = plots.figure(1, 2, (12.5, 5.6), title, width_ratios=(1, 1.1))
    by_name = np.argsort(layers[0]["names"], kind="stable")
    w = np.array(layers[0]["w"])[:, by_name]
    picture = wall(w, math.ceil(math.sqrt(cfg.neurons)))
    ax.imshow(picture, cmap="gray_r", vmin=0, vmax=np.quantile(w, 0.995))
    ax.set_axis_off()
    ax.set_title(f"Weights of {cfg.neurons} neurons, sorted by name")
    plots.curves(bx, stops, {"validation, mean and range": validation})
    bx.plot([most] * len(test), test, "s", color=plots.RED, mfc="none", label="test, each layer")
    bx.set_xscale("log")
    bx.set_xticks(stops, [f"{n / 1000:g}" for n in stops])
    bx.minorticks_off()
    bx.legend(loc="lower right", title=f"{cfg.repeats} layers")
    head = f"From {few:,} to {most:,} images: {signed(gain)} ± {half:.2f} points"
    plots.label(bx, "thousand images seen (log scale)", "answered rightly (%)", head)
    run.figure(fig, "3_images", look="digits that many neurons share; the end of the blue curve")

    target = ">= 0.87" if cfg.full else ">= 0.83"
    of_test = {"n": len(data.y_test), "seeds": cfg.repeats, "real": True}
    of_val = {"n": len(data.y_val), "seeds": cfg.repeats, "real": True}
    text = "test images right, no labels"
    run.claim("stdp_accuracy", text, accuracy / 100, "1", target, **of_test)
    run.claim("stdp_few", f"validation after {few:,}", at_few.mean() / 100, **of_val)
    run.claim("stdp_all", f"validation after {most:,}", at_most.mean() / 100, **of_val)
    run.claim("more_images", f"{few:,} → {most:,} images", gain, "points", **of_val)
    run.claim("easier", "validation − test, same layers", easier, "points", **of_test)
    sets = "which may be chance"
    if abs(easier) > easier_half:
        sets = "so numbers of the two sets must not be compared"
    run.finding(
        f"{cfg.neurons} neurons that were never told a label get {accuracy:.1f} % of the test "
        f"images right (labels only name them afterwards). From {few:,} to {most:,} images, asked "
        f"the same validation images: {verdict} ({signed(gain)} ± {half:.2f} points). For the same "
        f"layers, validation minus test is {signed(easier)} ± {easier_half:.2f} points, {sets}. "
        f"(± is over {cfg.repeats} layers, all asked the same images.)"
    )
    # The ledger's row of the first layer. An input spike is added up in every neuron.
    brightness = data.x_test.float().mean(0).sum().item() / 255
    inputs = 0.2 * cfg.num_steps * brightness  # spikes of all pixels for an image
    synops = inputs * cfg.neurons
    size = (784 + 1) * cfg.neurons  # weights and thresholds
    run.ledger(
        model=f"STDP layer, {cfg.neurons} neurons",
        data=data.name,
        accuracy=layers[0]["test"],
        n=len(data.y_test),
        num_steps=cfg.num_steps,
        parameters=size,
        bytes=4 * size,
        spikes=inputs + layers[0]["spikes an image"],
        synops=synops,
        macs=0,
        energy_estimated_nj=estimated_energy_nj(synops, 0),
    )
    return accuracy


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

    Without adaptation (``b = 0``) the neurons are LIF.
    """

    def __init__(
        self,
        sizes: tuple[int, int, int],
        generator: torch.Generator,
        b: float = 0.1,
        beta: float = FAST,
        gain_in: float = 1.0,
        gain_rec: float = 1.0,
    ) -> None:
        """``sizes``: n_in, n and n_out. The gains scale the first weights of both kinds."""
        super().__init__()
        n_in, n, n_out = sizes
        w_in = torch.randn(n, n_in, generator=generator) / n_in**0.5
        w_rec = torch.randn(n, n, generator=generator) / n**0.5
        w_out = torch.randn(n_out, n, generator=generator) / n**0.5
        random = torch.randn(n_out, n, generator=generator) / n**0.5
        w_rec.fill_diagonal_(0)  # no neuron has a synapse onto itself
        self.w_in = nn.Parameter(gain_in * w_in)
        self.w_rec = nn.Parameter(gain_rec * w_rec)
        self.w_out = nn.Parameter(w_out)
        self.register_buffer("random_feedback", random)
        self.b = b  # rise of the threshold after a spike
        self.beta = beta  # what is left of the potential after a step
        self.rho = SLOW  # what is left of the adaptation
        self.threshold = 0.6

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
        reset = self.threshold * spk.detach()  # counts as a constant, as in lesson 09
        mem = self.beta * mem + cur - reset
        a = self.rho * a + spk
        above = mem - self.threshold - self.b * a  # the neuron fires if this is positive
        psi = 0.5 * (1 - above.detach().abs() / self.threshold).clamp(min=0)  # a triangle
        spk = (above > 0).to(mem.dtype)
        spk = spk + psi * (above - above.detach())  # adds 0, but autograd sees the slope ψ
        return spk @ self.w_out.T, State(mem, a, spk, psi)


class EProp:
    """Runs a network forward with the traces of its synapses beside it. No step is stored.

    The synapses of neuron j come from the n_in inputs and then from the n neurons: m = n_in + n.
    """

    def __init__(self, net: AdaptiveNet, batch: int, feedback: Tensor) -> None:
        n, n_in = net.w_in.shape
        zeros = net.w_in.new_zeros
        self.net = net
        self.feedback = feedback  # (n_out, n): the way back from the read-outs to the neurons
        self.state = net.rest(batch)
        self.pre = zeros(batch, n_in + n)  # x̄: one number for each presynaptic neuron
        self.slow = zeros(batch, n, n_in + n)  # ε: one for each synapse
        self.grad = zeros(n, n_in + n)
        self.grad_out = torch.zeros_like(net.w_out)

    @torch.no_grad()
    def step(self, x_t: Tensor) -> Tensor:
        """One step of network and traces: ``x_t (B, n_in)`` → read-out ``(B, n_out)``."""
        net = self.net
        if net.b > 0:  # a LIF neuron has no use for ε
            e = self.eligibility()
            self.slow = torch.add(e, self.slow, alpha=net.rho)  # ε[t] = ρ·ε[t−1] + e[t−1]
        arriving = torch.cat((x_t, self.state.spk), 1)  # (B, m)
        self.pre = net.beta * self.pre + arriving  # x̄[t] = β·x̄[t−1] + S_i
        out, self.state = net(x_t, self.state)
        return out

    def eligibility(self) -> Tensor:
        """e[t] = ψ[t]·(x̄[t] − b·ε[t]), ``(B, n, m)``."""
        psi = self.state.psi[:, :, None]  # (B, n, 1)
        inside = torch.sub(self.pre[:, None], self.slow, alpha=self.net.b)  # x̄ − b·ε
        return psi * inside

    @torch.no_grad()
    def learn(self, error: Tensor) -> None:
        """Add Σ L_j·e_ji of this step to the gradient; ``error`` is π − π*, ``(B, n_out)``."""
        signal = error @ self.feedback  # L_j = Σ_k W_out,kj·(π_k − π*_k), (B, n)
        self.grad += torch.einsum("bj,bji->ji", signal, self.eligibility())
        self.grad_out += error.T @ self.state.spk


class Learnt(NamedTuple):
    """What one batch teaches: gradients of ``w_in, w_rec, w_out``; mean answers ``(B, n_out)``."""

    grads: tuple[Tensor, Tensor, Tensor]
    answer: Tensor


def eprop(net: AdaptiveNet, x: Tensor, y: Tensor, feedback: Tensor | None = None) -> Learnt:
    """Gradients of the mean cross entropy in the last steps of ``x (T, B, n_in)``, by e-prop.

    ``feedback``: what stands in the place of the read-out's weights in (9), if not they themselves.
    """
    if feedback is None:
        feedback = net.w_out.detach()
    rule = EProp(net, len(y), feedback)
    answer = torch.zeros(())
    for t, x_t in enumerate(x):
        out = rule.step(x_t)
        if t >= len(x) - RECALL:
            share = out.softmax(1)  # π
            target = F.one_hot(y, share.shape[1])  # π*
            rule.learn((share - target) / (RECALL * len(y)))
            answer = answer + share / RECALL
    n_in = x.shape[2]
    w_in = rule.grad[:, :n_in]
    w_rec = rule.grad[:, n_in:].clone().fill_diagonal_(0)
    return Learnt((w_in, w_rec, rule.grad_out), answer)


def eprop_random(net: AdaptiveNet, x: Tensor, y: Tensor) -> Learnt:
    """The same with fixed random numbers in the place of the read-out's weights."""
    return eprop(net, x, y, net.random_feedback)


def forward_all(net: AdaptiveNet, x: Tensor, y: Tensor, cut: bool = False) -> tuple[Tensor, Tensor]:
    """All steps under autograd, which keeps them: the loss, and the mean answer ``(B, n_out)``."""
    state = net.rest(len(y))
    loss = torch.zeros(())
    answer = torch.zeros(())
    for t, x_t in enumerate(x):
        out, state = net(x_t, state, cut)
        if t >= len(x) - RECALL:
            loss = loss + F.cross_entropy(out, y) / RECALL
            answer = answer + out.detach().softmax(1) / RECALL
    return loss, answer


def bptt(net: AdaptiveNet, x: Tensor, y: Tensor, cut: bool = False) -> Learnt:
    """The same gradients by BPTT: back through all steps."""
    loss, answer = forward_all(net, x, y, cut)
    weights = [net.w_in, net.w_rec, net.w_out]
    w_in, w_rec, w_out = torch.autograd.grad(loss, weights)
    w_rec = w_rec.fill_diagonal_(0)
    return Learnt((w_in, w_rec, w_out), answer)


def cosines(a: Learnt, b: Learnt) -> list[float]:
    """How far two gradients point the same way (1: wholly), for W_in, W_rec and W_out."""
    found = []
    for p, q in zip(a.grads, b.grads, strict=True):
        cosine = F.cosine_similarity(p.flatten(), q.flatten(), dim=0)
        found.append(cosine.item())
    return found


def difference(a: Learnt, b: Learnt) -> float:
    """Length of the difference over the length of ``b``, for the layer where it is largest."""
    found = []
    for p, q in zip(a.grads, b.grads, strict=True):
        share = (p - q).norm() / q.norm().clamp(min=1e-30)
        found.append(share.item())
    return max(found)


def cue_trials(batch: int, wait: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Trials of the cue task (section 5): ``x (T, B, 40)``, and the side with more cues ``(B,)``.

    Of the 40 inputs, ten each are for cues on the left, cues on the right, the question, and noise.
    """
    often = torch.rand(batch, 1, generator=generator) < 0.5
    biased = torch.where(often, 0.7, 0.3)
    right = torch.rand(batch, 7, generator=generator) < biased  # seven cues, each left or right
    chance = torch.zeros(7 * 15 + wait, batch, 4, 10)  # of a spike
    for k in range(7):
        on = slice(15 * k + 5, 15 * k + 15)  # 50 ms of pause, then 100 ms of cue at 40 Hz
        is_right = right[:, k, None]  # (B, 1)
        chance[on, :, 0] = 0.4 * ~is_right
        chance[on, :, 1] = 0.4 * is_right
    chance[-RECALL:, :, 2] = 0.4
    chance[:, :, 3] = 0.1
    chance = chance.flatten(2)
    x = torch.rand(chance.shape, generator=generator) < chance
    return x.float(), (right.sum(1) > 3).long()


def watch_one_synapse(x: Tensor, b: float) -> dict[str, np.ndarray]:
    """A neuron with two inputs ``x (T, 2)``, and the traces of its first synapse; ``(T,)`` each."""
    net = AdaptiveNet((2, 1, 1), torch.Generator(), b=b)
    with torch.no_grad():
        net.w_in.copy_(torch.tensor([[0.3, 0.45]]))
    rule = EProp(net, 1, net.w_out)
    seen: dict[str, list[float]] = {"S": [], "x̄": [], "ε": [], "e": []}
    for x_t in x:
        rule.step(x_t[None])
        seen["S"].append(rule.state.spk.item())
        seen["x̄"].append(rule.pre[0, 0].item())
        seen["ε"].append(rule.slow[0, 0, 0].item())
        seen["e"].append(rule.eligibility()[0, 0, 0].item())
    return {name: np.array(values) for name, values in seen.items()}


@section
def section_eprop(cfg: Config, run: Run) -> None:
    """4  How much of BPTT's gradient can a synapse work out by itself?

    STDP has no goal. BPTT has one, but it runs backwards in time, after the end, and it needs the
    states of all neurons at all steps. On its way back an error passes the weights of *other*
    synapses. No synapse in a brain or on a small chip can know these.

    The network here has adaptive LIF neurons: each spike raises the threshold of its neuron by b,
    and the rise fades slowly (exercise 01d). S_i: spikes of inputs now, of neurons one step ago.

        U_j[t] = β·U_j[t−1] + Σ_i W_ji·S_i − θ·S_j[t−1]       S_j[t] = 1 if U_j[t] > θ + b·a_j[t]
        a_j[t] = ρ·a_j[t−1] + S_j[t−1]                        read-out k: Σ_j W_out,kj·S_j[t]  (6)

    With E for the loss, BPTT's gradient can be written in another order, exactly (Bellec et al.
    2020). As in lesson 09, the reset −θ·S_j counts as a constant on both sides:

        ∂E/∂W_ji = Σ_t ∂E/∂S_j[t]·e_ji[t]                                                     (7)

    The eligibility e_ji[t] is how much S_j[t] changes with W_ji by what happened inside neuron j so
    far. That can be worked out *forward* in time, by a chain rule that needs one step of memory:

        x̄_i[t]  = β·x̄_i[t−1] + S_i                 how U_j depends on W_ji: alike for all j
        ε_ji[t] = ρ·ε_ji[t−1] + e_ji[t−1]           how a_j depends on W_ji: fades within seconds
        e_ji[t] = ψ_j[t]·(x̄_i[t] − b·ε_ji[t])       ψ: surrogate of ∂S/∂U, as in lesson 07    (8)

    While ψ is 0, ε fades by ρ alone; when the neuron is near its threshold, by ρ − b·ψ. And e may
    be negative: an input that made the neuron fire raised its threshold, which holds it back later.

    All that (8) needs is at hand in neuron j and its synapse. The factor ∂E/∂S_j[t] of (7) is not:
    what the spike does through the read-out at once, and through *later spikes of other neurons*.
    (What it does to its own threshold is in e.) e-prop drops only this second part, and sends:

        L_j[t] = Σ_k W_out,kj·(π_k[t] − π*_k[t])     π: softmax of the read-outs, π*: the target (9)

    L_j still uses the read-out's weights backwards, as if the way back had a copy: the *weight
    transport problem*. *Random feedback*, fixed random numbers in their place, needs none (section 5).

    The first figure is one synapse, with a burst of input at the start. The second sets e-prop's
    gradients beside BPTT's, on 32 trials of section 5's task, before learning. A gain makes the
    recurrent weights stronger, and with them the part that is dropped.
    """
    run.predict(
        "cosine_in",
        "Two gradients that point the same way have a cosine of 1, two that have nothing to do "
        "with each other one of 0. For the input weights, what is it of e-prop's and BPTT's?",
    )
    T = 150
    burst = torch.zeros(T)
    burst[[2, 4, 6, 9]] = 1
    noise = (torch.rand(T, generator=run.generator()) < 0.4).float()
    x = torch.stack([burst, noise], 1)  # (T, 2)
    lif = watch_one_synapse(x, 0.0)
    adaptive = watch_one_synapse(x, 0.1)
    seconds = np.arange(T) * STEP / 1000
    low = signed(adaptive["e"][100:].min(), 3)
    late_lif = or_nothing(np.abs(lif["e"][100:]).max())
    title = f"0.9 s after the burst e of the adaptive neuron falls to {low}; |e| of LIF: {late_lif}"
    fig, (ax, bx, cx, dx) = plots.stack(4, title, "time (s)", height=1.6)
    spikes = torch.stack([torch.tensor(adaptive["S"]), burst], 1)
    plots.raster(ax, spikes, dt=STEP / 1000)
    ax.set_yticks([0, 1], ["neuron", "input"])
    ax.set_title("spikes: the synapse's input, and the adaptive neuron (noise drives it as well)")
    kept = {"x̄, 20 ms": adaptive["x̄"], "ε, 2 s": adaptive["ε"]}
    plots.curves(bx, seconds, kept, markers=False)
    peak = adaptive["ε"].argmax()
    left = adaptive["ε"][peak + 120] / adaptive["ε"][peak]
    bx.set_title(
        f"its traces; 1.2 s after the peak {left:.0%} of ε is left (if ψ = 0: {SLOW**120:.0%})"
    )
    eligibility = {"adaptive": adaptive["e"], "LIF": lif["e"]}
    for axis in (cx, dx):
        plots.curves(axis, seconds, eligibility, markers=False)
    cx.set_title("eligibility e: above 0, the weight helps the neuron to fire now")
    dx.set_ylim(-0.06, 0.02)
    dx.axhline(0, color="0.6", linewidth=0.8)
    dx.set_title("e near 0: below 0, it holds the neuron back (whose threshold has risen)")
    run.figure(fig, "4_synapse", look="the sign of e long after the input has ended")

    gains = (0.0, 0.5, 1.0, 2.0, 4.0)
    at_one = 2  # the place of gain 1
    alike = np.zeros((3, cfg.repeats, len(gains)))  # cosine with BPTT: layer, seed, gain
    exact = []
    pairs = [(i, k) for i in range(cfg.repeats) for k in range(len(gains))]
    for i, k in live(pairs, "   gradients", len(pairs)):
        generator = run.generator(i)
        net = AdaptiveNet((40, cfg.num_hidden, 2), generator, gain_rec=gains[k]).double()
        x, y = cue_trials(32, cfg.wait, generator)
        ours = eprop(net, x.double(), y)
        theirs = bptt(net, x.double(), y)
        alike[:, i, k] = cosines(ours, theirs)
        if k == at_one:
            exact.append(difference(ours, bptt(net, x.double(), y, cut=True)))
            by_eprop = 1e3 * ours.grads[0].flatten().numpy()
            by_bptt = 1e3 * theirs.grads[0].flatten().numpy()
    w_in, w_rec, w_out = alike[:, :, at_one].mean(1)
    strong = alike[0, :, -1].mean()

    title = f"Cosine of e-prop and BPTT before learning: {w_in:.2f} for W_in, {w_rec:.2f} for W_rec"
    fig, (ax, bx) = plots.figure(1, 2, (11.5, 4), title)
    largest = np.abs(by_bptt).max()
    ends = [-largest, largest]
    ax.plot(ends, ends, color="0.6", linewidth=1, label="equal")
    ax.plot(by_bptt, by_eprop, ".", color=plots.BLUE, markersize=2)
    ax.legend(loc="upper left")
    head = "W_in of one network: a dot is a weight"
    plots.label(ax, "gradient by BPTT (10⁻³)", "gradient by e-prop (10⁻³)", head)
    by_layer = {
        "W_in": alike[0],
        "W_rec": alike[1],
        "W_out": alike[2],
    }
    plots.curves(bx, gains, by_layer)
    head = f"W_in: {w_in:.2f} at gain 1, {strong:.2f} at gain 4\nmean and range of {cfg.repeats} networks"
    plots.label(bx, "gain of the recurrent weights", "cosine of the two gradients", head)
    run.figure(fig, "4_gradients", look="how near the dots lie to the grey line; what gain does")

    differ = max(exact)
    text = "e-prop − BPTT without the path through other neurons"
    run.claim("cut", text, differ, "1", "<= 1e-9", seeds=cfg.repeats)
    cosine = {"in": w_in, "rec": w_rec, "out": w_out}
    for name, value in cosine.items():
        run.claim(f"cosine_{name}", f"W_{name}: cosine to BPTT", value, "", seeds=cfg.repeats)
    run.claim("cosine_strong", "W_in, gain 4: cosine to BPTT", strong, "", seeds=cfg.repeats)
    run.finding(
        "e-prop leaves out errors that pass through other neurons' spikes, and nothing else: "
        f"without that path the gradients differ by {plain(differ)} of their length. With it the "
        f"cosine is {w_in:.2f} for the input weights, {w_rec:.2f} for the recurrent ones and "
        f"{w_out:.2f} for the read-out, where there is nothing to leave out. With recurrent "
        f"weights four times as strong, the first of these is {strong:.2f}."
    )


# ---------------------------------------------------------------- 5  the cue task


RULES = {"e-prop": eprop, "random feedback": eprop_random, "BPTT": bptt}
ARMS: dict[str, tuple[str, dict[str, float]]] = {  # a rule, and the options of the network
    "e-prop, LIF of 20 ms": ("e-prop", {"b": 0.0}),
    "e-prop, LIF of 2 s": ("e-prop", {"b": 0.0, "beta": SLOW, "gain_in": 0.5, "gain_rec": 0.5}),
    "e-prop, adaptive": ("e-prop", {}),
    "e-prop, random feedback": ("random feedback", {}),
    "BPTT, adaptive": ("BPTT", {}),
}
RATES = (4e-4, 1.25e-3, 4e-3, 1.25e-2, 4e-2, 0.125)  # learning rates that each arm tries


def share_right(answer: Tensor, y: Tensor) -> float:
    """Share of the trials whose largest answer ``(B, n_out)`` is the right one, ``y (B,)``."""
    right = answer.argmax(1) == y
    return right.float().mean().item()


def train_cues(
    cfg: Config, _: None, rule: str, options: dict[str, float], lr: float, seed: int
) -> dict[str, Any]:
    """Train one network on the cue task; every batch of 32 trials is new. All on the CPU.

    Returns its accuracy on 1,000 fresh trials (``right``), that on each batch before learning from
    it (``curve``), and the cosine of its gradient of W_in to BPTT's before and after (``cosines``).
    """
    generator = torch.Generator().manual_seed(seed)
    fresh = torch.Generator().manual_seed(seed + 10_000)
    net = AdaptiveNet((40, cfg.num_hidden, 2), generator, **options)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, cfg.iterations)
    learn = RULES[rule]
    probe = cue_trials(32, cfg.wait, fresh)
    before = cosines(learn(net, *probe), bptt(net, *probe))
    curve = []
    for _ in range(cfg.iterations):
        x, y = cue_trials(32, cfg.wait, generator)  # (T, B, 40), (B,)
        learnt = learn(net, x, y)
        net.w_in.grad, net.w_rec.grad, net.w_out.grad = learnt.grads
        optimizer.step()
        schedule.step()
        curve.append(share_right(learnt.answer, y))
    after = cosines(learn(net, *probe), bptt(net, *probe))
    x, y = cue_trials(20 if cfg.smoke else 1000, cfg.wait, fresh)
    with torch.no_grad():
        _, answer = forward_all(net, x, y)
    return {
        "right": share_right(answer, y),
        "curve": curve,
        "cosines": (before[0], after[0]),
    }


CUE_CODE = (AdaptiveNet, EProp, eprop, eprop_random, forward_all, bptt, cue_trials, train_cues)


def train_arms(
    cfg: Config, run: Run, todo: Sequence[tuple[str, float, int]]
) -> dict[tuple[str, float, int], dict[str, Any]]:
    """``train_cues`` for each ``(arm, learning rate, seed)``."""
    tasks = {}
    for arm, lr, seed in todo:
        name = f"{arm}, rate {lr:g}, seed {seed}"
        tasks[name] = (*ARMS[arm], lr, seed)
    results = train_all(run, train_cues, tasks, CUE_CODE)
    return {one: results[name] for one, name in zip(todo, tasks, strict=True)}


def best_rates(cfg: Config, run: Run) -> dict[str, float]:
    """For each arm the best learning rate, by two networks and trials that are not reported."""
    rates = RATES[:1] if cfg.smoke else RATES
    seeds = (cfg.seed + 1000, cfg.seed + 1001)
    todo = [(arm, lr, seed) for arm in ARMS for lr in rates for seed in seeds]
    results = train_arms(cfg, run, todo)
    best = {}
    rows = []
    for arm in ARMS:
        right = []
        for lr in rates:
            both = [results[arm, lr, seed]["right"] for seed in seeds]
            right.append(100 * np.mean(both))
        best[arm] = rates[int(np.argmax(right))]
        rows.append((arm, *(f"{share:.1f}" for share in right)))
    columns = ("learning rate", *(f"{lr:g}" for lr in rates))
    run.table("Trials right (%), mean of two networks, to choose a rate", columns, rows)
    return best


def with_range(cosines: Sequence[float]) -> str:
    """Mean and range of some networks' cosines."""
    ends = f"{signed(min(cosines))}…{signed(max(cosines))}"
    return f"{signed(float(np.mean(cosines)))} ({ends})"


def reach(net: AdaptiveNet, x: Tensor, y: Tensor, cut: bool = False) -> float:
    """How much BPTT's error at the first cue is of that at the end: mean lengths of ∂E/∂x."""
    x = x.double().requires_grad_()
    loss, _ = forward_all(net.double(), x, y, cut)
    (grad,) = torch.autograd.grad(loss, x)
    length = grad.flatten(1).norm(dim=1)  # (T,)
    first_cue = length[5:15].mean()
    end = length[-RECALL:].mean().clamp(min=1e-300)
    return (first_cue / end).item()


def reach_before_learning(cfg: Config, options: dict[str, float], cut: bool = False) -> str:
    """``reach`` of an arm's networks, the median of ``--seeds``, in two digits."""
    found = []
    for seed in range(cfg.seed, cfg.seed + cfg.seeds):
        generator = torch.Generator().manual_seed(seed)
        net = AdaptiveNet((40, cfg.num_hidden, 2), generator, **options)
        x, y = cue_trials(32, cfg.wait, generator)
        found.append(reach(net, x, y, cut))
    return or_nothing(float(np.median(found)))


@section
def section_cues(cfg: Config, run: Run) -> tuple[float, float]:
    """5  Can a synapse learn from what it did a second ago?

    In the task of Bellec et al. a mouse runs along a corridor and sees seven cues, each on the left
    or on the right. Then nothing happens for a while, and at the end it has to turn to the side
    that had more. The network gets 40 spike trains: ten for each side, ten for the question at the
    end, and ten of noise. A target, and with it a learning signal, exists only in the last 150 ms.

    So the signal L comes when the cues are long gone. Equation (3) multiplies it by the eligibility
    of that moment, and the product can blame a weight for a cue only as far as e still holds a part
    of it. In (8), x̄ fades with the membrane, and ε with the adaptation. With the usual --wait, the
    answer is due from 1.05 to 1.2 s after the last cue. By the end of that time there is left:

        LIF, membrane of 20 ms        e^(−1200/20) of x̄: nothing
        LIF, membrane of 2 s          e^(−1200/2000) = 55 % of x̄
        adaptive, 20 ms and 2 s       nothing of x̄; 55 % of ε if ψ were 0, else much less (4_synapse)

    Five arms get the same number of updates (by Adam, one for 32 trials), and each its own learning
    rate: six are tried with two networks each, and the best goes on to new networks, which answer
    1,000 new trials each. The last two arms ask what random feedback costs, and what BPTT reaches;
    the table has the differences to e-prop, seed by seed, and says if the seeds tell them apart. A
    membrane of 2 s adds up inputs for a hundred times as long, so it gets first weights half as
    large, or it would fire far more often at the start than the other LIF neurons.

    BPTT was not trained with LIF neurons of 2 s. So what that arm falls short of may be the fault
    of the neuron, of its first weights or of the rule; nothing here separates them. Where two rates
    are nearly level, as for this arm, new networks may choose the other.

    Is it good to be near BPTT? A table has the cosine of each arm's gradient to BPTT's, before and
    after learning. Its last column, *cue / end*, tells how much of BPTT's own error gets back to
    the cues before learning: the length of ∂E/∂x, the gradient for the inputs of a step, at the
    first cue, divided by its length in the last 150 ms. Far below 1, the error has faded on its way
    back; far above 1, it has grown.

    Frenkel's code learns this task with LIF neurons of 2 s. In its models.py, grads_batch is this
    section: `h` is ψ, `err` is π − π*, `L` is (9), `trace_in` and `trace_rec` are e without ε, made
    after the trial for all steps at once: a number for each synapse *and step*, more than BPTT's.
    """
    step = STEP / 1000  # s
    first = (cfg.wait - RECALL) * step
    last = cfg.wait * step
    run.predict(
        "cue_lif",
        f"e-prop, LIF neurons with a membrane of 20 ms, and the answer is due from {first:.2f} to "
        f"{last:.2f} s after the last cue. What share of the trials does the network get right "
        "(guessing: 50 %)?",
        unit="%",
    )
    best = best_rates(cfg, run)
    seeds = [cfg.seed + i for i in range(cfg.seeds)]
    todo = [(arm, best[arm], seed) for arm in ARMS for seed in seeds]
    results = train_arms(cfg, run, todo)
    right = {}
    curves = {}
    early = {}  # the cosine to BPTT before learning: mean and range
    near = {}  # and after it
    back = {}  # how far BPTT's error gets back, before learning
    shares = {}
    against = {}  # its difference to e-prop with adaptive neurons
    lif, slow_lif, adaptive, random, backward = ARMS
    for arm, (_, options) in ARMS.items():
        back[arm] = reach_before_learning(cfg, options)
        networks = [results[arm, best[arm], seed] for seed in seeds]
        right[arm] = [100 * one["right"] for one in networks]
        curves[arm] = 100 * np.mean([one["curve"] for one in networks], 0)  # (updates,)
        before = [one["cosines"][0] for one in networks]
        after = [one["cosines"][1] for one in networks]
        early[arm] = with_range(before)
        near[arm] = with_range(after)
        middle, half = interval(right[arm])
        shares[arm] = f"{middle:.1f} ± {half:.1f}"
    for arm in ARMS:
        ahead, half = interval(np.subtract(right[arm], right[adaptive]))
        told = "told apart" if abs(ahead) > half else "not told apart"
        against[arm] = f"{signed(ahead, 1)} ± {half:.1f}, {told}"
    against[adaptive] = ""
    mean = {arm: float(np.mean(values)) for arm, values in right.items()}

    x, _ = cue_trials(1, cfg.wait, run.generator())
    title = (
        f"By e-prop: adaptive {shares[adaptive]} % right, LIF of 2 s {shares[slow_lif]} %, "
        f"LIF of 20 ms {shares[lif]} %"
    )
    fig, (ax, bx) = plots.figure(1, 2, (14.5, 4.6), title, width_ratios=(1.2, 1))
    plots.raster(ax, x[:, 0], dt=step, width=1)
    names = ["left", "right", "question", "noise"]
    ax.set_yticks([4.5, 14.5, 24.5, 34.5], names)
    end = len(x) * step
    ax.axvspan(end - RECALL * step, end, color=plots.YELLOW, alpha=0.4)
    plots.label(ax, "time (s)", "inputs, ten each", "One trial; yellow: the answer is due")
    width = max(1, cfg.iterations // 10)
    window = np.ones(width) / width
    smooth = {}
    for arm in sorted(mean, key=mean.__getitem__, reverse=True):  # as the lines end
        smooth[arm] = np.convolve(curves[arm], window, "valid")
    plots.curves(bx, range(width, cfg.iterations + 1), smooth, markers=False)
    bx.set_ylim(35, 101)
    bx.legend(loc="upper left", bbox_to_anchor=(1, 1))
    head = f"Right while learning: {cfg.seeds} networks, mean of {width} updates"
    plots.label(bx, "updates, 32 new trials each", "answered rightly (%)", head)
    run.figure(fig, "5_cues", look="which curves leave 50 %, when, and whether they fall again")

    rows = [(arm, f"{best[arm]:g}", shares[arm], against[arm]) for arm in ARMS]
    columns = ("arm", "rate", "right, %", "minus e-prop, adaptive")
    run.table(f"Cue task, {cfg.seeds} new networks an arm", columns, rows)
    rows = [(arm.removeprefix("e-prop, "), early[arm], near[arm], back[arm]) for arm in ARMS]
    columns = ("arm", "before learning", "after it", "cue / end")
    run.table(f"Cosine to BPTT, mean and range of {cfg.seeds} networks", columns, rows)
    facts = {"n": 1000 * cfg.seeds, "seeds": cfg.seeds}
    ids = ("cue_lif", "cue_lif_slow", "cue_eprop", "cue_random", "cue_bptt")
    for id, arm in zip(ids, ARMS, strict=True):
        target = ">= 0.95" if arm == adaptive else None
        run.claim(id, arm, mean[arm] / 100, "1", target, **facts)
    run.finding(
        f"With adaptive neurons e-prop gets {shares[adaptive]} % of the trials right. The others "
        f"less this, in points, and whether {cfg.seeds} seeds tell them apart: BPTT "
        f"{against[backward]}; random feedback {against[random]}; LIF of 20 ms {against[lif]}; LIF "
        f"of 2 s, {shares[slow_lif]} % right, {against[slow_lif]}. BPTT was not trained with LIF of "
        "2 s, so rule and neuron are not separated there."
    )
    _, options = ARMS[slow_lif]
    without = reach_before_learning(cfg, options, cut=True)
    run.finding(
        f"The cosine to BPTT (mean, range of {cfg.seeds} networks) does not tell how well an arm "
        f"learns. LIF of 20 ms ends at {near[lif]}, but BPTT's own error at the first cue is "
        f"{back[lif]} of that at the end. Random feedback starts at {early[random]}, ends at "
        f"{near[random]} and gets {shares[random]} %. LIF of 2 s ends at {near[slow_lif]}. There "
        f"BPTT's error at the first cue is {back[slow_lif]} times that at the end, and {without} "
        "times without the path through other neurons, which e-prop drops."
    )
    return mean[adaptive], mean[backward]


# ---------------------------------------------------------------- 6  three rules


def bptt_bytes(net: AdaptiveNet, x: Tensor) -> int:
    """Bytes that BPTT keeps for a trial ``x (T, 1, n_in)`` until it goes back, without weights."""
    y = torch.zeros(1, dtype=torch.long)
    with saved_for_backward(net.parameters()) as kept:
        out = forward_all(net, x, y)  # has to live until the bytes are counted
        held = kept()
    del out
    return held


def eprop_bytes(net: AdaptiveNet, x: Tensor) -> int:
    """Bytes that e-prop keeps from step to step for one trial: traces, and the network's state."""
    rule = EProp(net, 1, net.w_out)
    for x_t in x:
        rule.step(x_t)
    kept = (rule.pre, rule.slow, *rule.state)
    return sum(tensor.nbytes for tensor in kept)


@section
def section_rules(cfg: Config, run: Run) -> None:
    """6  What does each rule have to know, and what does it keep?

                              STDP                e-prop              BPTT
        goal                  none                a target            a target
        a synapse reads       two spike trains    those, ψ_j, L_j     later states, others' weights
        it learns             at a spike          at every step       after the end
        is kept, for each     neuron              synapse             neuron and step
        work besides forward  at spikes only      3 to 4              up to 2

    BPTT keeps every step until it goes back, so its memory grows with T (lesson 09). Of each step
    our network keeps n_in inputs, n spikes and n values of ψ: for each neuron c = (n_in + 2·n)/n
    numbers. e-prop keeps its traces, whatever T is: x̄ for every presynaptic neuron, and ε for every
    *synapse*. So the question is which is larger:

        BPTT     c·n·T              e-prop     n·(n_in + n), and a few for each neuron       (10)

    (The gradient itself is left out on both sides.) The two are equal near T = (n_in + n)/c. Wide
    networks on short sequences favour BPTT, and streams that do not end leave e-prop alone. Both
    count for each sample of a batch. LIF neurons need no ε; nor does STDP.
    PyTorch stores each number in 4 bytes. But n_in + n of BPTT's numbers are spikes, and one bit
    would do for each; the figure has a line for that, worked out and not measured. How
    BPTT is written moves the crossing (it can also keep every k-th step and compute the others
    again: checkpointing), but not that its memory grows with T and e-prop's does not.

    In work there is no gain. The table counts multiplications, for each step and sample, in units of
    the n·(n_in + n) that a forward pass takes. e-prop needs three (ρ·ε, b·ε, and ψ times the
    bracket) and a fourth, L·e, in steps with a target, where our loop works out e twice, to be read
    more easily. BPTT needs two at most on the way back. (Counted from the equations, not timed.)

    Where do the local rules fall short? STDP follows what makes a neuron fire, wanted or not. e-prop
    needs somebody to send L_j, and what it drops grows with the recurrent weights (section 4). By
    (9), a neuron without a weight to the read-out gets no signal, even if it matters through others'
    later spikes. With two hidden layers, L_j of the first would have to come through the second.
    """
    steps = (20, 50, 100, 200, 500, 1000, 2000)
    if cfg.smoke:
        steps = (40, 60, 80)
    n_in = 40
    net = AdaptiveNet((n_in, cfg.num_hidden, 2), run.generator())
    run.predict(
        "crossing",
        f"{cfg.num_hidden} adaptive neurons, {n_in} inputs, one trial at a time, 4 bytes a number. "
        "From how many time steps on does BPTT keep more bytes than e-prop?",
        unit="steps",
    )
    kept: dict[str, list[int]] = {"BPTT": [], "e-prop": []}
    for T in steps:
        x = (torch.rand(T, 1, n_in, generator=run.generator(T)) < 0.05).float()
        kept["BPTT"].append(bptt_bytes(net, x))
        kept["e-prop"].append(eprop_bytes(net, x))
    per_step, constant = np.polyfit(steps, kept["BPTT"], 1)
    longest = kept["e-prop"][-1]
    crossing = (longest - constant) / per_step
    in_spikes = n_in + cfg.num_hidden  # of the numbers that BPTT keeps of a step
    as_bits = per_step - 4 * in_spikes + in_spikes / 8
    crossing_bits = (longest - constant) / as_bits
    title = (
        f"BPTT keeps more from about {crossing:.0f} steps on; spikes as bits: {crossing_bits:.0f}"
    )
    fig, ax = plots.figure(1, 1, (8.5, 3.9), title)
    in_kib = {name: np.divide(values, 1024) for name, values in kept.items()}
    in_kib["BPTT, spikes as bits (worked out)"] = (constant + as_bits * np.array(steps)) / 1024
    plots.curves(ax, steps, in_kib)
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(steps, [f"{T:,}" for T in steps])
    sizes = (3, 10, 30, 100, 300, 1000)
    ax.set_yticks(sizes, [f"{kib:,}" for kib in sizes])
    ax.minorticks_off()
    plots.label(ax, "time steps T", f"kept for one trial (KiB), n = {cfg.num_hidden}")
    run.figure(fig, "6_memory", look="the line that is flat, and where the others cross it")

    text = f"e-prop: bytes, T = {steps[-1]:,} / T = {steps[0]}"
    run.claim("memory_slope", "BPTT keeps, a step and trial", per_step, "bytes")
    run.claim("memory_growth", text, longest / kept["e-prop"][0], "", "<= 1.01")
    run.claim("crossing", "BPTT keeps more from", round(crossing, 1), "steps")
    run.claim("crossing_bits", "… with spikes as bits", round(crossing_bits, 1), "steps")
    c = per_step / 4 / cfg.num_hidden
    run.finding(
        f"From about {crossing:.0f} steps on BPTT keeps more than e-prop: {per_step:.0f} bytes for "
        f"every step and trial, which is c = {c:.2g} numbers of 4 bytes for a neuron and step, "
        f"against {longest / 1024:.0f} KiB at any length. Were spikes kept as bits, it would be "
        f"{as_bits:.0f} bytes a step, and {crossing_bits:.0f} steps."
    )
    by_stdp = run.results.get(section_images.number)
    by_both = run.results.get(section_cues.number)
    if by_stdp and by_both:  # under --only 6 the sections before it have not run
        by_eprop, by_bptt = by_both
        run.finding(
            "STDP, as in (5), reads two neurons and no label. In a layer that adds a race, "
            f"thresholds and a fixed sum of weights, {cfg.neurons} neurons get {by_stdp:.1f} % of "
            "MNIST's test images right, with labels only to name them. e-prop adds one signal and "
            f"a trace in each synapse: {by_eprop:.1f} % right in a task whose cues are a second "
            f"old; BPTT {by_bptt:.1f} % (± in section 5).",
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
