"""Running code that a student wrote: whatever it does, it ends, and its errors are one line."""

from __future__ import annotations

import contextlib
import ctypes
import linecache
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, TracebackType

from common.io import UserError

LOAD_SECONDS = 60.0
WAITING = 20  # code that only waits is stopped after so many times its limit
DEBUGGERS = ("pdb", "bdb", "pydevd")


class TooLong(BaseException):
    """Raised inside code that runs for longer than it may; no ``except Exception`` stops it."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise ``TooLong`` in the block after ``seconds`` of this process on a processor, so that an
    endless loop ends and a busy machine stops nobody.

    Code that waits for something, and takes no processor, has ``WAITING`` times as long. The error
    arrives between two lines of Python, so a single call into C, such as ``time.sleep``, is waited
    for. Somebody who has stopped in a debugger has all the time in the world.
    """
    thread, over = threading.get_ident(), threading.Event()
    worked, began = time.process_time(), time.monotonic()

    def watch() -> None:
        left = seconds
        while left > 0:
            if over.wait(min(left, 0.1)):
                return
            waited = (time.monotonic() - began) / WAITING
            left = seconds - max(time.process_time() - worked, waited)
        frame = sys._current_frames().get(thread)
        while frame is not None:
            if Path(frame.f_code.co_filename).stem in DEBUGGERS:
                return
            frame = frame.f_back
        _raise_in(thread, TooLong)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        _raise_in(thread, None)  # one that is on its way must not arrive after the block


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    argument = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), argument)


def load(path: Path, name: str) -> ModuleType:
    """Run a Python file as the module ``name``, always as it stands on disk now.

    Nothing compiled is left beside it: such a file could be older than the source that was saved
    a moment ago. What stands in the same folder can be imported from it.

    Raises:
        UserError: the file is not there, or does not run to its end; says in which line and why.
    """
    if not path.is_file():
        raise UserError(f"got no file {path}")
    linecache.checkcache(str(path))
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        with time_limit(LOAD_SECONDS):
            code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
            exec(code, vars(module))
    except (Exception, SystemExit, TooLong) as e:
        raise UserError(f"{path.name}, {in_one_line(e, path)}") from e
    return module


def frames(e: BaseException, path: Path, end: int | None = None) -> list[traceback.FrameSummary]:
    """The places in ``path`` that an error went through, the innermost last.

    Args:
        end: only lines before this one; None: the whole file.
    """
    found = []
    for frame in traceback.extract_tb(e.__traceback__):
        here = Path(frame.filename).resolve() == path.resolve()
        if here and (end is None or (frame.lineno or 0) < end):
            found.append(frame)
    return found


def in_one_line(e: BaseException, path: Path, end: int | None = None) -> str:
    """The line of ``path`` in which an error happened, and what it was: ``line 7 (…): …``."""
    if isinstance(e, SyntaxError):
        number, source = e.lineno, (e.text or "").strip()
        what = f"{type(e).__name__}: {e.msg}"
    else:
        places = frames(e, path, end)
        number = places[-1].lineno if places else None
        source = (places[-1].line or "") if places else ""
        what = _said(e)
    source = textwrap.shorten(source, 60, placeholder=" …")
    if number is None:
        return what
    return f"line {number} ({source}): {what}" if source else f"line {number}: {what}"


def _said(e: BaseException) -> str:
    if isinstance(e, TooLong):
        return "still running, and stopped. Is there a loop that never ends?"
    if isinstance(e, SystemExit):
        return "the code ends Python here; take the exit out"
    return f"{type(e).__name__}: {' '.join(str(e).split())}".removesuffix(": ")


def errors_in_one_line(folder: Path) -> None:
    """If the program that runs stands in ``folder``, an error that nobody catches is one line.

    An exercise run by itself is such a program: what the student wrote above the checks may fail
    before any of them begins.
    """
    program = Path(getattr(sys.modules["__main__"], "__file__", None) or "").resolve()
    before = sys.excepthook

    def hook(kind: type[BaseException], e: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, Exception):
            print(f"error: {program.name}, {in_one_line(e, program)}", file=sys.stderr)
        else:
            before(kind, e, trace)

    if program.parent == folder:
        sys.excepthook = hook
