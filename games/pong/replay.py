"""The memory of a Q-learner: its replay, and the files that carry a training over a cut."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from common.io import UserError, write_atomic
from games.pong.env import SIZE

import numpy as np
import torch


class Replay:
    """The last transitions of every environment: single pictures, one byte a pixel, joined when they are drawn."""

    def __init__(self, size: int, envs: int, seed: int) -> None:
        self.rows = size // envs
        self.level = np.zeros((self.rows, envs, SIZE, SIZE), np.uint8)
        self.action = np.zeros((self.rows, envs), np.int64)
        self.reward = np.zeros((self.rows, envs), np.float32)
        self.valid = np.zeros((self.rows, envs), bool)  # False: a restart, no transition
        self.first = np.zeros((self.rows, envs), bool)  # the picture before belongs to another game
        self.count, self.rng = 0, np.random.default_rng(seed)

    def add(
        self,
        level: np.ndarray,
        first: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        restarted: np.ndarray,
    ) -> None:
        """What was seen, whether a game had just begun, what was done, what it brought, whether it was a restart."""
        i = self.count % self.rows
        self.level[i], self.first[i], self.action[i] = level, first, action
        self.reward[i], self.valid[i] = reward, ~restarted
        self.count += 1

    @property
    def bytes(self) -> int:
        """Memory of all arrays; it does not grow."""
        return sum(a.nbytes for a in (self.level, self.action, self.reward, self.valid, self.first))

    def draw(self, batch: int, n: int, gamma: float) -> dict[str, Any]:
        """``batch`` transitions over ``n`` steps: ``s`` and ``s2`` (pictures before and now), ``a``, ``r`` = Σ γᵏ·r_k,
        and ``go``: γⁿ, or 0 if a point was made on the way."""
        oldest, newest = (
            max(1, self.count - self.rows + 1),
            self.count - 1 - n,
        )  # those that are still whole
        t, e = np.empty(0, np.int64), np.empty(0, np.int64)
        while len(t) < batch:
            t_, e_ = (
                self.rng.integers(oldest, newest + 1, batch),
                self.rng.integers(0, self.level.shape[1], batch),
            )
            ok = self.valid[t_ % self.rows, e_]
            t, e = np.concatenate((t, t_[ok])), np.concatenate((e, e_[ok]))
        t, e = t[:batch], e[:batch]
        total, alive, discount = np.zeros(batch, np.float32), np.ones(batch, np.float32), 1.0
        for k in range(n):
            r = self.reward[(t + k) % self.rows, e]
            total += discount * alive * r
            alive *= r == 0
            discount *= gamma

        def seen(s: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
            before = np.where(self.first[s % self.rows, e], s, s - 1)
            return tuple(torch.from_numpy(self.level[i % self.rows, e]) for i in (before, s))  # type: ignore[return-value]

        return {
            "s": seen(t),
            "s2": seen(t + n),
            "a": torch.from_numpy(self.action[t % self.rows, e]),
            "r": torch.from_numpy(total),
            "go": torch.from_numpy(alive * discount),
        }


def read_state(path: Path) -> dict[str, Any]:
    """A training's checkpoint.

    Raises:
        UserError: it is damaged.
    """
    try:
        state = torch.load(path, weights_only=True)
        missing = {"net", "target", "optimizer", "done", "best", "log"} - state.keys()
    except Exception as e:
        raise UserError(
            f"{path} is damaged ({type(e).__name__}); remove it and start without --resume"
        ) from e
    if missing:
        raise UserError(
            f"{path} holds no training: {', '.join(sorted(missing))} missing; remove it and start without "
            "--resume"
        )
    return state


def write_state(path: Path, state: dict[str, Any]) -> Path:
    """A training's checkpoint, whole or not at all: a full disk is met before the old one is replaced."""
    data = io.BytesIO()
    torch.save(state, data)
    return write_atomic(path, lambda tmp: tmp.write_bytes(data.getvalue()))


def write_csv(path: Path, rows: list[dict[str, float]]) -> Path:
    """A training's log, one line an entry."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(k for row in rows for k in row)))
    writer.writeheader()
    writer.writerows(rows)
    return write_atomic(path, lambda tmp: tmp.write_text(text.getvalue(), encoding="utf-8"))


def read_csv(*paths: Path) -> list[dict[str, float]]:
    """The log in the first of these files that is there; empty if none is."""
    for path in filter(Path.is_file, paths):
        with path.open(encoding="utf-8", newline="") as f:
            return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(f)]
    return []
