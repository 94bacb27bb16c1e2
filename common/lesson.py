"""What every lesson script shares: its flags, its sections, its start and its endings.

The lessons 01 and 09 show how a script is put together; CONTRIBUTING.md says why.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from common.io import ROOT, UserError, is_rank_zero, one_line_errors, tutor
from common.run import Run

C = TypeVar("C", bound="LessonConfig")
T = TypeVar("T")
Scale = Mapping[str, Any]


def bounded(default: T, low: float, high: float) -> T:
    """A field of a ``Config`` with the smallest and largest value that its flag accepts."""
    return field(default=default, metadata={"bounds": (low, high)})


@dataclass
class LessonConfig:
    """The flags every script has; a lesson adds its own fields."""

    num_steps: int = bounded(25, 1, 100_000)
    """time steps per sample (T)"""
    seed: int = bounded(0, 0, 2**31 - 1)
    """seed of every random number in the script"""
    device: str = "auto"
    """auto, cpu, cuda (also an AMD GPU under ROCm) or mps"""
    data_dir: Path | None = None
    """folder that holds the data sets (default: $SNN_DATA, then data/)"""
    out_dir: Path = field(default_factory=lambda: Path("results"))
    """folder for results"""
    smoke: bool = False
    """a run of seconds on stand-in data: only to see that everything works"""
    full: bool = False
    """the paper's scale; wants a GPU"""
    only: int | None = None
    """run only the section of this number, and what it needs"""
    predict: bool = False
    """ask for your prediction before each section, and set it beside what was measured"""
    stand_in: bool = True
    """go on with stand-in data when the real set cannot be had (--no-stand-in: stop instead)"""
    show: bool = False
    """open the figures in windows"""
    quiz: bool = False
    """take this lesson's quiz instead of running it"""
    journal: bool = False
    """append what was measured to journal.md"""

    @classmethod
    def limits(cls) -> dict[str, tuple[float, float]]:
        """Smallest and largest value of every bounded field."""
        fields = dataclasses.fields(cls)
        return {f.name: f.metadata["bounds"] for f in fields if "bounds" in f.metadata}

    def validate(self) -> None:
        """Check the bounded fields, the device and the data folder. A lesson may extend it.

        Raises:
            UserError: with the flag, what was got and what is allowed.
        """
        from common.data import search_path
        from common.device import pick_device

        for name, (low, high) in self.limits().items():
            value = getattr(self, name)
            for v in value if isinstance(value, (tuple, list)) else (value,):
                if v is not None and not low <= v <= high:
                    flag = "--" + name.replace("_", "-")
                    raise UserError(f"{flag}: got {v}, allowed is {low:g} to {high:g}")
        if self.smoke and self.full:
            raise UserError("got --smoke and --full together, allowed is one of them")
        search_path(self.data_dir)  # a folder that is named has to exist
        try:
            pick_device(self.device)
        except ValueError as e:
            raise UserError(f"--device: {e}") from e


class Section:
    """A function ``(cfg, run)`` whose docstring starts with its number and its question."""

    def __init__(self, function: Callable[[Any, Run], Any]) -> None:
        functools.update_wrapper(self, function)
        headline = _headline(function.__doc__)
        match = re.fullmatch(r"(\d+)\s+(\S.*)", headline)
        if not match:
            raise ValueError(
                f"{function.__name__}: got {headline!r}, expected a number and a question"
            )
        self.function, self.number, self.question = function, int(match[1]), match[2]

    def __call__(self, cfg: LessonConfig, run: Run) -> Any:
        """Run the section, unless ``--only`` names another; return what it returns."""
        if cfg.only in (None, self.number) and self.number not in run.results:
            self.run(cfg, run)
        return run.results.get(self.number)

    def run(self, cfg: LessonConfig, run: Run) -> None:
        """Run the section whatever ``--only`` says, seeded alike in a whole and in a partial run."""
        from common.device import seed_everything

        around, run.section = run.section, self.number
        run.print(f"\n{self.number}  {self.question}")
        seed_everything(cfg.seed)
        run.results[self.number] = self.function(cfg, run)
        run.section = around


section = Section
"""The decorator that makes a function a section of its lesson."""


def parse(
    config: type[C], argv: Sequence[str], smoke: Scale, full: Scale, prog: str, about: str = ""
) -> C:
    """Flags → config. A scale changes the defaults; a flag given by hand wins over both.

    Raises:
        UserError: an unknown flag, a value of the wrong kind or out of range.
        SystemExit: after ``--help``.
    """
    import tyro

    scale = smoke if "--smoke" in argv else full if "--full" in argv else {}
    style = (tyro.conf.FlagCreatePairsOff,)
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
            default = config(**scale)
            cfg = tyro.cli(
                config, args=list(argv), default=default, prog=prog, description=about, config=style
            )
    except SystemExit as e:
        if e.code in (0, None):
            print(out.getvalue(), end="")
            raise
        raise UserError(_one_line(err.getvalue() + out.getvalue(), prog)) from None
    cfg.validate()
    return cfg


def _one_line(box: str, prog: str) -> str:
    """tyro draws errors as boxes with a heading; keep what the first box says, on one line."""
    box = re.sub(r"\x1b\[[0-9;]*m|[╭╮╰╯│┃]", "", box)
    parts = [" ".join(part.split()) for part in re.split(r"[─━-]{4,}", box)]
    text = next((part for part in parts[1:] if part), " ".join(parts))
    return text.rstrip(".") + f"; 'python {prog} --help' lists what is allowed"


def begin(cfg: LessonConfig, name: str, doc: str = "", argv: Sequence[str] = ()) -> Run:
    """Seed, pick the device, print the header: the part of ``start`` that tests and notebooks use."""
    import matplotlib

    if not cfg.show:
        matplotlib.use("Agg")  # no window, no display needed
    from common import plots
    from common.device import describe, pick_device, seed_everything

    plots.style()
    seed_everything(cfg.seed)
    device = pick_device(cfg.device)
    run = Run(name, cfg, device, title=_headline(doc))
    run.command = " ".join([f"{name}.py", *_shown_flags(argv)])
    run.print(f"\n{run.title}\n\ndevice  {describe(device)}\nscale   {run.scale}, seed {cfg.seed}")
    return run


def start(
    main: Callable[[Any, Run], None],
    config: type[LessonConfig],
    smoke: Scale,
    full: Scale,
    argv: Sequence[str] | None = None,
) -> None:
    """Run a lesson from the command line. Exit codes: ``io.one_line_errors``."""
    module = sys.modules[main.__module__]
    script = Path(module.__file__ or "lesson.py")
    argv = list(sys.argv[1:] if argv is None else argv)
    with one_line_errors():
        cfg = parse(config, argv, smoke, full, script.name, _headline(module.__doc__))
        numbers = [s.number for s in vars(module).values() if isinstance(s, Section)]
        if cfg.only is not None and cfg.only not in numbers:
            allowed = ", ".join(map(str, numbers)) or "nothing: this script has no sections"
            raise UserError(f"--only: got {cfg.only}, allowed is {allowed}")
        journal = cfg.out_dir / "smoke" / "journal.md" if cfg.smoke else ROOT / "journal.md"
        if cfg.quiz:
            tutor("quiz").ask(script.stem, results_dir=cfg.out_dir, journal=journal)
            return
        run = begin(cfg, script.stem, module.__doc__ or "", argv)
        main(cfg, run)
        run.finish()
        if is_rank_zero():
            tutor("prompts").ending(run, journal if cfg.journal else None)
        if cfg.show:
            import matplotlib.pyplot as plt

            plt.show()


def _shown_flags(argv: Sequence[str]) -> list[str]:
    """The flags that decide the numbers: paths of this machine stay out of a committed result."""
    kept, skip = [], False
    for arg in argv:
        if skip:
            skip = False
        elif arg.split("=")[0].replace("_", "-") in ("--data-dir", "--out-dir"):
            skip = "=" not in arg
        elif arg not in ("--show", "--journal", "--resume", "--predict"):
            kept.append(arg)
    return kept


def _headline(doc: str | None) -> str:
    return (doc or "").strip().split("\n")[0]
