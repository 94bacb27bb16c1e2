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
    """The last transitions of every environment: single pictures, one byte a pixel, joined when they are drawn.

    The pictures, and what is drawn, lie on ``device``; all else is small and stays on the host, where it is decided
    what to draw: a seed draws the same transitions on every device.
    """

    def __init__(self, size: int, envs: int, seed: int, device: torch.device | str = "cpu") -> None:
        self.rows = size // envs
        self.level = torch.zeros(self.rows, envs, SIZE, SIZE, dtype=torch.uint8, device=device)
        self.action = np.zeros((self.rows, envs), np.int64)
        self.reward = np.zeros((self.rows, envs), np.float32)
        self.valid = np.zeros((self.rows, envs), bool)  # False: a restart, no transition
        self.first = np.zeros((self.rows, envs), bool)  # the picture before belongs to another game
        self.count, self.rng = 0, np.random.default_rng(seed)

    def add(
        self,
        level: torch.Tensor,
        first: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        restarted: np.ndarray,
    ) -> None:
        """What was seen, whether a game had just begun, what was done, what it brought, whether it was a restart."""
        i = self.count % self.rows
        self.level[i] = level
        self.first[i], self.action[i] = first, action
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
        found: list[tuple[np.ndarray, ...]] = []
        while sum(len(t) for t, *_ in found) < batch:
            t, e = (
                self.rng.integers(oldest, newest + 1, batch),
                self.rng.integers(0, self.level.shape[1], batch),
            )
            at = (t[:, None] + np.arange(n + 1)) % self.rows, e[:, None]  # (batch, n + 1)
            reward, valid = self.reward[at][:, :-1], self.valid[at]
            no_point = np.cumprod(reward == 0, 1)  # up to and with step k
            ok = valid[:, 0] & (valid[:, 1:] | (no_point == 0)).all(1)
            alive = np.pad(no_point[:, :-1], ((0, 0), (1, 0)), constant_values=1)
            total = (gamma ** np.arange(n) * alive * reward).sum(1)
            found.append(tuple(x[ok] for x in (t, e, total, no_point[:, -1] * gamma**n)))
        t, e, total, go = (np.concatenate(x)[:batch] for x in zip(*found, strict=True))
        before = [np.where(self.first[s % self.rows, e], s, s - 1) for s in (t, t + n)]
        which = np.stack((before[0], t, before[1], t + n)) % self.rows * self.level.shape[1] + e

        def there(x: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(x).to(self.level.device)

        pictures = self.level.flatten(0, 1)[there(which.ravel())].unflatten(0, (4, batch))
        return {
            "s": (pictures[0], pictures[1]),
            "s2": (pictures[2], pictures[3]),
            "a": there(self.action[t % self.rows, e]),
            "r": there(total.astype(np.float32)),
            "go": there(go.astype(np.float32)),
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
        state = torch.load(io.BytesIO(content), "cpu", weights_only=True)
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
