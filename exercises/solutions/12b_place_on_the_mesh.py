"""12b  Place a layer on the mesh. Model solution"""

from __future__ import annotations


def place(
    filters: int, bytes_per_filter: int, input_bytes: int, memory: int, available: int
) -> list[int]:
    """Filters of each processor; [] if the layer does not fit."""
    most = (memory - input_bytes) // bytes_per_filter  # filters that fit beside the input
    if most < 1:
        return []
    used = -(-filters // most)  # rounded up
    if used > available:
        return []
    small, left = divmod(filters, used)
    return [small + 1] * left + [small] * (used - left)
