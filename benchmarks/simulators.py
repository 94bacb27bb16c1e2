# /// script
# requires-python = ">=3.11.4,<3.13"
# dependencies = [
#   "torch==2.9.1", "torchvision==0.24.1", "torchaudio==2.9.1", "numpy==2.1.3", "snntorch==1.0.0",
#   "spikingjelly==2.0.0", "norse==1.1.0", "sinabs==3.1.3", "nir==1.0.8", "nirtorch==2.6",
#   "rich==15.0.0",
# ]
# [tool.uv]
# exclude-newer = "2026-11-01T00:00:00Z"
# override-dependencies = ["nir==1.0.8", "nirtorch==2.6"] # sinabs asks for an older nir, and reads with this one, too
# ///
"""The NIR files of lesson 17 in SpikingJelly, Norse and sinabs: as they come, and with one cause of difference alone.

    uv run 17_energy_and_export.py       writes the files: dense.nir, conv.nir, touch.nir, and .npz with their input
    uv run benchmarks/simulators.py      reads them; about a minute, and a download of 1 GB the first time

It runs in an environment of its own, which ``uv`` makes from the lines above, since the three libraries are no part of
the course. The result is ``docs/results/bench_simulators.json``, from which lesson 17 takes what it cannot measure.
"""

from __future__ import annotations

import argparse
import platform
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from common.io import UserError, one_line_errors, write_json  # noqa: E402
from exchange import simulators  # noqa: E402
from exchange.files import read_nir  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402

FILES = ("dense", "conv", "touch")
PACKAGES = ("torch", "snntorch", "numpy", "nir", "nirtorch", "spikingjelly", "norse", "sinabs")


def input_and_spikes(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """What lesson 17 gave its network, ``(T, B, …)``, and the spikes that came out ``(T, B, O)``.

    Raises:
        UserError: the file is damaged, or not lesson 17's.
    """
    try:
        with np.load(path) as kept:
            x, want = (torch.from_numpy(kept[key]).float() for key in ("x", "spikes"))
        if want.ndim != 3 or want.shape[:2] != x.shape[:2]:
            raise ValueError(f"x has the shape {tuple(x.shape)}, spikes {tuple(want.shape)}")
    except Exception as e:  # NumPy and zipfile raise a dozen kinds for damaged files
        why = " ".join(str(e).split())[:120]
        raise UserError(
            f"{path}: damaged ({why}); uv run 17_energy_and_export.py writes it anew"
        ) from e
    return x, want


def measure(folder: Path) -> list[simulators.Row]:
    """Every simulator on every file of a folder."""
    rows = []
    for name in simulators.SIMULATORS:
        for key in FILES:
            x, want = input_and_spikes(folder / f"{key}.npz")
            rows += simulators.compare(name, key, read_nir(folder / f"{key}.nir"), x, want)
    return rows


def claims_of(rows: list[simulators.Row]) -> list[dict[str, object]]:
    """What stands on the results page."""
    claims = []
    left = sum(row.differ or 0 for row in rows if row.cause == simulators.NOTHING_LEFT)
    text = "all causes taken away: output places that still differ"
    claims.append({"id": "left_over", "text": text, "value": left, "target": "== 0"})
    claims[-1]["met"] = left == 0
    for row in rows:
        if row.graph == "dense" and row.cause.startswith(simulators.AS_IT_COMES):
            text = (
                f"{row.simulator} {row.version}, dense file as it comes: output places that differ"
            )
            claims.append({"id": row.simulator, "text": text, "value": row.differ, "target": None})
            claims[-1]["met"] = None
    return [claim | {"unit": "", "n": None} for claim in claims]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--files", type=Path, default=ROOT / "results" / "17_energy_and_export", help="folder with the files")  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "bench_simulators.json", help="JSON file to write")  # fmt: skip
    args = parser.parse_args()
    missing = [f"{k}.{end}" for k in FILES for end in ("nir", "npz") if not (args.files / f"{k}.{end}").is_file()]  # fmt: skip
    if missing:
        raise UserError(
            f"no {missing[0]} in {args.files}; uv run 17_energy_and_export.py writes it"
        )
    rows = measure(args.files)
    for row in rows:
        differ = (
            f"refused: {row.said}" if row.differ is None else f"{row.differ:,} of {row.of:,} spikes"
        )
        print(f"{row.simulator:<13} {row.graph:<6} {row.cause:<34} {differ}")
    result = {
        "title": "one NIR file in three other simulators",
        "command": "benchmarks/simulators.py",
        "device": f"CPU ({platform.machine()})",
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "tables": [],
        "note": "",
        "claims": claims_of(rows),
        "rows": [asdict(row) for row in rows],
    }
    print(f"saved {write_json(args.out, result)}")


if __name__ == "__main__":
    with one_line_errors():
        main()
