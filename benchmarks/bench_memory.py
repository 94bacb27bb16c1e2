"""Training over a thousand time steps: what is kept until backward, and how much memory the process takes for it.

    uv run benchmarks/bench_memory.py        about two minutes on two CPU cores

784–256–10 with constant input. A process of its own for each contender takes one training step; the growth of its
largest size (VmHWM, RSS) is shown beside the bytes that autograd keeps, which are the same on every machine.
"""

from __future__ import annotations

import _root  # noqa: F401

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from common.device import peak_memory
from common.spiking import constant_current, over_time
from multistep import keep_freed_memory, over_segments, spikes_as_bits, unroll
from multistep.meters import LiveBytes

import snntorch as snn
import torch
from side_by_side import ROOT, Bench, kept_bytes, race, start
from torch import nn


class Net(nn.Module):
    """784–H–10, read by the membrane of the output."""

    def __init__(self, num_hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(784, num_hidden), nn.Linear(num_hidden, 10)
        self.lif1, self.lif2 = snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)

    def run(self, x: torch.Tensor, state: Any = None) -> Any:
        state1, state2 = state or (None, None)
        spk1, _, state1 = unroll(self.lif1, over_time(self.fc1, x), state1)
        _, mem2, state2 = unroll(self.lif2, over_time(self.fc2, spk1), state2, record_mem=True)
        return (mem2,), (state1, state2)

    def loop(self, x: torch.Tensor) -> torch.Tensor:
        mem1, mem2, mem_rec = self.lif1.reset_mem(), self.lif2.reset_mem(), []
        for x_t in x:
            spk1, mem1 = self.lif1(self.fc1(x_t), mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            mem_rec.append(mem2)
        return torch.stack(mem_rec)

    def as_bits(self, x: torch.Tensor) -> torch.Tensor:
        with spikes_as_bits():
            return self.run(x)[0][0]


FORWARDS: dict[str, Callable[[Net, torch.Tensor], torch.Tensor]] = {
    "snnTorch loop": Net.loop,
    "unroll": lambda net, x: net.run(x)[0][0],
    "unroll, spikes as bits": Net.as_bits,
    "unroll, in segments": lambda net, x: over_segments(net.run, x)[0][0],
}


def prepared(T: int, B: int, H: int, device: torch.device | str) -> tuple[Net, torch.Tensor]:
    torch.manual_seed(0)
    return Net(H).to(device), constant_current(torch.rand(B, 784, device=device), T)


def train_step(name: str, net: Net, x: torch.Tensor) -> None:
    for p in net.parameters():
        p.grad = None
    FORWARDS[name](net, x).mean().backward()


def alive(name: str, net: Net, x: torch.Tensor, leave_out: list[torch.Tensor]) -> float:
    """Megabytes of tensors that live at one time in a training step, at most."""
    with LiveBytes([*leave_out, x.held]) as live:
        train_step(name, net, x)
    return live.peak / 1e6


def worker(name: str, T: int, B: int, H: int) -> None:
    """Print by how many bytes one training step makes this process larger."""
    keep_freed_memory()
    torch.set_num_threads(1)
    train_step(name, *prepared(8, B, H, "cpu"))  # what is loaded at first use is not counted
    net, x = prepared(T, B, H, "cpu")
    before = peak_memory("cpu")
    train_step(name, net, x)
    print(peak_memory("cpu") - before)


def growth(name: str, T: int, B: int, H: int) -> float:
    """The same in megabytes, measured in a process of its own; NaN where the system does not say."""
    command = [sys.executable, __file__, "--worker", name, str(T), str(B), str(H)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    return int(done.stdout) / 1e6 if done.returncode == 0 else float("nan")


def main(bench: Bench) -> None:
    T, B, H = (30, 8, 64) if bench.smoke else (1000, 64, 256)
    net, x = prepared(T, B, H, bench.device)
    leave_out = [*net.parameters(), *net.buffers(), x]
    steps = {name: (lambda name=name: train_step(name, net, x)) for name in FORWARDS}
    ms = race(steps, bench.args.repeats, bench.device)
    kept = {n: kept_bytes(lambda f=f: f(net, x), leave_out) / 1e6 for n, f in FORWARDS.items()}
    living = {name: alive(name, net, x, leave_out) for name in FORWARDS}
    grown = dict.fromkeys(FORWARDS, float("nan"))
    if not bench.smoke and bench.device.type == "cpu":
        grown = {name: growth(name, T, B, H) for name in FORWARDS}
    loop = "snnTorch loop"
    bench.table(
        f"one training step, 784–{H}–10, T = {T}, B = {B}, constant input",
        ["", "MB kept for backward", "MB alive at most", "MB the process grows by", "ms"],
        [
            [n, f"{kept[n]:.2f}", f"{living[n]:.1f}", f"{grown[n]:.0f}", f"{ms[n]:.0f}"]
            for n in FORWARDS
        ],
    )
    again = "unroll, in segments"
    bench.claim(
        "segments_kept",
        f"T = {T}, in segments: bytes kept over the loop's",
        kept[again] / kept[loop],
        "1",
        "<= 0.1",
    )
    bench.claim(
        "segments_alive",
        f"T = {T}, in segments: bytes of tensors alive at most over the loop's",
        living[again] / living[loop],
        "1",
        "<= 0.1",
    )
    bench.claim(
        "segments_time",
        f"T = {T}, in segments: time over the loop's",
        ms[again] / ms[loop],
        "×",
        "<= 1",
    )
    bench.claim(
        "bits_kept",
        f"T = {T}, spikes as bits: bytes kept over those of unroll",
        kept["unroll, spikes as bits"] / kept["unroll"],
        "1",
        "<= 0.55",
    )
    bench.claim(
        "bits_time",
        f"T = {T}, spikes as bits: time over that of unroll",
        ms["unroll, spikes as bits"] / ms["unroll"],
        "×",
    )
    if grown[again] == grown[again]:
        bench.claim(
            "segments_grown",
            f"T = {T}, in segments: growth of the process over that with the loop",
            grown[again] / grown[loop],
            "1",
            "<= 0.1",
        )
    bench.note = (
        f"Medians of {bench.args.repeats} interleaved training steps. Parameters and input are left out of what "
        "is kept; of the segments the states at the cuts are counted. The process grows by more than what is "
        "alive: here freed memory stays with it (keep_freed_memory), and is not all used again."
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        start(main, "bench_memory", "training over a thousand steps", __doc__, repeats=3)
