"""What carries a Q-learner's training over hours and cuts: its log, its checkpoint, the weights that played best."""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Sequence

from common.run import Run
from games.pong.files import keep
from games.pong.replay import read_state, write_csv, write_state

import numpy as np
import torch
from torch import nn

LOGS, TESTS = 150, 6  # in a training, but never more often than each
LOG_EVERY, TEST_EVERY = 10_000, 100_000  # decisions


class Diary:
    """The log of one training, and its checkpoint, which ``--resume`` goes on from.

    Args:
        mark: what decides the training; another training's checkpoint is refused.
        minutes: it ends after so many, calls before this one included, or after ``steps``; 0: only then.
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
        minutes: float = 0.0,
        **parts: nn.Module | torch.optim.Optimizer,
    ) -> None:
        self.run, self.name, self.mark, self.steps, self.parts = run, name, mark, steps, parts
        self.minutes = minutes
        self.path, self.log, self.done, self.best = run.dir / f"{name}.pt", [], 0, -22.0
        spent = 0.0
        if resume and self.path.exists():
            saved = read_state(self.path, mark, **parts)
            self.done, self.best, self.log = saved["done"], saved["best"], saved["log"]
            spent = self.log[-1]["seconds"]
            write_csv(run.dir / f"{name}.csv", self.log)
            run.print(f"resume    at decision {self.done:,} of {steps:,}")
        self.began, self.from_ = time.perf_counter() - spent, (time.perf_counter(), self.done)
        self.made(0)
        self.logged = self.tested = (self.done, self.share)
        self.returns: deque[float] = deque([row["return"] for row in self.log[-1:]], 50)
        self.losses: deque[torch.Tensor] = deque([], 1000)
        self.values: deque[torch.Tensor] = deque([], 1000)

    def made(self, decisions: int) -> None:
        """Count ``decisions``; ``share`` of the training is behind it, 0 to 1, by decisions or by the clock."""
        self.done += decisions
        self.share = self.done / self.steps
        if self.minutes:
            spent = time.perf_counter() - self.began
            self.share = max(self.share, spent / (60 * self.minutes))
        self.share = min(1.0, self.share)

    @property
    def over(self) -> bool:
        """All decisions are made, or the time is up."""
        return self.share >= 1

    def _due(self, last: tuple[int, float], every: int, times: int) -> bool:
        done, share = last
        return self.over or (self.done - done >= every and self.share - share >= 0.999 / times)

    @property
    def log_due(self) -> bool:
        """It is time for a line of the log."""
        return self._due(self.logged, LOG_EVERY, LOGS)

    @property
    def test_due(self) -> bool:
        """It is time for the validation games."""
        return self._due(self.tested, TEST_EVERY, TESTS)

    def write(self, epsilon: float, val: float | None) -> None:
        """A line of the log, the checkpoint, and the slow copy's weights if ``val`` is the best so far."""
        now, (since, at) = time.perf_counter(), self.from_
        row: dict[str, float] = {
            "decisions": self.done,
            "epsilon": round(epsilon, 3),
            "return": _mean(self.returns, -21.0, 2),
            "loss": _mean(_fetched(self.losses), 0.0, 5),
            "q": _mean(_fetched(self.values), 0.0, 4),
            "seconds": round(now - self.began, 1),
        }
        self.logged = self.done, self.share
        if val is not None:
            row["val"], self.tested = val, self.logged
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


def _fetched(numbers: deque[torch.Tensor]) -> list[float]:
    """From the device, all at once: nothing waits for them before."""
    return torch.stack(list(numbers)).tolist() if numbers else []


def _mean(numbers: Sequence[float], empty: float, digits: int) -> float:
    return round(float(np.mean(numbers)), digits) if numbers else empty
