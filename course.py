"""The way through the course: what is done, what comes next, exercises, review, notebooks.

Everything is read from what is there: the scripts, results/, the exercises, the quiz log, journal.md.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from common.io import ROOT, UserError, console, one_line_errors


def status(args: argparse.Namespace) -> None:
    """what is done, script by script, and what comes next (this is what no command does)"""
    from tutor import progress

    now = progress.read()
    lines = progress.table(now)
    console.print("\n".join(lines), markup=False)
    console.print(f"\nnext  {progress.next_step(now).command}", markup=False)


def next_(args: argparse.Namespace) -> None:
    """what comes next, and why"""
    from tutor import progress

    step = progress.next_step(progress.read())
    console.print(f"{step.command}    {step.reason}", markup=False)


def check(args: argparse.Namespace) -> None:
    """check exercises; exit code 1 if one is not right"""
    from tutor import watch

    if not watch.check(args.keys):
        sys.exit(1)


def watch(args: argparse.Namespace) -> None:
    """check an exercise whenever its file is saved"""
    from tutor import watch

    watch.watch(args.key)


def review(args: argparse.Namespace) -> None:
    """questions that you missed in a quiz come back after 1, 3, 7 and 21 days"""
    from tutor import review

    review.review()


def journal(args: argparse.Namespace) -> None:
    """enter what your last run of a script measured into journal.md"""
    from tutor import progress

    progress.enter(progress.find_script(args.script))


def notebook(args: argparse.Namespace) -> None:
    """write a script as a Jupyter notebook"""
    from tutor import notebook, progress

    path = notebook.write(progress.find_script(args.script), args.out)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    console.print(f"written  {path}", markup=False)
    console.print(f"open it  uv run --with jupyterlab jupyter lab {path}", markup=False)


def pages(args: argparse.Namespace) -> None:
    """write the course as a website into site/: a page a lesson, the ledger, the playground"""
    from tutor import website

    with console.status("reading the scripts"):
        index = website.build(args.out)[0]
    if index.is_relative_to(Path.cwd()):
        index = index.relative_to(Path.cwd())
    console.print(f"written  {index.parent}", markup=False)
    console.print(f"open it  {index}, in any browser", markup=False)


def publish(args: argparse.Namespace) -> None:
    """copy the results of your last runs to docs/ and write RESULTS.md anew (for maintainers)"""
    from tutor import progress
    from tutor import publish as made

    for word in args.scripts:
        path = made.publish(progress.find_script(word), ROOT / "results", args.full)
        console.print(f"published  {path.relative_to(ROOT)}", markup=False)
    results(args)


def results(args: argparse.Namespace) -> None:
    """write RESULTS.md anew from docs/results/ (for maintainers)"""
    from tutor import publish as made

    console.print(f"written  {made.write_results_page().relative_to(ROOT)}", markup=False)


class Parser(argparse.ArgumentParser):
    """An error in the words that were typed is one line, as everywhere in the course."""

    def error(self, message: str) -> NoReturn:
        if match := re.search(r"invalid choice: '?(.*?)'? \(choose from (.*)\)", message):
            message = f"got {match[1]}, allowed is {match[2]}".replace("'", "")
        raise UserError(f"{message}; 'uv run {self.prog} --help' explains them")


def parser() -> Parser:
    """All commands with what they take."""
    top = Parser(prog="course.py", description=(__doc__ or "").split("\n")[0])
    commands = top.add_subparsers(metavar="COMMAND", title="commands")

    def add(do: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        name = do.__name__.rstrip("_")
        command = commands.add_parser(name, help=do.__doc__, description=do.__doc__)
        command.set_defaults(do=do)
        return command

    add(status)
    add(next_)
    keys = "01 (all exercises of a lesson), 01a, or a file; default: all"
    add(check).add_argument("keys", nargs="*", metavar="KEY", help=keys)
    key = "01 or 01a; default: whatever is saved"
    add(watch).add_argument("key", nargs="?", default="", metavar="KEY", help=key)
    add(review)
    add(journal).add_argument("script", metavar="SCRIPT", help="such as 01")
    command = add(notebook)
    command.add_argument("script", metavar="SCRIPT", help="such as 01")
    command.add_argument(
        "--out", type=Path, metavar="FILE", help="default: notebooks/<script>.ipynb"
    )
    folder = add(pages)
    folder.add_argument(
        "--out", type=Path, default=ROOT / "site", metavar="DIR", help="default: site"
    )
    command = add(publish)
    command.add_argument("scripts", nargs="+", metavar="SCRIPT", help="such as 01")
    command.add_argument("--full", action="store_true", help="the runs at --full scale")
    add(results)
    top.set_defaults(do=status)
    return top


def main(argv: Sequence[str] | None = None) -> None:
    """Exit codes: 0 done; 1 an exercise is not right; 2 bad input; 130 stopped by Ctrl-C."""
    with one_line_errors():
        args = parser().parse_args(argv)
        args.do(args)


if __name__ == "__main__":
    main()
