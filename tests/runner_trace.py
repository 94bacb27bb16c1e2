"""What the runner's page does, recorded, so that the simulator can be compared with it where there is no browser.

uv run tests/runner_trace.py          plays in Chromium for some seconds and writes games/runner/trace.json
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from common.io import write_atomic  # noqa: E402
from games.gameworld.browser import Page, served  # noqa: E402
from games.runner import twin as runner  # noqa: E402

TRACE = runner.FOLDER / "trace.json"
EVERY = 25  # ticks between the rows of a trace
CROP = (0, runner.TOP, runner.WIDTH, runner.BOTTOM - runner.TOP)

RUN_LOGIC = """([seed, jumps, ticks, every]) => {
    const run = newRun(seed), down = new Set(jumps), rows = [];
    extend(run);
    while (run.tick < ticks && !run.dead) {
        step(run, down.has(run.tick));
        if (run.tick % every === 0 || run.dead) rows.push([run.distance, run.y, run.vy]);
    }
    return {seed, jumps, ticks, rows, tick: run.tick, score: scoreOf(run), dead: run.dead};
}"""


def window(kind: np.ndarray, speed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """When to leave the ground before a thing that stands: first and last tick, counted back from the touch of its
    front. From y = 17.5·n − 0.4375·n·(n + 1), worked out here once more, in real numbers."""
    top, w = (
        np.array([getattr(k, name) for k in runner.KINDS], float)[kind] for name in ("top", "w")
    )
    b = runner.JUMP - runner.GRAVITY / 2
    root = np.sqrt(np.maximum(b * b - 2 * runner.GRAVITY * top, 0))
    up, down = (b - root) / runner.GRAVITY, (b + root) / runner.GRAVITY
    return up, down - (w + runner.PLAYER_W) / speed


def good_jumps(games: runner.Games) -> np.ndarray:
    """A player who knows the rules: who jumps, ``(B,)`` bool; in the middle of the window, never at a beam."""
    x, kind = (a[:, 0] for a in games.ahead(1))
    first, last = window(kind, games.speed)
    left = (x - runner.PLAYER_W) / games.speed
    stands = np.array([k.bottom == 0 for k in runner.KINDS])[kind]
    return stands & (left <= (first + last) / 2) & (left > first) & (games.y == 0)


def good_run(seed: int, ticks: int) -> list[int]:
    """The ticks at which that player jumps."""
    games, jumps = runner.Games([seed]), []
    for t in range(ticks):
        jump = good_jumps(games)
        if jump[0]:
            jumps.append(t)
        games.step(jump)
    return jumps


def scripts() -> list[tuple[int, list[int], int]]:
    """Seed, ticks at which the key is down, most ticks: long runs to full speed, and careless ones that crash."""
    found = [(seed, good_run(seed, 4000), 4000) for seed in (0, 1, 4294967295)]
    for seed in range(10, 22):
        rng = np.random.default_rng(seed)
        careless = set(rng.integers(0, 3000, 6).tolist()) | set(
            range(seed * 3, seed * 3 + seed % 5 * 20)
        )
        good = good_run(seed, 40 * (seed - 8))
        found.append((seed, sorted(careless | set(good)), 3000))
    return found


def logic(page: Page) -> list[dict[str, Any]]:
    """The page's rules on those scripts, tick by tick as fast as it can."""
    return [page.evaluate(RUN_LOGIC, [*script, EVERY]) for script in scripts()]


def pictures(page: Page, seed: int, moments: int = 5) -> list[dict[str, Any]]:
    """A run in real time with real keys, stopped now and then for a screenshot."""
    page.evaluate("(seed) => gameAPI.reset({seed})", seed)
    found = []
    for k in range(moments):
        page.wait(0.35 + 0.05 * k)
        page.key_down("Space")
        page.wait(0.1)
        if k % 2:
            page.key_up("Space")
        page.wait(0.07 * k)
        page.evaluate("__pauseGame()")
        page.wait(0.1)  # one more frame is drawn
        state = page.evaluate("gameAPI.getState()")
        frame = runner.shrink(page.grey(CROP))
        page.key_up("Space")
        page.evaluate("__resumeGame()")
        found.append(
            {
                "seed": state["debug"]["runSeed"],
                "tick": state["debug"]["tick"],
                "score": state["game_state"]["score"],
                "distance": state["metrics"]["distance"],
                "y": state["game_state"]["player"]["y"],
                "log": state["debug"]["keyLog"],
                "frame": base64.b64encode(frame.tobytes()).decode(),
            }
        )
        if state["terminal"]["isTerminal"]:
            break
    return found


def main() -> None:
    with served(runner.FOLDER) as address, Page() as page:
        page.goto(address)
        trace = {
            "what": "recorded by tests/runner_trace.py",
            "every": EVERY,
            "logic": logic(page),
            "pictures": [p for seed in (3, 5, 8) for p in pictures(page, seed)],
        }
    text = json.dumps(trace, separators=(",", ":")) + "\n"
    print(
        f"saved {write_atomic(TRACE, lambda tmp: tmp.write_text(text, encoding='utf-8')).relative_to(ROOT)}"
    )


if __name__ == "__main__":
    main()
