"""Lesson 00 — Environment test: what this machine can do, and three numbers about spikes

Question
    Which lessons can run here, on what? What is missing, and which line installs it? And what do
    spiking networks ask of a machine that other networks do not?

Idea
    The course uses two kinds of machine. A GPU (or a patient CPU) *trains*. A neuromorphic chip, an
    NPU such as the AKD1000, *infers*: it runs the finished network forward.

    A spiking neuron, here the leaky integrate-and-fire neuron (LIF, lesson 01), keeps one number, its
    *potential* U. Input adds to it and it leaks;
    when it exceeds a threshold, here 1, the neuron *fires*: it gives out a 1, a *spike*, and U is
    lowered by the threshold. In all other steps it gives out a 0:

        U[t+1] = 0.9·U[t] + input − (1 if it fired at step t)

    Three things follow, and they decide how fast and how large a spiking network can be:

        time      U[t+1] needs U[t], so time steps wait for each other
        memory    every step is kept for the backward pass: bytes grow in proportion to T
        zeros     a neuron that fires rarely gives out mostly zeros

Read first
    Theory     Eshraghian et al. 2023, sections I and II, https://arxiv.org/abs/2109.12894
    Practice   the set-up part of README.md

Run
    uv run 00_environment_test.py --predict    asks what you expect, then measures it
    uv run 00_environment_test.py              about 25 seconds on two CPU cores
    uv run 00_environment_test.py --deep       imports every library, each in a process of its own:
                                               finds the broken ones; takes minutes

Builds on / leads to
    Needs nothing, and nothing but the core has to be there: whatever is missing or broken is named,
    and stops only the lessons that need it. Lesson 09 derives what the backward pass keeps, lesson
    12 compares devices in earnest, lesson 14 counts what zeros are worth.
"""

from __future__ import annotations

import platform
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from tutor.environment import (
    DATA_SETS,
    LIBRARIES,
    Part,
    State,
    browser_ready,
    cure,
    data_on_disk,
    images_ready,
    look_at,
    look_at_part,
    neurobench_ready,
    nir_ready,
    one_line,
    pins,
    pong_step,
    say_core_is_broken,
    tonic_ready,
)

# Up to here nothing but the standard library is used: this script has to speak when all else is missing.
try:
    from common import plots
    from common.akida import akida_status
    from common.device import describe, device_names, synchronize
    from common.lesson import LessonConfig, bounded, section, start
    from common.run import Run
    from multistep import saved_for_backward

    import numpy as np
    import psutil
    import snntorch as snn
    import torch
    import tyro  # noqa: F401  # every script reads its flags with it
    from torch import Tensor, nn
except Exception as error:  # an absent package raises ImportError, a damaged one whatever it likes
    if __name__ != "__main__":
        raise
    sys.exit(say_core_is_broken(error, (__doc__ or "").strip().split("\n")[0]))


@dataclass
class Config(LessonConfig):
    """num_steps is the longest run that is measured; four shorter ones are its fifths."""

    num_steps: int = bounded(50, 1, 100_000)
    """time steps of the longest run"""
    batch_size: int = bounded(128, 1, 10_000)
    """images at once in the measurements of memory and of zeros"""
    repeats: int = bounded(30, 1, 10_000)
    """forward passes timed for each device and batch size; the fastest counts"""
    deep: bool = False
    """import every library in a process of its own, TensorFlow too (minutes)"""


SMOKE = {"num_steps": 10, "repeats": 3}
FULL = {"num_steps": 200, "repeats": 200}


class SmallNet(nn.Module):
    """100 inputs → Linear → 100 LIF neurons: a layer of weights and a layer of leaky neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(100, 100)
        self.lif = snn.Leaky(beta=0.9)

    def run(self, x: Tensor) -> Tensor:
        """``x (T, B, 100)`` → spikes ``(T, B, 100)``, one time step after another."""
        mem = torch.zeros_like(x[0])  # U = 0 for each image and neuron
        spk_rec = []
        for x_t in x:  # (B, 100)
            spk, mem = self.lif(self.fc(x_t), mem)
            spk_rec.append(spk)
        return torch.stack(spk_rec)


def random_spikes(
    num_steps: int, batch_size: int, device: torch.device | str, p: float = 0.3
) -> Tensor:
    """Random input spikes ``(T, B, 100)``, each with probability ``p``."""
    return (torch.rand(num_steps, batch_size, 100) < p).float().to(device)


def leaky_step(device: torch.device) -> str:
    """One step of one neuron on the device itself: U = 0.9·0 + 1.5 is above 1 and has to spike."""
    lif = snn.Leaky(beta=0.9).to(device)
    cur = torch.full((1, 1), 1.5, device=device)
    spk, mem = lif(cur, torch.zeros(1, 1, device=device))
    if spk.item() != 1 or abs(mem.item() - 1.5) > 1e-6:
        got = f"spike {spk.item()} and U = {mem.item()}"
        raise RuntimeError(f"one step of snn.Leaky on {device} gave {got}, expected 1 and 1.5")
    return f"one step of snn.Leaky on {device}: U = {mem.item():.1f} > 1, one spike"


def working_device(run: Run) -> torch.device:
    """The run's device if a neuron works on it, else the CPU."""
    try:
        leaky_step(run.device)
        return run.device
    except Exception:  # a GPU that this build of PyTorch cannot use: the verdict says so
        return torch.device("cpu")


def memory_of(device: torch.device) -> tuple[float, str]:
    """Bytes that a training can use, and what they are: VRAM, or RAM where there is none."""
    try:
        if device.type == "cuda":
            properties = torch.cuda.get_device_properties(device)
            return properties.total_memory, f"VRAM of {properties.name}"
        return psutil.virtual_memory().total, "RAM"
    except Exception:
        return 0.0, "memory that cannot be read"


@section
def section_machine(cfg: Config, run: Run) -> None:
    """1  What is in this machine?

    Training needs a device, and that device needs memory. On a GPU this is *VRAM*, the memory on
    the card. It is fast and it is small, 8 to 24 GB in a PC, and what does not fit in it does not
    run. A CPU uses the ordinary RAM instead: usually more of it, slower, shared with everything
    else. ROCm is AMD's counterpart of NVIDIA's CUDA; PyTorch calls both of them "cuda".

    A driver may be there and the card still refuse to work, for example if this build of PyTorch
    does not know its architecture. So one step of one neuron is computed on the device: it starts at
    rest, U = 0, and gets an input of 1.5. Its new potential, 0.9·0 + 1.5, lies above 1, and the
    answer has to be a spike.
    """
    run.predict(
        "memory_gib",
        "How much memory has the device that will train here, in GiB: VRAM if there is a GPU, else RAM?",
        unit="GiB",
    )
    device = working_device(run)
    size, kind = memory_of(device)
    run.print(f"   host       {platform.system()} {platform.release()}, {platform.machine()}")
    run.print(f"   python     {platform.python_version()}")
    run.print(f"   pytorch    {torch.__version__}, snnTorch {snn.__version__}")
    run.print(f"   CUDA/ROCm Available: {torch.cuda.is_available()}")
    for name in device_names():
        try:
            run.print(f"   {name:<10} {describe(name)}")
        except Exception as e:
            run.print(f"   {name:<10} broken: {one_line(e)}")
    vram = f"none: no GPU in use, {size / 2**30:.1f} GiB of {kind} instead"
    if device.type == "cuda":
        vram = f"{size / 2**30:.1f} GiB"
    run.print(f"   VRAM       {vram}")
    try:
        run.print(f"   neuron     {leaky_step(run.device)}")
    except Exception as e:
        run.print(f"   neuron     broken on {run.device}: {one_line(e)}")
        run.print("              the measurements below use the CPU")
    besides = "" if device == run.device else f", and one on {run.device} does not"
    run.claim("memory_gib", f"memory for training: {kind}", size / 2**30, "GiB")
    run.finding(
        f"Trainings run here on {device.type}, with {size / 2**30:.1f} GiB of {kind}. A neuron "
        f"computed on {device.type} fires as it should{besides}."
    )


def akida_part() -> tuple[Part, str, int]:
    """The verdict on Akida, the version line, and the number of chips."""
    for_lessons = ("Akida", "12, 16, 19")
    try:
        status = akida_status()
    except Exception as e:  # a library of its own that does not load raises OSError
        part = Part(*for_lessons, "broken", one_line(e), cure("akida", again=True))
        return part, "Akida version: none", 0
    if status.state == "absent" and "not installed" in status.reason:
        part = Part(*for_lessons, "missing", "no akida", cure("akida"))
    elif status.state == "absent":
        remark = one_line(status.reason)
        part = Part(*for_lessons, "broken", remark, cure("akida", again=True))
    elif status.state == "hardware":
        part = Part(*for_lessons, "ready", one_line(status.reason))
    else:
        part = Part(*for_lessons, "simulator only", one_line(status.reason))
    version = f"Akida version: {status.version or 'none'}"
    return part, version, status.devices


def gpu_part() -> Part:
    """The verdict on the GPU: a step of a neuron on it, not only its name."""
    gpus = [name for name in device_names() if name != "cpu"]
    if not gpus and (torch.version.cuda or torch.version.hip):
        remark = "this PyTorch could use one, but finds none: no card, or no driver"
        return Part("GPU", "--full", "missing", f"{remark}; lessons use the CPU")
    if not gpus:
        how = "PyTorch's CUDA or ROCm build, see README.md; without one, lessons use the CPU"
        return Part("GPU", "--full", "missing", "no GPU that this PyTorch can use", how)
    try:
        leaky_step(torch.device(gpus[0]))
        return Part("GPU", "--full", "ready", describe(gpus[0]))
    except Exception as e:
        how = "another build of PyTorch, see README.md; until then add --device cpu"
        return Part("GPU", "--full", "broken", one_line(e), how)


def data_part(data_dir: Path | None) -> Part:
    """The verdict on the data sets: MNIST is the one that most lessons need."""
    try:
        found = data_on_disk(data_dir)
    except Exception as e:
        return Part("data sets", "02, 03, 05–20", "broken", one_line(e))
    here = ", ".join(f"{name} ({where})" for name, where in found.items()) or "none"
    absent = ", ".join(name for name in DATA_SETS if name not in found) or "none"
    state = "ready" if "MNIST" in found else "fetched when needed"
    remark = f"here: {here}; a lesson that needs one of the others fetches it: {absent}"
    return Part("data sets", "02, 03, 05–20", state, remark)


def core_ready() -> str:
    """A step of a neuron; all imports at the top of this file have worked, or it would not run."""
    return leaky_step(torch.device("cpu"))


def conversion_part(states: dict[str, State], deep: bool) -> Part:
    """TensorFlow and BrainChip's converters: slow to import, so only looked up, unless --deep."""
    tried = look_at_part("conversion", "16, 19, Pong", converters, states)
    if tried.state == "ready" and not deep:
        return Part(tried.part, tried.lessons, "found", "not tried: --deep imports them (minutes)")
    return tried


def converters() -> str:
    """What --deep has imported."""
    return "TensorFlow and BrainChip's converters were imported"


@section
def section_parts(cfg: Config, run: Run) -> None:
    """2  Which parts of the course can run here?

    Between the lessons and the machine stands a tower of libraries, and any of them may be missing
    or broken while all others work. So each is looked at by itself. Only the *core* has to be whole:
    PyTorch, snnTorch, NumPy, Matplotlib and three small packages that every script prints with.

    A library that can be imported may still not work. So wherever that takes no more than a second,
    a part is tried: Pong makes one step, Tonic makes frames of three events, a neuron is written as
    a NIR graph. Each part gets one verdict:

        ready                 it was tried and works
        found                 it is installed, and was not tried
        simulator only        Akida without a card: all but power and the chip's own speed
        fetched when needed   data sets that a lesson loads by itself; nothing to do
        missing, broken       a line marked →, if there is one, mends it; what is named needs it
    """
    run.predict(
        "parts_ready",
        "The course's tools come in 11 parts, from the core to a browser that plays games. How many of "
        "them are ready on this machine, by your guess?",
    )
    if cfg.deep:
        run.print("   each library is imported in a process of its own: this takes minutes")
    pinned = pins()
    states: dict[str, dict[str, State]] = {}  # part → package → state
    rows = []
    for library in LIBRARIES:
        state = look_at(library, cfg.deep)
        states.setdefault(library.part, {})[library.package] = state
        tested = pinned.get(library.package, "–")
        rows.append((library.package, state.version or "–", tested, state.state))
    run.table("Libraries", ("library", "here", "tested with", "state"), rows)

    akida, akida_version, chips = akida_part()
    run.print(f"   {akida_version}\n   {akida.remark}")
    browser = "uv run playwright install chromium"
    parts = [
        look_at_part("core", "every lesson", core_ready, states["core"]),
        gpu_part(),
        look_at_part("images", "02, 03, 05, 08–10", images_ready, states["images"]),
        data_part(cfg.data_dir),
        look_at_part("events", "04, 11", tonic_ready, states["events"]),
        look_at_part("exchange", "17", nir_ready, states["exchange"]),
        look_at_part("measurement", "09–20", neurobench_ready, states["measurement"]),
        akida,
        conversion_part(states["conversion"], cfg.deep),
        look_at_part("Pong", "capstone_pong", pong_step, states["Pong"]),
        look_at_part("browser", "capstone_gameworld", browser_ready, states["browser"], browser),
    ]
    run.print("\n   Verdict")
    for part in parts:
        mark = {"ready": "✓", "missing": "✗", "broken": "✗"}.get(part.state, "·")
        run.print(f"   {mark} {part.part:<12} {part.state}  (for {part.lessons})")
        say = {"initial_indent": " " * 18, "subsequent_indent": " " * 18}
        run.print(textwrap.fill(part.remark, 80, break_on_hyphens=False, **say))
        if part.install:
            run.print(" " * 18 + f"→ {part.install}")  # in one line, to be copied
    run.extra["verdict"] = [asdict(part) for part in parts]
    ready = [part.part for part in parts if part.state == "ready"]
    stopped = [part for part in parts if part.state in ("missing", "broken")]
    lacking = [f"{part.part} ({part.state}), for {part.lessons}" for part in stopped]
    limited = [
        f"{part.part} ({part.state})"
        for part in parts
        if part not in stopped and part.state != "ready"
    ]
    mends = [part for part in parts if part.install]
    run.claim("parts_ready", f"parts that are ready, of {len(parts)}", len(ready), "")
    run.claim("akida_devices", "Akida chips found", chips, "")
    run.finding(
        f"{len(ready)} of {len(parts)} parts are ready. Missing or broken: "
        f"{'; '.join(lacking) or 'none'}. All other lessons can run"
        f"{' (with ' + ', '.join(limited) + ')' if limited else ''}. "
        f"Lines marked → mend {len(mends)} of what is missing."
    )


CHANNELS = 100  # of a convolution, in and out
LARGE = CHANNELS * 32 * 32  # its inputs, and its neurons: one for each channel and pixel
KERNEL = CHANNELS * CHANNELS * 3 * 3 * 4  # bytes of its weights
CARD = 24 * 2**30  # bytes of VRAM of the card this course was planned for, a Radeon RX 7900 XTX


def bytes_per_step(batch_size: int, num_inputs: int, num_neurons: int) -> int:
    """Equation (1) for one step: what the backward pass keeps of a layer and its LIF neurons."""
    return batch_size * (num_inputs + num_neurons) * 4


@section
def section_memory(cfg: Config, run: Run) -> None:
    """3  Why is unrolling in time hungry for memory?

    A spiking network is a recurrent one: the same layer runs at every step. To train it, the loop is
    *unrolled*: T steps are treated as a network with T layers that share their weights. The backward
    pass goes through them in reverse, and at each step it asks two things: what came in, for the
    gradient of the weights, and where U was, for the gradient of the spike. (A step from 0 to 1 has
    no useful slope; a smooth one takes its place, lesson 07.) So both have to be kept, for every
    step, image and neuron, from the forward pass until the backward pass is there:

        bytes(T) = T · B · (N_in + N) · 4  +  a constant                                        (1)

    with B images, N_in inputs, N neurons, and 4 bytes a float. The weights are in the constant: all
    steps share them. An image network without time needs this for T = 1. A spiking one needs it for
    T = 25, or 100, which is why VRAM is what a training runs out of first. Without a backward pass
    (torch.no_grad, inference, a chip) nothing of it is kept.

    PyTorch can be asked. torch.autograd.graph.saved_tensors_hooks calls a function with each tensor
    that autograd saves; saved_for_backward adds up the bytes of those that it still holds when the
    forward pass is over. Five lengths are measured with 100 inputs → Linear → 100 LIF neurons. (1)
    counts what is saved; a training also holds the recorded spikes, gradients and working copies,
    up to as much again.
    """
    run.predict(
        "steps_fit",
        f"A convolution from {CHANNELS} to {CHANNELS} channels on 32 × 32 pixels has {LARGE:,} inputs "
        f"and as many neurons; its weights are small. It is trained with a batch of {cfg.batch_size}. "
        "By (1), how many time steps fit at most into the memory that section 1 found?",
        unit="steps",
    )
    device = working_device(run)
    net = SmallNet().to(device)
    lengths = [max(1, cfg.num_steps // 5) * k for k in range(1, 6)]
    kept = []
    for num_steps in lengths:
        x = random_spikes(num_steps, cfg.batch_size, device)
        with saved_for_backward() as bytes_held:
            spk_rec = net.run(x)  # as long as this lives, what backward needs is held
            kept.append(bytes_held())
        del spk_rec
    slope, start_bytes = np.polyfit(lengths, kept, 1)
    line = slope * np.array(lengths) + start_bytes
    r2 = 1 - np.var(kept - line) / np.var(kept)
    predicted = bytes_per_step(cfg.batch_size, 100, 100)
    size, _ = memory_of(device)
    large = bytes_per_step(cfg.batch_size, LARGE, LARGE)
    fit = int(max(0, size - KERNEL) // large)
    fit_card = (CARD - KERNEL) // large

    title = f"Each time step keeps {slope / 1000:,.1f} kB more (batch of {cfg.batch_size})"
    fig, (ax, bx) = plots.figure(1, 2, (12, 4.2), title)
    ax.plot(lengths, np.array(kept) / 1e6, "o", color=plots.BLUE, label="measured")
    x = np.array([0, lengths[-1]])
    ax.plot(x, (start_bytes + predicted * x) / 1e6, "--", color=plots.RED, label="equation (1)")
    ax.set_ylim(bottom=0)
    ax.legend()
    plots.label(ax, "time steps T", "kept for backward (MB)", "100 inputs → 100 neurons, measured")
    steps = np.array([0, 500])
    for i, channels in enumerate((CHANNELS // 4, CHANNELS // 2, CHANNELS)):
        neurons = channels * 32 * 32
        gb = steps * bytes_per_step(cfg.batch_size, neurons, neurons) / 1e9
        look = {"color": plots.COLOURS[i], "linestyle": plots.DASHES[i]}
        bx.plot(steps, gb, label=f"{channels} channels", **look)
    bx.axhline(CARD / 1e9, color=plots.BLACK, linewidth=1)
    bx.text(495, CARD / 1e9, "a card with 24 GiB of VRAM", ha="right", va="bottom", fontsize=9)
    bx.legend(loc="upper left")
    heading = "Convolutions on 32 × 32 pixels, by equation (1)"
    plots.label(bx, "time steps T", "kept for backward (GB)", heading)
    run.figure(fig, "3_memory", look="that the points lie on a line; where lines meet the card")

    run.claim("bytes_per_step", f"kept by each step, batch of {cfg.batch_size}", slope, "bytes")
    ratio = slope / predicted
    run.claim("bytes_predicted", "measured / equation (1)", ratio, "times", "0.99..1.01")
    run.claim("bytes_r2", "R² of a straight line in T", r2, "", ">= 0.999")
    run.claim("steps_fit", f"{CHANNELS} channels: steps that fit here", fit, "steps")
    run.claim("steps_fit_card", "steps that fit into 24 GiB of VRAM", fit_card, "steps")
    run.finding(
        f"At a batch of {cfg.batch_size}, the backward pass keeps {slope:,.0f} bytes of 100 inputs and "
        f"100 neurons for every time step, {ratio:.2f} times what equation (1) says. Of a convolution "
        f"with {LARGE:,} inputs and as many neurons, by (1) at most {fit:,} steps fit into the "
        f"{size / 2**30:.1f} GiB of this machine, and {fit_card:,} into a card with 24 GiB. A training holds "
        "more than is saved: count on half.",
        main=True,
        claim="bytes_per_step",
    )


@section
def section_time(cfg: Config, run: Run) -> None:
    """4  What do more steps cost, what do more images, and when does a GPU help?

    U[t+1] needs U[t], so T steps are T small pieces of work, one after another. No number of cores
    changes that. What a device can do at once is what stands side by side *within* a step: images
    and neurons. A step of one image is 100 × 100 multiplications, far less work than it takes to
    start the fifteen or so small operations of a step from Python: a product, the leak, the
    threshold, the reset, copies. On a GPU each of them starts a *kernel*, which costs as well. So do
    not expect a GPU to help a small network with a batch of one. It helps where a step has much to
    do: with large batches and wide layers.

    How to time a GPU is a matter of its own. It works in the background: a call returns when the
    work is queued, and the clock has to wait for its end (torch.cuda.synchronize). The first calls
    are slow and do not count. Of many passes the fastest counts here, since slower ones were
    disturbed; the median is the other usual choice (exercise 00b).

    Where there is no GPU, our own benchmark may stand in (benchmarks/bench_unroll.py; 784–1000–10
    neurons, 25 steps, 128 images, forward and backward by snnTorch's loop): 112 ms on two cores of a
    server CPU, 19 ms on an H100, a card with hundreds of times the arithmetic.
    """
    run.predict(
        "batch_factor",
        f"One image takes some time for {cfg.num_steps} steps. How many times as long do 512 images "
        "take, at once, on the CPU?",
        unit="times",
    )
    batches = (1, 8, 64, 512)
    lengths = [max(1, cfg.num_steps // 5) * k for k in range(1, 6)]
    by_batch: dict[str, list[float]] = {}  # ms of the longest run
    by_length: dict[str, list[float]] = {}  # ms of one image
    for name in device_names():
        try:
            net = SmallNet().to(name)
            by_length[name] = [forward_ms(net, cfg, t, 1, name) for t in lengths]
            more = [forward_ms(net, cfg, lengths[-1], b, name) for b in batches[1:]]
            by_batch[name] = [by_length[name][-1], *more]
        except Exception as e:  # too little memory, or a GPU that does not work
            run.print(f"   {name} left out: {one_line(e)}")
            by_batch.pop(name, None)
    for name, ms in by_batch.items():
        columns = ("images", "ms for all", "µs per image")
        rows = [(b, f"{t:.2f}", f"{1000 * t / b:,.0f}") for b, t in zip(batches, ms, strict=True)]
        run.table(f"{lengths[-1]} steps on {name}, fastest of {cfg.repeats}", columns, rows)

    factor = by_batch["cpu"][-1] / by_batch["cpu"][0]
    longer = by_length["cpu"][-1] / by_length["cpu"][0]
    title = f"On the CPU: 5 times the steps, {longer:.1f} times the time; 512 times the images, "
    fig, (ax, bx) = plots.figure(1, 2, (11, 4), f"{title}{factor:.1f} times")
    for i, name in enumerate(by_batch):
        look = {"color": plots.COLOURS[i], "marker": plots.MARKERS[i], "label": name}
        ax.plot(lengths, by_length[name], **look)
        bx.plot(batches, by_batch[name], **look)
    ideal = [by_batch["cpu"][0] * b for b in batches]
    bx.plot(batches, ideal, color="0.6", linestyle=":", label="in proportion")
    ax.set_ylim(bottom=0)
    ax.legend(loc="upper left")
    bx.set_xscale("log", base=2)
    bx.set_yscale("log")
    bx.set_xticks(batches, [str(b) for b in batches])
    bx.legend(loc="upper left")
    plots.label(ax, "time steps T", "ms", "one image: steps wait for each other")
    plots.label(
        bx, "images at once (batch size)", "ms", f"{lengths[-1]} steps: images share a step"
    )
    run.figure(
        fig, "4_time", look="how the left line climbs, and how far the right one is below it"
    )

    for name, ms in by_batch.items():
        run.claim(f"forward_ms_{name}", f"{lengths[-1]} steps, one image, {name}", ms[0], "ms")
        run.claim(f"batch_factor_{name}", f"512 images / one, {name}", ms[-1] / ms[0], "times")
    run.claim("longer_factor", "5 times the steps / one, cpu", longer, "times")
    run.outcome("batch_factor", f"{factor:.1f} times")
    beside = ""
    if len(by_batch) > 1:
        fastest = min(by_batch, key=lambda name: by_batch[name][0])
        most = min(by_batch, key=lambda name: by_batch[name][-1])
        beside = f" The fastest device here is {fastest} for one image and {most} for 512."
    each = [1000 * t / b for b, t in zip(batches, by_batch["cpu"], strict=True)]  # µs an image
    best = each.index(min(each))
    run.finding(
        f"On the CPU, five times the steps take {longer:.1f} times as long, and 512 images "
        f"{factor:.1f} times as long as one. Images share the cost of a step: one image alone takes "
        f"{each[0]:,.0f} µs, and {each[best]:,.0f} µs in a batch of {batches[best]}, the best of these "
        f"sizes.{beside}"
    )


def fastest_ms(work: Callable[[], object], device: torch.device | str, repeats: int) -> float:
    """The fastest of ``repeats`` calls in ms: whatever is slower was disturbed by something else."""
    for _ in range(5):  # the warm-up
        work()
    synchronize(device)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        synchronize(device)  # until a GPU has done what was queued
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


def forward_ms(net: SmallNet, cfg: Config, num_steps: int, batch_size: int, name: str) -> float:
    """How long a forward pass takes, in ms."""
    x = random_spikes(num_steps, batch_size, name)
    with torch.no_grad():
        return fastest_ms(partial(net.run, x), name, cfg.repeats)


@section
def section_zeros(cfg: Config, run: Run) -> None:
    """5  How many zeros does a spike tensor hold, and who profits?

    A neuron that fires in one step of ten gives out zeros in the other nine. A matrix product, W·S,
    does not ask: its cost is fixed by the shapes, and 0 is multiplied like any other number. Hardware
    that is driven by *events* works the other way round. A spike that arrives starts additions, one
    for each outgoing weight; where none arrives nothing happens, and nothing is paid.

    This is one reason for two machines. Training wants dense floating-point arithmetic, memory for
    every step, numbers fine enough for small updates of the weights, and room to change the program:
    a GPU. The finished network only goes forward, makes do with a few bits a weight, and can skip
    zeros: an NPU. Such a chip keeps neither past steps nor fine numbers, so it cannot train by
    backpropagation. Dividing the work so is called *heterogeneous computing*. Its price is the
    bridge between the two, lessons 16, 17 and 19: a network has to
    be quantised and mapped, and what the chip computes is not quite what was trained.

    How many zeros there are depends on the network and its input. Here it is the small network, not
    trained, with inputs that fire at random in 10, 30, 60 or 90 % of the steps. Then one nn.Linear
    with 1,000 inputs gets ones, then ones again, which shows how much the clock wobbles, then as many
    zeros as at 30 %; nine rounds of it.
    """
    run.predict(
        "zeros",
        "The inputs fire in 30 % of the steps. What share of the small network's output is zeros, in "
        "per cent?",
        unit="%",
    )
    device = working_device(run)
    net = SmallNet().to(device)
    probabilities = (0.1, 0.3, 0.6, 0.9)
    shares, shown = [], None
    for p in probabilities:
        with torch.no_grad():
            spk_rec = net.run(
                random_spikes(cfg.num_steps, cfg.batch_size, device, p)
            )  # (T, B, 100)
        shares.append((spk_rec == 0).float().mean().item())
        if p == 0.3:
            shown = spk_rec[:, 0].cpu()  # (T, 100), of the first image
    zeros = shares[1]
    fc = nn.Linear(1000, 1000).to(device)
    ones = torch.ones(256, 1000, device=device)
    sparse = (torch.rand(256, 1000) > zeros).float().to(device)
    again, with_zeros, ms = [], [], []  # a round each; the first two in relation to ones
    with torch.no_grad():
        for _ in range(9):
            times = [fastest_ms(partial(fc, x), device, 3) for x in (ones, ones, sparse)]
            again.append(times[1] / times[0])
            with_zeros.append(times[2] / times[0])
            ms.append(times)
    zeros_time = float(np.median(with_zeros))
    low, high = np.quantile(with_zeros, (0.25, 0.75))  # the middle half of the rounds
    again_low, again_high = np.quantile(again, (0.25, 0.75))
    profit = "no faster with zeros"
    if high < again_low:
        profit = "faster with zeros"
    elif max(again_high / again_low, high / low) > 1.2:
        profit = "too noisy here to tell"

    title = f"{100 * zeros:.1f} % zeros; a dense product with and without them: {profit}"
    rows = {"width_ratios": (1.5, 1, 1)}
    fig, (ax, bx, cx) = plots.figure(1, 3, (13, 3.8), title, **rows)
    plots.raster(ax, shown)
    plots.label(ax, "time step", "neuron", "output spikes of one image, inputs at 30 %")
    bx.plot([100 * p for p in probabilities], [100 * share for share in shares], "o-")
    bx.set_ylim(0, 103)
    plots.label(bx, "steps in which an input fires (%)", "zeros in the output (%)", "busier inputs")
    medians = np.median(ms, axis=0)
    names = ("ones", "ones, again", f"{100 * zeros:.0f} % zeros")
    plots.bars(cx, dict(zip(names, medians.tolist(), strict=True)), fmt="{:.2f}")
    plots.label(cx, "one nn.Linear (ms, median of 9)", "", f"a dense product, on {device.type}")
    run.figure(fig, "5_zeros", look="how much white there is, and what the product makes of it")

    run.claim("zeros", "zeros, inputs at 30 %", zeros, "1", n=spk_rec.numel())
    run.claim("zeros_busy", "zeros, inputs at 90 %", shares[-1], "1")
    run.claim("zeros_time", "time with zeros / with ones", zeros_time, "times", n=9)
    run.claim("ones_time", "time with ones / with ones", float(np.median(again)), "times", n=9)
    run.finding(
        f"Of this untrained network's output {100 * zeros:.1f} % are zeros if its inputs fire in 30 % "
        f"of the steps, and {100 * shares[-1]:.1f} % at 90 %. An event-driven chip could leave out as "
        f"many of the additions that follow. A dense product takes {low:.2f} to {high:.2f} times as long "
        f"with zeros as with ones, and {again_low:.2f} to {again_high:.2f} times with ones again "
        f"(the middle half of nine rounds): {profit}."
    )


def main(cfg: Config, run: Run) -> None:
    section_machine(cfg, run)
    section_parts(cfg, run)
    section_memory(cfg, run)
    section_time(cfg, run)
    section_zeros(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
