"""A network as a ``.fbz`` file: written whole or not at all, with its checksum, and taken to the Pi."""

from __future__ import annotations

import errno
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

from akd1000.device import TEST_FILES, checksum_file, find_test_files, load_network
from common.io import UserError, write_atomic


def save_fbz(model: Any, path: Path) -> Path:
    """Write an ``akida.Model`` as ``path``, with its checksum in ``path.sha256``.

    ``Model.save`` does not notice a full disk, and ``Model.to_buffer`` gives bytes that akida cannot read
    again from a file. So the file is read back, in a second Python (akida may crash on a damaged one),
    before it takes the old one's place.

    Raises:
        UserError: the file cannot be written; what stood there is still there.
    """

    def fill(tmp: Path) -> None:
        model.save(str(tmp))
        if _digest_of(tmp) != hashlib.sha256(model.to_buffer()).hexdigest():
            raise OSError(errno.ENOSPC, "akida wrote only a part of it, as on a full disk")

    write_atomic(path, fill)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    write_atomic(checksum_file(path), f"{digest}  {path.name}\n")  # in the form of sha256sum
    return path


def _digest_of(fbz: Path) -> str:
    """SHA-256 of the network in a file; empty if it cannot be read."""
    code = (
        "import sys, hashlib, akida; "
        "print(hashlib.sha256(akida.Model(sys.argv[1]).to_buffer()).hexdigest())"
    )
    command = [sys.executable, "-c", code, str(fbz)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def open_fbz(path: Path) -> Any:
    """The ``akida.Model`` in ``path``.

    Raises:
        UserError: there is none, it differs from its checksum, or it is damaged.
    """
    try:
        return load_network(path)
    except (ValueError, OSError) as e:
        raise UserError(str(e)) from e


def pi_commands(fbz: Path) -> list[str]:
    """Copy the network, lesson 19 and the test images to the Pi; log in; run. Three commands, as typed."""
    try:
        images, labels = find_test_files(None)
    except ValueError:
        images, labels = (Path("data/MNIST/raw") / name for name in TEST_FILES)
    host = "pi@raspberrypi.local"
    files = [
        fbz,
        checksum_file(fbz),
        Path("19_akida_deployment.py"),
        Path("akd1000"),
        images,
        labels,
    ]
    return [
        f"scp -r {' '.join(f.as_posix() for f in files)} {host}:",
        f"ssh {host}",
        f"python 19_akida_deployment.py --fbz {fbz.name} --data-dir .",
    ]
