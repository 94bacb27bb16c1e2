"""A measured number beside its target, and the one way numbers are written for people.

Terminal, RESULTS.md and journal all use ``show_value``, so a number looks the same everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

LEDGER = (
    "model", "data", "accuracy", "n", "num_steps", "parameters", "bytes", "spikes", "synops", "macs",
    "ann_macs", "ann_macs_nonzero", "latency_p50_ms", "latency_p95_ms", "energy_estimated_nj", "nps",
)  # fmt: skip
"""Columns of the ledger: what a trained network achieves and what one inference costs."""

SMALL = 5e-4
"""Shares below this are errors, not shares: they are written as powers of ten."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass
class Claim:
    """One measured number of a lesson. ``met`` is None where it is reported but not judged."""

    id: str
    text: str
    value: float
    unit: str
    target: str | None
    met: bool | None
    n: int | None
    section: int | None = None
    seeds: int | None = None


def meets(value: float, target: str | None) -> bool | None:
    """Judge ``value`` by ``>= x``, ``<= x``, ``== x`` or ``a..b``; None if there is no target.

    Raises:
        ValueError: the target has another form.
    """
    if target is None:
        return None
    if m := re.fullmatch(rf"\s*(>=|<=|==)\s*({_NUMBER})\s*", target):
        bound = float(m[2])
        return {">=": value >= bound, "<=": value <= bound, "==": value == bound}[m[1]]
    if m := re.fullmatch(rf"\s*({_NUMBER})\.\.({_NUMBER})\s*", target):
        return float(m[1]) <= value <= float(m[2])
    raise ValueError(f"target {target!r}: expected '>= x', '<= x', '== x' or 'a..b'")


def show_value(value: float, unit: str = "") -> str:
    """A number for people.

    Args:
        unit: ``1`` for shares and relative errors (written as per cent; below 0.05 % as a power of
            ten), ``points`` for a difference of two accuracies in percentage points (written with
            its sign), otherwise what stands behind the number, such as ``s`` or ``spikes``.
    """
    if unit == "1":
        is_share = abs(value) >= SMALL or value == 0
        return f"{100 * value:.2f} %" if is_share else power_of_ten(value)
    if unit == "points":
        return f"{value:+.2f} points"
    return f"{plain(value)} {unit}".strip()


def plain(value: float) -> str:
    """Whole numbers whole with thousands set apart, others with four significant digits."""
    if abs(value) < 1e9 and value == round(value):
        return f"{value:,.0f}"
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:.4g}"
    if 1e4 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return power_of_ten(value)


def power_of_ten(value: float) -> str:
    """Two digits and a power: 3.2·10⁻⁷."""
    if not math.isfinite(value):
        return str(value)
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}·10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def show_target(target: str | None, unit: str = "") -> str:
    """A target for people, in the same unit as ``show_value``: ≥ 98.2 %."""
    if target is None:
        return ""
    sign = re.match(r"\s*(>=|<=|==)?", target)[1] or ""  # type: ignore[index]
    bounds = [float(b) for b in target.removeprefix(sign).split("..")]
    if unit == "1" and not any(0 < abs(b) < SMALL for b in bounds):
        text = "..".join(f"{100 * b:.6g}" for b in bounds) + " %"
    elif unit == "points":
        text = "..".join(f"{b:+g}" for b in bounds) + " points"
    else:
        text = "..".join(plain(b) for b in bounds)
    shown = {">=": "≥ ", "<=": "≤ ", "==": "= ", "": ""}[sign]
    return shown + text


def as_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table for the terminal: the first column to the left, numbers to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*row)
    return table
