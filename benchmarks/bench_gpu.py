"""One GPU: our Triton kernels, PyTorch's operations, snnTorch's loop, SpikingJelly and the bare layers.

    uv run benchmarks/bench_gpu.py                            about three minutes on an H100; needs a GPU
    uv run --with spikingjelly benchmarks/bench_gpu.py        with SpikingJelly beside it, in every row

Forward and backward, all contenders with the same weights and the same input, in turns; the tables show medians.
Recorded with them: the driver, the versions of CUDA or ROCm and of Triton, which path ``unroll`` took, and which
implementation SpikingJelly chose.
"""

from __future__ import annotations

import _root  # noqa: F401

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from unittest.mock import patch

from common.io import UserError
from common.spiking import constant_current
from multistep import gpu, step_through, unroll, which_path

import snntorch as snn
import torch
from bench_unroll import (
    BETA,
    Conv,
    Dense,
    Forward,
    Recurrent,
    dense_peers,
    report,
    spiking_jelly,
)
from side_by_side import Bench, peers, race, start

BYTES = 24
"""a neuron and step must at least move, forward and backward: I, U, S, ∂L/∂S, U, ∂L/∂I of four bytes each"""


@contextmanager
def without_kernels() -> Iterator[None]:
    """``unroll`` by PyTorch's operations in place, as where Triton is missing."""
    with patch.object(gpu, "takes", lambda *_: False):
        yield


def in_place(forward: Forward) -> Forward:
    def run() -> torch.Tensor:
        with without_kernels():
            return forward()

    return run


def against(ms: dict[str, float], ours: str = "ours") -> list[float]:
    """SpikingJelly's multi-step time over ours, if it is there."""
    return [t / ms[ours] for name, t in ms.items() if name == "SpikingJelly, multi-step"]


def chosen_by_spiking_jelly(device: torch.device) -> str:
    from spikingjelly.activation_based import functional

    try:
        return str(functional.neuron_implementation("lif", device)["implementation"])
    except Exception as e:  # another version of it
        return f"unknown ({type(e).__name__})"


# ------------------------------------------------------------------------------------ a layer by itself


def bench_layer(bench: Bench, found: dict[str, Any]) -> list[float]:
    """A layer of ``Leaky`` alone: how near it comes to what the memory of this GPU can move."""
    T, M = (3, 50) if bench.smoke else (32, 1 << 20)
    cur = torch.rand(T, M // 16, 16, device=bench.device, requires_grad=True)
    g = torch.rand_like(cur)
    neuron = snn.Leaky(beta=BETA).to(bench.device)
    forwards: dict[str, Forward] = {
        "ours": lambda: unroll(neuron, cur)[0],
        "ours, operations in place": in_place(lambda: unroll(neuron, cur)[0]),
        "snnTorch loop": lambda: step_through(neuron, cur)[0],
    }
    if "SpikingJelly" in found:
        from spikingjelly.activation_based import functional

        node = spiking_jelly(found["SpikingJelly"], "m")

        def run_multi() -> torch.Tensor:
            functional.reset_net(node)
            return node(cur)

        forwards["SpikingJelly, multi-step"] = run_multi

    def trained(forward: Forward) -> Callable[[], None]:
        def step() -> None:
            cur.grad = None
            forward().backward(g)

        return step

    steps = {name: trained(forward) for name, forward in forwards.items()}
    target = torch.empty_like(cur)
    with torch.no_grad():
        copy = race({"copy": lambda: target.copy_(cur)}, bench.args.repeats, bench.device)["copy"]
    ms = race(steps, bench.args.repeats, bench.device)
    rate = {name: BYTES * cur.numel() / t / 1e6 for name, t in ms.items()}  # GB/s
    highest = 2 * 4 * cur.numel() / copy / 1e6
    bench.table(
        f"one layer of Leaky, T = {T}, {M} neurons; a copy moves {highest:.0f} GB/s",
        ["", "ms", "speed against the loop", f"GB/s at {BYTES} bytes a neuron and step"],
        [
            [name, f"{t:.2f}", f"{ms['snnTorch loop'] / t:.1f}×", f"{rate[name]:.0f}"]
            for name, t in ms.items()
        ],
    )
    bench.claim(
        "layer_loop",
        "one layer: snnTorch loop's time over ours",
        ms["snnTorch loop"] / ms["ours"],
        "×",
    )
    bench.claim(
        "layer_memory",
        "one layer: share of the speed at which this GPU copies memory",
        rate["ours"] / highest,
        "1",
        ">= 0.5",
    )
    return against(ms)


# ------------------------------------------------------------------------------------ networks


def bench_dense(bench: Bench, found: dict[str, Any]) -> list[float]:
    T, B, N, H = (3, 4, 20, 30) if bench.smoke else (25, 128, 784, 1000)
    net, ratios = Dense(N, H).to(bench.device), []
    varying = torch.rand(T, B, N, device=bench.device)
    for kind, x in (("constant", constant_current(varying[0], T)), ("time-varying", varying)):
        forwards = {
            "ours": lambda x=x: net.ours(x),
            "ours, operations in place": in_place(lambda x=x: net.ours(x)),
            "snnTorch loop": lambda x=x: net.loop(x),
            **dense_peers(found, net, x),
            "bare linear layers": lambda x=x: net.bare(x),
        }
        ms = report(bench, f"{N}–{H}–10, T = {T}, B = {B}, {kind} input", forwards, net, x)["ms"]
        bench.claim(
            f"dense_{kind}",
            f"{kind} input: snnTorch loop's time over ours",
            ms["snnTorch loop"] / ms["ours"],
            "×",
            ">= 15",
        )
        ratios += against(ms)
    return ratios


def bench_conv(bench: Bench, found: dict[str, Any]) -> list[float]:
    T, B = (2, 2) if bench.smoke else (4, 128)
    net = Conv().to(bench.device)
    x = constant_current(torch.rand(B, 3, 32, 32, device=bench.device), T)

    def ours() -> torch.Tensor:
        neurons = [lambda c, lif=lif: unroll(lif, c)[0] for lif in net.lifs]
        return net.over(x, [*neurons, lambda c: unroll(net.lif_out, c, record_mem=True)[1]])

    forwards: dict[str, Forward] = {
        "ours": ours,
        "ours, operations in place": in_place(ours),
        "snnTorch loop": lambda: net.loop(x),
    }
    if "SpikingJelly" in found:
        from spikingjelly.activation_based import functional

        nodes = [spiking_jelly(found["SpikingJelly"], "m") for _ in range(4)]

        def run_multi() -> torch.Tensor:
            for node in nodes:
                functional.reset_net(node)
            return net.over(x, nodes)

        forwards["SpikingJelly, multi-step"] = run_multi
    forwards["bare layers"] = lambda: net.over(x, [lambda c: c.contiguous()] * 3 + [lambda c: c])
    title = f"spiking CNN, 3×32×32, T = {T}, B = {B}, constant input"
    ms = report(bench, title, forwards, net, x)["ms"]
    bench.claim(
        "cnn_bare",
        "CNN: our time over that of the bare layers",
        ms["ours"] / ms["bare layers"],
        "×",
        "<= 1.5",
    )
    return against(ms)


def bench_recurrent(bench: Bench) -> None:
    T, B, H = (9, 2, 16) if bench.smoke else (784, 128, 128)
    net = Recurrent(H).to(bench.device)
    x = torch.rand(T, B, 1, device=bench.device)
    forwards = {
        "ours": lambda: net.ours(x),
        "ours, operations in place": in_place(lambda: net.ours(x)),
        "snnTorch loop": lambda: net.loop(x),
    }
    repeats, bench.args.repeats = bench.args.repeats, max(1, bench.args.repeats // 3)
    ms = report(bench, f"RLeaky, H = {H}, T = {T}, B = {B}", forwards, net, x)["ms"]
    bench.args.repeats = repeats
    bench.claim(
        "rleaky",
        f"RLeaky, T = {T}: snnTorch loop's time over ours",
        ms["snnTorch loop"] / ms["ours"],
        "×",
        ">= 20",
    )


# ------------------------------------------------------------------------------------ what it ran on


def described(bench: Bench, found: dict[str, Any]) -> str:
    """Driver, versions, the path that ``unroll`` took and what SpikingJelly chose, in words."""

    def of(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "absent"

    path = which_path(snn.Leaky(beta=BETA), torch.empty(2, 4, 8, device=bench.device))
    said = [f"driver {driver()}", f"Triton {of('triton')}", f"unroll's path for Leaky: {path}"]
    if "SpikingJelly" in found:
        chosen = chosen_by_spiking_jelly(bench.device)
        said.append(f"SpikingJelly {of('spikingjelly')}, which chose '{chosen}'")
    return "; ".join(said) + "."


def driver() -> str:
    """The version of the GPU's driver, by the tool that comes with it."""
    for command in (
        ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
        ["rocm-smi", "--showdriverversion", "--csv"],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        except (OSError, subprocess.SubprocessError):
            continue
        if lines := done.stdout.strip().splitlines():
            return lines[-1].strip()
    return "unknown"


def main(bench: Bench) -> None:
    if bench.device.type != "cuda" and not bench.smoke:
        raise UserError(
            "bench_gpu: got no GPU that PyTorch can use, expected one of NVIDIA's or AMD's; "
            "on a CPU run benchmarks/bench_unroll.py, or this with --smoke"
        )
    found = {name: module for name, module in peers().items() if name == "SpikingJelly"}
    ratios = bench_layer(bench, found) + bench_dense(bench, found) + bench_conv(bench, found)
    bench_recurrent(bench)
    if ratios:
        bench.claim(
            "spikingjelly",
            "SpikingJelly's multi-step time over ours, smallest of all rows",
            min(ratios),
            "×",
            ">= 1",
        )
    bench.note = (
        f"Medians of {bench.args.repeats} interleaved runs of forward and backward. "
        + described(bench, found)
        + " SpikingJelly does the same work, not the same sum: it decays what is left after the reset, β(U − θ)."
    )


if __name__ == "__main__":
    there = "cuda" if torch.cuda.is_available() else "cpu"
    start(main, "bench_gpu", "one GPU, forward and backward", __doc__, repeats=20, device=there)
