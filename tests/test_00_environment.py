"""Lesson 00 runs on a machine that lacks nearly everything: packages are hidden or broken in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common.io import UserError

import numpy as np
import pytest
import torch
from helpers import ROOT, load_script, run_main

m = load_script("00_environment_test")

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


def test_everything_optional_is_absent(runs: dict) -> None:
    done, folder = runs["absent"]
    assert done.returncode == 0 and done.stderr == "", done.stderr[-2000:]
    found = verdict(folder)
    assert found["core"]["state"] == "ready"
    for part in (
        "images",
        "events",
        "exchange",
        "measurement",
        "Akida",
        "conversion",
        "Pong",
        "browser",
    ):
        assert found[part]["state"] == "missing", part
        assert (
            "uv pip install" in found[part]["remark"]
            or sys.platform == "darwin"
            or sys.version_info >= (3, 13)
        )
    assert "CUDA/ROCm Available: " in done.stdout and "Akida version: none" in done.stdout


def test_everything_optional_is_broken(runs: dict) -> None:
    done, folder = runs["broken"]
    assert done.returncode == 0 and done.stderr == "", done.stderr[-2000:]
    found = verdict(folder)
    for part in ("images", "events", "exchange", "measurement", "Akida", "Pong", "browser"):
        assert found[part]["state"] == "broken", part
        assert (
            found[part]["remark"]
            == "OSError: libdamaged.so.1: cannot open shared object file second line"
        ), part
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
    assert f"{name.split()[1]:<10}" in done.stdout and "numpy     found" in done.stdout
    assert not (folder / "results").exists()


@pytest.mark.parametrize("package", ["numpy", "matplotlib", "rich", "tyro"])
def test_the_other_parts_of_the_core(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        m, "look_at", lambda lib: m.State("missing" if lib.package == package else "found", "1")
    )
    assert m.say_core_is_broken(ImportError("x")) == 1
    err = capsys.readouterr().err
    assert (
        err.startswith(f"error: core broken: {package} is not installed; ") and err.count("\n") == 1
    )


def test_a_fault_outside_the_core_still_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(m, "look_at", lambda lib: m.State("found", "1"))
    assert m.say_core_is_broken(ImportError("cannot import name 'x'")) == 1
    assert (
        "core broken: an import is broken (ImportError: cannot import name 'x')"
        in capsys.readouterr().err
    )


# ------------------------------------------------------------------ one library, one part


def library(module: str = "no_such_module_xyz", slow: bool = False) -> object:
    return m.Library(module, module.split(".")[0], "test", slow)


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
    assert all(lib.package in pins for lib in m.LIBRARIES), (
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


def test_part() -> None:
    found, missing, broken = (
        m.State("found"),
        m.State("missing", "", "get it"),
        m.State("broken", "1", "why"),
    )

    def fails(error: Exception) -> object:
        def check() -> str:
            raise error

        return check

    assert m.part(lambda: "fine", found) == ("ready", "fine")
    assert m.part(lambda: "fine", found, missing, broken) == ("missing", "get it")
    assert m.part(lambda: "fine", broken) == ("broken", "why")
    assert m.part(fails(RuntimeError("a\nb")), found) == ("broken", "RuntimeError: a b")
    assert m.part(fails(FileNotFoundError("x")), found, missing="install") == ("missing", "install")
    assert m.part(fails(FileNotFoundError("x")), found)[0] == "broken"


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
    found, remark, version, devices = m.akida_part()
    assert (found, devices) == (state, chips) and remark
    assert version == ("Akida version: 2.19.1" if status[2] else "Akida version: none")


def test_akida_library_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged() -> None:
        raise OSError("/usr/lib/libakida.so: wrong ELF class")

    monkeypatch.setattr(m, "akida_status", damaged)
    assert m.akida_part()[:2] == ("broken", "OSError: libakida.so: wrong ELF class")


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
    monkeypatch.setattr(m.shutil, "which", lambda name: None)
    monkeypatch.setattr(m, "SYSTEM_CHROMIUM", tmp_path / "no such")
    assert m.part(m.browser_ready, missing="install it") == ("missing", "install it")
    monkeypatch.setattr(m.shutil, "which", lambda name: "x" if name == "chromium" else None)
    assert "system" in m.browser_ready()
    own.touch()
    assert "own" in m.browser_ready()


# ------------------------------------------------------------------ measurements


def test_leaky_step_and_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "one spike" in m.leaky_step(torch.device("cpu"))
    monkeypatch.setattr(m.snn.Leaky, "forward", lambda self, cur, mem: (torch.zeros(1, 1), cur))
    with pytest.raises(RuntimeError, match="expected 1 and 1.5"):
        m.leaky_step(torch.device("cpu"))


def test_run_equals_the_steps() -> None:
    torch.manual_seed(0)
    net, x = m.SmallNet(), m.random_spikes(7, 3)
    assert x.shape == (7, 3, 100) and set(x.unique().tolist()) == {0, 1}
    stepped = m.step_by_step(net, x)
    assert torch.equal(stepped, net.run(x)) and torch.equal(stepped, m.step_by_step(net, x)), (
        "starts from rest"
    )


@pytest.mark.parametrize(("num_steps", "batch_size"), [(1, 1), (10, 3), (50, 128)])
def test_memory_is_the_line_of_equation_1(num_steps: int, batch_size: int) -> None:
    r = m.experiment_memory(
        m.Config(num_steps=num_steps, batch_size=batch_size), torch.device("cpu")
    )
    assert len(r["steps"]) == 5 and r["r2"] > 0.9999
    assert r["slope"] == pytest.approx(batch_size * 200 * 4, rel=1e-2)
    if batch_size == 128:
        assert r["predicted"] == 102_400, "the number that the quiz asks about"


def test_zeros_and_times() -> None:
    cfg = m.Config(num_steps=20, batch_size=16, repeats=1)
    torch.manual_seed(0)
    r = m.experiment_zeros(cfg, torch.device("cpu"))
    assert 0.8 < r["zeros"] < 1 and r["n"] == 20 * 16 * 100 and r["spk"].shape == (20, 100)
    times = m.experiment_time(cfg)
    assert list(times)[-1] == "cpu" and all(
        ms > 0 for by_batch in times.values() for ms in by_batch.values()
    )
    assert np.isfinite(list(times["cpu"].values())).all()


def test_claims_are_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known times, bytes and zeros, and libraries of which two are missing: what the claims must say."""
    monkeypatch.setattr(m, "experiment_time", lambda cfg: {"cpu": {1: 2.0, 8: 3.0, 512: 30.0}})
    memory = {"steps": [1, 2], "bytes": [1, 2], "slope": 1.5e5, "predicted": 1e5, "r2": 0.75}
    monkeypatch.setattr(m, "experiment_memory", lambda cfg, device: memory)
    zeros = {"zeros": 0.9, "n": 7}
    monkeypatch.setattr(m, "experiment_zeros", lambda cfg, device: zeros)
    monkeypatch.setattr(
        m, "akida_part", lambda: ("simulator only", "no card", "Akida version: 1", 0)
    )
    gone = {"tonic": "missing", "nir": "broken", "gymnasium": "missing"}
    monkeypatch.setattr(
        m, "look_at", lambda lib, deep=False: m.State(gone.get(lib.package, "found"), "1", "why")
    )
    monkeypatch.setattr(m, "browser_ready", lambda: "here")
    monkeypatch.setattr(m, "data_on_disk", lambda folder: {"MNIST": "data/"})
    monkeypatch.setattr(m, "device_names", lambda: ["cpu"])
    run = run_main(m, tmp_path, monkeypatch)
    assert run.value("forward_ms_cpu") == 2.0
    assert run.value("batch_factor_cpu") == pytest.approx(15.0)
    assert run.value("bytes_per_step") == 1.5e5 and run.value("bytes_predicted") == 1.5
    assert run.value("bytes_r2") == 0.75 and run.value("zeros") == 0.9
    # core, images, data sets, measurement, conversion and browser; not GPU, events, exchange, Akida, Pong
    assert run.value("parts_ready") == 6
    assert run.value("akida_devices") == 0


def test_zeros_are_counted_in_the_spikes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that fires in one step of four has three quarters of zeros."""
    spk_rec = torch.zeros(4, 6, 100)
    spk_rec[1] = 1
    monkeypatch.setattr(m.SmallNet, "run", lambda self, x: spk_rec)
    r = m.experiment_zeros(m.Config(num_steps=4, batch_size=6), torch.device("cpu"))
    assert r["zeros"] == 0.75 and r["n"] == 2400
