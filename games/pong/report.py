"""What capstone A shows for its measurements: tables, figures, a film, and the write-up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import plots
from common.claims import Claim
from common.cost import estimated_energy_nj, pareto_front
from common.io import write_atomic
from common.run import Run
from games.pong.env import SIZE, see_deltas, see_events, see_frames

import numpy as np
from matplotlib.figure import Figure

BAR_MS = 50.0  # from frame to action, at most


def table_perception(run: Run, found: dict[str, dict[str, Any]], training: str) -> None:
    run.table(
        f"What the network sees: students of the same teacher, {training}",
        (
            "perception",
            "reward",
            "sticky",
            "teacher's action",
            "non-zero inputs",
            "operations, thousands",
        ),
        [
            (
                k,
                f"{v['plain']:+.2f}",
                f"{v['sticky']:+.2f}",
                f"{100 * v['agree']:.1f} %",
                f"{v['inputs']:,.0f}",
                f"{v['macs'] / 1000:,.0f}",
            )
            for k, v in found.items()
        ],
    )


def table_sensors(run: Run, sensors: dict[str, Any], agree: dict[str, float]) -> None:
    n = len(next(iter(sensors.values())))
    run.table(
        f"The same game of {n:,} decisions through lesson 04's sensor: does the teacher still act alike?",
        ("sensor", "same action", "non-zero inputs"),
        [
            (k, f"{100 * agree[k]:.1f} %", f"{(maps != 0).sum().item() / n:,.0f}")
            for k, maps in sensors.items()
        ],
    )


def table_costs(run: Run, costs: dict[str, dict[str, Any]]) -> None:
    run.table(
        "What a decision costs",
        (
            "agent",
            "non-zero inputs",
            "first layer's MACs",
            "operations after it",
            "spikes",
            "dense MACs",
            "estimated energy, nJ (dense)",
        ),
        [
            (
                k,
                f"{c['inputs']:,.0f}",
                f"{c['by_layer'][0]:,.0f}",
                f"{c['synops']:,.0f}",
                f"{c['spikes']:,.0f}",
                f"{c['dense']:,.0f}",
                f"{c['energy_nj']:,.0f} ({estimated_energy_nj(0, c['dense']):,.0f})",
            )
            for k, c in costs.items()
        ],
    )


def table_latency(
    run: Run, times: dict[str, dict[str, np.ndarray]], whole: dict[str, Any], repeats: int
) -> None:
    run.table(
        f"Milliseconds, p50 / p95 of {repeats} decisions",
        ("backend", *next(iter(times.values())), "all"),
        [
            (
                k,
                *(
                    f"{np.percentile(x, 50):.3f} / {np.percentile(x, 95):.3f}"
                    for x in [*v.values(), whole[k]]
                ),
            )
            for k, v in times.items()
        ],
    )


def table_sparsity(run: Run, points: list[dict[str, Any]]) -> None:
    run.table(
        "Reward in the validation games against operations",
        (
            "arm",
            "reward",
            "sticky",
            "SynOps a decision",
            "on an empty board",
            "spikes",
            "estimated energy, nJ",
        ),
        [
            (
                p["name"],
                f"{p['val_plain']:+.2f}",
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
            f"{first[0].upper() + first[1:]}: {found['plain']:+.1f} points a game, {found['sticky']:+.1f} with sticky "
            "actions"
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


def plot_perception(found: dict[str, Any], grey: np.ndarray) -> Figure:
    fig, axes = plots.figure(
        2,
        3,
        size=(11, 6.4),
        title=(
            f"Events leave {found['events']['inputs']:.0f} of {3 * SIZE * SIZE:,} inputs and play "
            f"{found['events']['plain']:+.1f}; frames {found['frames']['plain']:+.1f}"
        ),
    )
    eyes = {
        "frames: the last three": see_frames,
        "deltas: picture, brighter, darker": see_deltas,
        "events: place, ON, OFF": see_events,
    }
    events = np.array([(see_events(g[None])[0, 1:] > 0).sum().item() for g in grey[:200]])
    moving = int(
        np.argmax(np.where(events < 300, events, 0))
    )  # a game that has just begun flashes as a whole
    for ax, (name, see) in zip(axes[0], eyes.items(), strict=True):
        ax.imshow(see(grey[moving][None])[0].permute(1, 2, 0).numpy())
        plots.label(ax, "x (pixels)", "y (pixels)", name)
        ax.grid(False)
    plots.bars(axes[1, 0], {k: v["plain"] for k, v in found.items()}, fmt="{:+.1f}")
    plots.label(axes[1, 0], "points a game", "", "Reward of equal students")
    plots.bars(axes[1, 1], {k: v["inputs"] for k, v in found.items()}, fmt="{:,.0f}")
    plots.label(axes[1, 1], "non-zero inputs a decision", "", "What goes in")
    plots.bars(axes[1, 2], {k: v["by_layer"][0] / 1000 for k, v in found.items()}, fmt="{:,.0f}")
    plots.label(axes[1, 2], "operations (thousands)", "", "The first layer's work")
    for ax in axes[1, :2]:
        ax.margins(x=0.25)
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
    last = spks["fc1"]
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


def plot_pareto(
    points: list[dict[str, Any]], chosen: dict[str, Any], found: dict[str, Any]
) -> Figure:
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(11.5, 4.4),
        title=(
            f"{points[0]['synops'] / max(1.0, chosen['synops']):.1f} times fewer operations at {found['plain']:+.1f} "
            f"points; {100 * points[0]['empty'] / max(1.0, points[0]['synops']):.0f} % of the clone's come without input"
        ),
    )
    costs = [p["synops"] / 1000 for p in points]
    front = pareto_front(costs, [p["val_plain"] for p in points])
    families = {
        f"{name}{sticky}": (
            [c for c, p in zip(costs, points, strict=True) if p["silent"] == silent],
            [p["val" if sticky else "val_plain"] for p in points if p["silent"] == silent],
        )
        for name, silent in (("any bias", False), ("bias ≤ 0", True))
        for sticky in ("", ", sticky actions")
    }
    plots.pareto(
        a,
        {k: v for k, v in families.items() if v[0]},
        knee=(chosen["synops"] / 1000, chosen["val_plain"]),
        front=([costs[i] for i in front], [points[i]["val_plain"] for i in front]),
    )
    a.margins(x=0.08, y=0.1)
    a.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    plots.label(
        a, "SynOps a decision (thousands)", "points a game", "Validation games; the star is kept"
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
    plots.label(b, "", "SynOps a decision (thousands)", "Where they come from")
    return fig


def plot_akida(rows: dict[str, dict[str, Any]], mapping: Any) -> Figure:
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(11.5, 4.6),
        title=(
            f"Four bits on the chip: {rows['8/4/4']['plain']:+.1f} points, {mapping.nps_used} of {mapping.nps_total} "
            "processors"
        ),
    )
    plots.grouped_bars(
        a,
        {
            "rounded after training": {k: r["ptq"] for k, r in rows.items()},
            "trained with rounding": {k: r["plain"] for k, r in rows.items()},
            "the same, sticky actions": {k: r["sticky"] for k, r in rows.items()},
        },
        fmt="{:+.1f}",
    )
    a.set_ylim(-24, 30)
    plots.label(a, "bits of input weights / weights / activations", "points a game", "Reward")
    mapping.draw(b)
    b.set_title("Where the layers sit on the AKD1000")
    return fig


def plot_latency(times: dict[str, dict[str, np.ndarray]], whole: dict[str, Any]) -> Figure:
    slow = max(whole, key=lambda k: np.percentile(whole[k], 95))
    fig, ax = plots.figure(
        size=(10, 1.6 + 0.5 * len(times)),
        title=(
            f"Frame to action within {np.percentile(whole[slow], 95):.1f} ms on every backend (p95); the bar is "
            f"{BAR_MS:g} ms"
        ),
    )
    names, left = list(times), np.zeros(len(times))
    for i, stage in enumerate(next(iter(times.values()))):
        median = np.array([np.median(times[k][stage]) for k in names])
        ax.barh(names, median, 0.6, left=left, color=plots.COLOURS[i], label=stage)
        left += median
    for i, k in enumerate(names):
        ax.annotate(
            f"p50 {np.percentile(whole[k], 50):.2f}, p95 {np.percentile(whole[k], 95):.2f}",
            (left[i], i),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    ax.margins(x=0.3)
    ax.invert_yaxis()
    ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    ax.grid(False, axis="y")
    plots.label(ax, "median time (ms)", "")
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
    for ax, name in ((a, "the game"), (b, "place (red), ON, OFF")):
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
            (266, "events: place, ON, OFF"),
            (528, "spikes of the dense layer"),
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


def analysis(claims: dict[str, Claim]) -> str:
    """The write-up, with the numbers that the commands measured; what was not run is left out."""
    text = []

    def say(words: str, *ids: str) -> None:
        if all(i in claims for i in ids):
            text.append(words.format(*(claims[i].value for i in ids)))

    say(
        "Teacher: double DQN, returns over n steps, three event maps; {0:+.2f} points after {2:,.0f} decisions, "
        "{1:+.2f} with sticky actions.",
        "teacher",
        "teacher_sticky",
        "teacher_decisions",
    )
    say(
        "Perception: equal students reach {0:+.2f} on frames, {1:+.2f} on deltas, {2:+.2f} on events, with {3:.0f} "
        "times fewer non-zero inputs on events.",
        "sees_frames",
        "sees_deltas",
        "sees_events",
        "inputs_saved",
    )
    say(
        "Ablations: without ON and OFF {0:+.2f}, with half the width {1:+.2f}.",
        "sees_events_no_motion",
        "sees_events_half_width",
    )
    say(
        "Converted to IF neurons: {0:+.2f} ({1:+.2f} sticky) at T = {2:.0f}.",
        "converted",
        "converted_sticky",
        "converted_steps",
    )
    say(
        "Cloned at small T: {0:+.2f} ({1:+.2f} sticky); training at that T took the validation games from {2:+.2f} "
        "to {3:+.2f}.",
        "clone",
        "clone_sticky",
        "clone_before",
        "clone_after",
    )
    say(
        "Spiking DQN from random weights: {0:+.2f} points; it gained {1:+.2f} in training.",
        "spiking_dqn",
        "spiking_dqn_gain",
    )
    say(
        "Sparse: {0:+.2f} with {1:,.0f} SynOps a decision, {2:.1f} times fewer than the clone.",
        "sparse",
        "sparse_synops",
        "sparse_saved",
    )
    say(
        "A share of {0:.2f} of the clone's SynOps comes on an empty board as well; a price alone saves {1:.1f} times, "
        "at {2:+.2f} points in the validation games.",
        "clone_empty",
        "priced_saved",
        "priced",
    )
    say(
        "Akida at 8/4/4: {0:+.2f} ({1:+.2f} sticky), {2:.0f} layers in software, {3:.0f} processors.",
        "akida_844",
        "akida_844_sticky",
        "akida_software",
        "akida_nps",
    )
    say("Akida at 8/2/4: {0:+.2f} ({1:+.2f} sticky).", "akida_824", "akida_824_sticky")
    say(
        "Frame to action: {0:.2f} ms p50, {1:.2f} ms p95 for the spiking policy in PyTorch.",
        "latency_spiking_p50",
        "latency_spiking_p95",
    )
    missed = [c.text for c in claims.values() if c.met is False]
    text.append("Missed: " + ("; ".join(missed) if missed else "no target") + ".")
    return "\n".join(f"- {line}" for line in text)
