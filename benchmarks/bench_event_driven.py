"""One sample whose inputs seldom spike: only the weights that a spike reaches, against the dense product.

    uv run benchmarks/bench_event_driven.py                 about half a minute
    uv run benchmarks/bench_event_driven.py --threads 1     counts the processor's time, for a busy machine

A dense layer and its ``Leaky`` neurons over a whole sequence of one sample, after training: currents by ``over_time``
and by ``over_events``. All contenders have the same weights and the same input and take turns; each time is the
fastest of five, and the table shows medians. Each has the weights in the layout it likes best.
"""

from __future__ import annotations

import _root  # noqa: F401

import copy
from collections.abc import Sequence
from functools import partial

from common.spiking import over_time
from multistep import compiled, over_events, rows_by_input, unroll
from multistep.event_driven import by_embedding_bag
from multistep.meters import timed

import numpy as np
import snntorch as snn
import torch
from side_by_side import Bench, start
from torch import nn

ACTIVITIES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
TENTH = ACTIVITIES.index(0.1)


def dense(fc: nn.Linear, lif: snn.Leaky, x: torch.Tensor) -> torch.Tensor:
    return unroll(lif, over_time(fc, x))[0]


def event_driven(fc: nn.Linear, lif: snn.Leaky, x: torch.Tensor) -> torch.Tensor:
    return unroll(lif, over_events(fc, x))[0]


def by_one_call(fc: nn.Linear, lif: snn.Leaky, x: torch.Tensor) -> torch.Tensor:
    """As without numba: the call of lesson 12, the search for the spikes included."""
    cur = by_embedding_bag(fc.weight.t(), fc.bias, x.flatten(0, 1))
    return unroll(lif, cur.unflatten(0, x.shape[:2]))[0]


def break_even(ratio: Sequence[float]) -> float:
    """The activity up to which the event-driven way is faster, by straight lines between ``ACTIVITIES``; 1: always."""
    slower = [i for i, r in enumerate(ratio) if r >= 1]
    if not slower or slower[0] == 0:
        return float(not slower)
    i = slower[0]
    return float(np.interp(1, ratio[i - 1 : i + 1], ACTIVITIES[i - 1 : i + 1]))


def bench_layer(bench: Bench, N: int, M: int, T: int) -> None:
    """A table by activity, and the claims of one length of the sequence."""
    g = torch.Generator().manual_seed(0)
    fc, lif = nn.Linear(N, M), snn.Leaky(beta=0.9, threshold=0.2)
    rows = rows_by_input(copy.deepcopy(fc))
    table, ratios, furthest = [], [], 0.0
    for activity in ACTIVITIES:
        x = (torch.rand(T, 1, N, generator=g) < activity).float()
        ways = {
            "dense": partial(dense, fc, lif, x),
            "events": partial(event_driven, rows, lif, x),
            "one call": partial(by_one_call, rows, lif, x),
            "not laid out": partial(event_driven, fc, lif, x),
        }
        ms = timed(ways, bench.args.repeats, "cpu", bench.args.threads)
        t = {name: float(np.median(v)) for name, v in ms.items()}
        relative = {name: float(np.median(v / ms["dense"])) for name, v in ms.items()}
        ratios.append(relative["events"])
        furthest = max(furthest, float((over_events(rows, x) - over_time(fc, x)).abs().max()))
        cells = [f"{100 * activity:g} %", f"{t['dense']:.2f}", f"{t['events']:.2f}"]
        shares = [f"{relative[name]:.2f}" for name in ("events", "one call", "not laid out")]
        table.append([*cells, *shares])
    bench.table(
        f"{N}–{M}, T = {T}, one sample, forward; last three: times over the dense one's",
        ["inputs that spike", "dense, ms", "events, ms", "events / dense", "one call", "copied"],
        table,
    )
    bench.claim(
        f"tenth_{T}",
        f"T = {T}, 10 % spike: time of over_events over the dense one's",
        ratios[TENTH],
        "×",
        "<= 1",
    )
    bench.claim(f"even_{T}", f"T = {T}: break-even, as a share of spikes", break_even(ratios), "1")
    bench.claim(
        f"currents_{T}",
        f"T = {T}: largest difference of a current between the two ways",
        furthest,
        "",
        "<= 1e-5",
    )


@torch.no_grad()
def main(bench: Bench) -> None:
    compiled.loops()  # as in a program that has trained: for all contenders alike
    N, M, lengths = (30, 20, (3, 9)) if bench.smoke else (784, 1000, (25, 100))
    for T in lengths:
        bench_layer(bench, N, M, T)
    clock = "the processor's time" if bench.args.threads == 1 else "wall-clock time"
    bench.note = (
        f"Medians of {bench.args.repeats} rounds, {clock}, {bench.args.threads} thread(s); each time is "
        "the fastest of five, and the contenders take turns. Currents and Leaky neurons; finding the "
        "spikes is counted. One call: embedding_bag, as without numba. Copied: without rows_by_input. "
        "The rows of a single sample may wait in a cache. The dense product reads a weight once for all "
        "steps, so it gains by their number."
    )


if __name__ == "__main__":
    start(main, "bench_event_driven", "one sample, event by event", __doc__)
