"""Lesson 00 runs on a machine that lacks nearly everything: packages are hidden or broken in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common.io import UserError
from common.lesson import start
from common.run import Run
from tutor import environment as env

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from helpers import ROOT, load_script, run_section

m = load_script("00_environment_test")
TITLE = m.__doc__.split("\n")[0]

# Loaded by the child at start: modules named in HIDE are not there, those in BREAK raise while they load.
SABOTAGE = """
import importlib.abc, importlib.machinery, os, sys
HIDE, BREAK = os.environ.get("HIDE", "").split(), os.environ.get("BREAK", "").split()

class Saboteur(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HIDE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])
        if name in BREAK:
            return importlib.machinery.ModuleSpec(name, self)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        raise OSError("/opt/somewhere/lib/libdamaged.so.1: cannot open shared object file\\nsecond line")

sys.meta_path.insert(0, Saboteur())
"""
OPTIONAL = (
    "torchvision sklearn safetensors tonic nir nirtorch neurobench akida quantizeml cnn2snn tensorflow "
    "gymnasium ale_py playwright"
)


RUNS = {  # what is sabotaged; two run at a time
    "absent": {"HIDE": OPTIONAL},
    "broken": {"BREAK": OPTIONAL},
    "hide torch": {"HIDE": "torch"},
    "break torch": {"BREAK": "torch"},
    "hide snntorch": {"HIDE": "snntorch"},
}


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[subprocess.CompletedProcess[str], Path]]:
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(SABOTAGE, encoding="utf-8")
    clean = {k: v for k, v in os.environ.items() if k != "SNN_DATA"} | {
        "PYTHONPATH": str(site),
        "OMP_NUM_THREADS": "1",
    }

    def one(name: str) -> tuple[subprocess.CompletedProcess[str], Path]:
        folder = tmp_path_factory.mktemp("run")
        command = [sys.executable, str(ROOT / "00_environment_test.py"), "--smoke"]
        return subprocess.run(
            command,
            cwd=folder,
            env=clean | RUNS[name],
            text=True,
            capture_output=True,
            timeout=120,
            encoding="utf-8",
            check=False,
        ), folder

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(RUNS, pool.map(one, RUNS), strict=True))


def verdict(folder: Path) -> dict[str, dict[str, str]]:
    metrics = json.loads(
        (folder / "results/smoke/00_environment_test/metrics.json").read_text(encoding="utf-8")
    )
    return {v["part"]: v for v in metrics["verdict"]}


# ------------------------------------------------------------------ whole runs


OPTIONAL_PARTS = ("images", "events", "exchange", "measurement", "Akida", "Pong", "browser")


def test_everything_optional_is_absent(runs: dict) -> None:
    done, folder = runs["absent"]
    assert done.returncode == 0 and done.stderr == "", done.stderr[-2000:]
    found = verdict(folder)
    assert len(found) == 11 and found["core"]["state"] == "ready"
    no_wheels = sys.platform == "darwin" or sys.version_info >= (3, 13)
    for part in (*OPTIONAL_PARTS, "conversion"):
        assert found[part]["state"] == "missing", part
        assert "uv pip install" in found[part]["install"] or no_wheels
        assert found[part]["install"] in done.stdout, "it can be copied from the terminal"
    pins = m.pins()
    both = f"uv pip install nir=={pins['nir']} nirtorch=={pins['nirtorch']}"
    assert found["exchange"]["install"] == both, "one line for all that a part lacks"
    assert "CUDA/ROCm Available: " in done.stdout and "Akida version: none" in done.stdout
    assert "VRAM  " in done.stdout


def test_everything_optional_is_broken(runs: dict) -> None:
    done, folder = runs["broken"]
    assert done.returncode == 0 and done.stderr == "", done.stderr[-2000:]
    found = verdict(folder)
    said = "OSError: libdamaged.so.1: cannot open shared object file second line"
    for part in OPTIONAL_PARTS:
        assert found[part]["state"] == "broken", part
        assert found[part]["remark"] == said, part
        assert "--reinstall" in found[part]["install"] or sys.version_info >= (3, 13)
    assert "/opt/somewhere" not in done.stdout, "folders of the machine stay out of results"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("break torch", "core broken: torch is broken (OSError: libdamaged.so.1"),
        ("hide torch", "core broken: torch is not installed"),
        ("hide snntorch", "core broken: snntorch is not installed"),
    ],
)
def test_core_broken_is_one_clear_line(runs: dict, name: str, text: str) -> None:
    done, folder = runs[name]
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert text in done.stderr and "uv pip install" in done.stderr
    assert f"{name.split()[1]:<12}" in done.stdout and "numpy       found" in done.stdout
    assert not (folder / "results").exists()


@pytest.mark.parametrize("package", ["numpy", "psutil", "matplotlib", "rich", "tyro"])
def test_the_other_parts_of_the_core(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        env, "look_at", lambda lib: m.State("missing" if lib.package == package else "found", "1")
    )
    assert m.say_core_is_broken(ImportError("x"), TITLE) == 1
    out, err = capsys.readouterr()
    assert out.startswith("Lesson 00 — Environment test")
    assert (
        err.startswith(f"error: core broken: {package} is not installed; ") and err.count("\n") == 1
    )


def test_a_fault_outside_the_core_still_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(env, "look_at", lambda lib: m.State("found", "1"))
    assert m.say_core_is_broken(ImportError("cannot import name 'x'"), TITLE) == 1
    assert (
        "core broken: an import is broken (ImportError: cannot import name 'x')"
        in capsys.readouterr().err
    )


# ------------------------------------------------------------------ one library, one part


def library(module: str = "no_such_module_xyz", slow: bool = False) -> object:
    return env.Library(module, module.split(".")[0], "test", slow)


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("deep", [False, True])
def test_missing_library_names_its_cure(slow: bool, deep: bool) -> None:
    assert m.look_at(library(slow=slow), deep) == m.State(
        "missing", "", "uv pip install no_such_module_xyz"
    )


@pytest.mark.parametrize(
    ("source", "note"),
    [
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        (
            "import no_such_dependency_xyz",
            "ModuleNotFoundError: No module named 'no_such_dependency_xyz'",
        ),
        (
            "from math import no_such_name",
            "ImportError: cannot import name 'no_such_name' from 'math'",
        ),
        ("this is no Python", "SyntaxError: invalid syntax"),
        ("raise ValueError", "ValueError"),
    ],
)
def test_broken_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, note: str
) -> None:
    (tmp_path / "broken_package_xyz.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    state = m.look_at(library("broken_package_xyz"))
    assert state.state == "broken" and state.note.startswith(note) and "\n" not in state.note
    deep = m.look_at(library("broken_package_xyz"), deep=True)
    assert deep.state == "broken" and deep.note and "\n" not in deep.note
    sys.modules.pop("broken_package_xyz", None)


def test_a_crash_is_seen_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "crashing_package_xyz.py").write_text("import os; os._exit(7)", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    state = m.look_at(library("crashing_package_xyz"), deep=True)
    assert (state.state, state.note) == ("broken", "its import ended the process with code 7")


def test_slow_library_is_looked_up_but_not_imported() -> None:
    assert m.look_at(library("antigravity", slow=True)).state == "not tried"
    assert "antigravity" not in sys.modules, "it opens a browser"


def test_core_and_pins() -> None:
    pins = m.pins()
    assert {"torch", "snntorch", "akida", "tensorflow", "ale-py"} <= set(pins)
    assert all(lib.package in pins for lib in env.LIBRARIES), (
        "the table names a version for each library"
    )
    assert m.cure("tonic") == f"uv pip install tonic=={pins['tonic']}"
    assert "--reinstall" in m.cure("torch", again=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/ann/.venv/lib/libx.so.1: no such file", "libx.so.1: no such file"),
        (r"C:\Users\Ann\x.dll was not found", "x.dll was not found"),
        ("see https://example.org/a/b for help", "see https://example.org/a/b for help"),
        ("1/2 of it, a\nb", "1/2 of it, a b"),
        ("", ""),
    ],
)
def test_one_line(text: str, expected: str) -> None:
    assert m.one_line(text) == expected


def test_one_line_is_short() -> None:
    assert len(m.one_line(RuntimeError("x" * 10_000))) == 200


def fails(error: Exception) -> Callable[..., str]:
    def check(*_: object) -> str:
        raise error

    return check


def fine() -> str:
    return "fine"


def test_look_at_part() -> None:
    def look(check, states, install=""):
        part = m.look_at_part("x", "17", check, states, install)
        assert (part.part, part.lessons) == ("x", "17")
        return part.state, part.remark, part.install

    found, gone, bad = (
        m.State("found"),
        m.State("missing", "", "get it"),
        m.State("broken", "1", "why"),
    )
    pins = m.pins()
    assert look(fine, {"nir": found}) == ("ready", "fine", "")
    assert look(fine, {"a": found, "b": gone, "c": gone}) == (
        "missing",
        "no b, c",
        "uv pip install b c",
    )
    assert look(fine, {"nir": bad}) == (
        "broken",
        "why",
        f"uv pip install --reinstall nir=={pins['nir']}",
    )
    state, remark, install = look(fails(RuntimeError("a\nb")), {"nir": found})
    assert (state, remark) == ("broken", "RuntimeError: a b") and "--reinstall nir" in install
    assert look(fails(FileNotFoundError("x")), {}, "get a browser")[::2] == (
        "missing",
        "get a browser",
    )
    assert look(fails(FileNotFoundError("x")), {})[0] == "broken"


@pytest.mark.parametrize(
    ("status", "state", "chips"),
    [
        (("hardware", "Found 1 Akida device(s)", "2.19.1", 1), "ready", 1),
        (("simulator", "Found 0 Akida device(s): no card", "2.19.1", 0), "simulator only", 0),
        (
            ("simulator", "the driver answered with an error: no right", "2.19.1", 0),
            "simulator only",
            0,
        ),
        (("absent", "the akida package is not installed (pip …)", "", 0), "missing", 0),
        (("absent", "the akida package is broken: x", "", 0), "broken", 0),
    ],
)
def test_akida_states(
    monkeypatch: pytest.MonkeyPatch, status: tuple, state: str, chips: int
) -> None:
    from common.akida import AkidaStatus

    monkeypatch.setattr(m, "akida_status", lambda: AkidaStatus(*status))
    part, version, devices = m.akida_part()
    assert (part.state, devices) == (state, chips) and part.remark
    assert bool(part.install) == (state in ("missing", "broken"))
    assert version == ("Akida version: 2.19.1" if status[2] else "Akida version: none")


def test_akida_library_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(m, "akida_status", fails(OSError("/usr/lib/libakida.so: wrong ELF class")))
    part, _, _ = m.akida_part()
    assert (part.state, part.remark) == ("broken", "OSError: libakida.so: wrong ELF class")


def test_gpu_that_is_there_and_does_not_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PyTorch names a GPU and cannot use it: that is a verdict, and the measurements use the CPU."""
    no_kernel = RuntimeError("no kernel image is available for execution on the device")

    def leaky_step(device: torch.device) -> str:
        if device.type == "cuda":
            raise no_kernel
        return "fine"

    monkeypatch.setattr(m, "device_names", lambda: ["cuda", "cpu"])
    monkeypatch.setattr(m, "describe", lambda name: "a card, 24 GiB")
    monkeypatch.setattr(m, "leaky_step", leaky_step)
    part = m.gpu_part()
    assert part.state == "broken" and "no kernel image" in part.remark and part.install
    run = types.SimpleNamespace(device=torch.device("cuda"))
    assert m.working_device(run) == torch.device("cpu")
    monkeypatch.setattr(
        m.SmallNet, "to", lambda self, d: self if d == "cpu" else fails(no_kernel)()
    )
    timed = run_section(m.section_time, tmp_path)
    assert [c.id for c in timed.claims] == [
        "forward_ms_cpu",
        "batch_factor_cpu",
        "longer_factor",
    ]


def test_gpu_that_works_or_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(m, "device_names", lambda: ["cpu"])
    assert m.gpu_part().state == "missing"
    monkeypatch.setattr(m, "device_names", lambda: ["cuda", "cpu"])
    monkeypatch.setattr(m, "leaky_step", lambda device: f"one spike on {device}")
    monkeypatch.setattr(m, "describe", lambda name: f"a card called {name}, 24 GiB")
    part = m.gpu_part()
    assert (part.state, part.remark) == ("ready", "a card called cuda, 24 GiB")


def test_memory_of(monkeypatch: pytest.MonkeyPatch) -> None:
    card = types.SimpleNamespace(total_memory=24 * 2**30, name="Radeon RX 7900 XTX")
    monkeypatch.setattr(m.torch.cuda, "get_device_properties", lambda device: card)
    vram = m.memory_of(torch.device("cuda"))
    assert vram == (24 * 2**30, "VRAM of Radeon RX 7900 XTX")
    ram = types.SimpleNamespace(total=8 * 2**30)
    monkeypatch.setattr(m.psutil, "virtual_memory", lambda: ram)
    assert m.memory_of(torch.device("cpu")) == (8 * 2**30, "RAM")
    monkeypatch.setattr(m.psutil, "virtual_memory", fails(OSError("no /proc")))
    assert m.memory_of(torch.device("cpu"))[0] == 0


def test_data_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data sets that are not there are fetched by the lessons: no fault, and nothing to install."""
    monkeypatch.setattr(m, "data_on_disk", lambda folder: {"N-MNIST": "data/"})
    part = m.data_part(None)
    assert (part.state, part.install) == (
        "fetched when needed",
        "",
    ) and "here: N-MNIST" in part.remark
    monkeypatch.setattr(m, "data_on_disk", lambda folder: {"MNIST": "data/"})
    assert m.data_part(None).state == "ready"
    monkeypatch.setattr(m, "data_on_disk", fails(PermissionError("not allowed")))
    assert m.data_part(None).state == "broken"


def test_conversion_is_ready_only_if_it_was_tried() -> None:
    found = {"tensorflow": m.State("not tried", "1", "--deep imports it")}
    assert m.conversion_part(found, deep=False).state == "found"
    assert m.conversion_part({"tensorflow": m.State("found")}, deep=True).state == "ready"
    for deep in (False, True):
        gone = {"tensorflow": m.State("missing"), "akida": m.State("found")}
        assert m.conversion_part(gone, deep).state == "missing"


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (env.images_ready, "one of 1,797 stand-in digits 28 × 28"),
        (env.tonic_ready, "2 frames of 3 events"),
        (env.nir_ready, "a NIR graph"),
        (env.neurobench_ready, "1 zero among 4 weights"),
        (m.core_ready, "one spike"),
    ],
)
def test_each_trial_does_something(check: Callable[[], str], said: str) -> None:
    assert said in check()


def test_data_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flag, env = tmp_path / "flag", tmp_path / "env"
    (flag / "MNIST" / "raw").mkdir(parents=True)
    (flag / "MNIST" / "raw" / "train-images-idx3-ubyte").touch()
    (env / "FashionMNIST" / "raw").mkdir(parents=True)  # a folder without its file does not count
    (env / "nmnist-subset.tar.gz").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SNN_DATA", str(env))
    assert m.data_on_disk(flag) == {"MNIST": "--data-dir", "N-MNIST": "$SNN_DATA"}
    monkeypatch.delenv("SNN_DATA")
    assert m.data_on_disk(None) == {}
    with pytest.raises(UserError, match="no folder"):
        m.data_on_disk(tmp_path / "nowhere")


def test_no_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Playwright's own, then the system's, then none; a stand-in for Playwright says where its own would be."""
    own = tmp_path / "chrome"

    class Started:
        def __enter__(self) -> object:
            return types.SimpleNamespace(chromium=types.SimpleNamespace(executable_path=str(own)))

        def __exit__(self, *_: object) -> None: ...

    api = types.ModuleType("playwright.sync_api")
    api.sync_playwright = Started  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "playwright.sync_api", api)
    monkeypatch.setattr(env.shutil, "which", lambda name: None)
    monkeypatch.setattr(env, "SYSTEM_CHROMIUM", tmp_path / "no such")
    part = m.look_at_part("browser", "x", m.browser_ready, {}, "install it")
    assert (part.state, part.install) == ("missing", "install it")
    monkeypatch.setattr(env.shutil, "which", lambda name: "x" if name == "chromium" else None)
    assert "system" in m.browser_ready()
    own.touch()
    assert "own" in m.browser_ready()


# ------------------------------------------------------------------ sections


class Drawn(types.SimpleNamespace):
    """The headline, the panels' titles and the lines of the figure that a section has drawn."""


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    seen = Drawn(outcomes={})

    def figure(self, fig, name, look=""):
        assert look
        seen.title = fig.get_suptitle()
        seen.lines = [[line.get_xydata() for line in ax.get_lines()] for ax in fig.axes]
        seen.bars = [bar.get_width() for bar in fig.axes[-1].patches]
        plt.close(fig)
        return Path(name)

    monkeypatch.setattr(Run, "figure", figure)
    monkeypatch.setattr(Run, "outcome", lambda self, id, said: seen.outcomes.update({id: said}))
    return seen


def text_of(run) -> str:
    return run.findings[0]["text"]


def test_leaky_step_and_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "one spike" in m.leaky_step(torch.device("cpu"))
    monkeypatch.setattr(m.snn.Leaky, "forward", lambda self, cur, mem: (torch.zeros(1, 1), cur))
    with pytest.raises(RuntimeError, match="expected 1 and 1.5"):
        m.leaky_step(torch.device("cpu"))


def test_run_is_the_neuron_of_lesson_01() -> None:
    torch.manual_seed(0)
    net, x = m.SmallNet(), m.random_spikes(7, 3, "cpu")
    assert x.shape == (7, 3, 100) and set(x.unique().tolist()) == {0, 1}
    spk_rec = net.run(x).detach()
    weight, bias = net.fc.weight.detach().numpy(), net.fc.bias.detach().numpy()
    mem, spk = np.zeros((3, 100)), np.zeros((3, 100))
    for t in range(7):
        mem = 0.9 * mem + x[t].numpy() @ weight.T + bias - spk
        spk = (mem > 1).astype(float)
        assert (spk == spk_rec[t].numpy()).mean() > 0.99
    assert torch.equal(spk_rec, net.run(x).detach()), "starts from rest"


def test_section_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(m, "memory_of", lambda device: (24 * 2**30, "VRAM of a card"))
    run = run_section(m.section_machine, tmp_path)
    out = capsys.readouterr().out
    assert run.value("memory_gib") == 24 and "24.0 GiB of VRAM of a card" in text_of(run)
    assert f"CUDA/ROCm Available: {torch.cuda.is_available()}" in out
    monkeypatch.setattr(m, "memory_of", lambda device: (8 * 2**30, "RAM"))
    run_section(m.section_machine, tmp_path)
    assert "VRAM       none: no GPU in use, 8.0 GiB of RAM instead" in capsys.readouterr().out


def test_section_1_with_a_gpu_that_does_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(m, "working_device", lambda run: torch.device("cpu"))
    monkeypatch.setattr(m, "device_names", lambda: ["cuda", "cpu"])
    monkeypatch.setattr(m, "describe", fails(RuntimeError("bad driver")))
    monkeypatch.setattr(m, "leaky_step", fails(RuntimeError("no kernel")))
    run_section(m.section_machine, tmp_path)
    out = capsys.readouterr().out
    assert "cuda       broken: RuntimeError: bad driver" in out
    assert "broken on cpu: RuntimeError: no kernel" in out and "use the CPU" in out


def test_section_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    akida = m.Part("Akida", "12", "simulator only", "no card")
    monkeypatch.setattr(m, "akida_part", lambda: (akida, "Akida version: 1", 0))
    gone = {"tonic": "missing", "nir": "broken", "gymnasium": "missing"}

    def look_at(library, deep=False):
        return m.State(gone.get(library.package, "found"), "1", "why")

    monkeypatch.setattr(m, "look_at", look_at)
    monkeypatch.setattr(m, "browser_ready", lambda: "here")
    monkeypatch.setattr(m, "data_on_disk", lambda folder: {"MNIST": "data/"})
    monkeypatch.setattr(m, "device_names", lambda: ["cpu"])
    run = run_section(m.section_parts, tmp_path)
    # core, images, data sets, measurement and browser; conversion is found, but not tried
    assert run.value("parts_ready") == 5 and run.value("akida_devices") == 0
    said = "5 of 11 parts are ready. Missing or broken: GPU (missing), for --full; "
    said += "events (missing), for 04, 11; exchange (broken), for 17; Pong (missing), for "
    said += "capstone_pong. All other lessons can run (with Akida (simulator only), conversion "
    said += "(found)). Lines marked → mend 3 of what is missing."
    assert text_of(run).startswith(said)
    out = capsys.readouterr().out
    assert f"→ uv pip install tonic=={m.pins()['tonic']}\n" in out
    assert f"→ uv pip install --reinstall nir=={m.pins()['nir']}\n" in out
    states = {row["part"]: row["state"] for row in run.extra["verdict"]}
    assert states["events"] == "missing" and states["Akida"] == "simulator only"
    assert "· Akida" in out and "· conversion" in out and "✗ exchange" in out
    rows = {row[0]: row[1:] for row in run.extra["tables"][0]["rows"]}
    assert rows["nir"] == ["1", m.pins()["nir"], "broken"]


def test_a_core_that_only_deep_finds_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_at(library, deep=False):
        bad = library.package == "torch" and deep
        return m.State("broken", "1", "OSError: x") if bad else m.State("missing")

    monkeypatch.setattr(m, "look_at", look_at)
    run = run_section(m.section_parts, tmp_path, deep=True)
    core = run.extra["verdict"][0]
    assert core["state"] == "missing" or core["remark"] == "OSError: x"


@pytest.mark.parametrize(("num_steps", "batch_size"), [(1, 1), (10, 3), (50, 128)])
def test_section_3(num_steps: int, batch_size: int, tmp_path: Path, drawn, monkeypatch) -> None:
    monkeypatch.setattr(m, "memory_of", lambda device: (10 * 2**30, "RAM"))
    settings = {"num_steps": num_steps, "batch_size": batch_size, "smoke": False}
    run = run_section(m.section_memory, tmp_path, **settings)
    per_step = batch_size * 200 * 4
    assert run.value("bytes_per_step") == pytest.approx(per_step, rel=1e-2)
    assert run.value("bytes_predicted") == pytest.approx(1, abs=0.01)
    assert run.value("bytes_r2") > 0.999
    # 100 channels of 32 × 32 pixels, in and out; the weights of a 3 × 3 kernel are there once
    one, weights = batch_size * 2 * 102_400 * 4, 100 * 100 * 9 * 4
    fit = (10 * 2**30 - weights) // one
    assert run.value("steps_fit") == fit
    assert run.value("steps_fit_card") == (24 * 2**30 - weights) // one
    assert f"at most {fit:,} steps fit into the 10.0 GiB" in text_of(run)
    points = drawn.lines[0][0]
    assert len(points) == 5 and points[-1, 0] == 5 * max(1, num_steps // 5)
    slope = (points[-1, 1] - points[0, 1]) / (points[-1, 0] - points[0, 0])
    assert slope == pytest.approx(per_step / 1e6, rel=1e-2)
    large = drawn.lines[1][2]  # 100 channels
    assert large[1, 1] / large[1, 0] == pytest.approx(one / 1e9)
    assert drawn.lines[1][3][0][1] == pytest.approx(24 * 2**30 / 1e9)
    if batch_size == 128:
        assert m.bytes_per_step(128, 100, 100) == 102_400


def test_section_3_notices_another_memory(tmp_path: Path, drawn, monkeypatch) -> None:
    """If autograd kept twice as much, the claim and its target would say so."""
    kept = iter([2 * (1000 + 102_400 * n) for n in range(1, 6)])

    @contextlib.contextmanager
    def saved_for_backward():
        yield lambda: next(kept)

    monkeypatch.setattr(m, "saved_for_backward", saved_for_backward)
    run = run_section(m.section_memory, tmp_path, smoke=False, num_steps=5, batch_size=128)
    assert run.value("bytes_predicted") == pytest.approx(2)
    claim = next(c for c in run.claims if c.id == "bytes_predicted")
    assert claim.met is False and "2.00 times what equation (1) says" in text_of(run)


def test_section_4(tmp_path: Path, drawn, monkeypatch) -> None:
    """Known times for two devices: which is which, and what over what."""
    asked = []

    def fastest_ms(work, device, repeats):
        T, B, _ = work.args[0].shape
        asked.append((device, T, B, repeats))
        ms = {1: 0.04 * T, 8: 3.0, 64: 5.0, 512: 30.0}[B]
        return ms if device == "cpu" else 4.0

    monkeypatch.setattr(m, "fastest_ms", fastest_ms)
    monkeypatch.setattr(m, "device_names", lambda: ["meta", "cpu"])
    monkeypatch.setattr(m, "random_spikes", lambda T, B, device: torch.zeros(T, B, 100))
    run = run_section(m.section_time, tmp_path, num_steps=52, repeats=11)
    one = [(t, 1) for t in (10, 20, 30, 40, 50)] + [(50, b) for b in (8, 64, 512)]
    assert asked == [(d, t, b, 11) for d in ("meta", "cpu") for t, b in one]
    assert run.value("forward_ms_cpu") == 2 and run.value("batch_factor_cpu") == 15
    assert run.value("forward_ms_meta") == 4 and run.value("batch_factor_meta") == 1
    assert run.value("longer_factor") == pytest.approx(5)
    assert drawn.outcomes["batch_factor"] == "15.0 times"
    said = "5 times the steps, 5.0 times the time; 512 times the images, 15.0 times"
    assert drawn.title == f"On the CPU: {said}"
    assert "512 images 15.0 times as long as one" in text_of(run)
    assert "five times the steps take 5.0 times as long" in text_of(run)
    assert "The fastest device here is cpu for one image and meta for 512." in text_of(run)
    rows = run.extra["tables"][1]["rows"]
    assert rows[-1] == ["512", "30.00", "59"], "30 ms for 512 images are 59 µs each"
    assert drawn.lines[0][1][:, 1] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])
    _, cpu, dotted = drawn.lines[1]
    assert dotted[-1].tolist() == [512, 1024] and cpu[-1].tolist() == [512, 30]


def test_fastest_ms(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is known: five calls do not count, the fastest of the others does."""
    now, calls, waits = [0.0], [], []
    takes = [9.0] * 5 + [0.004, 0.002, 0.5]

    def work() -> None:
        now[0] += takes[len(calls)]
        calls.append(1)

    clock = types.SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr(m, "time", clock)
    monkeypatch.setattr(m, "synchronize", waits.append)
    assert m.fastest_ms(work, "cpu", 3) == pytest.approx(2.0)
    assert len(calls) == 8 and waits == ["cpu"] * 4


def test_section_5(tmp_path: Path, drawn, monkeypatch) -> None:
    """A layer that fires in one step of four, or of two for the busiest input; known times."""
    shares = []

    def net_run(self, x):
        spk_rec = torch.zeros(4, 6, 100)
        spk_rec[1] = 1
        if x.mean() > 0.8:
            spk_rec[2] = 1
        return spk_rec

    def fastest_ms(work, device, repeats):
        shares.append((work.args[0] == 0).float().mean().item())
        return [2.0, 2.2, 3.0][(len(shares) - 1) % 3]

    monkeypatch.setattr(m.SmallNet, "run", net_run)
    monkeypatch.setattr(m, "fastest_ms", fastest_ms)
    run = run_section(m.section_zeros, tmp_path, num_steps=4, batch_size=6)
    assert run.value("zeros") == 0.75 and run.value("zeros_busy") == 0.5
    assert run.value("zeros_time") == 1.5 and run.value("ones_time") == pytest.approx(1.1)
    assert run.claims[0].n == 2400
    assert shares == 9 * [0, 0, pytest.approx(0.75, abs=0.01)]
    assert "takes 1.50 to 1.50 times as long with zeros" in text_of(run)
    assert (
        "1.10 to 1.10 times with ones again (the middle half of nine rounds): no faster with zeros"
        in text_of(run)
    )
    assert (
        drawn.title == "75.0 % zeros; a dense product with and without them: no faster with zeros"
    )
    assert drawn.bars == [2.0, 2.2, 3.0]
    assert drawn.lines[1][0].tolist() == [[10, 75], [30, 75], [60, 75], [90, 50]]


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("flags", [["--num-steps=1", "--batch-size=1"], ["--repeats=1"]])
def test_measurements_at_the_edges(flags, tmp_path: Path) -> None:
    for only in (1, 3, 4, 5):
        more = ["--smoke", "--device=cpu", f"--out-dir={tmp_path}", f"--only={only}"]
        start(m.main, m.Config, m.SMOKE, m.FULL, [*flags, *more])
