"""The questions of a quiz: ``quizzes/<script>.toml``, read and checked; answers as people type them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from common.io import UserError

QUIZZES = Path(__file__).resolve().parent.parent / "quizzes"
LETTERS = "abcdefgh"
SKILLS = ("recall", "reason", "compute")
NEEDED = ("topic", "kind", "question", "why", "hint", "read")
OPTIONAL = ("unit", "from_result", "skill")
WORDS = {"t": True, "true": True, "f": False, "false": False}
LIKE = {
    "choice": "a letter from a to {}",
    "order": "all letters from a to {} in order, such as b a …",
    "truefalse": "t or f",
    "number": "a number",
}


@dataclass(frozen=True)
class Question:
    """One question. ``answer`` is a letter (choice), letters in order (order), a bool, or a float (number).

    With ``from_result`` the answer of a number question is that claim of the lesson's metrics.json times
    ``factor``, and ``{value}`` in the question shows the claim; ``answer`` holds while there is no result.
    """

    topic: str
    kind: str
    question: str
    answer: Any
    why: str
    hint: str
    read: str
    options: tuple[str, ...] = ()
    tolerance: float | str = 0.0  # absolute, or relative as "5 %"
    unit: str = ""
    from_result: str = ""
    factor: float = 1.0
    skill: str = "recall"

    def prompt(self) -> str:
        """What an answer may look like."""
        like = LIKE[self.kind].format(LETTERS[len(self.options) - 1])
        return f"{like} in {self.unit}" if self.unit else like

    def parse(self, text: str) -> Any:
        """What was typed, in the form of ``answer`` (a number as all its readings); None if it is none."""
        text = text.strip().lower().replace("−", "-")
        if self.kind == "truefalse":
            return WORDS.get(text)
        if self.kind == "number":
            return self._readings(text)
        marks = ""
        for mark in re.sub(r"[\s,;.()>→-]+", "", text):
            marks += LETTERS[int(mark) - 1] if mark in "12345678" else mark
        known = LETTERS[: len(self.options)]
        wanted = 1 if self.kind == "choice" else len(known)
        return marks if len(marks) == wanted == len(set(marks) & set(known)) else None

    def _readings(self, text: str) -> list[float] | None:
        """The numbers that a text may mean: "1,250" is 1.25 to some and 1250 to others."""
        unit = re.sub(r"\s", "", self.unit).lower()
        text = re.sub(r"[\s_]", "", text).removesuffix(unit)
        texts = [text.replace(",", ".")]
        if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?", text):
            texts.append(text.replace(",", ""))
        number = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d\d?)?", re.ASCII)
        return [float(x) for x in texts if number.fullmatch(x)] or None

    def right(self, given: Any, answer: Any) -> bool:
        """Whether a parsed answer is right, within the tolerance if it is a number."""
        if self.kind != "number":
            return given == answer
        slack = self.tolerance
        if isinstance(slack, str):
            slack = abs(answer) * float(slack.rstrip(" %")) / 100
        slack += 1e-9 * max(1.0, abs(answer))  # 0.1 + 0.2 is not 0.3
        return any(abs(x - answer) <= slack for x in given)

    def shown(self, answer: Any) -> str:
        """The right answer for people."""
        if self.kind == "number":
            return f"{answer:,.6g} {self.unit}".strip()
        if self.kind == "truefalse":
            return str(answer).lower()
        return ", then ".join(f"{m}) {self.options[LETTERS.index(m)]}" for m in answer)

    def expected(self, script: str, results_dir: Path) -> tuple[Any, bool]:
        """The answer that counts, and whether it was measured on this machine."""
        if not self.from_result:
            return self.answer, False
        path = results_dir / script / "metrics.json"
        try:
            claims = json.loads(path.read_text(encoding="utf-8"))["claims"]
            value = {claim["id"]: claim["value"] for claim in claims}[self.from_result]
        except Exception:  # no run yet, or its file is damaged, in whatever way
            return self.answer, False
        if not _finite(value) or value == 0:
            return self.answer, False
        return value * self.factor, True


def load(script: str, folder: Path = QUIZZES) -> list[Question]:
    """Read and check ``<folder>/<script>.toml``.

    Raises:
        UserError: no such quiz, no valid TOML, or a question that cannot be asked; says which and why.
    """
    path = folder / f"{script}.toml"
    if not re.fullmatch(r"\w+", script) or not path.is_file():
        have = ", ".join(sorted(p.stem for p in folder.glob("*.toml") if p.stem != "topics"))
        raise UserError(f"no quiz for {script!r}; there are quizzes for: {have or 'none'}")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("question")
    except (ValueError, OSError, RecursionError) as e:  # ValueError: neither TOML nor UTF-8
        raise UserError(f"{path.name}: cannot be read as TOML in UTF-8: {e}") from e
    if not isinstance(tables, list) or not tables or not all(isinstance(t, dict) for t in tables):
        raise UserError(f"{path.name}: got no questions, expected [[question]] tables")
    return [_question(t, f"{path.name}, question {i}") for i, t in enumerate(tables, 1)]


def _question(table: dict[str, Any], where: str) -> Question:
    """Check one table and bring its answer into the form of ``Question.answer``."""

    def need(condition: Any, text: str) -> None:
        if not condition:
            raise UserError(f"{where}: {text}")

    unknown = ", ".join(sorted(set(table) - {f.name for f in fields(Question)}))
    need(not unknown, f"unknown field {unknown}")
    for name in NEEDED + tuple(name for name in OPTIONAL if name in table):
        text = table.get(name)
        need(isinstance(text, str) and text.strip(), f"'{name}' must be a text, not empty")
    need(table["kind"] in LIKE, f"got kind {table['kind']!r}, allowed are {', '.join(LIKE)}")
    need(table.get("skill", "recall") in SKILLS, f"'skill' must be one of {', '.join(SKILLS)}")
    needs_result = "{value}" in table["question"]
    need(not needs_result or "from_result" in table, "{value} needs 'from_result'")
    options = table.get("options", [])
    _check_options(table["kind"], options, need)
    q = Question(**{"answer": None, **table, "options": tuple(options)})
    if q.kind == "number":
        _check_number(q, "tolerance" in table, need)
        return q
    of_numbers = {"tolerance", "unit", "from_result", "factor"} & set(table)
    need(not of_numbers, "tolerance, unit, from_result and factor belong to number questions only")
    answer = None
    if q.kind == "truefalse" and isinstance(q.answer, bool):
        answer = q.answer
    if q.kind != "truefalse" and isinstance(q.answer, str):
        answer = q.parse(q.answer)
    need(answer is not None, f"got answer {q.answer!r}, expected {q.prompt()}")
    return replace(q, answer=answer)


def _check_options(kind: str, options: Any, need: Callable[[Any, str], None]) -> None:
    """Options are different texts: 2 to 8 where one chooses or puts in order, otherwise none."""
    texts = isinstance(options, list) and all(isinstance(o, str) and o.strip() for o in options)
    need(texts and len(set(options)) == len(options), "'options' must be different texts")
    if kind in ("choice", "order"):
        need(2 <= len(options) <= 8, f"got {len(options)} options, a {kind} question needs 2 to 8")
    else:
        need(not options, f"got {len(options)} options, a {kind} question needs none")


def _check_number(q: Question, has_tolerance: bool, need: Callable[[Any, str], None]) -> None:
    """A number question has a finite answer, a tolerance and a factor that is not 0."""
    need(_finite(q.answer), f"got answer {q.answer!r}, expected a number")
    if isinstance(q.tolerance, str):
        fits = re.fullmatch(r"\d+(\.\d+)? ?%", q.tolerance)
    else:
        fits = has_tolerance and _finite(q.tolerance) and q.tolerance >= 0
    need(fits, "'tolerance' must be a number or as '5 %'")
    need(_finite(q.factor) and q.factor, "'factor' must be a number other than 0")


def _finite(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < 1e300  # neither NaN nor a whole number of 400 digits is
