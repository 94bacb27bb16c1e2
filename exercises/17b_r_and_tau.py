"""17b  R and τ: a foreign neuron in snnTorch

Lesson 17, sections 3 and 4. A NIR file that another simulator wrote has a LIF node with any R. snnTorch's Leaky knows no
R: U ← β·U + I. So R has to go somewhere else, for instance into the weights before the neuron.

    NIR, one step of dt by Euler:    v ← (1 − dt/τ)·v + (dt/τ)·R·I       a spike when v > θ, then v ← v_reset
    snnTorch:                        U ← β·U + (gain·W)·x + gain·b       a spike when U > θ, then U ← 0

Return ``beta`` and ``gain``, tensors with one number for each neuron, such that both have the same potentials and
spikes. Three kinds of nodes cannot be had in this way: v_leak ≠ 0, v_reset ≠ 0, and τ < dt (β would be negative). For these
raise ``ValueError`` with a message that names the field, ``v_leak``, ``v_reset`` or ``tau``. About 10 minutes.

Run:  uv run exercises/17b_r_and_tau.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import nir
import numpy as np
import torch
from torch import Tensor


def beta_and_gain(node: nir.LIF, dt: float) -> tuple[Tensor, Tensor]:
    """β and the factor on W and b, each ``(N,)``, for ``node.tau``, ``node.r``, … of shape ``(N,)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def lif(tau: list[float], r: list[float], **given: list[float]) -> nir.LIF:
    """A node of a few neurons."""
    size = len(tau)
    fields = {"v_leak": [0.0] * size, "v_threshold": [1.0] * size, "v_reset": [0.0] * size} | given
    arrays = {name: np.array(value, np.float32) for name, value in fields.items()}
    return nir.LIF(tau=np.array(tau, np.float32), r=np.array(r, np.float32), **arrays)


def pair(beta_and_gain, node: nir.LIF, dt: float) -> tuple[Tensor, Tensor]:
    """β and gain as tensors, if there are two."""
    found = beta_and_gain(node, dt)
    if not isinstance(found, tuple) or len(found) != 2:
        raise Wrong("expected two things: end with 'return beta, gain'.")
    return torch.as_tensor(found[0]).float(), torch.as_tensor(found[1]).float()


def check_beta(beta_and_gain) -> None:
    """β is what is left after a step"""
    beta, _ = pair(beta_and_gain, lif([1e-3, 2e-4, 1e-4], [1, 1, 1]), 1e-4)
    if beta.shape == (3,) and torch.allclose(
        beta, torch.exp(torch.tensor([-0.1, -0.5, -1.0])), atol=1e-4
    ):
        raise Wrong(
            "neuron 0: β is 0.9048, expected 0.9. e^(−dt/τ) is the exact solution; the task asks for Euler's step."
        )
    expect(beta, torch.tensor([0.9, 0.5, 0.0]), "β (N)", "Which factor does v have in NIR's step?")


def check_rest(beta_and_gain) -> None:
    """a steady current of 1 drives v towards R"""
    node = lif([1e-3, 1e-3, 5e-4], [10.0, 1.0, 3.0])
    beta, gain = pair(beta_and_gain, node, 1e-4)
    goal = gain / (1 - beta)  # where U = β·U + gain·1 comes to rest
    if torch.allclose(gain, torch.ones(3)):
        raise Wrong(
            f"neuron 1: a current of 1 drives U towards {goal[1]:.3g}, expected R = 1. The gain is 1 for R = τ/dt only, "
            "as snnTorch writes its files."
        )
    if torch.allclose(gain, torch.tensor([10.0, 1.0, 3.0])):
        raise Wrong(f"neuron 0: a current of 1 drives U towards {goal[0]:.3g}, expected R = 10. In a step of dt, not all of R·I arrives.")  # fmt: skip
    expect(
        goal, torch.tensor([10.0, 1.0, 3.0]), "gain/(1 − β) (N)", "At rest v = R·I.", tolerance=1e-4
    )


def check_dt(beta_and_gain) -> None:
    """another step, another β and gain"""
    node = lif([1e-2], [4.0])
    for dt in (1e-4, 1e-3, 1e-2):
        beta, gain = pair(beta_and_gain, node, dt)
        share = dt / 1e-2
        expect(
            beta,
            torch.tensor([1 - share]),
            f"β (N) at dt = {dt:g} s",
            "Is dt used?",
            tolerance=1e-4,
        )
        expect(
            gain,
            torch.tensor([4 * share]),
            f"gain (N) at dt = {dt:g} s",
            "Is dt used?",
            tolerance=1e-4,
        )


def check_spikes(beta_and_gain) -> None:
    """40 steps: the same spikes as NIR's equation"""
    node = lif([1e-3, 5e-4, 2e-3], [1.0, 8.0, 30.0], v_threshold=[0.4, 1.0, 2.0])
    beta, gain = pair(beta_and_gain, node, 1e-4)
    cur = torch.rand(40, 3, generator=torch.Generator().manual_seed(0)) * 2
    tau, r, theta = (torch.tensor(a) for a in (node.tau, node.r, node.v_threshold))
    v, u = torch.zeros(3), torch.zeros(3)
    for t, cur_t in enumerate(cur):
        v = v + 1e-4 / tau * (r * cur_t - v)
        u = beta * u + gain * cur_t
        off = ((v > theta) != (u > theta)).nonzero()
        if len(off) and ((v - theta).abs() > 1e-4)[off[0]]:
            raise Wrong(
                f"step {t}, neuron {int(off[0])}: U is {u[off[0]].item():.3g}, expected {v[off[0]].item():.3g}."
            )
        v, u = torch.where(v > theta, 0, v), torch.where(u > theta, 0, u)


def check_refusals(beta_and_gain) -> None:
    """what snnTorch's Leaky cannot do is refused by name"""
    nodes = {
        "v_leak": lif([1e-3, 1e-3], [1, 1], v_leak=[0.0, 0.2]),
        "v_reset": lif([1e-3, 1e-3], [1, 1], v_reset=[0.5, 0.0]),
        "tau": lif([1e-3, 5e-5], [1, 1]),
    }
    for name, node in nodes.items():
        try:
            beta_and_gain(node, 1e-4)
        except ValueError as e:
            if name not in str(e):
                raise Wrong(f"{name}: the message '{e}' does not name the field {name}.") from e
        else:
            raise Wrong(
                f"a node with a {name} that Leaky cannot have was taken without a word (only one of its two neurons has it)."
            )
    pair(beta_and_gain, lif([1e-4], [1.0]), 1e-4)  # τ = dt is the last that can be had: β = 0


EXERCISE = Exercise(
    solve=beta_and_gain,
    checks=(check_beta, check_rest, check_dt, check_spikes, check_refusals),
    hints=(
        "Write NIR's step and snnTorch's step below each other. What multiplies v, and what multiplies I?",
        "The gain is everything before I in NIR's step. For the refusals: node.v_leak is an array, and .any() asks "
        "whether one of its numbers is not 0.",
        "share = dt / torch.as_tensor(node.tau); beta = 1 - share; gain = share * torch.as_tensor(node.r).",
    ),
    why="R is a scale of the input, so it can move into the weights; what cannot be moved has to be refused by "
    "name, because a reader that drops a field returns a network that runs and is another one.",
)

if __name__ == "__main__":
    EXERCISE.main()
