"""Writing to the student's journal: what a run predicted, found and measured, and how a quiz went.

Entries are only ever appended: every byte the student wrote stays. Reading, adding and writing happen
under a lock, so that two lessons that end at the same moment both leave their entry.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.claims import show_target, show_value
from common.io import UserError, write_atomic

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from tutor.quiz import QuizResult

TEMPLATE = """# Journal

My log of the course *Learning Spiking Neural Networks*: what I ran, what was measured, what I make of it.
"""
PROMPTS = (
    "One sentence a section, in my own words:",
    "What surprised me, and why it is so:",
    "Which exercise took longest, and what I had not understood:",
    "What I changed, and what that did:",
    "What I still do not understand:",
)
MOST_CLAIMS = 8
"""Rows of an entry's table of claims; all of them stand in metrics.json."""
PATIENCE = 30.0
"""Seconds to wait for another process that is writing to the same file."""


# -------------------------------------------------------------------- entries


def write_entry(metrics: Mapping[str, Any], path: Path) -> None:
    """Append the entry of one run, made from its ``metrics.json``.

    The entry carries a hidden mark made from the run's numbers. One run is entered once, however
    often it is asked for; a new run of the same lesson is a new entry.

    Raises:
        UserError: the journal cannot be read as UTF-8 or cannot be written.
    """
    text = json.dumps(metrics, sort_keys=True, default=str)
    mark = f"<!-- run {hashlib.sha256(text.encode()).hexdigest()[:12]} -->"
    lines = [f"## {_line(metrics.get('lesson', 'a lesson'))}", mark, "", "### Date", "", _now()]
    lines += ["", "### What I ran", "", *_ran(metrics)]
    lines += _chapter("What I predicted, and what was measured", _predicted(metrics))
    lines += _chapter("What was found", _found(metrics))
    lines += _chapter("Claims and their targets", _measured(metrics))
    if metrics.get("analysis"):
        lines += _chapter("Analysis", [str(metrics["analysis"]).strip()])
    lines += _chapter("My findings", [f"- {prompt}" for prompt in PROMPTS])
    _append_entry(path, "\n".join(lines), mark)


def write_quiz(result: QuizResult, path: Path) -> None:
    """Append date, score and weak areas of a quiz.

    Raises:
        UserError: the journal cannot be read as UTF-8 or cannot be written.
    """
    points = f"{sum(result.points):g} of {result.total} points ({result.score:.0%})"
    lines = [f"## Quiz: {_line(result.script)}", ""]
    lines += [f"- Date: {_now()}", f"- Score: {points}, {result.grade}"]
    lines += ["", "Weak areas:", ""]
    for topic, read in result.weak:
        lines.append(f"- {_line(topic)} (read: {_line(read)})")
    if not result.weak:
        lines.append("- none")
    _append_entry(path, "\n".join(lines))


def _chapter(title: str, lines: Sequence[str]) -> list[str]:
    """A heading and what stands under it; nothing where nothing stands."""
    if not lines:
        return []
    return ["", f"### {title}", "", *lines]


def _ran(metrics: Mapping[str, Any]) -> list[str]:
    """The list under *What I ran*; what the metrics do not say is left out."""
    versions = metrics.get("versions") or {}
    seconds = metrics.get(
        "seconds", metrics.get("wall_seconds")
    )  # the second name is the older one
    memory = metrics.get("memory", metrics.get("peak_memory"))
    facts = {
        "Command": f"`{metrics['command']}`" if metrics.get("command") else "",
        "Scale": metrics.get("scale"),
        "Data": _data(metrics.get("data") or {}),
        "Device": metrics.get("device"),
        "Seed": metrics.get("seed"),
        "Versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "Time": f"{seconds:.1f} s" if _is_number(seconds) else "",
        "Peak memory": f"{memory / 2**20:.0f} MiB" if _is_number(memory) else "",
        "Resumed": ", ".join(str(part) for part in metrics.get("resumed") or []),
    }
    return [f"- {key}: {_line(value)}" for key, value in facts.items() if value not in ("", None)]


def _data(data: Mapping[str, Any]) -> str:
    """Names and sizes of the data: MNIST (train 55,000, test 10,000)."""
    sizes = data.get("sizes") or {}
    texts = []
    for name, parts in sizes.items():
        counts = ", ".join(f"{part} {_count(n)}" for part, n in parts.items())
        texts.append(f"{name} ({counts})")
    text = ", ".join(texts) or str(data.get("name", ""))
    return f"{text}, a stand-in for the real set" if data.get("stand_in") else text


def _predicted(metrics: Mapping[str, Any]) -> list[str]:
    """A table of the predictions beside what was measured."""
    rows = []
    for row in metrics.get("predictions") or []:
        cells = (row.get("section"), row.get("question"), row.get("guess"), row.get("measured"))
        rows.append(cells)
    head = ("section", "question", "my prediction", "measured")
    return _table(head, rows) if rows else []


def _found(metrics: Mapping[str, Any]) -> list[str]:
    """The findings of the run, section by section."""
    lines = []
    for finding in metrics.get("findings") or []:
        section = finding.get("section")
        place = f"Section {section}: " if section is not None else ""
        lines.append(f"- {place}{_line(finding.get('text', ''))}")
    return lines


def _measured(metrics: Mapping[str, Any]) -> list[str]:
    """A short table of the claims that were judged, those that missed first, and the run's note."""
    claims = metrics.get("claims") or []
    missed = [c for c in claims if c.get("met") is False]
    shown = missed + [c for c in claims if c.get("met") is True]
    if not shown and not metrics.get("findings"):
        shown = claims  # nothing else would be said of this run
    rows = []
    for claim in shown[:MOST_CLAIMS]:
        value, unit = claim.get("value"), str(claim.get("unit") or "")
        met = {True: "yes", False: "no"}.get(claim.get("met"), "")
        rows.append(
            (
                claim.get("text", claim.get("id")),
                show_value(value, unit) if _is_number(value) else value,
                show_target(claim.get("target"), unit),
                met,
                _count(claim.get("n")),
            )
        )
    lines = _table(("claim", "value", "target", "met", "n"), rows) if rows else []
    left = len(claims) - len(rows)
    if rows and left:
        lines += ["", f"{left} more in `metrics.json`."]
    if metrics.get("note"):
        lines += ["", _line(metrics["note"])] if lines else [_line(metrics["note"])]
    return lines


def _table(columns: Iterable[object], rows: Iterable[Iterable[object]]) -> list[str]:
    """A Markdown table as lines."""
    lines = []
    for row in (columns, *rows):
        cells = [_line("" if cell is None else cell).replace("|", "\\|") for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    lines.insert(1, "|" + "---|" * len(list(columns)))
    return lines


def _now() -> str:
    return datetime.now().strftime("%Y-%m-%d %H:%M")


def _line(text: object) -> str:
    """One line of text: line breaks inside a name must not start a heading of their own."""
    return " ".join(str(text).split())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: object) -> str:
    """A number of things, with thousands set apart; nothing for None."""
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)


# -------------------------------------------------------------------- adding to a file


def append(path: Path, addition: Callable[[bytes | None], bytes]) -> None:
    """Add bytes at the end of a file that several processes may write; every old byte stays.

    A link stays a link, and the file keeps its mode. A cut leaves the old file as it was. The lock
    is the file ``.<name>.lock`` beside it, which stays: removing it would let two processes in.

    Args:
        addition: gets what the file holds, or None if there is none; returns what is to follow.

    Raises:
        UserError: the file cannot be read or written, or another process does not let go of it.
    """
    path = Path(path).resolve()  # two links to one file share its lock
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=PATIENCE):
            old = path.read_bytes() if path.exists() else None
            new = addition(old)
            if new:
                write_atomic(path, (old or b"") + new)
    except Timeout as e:
        raise UserError(
            f"cannot write {path}: another process has held it for {PATIENCE:.0f} s; "
            "end that one and try again"
        ) from e
    except OSError as e:
        raise UserError(f"cannot write {path}: {e.strerror or e}; nothing in it was changed") from e


def _append_entry(path: Path, entry: str, mark: str = "") -> None:
    """Add ``entry`` at the end of the journal, unless ``mark`` already stands in it."""

    def addition(old: bytes | None) -> bytes:
        start = TEMPLATE if old is None else ""
        try:
            text = start if old is None else old.decode("utf-8")
        except UnicodeDecodeError as e:
            raise UserError(
                f"{path.name} is not UTF-8 (byte {e.start}); save it as UTF-8 and try again"
            ) from e
        if "\0" in text:  # UTF-16 without its mark: each letter would be followed by a zero
            raise UserError(f"{path.name} holds zero bytes; save it as UTF-8 and try again")
        if mark and mark in text:
            return b""
        newline = "\r\n" if "\r\n" in text else "\n"
        gap = newline * 2
        if text.endswith("\n"):
            gap = newline
        if not text:
            gap = ""
        return (start + gap + entry.replace("\n", newline) + newline).encode()

    append(path, addition)
