"""The runner as a browser shows it: a frame every few ticks, keys that arrive late; and players to compare with.

A frame shows tick t. What is decided on it reaches the game at tick t + L (latency), the next frame shows t + I
(interval). Both are drawn anew for each frame, I for all games, L for each game. In Chromium on two busy cores a
decision took 53 ms from frame to frame (3.2 ticks), and 52 ms from the request of a frame to the key (p95: 105 ms).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from common.io import UserError
from games.runner.twin import (
    CELL,
    GRAVITY,
    GROUND,
    JUMP,
    KINDS,
    PLAYER_H,
    PLAYER_W,
    PLAYER_X,
    TOP,
    WIDTH,
    Games,
)

import numpy as np

INTERVAL, LATENCY = (2, 5), (2, 6)
SIGHT = WIDTH - PLAYER_X
"""px from the runner's left edge to where the picture ends"""
Range = tuple[int, int]
Player = Callable[["World"], np.ndarray]

_STANDS = np.array([k.bottom == 0 for k in KINDS])
_HIGH, _WIDE = (np.array([getattr(k, name) for k in KINDS], np.float64) for name in ("top", "w"))


class World:
    """B runs, one for each seed, seen and played through a browser's delays.

    Args:
        interval: least and most ticks between two frames.
        latency: least and most ticks from a frame to the key that was decided on it.
        hold: ticks after which a key that went down is let go by itself (the official track's executor); None: it
            stays as the last decision that has arrived says.
        seed: of the delays.

    Raises:
        UserError: a range is empty or below its limit.
    """

    def __init__(
        self,
        seeds: Iterable[int],
        interval: Range = INTERVAL,
        latency: Range = LATENCY,
        hold: int | None = None,
        seed: int = 0,
    ) -> None:
        for name, (low, high), least in (("interval", interval, 1), ("latency", latency, 0)):
            if not least <= low <= high:
                raise UserError(
                    f"{name}: got {low} to {high} ticks, allowed is {least} and more, the smaller first"
                )
        if hold is not None and hold < 1:
            raise UserError(f"hold: got {hold} ticks, allowed is 1 and more")
        self.games, self.rng = Games(seeds), np.random.default_rng(seed)
        self.interval, self.latency, self.hold = interval, latency, hold
        self._line = np.zeros(
            (len(self.games), latency[1] + interval[1] + 1), bool
        )  # the key at each coming tick
        self._held = np.zeros(len(self.games), np.int64)
        self.ticks, self.late = 0, np.full(len(self.games), -1)
        self._draw()

    def _draw(self) -> None:
        """The delays of the frame that is seen now. Decisions arrive in their order: none overtakes the one before."""
        before = self.late - self.ticks
        self.ticks = int(self.rng.integers(self.interval[0], self.interval[1] + 1))
        drawn = self.rng.integers(self.latency[0], self.latency[1] + 1, len(self.games))
        self.late = np.maximum(drawn, before + 1)

    def frame(self) -> np.ndarray:
        """What every player sees now, ``(B, 24, 80)`` uint8."""
        return self.games.render()

    def act(self, keys: np.ndarray) -> None:
        """Decide whether the key shall be down, ``keys (B,)``, and go on to the next frame."""
        coming = np.arange(self._line.shape[1]) >= self.late[:, None]
        self._line = np.where(coming, keys[:, None], self._line)
        for k in range(self.ticks):
            self.games.step(self._key(self._line[:, k]))
        self._line = np.concatenate(
            (self._line[:, self.ticks :], np.repeat(self._line[:, -1:], self.ticks, 1)), 1
        )
        self._draw()

    def restart(self, which: np.ndarray, seeds: Iterable[int]) -> None:
        """New runs in the places ``which (n,)``; keys that were on their way to the old ones are lost."""
        self.games.restart(which, seeds)
        self._line[which] = False
        self._held[which] = 0

    def _key(self, wanted: np.ndarray) -> np.ndarray:
        self._held = np.where(wanted, self._held + 1, 0)
        return wanted if self.hold is None else wanted & (self._held <= self.hold)

    def planned(self, ticks: int) -> Games:
        """The runs so many ticks from now, if nothing new is decided: what a planner that sees the state knows."""
        games = self.games.copy()
        for k in range(min(ticks, self._line.shape[1])):
            games.step(self._line[:, k])
        return games


def window(kind: np.ndarray, speed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """When to leave the ground before a thing that stands: first and last tick, counted back from its front's touch.

    From y(n) = 17.5·n − 0.4375·n·(n + 1): above the thing from n₁ to n₂, and over it for (w + 40)/v ticks between.
    Their difference is W of equation (1) in capstone B.
    """
    b = JUMP - GRAVITY / 2
    root = np.sqrt(np.maximum(b * b - 2 * GRAVITY * _HIGH[kind], 0.0))
    first, last = (b - root) / GRAVITY, (b + root) / GRAVITY  # n₁ and n₂
    return first, last - (_WIDE[kind] + PLAYER_W) / speed


def overdue(games: Games) -> np.ndarray:
    """By how many ticks each runner should have left the ground, ``(B,)``: 0 in the middle of the window, negative
    before it, −∞ in the air and where the next thing hangs."""
    lefts, kinds = games.ahead(1)  # the next thing of each run
    left, kind = lefts[:, 0], kinds[:, 0]
    late, early = window(kind, games.speed)
    middle = (late + early) / 2
    ticks_left = (left - PLAYER_W) / games.speed
    return np.where(_STANDS[kind] & (games.y == 0), middle - ticks_left, -np.inf)


def planner(world: World, sight: float = SIGHT) -> np.ndarray:
    """Knows the rules, reckons with the mean latency, jumps in the middle of the window; ``(B,)`` bool.

    It reads positions from the game, of what lies within ``sight`` px of the runner's left edge.
    """
    games = world.planned(round(sum(world.latency) / 2))
    x, kind = (a[:, 0] for a in games.ahead(1))
    first, last = window(kind, games.speed)
    left = (x - PLAYER_W) / games.speed - sum(
        world.interval
    ) / 4  # half an interval: the next decision comes later
    seen = x + games.distance - world.games.distance < sight
    return _STANDS[kind] & seen & (games.y == 0) & (left <= (first + last) / 2)


def never(world: World) -> np.ndarray:
    """No key at all."""
    return np.zeros(len(world.games), bool)


def at_random(rate: float = 0.05, seed: int = 0) -> Player:
    """The key is down in a share ``rate`` of the decisions."""
    rng = np.random.default_rng(seed)
    return lambda world: rng.random(len(world.games)) < rate


def by_pixels(reach: float = 90.0) -> Player:
    """A rule on the frame alone: jump when something stands within ``reach`` px before the runner."""
    row = (
        GROUND - 24 - TOP
    ) // CELL  # just above the ground: all that stands is there, and nothing that hangs
    first = int(np.ceil((PLAYER_X + PLAYER_W) / CELL))
    columns = slice(first, max(first + 1, int((PLAYER_X + PLAYER_W + reach) // CELL)))
    body = (GROUND - PLAYER_H - TOP) // CELL + 1

    def act(world: World) -> np.ndarray:
        frame = world.frame()
        ground = (
            frame[:, body, PLAYER_X // CELL] < 200
        )  # the runner is where it stands, not in the air
        return ground & (frame[:, row, columns] < 150).any(1)

    return act


def lives(player: Player, world: World, ticks: int = 3600) -> np.ndarray:
    """Let ``player`` play for so many ticks, or until all have crashed: points ``(B,)``."""
    while not world.games.dead.all() and world.games.tick.max() < ticks:
        world.act(player(world))
    return world.games.score
