"""10b  Memory, told beforehand: model solution"""

from __future__ import annotations


def kept_bytes(num_steps: int, batch: int, layers: list[tuple[int, int, bool]], b: int) -> int:
    """Bytes that ``layers`` keep for the backward pass of ``batch`` images at ``num_steps`` steps."""
    total = 0
    for channels, size, pool in layers:
        neurons = channels * size**2
        total += neurons * 2 * b  # input of BatchNorm and neurons, and the spikes
        if pool:
            total += neurons * (4 * b + 8)  # the map before pooling, and where the maxima stood
    return num_steps * batch * total
