"""Wrong versions of exercise 21a; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _target(reward, value, gamma, power=None, crosses=False, trusts=False):
    """The solution with a mistake: ``value (B,)`` stands for Q⁻(s', …)."""
    n = reward.shape[1]
    no_point = torch.cumprod((reward == 0).float(), 1)
    alive = torch.cat((torch.ones(len(reward), 1), no_point[:, :-1]), 1)
    if crosses:
        alive = torch.ones_like(reward)
    total = (gamma ** torch.arange(n) * alive * reward).sum(1)
    go = torch.ones(len(reward)) if trusts else no_point[:, -1]
    return total + go * gamma ** (n if power is None else power) * value


def _double(q_net, q_slow):
    return q_slow.gather(1, q_net.argmax(1, keepdim=True))[:, 0]


def slow_copy_for_both(reward, q_net, q_slow, gamma):
    """Who is asked for the argmax?"""
    return _target(reward, q_slow.max(1).values, gamma)


def learning_network_for_both(reward, q_net, q_slow, gamma):
    """Its choice is to be valued by Q⁻"""
    return _target(reward, q_net.max(1).values, gamma)


def networks_swapped(reward, q_net, q_slow, gamma):
    """It is the other way round"""
    return _target(reward, _double(q_slow, q_net), gamma)


def not_discounted(reward, q_net, q_slow, gamma):
    """one step lies between s and s'"""
    return _target(reward, _double(q_net, q_slow), gamma, power=0)


def gamma_not_raised(reward, q_net, q_slow, gamma):
    """n steps lie between s and s'"""
    return _target(reward, _double(q_net, q_slow), gamma, power=1)


def rewards_discounted_too_much(reward, q_net, q_slow, gamma):
    """and k = 0 the power 0?"""
    return _target(gamma * reward, _double(q_net, q_slow), gamma)


def bootstrap_past_the_end(reward, q_net, q_slow, gamma):
    """s' belongs to the next rally"""
    return _target(reward, _double(q_net, q_slow), gamma, trusts=True)


def return_crosses_a_point(reward, q_net, q_slow, gamma):
    """The return crosses the point at k = 0"""
    return _target(reward, _double(q_net, q_slow), gamma, crosses=True)


def point_is_cut_off_as_well(reward, q_net, q_slow, gamma):
    """Does each reward have its own power of γ"""
    before = torch.cumprod((reward == 0).float(), 1)
    return _target(reward * before, _double(q_net, q_slow), gamma) * before[:, -1]


def a_point_ends_every_return(reward, q_net, q_slow, gamma):
    """does a point end the other games' returns?"""
    y = _target(reward, _double(q_net, q_slow), gamma)
    return y if len(y) == 1 or not reward.any() else _target(reward, torch.zeros(len(y)), gamma)


def an_axis_too_many(reward, q_net, q_slow, gamma):
    """leave an axis of length 1"""
    return _target(reward, q_slow.gather(1, q_net.argmax(1, keepdim=True)), gamma)
