"""Runs of the twin as they are read in training: a batch of pieces, each row at a place of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass
class Played:
    """B runs of T frames: what was seen, what the teacher said. Also a piece of them."""

    frames: Tensor  # (T, B, 24, 40) uint8
    due: Tensor  # (T, B) ticks by which the key is due
    alive: Tensor  # (T, B) bool
    new: Tensor  # (T, B) bool: this frame is the first of a life


@dataclass
class Place:
    """Where a row of the batch reads: round, run of that round, piece of that run."""

    number: int
    column: int
    piece: int


def first_places(rows: int, pieces: int, rng: np.random.Generator, equal: bool) -> list[Place]:
    """Rows in the middle of runs of the first round; ``equal``: all before the start of one."""
    start = [-1] * rows if equal else rng.integers(pieces, size=rows).tolist()
    return [Place(0, row, piece) for row, piece in enumerate(start)]


def next_piece(
    places: list[Place], played: list[Played], rng: np.random.Generator, length: int
) -> tuple[Played, Tensor]:
    """Every row reads on by ``length`` frames, and at the end of its run from the start of another one.

    Half of the other runs are the newest round's, half are of any round.

    Returns:
        the pieces ``(length, B, …)``, and which rows begin another run, ``(B,)`` bool.
    """
    newest = len(played) - 1
    frames, runs = played[0].due.shape
    for place in places:
        place.piece += 1
        if place.piece >= frames // length:
            place.number = newest if rng.random() < 0.5 else int(rng.integers(newest + 1))
            place.column, place.piece = int(rng.integers(runs)), 0
    parts = []
    for name in ("frames", "due", "alive", "new"):
        rows = []
        for place in places:
            whole = getattr(played[place.number], name)
            first = place.piece * length
            rows.append(whole[first : first + length, place.column])
        parts.append(torch.stack(rows, 1))
    return Played(*parts), torch.tensor([place.piece == 0 for place in places])
