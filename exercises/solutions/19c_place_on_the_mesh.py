"""19c  Broken on purpose: how many processors does a network need? Model solution"""

from __future__ import annotations

import math


def processors(layers: list[tuple[int, int, int, int]], memory: int) -> list[int]:
    """NPs of each layer of ``layers`` when one NP has ``memory`` bytes for weights."""
    needed = [0]  # the input layer sits in the converter
    for k, channels, filters, bits in layers[1:]:
        filter_bytes = math.ceil(k * k * channels * bits / 8)  # 8 bits are a byte
        if filter_bytes > memory:
            raise ValueError(f"a filter of {filter_bytes} bytes does not fit into {memory}")
        fit = memory // filter_bytes  # whole filters in one NP
        needed.append(math.ceil(filters / fit))
    return needed
