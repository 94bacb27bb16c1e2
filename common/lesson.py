"""What every lesson script shares: its flags, its start, and what happens when something goes wrong.

A script ends with

    if __name__ == "__main__":
        start(main, Config, SMOKE, FULL)

``start`` reads the flags, seeds, picks the device, prints the header, calls ``main(cfg, run)`` and lets the
run write its results.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from common.results import ROOT, Run, UserError, is_rank_zero

C = TypeVar("C", bound="LessonConfig")


@dataclass
class LessonConfig:
    """The flags every script has. A lesson adds its own fields, and their bounds to ``LIMITS``."""

    LIMITS: ClassVar[dict[str, tuple[float, float]]] = {"num_steps": (1, 100_000), "seed": (0, 2**31 - 1)}
    """Smallest and largest value allowed, by field."""

    num_steps: int = 25
    """time steps per sample (T)"""
    seed: int = 0
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
    stand_in: bool = True
    """go on with stand-in data when the real set cannot be had (--no-stand-in: stop instead)"""
    show: bool = False
    """open the figures in windows"""
    quiz: bool = False
    """take this lesson's quiz instead of running it"""
    journal: bool = False
    """append what was measured to journal.md"""

    def validate(self) -> None:
        """Check every bounded field, the device and the data folder. Lessons may extend it.

        Raises:
            UserError: with the flag, what was got and what is allowed.
        """
        from common.device import pick_device

        for name, (low, high) in self.LIMITS.items():
            value = getattr(self, name)
            for v in value if isinstance(value, (tuple, list)) else (value,):
                if v is not None and not low <= v <= high:
                    raise UserError(f"{_flag(name)}: got {v}, allowed is {low:g} to {high:g}")
        if self.smoke and self.full:
            raise UserError("got --smoke and --full together, allowed is one of them")
        if self.data_dir is not None and not self.data_dir.is_dir():
            raise UserError(f"--data-dir: got {self.data_dir}, which is no folder; create it or name another")
        try:
            pick_device(self.device)
        except ValueError as e:
            raise UserError(f"--device: {e}") from e


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def parse(config: type[C], argv: Sequence[str], smoke: Mapping[str, Any], full: Mapping[str, Any],
          prog: str, description: str = "") -> C:
    """Flags → config. A scale changes the defaults; a flag given by hand wins over both.

    Raises:
        UserError: an unknown flag, a value of the wrong kind or out of range.
        SystemExit: after ``--help``.
    """
    import tyro

    scale = smoke if "--smoke" in argv else full if "--full" in argv else {}
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
            cfg = tyro.cli(config, args=list(argv), default=config(**scale), prog=prog, description=description,
                           config=(tyro.conf.FlagCreatePairsOff,))
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


def start(main: Callable[[Any, Run], None], config: type[LessonConfig], smoke: Mapping[str, Any],
          full: Mapping[str, Any], argv: Sequence[str] | None = None) -> None:
    """Run a lesson from the command line; never returns a traceback for what the user can put right.

    Exit codes: 0 done; 2 bad input; 130 stopped by Ctrl-C; 1 with a traceback for a fault of ours.
    """
    module = sys.modules[main.__module__]
    script = Path(module.__file__ or "lesson.py")
    argv = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):  # a Windows console may not be UTF-8
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        cfg = parse(config, argv, smoke, full, script.name, _headline(module.__doc__))
        if cfg.quiz:
            from common.quiz import ask

            ask(script.stem, results_dir=cfg.out_dir, journal=_journal_path(cfg))
            return
        run = begin(cfg, script.stem, module.__doc__ or "", argv)
        main(cfg, run)
        run.finish()
        if cfg.journal and is_rank_zero():
            from common.journal import write_entry

            write_entry(run.metrics(), _journal_path(cfg))
            run.print(f"journal   {_journal_path(cfg).name}: entry added")
        if cfg.show:
            import matplotlib.pyplot as plt

            plt.show()
    except UserError as e:
        print(f"error: {' '.join(str(e).split())}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as e:  # imported where it is needed, so it may be missed in mid-lesson
        if (e.name or "common").split(".")[0] == "common":
            raise
        print(f"error: the package '{e.name}' is missing; install the course's packages with 'uv sync', or with "
              "'uv pip install -r requirements-pc.txt', and run again", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nstopped by Ctrl-C; what was saved stays (a lesson that trains goes on with --resume)", file=sys.stderr)
        sys.exit(130)


def begin(cfg: LessonConfig, name: str, doc: str = "", argv: Sequence[str] = ()) -> Run:
    """Seed, pick the device, print the header; the part of ``start`` that tests and notebooks can use."""
    import matplotlib

    if not cfg.show:
        matplotlib.use("Agg")  # no window, no display needed
    from common import plots
    from common.device import describe, keep_freed_memory, pick_device, seed_everything

    plots.style()
    keep_freed_memory()
    seed_everything(cfg.seed)
    device = pick_device(cfg.device)
    run = Run(name, cfg, device, title=_headline(doc), **_ending(doc))
    run.command = " ".join([f"{name}.py", *_shown_flags(argv)])
    run.print(f"\n{run.title}\ndevice    {describe(device)}\nscale     {run.scale}, seed {cfg.seed}")
    settings = {f.name: getattr(cfg, f.name) for f in dataclasses.fields(cfg) if f.name not in _COMMON}
    run.print("config    " + ", ".join(f"{k} {v}" for k, v in settings.items()))
    return run


_COMMON = {f.name for f in dataclasses.fields(LessonConfig)} - {"num_steps"}


def _shown_flags(argv: Sequence[str]) -> list[str]:
    """The flags that decide the numbers: paths of this machine stay out of a committed result."""
    kept, skip = [], False
    for arg in argv:
        if skip:
            skip = False
        elif arg.split("=")[0].replace("_", "-") in ("--data-dir", "--out-dir"):
            skip = "=" not in arg
        elif arg not in ("--show", "--journal", "--resume"):
            kept.append(arg)
    return kept


def _headline(doc: str | None) -> str:
    return (doc or "").strip().split("\n")[0]


def _ending(doc: str) -> dict[str, str]:
    """The lines ``Predict: …`` and ``Next: …`` of a lesson's docstring, printed when it ends."""
    found = {}
    for key, word in (("predict", "Predict"), ("following", "Next")):
        if m := re.search(rf"^{word}: (.+(?:\n[ \t]+\S.*)*)", doc, re.MULTILINE):
            found[key] = " ".join(m[1].split())
    return found


def _journal_path(cfg: LessonConfig) -> Path:
    """The student's journal; a smoke run writes beside its own results instead."""
    return cfg.out_dir / "smoke" / "journal.md" if cfg.smoke else ROOT / "journal.md"
