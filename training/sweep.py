"""Many small trainings that differ in a setting: the same numbers in one process or several, and resumable.

A point's result is one JSON file, written whole, with a fingerprint of all that decides it and a digest of itself.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from threading import Thread
from typing import Any

from common.io import UserError, as_read, live, write_json

import psutil
import torch
from joblib import Parallel, delayed


@functools.cache
def _source(code: Any) -> str:
    """The source of a class or function. Python reads the whole file anew for each question about a class."""
    return inspect.getsource(code)


def fingerprint(*settings: Any, code: Sequence[Any] = ()) -> str:
    """Sixteen hex digits; another setting, file content (of a path) or source (of ``code``) gives others."""
    parts = [
        hashlib.sha256(s.read_bytes()).hexdigest() if isinstance(s, Path) else s for s in settings
    ]
    text = json.dumps([parts, [_source(c) for c in code]], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def finished(path: Path, mark: str) -> dict[str, Any] | None:
    """A point's result; None if its file is missing, damaged, or of another fingerprint."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        whole = saved["digest"] == fingerprint(saved["result"])
        return saved["result"] if whole and saved["fingerprint"] == mark else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _one(name: str, path: Path, mark: str, work: Callable[..., Any], args: Any) -> tuple[str, Any]:
    """One point, on one thread: the last bit of a sum depends on their number, and a spike may hang on it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        result = as_read(work(*args))  # as a resumed run will read it
    finally:
        torch.set_num_threads(threads)
    kept = {"fingerprint": mark, "digest": fingerprint(result), "result": result}
    write_json(path, kept)
    return name, result


def _as_worker() -> None:
    """Ctrl-C is for the parent alone, which ends its workers; of a killed parent nothing is left running."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = psutil.Process().parent()
    Thread(target=lambda: (parent and parent.wait(), os._exit(1)), daemon=True).start()


def sweep(
    run: Any,
    work: Callable[..., dict[str, Any]],
    tasks: Mapping[str, tuple[Any, ...]],
    marks: Mapping[str, str],
    jobs: int = 1,
    resume: bool = False,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ``(name, work(*tasks[name]))`` for each task as it gets ready, those taken over first.

    Args:
        run: the lesson's run; a point is kept as ``<run.dir>/points/<name>.json``.
        marks: the fingerprint of each task.
        jobs: processes at a time, each started afresh on every system.
        resume: take over finished points of the same fingerprint; ``run.resumed`` says how many.

    Raises:
        UserError: a worker process was lost.
    """
    files = {name: (run.dir / "points" / f"{name}.json", marks[name]) for name in tasks}
    done = {n: r for n in tasks if resume and (r := finished(*files[n])) is not None}
    if done:
        run.resumed.append(f"{len(done)} of {len(tasks)} points of the sweep")
    yield from done.items()
    todo = [delayed(_one)(n, *files[n], work, tasks[n]) for n in tasks if n not in done]
    workers = Parallel(
        n_jobs=max(1, min(jobs, len(todo))),
        return_as="generator_unordered",
        batch_size=1,  # each point is reported as soon as it is ready
        initializer=_as_worker,
    )
    try:
        yield from workers(todo)
    except BrokenProcessPool as e:
        text = (
            "a worker process was lost, perhaps for want of memory; use fewer --jobs, and --resume"
        )
        raise UserError(text) from e


IDLE = {"data_dir", "out_dir", "device", "stand_in", "only", "predict", "show", "quiz", "journal"}
IDLE |= {"jobs", "resume", "seed", "seeds", "repeats"}
"""Flags that change no single training: each task names its own seed."""


def train_all(
    run: Any,
    work: Callable[..., dict[str, Any]],
    tasks: Mapping[str, tuple[Any, ...]],
    code: Sequence[Any],
    data: Any = None,
) -> dict[str, dict[str, Any]]:
    """``sweep`` for a lesson: what ``work(cfg, data, *task)`` returns for each named task.

    ``--jobs`` at a time. With ``--resume``, what is finished is taken over if the lesson's settings,
    the task, ``data`` and the ``code`` are the same.
    """
    cfg = run.cfg
    facts = {name: value for name, value in vars(cfg).items() if name not in IDLE}
    if data:
        facts["data"] = data.facts()
    args = {}
    marks = {}
    for name, task in tasks.items():
        args[name] = (cfg, data, *task)
        marks[name] = fingerprint(facts, *task, code=code)
    results = sweep(run, work, args, marks, cfg.jobs, cfg.resume)
    return dict(live(results, "   trainings", len(tasks)))
