"""Lesson 11 — Real event data: from an irregular stream of events to batches, with Tonic

Question
    An event camera sends no frames: each pixel speaks when its light changes. How does such a
    stream become a tensor for a spiking network, and what is lost on the way?

Idea
    A recording is a list of events e_i = (x_i, y_i, t_i, p_i), i = 1 … N: in which pixel, when (in
    microseconds, µs), and whether it got brighter (p = 1, ON) or darker (p = 0, OFF). A network
    wants a tensor with time first, (T, B, 2, H, W). Binning counts the events of each pixel and
    polarity in each of T bins:

        F[k, p, y, x] = number of events i with x_i = x, y_i = y, p_i = p that lie in bin k       (1)

    Tonic is to event data what torchvision is to pictures: data sets, transforms of recordings,
    caches, and a collate function that puts recordings of unlike length into one batch.

    The data are the first 1,000 training and 100 test recordings of N-MNIST (Orchard et al. 2015):
    MNIST digits on a screen before an event camera (34×34 of its pixels are kept), which makes three
    quick turns, saccades, of 0.1 s each. Sections 3 to 5 test all 1,100, by five-fold cross-validation.

Read first
    Theory     Gallego et al. 2020, on event representations, https://arxiv.org/abs/1904.08405
    Practice   Tonic, https://tonic.readthedocs.io/
               https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_7.html

Run
    uv run 11_neuromorphic_data_tonic.py --predict   asks what you expect, then measures: start here
    uv run 11_neuromorphic_data_tonic.py             a quarter of an hour of one idle CPU core
    uv run 11_neuromorphic_data_tonic.py --full      and DVS128 Gesture (3.1 GB): wants a GPU; not published

Builds on / leads to
    04 made events, 09 the training loop, 10 convolutions over time. 12 asks what hardware gains
    from empty frames, 13 what a longer memory makes of time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

from common import plots
from common.cost import ledger_row
from common.data import ImageData, mnist
from common.io import UserError, live
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import hold, over_time
from eventcam import recordings
from eventcam.changes import move, turn_and_thin
from eventcam.pictures import colour_key, draw_frame, show_frames
from eventcam.playing import SACCADE_US, Played, border_noise
from eventcam.recordings import (
    EventData,
    Frames,
    assert_disjoint,
    five_folds,
    inner_split,
    make_frames,
)
from eventcam.saccades import saccade_frames
from eventcam.scenes import uniform_noise, with_noise
from multistep import unroll
from training import fit
from training.paired import (
    difference,
    draw_accuracies,
    draw_differences,
    ends,
    mcnemar,
    percent,
    rounded,
    shown,
    signed,
    span,
    two_digits,
    wilson,
)

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

Parts = tuple[Tensor, Tensor, Tensor]  # indices of training, validation and test recordings
Weights = dict[str, Tensor]  # a network's state_dict
# frames as `fit` gives them (B, T, 2, H, W) → currents (T, B, 2, h, w)
Show = Callable[[Tensor], Tensor]
SHUFFLES = 20  # epochs over which section 2 counts the padding
FILTER_US = 10_000  # Denoise: how recent a neighbour's event must be, in µs; Tonic's own default
POOL = 2  # pixels a side that are added up before the network


@dataclass
class Config(LessonConfig):
    """One network and one training for every variant of a comparison; the folds are always the same."""

    num_steps: int = bounded(10, 1, 100)
    """bins of a recording (T); where their number varies, so many on average"""
    epochs: int = bounded(10, 1, 1000)
    """passes over the training recordings; section 1 makes at most 5, section 6 three times as many"""
    batch_size: int = bounded(32, 1, 10_000)
    """recordings in one update of the weights (B)"""
    lr: float = bounded(5e-3, 1e-7, 1.0)
    """learning rate; from section 3 on it falls to zero along a cosine"""
    beta: float = bounded(0.9, 0.0, 1.0)
    """share β of the potential that is left after one step"""
    channels: tuple[int, ...] = bounded((16, 32), 1, 1024)
    """channels of the convolutions, each of which halves the picture"""
    folds: int = bounded(5, 2, 20)
    """parts of the cross-validation"""
    shift: int = bounded(2, 0, 8)
    """training recordings are moved by up to this many pixels, at random"""
    pictures: int = bounded(20_000, 10, 50_000)
    """MNIST digits that are drawn before the camera in section 5"""
    picture_epochs: int = bounded(3, 1, 1000)
    """passes over them"""
    per_class: int = bounded(36, 3, 1000)
    """drawn clips of each gesture in section 6; a third of them are for testing"""
    seeds: int = bounded(3, 1, 20)
    """trainings of each variant on the gestures"""
    resume: bool = False
    """take over finished trainings of a run that was stopped"""


SMOKE = {
    "num_steps": 3,
    "epochs": 1,
    "folds": 2,
    "channels": (4, 8),
    "pictures": 60,
    "picture_epochs": 1,
    "per_class": 3,
    "seeds": 1,
}
FULL = {"channels": (32, 64, 128, 128), "num_steps": 20, "epochs": 40}


# ---------------------------------------------------------------- 1  the pipeline


class EventSet(Dataset):
    """Recordings as Tonic's data sets give them: ``self[i]`` is ``(frames, label)``.

    ``tonic.datasets.NMNIST(save_to="data", train=True, transform=transform)`` is the same for the
    complete set. It refuses fewer than 10,000 files and would download 1 GB, so the recordings that
    are here get this small class. (`recordings.nmnist` reads them with ``tonic.io.read_mnist_file``.)
    """

    def __init__(self, data: EventData, index: Sequence[int], transform: Callable) -> None:
        self.data = data
        self.index = index
        self.transform = transform

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        events = self.data.recordings[self.index[i]]  # (N,), with the fields x, y, t, p
        return self.transform(events), int(self.data.y[self.index[i]])


class Net(nn.Module):
    """[convolution that halves the picture → batch norm → LIF] × n, then linear → LIF."""

    def __init__(self, channels: Sequence[int], side: int, num_classes: int, beta: float) -> None:
        super().__init__()
        self.conv = nn.ModuleList()
        self.lif = nn.ModuleList()
        inputs, kernel = 2, 5  # two polarities
        for outputs in channels:
            conv = nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2, bias=False)
            self.conv.append(nn.Sequential(conv, nn.BatchNorm2d(outputs)))
            self.lif.append(snn.Leaky(beta=beta, init_hidden=True))
            inputs, kernel = outputs, 3
            side = (side + 1) // 2
        self.fc = nn.Linear(inputs * side * side, num_classes)
        self.lif_out = snn.Leaky(beta=beta, init_hidden=True, output=True)

    def forward(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        """One step: ``(B, 2, H, W)`` → output spikes and potentials, each ``(B, K)``."""
        for conv, lif in zip(self.conv, self.lif, strict=True):
            x_t = lif(conv(x_t))  # (B, C, H/2, W/2)
        return self.lif_out(self.fc(x_t.flatten(1)))

    def run(self, x: Tensor, masked: bool = True) -> tuple[Tensor, Tensor]:
        """All steps: ``(T, B, 2, H, W)`` → spikes and potentials, each ``(T, B, K)``.

        If ``masked``, potentials carry ``step_weights``: their mean over time leaves out the padding
        (section 2 shows why).
        """
        spk = x
        for conv, lif in zip(self.conv, self.lif, strict=True):
            spk, _, _ = unroll(lif, over_time(conv, spk))  # (T, B, C, H/2, W/2)
        flat = spk.flatten(2)  # (T, B, C·h·w)
        cur = over_time(self.fc, flat)  # (T, B, K)
        spk, mem, _ = unroll(self.lif_out, cur, record_mem=True)
        if not masked:
            return spk, mem
        weights = step_weights(x)
        return spk * (weights > 0), mem * weights


def step_weights(x: Tensor) -> Tensor:
    """Of each step ``(T, B, 1)``: T / T_b up to the last frame with an event, 0 behind it."""
    T = len(x)
    step = torch.arange(1, T + 1, device=x.device)[:, None]  # (T, 1)
    filled = x.flatten(2).amax(2) > 0  # (T, B): is there an event in this frame?
    length = (filled * step).amax(0).clamp(min=1)  # (B,)
    return ((step <= length) * (T / length))[..., None]


def make_net(cfg: Config, data: EventData, seed: int) -> Net:
    """A fresh network for frames of ``data``, whose weights depend on the seed alone."""
    torch.manual_seed(seed)
    return Net(cfg.channels, pooled_side(data), len(data.classes), cfg.beta)


def pool_of(data: EventData) -> int:
    """Pixels a side that are added up: 2; 4 for our drawn gestures of 64×64 pixels."""
    return 4 if data.sensor_size[0] == 64 else POOL


def pooled_side(data: EventData) -> int:
    """Height and width of what the network sees."""
    return data.sensor_size[0] // pool_of(data)


def currents(counts: Tensor, pool: int = POOL) -> Tensor:
    """Counts ``(…, H, W)`` → input currents ``(…, H/pool, W/pool)``: ln(1 + events of pool² pixels).

    The logarithm makes the second event of a pixel count for less than the first.
    """
    frames = counts.flatten(0, -4)  # (·, 2, H, W)
    summed = F.avg_pool2d(frames, pool) * pool**2
    return torch.log1p(summed).unflatten(0, counts.shape[:-3])


def dropped_by_denoise(data: EventData, number: int, seed: int) -> tuple[float, float]:
    """Shares of their own events and of added noise that Denoise takes from ``number`` recordings."""
    from tonic.transforms import Denoise

    denoise = Denoise(FILTER_US)
    rng = np.random.default_rng(seed)
    before = np.zeros(2)  # own events, noise
    after = np.zeros(2)
    for events in data.recordings[:number]:
        noise = uniform_noise(events, 0.2, data.sensor_size[0], rng)  # a fifth as many again
        mixed = with_noise(events, noise)  # has a field "noise", which Denoise does not look at
        left = denoise(mixed)
        before += np.bincount(mixed["noise"], minlength=2)
        after += np.bincount(left["noise"], minlength=2)
    own, added = 1 - after / before
    return float(own), float(added)


@dataclass
class Piped:
    """What section 1 leaves for section 2."""

    net: Net
    frames: list[Tensor]  # of each recording, (T, 2, 34, 34), T of its own


@section
def section_pipeline(cfg: Config, run: Run) -> Piped:
    """1  How do recordings become batches?

    You will learn the usual way from recordings to batches, and what each of its steps does.

    A camera with frames sends a picture at each tick of its clock, whether something moves or not. An
    event camera has no clock and no pictures: a still scene sends nothing but noise, a quick hand a
    burst. So a still scene costs hardly any data, and a moving one may cost more bytes than a slow
    video; but every event has its time, in microseconds. Frames give that up. They are dense tensors:
    where no event was, a zero is stored and multiplied. The run counts how many zeros there are.

    A recording is an array (N,). N differs from recording to recording, and arrays of unlike length
    cannot be stacked into a batch. Six lines of Tonic and PyTorch make batches of them, and the loop of
    lesson 09, six more, trains on these. The steps, in the order in which they are applied:

    - `Denoise` drops an event if none of the four pixels around it has fired within the last 10 ms.
      Edges move through neighbouring pixels one after the other; noise does not. (Tonic starts with
      the memory of every pixel set to time 0, so all events of the first 10 ms pass.)
    - `ToFrame` is equation (1). Here a bin is full when it holds `count` events, and then the next
      begins. Without Denoise, a recording with the average number of events would make T bins.
    - `Compose` joins the two, as in torchvision.
    - `MemoryCachedDataset` keeps the frames. Denoise walks through the events in a slow Python loop,
      and thanks to the cache it does so only once. A random transform, such as shifting frames, has to
      come after it, `MemoryCachedDataset(set, transform=shift)`, or the first shift is kept for ever.
    - `DataLoader` shuffles and makes batches. Recordings have unlike numbers of frames, so
      `PadTensors` adds empty frames to the shorter ones; batch_first=False puts time first.

    The network is a small one of lesson 10's kind. Its input is the logarithm of the counts, and its
    answer the class whose output potential is highest on average over time (`net.run` leaves the
    padding out of this average; section 2 shows why).

    How good is Denoise? We add known noise to 60 recordings, one event for every five of their own, at
    random places and times, and count how much of it is dropped. The share belongs to this much noise:
    events of sparser noise rarely have a noisy neighbour, so more of them would be dropped. Of the
    camera's own events, nobody knows which are noise.
    """
    from tonic import MemoryCachedDataset
    from tonic.collation import PadTensors
    from tonic.transforms import Compose, Denoise, ToFrame

    run.predict(
        "pipeline_accuracy",
        "A small network sees 1,000 recordings of digits five times. What share of 100 others will it "
        "read correctly?",
        unit="%",
    )
    data = run.data(recordings.nmnist)
    count = round(np.mean([len(events) for events in data.recordings]) / cfg.num_steps)
    first_test, end = data.n_train, len(data.recordings)

    # the pipeline
    transform = Compose([Denoise(FILTER_US), ToFrame(data.sensor_size, event_count=count)])
    train_set = MemoryCachedDataset(EventSet(data, range(first_test), transform))
    test_set = MemoryCachedDataset(EventSet(data, range(first_test, end), transform))
    pad = PadTensors(batch_first=False)
    train_loader = DataLoader(train_set, cfg.batch_size, shuffle=True, collate_fn=pad)
    test_loader = DataLoader(test_set, batch_size=100, collate_fn=pad)

    net = make_net(cfg, data, cfg.seed).to(run.device)
    optimizer = torch.optim.Adam(net.parameters(), lr=cfg.lr)
    epochs = min(5, cfg.epochs)
    for epoch in range(1, epochs + 1):
        text = f"   epoch {epoch}/{epochs}"
        if epoch == 1:
            text += ", with Denoise"
        total = 0.0
        for x, y in live(train_loader, text, len(train_loader)):  # (T, B, 2, 34, 34), (B,)
            _, mem_rec = net.run(currents(x.to(run.device)))  # (T, B, 10)
            loss = F.cross_entropy(mem_rec.mean(0), y.to(run.device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        run.print(f"   epoch {epoch}/{epochs}   mean loss {total / len(train_set):.3f}")

    net.eval()
    right = []
    with torch.no_grad():
        for x, y in test_loader:
            _, mem_rec = net.run(currents(x.to(run.device)))
            right += (mem_rec.mean(0).argmax(1).cpu() == y).tolist()
    right = np.array(right)
    low, high = wilson(right)

    frames = []
    for part in (train_set, test_set):
        frames += [torch.as_tensor(part[i][0]) for i in range(len(part))]
    draw_recording(run, data, frames[0], 0, count)
    own, added = dropped_by_denoise(data, 4 if cfg.smoke else 60, cfg.seed)
    empty = (torch.cat(frames) == 0).float().mean().item()
    n = len(right)
    run.claim("pipeline_accuracy", f"{n} test recordings", right.mean(), n=n, seeds=1, real=True)
    run.claim("dropped_noise", "added noise that Denoise drops", added, real=True)
    run.claim("dropped_own", "own events that Denoise drops", own, real=True)
    run.claim("empty_cells", "cells of the frames that are 0", empty, real=True)
    run.finding(
        f"The network reads {percent(right.mean(), 0)} of {n} test recordings ({span(low, high)}, 95 % interval). "
        f"Denoise drops {percent(added, 0)} of added noise and {percent(own, 0)} of the recordings' own events. "
        f"{percent(empty, 0)} of the cells of the frames are 0."
    )
    return Piped(net, frames)


def draw_recording(run: Run, data: EventData, frames: Tensor, i: int, count: int) -> None:
    """ON and OFF events of recording ``i`` along time, and below them its frames ``(T, 2, 34, 34)``."""
    from tonic.transforms import Denoise

    events = data.recordings[i]
    kept = Denoise(FILTER_US)(events)
    known = set(kept.tolist())
    noise = events[[event not in known for event in events.tolist()]]
    edges = kept["t"][count - 1 :: count] / 1000  # where a frame is full
    starts = [0.0, *edges]
    end = events["t"][-1] / 1000
    first = frames[:12].int()

    fig = plots.plt.figure(figsize=(11, 6.4))
    grid = fig.add_gridspec(3, len(first), height_ratios=(1.5, 1.5, 1))
    upper = fig.add_subplot(grid[0, :])
    lower = fig.add_subplot(grid[1, :], sharex=upper, sharey=upper)
    rows = ((upper, "ON", True, plots.BLUE), (lower, "OFF", False, plots.RED))
    for ax, name, polarity, color in rows:
        gone = noise[noise["p"] == polarity]
        ax.plot(gone["t"] / 1000, gone["x"], "x", color="0.45", markersize=4, label="dropped")
        some = kept[kept["p"] == polarity]
        ax.plot(some["t"] / 1000, some["x"], ".", color=color, markersize=2.5, label="kept")
        for edge in edges:
            ax.axvline(edge, color="0.5", linewidth=0.8, linestyle="--")
        ax.axvspan(starts[-1], end, color="0.9", zorder=0, label="in no frame")
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1), markerscale=2)
        plots.label(ax, "", f"{name}: column x (pixels)")
    above = upper.get_xaxis_transform()  # x in ms, y in heights of the panel
    for k in range(len(first)):
        middle = (starts[k] + starts[k + 1]) / 2
        upper.text(middle, 1.02, str(k + 1), ha="center", fontsize=8, transform=above)
    above = lower.get_xaxis_transform()
    for k in range(3):
        turn = np.array([k, k + 1]) * SACCADE_US / 1000
        lower.plot(turn, [1.02, 1.02], "|-", color="0.3", transform=above, clip_on=False)
        text = f"saccade {k + 1}"
        lower.text(turn.mean(), 1.05, text, ha="center", fontsize=8, transform=above)
    upper.tick_params(labelbottom=False)
    upper.text(-0.01, 1.02, "frame", ha="right", fontsize=8, transform=upper.transAxes)
    lower.set_xlabel("time (ms); dashed: a frame is full")
    for k, frame in enumerate(first):
        ax = fig.add_subplot(grid[2, k])
        draw_frame(ax, frame)
        ax.set_title(f"frame {k + 1}", fontsize=8)
    colour_key(fig)
    digit = data.classes[int(data.y[i])]
    duration = np.ptp(events["t"]) / 1000
    in_frames = int(frames.sum())
    title = (
        f"A “{digit}” makes {len(events):,} events in {duration:.0f} ms; Denoise keeps {len(kept):,}, and "
        f"{len(frames)} frames hold {in_frames:,}"
    )
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "1_pipeline", look="three saccades; frames are short where events are many")


# ---------------------------------------------------------------- 2  unlike lengths


@torch.no_grad()
def potentials(net: Net, own: Tensor, length: int, masked: bool) -> Tensor:
    """Output potentials ``(T, 10)`` for one recording ``(T_b, 2, 34, 34)``, padded to ``length`` frames."""
    device = next(net.parameters()).device
    x = torch.zeros(length, 1, *own.shape[1:], device=device)  # (T, B = 1, 2, 34, 34)
    x[: len(own), 0] = own.to(device)
    _, mem_rec = net.run(currents(x), masked)
    return mem_rec[:, 0].cpu()


def answer(net: Net, own: Tensor, length: int, masked: bool) -> int:
    """The class whose potential is highest on average, for one recording padded to ``length`` frames."""
    return int(potentials(net, own, length, masked).mean(0).argmax())


def batches_by_length(
    lengths: Tensor, batch_size: int, generator: torch.Generator, at_once: int = 1
) -> list[Tensor]:
    """Batches in random order (``at_once`` = 1), or each of like lengths out of ``at_once`` random batches.

    To sort all recordings would pad least, but would make the same batches in every epoch.
    """
    order = torch.randperm(len(lengths), generator=generator)
    if at_once > 1:
        parts = []
        for some in order.split(at_once * batch_size):
            parts.append(some[lengths[some].argsort(stable=True)])
        order = torch.cat(parts)
    several = list(order.split(batch_size))
    shuffled = torch.randperm(len(several), generator=generator).tolist()
    return [several[i] for i in shuffled]


def padding_share(lengths: Tensor, batches: list[Tensor]) -> float:
    """Share of all frames that are padding if each batch is as long as its longest recording."""
    total = sum(int(lengths[batch].max()) * len(batch) for batch in batches)
    return 1 - int(lengths.sum()) / total


def mean_padding(cfg: Config, lengths: Tensor, generator: torch.Generator, at_once: int) -> float:
    """``padding_share``, on average over the batches of ``SHUFFLES`` epochs."""
    shares = []
    for _ in range(SHUFFLES):
        batches = batches_by_length(lengths, cfg.batch_size, generator, at_once)
        shares.append(padding_share(lengths, batches))
    return float(np.mean(shares))


def draw_padding(ax: plots.Axes, mem: np.ndarray, own: int, digit: int) -> None:
    """Output potentials ``mem (T, 10)`` of a recording of ``own`` frames, padded to T frames.

    Of its own class and of the class that wins without a mask, dashed: the mean over all T steps;
    dotted: the mean over its own steps, as the mask takes it.
    """
    T = len(mem)
    steps = range(1, T + 1)
    means = mem.mean(0)
    winner = int(means.argmax())
    ax.plot(steps, mem, color="0.7", linewidth=1)
    ax.plot([], [], color="0.7", linewidth=1, label="other classes")
    marked = {
        winner: (plots.RED, "s", f"{winner}: wins without a mask"),
        digit: (plots.BLUE, "o", f"{digit}: its class"),
    }
    for k, (color, marker, name) in marked.items():
        ax.plot(steps, mem[:, k], color=color, marker=marker, markersize=3, label=name)
        ax.axhline(float(means[k]), color=color, linestyle="--", linewidth=1)
        ax.axhline(float(mem[:own, k].mean()), color=color, linestyle=":", linewidth=1)
    ax.axvspan(own + 0.5, T + 0.5, color="0.9", zorder=0, label="padding")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    title = f"The shortest for testing, {own} frames: a “{digit}”, read as {winner} without a mask"
    plots.label(
        ax, "step (mean over all steps: dashed; over its own: dotted)", "output potential U", title
    )


@section
def section_lengths(cfg: Config, run: Run) -> None:
    """2  What may padding change, and what does it cost?

    You will learn to keep padding out of an answer.

    A recording of events has no length in frames of its own. All of N-MNIST take about 0.3 s, but
    the longer a digit's edges are, the more events it makes, and in section 1 every frame holds the
    same number of events. So one recording becomes a few frames and another one many.

    A batch is one tensor, so the shorter recordings are padded: empty frames are added behind their
    end. The network computes those, too. Without input, potentials decay, and neurons with a bias
    (batch norm gives one to each) go on firing. What the output does there has nothing to do with
    the digit. If the answer is the mean potential over *all* steps, the padding has a say in it, and
    a recording may be read in one way beside a long one and in another way alone.

    The remedy is the mask, `step_weights` above: the mean runs over the recording's own T_b steps,

        z_b = (U_b[1] + … + U_b[T_b]) / T_b                                               (2)

    In code, `step_weights` multiplies the potentials by T/T_b at the recording's own steps and by 0
    behind them; their mean over all T steps is then (2). A recording ends, for the mask, with its last
    frame that holds an event. The network of section 1, which was trained with the mask, now reads each
    test recording alone, and then padded to the length of the longest recording of all: without the
    mask, and with it. This is harsher than practice in two ways: most batches have a shorter longest
    recording than that, and a network that was trained without the mask may lose less without it (not
    tried here). With the mask no answer may change, since nothing behind the end can reach back in
    time: there the run only checks the code.

    Two things the mask does not mend. In training, batch norm takes mean and variance over all frames
    of a batch, padding included. And each padded frame is computed. Both shrink if recordings of like
    length share a batch: take eight batches at random, sort their recordings by length, and cut them up
    anew. That has a price, which is not measured here: a 1 makes fewer events than a 0, so such a batch
    holds more of one digit than a random batch.
    """
    run.predict(
        "changed_plain",
        "A recording is padded with empty frames, and its answer is the mean over all steps. What "
        "share of the answers differ from those without padding?",
        unit="%",
    )
    given: Piped = run.result_of(section_pipeline)
    data = run.data(recordings.nmnist)
    lengths = torch.tensor([len(frames) for frames in given.frames])
    longest = int(lengths.max())
    test = given.frames[data.n_train :]
    y = data.y[data.n_train :]
    net = given.net
    alone = torch.tensor([answer(net, frames, len(frames), masked=True) for frames in test])  # (N,)
    unmasked = torch.tensor([answer(net, frames, longest, masked=False) for frames in test])
    masked = torch.tensor([answer(net, frames, longest, masked=True) for frames in test])
    changed = (unmasked != alone).float().mean().item()
    changed_masked = (masked != alone).float().mean().item()
    lost, low, high = difference((alone == y).numpy(), (unmasked == y).numpy())

    generator = run.generator()
    random = mean_padding(cfg, lengths, generator, at_once=1)
    alike = mean_padding(cfg, lengths, generator, at_once=8)

    title = (
        f"Padding to {longest} frames changes {percent(changed, 0)} of the answers without a mask, "
        f"{percent(changed_masked, 0)} with it"
    )
    fig, (a, b) = plots.figure(1, 2, (12.5, 3.9), title, width_ratios=(1, 1.2))
    values, recordings_of = lengths.unique(return_counts=True)
    a.bar(values, recordings_of, color=plots.BLUE)
    title = f"All {len(lengths):,} recordings: {int(lengths.min())} to {longest} frames"
    plots.label(a, "frames of a recording", "recordings", title)
    i = int(lengths[data.n_train :].argmin())  # the shortest test recording
    mem = potentials(net, test[i], longest, masked=False)  # (T, 10)
    draw_padding(b, mem.numpy(), len(test[i]), int(y[i]))
    run.figure(fig, "2_lengths", look="what the potentials do where the recording has ended")

    n = len(test)
    run.claim("changed_plain", "answers that padding changes", changed, n=n, real=True)
    run.claim("changed_masked", "the same with the mask", changed_masked, n=n, real=True)
    run.claim("padding_random", "padding in random batches", random, n=len(lengths), real=True)
    run.claim(
        "padding_alike", "padding in batches of like length", alike, n=len(lengths), real=True
    )
    run.finding(
        f"Padded to {longest} frames and without the mask, {percent(changed, 0)} of {n} answers change, and "
        f"this network, trained with the mask, reads {lost:.0f} points less ({low:.0f} to {high:.0f}, 95 % "
        f"interval); with the mask {percent(changed_masked, 0)} change. In batches of like length, "
        f"{percent(alike, 0)} of all frames are padding instead of {percent(random, 0)}."
    )


# ---------------------------------------------------------------- 3  binning


def events_to_currents(x: Tensor, pool: int) -> Tensor:
    """Frames as ``fit`` gives them ``(B, T, 2, H, W)`` → currents ``(T, B, 2, h, w)``.

    ``fit`` divides all bytes by 255, as lesson 09 does with pictures; times 255 they are counts again.
    """
    return currents(255 * x, pool).transpose(0, 1)


@dataclass
class Variant:
    """One side of a comparison: what the network is shown, and how its training is varied."""

    name: str
    data: EventData
    x: Tensor  # frames (N, T, 2, H, W), uint8
    show: Show
    change: Callable[..., Tensor] = move  # small random changes to training recordings


@dataclass
class Trained:
    """A network, and its accuracy on validation recordings."""

    net: Net
    val: float


def train_one(
    cfg: Config,
    run: Run,
    variant: Variant,
    parts: Parts,
    seed: int,
    epochs: int,
    lr: float,
    first: Weights,
) -> Trained:
    """Train on ``parts[0]`` of the variant's recordings; ``parts[1]``, validation, is only looked at.

    ``parts[2]``, the test part, is not. ``first``: weights to start from; empty: fresh.
    """
    train, aside, test = parts
    data = variant.data
    x = variant.x
    assert_disjoint(data.hashes, torch.cat([train, aside]).tolist(), test.tolist())
    net = make_net(cfg, data, seed)
    if first:
        net.load_state_dict(first)
    tensors = [x[train], data.y[train], x[aside], data.y[aside], x[test], data.y[test]]
    history = fit(
        net,
        ImageData(data.name, data.stand_in, data.classes, *tensors),
        variant.show,
        run=run,
        epochs=epochs,
        lr=lr,
        batch_size=cfg.batch_size,
        augment=partial(variant.change, shift=cfg.shift),
        name=f"{variant.name}_{lr:g}_{seed}".replace(" ", "_"),
        resume=cfg.resume,
        seed=seed,
        quiet=True,
        last=True,  # a tenth of the recordings is too few to choose the epoch by
    )
    return Trained(net, history[-1]["val"])


@torch.no_grad()
def read(net: Net, x: Tensor, show: Show) -> Tensor:
    """Classes ``(N,)`` that the network finds in frames ``x (N, T, 2, H, W)``."""
    net.eval()
    device = next(net.parameters()).device
    out = []
    for some in x.split(200):
        _, mem_rec = net.run(show(some.to(device).float() / 255))
        out.append(mem_rec.mean(0).argmax(1).cpu())
    return torch.cat(out)


@dataclass
class Crossed:
    """What a cross-validation gives: each recording is answered once, by a net that never saw it."""

    right: np.ndarray  # (N,), True or False
    trained: list[Trained]  # one a fold

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


def fold_parts(cfg: Config, data: EventData) -> list[Parts]:
    """Training, validation and test recordings of each fold."""
    fold = five_folds(data.y, cfg.folds, cfg.seed)
    parts = []
    for k in range(cfg.folds):
        others = (fold != k).nonzero()[:, 0]
        train, val = inner_split(others, cfg.seed + k)  # a tenth is set aside, for section 5
        parts.append((train, val, (fold == k).nonzero()[:, 0]))
    return parts


def cross_validate(cfg: Config, run: Run, variant: Variant) -> Crossed:
    """Train one network a fold on the other folds, from fresh weights; read the fold with it."""
    y = variant.data.y
    right = np.zeros(len(y), bool)
    trained = []
    parts = fold_parts(cfg, variant.data)
    for k, part in enumerate(live(parts, f"   {variant.name}", cfg.folds)):
        one = train_one(cfg, run, variant, part, cfg.seed + k, cfg.epochs, cfg.lr, {})
        test = part[2]
        found = read(one.net, variant.x[test], variant.show) == y[test]
        right[test.numpy()] = found.numpy()
        trained.append(one)
    run.print(f"   {variant.name}: {percent(right.mean())} of {len(y):,} held-out recordings")
    return Crossed(right, trained)


RULES = ("time window", "time bins", "event count")
OF_SIX = 1 - 0.05 / 6  # level of an interval that is one of six


def binnings(data: EventData, num_steps: int) -> dict[str, Callable]:
    """Tonic's transform for each of ``RULES``, all with ``num_steps`` bins on average."""
    from tonic.transforms import ToFrame

    count = round(np.mean([len(events) for events in data.recordings]) / num_steps)
    window = np.mean([np.ptp(events["t"]) for events in data.recordings]) / num_steps
    to_frame = partial(ToFrame, data.sensor_size)
    return {
        "time window": to_frame(time_window=int(window)),
        "time bins": to_frame(n_time_bins=num_steps),
        "event count": to_frame(event_count=count),
    }


AS_RECORDED = "as recorded"


def ways_to_play(data: EventData) -> dict[str, Played]:
    """How section 3 plays the recordings."""
    play = partial(Played, border_noise(data), data.sensor_size[0])
    return {AS_RECORDED: play(), "half speed": play(slower=2), "pause": play(pause_us=200_000)}


def read_again(cfg: Config, crossed: Crossed, variant: Variant) -> np.ndarray:
    """Which recordings the networks of a cross-validation read in the variant's frames ``(N,)``.

    Each recording is again read by the network that never saw it, as it is or otherwise.
    """
    y = variant.data.y
    right = np.zeros(len(y), bool)
    for part, one in zip(fold_parts(cfg, variant.data), crossed.trained, strict=True):
        test = part[2]
        found = read(one.net, variant.x[test], variant.show) == y[test]
        right[test.numpy()] = found.numpy()
    return right


@dataclass
class Binned:
    """What section 3 leaves for sections 4 and 5: frames and answers with time bins."""

    frames: Frames
    crossed: Crossed


@section
def section_binning(cfg: Config, run: Run) -> Binned:
    """3  Which way of binning, and when does it matter?

    You will learn three rules that say where a bin ends, and which of them depends on the clock. Δ is a
    time, n a number of events, t_1 and t_N are the times of the first and the last event:

        time window   bin k holds  t_1 + k·Δ ≤ t_i < t_1 + (k+1)·Δ    Δ for all; the number of bins varies
        time bins     the same with  Δ = (t_N − t_1) / T              T bins for all; Δ varies          (3)
        event count   bin k holds the events  k·n < i ≤ (k+1)·n       n for all; the number of bins varies

    Bins count from 0, events from 1. All three quantize time: of two events in one bin, a network cannot
    know which came first. And each of them loses events at the end:

    - Window and count drop the last bin, which is not full (include_incomplete=True keeps it). With a
      count, that is half a bin on average. With a window it depends on the length: our Δ is a tenth of
      the mean length, so a recording a little shorter than the mean loses nearly a whole bin.
    - With time bins the very last event, at t_N, lies in no bin of (3), and Tonic drops it. (Exercise
      11a puts it into the last bin.)

    Time bins need the end of the recording, so they cannot be used on a live camera. Counts give each
    frame equally many events, which is not equal evidence: while nothing moves, noise fills the frame.
    Only a window keeps the speed of a movement in the frames.

    T, Δ and n set the width of a bin. Finer bins keep more of the times, but frames get emptier and
    there are more steps to compute; in coarser bins moving edges blur. (The width is not varied here.)
    And frames may hold more than counts: a voxel grid shares each event between the two nearest bins, a
    time surface holds for each pixel how long ago its last event was (Gallego et al. compare them).

    Δ and n are chosen so that all three make about T bins on average. Network, training and folds are
    the same; the learning rate was tuned for none of them. With a window or a count recordings are
    padded, and batch norm sees the padding. Unlike section 1 there is no Denoise, which is
    slow (whether it helps is not measured), training recordings are moved by a few pixels at random,
    and the learning rate falls over ten epochs.

    In sections 3 to 5 all 1,100 recordings are tested: they are dealt into five parts, and each part is
    read by a network that was trained on the other four (less a tenth, put aside to choose by in
    section 5). All 1,100 answers are pooled.

    Two variants of a network read the same recordings. Look at the n that only the first reads and the
    m that only the second does. If the two were equally good, each of these would be a fair coin.
    McNemar's p is the chance that fair coins fall at least as unevenly. Three pairs are three chances
    to be fooled, so we ask for a p below a third of 5 %. The same coins give the interval of a gain:
    Clopper and Pearson's for a coin, times its n + m throws. At 95 % it leaves out 0 just if p < 5 %.

    But all these recordings last 0.3 s and move alike. To see how the rules differ, we then change the
    clock of each recording and show it to the same networks, which are not trained again: at half
    speed, and with a pause of 0.2 s after the first saccade. T, n and the window's Δ keep their values.

    Stretching the clock adds no events, but a real camera's noise would go on. So we add noise for the
    added time, at random pixels, at the rate and with the share of ON events of the outermost pixels,
    which no digit reaches. This is a model: a real recording at half speed may differ in more than its
    noise. Frames get thinner, the steps of a pause count in the mean, and potentials leak in it. What
    each of this costs is not taken apart. There are six such changes, so each gets a sixth of the 5 %:
    it is called shown if its 99.2 % interval leaves out 0.
    """
    run.predict(
        "window_slow",
        "A network has learnt from time windows of about 0.03 s. Now the recordings are played at half "
        "speed. What share of them will it read?",
        unit="%",
    )
    data = run.data(recordings.nmnist)
    folder = (run.dir if cfg.smoke else Path("data")) / "frames"
    ways = ways_to_play(data)
    made = {}  # frames, by rule and way of playing
    for rule, to_frame in binnings(data, cfg.num_steps).items():
        for way, played in ways.items():
            made[rule, way] = make_frames(data, [played, to_frame], folder)

    films = {f"{rule}\n{way}": frames[1] for (rule, way), frames in made.items()}  # of a “0”
    counts = sorted({len(film) for film in films.values()})
    title = (
        f"One recording by three rules, played in three ways: {counts[0]} to {counts[-1]} frames, with "
        "their numbers of events"
    )
    fig = show_frames(films, title, most=20, cell=0.55)
    look = "the pause: which two rules make frames of noise alone, and which hardly shows it?"
    run.figure(fig, "3_frames", look=look)

    show = partial(events_to_currents, pool=POOL)
    crossed = {}  # by rule
    right = {}  # by rule and way of playing
    for (rule, way), frames in made.items():
        variant = Variant(rule, data, frames.padded(), show)
        if way == AS_RECORDED:
            crossed[rule] = cross_validate(cfg, run, variant)
            right[rule, way] = crossed[rule].right
        else:
            right[rule, way] = read_again(cfg, crossed[rule], variant)

    recorded = {rule: variant.right for rule, variant in crossed.items()}
    p = min(mcnemar(a, b) for a, b in combinations(recorded.values(), 2))
    verdict = f"no two can be told apart (smallest p = {two_digits(p)})"
    if p < 0.05 / 3:
        verdict = f"they are not all equal (smallest p = {two_digits(p)})"
    moved = {}  # points from what was read as recorded, and the interval
    for rule, way in right:
        moved[rule, way] = difference(right[rule, way], recorded[rule], OF_SIX)
    costs = {rule: max(-moved[rule, way][0] for way in ways) for rule in RULES}
    *_, other, most = sorted(RULES, key=costs.get)
    title = f"Played otherwise, “{most}” loses up to {costs[most]:.1f} points; no other more than {costs[other]:.1f}"
    fig, (a, b) = plots.figure(1, 2, (12.5, 4.4), title, width_ratios=(1, 1.2))
    draw_accuracies(a, recorded)
    a.set_title("as recorded, 95 % intervals (Wilson)")
    pairs = {}
    for (rule, way), played in right.items():
        if way != AS_RECORDED:
            pairs[f"{rule}, {way}"] = (played, recorded[rule])
    draw_differences(b, pairs, OF_SIX)
    b.set_title(
        "played otherwise − as recorded, 99.2 % intervals\n(n are read only if played otherwise : m only as recorded)"
    )
    run.figure(fig, "3_accuracy", look="on the right: which rule does not mind how it is played?")

    n = len(data.y)
    facts = {"n": n, "seeds": 1, "real": True}
    moves = []
    for rule, variant in recorded.items():
        key = rule.split()[-1]  # window, bins, count
        run.claim(f"accuracy_{key}", f"{rule}, as recorded", variant.mean(), **facts)
        changes = []
        for way in ("half speed", "pause"):
            change, low, high = moved[rule, way]
            changes.append(signed(change) + (" (not shown)" if low <= 0 <= high else ""))
        moves.append(f"{rule} {' and '.join(changes)}")
    run.claim("p_binning", "smallest p of the three pairs", rounded(p), "", n=n, real=True)
    for key, way in (("window_slow", "half speed"), ("window_pause", "pause")):
        run.claim(key, f"time window, {way}", right["time window", way].mean(), **facts)
    run.finding(
        f"As recorded, the three rules read {percent(min(a.mean() for a in recorded.values()))} to "
        f"{percent(max(a.mean() for a in recorded.values()))} of {n:,} recordings; {verdict}. At half "
        f"speed and with a pause, the change in points is: {'; '.join(moves)}."
    )
    return Binned(made["time bins", AS_RECORDED], crossed["time bins"])


# ---------------------------------------------------------------- 4  time


def one_frame(x: Tensor, pool: int) -> Tensor:
    """All bins ``(B, T, 2, H, W)`` added up to one picture, which is shown at each of the T steps."""
    counts = 255 * x.sum(1)  # (B, 2, H, W)
    picture = currents(counts, pool)  # (B, 2, h, w)
    return hold(picture, x.shape[1])  # (T, B, 2, h, w)


def shuffled_frames(x: Tensor, pool: int) -> Tensor:
    """The frames of each recording in an order of its own, drawn anew each time."""
    order = torch.rand(x.shape[:2], device=x.device).argsort(1)  # (B, T)
    recording = torch.arange(len(x), device=x.device)[:, None]
    return events_to_currents(x[recording, order], pool)


@section
def section_time(cfg: Config, run: Run) -> None:
    """4  Does time matter?

    You will learn to ask whether a set of event recordings needs time at all.

    A recording made by an event camera need not be a recording whose *timing* carries the answer.
    Of DVS128 Gesture, a set of arm movements, it was found that networks which cannot tell the
    order of frames read most of it (Vicente-Sola et al. 2022, https://arxiv.org/abs/2209.14915).
    Take the time away and see what is left. Three variants get the same T time bins:

        in order     the T frames as they came
        shuffled     the same T frames, each recording's in a random order, in training and in the test
        one frame    their sum, shown T times: a picture, with as many steps to compute as the others

    There is one test: in order against one frame, on the pooled answers of the five folds, by McNemar's
    exact test at a level of 5 % (section 3). It asks what a practitioner asks: are ten frames worth
    their price, or would a picture do? It does not ask *why*. A sum loses the order, and it also lays
    views of the digit from different places over each other; its inputs are larger, too, at the same
    learning rate. Two more pairs describe this; they are no tests that were planned:

        in order − shuffled      the order is gone, but shuffled frames are also harder to learn: in
                                 each epoch they come in another order
        shuffled − one frame     views are kept apart, without an order

    A difference is called shown if its 95 % interval leaves out 0. All of this speaks of these
    networks, one training a fold; another seed gives other numbers.

    **Sounds, where time matters more than on a screen.** SHD (spoken digits in German and English, 20
    classes) and SSC (35 spoken words) are recordings of speech that went through a model of the inner
    ear with 700 channels, each for a range of frequencies (Cramer et al. 2022,
    https://arxiv.org/abs/1910.07407). Their authors found that the times of the events are needed for a
    good accuracy. An event says which channel fired (x), and when; there is no y, and p is always 1. So

        ToFrame(tonic.datasets.SHD.sensor_size, n_time_bins=T)       # sensor_size = (700, 1, 1)

    makes frames (T, 1, 700). Binning, cache, padding and mask stay as they are on this page. Denoise,
    Conv2d and pooling need neighbours in x and y, and a cochlea has no y: drop them, and take a linear
    layer or a Conv1d along the channels.
    """
    run.predict(
        "accuracy_one",
        "The network gets the sum of all frames, a picture without time. What share of the digits will "
        "it read?",
        unit="%",
    )
    data = run.data(recordings.nmnist)
    given: Binned = run.result_of(section_binning)
    x = given.frames.padded()
    T = x.shape[1]
    ordered = given.crossed.right
    variant = Variant("shuffled", data, x, partial(shuffled_frames, pool=POOL))
    shuffled = cross_validate(cfg, run, variant).right
    variant = Variant("one frame", data, x, partial(one_frame, pool=POOL))
    one = cross_validate(cfg, run, variant).right
    time = difference(ordered, one)

    seen, other = f"{T} frames in order", "their sum"
    if time[0] < 0:
        seen, other = f"the sum of {T} frames", "the frames in order"
    title = f"No difference is shown between {seen} and {other}"
    if mcnemar(ordered, one) < 0.05:
        title = f"Networks that see {seen} read more than networks that see {other}"
    fig, (a, b) = plots.figure(1, 2, (12, 3.4), title, width_ratios=(1, 1))
    draw_accuracies(a, {"in order": ordered, "shuffled": shuffled, "one frame": one})
    a.set_title("95 % intervals (Wilson)")
    pairs = {
        "in order −\none frame (test)": (ordered, one),
        "in order −\nshuffled": (ordered, shuffled),
        "shuffled −\none frame": (shuffled, one),
    }
    draw_differences(b, pairs)
    run.figure(fig, "4_time", look="on the right: which of the three intervals come near 0?")

    n = len(data.y)
    order = difference(ordered, shuffled)
    views = difference(shuffled, one)
    facts = {"n": n, "seeds": 1, "real": True}
    run.claim("accuracy_one", "one frame", one.mean(), **facts)
    run.claim("accuracy_shuffled", "shuffled", shuffled.mean(), **facts)
    run.claim("time", f"in order − one frame ({ends(time)})", time[0], "points", **facts)
    run.claim("order", f"in order − shuffled ({ends(order)})", order[0], "points", **facts)
    run.claim("views", f"shuffled − one frame ({ends(views)})", views[0], "points", **facts)
    run.finding(
        f"Frames in order against one frame: {shown(ordered, one)}. In order against shuffled: "
        f"{shown(ordered, shuffled)}, part of it perhaps because shuffled frames are harder to learn. "
        f"Shuffled against one frame: {shown(shuffled, one)}."
    )


# ---------------------------------------------------------------- 5  few recordings


def pictures_of_others(digits: ImageData, data: EventData, number: int) -> tuple[Tensor, Tensor]:
    """``number`` MNIST pictures ``(n, 1, 28, 28)`` and labels, of none of which there is a recording.

    Recording i of the training part shows training picture i of MNIST. Test pictures are not used.

    Raises:
        UserError: labels of recordings and pictures differ: their numbers do not belong together.
    """
    n = data.n_train
    end = n + number
    n_test = len(data.y) - n
    stand_in = digits.stand_in or data.stand_in
    if not stand_in and not torch.equal(digits.y_train[:n], data.y[:n]):
        raise UserError(
            "N-MNIST: got recordings whose labels are not those of MNIST's first pictures, expected "
            "the first by number; get the set anew"
        )
    pictures, labels = digits.x_train[n:end], digits.y_train[n:end]
    recorded = contents(digits.x_train[:n]) + contents(digits.x_test[:n_test])
    known = set(recorded)
    new = torch.tensor([content not in known for content in contents(pictures)])
    return pictures[new], labels[new]


def contents(pictures: Tensor) -> list[bytes]:
    """The pixels of each picture, to compare pictures by what is on them."""
    return [picture.numpy().tobytes() for picture in pictures]


FITTED = 400  # the path of the camera was found from so many recordings, the first
FINE_RATES = (1e-3, 3e-3)
AS_IT_IS = "not trained further"


def fine_tune(cfg: Config, run: Run, variant: Variant, first: Weights) -> tuple[Crossed, list[str]]:
    """From the weights ``first``, one network a fold; its validation part decides which way is taken.

    The ways: not trained any further, or with one of ``FINE_RATES``. Only the chosen network reads the
    test part. Returns what was chosen, too.
    """
    x, y = variant.x, variant.data.y
    right = np.zeros(len(y), bool)
    chosen = []
    names = []
    parts = fold_parts(cfg, variant.data)
    for k, part in enumerate(live(parts, f"   {variant.name}", cfg.folds)):
        _, val, test = part
        net = make_net(cfg, variant.data, cfg.seed).to(run.device)
        net.load_state_dict(first)
        found = read(net, x[val], variant.show) == y[val]
        ways = {AS_IT_IS: Trained(net, found.float().mean().item())}
        for lr in FINE_RATES:
            one = train_one(cfg, run, variant, part, cfg.seed + k, cfg.epochs, lr, first)
            ways[f"lr {lr:g}"] = one
        best = max(ways, key=lambda way: ways[way].val)
        taken = ways[best]
        right[test.numpy()] = (read(taken.net, x[test], variant.show) == y[test]).numpy()
        chosen.append(taken)
        names.append(best)
    return Crossed(right, chosen), names


@section
def section_pretraining(cfg: Config, run: Run) -> None:
    """5  What if there are only 1,100 recordings?

    You will learn to draw recordings of your own, and to judge fairly what they are worth.

    MNIST has 70,000 pictures, and only 1,100 of them are recorded here. But we know how an event
    camera works (lesson 04), so we can draw recordings of other pictures. Each pixel remembers the
    logarithm of its light, ln I; the picture is moved along the three saccades in 30 small steps; each
    time ln I has moved on by a threshold θ, the pixel sends an event and remembers the new value:

        n = ⌊|ln I − memory| / θ⌋ events, ON if ln I has risen, OFF if it has fallen;
        memory ← memory ± n·θ                                                                 (4)

    `saccade_frames` does this for all pixels and many pictures at once, with thresholds that differ
    from pixel to pixel and some noise events (it stands in eventcam/saccades.py). Its constants were
    taken from the recordings:

        path of the camera, 31 places    fitted to the first 400 recordings, the same for all digits
        θ and the noise                  set by hand, beside frames of the first few hundred
        polarity, numbers of events      seen on all 1,100: events are those of dark strokes on a light
                                         ground, though MNIST's strokes are light (we do not know why)

    So what drawings are worth is judged by the other 700 recordings, of which only the polarity and the
    numbers of events had been looked at. The figure shows what the 400 gain beside it: with drawings
    first, far more (21 : 2, the others 26 : 13). This is what leakage looks like: constants fitted to a
    recording know something of it. It is a hint and no proof, for without drawings the 400 are read
    worse, and have more to gain. But a gain over all 1,100 would promise too much, and none is given.

    The drawings of two recorded digits look right, and still differ from their recordings: where the
    camera hardly moves, in frames 4 and 7, they have two to five times the events, in frame 1 about
    twice as many, and in frame 2 slightly fewer. Far from the digit the camera's noise is nearly all
    ON, while half of the drawings' is OFF.

    The variants: recordings alone, as in section 3; and three in whose training frames are also turned
    and stretched a little, and up to 30 % of their cells are emptied: recordings alone, drawings alone,
    and drawings first, then recordings with a small learning rate (fine-tuning). The target, 95 % of
    the 700 with drawings first, is the course's own. The variants are not equal:

    - in effort: 20,000 drawings are seen three times, some 800 recordings ten times, and nothing shows
      that more passes over the recordings would not help;
    - in choice: the variant that begins with drawings picks, on validation recordings, the best of three
      ways to go on. The variant with recordings alone has one learning rate, which nobody tuned;
    - in seeds: one network learns from drawings, so the intervals speak of it, not of others like it.

    Beware of leakage: a test digit must not be among the drawings that the network learns from. All
    1,100 pictures that were recorded are left out, by number and by content. In each fold the
    validation part, some 88 recordings, decides how to go on from the drawings: at one of two learning
    rates, or not at all. Only the chosen network then reads the test part.
    """
    run.predict(
        "drawn_unfitted",
        "A network has seen drawn recordings only, never one of a camera. What share of real ones will it "
        "read?",
        unit="%",
    )
    data = run.data(recordings.nmnist)
    digits = run.data(mnist)
    given: Binned = run.result_of(section_binning)
    x = given.frames.padded()
    T = x.shape[1]
    generator = run.generator(1)
    pictures, labels = pictures_of_others(digits, data, cfg.pictures)
    run.print(f"   drawing {len(pictures):,} recordings and training on them")
    drawn = saccade_frames(pictures, T, generator)  # (n, T, 2, 34, 34)
    val, val_labels = digits.x_val[:1000], digits.y_val[:1000]
    drawn_val = saccade_frames(val, T, generator)

    show = partial(events_to_currents, pool=POOL)
    net = make_net(cfg, data, cfg.seed)
    parts = [drawn, labels, drawn_val, val_labels, drawn_val, val_labels]
    fit(
        net,
        ImageData("drawn recordings", data.stand_in, data.classes, *parts),
        show,
        run=run,
        epochs=cfg.picture_epochs,
        lr=cfg.lr,
        batch_size=2 * cfg.batch_size,
        augment=partial(turn_and_thin, shift=cfg.shift),
        name="drawn",
        resume=cfg.resume,
    )
    first = {name: tensor.detach().cpu().clone() for name, tensor in net.state_dict().items()}
    only_drawn = (read(net, x, show) == data.y).numpy()
    scratch = cross_validate(cfg, run, Variant("turned and thinned", data, x, show, turn_and_thin))
    variant = Variant("drawings first", data, x, show, turn_and_thin)
    tuned, ways = fine_tune(cfg, run, variant, first)

    # drawings of two recorded pictures: only to look at, nobody learns from them
    a, b = saccade_frames(digits.x_train[:2], T, generator)
    rows = {"recorded": x[0], "drawn": a, "recorded ": x[1], "drawn ": b}
    real = x[:2].float().flatten()
    copies = torch.cat([a, b]).float().flatten()
    exchanged = torch.cat([b, a]).float().flatten()
    _, own, other = torch.corrcoef(torch.stack([real, copies, exchanged]))[0]
    title = (
        f"Two recordings and their drawings: the counts of all cells correlate by {own:.2f};\n"
        f"with the drawing of the other digit, by {other:.2f} (both are of the {FITTED} that were fitted)"
    )
    fig = show_frames(rows, title)
    look = "numbers above: where have drawings more? Which colour has the noise?"
    run.figure(fig, "5_drawn", look=look)
    fresh = np.arange(len(data.y)) >= FITTED  # recordings that drawings were not fitted to
    if data.stand_in:
        fresh[:] = True
    fitted = ~fresh
    n, m = len(data.y), int(fresh.sum())
    variants = {
        "recordings (section 3)": given.crossed.right[fresh],
        "recordings, turned and thinned": scratch.right[fresh],
        "drawings": only_drawn[fresh],
        "drawings, then recordings": tuned.right[fresh],
    }
    alone, drawings, both = (percent(variant.mean()) for variant in list(variants.values())[1:])
    by_drawings = difference(only_drawn[fresh], scratch.right[fresh])
    by_both = difference(tuned.right[fresh], scratch.right[fresh])
    shown_drawings = shown(only_drawn[fresh], scratch.right[fresh])
    shown_both = shown(tuned.right[fresh], scratch.right[fresh])
    title = (
        f"{m:,} recordings that drawings were not fitted to. Drawings alone: {shown_drawings};\n"
        f"drawings, then recordings: {shown_both}"
    )
    fig, (a, b) = plots.figure(1, 2, (13, 4), title, width_ratios=(1, 1.1))
    draw_accuracies(a, variants)
    a.set_title(f"{m:,} recordings, 95 % intervals (Wilson)")
    pairs = {}
    for group, some in ((f"{m:,} not fitted", fresh), (f"{n - m:,} fitted", fitted)):
        pairs[f"drawings:\n{group}"] = (only_drawn[some], scratch.right[some])
        pairs[f"drawings, then recordings:\n{group}"] = (tuned.right[some], scratch.right[some])
    draw_differences(b, pairs)
    b.set_title(
        "Gain over recordings, turned and thinned\n(95 %; n read only with drawings : m only without)"
    )
    run.figure(fig, "5_accuracy", look="right: who gains more, the 400 fitted or the others?")

    accuracy = float(tuned.right[fresh].mean())
    run.checkpoint(tuned.trained[0].net)
    _, _, test = fold_parts(cfg, data)[0]
    frames = x[test].to(run.device).float()
    sample = show(frames / 255).contiguous()
    model = f"SNN, {len(cfg.channels)} convolutions {cfg.channels}"
    row = {"model": model, "data": data.name, "accuracy": accuracy, "n": m}
    run.ledger(**ledger_row(tuned.trained[0].net, sample, **row))
    low, high = wilson(only_drawn[fresh])
    on_fitted = difference(tuned.right[fitted], scratch.right[fitted])
    facts = {"n": m, "seeds": 1, "real": True}
    run.claim("drawn_unfitted", f"of {m:,}: drawings", only_drawn[fresh].mean(), **facts)
    run.claim("gain_unfitted", f"gain ({ends(by_drawings)})", by_drawings[0], "points", **facts)
    text = f"of {m:,}: drawings first"
    run.claim("accuracy", text, accuracy, "1", ">= 0.95", **facts)
    run.claim("first_gain_unfitted", f"gain ({ends(by_both)})", by_both[0], "points", **facts)
    facts["n"] = n - m
    text = f"{n - m:,} fitted: gain ({ends(on_fitted)})"
    run.claim("first_gain_fitted", text, on_fitted[0], "points", **facts)
    run.print(f"   after the drawings, by fold: {', '.join(ways)}")
    leak = ""
    if fitted.any() and on_fitted[0] > by_both[0]:
        leak = f" The {n - m:,} that were fitted gain {signed(on_fitted[0])}: a hint of leakage."
    run.finding(
        f"A network that learnt from {len(pictures):,} drawings and no recording reads {drawings} "
        f"({span(low, high, 1)}) of {m:,} recordings that drawings were not fitted to; recordings alone, "
        f"{alone}: {shown_drawings}. Drawings first, then recordings: {both}, {shown_both}.{leak}",
        main=True,
        claim="drawn_unfitted",
    )


# ---------------------------------------------------------------- 6  gestures


def without_polarity(show: Callable[..., Tensor], x: Tensor, pool: int) -> Tensor:
    """``show``, after ON and OFF events ``(B, T, 2, H, W)`` were added up: both channels get the whole sum."""
    both = x.sum(2, keepdim=True)
    return show(both.expand_as(x), pool=pool)


OTHER_SENSE = {3: 4, 4: 3, 5: 6, 6: 5}  # (counter-)clockwise: right arm 3 and 4, left arm 5 and 6


@dataclass
class Gestures:
    """Of one variant on the gestures: what its networks, one a seed, answered to the test clips."""

    answers: np.ndarray  # (seeds, n)
    y: np.ndarray  # (n,)

    def right(self) -> np.ndarray:
        """Of each clip, the share of networks that read it correctly ``(n,)``."""
        return (self.answers == self.y).mean(0)

    def sense(self) -> np.ndarray:
        """Of each clip: of the networks that name the correct arm, the share that name the correct sense.

        NaN for clips that are no circle, and where no network named the arm ``(n,)``.
        """
        share = np.full(len(self.y), np.nan)
        for i, label in enumerate(self.y.tolist()):
            if label not in OTHER_SENSE:
                continue
            answers = self.answers[:, i]
            correct = int((answers == label).sum())
            other = int((answers == OTHER_SENSE[label]).sum())
            if correct + other:
                share[i] = correct / (correct + other)
        return share

    def confusion(self, num_classes: int) -> np.ndarray:
        """Answers counted ``(K, K)``, summed over networks; rows: true class."""
        matrix = np.zeros((num_classes, num_classes))
        for answers in self.answers:
            np.add.at(matrix, (self.y, answers), 1)
        return matrix


def train_gestures(cfg: Config, run: Run, variant: Variant) -> Gestures:
    """Train on the official training part with each seed; read the test part."""
    data = variant.data
    test = torch.arange(data.n_train, len(data.y))
    answers = []
    seeds = range(cfg.seed, cfg.seed + cfg.seeds)
    for seed in live(seeds, f"   {variant.name}", cfg.seeds):
        train, val = inner_split(torch.arange(data.n_train), seed)
        one = train_one(cfg, run, variant, (train, val, test), seed, 3 * cfg.epochs, cfg.lr, {})
        answers.append(read(one.net, variant.x[test], variant.show).numpy())
    found = Gestures(np.stack(answers), data.y[test].numpy())
    run.print(f"   {variant.name}: {percent(found.right().mean())} of {len(test)} test clips")
    return found


def draw_gestures(ax: plots.Axes, variants: dict[str, Gestures]) -> None:
    """Of each variant: all gestures, and the sense of turning; 95 % intervals with clips as the unit."""
    for i, variant in enumerate(variants.values()):
        sense = variant.sense()
        sense = sense[~np.isnan(sense)]
        rows = ((i - 0.15, variant.right(), "s", plots.ORANGE), (i + 0.15, sense, "o", plots.BLUE))
        for y, share, marker, color in rows:
            if len(share):
                interval = 100 * np.array(wilson(share))
                ax.plot(interval, [y, y], color=color, linewidth=2)
                ax.plot(100 * share.mean(), y, marker, color=color)
                ax.text(interval[1] + 1, y, f"{100 * share.mean():.0f}", va="center", fontsize=8)
    ax.plot([], [], "s-", color=plots.ORANGE, label="gesture correct, of all clips")
    ax.plot([], [], "o-", color=plots.BLUE, label="sense correct, of circles whose arm is named")
    ax.axvline(50, color="0.5", linestyle="--", linewidth=1, label="chance")
    ax.set_yticks(range(len(variants)), [name.replace(", ", ",\n") for name in variants])
    ax.set_ylim(len(variants) - 0.5, -0.5)
    ax.set_xlim(0, 108)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)


SENSES = {  # short names of the variants, for their claims
    "ordered": "in order",
    "shuffled": "shuffled",
    "one": "one frame",
    "plain_ordered": "in order, no polarity",
    "plain_shuffled": "shuffled, no polarity",
}


def draw_clips(run: Run, data: EventData, x: Tensor) -> None:
    """The first clip of each circle of the right arm, frame by frame."""
    rows = {}
    for k in (3, 4):
        first = int((data.y == k).nonzero()[0])
        rows[data.classes[k]] = x[first]  # (T, 2, H, W)
    title = f"Two clips of {data.name}, with their numbers of events"
    look = "in one frame, which colour leads? From frame to frame, where does the arm go?"
    run.figure(show_frames(rows, title), "6_clips", look=look)


NO_CONTROL = " (no positive control)."


def what_suffices(told: list[str]) -> str:
    """What tells the sense of turning by itself, from the variants that read it above chance."""
    if "shuffled, no polarity" in told:
        return "It is read even without order and polarity: something else gives it away."
    order = "in order, no polarity" in told
    polarity = "shuffled" in told
    if order and polarity:
        return "Order and polarity are each enough by themselves."
    if polarity:
        return (
            "Polarity within a frame is enough. That order alone is enough is not shown"
            + NO_CONTROL
        )
    if order:
        return "Order alone is enough; that polarity within a frame is, too, is not shown."
    return "Neither order nor polarity is shown to be enough by itself" + NO_CONTROL


@section
def section_gestures(cfg: Config, run: Run) -> None:
    """6  And when the movement is the answer?

    You will learn to find out whether an answer lies in the order of frames or inside them. Here you
    can see whether the polarity inside frames is enough by itself. Whether their order is, you cannot: a
    variant known to read order, a positive control, is missing, so a failure of order shows nothing.

    **The clips are drawn.** Without --full, this section draws eleven movements with the names of
    DVS128 Gesture (Amir et al. 2017; a DVS, dynamic vision sensor, is an event camera), 64×64 pixels,
    and passes them through lesson 04's pixels. They stand in for the real set and are simpler than
    people are: the results speak of this network and of time, and not of DVS128 Gesture. `--full` trains
    on the real set, some 1,340 recordings of 29 people on 128×128 pixels, 23 people for training and 6
    others for the test. No such run is published here, so this lesson has no accuracy on it. Fang et al.
    2021 (https://arxiv.org/abs/2007.05785) report 96.5 % with 20 frames and learnt leaks, if the epoch is
    chosen on validation recordings (97.6 % if it is chosen on the test part).

    An arm that circles clockwise and an arm that circles the other way pass the same places. Added up,
    they leave the same picture, so one frame cannot tell them apart. Four of the eleven classes are such
    circles: right or left arm, clockwise (cw) or counter-clockwise (ccw). With ten frames, where can the
    sense of turning be read?

        in the order of the frames     the arm is up, then to the right, then down
        within a frame                 a light arm makes ON events where it goes, and OFF events where
                                       it has been, so a short frame shows which way it moves

    The first three variants of the comparison are those of section 4. Two more lose the polarity: ON and
    OFF events are added up before the network. Shuffled and without polarity, neither of the two is
    left: this is the control, which must stay at chance.

    Order means something else here than in section 4. All recordings of N-MNIST make the same three
    turns, so the place of a frame in the sequence says which way the camera moved. A clip begins
    anywhere on the circle, so only a change from one frame to the next can tell the sense. The network
    has no recurrent connections: all that it knows of the frames before is what has not yet leaked from
    its membranes. If order alone is not enough for it, that may be the network's fault, or that of 21
    to 22 clips a class (a tenth is put aside) and 30 epochs, or of frames in which the arm goes a long
    way. Lesson 13 gives networks the longer memory that a positive control would need.

    The test part has 12 clips of each circle, 48 in all, and each variant has three networks. They read
    the same 48 clips, so these are not 144 observations: of each clip we take the share of networks
    that get its sense, and the interval counts clips. We say that a variant reads the sense of turning if
    its whole 95 % interval lies above chance, 50 % (five intervals, without a correction for five).
    """
    run.predict(
        "sense_one",
        "All frames of a circling arm are added up to one picture. How often will the network get the "
        "sense of turning right?",
        unit="%",
    )
    if cfg.full:
        # 3.1 GB, looked for in --data-dir (or $SNN_DATA), as archives or unpacked, or else downloaded;
        # a download that was cut goes on where it stopped. Tonic's own `DVSGesture` asks an address that
        # answers with an empty file; the same files come through figshare's API.
        data = run.data(recordings.dvs_gesture)
    else:
        n_test = 11 * (cfg.per_class // 3)
        data = run.data(recordings.rendered_gestures, per_class=cfg.per_class, n_test=n_test)
    to_frame = binnings(data, cfg.num_steps)["time bins"]
    x = make_frames(data, [to_frame], Path("data") / "frames" if cfg.full else None).padded()
    shows = {
        "in order": events_to_currents,
        "shuffled": shuffled_frames,
        "one frame": one_frame,
        "in order, no polarity": partial(without_polarity, events_to_currents),
        "shuffled, no polarity": partial(without_polarity, shuffled_frames),
    }
    draw_clips(run, data, x)
    variants = {}
    for name, show in shows.items():
        shown_as = partial(show, pool=pool_of(data))
        variants[name] = train_gestures(cfg, run, Variant(f"gestures {name}", data, x, shown_as))

    K = len(data.classes)
    sense = {}  # of each circle whose arm was named
    share, said = {}, {}  # their mean, and in words
    told = []  # variants that read it above chance
    for name, variant in variants.items():
        of_clips = variant.sense()
        sense[name] = of_clips[~np.isnan(of_clips)]
        low, high = wilson(sense[name])
        share[name] = sense[name].mean() if len(sense[name]) else 0.0
        said[name] = f"{percent(share[name], 0)} ({span(low, high)})"
        if low > 0.5:
            told.append(name)
    title = f"{len(told)} of {len(variants)} variants read the sense of turning above chance"
    if told:
        title += f":\n{' and '.join(f'“{name}”' for name in told)}"
    fig, (a, b) = plots.figure(1, 2, (12, 5.2), title, width_ratios=(1.2, 1))
    draw_gestures(a, variants)
    title = "95 % intervals (clips are counted)"
    plots.label(a, "share that is correct (%)", "", title)
    plots.confusion(b, variants["in order, no polarity"].confusion(K), data.classes)
    b.set_title(f"In order, no polarity; {cfg.seeds} trainings added up")
    run.figure(fig, "6_gestures", look="the four circles in the matrix: what are they taken for?")

    n = len(data.y) - data.n_train
    key = "rendered"
    if cfg.full:
        key = "dvs"
    facts = {"n": n, "seeds": cfg.seeds, "real": cfg.full}
    target = ">= 0.93" if cfg.full else None
    right = variants["in order"].right().mean()
    run.claim(f"{key}_ordered", "in order, all gestures", right, "1", target, **facts)
    for short, name in SENSES.items():
        facts["n"] = len(sense[name])
        run.claim(f"sense_{short}", f"sense: {name}", share[name], **facts)
    run.finding(
        f"On {data.name}, the sense of turning is read above chance: "
        f"{'; '.join(f'{name} {said[name]}' for name in told) or 'by no variant'}. Order without polarity: "
        f"{percent(share['in order, no polarity'], 0)}; the control: {percent(share['shuffled, no polarity'], 0)}. "
        f"{what_suffices(told)}"
    )


def main(cfg: Config, run: Run) -> None:
    section_pipeline(cfg, run)
    section_lengths(cfg, run)
    section_binning(cfg, run)
    section_time(cfg, run)
    section_pretraining(cfg, run)
    section_gestures(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
