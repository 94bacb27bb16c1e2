"""Writing to the student's journal: what a lesson measured, and how a quiz went.

Entries are only ever appended: every byte the student wrote stays. The file is written whole to a temporary
name and renamed, so that a cut leaves the old journal as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.io import UserError

if TYPE_CHECKING:
    from tutor.quiz import QuizResult

TEMPLATE = """# Journal

My log of the course *Learning Spiking Neural Networks*: what I ran, what was measured, what I make of it.
"""
PROMPTS = (
    "What I predicted before running, and what happened:",
    "What surprised me, and why it is so:",
    "What I changed, and what that did:",
    "What I still do not understand:",
)


def write_entry(metrics: Mapping[str, Any], path: Path) -> None:
    """Append the entry of one run, made from its ``metrics.json``.

    The entry carries a hidden mark made from the run's numbers: one run is entered once, however often it is
    asked for; a new run of the same lesson is a new entry.

    Raises:
        UserError: the journal cannot be read as UTF-8 or cannot be written.
    """
    lesson = str(metrics.get("lesson", "a lesson"))
    digest = hashlib.sha256(json.dumps(metrics, sort_keys=True, default=str).encode()).hexdigest()[
        :12
    ]
    lines = [
        f"## {_line(lesson)}",
        f"<!-- run {digest} -->",
        "",
        "### Date",
        "",
        _now(),
        "",
        "### What I ran",
        "",
        *_ran(metrics),
        "",
        "### What was measured",
        "",
    ]
    claims = metrics.get("claims") or []
    met = {True: "yes", False: "no"}
    lines += _table(
        ("claim", "value", "target", "met", "n"),
        [
            (
                c.get("text", c.get("id")),
                f"{_number(c.get('value'))} {_unit(c)}".strip(),
                c.get("target"),
                met.get(c.get("met"), ""),
                _number(c.get("n")),
            )
            for c in claims
        ],
    )
    rows = metrics.get("ledger") or []
    if rows:
        head = list(dict.fromkeys(key for row in rows for key in row))
        lines += ["", *_table(head, [[_number(row.get(key)) for key in head] for row in rows])]
    if metrics.get("analysis"):
        lines += ["", "### Analysis", "", str(metrics["analysis"]).strip()]
    lines += ["", "### My findings", "", *(f"- {prompt}" for prompt in PROMPTS)]
    _append(path, "\n".join(lines), mark=f"<!-- run {digest} -->")


def write_quiz(result: QuizResult, path: Path) -> None:
    """Append date, score and weak areas of a quiz.

    Raises:
        UserError: the journal cannot be read as UTF-8 or cannot be written.
    """
    weak = [f"- {_line(topic)} (read: {_line(read)})" for topic, read in result.weak] or ["- none"]
    _append(
        path,
        "\n".join(
            [
                f"## Quiz: {_line(result.script)}",
                "",
                f"- Date: {_now()}",
                f"- Score: {sum(result.points):g} of {result.total} points ({result.score:.0%}), {result.grade}",
                "",
                "Weak areas:",
                "",
                *weak,
            ]
        ),
    )


def _ran(metrics: Mapping[str, Any]) -> list[str]:
    """The list under *What I ran*; what the metrics do not say is left out."""
    data, versions = metrics.get("data") or {}, metrics.get("versions") or {}
    name = f"{data.get('name', '')}{' (stand-in for the real set)' if data.get('stand_in') else ''}"
    sizes = (
        json.dumps(data["sizes"], ensure_ascii=False).replace('"', "") if data.get("sizes") else ""
    )
    seconds, memory = metrics.get("wall_seconds"), metrics.get("peak_memory")
    facts = {
        "Command": f"`{metrics['command']}`" if metrics.get("command") else "",
        "Scale": metrics.get("scale"),
        "Data": f"{name} {sizes}".strip(),
        "Device": metrics.get("device"),
        "Seed": metrics.get("seed"),
        "Versions": ", ".join(f"{k} {v}" for k, v in versions.items()),
        "Time": f"{seconds:.1f} s" if isinstance(seconds, int | float) else "",
        "Peak memory": f"{memory / 2**20:.0f} MiB" if isinstance(memory, int | float) else "",
    }
    return [f"- {key}: {_line(value)}" for key, value in facts.items() if value not in ("", None)]


def _now() -> str:
    return datetime.now().strftime("%Y-%m-%d %H:%M")


def _line(text: object) -> str:
    """One line of text: line breaks inside a name must not start a heading of their own."""
    return " ".join(str(text).split())


def _unit(claim: Mapping[str, Any]) -> str:
    return "" if claim.get("unit") in (None, "1") else str(claim["unit"])


def _number(value: object) -> str:
    """Whole numbers whole, others with four significant digits, nothing for None."""
    if value is None:
        return ""
    return (
        f"{value:.4g}"
        if isinstance(value, float) and not value.is_integer()
        else (f"{value:.0f}" if isinstance(value, float) and abs(value) < 1e9 else str(value))
    )


def _table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """A Markdown table as lines."""
    cells = [
        [_line("" if c is None else c).replace("|", "\\|") for c in row] for row in (columns, *rows)
    ]
    head, *body = [f"| {' | '.join(row)} |" for row in cells]
    return [head, "|" + "---|" * len(cells[0]), *body]


def _append(path: Path, entry: str, mark: str = "") -> None:
    """Add ``entry`` at the end of the journal, unless ``mark`` already stands in it."""
    path = Path(path).resolve()  # a link stays a link: its target is replaced, not the link
    tmp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        old = path.read_bytes() if path.exists() else TEMPLATE.encode()
        text = old.decode("utf-8")
        if mark and mark in text:
            return
        if (
            path.exists() and not path.stat().st_mode & 0o222
        ):  # renaming would get round the protection
            raise PermissionError(13, "it is read-only")
        newline = "\r\n" if "\r\n" in text else "\n"
        gap = "" if not text else newline if text.endswith("\n") else newline * 2
        path.parent.mkdir(parents=True, exist_ok=True)
        tmp.write_bytes(old + (gap + entry.replace("\n", newline) + newline).encode())
        if path.exists():
            shutil.copymode(path, tmp)
        os.replace(tmp, path)
    except UnicodeDecodeError as e:
        raise UserError(
            f"{path.name} is not UTF-8 (byte {e.start}); save it as UTF-8 and try again"
        ) from e
    except OSError as e:
        raise UserError(
            f"cannot write {path.name}: {e.strerror or e}; nothing in it was changed"
        ) from e
    finally:
        tmp.unlink(missing_ok=True)
