"""Every script and every study runs with ``--smoke --num-steps 2``: no network, no window, no data, finite numbers.

Scripts are found by pattern, so that a new one cannot be forgotten. Two workers (``smoke_worker.py``) share them, each
on one thread.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers import ROOT, SCRIPTS

STUDIES = sorted(p.stem for p in (ROOT / "studies").glob("*.py") if not p.stem.startswith("_"))
PATHS = {name: ROOT / f"{name}.py" for name in SCRIPTS}
PATHS |= {name: ROOT / "studies" / f"{name}.py" for name in STUDIES}
KEYS = {
    "lesson", "scale", "command", "data", "device", "versions", "seed", "settings", "seconds", "memory",
    "resumed", "claims", "findings", "predictions", "ledger",
}  # fmt: skip


@dataclass
class Done:
    """What a run left behind."""

    code: int
    out: str
    err: str
    folder: Path


def environment(**more: str) -> dict[str, str]:
    """No display, no data folder, one thread."""
    left_out = ("DISPLAY", "MPLBACKEND", "SNN_DATA", "WAYLAND_DISPLAY")
    clean = {k: v for k, v in os.environ.items() if k not in left_out}
    return clean | {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"} | more


def feed(names: Iterator[str], folder: Path) -> str:
    """Hand scripts to a worker of its own, one after the other as long as there are any; what it complains of."""
    command = [sys.executable, str(ROOT / "tests" / "smoke_worker.py"), str(folder)]
    worker = subprocess.Popen(
        command,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with worker:
        for name in names:
            print(PATHS[name], file=worker.stdin, flush=True)
            if worker.stdout.readline().strip() != name:
                break
        worker.stdin.close()
        return worker.stdout.read() + worker.stderr.read()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """All smoke runs, by two workers, the longest first."""
    folder = tmp_path_factory.mktemp("smoke")
    long = ("capstone_pong", "16", "19", "12", "18", "15", "14")
    ranks = {
        name: next((i for i, word in enumerate(long) if name.startswith(word)), len(long))
        for name in PATHS
    }
    names = iter(sorted(PATHS, key=ranks.__getitem__))
    with ThreadPoolExecutor(2) as pool:
        for said in pool.map(feed, (names, names), (folder, folder)):
            assert said == "", said
    found = {}
    for name in PATHS:
        out, err, code = (
            (folder / f"{name}.{kind}").read_text(encoding="utf-8")
            for kind in ("out", "err", "code")
        )
        found[name] = Done(int(code), out, err, folder / name)
    return found


@pytest.mark.parametrize("name", PATHS)
def test_smoke_run(name: str, runs: dict[str, Done]) -> None:
    done = runs[name]
    assert done.code == 0, f"exit {done.code}\n{done.out[-2000:]}\n{done.err[-4000:]}"
    assert "Traceback" not in done.err
    assert "Warning" not in done.err, f"a student would stumble over this:\n{done.err[-2000:]}"

    out = done.folder / "results" / "smoke" / name
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics) >= KEYS and metrics["lesson"] == name and metrics["scale"] == "smoke"
    assert metrics["seconds"] > 0 and metrics["memory"] > 0 and metrics["resumed"] == []
    assert metrics["predictions"] == [], "without --predict nothing is asked"
    assert metrics["claims"], "a lesson without a claim teaches nothing measurable"
    for claim in metrics["claims"]:
        assert math.isfinite(claim["value"]), claim
        assert claim["met"] is None, "smoke runs judge nothing"
    assert str(done.folder) not in json.dumps(metrics), "a path of the machine is in the metrics"

    pictures = list(out.glob("*.png"))
    assert pictures, "no figure"
    for picture in pictures:
        content = picture.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n" and len(content) > 5_000, picture
    assert not list(out.rglob("*.tmp")), "a temporary file was left behind"
    assert [p.name for p in done.folder.iterdir()] == ["results"]
    assert [p.name for p in (done.folder / "results").iterdir()] == ["smoke"]
    journal = done.folder / "results" / "smoke" / "journal.md"
    assert name in journal.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_ending_says_what_comes_next(name: str, runs: dict[str, Done]) -> None:
    from tutor.prompts import scripts

    lines = [line.split(None, 1) for line in runs[name].out.splitlines()]
    said = {words[0]: words[1] for words in lines if len(words) == 2}
    assert said["quiz"] == f"uv run {name}.py --quiz"
    order = scripts()
    later = order[order.index(name) + 1 :]
    assert said.get("next") == (f"uv run {later[0]}.py" if later else None)


def test_bad_input_ends_in_one_line(tmp_path: Path) -> None:
    """The whole way through a process once; the other scripts and flags follow in test_contract.py."""
    command = [sys.executable, str(ROOT / "01_lif_neuron.py"), "--num-steps", "0"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "error: --num-steps: got 0, allowed is 1 to 100000\n"
    assert not list(tmp_path.iterdir())
