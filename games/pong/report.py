"""What capstone A shows for its measurements: tables, figures, a film, and the write-up."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import plots
from common.claims import Claim
from common.cost import estimated_energy_nj, pareto_front
from common.io import write_atomic
from common.run import Run
from games.pong.env import SIZE, see_events

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy import stats

TARGET_MS = 5.0  # from frame to action in 95 of 100 decisions; section 8 says why


def table_agreement(
    run: Run, times: Sequence[int], found: dict[str, list[tuple[float, float]]]
) -> None:
    run.table(
        "The teacher's action, % of the states",
        ("how λ is chosen", *(f"T = {t}" for t in times)),
        [(name, *(f"{100 * same:.1f}" for same, _ in row)) for name, row in found.items()],
    )


def reward_of(g: dict[str, Any]) -> str:
    """Points a game with their standard error, where the points of each game were kept."""
    error = f" ± {g['error']:.1f}" if "error" in g else ""
    return f"{g['sticky']:+.1f}{error}"


def table_rewards(run: Run, games: dict[str, Any], origins: dict[str, tuple[str, str]]) -> None:
    """Whose agents these are, and the points of those that have played."""
    if any(whose.endswith("first form") for whose, _ in origins.values()):
        say(
            run,
            "First form: an earlier version of this script. Half sticky: half of the decisions or games that its "
            "agents learnt from had no sticky actions. A teacher of the present form is not there yet: its training "
            "needs a GPU for ten minutes, or two cores for most of a day. So all agents come from the first form's "
            "teacher.",
        )
    columns = ("agent", "weights", "learnt from")
    run.table("Whose agents these are", columns, [(k, *found) for k, found in origins.items()])
    if not games:
        run.print("          no agent has played yet with these weights: play --agent NAME")
        return
    rows = []
    for name, g in games.items():
        kept = "each" if "error" in g else "mean only"
        rows.append([name, reward_of(g), f"{g['games']} ({kept})", plain_of(g)])
        if "teacher" in games:
            rows[-1].insert(3, gap_of(g, games["teacher"]) if name != "teacher" else "")
    columns = ["agent", "points", "games (noted)", "not sticky"]
    if "teacher" in games:
        columns.insert(3, "more than the teacher (95 %)")
    known = [name for name, g in games.items() if "error" in g]
    run.table(f"Points a game in ALE/Pong-v5{', ± standard error' if known else ''}", columns, rows)
    if any("plain_then" in g for g in games.values()):
        say(
            run,
            "Not sticky: without sticky actions. (old): the first form's mean of 30 seeds; some of these gave the same "
            "game, 18 different ones in the evaluation that was counted, so it is no mean of different games.",
        )


def plain_of(g: dict[str, Any]) -> str:
    """Points without sticky actions, and in how many different games; or what is known of them otherwise."""
    if "plain" in g:
        return f"{g['plain']:+.1f} ({g['different']} games)"
    if "plain_then" in g:
        return f"{g['plain_then']:+.1f} (old)"
    return "not played" if "error" in g else "not kept"


def gap_of(one: dict[str, Any], other: dict[str, Any]) -> str:
    """By how many points one agent is above another, with its 95 % interval where that is known."""
    found = difference(one, other)
    if found is None:
        return f"{one['sticky'] - other['sticky']:+.1f}"
    return f"{found[0]:+.1f} ± {found[1]:.1f}"


def difference(one: dict[str, Any], other: dict[str, Any]) -> tuple[float, float] | None:
    """Points that ``one`` makes more than ``other``, and half the width of the 95 % interval of that.

    None where the points of single games were not kept, so that nobody can say.
    """
    if "error" not in one or "error" not in other:
        return None
    error = (one["error"] ** 2 + other["error"] ** 2) ** 0.5
    fewest = min(one.get("games", 30), other.get("games", 30))
    return one["sticky"] - other["sticky"], errors_of_95(2 * fewest - 1) * error


def errors_of_95(games: int) -> float:
    """Standard errors in half the width of a 95 % interval: Student's t with one degree of freedom less than ``games``."""
    return float(stats.t.ppf(0.975, max(1, games - 1)))


def compared(name: str, one: dict[str, Any], other_name: str, other: dict[str, Any]) -> str:
    """Who makes more points, or that nobody can say."""
    found = difference(one, other)
    if found is None:
        gap = one["sticky"] - other["sticky"]
        said = "single games were not kept, so it may be chance"
        return f"{name} makes {abs(gap):.1f} points a game {more_or_fewer(gap)} than {other_name}; {said}"
    gap, half = found
    shown = f"{abs(gap):.1f} ± {half:.1f} points a game {more_or_fewer(gap)} than {other_name} (95 % interval)"
    if abs(gap) <= half:
        return f"{name} makes {shown}: which of the two plays better is not shown"
    return f"{name} makes {shown}: it plays {'better' if gap > 0 else 'worse'}"


def more_or_fewer(gap: float) -> str:
    return "more" if gap >= 0 else "fewer"


def say_differences(run: Run, games: dict[str, Any]) -> None:
    """What the differences in points show, above all that of the chip's network and the spiking one."""
    if "akida" not in games or "clone" not in games:
        return
    clone = games["clone"]
    told = compared("akida", games["akida"], "the clone", clone)
    values = clone.get("num_steps", 4) + 1
    first = ""
    if sum("error" in g for g in games.values()) > 1:
        first = "± of what an agent makes more than the teacher is a 95 % interval. "
    say(
        run,
        f"{first}{told[0].upper() + told[1:]}. Both come from the "
        f"weights 'clipped'; a neuron of akida has 16 values and one of the clone {values}, and only the clone learnt from "
        "games of its own. Whether the number of values is the reason is open: no clone with more steps was trained.",
    )


def say(run: Run, text: str) -> None:
    """A paragraph, on lines of at most 80 columns."""
    filled = textwrap.fill(
        text.replace(" %", "\u00a0%"), 80, initial_indent="   ", subsequent_indent="   "
    )
    run.print(f"{filled}\n".replace("\u00a0", " "))


def table_costs(run: Run, costs: dict[str, dict[str, Any]]) -> None:
    run.table(
        "What a decision costs",
        (
            "agent",
            "layer 1",
            "operations after it",
            "spikes",
            "updates, not priced",
            "nJ (estimate)",
        ),
        [
            (
                k,
                f"{c['by_layer'][0]:,.0f}",
                f"{c['synops']:,.0f}",
                f"{c['spikes']:,.0f}" if k != "teacher" else "none",
                f"{c['updates']:,.0f}",
                f"{c['energy_nj']:,.0f}",
            )
            for k, c in costs.items()
        ],
    )
    if not costs:
        return
    first = next(iter(costs.values()))
    dense, inputs = first["dense"], f"{first['inputs']:,.0f} of {3 * SIZE * SIZE:,}"
    text = (
        "Layer 1 multiplies and adds, and so does the teacher after it; there the spiking agents only add. "
        f"{inputs} inputs are not 0. With nothing skipped the network takes {dense:,.0f} multiplications, "
        f"{estimated_energy_nj(0, dense):,.0f} nJ. Operations of akida are not counted here."
    )
    if "teacher" in costs and len(costs) > 1:
        of_teacher = max(1e-9, costs["teacher"]["energy_nj"])
        shares = [f"{k} {c['energy_nj'] / of_teacher:.2f}" for k, c in costs.items()]
        text += f" Energy as a multiple of the teacher's, zeros skipped in all: {', '.join(shares[1:])}."
    if "sparse" in costs:
        bare, priced = costs["sparse"]["energy_nj"], priced_with_updates(costs["sparse"])
        text += f" If each update cost as much as an addition, sparse would take {priced:,.0f} nJ and not {bare:,.0f}."
    say(run, text)


def table_latency(run: Run, times: dict[str, dict[str, np.ndarray]], whole: dict[str, Any]) -> None:
    repeats = len(next(iter(whole.values())))
    run.table(
        f"Milliseconds of {repeats} decisions: means of the stages add up to the mean of all",
        ("agent", *next(iter(times.values())), "all", "p50", "p95"),
        [
            (
                k,
                *(f"{x.mean():.2f}" for x in [*v.values(), whole[k]]),
                *(f"{np.percentile(whole[k], q):.2f}" for q in (50, 95)),
            )
            for k, v in times.items()
        ],
    )
    frames = [v["frame"].mean() for v in times.values() if "frame" in v]
    if frames and max(frames) > 1.5 * min(frames):
        times = max(frames) / min(frames)
        say(
            run,
            f"The emulator does the same work in every row, and its mean time differs {times:.1f}-fold: the host was "
            "disturbed, and rows may differ as much for no reason of their own.",
        )


def say_before_policies(run: Run, times: dict[str, dict[str, np.ndarray]]) -> None:
    """How much of the target is spent before a policy begins, and what the policies take by themselves."""
    before = [v["frame"] + v["perception"] for v in times.values()]
    means, slow = [x.mean() for x in before], [np.percentile(x, 95) for x in before]
    alone = [f"{k}: {np.percentile(v['policy'], 95):.1f}" for k, v in times.items()]
    told = "In some rows that alone is more than the target, and in others it is not."
    if min(slow) > TARGET_MS:
        told = (
            f"So on this host no agent can meet the target of {TARGET_MS:g} ms, however quick its policy is: a miss "
            "below is not the policy's alone."
        )
    elif max(slow) <= TARGET_MS:
        told = f"That leaves a policy about {TARGET_MS - max(slow):.1f} of the {TARGET_MS:g} ms of the target."
    say(
        run,
        f"Before a policy begins, frame and perception take {min(means):.1f} to {max(means):.1f} ms on average, and in "
        f"the slowest 5 of 100 decisions more than {min(slow):.1f} to {max(slow):.1f}. What is done there is the same in "
        f"every row; that it takes longer beside some policies was not looked into. {told} The policies alone, p95 in ms: "
        f"{'; '.join(alone)}.",
    )


def priced_with_updates(c: dict[str, Any]) -> float:
    """Estimated energy of a decision in nJ if each update of a membrane cost as much as an addition."""
    return c["energy_nj"] + estimated_energy_nj(c["updates"], 0)


def sentence_of_speed(
    costs: dict[str, dict[str, Any]], times: dict[str, dict[str, np.ndarray]]
) -> str:
    """Whether the operations that the sparse agent saves are time saved on this CPU as well."""
    here = {k.split(",")[0]: v for k, v in times.items() if "cuda" not in k}
    ms = {k: v["policy"].mean() for k, v in here.items()}
    saved = costs["teacher"]["energy_nj"] / max(1e-9, costs["sparse"]["energy_nj"])
    with_updates = costs["teacher"]["energy_nj"] / max(1e-9, priced_with_updates(costs["sparse"]))
    longer = ms["sparse"] / ms["teacher"]
    less = f"{saved:.1f} times less" if saved >= 1 else f"{1 / saved:.1f} times more"
    time = f"{longer:.1f} times as long" if longer >= 1 else f"{1 / longer:.1f} times less time"
    text = (
        f"By its operations the sparse agent takes {less} energy than its teacher (an estimate; a factor of "
        f"{with_updates:.1f} if updates of membranes cost an addition each), and on this CPU its policy takes {time} "
        f"({ms['sparse']:.1f} against {ms['teacher']:.1f} ms)."
    )
    if "clone" not in costs or "clone" not in ms:
        return text
    more = costs["clone"]["synops"] / max(1.0, costs["sparse"]["synops"])
    slower = 100 * (ms["clone"] / ms["sparse"] - 1)
    chance = 100 * abs(here["clone"]["frame"].mean() / here["sparse"]["frame"].mean() - 1)
    text += (
        f" The clone, of the same layers and T, makes {more:.1f} times the operations and takes {ms['clone']:.1f} ms, "
        f"{slower:+.0f} %; the emulator's work, the same for both, differs by {chance:.0f} %"
    )
    if abs(slower) <= max(10.0, 2 * chance):
        return f"{text}. So no time is seen to be saved by spikes that are left out."
    return f"{text}, which explains no such difference."


def table_sparsity(run: Run, points: list[dict[str, Any]]) -> None:
    run.table(
        "Reward in the validation games against operations",
        (
            "arm",
            "reward",
            "SynOps per decision",
            "on an empty board",
            "spikes",
            "estimated energy, nJ",
        ),
        [
            (
                p["name"],
                f"{p['val']:+.2f}",
                f"{p['synops']:,.0f}",
                f"{p['empty']:,.0f}",
                f"{p['spikes']:,.0f}",
                f"{p['energy_nj']:,.0f}",
            )
            for p in points
        ],
    )


def tables_akida(run: Run, rows: dict[str, dict[str, Any]], mapping: Any, state: str) -> None:
    run.table(
        f"Akida: {state}",
        (
            "bits (input weights/weights/activations)",
            "rounded after training (validation games)",
            "trained with rounding",
            "sticky",
            "as the teacher",
            "as quantised Keras",
        ),
        [
            (
                k,
                f"{r['ptq']:+.2f}",
                f"{r['plain']:+.2f}",
                f"{r['sticky']:+.2f}",
                f"{100 * r['teacher']:.1f} %",
                f"{100 * r['agree']:.2f} %",
            )
            for k, r in rows.items()
        ],
    )
    run.table(
        "Where it sits on the AKD1000",
        ("layer", "output", "processors", "weights, bytes"),
        [
            (
                m.name,
                "×".join(map(str, m.output_shape)),
                len(m.nps) if m.nps else m.reason,
                m.weight_bytes + m.external_bytes,
            )
            for m in mapping.layers
        ],
    )


def plot_learning(logs: dict[str, list[dict[str, float]]], found: dict[str, Any]) -> Figure:
    first = next(iter(logs))
    end = 2 * logs[first][-1]["decisions"]  # of a longer log only the beginning, to compare
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(10, 3.8),
        title=(
            f"{first[0].upper() + first[1:]}: {found['sticky']:+.1f} points a game in ALE/Pong-v5, "
            f"{found['plain']:+.1f} without sticky actions"
        ),
    )
    for i, (name, log) in enumerate(logs.items()):
        log = [r for r in log if r["decisions"] <= end]
        if not log:
            continue
        x = [r["decisions"] / 1000 for r in log]
        look = {"color": plots.COLOURS[i], "linestyle": plots.DASHES[i]}
        a.plot(x, [r["return"] for r in log], label=f"{name}, training games", **look)
        tested = [r for r in log if "val" in r]
        a.plot(
            [r["decisions"] / 1000 for r in tested],
            [r["val"] for r in tested],
            plots.MARKERS[i],
            color=plots.COLOURS[i],
            label=f"{name}, validation games",
        )
        b.plot(x, [r["q"] for r in log], label=name, **look)
    a.set_ylim(-22, 22)
    a.legend(loc="upper left" if len(logs) > 1 else "lower right")
    b.legend()
    plots.label(a, "decisions (thousands)", "points a game", "Reward")
    plots.label(b, "decisions (thousands)", "mean target y (points)", "What it expects of a rally")
    return fig


def plot_eyes(inputs: dict[str, float], grey: Any, three_maps: Any) -> Figure:
    """A moment with something moving as a picture, as the three maps, and how many inputs each way leaves."""
    fig, axes = plots.figure(
        1,
        5,
        size=(13.5, 3.4),
        width_ratios=(1, 1, 1, 1, 1.1),
        title=(
            f"Equation (2) leaves {inputs['events']:,.0f} of {3 * SIZE * SIZE:,} inputs; three frames "
            f"{inputs['frames']:,.0f}"
        ),
    )
    grey = np.asarray(torch.as_tensor(grey[:200]).cpu())
    change = np.array([(see_events(g[None])[0, 1:] > 0).sum().item() for g in grey])
    moving = int(
        np.argmax(np.where(change < 300, change, 0))
    )  # a game that begins flashes as a whole
    picture, maps = grey[moving], three_maps(grey[moving])
    panels = {"the picture": picture[-1], "place": maps[0], "ON": maps[1], "OFF": maps[2]}
    for ax, (name, panel) in zip(axes[:4], panels.items(), strict=True):
        ax.imshow(panel, cmap="gray" if name == "the picture" else "gray_r")
        plots.label(ax, "x (pixels)", "y (pixels)" if name == "the picture" else "", name)
        ax.grid(False)
    plots.bars(axes[4], inputs, fmt="{:,.0f}")
    axes[4].set_xscale("log")
    axes[4].margins(x=0.4)
    plots.label(axes[4], "non-zero inputs a decision", "", "What goes in")
    return fig


def plot_conversion(
    times: Sequence[int],
    found: dict[str, list[tuple[float, float]]],
    tried: dict[int, float],
    ann: float,
) -> Figure:
    best = max(tried, key=lambda t: tried[t])
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(10, 3.9),
        title=(
            f"Converted: {tried[best]:+.1f} points in the validation games at T = {best} (teacher {ann:+.1f}), "
            f"{min(tried.values()):+.1f} at the worst T"
        ),
    )
    plots.curves(a, times, {k: [100 * agree for agree, _ in rows] for k, rows in found.items()})
    plots.label(
        a, "time steps T", "same action as the teacher (%)", "Agreement on the teacher's states"
    )
    b.plot(
        list(tried),
        list(tried.values()),
        "o-",
        color=plots.BLUE,
        label="IF neurons, trained clipped",
    )
    b.axhline(ann, color=plots.BLACK, linestyle="--", linewidth=1.2, label=f"teacher ({ann:+.1f})")
    b.set_ylim(-22, 22)
    b.legend()
    plots.label(
        b, "time steps T", "points a game", "Reward in the validation games (sticky actions)"
    )
    for ax in (a, b):
        ax.set_xscale("log", base=2)
        ax.set_xticks(times, times)
    return fig


def plot_inside(spks: dict[str, Any]) -> Figure:
    """Rates by layer, and the raster of the dense layer over some decisions; spikes ``(T, B, …)`` by layer."""
    rates = {name: 100 * s.mean().item() for name, s in spks.items()}
    last = spks["fc1"].cpu()
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(11, 4),
        width_ratios=(1, 2),
        title=(f"Inside the clone: the dense layer fires in {rates['fc1']:.1f} % of its steps"),
    )
    plots.bars(a, rates, fmt="{:.1f}")
    plots.label(a, "spikes per neuron and step (%)", "", "Rates by layer")
    few = last.transpose(0, 1).flatten(0, 1)  # (B · T, N): decisions one after the other
    plots.raster(b, few[:, few.sum(0).topk(min(60, few.shape[1])).indices])
    plots.label(
        b,
        f"time step ({len(last)} a decision)",
        "neuron",
        f"The busiest dense neurons, {last.shape[1]} decisions",
    )
    return fig


def plot_pareto(points: list[dict[str, Any]], chosen: dict[str, Any]) -> Figure:
    share = 100 * points[0]["empty"] / max(1.0, points[0]["synops"])
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(11.5, 4.4),
        title=(
            f"{chosen['name']}: {points[0]['synops'] / max(1.0, chosen['synops']):.1f} times fewer operations than "
            f"{points[0]['name']}; {share:.0f} % of the latter's come without input"
        ),
    )
    costs, rewards = [p["synops"] / 1000 for p in points], [p["val"] for p in points]
    front = pareto_front(costs, rewards)
    families = {}
    for name, silent in (("any bias", False), ("bias ≤ 0", True)):
        here = [i for i, p in enumerate(points) if p["silent"] == silent]
        if here:
            families[name] = ([costs[i] for i in here], [rewards[i] for i in here])
    plots.pareto(
        a,
        families,
        knee=(chosen["synops"] / 1000, chosen["val"]),
        front=([costs[i] for i in front], [rewards[i] for i in front]),
    )
    a.margins(x=0.08, y=0.1)
    a.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    plots.label(
        a, "SynOps per decision (thousands)", "points a game", "Validation games; the star is kept"
    )
    names = [p["name"].replace(", ", ",\n") for p in points]
    plots.grouped_bars(
        b,
        {
            title: {n: p[key] / 1000 for n, p in zip(names, points, strict=True)}
            for title, key in (("in play", "synops"), ("on an empty board", "empty"))
        },
        fmt="{:,.0f}",
    )
    plots.label(b, "", "SynOps per decision (thousands)", "Where they come from")
    return fig


def plot_memory(share: dict[str, float], same: Sequence[float], count: int) -> Figure:
    """Agreement with the teacher by kind, and how soon a forgotten past no longer matters, by ``count`` actions each."""
    seen, gain = "place only", share["place only, kept"] - share["place only, anew"]
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(11, 4),
        title=f"Seeing {seen}, membranes that stay change the agreement by {100 * gain:+.1f} percentage points",
    )
    names = list(dict.fromkeys(name.split(", ")[0] for name in share))
    bars = {}
    for kind, text in (("anew", "new membranes"), ("kept", "membranes kept")):
        bars[text] = {name: 100 * share[f"{name}, {kind}"] for name in names}
    plots.grouped_bars(a, bars, fmt="{:.1f}")
    plots.label(a, "", "the teacher's action (%)", "One step a decision, validation games")
    b.plot(range(len(same)), [100 * x for x in same], "o-", color=plots.BLUE)
    b.set_ylim(None, 101)
    text = f"decisions since everything was forgotten ({count} actions a point)"
    plots.label(b, text, "the same action as without forgetting (%)", "How far back it remembers")
    return fig


def plot_benchmark(
    games: dict[str, Any],
    costs: dict[str, dict[str, Any]],
    origins: dict[str, tuple[str, str]] | None = None,
    targets: dict[str, float] | None = None,
) -> Figure:
    """Games of every agent that has played, where they were kept, else their mean; and what a decision costs."""
    fig, (a, b) = plots.figure(1, 2, size=(11.5, 4.8), title=title_of_games(games))
    for i, (name, g) in enumerate(games.items()):
        points = np.sort(g.get("sticky_points", []))
        a.plot(i + np.linspace(-0.25, 0.25, len(points)), points, ".", color=plots.BLUE, alpha=0.6)
        if "error" in g:
            half = errors_of_95(g.get("games", 30)) * g["error"]
            a.errorbar(i, g["sticky"], half, color=plots.BLACK, capsize=6, fmt="_")
        else:
            a.plot(i, g["sticky"], "D", color=plots.BLUE, fillstyle="none", markersize=8)
        if name in (targets or {}):
            a.hlines(targets[name], i - 0.35, i + 0.35, color=plots.RED, linestyle=":")
        a.annotate(f"{g['sticky']:+.1f}", (i, 22.3), ha="center", fontsize=9)
    a.set_xticks(range(len(games)), list(games))
    a.set_xlim(-0.6, len(games) - 0.4)
    shown = [0.0]
    for g in games.values():
        shown += [g["sticky"], *g.get("sticky_points", [])]
    a.set_ylim(min(shown) - 1, 25)
    kinds = list(dict.fromkeys(whose for whose, _ in (origins or {}).values()))
    told = [f"weights: {' and '.join(kinds)}"] if kinds else []
    marks = ["dotted line: target"] if targets else []
    if any("error" in g for g in games.values()):
        marks.append("dots: games; bars: mean and its 95 % interval")
    told += ["; ".join(marks)] if marks else []
    if any("error" not in g for g in games.values()):
        told.append("diamonds: means of 30 games, counted by the first form, games not kept")
    plots.label(a, "\n".join(told), "points a game", "Points in ALE/Pong-v5 (sticky)")
    plots.bars(b, {k: c["energy_nj"] for k, c in costs.items()}, fmt="{:,.0f} nJ")
    b.margins(x=0.3)
    text = "estimated energy of a decision's arithmetic (nJ), zeros skipped;\nmemory and updates of membranes are not in it"
    missing = [name for name in games if name not in costs]
    left_out = f" (not priced: {', '.join(missing)})" if missing else ""
    plots.label(b, text, "", f"What a decision costs{left_out}")
    return fig


def title_of_games(games: dict[str, Any]) -> str:
    """What can be said of the agents' points, by the interval of a difference or by none."""
    if not games:
        return "No agent has played yet with these weights"
    if "sparse" in games and "teacher" in games:
        found = difference(games["sparse"], games["teacher"])
        if found is not None:
            return f"Sparse against its teacher: {found[0]:+.1f} ± {found[1]:.1f} points a game (95 % interval)"
    points = [g["sticky"] for g in games.values()]
    return (
        f"Means of {min(points):+.1f} to {max(points):+.1f} points a game in ALE/Pong-v5; without single games no "
        "order is established"
    )


def look_at_games(games: dict[str, Any]) -> str:
    """What to look at in the figure of the games."""
    if any("error" in g for g in games.values()):
        return "how far the games of one agent spread; their means' differences stand in the table above"
    return "whose bar on the right is the shortest, and how far all of them are from their targets"


def sentence_of_benchmark(games: dict[str, Any], costs: dict[str, dict[str, Any]]) -> str:
    """The sentence that stands for the capstone."""
    if "sparse" not in games or "teacher" not in games:
        return (
            "Teacher or sparse agent has not played yet with these weights and steps: a decision has a price here and no "
            "reward."
        )
    sparse, teacher = games["sparse"], games["teacher"]
    found = difference(sparse, teacher)
    said = "single games were not kept, so nobody can say how much of that is chance"
    if found is not None:
        gap, half = found
        said = f"the 95 % interval of the difference is {gap - half:+.1f} to {gap + half:+.1f}"
    return (
        f"In ALE/Pong-v5 as registered, with random action repeats, the sparse spiking agent makes "
        f"{reward_of(sparse)} points a game at {costs['sparse']['synops']:,.0f} operations per decision after "
        f"the first layer, and its teacher, not spiking, {reward_of(teacher)}; {said}."
    )


def note_on_origin(run: Run, games: dict[str, Any], origins: dict[str, tuple[str, str]]) -> None:
    """Where agents come from that this form of the script has not made, and where their points do."""
    then = [name for name, (whose, _) in origins.items() if whose.endswith("first form")]
    if then:
        run.note(
            f"{', '.join(then)}: weights of the script's first form (checkpoints/README.md), half of whose games to "
            "learn from were without sticky actions, as were the games that it chose by; `train` now has sticky games "
            "only."
        )
    counted = [name for name, g in games.items() if "error" not in g]
    if counted:
        run.note(
            f"{', '.join(counted)}: the first form also counted these points, in 30 sticky games of which it kept the "
            "mean. `play --agent NAME` plays all of them again and notes each game."
        )


def note_on_targets(run: Run, games: dict[str, Any]) -> None:
    """Why rewards were missed, where they were."""
    if any(c.met is False and c.id.startswith("played_") for c in run.claims):
        teacher = games.get("teacher")
        own = f", which makes {teacher['sticky']:+.1f} here" if teacher else ""
        run.note(
            f"Rewards below their targets: all students learn the actions of one teacher{own}, so a better teacher "
            "comes first, one that learns in sticky games only (a GPU's ten minutes; `train --warm` goes on from the "
            "one that is there). What a student makes less than its teacher is lost besides."
        )


def scoreboard(run: Run, before: int = 0) -> Any:
    """For ``hear`` of ``play``: the first game point by point, the others when they end; ``before`` these, so many."""
    score, over, decisions = [0, 0], [], [0]

    def hear(reward: np.ndarray, points: np.ndarray, ended: np.ndarray) -> None:
        decisions[0] += 1
        if reward[0]:
            score[int(reward[0] > 0)] += 1
            run.print(
                f"          game {before + 1}, decision {decisions[0]:,}: {score[0]} : {score[1]}"
            )
        for game in np.flatnonzero(ended):
            over.append(points[game])
            run.print(
                f"          game {before + game + 1} ends {points[game]:+.0f} after {decisions[0]:,} decisions; "
                f"{len(over)} of {len(points)} games, mean {np.mean(over):+.1f}"
            )

    return hear


def plot_akida(rows: dict[str, dict[str, Any]], mapping: Any) -> Figure:
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(11.5, 4.6),
        title=(
            f"Four bits: {rows['8/4/4']['sticky']:+.1f} points in ALE/Pong-v5 on {mapping.nps_used} of "
            f"{mapping.nps_total} processors"
        ),
    )
    plots.grouped_bars(
        a,
        {
            "rounded after training": {k: r["ptq"] for k, r in rows.items()},
            "trained with rounding": {k: r["sticky"] for k, r in rows.items()},
            "the same, not sticky": {k: r["plain"] for k, r in rows.items()},
        },
        fmt="{:+.1f}",
    )
    a.set_ylim(-24, 30)
    plots.label(a, "bits of input weights / weights / activations", "points a game", "Reward")
    mapping.draw(b)
    b.set_title("Where the layers sit on the AKD1000")
    return fig


def plot_latency(times: dict[str, dict[str, np.ndarray]], whole: dict[str, Any]) -> Figure:
    """Means of the stages, one after the other, so that a bar ends at the mean of the whole; its p50 and p95."""
    p50, p95 = ({k: np.percentile(x, q) for k, x in whole.items()} for q in (50, 95))
    within = sum(x <= TARGET_MS for x in p95.values())
    fig, ax = plots.figure(
        size=(10, 1.8 + 0.5 * len(times)),
        title=(
            f"From frame to action on this host: {within} of {len(times)} stay within {TARGET_MS:g} ms in 95 of 100 "
            "decisions"
        ),
    )
    names, left = list(times), np.zeros(len(times))
    for i, stage in enumerate(next(iter(times.values()))):
        mean = np.array([times[k][stage].mean() for k in names])
        shown = mean.max() > 0.01 * max(np.max(x) for x in p95.values())
        label = f"{stage}, mean" if shown else f"_{stage}"  # no entry for what nobody can see
        ax.barh(names, mean, 0.6, left=left, color=plots.COLOURS[i], label=label)
        left += mean
    rows = range(len(names))
    ax.plot([p50[k] for k in names], rows, "o", color="white", mec=plots.BLACK, label="all, p50")
    ax.plot([p95[k] for k in names], rows, ">", color=plots.BLACK, label="all, p95")
    ax.axvline(
        TARGET_MS, color=plots.BLACK, linestyle="--", label=f"target of p95, {TARGET_MS:g} ms"
    )
    for i, k in enumerate(names):
        ax.annotate(
            f"mean {left[i]:.1f}, p50 {p50[k]:.1f}, p95 {p95[k]:.1f}",
            (max(left[i], p95[k]), i),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            bbox={"color": "white", "pad": 1},  # the line of the target ends there
        )
    ax.set_xlim(0, 1.4 * max(*p95.values(), *left, TARGET_MS))
    ax.invert_yaxis()
    ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    ax.grid(False, axis="y")
    plots.label(ax, "time (ms)", "")
    return fig


def plot_play(film: list[tuple[np.ndarray, np.ndarray, np.ndarray]], agent: str) -> Figure:
    raster = np.concatenate([fired for *_, fired in film])
    steps = len(film[0][2])
    fig, (a, b, c) = plots.figure(
        1,
        3,
        size=(12.5, 4),
        width_ratios=(1, 1, 2),
        title=(
            f"{agent}: {len(film)} decisions, {(film[-1][1] > 0).sum():,} of {3 * SIZE * SIZE:,} inputs are not zero"
        ),
    )
    a.imshow(film[-1][0], cmap="gray")
    b.imshow(film[-1][1].transpose(1, 2, 0))
    for ax, name in ((a, "the game"), (b, "place red, ON green, OFF blue")):
        plots.label(ax, "x (pixels)", "y (pixels)", name)
        ax.grid(False)
    last = raster[-40 * steps :]
    alive = np.argsort(-last.sum(0))[:60]
    plots.raster(c, last[:, alive])
    plots.label(c, f"time step ({steps} a decision)", "neuron", "dense layer, last decisions")
    return fig


def record(film: list[tuple[np.ndarray, np.ndarray, np.ndarray]], path: Path) -> Path:
    """The game beside the spikes of the last decisions, as a GIF of 15 pictures a second (the game's own pace)."""
    from PIL import Image, ImageDraw

    pictures, raster = [], np.concatenate([fired for *_, fired in film]).T > 0  # (N, decisions · T)
    steps = len(film[0][2])
    alive = np.flatnonzero(raster.any(1))[:84] if raster.any() else np.arange(min(84, len(raster)))
    for i, (grey, maps, _) in enumerate(film):
        game = np.repeat(np.repeat(grey, 3, 0), 3, 1)  # (252, 252)
        seen = np.repeat(
            np.repeat(maps.transpose(1, 2, 0), 3, 0), 3, 1
        )  # place red, ON green, OFF blue
        page = Image.new("RGB", (3 * 252 + 20, 272), "white")
        page.paste(Image.fromarray(game).convert("RGB"), (0, 20))
        page.paste(Image.fromarray(seen), (262, 20))
        window = raster[alive, max(0, (i + 1) * steps - 126) : (i + 1) * steps]
        spikes = np.full((84, 126), 255, np.uint8)
        spikes[: len(alive), 126 - window.shape[1] :][window] = 0
        page.paste(Image.fromarray(np.repeat(np.repeat(spikes, 3, 0), 2, 1)), (524, 20))
        draw = ImageDraw.Draw(page)
        for x, text in (
            (4, "the game"),
            (266, "events: place red, ON green, OFF blue"),
            (528, "spikes: a row a neuron, newest right"),
        ):
            draw.text((x, 4), text, fill="black")
        pictures.append(page.quantize(32))
    return write_atomic(
        path,
        lambda tmp: pictures[0].save(
            tmp,
            "GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=67,
            loop=0,
            optimize=True,
        ),
    )


def write_up(run: Run) -> None:
    """Keep the write-up for ``--journal``; `report` and `all` print it."""
    run.extra["analysis"] = analysis({c.id: c for c in run.claims})
    if run.cfg.command in ("report", "all"):
        run.print(f"\n{run.extra['analysis']}")


def analysis(claims: dict[str, Claim]) -> str:
    """The write-up, with the numbers that the commands measured; what was not run is left out."""
    text = []

    def say(words: str, *ids: str) -> None:
        if all(i in claims for i in ids):
            text.append(words.format(*(claims[i].value for i in ids)))

    say(
        "Architecture: three event maps, {0:.0f} times fewer non-zero inputs than frames; three convolutions, two "
        "dense layers, IF neurons, an output that does not spike.",
        "inputs_saved",
    )
    say(
        "Teacher: double DQN; {0:+.2f} points in ALE/Pong-v5 after {2:,.0f} decisions, {1:+.2f} "
        "without sticky actions.",
        "teacher",
        "teacher_plain",
        "teacher_decisions",
    )
    say(
        "Converted to IF neurons: {0:+.2f} at T = {1:.0f}; trained clipped it chooses as the teacher in a share of "
        "{2:.2f} of the states, only balanced in {3:.2f}.",
        "converted",
        "converted_steps",
        "converted_agree_clipped",
        "converted_agree",
    )
    say(
        "Cloned at small T: {0:+.2f} ({1:+.2f} not sticky); training at that T took the validation games from "
        "{2:+.2f} to {3:+.2f}.",
        "clone",
        "clone_plain",
        "clone_before",
        "clone_after",
    )
    say(
        "Spiking DQN from random weights: {0:+.2f} points; it gained {1:+.2f} in training.",
        "spiking_dqn",
        "spiking_dqn_gain",
    )
    say(
        "Sparse: {0:+.2f} with {1:,.0f} SynOps per decision, {2:.1f} times fewer than the clone, of whose SynOps a "
        "share of {3:.2f} comes on an empty board as well.",
        "sparse",
        "sparse_synops",
        "sparse_saved",
        "clone_empty",
    )
    say(
        "Membranes kept from decision to decision, one step each: {0:+.2f} with {2:,.0f} SynOps, {1:+.2f} with new "
        "membranes; seeing place only, memory changes the agreement by {3:+.3f}.",
        "temporal",
        "temporal_anew",
        "temporal_synops",
        "place_gain",
    )
    say(
        "Akida at 8/4/4: {0:+.2f} ({1:+.2f} not sticky), {2:.0f} layers in software, {3:.0f} processors.",
        "akida_844",
        "akida_844_plain",
        "akida_software",
        "akida_nps",
    )
    say("Akida at 8/2/4: {0:+.2f} ({1:+.2f} not sticky).", "akida_824", "akida_824_plain")
    say(
        "The agents of the benchmark in ALE/Pong-v5: teacher {0:+.2f}, sparse {1:+.2f} with {2:,.0f} SynOps per decision.",
        "played_teacher",
        "played_sparse",
        "synops",
    )
    say("Frame to action: {0:.2f} ms (p95), the spiking policy in PyTorch.", "latency_spiking")
    missed = [c.text for c in claims.values() if c.met is False]
    text.append("Missed: " + ("; ".join(missed) if missed else "no target") + ".")
    text += TRIED
    return "\n".join(f"- {line}" for line in text)


TRIED = [
    "What failed: the teacher of this script's first form, which learnt half of its decisions without sticky actions, "
    "lost 9 points as soon as actions repeated by chance (+20.2 without, +11.3 with them). That is what a course of the "
    "game learnt by heart would look like.",
    "What failed: an evaluation of 30 seeds without sticky actions was one of 18 different games, some of them seen in "
    "training; each game counts once now, and no target goes by them.",
]
"""What no single run shows: said in every write-up."""
