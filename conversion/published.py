"""What another lesson has published, as a row of lesson 16's table."""

from __future__ import annotations

import json

from common.io import ROOT


def row_of_lesson_10() -> list[object] | None:
    """Lesson 10's network as its committed result has it, for the table; None if it is not there."""
    path = ROOT / "docs" / "results" / "10_convolutional_snn.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        accuracy = next(c["value"] for c in found["claims"] if c["id"] == "accuracy")
        row = min(found["ledger"], key=lambda r: abs(r["accuracy"] - accuracy))
        cells = [100 * accuracy, row["synops"] / 1e6, row["macs"] / 1e6]
        return [f"lesson 10, direct, T = {row['num_steps']}", *[f"{c:.3g}" for c in cells], "–"]
    except Exception:  # not there, damaged, or of another form: then the table has a row less
        return None
