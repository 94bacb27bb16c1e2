"""Wrong versions of exercise 03d; each docstring is a part of the message that must come."""

from __future__ import annotations

from common.spiking import reset_state

import torch


def _run(net, x, *, rest=True, scale=255.0, cut=False):
    if rest:
        reset_state(net)
    spk_rec, mem_rec = [], []
    for x_t in x:
        spk1 = net.lif1(net.fc1(x_t / scale))
        spk2 = net.lif2(net.fc2(spk1.detach() if cut else spk1))
        spk3, mem3 = net.lif3(net.fc3(spk2))
        spk_rec.append(spk3)
        mem_rec.append(mem3)
    return torch.stack(spk_rec), torch.stack(mem_rec)


def as_it_was_given(net, x):
    """a run does not start from rest"""
    return _run(net, x, rest=False, scale=1.0, cut=True)


def only_the_reset(net, x):
    """what were the weights made for"""
    return _run(net, x, scale=1.0, cut=True)


def still_detached(net, x):
    """Where on the way back does the gradient end?"""
    return _run(net, x, cut=True)


def still_stale(net, x):
    """a run does not start from rest"""
    return _run(net, x, rest=False)


def divided_by_too_much(net, x):
    """silence"""
    return _run(net, x, scale=255.0**2)


def divided_by_100(net, x):
    """Are grey values divided by 255?"""
    return _run(net, x, scale=100.0)


def one_thing_returned(net, x):
    """expected two things"""
    return _run(net, x)[0]


def rest_at_every_step(net, x):
    """is U carried over from step to step"""
    spk_rec, mem_rec = [], []
    for x_t in x:
        spk, mem = _run(net, x_t[None] * 0.2)
        spk_rec.append(spk[0])
        mem_rec.append(mem[0])
    return torch.stack(spk_rec), torch.stack(mem_rec)
