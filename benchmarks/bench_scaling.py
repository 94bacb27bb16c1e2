"""How time and memory grow with steps, batch and width, and what more processes bring under torchrun.

uv run benchmarks/bench_scaling.py        about two minutes on two CPU cores
"""

from __future__ import annotations

import _root  # noqa: F401

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common.io import UserError
from common.spiking import over_time
from multistep import keep_freed_memory, unroll
from training.torchrun import join, part, replicated, world

import snntorch as snn
import torch
from side_by_side import ROOT, Bench, kept_bytes, race, start
from torch import nn


class Net(nn.Module):
    """784–N–10."""

    def __init__(self, num_hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(784, num_hidden), nn.Linear(num_hidden, 10)
        self.lif1, self.lif2 = snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)

    def run(self, x: torch.Tensor) -> torch.Tensor:
        spk1, _, _ = unroll(self.lif1, over_time(self.fc1, x))
        return unroll(self.lif2, over_time(self.fc2, spk1), record_mem=True)[1]

    def loop(self, x: torch.Tensor) -> torch.Tensor:
        mem1, mem2, out = self.lif1.reset_mem(), self.lif2.reset_mem(), []
        for x_t in x:
            spk1, mem1 = self.lif1(self.fc1(x_t), mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            out.append(mem2)
        return torch.stack(out)


def fit_line(x: list[float], y: list[float]) -> float:
    """R² of a straight line through the points."""
    a, b = torch.tensor(x).double(), torch.tensor(y).double()
    return torch.corrcoef(torch.stack([a, b]))[0, 1].item() ** 2


def sweep(bench: Bench) -> None:
    """One of T, B and width at a time, the others at 25, 128 and 1000; time-varying input."""
    base = {"T": 4, "B": 4, "N": 16} if bench.smoke else {"T": 25, "B": 128, "N": 1000}
    values = (
        {"T": [2, 4, 8], "B": [2, 4, 8], "N": [8, 16, 32]}
        if bench.smoke
        else {"T": [5, 25, 50, 100], "B": [16, 64, 128, 256], "N": [125, 500, 1000, 2000]}
    )
    straight = []
    for what, several in values.items():
        rows, memory = [], []
        for value in several:
            size = base | {what: value}
            net = Net(size["N"]).to(bench.device)
            x = torch.rand(size["T"], size["B"], 784, device=bench.device)

            def step(way: str, net: Net = net, x: torch.Tensor = x) -> None:
                net.zero_grad(set_to_none=True)
                getattr(net, way)(x).sum().backward()

            ms = race(
                {way: (lambda way=way, step=step: step(way)) for way in ("run", "loop")},
                bench.args.repeats,
                bench.device,
            )
            leave_out = [*net.parameters(), *net.buffers(), x]
            kept = {
                way: kept_bytes(lambda way=way, net=net, x=x: getattr(net, way)(x), leave_out) / 1e6
                for way in ms
            }
            memory.append(kept["run"])
            rows.append(
                [
                    value,
                    f"{ms['run']:.1f}",
                    f"{ms['loop']:.1f}",
                    f"{ms['loop'] / ms['run']:.2f}×",
                    f"{kept['run']:.2f}",
                    f"{kept['loop']:.2f}",
                ]
            )
        straight.append(fit_line([float(v) for v in several], memory))
        fixed = ", ".join(f"{k} = {v}" for k, v in base.items() if k != what)
        bench.table(
            f"784–N–10 against {what} ({fixed}), time-varying input, forward and backward",
            [what, "ours, ms", "loop, ms", "speed-up", "ours, MB kept", "loop, MB kept"],
            rows,
        )
    bench.claim(
        "linear",
        "memory against T, B and N: smallest R² of a straight line",
        min(straight),
        "1",
        ">= 0.999",
    )


def worker(out: str, samples: int) -> None:
    """One process: samples a second of training 784–1000–10 with 256 samples a batch in all."""
    torch.set_num_threads(1)
    keep_freed_memory()
    join(torch.device("cpu"))
    torch.manual_seed(0)
    net = Net(1000)
    forward, optimizer = replicated(net), torch.optim.Adam(net.parameters())
    x = torch.rand(25, 256, 784)
    mine, _ = part(256)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        forward(x[:, mine]).sum().backward()
        optimizer.step()

    step()
    began = time.perf_counter()
    steps = max(1, samples // 256)
    for _ in range(steps):
        step()
    if world()[0] == 0:
        Path(out).write_text(
            json.dumps(
                {"processes": world()[1], "rate": steps * 256 / (time.perf_counter() - began)}
            ),
            encoding="utf-8",
        )


def processes(bench: Bench) -> None:
    """Throughput with one and several processes of one thread each, the batch in all being the same."""
    counts = [n for n in (1, 2, 4, 8) if n <= max(2, (os.cpu_count() or 2))]
    rates: dict[int, list[float]] = {n: [] for n in counts}
    samples = 256 if bench.smoke else 256 * 20
    for _ in range(1 if bench.smoke else 3):
        for n in counts:
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "rate.json"
                command = [
                    sys.executable,
                    "-m",
                    "torch.distributed.run",
                    "--standalone",
                    "--nproc-per-node",
                    str(n),
                    str(Path(__file__).resolve()),
                    "--worker",
                    str(out),
                    str(samples),
                ]
                done = subprocess.run(
                    command,
                    capture_output=True,
                    text=True,
                    encoding="utf-8",
                    cwd=ROOT,
                    env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"},
                )
                if done.returncode:
                    raise UserError(
                        f"torchrun with {n} processes failed: {done.stderr.strip().splitlines()[-1]}"
                    )
                rates[n].append(json.loads(out.read_text(encoding="utf-8"))["rate"])
    rate = {n: sorted(r)[len(r) // 2] for n, r in rates.items()}
    rows = [
        [n, f"{r:.0f}", f"{r / rate[1]:.2f}×", f"{100 * r / rate[1] / n:.0f} %"]
        for n, r in rate.items()
    ]
    bench.table(
        "processes under torchrun, one thread each, 784–1000–10, T = 25, varying input, 256 samples a step",
        ["processes", "samples/s", "speed-up", "efficiency"],
        rows,
    )
    bench.claim("two_processes", "throughput of two processes over one", rate[2] / rate[1], "×")


def main(bench: Bench) -> None:
    sweep(bench)
    if bench.device.type == "cpu":
        processes(bench)
    bench.note = (
        f"Medians of {bench.args.repeats} interleaved runs with {bench.args.threads} thread(s). Kept for "
        "backward leaves out parameters and input. Constant input is cheaper still (bench_unroll)."
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], int(sys.argv[3]))
    else:
        start(
            main,
            "bench_scaling",
            "time and memory against steps, batch, width and processes",
            __doc__,
            repeats=5,
        )
