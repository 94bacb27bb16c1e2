"""One process of the torchrun tests: trains a small network and leaves what came of it.

PYTHONPATH=.:tests torchrun --nproc-per-node 2 tests/torchrun_worker.py OUT_DIR
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from common.io import one_line_errors
from common.lesson import LessonConfig
from common.run import Run
from common.spiking import constant_current
from training import evaluate, fit
from training.torchrun import total, world

import torch
from nets import TinyNet, three_classes

BATCH = 7  # of 100 samples: 14 batches of 7 and one of 2, most of them in unequal parts


class Net(TinyNet):
    """Remembers the sum of its last training input, of which every process has its own part."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.training:
            self.seen.copy_(x.sum())
        return super().run(x)


def work(out: Path) -> tuple[Net, list[dict[str, float]], Run]:
    """Train for two epochs, or go on to the second; of several processes number 1 kills itself there.

    Before it does, process 0 of several writes what holds between the two epochs.
    """
    torch.manual_seed(0)
    run = Run("torchrun", LessonConfig(out_dir=out), torch.device("cpu"))
    net, data, batches = Net(), three_classes(), 0

    def noisy(x: torch.Tensor) -> torch.Tensor:
        """Random numbers, of which all processes have to draw the same; and the place to die."""
        nonlocal batches
        batches += 1
        if world()[1] > 1 and batches == 16:
            with torch.random.fork_rng():
                accuracy = evaluate(net, data.x_test, data.y_test, encode, batch_size=9)
            seen = {"own": net.seen.item(), "sum": total(net.seen)[0]}
            if world()[0] == 0:
                text = json.dumps({"size": world()[1], "accuracy": accuracy, "seen": seen})
                (out / "between.json").write_text(text, encoding="utf-8")
        if world()[0] == 1 and batches == 22:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        return x + 0.1 * torch.rand_like(x)

    def encode(x: torch.Tensor) -> torch.Tensor:
        return constant_current(x, 5)

    options = {"epochs": 2, "lr": 0.01, "batch_size": BATCH, "augment": noisy}
    history = fit(net, data, encode, run=run, name="net", resume=True, **options)
    return net, history, run


if __name__ == "__main__":
    with one_line_errors():
        work(Path(sys.argv[1]))
