"""12c  Broken on purpose: an unfair comparison

Lesson 12, section 4. The function below estimates the energy that one picture takes in a spiking
network and in an ANN of the same layers, both on the same chip. Its numbers look splendid for the
spiking network. Too splendid: there are four faults, each of which counts something differently on the
two sides or forgets it. Find them and mend them.

The chip reads weights of 8 bits and computes in integers. It skips zeros, whoever makes them. It keeps
what stays the same: a still picture goes through the first layer once. Each operation reads one weight
of one byte; its sum stays in a register, which costs nothing more. A potential has 2 bytes; whenever it
is updated it is read and written back. (Once all is mended, num_steps is not needed any more.)

The counts, for one picture:

    first       multiply-accumulates of the first layer, for one look at the picture; the same in both
    dense       operations of one pass through the later layers if no input were zero
    active      of these, those that the ANN's activations cause; they are numbers, not spikes
    spikes      additions that spikes cause in the later layers, all T steps together
    updates     updates of potentials, all T steps together

Return picojoules: the spiking network's, then the ANN's. About 10 minutes.

Run:  uv run exercises/12c_unfair_comparison.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong

ADD, MAC = 0.1, 0.3  # pJ in integers: an addition, a multiply-accumulate
ADD_FLOAT, MAC_FLOAT = 0.9, 4.6  # pJ in 32-bit floats
BYTE = 1.25  # pJ to move a byte between memory and processor


def energies(
    first: float, dense: float, active: float, spikes: float, updates: float, num_steps: int
) -> tuple[float, float]:
    """Energy of one picture in pJ: spiking network, ANN."""
    snn = first * MAC + spikes * ADD
    snn = snn + (first + spikes) * BYTE
    ann = num_steps * first * MAC_FLOAT + dense * MAC_FLOAT
    ann = ann + (num_steps * first + dense) * BYTE
    return snn, ann


# ---- nothing to edit below this line

COUNTS = {
    "first": 1000.0,
    "dense": 5000.0,
    "active": 1500.0,
    "spikes": 4000.0,
    "updates": 600.0,
    "num_steps": 4,
}


def answer(energies, **changed: float) -> tuple[float, float]:
    """The student's two numbers for ``COUNTS``, some of them changed."""
    got = energies(**(COUNTS | changed))
    if not isinstance(got, list | tuple) or len(got) != 2:
        raise Wrong("expected two numbers: the spiking network's picojoules and the ANN's.")
    return float(got[0]), float(got[1])


def more(energies, name: str) -> tuple[float, float]:
    """By how much both energies grow for one more of ``name``."""
    before = answer(energies)
    after = answer(energies, **{name: COUNTS[name] + 1})
    return after[0] - before[0], after[1] - before[1]


def is_near(a: float, b: float) -> bool:
    """Equal up to rounding."""
    return abs(a - b) < 1e-6


def check_zeros(energies) -> None:
    """zeros are skipped on both sides"""
    _, by_dense = more(energies, "dense")
    _, by_active = more(energies, "active")
    if not is_near(by_dense, 0):
        raise Wrong(
            "with more inputs that are zero the ANN takes more energy. The chip skips zeros, and it does "
            "not ask which network they come from."
        )
    if is_near(by_active, 0):
        raise Wrong("the ANN's energy does not depend on how many of its activations are not zero.")


def check_first(energies) -> None:
    """the first layer counts once, and alike on both sides"""
    snn, ann = answer(energies)
    snn_longer, ann_longer = answer(energies, num_steps=8)
    if not is_near(ann, ann_longer):
        raise Wrong(
            "the ANN's energy grows with num_steps, but the ANN takes no steps: it looks once."
        )
    if not is_near(snn, snn_longer):
        raise Wrong(
            "the spiking network's energy depends on num_steps, although spikes and updates hold all "
            "steps already, and the first layer is computed once."
        )


def check_arithmetic(energies) -> None:
    """the same arithmetic on both sides"""
    snn, ann = more(energies, "first")
    if not is_near(snn, ann):
        raise Wrong(
            f"one more operation of the first layer costs {snn:.2f} pJ in the spiking network and "
            f"{ann:.2f} in the ANN. It is the same operation, on the same chip."
        )
    if not is_near(snn, MAC + BYTE):
        raise Wrong(
            f"one more multiply-accumulate costs {snn:.2f} pJ, expected {MAC + BYTE:.2f}: in integers, "
            "and with its weight read."
        )
    _, by_active = more(energies, "active")
    if not is_near(by_active, MAC + BYTE):
        raise Wrong(
            f"one more activation reaching an output costs the ANN {by_active:.2f} pJ, expected "
            f"{MAC + BYTE:.2f}: it is a number, so it has to be multiplied, and its weight is read."
        )
    by_spike, _ = more(energies, "spikes")
    if not is_near(by_spike, ADD + BYTE):
        raise Wrong(
            f"one more spike reaching an output costs {by_spike:.2f} pJ, expected {ADD + BYTE:.2f}: an "
            "addition, and its weight is read."
        )


def check_potentials(energies) -> None:
    """potentials are read and written; the ANN has none"""
    snn, ann = more(energies, "updates")
    if is_near(snn, 0):
        raise Wrong(
            "a spiking network whose potentials are updated more often takes no more energy. What does "
            "it have to keep between two steps that an ANN has not?"
        )
    if not is_near(ann, 0):
        raise Wrong(
            "the ANN's energy grows with the updates of potentials, but it has no potentials."
        )
    if not is_near(snn, 4 * BYTE):
        raise Wrong(
            f"one more update costs {snn:.2f} pJ, expected {4 * BYTE:.2f}: two bytes read, two bytes "
            "written."
        )


EXERCISE = Exercise(
    solve=energies,
    checks=(check_zeros, check_first, check_arithmetic, check_potentials),
    hints=(
        "Go through the counts one by one. For each ask: what does one more of it cost on either side, and "
        "is that the same chip?",
        "Three faults lie on the ANN's side. The fourth lies on the other: which count is never used?",
        "ann = (first + active) * (MAC + BYTE); the spiking network also pays updates * 4 * BYTE.",
    ),
    why="An advantage is only worth its account: what is skipped, priced or kept on one side has to be so "
    "on the other. With equal rules a spike has to be rare to win.",
)

if __name__ == "__main__":
    EXERCISE.main()
