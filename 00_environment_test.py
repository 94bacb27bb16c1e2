"""Lesson 00 — Environment test: what this machine can do, and the first three numbers about spikes

Question
    Which lessons can run here, on what, and if some cannot, what has to be installed?

Idea
    The course uses two kinds of machine. A GPU (or a patient CPU) *trains*: backpropagation through time
    keeps every step's floating-point state, in many neurons and images at once. A neuromorphic chip such as
    the AKD1000 *infers*: a few bits a weight, and work only where a spike arrives. Between them stands a
    tower of libraries, and any of them may be absent or broken while all the others work. So every part is
    looked at by itself: what is missing names its cure and stops nothing but the lessons that need it. Only
    the core (PyTorch, snnTorch, Matplotlib and the three small packages every script prints and plots with)
    has to be whole.

    Then three measurements on the smallest spiking network, 100 inputs → Linear → 100 LIF neurons:

    1. Time.    U[t+1] needs U[t], so a forward pass of T steps is T small pieces of work one after another.
                Only neurons and images share a step. How much does a larger batch cost?
    2. Memory.  To differentiate later, autograd keeps each step's input and membrane:

                    bytes(T) = T · B · (N_in + N) · 4  +  a constant                                     (1)

                with B images, N neurons and 4 bytes a float: a straight line in T.
    3. Zeros.   Most of a spike tensor is zero. A matrix product multiplies by each of them all the same;
                hardware driven by events does nothing there.

Read first
    Theory:   Eshraghian et al. 2023, sections I and II, https://arxiv.org/abs/2109.12894
    Practice: the set-up part of the README

Run
    uv run 00_environment_test.py             about 15 s on two CPU cores, most of it imports
    uv run 00_environment_test.py --deep      imports every library, TensorFlow too, each in a process of its
                                              own: finds the broken ones, takes minutes
    uv run 00_environment_test.py --smoke     the same checks, shorter measurements

You should see
    A verdict a part: ready, simulator only, missing (with the command that installs it) or broken (with its error).
    512 images take about 10 times as long as one on a CPU, not 512 times (50 steps: 3.5 and 34 ms).
    Each step of 128 images keeps 102,400 bytes, exactly equation (1); R² of the line is 1.
    93.8 % of the spike tensor are zeros.

Builds on / leads to
    Needs nothing. 12 compares devices in earnest, 09 explains what (1) keeps and why, 14 counts what zeros are worth.

Predict: with --num-steps 200, which of the three measurements grow fourfold, and which does not change?
Next: uv run 01_lif_neuron.py
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# ------------------------------------------------------------------------------------ libraries
# Up to the guarded imports below only the standard library is used: this part has to work when nothing else does.


@dataclass(frozen=True)
class Library:
    """One library of the stack: the module a script imports, the package that brings it, and who needs it."""

    module: str
    package: str
    part: str
    slow: bool = False
    """its import takes many seconds: only looked up, unless --deep"""


CORE = tuple(
    Library(module, module.split(".")[0], "core")
    for module in ("torch", "snntorch", "numpy", "matplotlib.pyplot", "rich", "tyro")
)
LIBRARIES = (
    *CORE,
    Library("torchvision", "torchvision", "images"),
    Library("sklearn", "scikit-learn", "images"),
    Library("safetensors", "safetensors", "images"),
    Library("tonic", "tonic", "events"),
    Library("nir", "nir", "exchange"),
    Library("nirtorch", "nirtorch", "exchange"),
    Library("neurobench.benchmarks", "neurobench", "measurement"),
    Library("akida", "akida", "Akida"),
    Library("quantizeml", "quantizeml", "conversion", slow=True),
    Library("cnn2snn", "cnn2snn", "conversion", slow=True),
    Library("tensorflow", "tensorflow", "conversion", slow=True),
    Library("gymnasium", "gymnasium", "Pong"),
    Library("ale_py", "ale-py", "Pong"),
    Library("playwright.sync_api", "playwright", "browser"),
)


@dataclass(frozen=True)
class State:
    """What was found: ``state`` is found, not tried, missing or broken; ``note`` the error or the cure, in one line."""

    state: str
    version: str = ""
    note: str = ""


def one_line(error: object) -> str:
    """An error as one short line, without the folders of this machine."""
    text = " ".join(str(error).split())
    text = re.sub(r"(?<![\w/:.~])(?:[A-Za-z]:)?(?:[/\\][\w.+@~-]+)+[/\\](?=[\w.+-])", "", text)
    kind = f"{type(error).__name__}: " if isinstance(error, BaseException) else ""
    return (kind + text)[:200].rstrip(": ")


def pins() -> dict[str, str]:
    """The versions the course is tested with, from pyproject.toml; empty where that file is not there."""
    file = Path(__file__).with_name("pyproject.toml")
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return dict(re.findall(r'"([\w.-]+)==([\w.]+)', text))


def cure(package: str, again: bool = False) -> str:
    """The command that installs a package in the version the course is tested with."""
    if package in ("akida", "cnn2snn", "quantizeml", "tensorflow"):
        if sys.platform == "darwin":
            return "BrainChip has no packages for macOS: the Akida lessons say what they leave out"
        if sys.version_info >= (3, 13):
            return "akida has no packages for Python 3.13 yet: take 3.12"
    pin = pins().get(package)
    return f"uv pip install {'--reinstall ' if again else ''}{package}{f'=={pin}' if pin else ''}"


def look_at(library: Library, deep: bool = False) -> State:
    """Is a library there, in which version, and does it import? Never raises."""
    try:
        version = importlib.metadata.version(library.package)
    except Exception:  # not installed, or its metadata are damaged: the import decides
        version = ""
    if deep:
        return _import_apart(library, version)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what other people's packages say about each other
            if library.slow:
                there = importlib.util.find_spec(library.module) is not None
                return (
                    State("not tried", version, "--deep imports it") if there else _missing(library)
                )
            importlib.import_module(library.module)
    except Exception as e:
        top = library.module.split(".")[0]
        if isinstance(e, ModuleNotFoundError) and e.name == top:
            return _missing(library)
        return State("broken", version, one_line(e))
    return State("found", version)


def _missing(library: Library) -> State:
    return State("missing", "", cure(library.package))


def _import_apart(library: Library, version: str) -> State:
    """Import a library in a process of its own, so that even a crash of it is only a line here."""
    code = f"import {library.module}"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=300,
            cwd=Path(__file__).parent,
        )
    except subprocess.TimeoutExpired:
        return State("broken", version, "its import did not end within 300 s")
    if done.returncode == 0:
        return State("found", version)
    last = (done.stderr.strip().splitlines() or [""])[-1]
    if last.startswith("ModuleNotFoundError") and f"'{library.module.split('.')[0]}'" in last:
        return _missing(library)
    return State(
        "broken",
        version,
        one_line(last) or f"its import ended the process with code {done.returncode}",
    )


def say_core_is_broken(error: Exception) -> int:
    """Report the core alone: nothing else of the course can be imported. Returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    print((__doc__ or "").strip().split("\n")[0])
    print(f"python    {platform.python_version()} on {platform.platform()}")
    states = {library.package: look_at(library) for library in CORE}
    for package, s in states.items():
        print(f"{package:<10}{s.state:<8} {s.version} {s.note}".rstrip())
    bad = [package for package, s in states.items() if s.state != "found"]
    first, why = (bad[0], states[bad[0]]) if bad else ("", State("broken", "", one_line(error)))
    reason = "is not installed" if why.state == "missing" else f"is broken ({why.note})"
    remedy = cure(first, again=why.state == "broken") if first else "uv sync"
    print(
        f"error: core broken: {first or 'an import'} {reason}; no lesson can run before this works: {remedy}",
        file=sys.stderr,
    )
    return 1


try:
    from common import plots
    from common.akida import akida_status
    from common.cost import latency
    from common.data import search_path
    from common.device import describe, device_names
    from common.lesson import LessonConfig, bounded, start
    from common.run import Run
    from common.spiking import over_time, reset_state
    from multistep import saved_for_backward, unroll

    import numpy as np
    import psutil
    import snntorch as snn
    import torch
    import tyro  # noqa: F401  # every script reads its flags with it
    from matplotlib.figure import Figure
    from torch import nn
except Exception as error:  # an absent package raises ImportError, a damaged one whatever it likes
    if __name__ != "__main__":
        raise
    sys.exit(say_core_is_broken(error))


@dataclass
class Config(LessonConfig):
    """num_steps is the length of the forward pass that is timed; memory is measured at 1 to 5 fifths of it."""

    num_steps: int = bounded(50, 1, 100_000)
    """time steps of the small network"""
    batch_size: int = bounded(128, 1, 10_000)
    """images at once in the measurements of memory and of zeros"""
    repeats: int = bounded(30, 1, 10_000)
    """forward passes timed for each device and batch size; the median counts"""
    deep: bool = False
    """import every library in a process of its own, TensorFlow too (minutes)"""


SMOKE = {"num_steps": 10, "repeats": 3}
FULL = {"num_steps": 200, "repeats": 200}


# ------------------------------------------------------------------------------------ the network


class SmallNet(nn.Module):
    """100 inputs → Linear → 100 LIF neurons. ``forward`` is one time step, ``run`` a whole sequence."""

    def __init__(self, num_inputs: int = 100, num_neurons: int = 100, beta: float = 0.9) -> None:
        super().__init__()
        self.fc = nn.Linear(num_inputs, num_neurons)
        self.lif = snn.Leaky(beta=beta, init_hidden=True)

    def forward(self, x_t: torch.Tensor) -> torch.Tensor:
        """One step: ``(B, 100) → (B, 100)`` spikes."""
        return self.lif(self.fc(x_t))

    def run(self, x: torch.Tensor) -> torch.Tensor:
        """All steps: ``(T, B, 100) → (T, B, 100)`` spikes."""
        return unroll(self.lif, over_time(self.fc, x))[0]


def step_by_step(net: SmallNet, x: torch.Tensor) -> torch.Tensor:
    """The same as ``run``, one step after another as snnTorch's users write it: ``(T, B, 100) → (T, B, 100)``."""
    reset_state(net)
    return torch.stack([net(x_t) for x_t in x])


def random_spikes(num_steps: int, batch_size: int) -> torch.Tensor:
    """Random input spikes ``(T, B, 100)``, each with probability 0.3."""
    return (torch.rand(num_steps, batch_size, 100) < 0.3).float()


# ------------------------------------------------------------------------------------ the parts, one by one
# Each returns what it found in one line, or raises: `part` turns what is raised into a line as well.


def leaky_step(device: torch.device) -> str:
    """U = 0.9·0 + 1.5 > 1: one step of one neuron has to spike, on the device itself."""
    spk, mem = snn.Leaky(beta=0.9).to(device)(
        torch.full((1, 1), 1.5, device=device), torch.zeros(1, 1, device=device)
    )
    if spk.item() != 1 or abs(mem.item() - 1.5) > 1e-6:
        raise RuntimeError(
            f"one step of snn.Leaky on {device} gave spike {spk.item()} and U = {mem.item()}, "
            "expected 1 and 1.5"
        )
    return f"one step of snn.Leaky on {device}: U = {mem.item():.1f} > 1, one spike"


def tonic_ready() -> str:
    from tonic.datasets import DVSGesture

    return f"tonic.datasets.{DVSGesture.__name__} can be imported"


def nir_ready() -> str:
    """A graph of one LIF neuron, in memory."""
    import nir
    import nirtorch  # noqa: F401

    one = np.ones(1)
    graph = nir.NIRGraph.from_list(
        nir.Affine(np.ones((1, 1)), one), nir.LIF(tau=one, r=one, v_leak=0 * one, v_threshold=one)
    )
    return f"a NIR graph of {len(graph.nodes)} nodes"


def neurobench_ready() -> str:
    from neurobench.metrics.workload import SynapticOperations

    return f"neurobench counts {SynapticOperations.__name__}"


def pong_step() -> str:
    """Make ALE/Pong-v5 and take one step in it."""
    import ale_py
    import gymnasium

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # no banner
    gymnasium.register_envs(ale_py)
    env = gymnasium.make("ALE/Pong-v5")
    try:
        env.reset(seed=0)
        frame, reward, *_ = env.step(0)
    finally:
        env.close()
    return (
        f"ALE/Pong-v5 made one step: frame {' × '.join(map(str, frame.shape))}, reward {reward:g}"
    )


SYSTEM_CHROMIUM = Path("/usr/bin/chromium")  # Debian's and Raspberry Pi OS's


def browser_ready() -> str:
    """Playwright's own Chromium, or one that the system brought. Nothing is downloaded."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        own = Path(p.chromium.executable_path)
    if own.is_file():
        return "Playwright's own Chromium"
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    if SYSTEM_CHROMIUM.is_file() or any(shutil.which(name) for name in names):
        return "the system's Chromium (capstone_gameworld.py finds it by itself)"
    raise FileNotFoundError("no browser")


DATA_SETS = {  # name: patterns below a data folder, any of which counts
    "MNIST": ("MNIST/raw/train-images-idx3-ubyte*", "MNIST/train-images-idx3-ubyte*"),
    "Fashion-MNIST": ("FashionMNIST/raw/train-images-*", "FashionMNIST/train-images-*"),
    "CIFAR-10": ("cifar-10-*", "cifar10*", "CIFAR-10-images"),
    "N-MNIST": ("NMNIST", "nmnist*"),
    "DVS128 Gesture": ("DVSGesture",),
    "spoken digits": ("fsdd*", "free-spoken-digit-dataset*"),
}


def data_on_disk(data_dir: Path | None) -> dict[str, str]:
    """For each data set the folder it is in, named by how it was given: --data-dir, $SNN_DATA or data/."""
    found = {}
    for name, patterns in DATA_SETS.items():
        for root in search_path(data_dir):
            if any(next(root.glob(pattern), None) for pattern in patterns):
                given = {str(data_dir): "--data-dir", "data": "data/"}
                found[name] = given.get(str(root), "$SNN_DATA")
                break
    return found


def part(check: Any, *libraries: State, missing: str = "") -> tuple[str, str]:
    """State and remark of a part: its libraries first, then its own check, which may raise anything."""
    for state in libraries:
        if state.state in ("missing", "broken"):
            return state.state, state.note
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return "ready", check()
    except FileNotFoundError as e:
        return ("missing", missing) if missing else ("broken", one_line(e))
    except Exception as e:
        return "broken", one_line(e)


def akida_part() -> tuple[str, str, str, int]:
    """Akida's state for the verdict, the two lines to print about it, and the number of chips."""
    try:
        status = akida_status()
    except (
        Exception
    ) as e:  # a library of its own that does not load raises OSError, not ImportError
        return "broken", one_line(e), "Akida version: none", 0
    if status.state == "absent":
        state = "missing" if "not installed" in status.reason else "broken"
        remark = cure("akida") if state == "missing" else one_line(status.reason)
        return state, remark, "Akida version: none", 0
    state = "ready" if status.state == "hardware" else "simulator only"
    return state, one_line(status.reason), f"Akida version: {status.version}", status.devices


# ------------------------------------------------------------------------------------ measurements


def experiment_time(cfg: Config) -> dict[str, dict[int, float]]:
    """Median time in ms of a forward pass over num_steps, stepped, by device and batch size."""
    times: dict[str, dict[int, float]] = {}
    for name in device_names():
        net = SmallNet().to(name)
        for batch_size in (1, 8, 64, 512):
            x = random_spikes(cfg.num_steps, batch_size).to(name)
            with torch.no_grad():
                times.setdefault(name, {})[batch_size] = latency(
                    lambda x=x, net=net: step_by_step(net, x), name, cfg.repeats
                )[0]
    return times


def experiment_memory(cfg: Config, device: torch.device) -> dict[str, Any]:
    """Bytes that autograd keeps for backward at five lengths, and the straight line through them."""
    net = SmallNet().to(device)
    steps = [max(1, cfg.num_steps // 5) * k for k in range(1, 6)]
    kept_bytes = []
    for num_steps in steps:
        x = random_spikes(num_steps, cfg.batch_size).to(device)
        with saved_for_backward() as kept:
            spk_rec = step_by_step(net, x)  # kept alive until the bytes are counted
            kept_bytes.append(kept())
        del spk_rec
    slope, start_bytes = np.polyfit(steps, kept_bytes, 1)
    residual = np.asarray(kept_bytes) - (slope * np.asarray(steps) + start_bytes)
    return {
        "steps": steps,
        "bytes": kept_bytes,
        "slope": float(slope),
        "predicted": cfg.batch_size
        * (net.fc.in_features + net.fc.out_features)
        * 4,  # (1), for one step
        "r2": float(1 - residual.var() / np.var(kept_bytes)),
    }


@torch.no_grad()
def experiment_zeros(cfg: Config, device: torch.device) -> dict[str, Any]:
    """Share of zeros in the spikes of the small network, and the spikes of one image ``(T, 100)``."""
    spk_rec = (
        SmallNet().to(device).run(random_spikes(cfg.num_steps, cfg.batch_size).to(device))
    )  # (T, B, 100)
    return {
        "zeros": (spk_rec == 0).float().mean().item(),
        "spk": spk_rec[:, 0].cpu(),
        "n": spk_rec.numel(),
    }


def plot_measurements(
    times: dict[str, dict[int, float]], memory: dict[str, Any], zeros: dict[str, Any], cfg: Config
) -> Figure:
    first = next(iter(times))
    few, many = min(times[first]), max(times[first])
    factor = times[first][many] / times[first][few]
    fig, (a, b, c) = plots.figure(
        1,
        3,
        size=(13.5, 4),
        title=(
            f"Steps wait for each other, images do not: {many}× the images, {factor:.1f}× the time on {first}"
        ),
    )
    plots.curves(
        a, list(times[first]), {name: list(by_batch.values()) for name, by_batch in times.items()}
    )
    a.set_xscale("log")
    a.set_yscale("log")
    a.set_xticks(list(times[first]), [str(batch) for batch in times[first]])
    a.minorticks_off()
    low, high = (
        f(ms for by_batch in times.values() for ms in by_batch.values()) for f in (min, max)
    )
    ticks = [
        tick
        for power in range(-3, 6)
        for tick in (10.0**power, 2 * 10.0**power, 5 * 10.0**power)
        if low / 2.6 <= tick <= high * 2.6
    ]
    a.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    if len(times) == 1:
        a.legend([first])
    plots.label(
        a, "batch size", f"ms for {cfg.num_steps} steps (median)", "1  Time of a forward pass"
    )
    x = np.array([0, memory["steps"][-1]])
    b.plot(
        memory["steps"], np.asarray(memory["bytes"]) / 1e6, "o", color=plots.BLUE, label="measured"
    )
    offset = memory["bytes"][-1] - memory["predicted"] * memory["steps"][-1]
    b.plot(
        x,
        (offset + memory["predicted"] * x) / 1e6,
        "--",
        color=plots.RED,
        linewidth=1.2,
        label="equation (1): T·B·(N_in + N)·4 bytes",
    )
    b.set_ylim(bottom=0)
    b.legend()
    plots.label(
        b,
        "time steps T",
        f"MB kept for backward (batch of {cfg.batch_size})",
        f"2  Memory: {memory['slope'] / 1e3:,.1f} kB a step",
    )
    plots.raster(c, zeros["spk"])
    plots.label(
        c,
        "time step",
        "neuron",
        f"3  Spikes of one image: {100 * zeros['zeros']:.1f} % zeros in all",
    )
    return fig


# ------------------------------------------------------------------------------------ the lesson


def main(cfg: Config, run: Run) -> None:
    run.print("\n1  This machine")
    ram = psutil.virtual_memory().total
    run.print(
        f"host      {platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} cores"
        + (f", {ram / 2**30:.1f} GiB of memory" if ram else "")
    )
    run.print(
        f"python    {platform.python_version()}\npytorch   {torch.__version__}, snnTorch {snn.__version__}"
    )
    run.print(f"CUDA/ROCm Available: {torch.cuda.is_available()}")
    for name in device_names():
        run.print(f"{name:<10}{describe(name)}")
    try:
        run.print(f"core      {leaky_step(run.device)}")
    except Exception as e:  # a GPU whose driver or architecture this build of PyTorch does not know
        print(
            f"error: core broken on {run.device}: {one_line(e)}; try --device cpu", file=sys.stderr
        )
        sys.exit(1)

    run.print(
        "\n2  Libraries"
        + ("; each in a process of its own, this takes minutes" if cfg.deep else "")
    )
    pinned, states = pins(), {}
    for library in LIBRARIES:
        states[library.package] = look_at(library, cfg.deep)
    run.table(
        "Libraries",
        ("library", "part", "version", "tested with", "state", "remark"),
        [
            (package, lib.part, s.version or "–", pinned.get(package, "–"), s.state, s.note)
            for lib in LIBRARIES
            for package, s in ((lib.package, states[lib.package]),)
        ],
    )

    run.print("\n3  Parts")
    akida_state, akida_remark, akida_version, chips = akida_part()
    run.print(f"{akida_version}\n{akida_remark}")
    found = data_on_disk(cfg.data_dir)
    absent = [name for name in DATA_SETS if name not in found]
    gpu = next((name for name in device_names() if name != "cpu"), None)
    of = lambda name: [states[lib.package] for lib in LIBRARIES if lib.part == name]  # noqa: E731
    core_fault = next(
        (s for s in of("core") if s.state != "found"), None
    )  # only --deep can find one here
    verdict = [
        (
            "core",
            "every lesson",
            *(
                ("broken", core_fault.note)
                if core_fault
                else ("ready", "torch, snntorch, matplotlib")
            ),
        ),
        (
            "GPU",
            "--full",
            *(
                ("ready", describe(gpu))
                if gpu
                else (
                    "missing",
                    "lessons run on the CPU; for a GPU install PyTorch's CUDA or ROCm build "
                    "(README)",
                )
            ),
        ),
        (
            "images",
            "02, 05, 08–10",
            *part(lambda: "torchvision, and the stand-in digits of scikit-learn", *of("images")),
        ),
        (
            "data sets",
            "02, 05, 08–20",
            "ready" if "MNIST" in found else "missing",
            "; ".join(
                [
                    *(
                        ["here: " + ", ".join(f"{n} ({w})" for n, w in found.items())]
                        if found
                        else []
                    ),
                    *(["fetched when first needed: " + ", ".join(absent)] if absent else []),
                ]
            ),
        ),
        ("events", "04, 11", *part(tonic_ready, *of("events"))),
        ("exchange", "17", *part(nir_ready, *of("exchange"))),
        ("measurement", "09–20", *part(neurobench_ready, *of("measurement"))),
        ("Akida", "12, 16, 19", akida_state, akida_remark),
        (
            "conversion",
            "16, 19, capstone_pong",
            *part(
                lambda: (
                    "TensorFlow and converters "
                    + ("import" if cfg.deep else "found; --deep tries them")
                ),
                *of("conversion"),
            ),
        ),
        ("Pong", "capstone_pong", *part(pong_step, *of("Pong"))),
        (
            "browser",
            "capstone_gameworld",
            *part(browser_ready, *of("browser"), missing="uv run playwright install chromium"),
        ),
    ]

    run.print("\n4  Three measurements")
    times = experiment_time(cfg)
    run.table(
        f"Time of a forward pass of {cfg.num_steps} steps, 100 inputs → 100 LIF neurons",
        ("device", "batch size", "ms per pass", "µs per image"),
        [
            (name, b, ms, 1000 * ms / b)
            for name, by_batch in times.items()
            for b, ms in by_batch.items()
        ],
    )
    memory = experiment_memory(cfg, run.device)
    zeros = experiment_zeros(cfg, run.device)
    run.figure(plot_measurements(times, memory, zeros, cfg), "measurements")
    for name, by_batch in times.items():
        few, many = min(by_batch), max(by_batch)
        run.claim(
            f"forward_ms_{name}",
            f"forward pass, {cfg.num_steps} steps, one image, {name}",
            by_batch[few],
            "ms",
        )
        run.claim(
            f"batch_factor_{name}",
            f"time for {many} images over time for one, {name}",
            by_batch[many] / by_batch[few],
            "×",
        )
    run.claim(
        "bytes_per_step",
        f"kept for backward by each step, batch of {cfg.batch_size}",
        memory["slope"],
        "bytes",
    )
    run.claim(
        "bytes_predicted",
        "that over equation (1)",
        memory["slope"] / memory["predicted"],
        "ratio",
        "0.99..1.01",
    )
    run.claim(
        "bytes_r2",
        "straightness (R²) of bytes kept against num_steps",
        memory["r2"],
        "R²",
        ">= 0.999",
    )
    run.claim("zeros", "zeros in the spike tensor", zeros["zeros"], "1", n=zeros["n"])
    run.claim("akida_devices", "Akida chips found", chips, "")
    run.claim(
        "parts_ready",
        f"parts that are ready, of {len(verdict)}",
        sum(v[2] == "ready" for v in verdict),
        "",
    )

    run.print("\n5  Verdict")
    run.extra["verdict"] = [
        dict(zip(("part", "lessons", "state", "remark"), v, strict=True)) for v in verdict
    ]
    for name, lessons, state, remark in verdict:
        run.print(f"{name:<12}{state}: {remark}  (for {lessons})")
    if core_fault:
        run.finish()
        print(
            f"error: core broken: {core_fault.note}; {cure('torch', again=True)}", file=sys.stderr
        )
        sys.exit(1)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
