"""Every benchmark runs at smoke scale and writes what RESULTS.md reads; bad flags end with one line."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

from tutor.publish import results_page

import pytest

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = sorted(p.stem for p in (ROOT / "benchmarks").glob("bench_*.py"))


def call(name: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *flags],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
        timeout=240,
        env=os.environ | {"PYTHONUTF8": "1"},
    )


def test_there_are_benchmarks() -> None:
    assert {"bench_unroll", "bench_time_to_accuracy", "bench_scaling"} <= set(BENCHMARKS)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_smoke(name: str, tmp_path: Path) -> None:
    out = tmp_path / f"{name}.json"
    smoke = ["--frames", "10", "--repeats", "1"] if name == "bench_events" else ["--smoke"]
    done = call(name, *smoke, "--out", str(out))
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert set(found) >= {"title", "command", "device", "versions", "tables", "note", "claims"}
    assert found["tables"] and all(
        len(row) == len(t["columns"]) for t in found["tables"] for row in t["rows"]
    )
    assert found["claims"] and all(math.isfinite(c["value"]) for c in found["claims"])
    if name != "bench_events":
        assert all(c["met"] is None for c in found["claims"]), "a smoke run judges nothing"
    assert found["title"] in results_page(tmp_path)


@pytest.mark.parametrize("flags", [("--repeats", "-1"), ("--device", "abacus"), ("--threads", "0")])
def test_bad_flags(flags: tuple[str, str]) -> None:
    done = call("bench_unroll", *flags)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --device" if flags[0] == "--device" else "error: got")
    assert len(done.stderr.strip().splitlines()) == 1
