"""Lesson 14 — Loss and regularisation: how many spikes does an answer need?

Question
    On a neuromorphic chip every spike costs energy. How many of its spikes can a trained network do
    without? What does that cost in accuracy? And how does one ask for no more than a chip can afford?

Idea
    For one image, neuron i sends n_i = Σ_t S_i[t] spikes. Each spike meets f_i weights of the next
    layer, the neuron's fan-out, and each of these weights is added to a potential there. Such an
    addition is a synaptic operation, SynOp:

        SynOps = Σ_i f_i·n_i                 over all neurons whose spikes meet weights             (1)

    To make them fewer, training gets a second term beside the loss of the task: a penalty R on the
    counts, times a strength λ. ⟨·⟩ is the mean over all hidden neurons and all images of a batch:

        L = L_task + λ·R           L1: R = ⟨n_i⟩           L2: R = ⟨n_i²⟩                           (2)

    λ is a price: how much more of L_task we accept for one unit less of R. Often one does not know
    it, but knows a budget b. Then the price can be adjusted after every batch: it rises while more
    than b is spent, falls while less is spent, and never gets below 0. With [x]₊ = max(0, x):

        excess = spent/b − 1          price = [λ + κ·excess]₊          λ ← [λ + η·excess]₊          (3)

Read first
    Theory     snnbook, loss functions and regularisation, https://snnbook.net/
               NeuroBench (2025), SynOps, https://www.nature.com/articles/s41467-025-56739-4
    Practice   https://snntorch.readthedocs.io/en/latest/snntorch.functional.html

Run
    uv run 14_loss_and_regularization.py --predict   asks what you expect, then measures it: start here
    uv run 14_loss_and_regularization.py             about ten minutes of two CPU cores; also --only 3
    uv run 14_loss_and_regularization.py --resume    section 6 goes on after its last finished epoch

Builds on / leads to
    09 gave the loop, 07 the surrogate, 10 the network of section 6, 12 the prices of operations.
    Capstone A makes its player sparse in this way.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from common import plots
from common.cost import estimated_energy_nj, ledger_row, pareto_front
from common.data import ImageData, batches, cifar10, mnist
from common.io import ROOT, live, load_weights
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import constant_current, over_time
from multistep import fast_number, unroll, unroll_normalised
from multistep.photonet import PhotoNet, highest_mean_current, show_photo, smoothed_loss
from training import fit
from training.augment import flip_and_shift, jitter
from training.measured import Arm, Measured, interval, lost
from training.muon import muon_for_convolutions, up_and_down

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHECKPOINT = ROOT / "checkpoints" / "cifar10_sew.safetensors"
Penalty = Callable[[Tensor], Tensor]  # from the counts n (B, N) to R


@dataclass
class Config(LessonConfig):
    """Sections 1 to 5 work on MNIST, section 6 on CIFAR-10 with lesson 10's network, T = 2."""

    num_steps: int = bounded(10, 1, 100_000)
    """time steps for which a digit is shown (T)"""
    num_hidden: int = bounded(256, 2, 100_000)
    """hidden neurons (N)"""
    epochs: int = bounded(5, 1, 1000)
    """passes over all training images in section 1"""
    lr: float = bounded(4e-3, 1e-7, 10.0)
    """learning rate of section 1 at the start; fine-tuning begins at half of it"""
    tune_images: int = bounded(15_000, 10, 55_000)
    """training images of each fine-tuning in sections 2 to 5, twice each"""
    seeds: int = bounded(3, 2, 20)
    """networks trained in section 1, each with fine-tunings of its own"""
    tolerance: float = bounded(0.5, 0.0, 100.0)
    """points of validation accuracy that the knee of section 3 may lose"""
    cifar_epochs: int = bounded(0, 0, 1000)
    """passes over all photographs in section 6 at two steps; 0: 2 where bfloat16 is fast, else 1"""
    resume: bool = False
    """section 6: go on after the last finished epoch of a run that was stopped"""


SMOKE = {
    "epochs": 1,
    "num_hidden": 32,
    "num_steps": 3,
    "tune_images": 100,
    "seeds": 2,
    "cifar_epochs": 1,
}
FULL = {"epochs": 15, "tune_images": 55_000, "seeds": 5, "cifar_epochs": 20}


class Net(nn.Module):
    """784–256–10, the network of lesson 09. Here ``run`` gives the hidden spikes too, since they cost."""

    def __init__(self, num_hidden: int = 256, beta: float = 0.9) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, num_hidden)
        self.lif1 = snn.Leaky(beta=beta, init_hidden=True)
        self.fc2 = nn.Linear(num_hidden, 10)
        self.lif2 = snn.Leaky(beta=beta, init_hidden=True, output=True)

    def forward(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        """One step: ``(B, 784)`` → output spikes and membrane, each ``(B, 10)``."""
        spk1 = self.lif1(self.fc1(x_t))  # (B, N)
        return self.lif2(self.fc2(spk1))

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All steps from rest: ``(T, B, 784)`` → hidden spikes ``(T, B, N)``, output membrane ``(T, B, 10)``."""
        spk1, _, _ = unroll(self.lif1, over_time(self.fc1, x))
        _, mem2, _ = unroll(self.lif2, over_time(self.fc2, spk1), record_mem=True)
        return spk1, mem2


def make_net(cfg: Config, seed: int) -> Net:
    """A fresh network, whose weights depend on the seed alone."""
    torch.manual_seed(seed)
    return Net(num_hidden=cfg.num_hidden)


def encode(x: Tensor, num_steps: int) -> Tensor:
    """The grey values are the input at every step: ``(B, 1, 28, 28)`` → ``(T, B, 784)``."""
    return constant_current(x.flatten(1), num_steps)


@torch.no_grad()
def measure(net: Net, x: Tensor, y: Tensor, cfg: Config) -> Measured:
    """Answers and hidden spikes for all images ``x``."""
    right = []
    counts = torch.zeros(cfg.num_steps + 1, dtype=torch.float64)
    total = torch.zeros(cfg.num_hidden, dtype=torch.float64)
    for x_b, y_b in batches(x, y, 500):
        spk1, mem2 = net.run(encode(x_b, cfg.num_steps))
        answer = mem2.mean(0).argmax(1)  # (B,)
        right.append(answer.cpu() == y_b.cpu())
        n = spk1.sum(0).cpu()  # (B, N)
        counts += torch.bincount(n.long().flatten(), minlength=len(counts))
        total += n.double().sum(0)
    return Measured(torch.cat(right).double(), counts, total / len(x))


# ---------------------------------------------------------------- 1  what a spike costs


def photos_of(cfg: Config) -> dict[str, int]:
    """How many photographs: all of them, a few in a smoke run."""
    return {"n_train": 64, "n_val": 40, "n_test": 100} if cfg.smoke else {}


def load_photo_net(run: Run) -> PhotoNet:
    """With the weights that lesson 10 ships; its BatchNorm holds still until somebody trains it."""
    return load_weights(PhotoNet(), CHECKPOINT).to(run.device).eval()


def fan_out(filters: int, size: int) -> Tensor:
    """f_i at each place of a map of size×size, in front of a 3×3 convolution: ``(H, W)``.

    A spike in the middle meets nine weights of each filter, one in a corner four.
    """
    everywhere = torch.ones(1, 1, size, size)
    window = torch.ones(1, 1, 3, 3)
    return filters * F.conv2d(everywhere, window, padding=1)[0, 0]


def synops_by_layer(net: PhotoNet, outputs: Sequence[Tensor]) -> Tensor:
    """Equation (1), one number a layer: additions an image that its spikes cause, ``(layers,)``.

    ``outputs``: what each layer hands on, ``(T, B, C, H, W)``. Behind a shortcut an element may be 2:
    two spikes. Autograd goes through it, so it can stand in a loss.
    """
    images = outputs[0].shape[1]
    found = []
    next_layers = list(net.layers)[1:]
    for spk, after in zip(outputs[:-1], next_layers, strict=True):
        spikes = spk.float().sum((0, 1, 2)) / images  # of one image, at each place: (H, W)
        f = fan_out(after.conv.out_channels, spk.shape[-1])  # (H, W)
        found.append((f.to(spikes.device) * spikes).sum())
    last = outputs[-1].float().sum() / images
    found.append(net.fc.out_features * last)  # each meets one weight a class
    return torch.stack(found)


def multiplications(net: PhotoNet) -> int:
    """MACs of the first layer for one image of 32×32: grey values meet weights as spikes do, once."""
    return int(3 * fan_out(net.layers[0].conv.out_channels, 32).sum())


@dataclass
class Start:
    """What section 1 leaves for the others: trained MNIST networks, one a seed."""

    nets: list[Net]
    spikes: list[float]
    """hidden spikes of each network for a validation image"""
    data: ImageData


@section
def section_cost(cfg: Config, run: Run) -> Start:
    """1  What does one spike cost?

    Not much, and not everywhere the same. When a neuron fires, an event-driven chip fetches the weights
    that lead from it to the next layer, and adds each of them to a potential there. A neuron that is
    silent causes none of this (lesson 12). So the price of a spike is its fan-out f_i:

        in front of a dense layer with M outputs          f = M
        in front of a 3×3 convolution with C filters      f = 9·C     (fewer at the edge, see `fan_out`)

    This lesson uses two networks. The first is 784–256–10 for MNIST, the network of lesson 09. It is
    trained here, once for each seed, and each of its hidden spikes meets ten weights. The second is
    lesson 10's network for photographs, with its shipped weights. There a spike meets between 10 and
    2,304 weights, so the first thing to know is which layer's spikes are the expensive ones.

    How much energy that is depends on the chip. As in lesson 12 we estimate it from counts, with
    Horowitz's prices for 32-bit arithmetic (45 nm):

        E = 0.9 pJ·SynOps + 4.6 pJ·MACs                                                            (4)

    The MACs, multiply-accumulates, are those of the first layer, which sees grey values and not spikes.
    They are done once, since the image stays the same, and zeros are skipped. (4) leaves out memory, the
    updates of potentials, and control. A penalty on spikes acts on the first term alone. So before
    saving spikes, one should know what share of the energy they cause.
    """
    run.predict(
        "spike_share",
        "In 784–256–10 the first layer multiplies grey values, once, and the spikes of 256 "
        f"hidden neurons add ten weights each, for {cfg.num_steps} steps. What share of the "
        "energy (4) do the spikes cause?",
        unit="%",
    )
    T = cfg.num_steps
    data = run.data(mnist).to(run.device)
    nets = []
    for seed in range(cfg.seed, cfg.seed + cfg.seeds):
        net = make_net(cfg, seed)
        history = fit(  # the loop of lesson 09
            net,
            data,
            partial(encode, num_steps=T),
            run=run,
            epochs=cfg.epochs,
            lr=cfg.lr,
            augment=partial(jitter, shift=1),
            seed=seed,
            quiet=True,
        )
        best = max(row["val"] for row in history)
        run.print(f"   trained  MNIST, seed {seed}: {100 * best:.2f} % of the validation images")
        nets.append(net)
    found = [measure(net, data.x_test, data.y_test, cfg) for net in nets]
    spikes = float(np.mean([m.spikes for m in found]))
    lit = (data.x_test > 0).flatten(1).sum(1)  # pixels of each image that are not 0
    macs = lit.double().mean().item() * cfg.num_hidden
    energy = estimated_energy_nj(10 * spikes, macs)
    share = estimated_energy_nj(10 * spikes, 0) / energy

    photos = run.data(cifar10, **photos_of(cfg))
    few = photos.x_test[:200].to(run.device).float() / 255
    photo = load_photo_net(run)
    with torch.no_grad():
        outputs = photo.outputs(show_photo(few))
    costs = synops_by_layer(photo, outputs).cpu().numpy()  # (layers,)
    sent = np.array([spk.float().sum().item() / len(few) for spk in outputs])  # (layers,)
    dear = costs / np.maximum(sent, 1e-9)  # SynOps of a spike
    dearest = int(dear.argmax())
    photo_energy = estimated_energy_nj(costs.sum(), multiplications(photo))
    photo_share = estimated_energy_nj(costs.sum(), 0) / photo_energy

    with torch.no_grad():
        spk1, _ = nets[0].run(encode(data.x_test[:1].float() / 255, T))
    one = spk1[:, 0].cpu()  # (T, N)
    order = one.sum(0).argsort(descending=True)
    busy = order[: int((one.sum(0) > 0).sum())]  # the neurons that fire
    fig, (left, middle, right) = plots.figure(1, 3, (13.5, 3.9), width_ratios=(1.1, 1, 1))
    plots.raster(left, one[:, busy])
    ticks = range(0, T, max(1, T // 5))
    left.set_xticks(ticks, [t + 1 for t in ticks])
    heading = f"a digit: {int(one.sum())} spikes, 10 weights each"
    plots.label(left, "time step", f"the {len(busy)} hidden neurons that fire", heading)
    thousands, millions = {}, {}
    for i, layer in enumerate(photo.layers):
        name = f"layer {i + 1}"
        if layer.shortcut:
            name += " (SEW)"
        thousands[name] = sent[i] / 1e3
        millions[name] = costs[i] / 1e6
    plots.bars(middle, thousands, fmt="{:.1f}")
    plots.label(middle, "thousand spikes an image", "", "a photograph: spikes …")
    plots.bars(right, millions, fmt="{:.2f}")
    plots.label(right, "million SynOps an image", "", "… and what they cost")
    of_spikes = 100 * sent[dearest] / max(sent.sum(), 1)
    of_costs = 100 * costs[dearest] / max(costs.sum(), 1)
    title = f"Layer {dearest + 1} sends {of_spikes:.0f} % of the spikes and causes {of_costs:.0f} % of the SynOps"
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "1_cost", look="how the order of the bars changes from spikes to SynOps")

    facts = {"n": len(data.y_test) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    run.claim("spikes", "MNIST: hidden spikes an image", spikes, "", **facts)
    run.claim("spike_share", "MNIST: share of spikes in energy", share, **facts)
    run.claim(
        "photo_synops", "photographs: SynOps an image", float(costs.sum()), "", n=200, real=True
    )
    run.claim("photo_share", "photographs: share of spikes", photo_share, n=200, real=True)
    run.finding(
        f"A hidden spike of the MNIST network costs 10 additions, one of layer {dearest + 1} "
        f"of the photograph network {dear[dearest]:,.0f} on average. By (4), spikes cause "
        f"{100 * share:.0f} % of the estimated energy in the first, where multiplying the "
        f"pixels takes the rest, and {100 * photo_share:.0f} % in the second: there saving "
        "spikes can pay."
    )
    own = [measure(net, data.x_val, data.y_val, cfg).spikes for net in nets]
    return Start(nets, own, data)


# ---------------------------------------------------------------- 2  penalties


def l1(n: Tensor) -> Tensor:
    """⟨n_i⟩ of the counts ``n (B, N)``."""
    return n.mean()


def l2(n: Tensor) -> Tensor:
    """⟨n_i²⟩."""
    return (n**2).mean()


class FixedPrice:
    """λ·R with a λ that stays, equation (2)."""

    def __init__(self, penalty: Penalty, strength: float) -> None:
        self.penalty = penalty
        self.strength = strength

    def __call__(self, n: Tensor, progress: float) -> Tensor:
        return self.strength * self.penalty(n)


def next_price(
    strength: float, excess: float, eta: float = 0.02, kappa: float = 2.0
) -> tuple[float, float]:
    """Equation (3): the price of this batch, and the next λ, from λ and the excess spent/b − 1."""
    price = max(0.0, strength + kappa * excess)
    return price, max(0.0, strength + eta * excess)


class SteeredPrice:
    """A price that finds itself, equation (3), the subject of section 4. R is the penalty over the budget.

    ``budget``: the spikes of a neuron for an image, mean over all of them, that may be left. In the first
    half of the training b comes down to it from what was spent at first, by the same factor an update.
    """

    def __init__(self, penalty: Penalty, budget: float) -> None:
        self.penalty = penalty
        self.budget = max(budget, 1e-9)
        self.strength = 0.0  # λ
        self.trace: list[tuple[float, float, float]] = []  # b, spent, price at each update

    def __call__(self, n: Tensor, progress: float) -> Tensor:
        """What is added to the loss for the counts ``n (B, N)`` of a batch; then λ takes its step."""
        spent = n.mean().item()
        first = self.trace[0][1] if self.trace else spent
        first = max(first, 1e-9)
        b = first * (self.budget / first) ** min(1.0, 2 * progress)
        # larger steps than in section 6, as there are fewer of them
        price, self.strength = next_price(self.strength, spent / b - 1, eta=0.1, kappa=5.0)
        self.trace.append((b, spent, price))
        return price * self.penalty(n) / b


Price = FixedPrice | SteeredPrice
EPOCHS, BATCH = 2, 128  # of each fine-tuning on MNIST


def fine_tune(net: Net, data: ImageData, price: Price, seed: int, cfg: Config) -> None:
    """The loop of lesson 09 with one line more: a price on the hidden spikes. Changes ``net``.

    The last epoch is kept. To keep the one that is best on validation images would favour the epoch in
    which the penalty has done least.
    """
    x, y = data.x_train[: cfg.tune_images], data.y_train[: cfg.tune_images]
    updates = EPOCHS * math.ceil(len(x) / BATCH)
    optimizer = torch.optim.Adam(net.parameters(), lr=cfg.lr / 2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    order = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # of the small moves of the images
    done = 0
    for _ in range(EPOCHS):
        for x_b, y_b in batches(x, y, BATCH, generator=order):
            spk1, mem2 = net.run(encode(jitter(x_b, 1), cfg.num_steps))
            n = spk1.sum(0)  # n_i = Σ_t S_i[t]: (B, N)
            loss = F.cross_entropy(mem2.mean(0), y_b)
            loss = loss + price(n, progress=done / updates)  # the new line
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1


def tune(
    start: Start,
    make_price: Callable[[], Price],
    cfg: Config,
    fresh: bool = False,
) -> Arm:
    """Fine-tune a copy of every network of section 1, or a ``fresh`` one, and measure it."""
    arm = Arm()
    for i, trained in enumerate(start.nets):
        seed = cfg.seed + i
        net = copy.deepcopy(trained)
        if fresh:
            net.load_state_dict(make_net(cfg, seed).state_dict())
        price = make_price()
        fine_tune(net, start.data, price, seed, cfg)
        arm.nets.append(net)
        arm.prices.append(price)
        arm.val.append(measure(net, start.data.x_val, start.data.y_val, cfg))
        arm.test.append(measure(net, start.data.x_test, start.data.y_test, cfg))
    return arm


def synops(arm: Arm) -> float:
    """SynOps of an image of the validation set: ten weights a hidden spike."""
    return 10 * arm.validation("spikes")


def budget_of(share: float, start: Start, cfg: Config) -> float:
    """A ``share`` of what the networks of section 1 send, as spikes of a neuron for an image."""
    return share * float(np.mean(start.spikes)) / cfg.num_hidden


@section
def section_penalties(cfg: Config, run: Run) -> Arm:
    """2  What do L1 and L2 do to the spikes?

    Both penalties of (2) make a network quieter, by different means. What they charge for one spike more
    of neuron i is the derivative of R by its count, with N neurons and B images in the mean:

        L1    ∂R/∂n_i = 1/(N·B)             the first spike costs as much as the tenth
        L2    ∂R/∂n_i = 2·n_i/(N·B)         the tenth is expensive, the first nearly free

    So L1 takes the spikes that the task misses least, wherever they are. L2 goes for neurons that fire
    long bursts, and lets go of one that is nearly silent. One expects that L1 leaves few neurons at work,
    and that L2 spreads the work over many.

    To see whether they do, both have to be compared at the same number of spikes. No λ promises that, so
    `SteeredPrice`, above, changes λ during the training until the budget is met (section 4 explains it).
    Every network of section 1 is fine-tuned three times by `fine_tune`, which is lesson 09's loop with one
    line more: without a price, and with L1 and L2 down to a quarter of the spikes.

    A neuron is called dead if it fires for none of the test images.
    """
    run.predict(
        "more_dead",
        "Down to a quarter of the spikes: which penalty leaves more neurons that never fire?",
        ("L1", "L2", "not told apart"),
    )
    given: Start = run.result_of(section_cost)
    budget = budget_of(0.25, given, cfg)
    ways = {
        "no penalty": partial(FixedPrice, l1, 0.0),
        "L1": partial(SteeredPrice, l1, budget),
        "L2": partial(SteeredPrice, l2, budget),
    }
    arms: dict[str, Arm] = {}
    for name in live(ways, "   fine-tuning", len(ways)):
        arms[name] = tune(given, ways[name], cfg)
    free, by_l1, by_l2 = arms.values()

    fig, (left, right) = plots.figure(1, 2, (11.5, 4))
    ranks = {}
    for i, (name, arm) in enumerate(arms.items()):
        ranks[name] = np.stack([m.rates.sort(descending=True).values.numpy() for m in arm.test])
        counts = sum(m.counts for m in arm.test)  # (T + 1,)
        style = {"color": plots.COLOURS[i], "ls": plots.DASHES[i], "marker": plots.MARKERS[i]}
        right.semilogy(100 * counts / counts.sum(), label=name, **style)
    plots.curves(left, range(1, cfg.num_hidden + 1), ranks, markers=False)
    plots.label(left, "hidden neurons, the busiest first", "spikes an image, r_i", "who fires")
    right.set_xticks(range(0, cfg.num_steps + 1, max(1, cfg.num_steps // 10)))
    right.set_yticks([1, 10, 100], ["1", "10", "100"])
    what = "share of all neurons and images (%)"
    plots.label(right, "spikes of a neuron for one image", what, "how often")
    dead = {name: 100 * arm.mean("dead") for name, arm in arms.items()}
    title = f"At a quarter of the spikes L1 leaves {dead['L1']:.1f} % of the neurons dead, L2 {dead['L2']:.1f} %"
    fig.suptitle(title, x=0.01, ha="left")
    look_at = "left, where each line meets zero; right, the longest bursts"
    run.figure(fig, "2_penalties", look=look_at)

    more, half = interval(100 * (by_l1.each("dead") - by_l2.each("dead")))
    longer, spread = interval(by_l1.each("burst") - by_l2.each("burst"))
    gap, width = interval(100 * (by_l2.each("accuracy") - by_l1.each("accuracy")))
    facts = {"n": len(given.data.y_test) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    run.claim("dead_l1", "L1: dead neurons", by_l1.mean("dead"), **facts)
    run.claim("dead_l2", "L2: dead neurons", by_l2.mean("dead"), **facts)
    run.claim("burst_gap", "burst under L1 − under L2", longer, "spikes", **facts)
    run.claim("accuracy_gap", "accuracy under L2 − under L1", gap, "points", **facts)
    verdict = "not told apart"
    if abs(more) > half:
        verdict = "L1" if more > 0 else "L2"
    run.outcome("more_dead", verdict)
    who = f"{verdict} leaves more neurons dead"
    if verdict == "not told apart":
        who = "the seeds do not tell apart which penalty leaves more neurons dead"
    run.finding(
        f"With {by_l1.mean('spikes'):.0f} (L1) and {by_l2.mean('spikes'):.0f} (L2) spikes an "
        f"image instead of {free.mean('spikes'):.0f}, {who}: {dead['L1']:.1f} % against "
        f"{dead['L2']:.1f} %, a difference of {more:.1f} ± {half:.1f} points over {cfg.seeds} "
        f"seeds (no penalty: {dead['no penalty']:.1f} %). A neuron that fires for an image "
        f"does so {by_l1.mean('burst'):.1f} times under L1 and {by_l2.mean('burst'):.1f} times "
        f"under L2, a difference of {longer:.2f} ± {spread:.2f}. In accuracy L2 − L1 is "
        f"{gap:+.2f} ± {width:.2f} points."
    )
    return free


# ---------------------------------------------------------------- 3  the front

STRENGTHS = {  # λ, from hardly any to too much
    "L1": (0.1, 0.3, 1.0, 3.0),
    "L2": (0.01, 0.03, 0.1, 0.3),
}
PENALTIES = {"L1": l1, "L2": l2}
Key = tuple[str, float]  # a penalty and its λ


def knee(arms: dict[Key, Arm], free: Arm, tolerance: float) -> Key:
    """The cheapest arm that loses at most ``tolerance`` points of validation accuracy against ``free``."""
    good = []
    for key, arm in arms.items():
        points, _ = lost(free.val, arm.val)
        if points <= tolerance + 1e-9:
            good.append(key)
    return min(good, key=lambda key: synops(arms[key]))


@section
def section_front(cfg: Config, run: Run) -> None:
    """3  How many spikes can go before accuracy does?

    Every λ gives a network with some SynOps and some accuracy. The points to which no other is to be
    preferred, as none is both cheaper and better, are the Pareto front. Which of them to take depends on
    what an error costs, and no curve tells that. For a device at the edge, where energy is short, this
    lesson uses a rule, stated before anything is measured:

        knee    the cheapest point whose validation accuracy, mean over the seeds, is at most
                `tolerance` (half a point) below that of the same fine-tuning without a penalty

    The rule reads all 5,000 validation images. What the knee loses is then measured on the 10,000 test
    images, which chose nothing. Each network is compared with the one that started from the same weights
    and was fine-tuned for as long without a penalty; the ± is over the seeds. Of eight settings the one that
    is chosen has had some luck on validation. It has none on the test images: expect it to lose somewhat
    more there.
    """
    run.predict(
        "saving",
        "For at most half a point of validation accuracy: how many times fewer SynOps can the "
        "trained MNIST network do with?",
        unit="times",
    )
    given: Start = run.result_of(section_cost)
    free: Arm = run.result_of(section_penalties)
    arms: dict[Key, Arm] = {("no penalty", 0.0): free}
    todo = [(name, strength) for name in STRENGTHS for strength in STRENGTHS[name]]
    for name, strength in live(todo, "   sweep", len(todo)):
        arms[name, strength] = tune(given, partial(FixedPrice, PENALTIES[name], strength), cfg)
    best = knee(arms, free, cfg.tolerance)
    chosen = arms[best]
    saved = synops(free) / max(synops(chosen), 1e-9)
    down, half = lost(free.test, chosen.test)

    rows = []
    cost, value = [], []
    families = {name: ([], []) for name in ("no penalty", *STRENGTHS)}  # a marker each
    for (name, strength), arm in arms.items():
        cells = [f"{strength:g}", f"{synops(arm):,.0f}"]
        for before, after in ((free.val, arm.val), (free.test, arm.test)):
            change, width = lost(before, after)
            cells.append(f"{change:+.2f} ± {width:.2f}")
        cells.append(f"{100 * arm.mean('dead'):.1f}")
        mark = "← " if arm is chosen else ""
        rows.append((mark + name, *cells))
        cost.append(synops(arm))
        value.append(100 * arm.validation("accuracy"))
        families[name][0].append(cost[-1])
        families[name][1].append(value[-1])
    columns = ("penalty", "λ", "SynOps", "lost, validation", "lost, test", "dead, %")
    run.table(f"An image; points lost, mean of {cfg.seeds} seeds; ← the knee", columns, rows)

    front = pareto_front(cost, value)
    line = ([cost[i] for i in front], [value[i] for i in front])
    star = (synops(chosen), 100 * chosen.validation("accuracy"))
    fig, ax = plots.figure(1, 1, (9, 4.4))
    plots.pareto(ax, families, front=line, knee=star)
    floor = 100 * free.validation("accuracy") - cfg.tolerance
    ax.axhline(floor, color="0.5", ls=":", lw=1, label=f"no penalty − {cfg.tolerance:g} points")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    plots.label(ax, "SynOps an image", "validation images read correctly (%)")
    title = f"At the knee {saved:.1f} times fewer SynOps, for {down:.2f} ± {half:.2f} points on the test images"
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "3_front", look="how long the front stays flat, and where it falls")

    facts = {"n": len(given.data.y_test) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    spent = estimated_energy_nj(synops(free), 0)
    nanojoules = spent - estimated_energy_nj(synops(chosen), 0)
    run.claim("saving", "SynOps: no penalty / knee", saved, "times", ">= 3", real=True)
    run.claim("lost", "test accuracy lost at the knee", down, "points", "<= 1", **facts)
    run.claim("free_accuracy", "no penalty: test accuracy", free.mean("accuracy"), **facts)
    run.claim("knee_accuracy", "knee: test accuracy", chosen.mean("accuracy"), **facts)
    run.claim("energy_saved", "estimated energy saved", nanojoules, "nJ", real=True)
    sample = encode(given.data.x_test[:50].float() / 255, cfg.num_steps)
    facts = {"data": given.data.name, "n": len(given.data.y_test)}
    for name, arm in (("no penalty", free), ("knee", chosen)):
        model = f"SNN 784–{cfg.num_hidden}–10, {name}"
        accuracy = arm.test[0].accuracy
        run.ledger(**ledger_row(arm.nets[0], sample, model=model, accuracy=accuracy, **facts))
    run.finding(
        f"By the rule the knee is {best[0]} with λ = {best[1]:g}: {saved:.1f} times fewer "
        f"SynOps, and {down:.2f} ± {half:.2f} points lost on the test images "
        f"({100 * free.mean('accuracy'):.2f} to {100 * chosen.mean('accuracy'):.2f} %, "
        f"{cfg.seeds} seeds). Of the estimated {spent:.1f} nJ that the spikes of an image "
        f"cause without a penalty, {nanojoules:.1f} nJ are saved; the first layer's "
        "multiplications, which no penalty touches, come on top (section 1)."
    )


# ---------------------------------------------------------------- 4  a budget that holds

SHARES = (0.5, 0.25, 0.0625)


def hinge(n: Tensor, budget: float) -> Tensor:
    """[⟨n_i⟩ − b]₊: nothing up to the budget, L1 above it."""
    return (n.mean() - budget).clamp(min=0)


@section
def section_budget(cfg: Config, run: Run) -> None:
    """4  How does one get the spikes that one can pay for, and no more?

    A chip can afford so many spikes an image, and the network has to keep to that. The obvious penalty is a
    hinge, free up to the budget b and L1 beyond:

        R = [⟨n_i⟩ − b]₊             with a λ that is chosen beforehand

    It pulls with λ or not at all. As long as one more spike is worth more than λ to the task, the network
    goes over its budget and pays. Above a certain λ* it no longer does. But λ* is another one for each
    budget, and one knows it only afterwards.

    So let the training find it. After each batch λ rises if more than b was spent and falls if less was:

        λ ← [λ + η·excess]₊             excess = spent/b − 1

    This stands still only where spent = b, or where λ = 0 and the budget is not even used up. In the theory
    of optimisation under constraints, λ is a Lagrange multiplier: weights go down the gradient of L while
    λ goes up it, which is why this is called dual ascent.

    Two things keep it from swinging. λ sums up excesses, so it answers late, and falls too late as well:
    a network that has overshot does not get its spikes back. So the price in (3) has a second part,
    κ·excess, which answers at once and is gone when the budget is met. (This is known as the augmented
    Lagrangian, and to engineers as a PI controller.) And b comes down step by step, by the same factor at
    each update of the first half. `SteeredPrice` is all of it, with R = spent/b. At the end λ/b is what one
    more spike a neuron costs, which is what the λ of the hinge is as well.

    A hinge with λ = 1, one with λ = 10 and dual ascent get the same three budgets: a half, a quarter and a
    sixteenth of what the networks of section 1 send on average. They get the same training, except that a
    hinge asks for its budget from the first update on. What is judged is spent/asked − 1 on all 5,000
    validation images, and there the worst seed.
    """
    run.predict(
        "hinge_error",
        "Asked for a sixteenth of its spikes by a hinge with λ = 1, by how many per cent does "
        "a network go over its budget?",
        unit="%",
    )
    given: Start = run.result_of(section_cost)
    ways = ("hinge, λ = 1", "hinge, λ = 10", "dual ascent")
    arms: dict[Key, Arm] = {}
    errors: dict[Key, np.ndarray] = {}  # spent/asked − 1, one a seed
    todo = [(name, share) for share in SHARES for name in ways]
    for name, share in live(todo, "   budgets", len(todo)):
        b = budget_of(share, given, cfg)
        if name == "dual ascent":
            make_price = partial(SteeredPrice, l1, b)
        else:
            strength = float(name.removeprefix("hinge, λ = "))
            make_price = partial(FixedPrice, partial(hinge, budget=b), strength)
        arm = tune(given, make_price, cfg)
        spent = np.array([m.spikes for m in arm.val]) / cfg.num_hidden
        errors[name, share] = spent / b - 1
        arms[name, share] = arm
    worst = {name: max(np.abs(errors[name, share]).max() for share in SHARES) for name in ways}
    prices = []  # what one spike a neuron costs at the end
    for share in SHARES:
        steered = arms["dual ascent", share].prices
        prices.append(float(np.mean([p.strength / p.budget for p in steered])))

    fig, (left, middle, right) = plots.figure(1, 3, (14, 4))
    percent = [100 * share for share in SHARES]
    before = budget_of(1.0, given, cfg)
    for i, share in enumerate(SHARES):
        first = arms["dual ascent", share].prices[0]
        b, spent, price = np.array(first.trace).T  # (updates,) each
        colour, dash = plots.COLOURS[i], plots.DASHES[i]
        left.plot(100 * spent / before, color=colour, lw=1)
        left.plot(100 * b / before, color="0.2", lw=0.8, ls=":")
        left.annotate(f" {100 * share:g} %", (len(b), 100 * share), color=colour, va="center")
        middle.plot(price / b, color=colour, lw=1, ls=dash, label=f"{100 * share:g} %")
    left.set_yscale("log")
    left.set_yticks([100, *percent], [f"{p:g}" for p in (100, *percent)])
    left.set_xlim(0, 1.2 * len(b))
    middle.legend()
    plots.label(left, "update", "spikes of a batch (% of before)", "spent; dotted: the budget b")
    plots.label(middle, "update", "price of a spike a neuron", "the price that finds itself")
    lines = {"as asked": percent}
    for name in ways:
        lines[name] = [100 * share * (1 + errors[name, share].mean()) for share in SHARES]
    plots.curves(right, percent, lines)
    right.set_xscale("log", base=2)
    right.set_yscale("log", base=2)
    right.set_xticks(percent, [f"{p:g}" for p in percent])
    right.set_yticks(percent, [f"{p:g}" for p in percent])
    plots.label(right, "asked for (% of the spikes)", "spent (%)", "all validation images")
    off = ", ".join(f"{100 * worst[name]:.0f} % ({name})" for name in ways)
    fig.suptitle(f"Three budgets, off at worst by {off}", x=0.01, ha="left")
    run.figure(fig, "4_budget", look="right, which line leaves that of what was asked")

    facts = {"n": len(given.data.y_val) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    over = 100 * float(errors["hinge, λ = 1", SHARES[-1]].mean())
    strong = [100 * float(errors["hinge, λ = 10", share].mean()) for share in SHARES]
    ours = arms["dual ascent", SHARES[-1]].each("accuracy")
    theirs = arms["hinge, λ = 10", SHARES[-1]].each("accuracy")
    gain, half = interval(100 * (ours - theirs))
    error = worst["dual ascent"]
    run.claim("hinge_error", "hinge, a sixteenth: over by", over / 100, **facts)
    run.claim("dual_error", "dual ascent: worst error", error, "1", "<= 0.05", **facts)
    run.claim("price_half", "price of a spike: a half", prices[0], "", **facts)
    run.claim("price_last", "price of a spike: a sixteenth", prices[-1], "", **facts)
    run.finding(
        f"On all validation images dual ascent is off by at most {100 * error:.1f} % of the "
        f"budget, for three budgets and {cfg.seeds} seeds. A hinge with λ = 1 is {over:+.1f} % "
        f"off when asked for a sixteenth; with λ = 10 it is {strong[0]:+.1f} % off for a half "
        f"and {strong[-1]:+.1f} % for a sixteenth. There dual ascent reads {gain:+.2f} ± "
        f"{half:.2f} points more. The price that keeps the budget is {prices[0]:.2f} a spike "
        f"and neuron for a half and {prices[-1]:.2f} for a sixteenth."
    )


# ---------------------------------------------------------------- 5  dead neurons

STRONG = 10.0  # λ of this section: far too much
PULL, R_MIN = 3.0, 0.05  # weight and height of the lower bound: a spike in twenty images


def l1_with_floor(n: Tensor) -> Tensor:
    """⟨n_i⟩ + 3·⟨[r_min − r_i]₊⟩, with r_i the mean count of a neuron over the batch."""
    r = n.mean(0)  # (N,)
    return n.mean() + PULL * (R_MIN - r).clamp(min=0).mean()


def tail(x: Any) -> Any:
    """ATan's surrogate derivative σ′ at a distance x from the threshold."""
    return 1 / (1 + (math.pi * x) ** 2)


def reach(net: Net, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """How far below θ every hidden neuron stays, and how far a loss on its spikes can still move it.

    Returns θ − max_t U, mean over the images ``x (T, B, 784)``, and ‖∂⟨n_i⟩/∂w_i‖ for its incoming weights
    w_i, both ``(N,)``.
    """
    spk1, mem1, _ = unroll(net.lif1, over_time(net.fc1, x), record_mem=True)  # (T, B, N) each
    mean_counts = spk1.sum(0).mean(0)  # (N,)
    (gradient,) = torch.autograd.grad(mean_counts.sum(), net.fc1.weight)  # (N, 784)
    distance = (1 - mem1.detach().amax(0)).mean(0)
    return distance.cpu().numpy(), gradient.norm(dim=1).cpu().numpy()


@section
def section_dead(cfg: Config, run: Run) -> None:
    """5  What kills neurons, and what keeps them alive?

    A dead neuron costs nothing and says nothing. Can training bring it back? Any loss reaches its weights
    w_i through the surrogate derivative σ′(U − θ) alone (lesson 07), and that of ATan falls with the square
    of the distance from the threshold:

        ∂n_i/∂w_i ∝ σ′(U_i − θ)             σ′(x) = 1/(1 + (π·x)²)          1 at θ, 0.025 two away

    So some gradient still arrives after the last spike. It serves the task, which may want the neuron back,
    and L1 as well, which goes on pushing, since its derivative is the same for n_i = 0 (section 2). The
    further a neuron is pushed, the less of either arrives. L2 stops pushing at n_i = 0.

    Whether the task can hold its ground depends on when the penalty comes. In a fresh network no spike is
    of use yet, so nothing speaks for it. L1 with λ = 10, far too much, is used in three ways, each with the
    same passes over the same images, beside one training without it:

        at once       from random weights on         (beside it: the same with λ = 0)
        afterwards    in the networks of section 1, which had their training before
        with floor    the same, and a lower bound r_min on each neuron's mean count r_i:

            R = ⟨n_i⟩ + 3·⟨[r_min − r_i]₊⟩               r_min = 0.05: a spike in 20 images

    Below r_min the second term pulls up three times as hard as the first pushes down.
    """
    run.predict(
        "killed",
        "L1 with λ = 10 acts on a fresh network from the first update on. What share of its "
        "hidden neurons is dead at the end?",
        unit="%",
    )
    given: Start = run.result_of(section_cost)
    ways = {
        "λ = 0, fresh": (l1, 0.0, True),
        "at once": (l1, STRONG, True),
        "afterwards": (l1, STRONG, False),
        "with floor": (l1_with_floor, STRONG, False),
    }
    arms: dict[str, Arm] = {}
    for name in live(ways, "   trainings", len(ways)):
        penalty, strength, fresh = ways[name]
        arms[name] = tune(given, partial(FixedPrice, penalty, strength), cfg, fresh)
    _, at_once, afterwards, with_floor = arms.values()
    dead = {name: 100 * arm.mean("dead") for name, arm in arms.items()}
    read = {name: 100 * arm.mean("accuracy") for name, arm in arms.items()}
    x = encode(given.data.x_train[:500].float() / 255, cfg.num_steps)
    found = {}  # distance below θ and gradient of each neuron, first network
    for name in ("λ = 0, fresh", "afterwards", "at once"):
        found[name] = reach(arms[name].nets[0], x)
    medians = {name: float(np.median(gradient)) for name, (_, gradient) in found.items()}
    left_over = medians["at once"] / max(medians["λ = 0, fresh"], 1e-30)

    fig, (left, right) = plots.figure(1, 2, (11.5, 4), width_ratios=(1, 1.5))
    plots.bars(left, dead, fmt="{:.1f}")
    plots.label(left, "dead hidden neurons (%)", "", "what dies")
    for i, (name, (distance, gradient)) in enumerate(found.items()):
        style = {"color": plots.COLOURS[i], "markersize": 4, "alpha": 0.6, "label": name}
        right.plot(distance, gradient + 1e-12, plots.MARKERS[i], **style)
    far = np.concatenate([distance for distance, _ in found.values()])
    high = np.concatenate([gradient for _, gradient in found.values()])
    below = far > 0.5
    if below.any():
        scale = np.median(high[below] / tail(far[below]))
        line = np.linspace(0.5, far.max(), 100)
        right.plot(line, scale * tail(line), "k--", lw=1, label="∝ σ′")
    right.set_yscale("log")
    right.legend()
    heading = "what still reaches a neuron"
    plots.label(right, "distance below threshold, θ − max U", "‖∂⟨n_i⟩/∂w_i‖", heading)
    title = f"λ = {STRONG:g} kills {dead['at once']:.0f} % of the neurons at once, {dead['afterwards']:.0f} % "
    title += f"afterwards, {dead['with floor']:.1f} % with a floor"
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "5_dead", look="on the right, how the gradient falls with the distance")

    gain, half = interval(100 * (with_floor.each("accuracy") - afterwards.each("accuracy")))
    facts = {"n": len(given.data.y_test) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    run.claim("killed", "at once: dead neurons", at_once.mean("dead"), **facts)
    run.claim("late", "afterwards: dead neurons", afterwards.mean("dead"), **facts)
    left_dead = with_floor.mean("dead")
    run.claim("floor", "with floor: dead neurons", left_dead, "1", "<= 0.01", **facts)
    run.claim("floor_gain", "accuracy that the floor gains", gain, "points", **facts)
    run.claim("left_over", "gradient left in a killed network", left_over, "")
    run.finding(
        f"L1 with λ = {STRONG:g} kills {dead['at once']:.0f} % of the neurons of a fresh "
        f"network ({read['at once']:.1f} % right; the same training with λ = 0: "
        f"{read['λ = 0, fresh']:.1f} %) and {dead['afterwards']:.0f} % of a trained one "
        f"({read['afterwards']:.1f} %). With the floor {dead['with floor']:.1f} % are dead, "
        f"and accuracy changes by {gain:+.1f} ± {half:.1f} points. What still reaches a neuron "
        f"of the killed network is {left_over:.2g} of what reaches one that lives (medians)."
    )


# ---------------------------------------------------------------- 6  photographs


GOAL = 0.31  # the budget of this section, as a share of the shipped network's SynOps
WAYS = {  # a name: the budget (1: no penalty), and the time steps T
    "no penalty": (1.0, 2),
    "budget, T = 2": (GOAL, 2),
    "budget, T = 1": (GOAL, 1),
}


class Budgeted(nn.Module):
    """Lesson 10's network with a budget of SynOps, for ``fit``; λ is saved with the weights.

    ``at_start``: SynOps an image of the shipped network. ``goal``: the budget, as a share of them; 1 means
    no penalty at all. ``updates``: how many there will be.
    """

    def __init__(self, net: PhotoNet, at_start: float, goal: float, updates: int) -> None:
        super().__init__()
        self.net = net
        self.at_start = at_start
        self.goal = goal
        self.updates = updates
        self.register_buffer("strength", torch.zeros(()))
        self.register_buffer("done", torch.zeros(()))

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(T, B, 3, H, W)`` → output current ``(T, B, 10)``, and SynOps as a share of those at the start."""
        outputs = self.net.outputs(x)
        spent = synops_by_layer(self.net, outputs).sum() / self.at_start
        return self.net.read(outputs[-1]), spent

    def budget(self) -> float:
        """b of the next update, as in ``SteeredPrice``: it falls to the goal in the first half."""
        way = min(1.0, self.done.item() / (self.updates / 2))
        return self.goal**way

    def loss(self, out: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
        """The loss of the task, and the price of what was spent; then λ takes its step (3)."""
        current, spent = out
        loss = smoothed_loss(current, y)
        if self.goal < 1:
            b = self.budget()
            price, strength = next_price(self.strength.item(), spent.item() / b - 1)
            loss = loss + price * spent / b
            self.strength.fill_(strength)
        self.done += 1
        return loss


def class_of(out: tuple[Tensor, Tensor]) -> Tensor:
    """The class that ``Budgeted.run`` gives."""
    current, _ = out
    return highest_mean_current(current)


@torch.no_grad()
def look(net: PhotoNet, data: ImageData, part: str, T: int, run: Run) -> tuple[Tensor, Tensor]:
    """Which photographs of ``part``, "val" or "test", are read correctly, ``(images,)``; SynOps, ``(layers,)``."""
    x, y = {"val": (data.x_val, data.y_val), "test": (data.x_test, data.y_test)}[part]
    number = fast_number(run.device)
    right = []
    total = torch.zeros(len(net.layers), dtype=torch.float64)
    for x_b, y_b in batches(x, y, 500, device=run.device):
        outputs = net.outputs(show_photo(x_b, number, T))
        answer = highest_mean_current(net.read(outputs[-1]))
        right.append((answer == y_b).float().cpu())
        total += synops_by_layer(net, outputs).double().cpu() * len(y_b)
    return torch.cat(right), total / len(y)


@torch.no_grad()
def unasked(net: PhotoNet, x: Tensor) -> float:
    """The share of the SynOps for ``x (T, B, 3, H, W)`` that channels cause which fire on an empty map, too."""
    outputs = net.outputs(x)
    suspects: list[Tensor] = []  # the outputs, with the spikes of all other channels taken out
    before = x
    for layer, spk in zip(net.layers, outputs, strict=True):
        nothing = torch.zeros(len(x), 1, spk.shape[2], 1, 1, device=x.device)
        alone = unroll_normalised(layer.norm, layer.lif, nothing).sum(0) > 0  # (1, C, 1, 1)
        if layer.shortcut:
            suspects.append((spk - before) * alone + suspects[-1])
        else:
            suspects.append(spk * alone)
        before = spk
    share = synops_by_layer(net, suspects).sum() / synops_by_layer(net, outputs).sum()
    return share.item()


def paired(before: Tensor, after: Tensor) -> tuple[float, float]:
    """Points of accuracy lost, image by image, and the ± of a 95 % interval over the images."""
    change = 100 * (before - after)
    return change.mean().item(), 1.96 * change.std().item() / math.sqrt(len(change))


def fine_tune_photos(
    name: str, at_start: float, data: ImageData, cfg: Config, run: Run
) -> PhotoNet:
    """Lesson 10's network, trained on in one of the ``WAYS``; BatchNorm is at rest afterwards."""
    goal, num_steps = WAYS[name]
    number = fast_number(run.device)
    epochs = cfg.cifar_epochs or (2 if number == torch.bfloat16 else 1)
    epochs = epochs * 2 // num_steps  # as many steps of images in all
    net = load_photo_net(run)
    updates = epochs * math.ceil(len(data.x_train) / 256)
    budgeted = Budgeted(net, at_start, goal, updates)
    torch.manual_seed(cfg.seed)
    fit(
        budgeted,
        data,
        partial(show_photo, number=number, num_steps=num_steps),
        run=run,
        epochs=epochs,
        batch_size=256,
        loss_fn=budgeted.loss,
        predict=class_of,
        augment=flip_and_shift,
        optimizer=partial(muon_for_convolutions, lr=0.013, rest=2e-3, number=number),
        schedule=up_and_down,
        name="".join(filter(str.isalnum, name)),
        resume=cfg.resume,
        last=True,
    )
    return net.eval()


@section
def section_photographs(cfg: Config, run: Run) -> None:
    """6  Can a network for photographs do with a third of its operations?

    Lesson 10's network reads CIFAR-10 in T = 2 steps, with some 20 million SynOps an image. Here it is asked
    to do with 31 % of them, and what the sections above have shown is put together:

        what is priced   SynOps, equation (1), and not spikes: one of layer 5 costs 10 additions, one of
                         layer 3 up to 2,304. R is what an image spends in all layers, over the budget.
        how much         a budget, kept by dual ascent (3). Nobody has to guess λ.
        how fast         slowly, and in a trained network. The budget falls by the same factor at each
                         update of the first half of the training, and stays for the second.

    Before that, a suspicion to be looked into. Behind BatchNorm a neuron gets the current a·x + c, with x
    from the convolution. Where the shift c alone carries the potential over θ, the channel fires on an empty
    map as well, and causes SynOps that no spike below has asked for. `unasked` finds these channels and counts
    what all their spikes cause. If that were most of it, lowering c would be all there is to do.

    A budget can be spent in two ways: on few spikes in each of two steps, or on more of them in a single one.
    T = 1 alone halves the SynOps, and an update costs half as much, so that twice as many epochs fit into the
    same time. It has its price, too: in a single step a neuron's memory has nothing to do, and it becomes a
    mere threshold. Both are tried, and the validation images choose which of them the claims are about.

    There are two opponents, both at T = 2: the network as it was shipped, and the same network trained on
    without the penalty, for as long as those with a budget, since training on may help by itself. The
    learning rate of the convolutions is what lesson 10 had two epochs before its end; it is the same in all
    three trainings and was not searched for. The last epoch is kept. The 10,000 test images choose nothing.
    Networks are compared image by image. The ± tells how much the choice of the images may matter; of other
    seeds it knows nothing.
    """
    run.predict(
        "photo_lost",
        "Trained on down to 31 % of its operations: how many points of test accuracy does the "
        "network lose against training on without a penalty?",
        unit="points",
    )
    data = run.data(cifar10, **photos_of(cfg))
    nets = {"as shipped": load_photo_net(run)}
    steps = {"as shipped": 2}
    _, before = look(nets["as shipped"], data, "val", 2, run)
    for name, (_, num_steps) in WAYS.items():
        run.print(f"   {name}")
        nets[name] = fine_tune_photos(name, before.sum().item(), data, cfg, run)
        steps[name] = num_steps
    right, percent, spent, total = {}, {}, {}, {}
    chosen, best = "", -1.0
    for name, net in nets.items():
        if name.startswith("budget"):
            validation, _ = look(net, data, "val", steps[name], run)
            if validation.mean().item() > best:
                chosen, best = name, validation.mean().item()
        right[name], by_layer = look(net, data, "test", steps[name], run)
        percent[name] = 100 * right[name].mean().item()
        spent[name] = by_layer.numpy()  # (layers,)
        total[name] = float(by_layer.sum())
    run.checkpoint(nets[chosen])
    saved = min(total["as shipped"], total["no penalty"]) / max(total[chosen], 1e-9)
    down, half = paired(right["no penalty"], right[chosen])
    down_shipped, half_shipped = paired(right["as shipped"], right[chosen])
    gap, half_gap = paired(right["budget, T = 1"], right["budget, T = 2"])
    few = data.x_test[:500].to(run.device).float() / 255
    alone = unasked(nets["as shipped"], show_photo(few))

    fig, (a, b) = plots.figure(1, 2, (13, 4), width_ratios=(1.6, 1))
    bars = {}
    for i, name in enumerate(nets):
        bars[name] = {f"layer {k}": v / 1e6 for k, v in enumerate(spent[name], start=1)}
        chance = 1.96 * math.sqrt(percent[name] * (100 - percent[name]) / len(data.y_test))
        style = {"color": plots.COLOURS[i], "marker": plots.MARKERS[i], "capsize": 4, "ls": ""}
        b.errorbar(total[name] / 1e6, percent[name], chance, label=name, **style)
    plots.grouped_bars(a, bars, fmt="{:.1f}")
    plots.label(a, "", "million SynOps an image", "by the layer whose spikes cause them")
    b.set_xlim(0, None)
    b.legend(loc="lower right")
    heading = "bars: 95 %, each network alone"
    plots.label(b, "million SynOps an image", "test images read correctly (%)", heading)
    title = f"{chosen}: {saved:.2f} times fewer SynOps for {down:.2f} ± {half:.2f} points of test accuracy"
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "6_photographs", look="left, which layer gave most; right, the step down")

    n = len(data.y_test)
    facts = {"n": n, "seeds": 1, "real": True}
    run.claim("photo_unasked", "SynOps of unasked channels", alone, n=len(few), real=True)
    run.claim("photo_saving", "SynOps: opponent / with budget", saved, "times", ">= 3", **facts)
    run.claim("photo_lost", "lost against no penalty", down, "points", "<= 1", **facts)
    run.claim("photo_shipped", "lost against as shipped", down_shipped, "points", "<= 1", **facts)
    run.claim("photo_sparse", "with budget: test accuracy", percent[chosen] / 100, **facts)
    macs = multiplications(nets[chosen])
    energy = {name: estimated_energy_nj(total[name], macs) for name in nets}
    for name in ("no penalty", chosen):
        row = {"synops": total[name], "macs": macs, "energy_estimated_nj": energy[name]}
        row |= {"accuracy": percent[name] / 100, "n": n, "num_steps": steps[name]}
        run.ledger(model=f"SNN, SEW, {name}", data=data.name, parameters=1_111_882, **row)
    if max(down, down_shipped) > 1:
        run.note(
            "The budget holds, but more than 1 point is lost. Neither the learning rates nor the "
            "length of these trainings were searched for, and they are short: lesson 10 took 17 "
            "epochs for the weights that they start from. --full takes 20 at T = 2; it was not run."
        )
    share = 100 * energy[chosen] / energy["no penalty"]
    run.finding(
        f"Channels that fire on an empty map as well cause {100 * alone:.0f} % of the shipped "
        "network's SynOps: their shifts alone cannot save more. Of the two ways to spend the "
        f"budget the validation images choose {chosen[-5:]}; on the test images T = 1 reads "
        f"{gap:+.2f} ± {half_gap:.2f} points more than T = 2. The chosen network reads "
        f"{percent[chosen]:.2f} % of {n:,} test images with {total[chosen] / 1e6:.1f} million "
        f"SynOps, {saved:.2f} times fewer than the cheaper opponent. That is {down:.2f} ± "
        f"{half:.2f} points less than after training on without a penalty "
        f"({percent['no penalty']:.2f} %, {total['no penalty'] / 1e6:.1f} million) and "
        f"{down_shipped:.2f} ± {half_shipped:.2f} less than as shipped "
        f"({percent['as shipped']:.2f} %, {total['as shipped'] / 1e6:.1f} million); one seed. "
        f"By (4), {share:.0f} % of the estimated energy is left, as the first layer's "
        "multiplications stay.",
        main=True,
        claim="photo_saving",
    )


def main(cfg: Config, run: Run) -> None:
    section_cost(cfg, run)
    section_penalties(cfg, run)
    section_front(cfg, run)
    section_budget(cfg, run)
    section_dead(cfg, run)
    section_photographs(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
