"""How fast frames become events: our DVS model, and v2e's beside it where v2e can be imported.

    uv run benchmarks/bench_events.py                 writes docs/results/bench_events.json
    uv run benchmarks/bench_events.py --frames 30     quicker, to try it out

v2e wants NumPy 1: run this file with the Python of v2e's environment (README) to have both in one run, on a busy
machine with OMP_NUM_THREADS=1 (torch's threads wait for one another, and v2e with them).
The engines take turns, each gets the same frames and the same pixel; the table shows the median of the repeats.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from common.claims import meets  # noqa: E402
from common.device import describe, versions  # noqa: E402
from common.io import UserError, write_json  # noqa: E402
from eventcam.events import Pixel, frames_to_events, v2e_events  # noqa: E402

SHAPE = (260, 346)
STEP_US = 2000
PIXELS = {"ideal": Pixel.ideal(), "all effects": Pixel()}


def moving_texture(num_frames: int, speed: float) -> np.ndarray:
    """Grey levels ``(T, H, W)`` uint8 of a pattern that drifts ``speed`` radians a frame over the whole picture."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.stack(
        [
            (127 + 100 * np.sin(0.2 * x + speed * t) * np.cos(0.15 * y)).astype(np.uint8)
            for t in range(num_frames)
        ]
    )


def engines() -> dict[str, Callable[..., np.ndarray]]:
    """Ours, and v2e if it is there."""
    try:
        import v2ecore.emulator  # noqa: F401
    except ImportError as e:
        print(f"v2e is left out: {e}")
        return {"ours": frames_to_events}
    return {"ours": frames_to_events, "v2e": v2e_events}


def measure(num_frames: int, repeats: int) -> list[dict[str, Any]]:
    """One dict for each clip, pixel and engine: median seconds and events."""
    found, rows = engines(), []
    t_us = STEP_US * np.arange(num_frames)
    for clip, speed in (("slow pattern", 0.01), ("fast pattern", 0.1)):
        frames = moving_texture(num_frames, speed)
        for name, pixel in PIXELS.items():
            seconds: dict[str, list[float]] = {engine: [] for engine in found}
            events = {}
            for convert in found.values():  # first calls compile and allocate
                convert(frames[:5], t_us[:5], pixel)
            for _ in range(repeats):
                for engine, convert in found.items():
                    began = time.perf_counter()
                    events[engine] = len(convert(frames, t_us, pixel))
                    seconds[engine].append(time.perf_counter() - began)
            rows += [
                {
                    "clip": clip,
                    "pixel": name,
                    "engine": engine,
                    "seconds": statistics.median(seconds[engine]),
                    "events": events[engine],
                }
                for engine in found
            ]
            print(
                f"{clip}, {name}: "
                + ", ".join(f"{e} {statistics.median(s):.2f} s" for e, s in seconds.items())
            )
    return rows


def claims(rows: list[dict[str, Any]], pixels: int) -> list[dict[str, Any]]:
    """Throughput of ours, and the ratio to v2e where it was measured."""
    ours = [r for r in rows if r["engine"] == "ours"]
    out = [
        ("seconds", "slowest conversion of ours", max(r["seconds"] for r in ours), "s", "<= 5"),
        (
            "megapixels",
            "the same as throughput",
            min(pixels / r["seconds"] for r in ours) / 1e6,
            "Mpixel/s",
            None,
        ),
    ]
    pairs = [
        (
            r,
            next(
                (
                    v
                    for v in rows
                    if v["engine"] == "v2e" and (v["clip"], v["pixel"]) == (r["clip"], r["pixel"])
                ),
                None,
            ),
        )
        for r in ours
    ]
    if all(v for _, v in pairs):
        out += [
            (
                "speed_ratio",
                "time of v2e over ours, smallest",
                min(v["seconds"] / r["seconds"] for r, v in pairs),
                "×",
                ">= 1",
            ),
            (
                "events_ratio",
                "events of v2e over ours, farthest from 1",
                max((v["events"] / r["events"] for r, v in pairs), key=lambda q: abs(np.log(q))),
                "×",
                None,
            ),
        ]
    return [
        {
            "id": i,
            "text": text,
            "value": float(value),
            "unit": unit,
            "target": target,
            "met": meets(float(value), target),
            "n": None,
        }
        for i, text, value, unit, target in out
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=300, help="frames of 346×260 pixels")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "bench_events.json")
    args = parser.parse_args()
    if args.frames < 10 or args.repeats < 1:
        parser.error(
            f"got {args.frames} frames and {args.repeats} repeats, allowed are at least 10 and 1"
        )
    logging.disable(logging.WARNING)  # v2e's emulator warns on every frame without events
    rows, pixels = measure(args.frames, args.repeats), args.frames * SHAPE[0] * SHAPE[1]
    columns = ["clip", "pixel", "engine", "seconds", "Mpixel/s", "million events/s", "events"]
    cells = [
        [
            r["clip"],
            r["pixel"],
            r["engine"],
            f"{r['seconds']:.3f}",
            f"{pixels / r['seconds'] / 1e6:.1f}",
            f"{r['events'] / r['seconds'] / 1e6:.2f}",
            f"{r['events']:,}",
        ]
        for r in rows
    ]
    widths = [max(len(str(row[i])) for row in [columns, *cells]) for i in range(len(columns))]
    for row in [columns, *cells]:
        print(
            "  ".join(
                str(c).ljust(w) if i < 3 else str(c).rjust(w)
                for i, (c, w) in enumerate(zip(row, widths, strict=True))
            )
        )
    found = claims(rows, pixels)
    for c in found:
        judged = {True: "met", False: "MISSED", None: ""}[c["met"]]
        print(f"{c['text']}: {c['value']:.4g} {c['unit']} {c['target'] or ''} {judged}".rstrip())
    result = {
        "title": "frames to events",
        "command": f"benchmarks/bench_events.py --frames {args.frames} --repeats {args.repeats}",
        "device": describe("cpu"),
        "versions": versions(),
        "tables": [
            {
                "title": f"{args.frames} frames of 346×260, one every {STEP_US / 1000:g} ms, median of "
                f"{args.repeats}",
                "columns": columns,
                "rows": cells,
            }
        ],
        "note": "v2e is its emulator on the same frames, without its slow motion and its video output; torch had "
        f"{torch.get_num_threads()} thread(s), ours uses one. Ours gives every event a time of its own; "
        "v2e spreads a frame's events over as many times as the busiest pixel has events.",
        "claims": found,
    }
    print(f"saved {write_json(args.out, result)}")


if __name__ == "__main__":
    try:
        main()
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        sys.exit(2)
