"""A lesson as a Jupyter notebook: the same text, the same code, section by section.

Built from the script's source, so there is no second copy to keep. A section becomes a cell with its
prose and a cell with its code; other functions and classes get a cell each.
"""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.io import ROOT, UserError, write_atomic

if TYPE_CHECKING:
    from common.lesson import LessonConfig, Section
    from common.run import Run

FOLDER = ROOT / "notebooks"
RULE = re.compile(r"^# -{10,}.*\n", re.MULTILINE)
"""Lines that divide a script into parts: cells do that in a notebook."""

SET_UP = """\
# Run this cell first: it finds the course, so that imports, data and results are where they belong.
import os
import sys
from pathlib import Path

course = Path({course!r})
for folder in (Path.cwd(), *Path.cwd().parents):
    if (folder / "course.py").is_file():
        course = folder
        break
os.chdir(course)
sys.path.insert(0, str(course))
__file__ = str(course / "{name}.py")
"""
COLAB = """\
# Only in Google Colab: fetch the course, and the packages that Colab lacks. Elsewhere this cell does nothing.
import importlib.util
import os
import subprocess
import sys

address = {address!r}
packages = {packages!r}
if importlib.util.find_spec("google") and importlib.util.find_spec("google.colab"):
    if not address:
        raise SystemExit("write the address of your copy of the course into `address`, then run this cell again")
    if not os.path.isfile("course.py"):
        subprocess.run(["git", "clone", "--depth", "1", address, "course"], check=True)
        os.chdir("course")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *packages], check=True)
"""
NEEDED = (
    "snntorch",
    "tonic",
    "nir",
    "nirtorch",
    "neurobench",
    "tyro",
    "safetensors",
    "filelock",
    "av",
)
"""What a notebook needs and Colab does not have; its own torch, numpy and matplotlib stay as they are."""
BEGIN = """\
# Change a setting here, such as Config(**shared, seed=1), then run everything below again.
# Config(**shared, **SMOKE, smoke=True) takes seconds: it only shows that everything works.
from common.lesson import begin
from tutor.notebook import again

shared = {{"show": True, "out_dir": Path("results/notebook")}}
cfg = Config(**shared)
run = begin(cfg, "{name}", {title!r})
"""


@dataclass(frozen=True)
class Cell:
    """One cell: ``markdown`` or ``code``, and its text."""

    kind: str
    text: str


def again(section: Section, cfg: LessonConfig, run: Run) -> Any:
    """Run one section, also for the second time: what it measured before makes room."""
    run.claims[:] = [c for c in run.claims if c.section != section.number]
    for kept in (run.findings, run.predictions, run.extra.get("tables", [])):
        kept[:] = [row for row in kept if row["section"] != section.number]
    section.run(cfg, run)
    return run.results[section.number]


def cells(name: str, course: str = ".") -> list[Cell]:
    """The cells of a script's notebook; ``course`` is where it looks if it lies outside the course.

    Raises:
        UserError: the script is no Python.
    """
    source = (ROOT / f"{name}.py").read_text(encoding="utf-8")
    try:
        tree = ast.parse(source)
    except SyntaxError as e:
        raise UserError(f"{name}.py, line {e.lineno}: {e.msg}; mend the script first") from e
    doc = ast.get_docstring(tree) or name
    found = [Cell("markdown", _page(doc)), Cell("code", SET_UP.format(name=name, course=course))]
    statements = list(parts(tree, source))
    has_sections = any(is_section(node) for node, _ in statements)
    begin = Cell("code", BEGIN.format(name=name, title=doc.split("\n")[0]))
    short: list[str] = []  # imports, constants: what stands together stays together
    for node, text in statements:
        large = isinstance(node, ast.FunctionDef | ast.ClassDef)
        if large and short:
            found.append(Cell("code", "\n".join(short).strip("\n")))
            short = []
        if begin not in found and (is_section(node) or getattr(node, "name", "") == "main"):
            found.append(begin)
        if is_section(node):
            found += _section_cells(node, text)
        elif not large:
            short.append(text)
        elif node.name != "main":
            found.append(Cell("code", text.strip("\n")))
        elif not has_sections:
            found.append(Cell("code", f"{text.strip()}\n\n\nmain(cfg, run)"))
    found.append(Cell("code", "run.finish()"))
    return found


def colab_cell() -> Cell:
    """The cell that makes Colab ready: where the course comes from is where this copy came from."""
    from tutor.page import pins

    pinned = pins()
    packages = [f"{name}=={pinned[name]}" for name in NEEDED]
    return Cell("code", COLAB.format(address=_address(), packages=packages).strip("\n"))


def _address() -> str:
    """The public address that this copy was cloned from; empty if it has none."""
    ask = ["git", "-C", str(ROOT), "config", "--get", "remote.origin.url"]
    try:
        found = subprocess.run(ask, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    address = found.stdout.strip()
    if match := re.fullmatch(r"git@([\w.-]+):(.+)", address):
        address = f"https://{match[1]}/{match[2]}"
    # neither a folder of this machine nor a password belongs into a file that is handed on
    return address if re.fullmatch(r"https://[\w.-]+/[^@\s]+", address) else ""


def parts(tree: ast.Module, source: str) -> Iterator[tuple[ast.stmt, str]]:
    """The top level of a script, statement by statement, each with the comments above it."""
    lines = source.splitlines()
    end = tree.body[0].end_lineno if ast.get_docstring(tree) else 0
    for node in tree.body:
        if node.end_lineno <= end:
            continue  # the docstring
        text = RULE.sub("", "\n".join(lines[end : node.end_lineno]) + "\n")
        end = node.end_lineno
        if not (isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)):
            yield node, text.rstrip("\n")


def is_section(node: ast.stmt) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any(isinstance(d, ast.Name) and d.id == "section" for d in decorators)


def _section_cells(node: ast.stmt, text: str) -> list[Cell]:
    """The prose of a section, and its code with the headline alone as docstring; then its call."""
    doc = ast.get_docstring(node) or ""
    headline, _, prose = doc.partition("\n")
    literal = node.body[0]
    text = text.strip("\n")
    lines = text.split("\n")
    first = node.end_lineno - len(lines) + 1  # the script's line that ``text`` begins with
    start, stop = literal.lineno - first, literal.end_lineno - first + 1
    lines[start:stop] = [f'    """{headline}"""']
    code = "\n".join(lines)
    return [
        Cell("markdown", f"## {headline}\n{prose}".strip()),
        Cell("code", f"{code}\n\n\nagain({node.name}, cfg, run)"),
    ]


def _page(doc: str) -> str:
    """A script's docstring as Markdown: a title, its parts as headings, equations as they stand."""
    lines: list[str] = []
    part = ""
    for line in inspect.cleandoc(doc).split("\n"):
        if not lines:
            lines.append(f"# {line}")
        elif re.fullmatch(r"\w[\w /]*", line):
            part = line
            lines += [f"## {line}", ""]
        elif part == "Run":
            lines.append(line)  # commands: indented, so set as code
        elif part == "Read first":
            lines.append(f"{line.strip()}  " if line else "")  # each line a line
        else:
            lines.append(line.removeprefix("    "))
    return "\n".join(lines)


def write(name: str, out: Path | None = None) -> Path:
    """Write the notebook of a script; ``notebooks/<script>.ipynb`` if ``out`` is None.

    Raises:
        UserError: the script is no Python, or the file cannot be written.
    """
    import jupytext

    path = Path(out or FOLDER / f"{name}.ipynb").absolute()
    percent = []
    title, *others = cells(name, "." if path.is_relative_to(ROOT) else str(ROOT))
    for cell in (title, colab_cell(), *others):
        if cell.kind == "markdown":
            commented = "\n".join(f"# {line}".rstrip() for line in cell.text.split("\n"))
            percent.append(f"# %% [markdown]\n{commented}\n")
        else:
            percent.append(f"# %%\n{cell.text}\n")
    book = jupytext.reads("\n".join(percent), fmt="py:percent")
    book.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    return write_atomic(path, jupytext.writes(book, fmt="ipynb"))
