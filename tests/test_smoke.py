"""Every script runs with ``--smoke --num-steps 2``: no network, no window, no data on disk, finite results.

Scripts are found by pattern, so that a new one cannot be forgotten. Two run at a time, each on one thread.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers import ROOT, SCRIPTS

# Loaded by the child at start: any connection that leaves the machine is an error.
NO_NETWORK = """
import socket
_connect = socket.socket.connect
def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise AssertionError(f"a smoke run opened a connection to {address}")
    return _connect(self, address)
socket.socket.connect = connect
"""

LIMIT_S = 120
"""Seconds until a smoke run counts as hanging (they take about ten each)."""


def run_script(
    name: str, *flags: str, folder: Path, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a script as a user would, without a display, a data folder or the network."""
    site = folder / "site"
    site.mkdir(parents=True, exist_ok=True)
    (site / "sitecustomize.py").write_text(NO_NETWORK, encoding="utf-8")
    clean = {
        k: v
        for k, v in os.environ.items()
        if k not in ("DISPLAY", "MPLBACKEND", "SNN_DATA", "WAYLAND_DISPLAY")
    }
    clean |= {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", **env}
    return subprocess.run(
        [sys.executable, str(ROOT / f"{name}.py"), *flags],
        cwd=folder,
        env=clean,
        text=True,
        capture_output=True,
        timeout=LIMIT_S,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[subprocess.CompletedProcess[str], Path]]:
    """All smoke runs, two at a time."""
    folder = tmp_path_factory.mktemp("smoke")

    def one(name: str) -> tuple[subprocess.CompletedProcess[str], Path]:
        here = folder / name
        here.mkdir()
        return run_script(name, "--smoke", "--num-steps", "2", "--journal", folder=here), here

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(SCRIPTS, pool.map(one, SCRIPTS), strict=True))


@pytest.mark.parametrize("name", SCRIPTS)
def test_smoke_run(
    name: str, runs: dict[str, tuple[subprocess.CompletedProcess[str], Path]]
) -> None:
    done, folder = runs[name]
    assert done.returncode == 0, (
        f"exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    )
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr, (
        f"a warning a student would stumble over:\n{done.stderr[-2000:]}"
    )

    out = folder / "results" / "smoke" / name
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["lesson"] == name and metrics["scale"] == "smoke"
    assert metrics["claims"], "a lesson without a claim teaches nothing measurable"
    for claim in metrics["claims"]:
        assert math.isfinite(claim["value"]), claim
        assert claim["met"] is None, "smoke runs judge nothing"
    assert str(folder) not in json.dumps(metrics), "a path of the machine stands in the metrics"

    pictures = list(out.glob("*.png"))
    assert pictures, "no figure"
    for picture in pictures:
        assert (
            picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and picture.stat().st_size > 5_000
        ), picture
    assert not list(out.rglob("*.tmp")), "a temporary file was left behind"
    assert not (folder / "results" / name).exists(), "a smoke run wrote where real results go"
    assert name in (folder / "results" / "smoke" / "journal.md").read_text(encoding="utf-8")
    assert "Next:" in done.stdout and "Change this and predict:" in done.stdout


def test_bad_input_ends_in_one_line(tmp_path: Path) -> None:
    """The whole way through a process once; the other scripts and flags follow in test_contract.py."""
    done = run_script("01_lif_neuron", "--num-steps", "0", folder=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "error: --num-steps: got 0, allowed is 1 to 100000\n"
    assert not (tmp_path / "results").exists()
