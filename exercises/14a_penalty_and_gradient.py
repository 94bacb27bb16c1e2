"""14a  A penalty and its gradient

Lesson 14, sections 2 and 5. Write a penalty on spike counts that is strict with bursts and keeps
neurons alive, and its gradient, by hand. With the spikes S (T, B, N), ones and zeros:

    n_i = Σ_t S_i[t]                                 counts, (B, N)
    r_i = mean of n_i over the B images              (N,)
    R = ⟨n_i²⟩ + w·⟨[r_min − r_i]₊⟩                  [x]₊ = max(0, x)

The first mean ⟨·⟩ is over all images and neurons, the second over the N neurons; w is a weight. Return R, a tensor
without dimensions, and ∂R/∂S, (T, B, N): how much R grows if S_i[t] is raised a little. At r_i = r_min
take the second term's derivative as 0. No autograd is needed. About 10 minutes.

Run:  uv run exercises/14a_penalty_and_gradient.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def penalty(spk: Tensor, weight: float, r_min: float) -> tuple[Tensor, Tensor]:
    """From spikes ``(T, B, N)`` to R ``()`` and ∂R/∂S ``(T, B, N)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def answer(penalty, spk: Tensor, weight: float, r_min: float) -> tuple[Tensor, Tensor]:
    """R and its gradient, if there are two of them."""
    returned = penalty(spk.clone(), weight, r_min)
    if returned is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise Wrong("got one thing, expected two: end with 'return R, gradient'.")
    value, gradient = returned
    return torch.as_tensor(value, dtype=spk.dtype), gradient


def one_burst() -> Tensor:
    """T = 4, B = 2, N = 3: neuron 0 fires at every step for image 0; nobody else fires."""
    spk = torch.zeros(4, 2, 3)
    spk[:, 0, 0] = 1
    return spk


def check_squares(penalty) -> None:
    """the mean of the squared counts"""
    value, _ = answer(penalty, one_burst(), 0.0, 0.0)
    wanted = 16 / 6
    if abs(value.item() - 4 / 6) < 1e-5:
        raise Wrong(
            f"4 spikes of one neuron for one image: R is {4 / 6:.4f}, expected {wanted:.4f}. Sum over time "
            "first, then square: a spike is 0 or 1, so its own square changes nothing."
        )
    if abs(value.item() - 4 / 3) < 1e-5:
        raise Wrong(
            f"4 spikes of one neuron for one of two images: R is {4 / 3:.4f}, expected {wanted:.4f}. The squares "
            "are of each image's count, not of the mean count r_i."
        )
    expect(value, torch.tensor(wanted), "R ()", "16 in one of 2·3 places, and 0 in the others.")


def check_burst(penalty) -> None:
    """a spike in a burst costs 2·n_i, at every step of it and at the steps without a spike"""
    spk = one_burst()
    spk[3, 0, 0] = 0  # three spikes
    _, gradient = answer(penalty, spk, 0.0, 0.0)
    wanted = torch.zeros(4, 2, 3)
    wanted[:, 0, 0] = 2 * 3 / 6
    if isinstance(gradient, Tensor) and gradient.shape == wanted.shape:
        if gradient[3, 0, 0] == 0 and gradient[0, 0, 0] > 0:
            raise Wrong(
                "step 3, where neuron 0 is silent: ∂R/∂S is 0, expected 1. One more spike there would raise "
                "the count as well. The derivative does not ask whether there is a spike."
            )
    expect(gradient, wanted, "∂R/∂S (T, B, N)", "∂R/∂S_i[t] = 2·n_i/(B·N), for every t.")


def check_floor(penalty) -> None:
    """a neuron below r_min is pulled up, one above it is left alone"""
    spk = torch.zeros(2, 4, 3)
    spk[0, :, 0] = 1  # r = 1
    spk[0, 0, 1] = 1  # r = 1/4
    value, gradient = answer(penalty, spk, 2.0, 0.5)
    without, flat = answer(penalty, spk, 0.0, 0.5)
    lift = value - without
    wanted = 2.0 * (0.25 + 0.5) / 3  # of neurons 1 and 2
    if abs(lift.item() - 2.0 * 0.25 / 3) < 1e-5:
        raise Wrong(
            f"r = 1, 0.25, 0 and r_min = 0.5: the second term is {lift.item():.4f}, expected {wanted:.4f}. Cut at 0 "
            "neuron by neuron, before the mean: what one neuron has too much helps no other."
        )
    if abs(lift.item() - 2.0 * 3.5 / 12) < 1e-5:  # of 12 counts 7 are 0, and 5 are 1
        raise Wrong(
            f"r = 1, 0.25, 0 and r_min = 0.5: the second term is {lift.item():.4f}, expected {wanted:.4f}. Take the "
            "mean over the images first: r_i is one number for each neuron, and r_min is compared with that."
        )
    expect(lift, torch.tensor(wanted), "the second term ()", "w times the mean of 0, 0.25 and 0.5.")
    pull = (gradient - flat)[0, 0]
    if (pull > 0).any():
        raise Wrong(
            "a neuron below r_min gets a positive gradient, so descent takes more spikes away from it. More "
            "spikes make r_min − r_i smaller: mind the sign."
        )
    if pull[0] != 0:
        raise Wrong("neuron 0 has r = 1, above r_min = 0.5, and is pulled all the same.")
    smell = "∂r_i/∂S_i[t] = 1/B, so it is −w/(B·N) for the neurons below r_min."
    expect(
        gradient - flat, torch.tensor([0.0, -2 / 12, -2 / 12]).expand(2, 4, 3), "its part", smell
    )
    _, gradient = answer(penalty, spk, 2.0, 0.25)
    _, flat = answer(penalty, spk, 0.0, 0.25)
    if (gradient - flat)[0, 0, 1] != 0:
        raise Wrong(
            "neuron 1 has r = r_min = 0.25 and is pulled up. [x]₊ has a corner there, and the task takes the "
            "derivative at the corner as 0: only a neuron below r_min is pulled."
        )


def check_difference(penalty) -> None:
    """agrees with finite differences"""
    spk = (torch.rand(5, 3, 4, dtype=torch.float64) < 0.3).double()
    spk[:, :, 0] = 0
    weight, r_min, eps = 3.0, 1.3, 1e-5
    _, gradient = answer(penalty, spk, weight, r_min)
    if not isinstance(gradient, Tensor) or gradient.shape != spk.shape:
        raise Wrong(f"∂R/∂S: expected the shape of S, {tuple(spk.shape)}.")
    for t, b, i in ((0, 0, 0), (4, 2, 1), (2, 1, 3)):
        up, down = spk.clone(), spk.clone()
        up[t, b, i] += eps
        down[t, b, i] -= eps
        rise = answer(penalty, up, weight, r_min)[0] - answer(penalty, down, weight, r_min)[0]
        slope = rise.item() / (2 * eps)
        if abs(slope - gradient[t, b, i].item()) > 1e-4:
            raise Wrong(
                f"step {t}, image {b}, neuron {i}: ∂R/∂S is {gradient[t, b, i].item():.4f}, R itself rises by "
                f"{slope:.4f}. R is right: look at the gradient."
            )


EXERCISE = Exercise(
    solve=penalty,
    checks=(check_squares, check_burst, check_floor, check_difference),
    hints=(
        "n = spk.sum(0) and r = n.mean(0) come first; R is then one line.",
        "Both gradients are the same at every step: find them for one step, (B, N), and expand to (T, B, N).",
        "per_step = 2 * n / (B * N) - weight * (r < r_min) / (B * N), then per_step.expand(T, B, N).",
    ),
    why="The pull on a burst grows with the burst, and a neuron that falls silent is called back: a penalty says "
    "which spikes are to go, not only how many.",
)

if __name__ == "__main__":
    EXERCISE.main()
