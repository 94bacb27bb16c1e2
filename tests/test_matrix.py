"""A sample of the grid of matrix.py, and that its committed result has no failing cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import matrix
import pytest
from helpers import ROOT, SCRIPTS

SAMPLE = {
    "01": (
        "bad flag value",
        "RANK=banana",
        "$SNN_DATA missing",
        "out-dir read-only",
        "package missing",
        "stdout to /dev/full",
        "output cut (| head)",
        "disk full at once",
        "quiz, stdin closed",
        "ASCII locale",
        "stdin closed",
    ),
    "course": ("stdout to /dev/full", "output cut (| head)", "ASCII locale"),
    "01a": ("bad flag value", "stdout to /dev/full", "output cut (| head)"),
}
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full and fork")


@on_linux
def test_a_sample_of_the_grid() -> None:
    """In a process of its own, for a fork of pytest would hold all that pytest holds."""
    code = (
        "import sys, tempfile; from pathlib import Path; import matrix\n"
        "import torch._dynamo, snntorch, matplotlib.pyplot, tyro, rich.table\n"
        f"for name, faults in {SAMPLE!r}.items():\n"
        "    script = matrix.scripts([name])[0]\n"
        "    with tempfile.TemporaryDirectory() as folder:\n"
        "        row = matrix.try_script(script, Path(folder) / 'run', list(faults))\n"
        "    for fault, (symbol, why) in row.items(): print(symbol, script.name, fault, why)\n"
    )
    env = {k: v for k, v in os.environ.items() if k not in ("SNN_DATA", "RANK")}
    env |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", env=env, timeout=240
    )
    lines = done.stdout.splitlines()
    assert len(lines) == sum(map(len, SAMPLE.values())), done.stderr[-2000:]
    assert not [line for line in lines if line.startswith(matrix.LOST)], done.stdout


@pytest.mark.parametrize(
    ("code", "err", "refuse", "symbol"),
    [
        (0, "", False, matrix.SURVIVED),
        (0, "", True, matrix.LOST),
        (2, "error: got 0\n", True, matrix.REFUSED),
        (2, "error: got 0\n", False, matrix.LOST),
        (2, "error: a\nand more\n", True, matrix.LOST),
        (1, "error: a\n", None, matrix.LOST),
        (1, "Traceback (most recent call last):\nValueError\n", None, matrix.LOST),
        (130, "stopped by Ctrl-C\n", None, matrix.REFUSED),
        (-1, "", None, matrix.LOST),
        (-9, "", None, matrix.LOST),
    ],
)
def test_judging(code: int, err: str, refuse: bool | None, symbol: str) -> None:
    assert matrix.judge(code, err, refuse)[0] == symbol


RUNS = """
import os, time, smoke_worker

def spin() -> int:
    while True:
        pass

def starved() -> int:
    os.nice(19)
    spin()

def fork(work, limit_s, **more):
    print(smoke_worker.fork(work, os.devnull, os.devnull, limit_s, **more))

fork(lambda: 3, 60)
fork(lambda: time.sleep(60), 1)
fork(spin, 1)
fork(lambda: time.sleep(60), 60, kill_when=lambda: True)
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one processor for the two that follow
rival = os.fork() or spin()
try:
    began = time.monotonic()
    fork(starved, 1, kill_when=lambda: time.monotonic() - began > 2)
finally:
    os.kill(rival, 9)
"""


@on_linux
def test_a_run_that_waits_for_a_processor_does_not_hang() -> None:
    """One that sleeps and one that spins do; a run with next to nothing of a busy processor has time left."""
    env = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(
        [sys.executable, "-c", RUNS], capture_output=True, encoding="utf-8", env=env, timeout=240
    )
    assert done.stdout.split() == ["3", "-1", "-1", "-9", "-9"], done.stderr[-2000:]


def test_every_script_has_a_row_and_lost_cells_are_named() -> None:
    names = [s.name for s in matrix.scripts([])]
    assert set(SCRIPTS) <= set(names) and {"course", "01a_leaky_step", "01_resets"} <= set(names)
    rows = {"a": {"x": (matrix.LOST, "why"), "y": (matrix.REFUSED, "")}}
    assert matrix.counts(rows) == {"tried": 2, "survived": 0, "refused kindly": 1, "lost": 1}
    assert "lost  a, x: why" in matrix.grid(rows, ["x", "y"])


def test_the_committed_grid_has_no_failing_cell() -> None:
    result = json.loads(matrix.RESULT.read_text(encoding="utf-8"))
    assert result["faults"] == list(matrix.FAULTS)
    cells = [symbol for row in result["grid"].values() for symbol in row.values()]
    assert result["counts"]["lost"] == cells.count(matrix.LOST) == 0
    left_out = cells.count(matrix.NOTHING) + cells.count(matrix.UNTRIED[0])
    assert result["counts"]["tried"] == len(cells) - left_out > 200


def test_a_file_that_is_cut_is_not_whole(tmp_path: Path) -> None:
    for name, content in (("a.json", b"{"), ("a.png", b"x"), ("a.pt", b"y" * 99), ("a.fbz", b"z")):
        (tmp_path / name).write_bytes(content)
        assert not matrix._whole(tmp_path / name)
    (tmp_path / "a.json").write_bytes(b"{}")
    assert matrix._whole(tmp_path / "a.json") and not matrix._whole(tmp_path / "gone.json")
