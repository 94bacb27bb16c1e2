"""19b  One layer, as the chip computes it

Lesson 19, section 3. Write a dense layer with an activation in whole numbers, equation (3):

    U_o = Σ_i x_i·w_io       y_o = ⌈2^b·(U_o − θ_o) / ⌊2^b·Δ_o⌋⌉, cut off at 0 and at 2^b − 1

⌈ ⌉ rounds up, ⌊ ⌋ rounds down. ``x`` (N, I) are the levels that come in, ``weights`` (I, O) integers,
``threshold`` (O,) the integers θ, ``step`` (O,) the steps Δ, real numbers of 1 or more; ``bits`` is b.
All are NumPy arrays; NumPy's ``ceil``, ``floor`` and ``clip`` help. Return the levels y, (N, O).
About 8 minutes.

Run:  uv run exercises/19b_integer_layer.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong

import numpy as np


def integer_layer(
    x: np.ndarray, weights: np.ndarray, threshold: np.ndarray, step: np.ndarray, bits: int
) -> np.ndarray:
    """Levels in ``(N, I)`` → levels out ``(N, O)``, each a whole number from 0 to 2^bits − 1."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def levels(integer_layer, potentials, threshold: int, step: float, bits: int = 4) -> np.ndarray:
    """What one neuron with weight 1 sends on for these potentials, ``(N,)``."""
    x = np.array(potentials).reshape(-1, 1)
    one = np.ones((1, 1), np.int64)
    got = integer_layer(x, one, np.array([threshold]), np.array([step]), bits)
    if got is None:
        raise Wrong("got None. Is there a return?")
    got = np.asarray(got)
    if got.shape != x.shape:
        raise Wrong(f"got shape {got.shape}, expected (N, O), here {x.shape}.")
    return got[:, 0]


def check_threshold(integer_layer) -> None:
    """a potential at the threshold sends nothing, one unit more sends level 1"""
    low, at, above = levels(integer_layer, [1, 7, 8], 7, 10.0)
    if low != 0:
        raise Wrong(f"θ = 7, U = 1: level {low:g}, expected 0. θ is taken away before dividing.")
    if above == 0:
        raise Wrong(
            "U = θ + 1: level 0, expected 1. Every started step counts: round up, not down."
        )
    if at != 0:
        raise Wrong(f"U = θ: level {at:g}, expected 0. Level 1 begins one unit above θ, not at θ.")


def check_steps(integer_layer) -> None:
    """one more level every Δ units"""
    got = levels(integer_layer, np.arange(1, 31), 0, 10.0)
    wanted = np.repeat([1, 2, 3], 10)
    if not np.array_equal(got, wanted):
        i = int(np.argmax(got != wanted))
        raise Wrong(
            f"θ = 0, Δ = 10: U = {i + 1} gives level {got[i]:g}, expected {wanted[i]}. Levels begin one unit "
            "above 0, 10, 20, …"
        )


def check_ends(integer_layer) -> None:
    """levels end at 0 and at 2^b − 1"""
    for bits in (1, 2, 4):
        low, high = levels(integer_layer, [-1000, 1000], 0, 2.0, bits)
        if low != 0:
            raise Wrong(f"U far below θ: level {low:g}, expected 0. Nothing negative is ever sent.")
        if high != 2**bits - 1:
            raise Wrong(f"{bits} bits: the highest level is {high:g}, expected {2**bits - 1}.")


def check_kept_step(integer_layer) -> None:
    """Δ is kept to 2^−b, rounded down"""
    below, at = levels(integer_layer, [71, 72], 0, 14.422535)
    if (below, at) == (5, 5):
        raise Wrong(
            "Δ = 14.4225, U = 72: level 5, expected 6. 5·Δ is 72.11, but the chip keeps Δ as 230/16 = "
            "14.375, and 5 of those are 71.875. Where is ⌊2^b·Δ⌋?"
        )
    if (below, at) != (5, 6):
        raise Wrong(
            f"Δ = 14.4225: levels {below:g} and {at:g} for U = 71 and 72, expected 5 and 6."
        )


def check_sum(integer_layer) -> None:
    """every input counts, with its own weight"""
    x = np.array([[1, 0, 2], [3, 3, 0]])
    weights = np.array([[2, -1], [1, 4], [-1, 3]])
    threshold, step = np.array([-1, 2]), np.array([1.0, 2.0])
    got = np.asarray(integer_layer(x, weights, threshold, step, 4))
    wanted = np.array([[1, 2], [10, 4]])  # U: 0, 5 and 9, 9
    if got.shape != wanted.shape:
        raise Wrong(f"got shape {got.shape}, expected (N, O) = {wanted.shape}.")
    if not np.array_equal(got, wanted):
        raise Wrong(
            f"levels {got.astype(int).tolist()}, expected {wanted.tolist()}. U is x @ weights, (N, O); θ "
            "and Δ belong to the columns."
        )


def check_akida(integer_layer) -> None:
    """equals Akida's simulator, where it is installed"""
    try:
        import akida
    except ImportError:
        return
    rng = np.random.default_rng(0)
    for bits in (1, 2, 4):
        model = akida.Model()
        model.add(akida.InputData((1, 1, 12), input_bits=4, name="in"))
        layer = akida.FullyConnected(5, name="layer", weights_bits=4, act_bits=bits)
        model.add(layer)
        weights = rng.integers(-7, 8, (12, 5))
        threshold, step = rng.integers(-9, 30, 5), rng.uniform(1, 20, 5).astype(np.float32)
        layer.set_variable("weights", weights[None, None].astype(np.int8))
        layer.set_variable("threshold", threshold.astype(np.int32))
        layer.set_variable("act_step", step * np.float32(2 ** (bits - 4)))
        x = rng.integers(0, 16, (200, 12))
        wanted = model.forward(x[:, None, None].astype(np.uint8))[:, 0, 0]
        got = integer_layer(x, weights, threshold, step.astype(np.float64), bits)
        if not np.array_equal(got, wanted):
            share = 100 * np.mean(got != wanted)
            raise Wrong(
                f"{bits} bits: Akida's simulator gives another level for {share:.1f} % of 1,000."
            )


EXERCISE = Exercise(
    solve=integer_layer,
    checks=(check_threshold, check_steps, check_ends, check_kept_step, check_sum, check_akida),
    hints=(
        "Three lines: the potentials, the division by the step that the chip keeps, the two ends.",
        "The kept step in units of 2^−b is np.floor(2**bits * step). So multiply U − θ by 2**bits, too.",
        "pot = x @ weights; y = np.ceil((pot - threshold) * 2**bits / np.floor(2**bits * step)); return "
        "np.clip(y, 0, 2**bits - 1).",
    ),
    why="θ, the weights and ⌊2^b·Δ⌋ are whole numbers: that is why a few lines can predict every output of "
    "Akida's simulator exactly.",
)

if __name__ == "__main__":
    EXERCISE.main()
