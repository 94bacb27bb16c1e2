"""Wrong versions of exercise 09a; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _surrogate(x):
    return 1 / (1 + (torch.pi * x) ** 2)


def _backward(rule, order=reversed, shift=1):
    """A backward pass from ``rule(g_spk, sigma, g_mem, beta, delta)``, the new δ."""

    def lif_backward(mem_rec, g_spk, g_mem, beta, threshold):
        delta = torch.zeros_like(mem_rec[0])
        grad_cur = torch.zeros_like(mem_rec)
        grad_beta = mem_rec.new_zeros(())
        for t in order(range(len(mem_rec))):
            delta = rule(g_spk[t], _surrogate(mem_rec[t] - threshold), g_mem[t], beta, delta)
            grad_cur[t] = delta
            if t >= shift:
                grad_beta += (delta * mem_rec[t - shift]).sum()
        return grad_cur, grad_beta

    return lif_backward


def nothing_is_carried(mem_rec, g_spk, g_mem, beta, threshold):
    """Nothing is carried from a step"""
    return _backward(lambda gs, s, gm, b, d: gs * s + gm)(mem_rec, g_spk, g_mem, beta, threshold)


def runs_forward_in_time(mem_rec, g_spk, g_mem, beta, threshold):
    """Does the loop run from the last step to the first?"""
    rule = _backward(lambda gs, s, gm, b, d: gs * s + gm + b * d, order=iter)
    return rule(mem_rec, g_spk, g_mem, beta, threshold)


def does_not_leak(mem_rec, g_spk, g_mem, beta, threshold):
    """Each step back keeps the share β"""
    rule = _backward(lambda gs, s, gm, b, d: gs * s + gm + d)
    return rule(mem_rec, g_spk, g_mem, beta, threshold)


def only_the_last_error_arrives(mem_rec, g_spk, g_mem, beta, threshold):
    """one term for each step to come"""
    last = torch.zeros_like(g_mem)
    last[-1] = g_mem[-1]
    rule = _backward(lambda gs, s, gm, b, d: gs * s + gm + b * d)
    return rule(mem_rec, g_spk, last, beta, threshold)


def spike_gradient_unchanged(mem_rec, g_spk, g_mem, beta, threshold):
    """A spike's gradient has to pass"""
    rule = _backward(lambda gs, s, gm, b, d: gs + gm + b * d)
    return rule(mem_rec, g_spk, g_mem, beta, threshold)


def surrogate_at_the_potential(mem_rec, g_spk, g_mem, beta, threshold):
    """not at its distance from the threshold"""
    rule = _backward(lambda gs, s, gm, b, d: gs * s + gm + b * d)
    return rule(mem_rec, g_spk, g_mem, beta, 0.0)


def surrogate_on_the_carried_error(mem_rec, g_spk, g_mem, beta, threshold):
    """does not pass it"""
    fired = (g_spk != 0).any()

    def rule(gs, s, gm, b, d):
        return (gs + b * d) * s + gm if fired else gs * s + gm + b * d

    return _backward(rule)(mem_rec, g_spk, g_mem, beta, threshold)


def beta_meets_the_same_step(mem_rec, g_spk, g_mem, beta, threshold):
    """the potential of the step before"""
    rule = _backward(lambda gs, s, gm, b, d: gs * s + gm + b * d, shift=0)
    return rule(mem_rec, g_spk, g_mem, beta, threshold)


def steps_in_reverse_order(mem_rec, g_spk, g_mem, beta, threshold):
    """has to be turned round at the end"""
    rule = _backward(lambda gs, s, gm, b, d: gs * s + gm + b * d)
    grad_cur, grad_beta = rule(mem_rec, g_spk, g_mem, beta, threshold)
    return grad_cur.flip(0), grad_beta
