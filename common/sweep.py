"""Many small trainings that differ in a setting: resumable, in parallel if asked, and the same numbers either way.

A point's result is one JSON file, written whole or not at all, with a fingerprint of everything that decides it. A run
that was cut goes on with the points that are missing; a point whose settings have changed is made anew.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

from common.io import UserError, write_json

import torch


def fingerprint(*settings: Any, code: Sequence[Any] = ()) -> str:
    """Sixteen hex digits that change with any of the settings (a file counts by its content) or of the functions and
    classes in ``code``."""
    parts = [
        hashlib.sha256(s.read_bytes()).hexdigest() if isinstance(s, Path) else s for s in settings
    ]
    text = json.dumps([parts, [inspect.getsource(c) for c in code]], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def finished(path: Path, mark: str) -> dict[str, Any] | None:
    """The result in a point's file; None if there is none, or if it is damaged or of other settings."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        return saved["result"] if saved["fingerprint"] == mark else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _one(
    work: Callable[..., dict[str, Any]], args: tuple[Any, ...], path: Path, mark: str
) -> dict[str, Any]:
    """One point, on one thread: a sum over several threads depends on their number in its last bit, and a spike may
    hang on that bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        write_json(path, {"fingerprint": mark, "result": work(*args)})
    finally:
        torch.set_num_threads(threads)
    result = finished(path, mark)  # as read back: a resumed run sees the same digits
    assert result is not None
    return result


def _as_worker() -> None:
    """Ctrl-C is for the parent alone; and a worker whose parent was killed does not wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None
    Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def sweep(
    work: Callable[..., dict[str, Any]],
    tasks: Mapping[str, tuple[Any, ...]],
    marks: Mapping[str, str],
    folder: Path,
    *,
    jobs: int = 1,
    resume: bool = False,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ``(name, work(*tasks[name]))`` for every task as it gets ready; what is finished already comes first.

    Args:
        work: a function of a script or module, with arguments that can be pickled; its result goes to JSON.
        tasks: arguments by name; the name is that of the file, ``<folder>/<name>.json``.
        marks: the fingerprint of each.
        jobs: processes at a time. Each starts afresh (spawn, which every system has), with one thread.
        resume: take over what ``folder`` holds of the same fingerprint.

    Raises:
        UserError: a worker process was lost.
    """
    paths = {name: folder / f"{name}.json" for name in tasks}
    done = {n: r for n in tasks if resume and (r := finished(paths[n], marks[n])) is not None}
    yield from done.items()
    todo = [name for name in tasks if name not in done]
    if jobs == 1 or len(todo) < 2:
        for name in todo:
            yield name, _one(work, tasks[name], paths[name], marks[name])
        return
    pool = ProcessPoolExecutor(min(jobs, len(todo)), get_context("spawn"), _as_worker)
    try:
        futures = {pool.submit(_one, work, tasks[n], paths[n], marks[n]): n for n in todo}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as e:
        raise UserError(
            "a worker process was lost, perhaps for want of memory; use fewer --jobs and go on with "
            "--resume"
        ) from e
    finally:
        pool.shutdown(wait=True, cancel_futures=True)  # what is under way is finished and kept
