"""Every benchmark runs at smoke scale and writes what RESULTS.md reads; bad flags end with one line.

In this process: each would import PyTorch anew. What ``bench_scaling`` starts by torchrun is played here; the two
processes of test_torchrun.py are real ones.
"""

from __future__ import annotations

import json
import math
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tutor.publish import results_page

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = sorted(p.stem for p in (ROOT / "benchmarks").glob("bench_*.py"))


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``call(name, *flags)`` runs a benchmark as a program; afterwards PyTorch has its threads again."""
    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))

    def run(name: str, *flags: str) -> None:
        path = str(ROOT / "benchmarks" / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [path, *flags])
        runpy.run_path(path, run_name="__main__")

    yield run
    torch.set_num_threads(threads)


def torchrun(command: list[str], **_: Any) -> SimpleNamespace:
    """What ``bench_scaling`` starts: N processes make 1.5·N + 0.5 times 100 samples a second."""
    processes = int(command[command.index("--nproc-per-node") + 1])
    rate = {"processes": processes, "rate": 100 * (1.5 * processes - 0.5)}
    Path(command[-2]).write_text(json.dumps(rate), encoding="utf-8")
    return SimpleNamespace(returncode=0, stderr="")


def test_there_are_benchmarks() -> None:
    assert {"bench_unroll", "bench_time_to_accuracy", "bench_scaling"} <= set(BENCHMARKS)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_smoke(
    name: str,
    call: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if name == "bench_scaling":
        monkeypatch.setattr(subprocess, "run", torchrun)
    out = tmp_path / f"{name}.json"
    smoke = ["--smoke", "--threads", "1"]  # two would wait for the tests of the other process
    if name == "bench_events":
        smoke = ["--frames", "10", "--repeats", "1"]
    call(name, *smoke, "--out", str(out))
    assert "Warning" not in capsys.readouterr().err
    found = json.loads(out.read_text(encoding="utf-8"))
    assert set(found) >= {"title", "command", "device", "versions", "tables", "note", "claims"}
    assert found["tables"] and all(
        len(row) == len(t["columns"]) for t in found["tables"] for row in t["rows"]
    )
    assert found["claims"] and all(math.isfinite(c["value"]) for c in found["claims"])
    if name != "bench_events":
        assert all(c["met"] is None for c in found["claims"]), "a smoke run judges nothing"
    if name == "bench_scaling":
        (two,) = (c["value"] for c in found["claims"] if c["id"] == "two_processes")
        assert two == 2.5
    assert found["title"] in results_page(tmp_path)


def test_one_process_of_the_scaling_benchmark(call: Any, tmp_path: Path) -> None:
    out = tmp_path / "rate.json"
    call("bench_scaling", "--worker", str(out), "256")
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["processes"] == 1 and found["rate"] > 0


@pytest.mark.parametrize("flags", [("--repeats", "-1"), ("--device", "abacus"), ("--threads", "0")])
def test_bad_flags(flags: tuple[str, str], call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        call("bench_unroll", *flags)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.startswith("error: --device" if flags[0] == "--device" else "error: got")
    assert error.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to measure")
def test_without_a_gpu_its_benchmark_is_one_line(
    call: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        call("bench_gpu", "--out", str(tmp_path / "gpu.json"))
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.startswith("error: bench_gpu: got no GPU")
    assert error.count("\n") == 1 and not list(tmp_path.iterdir())
