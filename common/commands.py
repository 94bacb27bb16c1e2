"""Scripts with several commands: each leaves what it measured in a file of its own, and all of them make one result.

So a command can be run again alone, days later, and metrics.json still holds the whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from common.results import Claim, Run, UserError, write_json


def remember(run: Run, name: str, seconds: float) -> None:
    """Write what command ``name`` has measured to a file of its own, and clear the run for the next command."""
    write_json(run.dir / "commands" / f"{name}.json", {
        "command": run.command, "seconds": round(seconds, 1), "claims": [asdict(c) for c in run.claims],
        "ledger": run.ledger_rows, "extra": run.extra})
    run.claims, run.ledger_rows, run.extra = [], [], {}


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
            tables += part["extra"].pop("tables", [])
            notes += [part["extra"].pop("note")] if "note" in part["extra"] else []
            run.extra |= part["extra"]
            spent.append((part["command"], part["seconds"], "now" if name in done else "before"))
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise UserError(f"{path} is damaged ({type(e).__name__}); run the command '{name}' again") from e
    run.extra["tables"] = tables
    if notes:
        run.extra["note"] = " ".join(notes)
    run.table("Commands", ("command", "seconds", "run"), spent)
