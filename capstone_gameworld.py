"""Capstone B — A spiking agent against the clock: a runner game in a browser

Question
    In capstone A the game waited for every decision. Here it does not. A page in a browser runs on, and
    the agent sees it only through screenshots and acts only through keys. Published agents for browser games
    take 2.4 to 6.4 s a step. How much of a minute does a network survive that answers in milliseconds?
    Section 3 measures it in a simulator, section 5 in Chromium.

Idea
    The runner gets over a thing of height h, which comes at v pixels a tick, if the key reaches the game
    within a window of W ticks. An agent that looks every I ticks, and presses the moment its answer is
    there, can press once in I ticks. A jump is above height h from tick n₁(h) to tick n₂(h); thing and
    runner are w and w_r px wide:

        W = n₂(h) − (w + w_r)/v − n₁(h)             chance of a key in time ≈ min(1, W/I)              (1)

    The agent is lesson 01's neuron in a CNN. It takes one step a frame, and its membranes are never
    emptied during a life: they carry what one frame does not show, such as how fast a thing comes nearer.
    It learns from a teacher that sees the game's state, on the states that the network itself runs into
    (DAgger, Ross et al. 2011):

        U[t] = β·U[t−1] + x[t] − S[t−1]·θ           loss = BCE(network(frames ≤ t), teacher(state t))  (2)

    with x[t] the current. The hidden layer has no reset, and weights its current by 1 − β (section 2).

Read first
    Theory     Ross et al. 2011 (DAgger), https://arxiv.org/abs/1011.0686
               GameWorld, the benchmark whose interface and scoring we keep, https://arxiv.org/abs/2604.07429.
               Its repository states no licence: nothing of it is in this one
    Practice   Playwright, https://playwright.dev/python · games/runner/README.md: the game, to play by hand

Run
    uv run capstone_gameworld.py                   all sections; on a quiet machine 4 minutes, 3 more in Chromium
    uv run capstone_gameworld.py --browser-runs 10 ten runs a player in Chromium, not one: judged; half an hour
    uv run capstone_gameworld.py train             the network anew (section 2): six minutes on one core
    uv run capstone_gameworld.py compare           section 2's nine small trainings anew: a quarter of an hour
    uv run capstone_gameworld.py play --record runner.gif           watch it in the browser (section 7)
    uv run capstone_gameworld.py report            the published figures beside ours (section 6): no browser

Builds on / leads to
    01 (the neuron), 09 (BPTT in pieces), 10 (spiking CNN), 13 (memory), capstone A. The last script of the course.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from common import plots
from common.cost import WEIGHTED, calls, ledger_row
from common.io import ROOT, UserError, live, load_weights, save_weights
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import over_time
from games.gameworld import match
from games.gameworld.match import COMPLETE, Entry, Start
from games.gameworld.show import arc, dots, page, record
from games.gameworld.told import (
    all_lives,
    beside_rule,
    by_chance,
    by_track,
    largest_stage,
    latency_rows,
    later_than_twin,
    without_press,
)
from games.runner import twin
from games.runner.play import INTERVAL, LATENCY, SIGHT, World, lives, overdue, planner, window
from games.runner.reading import Place, Played, first_places, next_piece
from multistep import unroll

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
import tyro
from matplotlib.axes import Axes
from scipy.stats import binomtest
from snntorch import surrogate
from torch import Tensor, nn

NOT = "own runner, not GameWorld"
CHECKPOINTS = ROOT / "checkpoints"
ANN = CHECKPOINTS / "runner_graded.safetensors"
COMMANDS = ("benchmark", "train", "compare", "play", "report")
ONLY = {"train": 2, "compare": 2, "play": 7, "report": 6}  # a command is a section
# number of the first track of each use; training draws its tracks below both
VALIDATION, TEST = 2**31, 3 * 2**30
VALIDATED = 48  # tracks that judge a round of training
TICK_S = 1 / twin.TICKS_PER_S
VIEW = SIGHT - twin.PLAYER_W  # px of the track that the picture shows beyond the runner's front
PART = "training_{}.pt"  # a training that was cut, for --resume


@dataclass
class Config(LessonConfig):
    """`benchmark` runs all sections, `train` and `compare` section 2, `report` section 6, `play` section 7."""

    command: tyro.conf.Positional[Literal[COMMANDS]] = "benchmark"  # type: ignore[valid-type]
    """what to do"""
    num_steps: int = bounded(25, 1, 1000)
    """frames that a gradient goes back through (T); the membranes themselves are never cut"""
    seed: int = bounded(0, 0, 2**30)
    """seed of every random number in the script; the tracks of the tests do not depend on it"""
    runs: int = bounded(100, 2, 10_000)
    """runs of each player in the simulator; a fifth of it for each point of the sweeps"""
    browser_runs: int = bounded(1, 0, 1000)
    """runs of each player in the browser, in real time; 0: no browser"""
    browser: Path | None = None
    """Chromium's program (default: the one that is found)"""
    policy: Path | None = None
    """weights that play (default: those that the course ships); `train` goes on from them"""
    rounds: int = bounded(6, 1, 1000)
    """`train`: rounds of DAgger"""
    passes: int = bounded(12, 1, 1000)
    """`train`: how often 32 runs are read after each round"""
    frames: int = bounded(1050, 25, 100_000)
    """`train`: frames of each run of a round"""
    lr: float = bounded(4e-3, 1e-7, 1.0)
    """`train`: learning rate at the start; it falls along a cosine"""
    ages: Literal["mixed", "equal"] = "mixed"
    """`train`: rows of a batch that differ in age, or that begin their lives together"""
    neuron: Literal["spiking", "graded"] = "spiking"
    """`train`: the spiking network, or the ANN of the same shape"""
    teaching: Literal["dagger", "cloning"] = "dagger"
    """`train`: who plays after the first round, the network or (cloning) the teacher again"""
    memory: float = bounded(400.0, 0.0, 10_000.0)
    """`train`: no time constant is longer than so many frames, or than the layer's shortest; 0: no memory (β = 0)"""
    track: Literal["reactive", "official"] = "reactive"
    """`play`: the track"""
    record: Path | None = None
    """`play`: write what it saw and how it fired to this .webp or .gif"""
    gameworld: Path | None = None
    """`play`: your own clone of GameWorld, in place of our runner"""
    game: str = "07_chrome-dino"
    """`play`: which game of the clone"""
    resume: bool = False
    """take over the matches in the browser, or the rounds of `train`, that a call before had finished"""

    @property
    def life(self) -> int:
        """Ticks after which a life in the simulator ends: a minute; a smoke run's end early."""
        return 300 if self.smoke else match.MINUTE

    def validate(self) -> None:
        super().validate()
        if self.record is not None and self.record.suffix not in (".webp", ".gif"):
            raise UserError(
                f"--record: got {self.record}, allowed are names that end in .webp or .gif"
            )
        if self.gameworld is not None and self.command != "play":
            raise UserError(f"--gameworld: got the command {self.command}, allowed is play")
        if self.only is None and not self.smoke:
            self.only = ONLY.get(self.command)


SMOKE = {"runs": 4, "rounds": 2, "passes": 1, "frames": 50}
FULL = {"runs": 500, "rounds": 10, "passes": 20, "browser_runs": 10}


# ---------------------------------------------------------------- 1  two clocks


def standing_windows(speed: float) -> tuple[np.ndarray, np.ndarray]:
    """n₁ and n₂ − (w + 40)/v of the things that stand, as often as the game deals them: ``(6,)`` ticks each."""
    dealt = [kind for kind in twin.DEAL if twin.KINDS[kind].bottom == 0]
    speeds = np.full(len(dealt), speed)
    return window(np.array(dealt), speeds)


def window_ticks(speed: float = twin.SPEED) -> np.ndarray:
    """W of equation (1) for the things that stand, as often as the game deals them: ``(6,)`` ticks."""
    first, last = standing_windows(speed)
    return last - first  # equation (1)


def set_off(games: twin.Games, first: np.ndarray) -> None:
    """Play on to the tick of each run's first look, ``first (B,)``, without a key."""
    no_key = np.zeros(len(games), bool)
    for tick in range(first.max()):
        crashed = games.dead
        games.dead = crashed | (tick >= first)  # who is there already stands still
        games.step(no_key)
        games.dead = np.where(tick < first, games.dead, crashed)


def on_arrival(interval: int, latency: int, runs: int, ticks: int) -> twin.Games:
    """The first ``ticks`` of ``runs`` games in which the planner looks every ``interval`` ticks. Each of its keys
    arrives ``latency`` ticks after its look and is let go after a quarter of a second."""
    tracks = range(VALIDATION, VALIDATION + runs)
    world = World(tracks, (interval, interval), (latency, latency), hold=15)
    # equation (1): every phase of the looks is equally likely
    set_off(world.games, np.random.default_rng(0).integers(interval, size=runs))
    lives(planner, world, ticks)
    return world.games


def jump_now(games: twin.Games, seen_px: np.ndarray) -> np.ndarray:
    """Should the runner jump now, over a thing whose left edge is less than ``seen_px`` away? ``(B,)`` bool."""
    return (overdue(games) >= 0) & (games.ahead(1)[0][:, 0] < seen_px)


def timed(interval: int, latency: int, tracks: range, ticks: int) -> twin.Games:
    """The games on ``tracks`` of a planner that answers a look with *timed* keys, one for each tick up to its next
    answer. All runs look first at tick 0."""
    games = twin.Games(tracks)
    on_their_way = [np.zeros(len(tracks), bool)] * latency
    while games.tick.max() < ticks and not games.dead.all():
        future = games.copy()
        keys = list(on_their_way)
        for key in keys:
            future.step(key)
        for _ in range(interval):
            # what the picture shows of the track, from where the runner will be then
            seen_px = SIGHT - (future.distance - games.distance)
            keys.append(jump_now(future, seen_px))
            future.step(keys[-1])
        for key in keys[:interval]:
            games.step(key)
        on_their_way = keys[interval:]
    return games


def timed_keys(interval: int, latency: int, runs: int, ticks: int) -> twin.Games:
    """``timed`` on the tracks of ``on_arrival``."""
    return timed(interval, latency, range(VALIDATION, VALIDATION + runs), ticks)


WAYS = (
    "delay L, a look every 3 ticks",
    "interval I, keys on arrival",
    "interval I, timed keys",
    "timed keys, blocks: I = L",
)


def slowed(way: str, t: int, runs: int, ticks: int) -> twin.Games:
    """The first ``ticks`` of ``runs`` games, with ``t`` ticks for what ``way`` (one of ``WAYS``) names."""
    if way == WAYS[0]:
        return on_arrival(3, t, runs, ticks)
    if way == WAYS[1]:
        return on_arrival(t, 2, runs, ticks)
    if way == WAYS[2]:
        return timed_keys(t, 2, runs, ticks)
    return timed_keys(t, t, runs, ticks)


def sight_limits(speed: float) -> dict[str, float]:
    """The ticks t at which each of ``WAYS`` that sight binds reaches L + I + n₁ = 1080/v, for the mean n₁ of the
    things that stand."""
    first, _ = standing_windows(speed)
    left = VIEW / speed - float(first.mean())  # ticks for L + I
    # WAYS[0]: I = 3, since a thing may come into sight up to 3 ticks before the look that sees it. WAYS[1] is missing:
    # with L = 2 the key is not late, and what a long I costs is the window, equation (1)
    return {WAYS[0]: left - 3, WAYS[2]: left - 2, WAYS[3]: left / 2}


def as_product(ticks: float, speed: float) -> str:
    """W·v as a product of the two factors as they are printed, so that it can be checked by hand."""
    ticks, speed = round(ticks, 1), round(speed, 2)
    return f"W·v = {ticks:g} ticks · {speed:g} px a tick = {ticks * speed:.0f} px"


def passed_and_met(games: twin.Games) -> tuple[int, int]:
    """How many of the things that stand were got over, and how many were met: those, and one for each crash."""
    passed = int(games.passed().sum())
    return passed, passed + int(games.dead.sum())


def per_cent(share: float) -> int:
    """``share`` in whole per cent: some dozens of runs tell no decimals."""
    return round(100 * share)


@section
def section_clocks(cfg: Config, run: Run) -> None:
    """1  What does it cost to answer late, and what to look rarely?

    The game is ours (games/runner). Its clock goes in ticks of 1/60 s. The speed rises from 8 to 16 px a tick, 64 px
    are a point, and whoever stays alive for a minute has 700 points. What stands is jumped over; what hangs is passed
    on the ground. The game is *not GameWorld*. It keeps that benchmark's interface: a page is asked for its state and
    started anew in the same way, and a player gets screenshots and sends keys, nothing else. Budgets of actions and
    time come with the two tracks of section 6: one has GameWorld's real-time rules, the other has rules of our own.

    Two times matter in an agent. The **reaction delay** L is the time from a screenshot to the key that was
    decided on it. The **decision interval** I is the time from one screenshot to the next. In a network that
    answers in milliseconds both are short. A language model that is asked, waited for and asked again
    *blocks*: while it thinks it does not look, so I is at least as long as L.

    *The window.* n ticks after a take-off the runner's feet are y(n) = 17.5·n − 0.4375·n·(n + 1) px above the ground.
    They are above a thing of height h from tick n₁ to tick n₂. The thing, w px wide, and the runner, 40 px wide,
    overlap horizontally for (w + 40)/v ticks, and all of these must lie between n₁ and n₂. So the runner may leave the
    ground from n₂ − (w + 40)/v down to n₁ ticks before the two would touch. That is a window of W ticks, equation (1).
    The first figure draws it as an arrow.

    *Keys on arrival.* A key goes down at the moment when its answer arrives. An agent that knows L decides
    L ticks earlier, and the delay costs it nothing as long as the thing is in the picture by then. To know I does not
    help in the same way: if I > W, there may be no look in the window at all. If every phase of the looks is equally
    likely, a look falls into the window with the chance W/I of equation (1). The experiment sees to that: each run
    looks for the first time at a random tick of its first interval. The figure draws equation (1) at the speed of the
    start, as the mean of min(1, W/I) over the things that stand. Within ten seconds the speed rises and W with it, so
    what is measured should lie near that line and rather above it. It also differs by chance, the more the fewer
    things were met. The finding names the largest gap and what chance and speed may have in it.

    *Timed keys.* An answer may also be "press in 0.4 seconds, and again in 0.9". Such an agent plans all keys
    of an interval from one look, and equation (1) does not bind it.

    *Sight* limits both. A thing must be in the picture at the look that plans its key, and the picture ends
    1,080 px beyond the runner's front. The last key that helps comes n₁ ticks before the touch. From the tick at
    which the thing comes into sight to its key it may take L + I ticks, for a reason of its own with each kind of
    key:

        on arrival    up to I ticks to the first look that sees the thing, then L ticks to its key
        timed         the look that plans this key is up to L + I ticks old, and must have seen the thing

    So in both cases the key is safe only if

        L + I + n₁(h) < 1080/v               1080/v: 2.25 s at the start, 1.1 s at the end

    Beyond this limit the last keys of an interval are missing; the first may still be right. An agent that blocks
    has I ≥ L. It reaches the limit with answers that take half as long. The second figure marks the limit for one
    speed: in the left panel the speed at the start, in the right one the speed at the end. The left panel shows ten
    seconds, in which the speed rises and the limit comes down, so its lines begin to fall somewhat before their marks.

    That figure makes an agent slow in four ways. L grows while there is a look every 3 ticks. I grows while an answer
    takes 2 ticks, once with keys on arrival and once with timed keys. Or both grow together, I = L, with timed keys: an
    agent that blocks. (Keys on arrival with a long I have no mark: W/I has ended their run long before sight does.)
    The agent is a planner that knows L, I and the rules. It reads positions from the game itself, but only of what is
    in the picture.

    Why a runner? Nothing that was seen a minute ago matters in it, and no plan is needed. Everything depends on
    acting in time, and for that a small network with a short memory may do. A maze or a puzzle waits for its player
    and wants a plan, which this network cannot make; no such game is played here.
    """
    run.predict(
        "interval_1s",
        "A planner that knows the rules looks once a second and presses when its answer is there. "
        "What share of the things in its way does it get over?",
        unit="%",
    )
    widths = window_ticks()  # at the speed of the start

    games = twin.Games([11])
    while games.ahead(1)[0][0, 0] > 330:
        games.step(np.zeros(1, bool))
    lefts, shown = games.ahead(3)
    speed = float(games.speed[0])
    late, early = window(shown[0, :1], games.speed)  # the first thing, a post
    width = float(early[0] - late[0])  # W
    seen = see(torch.from_numpy(games.render()))[0]  # (24, 40)
    title = (
        f"The post is cleared if the jump begins within {width:.1f} ticks;\n"
        f"of the page's {twin.HEIGHT * twin.WIDTH:,} pixels the network gets {seen.numel():,} grey levels"
    )
    fig, (ax, bx) = plots.figure(2, 1, (10, 5.4), title)
    page(ax, shown[0], lefts[0])
    touch = lefts[0, 0] - twin.PLAYER_W
    first, last = touch - early[0] * speed, touch - late[0] * speed  # of its left edge
    for start_px, colour, name in ((first, plots.GREEN, "earliest"), (last, plots.RED, "latest")):
        arc(ax, start_px + twin.PLAYER_W, speed, colour, f"{name} jump: path of the front foot")
        arc(ax, start_px, speed, colour, f"{name} jump: the rear foot", ":")
    ax.text(0, twin.PLAYER_H + 6, "runner", fontsize=9)
    ax.text(lefts[0, 1], twin.KINDS[shown[0, 1]].top + 6, "hanging thing", fontsize=9)
    upright = {"rotation": 90, "color": "white", "fontsize": 8, "ha": "center"}
    ax.text(lefts[0, 0] + twin.KINDS[shown[0, 0]].w / 2, 8, "post", **upright)
    ends = (first + twin.PLAYER_W, -16), (last + twin.PLAYER_W, -16)
    arrow = {"arrowstyle": "<->", "color": "white", "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", *ends, arrowprops=arrow)
    ax.text(last + 50, -16, as_product(width, speed), color="white", va="center", fontsize=9)
    ax.legend(loc="upper left", ncols=2, fontsize=8)
    told = "A jump clears the post if the front foot leaves the ground within the arrow"
    plots.label(ax, "px ahead of the runner's rear foot", "px above ground", told)
    frame = games.render()[0]  # (24, 80)
    bx.imshow(frame, cmap="gray", aspect="equal", vmin=0, vmax=255)
    bx.axvspan(LEFT - 0.5, RIGHT - 0.5, fill=False, edgecolor=plots.BLUE, linewidth=2)
    bx.grid(False)
    rows, columns = frame.shape
    told = f"The same as {rows} × {columns} grey levels; blue: the {' × '.join(map(str, seen.shape))} that the network gets"
    plots.label(bx, f"column, {twin.CELL} px each", f"row, {twin.CELL} px each", told)
    run.figure(
        fig,
        "1_game",
        look="where the arcs touch the post; what averaging leaves of its edges",
    )

    waits = (1, 60) if cfg.smoke else (1, 12, 24, 36, 48, 60, 72, 100, 120, 144)
    first_s, few = min(600, cfg.life), max(2, cfg.runs // 5)
    share: dict[str, list[float]] = {}  # of the things that stand, in ten seconds
    lasted: dict[str, list[float]] = {}  # share of the runs that last a minute
    met: dict[str, list[int]] = {}  # how many things that is a share of
    for way in live(WAYS, "ways to be late", len(WAYS)):
        counted = [passed_and_met(slowed(way, t, cfg.runs, first_s)) for t in waits]
        share[way] = [passed / max(1, met) for passed, met in counted]
        met[way] = [number for _, number in counted]
        lasted[way] = [float(1 - slowed(way, t, few, cfg.life).dead.mean()) for t in waits]
    share["equation (1)"] = [float(np.minimum(1, widths / t).mean()) for t in waits]
    at_1s = waits.index(60)
    delay_1s, interval_1s, timed_1s, _, expected_1s = (v[at_1s] for v in share.values())
    met_late, met_rare, met_timed, _ = (v[at_1s] for v in met.values())
    delay_min, _, timed_min, blocked_min = (v[at_1s] for v in lasted.values())
    timed_rare = lasted[WAYS[2]][-1]  # at the longest interval

    title = (
        f"A look a second: {interval_1s:.0%} of the things are passed with keys on arrival, "
        f"{timed_1s:.0%} with timed keys"
    )
    fig, axes = plots.figure(1, 2, (11.5, 4.4), title)
    names = f"first 10 s, {cfg.runs} runs a point", f"a whole minute, {few} runs a point"
    for ax, lines, name in zip(axes, (share, lasted), names, strict=True):
        plots.curves(ax, np.array(waits) * TICK_S, lines)
        ax.lines[0].set(linewidth=5, alpha=0.35)  # the others lie on it
        speed = twin.SPEED if lines is share else twin.SPEED_MAX
        limits = sight_limits(speed)
        for line, way in zip(ax.lines[:4], WAYS, strict=True):
            if way in limits:  # in the line's colour, from 1.03 up: the end of sight for this way
                mark = {"color": line.get_color(), "linewidth": 2.5, "linestyle": "-"}
                ax.plot([limits[way] * TICK_S] * 2, [1.03, 1.09], **mark)
                style = {"color": line.get_color(), "linestyle": line.get_linestyle()}
                ax.axvline(limits[way] * TICK_S, linewidth=1, alpha=0.7, **style)
        ax.text(
            max(limits.values()) * TICK_S - 0.06,
            1.1,
            f"sight ends (at {speed:g} px a tick)",
            ha="right",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )
        ax.set_ylim(-0.03, 1.15)
        what = "share of standing things passed" if lines is share else "share of runs that last"
        plots.label(ax, "seconds of delay or interval", what, name)
    axes[0].legend(axes[0].lines[4:5], ["equation (1)"], loc="lower left", fontsize=9)
    handles, ways = axes[0].get_legend_handles_labels()
    axes[1].legend(handles[:4], ways[:4], loc="upper right", bbox_to_anchor=(1, 0.92))
    run.figure(
        fig,
        "1_clocks",
        look="which line falls first; an upright line marks where sight ends\n"
        "           for the line of its colour and dashes",
    )

    run.claim("window", "W at the start, mean over things", float(widths.mean()), "ticks")
    passed = per_cent(interval_1s), per_cent(delay_1s), per_cent(timed_1s)
    run.claim("interval_1s", "a look a second: things passed", passed[0], "%", n=met_rare)
    run.claim("expected_1s", "equation (1) for that", per_cent(expected_1s), "%")
    run.claim("delay_1s", "1 s late: things passed", passed[1], "%", n=met_late)
    run.claim("timed_1s", "a look a second, timed keys", passed[2], "%", n=met_timed)
    run.claim("timed_minute", "timed keys: last a minute", per_cent(timed_min), "%", n=few)
    only = "only " if interval_1s < min(delay_1s, timed_1s) else ""
    gaps = np.array(share[WAYS[1]]) - np.array(share["equation (1)"])
    worst = int(np.abs(gaps).argmax())
    reached = match.speed_table(first_s)[-1]  # px a tick at the end of these games
    run.finding(
        f"Ten seconds: a planner that answers a second late passes {delay_1s:.0%} of the things. One "
        f"that looks once a second and presses when its answer is there passes {only}{interval_1s:.0%} "
        f"(of {met_rare} things). With timed keys it passes {timed_1s:.0%}."
    )
    run.finding(
        f"Equation (1), at the speed of the start, says {expected_1s:.0%} for a look a second with "
        f"keys on arrival. "
        f"{largest_gap(gaps[worst], waits[worst], met[WAYS[1]][worst], reached)}"
    )
    run.finding(
        f"Over a minute sight counts as well. With timed keys and a look a second {timed_min:.0%} "
        f"of {few} runs last, with "
        f"a look every {waits[-1] * TICK_S:.1f} s {timed_rare:.0%}, and {blocked_min:.0%} of "
        f"those that block for a second. "
        f"With answers a second late {delay_min:.0%} last."
    )


def largest_gap(gap: float, wait: int, met: int, reached: float) -> str:
    """What chance and the speed, which rises to ``reached`` px a tick, may have in ``gap``: the share of ``met``
    things that were passed at a look every ``wait`` ticks, less what equation (1) says at the speed of the start."""
    at_start, at_end = (
        float(np.minimum(1, window_ticks(v) / wait).mean()) for v in (twin.SPEED, reached)
    )
    # 95 %, for ``met`` independent things
    chance = 1.96 * math.sqrt(at_start * (1 - at_start) / max(1, met))
    faster = at_end - at_start
    told = (
        f"The largest gap between it and the measurement is {100 * gap:+.0f} percentage points, at "
        f"{wait * TICK_S:.1f} s ({met} things: ± {100 * chance:.0f} by chance). At the speed that the games "
        f"reach in the end it would say {100 * faster:+.0f} points."
    )
    if abs(gap) <= chance:
        return f"{told} So chance alone may make the gap."
    if -chance <= gap <= faster + chance:
        return f"{told} So speed and chance together may make the gap, chance alone hardly."
    return f"{told} So speed and chance hardly make all of the gap."


# ---------------------------------------------------------------- 2  learning from a teacher

# columns of a frame that the network gets: from 32 px behind the runner to 568 px before its front
LEFT, RIGHT = 8, 48
SKY = twin.grey_of(twin.COLOURS["sky"])
# layer → the shortest and the longest memory among its neurons, in frames
TAUS = {"conv1": (0.3, 3.0), "conv2": (0.3, 6.0), "fc1": (0.5, 400.0)}


def betas(count: int, shortest: float, longest: float) -> Tensor:
    """β = e^(−1/τ) for ``count`` neurons, whose τ go from ``shortest`` to ``longest`` frames; ``(count,)``."""
    if longest == 0:
        return torch.zeros(count)
    first, last = math.log10(shortest), math.log10(max(shortest, longest))
    tau = torch.logspace(first, last, count)
    return torch.exp(-1 / tau)


class Graded(nn.Module):
    """The ANN's neuron: the same leaky membrane, read by a ReLU. It neither spikes nor resets."""

    def __init__(self, beta: Tensor) -> None:
        super().__init__()
        self.register_buffer("beta", beta)

    def forward(self, cur: Tensor, mem: Tensor) -> tuple[Tensor, Tensor]:
        mem = self.beta * mem + cur
        return F.relu(mem), mem


class RunnerNet(nn.Module):
    """Two convolutions and two dense layers: frames ``(B, 24, 80)`` uint8 → scores ``(B,)``, key down if > 0.

    A layer's neurons differ in their β. Those of the convolutions forget within a few frames; of the hidden
    layer, which has no reset, some remember for hundreds of frames. No τ is longer than ``memory`` frames; with 0 no
    neuron has a memory, and what it fires depends on the present frame alone.
    """

    def __init__(
        self, spiking: bool = True, memory: float = 400.0, width: int = 8, hidden: int = 64
    ) -> None:
        super().__init__()
        self.spiking = spiking
        self.conv1 = nn.Conv2d(1, width, 5, 2, padding=2)  # → (8, 12, 20)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, 2, padding=1)  # → (16, 6, 10)
        self.fc1 = nn.Linear(2 * width * 6 * 10, hidden)
        self.fc2 = nn.Linear(hidden, 1)
        shapes = {"conv1": (width, 1, 1), "conv2": (2 * width, 1, 1), "fc1": (hidden,)}
        self.lifs = nn.ModuleDict()
        for name, shape in shapes.items():
            shortest, longest = TAUS[name]
            beta = betas(shape[0], shortest, min(longest, memory)).view(shape)
            self.lifs[name] = Graded(beta)
            if spiking:
                reset = "none" if name == "fc1" or memory == 0 else "subtract"
                grad = surrogate.atan(alpha=2.0)
                self.lifs[name] = snn.Leaky(beta=beta, spike_grad=grad, reset_mechanism=reset)
        # most pixels are sky and give no current: larger weights, or nothing fires
        with torch.no_grad():
            self.conv1.weight.mul_(5.0)
            self.conv1.bias.zero_()
            self.conv2.weight.mul_(7.0)
            self.fc1.weight.mul_(8.0)
        self.reset_hidden_state()

    def reset_hidden_state(self) -> None:
        """Forget everything: before the first frame of a life, and never during one."""
        self.mems: dict[str, Tensor] = {}

    def forget(self, which: np.ndarray) -> None:
        """Empty the membranes of the runs marked in ``which (B,)``: this frame is the first of a new life."""
        for mem in self.mems.values():
            mem[torch.from_numpy(which)] = 0

    def current(self, name: str, x: Tensor) -> Tensor:
        """What layer ``name`` makes of the spikes ``x (B, …)`` before it."""
        if name == "fc1":  # 1 − β: a slow neuron averages over more frames, it is not driven harder
            return (1 - self.lifs["fc1"].beta) * self.fc1(x.flatten(1))
        return getattr(self, name)(x)

    def forward(self, frames: Tensor) -> Tensor:
        """One frame, one step: the membranes go on from where the last frame left them."""
        x = see(frames).unsqueeze(1)  # (B, 1, 24, 40)
        for name, lif in self.lifs.items():
            cur = self.current(name, x)
            mem = self.mems.get(name, torch.zeros_like(cur))
            x, self.mems[name] = lif(cur, mem)  # equation (2)
        return self.fc2(x)[:, 0]

    def sequence(
        self, frames: Tensor, state: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """The same for ``(T, B, 24, 80)`` at once: scores ``(T, B)``, the last membranes, spikes by layer."""
        x = see(frames).unsqueeze(2)  # (T, B, 1, 24, 40)
        after, spikes = {}, {}
        for name, lif in self.lifs.items():
            cur = over_time(lambda z, name=name: self.current(name, z), x)  # (T, B, …)
            mem = torch.zeros_like(cur[0]) if state is None else state[name]
            if self.spiking:
                x, _, (mem,) = unroll(lif, cur, (mem,))
            else:
                steps = []
                for cur_t in cur:
                    out, mem = lif(cur_t, mem)
                    steps.append(out)
                x = torch.stack(steps)
            after[name], spikes[name] = mem.detach(), x
        return over_time(self.fc2, x).squeeze(-1), after, spikes


def see(frames: Tensor) -> Tensor:
    """Grey levels ``(…, 24, 80)`` → how much darker than the sky, in 0..1, where the network looks: ``(…, 24, 40)``."""
    if frames.shape[-1] > RIGHT - LEFT:
        frames = frames[..., LEFT:RIGHT]
    return (SKY - frames.float()) / SKY


def left_of_page() -> list[tuple[str, int, int]]:
    """What is left of the page after each step on its way to the network: its name, rows and columns."""
    frames = twin.Games([0]).render()  # (1, 24, 80)
    seen = see(torch.from_numpy(frames))  # (1, 24, 40)
    return [
        ("the page", twin.HEIGHT, twin.WIDTH),
        (f"its rows {twin.TOP} to {twin.BOTTOM - 1}", twin.BOTTOM - twin.TOP, twin.WIDTH),
        (f"means of {twin.CELL} × {twin.CELL} pixels", *frames.shape[1:]),
        (f"of these, columns {LEFT} to {RIGHT - 1}", *seen.shape[1:]),
    ]


def player(net: RunnerNet) -> Start:
    """``net`` as a player: a life starts with empty membranes, and nothing empties them before its end."""

    def start() -> match.Player:
        net.reset_hidden_state()

        def act(frames: np.ndarray, ticks: np.ndarray) -> np.ndarray:
            net.forget(ticks < 1)  # the first frame of a life
            with torch.no_grad():
                return (net(torch.from_numpy(frames)) > 0).numpy()

        return act

    return start


# Ticks from the moment at which a key is due to the one at which it goes down, on average: the mean latency, and half
# of the mean interval, since the moment falls anywhere between two looks
DUE = sum(LATENCY) / 2 + sum(INTERVAL) / 2 / 2
ROWS = 32  # runs of a round, and of a batch


def due(world: World) -> np.ndarray:
    """The teacher: by how many ticks the key is overdue, ``(B,)``, if it arrives ``DUE`` ticks from now; −99 in the air
    and where nothing is to be jumped."""
    late = overdue(world.games)
    return np.where(np.isfinite(late), late + DUE, -99.0).astype(np.float32)


def delays(rng: np.random.Generator) -> dict[str, tuple[int, int]]:
    """Interval and latency of a group of games: half of the groups get the usual ones, half some of their own."""
    if rng.random() < 0.5:
        return {"interval": INTERVAL, "latency": LATENCY}
    interval = int(rng.integers(1, 4))
    latency = int(rng.integers(1, 4))
    longest = interval + int(rng.integers(0, 4))
    latest = latency + int(rng.integers(1, 5))
    return {"interval": (interval, longest), "latency": (latency, latest)}


def leads(rng: np.random.Generator, runs: int) -> np.ndarray:
    """For how many ticks the teacher leads each run: half of them not at all."""
    not_at_all = rng.random(runs) < 0.5
    ticks = rng.uniform(0, 2800, runs)
    return np.where(not_at_all, 0.0, ticks)


def rollout(net: RunnerNet | None, rng: np.random.Generator, cfg: Config) -> Played:
    """32 runs of one round, in two groups with delays of their own.

    The teacher leads half of the runs up to a random moment, so that a network that still crashes early sees
    fast tracks too; then the network plays. In the first round (``net`` None) the teacher plays all of them, each
    run up to four ticks too early or too late. Who has crashed starts anew at the next piece of ``num_steps`` frames.
    """
    groups = [played_by(net, rng, cfg) for _ in range(2)]
    both = {}
    for name in ("frames", "due", "alive", "new"):
        rows = [np.stack(group[name]) for group in groups]  # (T, 16, …) each
        both[name] = torch.from_numpy(np.concatenate(rows, 1))
    return Played(**both)


def played_by(
    net: RunnerNet | None, rng: np.random.Generator, cfg: Config
) -> dict[str, list[np.ndarray]]:
    """One of the two groups of ``rollout``: what was seen and answered at each frame."""
    half = ROWS // 2
    tracks = rng.integers(0, VALIDATION, half)
    world = World(tracks, **delays(rng), seed=int(rng.integers(2**31)))
    led = leads(rng, half) if net else np.full(half, np.inf)
    wrong = rng.uniform(-4, 4, half)
    act = player(net)() if net else None
    rows: dict[str, list[np.ndarray]] = {"frames": [], "due": [], "alive": [], "new": []}
    for t in range(cfg.frames):
        new = np.zeros(half, bool)
        if t % cfg.num_steps == 0:
            new = world.games.dead | (world.games.tick > 3700)
        if new.any():
            over = np.flatnonzero(new)
            world.restart(over, rng.integers(0, VALIDATION, over.size))
            if net:
                led[over] = leads(rng, over.size)
        frame = world.frame()
        answer = due(world)
        rows["frames"].append(frame[..., LEFT:RIGHT])
        rows["due"].append(answer)
        rows["alive"].append(~world.games.dead)
        rows["new"].append(new)
        taught = answer + wrong >= 0
        keys = taught
        if act is not None:
            keys = act(frame, world.games.tick)
        world.act(np.where(world.games.tick < led, taught, keys))
    return rows


def learn(
    net: RunnerNet,
    optimizer: torch.optim.Optimizer,
    batch: Played,
    mems: dict[str, Tensor] | None,
) -> tuple[float, dict[str, Tensor]]:
    """One step of the optimiser on a piece of 32 runs, from the membranes ``mems``: the loss of equation (2), and the
    membranes after the piece."""
    score, mems, _ = net.sequence(batch.frames, mems)  # (T, B)
    near = 1 + 2 * (batch.due.abs() < 8)  # where it matters, a frame counts three times
    keys = torch.sigmoid(batch.due / 2)  # equation (3)
    loss = F.binary_cross_entropy_with_logits(score, keys, weight=near * batch.alive)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    return loss.item(), mems


def dagger(cfg: Config, run: Run) -> tuple[RunnerNet, list[dict[str, float]]]:
    """Train on all rounds so far, play, be corrected, train on that too. Keep the best round on validation tracks."""
    torch.manual_seed(cfg.seed)
    rng = np.random.default_rng(cfg.seed)
    net = RunnerNet(cfg.neuron == "spiking", cfg.memory)
    if cfg.policy is not None:
        load_weights(net, cfg.policy)
    optimizer = torch.optim.Adam(net.parameters(), cfg.lr)
    mean = deepcopy(net)  # of the weights of the last 100 steps or so: it plays
    pieces = cfg.frames // cfg.num_steps
    total, done, best = cfg.rounds * cfg.passes * pieces, 0, -1.0
    played: list[Played] = []  # all rounds are kept
    log: list[dict[str, float]] = []
    mems: dict[str, Tensor] | None = None
    places = first_places(ROWS, pieces, rng, cfg.ages == "equal")
    path = run.dir / f"runner_{cfg.neuron}.safetensors"
    kept = match.training_kept(run.dir / PART.format(cfg.neuron), cfg) if cfg.resume else None
    if kept:
        net.load_state_dict(kept["net"])
        mean.load_state_dict(kept["mean"])
        optimizer.load_state_dict(kept["optimizer"])
        rng.bit_generator.state = kept["rng"]
        played = [Played(**part) for part in kept["played"]]
        places = [Place(**place) for place in kept["places"]]
        mems, log = kept["mems"], kept["log"]
        best, done = kept["best"], kept["done"]
        run.print(f"   resume  {len(log)} rounds are taken over")
    for number in range(len(log), cfg.rounds):
        plays = number > 0 or cfg.policy is not None  # otherwise the teacher does
        if cfg.teaching == "cloning":
            plays = False
        played.append(rollout(mean if plays else None, rng, cfg))
        losses = []
        text = f"round {number + 1} of {cfg.rounds}"
        for _ in live(range(cfg.passes * pieces), text, cfg.passes * pieces):
            for group in optimizer.param_groups:
                group["lr"] = 0.5 * cfg.lr * (1 + math.cos(math.pi * done / total)) + 1e-5
            done += 1
            batch, other = next_piece(places, played, rng, cfg.num_steps)
            # the membranes go on from piece to piece; only the gradient is cut (lesson 09)
            if mems is not None:  # but another life starts with empty ones
                starts = batch.new[0] | other
                goes_on = ~starts
                mems = {k: m * goes_on.view(-1, *[1] * (m.ndim - 1)) for k, m in mems.items()}
            loss, mems = learn(net, optimizer, batch, mems)
            losses.append(loss)
            with torch.no_grad():
                for averaged, weight in zip(mean.parameters(), net.parameters(), strict=True):
                    averaged.lerp_(weight, max(0.01, 1 / done))
        tracks = range(VALIDATION, VALIDATION + min(VALIDATED, cfg.runs))
        points = match.simulate(player(mean), tracks, 99, cfg.life)
        log.append(
            {
                "round": number + 1,
                "loss": float(np.mean(losses)),
                "median": float(np.median(points)),
                "reached": float((points >= COMPLETE).mean()),
            }
        )
        run.print(
            f"   round {number + 1}: loss {log[-1]['loss']:.3f}, median {log[-1]['median']:.0f} "
            f"points, "
            f"{log[-1]['reached']:.0%} of {len(points)} runs complete"
        )
        if points.mean() > best:
            best = float(points.mean())
            save_weights(mean, path)
        match.write_log(path.with_suffix(".csv"), log)
        state = {
            "net": net.state_dict(),
            "mean": mean.state_dict(),
            "optimizer": optimizer.state_dict(),
            "rng": rng.bit_generator.state,
            "played": [vars(part) for part in played],
            "places": [vars(place) for place in places],
        }
        state |= {"mems": mems, "log": log, "best": best, "done": done}
        match.keep_training(run.dir / PART.format(cfg.neuron), state, cfg)
    return load_weights(RunnerNet(cfg.neuron == "spiking", cfg.memory), path), log


def agent(cfg: Config, neuron: str = "spiking") -> RunnerNet:
    """The network that plays: ``--policy``, or the one that the course ships."""
    path = CHECKPOINTS / f"runner_{neuron}.safetensors"
    if cfg.policy is not None and neuron == "spiking":
        path = cfg.policy
    return load_weights(RunnerNet(neuron == "spiking"), path)


ARMS = {  # what is compared → in what its training differs
    "DAgger": {},
    "cloning": {"teaching": "cloning"},
    "DAgger, no memory": {"memory": 0.0},
}
BUDGET = {"rounds": 4, "passes": 6}  # of each arm: a third of the shipped network's steps
STEPS = 4 * 6 * 42  # a run of 1,050 frames is read in 42 pieces
ARMS_LOG = CHECKPOINTS / "runner_arms.csv"


def compare(cfg: Config, run: Run) -> list[dict[str, float]]:
    """Train each of ``ARMS`` from three seeds, with as many steps and frames: a row each, of its last round."""
    path = run.dir / ARMS_LOG.name
    rows = match.read_log(path) if cfg.resume and path.is_file() else []
    done = [(row["arm"], row["seed"]) for row in rows]
    for seed in range(cfg.seed, cfg.seed + 3):
        for number, (name, differs) in enumerate(ARMS.items()):
            if (number, seed) in done:
                continue
            run.print(f"   {name}, seed {seed}")
            _, log = dagger(replace(cfg, seed=seed, **BUDGET, **differs), run)
            rows.append({"arm": number, "seed": seed} | log[-1])
            match.write_log(path, rows)
    return rows


def spread(shares: list[float]) -> str:
    """The smallest and the largest of some shares."""
    return f"{min(shares):.0%} to {max(shares):.0%}"


def apart(shares: list[float], others: list[float]) -> int:
    """1 if each of ``shares`` is above each of ``others``, −1 if each is below, 0 if they overlap."""
    return int(min(shares) > max(others)) - int(max(shares) < min(others))


@section
def section_learning(cfg: Config, run: Run) -> None:
    """2  How does a network learn from a teacher that sees more than it does?

    The teacher reads positions and speed; the network gets 24 × 40 grey levels. The obvious way is to let
    the teacher play, to record frames and answers, and to train on them: *behaviour cloning*. (Its take-offs
    are up to four ticks too early or too late, so that the record holds more than perfect jumps.) The flaw: the
    network makes other mistakes than the teacher, and they take it to frames that the record does not hold.
    **DAgger** begins in the same way. Then it lets the *network* play, asks the teacher what it would have done at
    each of the network's frames, and trains on that as well, round after round, on all rounds so far. Four choices
    come with it here. Each has a reason, but none is taken away below: what it is worth was not measured.

    *The teacher tells only what can be seen.* Section 1's planner knows how late this world's keys are, and
    whether a key has been sent that the game has not received yet. One frame does not show either, and an answer that
    depends on them would differ between frames that look alike. The teacher (`due`) assumes the usual delay, and
    starts from the game as the frame shows it. It says by how many ticks the key is *overdue*: how long ago it should
    have been sent, if it takes the usual delay and the middle of the window is the best moment (below 0: in how many
    ticks it should). One tick earlier or later is almost equally right, so the target is a probability rather than 0
    or 1. In the loss, frames within 8 ticks of that moment count three times:

        target[t] = σ(ticks by which the key is overdue/2)                                             (3)

    *Rows of a batch differ in age.* A life starts slow and ends fast. If all rows of a batch began their lives
    together, all would be slow, then all fast, and the weights could follow the pace of the moment instead of learning
    to tell speeds apart. So each row starts somewhere else and reads on by itself (`next_piece`,
    games/runner/reading.py; `--ages equal` undoes it).

    *A run that has crashed starts anew*, and the teacher plays half of the lives up to a random moment. Otherwise a
    round would hold little but the first seconds. Each group of games draws its own interval and latency, since
    the pace of the browser is not known beforehand.

    *The mean of the last weights plays*, not the last weights: a step of the optimiser moves many jumps at once.

    What must the network remember? One frame shows no speed, and the right take-off depends on it: the middle of
    equation (1)'s window lies, measured from the runner's front, 70 to 120 px before a thing at 8 px a tick, and 230
    to 280 px at 16. The convolutions have short memories, to see motion. In the hidden layer β goes from 0.14
    (forgotten with the next frame) to 0.9975 (a time constant of 400 frames), and it has **no reset**: a spike does
    not shorten what a membrane holds (lesson 01's third rule). Its current is (1 − β)·W·s, 400 times weaker at the
    slow end, so a slow neuron averages over more frames and is not driven harder. Whether the long memories are used
    is another question (section 7 and its first task). The arm without memory below does not answer it: it loses the
    short memories and the long ones together. A gradient goes back ``num_steps`` frames; the membranes are carried
    through a whole life.

    A convolution costs as much for each place of its output, so the picture has to be small. Three steps make it so;
    the first table counts what each leaves. Of the page's 720 rows 384 are kept, from the highest jump to just below
    the ground. Each block of 16 × 16 pixels becomes its mean: 24 × 80 grey levels, in which a thing that lies between
    two columns shows by its level. Of the 80 columns 40 are kept, from 32 px behind the runner to 568 px before its
    front. So 960 numbers are left of 921,600 pixels: one in 960 (that both are 960 is chance). That is why a CPU core
    is enough.

    `train` does all this. How much do two other things matter, who plays and whether the network remembers? `compare`
    trains three arms from three seeds each, with equal steps and equally many frames: DAgger; cloning, where the
    teacher plays in *all* rounds; and DAgger with a network that remembers nothing (β = 0 in every layer, no reset:
    U[t] = x[t]). An arm has a third of the steps of the network that plays below. The other commands load what both
    made. The figure's left panel is no such comparison. It follows one training, in which data and steps grow with
    the rounds and the learning rate falls.
    """
    run.predict(
        "cloned",
        "DAgger completes some share of its runs. How much does cloning complete with the same "
        "number of steps?",
        unit="%",
    )
    page_size = twin.HEIGHT * twin.WIDTH
    kept = []
    for what, height, width in left_of_page():
        size = height * width
        kept.append((what, f"{height} × {width}", f"{size:,}", f"1 in {page_size / size:.4g}"))
    head = ("what is left", "rows × columns", "numbers", "of the page")
    run.table("From the page to the network", head, kept)

    if cfg.command == "compare":
        rows = compare(cfg, run)
    else:
        rows = match.read_log(ARMS_LOG)
    which, led = "the one of sections 3 to 7", 1  # so many rounds were the teacher's
    if cfg.command == "train" or cfg.smoke:
        _, log = dagger(cfg, run)
        which, led = "the one of this run", 0 if cfg.policy else 1
        led = len(log) if cfg.teaching == "cloning" else led
    else:
        log = match.read_log(CHECKPOINTS / "runner_spiking.csv")
    rounds = [int(row["round"]) for row in log]
    reached = [row["reached"] for row in log]
    by_arm: dict[str, list[float]] = {}  # the share of complete runs from each seed
    points: dict[str, list[float]] = {}  # median points
    for number, name in enumerate(ARMS):
        of_arm = [row for row in rows if row["arm"] == number]
        by_arm[name] = [row["reached"] for row in of_arm]
        points[name] = [row["median"] for row in of_arm]

    mean = {name: float(np.mean(shares)) for name, shares in by_arm.items()}
    ranges = []
    for name, shares in by_arm.items():
        ranges.append(f"{name.removeprefix('DAgger, ')} {spread(shares)}")
    title = f"Complete runs, {len(by_arm['DAgger'])} seeds: {'; '.join(ranges)}"
    fig, (ax, bx) = plots.figure(1, 2, (11, 3.8), title)
    parts = {"the teacher": slice(0, led), "the network": slice(led, None)}  # rounds by player
    for (who, part), colour in zip(parts.items(), (plots.ORANGE, plots.BLUE), strict=True):
        bars = ax.bar(rounds[part], reached[part], color=colour, width=0.7, label=who)
        ax.bar_label(bars, [f"{share:.0%}" for share in reached[part]], padding=2, fontsize=9)
    ax.set_ylim(0, 1.4)  # room for the legend
    ax.set_yticks((0, 0.2, 0.4, 0.6, 0.8, 1))
    ax.set_xticks(rounds)
    ax.grid(False, axis="x")
    ax.legend(loc="upper left", ncols=2, title="The round adds games played by", fontsize=9)
    about = f"One training ({which}):\nshare after each round; data and steps grow too"
    plots.label(ax, "after round", "share of complete runs", about)
    for k, (name, shares) in enumerate(by_arm.items()):
        rows_at = k + 0.15 * (np.arange(len(shares)) - 1)  # equal shares do not hide each other
        bx.plot(shares, rows_at, "o", color=plots.BLUE, alpha=0.6, markersize=8)
        bx.plot([mean[name]] * 2, [k - 0.3, k + 0.3], color=plots.RED, linewidth=2.5)
    bx.set_yticks(range(len(by_arm)), list(by_arm))
    bx.set_ylim(len(by_arm) - 0.5, -0.5)
    bx.set_xlim(-0.03, 1.03)
    about = f"{STEPS:,} steps, {VALIDATED} runs each; a dot a seed, red: mean"
    plots.label(bx, "share of complete runs", "", about)
    run.figure(
        fig,
        "2_learning",
        look="left: data and steps grow too, so it tells no cause;\n"
        "           right: do the dots of two arms overlap?",
    )

    seeds = len(by_arm["DAgger"])
    whole = {name: per_cent(share) for name, share in mean.items()}
    run.claim("dagger", "DAgger: complete runs, mean", whole["DAgger"], "%", seeds=seeds)
    run.claim("cloned", "cloning with equal steps", whole["cloning"], "%", seeds=seeds)
    run.claim("no_memory", "DAgger without memory", whole["DAgger, no memory"], "%", seeds=seeds)
    run.claim("shipped", "the network below: its best round", per_cent(max(reached)), "%")
    order = {-1: "more than DAgger", 0: "no order shown", 1: "less than DAgger"}
    told = [
        order[apart(by_arm["DAgger"], by_arm[other])] for other in ("cloning", "DAgger, no memory")
    ]
    run.finding(
        f"With equal steps and frames DAgger completes {spread(by_arm['DAgger'])} of {VALIDATED} "
        f"validation runs, cloning {spread(by_arm['cloning'])} ({told[0]}), DAgger without memory "
        f"{spread(by_arm['DAgger, no memory'])} ({told[1]}). {seeds} seeds each: an order is told "
        f"only where no two seeds contradict it. Two arms that are equal do that by chance in "
        f"{2 / math.comb(2 * seeds, seeds):.0%} of cases."
    )
    low, high = min(points["DAgger, no memory"]), max(points["DAgger, no memory"])
    run.finding(
        f"Without memory the median run still makes {low:.0f} to {high:.0f} points. The network that "
        f"plays below is the best of its rounds. It was chosen by its share on these tracks, so that "
        f"share tests nothing."
    )


# ---------------------------------------------------------------- 3  tracks that nobody has seen

# Tuned on 100 validation tracks: of distances from 100 to 300 px, and of 0 … 40 px and 8 … 20 ticks. The second
# choice is a corner of its grid, so points beyond it were tried as well: px and ticks → complete of the 100 runs
ONE_DISTANCE = match.by_reach(200)
CHOSEN = (0, 20)
WITH_CLOCK = match.by_reach(*CHOSEN)
BEYOND = {(0, 20): 98, (40, 20): 77, (-40, 20): 37, (-80, 20): 0, (0, 24): 88, (-40, 24): 97}


@section
def section_unseen(cfg: Config, run: Run) -> None:
    """3  Does it play tracks that it never saw, and does it take a network?

    Track numbers of training, validation and test do not meet, and no number is chosen by a test track.
    Every player gets the same tracks and one life on each, with the delays of a browser on two busy cores: a frame
    every 2 to 5 ticks, a key 2 to 6 ticks after its frame.

        never, random        what the game gives for nothing
        one distance         a rule on pixels: jump when something stands within 200 px. The best distance for
                             all speeds together; it is too early at the start and too late at the end
        with a clock         the same rule, but its distance is 20 ticks times the speed, and it knows the
                             speed because it knows the rules of the game and counts the time
        ANN                  the network's shape and its leaky membranes, so a small recurrent network, but
                             graded outputs (ReLU) and no reset; trained in the same way, with as many
                             steps as the spiking network
        planner              section 1's: reads positions, knows the delays and the keys on their way

    The two rules are there to be fair. The network is told nothing: no rule, no clock, no speed. It has to get them
    from pixels. But whoever *can* write the rules down needs no network here.

    All players play the same tracks, so two of them are compared track by track. One is called better only if a sign
    test says so (two-sided, 5 %). It counts the tracks that only one of the two completes. (Against the rule with one
    distance it counts the tracks on which either makes more points.) Otherwise the two are *not told apart*: with
    fewer than six such tracks the test cannot tell, whoever wins them.

    What does a frame cost? Both networks have the same layers, and both are counted in the same two ways. *Dense*:
    every weight counts once at each place where it is used. *Zeros skipped*: an input that is 0 (sky, no spike, a
    silent ReLU) costs nothing, any other counts once for each neuron that it reaches. What differs is the operation:
    a spike only adds a weight (a synaptic operation, SynOp, lesson 17), while a grey level or the ANN's output is
    multiplied by it first (a multiply-accumulate, MAC). Leak and threshold of 2,944 membranes come on top in both.
    The frames are the first five seconds of eight test tracks as the planner plays them: the slow, empty part of a run.
    (SynOps and MACs of the spiking network come from lesson 17's counter, the ANN's MACs from `operations` below. A
    test of this lesson holds that `operations` counts the spiking network as lesson 17 does, within 0.1 %.)

    Network and ANN are one training each. What another seed would do is not known: section 2's seeds differ.
    """
    run.predict(
        "sim_reached",
        "In what share of the runs does the spiking network stay alive for a minute?",
        unit="%",
    )
    tracks = range(TEST, TEST + cfg.runs)
    players = {
        "never": match.never,
        "random": match.at_random(),
        "rule, one distance": ONE_DISTANCE,
        "rule with a clock": WITH_CLOCK,
        "spiking network": player(agent(cfg)),
    }
    if ANN.is_file():  # `train --neuron graded` makes it
        players["ANN of the same shape"] = player(agent(cfg, "graded"))
    else:
        run.note("The ANN of the same shape is missing: it has not been trained yet.")
    points = {}
    for name, who in live(players.items(), "simulator", len(players)):
        points[name] = match.simulate(who, tracks, ticks=cfg.life)
    points["planner (reads positions)"] = match.planned(tracks, cfg.life)
    reached = {name: float((p >= COMPLETE).mean()) for name, p in points.items()}
    rows = [(name, match.quartiles(p), f"{reached[name]:.0%}") for name, p in points.items()]
    run.table(f"{cfg.runs} tracks, {NOT}", ("player", "points, quartiles", "complete"), rows)

    ours, rule = points["spiking network"], points["rule, one distance"]
    in_title = {
        "spiking network": "spiking",
        "ANN of the same shape": "ANN",
        "rule with a clock": "rule with a clock",
        "rule, one distance": "one distance",
    }
    shares = [f"{short} {reached[name]:.0%}" for name, short in in_title.items() if name in reached]
    title = f"Complete: {', '.join(shares)}"
    fig, ax = plots.figure(1, 1, (9, 4.4), title)
    dots(ax, points, COMPLETE)
    plots.label(ax, "points in one life (700: a minute)", "", f"a dot a run, red: median; {NOT}")
    run.figure(fig, "3_players", look="the few runs of each player that end early, and where")

    n = cfg.runs
    median = float(np.median(ours))
    run.claim("sim_median", "spiking network: median", median, "points of 700", ">= 600", n=n)
    share, single = reached["spiking network"], reached["rule, one distance"]
    clock = reached["rule with a clock"]
    run.claim("sim_reached", "runs that reach 700", per_cent(share), "%", ">= 60", n=n)
    run.claim("rule_reached", "rule with one distance: reach 700", per_cent(single), "%", n=n)
    run.claim("clock_reached", "rule with a clock: reach 700", per_cent(clock), "%", n=n)
    row = ledger(agent(cfg), share, n)
    run.claim("synops", "spiking network: SynOps a frame", round(row["synops"]), "SynOps")
    graded = reached.get("ANN of the same shape")
    same = cost = ""
    lost = ours < COMPLETE
    both = int((lost & (points["rule with a clock"] < COMPLETE)).sum())
    shared = f" Of the {lost.sum()} tracks that the network loses the rule loses {both} as well."
    if not lost.any():
        shared = ""
    if graded is not None:
        row["ann_macs_nonzero"] = operations(agent(cfg, "graded"), seen_by_planner())
        macs = round(row["ann_macs_nonzero"])
        run.claim("ann_macs", "ANN: MACs a frame, zeros skipped", macs, "MACs")
        beside = BESIDE[ordered_runs(points["ANN of the same shape"], ours)]
        same = f" The ANN of the same shape completes {graded:.0%} ({beside}; one training each)."
        cost = f", the ANN {row['ann_macs_nonzero']:,.0f} MACs"
    run.ledger(**row)
    beaten = BEATEN[ordered(ours, rule)]
    order = ordered_runs(points["rule with a clock"], ours)
    rest = "the network still does better" if order < 0 else "no network is needed"
    run.finding(
        f"From pixels alone, on {n} tracks it never saw, the network completes {share:.0%} of its "
        f"runs in the simulator, and a run lasts {part_of_minute(ours):.0%} of a minute on average. It "
        f"{beaten} the best single distance ({np.median(rule):.0f} points, {single:.0%} complete). "
        f"A rule that knows the game's speed completes {clock:.0%} ({BESIDE[order]}): where the "
        f"rules can be written down, {rest}.{shared}{same}",
        main=True,
        claim="sim_reached",
    )
    run.finding(
        f"In the first five seconds and with zeros skipped in both, a frame costs the spiking "
        f"network {row['synops']:,.0f} SynOps and {row['macs']:,.0f} MACs{cost}; dense, either does "
        f"{row['ann_macs']:,.0f}."
    )
    run.finding(beyond_the_grid(CHOSEN, BEYOND))


def beyond_the_grid(chosen: tuple[int, int], tried: dict[tuple[int, int], int]) -> str:
    """Whether a point outside the grid in which the rule with a clock was ``chosen`` does better: ``tried`` says how
    many of 100 runs are complete at each."""
    others = {point: runs for point, runs in tried.items() if point != chosen}
    best = max(others, key=lambda point: others[point])
    told = (
        f"The rule's two numbers, {chosen[0]} px and {chosen[1]} ticks, are a corner of the grid that chose them "
        f"({tried[chosen]} of 100 validation runs complete). Of {len(others)} points around it"
    )
    where = f"{best[0]} px and {best[1]} ticks".replace("-", "−")
    if others[best] <= tried[chosen]:
        return f"{told} none does better; the next, {where}, completes {others[best]}."
    return f"{told} {where} does better ({others[best]}): the best rule is not this one."


BEATEN = {1: "beats", 0: "is not told apart from", -1: "does not reach"}
BESIDE = {
    1: "clearly more than the network",
    0: "not told apart from the network",
    -1: "clearly fewer than the network",
}


def ordered(ours: np.ndarray, others: np.ndarray) -> int:
    """1 if ``ours (n,)`` is above ``others (n,)`` on clearly more of the paired tracks than below (two-sided sign test,
    5 %), −1 if it is below on clearly more, 0 if the test does not tell."""
    above, below = int((ours > others).sum()), int((ours < others).sum())
    if above == below or binomtest(above, above + below).pvalue >= 0.05:
        return 0
    return 1 if above > below else -1


def ordered_runs(points: np.ndarray, others: np.ndarray) -> int:
    """``ordered`` for the runs that are complete."""
    return ordered(1 * (points >= COMPLETE), 1 * (others >= COMPLETE))


def seen_by_planner() -> Tensor:
    """The first five seconds of eight test tracks, as the planner plays them: ``(T, B, 24, 80)``."""
    world = World(range(TEST, TEST + 8))
    frames = []
    for _ in range(80):
        frames.append(world.frame())
        world.act(planner(world))
    return torch.from_numpy(np.stack(frames))


def operations(net: RunnerNet, frames: Tensor) -> float:
    """Operations a frame with zeros skipped, for either network: an input of a layer that is not zero counts once for
    each neuron that it reaches."""
    total = 0.0
    for _, layer, x, _ in calls(net, frames):
        if not isinstance(layer, WEIGHTED):
            continue
        used, ones = (x != 0).float(), torch.ones_like(layer.weight)
        if isinstance(layer, nn.Conv2d):
            reached = F.conv2d(used, ones, stride=layer.stride, padding=layer.padding)
        else:
            reached = F.linear(used, ones)
        total += reached.double().sum().item()
    return total / frames.shape[0] / frames.shape[1]


class OneStep(nn.Module):
    """``net`` as the counter of operations calls it: a step gives two things, the second of which it ignores."""

    def __init__(self, net: RunnerNet) -> None:
        super().__init__()
        self.net, self.run = net, net.sequence

    def forward(self, frames: Tensor) -> tuple[Tensor, None]:
        return self.net(frames), None


def ledger(net: RunnerNet, reached: float, n: int) -> dict[str, Any]:
    """The network's row: what a frame costs, on the frames of ``seen_by_planner``."""
    x = seen_by_planner()  # (T, B, 24, 80)
    row = ledger_row(OneStep(net), x, model="runner, LIF", data=NOT, accuracy=reached, n=n)
    for cost in ("spikes", "synops", "macs", "energy_estimated_nj"):
        row[cost] /= len(x)  # of one frame, not of the whole run
    return row | {"num_steps": 1}


# ---------------------------------------------------------------- 4  what latency kills

THINKING_S = (2.4, 3.4, 6.2, 6.4)  # seconds a step, arXiv 2604.07429, table 8


@section
def section_delays(cfg: Config, run: Run) -> None:
    """4  How slow may an agent be?

    Section 1 asked the planner. Now the network is slowed down in one of the two times alone. In the left panel only
    its answers are late: each key comes L ticks after its frame, and frames come as before. In the right panel only
    its looks are rare: a frame every I ticks, and keys come as before.

    What was it trained with? L went up to 7 ticks, and I from 1 to 6 ticks, 3.1 on average. In most games I was drawn
    anew for each frame; in some it was fixed at 1, 2 or 3. So a camera that *always* takes 4 ticks or more is new to
    the network. From frame to frame a thing then moves farther than it did in training, and that is also what a faster
    game looks like: the network may take the one for the other. It is not trained anew for each pace.

    The planner is told L and I and presses when its answer is there. It shows what an agent with keys on arrival *can*
    do at that pace. It is not shown to be the best such agent: it aims at the middle of the window. Nor is its line
    a limit for this network: the planner sees 1,080 px beyond the runner's front, the network 568 px (section 2). At
    the end, at 16 px a tick, that is 1.1 s against 0.6 s. So sight alone would stop the network at less than half of
    the planner's delay. (The findings say whether it breaks before that.)

    A median of 700 points says that half of the runs are complete, not how many of the others are. So the figure also
    draws the range from the lower to the upper quartile, and the findings give the share of complete runs.

    The grey lines are the paces of four published agents. These are language models that take 2.4 to 6.4 s for each
    executed step under GameWorld's real-time rules. They did *not* play this game; only their pace is drawn. An
    agent that blocks for that long has at least this interval, and its answers are as late. So the planner gets both
    at once, first with keys on arrival (stars; these are let go after a quarter of a second), then with timed keys
    (plus signs). Section 1's sight limit says what
    to expect: at the start a thing is in the picture for 2.25 s, so an answer after 2.4 s comes too late for it.
    """
    run.predict(
        "blocked_timed",
        "A planner with timed keys needs 2.4 s a step and blocks. How many of 700 points does it "
        "make?",
        unit="points",
    )
    runs = max(2, cfg.runs // 5)
    tracks = range(TEST, TEST + runs)
    ticks = (2, 30) if cfg.smoke else (2, 4, 5, 6, 8, 10, 16, 30)
    ours = player(agent(cfg))
    made: dict[str, dict[str, list[np.ndarray]]] = {"delay": {}, "interval": {}}  # points (runs,)
    for clock in made:
        network, best = [], []
        for t in live(ticks, f"sweep of the {clock}", len(ticks)):
            delays = {"latency": (t, t)} if clock == "delay" else {"interval": (t, t)}
            network.append(match.simulate(ours, tracks, ticks=cfg.life, **delays))
            best.append(match.planned(tracks, cfg.life, **delays))
        made[clock] = {"spiking network": network, "planner": best}
    blocked, blocked_timed = [], []
    for seconds in THINKING_S:
        t = round(seconds / TICK_S)
        points = match.planned(tracks, cfg.life, interval=(t, t), latency=(t, t), hold=15)
        blocked.append(float(np.median(points)))
        blocked_timed.append(float(np.median(timed(t, t, tracks, cfg.life).score)))
    nothing = float(np.median(match.simulate(match.never, tracks, ticks=cfg.life)))

    edges = {clock: around_half(ticks, lines["spiking network"]) for clock, lines in made.items()}
    half: dict[str, float] = {}  # clock → slowest pace that still leaves half of the points, ms
    for clock, edge in edges.items():
        half[clock] = max((ms for ms, p in edge if np.median(p) >= COMPLETE / 2), default=0.0)
    kept = {}
    for clock, unit in (("delay", "ms of delay"), ("interval", "ms between looks")):
        kept[clock] = f"up to {half[clock]:.0f} {unit}" if half[clock] else f"at no {clock} tried"
    title = (
        f"The network keeps half of {COMPLETE} points {kept['delay']}\n"
        f"and {kept['interval']} (medians of {runs} runs)"
    )
    fig, axes = plots.figure(1, 2, (11.5, 4.4), title, sharey=True)
    marks = {"delay": (0.03, 0.05, 0.1, 0.2, 0.5), "interval": (0.03, 0.1, 0.3, 1, 3)}
    seconds = np.array(ticks) * TICK_S
    for ax, (clock, lines) in zip(axes, made.items(), strict=True):
        plots.curves(
            ax, seconds, {name: [float(np.median(p)) for p in of] for name, of in lines.items()}
        )
        for drawn, of in zip(ax.lines, lines.values(), strict=False):
            low, high = np.percentile(np.stack(of), (25, 75), axis=1)
            ax.fill_between(seconds, low, high, color=drawn.get_color(), alpha=0.2, linewidth=0)
        plain_log(ax, marks[clock])
        about = f"only the {clock} grows; {runs} runs each, shaded: quartiles"
        plots.label(ax, f"{clock} (s)", "median points", about)
        for pace in THINKING_S if clock == "interval" else ():
            named = "published paces" if pace == THINKING_S[0] else None
            ax.axvline(pace, color="0.6", linewidth=1, label=named)
    axes[1].plot(THINKING_S, blocked, "k*", markersize=10, label="planner that blocks")
    axes[1].plot(THINKING_S, blocked_timed, "k+", markersize=14, label="the same, timed keys")
    axes[0].legend(loc="lower left")
    axes[1].legend(loc="upper left", bbox_to_anchor=(0.4, 0.95), fontsize=8)
    run.figure(
        fig, "4_clocks", look="where each line falls; grey lines: published paces, not results"
    )

    unit = "points of 700"
    longest = round(half["delay"]), round(half["interval"])
    run.claim("half_delay", "longest delay with ≥ 350 points", longest[0], "ms", n=runs)
    run.claim("half_interval", "longest interval with ≥ 350", longest[1], "ms", n=runs)
    run.claim("blocked", "planner that blocks 2.4 s: median", blocked[0], unit, n=runs)
    run.claim("blocked_timed", "the same with timed keys", blocked_timed[0], unit, n=runs)
    run.claim("nothing", "no key at all: median", nothing, unit, n=runs)
    late = [f"{ms:.0f} ms late it makes {median_and_share(p)}" for ms, p in edges["delay"]]
    rare = [f"{ms:.0f} ms between looks {median_and_share(p)}" for ms, p in edges["interval"]]
    run.finding(
        f"The network, {runs} runs a pace, medians of {COMPLETE} points: {'; '.join(late)}. Training "
        f"showed delays up to 117 ms."
    )
    run.finding(
        f"The same by interval: with {'; with '.join(rare)}. Training showed fixed intervals up to 50 "
        f"ms."
    )
    low, high = min(blocked + blocked_timed), max(blocked + blocked_timed)
    told = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    run.finding(
        f"A planner that blocks for {THINKING_S[0]:g} to {THINKING_S[-1]:g} s, the pace of the "
        f"published agents, makes {told} points (median), with keys on arrival or timed; no key at "
        f"all makes {nothing:g}."
    )


def median_and_share(points: np.ndarray) -> str:
    """The median of some runs, and how many of them are complete."""
    return (
        f"{np.median(points):.0f} points ({(points >= COMPLETE).mean():.0%} of the runs complete)"
    )


def around_half(ticks: Sequence[int], points: Sequence[Any]) -> list[tuple[float, Any]]:
    """The last pace before the median of the points falls below half of ``COMPLETE``, and the first at which it has:
    each pace in ms, with its points. One alone if it is below at the first pace, or at none."""
    paces = [1000 * TICK_S * t for t in ticks]
    below = [np.median(made) < COMPLETE / 2 for made in points]
    first = below.index(True) if True in below else len(below)
    return list(zip(paces, points, strict=True))[max(0, first - 1) : first + 1]


def plain_log(ax: Axes, marks: Sequence[float]) -> None:
    """A logarithmic x axis that says its numbers, not their powers of ten."""
    ax.set_xscale("log")
    ax.set_xticks(marks, [f"{mark:g}" for mark in marks])
    ax.minorticks_off()


# ---------------------------------------------------------------- 5  in a browser


def browser_matches(
    cfg: Config, run: Run, track: str, players: dict[str, Entry]
) -> dict[str, dict[str, Any]]:
    """Runs of some players in the browser, in turn. Each match is kept in browser.json, for `report` and ``--resume``."""
    path = run.dir / "browser.json"
    settings = {"runs": cfg.browser_runs, "policy": str(cfg.policy or "shipped")}
    found, left = {}, dict(players)
    for name in players:
        key = f"{track}, {name}"
        if cfg.resume and (kept := match.match_kept(path, key, settings)):
            run.resumed.append(key)
            run.print(f"   resume  {key}: taken over")
            found[name] = kept
            del left[name]
    if left:
        limit_s, most_steps = (2.0, 4) if cfg.smoke else (90.0, None)
        seeds = match.page_seeds(cfg.browser_runs, TEST)
        with match.opened(track, cfg.browser, None, "", limit_s=limit_s) as game:
            played = match.play_in_turn(game, left, seeds, most_steps)
        for name, result in played.items():
            found[name] = match.keep_match(path, f"{track}, {name}", result, settings)
    return found


def no_browser(cfg: Config, run: Run) -> bool:
    """True, and said, if nothing can be played in a browser here."""
    if cfg.browser_runs == 0:
        run.note("Sections 5 and 6 played nothing in a browser, as --browser-runs 0 asks.")
        return True
    reason = match.browser_or_reason(cfg.browser)
    if reason:
        run.note(f"Sections 5 and 6 played nothing in a browser: {reason}.")
    return bool(reason)


@section
def section_browser(cfg: Config, run: Run) -> dict[str, dict[str, Any]]:
    """5  Where do the milliseconds go, from the screen to the key?

    Now Chromium runs the page in real time. Each decision passes four stages:

        capture      ask the browser for a screenshot, wait for it, decode it
        preprocess   its grey levels → the frame of 24 × 80 means
        policy       one step of the network
        dispatch     press the key, wait until the page has taken it

    The sum (`all`) runs from the request of the picture to the key that is down. The delay in the game is a little
    shorter: the browser answers a request with the next picture that it draws, and it draws 60 a second. p50 is the
    median. p95, the time that 95 % of the decisions stay below, says more about a run: a single late key ends it.

    *The picture.* The page's 384 rows of section 2 are captured at half size, 192 × 640. The browser itself then takes
    the mean of 2 × 2 pixels, and `preprocess` that of 8 × 8. The frames are the same, number for number, but only a
    quarter of the pixels has to be packed, sent and unpacked. Pictures come through the browser's DevTools protocol
    and keys go through Playwright, so that the page sees the same events as from a hand. The page's ``getState()`` is
    asked for points and for the end of a run, never for the policy. (No page is trusted: it reaches nothing but its
    own folder on this machine, no WebSocket, no file behind a link, and what is refused is counted.)

    *Would a faster network help?* One would think that it saves its own stage at most. But network and browser share
    the cores, so a slow step may also hold up the next picture. The rule with a clock is there to see what is left
    when nearly no time goes into the step and everything else is the same. The finding sets the difference in the
    step beside those in the other stages, where both players do the same work. In a new match the two take turns, a
    run each, so that both meet the same machine; a finding about a match without turns says so. A GPU is not
    measured: for one frame and four small layers it need not be faster. The rule also plays as two *blocking*
    players, which think for 2.4 and 6.4 s before each key.

    *How to read the tables.* In the first, capture and preprocess count every look, policy all but the last of a run,
    while dispatch and `all` count only the looks that led to a press. What a look takes beyond these stages, such as
    asking the page for its state, is in none of them. So the medians of the stages need not add up to that of the
    whole. A key that stays down over a landing makes the runner jump again without a new press: such a jump is in no
    latency. In the second table points are those of first lives. A run of the network goes on after a crash, under
    section 6's budget, so its presses, jumps and latencies are of all its lives, and their number stands beside them.
    The other players stop at the first crash.

    *Is the twin good enough?* The network trained in games/runner/twin.py and has never seen the browser. The twin's
    frames equal the page's. Its delays are drawn at random, as in section 3: a key comes 2 to 6 ticks after its look, a
    look 2 to 5 ticks after the last one. The browser has no such upper limits, and a new match counts what comes later.
    So the twin plays the browser's tracks, which are unseen ones, each many times. Its lives on one track are *not*
    independent tests, so the finding compares track by track. Only if a life fails in Chromium, one more finding says
    what chance would do. If the twin's lives fail at a rate r, and n lives in Chromium failed as rarely and
    independently of one another, then k of them or more fail with the probability

        P(k or more of n) = Σ n!/(j!·(n − j)!) · r^j · (1 − r)^(n − j)        summed over j = k … n

    That *pools* the tracks, as if none were harder than another; the finding then says how far the twin's own
    failures agree with that.
    """
    run.predict(
        "latency_p95",
        "From the request of a screenshot to the key: below what time do 95 % of the decisions "
        "stay?",
        unit="ms",
    )
    net = agent(cfg)
    matches: dict[str, dict[str, Any]] = {}
    if no_browser(cfg, run):
        stages = match.stages_without_browser(player(net)(), 20 if cfg.smoke else 500)
    else:
        groups: list[dict[str, Entry]] = [{"spiking network": Entry(player(net), one_life=False)}]
        if not cfg.smoke:
            groups[0]["rule with a clock"] = Entry(WITH_CLOCK)  # in turn with the network
            for s in (THINKING_S[0], THINKING_S[-1]):
                groups.append({f"blocks for {s:g} s": Entry(WITH_CLOCK, think_s=s)})
            groups += [{"never": Entry(match.never)}, {"random": Entry(match.at_random())}]
        for group in groups:
            matches |= browser_matches(cfg, run, "reactive", group)
        stages = matches["spiking network"]["latency"]
    timed_of = {"network": stages}
    if "rule with a clock" in matches:
        timed_of["rule"] = matches["rule with a clock"]["latency"]
    head, rows = latency_rows(timed_of)
    run.table(
        "From the screen to the key, by stage, in ms (rule: the one with a clock)", head, rows
    )
    lives_of = {name: np.array(m["lives"]) for name, m in matches.items()}
    if lives_of:
        told = []
        for name, p in lives_of.items():
            m = matches[name]
            jumps = m.get("jumps", "–")
            if name.startswith("blocks"):
                jumps = "–"  # its looks are too rare to see them
            share = f"{(p >= COMPLETE).mean():.0%}"
            counted = (all_lives(m), m["presses"], jumps, f"{m['load']:.1f}")
            told.append((name, match.quartiles(p), share, *counted))
        head = ("player", "points", "complete", "lives", "presses", "jumps", "load")
        run.table(f"Chromium, runs of each: {cfg.browser_runs}, {NOT}", head, told)
        run.print("   points (quartiles) and complete (share that makes 700): of first lives.")
        run.print("   presses, jumps: of all lives.")
        run.print("   load: processes that want a core, for each core there is.")

    title = f"A step of the network: {stages['policy']['p50']:.1f} ms (median)"
    if "all" in stages:
        wholes = []
        for name, t in timed_of.items():
            wholes.append(f"{name} {t['all']['p50']:.0f} ms (n = {t['all']['n']})")
        title = f"From screen to key, medians: {', '.join(wholes)}"
    fig, axes = plots.figure(1, 2 if lives_of else 1, (11.5, 3.8) if lives_of else (6, 3.8), title)
    axes = np.atleast_1d(axes)
    drawn = zip(timed_of.items(), (plots.BLUE, plots.ORANGE), ("o", "s"), strict=False)
    for number, ((name, stages_of), colour, mark) in enumerate(drawn):
        for k, stage in enumerate(stages):
            if stage not in stages_of:
                continue
            t, at = stages_of[stage], k + 0.3 * number - 0.15 * (len(timed_of) - 1)
            label = name if k == 0 else None
            axes[0].plot([t["p50"], t["p95"]], [at, at], color=colour, linewidth=3)
            axes[0].plot(t["p50"], at, mark, color=colour, markersize=8, label=label)
            axes[0].plot(t["p95"], at, "|", color=colour, markersize=14)
    if len(timed_of) > 1:
        axes[0].legend(loc="lower left", fontsize=8)
    axes[0].set_yticks(range(len(stages)), list(stages))
    axes[0].invert_yaxis()
    plain_log(axes[0], (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100))
    plots.label(axes[0], "ms", "", "median (dot) to p95 (bar)")
    judged = cfg.browser_runs >= 10  # fewer runs are shown, not judged
    if lives_of and judged:
        axes[0].plot([60, 60], [-0.4, len(stages) - 0.6], ":", color=plots.GREEN)
        axes[0].text(60, -0.45, "60 ms (target)", ha="center", va="bottom", fontsize=8)
    if lives_of:
        dots(axes[1], lives_of, COMPLETE)
        axes[1].set_xlim(0, 1.03 * COMPLETE)
        plots.label(axes[1], "points in one life", "", "a dot a run, red: median; not GameWorld")
    run.figure(
        fig,
        "5_latency",
        look="in which stages network and rule differ, and how far p95 lies from p50",
    )

    policy = stages["policy"]
    run.claim("policy_p95", "policy: p95 of a step", round(policy["p95"], 1), "ms", n=policy["n"])
    if not lives_of:
        run.finding(
            f"A step of the network takes {policy['p50']:.1f} ms (p95 {policy['p95']:.1f} ms) on "
            f"one core. No browser was "
            "used, so nothing is known here about the way from the screen to the key."
        )
        return matches
    ours, whole = lives_of["spiking network"], stages.get("all", stages["capture"])
    n = cfg.browser_runs
    share = float((ours >= COMPLETE).mean())
    late, done = ("<= 60", ">= 50") if judged else (None, None)
    middle = float(np.median(ours))
    lasted = {name: part_of_minute(p) for name, p in lives_of.items()}
    minute = per_cent(lasted["spiking network"])
    run.claim("latency_p95", "screen to key: p95", round(whole["p95"]), "ms", late, n=whole["n"])
    run.claim("browser_minute", "first life, mean: of a minute", minute, "%", n=n)
    run.claim("browser_median", "spiking network, Chromium: median", middle, "points of 700", n=n)
    run.claim("browser_reached", "its runs that reach 700", per_cent(share), "%", done, n=n)
    in_twin = match.simulate(player(net), same_tracks(n, cfg.runs), ticks=cfg.life)
    twin_share = float((in_twin >= COMPLETE).mean())
    run.claim("twin_reached", "same tracks, twin", per_cent(twin_share), "%", n=len(in_twin))
    crowd, nice = (matches["spiking network"][name] for name in ("load", "nice"))
    first = (
        f" Browser and player went before other work (nice {nice}; 0 is usual)." if nice < 0 else ""
    )
    if judged and (whole["p95"] > 60 or share < 0.5):
        run.note(f"Section 5 was measured with {crowd:.1f} processes wanting each core.{first}")
    busy = ""
    if crowd > 1:
        busy = f" The machine was busy, {crowd:.1f} processes to a core.{first}"
    rest = ""
    if "never" in lasted:
        rest = f"; with no key at all {lasted['never']:.0%}"
    run.finding(
        f"How much of a minute? A first life of the network in Chromium lasts {minute}% of it on "
        f"average (n = {n}{rest}). {int((ours >= COMPLETE).sum())} of {n} first lives are complete."
    )
    run.finding(
        f"From screen to key {whole['p50']:.0f} ms (median of {whole['n']} presses; p95 "
        f"{whole['p95']:.0f} ms). The largest stage is {largest_stage(stages)}; a step of the network "
        f"takes {policy['p50']:.1f} ms.{without_press(matches['spiking network'])}"
    )
    for told in (
        f"{beside_rule(matches)}{busy}".strip(),
        by_track(ours, in_twin),
        by_chance(ours, in_twin),
        later_than_twin(matches["spiking network"]),
    ):
        if told:
            run.finding(told)
    return matches


def same_tracks(runs: int, lives_: int) -> list[int]:
    """The first tracks of the browser's ``runs``, again and again, for about ``lives_`` lives in the twin."""
    tracks = [twin.run_seeds(seed, 1)[0] for seed in match.page_seeds(runs, TEST)]
    return tracks * max(1, lives_ // runs)


def part_of_minute(points: np.ndarray) -> float:
    """How long lives with these ``points`` lasted on average, as a share of the time that ``COMPLETE`` points take."""
    distance = np.cumsum(match.speed_table(match.MINUTE))  # px after each tick
    ticks = np.searchsorted(distance, twin.PIXELS_A_POINT * np.minimum(points, COMPLETE))
    whole = np.searchsorted(distance, twin.PIXELS_A_POINT * COMPLETE)
    return float((ticks / whole).mean())


# ---------------------------------------------------------------- 6  two tracks

PUBLISHED = (  # arXiv 2604.07429, table 8: agent, s a step, SR, PG, over a suite of other games
    ("Qwen3-VL-30B, computer use", 2.4, 15.6, 33.0),
    ("Qwen3-VL-30B, generalist", 3.4, 15.6, 32.9),
    ("Qwen3-VL-235B, computer use", 6.2, 17.1, 33.2),
    ("Qwen3-VL-235B, generalist", 6.4, 16.8, 34.0),
)


LOOK_S = match.LOOK_OFFICIAL * TICK_S


@section
def section_tracks(cfg: Config, run: Run) -> None:
    """6  What does a real-time track reward?

    GameWorld scores a run by the best points of all its attempts. With a target (here 700):

        progress = min(1, best points/target)      PG = mean progress      SR = share of runs at the target   (4)

    **RT-official**, its real-time rules: 100 actions; the game is never paused. An action presses the key for 0.25 s, or
    waits for 0.25 s or longer; 0.05 s of sleep follow. All players below choose the shortest wait. With the capture
    they look every 0.35 s, about 21 ticks. That interval is *imposed*: an agent that thinks for 2 ms looks hardly more
    often than one that thinks for 50 ms. At this pace 100 actions are over after 35 s. Whoever stays alive for 35 s has
    342 points, 49 % of 700, and SR is 0 % by arithmetic. An agent that thinks for 6 s before each action may play for
    ten minutes: the budget of actions gives the slow more time. (What they make of it is section 4's question.)

    **RT-reactive**, ours and unofficial: frames as fast as they come, the key is let go by a later decision, waits
    are free, at most 100 key presses and 90 s.

    *What is doing nothing worth?* Both tracks count the *best* attempt of a run: a crash starts the game over under the
    same budget. So a player that never presses gets many attempts, and its best one counts. The table gives it a row,
    on the tracks of the others, in the simulator: in Chromium nobody plays RT-official without keys, so there nothing
    is compared. (Section 5 counts the first life of the same runs, so a run that crashes early and then reaches 700
    is complete here and not there.)

    *What is a pause worth?* Below the ceiling, equation (1) counts: a look every 21 ticks meets the window of a thing
    that stands with a chance of 80 % at the start and 98 % after 35 s. (That is the mean of min(1, W/21) over the
    things. The mean W of 17.85 ticks would give 85 %, but a thing with W above 21 is met no more than always.) The
    network has a reason of its own: a look every 350 ms is far from any interval of its training (section 4). But a
    wait may be longer. An agent that ends each wait when its next press is due plays with timed keys (section 1), and
    its 100 actions last longer than 35 s. No player below does this; exercise 22c does, and goes beyond 49 %. On
    RT-reactive looks are so frequent that there is little to gain in this way.

    The published figures below come from other games with other targets, a whole suite of them. They say
    how agents were scored under such rules. They cannot be compared with ours, neither as better nor as worse.
    No number of a runner alone has been published for the real-time track.
    """
    run.predict(
        "official_planner",
        "RT-official: 100 actions, a look every 0.35 s; staying alive makes 49 %. How much of 700 "
        "points does the planner make (PG)?",
        unit="%",
    )
    runs = max(2, cfg.runs // 5)
    tracks = range(TEST, TEST + runs)
    points_of = {
        "planner": match.official(None, tracks),
        "network": match.official(player(agent(cfg)), tracks),
        "no key": match.official(match.never, tracks),
    }
    rows = []  # track, player, SR, PG, runs, seconds a step
    for name, points in points_of.items():
        sr = float((points >= COMPLETE).mean())  # equation (4)
        pg = float(points.mean() / COMPLETE)
        rows.append(("official, simulator", name, sr, pg, runs, LOOK_S))
    found = kept_matches(run) if cfg.command == "report" else official_and_reactive(cfg, run)
    for track, r in found.items():
        rows.append((f"{track}, Chromium", "network", r["SR"], r["PG"], r["n"], r["s_per_step"]))
    by_planner, by_network, by_nobody = (row[3] for row in rows[:3])
    told = []
    for where, who, sr, pg, n, seconds in rows:
        told.append((where, who, f"{sr:.0%}", f"{pg:.0%}", n, f"{seconds:.2f}"))
    head = ("track", "player", "SR", "PG", "runs", "s/step")
    run.table(f"Tracks ({NOT}; target 700)", head, told)
    other = [(name, f"{sr} %", f"{pg} %", s) for name, s, sr, pg in PUBLISHED]
    head = ("agent", "SR", "PG", "s/step")
    run.table("Published: GameWorld-RT. Other games, NOT comparable", head, other)

    ceiling = official_ceiling()
    title = (
        f"RT-official: at most {ceiling:.0%} at a look every {LOOK_S:.2f} s;\n"
        f"planner {by_planner:.0%}, network {by_network:.0%}, no key {by_nobody:.0%}"
    )
    fig, ax = plots.figure(1, 1, (9, 0.5 * len(rows) + 1.8), title)
    progress = {}
    for where, who, _, pg, n, _ in rows:
        progress[f"{where}: {who}, n = {n}"] = 100 * pg
    plots.bars(ax, progress, fmt="{:.0f} %")
    for bar, row in zip(ax.patches, rows, strict=True):
        if row[0].startswith("reactive"):  # other rules
            bar.set(facecolor="white", edgecolor=plots.BLUE, hatch="//")
    low = (
        sum(row[0].startswith("official") for row in rows) - 0.5
    )  # the ceiling is that track's alone
    ax.plot([100 * ceiling] * 2, [-0.5, low], ":", color=plots.RED, linewidth=2)
    ax.text(
        100 * ceiling + 1,
        0,
        f"{100 * ceiling:.0f} %: alive for {100 * LOOK_S:.0f} s",
        va="center",
        fontsize=8,
    )
    ax.set_xlim(0, 109)
    ax.set_xticks(range(0, 101, 20))
    plots.label(
        ax, "progress PG (% of 700 points)", "", f"{NOT}; hatched: our rules, not the official ones"
    )
    run.figure(
        fig, "6_tracks", look="how far the network is from no key, and from the ceiling of its pace"
    )

    made = per_cent(by_planner), per_cent(by_network), per_cent(by_nobody)
    run.claim("official_ceiling", "alive, a look every 0.35 s: PG", per_cent(ceiling), "%")
    run.claim("official_planner", "RT-official, twin: planner's PG", made[0], "%", n=runs)
    run.claim("official_network", "RT-official, twin: network's PG", made[1], "%", n=runs)
    run.claim("official_nothing", "RT-official, twin: no key's PG", made[2], "%", n=runs)
    for track, result in found.items():
        pg, sr = per_cent(result["PG"]), per_cent(result["SR"])
        run.claim(f"{track}_pg", f"RT-{track}, Chromium: PG", pg, "%", n=result["n"])
        if track == "reactive":  # on the other it is 0 by arithmetic
            run.claim("reactive_sr", "RT-reactive, Chromium: SR", sr, "%", n=result["n"])
    reactive = found.get("reactive")
    rest = (
        f"On RT-reactive the same network makes {reactive['PG']:.0%} in Chromium (n = "
        f"{reactive['n']}; "
        f"{reactive['load']:.1f} processes to a core)."
        if reactive
        else "RT-reactive was not played in a browser in this run."
    )
    run.finding(
        f"100 looks at {LOOK_S:.2f} s are over after {100 * LOOK_S:.0f} s. At this pace at most "
        f"{ceiling:.0%} of the points can be made, and SR is 0% by arithmetic. The planner makes "
        f"{by_planner:.0%}, the network {by_network:.0%}, no key at all {by_nobody:.0%} "
        f"({runs} runs each)."
    )
    run.finding(worth(points_of["network"], points_of["no key"]))
    run.finding(
        f"Equation (1) names one reason why the planner stays below: with {match.LOOK_OFFICIAL} ticks "
        f"between two looks {1 - meets(twin.SPEED):.0%} of the things at the start meet no look in "
        f"their window (1 less the mean of min(1, W/{match.LOOK_OFFICIAL}) over the things). Exercise "
        f"22c tests it. {rest}"
    )
    run.extra["analysis"] = analysis(run)
    for question in QUESTIONS:
        said(run, "write-up  ", question)


def worth(network: np.ndarray, nobody: np.ndarray) -> str:
    """What share of the network's points no key makes as well, and whether the two are told apart track by track."""
    share = nobody.mean() / max(1, network.mean())
    told = f"No key at all makes {share:.0%} of what the network makes: so much comes with the track and its budget."
    order = ordered(network, nobody)
    beside = {
        1: "makes more than no key on",
        0: "is not told apart from no key on",
        -1: "makes less than no key on",
    }
    return f"{told} The network {beside[order]} these {len(network)} paired runs in the simulator (sign test, 5%)."


def official_ceiling() -> float:
    """PG of whoever stays alive for all 100 looks of RT-official."""
    distance = match.speed_table(100 * match.LOOK_OFFICIAL).sum()  # px
    return float(distance // twin.PIXELS_A_POINT) / COMPLETE


def meets(speed: float) -> float:
    """Equation (1) on RT-official: the chance that a look falls into the window, at ``speed`` px a tick."""
    return float(np.minimum(1, window_ticks(speed) / match.LOOK_OFFICIAL).mean())


def official_and_reactive(cfg: Config, run: Run) -> dict[str, dict[str, Any]]:
    """The network's matches on both tracks in the browser; none where there is none."""
    matches = run.result_of(section_browser)
    if not matches:
        return {}
    entry = Entry(player(agent(cfg)), one_life=False)
    official = browser_matches(cfg, run, "official", {"spiking network": entry})
    return {"official": official["spiking network"], "reactive": matches["spiking network"]}


def kept_matches(run: Run) -> dict[str, dict[str, Any]]:
    """The network's matches that the last benchmark left in browser.json, for `report`."""
    kept = match.all_kept(run.dir / "browser.json")
    if not kept:
        raise UserError(
            f"report: got no matches in {run.dir}; run 'uv run capstone_gameworld.py' first"
        )
    found = {track: kept.get(f"{track}, spiking network") for track in ("official", "reactive")}
    return {track: result for track, result in found.items() if result}


# the half of the write-up that the student adds: `--journal` writes it into journal.md, with what was measured
QUESTIONS = (
    "What changed from Pong: who waits for whom, what is to be remembered, how is it taught? "
    "(A sentence each, with the line of code that shows it.)",
    "Where did the spiking network hold up, and at which delay or interval did it break? "
    "(Two numbers of section 4 and one of section 5, each with its n.)",
    "Where would a language model still win, and why does this game not show it? "
    "(What section 1 says that a runner lacks, and an experiment that would show it.)",
)


def said(run: Run, mark: str, text: str) -> None:
    """A paragraph on the terminal that is the reader's to answer."""
    run.print(textwrap.fill(text, 80, initial_indent="   " + mark, subsequent_indent=" " * 9))


def analysis(run: Run) -> str:
    """The write-up's half that numbers can write; why it is so is the reader's to add."""
    found = [f"- {row['text']}" for row in run.findings]
    return "\n".join([f"Game: {NOT}.", *found, "", *(f"- {q}" for q in QUESTIONS)])


# ---------------------------------------------------------------- 7  watch it

CHOSEN_ON = 4  # validation tracks on which slow neurons are chosen
# constants that stand in for their spikes, in parts of the mean
PARTS = {"0": 0, "¼ of the mean": 0.25, "½ of it": 0.5, "¾ of it": 0.75, "the mean": 1}
CHANGED = 0.25  # so much a neuron's rate around a press differs from its rate in the run


@section
def section_play(cfg: Config, run: Run) -> None:
    """7  Do hidden neurons change before a press or after it? Do slow ones matter?

    One run, frame by frame. First the whole run: how often each of the 64 hidden neurons fires, ordered by β,
    the forgetful ones at the bottom, those with a long memory on top. Then its last 240 frames, spike by spike.
    Then the mean number of spikes around a press. That number may hide what single neurons do: if some begin to fire
    and others fall silent, it stays the same. So each neuron's rate in the five frames before a press, and in the
    five frames from the press on, is set beside its rate in the whole run. It counts as changed if the two differ by
    25 percentage points or more, a limit of our choice. Marks beside the second raster show which neurons these are.
    That some change is no surprise: a press *is* the frame at which the sum of their weights passes 0. How many, and
    when, is what the picture adds. Jumps of a held key follow no press (section 5), so they lie in the rate of the
    whole run.

    Nothing resets a hidden neuron during a run: one whose membrane stays above θ fires in every frame. Lesson
    14's penalty on rates was not used, and the layer is not sparse.

    A neuron that always fires, or never, adds a constant to the score: it acts as a bias, whatever its memory. So look
    in the upper half of the raster, where time constants exceed ten frames, for those that *change*. Does their
    change matter? They are chosen on validation tracks. Then the network plays the test tracks in the twin, intact
    and with a constant c in the place of their spikes, for five constants:

        intact           score = … + w·S[t]        S[t] is 1 in the frames in which the neuron fires
        constant         score = … + w·c           c = 0, ¼, ½, ¾ and 1 times its mean on the validation tracks

    With c = 0 the neuron says nothing, with its mean it says as much as before, but always the same. If clearly more
    runs are lost than won with 0 and not with some other constant, the neuron was no more than a bias. If they are
    lost with all five, no constant that was tried can stand in for it: then it matters *when* it fires. Where the
    runs end then tells more: late with 0 and early with the mean would fit a switch that is needed only later in a
    run. None of this shows how long a memory it takes.

    `play` shows the first part in the browser, and with --gameworld DIR on a game of your own clone of GameWorld. That
    bridge is written to the published contract and tested on a stand-in page that keeps it. It has not been run
    against the real games, and this network has never seen one: expect nothing of it there.
    """
    run.predict(
        "fired", "How many of the 64 hidden neurons fire in a frame, on average?", unit="neurons"
    )
    net = agent(cfg)
    frames, keys = [], []

    def watch(frame: np.ndarray, key: bool) -> None:
        frames.append(frame)
        keys.append(key)

    where = "simulator"
    if cfg.command == "play" and not cfg.smoke:
        where = f"RT-{cfg.track}, Chromium"
        with match.opened(cfg.track, cfg.browser, cfg.gameworld, cfg.game) as game:
            where = f"{where}, {game.label}"
            seeds = match.page_seeds(1, TEST)
            result = match.play_in_browser(game, player(net), seeds, one_life=False, watch=watch)
        run.print(f"   {where}: progress {result['PG']:.0%}, best {result['score_best']:g} points")
        points = float(result["lives"][0])
    else:
        world, act = World([TEST]), player(net)()
        while not world.games.dead.all() and world.games.tick[0] < (400 if cfg.smoke else 3600):
            frame = world.frame()
            down = act(frame, world.games.tick)
            watch(frame[0], bool(down[0]))
            world.act(down)
        points = float(min(COMPLETE, world.games.score[0]))
    x = torch.from_numpy(np.stack(frames))[:, None]  # (T, 1, 24, 80)
    with torch.no_grad():
        spikes = net.sequence(x)[2]["fc1"][:, 0].numpy()  # (T, 64)
    down = np.array(keys)
    firing = spikes.sum(1)  # (T,)
    slow = int((-1 / torch.log(net.lifs["fc1"].beta) > 10).sum())  # τ above ten frames
    first_slow = spikes.shape[1] - slow
    presses = np.flatnonzero(
        down & ~np.append(False, down[:-1])
    )  # frames at which the key goes down
    around = np.arange(-30, 31)
    whole = presses[(presses >= 30) & (presses < len(frames) - 30)]  # with 30 frames on either side
    mean = float(firing.mean())
    near = np.full((1, len(around)), mean)
    if len(whole):
        near = firing[whole[:, None] + around]  # (presses, 61)
    before = near[:, 20:30].mean(1)  # ten frames, a value a press
    after = near[:, 30:40].mean(1)

    near_press = {
        "before": changed_at(spikes, whole, -5),  # neurons
        "from it on": changed_at(spikes, whole, 0),
    }
    counts = [len(neurons) for neurons in near_press.values()]
    title = (
        f"Of {spikes.shape[1]} hidden neurons {counts[0]} change in five frames before a press, "
        f"{counts[1]} in five from it on"
    )
    fig, (ax, bx, cx) = plots.figure(3, 1, (9.5, 8.6), title)
    piece = max(1, len(frames) // 100)
    rates = [spikes[t : t + piece].mean(0) for t in range(0, len(frames) - piece + 1, piece)]
    extent = (0, piece * len(rates), -0.5, spikes.shape[1] - 0.5)
    picture = ax.imshow(
        np.stack(rates, 1),
        aspect="auto",
        origin="lower",
        cmap="Greys",
        vmin=0,
        vmax=1,
        extent=extent,
    )
    fig.colorbar(picture, ax=ax, label="share of frames with a spike")
    memory = "neuron (long memory on top)"
    about = f"{points:.0f} points, {piece} frames a column; {where}; above the dashed line: τ > 10 frames"
    plots.label(ax, "frame", memory, about)
    slow_changing = first_slow + changing(spikes[:, None, first_slow:])
    for neuron in slow_changing[-5:]:  # an arrow to its first spike
        begins = int(np.argmax(spikes[:, neuron] == 1))
        marked = {"color": plots.RED, "fontsize": 9, "va": "center", "ha": "right"}
        arrowed = {"arrowstyle": "->", "color": plots.RED}
        at = (begins, neuron), (begins - 0.06 * len(spikes), neuron)
        ax.annotate(f"{neuron} changes", *at, arrowprops=arrowed, **marked)
    ax.axhline(first_slow - 0.5, color=plots.RED, linestyle="--", linewidth=1)
    first = max(0, len(frames) - 240)
    extent = (first, len(frames), -0.5, spikes.shape[1] - 0.5)
    bx.imshow(
        spikes[first:].T, aspect="auto", origin="lower", cmap="Greys", vmin=0, vmax=1, extent=extent
    )
    for t in presses[presses >= first]:
        bx.axvline(t, color=plots.RED, linewidth=1.2)
    plots.label(bx, "frame", memory, "the last 240 frames; black: a spike, red: the key goes down")
    right = {"transform": bx.get_yaxis_transform(), "clip_on": False, "linestyle": "none"}
    for (when, neurons), at, mark, colour in zip(
        near_press.items(), (1.012, 1.03), ("<", ">"), (plots.BLUE, plots.ORANGE), strict=True
    ):
        drawn = {"marker": mark, "color": colour, "markersize": 4, "label": when}
        bx.plot([at] * len(neurons), neurons, **drawn, **right)
    # it stands where the upper panel has its scale, and takes no room from the panels
    legend = bx.legend(loc="center left", bbox_to_anchor=(1.04, 0.6), title="changed", fontsize=8)
    legend.set_in_layout(False)
    cx.plot(around, near.mean(0), color=plots.BLACK)
    cx.set_ylim(0, 1.15 * near.mean(0).max() + 1)
    cx.axvline(0, color=plots.RED, linewidth=1.2)
    cx.axhline(mean, color="0.5", linestyle="--", linewidth=1)
    plots.label(
        cx,
        "frames from the press",
        "spikes in a frame",
        f"mean of {len(whole)} presses; dashed: of the run",
    )
    for part in (ax, bx):
        part.grid(False)
    run.figure(
        fig,
        "7_play",
        look="top: the arrow, at a slow neuron that changes; middle: the marks,\n"
        "           at neurons that change around a press; below: their number",
    )
    if cfg.record is not None:
        film = np.stack(frames)[-64:], down[-64:], spikes[-64:]  # four seconds
        run.print(f"   saved   {record(*film, cfg.record, (LEFT, RIGHT))}")

    settled = spikes[min(50, len(spikes) // 2) :]  # without the first seconds
    late = settled.mean(0)  # share of frames with a spike
    steady = int(((late == 0) | (late == 1)).sum())
    slow_steady = int(((late == 0) | (late == 1))[-slow:].sum())
    run.claim("played", "points of this run", points, "points of 700")
    run.claim("fired", "hidden neurons that fire", round(mean, 1), "neurons")
    n = len(whole)
    means = round(before.mean(), 1), round(after.mean(), 1)
    run.claim("fired_before", "ten frames before a press", means[0], "neurons", n=n)
    run.claim("fired_after", "ten from the press on", means[1], "neurons", n=n)
    chance = ""
    if n:
        chance = (
            f" Chance: around {n} frames drawn at random {changed_by_chance(spikes, n):.1f} neurons "
            f"change by as much (mean of 200 draws)."
        )
    run.finding(
        f"In the five frames before a press {changed(spikes, whole, -5)}. In the five from it on "
        f"{changed(spikes, whole, 0)}.{chance}"
    )
    run.finding(
        f"The number of neurons that fire says less: {mean:.1f} of {spikes.shape[1]} fire in a frame, "
        f"{means[0]:.1f} in the "
        f"ten frames before a press and {means[1]:.1f} in the ten from it on ({n} presses of one run)."
    )
    run.finding(
        f"From frame 50 on, {slow_steady} of the {slow} slow neurons (τ above ten frames) and "
        f"{steady - slow_steady} of the {first_slow} others fire in every frame of this run or in "
        f"none: they act as a bias."
    )
    if cfg.command != "play":
        tracks = range(VALIDATION, VALIDATION + CHOSEN_ON)
        elsewhere = hidden_spikes(agent(cfg), tracks, cfg.life)  # (T, B, 64)
        chosen = first_slow + changing(elsewhere[..., first_slow:])
        means = np.nanmean(elsewhere, (0, 1))[chosen]
        players = {"intact": agent(cfg)}
        players |= {name: covered(agent(cfg), chosen, part * means) for name, part in PARTS.items()}
        runs, points_of = cfg.runs, {}
        for name, who in live(players.items(), "neurons covered", len(players)):
            points_of[name] = match.simulate(player(who), range(TEST, TEST + runs), ticks=cfg.life)
        complete = {name: int((points >= COMPLETE).sum()) for name, points in points_of.items()}
        intact = points_of.pop("intact") >= COMPLETE
        beside = {name: beside_intact(intact, points) for name, points in points_of.items()}
        best = max(PARTS, key=lambda name: complete[name])
        texts = {"covered": "0", "held": "their mean", "best": "the best of 5"}
        for (name, text), which in zip(texts.items(), ("0", "the mean", best), strict=True):
            share = per_cent(complete[which] / runs)
            run.claim(name, f"complete, slow spikes as {text}", share, "%", n=runs)
        begins = ""
        if len(chosen) and spikes[:, chosen[-1]].any():
            begins = f" (In the run of the figure it begins in frame {np.argmax(spikes[:, chosen[-1]])}.)"
        run.finding(f"On {CHOSEN_ON} validation tracks {named(elsewhere, chosen)}{begins}")
        ends, clear = "", {name: less for name, (_, less) in beside.items()}
        if all(clear.values()):
            ends = where_they_end(intact, points_of["0"], points_of["the mean"])
        told = "; ".join(f"{name} completes {text}" for name, (text, _) in beside.items())
        run.finding(
            f"On {runs} test tracks the intact network completes {intact.sum()}. With a constant in "
            f"the place of these spikes: {told}. {verdict(clear, best)}{ends}"
        )
    for task in TASKS:
        said(run, "task  ", task)


def hidden_spikes(net: RunnerNet, tracks: range, ticks: int) -> np.ndarray:
    """Spikes of the hidden layer in the lives that ``net`` plays, ``(T, B, 64)``; NaN after a crash."""
    world, act = World(tracks), player(net)()
    frames, crashed = [], []
    while not world.games.dead.all() and world.games.tick.max() < ticks:
        frames.append(world.frame())
        crashed.append(world.games.dead.copy())
        world.act(act(frames[-1], world.games.tick))
    with torch.no_grad():
        spikes = net.sequence(torch.from_numpy(np.stack(frames)))[2]["fc1"].numpy()
    spikes[np.stack(crashed)] = np.nan
    return spikes


def changing(spikes: np.ndarray) -> np.ndarray:
    """Which neurons of ``spikes (T, B, N)`` neither always fire nor never do, from frame 50 on."""
    rate = np.nanmean(spikes[min(50, len(spikes) // 2) :], (0, 1))
    return np.flatnonzero((rate > 0) & (rate < 1))


def covered(net: RunnerNet, neurons: np.ndarray, constants: np.ndarray) -> RunnerNet:
    """``net``, whose score hears ``constants`` in place of the spikes of these hidden ``neurons``; ``(n,)`` each."""
    which = torch.from_numpy(neurons)
    held = torch.from_numpy(constants).float()
    with torch.no_grad():
        net.fc2.bias += net.fc2.weight[0, which] @ held
        net.fc2.weight[0, which] = 0
    return net


def beside_intact(intact: np.ndarray, points: np.ndarray) -> tuple[str, bool]:
    """How many runs are complete, lost and won, where ``intact (n,)`` says which were complete before; and whether
    clearly more are lost than won (two-sided sign test, 5 %)."""
    complete = points >= COMPLETE
    lost, won = intact & ~complete, complete & ~intact
    return f"{complete.sum()} ({lost.sum()} lost, {won.sum()} won)", ordered(
        1 * complete, 1 * intact
    ) < 0


def where_they_end(intact: np.ndarray, at_0: np.ndarray, at_mean: np.ndarray) -> str:
    """What the places tell at which runs are lost with the constant 0 and with the spikes' mean."""
    late = np.median(at_0[intact & (at_0 < COMPLETE)])
    early = np.median(at_mean[intact & (at_mean < COMPLETE)])
    told = f" Lost runs end at {late:.0f} points with 0 and at {early:.0f} with the mean (medians)"
    if late > 2 * early:
        return (
            f"{told}: late and early. This fits a switch that is needed in the faster part of a run "
            f"and hurts before it."
        )
    if early > 2 * late:
        return f"{told}: early and late. This fits spikes that are needed from the start on."
    return f"{told}."


def verdict(clear: dict[str, bool], best: str) -> str:
    """What it shows with which constants (``PARTS``) clearly more runs are lost than won; ``best``: the one that
    completes most."""
    if not clear["0"]:
        return "So these spikes are not shown to be needed."
    enough = [name for name, less in clear.items() if not less]
    if enough:
        return (
            f"So a constant is not shown to do worse ({', '.join(enough)}): they may be no more than a bias, and no "
            f"memory is shown."
        )
    return (
        f"So none of these {len(clear)} constants can stand in for these spikes, not even the best ({best}; sign "
        f"test, 5%): it matters when they come. How long a memory that takes is not shown; the first task asks."
    )


def beside_run(spikes: np.ndarray, presses: np.ndarray, first: int) -> np.ndarray:
    """Each neuron's rate in five frames, from ``first`` after each press on, less its rate in the run; ``(64,)``."""
    near = spikes[presses[:, None] + first + np.arange(5)]  # (presses, 5, 64)
    return near.mean((0, 1)) - spikes.mean(0)


def changed_at(spikes: np.ndarray, presses: np.ndarray, first: int) -> np.ndarray:
    """Which neurons fire at another rate there than in the whole run, by ``CHANGED``."""
    if not len(presses):
        return np.array([], int)
    return np.flatnonzero(abs(beside_run(spikes, presses, first)) >= CHANGED)


def changed(spikes: np.ndarray, presses: np.ndarray, first: int) -> str:
    """How many neurons fire more often there or less often, by ``CHANGED``."""
    if not len(presses):
        return "nothing is known (no press)"
    neurons = changed_at(spikes, presses, first)
    more = int((beside_run(spikes, presses, first)[neurons] > 0).sum())
    return (
        f"{neurons.size} of {spikes.shape[1]} neurons fire at another rate than in the whole run, "
        f"{more} more often and {neurons.size - more} less often"
    )


def changed_by_chance(spikes: np.ndarray, presses: int) -> float:
    """How many neurons differ by ``CHANGED`` around as many frames drawn at random: a mean of 200 draws."""
    rng, counts = np.random.default_rng(0), []
    for _ in range(200):
        drawn = rng.choice(np.arange(5, len(spikes) - 5), presses)
        counts.append((abs(beside_run(spikes, drawn, -5)) >= CHANGED).sum())
    return float(np.mean(counts))


def named(spikes: np.ndarray, neurons: np.ndarray) -> str:
    """Which slow ``neurons`` change in ``spikes (T, B, 64)``; of the last one, when it begins to fire and how often."""
    if not neurons.size:
        return "no slow neuron changes."
    last = spikes[..., neurons[-1]]  # (T, B)
    began = [int(np.argmax(life == 1)) for life in last.T if (life == 1).any()]
    begins = f"in frame {min(began)}"
    if max(began) > min(began):
        begins = f"between frames {min(began)} and {max(began)}"
    which = f"these slow neurons change: {', '.join(map(str, neurons))}. Number {neurons[-1]}"
    if neurons.size == 1:
        which = f"one slow neuron changes: {neurons[0]}. It"
    return f"{which} begins to fire {begins}, and fires in {np.nanmean(last):.0%} of all frames."


TASKS = (
    "How long a memory is needed? (12 minutes, half of them training.) `uv run "
    "capstone_gameworld.py train --memory 6 --rounds 4 --passes 6 --seed 0`, then seeds 1 and 2, "
    "lets no neuron have a time constant above 6 frames. First predict the shares in the last "
    "rounds; then set the three beside figure 2_learning, by its rule: an order is told only where "
    "no two seeds contradict it. Check, each arm by itself: if all three are above 21 % (the "
    "best seed without memory), 6 frames are worth more than none. If all three are below 85 % "
    "(DAgger's worst seed), they are not enough. Both may hold. Three that overlap an arm's range "
    "say nothing beside that arm. One seed decides "
    "nothing: cloning's three differ by 38 points.",
    "A player of pixels that measures the speed (about 40 minutes; each check takes one). Write it "
    "beside `by_reach` in games/gameworld/match.py and add it to `players` in section_unseen. How "
    "far did the nearest thing move since the last frame? The ticks that it gets may tell how much "
    "time lies between two frames, but not how fast the game is by now. Choose its numbers on tracks "
    "from VALIDATION on. Check: `--only 3`. With a running mean of that speed it completes about "
    "98 %, as the rule with a clock does; near the best single distance (7 %), print the measured "
    "speed beside the true one.",
)


def main(cfg: Config, run: Run) -> None:
    section_clocks(cfg, run)
    section_learning(cfg, run)
    section_unseen(cfg, run)
    section_delays(cfg, run)
    section_browser(cfg, run)
    section_tracks(cfg, run)
    section_play(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
