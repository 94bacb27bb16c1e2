"""Lesson 12 — GPU or neuromorphic chip: where a spike that is not sent saves work

Question
    Most neurons of a spiking network are silent at any moment. Which machine turns that silence into
    saved time or saved energy, and which one multiplies it by a weight all the same?

Idea
    A layer has N inputs and M outputs. At one time step input i is s_i, 1 for a spike and 0 for none,
    and the activity a is the share of ones. The M sums can be formed in two ways:

        clock-driven   y_j = Σ_i W_ji·s_i                    N·M operations, whatever the input  (1)
        event-driven   y_j = Σ W_ji over all i that spike    a·N·M operations, additions only    (2)

    CPUs and GPUs are built for (1): at each step they multiply the whole input, zeros included, fast
    and for many samples at once. A neuromorphic chip is built for (2): a spike arrives as a message, an
    event, and only then are weights read and added. (2) does fewer operations. Whether it is faster
    depends on how long one takes. Suppose (1) takes the time t_c, and (2) takes t_0 + t_e·a, a straight
    line in the activity:

        both take equal time at the activity   a* = (t_c − t_0) / t_e; below it silence pays    (3)

Read first
    Theory     NeuroBench (2025), https://www.nature.com/articles/s41467-025-56739-4
    Practice   Akida, https://doc.brainchipinc.com/ · https://open-neuromorphic.org/

Run
    uv run 12_hardware_deep_dive.py --predict    asks what you expect, then measures: start here
    uv run 12_hardware_deep_dive.py              three to four minutes on two CPU cores
    uv run 12_hardware_deep_dive.py --epochs 6   trains both ReLU networks anew, ten minutes more

Builds on / leads to
    08 computed layer by layer, 10 made the network (its first version). 14 makes networks sparser,
    17 counts by layer and exports, 16 and 19 take the road to Akida with more care.
"""

from __future__ import annotations

import copy
import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from akd1000.chip import akida_outputs, measure_on_chip
from akd1000.convert import channels_last, keras_outputs, quantize_and_convert
from akd1000.drawing import draw_mesh
from akd1000.mesh import Mapping, map_on_akd1000
from akd1000.published import KTH, PUBLISHED, print_source
from akd1000.twin import Twin, keras_twin, layers_for_akida
from common import plots
from common.akida import akida_status
from common.cost import PICOJOULES, calls
from common.data import ImageData, cifar10
from common.device import describe, device_names
from common.io import ROOT, UserError, live, load_weights
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import constant_current, over_time, reset_state
from multistep import unroll
from multistep.meters import LiveBytes, measured_energy, timed
from training import evaluate, fit
from training.augment import flip_and_shift

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter
from torch import Tensor, nn
from torch.nn.utils import parametrize

SPIKING = ROOT / "checkpoints" / "cifar10_cnn.safetensors"
QUANTISED = ROOT / "checkpoints" / "cifar10_five_levels.safetensors"
TWIN = ROOT / "checkpoints" / "cifar10_akida_twin.safetensors"


@dataclass
class Config(LessonConfig):
    """Trained weights come from checkpoints/, so that a run measures and does not train."""

    num_steps: int = bounded(4, 1, 1000)
    """time steps for which the spiking network sees a picture (T)"""
    epochs: int = bounded(0, 0, 1000)
    """train the two ReLU networks for so many epochs; 0: take the saved weights"""
    repeats: int = bounded(40, 5, 10_000)
    """timings behind each median"""
    batch: int = bounded(256, 1, 4096)
    """largest batch whose throughput is measured"""
    images: int = bounded(1000, 8, 10_000)
    """test pictures on which operations are counted"""
    simulated: int = bounded(2000, 8, 10_000)
    """test pictures that go through Akida's simulator"""
    inputs: int = bounded(2048, 64, 65_536)
    """inputs, and outputs, of the layer of section 1"""


SMOKE = {"repeats": 5, "batch": 8, "images": 16, "simulated": 16, "inputs": 256}
FULL = {"repeats": 200, "images": 10_000, "simulated": 10_000}


# ---------------------------------------------------------------- 1  one layer, two ways

ACTIVITIES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
TENTH = ACTIVITIES.index(0.1)
BLOCKS = 5  # the rounds of a measurement are cut into so many, to see how much it scatters


def span(values: Sequence[float]) -> str:
    """The smallest and the largest of ``values`` in words, each with two digits: ``3.5 to 12``."""
    low, high = (f"{value:.{0 if value >= 10 else 1}f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


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


def search_then_add(spk: Tensor, weight: Tensor) -> Tensor:
    """``event_driven`` for a machine that receives zeros and ones, and has to look for the ones first."""
    return event_driven(spk.nonzero()[:, 1].view(len(spk), -1), weight)


def crossing(clock: float, event: Sequence[float]) -> float | None:
    """The activity at which ``event``, the times at ``ACTIVITIES``, comes to take longer than ``clock``.

    Between two activities a straight line is taken. None: there is no crossing, because one way is
    the faster one at every activity.
    """
    lead = [clock - e for e in event]  # positive where the event-driven way is faster
    if lead[0] <= 0 or min(lead) > 0:
        return None
    i = next(i for i in range(len(lead)) if lead[i] <= 0)
    share = lead[i - 1] / (lead[i - 1] - lead[i])
    return ACTIVITIES[i - 1] + share * (ACTIVITIES[i] - ACTIVITIES[i - 1])


def straight_line(event: Sequence[float]) -> tuple[float, float]:
    """t_0 and t_e of equation (3): the line t_0 + t_e·a through ``event``, by least relative error."""
    event = np.asarray(event)
    t_e, t_0 = np.polyfit(ACTIVITIES, event, 1, w=1 / event)
    return float(t_0), float(t_e)


@dataclass
class Measured:
    """One batch size: times in ms at each of ``ACTIVITIES``, and the crossing."""

    clock: list[float]
    event: list[float]
    search: list[float]
    star: float | None
    stars: list[float | None]
    """the crossing of each block of rounds alone"""
    n: int
    """rounds: timings behind each median"""

    def scatter(self) -> str:
        """The crossings of the blocks, as a range in per cent."""
        found = [100 * s for s in self.stars if s is not None]
        if not found:
            return "none"
        text = f"{min(found):.0f} to {max(found):.0f} %"
        missing = len(self.stars) - len(found)
        return f"{text}, none in {missing}" if missing else text

    def crossing_in_words(self) -> str:
        """The crossing with its scatter, or which way is always the faster one."""
        if self.star is None:
            always = "event-driven" if self.event[0] < np.median(self.clock) else "clock-driven"
            return f"there is no crossing: {always} is faster at every activity measured"
        return (
            f"they cross at {100 * self.star:.0f} % ({self.scatter()} in {BLOCKS} parts of the run)"
        )


def measure_layer(cfg: Config, batch: int, weight: Tensor, generator: torch.Generator) -> Measured:
    """Times of the layer ``weight (N, M)`` for ``batch`` samples, computed in all ways."""
    N = len(weight)
    todo: dict[tuple[str, float], Callable[[], object]] = {}
    for a in ACTIVITIES:
        K = max(1, round(a * N))
        order = torch.rand(batch, N, generator=generator).argsort(1)
        events = order[:, :K].sort(1).values.to(weight.device)  # (B, K): which inputs spike
        spk = weight.new_zeros(batch, N).scatter_(
            1, events, 1.0
        )  # (B, N): the same in zeros and ones
        todo["clock", a] = partial(clock_driven, spk, weight)
        todo["event", a] = partial(event_driven, events, weight)
        todo["search", a] = partial(search_then_add, spk, weight)
    rounds = max(BLOCKS, round(cfg.repeats / batch**0.25))  # fewer for a batch, which takes longer
    ms = timed(todo, rounds, weight.device)

    def median(way: str, part: slice) -> list[float]:
        return [float(np.median(ms[way, a][part])) for a in ACTIVITIES]

    stars = []
    for block in range(BLOCKS):
        part = slice(block, None, BLOCKS)
        stars.append(crossing(float(np.median(median("clock", part))), median("event", part)))
    everything = slice(None)
    clock, event = median("clock", everything), median("event", everything)
    star = crossing(float(np.median(clock)), event)
    return Measured(clock, event, median("search", everything), star, stars, rounds)


def equation_in_words(measured: Measured, a_star: float, who: str) -> str:
    """How far the crossing of equation (3), ``a_star``, lies from the measured one."""
    if measured.star is None or a_star <= 0:
        return f"for {who} it cannot be checked"
    off = max(a_star / measured.star, measured.star / a_star)
    verdict = "within a quarter"
    if off > 1.25:
        verdict = f"{off:.1f} times off, as these times lie on no straight line"
    return f"{100 * a_star:.0f} % for {who} (measured {100 * measured.star:.0f} %, {verdict})"


def draw_reads(axes: Sequence[Axes], generator: torch.Generator) -> None:
    """The weights of a layer of 20 inputs and 12 outputs: which of them each way reads."""
    spikes = torch.zeros(20)
    spikes[torch.randperm(20, generator=generator)[:3]] = 1
    for ax, name in zip(axes, ("clock-driven", "event-driven"), strict=True):
        read = torch.ones(20, 12)
        if name == "event-driven":
            read = read * spikes[:, None]
        ax.imshow(read, cmap="Blues", vmin=0, vmax=1.6, aspect="auto")
        for i in range(20):
            mark = "●" if spikes[i] else "·"
            ax.text(-1.3, i, mark, ha="center", va="center", fontsize=9)
        ax.set_xticks(np.arange(-0.5, 12), labels=[], minor=False)
        ax.set_yticks(np.arange(-0.5, 20), labels=[])
        ax.tick_params(length=0)
        ax.grid(True, color="white")
        plots.label(
            ax, "12 outputs", "20 inputs, ● spikes  ", f"{name}:\nreads {int(read.sum())} weights"
        )
        ax.yaxis.labelpad = 14


@section
def section_two_ways(cfg: Config, run: Run) -> None:
    """1  Does a tenth of the spikes take a tenth of the time?

    The plain form of (2) is `event_driven_loop`: go through the events, and for each add one row of
    weights. Rows of silent inputs are never read. PyTorch has the same sum in one fast call,
    embedding_bag, and that is the one timed here, against a matrix product. One layer of N inputs
    and N outputs is computed in both ways, with a share a of the inputs spiking, once for
    a single sample and once for a batch.

    Counted in operations, (2) never loses. On the clock two things speak against it. Its rows lie
    scattered in memory, whereas a matrix product streams through all of them. And in a batch, a
    matrix product reads a weight once and uses it for every sample, whereas each sample has spikes
    and rows of its own. A GPU lives on that reuse. It multiplies zeros like any other number, so its
    time cannot fall with the activity, and it wants batches, which a sensor does not deliver. (Where
    this machine has an NVIDIA or AMD GPU, that is what is measured here.)

    A third line is for a machine on which the layer before did not send events: then the ones have
    to be looked for among the zeros first.

    Equation (3) supposes that each further event costs the same. In a real processor it need not: a
    few rows stay in a fast cache, many do not. So the table sets (3), with a straight line fitted to the
    times, beside the crossing that was measured. (Each activity has one set of events for all rounds,
    which helps a single sample to find its rows in a cache. How much was not tested.)
    """
    run.predict(
        "speed_one",
        "One input in ten spikes. The event-driven way then does a tenth of the operations. For a "
        "single sample on this machine: how many times as fast is it as the clock-driven way?",
        unit="times",
    )
    N = cfg.inputs
    g = run.generator()
    weight = torch.randn(N, N, generator=g)  # (N, M): row i holds what a spike of input i is worth
    if run.device.type == "cuda":  # Apple's GPU has no embedding_bag
        weight = weight.to(run.device)
    here = weight.device.type
    small, large = 1, min(64, max(2, cfg.batch))
    found = {}
    for batch in live((small, large), "   measuring", 2):
        found[batch] = measure_layer(cfg, batch, weight, g)
    one, many = found[small], found[large]
    speed = {b: float(np.median(m.clock)) / m.event[TENTH] for b, m in found.items()}

    fig, axes = plots.figure(1, 4, (16.5, 4), width_ratios=(0.55, 0.55, 1.3, 1.3))
    draw_reads(axes[:2], run.generator(1))
    percent = [100 * a for a in ACTIVITIES]
    for ax, (batch, m) in zip(axes[2:], found.items(), strict=True):
        lines = {"clock-driven (1)": m.clock, "event-driven (2)": m.event}
        lines["event-driven,\nones searched for first"] = m.search
        plots.curves(ax, percent, lines)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.get_legend().remove()
        if m.star is not None:
            ax.axvline(100 * m.star, color="0.4", linewidth=1, linestyle=":")
            found_stars = [100 * star for star in m.stars if star is not None]
            if found_stars:
                ax.axvspan(min(found_stars), max(found_stars), color="0.4", alpha=0.15, linewidth=0)
        who = "one sample" if batch == 1 else f"{batch} samples at once"
        plots.label(ax, "inputs that spike (%)", "ms (median)", f"{who}, {N:,} × {N:,} weights")
    axes[-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1), fontsize=9)
    fig.suptitle(
        f"One input in ten spikes: event-driven {speed[small]:.1f} times as fast for one sample, "
        f"{speed[large]:.1f} times for {large}",
        x=0.01,
        ha="left",
    )
    run.figure(
        fig, "1_two_ways", look="where they cross (dotted, for the median of blue; grey: scatter)"
    )

    rows, by_equation = [], {}
    for batch, m in found.items():
        t_c, (t_0, t_e) = float(np.median(m.clock)), straight_line(m.event)
        by_equation[batch] = (t_c - t_0) / t_e  # equation (3)
        star = "none" if m.star is None else f"{100 * m.star:.0f} %"
        expected = f"{100 * by_equation[batch]:.0f} %" if by_equation[batch] > 0 else "none"
        rows.append((batch, t_c, t_0, t_e, expected, star, m.scatter()))
    columns = ("samples", "t_c, ms", "t_0, ms", "t_e, ms", "a* by (3)", "measured", "scatter")
    run.table("Equation (3), and where the lines were seen to cross", columns, rows)
    dearer = (
        float(np.median(many.clock) / np.median(one.clock)),
        many.event[TENTH] / one.event[TENTH],
    )
    flat = max(one.clock) / min(one.clock)
    run.claim("clock_flat", "clock-driven: slowest / fastest", flat, "×", "<= 1.5", n=one.n)
    run.claim("speed_one", "one sample, 10 % spike", speed[small], "times as fast", n=one.n)
    text = f"{large} samples, 10 % spike"
    run.claim("speed_batch", text, speed[large], "times as fast", n=many.n)
    if one.star is not None:
        run.claim("crossing_one", "crossing a*, one sample", round(one.star, 2), n=one.n)
    if many.star is not None:
        text = f"crossing a*, {large} samples"
        run.claim("crossing_batch", text, round(many.star, 2), n=many.n)
    shared = "a batch shares weights in (1), not in (2)"
    if dearer[1] > 1.1 * large:
        shared += (
            f". More than {large} times cannot come from that alone; rows that no longer lie in a "
            "cache may add to it (not tested)"
        )
    run.finding(
        f"With one input in ten spiking, the event-driven way does a tenth of the operations. On this "
        f"{here} it is {speed[small]:.1f} times as fast for one sample; {one.crossing_in_words()}. For "
        f"{large} samples at once it is {speed[large]:.1f} times as fast; "
        f"{many.crossing_in_words()}. The crossing by equation (3): "
        f"{equation_in_words(one, by_equation[small], 'one sample')}; "
        f"{equation_in_words(many, by_equation[large], f'{large} samples')}. "
        f"{large} samples cost {dearer[0]:.0f} times as much as one if they "
        f"are clock-driven, {dearer[1]:.0f} times if event-driven: {shared}."
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

    A neuron that is watched for T = 4 steps can spike 0 to 4 times. So, counted as rates, both
    networks tell one of five things, log2(5) or about 2.3 bits. (When a neuron spikes may tell more;
    the network's mean potential hardly uses it.) That makes this one the fair opponent.
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
    """Grey values 0..1, centred and stretched to −2..2, as a current that stays: ``(B, …) → (T, B, …)``."""
    return constant_current(4 * x - 2, num_steps)


def silenced(net: SmallCNN) -> SmallCNN:
    """A copy of ``net`` that never spikes: no potential reaches its thresholds."""
    silent = copy.deepcopy(net)
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


CONTENDERS = (
    "SNN, step by step",
    "SNN, layer by layer",
    "the same, silenced",
    "five levels, one pass",
)


@dataclass
class Timing:
    """One network on one device with one batch size."""

    device: str
    name: str
    batch: int
    p50: float
    """median time of a whole batch, ms"""
    p95: float
    """time that 95 of 100 calls stay below, ms"""
    live: int
    """most bytes in use at one time, weights and input not counted"""
    parts: tuple[float, ...]
    """the median of each fifth of the calls, in order of time: how much p50 scatters"""


def ratios_of(a: Timing, b: Timing) -> list[float]:
    """How many times as long ``a`` takes as ``b``, in each fifth of the measurement."""
    return [x / y for x, y in zip(a.parts, b.parts, strict=True)]


def silence_in_words(ratios: Sequence[float]) -> str:
    """What silencing the network does to its time: ``ratios``, silenced / with spikes, of all fifths."""
    if max(ratios) < 1:
        return "saves some time in every part"
    if min(ratios) > 1:
        return "costs some time in every part"
    return "makes no difference that stands out from the scatter"


@torch.no_grad()
def time_networks(cfg: Config, net: SmallCNN, opponent: FiveLevels, images: Tensor) -> list[Timing]:
    """Both networks, the SNN in two orders, on every device here, from one picture to a full batch."""
    sizes = sorted({1, *(b for b in (4, 16, 64, 256, 1024) if b < cfg.batch), cfg.batch})
    todo = [(device, size) for device in device_names() for size in sizes]
    silent = silenced(net)
    rows = []
    for device, size in live(todo, "   timing", len(todo)):
        for network in (net, silent, opponent):
            network.to(device)
            reset_state(network)
        x = 4 * images[:size].to(device).float() / 255 - 2  # (B, 3, 32, 32)
        seq = constant_current(x, cfg.num_steps)  # (T, B, 3, 32, 32)
        ways = {
            CONTENDERS[0]: partial(step_by_step, net, seq),
            CONTENDERS[1]: partial(net.run, seq),
            CONTENDERS[2]: partial(silent.run, seq),
            CONTENDERS[3]: partial(opponent, x),
        }
        ms = timed(ways, max(5, round(cfg.repeats / max(1, size / 16))), device)
        for name, way in ways.items():
            held = [x]  # input and weights, which are not counted
            for network in (net, silent, opponent):
                held += [*network.parameters(), *network.buffers()]
            with LiveBytes(held) as used:
                way()
            p50, p95 = np.percentile(ms[name], (50, 95))
            fifths = np.array_split(ms[name], BLOCKS)  # rounds in which all networks took turns
            parts = tuple(float(np.median(fifth)) for fifth in fifths)
            rows.append(Timing(device, name, size, float(p50), float(p95), used.peak, parts))
    net.to("cpu")
    opponent.to("cpu")
    reset_state(net)
    return rows


@torch.no_grad()
def neurobench(net: SmallCNN, x: Tensor) -> dict[str, float]:
    """NeuroBench's metrics for ``x (T, B, …)``; whatever depends on the input is for one picture."""
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.static import ConnectionSparsity, Footprint
    from neurobench.metrics.workload import ActivationSparsity, MembraneUpdates, SynapticOperations
    from neurobench.models import SNNTorchModel
    from torch.utils.data import DataLoader, TensorDataset

    samples = TensorDataset(x.transpose(0, 1).contiguous(), torch.zeros(x.shape[1]))  # (B, T, …)
    loader = DataLoader(samples, batch_size=500)
    workload = [ActivationSparsity, SynapticOperations, MembraneUpdates]
    net.reset = partial(reset_state, net)  # how NeuroBench puts a network to rest
    found = Benchmark(SNNTorchModel(net), loader, [], [], [[], workload]).run(quiet=True)
    del net.reset
    reset_state(net)
    net(x[0, :1])  # the footprint holds potentials, too: those of one picture
    footprint = Footprint()(SNNTorchModel(net))
    reset_state(net)
    operations = found["SynapticOperations"]
    return {
        "footprint": float(footprint),
        "connection_sparsity": float(ConnectionSparsity()(SNNTorchModel(net))),
        "activation_sparsity": float(found["ActivationSparsity"]),
        "acs": float(operations["Effective_ACs"]),
        "macs": float(operations["Effective_MACs"]),
        "dense": float(operations["Dense"]),
        "updates": float(found["MembraneUpdates"]),
    }


def draw_devices(rows: list[Timing], title: str) -> Any:
    """Latency, throughput and working memory of all contenders."""
    fig, (a, b, c) = plots.figure(1, 3, (14, 4), title)
    keys = list(dict.fromkeys((r.device, r.name) for r in rows))
    several = len({r.device for r in rows}) > 1
    for i, key in enumerate(keys):
        line = [r for r in rows if (r.device, r.name) == key]
        name = f"{key[0]}: {key[1]}" if several else key[1]
        look = {"color": plots.COLOURS[i % 7], "linestyle": plots.DASHES[i % 7], "label": name}
        a.plot([line[0].p50, line[0].p95], [i, i], **look)
        a.plot(line[0].p50, i, plots.MARKERS[i % 7], color=plots.COLOURS[i % 7])
        a.plot(line[0].p95, i, "|", color=plots.COLOURS[i % 7], markersize=12)
        a.annotate(f"{line[0].p50:.2g} ms", (line[0].p50, i - 0.22), fontsize=9)
        batches = [r.batch for r in line]
        look["marker"] = plots.MARKERS[i % 7]
        b.loglog(batches, [1000 * r.batch / r.p50 for r in line], base=2, **look)
        c.loglog(batches, [r.live / 2**20 for r in line], base=2, **look)
    for ax in (b, c):
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    a.set_yticks(range(len(keys)), [f"{d}: {n}" if several else n for d, n in keys])
    a.set_ylim(len(keys) - 0.5, -0.6)
    a.set_xlim(left=0)
    a.margins(x=0.1)
    plots.label(a, "ms: median (marker), 95th percentile", "", "Latency of one picture")
    plots.label(b, "batch (pictures)", "pictures a second", "Throughput")
    plots.label(c, "batch (pictures)", "MiB besides weights and input", "Working memory")
    c.legend(fontsize=8)
    return fig


@section
def section_devices(cfg: Config, run: Run) -> None:
    """2  What does a spiking network cost where there are no spikes, only numbers?

    `SmallCNN` is a trained spiking network for CIFAR-10. It sees each picture for T steps. Its
    opponent, `FiveLevels`, has the same layers, no time, and activations of five levels. Both run on
    every device that this machine has, a GPU and the CPU. Here a spike is a number like any other, 0.0
    or 1.0 in 32 bits. The SNN is timed step by step, which computes conv1 T times; layer by layer
    (lesson 08, section 2), which computes it once; and once more with all thresholds out of reach, so
    that it computes the same layers and never spikes.

    Latency is the time from one picture to its answer. All networks take turns, and each ratio of
    latencies is computed in five parts of the measurement, to see how much it scatters: on a machine
    that does other work, by a factor of two or more. The 95th percentile tells of the slow calls and
    scatters even more. Throughput is pictures per second in a batch: it rises until a batch fills the
    processor, and on some machines it falls again behind that. Working memory is the most that is in use
    at one time besides weights and input.

    These three belong to a machine. NeuroBench, a common yardstick of the field, adds numbers that
    belong to the network and need no chip at all:

        footprint             bytes of weights and of one picture's potentials
        connection sparsity   share of weights that are zero
        activation sparsity   share of the neurons' outputs that are zero
        synaptic operations   what the inputs that are not zero cause: accumulates, ACs, where the
                              input is a spike; multiply-accumulates, MACs, where it is a number
        membrane updates      how often a potential changes

    The first two need the weights alone; the others need pictures, but no labels, as accuracy does.

    NeuroBench counts the MACs of conv1 at every step. The picture does not change, so one pass of conv1 is
    enough, as `run` does it; both counts are in the table.
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
    at = {(r.device, r.name, r.batch): r for r in rows}
    by_step, by_layer, by_silent, by_pass = (at[here, name, 1] for name in CONTENDERS)
    layered = by_layer.p50
    against = span(ratios_of(by_layer, by_pass))
    stepping = span(ratios_of(by_step, by_layer))
    quiet = ratios_of(by_silent, by_layer)
    silence = silence_in_words(quiet)
    run.figure(
        draw_devices(
            rows,
            f"The SNN takes {against} times as long as its opponent; silencing it {silence}",
        ),
        "2_devices",
        look="how far the lines lie apart, and where batches stop to help",
    )
    table = []
    for (device, name, batch), r in at.items():
        if batch == 1:
            batches = [q for q in rows if (q.device, q.name) == (device, name)]
            best = max(batches, key=lambda q: q.batch / q.p50)
            rate = f"{1000 * best.batch / best.p50:,.0f} (B={best.batch})"
            table.append((f"{device}: {name}", r.p50, r.p95, rate, r.live / 1024))
    columns = ("device: network", "p50, ms", "p95, ms", "a second, at best", "KiB, B=1")
    run.table("Latency of one picture, throughput, working memory", columns, table)
    for device in device_names():
        x = encode(data.x_test[:1].to(device).float() / 255, T)
        mj = measured_energy(partial(net.to(device).run, x), device, 0.2 if cfg.smoke else 2.0)
        text = f"{1000 * mj:,.0f} µJ a picture, idling included" if mj else "no meter to be read"
        run.print(f"   energy  {describe(device)}: {text}")
    net.to("cpu")

    images = min(cfg.images, len(data.x_test))
    bench = neurobench(net, encode(data.x_test[:images].float() / 255, T))
    once = bench["macs"] / T
    first = dense_operations(net, encode(data.x_test[:1].float() / 255, 1))["conv1"]
    saving = bench["dense"] / (bench["acs"] + bench["macs"])
    saving_once = (bench["dense"] - (T - 1) * first) / (bench["acs"] + once)
    metrics = [
        ("footprint", f"{bench['footprint'] / 1024:,.0f} KiB"),
        ("connection sparsity", f"{100 * bench['connection_sparsity']:.1f} %"),
        ("activation sparsity", f"{100 * bench['activation_sparsity']:.1f} %"),
        ("ACs", f"{bench['acs']:,.0f}"),
        ("MACs, conv1 at every step", f"{bench['macs']:,.0f}"),
        ("MACs, conv1 once", f"{once:,.0f}"),
        ("dense operations / effective", f"{saving:.1f}"),
        ("the same, conv1 once", f"{saving_once:.1f}"),
        ("membrane updates", f"{bench['updates']:,.0f}"),
    ]
    run.table(f"NeuroBench on {images:,} test pictures, per picture", ("metric", "SNN"), metrics)

    facts = {"n": cfg.repeats}
    run.claim("latency_p50", f"SNN by layer, one picture on {here}", layered, "ms", **facts)
    run.claim("steps_cost", "SNN by layer / one pass", layered / by_pass.p50, "times", **facts)
    run.claim(
        "silent", "silenced / with spikes, latency", by_silent.p50 / layered, "times", **facts
    )
    counted = {"n": images, "real": True}
    run.claim(
        "dense_over_effective", "dense / effective operations", saving_once, "times", **counted
    )
    run.claim(
        "membrane_updates", "membrane updates a picture", round(bench["updates"]), "", **counted
    )
    run.finding(
        f"Layer by layer the SNN takes {against} times as long as its opponent's one pass, in {BLOCKS} "
        f"parts of the measurement, and step by step {stepping} times as long as layer by layer. With its "
        f"neurons silenced it takes {span(quiet)} times as long as with spikes: silence {silence}, on this "
        f"{here}. By count, an event-driven chip could do with one operation in {saving_once:.1f}. But "
        f"every potential is updated at every step, silent or not: {bench['updates']:,.0f} updates a "
        "picture."
    )


# ---------------------------------------------------------------- 3  the mesh


@torch.no_grad()
def integer_answers(model: Any, images: Tensor, exact_half: bool) -> Tensor:
    """What Akida computes, in whole numbers: ``images (B, 3, 32, 32)`` of uint8 → classes ``(B,)``.

    Let v be a neuron's weighted sum and bias, and q the step from one level of activation to the next.
    Keras takes the level that is nearest to v/q. Akida subtracts a threshold h and rounds up, so that
    level 1 starts just above h and level 2 just above h + q. With h = q/2 that is the nearest level,
    too. But in the chip h is a whole number, and q/2 need not be. ``exact_half`` takes q/2 as it is:

        Keras   floor(v/q + 1/2)                Akida   ceil((v − h)/q),  h = round(q/2)
    """
    x = images.double()
    for layer in model.layers:
        weight = torch.from_numpy(layer.get_variable("weights").astype(np.float64))
        q = torch.from_numpy(layer.get_variable("act_step").astype(np.float64))
        threshold = torch.from_numpy(layer.get_variable("threshold").astype(np.float64))
        if layer.name == "fc":
            flat = x.transpose(2, 3).flatten(1)  # Akida's order: channel, column, row
            return ((flat @ weight[0, 0] - threshold) / q).argmax(1)
        if layer.name != "conv1":
            weight = weight.flip(0, 1)  # Akida keeps these kernels turned round
        weight = weight.permute(3, 2, 0, 1)  # (out, in, k, k)
        q, threshold = q[:, None, None], threshold[:, None, None]
        h = (q / 2).round()
        before = (weight.shape[-1] - 2) // 2  # padding as TensorFlow does it
        after = weight.shape[-1] - 2 - before
        padded = F.pad(x, (before, after, before, after))
        above = (
            F.conv2d(padded, weight, stride=2) - threshold
        )  # v − h: the threshold holds the bias, too
        if exact_half:
            x = torch.floor((above + h) / q + 0.5)
        else:
            x = torch.ceil(above / q)
        x = x.clamp(0, 15)  # 4 bits
    raise ValueError("the model has no layer fc")


def in_batches(answers: Callable[[Tensor], Tensor], images: Tensor) -> np.ndarray:
    """The classes ``(N,)`` of ``images (N, C, H, W)``, 500 at a time."""
    return torch.cat([answers(part) for part in images.split(500)]).numpy()


@dataclass
class Simulated:
    """The trained twin at 8/4/4 bits, in Akida's simulator or on the chip."""

    accuracy: float
    same: float
    """share of pictures to which Akida and the quantised Keras network give the same class"""
    rounded_as_akida: float
    """share to which ``integer_answers`` with a rounded half step gives Akida's class"""
    exact_as_keras: float
    """share to which it gives Keras' class with an exact half step"""
    n: int
    chip: dict[str, Any] | None


def simulate(cfg: Config, twin: Twin, data: ImageData) -> Simulated:
    """Quantise the twin, convert it, let Akida compute test pictures; on a chip measure as well."""
    calibration = channels_last(data.x_train[:512])
    test = channels_last(data.x_test[: cfg.simulated])
    labels = data.y_test[: len(test)].numpy()
    quantised, model = quantize_and_convert(keras_twin(twin), calibration)
    by_akida = akida_outputs(model, test).argmax(1)
    by_keras = keras_outputs(quantised, test).argmax(1)
    images = data.x_test[: cfg.simulated]
    rounded = in_batches(partial(integer_answers, model, exact_half=False), images)
    exact = in_batches(partial(integer_answers, model, exact_half=True), images)
    return Simulated(
        accuracy=float((by_akida == labels).mean()),
        same=float((by_akida == by_keras).mean()),
        rounded_as_akida=float((rounded == by_akida).mean()),
        exact_as_keras=float((exact == by_keras).mean()),
        n=len(test),
        chip=measure_on_chip(model, test) if akida_status().state == "hardware" else None,
    )


def load_twin(cfg: Config, run: Run, data: ImageData) -> Twin:
    """The saved twin, or with --epochs a new one."""
    torch.manual_seed(cfg.seed)
    twin = Twin()
    if not cfg.epochs:
        return load_weights(twin, TWIN).eval()
    train_relu(cfg, run, twin, data, lambda x: x[None], "twin")
    return twin.cpu().eval()


def train_relu(
    cfg: Config,
    run: Run,
    net: nn.Module,
    data: ImageData,
    show: Callable[[Tensor], Tensor],
    name: str,
) -> None:
    """Train a network without time as lesson 10 trained ``SmallCNN``: images, learning rate, batches."""
    fit(
        net,
        data,
        show,
        run=run,
        epochs=cfg.epochs,
        lr=2e-3,
        batch_size=64,
        loss_fn=F.cross_entropy,
        predict=class_of,
        augment=flip_and_shift,
        name=name,
    )


def class_of(logits: Tensor) -> Tensor:
    """``(B, 10)`` → ``(B,)``."""
    return logits.argmax(1)


def draw_meshes(panels: dict[str, Any], title: str) -> Any:
    """A mesh a panel: title → what ``Mapping.places`` gives."""
    fig, axes = plots.figure(1, len(panels), (5.2 * len(panels), 6.6), title)
    for ax, (name, places) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        draw_mesh(ax, places["mesh"], places["layers"])
        ax.set_title(name)
    return fig


def squares(places: dict[str, Any]) -> int:
    """Processors of the mesh that serve at least one layer; one that serves two counts once."""
    mesh = {tuple(place) for place in places["mesh"]}
    taken = {tuple(place) for nps in places["layers"].values() for place in nps}
    return len(mesh & taken)


def mesh_of_the_course(run: Run) -> None:
    """Without the akida package: the mesh as it stands in the course's committed results."""
    stored = ROOT / "docs" / "results" / "12_hardware_deep_dive.json"
    if not stored.is_file():
        return
    mesh = json.loads(stored.read_text(encoding="utf-8")).get("mesh")
    if mesh:
        title = "From the course's results: the network on the mesh (a square is a processor, a box a node)"
        run.figure(draw_meshes(mesh, title), "3_mesh", look="which layer takes most of the room")


@section
def section_mesh(cfg: Config, run: Run) -> None:
    """3  Which layer sits where on a neuromorphic chip?

    BrainChip's AKD1000 is a mesh of 20 nodes, joined by a network that carries events as packets. A
    node has four neural processors, NPs, and one of them only two: 78 in all. Each NP has a small memory
    of its own, for weights and for the events that come in. So weights are not fetched for each
    picture: the network is laid out on the mesh once, and stays. A layer is divided by its filters:
    each NP computes some of the output channels. To do so, every NP of a layer keeps a copy of the
    layer's whole input.

    An NP computes convolutions (akida's list calls it CNP1) or a dense layer (FNP3). conv1, which
    receives pixels and not events, has a unit of its own beside the mesh, the input converter (HRC).
    akida's `model.map` does the placing (`map_on_akd1000` calls it). In one mode, AllNps, it spreads layers as widely as its rules allow, which is
    fast; in the other, Minimal, it takes as few NPs as can be, and leaves room for another network.

    The chip has conditions: 8-bit pixels, at most 64 filters in this conv1, weights and activations of
    1, 2 or 4 bits behind it, no max pooling in the last convolution before a dense layer. A layer that
    breaks one falls to software: the host computes it, without an error, and the events travel out of
    the chip and back. The layers that the chip computes in one go are a sequence in akida's words; behind
    a layer in software a new one starts, and may use a processor again. With hw_only=True `map`
    refuses instead, and says why.

    The AKD1000 keeps no potential from one time step to the next. So it is not the LIF network that is
    mapped but its `Twin`: the same layers with ReLU, quantised to 8/4/4 bits (weights of conv1, other
    weights, activations). It is event-driven in that zeros are neither sent nor computed.

    (The saved twin comes from an older, shorter training than `FiveLevels`, and reads fewer pictures.)

    Last, does the chip answer as the quantised network does? Keras can simulate the twin as well, and
    does not quite agree with Akida. The reason
    stands in `integer_answers`: the chip's threshold is a whole number, that of Keras is not.
    """
    run.predict(
        "nps_fewest",
        "A processor computes for one layer only and can hold tens of kilobytes. Behind conv1 there are "
        "three layers with 55 KiB of weights at 4 bits. How many of the 78 processors do they need at "
        "least?",
        unit="processors",
    )
    status = akida_status()
    run.extra |= {"akida": asdict(status), "analysis": status.means}
    run.print(f"   akida   {status.state}: {status.reason}")
    if status.state == "absent":
        run.note(f"No mapping of our own on this machine: {status.reason}.")
        mesh_of_the_course(run)
        return
    spread = map_on_akd1000(layers_for_akida())
    fewest = map_on_akd1000(layers_for_akida(), mode="Minimal")
    pooled = map_on_akd1000(layers_for_akida(pool_last=True))
    wide = map_on_akd1000(layers_for_akida((128, 64, 128)))
    show_mapping(run, spread, fewest, pooled)
    for variant, mapping in (("with max pooling", pooled), ("with 128 filters", wide)):
        for name, reason in mapping.fallbacks.items():
            text = f"   {variant}, {name} falls to software: {reason}"
            run.print(textwrap.fill(text, 80, subsequent_indent=" " * 6))
    run.claim("nps", f"NPs taken, of {spread.nps_total}, spread", spread.nps_used, "", "<= 78")
    run.claim("nps_fewest", "NPs taken, as few as can be", fewest.nps_used, "")
    run.claim("software_layers", "as it is: layers in software", len(spread.fallbacks), "", "== 0")
    software = ", ".join(spread.fallbacks) or "none"
    memory = sum(a.bytes for a in spread.layers) / sum(b.bytes for b in fewest.layers)
    text = (
        f"The network takes {spread.nps_used} of {spread.nps_total} processors if it is spread out, and "
        f"{fewest.nps_used} would do, with {memory:.1f} times less memory. Layers that fall to software: "
        f"{software} as it is; with max pooling in conv3, {', '.join(pooled.fallbacks) or 'none'}; with 128 filters in conv1, "
        f"{', '.join(wide.fallbacks) or 'none'}."
    )
    data = run.data(cifar10)
    twin = load_twin(cfg, run, data)
    try:
        found = simulate(cfg, twin, data)
    except UserError as e:  # TensorFlow or a converter is missing
        run.note(f"The twin was mapped and not simulated: {e}.")
        run.finding(text)
        return
    show_simulated(run, twin, data, spread, found)
    cause = "Their half steps account for most of that"
    if found.exact_as_keras <= found.same:
        cause = "Their half steps do not account for that"
    run.finding(
        f"{text} At 8/4/4 bits Akida reads {100 * found.accuracy:.1f} % of {found.n:,} pictures. Keras' "
        f"own simulation gives the same class to {100 * found.same:.1f} %. {cause}: with an exact "
        f"half step the same whole numbers agree with Keras on {100 * found.exact_as_keras:.1f} %. "
        "(The rest lies in how steps are stored, which is not modelled here.)"
    )


def show_mapping(run: Run, spread: Mapping, fewest: Mapping, pooled: Mapping) -> None:
    """The figure and the table of where the layers sit."""
    mesh = {
        f"spread: {spread.nps_used} of {spread.nps_total} NPs": spread.places(),
        f"as few as can be: {fewest.nps_used} NPs": fewest.places(),
        f"max pooling in conv3: {squares(pooled.places())} NPs": pooled.places(),
    }
    run.extra["mesh"] = mesh
    fallen = ", ".join(pooled.fallbacks) or "nothing"
    title = (
        f"Spread out, the network takes {spread.nps_used} processors (squares; a box is a node), at least "
        f"{fewest.nps_used}; with max pooling, {fallen} leaves the chip"
    )
    run.figure(draw_meshes(mesh, title), "3_mesh", look="which layer takes most of the room")
    rows = []
    for a, b in zip(spread.layers, fewest.layers, strict=True):
        kind = f"{len(a.nps)} {a.nps[0].type}" if a.nps else "software"
        rows.append((a.name, kind, len(b.nps), a.bytes / 1024, b.bytes / 1024))
    columns = ("layer", "spread over", "fewest", "KiB, spread", "KiB, fewest")
    run.table("Where each layer sits, and the memory it reserves", columns, rows)


def show_simulated(
    run: Run, twin: Twin, data: ImageData, spread: Mapping, found: Simulated
) -> None:
    """What Akida's arithmetic makes of the trained twin."""
    x, y = data.x_test[: found.n], data.y_test[: found.n]
    float_accuracy = evaluate(twin, x, y, lambda x: x[None], class_of)
    run.print(f"   twin    in floats {100 * float_accuracy:.2f} % of the same {found.n:,} pictures")
    facts = {"n": found.n, "real": True}
    run.claim("akida_accuracy", "twin at 8/4/4 bits", found.accuracy, **facts)
    run.claim("akida_same", "Akida and quantised Keras agree", found.same, **facts)
    text = "emulated, h rounded: as Akida"
    run.claim("rounded_as_akida", text, found.rounded_as_akida, n=found.n)
    text = "emulated, h exact: as Keras"
    run.claim("exact_as_keras", text, found.exact_as_keras, n=found.n)
    if found.chip:
        power = found.chip["power_mw"]["Avg"] if "power_mw" in found.chip else "no meter"
        energy = found.chip.get("energy_mj", "no meter")
        row = (found.chip["p50_ms"], found.chip["p95_ms"], found.chip["per_second"], power, energy)
        columns = ("p50, ms", "p95, ms", "pictures/s", "mW", "mJ a picture")
        run.table("Measured on the chip", columns, [row])
    run.ledger(
        model="ReLU twin on Akida, 8/4/4",
        data=data.name,
        accuracy=found.accuracy,
        n=found.n,
        num_steps=1,
        parameters=sum(p.numel() for p in twin.parameters()),
        bytes=spread.program_bytes,
        nps=spread.nps_used,
    )


# ---------------------------------------------------------------- 4  energy

SRAM = {"8 KB": 10 / 8, "32 KB": 20 / 8, "1 MB": 100 / 8}
"""pJ to move one byte: a 64-bit access of an on-chip memory of this size, from the same table of Horowitz
(ISSCC 2014, 45 nm) as the prices of additions and multiplications in ``common.cost``"""
PJ_PER_BYTE = SRAM["8 KB"]
WEIGHT_BYTES = 1  # 8 bits
MEMBRANE_BYTES = 2 * 2  # 16 bits, read and written back


class EightBits(nn.Module):
    """Rounds the weights of a layer to 255 levels; the gradient passes as if nothing had been rounded."""

    def forward(self, weight: Tensor) -> Tensor:
        """Weights of any shape → the nearest multiples of a 127th of the largest."""
        step = weight.detach().abs().max().clamp(min=1e-12) / 127
        return weight + (step * (weight / step).round() - weight).detach()


def with_eight_bits(net: nn.Module) -> nn.Module:
    """``net``, whose weights are from now on rounded whenever they are used."""
    for layer in list(net.children()):
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            parametrize.register_parametrization(layer, "weight", EightBits())
    return net


def keep_rounded(net: nn.Module) -> nn.Module:
    """``net`` after ``with_eight_bits``, with its rounded weights as its only ones."""
    for layer in list(net.children()):
        if parametrize.is_parametrized(layer):
            parametrize.remove_parametrizations(layer, "weight")
    return net


def operations(layer: nn.Conv2d | nn.Linear, x: Tensor) -> float:
    """Operations per picture that the inputs ``x (B, …)`` cause if zeros cause none.

    With every weight set to 1 and every input that is not zero set to 1, each output is the number
    of its inputs that are not zero: so many operations it takes.
    """
    not_zero = (x != 0).float()
    ones = torch.ones_like(layer.weight)
    if isinstance(layer, nn.Linear):
        reached = F.linear(not_zero, ones)
    else:
        reached = F.conv2d(not_zero, ones, None, layer.stride, layer.padding)
    return reached.double().sum().item() / len(x)


@torch.no_grad()
def operations_by_layer(net: nn.Module, x: Tensor) -> dict[str, float]:
    """Operations per picture in each layer of ``net`` over all steps of ``x (T, B, …)``."""
    counted: dict[str, float] = {}
    for part in x.split(500, dim=1):  # (T, 500, …)
        share = part.shape[1] / x.shape[1]
        for name, layer, x_in, _ in calls(net, part):  # each layer's input, step by step
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                counted[name] = counted.get(name, 0.0) + share * operations(layer, x_in)
    return counted


@torch.no_grad()
def dense_operations(net: nn.Module, x: Tensor) -> dict[str, float]:
    """The same for one step, if no input were zero."""
    found = {}
    for name, layer, x_in, _ in calls(net, x[:1]):
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            found[name] = operations(layer, torch.ones_like(x_in[:1]))
    return found


@torch.no_grad()
def operations_at_once(net: nn.Module, x: Tensor) -> dict[str, float]:
    """The same if all steps of ``x`` were one: an input counts once if it spikes at any of them."""
    counted: dict[str, float] = {}
    for part in x.split(500, dim=1):
        layers, spiked = {}, {}
        for name, layer, x_in, _ in calls(net, part):
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layers[name] = layer
                spiked[name] = spiked.get(name, False) | (x_in != 0)  # (B, …)
        share = part.shape[1] / x.shape[1]
        for name, layer in layers.items():
            counted[name] = counted.get(name, 0.0) + share * operations(layer, spiked[name])
    return counted


@dataclass(frozen=True)
class Work:
    """What one picture takes in both networks; all counts are operations but ``updates``."""

    first: float
    """multiply-accumulates of conv1: the same on both sides, once"""
    dense: float
    """operations of one pass through the layers behind conv1 if no input is zero"""
    spikes: float
    """additions that spikes cause behind conv1, over all steps"""
    at_once: float
    """the same if an input that spikes at several steps counted once"""
    levels: float
    """multiply-accumulates that the opponent's activations cause there, zeros left out"""
    updates: float
    """potentials updated, over all steps"""
    num_steps: int

    @property
    def spike_rate(self) -> float:
        """Share of the inputs behind conv1 that spike in a step, each weighted with what it reaches."""
        return self.spikes / (self.num_steps * self.dense)

    @property
    def active(self) -> float:
        """The same for the opponent: share of its activations that are not zero."""
        return self.levels / self.dense


def accounts(work: Work) -> dict[str, tuple[float, float]]:
    """Picojoules for one picture of the SNN and of its opponent, from the usual account to two fair ones."""
    add_float, mac_float = PICOJOULES["float32"]
    add, mac = PICOJOULES["int8"]
    spiking = work.first * mac_float + work.spikes * add_float
    found = {"zeros skipped for the SNN only": (spiking, (work.first + work.dense) * mac_float)}
    found["zeros skipped on both sides"] = (spiking, (work.first + work.levels) * mac_float)
    spiking = work.first * mac + work.spikes * add
    other = (work.first + work.levels) * mac
    found["and both in integers"] = (spiking, other)
    byte = WEIGHT_BYTES * PJ_PER_BYTE
    other = other + (work.first + work.levels) * byte
    at_once = spiking + (work.first + work.at_once) * byte
    found["and weights read: all steps at once"] = (at_once, other)
    one_by_one = spiking + (work.first + work.spikes) * byte
    found["weights read: steps one by one"] = (one_by_one, other)
    one_by_one = one_by_one + work.updates * MEMBRANE_BYTES * PJ_PER_BYTE
    found["and potentials kept"] = (one_by_one, other)
    return found


def break_even(work: Work, pj_per_byte: float) -> float:
    """Equation (4): below this spike rate the SNN takes less energy than its opponent."""
    add, mac = PICOJOULES["int8"]
    byte = WEIGHT_BYTES * pj_per_byte
    potentials = work.updates * MEMBRANE_BYTES * pj_per_byte
    other = work.levels * (mac + byte)
    return (other - potentials) / (work.num_steps * work.dense * (add + byte))


def behind_conv1(work: Work) -> dict[str, float]:
    """The ratios of ``accounts`` without conv1, which both networks share: as equation (4) compares them."""
    found = accounts(replace(work, first=0.0))
    return {name: spiking / other for name, (spiking, other) in found.items()}


def break_even_at_once(work: Work, pj_per_byte: float) -> float:
    """The same if all steps are taken at once: an addition reads only ``at_once / spikes`` of a weight.

    That share is the one of this network at every spike rate. Fewer spikes fall on the same input less
    often, and the share rises towards 1: far below this network's rate the true break-even lies lower.
    """
    add, mac = PICOJOULES["int8"]
    byte = WEIGHT_BYTES * pj_per_byte
    read = byte * work.at_once / max(work.spikes, 1.0)
    return work.levels * (mac + byte) / (work.num_steps * work.dense * (add + read))


def draw_accounts(work: Work, found: dict[str, tuple[float, float]]) -> Any:
    """Left the ratio in each account, right what the last account consists of."""
    fig, (a, b) = plots.figure(1, 2, (13, 4.2), width_ratios=(1.25, 1))
    whole = [spiking / other for spiking, other in found.values()]
    ratios = list(behind_conv1(work).values())
    places = np.arange(len(found))
    a.axvline(1, color="0.4", linewidth=1)
    a.hlines(places, 1, ratios, color="0.7", linewidth=6, zorder=1)
    a.plot(ratios, places, "o", color=plots.BLUE, markersize=9, label="behind conv1")
    look = {"markerfacecolor": "white", "markersize": 7}
    a.plot(whole, places, "D", color=plots.RED, label="whole network", **look)
    a.legend(loc="lower left", fontsize=8.5)
    for ratio, place in zip(ratios, places, strict=True):
        side = 10 if ratio >= 1 else -10
        text = {"textcoords": "offset points", "va": "center", "fontsize": 9}
        text["ha"] = "left" if ratio >= 1 else "right"
        a.annotate(f"{ratio:.2f}", (ratio, place), (side, 0), **text)
    a.set_xscale("log")
    left, right = 0.6 * min(*ratios, *whole), 2 * max(*ratios, *whole, 1)
    a.set_xlim(left, right)
    ticks = [t for t in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if left < t < right]
    a.set_xticks(ticks, [f"{t:g}" for t in ticks])
    a.set_xticks([], minor=True)
    a.set_yticks(places, list(found))
    a.set_ylim(len(found) - 0.5, -0.7)
    a.grid(False, axis="y")
    plots.label(
        a,
        "energy of the SNN / energy of its opponent",
        "",
        "Six accounts of the same two networks",
    )
    add, mac = PICOJOULES["int8"]
    byte = WEIGHT_BYTES * PJ_PER_BYTE
    parts = {
        "conv1, both parts": (work.first * (mac + byte), work.first * (mac + byte)),
        "later layers: arithmetic": (work.spikes * add, work.levels * mac),
        "later layers: weights read": (work.spikes * byte, work.levels * byte),
        "potentials read, written": (work.updates * MEMBRANE_BYTES * PJ_PER_BYTE, 0.0),
    }
    below = np.zeros(2)
    for i, (name, pj) in enumerate(parts.items()):
        height = np.array(pj) / 1e6
        hatch = ("", "//", "..", "xx")[i]
        look = {"color": plots.COLOURS[i], "hatch": hatch, "edgecolor": "white", "label": name}
        b.bar(("SNN", "five levels"), height, 0.5, below, **look)
        below += height
    b.grid(False, axis="x")
    b.set_xlim(-0.5, 3.2)
    b.legend(loc="center right", fontsize=8.5)
    plots.label(b, "", "µJ a picture (estimated)", "What the last account consists of")
    return fig


def draw_break_even(work: Work) -> Any:
    """The break-even spike rate against what a byte costs."""
    prices = np.geomspace(0.02, 30, 200)
    rates = [100 * break_even(work, p) for p in prices]
    at_once = [100 * break_even_at_once(work, p) for p in prices]
    here = 100 * work.spike_rate
    fig, ax = plots.figure(1, 1, (9, 4.2))
    ax.plot(prices, rates, color=plots.BLUE, label="break-even (4), steps one by one")
    ax.plot(
        prices,
        at_once,
        color=plots.GREEN,
        linestyle="-.",
        label="break-even, all steps at once\n(steps share inputs as in this SNN)",
    )
    for line, colour in ((rates, plots.BLUE), (at_once, plots.GREEN)):
        ax.fill_between(prices, 0, np.maximum(line, 0), color=colour, alpha=0.12, linewidth=0)
    ax.axhline(here, color=plots.RED, linestyle="--", label=f"this SNN: {here:.1f} %")
    top = 1.35 * max(*rates, *at_once, here)
    for name, price in SRAM.items():
        ax.axvline(price, color="0.6", linewidth=1, linestyle=":")
        ax.annotate(f" {name}", (price, 0.93 * top), fontsize=9, color="0.3")
    ax.set_xscale("log")
    ax.set_ylim(0, top)
    ax.set_xlim(prices[0], prices[-1])
    ax.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    ax.annotate("below a curve the SNN takes less", (0.025, 0.08 * top), color="0.2")
    plots.label(
        ax, "pJ to move one byte (dotted: on-chip memories)", "inputs that spike in a step (%)"
    )
    at, free = break_even(work, PJ_PER_BYTE), break_even(work, 0.0)
    fig.suptitle(
        f"Break-even at {100 * at:.1f} % spikes beside an 8-KB memory, at {100 * free:.1f} % if it is free",
        x=0.01,
        ha="left",
    )
    return fig


def load_opponent(cfg: Config, run: Run, data: ImageData) -> FiveLevels:
    """The saved network of five levels, or with --epochs a new one."""
    torch.manual_seed(cfg.seed)
    net = FiveLevels()
    if not cfg.epochs:
        return load_weights(net, QUANTISED).eval()
    with_eight_bits(net)  # trained with the weights that it will have
    train_relu(cfg, run, net, data, partial(encode, num_steps=1), "five_levels")
    run.checkpoint(keep_rounded(net.cpu()), QUANTISED.stem)
    return net.eval()


@section
def section_energy(cfg: Config, run: Run) -> None:
    """4  Does the spiking network take less energy than a quantised one without spikes?

    Many papers count like this: additions for the SNN, multiply-accumulates for the ANN, all in 32-bit
    floats, zeros skipped in the SNN and multiplied in the ANN. We start there and mend one thing
    after the other, with counts from the same two networks and the same pictures. Prices are those of
    Horowitz (ISSCC 2014, 45 nm), in pJ:

        addition        float32 0.9   int32 0.1        multiplication   float32 3.7   int8 0.2
        accumulate, AC          0.9         0.1        MAC                      4.6        0.3

    Zeros.      A chip that skips zeros can skip those of ReLU activations as well.
    Integers.   Such chips compute in integers, so both networks have 8-bit weights. The opponent's
                activations need 3 bits; priced as 8, they favour the SNN.
    Weights.    Each operation needs its weight: one byte, 1.25 pJ from an 8-KB memory. How often it is
                read is a choice. A chip that takes the steps one by one, as events arrive, reads it
                again at each step. One that has all steps of a layer at hand reads it once for an input
                that spikes at any of them, and keeps potentials where they are.
    Potentials  of neurons that take the steps one by one are read and written at each step, 16 bits each
                way, silent neuron or not. The opponent has none.

    conv1 gets pixels, not spikes. As the picture stays the same, it is computed once, in both networks.
    What they share says nothing about which one is better, and pulls every ratio towards 1. So each
    ratio is given twice: for the layers behind conv1, on which question and verdict rest, and for the
    whole network.

    Let D be the number of operations behind conv1 if nothing is skipped, s the share of them that spikes
    cause in one step, and γ the share of them that the opponent's activations cause. A byte costs p, in
    pJ, and each of n neurons has 4 bytes to move. With the steps one by one both take the same energy at

        T·s·D·(0.1 + p) + 4·T·n·p = γ·D·(0.3 + p)
        s* = (γ·D·(0.3 + p) − 4·T·n·p) / (T·D·(0.1 + p))                                      (4)

    Left out on both sides are the packets that carry events and the sums that each addition reads and
    writes (the SNN has more of both), control, leakage and the clock. So this is an estimate from
    counts, not a measurement. Both networks were trained once, for accuracy alone; lesson 14 puts a
    price on spikes. A second opponent (another seed) changed the last account of the whole network by
    less than 4 %, which is up to 9 % behind conv1; a second SNN was not trained.
    """
    run.predict(
        "winner",
        "Two networks of the same layers, trained alike; zeros skipped, integers, weights and potentials "
        "counted on both sides. Which one takes less energy for a picture, behind the layer conv1, which "
        "both share?",
        ("the SNN", "the network of five levels", "it depends, or within 10 %"),
    )
    T = cfg.num_steps
    data = run.data(cifar10)
    show = partial(encode, num_steps=T)
    net = keep_rounded(with_eight_bits(load_weights(SmallCNN(), SPIKING))).eval()
    opponent = load_opponent(cfg, run, data)
    accuracy = evaluate(net, data.x_test, data.y_test, show)
    once = partial(encode, num_steps=1)
    opponent_accuracy = evaluate(opponent, data.x_test, data.y_test, once, class_of)

    pictures = data.x_test[: cfg.images].float() / 255
    spiking = operations_by_layer(net, show(pictures))
    levels = operations_by_layer(opponent, once(pictures))
    dense = dense_operations(opponent, once(pictures))
    at_once = operations_at_once(net, show(pictures))
    updates = 0.0  # every potential, at every step
    for _, module, _, out in calls(net, show(pictures[:1])):
        if isinstance(module, snn.SpikingNeuron):
            updates += out.numel()
    work = Work(
        first=levels.pop("conv1"),
        dense=sum(dense.values()) - dense["conv1"],
        spikes=sum(spiking.values()) - spiking["conv1"],
        at_once=sum(at_once.values()) - at_once["conv1"],
        levels=sum(levels.values()),
        updates=updates,
        num_steps=T,
    )
    found = accounts(work)
    whole = {name: spiking / other for name, (spiking, other) in found.items()}
    behind = behind_conv1(work)
    usual, zeros, integers, together, _, one_by_one = behind.values()
    whole_together, whole_one_by_one = list(whole.values())[3], list(whole.values())[5]
    fig = draw_accounts(work, found)
    fig.suptitle(
        f"Behind conv1 the usual account gives the SNN {usual:.2f} times its opponent's energy, the fair "
        f"ones {together:.1f} and {one_by_one:.1f} times",
        x=0.01,
        ha="left",
    )
    run.figure(fig, "4_accounts", look="where the points cross the line at 1")
    fig = draw_break_even(work)
    run.figure(fig, "4_break_even", look="whether the dashed line lies below a curve")
    rows = []
    for name, (spiking, other) in found.items():
        ratio, ratio_behind = f"{whole[name]:.2f}", f"{behind[name]:.2f}"
        rows.append((name, spiking / 1e6, other / 1e6, ratio, ratio_behind))
    columns = ("account", "SNN, µJ", "five levels", "ratio", "behind conv1")
    run.table("Estimated energy of one picture, µJ", columns, rows)

    n = len(data.y_test)
    at = break_even(work, PJ_PER_BYTE)
    counted = {"n": len(pictures), "real": True}
    run.claim("accuracy", f"SNN, T = {T}, 8-bit weights", accuracy, n=n, seeds=1, real=True)
    run.claim("opponent", "five levels, 8-bit weights", opponent_accuracy, n=n, seeds=1, real=True)
    run.claim("ratio_usual", "behind conv1, usual: SNN / five", usual, "times", **counted)
    run.claim("ratio_at_once", "the same, all steps at once", together, "times", **counted)
    run.claim("ratio_fair", "the same, steps one by one", one_by_one, "times", **counted)
    run.claim("break_even", "break-even spike rate", at, **counted)
    winner = verdict(together, one_by_one)
    run.outcome("winner", winner)
    if T != FiveLevels.LEVELS:
        run.note(
            f"With T = {T} the SNN can say {T + 1} things, its opponent 5: no fair pair any more."
        )
    run.print("   compare below 5.7 % at T = 5, in a model of a whole chip: arXiv 2409.08290, v4")
    need = f"below {100 * at:.1f} %" if at > 0 else "nowhere: its potentials alone cost more"
    free = 100 * break_even(work, 0.0)
    close = ""
    if 1 / 1.25 < together < 1.25:
        close = " (so close that another training could turn it round)"
    run.finding(
        f"Behind conv1, which both share, the usual account gives the SNN ({100 * accuracy:.1f} % right) "
        f"{usual:.2f} times the energy of its opponent ({100 * opponent_accuracy:.1f} %). Zeros skipped on "
        f"both sides make it {zeros:.2f}, integers {integers:.2f}, memory {together:.2f} if all steps are "
        f"taken at once{close} and {one_by_one:.1f} one by one. With conv1 the last two are "
        f"{whole_together:.2f} and {whole_one_by_one:.2f}. One by one the SNN would take less {need} spikes "
        f"a step, and with free memory below {free:.1f} %; it has {100 * work.spike_rate:.1f} %.",
        main=True,
        claim="ratio_fair",
    )


def verdict(*ratios: float) -> str:
    """Which network takes less energy, if all fair accounts say so: one of the options of the prediction."""
    if all(ratio < 0.9 for ratio in ratios):
        return "the SNN"
    if all(ratio > 1.1 for ratio in ratios):
        return "the network of five levels"
    return "it depends, or within 10 %"


# ---------------------------------------------------------------- 5  which machine


@section
def section_which(cfg: Config, run: Run) -> None:
    """5  GPU or neuromorphic chip: what follows, and what does not?

    The sections before compare two ways to compute, and two networks. They do not compare two machines:
    a* is a crossing of two programs on one processor, s* one of two networks on one chip. For a GPU
    beside an AKD1000, here called NPU, four things follow all the same.

    Batches (1).    Training, and millions of recordings that may wait, fill batches. In a batch a weight
                    that is read serves every sample: take the GPU.
    Silence (1, 2). A sensor delivers one sample at a time, mostly silence. The GPU computes the silence,
                    without a batch to share the weights. That is the NPU's case.
    The mesh (3).   A layer that the mesh refuses, or a network larger than it, leaves the chip, and with
                    it go weights that stay in place. Then the GPU may be faster even for one sample.
    Precision (4).  The NPU computes with few bits and skips zeros. So its advantage in energy is no
                    advantage of spikes: a quantised network of the same layers may profit more.

    How much, only a measurement tells. There are few. The figures below are those of a bachelor's thesis
    (Chemnitz and Ermis, KTH, 2025, https://kth.diva-portal.org), which set an AKD1000 beside an older
    GPU, an NVIDIA GTX 1080, one frame at a time. GXNOR is a small network with weights of two bits. The
    thesis reports how much energy the chip saves compared with the card; we have read only a summary of
    it. We found no primary source for the near-zero power at rest that is often claimed.
    `measured_energy` and `measure_on_chip` read the meters of your own machine, where it has them.
    """
    run.predict(
        "faster",
        "One frame at a time: a small network for MNIST and the large YOLOv2, on an AKD1000 and on a GTX "
        "1080. For which of them does the chip answer sooner?",
        ("both", "the small one", "the large one", "neither"),
    )
    known = [p for p in PUBLISHED if p.latency_ms and p.gpu_latency_ms]
    fig, ax = plots.figure(1, 1, (9, 3.6))
    for i, p in enumerate(known):
        ax.plot([p.latency_ms, p.gpu_latency_ms], [i, i], color="0.7", linewidth=2, zorder=1)
    rows = range(len(known))
    chip, card = [p.latency_ms for p in known], [p.gpu_latency_ms for p in known]
    ax.plot(chip, rows, "o", color=plots.BLUE, markersize=9, label="AKD1000")
    ax.plot(card, rows, "s", color=plots.RED, markersize=9, label="GTX 1080")
    for i, p in enumerate(known):
        for ms in (p.latency_ms, p.gpu_latency_ms):
            ax.annotate(f"{ms:.3g}", (ms, i), (0, 9), textcoords="offset points", ha="center")
    ax.set_xscale("log")
    ax.set_xlim(0.4 * min(*chip, *card), 2.5 * max(*chip, *card))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.set_yticks(rows, [f"{p.model}, {p.data}\nenergy saved: {p.energy_saved}" for p in known])
    ax.set_ylim(len(known) - 0.5, -0.6)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    plots.label(ax, "published latency of one frame (ms)", "")
    sooner = [p for p in known if p.latency_ms < p.gpu_latency_ms]
    fig.suptitle(
        f"Published, not ours: the chip answers sooner for {len(sooner)} of {len(known)} networks",
        x=0.01,
        ha="left",
    )
    run.figure(fig, "5_published", look="which marker lies to the left")
    print_source(run, 1, KTH)
    run.claim("published_sooner", "published: chip sooner for", len(sooner), f"of {len(known)}")
    names = {p.model: "the small one" if p is known[0] else "the large one" for p in known}
    answer = names[sooner[0].model] if len(sooner) == 1 else ("neither", "both")[bool(sooner)]
    run.outcome("faster", answer)
    parts = []
    for p in known:
        if p.latency_ms < p.gpu_latency_ms:
            parts.append(f"{p.gpu_latency_ms / p.latency_ms:.1f} times sooner for {p.model}")
        else:
            parts.append(f"{p.latency_ms / p.gpu_latency_ms:.1f} times later for {p.model}")
    run.finding(
        f"The chip answers {' and '.join(parts)}, and takes less energy for both, by these published "
        "figures. Take the GPU for batches and for what the mesh refuses, the NPU for single, sparse "
        "samples on little power; and set a quantised network beside the spiking one."
    )


def main(cfg: Config, run: Run) -> None:
    section_two_ways(cfg, run)
    section_devices(cfg, run)
    section_mesh(cfg, run)
    section_energy(cfg, run)
    section_which(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
