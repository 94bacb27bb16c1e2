"""Our own runner of ``games/runner`` without a browser: many games side by side, and the pictures a player sees.

The rules are those of ``runner.js``, bit for bit: the same operations on doubles in the same order. A tick is 1/60 s:

    jump when the key is down and y = 0:  vy = 17.5        in the air:  vy ← vy − 0.875,  y ← y + vy
    so after n ticks  y = 17.5·n − 0.4375·n·(n + 1):  166.25 px at the 20th, back at exactly 0 at the 39th (0.65 s)
    v(d) = min(16, 8 + d/4096) px a tick               d ← d + v(d)

Lengths are in pixels of the 1280 × 720 page, ``y`` upwards from the ground, ``x`` along the track: the runner's left
edge is at ``distance``, and 160 px from the left of the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

from common.io import ROOT, UserError

import numpy as np

FOLDER = ROOT / "games" / "runner"
TICKS_PER_S = 60
WIDTH, HEIGHT, GROUND = 1280, 720, 608
PLAYER_X, PLAYER_W, PLAYER_H = 160, 40, 56
JUMP, GRAVITY = 17.5, 0.875
SPEED, SPEED_MAX, RAMP = 8.0, 16.0, 4096.0
FIRST, GAP_MIN, GAP_SPREAD = 700.0, 36.0, 72.0
PIXELS_A_POINT = 64.0
AIRBORNE = 39
"""ticks from one touch of the ground to the next"""


@dataclass(frozen=True)
class Kind:
    """What stands or hangs in the way: its width, and its lower and upper edge above the ground, in px."""

    name: str
    w: int
    bottom: int
    top: int


KINDS = (
    Kind("stub", 32, 0, 48),
    Kind("post", 32, 0, 96),
    Kind("wall", 96, 0, 64),
    Kind("row", 128, 0, 40),
    Kind("beam", 128, 88, 232),
)
DEAL = (0, 0, 1, 1, 2, 3, 4, 4)  # a beam is passed without a jump; two of eight things are beams
COLOURS = {
    "sky": "#f2efe6",
    "ground": "#2b2d42",
    "notch": "#8d99ae",
    "player": "#e07a1f",
    "eye": "#ffffff",
    "stand": "#1d3557",
    "hang": "#6a040f",
}
NOTCH = {"period": 128, "w": 64, "y": 616, "h": 8}
EYE = {"x": 26, "y": 10, "size": 8}

CELL = 16  # px of the page that one pixel of a frame covers, in x and y
TOP, BOTTOM = (
    256,
    640,
)  # the rows of the page that a frame shows: from the highest jump to just below the ground
ROWS, COLUMNS = (BOTTOM - TOP) // CELL, WIDTH // CELL

_W, _BOTTOM, _TOP = (
    np.array([getattr(k, name) for k in KINDS], np.float64) for name in ("w", "bottom", "top")
)
_SEEN = 6  # things that a picture can show: one behind the runner, five from there on
_FAR = -1e9  # where the thing before the first one stands, that nobody meets


# ------------------------------------------------------------------------------------ chance


class Stream:
    """Numbers in [0, 1) for each of B seeds: xorshift with 32 bits (Marsaglia 2003), as in the page."""

    def __init__(self, seeds: np.ndarray) -> None:
        self.x = (seeds.astype(np.uint32) * np.uint32(2654435761)) ^ np.uint32(0x5BD1E995)
        self.x[self.x == 0] = 1
        for _ in range(8):
            self.draw()

    def draw(self) -> np.ndarray:
        """The next number of every stream, ``(B,)`` float64."""
        x = self.x
        x ^= x << np.uint32(13)
        x ^= x >> np.uint32(17)
        x ^= x << np.uint32(5)
        return x / 4294967296.0


def run_seeds(seed: int, runs: int) -> list[int]:
    """The seeds of the first ``runs`` runs of a page whose random stream starts from ``seed``: one draw a run."""
    stream = Stream(check_seeds([seed]))
    return [int(stream.draw()[0] * 4294967296.0) for _ in range(runs)]


def check_seeds(seeds: Iterable[int]) -> np.ndarray:
    """Seeds as ``(B,)`` uint32.

    Raises:
        UserError: there is none, or one is not a whole number of 32 bits.
    """
    found = list(seeds)
    bad = [
        s
        for s in found
        if isinstance(s, bool) or not isinstance(s, (int, np.integer)) or not 0 <= s < 2**32
    ]
    if bad or not found:
        raise UserError(
            f"seeds of the runner: got {bad[0] if bad else 'none'}, allowed are one or more whole numbers "
            "from 0 to 4294967295"
        )
    return np.array(found, np.uint32)


def speed_at(distance: np.ndarray) -> np.ndarray:
    """Pixels a tick at these places of the track."""
    return np.minimum(SPEED_MAX, SPEED + distance / RAMP)


# ------------------------------------------------------------------------------------ the games


class Games:
    """B runs side by side, one for each seed; a run that has crashed stands still.

    ``distance``, ``y`` (px) and ``vy`` (px a tick) are ``(B,)`` float64, ``tick (B,)`` int64, ``dead (B,)`` bool.
    """

    def __init__(self, seeds: Iterable[int]) -> None:
        self.seeds = check_seeds(seeds)
        b = len(self.seeds)
        self.distance, self.y, self.vy = np.zeros(b), np.zeros(b), np.zeros(b)
        self.tick, self.dead = np.zeros(b, np.int64), np.zeros(b, bool)
        self._stream, self._end = Stream(self.seeds), np.full(b, FIRST)
        self._x, self._kind = np.full((b, 1), _FAR), np.zeros((b, 1), np.int64)
        self._rows, self._near = (
            np.arange(b),
            np.ones(b, np.int64),
        )  # the first thing whose end is still ahead
        self._extend()
        self._next()

    def __len__(self) -> int:
        return len(self.seeds)

    def copy(self) -> Games:
        """The same runs once more: what is played there leaves these alone."""
        other = copy(self)
        for name in ("distance", "y", "vy", "tick", "dead", "_near", "_end"):
            setattr(other, name, getattr(self, name).copy())
        other._stream = copy(self._stream)
        other._stream.x = self._stream.x.copy()
        return other

    def restart(self, which: np.ndarray, seeds: Iterable[int]) -> None:
        """New runs, one for each seed, in the places ``which (n,)``; the others go on."""
        fresh = Games(seeds)
        while fresh._x.shape[1] < self._x.shape[1]:
            fresh._extend()
        while self._x.shape[1] < fresh._x.shape[1]:
            self._extend()
        for name in (
            "seeds",
            "distance",
            "y",
            "vy",
            "tick",
            "dead",
            "_near",
            "_end",
            "_x",
            "_kind",
        ):
            getattr(self, name)[which] = getattr(fresh, name)
        self._stream.x[which] = fresh._stream.x
        self._next()

    def _extend(self, things: int = 32) -> None:
        """Let every track go on by so many things, two draws each."""
        xs, kinds = [], []
        for _ in range(things):
            kind = np.asarray(DEAL)[np.floor(8 * self._stream.draw()).astype(np.int64)]
            x = self._end + (GAP_MIN + GAP_SPREAD * self._stream.draw()) * speed_at(self._end)
            self._end = x + _W[kind]
            xs.append(x)
            kinds.append(kind)
        self._x = np.concatenate((self._x, np.stack(xs, 1)), 1)
        self._kind = np.concatenate((self._kind, np.stack(kinds, 1)), 1)

    def _next(self) -> None:
        """Look up the thing that each runner meets next; the track always reaches a picture further."""
        if self._near.max() + _SEEN > self._x.shape[1]:
            self._extend()
        x, kind = self._x[self._rows, self._near], self._kind[self._rows, self._near]
        self._from, self._to, self._low, self._high = x, x + _W[kind], _BOTTOM[kind], _TOP[kind]

    @property
    def score(self) -> np.ndarray:
        """Points ``(B,)``: whole, they rise with the distance."""
        return np.floor(self.distance / PIXELS_A_POINT).astype(np.int64)

    @property
    def speed(self) -> np.ndarray:
        """Pixels a tick, ``(B,)``."""
        return speed_at(self.distance)

    def ahead(self, things: int = 2) -> tuple[np.ndarray, np.ndarray]:
        """The next things, that under the runner included: left edge from the runner's left edge, in px, and kind:
        ``(B, things)`` each, at most 5."""
        which = self._near[:, None] + np.arange(things)
        return self._x[self._rows[:, None], which] - self.distance[:, None], self._kind[
            self._rows[:, None], which
        ]

    def passed(self) -> np.ndarray:
        """How many things that stand each run has left behind, ``(B,)``."""
        behind = np.arange(self._kind.shape[1]) < self._near[:, None]
        behind[:, 0] = False  # nobody meets the one before the first
        return (behind & (_BOTTOM[self._kind] == 0)).sum(1)

    def step(self, jump: np.ndarray) -> None:
        """One tick. ``jump (B,)``: the key is down, or was pressed since the last tick."""
        alive = ~self.dead
        self.vy[alive & jump & (self.y == 0)] = JUMP
        up = alive & ((self.vy != 0) | (self.y > 0))
        self.vy -= GRAVITY * up
        self.y += self.vy * up
        landed = up & (self.y <= 0)
        self.y[landed] = self.vy[landed] = 0.0
        self.distance += self.speed * alive
        self.tick += alive
        passed = alive & (self._to <= self.distance)
        if (
            passed.any()
        ):  # things stand further apart than one tick reaches: one at a time is enough
            self._near += passed
            self._next()
        self.dead |= (
            alive
            & (self._from < self.distance + PLAYER_W)
            & (self.y < self._high)
            & (self.y + PLAYER_H > self._low)
        )

    def render(self) -> np.ndarray:
        """What the page shows, as its screenshot comes out of ``shrink``: ``(B, 24, 80)`` uint8."""
        which = (self._near - 1)[:, None] + np.arange(_SEEN)  # (B, 6)
        x, kind = self._x[self._rows[:, None], which], self._kind[self._rows[:, None], which]
        left = np.floor(np.maximum(x - self.distance[:, None], _FAR) + 0.5) + PLAYER_X
        things = np.matmul(
            _LOOKS[kind].transpose(0, 2, 1), _overlap(left, _W[kind], _LEFTS)
        )  # (B, 24, 80)
        high = np.floor(self.y + 0.5).astype(np.int64)
        shift = np.floor(self.distance + 0.5).astype(np.int64) % NOTCH["period"]
        total = _BOARDS[shift] + things + _RUNNERS[high]
        if (
            hit := np.flatnonzero(self.dead)
        ).size:  # only who has crashed covers a part of something
            total[hit] -= self._covered(hit, left[hit, 1], high[hit])
        return ((total.astype(np.int32) + CELL * CELL // 2) // (CELL * CELL)).astype(np.uint8)

    def _covered(self, hit: np.ndarray, left: np.ndarray, high: np.ndarray) -> np.ndarray:
        """What the thing that each run of ``hit (n,)`` crashed into adds where the runner stands before it:
        ``(n, 24, 80)``."""
        low, top = self._low[hit], self._high[hit]
        a, b = (
            np.maximum(left, PLAYER_X),
            np.minimum(left + self._to[hit] - self._from[hit], PLAYER_X + PLAYER_W),
        )
        under, over = np.maximum(low, high), np.minimum(top, high + PLAYER_H)
        grey = np.where(low > 0, _grey("hang"), _grey("stand")) - _grey("sky")
        down = _overlap(GROUND - over, np.maximum(over - under, 0), _UPPERS)
        across = _overlap(a, np.maximum(b - a, 0), _LEFTS)
        return grey[:, None, None] * down[:, :, None] * across[:, None, :]


def play(seeds: Iterable[int], keys: np.ndarray) -> Games:
    """Runs with the key held as ``keys (T, B)`` says, one row a tick."""
    games = Games(seeds)
    for jump in keys:
        games.step(jump)
    return games


def key_ticks(log: Sequence[Sequence[int]], ticks: int) -> np.ndarray:
    """A page's key log → ``jump (T,)`` for ``Games.step``.

    Args:
        log: ``[tick, 1]`` for a key that went down before that tick was played, ``[tick, 0]`` for up.
        ticks: T.
    """
    jump, since = np.zeros(ticks, bool), None
    for tick, down in log:
        if down:
            jump[tick : tick + 1] = True  # a press counts even if it was over before the tick
            since = tick if since is None else since
        elif since is not None:
            jump[since:tick] = True
            since = None
    if since is not None:
        jump[since:] = True
    return jump


# ------------------------------------------------------------------------------------ pictures


def grey_of(colour: str) -> int:
    """The grey level of a colour ``#rrggbb``, as Pillow's ``convert("L")`` rounds it."""
    r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return (19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16


def shrink(grey: np.ndarray) -> np.ndarray:
    """A grey screenshot ``(720, 1280)``, or its rows 256 to 640 alone → the frame ``(24, 80)``, both uint8.

    A pixel is the mean of 16 × 16, rounded; so things that lie between two pixels show by their level. A picture of
    half or a quarter of that width and height does as well.

    Raises:
        UserError: the picture has another size.
    """
    cell = grey.shape[-1] // COLUMNS  # 16 in a picture of full size
    if grey.shape == (HEIGHT * cell // CELL, COLUMNS * cell):
        grey = grey[TOP * cell // CELL : BOTTOM * cell // CELL]
    if cell not in (CELL, CELL // 2, CELL // 4) or grey.shape != (ROWS * cell, COLUMNS * cell):
        raise UserError(
            f"screenshot of the runner: got {' × '.join(map(str, grey.shape))} pixels (height × width), "
            f"expected {HEIGHT} × {WIDTH}; open the page in a window of that size, without zoom"
        )
    total = grey.reshape(ROWS, cell, COLUMNS, cell).sum((1, 3), dtype=np.int64)
    return ((total + cell * cell // 2) // (cell * cell)).astype(np.uint8)


_LEFTS = np.arange(COLUMNS, dtype=np.float32) * CELL
_UPPERS = np.arange(ROWS, dtype=np.float32) * CELL + TOP


def _overlap(start: np.ndarray, length: np.ndarray | float, cells: np.ndarray) -> np.ndarray:
    """How many pixels of each cell lie in ``start`` … ``start + length``: ``(…, cells)`` float32."""
    a = np.asarray(start, np.float32)[..., None]
    b = np.asarray(np.asarray(start) + length, np.float32)[..., None]
    return np.clip(np.minimum(b, cells + CELL) - np.maximum(a, cells), 0, CELL)


def _grey(name: str) -> int:
    return grey_of(COLOURS[name])


def _board() -> np.ndarray:
    """Sums of grey levels by cell of sky and ground, for each shift of its notches: ``(128, 24, 80)`` float32."""
    sky, ground, notch = _grey("sky"), _grey("ground"), _grey("notch")
    down = _overlap(GROUND, HEIGHT - GROUND, _UPPERS)  # (24,)
    plain = (CELL * CELL * sky + CELL * down * (ground - sky))[:, None]
    period = NOTCH["period"]
    lefts = np.arange(0, WIDTH + period, period) - np.arange(period)[:, None]  # (128, 11)
    across = _overlap(lefts, NOTCH["w"], _LEFTS).sum(1)  # (128, 80)
    rows = _overlap(NOTCH["y"], NOTCH["h"], _UPPERS)
    return (plain + (notch - ground) * rows[:, None] * across[:, None, :]).astype(np.float32)


def _runner() -> np.ndarray:
    """What the runner adds to the sums, for each height in whole pixels: ``(168, 24, 80)`` float32."""
    tops = GROUND - PLAYER_H - np.arange(168)
    body = _overlap(tops, PLAYER_H, _UPPERS)[:, :, None] * _overlap(PLAYER_X, PLAYER_W, _LEFTS)
    eye = _overlap(tops + EYE["y"], EYE["size"], _UPPERS)[:, :, None] * _overlap(
        PLAYER_X + EYE["x"], EYE["size"], _LEFTS
    )
    return (
        body * (_grey("player") - _grey("sky")) + eye * (_grey("eye") - _grey("player"))
    ).astype(np.float32)


_BOARDS, _RUNNERS = _board(), _runner()
_LOOKS = np.stack(
    [
        _overlap(GROUND - k.top, k.top - k.bottom, _UPPERS)
        * (_grey("hang" if k.bottom else "stand") - _grey("sky"))
        for k in KINDS
    ]
)  # (5, 24)


def page_folder() -> Path:
    """The folder of the page.

    Raises:
        UserError: a file of it is missing.
    """
    for name in ("index.html", "runner.js", "tasks.json"):
        if not (FOLDER / name).is_file():
            raise UserError(
                f"got no {name} in games/runner, which holds the runner's page; bring it back with "
                "'git checkout -- games/runner'"
            )
    return FOLDER
