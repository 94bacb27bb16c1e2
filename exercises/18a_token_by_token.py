"""18a  Attention token by token

Lesson 18, equations (2) and (3). The tokens do not lie there together: they arrive one after the other, and
each may hear itself and all that came before it, but none that comes later. Write one step of spiking
self-attention for that. Without a softmax no list of old keys and values has to be kept: Kᵀ·V, over the
tokens so far, is all that the next query needs.

    memory    (heads, d, d)   counts: entry (h, a, b) says how many tokens so far had a spike in key channel a
                              and one in value channel b of head h; all 0 before the first token
    q, k, v   (D,)            spikes of the token that arrives, D = heads·d; head h has the channels h·d to
                              (h+1)·d − 1

Return the new memory (the token writes before it reads; leave the tensor that you were given as it is) and
the currents that this token hears, (D,): for each earlier token, and itself, the count of channels that q has
in common with its key, times its value; head by head. No scale, no neurons. About 10 minutes.
(A message that names a place counts from 0, as Python does.)

Run:  uv run exercises/18a_token_by_token.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def step(memory: Tensor, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Memory ``(heads, d, d)`` and spikes ``(D,)`` three times → new memory, currents ``(D,)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def stream(step, q: Tensor, k: Tensor, v: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """All tokens ``(N, D)`` in their order: the last memory, and the currents ``(N, D)``."""
    tokens, channels = q.shape
    d = channels // heads
    memory, heard = torch.zeros(heads, d, d), []
    for i in range(tokens):
        before = memory.clone()
        out = step(memory, q[i], k[i], v[i])
        if not isinstance(out, tuple) or len(out) != 2:
            raise Wrong(f"got {type(out).__name__}, expected two tensors: the memory, the currents")
        if not torch.equal(memory, before):
            raise Wrong(
                "the memory that was handed in has been changed in place. Whoever keeps it would find it changed: "
                "make a new one (a + b, not a += b)."
            )
        memory, cur = out
        for name, got, shape in (
            ("memory", memory, (heads, d, d)),
            ("currents", cur, (channels,)),
        ):
            if not isinstance(got, Tensor) or got.shape != shape:
                raise Wrong(f"{name}: got {getattr(got, 'shape', got)}, expected {shape}")
        heard.append(cur)
    return memory, torch.stack(heard)


def by_pairs(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Who hears whom, as loops: ``(N, D)``."""
    tokens, channels = q.shape
    d = channels // heads
    out = torch.zeros(tokens, channels)
    for i in range(tokens):
        for j in range(i + 1):
            for h in range(heads):
                own = slice(h * d, (h + 1) * d)
                out[i, own] += (q[i, own] * k[j, own]).sum() * v[j, own]
    return out


def check_memory(step) -> None:
    """the memory counts key channel and value channel, over all tokens"""
    q, k, v = torch.zeros(3, 2, 3)
    k[:, 0] = 1  # both tokens have key channel 0
    v[0, 1] = v[1, 1] = v[1, 2] = 1
    memory, _ = stream(step, q, k, v, 1)
    wanted = torch.tensor([[[0.0, 2.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    if torch.equal(memory, wanted.transpose(1, 2)):
        raise Wrong(
            "the memory has value channels in its rows, expected key channels: (head, a, b). Which of k and v is the "
            "column?"
        )
    smell = "Two tokens have a spike in key channel 0 and in value channel 1: a count of 2."
    expect(memory, wanted, "memory (head, key, value)", smell)


def check_hears_itself(step) -> None:
    """the first token hears itself, and nobody else"""
    q, k, v = torch.zeros(3, 1, 4)
    q[0, :3], k[0, 1:], v[0, 0] = 1, 1, 1  # channels 1 and 2 in common
    _, heard = stream(step, q, k, v, 1)
    if not heard.any():
        raise Wrong(
            "the first token has two channels of its query in common with its own key and hears nothing, expected 2 "
            "in channel 0: it writes before it reads."
        )
    wanted = torch.tensor([[2.0, 0.0, 0.0, 0.0]])
    expect(heard, wanted, "currents (tokens, C)", "Which side of the memory does the query meet?")


def check_no_future(step) -> None:
    """no token hears a later one"""
    q, k, v = (torch.rand(3, 6, 4) < 0.6).float()
    _, heard = stream(step, q, k, v, 2)
    _, other = stream(step, q, 1 - k, v, 2)
    _, short = stream(step, q[:3], k[:3], v[:3], 2)
    if not torch.equal(heard[:3], short):
        raise Wrong("the first three tokens hear something else when three more follow.")
    if torch.equal(heard, other):
        raise Wrong("other keys change nothing. Are the keys written at all?")


def check_heads(step) -> None:
    """keeps the heads apart"""
    q, k, v = torch.zeros(3, 2, 6)
    k[0, 1] = 1  # head 0 of two: channels 0 to 2
    v[0, 2] = v[0, 5] = 1  # a value in head 0, and one in head 1, where nobody asks
    q[1, 1] = 1
    _, heard = stream(step, q, k, v, 2)
    if heard[1, 5]:
        raise Wrong(
            "with 2 heads, channel 5 (head 1) is heard for a query in channel 1 (head 0). Each head has a memory of its "
            "own, and the channels of a head lie side by side: (D,) becomes (heads, d)."
        )
    wanted = torch.zeros(2, 6)
    wanted[1, 2] = 1
    smell = "Head 0 has the channels 0 to 2: split (D,) into (heads, d), in this order."
    expect(heard, wanted, "currents (tokens, C)", smell)


def check_loops(step) -> None:
    """equals a loop over all pairs of tokens, for any spikes"""
    for heads in (1, 2, 4):
        q, k, v = (torch.rand(3, 9, 8) < 0.4).float()
        _, heard = stream(step, q, k, v, heads)
        smell = "Σ over the tokens j so far of (channels that q and k_j have in common)·v_j."
        expect(heard, by_pairs(q, k, v, heads), f"currents, {heads} heads (tokens, C)", smell)


EXERCISE = Exercise(
    solve=step,
    checks=(check_memory, check_hears_itself, check_no_future, check_heads, check_loops),
    hints=(
        "What does one token add to Kᵀ·V? Its row of K and its row of V meet in every pair of channels: a table of "
        "d×d bits, one for each head.",
        "heads is memory.shape[0]. k.view(heads, -1) is (heads, d). A column (heads, d, 1) times a row (heads, 1, d) "
        "is that table.",
        "memory = memory + k.view(heads, -1, 1) * v.view(heads, 1, -1); the currents are q.view(heads, 1, -1) @ memory, "
        "flattened.",
    ),
    why="However long the list of tokens, d×d counts a head are enough, and a token costs the same whether it is "
    "the tenth or the millionth. A softmax would need all keys again. Lesson 20 starts from such a state.",
)

if __name__ == "__main__":
    EXERCISE.main()
