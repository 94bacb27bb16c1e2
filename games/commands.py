"""Scripts with several commands: each leaves what it measured in a file of its own, and all of them make one result.

So a command can be run again alone, days later, and metrics.json still holds the whole. What a command that was cut
had finished lies in ``commands/unfinished/<command>`` until it ends, and ``--resume`` takes it over.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from common.claims import Claim
from common.io import UserError, as_read, load_weights, save_weights, write_json
from common.lesson import Section
from common.run import Run

import torch

Command = Callable[[Any, Run], None]

WITHOUT_EFFECT = {
    "resume",
    "show",
    "quiz",
    "journal",
    "data_dir",
    "out_dir",
    "record",
    "predict",
}  # on what is measured


class Parts:
    """The finished parts of a call, so that a cut costs only the part that was at work.

    With ``--resume`` they are taken over from the call of the same command before, if its settings were the same;
    that its input is the same too (the weights it starts from) is for the user to know.

    Raises:
        UserError: what the call before left is damaged.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.dir = run, run.dir / "commands" / "unfinished" / run.cfg.command
        self.path = self.dir / "parts.json"
        self.settings = {
            k: v for k, v in as_read(asdict(run.cfg)).items() if k not in WITHOUT_EFFECT
        }
        self.left: dict[str, Any] = {}  # by the call before
        self.done: dict[str, Any] = {}  # by this one
        if run.cfg.resume and self.path.is_file():
            try:
                saved = json.loads(self.path.read_text(encoding="utf-8"))
                if saved["digest"] != _digest(saved["settings"], saved["parts"]):
                    raise ValueError("its digest is another")
                before, self.left = dict(saved["settings"]), dict(saved["parts"])
            except (ValueError, KeyError, TypeError) as e:
                raise UserError(
                    f"{self.path} is damaged ({type(e).__name__}); remove {self.dir}, or start without "
                    "--resume"
                ) from e
            if other := sorted(
                k for k in self.settings | before if self.settings.get(k) != before.get(k)
            ):
                run.print(
                    f"resume    nothing taken over: the call that was cut had another {', '.join(other)}"
                )
                self.left = {}
        if not self.left:
            shutil.rmtree(self.dir, ignore_errors=True)

    def once(self, name: str, work: Callable[[], Any]) -> Any:
        """What ``work`` returns, as JSON holds it.

        Raises:
            ValueError: two parts of a call have the same name.
        """
        if name in self.done:
            raise ValueError(f"this call has a part '{name}' already")
        if name in self.left:
            self.run.print(f"resume    {name}: taken over")
            self.done[name] = self.left[name]
        else:
            self.done[name] = as_read(work())
            parts = as_read(self.left | self.done)
            digest = _digest(self.settings, parts)
            write_json(self.path, {"settings": self.settings, "digest": digest, "parts": parts})
        return self.done[name]

    def end(self) -> None:
        """All is done: nothing is left over."""
        shutil.rmtree(self.dir, ignore_errors=True)


def _digest(settings: dict[str, Any], parts: dict[str, Any]) -> str:
    """Sixteen hex digits of what is kept: a bit that flips makes another number, and no error."""
    text = json.dumps([settings, parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def parts(run: Run) -> Parts:
    """Those of this call."""
    if run.parts is None:
        run.parts = Parts(run)
    return run.parts


def once(run: Run, name: str, work: Callable[[], Any]) -> Any:
    """What ``work`` returns, as JSON holds it; with ``--resume`` not done again where the call before had done it."""
    return parts(run).once(name, work)


def trained(run: Run, name: str, net: torch.nn.Module, work: Callable[[], Any]) -> torch.nn.Module:
    """``net`` as ``work`` leaves it; its weights lie in a file of their own until the call ends."""
    path = part_file(run, f"{name}.safetensors")

    def work_and_save() -> str:
        work()
        return save_weights(net, path).name

    once(run, f"{name}: weights", work_and_save)
    return load_weights(net, path)


def part_file(run: Run, name: str) -> Path:
    """Where a part may leave a file until the call ends."""
    return parts(run).dir / "".join(c if c.isalnum() or c in ".-" else "_" for c in name)


def carry_out(run: Run, name: str, do: Callable[[], None]) -> None:
    """One command, and the file of what it has measured."""

    def command() -> None:
        began = time.perf_counter()
        run.print(f"\n{name}")
        do()
        remember(run, name, time.perf_counter() - began)

    once(run, name, command)


def carry_out_asked(
    cfg: Any,
    run: Run,
    sections: Mapping[str, Section],
    others: Mapping[str, Command],
    write_up: Callable[[Run], None],
) -> None:
    """The main of a script whose sections are commands: carry out what was asked for, then gather everything.

    ``--only 3`` is the command of section 3; ``--smoke`` and ``all`` are all of them.

    Args:
        sections: command → its section, in order.
        others: further commands, functions ``(cfg, run)`` that stand on no page of their own.
        write_up: gets the run once it holds what all commands measured, whenever that was.
    """
    names = {**sections, **others}
    if cfg.only is not None:
        todo = [name for name, section in sections.items() if section.number == cfg.only]
    elif cfg.smoke or cfg.command == "all":
        todo = list(names)
    else:
        todo = [cfg.command] if cfg.command in names else []
    for name in todo:
        do = sections[name].run if name in sections else others[name]
        carry_out(run, name, partial(do, cfg, run))
    gather(run, names, todo)
    parts(run).end()
    if not run.claims:
        raise UserError(
            f"got no measurements in {run.dir}; run another command first, such as 'benchmark'"
        )
    write_up(run)


def remember(run: Run, name: str, seconds: float) -> None:
    """Write what command ``name`` has measured to a file of its own, and clear the run for the next command."""
    write_json(
        run.dir / "commands" / f"{name}.json",
        {
            "command": run.command,
            "seconds": round(seconds, 1),
            "claims": [asdict(c) for c in run.claims],
            "ledger": run.ledger_rows,
            "extra": run.extra,
            "findings": run.findings,
            "predictions": run.predictions,
        },
    )
    run.claims, run.ledger_rows, run.extra = [], [], {}
    run.findings, run.predictions = [], []


def gather(run: Run, order: Iterable[str], done: Sequence[str]) -> None:
    """Collect what this and earlier commands left, so that metrics.json holds the whole agent; in this ``order``."""
    tables, notes, spent = [], [], []
    for name in order:
        path = run.dir / "commands" / f"{name}.json"
        if not path.is_file():
            continue
        try:
            part = json.loads(path.read_text(encoding="utf-8"))
            run.claims += [Claim(**c) for c in part["claims"]]
            run.ledger_rows += part["ledger"]
            run.findings += part.get("findings", [])
            run.predictions += part.get("predictions", [])
            tables += part["extra"].pop("tables", [])
            notes += [part["extra"].pop("note")] if "note" in part["extra"] else []
            run.extra |= part["extra"]
            spent.append((part["command"], part["seconds"], "now" if name in done else "before"))
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise UserError(
                f"{path} is damaged ({type(e).__name__}); run the command '{name}' again"
            ) from e
    run.extra["tables"] = tables
    if notes:
        run.extra["note"] = " ".join(notes)
    run.table("Commands", ("command", "seconds of its last call", "run"), spent)
