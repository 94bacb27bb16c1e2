"""What the playground shows and cannot compute in a browser: a recorded game of Pong, and ten digits.

    uv run tools/playground_data.py                       a game of the shipped sparse agent, ten test digits
    uv run tools/playground_data.py --moments 300         a shorter one

Written into tutor/website/playground/, beside the scripts that read it: game.bin, digits.bin. The digits are the
first of each class among MNIST's test images (Yann LeCun, Corinna Cortes and Christopher Burges, CC BY-SA 3.0).
"""

from __future__ import annotations

import _root  # noqa: F401

import argparse
import importlib
import json
import sys
import zlib

from common.data import mnist
from common.io import ROOT, UserError, one_line_errors, write_atomic
from common.spiking import constant_current
from games.pong.env import Pong, see_events

import numpy as np
import torch
from safetensors.torch import load_file

HERE = ROOT / "tutor" / "website" / "playground"
LEVELS = (0, 60, 120, 180)
"""Greys from which on a pixel is shown as level 0, 1, 2 and 3: two bits tell board, paddles, ball apart."""
SEED = 10_000


def recorded_game(moments: int) -> bytes:
    """``moments`` decisions of the sparse agent in ALE/Pong-v5 with sticky actions, packed for a browser.

    A line of JSON with the shapes, then, deflated: the pictures as changes of level (moments, 84·84), hidden spikes
    a neuron (moments, 256), actions (moments,), points (moments,) as int8.
    """
    capstone = importlib.import_module("capstone_pong")
    net = capstone.PongNet()
    weights = load_file(ROOT / "checkpoints" / "pong_sparse.safetensors")
    net.load_state_dict({name: w.float() for name, w in weights.items()})
    agent = capstone.SpikingPong(net, capstone.Config().num_steps)
    game = Pong(1, SEED, sticky=0.25)
    pictures, spikes, actions, points = [], [], [], []
    for _ in range(moments):
        maps = see_events(game.stack).float() / 255  # (1, 3, 84, 84)
        with torch.no_grad():
            spk_rec, out = agent.run(constant_current(maps, agent.num_steps))
        action = out.mean(0).argmax(1).numpy()
        pictures.append(np.digitize(game.stack[0, -1].ravel(), LEVELS[1:]).astype(np.int8))
        spikes.append(spk_rec[-1][:, 0].sum(0).numpy().astype(np.int8))
        reward, _, _ = game.step(action)
        actions.append(action.astype(np.int8))
        points.append(reward.astype(np.int8))
    shown = np.stack(pictures)
    changes = np.diff(shown, axis=0, prepend=np.zeros_like(shown[:1]))
    head = {"moments": moments, "size": 84, "hidden": spikes[0].size, "steps": agent.num_steps}
    body = b"".join(np.stack(part).tobytes() for part in (changes, spikes, actions, points))
    return json.dumps(head).encode() + b"\n" + zlib.compress(body, 9)


def ten_digits() -> bytes:
    """The first test image of each class, ten of 28×28 bytes."""
    data = mnist(source="real")
    chosen = [int((data.y_test == digit).nonzero()[0]) for digit in range(10)]
    return data.x_test[chosen].numpy().astype(np.uint8).tobytes()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--moments", type=int, default=420, help="decisions to record")
    args = parser.parse_args(argv)
    if not 2 <= args.moments <= 5000:
        raise UserError(f"--moments: got {args.moments}, allowed is 2 to 5000")
    for name, made in (("game.bin", recorded_game(args.moments)), ("digits.bin", ten_digits())):
        path = write_atomic(HERE / name, made)
        print(f"written  {path.relative_to(ROOT)}, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
