"""10a  A way around the neurons

Lesson 10, sections 2 and 3. Write a SEW block. Its input is S_in, the spikes of the layer below for all
steps at once, (T, B, C, H, W). ``currents(spikes)`` gives the currents that convolution and BatchNorm
make of spikes. ``fire(cur)`` gives the spikes A that a layer of LIF neurons makes of currents, from rest.
Both keep the shape. The block joins A and S_in, element by element, in one of three ways (Fang et al. 2021):

    "ADD"    A + S_in               "AND"    A·S_in               "IAND"    (1 − A)·S_in

For inputs of 0 and 1, AND fires where both do, and IAND where only the input does. About 4 minutes.
(A message that names a place counts from 0, as Python does: step 0 is the first.)

Run:  uv run exercises/10a_sew_block.py
"""

from __future__ import annotations

import _root  # noqa: F401

from collections.abc import Callable

from multistep import unroll
from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor


def sew_block(
    spk_in: Tensor,
    currents: Callable[[Tensor], Tensor],
    fire: Callable[[Tensor], Tensor],
    connect: str,
) -> Tensor:
    """Spikes of the layer below → what the block hands on, both ``(T, B, C, H, W)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

SHAPE = (5, 2, 3, 4, 4)  # T, B, C, H, W


def lif(cur: Tensor) -> Tensor:
    """A layer of LIF neurons, from rest."""
    return unroll(snn.Leaky(beta=0.5), cur)[0]


def some_spikes() -> Tensor:
    """About a third of the elements are 1."""
    return (torch.rand(SHAPE) < 0.35).float()


def silent(spikes: Tensor) -> Tensor:
    """Currents far below the threshold, whatever comes in."""
    return 0 * spikes - 5


def check_silence(sew_block) -> None:
    """hands on its input, and no more, if its own neurons are silent"""
    spk_in = some_spikes()
    out = sew_block(spk_in, silent, lif, "ADD")
    if isinstance(out, Tensor) and out.shape == spk_in.shape and not out.any():
        raise Wrong(
            "ADD: the block's neurons get −5 and are silent, and nothing comes out, expected the input. "
            "Did the shortcut go to the neurons, as a part of their current? It has to go around them."
        )
    expect(
        out,
        spk_in,
        "ADD, silent neurons (T, B, C, H, W)",
        "A is 0 everywhere, so A + S_in is S_in.",
    )
    out = sew_block(spk_in, silent, lif, "IAND")
    if isinstance(out, Tensor) and out.shape == spk_in.shape and not out.any():
        raise Wrong(
            "IAND: the block's neurons are silent, and nothing comes out, expected the input. IAND hands on "
            "the input where A is 0. Is it the other way round here, A where the input is 0?"
        )
    expect(out, spk_in, "IAND, silent neurons (T, B, C, H, W)", "A is 0, so (1 − A)·S_in is S_in.")
    out = sew_block(spk_in, silent, lif, "AND")
    expect(out, 0 * spk_in, "AND, silent neurons (T, B, C, H, W)", "Only where both fire: nowhere.")


def check_currents(sew_block) -> None:
    """gives its neurons what currents makes, and nothing else"""
    cur, given = 3 * torch.randn(SHAPE), []

    def fire(got: Tensor) -> Tensor:
        given.append(got)
        return lif(got)

    sew_block(some_spikes(), lambda _: cur, fire, "ADD")
    if not given:
        raise Wrong(
            "fire() was not called: the block's own spikes A are what it makes of the currents."
        )
    if not isinstance(given[0], Tensor) or not torch.equal(given[0], cur):
        raise Wrong(
            "fire() got something else than what currents() gave. Does S_in enter the current as well? It goes "
            "around the neurons, once: A + S_in, with A = fire(currents(S_in))."
        )


def check_gradient(sew_block) -> None:
    """lets the gradient through ten silent blocks, unchanged"""
    spk_in = some_spikes().requires_grad_()
    out = spk_in
    for _ in range(10):
        out = sew_block(out, silent, lif, "ADD")
    asked = torch.randn(SHAPE)
    if not out.requires_grad:
        raise Wrong("no gradient reaches the input: detach() or no_grad has cut the shortcut.")
    (got,) = torch.autograd.grad((out * asked).sum(), spk_in)
    expect(
        got,
        asked,
        "∂L/∂S_in (T, B, C, H, W)",
        "The derivative of A + S_in by S_in is 1, ten times.",
    )


def check_joined(sew_block) -> None:
    """joins the spikes of neurons that fire as its table says"""
    spk_in = some_spikes()
    cur = 3 * torch.randn(SHAPE)
    made = lif(cur)  # A
    wanted = {"ADD": made + spk_in, "AND": made * spk_in, "IAND": (1 - made) * spk_in}
    for connect, right in wanted.items():
        out = sew_block(spk_in, lambda _: cur, lif, connect)
        if connect == "ADD" and isinstance(out, Tensor) and out.max() <= 1:
            raise Wrong(
                "ADD: where both fire, the block hands on 1, expected 2. A + S_in is a sum, not a spike."
            )
        expect(
            out, right, f"{connect} (T, B, C, H, W)", "A is what fire makes of the currents alone."
        )


def check_order(sew_block) -> None:
    """feeds the neurons with the currents, and the currents with the input"""
    spk_in = some_spikes()
    seen = []

    def currents(spikes: Tensor) -> Tensor:
        seen.append(spikes)
        return 2 * spikes - 0.5

    out = sew_block(spk_in, currents, lif, "ADD")
    if not seen or not torch.equal(seen[0], spk_in):
        raise Wrong(
            "currents() has to be called with the input spikes. Who else would drive the neurons?"
        )
    expect(
        out,
        lif(2 * spk_in - 0.5) + spk_in,
        "ADD (T, B, C, H, W)",
        "First currents, then fire, then +.",
    )


EXERCISE = Exercise(
    solve=sew_block,
    checks=(check_silence, check_currents, check_gradient, check_joined, check_order),
    hints=(
        "Two steps: what the block's own neurons say, and how it is joined with what came in.",
        "A = fire(currents(spk_in)). The shortcut is spk_in itself and goes around both.",
        'made = fire(currents(spk_in)); for "ADD" return made + spk_in, and so on.',
    ),
    why="Behind the neuron the shortcut has the derivative 1. In front of it, it would have to pass the "
    "threshold and the surrogate again. So a block whose own neurons are silent hands on its input and its "
    "gradient as they are. (Neurons that do fire, of random weights, add spikes of their own: section 2 has what "
    "that does to the image.)",
)

if __name__ == "__main__":
    EXERCISE.main()
