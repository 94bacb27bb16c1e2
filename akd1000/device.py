"""A deployed network on the device: with akida and NumPy alone, for a Pi has neither PyTorch nor TensorFlow.

``python 19_akida_deployment.py --fbz FILE`` ends up in ``run_fbz`` before anything else is imported.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import math
import os
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

LIMIT = 50_000_000  # bytes of an idx file
INSTALL = "pip install akida==2.19.3"


def read_idx(path: Path) -> np.ndarray:
    """MNIST's file format: two zero bytes, 8 for uint8, the number of dimensions, each size in 4 bytes,
    the data; as it is or compressed (``.gz``).

    Raises:
        ValueError: the file is something else, or cut short.
    """
    try:  # no further than any file of MNIST reaches: a .gz may claim all memory
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            raw = file.read(LIMIT + 1)
    except (OSError, EOFError, zlib.error) as e:
        raise ValueError(f"{path} is damaged ({e}); copy it again") from e
    if len(raw) > LIMIT:
        raise ValueError(f"{path} has more than {LIMIT:,} bytes, more than MNIST's; copy it again")
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:
        raise ValueError(f"{path} is no idx file of bytes")
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", raw[3], offset=4))
    if len(raw) != 4 + 4 * raw[3] + math.prod(shape):
        raise ValueError(
            f"{path} holds {len(raw):,} bytes, expected {4 + 4 * raw[3] + math.prod(shape):,}; "
            "copy it again"
        )
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def write_idx(array: np.ndarray, path: Path) -> Path:
    """Write an array of uint8 in MNIST's file format."""
    sizes = np.array(array.shape, ">u4").tobytes()
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())
    return path


TEST_FILES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
FASHION_PIXELS = (
    "b7656a891b218fc13e45205c48a92cae"  # MD5 of Fashion-MNIST's test images without their header
)
LAYOUTS = ("MNIST/raw", "MNIST", "raw", ".")  # below a data folder


def data_folders(data_dir: Path | None) -> list[Path]:
    """``data_dir``, ``$SNN_DATA`` and ``data``, as ``common.data`` takes them: without the quotes of Windows.

    Raises:
        ValueError: one of the first two is given, and is no folder.
    """
    folders = []
    for flag, given in (("--data-dir", data_dir), ("SNN_DATA", os.environ.get("SNN_DATA"))):
        name = os.path.expanduser(str(given or "").strip(" \"'"))
        if name and not Path(name).is_dir():
            raise ValueError(f"{flag}: got {name}, which is no folder; create it or name another")
        folders += [Path(name)] if name else []
    return [*folders, Path("data")]


def find_test_files(data_dir: Path | None) -> tuple[Path, Path]:
    """MNIST's two test files in one of ``data_folders``: there or in the folders below it where they are
    met, plain or compressed, one like the other or not.

    Raises:
        ValueError: they are in none of them, or a folder that is named does not exist.
    """
    tried = [root / below for root in data_folders(data_dir) for below in LAYOUTS]
    for folder in tried:
        found = [_spelled(folder, name) for name in TEST_FILES]
        if all(found):
            return found[0], found[1]
    raise ValueError(
        f"no {' and '.join(TEST_FILES)}, plain or .gz, in {', '.join(map(str, tried))}; copy them from "
        "the PC and name their folder with --data-dir"
    )


def read_test_set(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    """Test images ``(N, 28, 28)`` and their labels ``(N,)``, both uint8.

    Raises:
        ValueError: a file is damaged, or they do not belong together, or are Fashion-MNIST's.
    """
    x, y = read_idx(images), read_idx(labels)
    fit = x.ndim == 3 and x.shape[1:] == (28, 28) and y.shape == x.shape[:1]
    if not fit or not len(x) or y.max() > 9:
        raise ValueError(
            f"{images} holds {x.shape} and {labels} {y.shape}, expected (N, 28, 28) and N labels 0 to 9, "
            "N at least 1; copy both again"
        )
    if hashlib.md5(x.tobytes()).hexdigest() == FASHION_PIXELS:
        raise ValueError(f"{images} is Fashion-MNIST's, whose files have the names of MNIST's")
    return x, y


def _spelled(folder: Path, name: str) -> Path | None:
    """The file as it is met: plain or ``.gz``; some archives write ``.idx3`` for ``-idx3``."""
    for stem in (name, name.replace("-idx", ".idx")):
        for path in (folder / stem, folder / f"{stem}.gz"):
            if path.is_file():
                return path
    return None


def checksum_file(fbz: Path) -> Path:
    """Where the SHA-256 of a network stands: ``net.fbz.sha256`` beside ``net.fbz``."""
    return fbz.with_name(fbz.name + ".sha256")


def load_network(fbz: Path) -> Any:
    """The ``akida.Model`` in ``fbz``.

    akida does not check a file: one cut short loads and computes with whatever lies in memory behind it,
    or ends Python altogether. So the checksum is compared where there is one, and a second Python tries
    the file first.

    Raises:
        ValueError: there is no such file, or it is damaged.
    """
    if not fbz.is_file():
        raise ValueError(f"--fbz: got {fbz}, which is no file")
    if checksum_file(fbz).is_file():
        note = checksum_file(fbz).read_text(encoding="utf-8", errors="replace")
        if note.split()[:1] != [hashlib.sha256(fbz.read_bytes()).hexdigest()]:
            raise ValueError(
                f"{fbz} differs from its checksum in {checksum_file(fbz).name}; copy both again"
            )
    try:
        import akida
    except ImportError as e:
        raise ValueError(
            f"the akida package is missing ({e}); {INSTALL} (Linux or Windows, Python 3.10 to 3.12)"
        ) from e
    attempt = (
        "import sys, akida; m = akida.Model(sys.argv[1]); "
        "assert m.layers and m.input_shape and m.output_shape"
    )
    command = [sys.executable, "-c", attempt, str(fbz)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise ValueError(
            f"{fbz} is damaged, no .fbz file, or of another akida than {akida.__version__}; "
            "make it anew on the PC"
        )
    return akida.Model(str(fbz))


def measure(
    model: Any, x: np.ndarray, y: np.ndarray | None = None, device: Any = None, repeats: int = 100
) -> dict[str, Any]:
    """Latency of one image, throughput and, on a chip, its own time and power.

    Args:
        model: ``akida.Model``; is mapped on ``device`` if there is one, else the simulator on this host
            runs it.
        x: images ``(N, H, W, C)`` of uint8.
        y: labels ``(N,)``; None: no accuracy.

    Returns:
        ``p50_ms`` and ``p95_ms`` of one image by the host's clock, ``per_second``, ``where``;
        ``accuracy`` where there are labels; ``chip_ms`` of one image where the driver counts the chip's
        clocks (the host's part is not in it); ``power_mw`` (a dict: Avg, Min, Max, Std), ``floor_mw`` and
        ``energy_mj`` per image where the card has a meter; ``clock``, the name of the chip's clock mode,
        where it tells. What was not measured has no key.
    """
    if device is not None:
        model.map(device)
    times, on_chip = [], []
    for i in range(repeats + 5):
        image = x[i % len(x)][None]
        start = time.perf_counter()
        model.predict(image)
        if i >= 5:  # five to warm up
            times.append(1000 * (time.perf_counter() - start))
            on_chip.append(_chip_ms(model, device))
    start = time.perf_counter()
    parts = [model.predict(x[i : i + 1000]) for i in range(0, len(x), 1000)]
    seconds = time.perf_counter() - start
    result = {
        "p50_ms": float(np.percentile(times, 50)),
        "p95_ms": float(np.percentile(times, 95)),
        "per_second": len(x) / seconds,
        "where": "simulator on this host" if device is None else f"hardware ({device.desc})",
    }
    if y is not None:
        answers = np.concatenate(parts).reshape(len(x), -1).argmax(1)
        result["accuracy"] = float((answers == y).mean())
    if all(on_chip):
        result["chip_ms"] = float(np.median(on_chip))
        result["clock"] = getattr(device.soc.clock_mode, "name", str(device.soc.clock_mode))
    meter = _power_meter(device)
    if meter is not None:
        # akida averages the readings of one call, so it has to last: about two seconds
        again = min(2 / seconds, 10_000 / len(x))
        model.predict(np.concatenate([x] * max(1, round(again))))
        found = model.statistics
        if found.powers:
            result["power_mw"] = found.powers
            result["energy_mj"] = found.energy
            result["floor_mw"] = meter.floor
    return result


def _chip_ms(model: Any, device: Any) -> float | None:
    """What the last image took on the chip itself; None where the driver does not tell."""
    try:
        clocks, hertz = model.statistics.inference_clk, int(device.soc.clock_mode)
        return 1000 * clocks / hertz
    except (AttributeError, RuntimeError, TypeError, ValueError, ZeroDivisionError):
        return None  # a simulator, a card without that counter, or no reading


def _power_meter(device: Any) -> Any:
    """The card's power meter, switched on; None for a simulator or a card without a sensor."""
    try:
        device.soc.power_measurement_enabled = True
        meter = device.soc.power_meter
    except (AttributeError, RuntimeError):
        return None
    time.sleep(1)  # the first readings come in after about a second: akida's own tool waits as long
    return meter


def describe_measurement(m: dict[str, Any]) -> list[str]:
    """What was measured, in lines for people. Watts appear only where a meter read them."""
    on_chip = m["where"].startswith("hardware")
    lines = [f"runs on   {m['where']}"]
    if "accuracy" in m:
        lines.append(f"accuracy  {100 * m['accuracy']:.2f} %")
    latency = f"{m['p50_ms']:.3f} ms p50, {m['p95_ms']:.3f} ms p95"
    lines.append(f"latency   {latency}, one image")
    if "chip_ms" in m:
        clock = f" (clock mode {m['clock']})" if "clock" in m else ""
        lines.append(f"chip      {m['chip_ms']:.3f} ms of it on the chip itself{clock}")
    lines.append(f"rate      {m['per_second']:,.0f} images a second")
    if not on_chip:
        lines.append("speed     is this host's: it says nothing about the chip")
    if "power_mw" in m:
        lines.append(
            f"power     {m['power_mw']['Avg']:.1f} mW on average by the card's meter, "
            f"{m['floor_mw']:.1f} mW at rest; {m['energy_mj']:.4f} mJ an image"
        )
    elif on_chip:
        lines.append("power     not measured: the card has no meter, or gave no reading")
    else:
        lines.append("power     not measured: no chip, and a simulator has no meter")
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
        images, labels = read_test_set(*find_test_files(args.data_dir))
        devices = akida.devices()
        print(f"akida     {akida.__version__}, {len(devices)} device(s) found")
        print(
            f"network   {args.fbz.name}: {len(model.layers)} layers, {args.fbz.stat().st_size:,} bytes"
        )
        print(f"data      MNIST, {len(images):,} test images")
        found = measure(model, images[..., None], labels, devices[0] if devices else None)
        print("\n".join(describe_measurement(found)))
    except (ValueError, OSError, RuntimeError) as e:  # RuntimeError: what the driver answers with
        print(f"error: {' '.join(str(e).split())}", file=sys.stderr)
        return 2
    return 0
