"""Lesson 00 — Environment test: what this machine can do, and three numbers about spikes

Question
    Which lessons can run here, on what? What is missing, and which line installs it? And what do
    spiking networks ask of a machine that other networks do not?

Idea
    The course uses two kinds of machine. A GPU (or a patient CPU) *trains*: the backward pass needs
    the floating-point state of every neuron, image and time step, so it wants memory and many
    multipliers. A neuromorphic chip, an NPU such as the AKD1000, *infers*: it runs the finished
    network forward, with a few bits a weight, and works only where a spike arrives. Lessons 16, 17
    and 19 build the bridge between the two.

    Three properties of spiking networks decide how fast and how large they can be:

        time      the potential U[t+1] needs U[t], so time steps wait for each other
        memory    every step is kept for the backward pass: bytes grow in proportion to T
        zeros     most entries of a spike tensor are 0

Read first
    Theory     Eshraghian et al. 2023, sections I and II, https://arxiv.org/abs/2109.12894
    Practice   the set-up part of README.md

Run
    uv run 00_environment_test.py --predict    asks what you expect, then measures it
    uv run 00_environment_test.py              about 15 seconds on two CPU cores
    uv run 00_environment_test.py --deep       imports every library, each in a process of its own:
                                               finds the broken ones; takes minutes

Builds on / leads to
    Needs nothing, and nothing but the core has to be there: whatever is missing or broken is named,
    and stops only the lessons that need it. Lesson 09 derives what the backward pass keeps, lesson
    12 compares devices in earnest, lesson 14 counts what zeros are worth.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

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
    for module in ("torch", "snntorch", "numpy", "psutil", "matplotlib.pyplot", "rich", "tyro")
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


def cure(*packages: str, again: bool = False) -> str:
    """The line that installs packages in the versions the course is tested with."""
    if any(package in ("akida", "cnn2snn", "quantizeml", "tensorflow") for package in packages):
        if sys.platform == "darwin":
            return "BrainChip has no packages for macOS: the Akida lessons say what they leave out"
        if sys.version_info >= (3, 13):
            return "akida has no packages for Python 3.13 yet: take 3.12"
    words = ["uv pip install"]
    if again:
        words.append("--reinstall")
    for package in packages:
        pin = pins().get(package)
        words.append(f"{package}=={pin}" if pin else package)
    return " ".join(words)


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
    sys.exit(say_core_is_broken(error))


@dataclass
class Config(LessonConfig):
    """num_steps is the length of the forward pass that is timed; memory: 1 to 5 fifths of it."""

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

# -------------------------------------------------------------------- looking at the parts
# Each check returns what it found in one line, or raises; `look_at_part` turns either into a verdict.


def tonic_ready() -> str:
    """Tonic brings the event data sets of lesson 11."""
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
    """NeuroBench counts the work of a network."""
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
        answer = env.step(0)
    finally:
        env.close()
    frame, reward = answer[0], answer[1]
    size = " × ".join(str(n) for n in frame.shape)
    return f"ALE/Pong-v5 made one step: frame {size}, reward {reward:g}"


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


@dataclass(frozen=True)
class Part:
    """One part of the course's tools: what it is for, how it stands, and what to do about it."""

    part: str
    lessons: str
    state: str
    """ready, simulator only, missing or broken"""
    remark: str
    install: str = ""
    """the line that mends it, if there is one"""


def look_at_part(
    part: str,
    lessons: str,
    check: Callable[[], str],
    states: dict[str, State],
    install: str = "",
) -> Part:
    """The verdict on a part: its libraries first, then its own check, which may raise anything.

    Args:
        states: what ``look_at`` found, by package, for the libraries of this part.
        install: what to do if the check misses a file.
    """
    missing = [package for package, s in states.items() if s.state == "missing"]
    broken = [package for package, s in states.items() if s.state == "broken"]
    if missing:
        return Part(part, lessons, "missing", f"no {', '.join(missing)}", cure(*missing))
    if broken:
        first = states[broken[0]]
        return Part(part, lessons, "broken", first.note, cure(*broken, again=True))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Part(part, lessons, "ready", check())
    except FileNotFoundError as e:
        return Part(part, lessons, "missing" if install else "broken", one_line(e), install)
    except Exception as e:
        return Part(part, lessons, "broken", one_line(e), cure(*states, again=True))


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


def images_ready() -> str:
    """Both libraries were imported already."""
    return "torchvision, and the stand-in digits of scikit-learn"


def converters_found() -> str:
    """They are slow to import: only looked up, unless --deep."""
    return "TensorFlow and BrainChip's converters; --deep imports them"


def gpu_part() -> Part:
    """The verdict on the GPU: a step of a neuron on it, not only its name."""
    gpus = [name for name in device_names() if name != "cpu"]
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
    state = "ready" if "MNIST" in found else "missing"
    remark = f"here: {here}; fetched when a lesson asks: {absent}"
    return Part("data sets", "02, 03, 05–20", state, remark)


# -------------------------------------------------------------------- the small network


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


def random_spikes(num_steps: int, batch_size: int, device: torch.device | str) -> Tensor:
    """Random input spikes ``(T, B, 100)``, each with probability 0.3."""
    return (torch.rand(num_steps, batch_size, 100) < 0.3).float().to(device)


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
    does not know its architecture. So one step of one neuron is computed on the device: U = 0.9·0 +
    1.5 lies above the threshold 1, and the answer has to be a spike.
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


@section
def section_parts(cfg: Config, run: Run) -> None:
    """2  Which parts of the course can run here?

    Between the lessons and the machine stands a tower of libraries, and any of them may be missing
    or broken while all others work. So each is looked at by itself. Only the *core* has to be whole:
    PyTorch, snnTorch, NumPy, Matplotlib and three small packages that every script prints with.

    A library that can be imported may still not work. So each part is tried: Pong makes one step, a
    network of one neuron is written as a NIR graph, and so on. Each part gets one verdict:

        ready             it works
        simulator only    Akida without a card: everything but power and the chip's own speed
        missing           the line below it installs it; only the lessons named need it
        broken            it is installed and fails; the line below it installs it again
    """
    run.predict(
        "parts_ready",
        "The course's tools have 11 parts: core, GPU, images, data sets, events, exchange, "
        "measurement, Akida, conversion, Pong, browser. How many of them are ready here?",
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
        look_at_part("conversion", "16, 19, Pong", converters_found, states["conversion"]),
        look_at_part("Pong", "capstone_pong", pong_step, states["Pong"]),
        look_at_part("browser", "capstone_gameworld", browser_ready, states["browser"], browser),
    ]
    run.print("\n   Verdict")
    for part in parts:
        mark = "✓" if part.state in ("ready", "simulator only") else "✗"
        run.print(f"   {mark} {part.part:<12} {part.state}  (for {part.lessons})")
        say = {"initial_indent": " " * 18, "subsequent_indent": " " * 18}
        run.print(textwrap.fill(part.remark, 80, break_on_hyphens=False, **say))
        if part.install:
            run.print(" " * 18 + f"→ {part.install}")  # in one line, to be copied
    run.extra["verdict"] = [asdict(part) for part in parts]
    ready = [part.part for part in parts if part.state == "ready"]
    others = [f"{part.part} ({part.state})" for part in parts if part.state != "ready"]
    run.claim("parts_ready", f"parts that are ready, of {len(parts)}", len(ready), "")
    run.claim("akida_devices", "Akida chips found", chips, "")
    run.finding(
        f"{len(ready)} of {len(parts)} parts are ready. Not ready: {', '.join(others) or 'none'}. "
        "The lines above say what to install, and which lessons need it."
    )


def core_ready() -> str:
    """This file could be read, so its imports have worked."""
    return "PyTorch, snnTorch, NumPy, Matplotlib"


LARGE = 100_000  # neurons (and inputs) of a network as large as lesson 10's
CARD = 24 * 2**30  # bytes of VRAM of the card this course was planned for, a Radeon RX 7900 XTX


def bytes_per_step(batch_size: int, num_inputs: int, num_neurons: int) -> int:
    """Equation (1) for one step: what the backward pass keeps of a Linear and its LIF neurons."""
    return batch_size * (num_inputs + num_neurons) * 4


@section
def section_memory(cfg: Config, run: Run) -> None:
    """3  Why is unrolling in time hungry for memory?

    A spiking network is a recurrent one: the same layer runs at every step. To train it, the loop is
    *unrolled*: T steps are treated as a network with T layers that share their weights. The backward
    pass goes through them in reverse, and at each step it asks two things: what came in (for the
    gradient of the weights), and where U was (for the slope at the threshold). So both have to be
    kept, for every step, image and neuron, from the forward pass until the backward pass is there:

        bytes(T) = T · B · (N_in + N) · 4  +  a constant                                        (1)

    with B images, N_in inputs, N neurons, and 4 bytes a float. The weights are in the constant: all
    steps share them. An image network without time needs this for T = 1. A spiking one needs it for
    T = 25, or 100, which is why VRAM is what a training runs out of first. Without a backward pass
    (torch.no_grad, inference, a chip) nothing of it is kept.

    PyTorch's autograd can be asked what it keeps. Five lengths are measured with 100 inputs → Linear
    → 100 LIF neurons, and a straight line is laid through them.
    """
    run.predict(
        "steps_fit",
        f"A network with {LARGE:,} inputs and as many neurons is trained with a batch of "
        f"{cfg.batch_size}. By (1), how many time steps fit into the memory that section 1 found?",
        unit="steps",
    )
    device = working_device(run)
    net = SmallNet().to(device)
    lengths = [max(1, cfg.num_steps // 5) * k for k in range(1, 6)]
    kept_bytes = []
    for num_steps in lengths:
        x = random_spikes(num_steps, cfg.batch_size, device)
        with saved_for_backward() as kept:
            spk_rec = net.run(x)  # as long as this lives, what backward needs is kept
            kept_bytes.append(kept())
        del spk_rec
    slope, start_bytes = np.polyfit(lengths, kept_bytes, 1)
    line = slope * np.array(lengths) + start_bytes
    r2 = 1 - np.var(kept_bytes - line) / np.var(kept_bytes)
    predicted = bytes_per_step(cfg.batch_size, 100, 100)
    size, kind = memory_of(device)
    large = bytes_per_step(cfg.batch_size, LARGE, LARGE)
    fit = int(size // large)

    title = f"Each time step keeps {slope / 1000:,.1f} kB more (batch of {cfg.batch_size})"
    fig, (ax, bx) = plots.figure(1, 2, (12, 4.2), title)
    ax.plot(lengths, np.array(kept_bytes) / 1e6, "o", color=plots.BLUE, label="measured")
    x = np.array([0, lengths[-1]])
    offset = kept_bytes[-1] - predicted * lengths[-1]
    ax.plot(x, (offset + predicted * x) / 1e6, "--", color=plots.RED, label="equation (1)")
    ax.set_ylim(bottom=0)
    ax.legend()
    plots.label(ax, "time steps T", "kept for backward (MB)", "100 inputs → 100 neurons, measured")
    steps = np.array([1, 10_000])
    for i, neurons in enumerate((100, 10_000, LARGE)):
        gib = steps * bytes_per_step(cfg.batch_size, neurons, neurons) / 2**30
        look = {"color": plots.COLOURS[i], "linestyle": plots.DASHES[i]}
        bx.plot(steps, gib, label=f"{neurons:,} neurons", **look)
    bx.axhline(CARD / 2**30, color=plots.BLACK, linestyle=":", label="VRAM of a 24 GiB card")
    if size:
        bx.axhline(size / 2**30, color="grey", linewidth=1, label=f"here: {size / 2**30:.1f} GiB")
    bx.set_xscale("log")
    bx.set_yscale("log")
    bx.legend(loc="upper left", fontsize=8, ncols=2)
    bx.set_ylim(top=3e5)
    plots.label(bx, "time steps T", "kept for backward (GiB)", "Larger networks, by equation (1)")
    run.figure(fig, "3_memory", look="that the points lie on a line; where lines meet the memory")

    run.claim("bytes_per_step", f"kept by each step, batch of {cfg.batch_size}", slope, "bytes")
    run.claim(
        "bytes_predicted", "that, over equation (1)", slope / predicted, "times", "0.99..1.01"
    )
    run.claim("bytes_r2", "R² of a straight line in T", r2, "", ">= 0.999")
    run.claim("steps_fit", f"{LARGE:,} neurons: steps that fit here", fit, "steps")
    run.claim("steps_fit_card", "and into 24 GiB of VRAM", CARD // large, "steps")
    run.finding(
        f"At a batch of {cfg.batch_size}, the backward pass keeps {slope:,.0f} bytes of 100 neurons "
        f"for every time step, {slope / predicted:.2f} times what equation (1) says. A network with "
        f"{LARGE:,} neurons takes a thousand times that, so that {fit:,} steps fit into the "
        f"{size / 2**30:.1f} GiB of this machine and {CARD // large:,} into a card with 24 GiB.",
        main=True,
        claim="bytes_per_step",
    )


@section
def section_time(cfg: Config, run: Run) -> None:
    """4  What does a larger batch cost, and does a GPU help?

    U[t+1] needs U[t], so T steps are T small pieces of work, one after another. No number of cores
    changes that. What a device can do at once is what stands side by side *within* a step: images
    and neurons. A step of one image is 100 × 100 multiplications, far less than the overhead of
    starting a piece of work from Python: some tens of microseconds, on a GPU as well (there each
    piece is called a *kernel*). So small networks with a batch of one are no faster on a GPU, often
    slower. It is a large batch and wide layers that fill it.

    The same loop is timed with 1, 8, 64 and 512 images, on every device of this machine. Where there
    is no GPU, our own benchmark may stand in (benchmarks/bench_unroll.py; 784–1000–10 neurons, 25
    steps, 128 images, forward and backward by snnTorch's loop): 112 ms on two cores of a server CPU,
    19 ms on an H100. A card with hundreds of times the arithmetic is six times as fast: the loop
    waits for itself.
    """
    run.predict(
        "batch_factor",
        f"One image takes some time for {cfg.num_steps} steps. How many times as long do 512 images "
        "take, at once, on the CPU?",
        unit="times",
    )
    batches = (1, 8, 64, 512)
    times: dict[str, list[float]] = {}
    for name in device_names():
        try:
            net = SmallNet().to(name)
            times[name] = []
            for batch_size in batches:
                x = random_spikes(cfg.num_steps, batch_size, name)
                with torch.no_grad():
                    median, _ = latency(partial(net.run, x), name, cfg.repeats)
                times[name].append(median)
        except Exception as e:  # too little memory, or a GPU that does not work
            run.print(f"   {name} left out: {one_line(e)}")
            times.pop(name, None)
    for name, ms in times.items():
        columns = ("images", "ms for all", "µs per image")
        rows = [(b, f"{t:.2f}", f"{1000 * t / b:,.0f}") for b, t in zip(batches, ms, strict=True)]
        run.table(f"{cfg.num_steps} steps on {name}", columns, rows)

    factor = times["cpu"][-1] / times["cpu"][0]
    title = f"512 images take {factor:.1f} times as long as one (CPU)"
    fig, (ax, bx) = plots.figure(1, 2, (11, 4), title)
    ideal = [times["cpu"][0] * b for b in batches]
    ax.plot(batches, ideal, color="0.6", linestyle=":", label="as many times as images")
    for i, (name, ms) in enumerate(times.items()):
        look = {"color": plots.COLOURS[i], "marker": plots.MARKERS[i], "label": name}
        ax.plot(batches, ms, **look)
        bx.plot(batches, [1000 * t / b for b, t in zip(batches, ms, strict=True)], **look)
    for panel, label in ((ax, "ms for all images"), (bx, "µs per image")):
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(batches, [str(b) for b in batches])
        panel.set_xlabel("images at once (batch size)")
        panel.set_ylabel(label)
    ax.legend(loc="upper left")
    bx.legend(loc="upper right")
    run.figure(fig, "4_time", look="how flat the left curve is; where the right one stops falling")

    for name, ms in times.items():
        run.claim(f"forward_ms_{name}", f"{cfg.num_steps} steps, one image, {name}", ms[0], "ms")
        more = ms[-1] / ms[0]
        run.claim(f"batch_factor_{name}", f"512 images / one, {name}", more, "times")
    run.outcome("batch_factor", f"{factor:.1f} times")
    fastest = min(times, key=lambda name: times[name][0])
    run.finding(
        f"On the CPU, 512 images take {factor:.1f} times as long as one, not 512 times: a step has an "
        f"overhead that images share, and steps have to wait for each other. With one image, "
        f"{fastest} is the fastest of {len(times)} device(s) here ({', '.join(times)})."
    )


@section
def section_zeros(cfg: Config, run: Run) -> None:
    """5  How many zeros does a spike tensor hold, and who profits?

    A neuron that fires in one step of ten has zeros in the other nine. A matrix product, W·S, does
    not ask: its cost is fixed by the shapes, and 0 is multiplied like any other number. Hardware
    that is driven by *events* works the other way round. A spike that arrives starts additions, one
    for each outgoing weight; where none arrives nothing happens, and nothing is paid.

    This is one reason for two machines. Training wants dense floating-point arithmetic, memory for
    every step, and room to change the program: a GPU. Inference of the finished network only goes
    forward, stands a few bits a weight, and can skip zeros: an NPU. The price is the bridge between
    the two: a network has to be quantised and mapped, and what the chip computes is not quite what
    was trained. This is called *heterogeneous computing*.

    The zeros are counted in the output spikes of the small network. Then one nn.Linear with 1,000
    inputs gets a tensor without zeros, and one with this share of zeros, and both are timed.
    """
    run.predict(
        "zeros",
        "What share of the small network's output is zeros, in per cent?",
        unit="%",
    )
    device = working_device(run)
    with torch.no_grad():
        x = random_spikes(cfg.num_steps, cfg.batch_size, device)
        spk_rec = SmallNet().to(device).run(x)  # (T, B, 100)
    zeros = (spk_rec == 0).float().mean().item()
    fc = nn.Linear(1000, 1000).to(device)
    full = torch.ones(256, 1000, device=device)
    sparse = (torch.rand(256, 1000) > zeros).float().to(device)
    with torch.no_grad():
        ms_full, _ = latency(partial(fc, full), device, cfg.repeats)
        ms_sparse, _ = latency(partial(fc, sparse), device, cfg.repeats)

    title = f"{100 * zeros:.1f} % of the spike tensor are zeros"
    fig, (ax, bx) = plots.figure(1, 2, (11, 3.8), title, width_ratios=(1.6, 1))
    plots.raster(ax, spk_rec[:, 0].cpu())
    plots.label(ax, "time step", "neuron", "the output spikes of one image")
    values = {"no zeros": ms_full, f"{100 * zeros:.0f} % zeros": ms_sparse}
    plots.bars(bx, values, fmt="{:.2f} ms")
    plots.label(bx, "time of one nn.Linear (ms)", "", f"a dense product, on {device.type}")
    run.figure(fig, "5_zeros", look="how much white there is, and what the product makes of it")

    run.claim("zeros", "zeros in the output spikes", zeros, "1", n=spk_rec.numel())
    run.claim("zeros_time", "time with these zeros / without", ms_sparse / ms_full, "times")
    run.finding(
        f"{100 * zeros:.1f} % of the output spikes are zeros, so an event-driven chip could leave out "
        f"{100 * zeros:.1f} % of the additions that follow. A dense product takes "
        f"{ms_sparse / ms_full:.2f} times as long with these zeros as without any."
    )


def main(cfg: Config, run: Run) -> None:
    section_machine(cfg, run)
    section_parts(cfg, run)
    section_memory(cfg, run)
    section_time(cfg, run)
    section_zeros(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
