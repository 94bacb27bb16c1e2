"""18a  Attention by spikes

Lesson 18, equation (2). Write spiking self-attention. Its input are spikes x (T, B, N, D): T steps, B
images, N tokens, D channels. ``to_q``, ``to_k`` and ``to_v`` are layers of weights, (…, D) → (…, D), and
``fire`` is a layer of LIF neurons from rest, currents (T, B, …) → spikes of the same shape.

    Q = fire(to_q(x)), K and V likewise                 spikes (T, B, N, D)
    heads share the channels: head h has the channels h·d to (h+1)·d − 1, with d = D / heads
    in each head      current = scale·Q·Kᵀ·V            (T, B, heads, N, d)
    heads side by side again, then fire                 spikes (T, B, N, D)

About 12 minutes. (A message that names a place counts from 0, as Python does.)

Run:  uv run exercises/18a_spiking_attention.py
"""

from __future__ import annotations

import _root  # noqa: F401

from collections.abc import Callable

from multistep import unroll
from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor


def spiking_attention(
    x: Tensor,
    to_q: Callable[[Tensor], Tensor],
    to_k: Callable[[Tensor], Tensor],
    to_v: Callable[[Tensor], Tensor],
    fire: Callable[[Tensor], Tensor],
    heads: int,
    scale: float,
) -> Tensor:
    """Spikes ``(T, B, N, D)`` → spikes ``(T, B, N, D)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

T, B, N, D = 3, 2, 5, 8


def lif(cur: Tensor) -> Tensor:
    """A layer of LIF neurons, from rest."""
    return unroll(snn.Leaky(beta=0.5), cur)[0]


def bits(cur: Tensor) -> Tensor:
    """Neurons without a memory, so that a check can see through them: 1 where the current is above 1."""
    return (cur > 1).float()


def channels_of(rows: Tensor) -> Callable[[Tensor], Tensor]:
    """A layer that gives ``rows (N, D)`` to every image and step, as currents of 2 and 0."""
    return lambda x: 2 * rows.expand(*x.shape[:2], *rows.shape)


def shape_of(out: object) -> None:
    """Stops with a message if the shape is wrong."""
    if not isinstance(out, Tensor) or out.shape != (T, B, N, D):
        raise Wrong(
            f"spikes: got {getattr(out, 'shape', out)}, expected {(T, B, N, D)}: (T, B, N, D)"
        )


def check_one_key(spiking_attention) -> None:
    """one query, one key, one value: the value's channels fire, and only for the token that asks"""
    q, k, v = torch.zeros(3, N, D)
    q[1, :3] = 1  # token 1 asks in the channels 0, 1, 2
    k[4, 1:4] = 1  # token 4 has two of them
    v[4, 2] = 1  # and tells channel 2
    v[0, 3] = 1  # nobody asks token 0
    args = (torch.ones(T, B, N, D), channels_of(q), channels_of(k), channels_of(v))
    out = spiking_attention(*args, bits, 1, 1.0)
    shape_of(out)
    wanted = torch.zeros(N, D)
    wanted[1, 2] = 1
    smell = (
        "Token 1 and key 4 have two channels in common, so channel 2 of token 1 gets the current 2."
    )
    if out[0, 0, 4].any():
        raise Wrong(
            "token 4, which has the key, hears something; token 1, which has the query, should. Are Q and K "
            "swapped?"
        )
    expect(out[0, 0], wanted, "spikes of step 0, image 0 (tokens, C)", smell)


def check_no_competition(spiking_attention) -> None:
    """gives twice the current when every entry is there twice: no softmax"""
    seen = []

    def listen(cur: Tensor) -> Tensor:
        seen.append(cur)
        return bits(cur)

    rows = torch.zeros(N, D)
    rows[0, 0] = rows[2, 0] = 1  # two entries alike
    args = (torch.ones(T, B, N, D), channels_of(rows), channels_of(rows), channels_of(rows))
    spiking_attention(*args, listen, 1, 1.0)
    if len(seen) != 4:
        raise Wrong(
            f"fire was called {len(seen)} times, expected 4: for Q, for K, for V, and for what comes out."
        )
    top = seen[-1].max().item()
    if abs(top - 2) > 1e-4:
        raise Wrong(
            f"a query that fits two entries alike gets the current {top:.3g}, expected 2: their counts add up. "
            "Is there a softmax, a mean, or a division by √d in the way?"
        )


def check_heads(spiking_attention) -> None:
    """keeps the heads apart: what head 0 asks, head 1 does not answer"""
    q, k, v = torch.zeros(3, N, D)
    q[2, 0] = 1  # head 0 of two: channels 0 to 3
    k[3, 0] = 1
    v[3, 1] = 1  # a value in head 0
    v[3, 6] = 1  # and one in head 1, where nobody asks
    args = (torch.ones(T, B, N, D), channels_of(q), channels_of(k), channels_of(v))
    out = spiking_attention(*args, bits, 2, 2.0)
    shape_of(out)
    if out[0, 0, 2, 6]:
        raise Wrong(
            "with 2 heads, channel 6 (head 1) fires for a query in channel 0 (head 0). Each head compares its "
            "own channels and mixes its own values."
        )
    if not out[0, 0].any():
        raise Wrong(
            "with 2 heads, token 2 asks in channel 0 (head 0), key 3 has it, and nothing fires. Has a reshape put "
            "whole tokens into a head? Split the channels, (N, heads, d), and then exchange N and heads."
        )
    wanted = torch.zeros(N, D)
    wanted[2, 1] = 1
    smell = "Head 0 has the channels 0 to 3. Are heads and tokens exchanged before the products, and back?"
    expect(out[0, 0], wanted, "spikes of step 0, image 0 (tokens, C)", smell)


def check_loops(spiking_attention) -> None:
    """equals equation (2), written out as loops, with LIF neurons"""
    x = (torch.rand(T, B, N, D) < 0.5).float()
    to_q, to_k, to_v = (torch.nn.Linear(D, D) for _ in range(3))
    heads, d, scale = 2, D // 2, 0.5
    with torch.no_grad():
        for layer in (to_q, to_k, to_v):
            layer.weight.mul_(4)
        out = spiking_attention(x, to_q, to_k, to_v, lif, heads, scale)
        shape_of(out)
        q, k, v = lif(to_q(x)), lif(to_k(x)), lif(to_v(x))
        cur = torch.zeros(T, B, N, D)
        for h in range(heads):
            own = slice(h * d, (h + 1) * d)
            for i in range(N):
                for j in range(N):
                    count = (q[:, :, i, own] * k[:, :, j, own]).sum(-1, keepdim=True)
                    cur[:, :, i, own] += scale * count * v[:, :, j, own]
        wanted = lif(cur)
    smell = (
        "Q, K and V have to be spikes before they are multiplied, what comes out too, and a head has the "
        "channels h·d to (h+1)·d − 1 of every token."
    )
    expect(out, wanted, "spikes (T, B, tokens, C)", smell)


EXERCISE = Exercise(
    solve=spiking_attention,
    checks=(check_one_key, check_no_competition, check_heads, check_loops),
    hints=(
        "First Q, K and V as spikes. Then split their last dimension into heads and bring the heads in front of "
        "the tokens, so that one matrix product works for all of them.",
        "q.unflatten(-1, (heads, -1)).transpose(-2, -3) is (T, B, heads, N, d). The way back is "
        "transpose(-2, -3).flatten(-2).",
        "cur = scale * (q @ k.transpose(-1, -2)) @ v for the split q, k and v; then join the heads, and "
        "return fire(cur).",
    ),
    why="Whatever the weights do, Q, K and V are bits, so the two products are counting: the only real numbers "
    "in attention are those in the layers before and behind it.",
)

if __name__ == "__main__":
    EXERCISE.main()
