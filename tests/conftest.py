"""Tests run from the repository's root, without a display and without the network, on one thread each.

The whole suite is shared by two processes or more (pytest-xdist, ``--dist loadfile``: the tests of a file stay together,
so that what its fixtures have computed serves them all). A single file runs in one. ``-n 0`` keeps everything in one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
if sys.dont_write_bytecode and "PYTHONPYCACHEPREFIX" not in os.environ:
    # A machine that keeps no .pyc files would compile PyTorch anew in each process that a test starts: 10 s a time.
    kept = str(ROOT / ".pytest_cache" / "pycache")
    sys.dont_write_bytecode, sys.pycache_prefix = False, kept
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = kept
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processes would take each other's cores
for folder in (ROOT, ROOT / "tests"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
os.chdir(ROOT)

from helpers import draft_figures, search_less  # noqa: E402  (the folders have to be known first)

draft_figures()
search_less()  # while libraries are imported, too

MOST_WORKERS = 4
"""A worker takes 2 GB of memory."""
FIRST = ("smoke", "capstone_pong", "19_", "16_", "akd1000", "14_", "exchange", "00_")
"""How the files begin that take longest: started last, one of them would be left alone with one core."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes share the tests: one where only one file was asked for."""
    asked = [Path(arg.split("::")[0]) for arg in config.args]
    if all(path.suffix == ".py" for path in asked) and len(set(asked)) == 1:
        return 0
    workers = min(MOST_WORKERS, os.cpu_count() or 1)
    return workers if workers > 1 else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; the order within a file stays."""

    def rank(item: pytest.Item) -> int:
        name = item.path.stem.removeprefix("test_")
        return next((i for i, start in enumerate(FIRST) if name.startswith(start)), len(FIRST))

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Search less for cycles; refuse a test file that changes the number of threads as it is imported.

    All tests of all files would then run with so many: on two cores some took 25 times as long.
    """
    search_less()
    torch = sys.modules.get("torch")
    threads = int(os.environ["OMP_NUM_THREADS"])
    if torch is not None and torch.get_num_threads() != threads:
        raise pytest.UsageError(
            f"after the import of the tests PyTorch has {torch.get_num_threads()} threads, and not {threads}: "
            "set the number in a fixture that puts it back"
        )
