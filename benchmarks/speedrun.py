"""Speed-run: train a spiking network to a fixed accuracy in as little time as possible

    uv run benchmarks/speedrun.py --track mnist_985                     the record's entry, five seeds
    uv run benchmarks/speedrun.py --track mnist_985 --entry my.py       yours
    uv run benchmarks/speedrun.py --track mnist_985 --entry my.py --validate   while you try things out

An entry is a Python file with one function, ``train(x, y, seed, device)``: training images ``(N, C, H, W)`` of uint8
and their labels in, a ``torch.nn.Module`` out whose ``classify(x)`` takes images ``(B, C, H, W)`` of uint8 and gives
classes ``(B,)``. The rules stand in README.md beside this file, and so do the records.

The clock runs from the call of ``train`` to its return. Before that, the entry has trained once on 512 images, so that
whatever it compiles is compiled. Seconds are those of the wall and those of the processor: the first decide, and the
second say how far to trust them (on a busy machine the wall's are longer, on several cores shorter).

Operations are counted here, not by the entry: every linear or convolution layer that ``classify`` calls is watched. An
input that is a whole number counts as that many spikes, each of which is one addition in every output that it reaches;
any other input that is not zero counts as a multiplication there. Layers with weights have to be modules, then, and a
network that hides some of its work from the count is not a valid entry.
"""

from __future__ import annotations

import _root  # noqa: F401

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from common.cost import WEIGHTED
from common.data import ImageData, cifar10, mnist
from common.device import synchronize
from common.io import UserError, console

import torch
from side_by_side import Bench, start
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
COUNTED = 200
"""Test images on which operations are counted."""
WARM_UP = 512
"""Training images of the run that is not timed."""


@dataclass(frozen=True)
class Track:
    """A goal: mean test accuracy of at least five trainings, on a kind of machine."""

    load: Callable[..., ImageData]
    target: float
    """share of the complete test set"""
    machine: str
    entry: str
    """file of the record's entry, in entries/"""


TWO_CORES = "two CPU cores"
TRACKS = {
    "mnist_985": Track(mnist, 0.985, TWO_CORES, "mnist_985"),
    "mnist_99": Track(mnist, 0.99, TWO_CORES, "mnist_99"),
    "cifar10_80": Track(cifar10, 0.80, TWO_CORES, "cifar10_80"),
    "cifar10_85": Track(cifar10, 0.85, TWO_CORES, "cifar10_85"),
    "cifar10_92": Track(cifar10, 0.92, "one GPU", "cifar10_92"),
}


@dataclass
class Attempt:
    """One training."""

    accuracy: float
    seconds: float
    """of the wall"""
    cpu_seconds: float
    acs: float
    """additions an image, caused by spikes"""
    macs: float
    """multiplications an image"""


def load_entry(path: Path) -> ModuleType:
    """Import an entry from its file.

    Raises:
        UserError: there is no such file, it has no ``train``, or importing it fails.
    """
    if not path.is_file():
        raise UserError(
            f"--entry: got {path}, expected a Python file with a function train(x, y, seed, device)"
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as e:  # whatever a stranger's file may raise
        raise UserError(f"--entry: {path} cannot be imported: {e!r}") from e
    if not callable(getattr(module, "train", None)):
        raise UserError(f"--entry: {path} has no function train(x, y, seed, device)")
    return module


def classify(net: nn.Module, x: Tensor) -> Tensor:
    """The classes that an entry's network gives to images ``(B, C, H, W)``, ``(B,)``.

    Raises:
        UserError: it gives something else.
    """
    with torch.no_grad():
        answer = net.classify(x)
    if not isinstance(answer, Tensor) or answer.shape != x.shape[:1]:
        shape = tuple(getattr(answer, "shape", ()))
        raise UserError(
            f"the entry's classify(x) gave {shape}, expected one class an image, ({len(x)},)"
        )
    return answer


def accuracy(net: nn.Module, x: Tensor, y: Tensor, batch_size: int = 500) -> float:
    """Share of images ``x (N, C, H, W)`` that get their class ``y (N,)``."""
    right = 0
    for x_b, y_b in zip(x.split(batch_size), y.split(batch_size), strict=True):
        right += (classify(net, x_b) == y_b).sum().item()
    return right / len(x)


def reached(layer: nn.Module, x: Tensor) -> float:
    """Sum over the outputs of ``layer`` of all inputs that reach them: its pass with weights of 1."""
    ones = {name: torch.full_like(p, name == "weight") for name, p in layer.named_parameters()}
    return torch.func.functional_call(layer, ones, x).double().sum().item()


def operations(net: nn.Module, x: Tensor) -> tuple[float, float]:
    """Additions and multiplications an image ``x (B, C, H, W)``, watched in every layer with weights."""
    total = {"acs": 0.0, "macs": 0.0}
    watching = True

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], _: Any) -> None:
        nonlocal watching
        if not watching:  # the pass with weights of 1 calls the layer again
            return
        watching = False
        given = inputs[0].float()
        spikes = bool((given == given.round()).all()) and bool((given >= 0).all())
        kind = "acs" if spikes else "macs"
        total[kind] += reached(layer, given if spikes else (given != 0).float())
        watching = True

    layers = [layer for layer in net.modules() if isinstance(layer, WEIGHTED)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    try:
        classify(net, x)
    finally:
        for hook in hooks:
            hook.remove()
    if not sum(total.values()):
        raise UserError(
            "the entry's network calls no linear or convolution layer, so nothing can be counted"
        )
    return total["acs"] / len(x), total["macs"] / len(x)


def attempt(
    entry: ModuleType, train: tuple[Tensor, Tensor], judge: tuple[Tensor, Tensor], seed: int
) -> Attempt:
    """Train once against the clock, then read all of ``judge``."""
    device = train[0].device
    torch.manual_seed(seed)
    synchronize(device)
    began, cpu_began = time.perf_counter(), time.process_time()
    net = entry.train(*train, seed, device)
    synchronize(device)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    if not isinstance(net, nn.Module) or not callable(getattr(net, "classify", None)):
        name = type(net).__name__
        raise UserError(f"the entry's train() returned {name}, expected a module with classify(x)")
    net.eval()
    right = accuracy(net, *judge)
    return Attempt(right, seconds, cpu_seconds, *operations(net, judge[0][:COUNTED]))


def record_row(found: dict[str, Any]) -> str:
    """A track's line of the table in README.md, from the JSON of its run."""
    value = {claim["id"]: claim["value"] for claim in found["claims"]}
    cells = (
        found["claims"][0]["text"].split(":")[0],
        f"{100 * value['accuracy']:.2f} %",
        f"{value['seconds']:.1f} s",
        f"{value['cpu_seconds']:.1f} s",
        f"{value['synops']:,.0f}",
        f"{value['macs']:,.0f}",
        found["device"],
    )
    return "| " + " | ".join(cells) + " |"


def flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this benchmark."""
    parser.add_argument("--track", choices=list(TRACKS), default="mnist_985", help="the goal")
    parser.add_argument(
        "--entry", type=Path, default=None, help="file with train(); the record's if left out"
    )
    parser.add_argument(
        "--seeds", type=int, default=5, help="trainings; a record needs five or more"
    )
    parser.add_argument(
        "--validate",
        action="store_true",
        help="hold back 5,000 training images and judge by them, not by the test images",
    )


def main(bench: Bench) -> None:
    args = bench.args
    track = TRACKS[args.track]
    if args.seeds < 1:
        raise UserError(f"--seeds: got {args.seeds}, allowed is 1 or more")
    path = args.entry or HERE / "entries" / f"{track.entry}.py"
    if args.entry is None and not path.is_file():
        raise UserError(
            f"{args.track} has no entry yet: name yours with --entry, and it is the record"
        )
    entry = load_entry(path)
    source = "stand-in" if bench.smoke else "auto"
    sizes = {"n_train": 600} if bench.smoke else {}
    held_back = 5_000 if args.validate else 0
    data = track.load(
        args.data_dir, source=source, n_val=100 if bench.smoke else held_back, **sizes
    )
    if data.stand_in and not bench.smoke:
        raise UserError(f"got no {data.name}; name its folder with --data-dir")
    train = (data.x_train.to(bench.device), data.y_train.to(bench.device))
    judged = "validation" if args.validate else "test"
    judge = (data.x_val, data.y_val) if args.validate else (data.x_test, data.y_test)
    judge = (judge[0].to(bench.device), judge[1].to(bench.device))

    entry.train(train[0][:WARM_UP], train[1][:WARM_UP], 0, bench.device)  # compiles
    seeds = 1 if bench.smoke else args.seeds
    attempts = []
    for seed in range(seeds):
        found = attempt(entry, train, judge, seed)
        attempts.append(found)
        console.print(
            f"seed {seed}: {100 * found.accuracy:.2f} %, {found.seconds:.1f} s "
            f"({found.cpu_seconds:.1f} s of the processor)"
        )

    mean = statistics.mean(a.accuracy for a in attempts)
    wall = statistics.mean(a.seconds for a in attempts)
    cpu = statistics.mean(a.cpu_seconds for a in attempts)
    acs = statistics.mean(a.acs for a in attempts)
    macs = statistics.mean(a.macs for a in attempts)
    rows = []
    for seed, a in enumerate(attempts):
        rows.append([seed, f"{100 * a.accuracy:.2f} %", f"{a.seconds:.1f}", f"{a.cpu_seconds:.1f}"])
    title = f"{args.track}: {path.stem}, {len(judge[1]):,} {judged} images of {data.name}"
    bench.table(title, ["seed", "right", "seconds", "CPU seconds"], rows)
    goal = f">= {track.target}"
    bench.claim(
        "accuracy", f"{args.track}: {judged} images right, mean of {seeds}", mean, "1", goal
    )
    bench.claim("seconds", f"{args.track}: seconds of training, mean", wall, "s")
    bench.claim("cpu_seconds", f"{args.track}: CPU seconds of training, mean", cpu, "s")
    bench.claim("synops", f"{args.track}: SynOps an image (additions)", acs, "")
    bench.claim("macs", f"{args.track}: multiplications an image", macs, "")
    valid = seeds >= 5 and not args.validate and mean >= track.target
    bench.note = f"Entry {path.name}, {args.threads} threads, {track.machine}. " + (
        "A valid record."
        if valid
        else "Not a record: that takes five seeds, the test images, and the goal."
    )


if __name__ == "__main__":
    start(
        main,
        "speedrun",
        "speed-run: training to a fixed accuracy",
        __doc__,
        repeats=1,
        own_flags=flags,
        file="bench_speedrun_{track}",
    )
