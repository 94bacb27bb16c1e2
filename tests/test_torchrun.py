"""Two processes under torchrun do what one does, and the loss of one of them costs an epoch at most."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from common.device import pick_device
from common.io import UserError, is_rank_zero
from common.lesson import LessonConfig, start
from common.run import Run
from training import checkpoint, torchrun
from training.torchrun import part, total, world

import pytest
import torch
import torch.distributed as dist
import torchrun_worker
from helpers import ROOT
from nets import TinyNet

with_gloo = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="PyTorch without Gloo"
)


def launch(out: Path) -> subprocess.CompletedProcess[str]:
    """Run the worker in two processes under torchrun."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(ROOT / "tests" / "torchrun_worker.py"), str(out)]
    env = {k: v for k, v in os.environ.items() if not k.endswith(("RANK", "WORLD_SIZE"))}
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        cwd=ROOT,
        env=env | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"},
    )


@with_gloo
def test_two_processes_equal_one_though_one_of_them_dies(tmp_path: Path) -> None:
    """Of two processes one is killed in the second epoch: one clear line, and the first epoch stands.

    Gone on with by one process, it ends with the weights of a training that was never cut.
    """
    both = launch(tmp_path / "two")
    assert both.returncode != 0
    lines = [line for line in both.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, both.stderr
    assert "another process of this run ended" in lines[0] and "--resume" in lines[0]
    assert both.stdout.count("epoch   1/2") == 1, "process 0 alone prints"
    files = sorted(p.name for p in (tmp_path / "two" / "torchrun").iterdir())
    assert files == ["checkpoint_net.pt", "config.json"]

    net, history, run = torchrun_worker.work(tmp_path / "two")
    assert run.resumed == ["epochs 1–1 of 'net'"]
    uncut, uncut_history, _ = torchrun_worker.work(tmp_path / "one")
    for (name, ours), theirs in zip(net.named_parameters(), uncut.parameters(), strict=True):
        assert (ours - theirs).abs().max() < 1e-5, f"{name} after 30 steps"
    for row, other in zip(history, uncut_history, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert (row["train"], row["val"]) == pytest.approx((other["train"], other["val"]))

    between = json.loads((tmp_path / "two" / "between.json").read_text(encoding="utf-8"))
    assert between["size"] == 2 and between["accuracy"] > 0.5
    assert between["seen"]["sum"] == pytest.approx(2 * between["seen"]["own"]), "not process 0's"


def test_alone() -> None:
    """In a single process nothing is split, weighed or sent."""
    assert world() == (0, 1)
    assert part(7) == (slice(None), 1.0)
    assert total(torch.tensor(3), torch.tensor(0.5)) == [3.0, 0.5]
    net = TinyNet()
    assert torchrun.replicated(net) == net.run


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("n", [1, 2, 7, 8, 100])
def test_parts_cover_the_batch_and_weigh_it_right(
    size: int, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Σ over processes of weight·mean(part)/size is the mean over the batch."""
    loss = torch.arange(float(n)) ** 2
    seen, mean = [], 0.0
    for rank in range(size):
        monkeypatch.setattr(torchrun, "world", lambda rank=rank: (rank, size))
        mine, weight = part(n)
        assert len(loss[mine]) > 0, "every process takes part"
        if weight:
            seen += list(range(n))[mine]
        mean += weight * loss[mine].mean().item() / size
    assert seen == list(range(n)) and mean == pytest.approx(loss.mean().item())


def test_every_process_takes_process_0s_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine there is no such file, or an old one; damage is one line in all of them."""
    run = Run("test", LessonConfig(out_dir=tmp_path), torch.device("cpu"))
    net, path = TinyNet(), tmp_path / "c.pt"
    state = {"net": net, "history": [{"loss": 1.0}]}
    checkpoint.save_checkpoint(path, {"epochs": "1"}, state)
    content = path.read_bytes()
    path.unlink()
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    state["history"] = []
    for sent, finished in ((None, 0), (content, 1)):
        monkeypatch.setattr(checkpoint, "from_rank_zero", lambda own, sent=sent: sent)
        checkpoint.load_checkpoint(path, {"epochs": "1"}, state, run)
        assert len(state["history"]) == finished
    monkeypatch.setattr(checkpoint, "from_rank_zero", lambda own: content[:-1])
    with pytest.raises(UserError, match="is damaged"):
        checkpoint.load_checkpoint(path, {"epochs": "1"}, state, run)


def test_a_rank_that_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert is_rank_zero()
    monkeypatch.setenv("RANK", "banana")
    with pytest.raises(SystemExit) as stop:
        start(lambda cfg, run: None, LessonConfig, {}, {}, ["--out-dir", str(tmp_path)])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and err.count("\n") == 1
    assert "got RANK='banana' in the environment, expected a number" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("rank", "size"), [("1", None), ("2", "2"), (None, "0"), ("0", "0")])
def test_a_run_in_which_nobody_would_save(
    rank: str | None, size: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    for name, value in (("RANK", rank), ("WORLD_SIZE", size)):
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stop:
        start(lambda cfg, run: None, LessonConfig, {}, {}, ["--out-dir", str(tmp_path)])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and err.count("\n") == 1 and "expected a rank below" in err


def test_every_process_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for rank, name in (("0", "cuda:0"), ("1", "cuda:1"), ("3", "cuda:1")):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert str(pick_device()) == name
    monkeypatch.setenv("LOCAL_RANK", "1.5")
    with pytest.raises(UserError, match="got LOCAL_RANK='1.5'"):
        pick_device()


@with_gloo
def test_processes_that_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(UserError, match="got WORLD_SIZE='two'"):
        torchrun.join(torch.device("cpu"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UserError, match="the 2 processes did not find each other"):
        torchrun.join(torch.device("cpu"))
    with pytest.raises(UserError, match="got 2 processes on 'mps', allowed is 1"):
        torchrun.join(torch.device("mps"))


def test_a_fault_of_ours_is_no_lost_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchrun, "world", lambda: (0, 2))
    with pytest.raises(RuntimeError, match="mat1 and mat2"), torchrun.losing_a_process("again"):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(UserError, match="another process"), torchrun.losing_a_process("again"):
        raise RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer")
