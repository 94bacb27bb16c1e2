"""The bridge of capstone B: a browser game as an environment, judged as GameWorld judges (arXiv 2604.07429, 4.5).

Two back ends behind one class. ``own_game()`` serves the page of ``games/runner``: results on it are **not GameWorld**.
``gameworld_game(folder, game)`` serves a game of the user's own clone of GameWorld: it reads the clone's catalog and
page scripts as data and imports none of its code (its ``utils`` would hide ours, and its action executor needs a log
level that only that import installs). **It is written to the published contract and was not run against the real
games**, which this repository does not hold.

A run is a task: a target, a budget of steps, crashes that start the game over under the same budget.

    progress = clip((max_t score − start) / (target − start), 0, 1),  the best over all attempts of the run      (1)
    PG = mean progress of the runs,        SR = share of runs that reached the target                           (2)

Two tracks. *RT-official*: 100 actions; a key press or a wait lasts 0.25 s, then 0.05 s of sleep; the game is never
paused. *RT-reactive* (ours, unofficial): a picture after the other, the key is let go by a later decision, waits are
free, at most 100 key presses as for GameWorld's human players, and a limit in seconds.

Pixels are all that a policy gets. ``getState()`` is asked for score and end only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from common.io import UserError
from games.gameworld.browser import Clip, Page, served
from games.runner import twin as runner
from games.runner.play import INTERVAL, LATENCY

import numpy as np

TRACKS = ("official", "reactive")
SLEEP_S = 0.05  # of the official loop, after each action
# no key and no look comes later in the twin, as capstone B compares it
LATE_TICKS = LATENCY[1], INTERVAL[1]
STAGES = ("capture", "preprocess", "policy", "dispatch")
METHODS = ("init", "reset", "getState")
GLOBALS = (
    "__pauseGame",
    "__resumeGame",
    "__getGameSpeedState",
    "__setGameSpeed",
    "__isGamePaused",
    "__resetRandomSeed",
    "__getRandomSeed",
)
FIELDS = (
    "schemaVersion",
    "gameId",
    "seed",
    "timestampMs",
    "gameTimeMs",
    "status",
    "is_actionable",
    "terminal.isTerminal",
    "terminal.outcome",
    "terminal.reason",
    "game_state.score",
    "game_state.level",
    "game_state.player",
    "game_state.environment",
    "game_state.completion_progress",
    "metrics.primary_score",
    "metrics.distance",
    "metrics.speed",
    "metrics.attempts",
    "metrics.high_score",
    "debug",
)
STATUSES = ("loading", "menu", "ready", "playing", "paused", "terminal")


@dataclass(frozen=True)
class Task:
    """One row of a task table; ``hold_s`` is how long a key press or a wait lasts, in s."""

    task_id: str
    target: float
    start: float = 0.0
    max_steps: int = 100
    hold_s: float = 0.25
    key: str = "Space"
    score_field: str = "game_state.score"
    end_field: str = "terminal.isTerminal"
    terminal_status: str = "unknown"
    """what an end counts as whose outcome is neither success nor fail: ``success`` in GameWorld's runner tasks"""
    continue_on_fail: bool = True


def lookup(state: Any, path: str) -> Any:
    """The value at ``a.b.c`` of a state, or None where there is none."""
    for key in path.split("."):
        if not isinstance(state, Mapping) or key not in state:
            return None
        state = state[key]
    return state


# ------------------------------------------------------------------------------------ judging


@dataclass
class Judge:
    """Equations (1) and (2) for one run."""

    task: Task
    steps: int = 0
    score_best: float | None = None
    status: str = "unknown"
    stopped: bool = False
    attempts: int = 1

    @property
    def progress(self) -> float:
        """Equation (1); 0 while no score was read."""
        t = self.task
        if self.score_best is None:
            return 0.0
        if t.target <= t.start:
            return float(self.score_best >= t.target)
        return float(np.clip((self.score_best - t.start) / (t.target - t.start), 0.0, 1.0))

    def look(self, state: Any, counted: bool = True) -> bool:
        """Judge the state after a step; True if the game has to be started over.

        Args:
            state: what ``getState()`` gave.
            counted: the step counts for the budget.
        """
        t = self.task
        self.steps += counted
        value = lookup(state, t.score_field)
        read = (
            isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value)
        )
        if read:
            self.score_best = value if self.score_best is None else max(self.score_best, value)
        reached = self.score_best is not None and self.score_best >= t.target
        spent = counted and self.steps >= t.max_steps
        ended, outcome = (
            lookup(state, "terminal.isTerminal") is True,
            lookup(state, "terminal.outcome"),
        )
        other_end = (
            t.end_field not in ("", "terminal.isTerminal") and lookup(state, t.end_field) is True
        )
        if (
            ended
            and outcome == "fail"
            and t.continue_on_fail
            and not (reached or spent or other_end)
        ):
            self.status, self.attempts = "fail", self.attempts + 1
            return True
        if reached or spent or ended or other_end:
            self.stopped = True
            by_end = outcome if ended and outcome in ("success", "fail") else t.terminal_status
            # as in GameWorld: a state without a score makes the result unknown, whatever else it says
            self.status = (
                "unknown" if not read else "success" if reached else "fail" if spent else by_end
            )
        return False


def contract_problems(host: Host) -> list[str]:
    """What a page lacks of the contract, one line each: methods, globals, fields of the state. Empty if nothing."""
    found = [
        f"no gameAPI.{m}"
        for m in METHODS
        if host.evaluate(f"typeof (window.gameAPI ?? {{}}).{m}") != "function"
    ]
    found += [f"no {g}" for g in GLOBALS if host.evaluate(f"typeof window.{g}") != "function"]
    if "no gameAPI.getState" in found:
        return found
    state = host.evaluate("gameAPI.getState()")
    for path in FIELDS:
        parent, _, last = path.rpartition(".")
        where = lookup(state, parent) if parent else state
        if not isinstance(where, Mapping) or last not in where:
            found.append(f"the state has no {path}")
    if lookup(state, "status") not in STATUSES:
        found.append(f"status is {lookup(state, 'status')!r}, allowed are {', '.join(STATUSES)}")
    return found


# ------------------------------------------------------------------------------------ the environment


class Host(Protocol):
    """What the bridge needs of a page; ``games.gameworld.browser.Page`` has it."""

    def evaluate(self, script: str, argument: Any = None) -> Any: ...
    def grey(self, clip: Clip | None = None, scale: float = 1.0) -> np.ndarray: ...
    def key_down(self, key: str) -> None: ...
    def key_up(self, key: str) -> None: ...
    def wait(self, seconds: float) -> None: ...


@dataclass
class BrowserGame:
    """A game in a page as an environment: ``reset``, then ``observe`` and ``step`` by turns.

    ``clip`` (x, y, width, height in px) is the part of the page that is captured, at ``scale``; ``shrink`` makes the
    frame of it. At half size the browser takes the mean of 2 × 2 px, so that no frame differs from one of full size.
    ``limit_s`` (wall-clock time of a run) and ``max_presses`` bind on the track *RT-reactive* only.
    """

    host: Host
    tasks: dict[str, Task]
    track: Literal["official", "reactive"] = "reactive"
    label: str = "own runner, not GameWorld"
    clip: Clip | None = (
        0,
        runner.TOP,
        runner.WIDTH,
        runner.BOTTOM - runner.TOP,
    )
    scale: float = 0.5
    shrink: Callable[[np.ndarray], np.ndarray] = runner.shrink
    limit_s: float = 90.0
    max_presses: int = 100
    now: Callable[[], float] = time.perf_counter
    stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        if self.track not in TRACKS:
            raise UserError(f"track: got {self.track!r}, allowed are {', '.join(TRACKS)}")
        self.runs: list[dict[str, Any]] = []
        self.times: dict[str, list[float]] = {k: [] for k in (*STAGES, "all")}
        self.intervals: list[float] = []  # s from a look to the next one of the same life
        self._looked: float | None = None
        self.judge: Judge | None = None
        self._captured: tuple[float, float] | None = (
            None  # when the last picture was asked for, when it was ready
        )
        self._down, self._closed = False, False

    def reset(self, task: str, seed: int) -> np.ndarray:
        """Start a run of ``task`` on the track that ``seed`` decides; the first frame.

        Raises:
            UserError: there is no such task, or the page does not come to be playable.
        """
        if self._closed:
            raise UserError("reset: got a game that was closed; open it again")
        if task not in self.tasks:
            raise UserError(f"task: got {task!r}, allowed are {', '.join(self.tasks)}")
        self._finish()
        self.judge = Judge(self.tasks[task])
        self._seed, self._presses, self._last = seed, 0, None
        self._restart(seed)
        self._started = self.now()
        self.judge.look(self._state(), counted=False)
        self._last = self.judge.score_best
        return self.observe()[0]

    def _state(self) -> Any:
        return self.host.evaluate("gameAPI.getState()")

    def _restart(self, seed: int | None = None) -> None:
        """Let the game start over and wait until it can be played."""
        self._release()
        self._looked = None
        self.host.evaluate(
            "(seed) => { if (seed !== null) window.__resetRandomSeed?.(seed); "
            "return gameAPI.reset({}); }",
            seed,
        )
        for _ in range(600):
            state = self._state()
            actionable = lookup(state, "is_actionable")
            if (
                actionable is True
                or actionable is None
                and lookup(state, "status") in ("ready", "playing")
            ):
                return
            self.host.wait(0.1)
        raise UserError(
            f"the game cannot be played 60 s after its reset: status {lookup(state, 'status')!r}; does the "
            "page work when you open it by hand?"
        )

    def observe(self) -> tuple[np.ndarray, float]:
        """The frame that the page shows now, and the time at which it was asked for, in s."""
        asked = self.now()
        picture = self.host.grey(self.clip, self.scale)
        captured = self.now()
        frame = self.shrink(picture)
        ready = self.now()
        self.times["capture"].append(captured - asked)
        self.times["preprocess"].append(ready - captured)
        if self._looked is not None:
            self.intervals.append(asked - self._looked)
        self._captured, self._looked = (asked, ready), asked
        return frame, asked

    def _release(self) -> None:
        if self._down:
            self.host.key_up(self.judge.task.key)
            self._down = False

    def _press(self) -> None:
        self.host.key_down(self.judge.task.key)
        self._down = True
        self._presses += 1

    def step(
        self, action: bool | int, wait_s: float | None = None
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Do what was decided on the last frame: frame, gain of score, terminated, truncated, info.

        Args:
            action: *official*: press the key, or wait. *reactive*: the key shall be down, or up.
            wait_s: *official*: how long a wait lasts, in s; the task's ``hold_s`` by default.

        Raises:
            UserError: before ``reset``, or after the end of the run.
        """
        if self.judge is None or self.judge.stopped:
            raise UserError(
                "step: got a run that has ended or not begun, expected a call of reset before it"
            )
        task, decided = self.judge.task, self.now()
        if self._captured:
            self.times["policy"].append(decided - self._captured[1])
        pressed = (
            bool(action)
            and not self._down
            and (self.track == "official" or self._presses < self.max_presses)
        )
        if pressed:
            self._press()
            done = self.now()
            self.times["dispatch"].append(done - decided)
            if self._captured:
                self.times["all"].append(done - self._captured[0])
        elif not action:
            self._release()
        if self.track == "official":
            self.host.wait(task.hold_s if action or wait_s is None else wait_s)
            self._release()
        self._captured = None
        counted = self.track == "official"
        again = self.judge.look(self._state(), counted)
        if again:
            self._restart()
        best, before = self.judge.score_best, self._last
        gain = 0.0 if best is None else best - (task.start if before is None else before)
        self._last = best
        truncated = (
            not self.judge.stopped
            and self.track == "reactive"
            and self.now() - self._started >= self.limit_s
        )
        if not counted:
            self.judge.steps += 1
        if truncated:
            self.judge.stopped, self.judge.status = True, "fail"
        info = {
            "pressed": pressed,
            "crashed": again,
            "status": self.judge.status,
            "score_best": best,
            "steps": self.judge.steps,
            "presses": self._presses,
        }
        if self.track == "official" and not self.judge.stopped:
            self.host.wait(SLEEP_S)
        ended = self.judge.stopped
        if ended:
            self._finish()
        return self.observe()[0], float(gain), ended and not truncated, truncated, info

    def _finish(self) -> None:
        """Put the run that stands among the finished ones."""
        judge = self.judge
        if judge is None or any(r["judge"] is judge for r in self.runs):
            return
        self._release()
        self.runs.append(
            {
                "judge": judge,
                "task": judge.task.task_id,
                "seed": self._seed,
                "success": judge.status == "success",
                "progress": judge.progress,
                "score_best": judge.score_best,
                "steps": judge.steps,
                "presses": self._presses,
                "attempts": judge.attempts,
                "status": judge.status,
                "play_s": self.now() - self._started,
            }
        )

    def score(self) -> dict[str, Any]:
        """Equation (2) over all runs so far, the one that stands included, and the latencies in ms.

        ``latency``: p50 and p95 by stage and of ``all``: from the request of a picture to the key that is down.
        ``refused``: how often the page asked for something outside its folder, or for another host.
        ``s_per_step`` is GameWorld's unit: seconds of play for each step, everything included. ``late``: how many of
        the keys came more than ``ticks[0]`` after their look, how many of the looks more than ``ticks[1]`` after the
        one before, and the longest of both in ms.
        """
        self._finish()
        runs = [{k: v for k, v in r.items() if k != "judge"} for r in self.runs]
        late_key, late_look = (ticks / runner.TICKS_PER_S for ticks in LATE_TICKS)  # s
        steps, play = sum(r["steps"] for r in runs), sum(r["play_s"] for r in runs)
        return {
            "game": self.label,
            "track": f"RT-{self.track}",
            "n": len(runs),
            "SR": float(np.mean([r["success"] for r in runs])) if runs else 0.0,
            "PG": float(np.mean([r["progress"] for r in runs])) if runs else 0.0,
            "score_best": max(
                (r["score_best"] for r in runs if r["score_best"] is not None), default=None
            ),
            "steps": steps,
            "presses": sum(r["presses"] for r in runs),
            "play_s": play,
            "s_per_step": play / steps if steps else 0.0,
            "latency": {
                k: {
                    "p50": 1000 * float(np.percentile(v, 50)),
                    "p95": 1000 * float(np.percentile(v, 95)),
                    "n": len(v),
                }
                for k, v in self.times.items()
                if v
            },
            "late": {
                "ticks": list(LATE_TICKS),
                "keys": [sum(t > late_key for t in self.times["all"]), len(self.times["all"])],
                "looks": [sum(t > late_look for t in self.intervals), len(self.intervals)],
                "longest_ms": 1000 * max([0.0, *self.times["all"], *self.intervals]),
            },
            "refused": len(getattr(self.host, "refused", ())),
            "runs": runs,
        }

    def book(self) -> tuple[Any, ...]:
        """What was noted so far, for ``turn_to``."""
        return self.runs, self.times, self.intervals

    def turn_to(self, book: tuple[Any, ...] | None) -> None:
        """Go on in the book of another player; None: begin an empty one. Call it between two runs."""
        if book is None:
            book = [], {k: [] for k in (*STAGES, "all")}, []
        self.runs, self.times, self.intervals = book
        self.judge = self._captured = self._looked = None

    def close(self) -> None:
        """End browser and server; may be called twice."""
        self._closed = True
        self.stack.close()

    def __enter__(self) -> BrowserGame:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# ------------------------------------------------------------------------------------ the two back ends


def own_tasks() -> dict[str, Task]:
    """The task table of ``games/runner``."""
    table = json.loads((runner.page_folder() / "tasks.json").read_text(encoding="utf-8"))
    return {
        row["task_id"]: Task(
            row["task_id"],
            row["target"],
            table["start"],
            table["max_steps"],
            table["hold_s"],
            table["keys"][0],
            table["score_field"],
            table["end_field"],
            continue_on_fail=table["continue_on_fail"],
        )
        for row in table["tasks"]
    }


def own_game(track: str = "reactive", browser: Path | None = None, **options: Any) -> BrowserGame:
    """Our own runner in a browser; close it after use."""
    return _open(runner.page_folder(), own_tasks(), track, browser, **options)


def gameworld_tasks(folder: Path, game: str) -> tuple[dict[str, Task], Path]:
    """The tasks of ``game`` in the user's clone of GameWorld, and the folder of its page.

    Raises:
        UserError: a folder, a file, a field or the package pyyaml is missing.
    """
    if not folder.is_dir():
        raise UserError(
            f"--gameworld: got {folder}, which is no folder; clone GameWorld and its games, and name the "
            "clone"
        )
    try:
        import yaml
    except ImportError as e:
        raise UserError(
            "the package pyyaml is missing, which reads GameWorld's catalog; install it with "
            "'uv pip install pyyaml'"
        ) from e
    rules = folder / "catalog" / "games" / f"{game}.yaml"
    tasks = sorted((folder / "catalog" / "tasks" / game).glob("*.yaml"))
    if not rules.is_file() or not tasks:
        known = (
            ", ".join(sorted(p.stem for p in rules.parent.glob("*.yaml")))
            or "none: is it a clone of GameWorld?"
        )
        raise UserError(
            f"--game: got {game!r}, which the catalog in {folder} does not hold; it holds {known}"
        )
    # the games are a repository of their own; it may have been cloned with one folder 'benchmark' more
    places = [
        folder / "games" / "benchmark" / game,
        folder / "games" / "benchmark" / "benchmark" / game,
    ]
    page = next((p for p in places if (p / "index.html").is_file()), None)
    if page is None:
        raise UserError(
            f"got no index.html of {game}: looked in {places[0]} and {places[1]}; clone GameWorld's games "
            f"into {folder / 'games' / 'benchmark'}"
        )
    found = {}
    for path in [rules, *tasks]:
        try:
            row = yaml.safe_load(path.read_text(encoding="utf-8"))
            if path == rules:
                keys = row["game_roles"][0]["computer_use_controls"]
                allowed, hold = keys["allowed_keys"], float(keys.get("hold_duration", 0.2))
                continue
            judged = row["evaluator_config"]
            found[row["task_id"]] = Task(
                row["task_id"],
                float(row["task_target_score_field"]),
                float(row.get("task_start_score_field", 0)),
                int(row["max_steps"]),
                hold,
                allowed[0],
                judged["score_field"],
                judged.get("end_field", ""),
                str(judged.get("terminal_status", "unknown")),
                bool(row.get("continue_on_fail", True)),
            )
        except Exception as e:
            raise UserError(
                f"{path} is not as expected ({type(e).__name__}: {e}); this bridge was written to "
                "GameWorld's catalog of May 2026"
            ) from e
    return found, page


def gameworld_game(
    folder: Path,
    game: str,
    track: str = "reactive",
    browser: Path | None = None,
    seed: int = 42,
    **options: Any,
) -> BrowserGame:
    """A game of the user's own clone of GameWorld. Not run against the real games: see the head of this file.

    The clone's page scripts (clock, seeded Math.random) are installed as its runtime does, from the clone.
    """
    tasks, page = gameworld_tasks(folder, game)
    scripts = []
    for name, mark, value in (
        ("dynamic_speed_control.js", "__INITIAL_SPEED_MULTIPLIER__", 1.0),
        ("deterministic_random.js", "__RANDOM_SEED__", seed),
    ):
        path = folder / "env" / "browser_scripts" / name
        if not path.is_file():
            raise UserError(f"got no {path}; is {folder} a whole clone of GameWorld?")
        scripts.append(path.read_text(encoding="utf-8").replace(mark, json.dumps(value)))
    return _open(
        page,
        tasks,
        track,
        browser,
        scripts,
        **{"clip": None, "scale": 1.0, "label": f"GameWorld {game}", **options},
    )


def _open(
    folder: Path,
    tasks: dict[str, Task],
    track: str,
    browser: Path | None,
    scripts: list[str] | None = None,
    **options: Any,
) -> BrowserGame:
    if track not in TRACKS:
        raise UserError(f"track: got {track!r}, allowed are {', '.join(TRACKS)}")
    with ExitStack() as stack:
        page = stack.enter_context(Page(browser))
        address = stack.enter_context(served(folder, page.refused))
        for script in scripts or ():
            page.page.add_init_script(script)
        page.goto(address)
        lacking = [p for p in contract_problems(page) if "gameAPI" in p]
        if lacking:
            raise UserError(
                f"the page in {folder} does not keep the contract: {'; '.join(lacking)}"
            )
        page.evaluate("gameAPI.init({})")
        return BrowserGame(page, tasks, track, stack=stack.pop_all(), **options)  # type: ignore[arg-type]
    raise AssertionError("unreachable")
