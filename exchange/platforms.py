"""What others publish: which platform takes which node of NIR, and how one graph fared on six of them."""

from __future__ import annotations

TARGETS = {
    "Loihi 2 (Lava-DL)": {
        "Conv2d",
        "Flatten",
        "Affine",
        "Linear",
        "CubaLIF",
        "IF",
        "LIF",
        "SumPool2d",
    },
    "SpiNNaker2": {
        "Conv1d",
        "Conv2d",
        "Flatten",
        "Affine",
        "Linear",
        "CubaLIF",
        "IF",
        "LIF",
        "SumPool2d",
    },
    "Speck, simulated (sinabs)": {
        "Conv1d",
        "Conv2d",
        "Flatten",
        "Affine",
        "IF",
        "LI",
        "LIF",
        "SumPool2d",
    },
    "Speck, on the chip": {"Conv2d", "Flatten", "Affine", "IF", "SumPool2d"},
    "Xylo (Rockpool)": {"Affine", "Linear", "CubaLIF", "LI", "LIF"},
    "BrainScaleS-2 (hxtorch)": {"Linear", "CubaLI", "CubaLIF"},
}
"""Nodes that each platform's NIR reader takes: https://neuroir.org/docs/supported_primitives.html (NIR calls that table
generated and perhaps not entirely accurate). The chip row of Speck is narrower than the table: sinabs 3.1.3 puts only
neurons without leak (its IAF layer) on the chip's cores. Akida reads no NIR at all."""

BRAILLE = [
    ("snnTorch", 133, 0),
    ("Norse", 132, 23),
    ("SpiNNaker2", 119, 148),
    ("Spyx", 118, 146),
    ("Nengo", 78, 209),
    ("Lava", 68, 158),
]
"""The NIR paper's Braille network with reset to zero, one graph on six platforms: of 140 test letters those read
rightly, and for one recorded letter the places (38 hidden neurons × 256 steps) where a platform spikes and snnTorch
does not, or the other way round; snnTorch has 119 spikes there. Counted from the files ``*_noDelay_bias_zero.npy`` of
https://github.com/neuromorphs/NIR, folder paper/03_rnn (BSD licence); the accuracies stand in Pedersen et al. 2024, too."""

BRAILLE_LETTERS, BRAILLE_SPIKES = 140, 119

INSTEAD = {
    "Flatten": "reorder weights",
    "Conv2d": "unroll into Affine",
    "AvgPool2d": "SumPool2d, weights/k²",
    "LIF": "IF and train again, or CubaLIF with a short τ_syn",
    "Affine": "Linear, bias as an input",
}
"""What could stand in the place of a node that is not taken."""


def braille_table() -> list[tuple[str, str, str]]:
    """``BRAILLE`` as shares: platform, letters read correctly, places that differ per 100 of snnTorch's spikes."""
    rows = []
    for platform, right, differ in BRAILLE:
        letters = f"{100 * right / BRAILLE_LETTERS:.1f} %"
        rows.append((platform, letters, f"{100 * differ / BRAILLE_SPIKES:.0f}"))
    return rows
