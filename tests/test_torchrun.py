"""Two processes under torchrun do what one does, and the loss of one of them costs one epoch at most."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from common.torchrun import part, total, world

import pytest
import torch
import torch.distributed as dist
import torchrun_worker

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="PyTorch without Gloo"
)


def launch(out: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run the worker in two processes under torchrun."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(ROOT / "tests" / "torchrun_worker.py"),
        str(out),
        *flags,
    ]
    env = {
        k: v
        for k, v in os.environ.items()
        if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    }
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        cwd=ROOT,
        env=env | {"OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"},
    )


def result(out: Path) -> dict:
    return json.loads((out / "result.json").read_text(encoding="utf-8"))


def difference(a: Path, b: Path) -> float:
    one, two = (torch.load(p / "weights.pt", weights_only=True) for p in (a, b))
    return max((one[k].double() - two[k].double()).abs().max().item() for k in one)


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """20 Adam steps on lesson 09's network: the same weights within 1e-5, the same figures, each line printed once."""
    one, two = tmp_path / "one", tmp_path / "two"
    torchrun_worker.main([str(one)])
    double = launch(two)
    assert double.returncode == 0, double.stderr
    assert result(two)["processes"] == 2
    assert difference(one, two) < 1e-5
    a, b = result(one)["history"][0], result(two)["history"][0]
    assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
    assert a["train"] == pytest.approx(b["train"], abs=2e-3) and a["val"] == pytest.approx(
        b["val"], abs=6e-3
    )
    assert result(one)["accuracy"] == pytest.approx(result(two)["accuracy"], abs=6e-3)
    assert double.stdout.count("epoch   1/1") == 1
    assert sorted(p.name for p in (two / "torchrun").iterdir()) == [
        "checkpoint_net.pt",
        "config.json",
    ]


def test_killed_process(tmp_path: Path) -> None:
    """One is killed in the second epoch: one clear line, and --resume goes on from the first, to the same weights."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    torchrun_worker.main([str(whole), "--epochs", "2"])
    killed = launch(cut, "--epochs", "2", "--die-in-epoch", "2")
    assert killed.returncode != 0
    lines = [line for line in killed.stderr.splitlines() if line.startswith("error: ")]
    assert (
        len(lines) == 1
        and "another process of this run ended" in lines[0]
        and "--resume" in lines[0]
    ), killed.stderr
    assert not (cut / "result.json").exists()
    again = launch(cut, "--epochs", "2", "--resume")
    assert again.returncode == 0, again.stderr
    assert "1 of 2 epochs are done" in again.stdout
    assert len(result(cut)["history"]) == 2
    assert difference(whole, cut) < 1e-4  # 40 steps


def test_damaged_checkpoint_stops_every_process(tmp_path: Path) -> None:
    (tmp_path / "torchrun").mkdir()
    (tmp_path / "torchrun" / "checkpoint_net.pt").write_bytes(b"not a checkpoint")
    done = launch(tmp_path, "--resume")
    assert done.returncode != 0 and "is damaged" in done.stderr and "training.py" not in done.stderr


def test_alone() -> None:
    """In a single process nothing is split, weighed or sent."""
    assert world() == (0, 1)
    assert part(7) == (slice(0, 7), 1.0)
    assert total(torch.tensor(3), torch.tensor(0.5)) == [3.0, 0.5]


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("n", [1, 2, 7, 8, 100])
def test_parts_cover_the_batch_and_weigh_it_right(
    size: int, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Σ over processes of weight·mean(part)/size is the mean over the batch."""
    loss = torch.arange(float(n)) ** 2
    seen, mean = [], 0.0
    for rank in range(size):
        monkeypatch.setattr("common.torchrun.world", lambda rank=rank: (rank, size))
        mine, weight = part(n)
        if weight:
            seen += list(range(n))[mine]
        mean += weight * loss[mine].mean().item() / size
    assert seen == list(range(n)) and mean == pytest.approx(loss.mean().item())
