"""What carries a Q-learner's training over hours and cuts: its log, its checkpoint, the weights that played best."""

from __future__ import annotations

import copy
import time
from collections import deque

from common.run import Run
from games.pong.files import keep
from games.pong.replay import read_state, write_csv, write_state

import numpy as np
import torch
from torch import nn

LOG_EVERY, TEST_EVERY = 10_000, 100_000  # decisions


class Diary:
    """The log of one training, and its checkpoint, which ``--resume`` goes on from.

    Args:
        mark: what decides the training; another training's checkpoint is refused.
        parts: ``net``, ``target`` and ``optimizer``: put back from the checkpoint if there is one to go on from.

    Raises:
        UserError: the checkpoint is damaged or of another training.
    """

    def __init__(
        self,
        run: Run,
        name: str,
        mark: dict[str, str],
        steps: int,
        resume: bool,
        **parts: nn.Module | torch.optim.Optimizer,
    ) -> None:
        self.run, self.name, self.mark, self.steps, self.parts = run, name, mark, steps, parts
        self.path, self.log, self.done, self.best = run.dir / f"{name}.pt", [], 0, -22.0
        spent = 0.0
        if resume and self.path.exists():
            saved = read_state(self.path, mark, **parts)
            self.done, self.best, self.log = saved["done"], saved["best"], saved["log"]
            spent = self.log[-1]["seconds"]
            write_csv(run.dir / f"{name}.csv", self.log)
            run.print(f"resume    at decision {self.done:,} of {steps:,}")
        self.began, self.from_ = time.perf_counter() - spent, (time.perf_counter(), self.done)
        self.logged = self.tested = self.done
        self.returns: deque[float] = deque([row["return"] for row in self.log[-1:]], 50)
        self.losses: deque[float] = deque([], 1000)
        self.values: deque[float] = deque([], 1000)

    @property
    def over(self) -> bool:
        """All decisions are made."""
        return self.done >= self.steps

    @property
    def log_due(self) -> bool:
        """It is time for a line of the log."""
        return self.over or self.done - self.logged >= LOG_EVERY

    @property
    def test_due(self) -> bool:
        """It is time for the validation games."""
        return self.over or self.done - self.tested >= TEST_EVERY

    def write(self, epsilon: float, val: float | None) -> None:
        """A line of the log, the checkpoint, and the slow copy's weights if ``val`` is the best so far."""
        now, (since, at) = time.perf_counter(), self.from_
        row: dict[str, float] = {
            "decisions": self.done,
            "epsilon": round(epsilon, 3),
            "return": _mean(self.returns, -21.0, 2),
            "loss": _mean(self.losses, 0.0, 5),
            "q": _mean(self.values, 0.0, 4),
            "seconds": round(now - self.began, 1),
        }
        self.logged = self.done
        if val is not None:
            row["val"], self.tested = val, self.done
            if val >= self.best:
                self.best = val
                keep(copy.deepcopy(self.parts["target"]), self.run, self.name)
        self.log.append(row)
        shown = "  ".join(f"{k} {v}" for k, v in row.items())
        self.run.print(f"{shown}  {(self.done - at) / (now - since):.0f} decisions/s")
        state = {k: part.state_dict() for k, part in self.parts.items()}
        state |= {"mark": self.mark, "done": self.done, "best": self.best, "log": self.log}
        write_state(self.path, state)
        write_csv(self.run.dir / f"{self.name}.csv", self.log)


def _mean(numbers: deque[float], empty: float, digits: int) -> float:
    return round(float(np.mean(numbers)), digits) if numbers else empty
