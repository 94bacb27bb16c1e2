"""The memory of a Q-learner: its replay, and the files that carry a training over a cut."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path
from typing import Any

from common.io import UserError, write_atomic
from games.pong.env import SIZE

import numpy as np
import torch
from torch import nn


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
        and ``go``: γⁿ, or 0 if a point was made on the way.

        A game that a limit cut without a point has no end to learn from: a return over its last pictures would go on
        into the next game, so it is not drawn."""
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
            ok, open_ = self.valid[t_ % self.rows, e_], np.ones(batch, bool)
            for k in range(n):
                open_ &= self.reward[(t_ + k) % self.rows, e_] == 0
                ok &= self.valid[(t_ + k + 1) % self.rows, e_] | ~open_
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


def read_state(
    path: Path, mark: dict[str, str] | None = None, **parts: nn.Module | torch.optim.Optimizer
) -> dict[str, Any]:
    """A training's checkpoint.

    Args:
        mark: what decides the training; None: it is not compared.
        parts: ``net``, ``target`` and ``optimizer``, which are filled in place.

    Raises:
        UserError: it is damaged, or of another training: that names what differs.
    """
    try:
        content = path.read_bytes()
        if hashlib.sha256(content[:-32]).digest() != content[-32:]:
            raise ValueError("the digest at its end is another")
        state = torch.load(io.BytesIO(content), weights_only=True)
        there = state["mark"]
        done, best, log = (state[k] for k in ("done", "best", "log"))
        if not (isinstance(done, int) and isinstance(best, float) and log[-1]["seconds"] >= 0):
            raise ValueError("it holds no training")
        differs = [k for k in there | mark if there.get(k) != mark.get(k)] if mark else []
        for name, part in {} if differs else parts.items():
            part.load_state_dict(state[name])
    except Exception as e:  # cut, of another format, an entry missing or of another kind
        raise UserError(
            f"{path} is damaged or no training's checkpoint ({type(e).__name__}); remove it and start "
            "without --resume"
        ) from e
    if differs:
        shown = "; ".join(f"{k} is {there.get(k)} there, {mark.get(k)} here" for k in differs)
        raise UserError(f"{path} is of another training: {shown}. Give the same, or no --resume")
    return state


def write_state(path: Path, state: dict[str, Any]) -> Path:
    """A training's checkpoint and its SHA-256: a full disk is met before the old one is replaced."""
    data = io.BytesIO()
    torch.save(state, data)
    return write_atomic(path, data.getvalue() + hashlib.sha256(data.getbuffer()).digest())


def write_csv(path: Path, rows: list[dict[str, float]]) -> Path:
    """A training's log, one line an entry."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(k for row in rows for k in row)))
    writer.writeheader()
    writer.writerows(rows)
    return write_atomic(path, text.getvalue())


def read_csv(*paths: Path) -> list[dict[str, float]]:
    """The log in the first of these files that is there; empty if none is.

    Raises:
        UserError: it is damaged.
    """
    for path in filter(Path.is_file, paths):
        try:
            with path.open(encoding="utf-8", newline="") as f:
                return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(f)]
        except (OSError, ValueError, TypeError, csv.Error) as e:
            raise UserError(f"{path} is damaged ({e}); remove it, or train again") from e
    return []
