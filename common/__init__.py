"""What every lesson uses, and only plumbing. What a lesson teaches stands in that lesson.

Scripts import it before torch, which takes seconds to load: from here on Ctrl-C ends in one line.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
from pathlib import Path
from typing import Any


def missing(error: BaseException) -> str | None:
    """What the user is told about a package that is not there; None if that is a fault of ours."""
    name, root = getattr(error, "name", None) or "common", Path(__file__).resolve().parents[1]
    if not isinstance(error, ModuleNotFoundError) or (root / name.split(".")[0]).is_dir():
        return None
    return (
        f"the package '{name}' is missing; install the course's packages with 'uv sync' or "
        "'uv pip install -r requirements-pc.txt'"
    )


def _excepthook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Python's own report of an error nobody caught, but one line for Ctrl-C and a missing package."""
    text = missing(error)
    if text is None and not issubclass(kind, KeyboardInterrupt):
        return sys.__excepthook__(kind, error, trace)
    print(f"error: {text}" if text else "\nstopped by Ctrl-C", file=sys.stderr, flush=True)
    os._exit(2 if text else 130)  # without another word from threads that still hold on


def _unraisablehook(what: Any) -> None:
    """Ctrl-C in a destructor, where Python prints a traceback and goes on: press it once more, a moment later."""
    if not issubclass(what.exc_type, KeyboardInterrupt):
        return _before(what)
    threading.Timer(0.05, _thread.interrupt_main).start()


_before = sys.unraisablehook
sys.excepthook, sys.unraisablehook = _excepthook, _unraisablehook
