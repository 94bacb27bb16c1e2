"""Players against the runner: in the simulator all runs at once, in a browser one run after the other.

A player gets frames and the time since its life began, and nothing else. ``start()`` makes one with an empty memory.
"""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.io import UserError, as_read, live, write_atomic, write_json
from games.gameworld.bridge import BrowserGame, gameworld_game, own_game
from games.runner.play import World, lives, planner
from games.runner.twin import (
    CELL,
    GROUND,
    PLAYER_H,
    PLAYER_W,
    PLAYER_X,
    SPEED,
    TICKS_PER_S,
    TOP,
    Games,
    run_seeds,
    shrink,
    speed_at,
)

import numpy as np
import torch

Player = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""frames ``(B, 24, 80)`` uint8 and ticks since the life began ``(B,)`` → keys down, ``(B,)`` bool"""
Start = Callable[[], Player]
COMPLETE = 700
"""points at which a run is complete: a minute alive"""
MINUTE = 3600
"""ticks"""
BODY = (GROUND - PLAYER_H - TOP) // CELL + 1
"""the row of a frame that a runner on the ground fills"""
LOOK_OFFICIAL = 21
"""ticks from look to look on the official track: 0.25 s of hold or wait, 0.05 s of sleep, 0.05 s of capture"""


# ------------------------------------------------------------------------------------ players


def by_reach(near: float, ticks: float = 0.0) -> Start:
    """A rule on pixels: jump when something stands within ``near`` + ``ticks``·v px of the runner's front.

    With ``ticks`` = 0 it is one distance, whatever the speed. Otherwise the rule has a clock and knows how the game
    gets faster: v(t) is worked out from the time since the run began.
    """
    row = (GROUND - 24 - TOP) // CELL  # just above the ground: what hangs does not show there
    first = int(np.ceil((PLAYER_X + PLAYER_W) / CELL))
    columns = np.arange(80)
    speeds = speed_table()

    def act(frames: np.ndarray, ticks_gone: np.ndarray) -> np.ndarray:
        speed = speeds[np.minimum(ticks_gone.astype(np.int64), len(speeds) - 1)]
        last = np.maximum(first + 1, (PLAYER_X + PLAYER_W + near + ticks * speed) // CELL)  # (B,)
        inside = (columns >= first) & (columns < last[:, None])  # (B, 80)
        on_ground = frames[:, BODY, PLAYER_X // CELL] < 200
        return on_ground & ((frames[:, row] < 150) & inside).any(1)

    return lambda: act


def speed_table(ticks: int = 5400) -> np.ndarray:
    """Pixels a tick after so many ticks alive, ``(ticks,)``."""
    distance, speeds = 0.0, []
    for _ in range(ticks):
        speeds.append(float(speed_at(np.array(distance))))
        distance += speeds[-1]
    return np.array(speeds) if speeds else np.array([SPEED])


def never() -> Player:
    """No key at all."""
    return lambda frames, ticks: np.zeros(len(frames), bool)


def at_random(rate: float = 0.05, seed: int = 0) -> Start:
    """The key is down in a share ``rate`` of the decisions. Each life draws on: no two have the same keys."""
    rng = np.random.default_rng(seed)
    return lambda: lambda frames, ticks: rng.random(len(frames)) < rate


def in_the_air(frame: np.ndarray) -> bool:
    """The runner is not where it stands on the ground, in a frame ``(24, 80)``."""
    return bool(frame[BODY, PLAYER_X // CELL] >= 200)


# ------------------------------------------------------------------------------------ matches


def simulate(
    start: Start, seeds: Iterable[int], seed: int = 0, ticks: int = MINUTE, **delays: Any
) -> np.ndarray:
    """One life on each track: points ``(B,)``, at most ``COMPLETE``. ``delays`` are those of ``World``."""
    player = start()
    world = World(seeds, seed=seed, **delays)
    points = lives(lambda w: player(w.frame(), w.games.tick), world, ticks)
    return np.minimum(points, COMPLETE)


def page_seeds(count: int, least: int) -> list[int]:
    """The first seeds of the page whose first track has a number of ``least`` or more."""
    found, seed = [], 0
    while len(found) < count:
        seed += 1
        if run_seeds(seed, 1)[0] >= least:
            found.append(seed)
    return found


@contextmanager
def opened(
    track: str, browser: Path | None, clone: Path | None, game: str, **options: Any
) -> Iterator[BrowserGame]:
    """Our own runner in a browser, or a game of the user's clone of GameWorld."""
    if clone is None:
        made = own_game(track, browser, **options)
    else:
        made = gameworld_game(clone, game, track, browser, **options)
    with made:
        yield made


@dataclass(frozen=True)
class Entry:
    """A player of a match in the browser.

    Args:
        start: makes the player.
        one_life: a run ends at its first crash. Otherwise the game starts over under the same budget.
        think_s: the player looks, and its answer comes so many seconds later: a blocking agent.
    """

    start: Start
    one_life: bool = True
    think_s: float = 0.0


def play_in_turn(
    game: BrowserGame, players: dict[str, Entry], seeds: Sequence[int], most_steps: int | None
) -> dict[str, dict[str, Any]]:
    """``play_in_browser`` for several players on one page, run by run: each plays a seed before any plays the next,
    and who begins changes. So all of them meet the same machine. Name → result; ``in_turn`` says with whom."""
    tasks, books = dict(game.tasks), {}
    found: dict[str, dict[str, Any]] = {name: {"lives": [], "jumps": 0} for name in players}
    for number, seed in enumerate(live(seeds, ", ".join(players), len(seeds))):
        order = list(players) if number % 2 == 0 else list(players)[::-1]
        for name in order:
            entry = players[name]
            game.tasks = dict(tasks)
            game.turn_to(books.get(name))
            result = play_in_browser(
                game,
                entry.start,
                [seed],
                one_life=entry.one_life,
                think_s=entry.think_s,
                most_steps=most_steps,
            )
            books[name] = game.book()
            lives_, jumps = found[name]["lives"], found[name]["jumps"]
            found[name] = result | {
                "lives": lives_ + result["lives"],
                "jumps": jumps + result["jumps"],
                "in_turn": list(players),
            }
    return found


def play_in_browser(
    game: BrowserGame,
    start: Start,
    seeds: Sequence[int],
    *,
    one_life: bool,
    think_s: float = 0.0,
    watch: Callable[[np.ndarray, bool], None] | None = None,
    text: str = "",
    most_steps: int | None = None,
) -> dict[str, Any]:
    """Runs of the hardest task, one for each seed; what ``BrowserGame.score`` says, ``lives`` and ``jumps``.

    ``jumps`` counts how often a frame shows the runner in the air and the one before did not: what became of the keys.

    Args:
        one_life: a run ends at its first crash. Otherwise the game starts over under the same budget.
        think_s: the player looks, and its answer comes so many seconds later: a blocking agent.
        watch: gets every frame and the decision made on it.
        text: what a progress line calls the runs.
        most_steps: a run is broken off after so many decisions; None: never.
    """
    hardest = max(game.tasks.values(), key=lambda t: t.target)
    if one_life:
        game.tasks[hardest.task_id] = replace(hardest, continue_on_fail=False)
    points, jumps = [], 0
    for seed in live(seeds, text, len(seeds), quiet=not text):
        player = start()
        frame = game.reset(hardest.task_id, seed)
        began, first, ended, steps = game.now(), None, False, 0
        while not ended:
            steps += 1
            ticks = np.array([TICKS_PER_S * (game.now() - began)])
            key = bool(player(frame[None], ticks)[0])
            if watch is not None:
                watch(frame, key)
            if think_s:
                game.host.wait(think_s)
            stood = not in_the_air(frame)
            frame, _, terminated, truncated, info = game.step(key)
            jumps += stood and in_the_air(frame)
            ended = terminated or truncated or steps == most_steps
            if first is None and (info["crashed"] or ended):
                first = info["score_best"]
            if info["crashed"]:
                began = game.now()  # a new life, and the player is told so by the time
        points.append(min(COMPLETE, first or 0))
    other = {"lives": points, "jumps": jumps, "load": load(), "nice": priority()}
    return game.score() | other


def load() -> float:
    """How many processes wanted a core in the last minute, for each core there is; 0 where nobody counts."""
    if not hasattr(os, "getloadavg"):
        return 0.0
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def priority(group: Path = Path("/proc/self/autogroup")) -> int:
    """How nice this process is to others: 0 unless told otherwise, below 0 if it goes before them.

    Linux shares its cores among groups of processes first, and ``group`` says "/autogroup-25 nice 0"; not every
    kernel has that file, and some leave it empty.
    """
    words = group.read_text(encoding="ascii").split() if group.is_file() else []
    if words:
        return int(words[-1])
    return os.nice(0) if hasattr(os, "nice") else 0


def browser_or_reason(path: Path | None) -> str:
    """Why no page can be played here; empty if one can."""
    from games.gameworld.browser import find_browser

    try:
        find_browser(path)
    except UserError as e:
        if path is not None:
            raise
        return str(e)
    return ""


def quartiles(points: np.ndarray) -> str:
    """Lower quartile, median and upper quartile, for tables."""
    low, middle, high = np.percentile(points, (25, 50, 75))
    return f"{low:.0f} / {middle:.0f} / {high:.0f}"


def planned(seeds: Iterable[int], ticks: int = MINUTE, **delays: Any) -> np.ndarray:
    """One life of the planner on each track: points ``(B,)``, at most ``COMPLETE``."""
    return np.minimum(COMPLETE, lives(planner, World(seeds, **delays), ticks))


def official(start: Start | None, seeds: Sequence[int]) -> np.ndarray:
    """The official track in the twin: best points of 100 actions, ``(B,)``; ``start`` None: the planner.

    An action is 0.25 s of key or of waiting, 0.05 s of sleep and 3 ticks of capture: a look every 21 ticks. A crash
    starts over, on a track whose number is above all of ``seeds``.
    """
    world = World(seeds, (LOOK_OFFICIAL, LOOK_OFFICIAL), (2, 4), hold=15)
    act = start() if start else None
    best, tracks = np.zeros(len(seeds)), max(seeds) + 1
    for _ in range(100):
        keys = planner(world) if act is None else act(world.frame(), world.games.tick)
        world.act(keys)
        best = np.maximum(best, world.games.score)
        over = np.flatnonzero(world.games.dead)
        if over.size:
            world.restart(over, range(tracks, tracks + over.size))
            tracks += over.size
    return np.minimum(COMPLETE, best)


# ------------------------------------------------------------------------------------ what is kept


def write_log(path: Path, log: Sequence[dict[str, float]]) -> None:
    """One row a round."""
    rows = [",".join(log[0]), *(",".join(f"{v:g}" for v in row.values()) for row in log)]
    write_atomic(path, "\n".join(rows) + "\n")


def read_log(path: Path) -> list[dict[str, float]]:
    """What ``write_log`` wrote.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        head, *rows = path.read_text(encoding="utf-8").split()
        names = head.split(",")
        return [dict(zip(names, map(float, row.split(",")), strict=True)) for row in rows]
    except (OSError, ValueError) as e:
        raise UserError(f"cannot read the log {path} ({type(e).__name__}); make it anew") from e


_DECIDES = "neuron teaching memory rounds passes frames num_steps lr seed ages".split()


def keep_training(path: Path, state: dict[str, Any], cfg: Any) -> None:
    """A training's state after a round, its rollouts included (30 MB a round), for ``training_kept``."""
    settings = {name: getattr(cfg, name) for name in _DECIDES}
    write_atomic(path, lambda tmp: torch.save(state | {"settings": settings}, tmp))


def training_kept(path: Path, cfg: Any) -> dict[str, Any] | None:
    """What ``keep_training`` kept of a training with the same settings; None if there is none.

    Raises:
        UserError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        state = dict(torch.load(path, weights_only=True))
    except (RuntimeError, ValueError, TypeError, EOFError, OSError, pickle.UnpicklingError) as e:
        raise UserError(f"{path} is damaged ({type(e).__name__}); remove it") from e
    same = all(state["settings"].get(name) == getattr(cfg, name) for name in _DECIDES)
    return state if same else None


def match_kept(path: Path, key: str, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The match ``key`` of an earlier call with the same ``settings``, from browser.json; None if there is none."""
    found = all_kept(path).get(key)
    return found if found and found["settings"] == settings else None


def keep_match(
    path: Path, key: str, result: dict[str, Any], settings: dict[str, Any]
) -> dict[str, Any]:
    """Put a match among those of browser.json, as JSON holds it."""
    kept = all_kept(path) | {key: as_read(result | {"settings": settings})}
    write_json(path, kept)
    return kept[key]


def all_kept(path: Path) -> dict[str, Any]:
    """All matches of browser.json.

    Raises:
        UserError: the file is damaged.
    """
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as e:
        raise UserError(f"{path} is damaged ({type(e).__name__}); remove it") from e


def stages_without_browser(player: Player, frames: int) -> dict[str, dict[str, float]]:
    """p50 and p95 in ms of the two stages that need no browser, on a picture as large as a screenshot."""
    games = Games([0])
    picture = np.repeat(np.repeat(games.render()[0], CELL, 0), CELL, 1)
    times: dict[str, list[float]] = {"preprocess": [], "policy": []}
    for _ in range(frames):
        began = time.perf_counter()
        frame = shrink(picture)
        ready = time.perf_counter()
        player(frame[None], games.tick)
        times["preprocess"].append(ready - began)
        times["policy"].append(time.perf_counter() - ready)
    found = {}
    for stage, all_of in times.items():
        low, high = np.percentile(all_of, (50, 95))
        found[stage] = {"p50": 1000 * float(low), "p95": 1000 * float(high), "n": frames}
    return found
