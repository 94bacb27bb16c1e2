"""The Pi's program, run on this machine: lesson 19 with ``--fbz``, in a Python of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from akd1000.device import TEST_FILES, write_idx

import numpy as np

NOT_NEEDED = ("torch", "tensorflow", "tf_keras", "quantizeml", "cnn2snn", "matplotlib", "snntorch")
"""Large packages that a Pi need not have"""


def run_as_on_the_pi(
    script: Path, fbz: Path, x: np.ndarray, y: np.ndarray
) -> tuple[list[str], list[str]]:
    """What ``script --fbz`` prints, line by line, and which of ``NOT_NEEDED`` it loaded.

    Args:
        x: images ``(N, 28, 28, 1)`` of uint8, and ``y (N,)``, their labels. They are written as MNIST's
            own files first, as they would lie on the Pi.
    """
    argv = [str(script.resolve()), "--fbz", str(fbz.resolve()), "--data-dir", "."]
    code = (
        "import runpy, sys\n"
        f"sys.argv = {argv!r}\n"
        f"sys.path.insert(0, {str(script.resolve().parent)!r})\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        f"print('loaded', *sorted(set(sys.modules) & set({NOT_NEEDED!r})))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, array in zip(TEST_FILES, (x[..., 0], y.astype(np.uint8)), strict=True):
            write_idx(np.ascontiguousarray(array), Path(folder) / name)
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False
        )
    lines = done.stdout.strip().split("\n")
    loaded = []
    if lines[-1].startswith("loaded"):
        loaded = lines.pop().split()[1:]
    return lines + done.stderr.strip().split("\n") if done.stderr.strip() else lines, loaded
