"""12a  Synaptic operations by hand. Model solution"""

from __future__ import annotations

from torch import Tensor


def synops(spk: Tensor, out_channels: int, kernel: int, stride: int, padding: int) -> float:
    """Additions that ``spk (T, B, C, H, W)`` causes, per picture."""
    _, B, _, H, W = spk.shape

    def in_windows(place: int, size: int) -> int:
        """How many windows along one side hold this row or column."""
        count = 0
        for o in range((size + 2 * padding - kernel) // stride + 1):
            first = o * stride - padding
            if first <= place < first + kernel:
                count += 1
        return count

    additions = 0
    for _, _, _, row, column in spk.nonzero().tolist():
        additions += out_channels * in_windows(row, H) * in_windows(column, W)
    return additions / B
