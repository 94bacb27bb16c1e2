"""Where the repository is, the one error a user can mend, and the one way a file is written."""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from common import missing
from datafiles.weights import pack, unpack

from rich.console import Console
from rich.progress import track

if TYPE_CHECKING:
    import torch  # takes seconds to load: what only reads files does without it

console = Console(highlight=False, soft_wrap=True)
T = TypeVar("T")
OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.EPIPE)
ROOT = Path(__file__).resolve().parent.parent


class UserError(Exception):
    """Something the user can put right: shown as one line on standard error, exit code 2."""


def process_number(name: str, default: int) -> int:
    """A number that torchrun leaves in the environment, such as ``RANK``; a ``UserError`` if it is none."""
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise UserError(
            f"got {name}={text!r} in the environment, expected a number as torchrun sets it; "
            f"unset {name}, or start with torchrun"
        )
    return int(text)


def is_rank_zero() -> bool:
    """True in the one process that prints and saves (always true without torchrun)."""
    rank, size = process_number("RANK", 0), process_number("WORLD_SIZE", 1)
    if rank >= size:  # it would run in silence, and nobody would save
        raise UserError(
            f"got RANK={rank} and WORLD_SIZE={size} in the environment, expected a rank below the "
            "size; unset both, or start with torchrun"
        )
    return rank == 0


def progress_allowed() -> bool:
    """A live line makes sense only in a terminal, and in one process."""
    return is_rank_zero() and console.is_terminal and "CI" not in os.environ


def live(items: Iterable[T], text: str, total: int, quiet: bool = False) -> Iterable[T]:
    """``items``, with a progress bar in a terminal; none in a log file, or if ``quiet``."""
    show = progress_allowed() and not quiet
    return track(items, text, total, console=console, transient=True, disable=not show)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line on standard error for what the user can put right.

    Exit codes: 2 bad input, a missing package or no memory left; 130 Ctrl-C. Any other exception
    is a fault of ours and keeps its traceback.
    """
    for stream in (sys.stdout, sys.stderr):  # a Windows console may not be UTF-8
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        try:
            yield
        finally:
            if sys.stdout:
                sys.stdout.flush()  # a disk that is full says so here, at the latest
    except KeyboardInterrupt:
        print("\nstopped by Ctrl-C; a lesson that trains goes on with --resume", file=sys.stderr)
        sys.exit(130)
    except (UserError, ModuleNotFoundError, MemoryError, RuntimeError, OSError) as e:
        line = _for_the_user(e)
        if line is None:
            raise
        if isinstance(e, OSError) and sys.stdout:  # what could not be printed is not tried again
            sys.stdout = open(os.devnull, "w", encoding="utf-8")
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


def _for_the_user(e: Exception) -> str | None:
    """What the user is told about an exception; None if it is a fault of ours."""
    text = " ".join(str(e).split())
    if isinstance(e, UserError):
        return text
    if isinstance(e, OSError) and e.errno in OF_THE_MACHINE:
        where = e.filename or "what this prints"
        return f"{where}: {e.strerror}; free the disk, or choose another place"
    if isinstance(e, ModuleNotFoundError):  # imported where it is needed, so perhaps late
        return missing(e)
    words = ("can't allocate memory", "out of memory", "not enough memory")
    if isinstance(e, MemoryError) or any(w in text for w in words):
        return (
            "out of memory: what learning keeps grows with time; lower --num-steps or --batch-size"
        )
    return None


def tutor(part: str) -> Any:
    """A module of the tutor: it stands above this package and is looked up by name, when wanted."""
    return importlib.import_module(f"tutor.{part}")


def write_atomic(path: Path, content: bytes | str | Callable[[Path], object]) -> Path:
    """Write a file whole or not at all: into a temporary file beside it, which is then renamed.

    A cut, a full disk or Ctrl-C leaves the old file as it was. A link stays a link, and the
    file keeps its mode.

    Args:
        content: bytes; a text, written as UTF-8 with line ends unchanged; or, for libraries that
            insist on a file of their own, a function that fills the temporary path it is given.

    Raises:
        UserError: the folder or the file cannot be written, or the disk is full.
    """
    path = Path(path)
    target = path.resolve() if path.is_symlink() else path
    tmp = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(tmp)
        else:
            tmp.write_bytes(content.encode() if isinstance(content, str) else content)
        with open(tmp, "rb+") as written:
            os.fsync(written.fileno())  # a disk that is full says so here, at the latest
        if target.exists():
            if not os.access(target, os.W_OK) or not target.stat().st_mode & 0o222:
                raise PermissionError(13, "it is read-only")  # renaming would get round that
            tmp.chmod(target.stat().st_mode & 0o777)
        os.replace(tmp, target)
    except OSError as e:
        raise UserError(
            f"cannot write {path}: {e.strerror or e}; nothing that stood there was changed. "
            "Free the disk or choose another folder (--out-dir)"
        ) from e
    finally:
        with contextlib.suppress(OSError):
            tmp.unlink(missing_ok=True)
    return path


def write_json(path: Path, value: Any) -> Path:
    """Write ``value`` as indented JSON; NaN and infinity are refused, for JSON has no such numbers."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, default=_plain)
    return write_atomic(path, text + "\n")


def as_read(value: Any) -> Any:
    """``value`` as a JSON file gives it back: lists for tuples and tensors, text for paths."""
    return json.loads(json.dumps(value, allow_nan=False, default=_plain))


def save_weights(net: torch.nn.Module, path: Path) -> Path:
    """Write a network's weights as safetensors, with their digest."""
    weights = {k: v.detach().cpu().contiguous().clone() for k, v in net.state_dict().items()}
    return write_atomic(path, pack(weights))


def load_weights(net: torch.nn.Module, path: Path) -> torch.nn.Module:
    """Put the weights of a ``.safetensors`` file into ``net``, all of them, and return it.

    Raises:
        UserError: the file is missing, damaged, or of another architecture.
    """
    if not path.is_file():
        raise UserError(f"got no weights in {path}; train them first, or name another file")
    try:
        there = unpack(path)
    except Exception as e:
        kind = type(e).__name__
        raise UserError(f"{path} is damaged or no safetensors file ({kind}); make it anew") from e
    here = net.state_dict()
    for k in sorted(here | there):
        a, b = (tuple(w[k].shape) if k in w else "absent" for w in (there, here))
        if a != b:
            raise UserError(
                f"{path} holds another architecture: {k} is {a} there, {b} here; use the same "
                "sizes, or train these weights anew"
            )
    net.load_state_dict(there)
    return net


def _plain(value: Any) -> Any:
    """Turn tensors, NumPy scalars, paths and dataclasses into what JSON has."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)
