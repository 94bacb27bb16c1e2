"""What a page of the website shows: read from a script, its exercises, its quiz and its result."""

from __future__ import annotations

import ast
import inspect
import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.claims import show_target, show_value
from common.io import ROOT
from tutor import record
from tutor.notebook import is_section, parts
from tutor.page import headline, short_name
from tutor.prompts import scripts
from tutor.website import prose

from markupsafe import Markup

PART = re.compile(r"\w[\w /]*")
"""A line of a script's docstring that names a part: Question, Idea, Read first …"""


@dataclass
class Figure:
    """A committed figure of a section."""

    file: Path
    look: str
    """what the terminal tells the reader to look for"""


@dataclass
class Section:
    """One section: what it says, how it computes, what it shows and what it found."""

    number: int
    title: str
    text: Markup
    code: Markup
    figures: list[Figure] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    claims: list[dict[str, str]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    looks: dict[str, str] = field(default_factory=dict)
    """what to look for, by the name of a figure"""


@dataclass
class Exercise:
    """The task of an exercise, and the lines that a reader edits."""

    key: str
    title: str
    text: Markup
    code: Markup
    file: str


@dataclass
class Page:
    """A script as a page."""

    name: str
    number: str
    title: str
    parts: dict[str, Markup]
    set_up: Markup
    """imports, settings and what else stands above the first section"""
    sections: list[Section]
    exercises: list[Exercise]
    quiz: list[dict[str, Any]]
    finding: str = ""
    """the headline of the committed result"""
    picture: Path | None = None
    result: dict[str, Any] = field(default_factory=dict)


def pages() -> list[Page]:
    """All scripts of the course, in its order."""
    return [read(name) for name in scripts()]


def read(name: str) -> Page:
    """The page of one script, such as ``09_training_bptt``."""
    source = (ROOT / f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    doc = inspect.cleandoc(ast.get_docstring(tree) or name)
    result = _result(name)
    page = Page(
        name=name,
        number=short_name(name),
        title=re.split(r" — |: ", doc.split("\n")[0], maxsplit=1)[-1],
        parts=_parts_of(doc),
        set_up=Markup(""),
        sections=[],
        exercises=_exercises(name),
        quiz=_quiz(name),
        result=result,
    )
    _divide(page, tree, source)
    for section in page.sections:
        _add_result(section, name, result)
    if result:
        page.finding = headline(result).text
    shown = [figure.file for section in page.sections for figure in section.figures]
    page.picture = _picture(name, shown)
    return page


def _result(name: str) -> dict[str, Any]:
    path = ROOT / "docs" / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _picture(name: str, shown: list[Path]) -> Path | None:
    """The picture that stands for a script: that of its first section."""
    if shown:
        return shown[0]
    return next(iter(sorted((ROOT / "docs" / "figures" / name).glob("*.webp"))), None)


def _parts_of(doc: str) -> dict[str, Markup]:
    """The parts of a script's docstring as HTML."""
    texts: dict[str, list[str]] = {}
    part = ""
    for line in doc.split("\n")[1:]:
        if PART.fullmatch(line):
            part = line
        elif part:
            texts.setdefault(part, []).append(line.removeprefix("    "))
    html = {}
    for part, lines in texts.items():
        text = "\n".join(lines).strip("\n")
        if part == "Run":
            html[part] = Markup('<pre class="code" tabindex="0"><code>{}</code></pre>').format(text)
        elif part == "Read first":
            html[part] = _reading(lines)
        else:
            html[part] = prose.markdown(text)
    return html


def _reading(lines: list[str]) -> Markup:
    """*Read first* as a list; a line that begins with spaces goes on from the one above."""
    items: list[str] = []
    for line in filter(str.strip, lines):
        text = re.sub(r"\s{2,}", ": ", line.strip())
        ends = bool(items) and re.search(r"https?://\S+$", items[-1])
        if items and line.startswith(" ") and not ends:
            items[-1] += f" {text}"
        else:
            items.append(text)
    body = "".join(f"<li>{prose.inline(item)}</li>" for item in items)
    return Markup(f"<ul>{body}</ul>")


def _divide(page: Page, tree: ast.Module, source: str) -> None:
    """Give each section the functions that stand before it.

    Imports, settings and constants up to the first other function or class are the set-up.
    """
    gathered: list[str] = []
    in_set_up = True
    for node, text in parts(tree, source):
        name = getattr(node, "name", "")
        if name == "main":
            break
        if in_set_up and name not in ("", "Config"):
            page.set_up = prose.python("\n".join(gathered))
            gathered, in_set_up = [], False
        if is_section(node):
            page.sections.append(_section(node, text, gathered))
            gathered = []
        else:
            gathered.append(text)
    if not page.sections:  # a script whose parts are its commands
        page.set_up = prose.python(source.split('"""', 2)[2])


def _section(node: ast.FunctionDef, text: str, before: list[str]) -> Section:
    doc = ast.get_docstring(node) or node.name
    first, _, rest = doc.partition("\n")
    number, _, title = first.partition("  ")
    literal = node.body[0]
    lines = text.strip("\n").split("\n")
    top = node.end_lineno - len(lines) + 1  # the script's line that ``text`` begins with
    del lines[literal.lineno - top : literal.end_lineno - top + 1]
    looks = {}
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "figure":
            looks |= _look(call)
    return Section(
        number=int(number),
        title=title.strip(),
        text=prose.markdown(rest),
        code=prose.python("\n".join([*before, "", "", "\n".join(lines).strip("\n")])),
        looks=looks,
    )


def _look(call: ast.Call) -> dict[str, str]:
    """The name of a figure and what to look for, where both are written out."""
    names = [a.value for a in call.args[1:2] if isinstance(a, ast.Constant)]
    looks = [k.value for k in call.keywords if k.arg == "look"]
    texts = [look.value for look in looks if isinstance(look, ast.Constant)]
    return dict(zip(names, texts or [""], strict=False))


def _add_result(section: Section, name: str, result: dict[str, Any]) -> None:
    """What the committed run showed and measured in this section."""
    folder = ROOT / "docs" / "figures" / name
    for path in sorted(folder.glob(f"{section.number}_*.webp")):
        section.figures.append(Figure(path, section.looks.get(path.stem, "")))
    of = section.number
    section.findings = [f["text"] for f in result.get("findings") or [] if f.get("section") == of]
    section.tables = [t for t in result.get("tables") or [] if t.get("section") == of]
    for claim in result.get("claims", []):
        if claim.get("section") == of:
            section.claims.append(
                {
                    "text": claim["text"],
                    "value": show_value(claim["value"], claim["unit"]),
                    "target": show_target(claim["target"], claim["unit"]),
                    "met": {True: "met", False: "missed"}.get(claim["met"], ""),
                }
            )


def _exercises(name: str) -> list[Exercise]:
    """The exercises of a lesson: their tasks, and the code above the line that ends the reader's part."""
    from tutor.exercises import MARK

    found = []
    for path in record.of_script(name):
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        doc = inspect.cleandoc(ast.get_docstring(tree) or "")
        first, _, rest = doc.partition("\n")
        key, _, title = first.partition("  ")
        above = source.split(MARK)[0].split("\n")[tree.body[0].end_lineno :]
        text = prose.markdown(rest.split("\nRun:")[0])
        code = prose.python("\n".join(above))
        found.append(Exercise(key, title.strip(), text, code, f"exercises/{path.name}"))
    return found


def _quiz(name: str) -> list[dict[str, Any]]:
    """The questions of a script's quiz; options get their letters."""
    path = ROOT / "quizzes" / f"{name}.toml"
    if not path.is_file():
        return []
    questions = tomllib.loads(path.read_text(encoding="utf-8"))["question"]
    for question in questions:
        for part in ("question", "why", "hint"):
            question[part] = prose.inline(str(question.get(part, "")))
        letters = "abcdefghij"
        options = question.get("options") or []
        question["options"] = [(letters[i], prose.inline(str(o))) for i, o in enumerate(options)]
    return questions
