"""Seeded faults: each makes a *published* number wrong, and names the tests that must notice. Run by hand.

    uv run tests/faults.py                all of them (about ten minutes)
    uv run tests/faults.py 05 milestone   those of these scripts (the start of the name)
    uv run tests/faults.py --check        only whether each still fits its source (test_faults.py does that)

The faults of a script stand in ``tests/faults/<script>.toml``:

    [[fault]]
    wrong = 'the Cramér–Rao bound is ten per cent too high'
    old = 'bound.append(float(np.rad2deg('           a piece of the source that occurs exactly once
    new = 'bound.append(1.1 * float(np.rad2deg('     what it is replaced by
    test = "tests/test_05_population_coding.py::test_the_bound_is_cramer_and_raos"

``test`` is the test that must fail, or a whole file, which takes longer. ``file`` names another file than
``<script>.py``, a package's for instance; ``file`` and ``test`` may also stand at the top, for all faults. Text over
several lines stands between three single quotes.

Good faults are a sign, a factor, training images scored as test images, the wrong network measured, a wrong
denominator. Whoever rewrites a lesson rewrites its faults: at least three, each seen to survive before the test that
catches it was written.

The tests run in a temporary copy of the working tree: nothing here is touched. Each test file must pass before
anything is changed, or its failing would mean nothing. The exit code is 1 if a fault survives or no longer fits.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

import pytest
from smoke_worker import fork, import_libraries

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "faults"
LIMIT_S = 600
"""Seconds after which a test counts as hanging: that is noticed, too."""


@dataclass(frozen=True)
class Fault:
    """One change of one file, and the test that has to fail with it."""

    script: str
    wrong: str
    file: str
    old: str
    new: str
    test: str

    def problem(self, tree: Path = ROOT) -> str:
        """Why this fault does not fit its source; empty if it does."""
        path = tree / self.file
        if not path.is_file():
            return f"there is no {self.file}"
        source = path.read_text(encoding="utf-8")
        if (times := source.count(self.old)) != 1:
            return f"its old text occurs {times} times in {self.file}"
        try:
            ast.parse(self.changed(source))
        except SyntaxError as e:
            return f"with it {self.file} is no Python: {e.msg}"
        return ""

    def changed(self, source: str) -> str:
        """The statements of ``source`` that the fault lies in, with the fault: to parse a whole lesson takes 50 ms."""
        begin = source.index(self.old)
        end = begin + len(self.old)
        starts = [*statements(source), len(source)]
        first = max((start for start in starts if start <= begin), default=0)
        last = min(start for start in starts if start >= end)
        return source[first:begin] + self.new + source[end:last]


@cache
def statements(source: str) -> list[int]:
    """Where the statements of the outermost level begin, decorators included, as positions in ``source``."""
    lines = source.splitlines(keepends=True)
    ends = list(accumulate(map(len, lines), initial=0))
    found = []
    for node in ast.parse(source).body:
        decorators = getattr(node, "decorator_list", [])
        found.append(ends[min(part.lineno for part in (node, *decorators)) - 1])
    return found


def faults(*scripts: str) -> list[Fault]:
    """All faults, or those of the scripts whose names begin so."""
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        if scripts and not path.stem.startswith(scripts):
            continue
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        for fault in table.pop("fault"):
            shared = {"script": path.stem, "file": f"{path.stem}.py"} | table
            found.append(Fault(**shared | fault))
    return found


def copy_tree(target: Path) -> None:
    """Copy tracked and new files of the working tree; what git ignores stays behind."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        source = ROOT / name
        if name and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def passes(test: str, tree: Path) -> bool:
    """Whether ``test`` passes in the copy at ``tree``."""
    flags = ["-x", "-q", "-p", "no:cacheprovider", test]

    def work() -> int:
        """In a fork, which has the libraries already: a sixth of the time that a fresh process takes."""
        os.chdir(tree)
        return int(pytest.main(flags))

    if hasattr(os, "fork"):
        return fork(work, os.devnull, os.devnull, LIMIT_S) == 0
    command = [sys.executable, "-m", "pytest", *flags]
    with contextlib.suppress(subprocess.TimeoutExpired):
        return (
            subprocess.run(command, cwd=tree, capture_output=True, timeout=LIMIT_S).returncode == 0
        )
    return False


def verdict(fault: Fault, tree: Path) -> str:
    """Apply one fault to the copy, run its test, and put the file back."""
    if problem := fault.problem(tree):
        return f"NO LONGER FITS: {problem}"
    path = tree / fault.file
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace(fault.old, fault.new), encoding="utf-8")
    try:
        return "SURVIVED" if passes(fault.test, tree) else "caught"
    finally:
        path.write_text(source, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Are seeded faults noticed by the tests?")
    parser.add_argument("scripts", nargs="*", help="how the scripts' names begin; none: all")
    parser.add_argument("--check", action="store_true", help="only whether each fits its source")
    args = parser.parse_args()
    chosen, bad = faults(*args.scripts), 0
    if not chosen:
        print(f"error: no fault for {' '.join(args.scripts)} in {FOLDER}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        tree, sound = Path(folder), {}
        if not args.check:
            copy_tree(tree)
            import_libraries()
            # a second change of one file within a second would be overlooked if there were a .pyc
            sys.dont_write_bytecode = True
            os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg"}
            os.environ["PYTHONPYCACHEPREFIX"] = str(
                tree / "none"
            )  # so conftest.py leaves it at that
        for number, fault in enumerate(chosen, 1):
            if args.check:
                result = fault.problem() or "fits"
            else:
                if fault.test not in sound:
                    sound[fault.test] = passes(fault.test, tree)
                result = verdict(fault, tree) if sound[fault.test] else "FAILS WITHOUT A FAULT, TOO"
            bad += result not in ("caught", "fits")
            print(f"{number:3}  {result:<9} {fault.script}: {fault.wrong}", flush=True)
    print(f"\n{len(chosen) - bad} of {len(chosen)} faults {'fit' if args.check else 'were caught'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
