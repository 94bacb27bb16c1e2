"""Wrong versions of exercise 13b; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _surrogate(x):
    return 0.5 * (1 - x.abs()).clamp(min=0)


def _both(cur, V, g_spk, beta, threshold, ahead=None, back=None, reset=1.0, through=True, same=0):
    """The right answer, with parts exchanged."""
    ahead = V.T if ahead is None else ahead
    back = V if back is None else back
    mem = spk = torch.zeros_like(cur[0])
    spk_rec, mem_rec = [], []
    for cur_t in cur:
        mem = beta * mem + cur_t + spk @ ahead - reset * threshold * spk
        spk = (mem > threshold).float()
        spk_rec.append(spk)
        mem_rec.append(mem)
    delta, grad_cur, grad_V = torch.zeros_like(cur[0]), torch.zeros_like(cur), torch.zeros_like(V)
    for t in reversed(range(len(cur))):
        sigma = _surrogate(mem_rec[t] - threshold)
        loop = delta @ back
        delta = sigma * (g_spk[t] + loop if through else g_spk[t]) + beta * delta
        if not through:
            delta = delta + loop
        grad_cur[t] = delta
        if t > 0 or same:
            grad_V += delta.T @ spk_rec[t - 1 + same]
    return torch.stack(spk_rec), grad_cur, grad_V


def V_turned_round_on_the_way_up(cur, V, g_spk, beta, threshold):
    """Row i of V holds the weights into neuron i"""
    return _both(cur, V, g_spk, beta, threshold, ahead=V)


def reset_forgotten(cur, V, g_spk, beta, threshold):
    """Is the reset of the last spike there?"""
    return _both(cur, V, g_spk, beta, threshold, reset=0.0)


def no_error_through_the_loop(cur, V, g_spk, beta, threshold):
    """does not reach neuron 0"""
    return _both(cur, V, g_spk, beta, threshold, back=torch.zeros_like(V))


def V_turned_round_on_the_way_back(cur, V, g_spk, beta, threshold):
    """does not reach neuron 0"""
    return _both(cur, V, g_spk, beta, threshold, back=V.T)


def loop_error_does_not_pass_the_surrogate(cur, V, g_spk, beta, threshold):
    """so it passes σ′"""
    return _both(cur, V, g_spk, beta, threshold, through=False)


def spikes_of_the_same_step(cur, V, g_spk, beta, threshold):
    """the spikes of the step before"""
    return _both(cur, V, g_spk, beta, threshold, same=1)


def gradient_of_V_turned_round(cur, V, g_spk, beta, threshold):
    """is turned round"""
    spk, grad_cur, grad_V = _both(cur, V, g_spk, beta, threshold)
    return spk, grad_cur, grad_V.T
