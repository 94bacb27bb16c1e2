"""The packages of the Akida stack, imported where they are needed and without their noise.

A Keras network is quantised by ``quantizeml`` and converted by ``cnn2snn``; ``akida`` maps and runs it.
The first import of TensorFlow, on which the first two stand, takes ten seconds or more.
Documentation: https://doc.brainchipinc.com/
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from common.akida import NO_MACOS
from common.io import UserError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing on standard output or error inside, not even what C++ writes there, and no Python warnings.

    TensorFlow's libraries report on GPUs that are not there before any setting can silence them.
    """
    saved = None
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it may be closed, or None
        sys.stderr.flush()
        saved = os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        if saved is not None:
            os.dup2(saved, 2)
            os.close(saved)


def load(package: str) -> Any:
    """Import ``akida``, ``cnn2snn``, ``quantizeml`` or ``tf_keras``.

    Raises:
        UserError: it is not installed, with what to do.
    """
    if sys.modules.get(package) is not None:
        return sys.modules[package]
    try:
        with quiet():
            return import_module(package)
    except ImportError as e:
        how = (
            "install the course's packages with 'uv sync', or with "
            "'uv pip install -r requirements-pc.txt'"
        )
        if sys.platform == "darwin":
            how = f"{NO_MACOS}; run this part on Linux or Windows"
        raise UserError(f"Akida: the package '{e.name or package}' is missing; {how}") from e


def keras(threads: int = 2) -> Any:
    """``tf_keras``, the Keras that quantizeml works on: silenced, on the CPU, with few threads.

    TensorFlow would otherwise take a GPU's whole memory from PyTorch. ``$OMP_NUM_THREADS`` limits the
    threads further.

    Raises:
        UserError: TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    is_first = "tensorflow" not in sys.modules
    tf = load("tensorflow")
    if is_first:
        tf.get_logger().setLevel("ERROR")
        with contextlib.suppress(ValueError):  # the variable holds no number
            threads = min(threads, int(os.environ.get("OMP_NUM_THREADS", threads)))
        with contextlib.suppress(RuntimeError):  # too late once something ran
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
            tf.config.set_visible_devices([], "GPU")
    return load("tf_keras")


def missing() -> list[str]:
    """Those of the four packages of the Akida stack that cannot be imported here."""
    names = []
    for package in ("tensorflow", "akida", "quantizeml", "cnn2snn"):
        try:
            keras() if package == "tensorflow" else load(package)
        except UserError:
            names.append(package)
    return names
