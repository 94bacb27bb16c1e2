"""Wrong versions of exercise 18a; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _apart(y, heads):
    return y.unflatten(-1, (heads, -1)).transpose(-2, -3)


def softmax_left_in(x, to_q, to_k, to_v, fire, heads, scale):
    """Is there a softmax"""
    q, k, v = (_apart(fire(f(x)), heads) for f in (to_q, to_k, to_v))
    weights = torch.softmax(9 * q @ k.transpose(-1, -2), -1)
    return fire((1.9 * scale * weights @ v).transpose(-2, -3).flatten(-2))


def asks_and_answers_swapped(x, to_q, to_k, to_v, fire, heads, scale):
    """Are Q and K swapped"""
    q, k, v = (_apart(fire(f(x)), heads) for f in (to_k, to_q, to_v))
    v = v + v.roll(-3, -2)
    return fire((scale * (q @ k.transpose(-1, -2)) @ v).transpose(-2, -3).flatten(-2))


def one_head_for_all(x, to_q, to_k, to_v, fire, heads, scale):
    """Each head compares its own channels"""
    q, k, v = (fire(f(x)) for f in (to_q, to_k, to_v))
    return fire(scale * (q @ k.transpose(-1, -2)) @ v)


def values_stay_currents(x, to_q, to_k, to_v, fire, heads, scale):
    """fire was called 3 times"""
    q, k = (_apart(fire(f(x)), heads) for f in (to_q, to_k))
    v = _apart(to_v(x), heads)
    return fire((scale * (q @ k.transpose(-1, -2)) @ v).transpose(-2, -3).flatten(-2))


def heads_joined_wrongly(x, to_q, to_k, to_v, fire, heads, scale):
    """Are heads and tokens exchanged"""
    q, k, v = (fire(f(x)).unflatten(-1, (-1, heads)).movedim(-1, -3) for f in (to_q, to_k, to_v))
    cur = scale * (q @ k.transpose(-1, -2)) @ v
    return fire(cur.transpose(-2, -3).flatten(-2))


def reshaped_at_once(x, to_q, to_k, to_v, fire, heads, scale):
    """Has a reshape put whole tokens into a head"""
    T, B, N, D = x.shape
    q, k, v = (fire(f(x)).reshape(T, B, heads, N, D // heads) for f in (to_q, to_k, to_v))
    return fire((scale * (q @ k.transpose(-1, -2)) @ v).reshape(x.shape))


def reshaped_on_the_way_back(x, to_q, to_k, to_v, fire, heads, scale):
    """Are heads and tokens exchanged"""
    q, k, v = (_apart(fire(f(x)), heads) for f in (to_q, to_k, to_v))
    return fire((scale * (q @ k.transpose(-1, -2)) @ v).reshape(x.shape))
