"""Which exercises there are, and which of them were passed: files, and one record of the results.

``results/exercises.json`` holds, for every exercise that was passed, the date and a digest of the
part that the student edits: a change after that is noticed.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

from common.io import ROOT, UserError, console, write_json

FOLDER = ROOT / "exercises"
SOLUTIONS = FOLDER / "solutions"
RECORD = ROOT / "results" / "exercises.json"
MARK = "# ---- nothing to edit below this line"
PATIENCE = 30.0
"""Seconds to wait for another process that is writing the record."""

Passed = dict[str, dict[str, str]]


def exercise_files(prefix: str = "") -> list[Path]:
    """All exercises in the order of the course, or those whose key starts with ``prefix``."""
    return sorted(FOLDER.glob(f"{prefix}*_*.py" if prefix else "[0-9a-z]*_*.py"))


def of_script(name: str) -> list[Path]:
    """The exercises of a script: those that begin with its number. Capstone A has 21, capstone B 22."""
    number = {"capstone_pong": "21", "capstone_gameworld": "22"}.get(name, name[:2])
    return exercise_files(number) if number.isdigit() else []


def end_of_students_part(path: Path) -> int | None:
    """The line number of the mark below which nothing is to be edited; None without one."""
    head, mark, _ = path.read_text(encoding="utf-8", errors="replace").partition(MARK)
    return head.count("\n") + 1 if mark else None


def digest(path: Path) -> str:
    """Twelve hex digits of the part of an exercise that the student edits."""
    text = path.read_text(encoding="utf-8", errors="replace").partition(MARK)[0]
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def passed() -> Passed:
    """What was passed: key → digest of the file then, and the date; empty if nothing was.

    Raises:
        UserError: the record is damaged.
    """
    if not RECORD.is_file():
        return {}
    try:
        found = json.loads(RECORD.read_text(encoding="utf-8"))
        return {key: {"digest": row["digest"], "date": row["date"]} for key, row in found.items()}
    except Exception as e:  # a damaged file has more ways to fail than a list of types could name
        raise UserError(
            f"{RECORD.name} is damaged ({type(e).__name__}); "
            "'uv run course.py check' makes it anew from your exercises"
        ) from e


def standing(path: Path, known: Passed) -> str:
    """``passed`` as it stands, ``changed`` since it was passed, or ``open``."""
    row = known.get(path.name[:3])
    if row is None:
        return "open"
    return "passed" if row["digest"] == digest(path) else "changed"


def remember(path: Path) -> None:
    """Note that the exercise at ``path`` is right as it stands; under a lock, so that nothing is lost.

    Raises:
        UserError: the record cannot be written.
    """
    from filelock import FileLock, Timeout

    row = {"digest": digest(path), "date": date.today().isoformat()}
    try:
        RECORD.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(RECORD.with_name(f".{RECORD.name}.lock"), timeout=PATIENCE):
            try:
                known = passed()
            except UserError as e:
                console.print(f"  note: {e}", markup=False)
                known = {}
            write_json(RECORD, known | {path.name[:3]: row})
    except Timeout as e:
        raise UserError(
            f"cannot write {RECORD}: another process has held it for {PATIENCE:.0f} s"
        ) from e
    except OSError as e:
        raise UserError(f"cannot write {RECORD}: {e.strerror or e}") from e
