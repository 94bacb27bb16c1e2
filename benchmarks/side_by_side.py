"""What the benchmarks share: flags, interleaved timing, the printed table and the JSON that RESULTS.md is made of."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from common.claims import meets, show_target, show_value  # noqa: E402
from common.device import describe, pick_device, synchronize, versions  # noqa: E402
from common.io import UserError, console, write_json  # noqa: E402
from multistep import keep_freed_memory, saved_for_backward  # noqa: E402

import torch  # noqa: E402
from rich.table import Table  # noqa: E402


@dataclass
class Bench:
    """One benchmark: what it was asked for, and what it found."""

    script: str
    title: str
    args: argparse.Namespace
    tables: list[dict[str, Any]] = field(default_factory=list)
    claims: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""

    @property
    def smoke(self) -> bool:
        return self.args.smoke

    @property
    def device(self) -> torch.device:
        return self.args.device

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table and keep it."""
        cells = [[f"{c:.4g}" if isinstance(c, float) else str(c) for c in row] for row in rows]
        self.tables.append({"title": title, "columns": list(columns), "rows": cells})
        shown = Table(title=title, title_justify="left", title_style="bold")
        for i, column in enumerate(columns):
            shown.add_column(column, justify="left" if i == 0 else "right")
        for row in cells:
            shown.add_row(*row)
        console.print(shown)

    def claim(self, id: str, text: str, value: float, unit: str, target: str | None = None) -> None:
        """Keep a number, and judge it unless this is a smoke run."""
        met = None if self.smoke else meets(value, target)
        self.claims.append(
            {
                "id": id,
                "text": text,
                "value": value,
                "unit": unit,
                "target": target,
                "met": met,
                "n": None,
            }
        )

    def finish(self) -> Path:
        """Print the claims and write the JSON."""
        shown = Table(title="What was measured", title_justify="left", title_style="bold")
        for i, column in enumerate(("claim", "value", "target", "")):
            shown.add_column(column, justify="right" if i in (1, 2) else "left")
        for c in self.claims:
            judged = {True: "met", False: "MISSED", None: ""}[c["met"]]
            shown.add_row(
                c["text"],
                show_value(c["value"], c["unit"]),
                show_target(c["target"], c["unit"]),
                judged,
            )
        console.print(shown)
        flags = ""
        for flag, default in self.args.defaults.items():
            value = getattr(self.args, flag)
            if value != default:
                flags += f" --{flag} {value}"
        path = write_json(
            self.args.out,
            {
                "title": self.title,
                "command": f"benchmarks/{self.script}.py{' --smoke' if self.smoke else ''}{flags}",
                "device": describe(self.device),
                "versions": versions(),
                "tables": self.tables,
                "note": self.note,
                "claims": self.claims,
            },
        )
        console.print(f"saved     {path}")
        return path


def start(
    main: Callable[[Bench], None],
    name: str,
    title: str,
    doc: str | None,
    repeats: int = 9,
    argv: Sequence[str] | None = None,
    device: str = "cpu",
    own_flags: Callable[[argparse.ArgumentParser], None] | None = None,
    file: str = "",
) -> None:
    """Read the flags, run ``main``, write what it found; what the user can put right ends with one line and code 2.

    Args:
        own_flags: adds this benchmark's flags to the parser.
        file: name of the result, with flags in braces (``speedrun_{track}``); the script's if empty.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--repeats", type=int, default=None, help=f"interleaved runs of each contender ({repeats})"
    )
    parser.add_argument(
        "--threads", type=int, default=min(2, os.cpu_count() or 1), help="CPU threads of PyTorch"
    )
    parser.add_argument(
        "--device", default=device, help="cpu, cuda (also an AMD GPU under ROCm) or mps"
    )
    parser.add_argument(
        "--data-dir", type=Path, default=None, help="folder that holds the data sets"
    )
    parser.add_argument(
        "--out", type=Path, default=None, help="JSON file to write (docs/results/…)"
    )
    parser.add_argument(
        "--smoke", action="store_true", help="seconds, tiny sizes: only to see that it works"
    )
    shared = {"repeats": repeats, "threads": parser.get_default("threads")}
    if own_flags:
        before = set(vars(parser.parse_args([])))
        own_flags(parser)
        shared |= {k: v for k, v in vars(parser.parse_args([])).items() if k not in before}
    args = parser.parse_args(argv)
    args.defaults = shared
    args.repeats = args.repeats or (2 if args.smoke else repeats)
    try:
        if args.repeats < 1 or args.threads < 1:
            raise UserError(
                f"got {args.repeats} repeats and {args.threads} threads, allowed is at least 1 of each"
            )
        try:
            args.device = pick_device(args.device)
        except ValueError as e:
            raise UserError(f"--device: {e}") from e
        suffix = "" if args.device.type == "cpu" else f"_{args.device.type}"
        args.out = (
            args.out
            or (ROOT / "results" / "smoke" if args.smoke else ROOT / "docs" / "results")
            / f"{(file or name).format(**vars(args))}{suffix}.json"
        )
        keep_freed_memory()  # for all contenders alike, as in every lesson
        torch.set_num_threads(args.threads)
        torch.manual_seed(0)
        bench = Bench(name, title, args)
        main(bench)
        bench.finish()
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        sys.exit(2)


def race(
    contenders: dict[str, Callable[[], Any]], repeats: int, device: torch.device
) -> dict[str, float]:
    """Median milliseconds of each contender. They take turns, so that a busy moment of the machine meets them all."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(repeats + 1):  # the first turn warms up
        for name, run in contenders.items():
            synchronize(device)
            began = time.perf_counter()
            run()
            synchronize(device)
            if i:
                seconds[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(s) for name, s in seconds.items()}


def kept_bytes(forward: Callable[[], Any], leave_out: Sequence[torch.Tensor] = ()) -> int:
    """Bytes that autograd keeps alive until backward, without the parameters and inputs ``leave_out``."""
    with saved_for_backward(leave_out) as kept:
        out = forward()
        found = kept()
    del out
    return found


def peers() -> dict[str, Any]:
    """SpikingJelly and Norse, those of them that are installed."""
    import importlib
    import warnings

    found = {}
    os.environ.setdefault(
        "TF_CPP_MIN_LOG_LEVEL", "3"
    )  # Norse imports TensorBoard, which imports TensorFlow
    for name, module in (
        ("SpikingJelly", "spikingjelly.activation_based.neuron"),
        ("Norse", "norse.torch"),
    ):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found[name] = importlib.import_module(module)
        except ImportError as e:
            console.print(f"{name} is left out: {e}")
    return found


def peer_versions(found: Sequence[str]) -> str:
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name.lower())}" for name in found)
