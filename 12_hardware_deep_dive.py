"""Lesson 12 — GPU or neuromorphic chip: where a spike that is not sent saves work

Question
    Most neurons of a spiking network are silent at any moment. Which machine turns that silence into
    saved time or energy, and which multiplies it by a weight all the same? We measure times on this
    machine, count operations, and estimate energy from them. Of a chip there is the maker's simulator:
    its layout and its answers. Times of a real one come from others (section 5), unless you have one.

Idea
    A layer has N inputs and M outputs. At one time step input i is s_i, 1 for a spike and 0 for none,
    and the activity a is the share of ones. The M sums can be formed in two ways:

        clock-driven   y_j = Σ_i W_ji·s_i                    N·M operations, whatever the input  (1)
        event-driven   y_j = Σ W_ji over all i that spike    a·N·M operations, additions only    (2)

    A matrix product, the way of CPUs and GPUs, is (1): at each step it multiplies the whole input,
    zeros included. A neuromorphic chip is built for (2): a spike arrives as a message, an event, and
    only then are weights read and added. Ideally nothing happens between two events. But many chips
    still tick: at each tick every potential leaks (section 4 prices that). (2) never does more operations
    than (1). Whether it takes less time depends on that of each one. Let (1) take t_c, (2) t_0 + t_e·a:

        both take equal time at the activity   a* = (t_c − t_0) / t_e; below it silence pays    (3)

Read first
    Theory     NeuroBench (2025), https://www.nature.com/articles/s41467-025-56739-4
    Practice   Akida, https://doc.brainchipinc.com/ · https://open-neuromorphic.org/

Run
    uv run 12_hardware_deep_dive.py --predict    asks what you expect, then measures: start here
    uv run 12_hardware_deep_dive.py              one to two minutes of an idle CPU
    uv run 12_hardware_deep_dive.py --epochs 6   trains both networks of section 4 anew: ten minutes more

Builds on / leads to
    08 computed layer by layer, 10 built spiking convolutions. 14 makes networks sparser, 17 counts by
    layer and exports, 16 and 19 take the road to Akida with more care.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from akd1000.drawing import draw_meshes
from akd1000.half_step import simulate
from akd1000.mesh import map_on_akd1000
from akd1000.published import KTH, PUBLISHED, draw_latencies, print_source
from akd1000.twin import Twin, layers_for_akida
from common import plots
from common.akida import akida_status
from common.cost import PICOJOULES, ann_macs, calls
from common.data import ImageData, cifar10
from common.device import describe, device_names
from common.io import ROOT, UserError, live, load_weights
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import constant_current, over_time, reset_state
from multistep import unroll
from multistep.meters import LiveBytes, measured_energy, neurobench, timed
from multistep.timings import Timing, draw_devices, in_a_table
from training import evaluate, fit, membrane_loss, membrane_predict
from training.augment import flip_and_shift
from training.eight_bits import keep_rounded, with_eight_bits

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from torch import Tensor, nn

SPIKING = ROOT / "checkpoints" / "cifar10_cnn.safetensors"
QUANTISED = ROOT / "checkpoints" / "cifar10_five_levels.safetensors"
TWIN = ROOT / "checkpoints" / "cifar10_akida_twin.safetensors"


@dataclass
class Config(LessonConfig):
    """Trained weights come from checkpoints/, so that a run measures and does not train."""

    num_steps: int = bounded(4, 1, 1000)
    """time steps for which the spiking network sees a picture (T)"""
    epochs: int = bounded(0, 0, 1000)
    """train the networks of section 4 for so many epochs; 0: take the saved weights"""
    rounds: int = bounded(20, 2, 10_000)
    """measurements behind each median (fewer for a large batch); one is the fastest of five tries"""
    threads: int = bounded(1, 1, 1024)
    """CPU threads while something is timed"""
    batch: int = bounded(256, 1, 4096)
    """largest batch whose throughput is measured"""
    images: int = bounded(1000, 8, 10_000)
    """test pictures on which operations are counted"""
    simulated: int = bounded(2000, 8, 10_000)
    """test pictures that go through Akida's simulator"""
    inputs: int = bounded(1024, 64, 65_536)
    """inputs, and outputs, of the layer of section 1"""


SMOKE = {"rounds": 2, "batch": 8, "images": 16, "simulated": 16, "inputs": 256}
FULL = {"rounds": 100, "images": 10_000, "simulated": 10_000}


def ratio_of(ms: np.ndarray, other: np.ndarray) -> float:
    """The ratio of two medians."""
    return float(np.median(ms) / np.median(other))


def percent(share: float) -> str:
    """A share in words: ``12.3 %``."""
    return f"{100 * share:.1f} %"


# ---------------------------------------------------------------- 1  one layer, two ways

ACTIVITIES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
TENTH, FIFTH = ACTIVITIES.index(0.1), ACTIVITIES.index(0.2)


def clock_driven(spk: Tensor, weight: Tensor) -> Tensor:
    """Equation (1): ``spk (B, N)`` of zeros and ones, ``weight (N, M)`` → ``(B, M)``."""
    return spk @ weight


def event_driven_loop(spk: Tensor, weight: Tensor) -> Tensor:
    """Equation (2) as a plain loop: a spike of input i adds row i of the weights."""
    y = weight.new_zeros(len(spk), weight.shape[1])
    for b, i in spk.nonzero().tolist():  # sample b, input i: one event
        y[b] += weight[i]
    return y


def event_driven(events: Tensor, weight: Tensor) -> Tensor:
    """The same in one call: ``events (B, K)``, which K inputs spiked, → ``(B, M)``. Reads K rows a sample."""
    return F.embedding_bag(events, weight, mode="sum")


@dataclass
class Measured:
    """Times in ms of one batch size: a row for each of ``ACTIVITIES``, a column for each round."""

    clock: np.ndarray
    event: np.ndarray
    find: np.ndarray
    """of finding the spikes, one input in ten, among zeros and ones: ``(rounds,)``"""

    @property
    def ratio(self) -> np.ndarray:
        """How many times as long (2) takes as (1), ``(activities, rounds)``."""
        return self.event / self.clock

    @property
    def star(self) -> float:
        """Where the median of the ratio crosses 1."""
        return crossing(np.median(self.ratio, 1))

    @property
    def by_equation(self) -> tuple[float, float, float]:
        """t_0/t_c, t_e/t_c and the a* of (3), by a straight line through the medians of the ratio."""
        ratio = np.median(self.ratio, 1)
        t_e, t_0 = np.polyfit(ACTIVITIES, ratio, 1, w=1 / ratio)  # least relative error
        return float(t_0), float(t_e), float((1 - t_0) / t_e)

    @property
    def bend(self) -> float:
        """How many times as long a further spike takes above an activity of 20 % as below; a line has 1."""
        ratio = np.median(self.ratio, 1)
        above = (ratio[-1] - ratio[FIFTH]) / (ACTIVITIES[-1] - ACTIVITIES[FIFTH])
        below = (ratio[FIFTH] - ratio[0]) / (ACTIVITIES[FIFTH] - ACTIVITIES[0])
        return float(above / below)

    @property
    def fixed_share(self) -> float:
        """The share of t_0 in the time of (2) by the fitted line if one input in ten spikes."""
        t_0, t_e, _ = self.by_equation
        whole = t_0 + t_e * float(ACTIVITIES[TENTH])
        return max(t_0, 0.0) / whole


def crossing(ratio: Sequence[float]) -> float:
    """The activity up to which (2) is faster: ``ratio``, (2)/(1) at ``ACTIVITIES``, is below 1 there.

    Between two activities a straight line is taken. 0: (1) is faster throughout. 1: (2) is.
    """
    slower = [i for i, r in enumerate(ratio) if r >= 1]
    if not slower:
        return 1.0
    i = slower[0]
    if i == 0:
        return 0.0
    share = (1 - ratio[i - 1]) / (ratio[i] - ratio[i - 1])
    return ACTIVITIES[i - 1] + share * (ACTIVITIES[i] - ACTIVITIES[i - 1])


def measure_layer(cfg: Config, batch: int, weight: Tensor, generator: torch.Generator) -> Measured:
    """Time the layer ``weight (N, M)`` for ``batch`` samples in both ways."""
    N = len(weight)
    todo = {}
    for a in ACTIVITIES:
        K = max(1, round(a * N))
        order = torch.rand(batch, N, generator=generator).argsort(1)
        events = order[:, :K].sort(1).values.to(weight.device)  # (B, K): which inputs spike
        spk = weight.new_zeros(batch, N).scatter_(1, events, 1.0)  # (B, N): as zeros and ones
        todo["clock", a] = partial(clock_driven, spk, weight)
        todo["event", a] = partial(event_driven, events, weight)
        if a == ACTIVITIES[TENTH]:
            todo["find", a] = partial(torch.nonzero, spk)
    ms = timed(todo, cfg.rounds, weight.device, cfg.threads)
    clock = np.stack([ms["clock", a] for a in ACTIVITIES])  # (activities, rounds)
    event = np.stack([ms["event", a] for a in ACTIVITIES])
    return Measured(clock, event, ms["find", ACTIVITIES[TENTH]])


def draw_reads(axes: Sequence[Axes], generator: torch.Generator) -> None:
    """The weights of a layer of 20 inputs and 12 outputs: which of them each way reads."""
    spikes = torch.zeros(20)
    spikes[torch.randperm(20, generator=generator)[:2]] = 1
    read = {"clock-driven": torch.ones(20, 12), "event-driven": spikes[:, None].expand(20, 12)}
    for ax, (name, weights) in zip(axes, read.items(), strict=True):
        ax.imshow(weights.numpy(), cmap="Blues", vmin=0, vmax=1.6, aspect="auto")
        for i in range(20):
            mark = "●" if spikes[i] else "·"
            ax.text(-1.3, i, mark, ha="center", va="center", fontsize=9)
        ax.set_xticks(np.arange(-0.5, 12), labels=[])
        ax.set_yticks(np.arange(-0.5, 20), labels=[])
        ax.tick_params(length=0)
        ax.grid(True, color="white")
        title = f"{name}:\nreads {int(weights.sum())} weights"
        plots.label(ax, "12 outputs", "", title)
    plots.label(axes[0], "12 outputs", "20 inputs, ● spikes  ")
    axes[0].yaxis.labelpad = 14


def draw_ratio(ax: Axes, measured: Measured, title: str) -> None:
    """Time of (2) relative to (1), the middle half of the rounds shaded; dotted, where they cross."""
    percent = [100 * a for a in ACTIVITIES]
    low, middle, high = np.percentile(measured.ratio, (25, 50, 75), axis=1)
    ax.fill_between(percent, low, high, color=plots.RED, alpha=0.2, linewidth=0)
    ax.plot(percent, middle, "s--", color=plots.RED, label="event-driven (2)")
    ax.axhline(1, color=plots.BLUE, label="clock-driven (1)")
    if 0 < measured.star < 1:
        ax.axvline(100 * measured.star, color="0.3", linewidth=1, linestyle=":")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks([1, 10, 100], ["1", "10", "100"])
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    plots.label(ax, "inputs that spike (%)", "time / time of (1)", title)


@section
def section_two_ways(cfg: Config, run: Run) -> None:
    """1  Does a tenth of the spikes take a tenth of the time?

    The plain form of (2) is `event_driven_loop`: for each spike it adds one row of weights, and it
    never reads the rows of silent inputs. PyTorch has the same sum in one fast call, `embedding_bag`.
    (`multistep.over_events` computes a layer this way for all steps of a sequence.) We time that call
    of PyTorch against the matrix product (1), for a layer of N inputs and N outputs, while a growing
    share of the inputs spikes: once for a single sample, once for a batch.

    Three things can keep (2) from being as much faster as its count says. Each call has a fixed price,
    t_0, however few inputs spike. The rows lie scattered in memory, where (1) streams through all of
    them in order; so an operation of (2) can take longer, and then t_e > t_c. And a batch helps (1)
    more: a matrix product can read a weight once and use it for every sample. In (2) each sample has
    spikes, and so rows, of its own; its samples share only t_0.

    Other programs spoil times. So on a CPU one thread computes, and the clock counts only what the
    processor spends on it. (On a GPU, or with --threads 2, the wall clock has to do.) Each time is the
    fastest of five, both ways take turns, and we compare medians over all rounds. Another run may well
    differ by more than the rounds of one. Way (2) is handed the list of spiking inputs, as a chip is, and
    the same list at every try: the rows of a single sample may wait in a cache, which is kind to (2).

    The table sets equation (3) beside what was seen. t_0 and t_e belong to the straight line that fits
    all seven points best. But nothing forces the points onto a line: few rows may fit into a faster
    cache, many may be fetched ahead. "bend" is the price of one more spike above 20 %, divided by its price
    below. A straight line has 1; far from 1, (3) can only be near. "seen" is where the drawn curve crosses 1.
    "find" is the time that `nonzero` takes to find the spikes among zeros and ones, for one input in ten,
    as a multiple of t_c.
    """
    run.predict(
        "speed_one",
        "One input in ten spikes. The event-driven way then does a tenth of the operations. For a "
        "single sample on this machine: how many times as fast is it as the clock-driven way?",
        unit="times",
    )
    N, g = cfg.inputs, run.generator()
    weight = torch.randn(N, N, generator=g)  # (N, M): row i holds what a spike of input i is worth
    if run.device.type == "cuda":  # Apple's GPU has no embedding_bag
        weight = weight.to(run.device)
    many = min(64, max(2, cfg.batch))
    found = {}
    for batch in live((1, many), "   measuring", 2):
        found[batch] = measure_layer(cfg, batch, weight, g)
    speed = {batch: float(np.median(1 / m.ratio[TENTH])) for batch, m in found.items()}
    star = {batch: m.star for batch, m in found.items()}

    title = (
        f"One input in ten spikes: on this {weight.device.type.upper()}, event-driven is {speed[1]:.1f} times as "
        f"fast for one sample, {speed[many]:.1f} times for {many}"
    )
    fig, axes = plots.figure(1, 4, (15, 4), title, width_ratios=(0.6, 0.6, 1.3, 1.3))
    draw_reads(axes[:2], run.generator(1))
    axes[3].sharey(axes[2])
    draw_ratio(axes[2], found[1], f"one sample, {N:,} × {N:,} weights")
    draw_ratio(axes[3], found[many], f"{many} samples at once, the same weights")
    axes[3].legend(loc="upper left")
    run.figure(fig, "1_two_ways", look="where red crosses blue")

    rows = []
    for batch, m in found.items():
        t_c = float(np.median(m.clock))
        t_0, t_e, line = m.by_equation
        expected = f"{100 * min(1, line):.0f} %"
        if line <= 0:
            expected = "none"
        find = float(np.median(m.find)) / t_c
        rows.append((batch, t_c, t_0, t_e, m.bend, expected, f"{100 * m.star:.0f} %", find))
    columns = ("samples", "t_c, ms", "t_0/t_c", "t_e/t_c", "bend", "a* by (3)", "seen", "find/t_c")
    run.table("Equation (3), and where the two ways were seen to cross", columns, rows)
    by_activity = np.median(found[1].clock, 1)  # (activities,)
    flat = float(by_activity.max() / by_activity.min())
    facts, batch = {"n": cfg.rounds}, f"{many} samples"
    run.claim("clock_flat", "(1): slowest / fastest activity", flat, "times", "<= 1.5", **facts)
    run.claim("speed_one", "(2), one sample, 10 % spike", speed[1], "times as fast", **facts)
    run.claim("speed_batch", f"(2), {batch}, 10 % spike", speed[many], "times as fast", **facts)
    run.claim("crossing_one", "crossing a*, one sample", star[1], **facts)
    run.claim("crossing_batch", f"crossing a*, {batch}", star[many], **facts)
    run.finding(
        f"The share of operations saved is not the share of time saved. With a tenth of the operations the "
        f"event-driven way is {speed[1]:.1f} times as fast for one sample on this {weight.device.type.upper()}, "
        f"and {speed[many]:.1f} times for {many}. By the fitted line, the fixed price t_0 is "
        f"{100 * found[1].fixed_share:.0f} % of its time for one sample."
    )


# ---------------------------------------------------------------- 2  one network, every device


class SmallCNN(nn.Module):
    """A spiking network for CIFAR-10: three convolutions of stride 2 and a read-out, each with LIF neurons.

    ``forward`` is one time step, ``run`` a whole sequence from rest. β = 0.5, so that the leak of an
    integer machine is a shift by one bit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5, stride=2, padding=2)
        self.lif1 = snn.Leaky(beta=0.5, init_hidden=True)
        self.conv2 = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.lif2 = snn.Leaky(beta=0.5, init_hidden=True)
        self.conv3 = nn.Conv2d(64, 128, 3, stride=2, padding=1)
        self.lif3 = snn.Leaky(beta=0.5, init_hidden=True)
        self.fc = nn.Linear(128 * 4 * 4, 10)
        self.lif4 = snn.Leaky(beta=0.5, init_hidden=True, output=True)
        for conv in (self.conv1, self.conv2, self.conv3):
            # larger than PyTorch's own: spikes are few, and deep layers would start silent
            nn.init.normal_(conv.weight, std=2 / conv.weight[0].numel() ** 0.5)
            nn.init.zeros_(conv.bias)

    def forward(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        """One step: ``(B, 3, 32, 32)`` → output spikes and membrane, each ``(B, 10)``."""
        spk1 = self.lif1(self.conv1(x_t))  # (B, 32, 16, 16)
        spk2 = self.lif2(self.conv2(spk1))  # (B, 64, 8, 8)
        spk3 = self.lif3(self.conv3(spk2))  # (B, 128, 4, 4)
        return self.lif4(self.fc(spk3.flatten(1)))  # (B, 10), (B, 10)

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All steps: ``(T, B, 3, 32, 32)`` → ``spk_rec, mem_rec``, each ``(T, B, 10)``, starting from rest."""
        spk1, _, _ = unroll(self.lif1, over_time(self.conv1, x))  # a still picture: convolved once
        spk2, _, _ = unroll(self.lif2, over_time(self.conv2, spk1))  # (T, B, 64, 8, 8)
        spk3, _, _ = unroll(self.lif3, over_time(self.conv3, spk2))  # (T, B, 128, 4, 4)
        spk4, mem4, _ = unroll(self.lif4, over_time(self.fc, spk3.flatten(2)), record_mem=True)
        return spk4, mem4


class FiveLevels(nn.Module):
    """The same layers without time: each activation is rounded to one of five levels, 0, 1, 2, 3, 4.

    A neuron that is watched for T = 4 steps can spike 0 to 4 times. So, if spikes are counted, a neuron of
    either network says one of five things. That makes this network the fair opponent.
    """

    LEVELS, STEP = 4, 0.5

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5, stride=2, padding=2)
        self.conv2 = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(64, 128, 3, stride=2, padding=1)
        self.fc = nn.Linear(128 * 4 * 4, 10)
        for conv in (self.conv1, self.conv2, self.conv3):
            nn.init.normal_(conv.weight, std=(2 / conv.weight[0].numel()) ** 0.5)
            nn.init.zeros_(conv.bias)

    def activate(self, x: Tensor) -> Tensor:
        """A rounded ReLU with a highest level; the gradient passes as if nothing had been rounded."""
        level = (x / self.STEP).clamp(0, self.LEVELS)
        return self.STEP * (level + (level.round() - level).detach())

    def forward(self, x: Tensor) -> Tensor:
        """``(B, 3, 32, 32)`` → logits ``(B, 10)``."""
        x = self.activate(self.conv1(x))  # (B, 32, 16, 16)
        x = self.activate(self.conv2(x))  # (B, 64, 8, 8)
        x = self.activate(self.conv3(x))  # (B, 128, 4, 4)
        return self.fc(x.flatten(1))

    def run(self, x: Tensor) -> Tensor:
        """``(1, B, 3, 32, 32)`` → ``(B, 10)``: one picture, one pass."""
        return self(x[0])


def encode(x: Tensor, num_steps: int) -> Tensor:
    """Colour values 0..1, centred and stretched to −2..2, as a current that stays: ``(B, …) → (T, B, …)``."""
    return constant_current(4 * x - 2, num_steps)


def silenced(net: SmallCNN) -> SmallCNN:
    """The layers of ``net``, the same weights in memory, with neurons whose thresholds no potential reaches."""
    silent = SmallCNN().eval()
    silent.conv1, silent.conv2, silent.conv3, silent.fc = net.conv1, net.conv2, net.conv3, net.fc
    for lif in (silent.lif1, silent.lif2, silent.lif3, silent.lif4):
        lif.threshold.fill_(1e6)
    return silent


def step_by_step(net: SmallCNN, x: Tensor) -> Tensor:
    """The ticks of the clock: every layer at every step. ``x (T, B, …)`` → mean membrane ``(B, 10)``."""
    reset_state(net)
    mem_rec = []
    for x_t in x:
        _, mem = net(x_t)
        mem_rec.append(mem)
    return torch.stack(mem_rec).mean(0)


STEPS, LAYERS, SILENT, ONE_PASS = CONTENDERS = (
    "SNN, step by step",
    "SNN, layer by layer",
    "the same, silenced",
    "five levels, one pass",
)


@torch.no_grad()
def time_networks(cfg: Config, net: SmallCNN, opponent: FiveLevels, images: Tensor) -> list[Timing]:
    """Both networks, the SNN in two orders, on every device here, from one picture to a full batch."""
    sizes = sorted({1, *(b for b in (4, 16, 64, 256, 1024) if b < cfg.batch), cfg.batch})
    todo = [(device, size) for device in device_names() for size in sizes]
    silent = silenced(net)
    networks = (net, silent, opponent)
    rows = []
    for device, size in live(todo, "   timing", len(todo)):
        held = []  # weights and input, whose memory is not counted
        for network in networks:
            network.to(device)
            reset_state(network)
            held += [*network.parameters(), *network.buffers()]
        x = 4 * images[:size].to(device).float() / 255 - 2  # (B, 3, 32, 32)
        seq = constant_current(x, cfg.num_steps)  # (T, B, 3, 32, 32)
        ways = {
            STEPS: partial(step_by_step, net, seq),
            LAYERS: partial(net.run, seq),
            SILENT: partial(silent.run, seq),
            ONE_PASS: partial(opponent, x),
        }
        rounds = max(min(5, cfg.rounds), round(cfg.rounds / size**0.5))  # a batch takes longer
        ms = timed(ways, rounds, device, cfg.threads)
        for name, way in ways.items():
            with LiveBytes([x, *held]) as used:
                way()
            rows.append(Timing(device, name, size, ms[name], used.peak))
    for network in networks:
        network.to("cpu")
        reset_state(network)
    return rows


@torch.no_grad()
def still_network(net: FiveLevels, x: Tensor) -> tuple[float, float, float]:
    """The metrics of NeuroBench that it does not count for ``net``, which has no neurons of snnTorch.

    Footprint in KiB (weights of 32 bits), share of weights that are zero, and of activations that are.
    """
    size = sum(4 * p.numel() for p in net.parameters())
    weights = torch.cat([p.flatten() for p in net.parameters() if p.dim() > 1])
    no_weight = (weights == 0).double().mean().item()
    zeros = inputs = 0
    for name, _, x_in, _ in calls(net, x):
        if name != "conv1":  # its input is the picture, the others' are activations
            zeros += (x_in == 0).sum().item()
            inputs += x_in.numel()
    return size / 1024, no_weight, zeros / inputs


@section
def section_devices(cfg: Config, run: Run) -> None:
    """2  What does a spiking network cost where a spike is a number like any other?

    `SmallCNN` is a trained spiking network for CIFAR-10. It sees each picture for T steps. Its
    opponent, `FiveLevels`, has the same layers and no time. Both run on every device that PyTorch
    finds here, on a GPU too if there is one. On these a spike is 0.0 or 1.0, in 32 bits. We time the SNN
    step by step, which computes conv1 T times, and layer by layer (lesson 08, section 2), which computes
    conv1 once. We time it once more with all thresholds out of reach: the same layers, and not one spike.
    Besides T products a layer, the neurons of the SNN need some small operations at each step. So does
    the opponent: its rounding is written as six, where a single kernel would be quicker. Each call from
    Python has a price of its own, which weighs most for a single picture; the figure shows batches as well.
    On a busy machine two runs of ours differed by up to a sixth in these ratios: read nothing into less.

    Three quantities belong to a machine. Latency is the time from one picture to its answer. Throughput
    is pictures a second, many at once. Working memory is the most that is in use at one time, besides
    weights and input.

    NeuroBench, a common yardstick of the field, adds numbers that belong to the network:

        footprint             bytes of weights and of one picture's potentials, here of 32 bits each
        connection sparsity   share of weights that are zero
        activation sparsity   share of the neurons' outputs that are zero; in an SNN the rest is its
                              spike rate, the spikes of a neuron in a step
        synaptic operations   what inputs that are not zero cause: an accumulate (AC) where the input is
                              a spike, a multiply-accumulate (MAC) where it is another number
        membrane updates      how often a potential changes: by its leak at every step, spike or none

    The first two need the weights alone. The others need pictures, but no labels; accuracy needs labels.
    NeuroBench counts the MACs of the SNN's conv1 at every step. As the picture stays the same, once is
    enough, and the table says so. In the opponent all layers get numbers, and all cause MACs. The weights
    of the opponent were rounded to 8 bits in training, so some are zero; those of the SNN are not rounded
    before section 4. PyTorch stores both in 32 bits.
    """
    T = cfg.num_steps
    run.predict(
        "steps_cost",
        f"The spiking network takes {T} steps for each picture, its opponent one pass. Computed layer by "
        "layer on this machine, how many times as long as its opponent does it take for one picture?",
        unit="times",
    )
    data = run.data(cifar10)
    net = load_weights(SmallCNN(), SPIKING).eval()
    opponent = load_weights(FiveLevels(), QUANTISED).eval()
    rows = time_networks(cfg, net, opponent, data.x_test[: cfg.batch])
    here = device_names()[0]
    one = {r.name: r.ms for r in rows if (r.device, r.batch) == (here, 1)}
    steps_cost = ratio_of(one[LAYERS], one[ONE_PASS])
    silent_cost = ratio_of(one[SILENT], one[ONE_PASS])
    title = (
        f"One picture on this {here}: the SNN takes {steps_cost:.1f} times its opponent's time; "
        f"if it never spikes, {silent_cost:.1f} times"
    )
    fig = draw_devices(rows, title, ONE_PASS)
    run.figure(
        fig, "2_devices", look="is the silenced SNN (▲) faster by more than its bar is long?"
    )
    columns = ("device: network", "ms, one", f"pictures/s, {cfg.batch}", "KiB, one")
    run.table("Latency, throughput, working memory", columns, in_a_table(rows))
    for device in device_names():
        x = encode(data.x_test[:1].to(device).float() / 255, T)
        mj = measured_energy(partial(net.to(device).run, x), device, 0.2 if cfg.smoke else 2.0)
        text = f"{1000 * mj:,.0f} µJ a picture, idling included" if mj else "no meter to be read"
        run.print(f"   energy  {describe(device)}: {text}")
    net.to("cpu")

    pictures = data.x_test[: cfg.images].float() / 255
    bench = neurobench(net, encode(pictures, T))
    conv1 = bench["macs"] / T  # once
    five = ann_macs(opponent, encode(pictures, 1)[0], skip_zeros=True)
    kib, no_weight, silent = still_network(opponent, encode(pictures, 1))
    effective = bench["acs"] + conv1
    metrics = [
        ("footprint", f"{bench['footprint'] / 1024:,.0f} KiB", f"{kib:,.0f} KiB"),
        ("connection sparsity", percent(bench["connection_sparsity"]), percent(no_weight)),
        ("activation sparsity", percent(bench["activation_sparsity"]), percent(silent)),
        ("ACs", f"{bench['acs']:,.0f}", "0"),
        ("MACs, conv1 at every step", f"{bench['macs']:,.0f}", "(one pass)"),
        ("MACs, the SNN's conv1 once", f"{conv1:,.0f}", f"{five:,.0f}"),
        ("ACs + MACs, conv1 once", f"{effective:,.0f}", f"{five:,.0f}"),
        ("membrane updates", f"{bench['updates']:,.0f}", "0"),
    ]
    title = f"NeuroBench on {len(pictures):,} test pictures, per picture"
    run.table(title, ("metric", "SNN", "five levels"), metrics)

    timings, counted = {"n": cfg.rounds}, {"n": len(pictures), "real": True}
    text = f"SNN by layer / opponent, {here}"
    run.claim("steps_cost", text, steps_cost, "times", **timings)
    run.claim("silent", "the same without a spike", silent_cost, "times", **timings)
    run.claim("operations", "operations, SNN / opponent", effective / five, "times", **counted)
    run.claim("updates", "membrane updates a picture", round(bench["updates"]), "", **counted)
    run.finding(
        f"For one picture on this {here} the SNN takes {steps_cost:.1f} times its opponent's time, and "
        f"{silent_cost:.1f} times if it never spikes. Its operations on inputs that are not zero are "
        f"{effective / five:.2f} times the opponent's; without a spike, {conv1 / five:.2f} times: the first "
        f"layer alone. A chip can save what is only counted here."
    )


# ---------------------------------------------------------------- 3  the mesh


def mesh_of_the_course(run: Run) -> None:
    """Without the akida package: the mesh as it stands in the course's committed results."""
    stored = ROOT / "docs" / "results" / "12_hardware_deep_dive.json"
    try:
        mesh = json.loads(stored.read_text(encoding="utf-8"))["mesh"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # no result, or a damaged one: the lesson goes on without the picture
    title = (
        "From the course's results: the network on the mesh (a square is a processor, a box a node)"
    )
    run.figure(draw_meshes(mesh, title), "3_mesh", look="which layer takes most of the room")


@section
def section_mesh(cfg: Config, run: Run) -> None:
    """3  Which layer sits where on a neuromorphic chip?

    BrainChip's AKD1000 is a mesh of 20 nodes, joined by a network that carries events as packets. A
    node has four neural processors, NPs; one node has only two, so there are 78. (NPU, neural
    processing unit, is used for a node in some texts and for the whole chip in others. We say node,
    NP and chip.) Each NP works as soon as events arrive, and has a small memory of its own. Weights
    are therefore not fetched for each picture: the network is laid out on the mesh once, and stays.

    A layer is divided by its filters, the output channels. Each NP computes a few of them, and for
    that keeps a copy of the convolution's whole input. akida's list calls such an NP CNP1; some can
    compute a dense layer instead (FNP3). conv1, which receives pixels and not events, has a unit of its
    own beside the mesh, the input converter (HRC). akida does the placing:

        model.map(akida.AKD1000(), mode=akida.MapMode.AllNps)
        for layer in model.sequences[0].passes[0].layers:
            print(layer.name, [(np.type, np.filters) for np in layer.mapping.nps])

    `map_on_akd1000` makes this call, and returns what such a loop finds. The mode Minimal takes as few
    NPs as it can. AllNps spreads the layers out, so that many filters are computed side by side. How far,
    akida does not document. The following rule gave the right number for each of more than 60 networks
    of this form. The dense layer gets one NP. Each NP of a convolution computes f filters, and the last
    NP of a layer those that remain. f is the smallest number with which everything fits on the mesh:

        ⌈filters of conv2 / f⌉ + ⌈filters of conv3 / f⌉ + 1 ≤ 78

    The table shows the memory that akida reports. For a dense layer it reports one bit an input, with
    inputs of 1, 2 or 4 bits alike; why, it does not say.

    The chip has conditions. Among them are 8-bit pixels, at most 64 filters in such a conv1, weights
    and activations of 1, 2 or 4 bits in later layers, and no max pooling in the last convolution before
    a dense layer. A layer that breaks one of them falls to software: the host computes it, no error is
    raised, and the data travels out of the chip and back. With hw_only=True `map` refuses instead.

    The AKD1000 keeps no potential from one time step to the next. So it is not the LIF network that is
    mapped but its `Twin`: the same layers with ReLU, quantised to 8/4/4 bits (weights of conv1, other
    weights, activations). It is event-driven in that zeros are neither sent nor computed. (The saved
    twin was trained for a shorter time than `FiveLevels`, and classifies fewer pictures correctly.)

    Does the chip answer as the quantised network does? Keras simulates the twin as well, and gives some
    pictures another class. Let v be a neuron's sum, a whole number, and q the distance between two levels
    of its activation. Keras takes the nearest level: level 1 begins at q/2. In Akida it begins above h,
    which is q/2 rounded to a whole number. If q = 23.2, this is 11.6 against 12, and v = 12 is level 1 for
    Keras and level 0 for Akida. `akd1000/half_step.py` computes the twin by either rule.
    """
    run.predict(
        "nps",
        "conv2 has 64 filters, conv3 128, and fc is a dense layer. Spread over the mesh of 78 processors "
        "by the rule above, how many processors do these three layers take?",
        unit="processors",
    )
    status = akida_status()
    run.extra |= {"akida": asdict(status), "analysis": status.means}
    run.print(f"   akida   {status.state}: {status.reason}")
    if status.state == "absent":
        run.note(f"No mapping of our own on this machine: {status.reason}.")
        mesh_of_the_course(run)
        return
    wide = map_on_akd1000(layers_for_akida())
    fewest = map_on_akd1000(layers_for_akida(), mode="Minimal")
    pooled = map_on_akd1000(layers_for_akida(pool_last=True))
    large = map_on_akd1000(layers_for_akida((128, 64, 128)))
    mesh = {
        f"as widely as allowed: {wide.nps_used} of {wide.nps_total} NPs": wide.places(),
        f"as few as possible: {fewest.nps_used} NPs": fewest.places(),
    }
    run.extra["mesh"] = mesh
    title = (
        f"{wide.nps_used} processors (squares; a box is a node) compute the network if it is spread out, "
        f"{fewest.nps_used} could"
    )
    look = "which layer takes most of the room (one of the nodes has two processors only)"
    run.figure(draw_meshes(mesh, title), "3_mesh", look=look)
    rows = []
    for a, b in zip(wide.layers, fewest.layers, strict=True):
        kind = f"{len(a.nps)} {a.nps[0].type}" if a.nps else "software"
        most = max((n.filters for n in a.nps), default=0) or ""
        row = (a.name, kind, most, a.input_bytes / 1024, (a.bytes - a.input_bytes) / 1024)
        rows.append((*row, len(b.nps), b.input_bytes / 1024, (b.bytes - b.input_bytes) / 1024))
    columns = ("layer", "spread", "filters", "input", "weights")
    columns += ("fewest", "its input", "its weights")
    run.table("Where each layer sits, and its memory there in KiB", columns, rows)
    for variant, mapping in (("with max pooling", pooled), ("with 128 filters", large)):
        for name, reason in mapping.fallbacks.items():
            text = f"   {variant}, {name} falls to software: {reason}"
            run.print(textwrap.fill(text, 80, subsequent_indent=" " * 6))
    run.claim("nps", f"NPs taken, of {wide.nps_total}, spread out", wide.nps_used, "", "<= 78")
    run.claim("nps_fewest", "NPs taken, as few as possible", fewest.nps_used, "")
    run.claim("software_layers", "as it is: layers in software", len(wide.fallbacks), "", "== 0")
    spread_out = sum(a.bytes for a in wide.layers) / 1024  # KiB
    least = sum(b.bytes for b in fewest.layers) / 1024
    text = (
        f"Spread out, the network takes {wide.nps_used} of {wide.nps_total} processors and "
        f"{spread_out:.0f} KiB; {fewest.nps_used} processors and {least:.0f} KiB would do. "
        f"{', '.join(wide.fallbacks) or 'No layer'} falls to software; with max pooling in conv3, "
        f"{', '.join(pooled.fallbacks) or 'no layer'} does, and with 128 filters in conv1, "
        f"{', '.join(large.fallbacks) or 'no layer'}."
    )
    data = run.data(cifar10)
    twin = load_weights(Twin(), TWIN).eval()
    try:
        found = simulate(twin, data, cfg.simulated)
    except UserError as e:  # TensorFlow or a converter is missing
        run.note(f"The twin was mapped and not simulated: {e}.")
        run.finding(text)
        return
    facts = {"n": found.n, "real": True}
    run.claim("akida_accuracy", "twin at 8/4/4 bits, right", found.accuracy, **facts)
    run.claim("akida_same", "Akida and Keras agree", found.same, **facts)
    run.claim("exact_as_keras", "ours, with q/2, and Keras agree", found.exact_as_keras, **facts)
    if found.chip:
        energy = found.chip.get("energy_mj", "no meter")
        row = (found.chip["p50_ms"], found.chip["per_second"], energy)
        run.table("Measured on the chip", ("median, ms", "pictures/s", "mJ a picture"), [row])
    run.ledger(
        model="ReLU twin on Akida, 8/4/4",
        data=data.name,
        accuracy=found.accuracy,
        n=found.n,
        num_steps=1,
        parameters=sum(p.numel() for p in twin.parameters()),
        bytes=wide.program_bytes,
        nps=wide.nps_used,
    )
    text += (
        f" Akida's simulator and Keras give the same class to {100 * found.same:.1f} % of {found.n:,} "
        f"pictures; with h, our own computation gives Akida's to {100 * found.rounded_as_akida:.1f} %."
    )
    if 1 - min(found.rounded_as_akida, found.exact_as_keras) < (1 - found.same) / 2:
        text += " So the rounded half explains most of the difference."
    run.finding(text)


# ---------------------------------------------------------------- 4  energy

SRAM = {"8-KB memory": 10 / 8, "32-KB memory": 20 / 8}
"""pJ to move one byte: an eighth of a 64-bit access to an on-chip memory of this size, from the same table
of Horowitz (ISSCC 2014, 45 nm) as the prices of additions and multiplications in ``common.cost``"""
PJ_PER_BYTE = SRAM["8-KB memory"]
WEIGHT_BYTES = 1  # 8 bits
SUM_BYTES = 2 * 2  # an unfinished sum: 16 bits, read and written back
POTENTIAL_BYTES = 2 * 2  # the same
EQUAL = 1.25  # ratios nearer to 1 than this: such an estimate cannot tell the two apart
MORE_SNNS = ((1_455_141, 547_580), (1_319_839, 507_837), (1_228_043, 489_632))
"""``one_by_one`` and ``at_once`` of ``Count`` for three further trainings of the SNN, on the first 1,000 test
pictures at T = 4. The saved SNN was made by lesson 10's script as it stood at commit 47b5d7c. These are from
today's --epochs 6 --seed 2 (65.7 % of the test pictures right, two points less than the saved one), and from
the same with PyTorch's own first weights in place of the larger ones of ``SmallCNN`` (65.4 % each)"""


def operations(layer: nn.Conv2d | nn.Linear, x: Tensor) -> float:
    """Operations that the inputs ``x (B, …)`` of a layer cause if zeros cause none.

    With every weight and every input that is not zero set to 1, each output is the number of operations
    that it takes.
    """
    not_zero, ones = (x != 0).float(), torch.ones_like(layer.weight)
    if isinstance(layer, nn.Linear):
        reached = F.linear(not_zero, ones)
    else:
        reached = F.conv2d(not_zero, ones, None, layer.stride, layer.padding)
    return reached.double().sum().item()


@dataclass
class Count:
    """What one picture takes in a network: in conv1, and in the layers behind it."""

    conv1: float = 0.0
    """multiply-accumulates of conv1, once"""
    one_by_one: float = 0.0
    """operations behind conv1 over all steps, each step for itself"""
    at_once: float = 0.0
    """the same if an input that is not zero at several steps counted once"""
    dense: float = 0.0
    """operations behind conv1 in one step if no input were zero"""
    neurons: int = 0
    """neurons that keep a potential, those that conv1 drives included"""

    @property
    def operations(self) -> float:
        """Operations of the whole network."""
        return self.conv1 + self.one_by_one

    @property
    def rho(self) -> float:
        """With all steps at once, the share of operations behind conv1 for which a weight is read."""
        return self.at_once / max(self.one_by_one, 1.0)


@torch.no_grad()
def count(net: nn.Module, x: Tensor) -> Count:
    """The ``Count`` of ``net``, the mean over the pictures ``x (T, B, …)``."""
    found = Count()
    for part in x.split(500, dim=1):
        layers: dict[str, Any] = {}
        active: dict[str, Tensor] = {}  # (B, …): is this input not zero at any of the steps?
        neurons: list[int] = []
        for name, layer, x_in, out in calls(net, part):  # step by step
            if isinstance(layer, snn.SpikingNeuron):
                neurons.append(out[0].numel())
            elif name == "conv1":  # the same at each of the len(x) steps: counted once
                found.conv1 += operations(layer, x_in) / len(x) / x.shape[1]
            else:
                layers[name] = layer
                active[name] = active.get(name, False) | (x_in != 0)
                found.one_by_one += operations(layer, x_in) / x.shape[1]
        for name, layer in layers.items():
            found.at_once += operations(layer, active[name]) / x.shape[1]
            found.dense += operations(layer, torch.ones_like(active[name])) / x.shape[1]
        found.neurons = sum(neurons) // len(x)
    return found


USUAL = "zeros of the SNN skipped"
REGISTERS = "all at once: weights read"
AT_ONCE = "all at once: sums, too"
STEPWISE = "one by one: potentials, too"
ONE_BY_ONE = "one by one: sums, too"
KINDS = {
    REGISTERS: "all at once, sums in registers",
    AT_ONCE: "all at once, sums in memory",
    STEPWISE: "one by one, sums in registers",
    ONE_BY_ONE: "one by one, sums in memory",
}
"""The account that is complete for each of four kinds of chip"""


def accounts(net: Count, five: Count, num_steps: int) -> dict[str, tuple[float, float]]:
    """Picojoules for one picture in the SNN and in its opponent, from the usual account on."""
    add_float, mac_float = PICOJOULES["float32"]
    add, mac = PICOJOULES["int8"]
    weight = WEIGHT_BYTES * PJ_PER_BYTE
    sums = SUM_BYTES * PJ_PER_BYTE
    potentials = num_steps * net.neurons * POTENTIAL_BYTES * PJ_PER_BYTE
    by_float = net.conv1 * mac_float + net.one_by_one * add_float
    by_integers = net.conv1 * mac + net.one_by_one * add
    at_once = by_integers + (net.conv1 + net.at_once) * weight
    one_by_one = by_integers + net.operations * weight
    other = five.operations * mac
    other_read = other + five.operations * weight
    other_sums = other_read + five.operations * sums
    return {
        USUAL: (by_float, (five.conv1 + five.dense) * mac_float),
        "zeros skipped on both sides": (by_float, five.operations * mac_float),
        "and both in integers": (by_integers, other),
        REGISTERS: (at_once, other_read),
        AT_ONCE: (at_once + net.operations * sums, other_sums),
        "one by one: weights read": (one_by_one, other_read),
        STEPWISE: (one_by_one + potentials, other_read),
        ONE_BY_ONE: (one_by_one + potentials + net.operations * sums, other_sums),
    }


def ratios(nets: Sequence[Count], five: Count, num_steps: int) -> dict[str, np.ndarray]:
    """Account → energy of the SNN / energy of its opponent, one for each of ``nets``."""
    found: dict[str, list[float]] = {}
    for net in nets:
        for name, (pj, other) in accounts(net, five, num_steps).items():
            found.setdefault(name, []).append(pj / other)
    return {name: np.array(values) for name, values in found.items()}


def ratios_behind(net: Count, five: Count, num_steps: int) -> dict[str, float]:
    """The same for one SNN and the layers behind conv1 alone."""
    found = ratios([replace(net, conv1=0.0)], replace(five, conv1=0.0), num_steps)
    return {name: float(values[0]) for name, values in found.items()}


def further_trainings(net: Count) -> list[Count]:
    """``MORE_SNNS``, which have the layers of ``net``."""
    nets = []
    for one_by_one, at_once in MORE_SNNS:
        nets.append(replace(net, one_by_one=one_by_one, at_once=at_once))
    return nets


def break_even(kind: str, net: Count, five: Count, num_steps: int, pj_per_byte: float) -> float:
    """Equation (4) for one of ``KINDS``: below this share s the SNN takes less energy than its opponent."""
    add, mac = PICOJOULES["int8"]
    m = SUM_BYTES if kind in (AT_ONCE, ONE_BY_ONE) else 0
    w, V = 1.0, num_steps * net.neurons * POTENTIAL_BYTES * pj_per_byte
    if kind in (REGISTERS, AT_ONCE):
        w, V = net.rho, 0.0
    other = five.one_by_one * (mac + (WEIGHT_BYTES + m) * pj_per_byte)
    return (other - V) / (num_steps * net.dense * (add + (WEIGHT_BYTES * w + m) * pj_per_byte))


def draw_accounts(ax: Axes, found: dict[str, np.ndarray], behind: dict[str, float]) -> None:
    """The ratio in each account, with a gap before each kind of chip."""
    gaps = np.cumsum([name.endswith("weights read") for name in found])
    places = np.arange(len(found)) + 0.6 * gaps
    first = [values[0] for values in found.values()]
    ax.axvspan(1 / EQUAL, EQUAL, color="0.9", zorder=0, label="counts as equal")
    ax.axvline(1, color="0.4", linewidth=1)
    ax.hlines(places, 1, first, color="0.7", linewidth=6, zorder=1)
    ax.plot(first, places, "o", color=plots.BLUE, markersize=8, label="whole network")
    trained = np.array(list(found.values()))  # (accounts, trainings of the SNN)
    for i, further in enumerate(trained.T[1:]):
        name = None
        if i == 0:  # once in the legend
            name = "further trainings"
        ax.plot(further, places + 0.33, "|", color=plots.RED, markersize=8, label=name)
    alone = list(behind.values())
    ax.plot(alone, places, "d", color="0.4", fillstyle="none", label="layers behind conv1 alone")
    for ratio, place in zip(first, places, strict=True):
        look = {"textcoords": "offset points", "ha": "center", "fontsize": 9}
        text = ax.annotate(f"{ratio:.2f}", (ratio, place), (0, 7), **look)
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    ax.set_xscale("log")
    left, right = 0.6 * min(*first, *alone), 2 * max(*first, *alone, 1)
    ax.set_xlim(left, right)
    ticks = [t for t in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if left < t < right]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.set_xticks([], minor=True)
    ax.set_yticks(places, list(found))
    ax.set_ylim(places[-1] + 0.5, -0.7)
    ax.grid(False, axis="y")
    ax.legend(loc="lower left", fontsize=9)
    plots.label(ax, "energy of the SNN / energy of five levels", "", "Eight accounts")


def draw_break_even(ax: Axes, nets: Sequence[Count], five: Count, num_steps: int) -> None:
    """Equation (4) for the four kinds of chip against the price of a byte, and the shares s of the SNNs."""
    net = nets[0]
    prices = np.linspace(0, 3.4, 120)
    shares = [100 * n.one_by_one / (num_steps * n.dense) for n in nets]
    top = max(shares)
    for i, (kind, name) in enumerate(KINDS.items()):
        line = [100 * break_even(kind, net, five, num_steps, p) for p in prices]
        here = 100 * break_even(kind, net, five, num_steps, PJ_PER_BYTE)
        look = {"color": plots.COLOURS[i], "linestyle": plots.DASHES[i]}
        ax.plot(prices, line, label=f"{name}: {here:.1f} % at 8 KB", **look)
        ax.plot(PJ_PER_BYTE, here, plots.MARKERS[i], color=plots.COLOURS[i], clip_on=False)
        top = max(top, *line)
    ax.axhline(shares[0], color="0.2", linewidth=1, label=f"this SNN: {shares[0]:.1f} %")
    if len(shares) > 1:
        low, high = min(shares), max(shares)
        name = f"all {len(shares)} trainings: {low:.1f} to {high:.1f} %"
        ax.axhspan(low, high, color="0.6", alpha=0.3, linewidth=0, label=name)
    for name, price in SRAM.items():
        ax.axvline(price, color="0.6", linewidth=1, linestyle=":")
        ax.annotate(f" {name}", (price, 0.02 * top), fontsize=9, color="0.3")
    ax.set_ylim(0, 1.08 * top)
    ax.set_xlim(0, 3.4)
    look = {"frameon": True, "framealpha": 1, "edgecolor": "none"}
    ax.legend(loc="center right", bbox_to_anchor=(1, 0.56), fontsize=9, **look)
    y = "share s of a step's operations behind conv1 (%)"
    plots.label(ax, "pJ to move one byte", y, "(4): below its break-even an SNN takes less")


def train(
    cfg: Config, run: Run, net: nn.Module, data: ImageData, num_steps: int, name: str
) -> nn.Module:
    """Train a network of this lesson for ``--epochs`` and save it."""
    spiking = isinstance(net, SmallCNN)
    fit(
        net,
        data,
        partial(encode, num_steps=num_steps),
        run=run,
        epochs=cfg.epochs,
        lr=2e-3,
        batch_size=64,
        loss_fn=membrane_loss if spiking else F.cross_entropy,
        predict=membrane_predict if spiking else class_of,
        augment=flip_and_shift,
        name=name,
    )
    net = keep_rounded(net.cpu())
    run.checkpoint(net, name)
    return net.eval()


def class_of(logits: Tensor) -> Tensor:
    """``(B, 10)`` → ``(B,)``."""
    return logits.argmax(1)


def networks(cfg: Config, run: Run, data: ImageData) -> tuple[SmallCNN, FiveLevels]:
    """Both networks with 8-bit weights: the saved ones, or with --epochs new ones."""
    torch.manual_seed(cfg.seed)
    if cfg.epochs:
        net = train(cfg, run, SmallCNN(), data, cfg.num_steps, SPIKING.stem)
        five = train(cfg, run, with_eight_bits(FiveLevels()), data, 1, QUANTISED.stem)
    else:
        net = load_weights(SmallCNN(), SPIKING)
        five = load_weights(FiveLevels(), QUANTISED)
    return keep_rounded(with_eight_bits(net)).eval(), five.eval()


WINNERS = ("the SNN", "the network of five levels", "neither")
IN_WORDS = ("none", "one", "two", "three", "four")


def tally(found: dict[str, np.ndarray]) -> tuple[int, int]:
    """On how many of ``KINDS`` the SNN takes clearly less than its opponent in all trainings; clearly more."""
    less = sum(bool(max(found[kind]) < 1 / EQUAL) for kind in KINDS)
    more = sum(bool(min(found[kind]) > EQUAL) for kind in KINDS)
    return less, more


@section
def section_energy(cfg: Config, run: Run) -> None:
    """4  Does the spiking network take less energy than a quantised one without spikes?

    Many papers count like this: additions for the SNN, multiply-accumulates for the ANN, both in 32-bit
    floats, zeros skipped in the SNN and multiplied in the ANN. We start there, and change one item after
    another. The counts come from two trained networks and the same pictures. The prices are those of
    Horowitz (ISSCC 2014, 45 nm), in pJ:

        addition        float32 0.9   int32 0.1        multiplication   float32 3.7   int8 0.2
        accumulate, AC          0.9         0.1        MAC                      4.6        0.3

    Zeros.       A chip that skips zeros can skip those of the opponent as well.
    Integers.    Such chips compute in integers. Both networks have weights of 8 bits.
    Weights.     Each operation needs its weight, one byte: 1.25 pJ from a memory of 8 KB, if all eight
                 bytes of an access are used. A chip that takes the steps one by one reads the weight
                 again at every step. A chip that takes all steps of a layer at once reads it once for an
                 input, at however many steps it spikes. ρ is the share of operations that read a weight.
    Potentials.  A chip that takes the steps one by one keeps potentials in between. Each is read
                 and written at every step, 16 bits each way: this is the tick, at which it leaks even
                 without a spike. (A chip may put the leak off to the next spike, and pay less.)
    Sums.        Events arrive one after another, and each adds to the unfinished sums of its outputs. A
                 sum that lies in memory is read and written back, 16 bits each way, in either network.
                 A chip that finishes one output before it begins the next holds its sum in a register.
                 (With all steps at once the SNN has T sums where its opponent has one, and stores the
                 inputs of T steps. That this takes a larger memory is not priced: kind to the SNN.)

    So there are four kinds of chip: steps all at once or one by one, sums in registers or in memory.
    conv1 gets the picture, which stays the same and has no zeros. Both networks compute it once, by MACs,
    and pay the same for it; "behind conv1" leaves it out on both sides.

    How sparse would the SNN have to be? Behind conv1, let D be the operations of one step if nothing were
    skipped. Spikes cause the share s of them, and the activations of the opponent the share γ. (s weighs
    each spike by the operations that it causes.) Moving a byte costs p, in pJ; n neurons keep a potential.
    Both networks take the same energy, and conv1 cancels, at the share s*:

        T·s*·D·(0.1 + (w + m)·p) + V = γ·D·(0.3 + (1 + m)·p)                                  (4)

        sums in memory      m = 4 bytes        steps one by one      w = 1, V = 4·T·n·p
        sums in registers   m = 0              steps all at once     w = ρ, V = 0

    The figure keeps the ρ of this SNN. In a sparser SNN fewer spikes repeat, so ρ is larger: the two
    curves for all steps at once lie rather too high. A negative s* means that potentials alone cost more.

    Both networks were trained for six epochs on the same images, and validation chose the epoch. The
    opponent had 8-bit weights already while it was trained. It is one training; of the SNN there are four
    (MORE_SNNS), to show how far the ratios move.

    This is an estimate from counts. It leaves out the packets that carry events, control, leakage and
    the clock. To the SNN's favour it leaves out that conv1's result is kept from step to step, and
    prices a product of the opponent as one of 8 bits, although five levels need 3. Ratios from 0.8 to
    1.25 count as equal. The SNN wins if some kind of chip puts all four of its trainings below 0.8 and
    no kind puts all four above 1.25; the opponent wins in the mirror case; otherwise neither does. All
    this is about a still picture, at which an SNN looks several times and an ordinary network once.
    """
    run.predict(
        "winner",
        "Two networks of the same layers, trained on the same pictures; zeros skipped, integers, weights, "
        "potentials and sums counted on both sides. Which one takes less energy?",
        WINNERS,
    )
    T = cfg.num_steps
    data = run.data(cifar10)
    show, once = partial(encode, num_steps=T), partial(encode, num_steps=1)
    net, opponent = networks(cfg, run, data)
    accuracy = evaluate(net, data.x_test, data.y_test, show)
    opponent_accuracy = evaluate(opponent, data.x_test, data.y_test, once, class_of)
    pictures = data.x_test[: cfg.images].float() / 255
    spiking = count(net, show(pictures))
    five = count(opponent, once(pictures))

    nets = [spiking]
    if T == FiveLevels.LEVELS and cfg.images == 1000 and not (cfg.epochs or data.stand_in):
        nets += further_trainings(spiking)
    found = ratios(nets, five, T)
    behind = ratios_behind(spiking, five, T)
    usual = found[USUAL][0]
    less, more = tally(found)
    complete = [found[kind][0] for kind in KINDS]
    span = f"{min(complete):.2f} to {max(complete):.2f} times"
    title = (
        f"The SNN's energy: {usual:.2f} times its opponent's by the usual account; same rules, {span}, "
        "by the kind of chip"
    )
    fig, axes = plots.figure(1, 2, (16, 5.4), title)
    draw_accounts(axes[0], found, behind)
    draw_break_even(axes[1], nets, five, T)
    run.figure(fig, "4_energy", look="how far a change of the account moves the point")
    rows = []
    for name, (pj, other) in accounts(spiking, five, T).items():
        ratio = f"{pj / other:.2f}"
        rows.append((name, pj / 1e6, other / 1e6, ratio, f"{behind[name]:.2f}"))
    columns = ("account", "SNN", "five levels", "ratio", "behind conv1")
    run.table("Estimated energy of one picture, whole network, µJ", columns, rows)
    share = spiking.one_by_one / (T * spiking.dense)
    gamma = five.one_by_one / five.dense
    row = (f"{spiking.dense:,.0f}", percent(gamma), percent(share), percent(spiking.rho))
    row += (f"{spiking.neurons:,}", f"{spiking.conv1:,.0f}")
    run.table("What (4) needs", ("D", "γ", "s", "ρ", "n", "conv1, MACs"), [row])
    at = {kind: break_even(kind, spiking, five, T, PJ_PER_BYTE) for kind in KINDS}
    rows = []
    for kind, name in KINDS.items():
        scatter = f"{min(found[kind]):.2f} to {max(found[kind]):.2f}"
        rows.append((name, f"{found[kind][0]:.2f}", scatter, percent(at[kind])))
    columns = ("kind of chip", "ratio", "all SNNs", "s*")
    run.table(f"Break-even on four kinds of chip; this SNN has s = {percent(share)}", columns, rows)

    n, counted = len(data.y_test), {"n": len(pictures), "real": True}
    run.claim("accuracy", f"SNN, T = {T}, right", accuracy, n=n, seeds=1, real=True)
    run.claim("opponent", "five levels, right", opponent_accuracy, n=n, seeds=1, real=True)
    run.claim("ratio_usual", "usual account: SNN / five levels", usual, "times", **counted)
    run.claim("ratio_highest", "same rules: highest of four", max(complete), "times", **counted)
    run.claim("break_even", "break-even s*, lowest of four", min(at.values()), **counted)
    run.claim("break_even_highest", "break-even s*, highest of four", max(at.values()), **counted)
    winner = 2
    if min(less, more) == 0 < max(less, more):
        winner = int(more > 0)
    run.outcome("winner", WINNERS[winner])
    if T != FiveLevels.LEVELS:
        run.note(f"With T = {T} the SNN can say {T + 1} things, its opponent 5: no fair pair.")
    five_steps = break_even(ONE_BY_ONE, spiking, five, 5, PJ_PER_BYTE)
    run.print(
        "   for comparison, a model of a whole chip with other memories and another network:\n"
        "   the SNN wins below a spike rate of 5.7 % at T = 5 (arXiv 2409.08290, v4);\n"
        f"   (4) with our counts, one by one, sums in memory: {percent(five_steps)} at T = 5"
    )
    run.finding(
        f"With the same rules for both, the SNN takes clearly more energy than its opponent on "
        f"{IN_WORDS[more]} of four kinds of chip and clearly less on {IN_WORDS[less]}: {span} as much. The "
        f"usual account gives {usual:.2f} times.",
        main=True,
        claim="ratio_highest",
    )


# ---------------------------------------------------------------- 5  which machine


@section
def section_which(cfg: Config, run: Run) -> None:
    """5  GPU or neuromorphic chip: what follows, and what does not?

    The sections before compare two ways to compute, and two networks. They do not compare two machines:
    a* belongs to two programs on one processor, s* to two networks on one chip. Four rules are usual for
    the choice between a GPU and a chip like the AKD1000. Sections 1 to 4 support the mechanism behind
    each of them, and no run of ours tests one on both machines.

    Batches.     A batch lets a matrix product use a weight many times. Training, and recordings that can
                 wait, fill batches. They are work for a GPU.
    Silence.     A sensor delivers one sample at a time, and mostly silence. A matrix product computes
                 the silence, and has no further samples to use a weight for. That is the case for the
                 chip. A GPU can run way (2), too: on one, section 1 measures the a* of its own programs.
    The mesh.    A network that is larger than the mesh, or has layers that it refuses, leaves the chip and
                 comes back. Then weights that stay in place help less.
    Precision.   The chip computes with few bits and skips zeros. Both help a quantised network without
                 spikes as well. So measure such a network, too, before you credit the spikes.

    How much each rule is worth, only measurements of both machines tell. This course has none. The times
    below are from a bachelor's thesis (Chemnitz and Ermis, KTH, 2025), which sets an AKD1000 beside an
    older GPU, an NVIDIA GTX 1080, one frame at a time. GXNOR is a small network with weights of two bits.
    We have read a summary of the thesis, not the thesis. The summary also gives the chip 96 to 99.7 %
    less energy. What the meters took in we do not know, so we conclude nothing from that.
    """
    run.predict(
        "faster",
        "One frame at a time: a small network for MNIST and the large YOLOv2, on an AKD1000 and on a GTX "
        "1080. For which of them does the chip answer sooner?",
        ("both", "the small one", "the large one", "neither"),
    )
    known = [p for p in PUBLISHED if p.latency_ms and p.gpu_latency_ms]
    sooner = [p for p in known if p.latency_ms < p.gpu_latency_ms]
    title = (
        f"Published, not ours: the chip answers sooner for {len(sooner)} of {len(known)} networks"
    )
    fig = draw_latencies(known, title)
    run.figure(fig, "5_published", look="which marker lies to the left")
    print_source(run, 1, KTH)
    run.claim("published_sooner", "published: chip sooner for", len(sooner), f"of {len(known)}")
    names = {p.model: "the small one" if p is known[0] else "the large one" for p in known}
    answer = names[sooner[0].model] if len(sooner) == 1 else ("neither", "both")[bool(sooner)]
    run.outcome("faster", answer)
    shares = {c.id: c.value for c in run.claims if c.id.startswith("break_even")}
    here = ""
    if shares:
        low, high = 100 * shares["break_even"], 100 * shares["break_even_highest"]
        here = f", here about {low:.0f} to {high:.0f} %"
    parts = []
    for p in known:
        if p.latency_ms < p.gpu_latency_ms:
            parts.append(f"{p.gpu_latency_ms / p.latency_ms:.1f} times sooner for {p.model}")
        else:
            parts.append(f"{p.latency_ms / p.gpu_latency_ms:.1f} times later for {p.model}")
    text = f"By times that others measured, the chip answers {' and '.join(parts)}."
    if 0 < len(sooner) < len(known):
        text += " So one frame at a time is no promise of the faster answer from a chip."
    run.finding(
        f"{text} By section 1, silence saves time in a program that skips it; of a chip we have counts "
        f"only. By section 4 it saves energy against a network without spikes, whose zeros are skipped as "
        f"well, only below a break-even share{here}, by whether steps are taken one by one and sums stay in "
        f"registers."
    )


def main(cfg: Config, run: Run) -> None:
    section_two_ways(cfg, run)
    section_devices(cfg, run)
    section_mesh(cfg, run)
    section_energy(cfg, run)
    section_which(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
