"""A deployed network on the device: with akida and NumPy alone, for a Pi has neither PyTorch nor TensorFlow.

``python 19_akida_deployment.py --fbz FILE`` ends up in ``run_fbz`` before anything else is imported.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def read_idx(path: Path) -> np.ndarray:
    """MNIST's file format: two zero bytes, 8 for uint8, the number of dimensions, each size in 4 bytes, the data.

    Raises:
        ValueError: the file is something else, or cut short.
    """
    raw = path.read_bytes()
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:
        raise ValueError(f"{path} is no idx file of bytes")
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", raw[3], offset=4))
    if len(raw) != 4 + 4 * raw[3] + int(np.prod(shape)):
        raise ValueError(
            f"{path} holds {len(raw):,} bytes, expected {4 + 4 * raw[3] + int(np.prod(shape)):,}; "
            "copy it again"
        )
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


TEST_FILES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def find_test_files(data_dir: Path | None) -> tuple[Path, Path]:
    """MNIST's two test files in ``data_dir``, ``$SNN_DATA`` or ``data``: there, or in ``MNIST/raw`` below it.

    Raises:
        ValueError: they are in none of them.
    """
    roots = [Path(p) for p in (data_dir, os.environ.get("SNN_DATA"), "data") if p]
    for folder in (f for root in roots for f in (root, root / "MNIST" / "raw")):
        if all((folder / name).is_file() for name in TEST_FILES):
            return folder / TEST_FILES[0], folder / TEST_FILES[1]
    raise ValueError(
        f"no {' and '.join(TEST_FILES)} in {', '.join(str(r) for r in roots)}; copy them from the PC "
        "and name their folder with --data-dir"
    )


def checksum_file(fbz: Path) -> Path:
    """Where the SHA-256 of a network stands: ``net.fbz.sha256`` beside ``net.fbz``."""
    return fbz.with_name(fbz.name + ".sha256")


def write_checksum(fbz: Path) -> Path:
    """Note the SHA-256 of ``fbz`` beside it, in the form of ``sha256sum``."""
    path = checksum_file(fbz)
    path.write_text(
        f"{hashlib.sha256(fbz.read_bytes()).hexdigest()}  {fbz.name}\n", encoding="utf-8"
    )
    return path


def load_network(fbz: Path) -> Any:
    """The ``akida.Model`` in ``fbz``.

    akida 2.19.1 does not check a file: one cut short loads and computes with whatever lies in memory behind it, or
    ends Python altogether. So the checksum is compared where there is one, and a second Python tries the file first.

    Raises:
        ValueError: there is no such file, or it is damaged.
    """
    if not fbz.is_file():
        raise ValueError(f"--fbz: got {fbz}, which is no file")
    if checksum_file(fbz).is_file():
        wanted = (
            checksum_file(fbz).read_text(encoding="utf-8", errors="replace").split(maxsplit=1)[:1]
        )
        if wanted != [hashlib.sha256(fbz.read_bytes()).hexdigest()]:
            raise ValueError(
                f"{fbz} differs from its checksum in {checksum_file(fbz).name}; copy both again"
            )
    try:
        import akida
    except ImportError as e:
        raise ValueError(
            f"the akida package is missing ({e}); pip install akida==2.19.1 (Linux or Windows, "
            "Python 3.10 to 3.12)"
        ) from e
    attempt = "import sys, akida; m = akida.Model(sys.argv[1]); assert m.layers and m.input_shape and m.output_shape"
    if subprocess.run(
        [sys.executable, "-c", attempt, str(fbz)], capture_output=True, check=False
    ).returncode:
        raise ValueError(
            f"{fbz} is damaged, no .fbz file, or of another akida than {akida.__version__}; "
            "make it anew on the PC"
        )
    return akida.Model(str(fbz))


def power_meter(device: Any) -> Any:
    """The device, with its power meter switched on; None if it has none (virtual devices, cards without a sensor)."""
    try:
        device.soc.power_measurement_enabled = True
    except (AttributeError, RuntimeError):
        return None
    time.sleep(1)  # the first readings come in after a moment
    return device.soc.power_meter


def measure_akida(
    model: Any, x: np.ndarray, y: np.ndarray, device: Any = None, repeats: int = 100
) -> dict[str, Any]:
    """Accuracy, latency of one image, throughput and, if the device has a meter, power.

    Args:
        model: ``akida.Model``; is mapped on ``device`` if there is one, else the simulator on this host runs it.
        x: images ``(N, 28, 28, 1)`` of uint8; y: labels ``(N,)``.

    Returns:
        ``accuracy``, ``p50_ms``, ``p95_ms``, ``per_second``, ``where``; on hardware with a meter also ``power_mw``
        (a dict: Avg, Min, Max, Std), ``floor_mw`` and ``energy_mj`` per image. No meter, no such keys.
    """
    meter = None
    if device is not None:
        model.map(device)
        meter = power_meter(device)
    times = []
    for i in range(repeats):
        start = time.perf_counter()
        model.predict(x[i % len(x)][None])
        times.append(1000 * (time.perf_counter() - start))
    start = time.perf_counter()
    logits = np.concatenate(
        [model.predict(x[i : i + 1000]) for i in range(0, len(x), 1000)]
    ).reshape(len(x), -1)
    seconds = time.perf_counter() - start
    result = {
        "accuracy": float((logits.argmax(1) == y).mean()),
        "p50_ms": float(np.percentile(times, 50)),
        "p95_ms": float(np.percentile(times, 95)),
        "per_second": len(x) / seconds,
        "where": f"hardware ({device.desc})" if device is not None else "simulator on this host",
    }
    if meter is not None:
        model.predict(x)  # one long batch: the meter averages its readings over the last call
        if model.statistics.powers:
            result |= {
                "power_mw": model.statistics.powers,
                "energy_mj": model.statistics.energy,
                "floor_mw": meter.floor,
            }
    return result


def describe_measurement(m: dict[str, Any]) -> list[str]:
    """What was measured, in lines for people. Watts appear only where a meter read them."""
    simulated = (
        ""
        if m["where"].startswith("hardware")
        else "  (this host's speed: it says nothing about the chip)"
    )
    lines = [
        f"runs on   {m['where']}",
        f"accuracy  {100 * m['accuracy']:.2f} %",
        f"latency   {m['p50_ms']:.3f} ms p50, {m['p95_ms']:.3f} ms p95, one image{simulated}",
        f"rate      {m['per_second']:,.0f} images a second{simulated}",
    ]
    if "power_mw" in m:
        lines.append(
            f"power     {m['power_mw']['Avg']:.1f} mW on average by the card's meter, {m['floor_mw']:.1f} mW "
            f"at rest; {m['energy_mj']:.4f} mJ an image"
        )
    else:
        lines.append(
            "power     not measured: "
            + (
                "no chip, and a simulator has no meter"
                if simulated
                else "the card has no meter, or the run was too short for a reading"
            )
        )
    return lines


def run_fbz(argv: list[str]) -> int:
    """``--fbz FILE [--data-dir DIR]``: run a deployed network on MNIST's test images. Returns the exit code."""

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> Any:
            raise ValueError(f"{message}; allowed with --fbz are: --fbz FILE [--data-dir DIR]")

    parser = Parser(
        allow_abbrev=False, description="Run a deployed network with akida and numpy alone."
    )
    parser.add_argument("--fbz", type=Path, required=True, help="the network, as the PC saved it")
    parser.add_argument(
        "--data-dir",
        type=Path,
        help="folder of MNIST's test files (default: $SNN_DATA, then data/)",
    )
    try:
        args = parser.parse_args(argv)
        model = load_network(args.fbz)
        import akida

        if tuple(model.input_shape) != (28, 28, 1):
            raise ValueError(
                f"{args.fbz} takes images {tuple(model.input_shape)}, expected (28, 28, 1): MNIST's"
            )
        images, labels = (read_idx(path) for path in find_test_files(args.data_dir))
        devices = akida.devices()
        print(f"akida     {akida.__version__}, {len(devices)} device(s) found")
        print(
            f"network   {args.fbz.name}: {len(model.layers)} layers, {args.fbz.stat().st_size:,} bytes"
        )
        print(f"data      MNIST, {len(images):,} test images")
        print(
            *describe_measurement(
                measure_akida(model, images[..., None], labels, devices[0] if devices else None)
            ),
            sep="\n",
        )
    except (ValueError, OSError, RuntimeError) as e:  # RuntimeError: what the driver answers with
        print(f"error: {' '.join(str(e).split())}", file=sys.stderr)
        return 2
    return 0


def pi_commands(fbz: Path) -> list[str]:
    """Copy the network, this script and the test images to the Pi; log in; run. Three commands, as typed."""
    try:
        images, labels = find_test_files(None)
    except ValueError:
        images, labels = (Path("data/MNIST/raw") / name for name in TEST_FILES)
    host = "pi@raspberrypi.local"
    files = f"{fbz.as_posix()} {checksum_file(fbz).as_posix()}"
    return [
        f"scp -r {files} 19_akida_deployment.py common {images.as_posix()} {labels.as_posix()} {host}:",
        f"ssh {host}",
        f"python 19_akida_deployment.py --fbz {fbz.name} --data-dir .",
    ]
