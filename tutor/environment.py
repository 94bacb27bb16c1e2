"""What lesson 00 looks at: the libraries of the course and what they can do, one by one.

It has to work where nothing else does. So it imports the standard library alone; whatever a check needs, it
imports itself, and what it raises becomes a verdict.
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
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


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
    file = ROOT / "pyproject.toml"
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
            cwd=ROOT,
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


def say_core_is_broken(error: Exception, title: str) -> int:
    """Report the core alone: nothing else of the course can be imported. Returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    print(title)
    print(f"python    {platform.python_version()} on {platform.platform()}")
    states = {library.package: look_at(library) for library in CORE}
    for package, s in states.items():
        print(f"{package:<12}{s.state:<8} {s.version} {s.note}".rstrip())
    bad = [package for package, s in states.items() if s.state != "found"]
    first, why = (bad[0], states[bad[0]]) if bad else ("", State("broken", "", one_line(error)))
    reason = "is not installed" if why.state == "missing" else f"is broken ({why.note})"
    remedy = cure(first, again=why.state == "broken") if first else "uv sync"
    print(
        f"error: core broken: {first or 'an import'} {reason}; no lesson can run before this works: {remedy}",
        file=sys.stderr,
    )
    return 1


# -------------------------------------------------------------------- the parts
# Each check returns what it found in one line, or raises; `look_at_part` turns either into a verdict.


def images_ready() -> str:
    """Resize one of scikit-learn's digits with torchvision."""
    import torch
    from sklearn.datasets import load_digits
    from torchvision.transforms.functional import resize

    digits = torch.as_tensor(load_digits().images[:, None])  # (1797, 1, 8, 8)
    size = " × ".join(str(n) for n in resize(digits[:1], [28, 28]).shape[2:])
    return f"torchvision made one of {len(digits):,} stand-in digits {size}"


def tonic_ready() -> str:
    """Turn three events into frames."""
    import numpy as np
    from tonic.datasets import DVSGesture
    from tonic.transforms import ToFrame

    columns = [("x", int), ("y", int), ("t", int), ("p", int)]
    events = np.array([(0, 1, 10, 1), (1, 0, 20, 0), (1, 1, 30, 1)], dtype=columns)
    frames = ToFrame(sensor_size=(2, 2, 2), n_time_bins=2)(events)
    return f"Tonic made {len(frames)} frames of 3 events; it has a loader for {DVSGesture.__name__}"


def nir_ready() -> str:
    """Write a network of one LIF neuron as a graph, in memory."""
    import nir
    import nirtorch  # noqa: F401
    import numpy as np

    one = np.ones(1)
    neuron = nir.LIF(tau=one, r=one, v_leak=0 * one, v_threshold=one)
    graph = nir.NIRGraph.from_list(nir.Affine(np.ones((1, 1)), one), neuron)
    return f"a neuron as a NIR graph of {len(graph.nodes)} nodes"


def neurobench_ready() -> str:
    """Count the zero weights of a network in which one of four is zero."""
    import torch
    from neurobench.metrics.static import ConnectionSparsity
    from neurobench.models import TorchModel

    layer = torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.weight[0, 0] = 0.0
    share = ConnectionSparsity()(TorchModel(torch.nn.Sequential(layer)))
    if share != 0.25:
        raise RuntimeError(
            f"NeuroBench counts {share} zeros among 4 weights with one, expected 0.25"
        )
    return "NeuroBench counted 1 zero among 4 weights"


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
    from common.data import search_path

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
    """ready, found, simulator only, fetched when needed, missing or broken"""
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
        remark = one_line(str(e)) if install else one_line(e)
        return Part(part, lessons, "missing" if install else "broken", remark, install)
    except Exception as e:
        return Part(part, lessons, "broken", one_line(e), cure(*states, again=True))
