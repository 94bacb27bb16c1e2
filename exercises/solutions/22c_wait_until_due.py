"""22c  Wait until the key is due: model solution"""

from __future__ import annotations

from games.runner.play import overdue
from games.runner.twin import Games

import numpy as np


def ticks_to_wait(games: Games, least: int, longest: int) -> int:
    """How many ticks from now the next key shall go down."""
    no_key = np.array([False])
    future = games.copy()
    for _ in range(least):
        future.step(no_key)
    for n in range(least, longest + 1):
        if overdue(future)[0] >= 0:
            return n
        future.step(no_key)
    return least  # nothing is due soon
