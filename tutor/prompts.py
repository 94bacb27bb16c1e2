"""What a lesson says to the student beside its numbers: prediction questions, and what to do next."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.io import ROOT, console
from tutor import record
from tutor.journal import write_entry

if TYPE_CHECKING:
    from common.run import Run  # loads torch, which `course.py` alone does without

LETTERS = "abcdefgh"
WIDTH = 80


def scripts() -> list[str]:
    """All lesson scripts in the order of the course, without ``.py``: the only list there is."""
    names = [p.stem for p in ROOT.glob("*.py") if re.match(r"\d\d_|milestone_|capstone_", p.stem)]
    return sorted(names, key=_place)


def _place(name: str) -> str:
    """The milestone stands between 09 and 10; capstone A, Pong, before capstone B."""
    if name.startswith("milestone"):
        return "09_z"
    return name.replace("capstone_pong", "98").replace("capstone_gameworld", "99")


def predict(question: str, options: Sequence[str] = (), unit: str = "") -> str | None:
    """Ask for one prediction at the keyboard; None if it is skipped or the input ends."""
    hang = {"initial_indent": "   ? ", "subsequent_indent": "     "}
    _say("", textwrap.fill(question, WIDTH, **hang))
    for letter, option in zip(LETTERS, options, strict=False):
        _say(f"     {letter}) {option}")
    like = "a letter" if options else f"a number in {unit}" if unit else "a number"
    while True:
        try:
            text = console.input(f"     your prediction ({like}; Enter skips): ").strip()
        except EOFError:
            return None
        if not text:
            return None
        if not options and re.fullmatch(r"[-+]?\d[\d.,]*(e[-+]?\d+)?\s*\D*", text):
            return text
        place = LETTERS.find(text[0].lower())
        if options and len(text) == 1 and 0 <= place < len(options):
            return options[place]
        letters = f"a letter from a to {LETTERS[len(options) - 1]}"
        _say(f"     {letters if options else 'a number'}, please")


def ending(run: Run, journal: Path | None) -> None:
    """What to do after a run: write into ``journal`` if one is given, then exercises, quiz, next script."""
    if journal is not None:
        saved = (
            run.dir / f"metrics{run._part}.json"
        )  # as it was written: `course.py journal` knows it
        write_entry(json.loads(saved.read_text(encoding="utf-8")), journal)
        _say(f"journal    {journal.name}: entry added; its findings are yours to write")
    for i, path in enumerate(record.of_script(run.name)):
        _say(f"{'' if i else 'exercises':10} uv run exercises/{path.name}")
    if (ROOT / "quizzes" / f"{run.name}.toml").is_file():
        _say(f"quiz       uv run {run.name}.py --quiz")
    order = scripts()
    if run.name in order[:-1]:
        _say(f"next       uv run {order[order.index(run.name) + 1]}.py")


def say(*lines: str) -> None:
    """Print lines, each wrapped at 80 columns; what follows is set under the text that it belongs to."""
    for line in lines:
        hang = " " * (4 if line.startswith("  ") else 0)
        text = textwrap.wrap(line, WIDTH, subsequent_indent=hang, break_long_words=False)
        console.print("\n".join(text), markup=False)


def _say(*lines: str) -> None:
    for line in lines:
        console.print(line, markup=False)
