"""Checking exercises: one after the other, or each time that its file is saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.io import UserError
from tutor import exercises, record
from tutor.prompts import say

if TYPE_CHECKING:
    import threading


def find_exercises(words: Sequence[str]) -> list[Path]:
    """The exercises meant by ``01`` (a lesson's), ``01a`` or a file name; all of them by no word.

    Raises:
        UserError: a word fits none.
    """
    files = record.exercise_files()
    if not words:
        return files
    found = []
    for word in words:
        stem = Path(word).stem
        if stem[:1].isdigit() and not stem[1:2].isdigit():
            stem = f"0{stem}"
        fits = [path for path in files if stem and path.stem.startswith(stem)]
        if not fits:
            there = ", ".join(path.name[:3] for path in files) or "none"
            raise UserError(f"got {word or 'nothing'}, which is no exercise; there are: {there}")
        found += fits
    return sorted(set(found))


def check(words: Sequence[str] = ()) -> bool:
    """Check exercises, each with its own lines; True if all are right."""
    files = find_exercises(words)
    if not files:
        say("There are no exercises in exercises/.")
        return True
    right = [check_file(path, brief=len(files) > 1) for path in files]
    if len(files) > 1:
        say("", f"{sum(right)} of {len(files)} right")
    return all(right)


def check_file(path: Path, brief: bool = False) -> bool:
    """Check one file as it stands now; whatever is wrong with it is said in a line."""
    try:
        return exercises.load(path).report(brief)
    except UserError as e:
        say(f"{path.name[:3]}  {path.stem[4:].replace('_', ' ')}", f"  ✗ {e}")
        return False


def watch(word: str = "", stop: threading.Event | None = None) -> None:
    """Check an exercise whenever its file is saved; Ctrl-C ends it.

    Args:
        word: watch these exercises only, and check them once at the start; empty: whatever is saved.
        stop: ends the watching when it is set.

    Raises:
        UserError: there is no such exercise, or no folder to watch.
    """
    from watchfiles import watch as changes

    wanted = find_exercises([word]) if word else []
    if not record.FOLDER.is_dir():
        raise UserError(f"got no folder {record.FOLDER}")
    what = ", ".join(path.name for path in wanted) or "exercises/"
    try:
        for path in wanted:
            check_file(path)
        say("", f"Watching {what}: save, and it is checked. Ctrl-C ends.")
        for batch in changes(record.FOLDER, stop_event=stop, recursive=False):
            saved = {Path(name).resolve() for _, name in batch}
            for path in wanted or record.exercise_files():
                if path.resolve() in saved and path.is_file():
                    say("")
                    check_file(path)
    except KeyboardInterrupt:
        pass
    say("", "stopped watching")
