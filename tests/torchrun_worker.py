"""One process of the torchrun tests: trains lesson 09's network and leaves its weights.

torchrun --nproc-per-node 2 tests/torchrun_worker.py OUT_DIR [--epochs N] [--resume] [--die-in-epoch N]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

BATCH = 62  # of 1,237 images: 19 batches of 62 and one of 59, 20 steps an epoch, some of them in unequal parts


def main(argv: Sequence[str]) -> None:
    """Train, and write process 0's weights, its history and the number of processes."""
    from common.data import mnist
    from common.lesson import LessonConfig, begin
    from common.spiking import constant_current
    from common.torchrun import world
    from common.training import evaluate, fit

    import torch
    from helpers import load_script

    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--die-in-epoch", type=int, default=0)
    args = parser.parse_args(argv)
    run = begin(LessonConfig(out_dir=args.out, device="cpu"), "torchrun")
    data = mnist(source="stand-in")
    torch.manual_seed(0)
    net = load_script("09_training_bptt").Net(num_hidden=64)
    steps, seen = -(-len(data.x_train) // BATCH), 0

    def noisy(x: torch.Tensor) -> torch.Tensor:
        """Random numbers, so that the test sees whether all processes draw the same; and the place to die."""
        nonlocal seen
        seen += 1
        if args.die_in_epoch and world()[0] == 1 and seen > (args.die_in_epoch - 0.5) * steps:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        return x + 0.01 * torch.rand_like(x)

    def encode(x: torch.Tensor) -> torch.Tensor:
        return constant_current(x.flatten(1), 10)

    history = fit(
        net,
        data,
        encode,
        run=run,
        epochs=args.epochs,
        lr=1e-3,
        batch_size=BATCH,
        augment=noisy,
        name="net",
        resume=args.resume,
    )
    accuracy = evaluate(net, data.x_test, data.y_test, encode)
    if world()[0] == 0:
        torch.save(net.state_dict(), args.out / "weights.pt")
        text = json.dumps({"history": history, "accuracy": accuracy, "processes": world()[1]})
        (args.out / "result.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.path[:0] = [
        str(Path(__file__).resolve().parent.parent),
        str(Path(__file__).resolve().parent),
    ]
    from common.io import UserError

    try:
        main(sys.argv[1:])
    except UserError as e:
        print(f"error: {e}", file=sys.stderr, flush=True)
        sys.exit(2)
