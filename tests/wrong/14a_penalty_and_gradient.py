"""Wrong versions of exercise 14a; each docstring is a part of the message that must come."""

from __future__ import annotations


def _parts(spk):
    T, B, N = spk.shape
    n = spk.sum(0)
    return T, B, N, n, n.mean(0)


def squares_of_single_spikes(spk, weight, r_min):
    """Sum over time first, then square"""
    T, B, N, n, r = _parts(spk)
    value = (spk**2).sum(0).mean() + weight * (r_min - r).clamp(min=0).mean()
    return value, (2 * n / (B * N) - weight * (r < r_min) / (B * N)).expand(T, B, N)


def squares_of_the_mean_count(spk, weight, r_min):
    """not of the mean count r_i"""
    T, B, N, n, r = _parts(spk)
    value = (r**2).mean() + weight * (r_min - r).clamp(min=0).mean()
    return value, (2 * n / (B * N) - weight * (r < r_min) / (B * N)).expand(T, B, N)


def only_where_a_spike_is(spk, weight, r_min):
    """does not ask whether there is a spike"""
    T, B, N, n, r = _parts(spk)
    value = (n**2).mean() + weight * (r_min - r).clamp(min=0).mean()
    return value, (2 * n / (B * N) - weight * (r < r_min) / (B * N)) * spk


def factor_two_forgotten(spk, weight, r_min):
    """∂R/∂S_i[t] = 2·n_i/(B·N), for every t"""
    T, B, N, n, r = _parts(spk)
    value = (n**2).mean() + weight * (r_min - r).clamp(min=0).mean()
    return value, (n / (B * N) - weight * (r < r_min) / (B * N)).expand(T, B, N)


def cut_after_the_mean(spk, weight, r_min):
    """before the mean: what one neuron has too much helps no other"""
    T, B, N, n, r = _parts(spk)
    value = (n**2).mean() + weight * (r_min - r).mean().clamp(min=0)
    return value, (2 * n / (B * N) - weight / (B * N)).expand(T, B, N)


def pushes_down_instead(spk, weight, r_min):
    """mind the sign"""
    T, B, N, n, r = _parts(spk)
    value = (n**2).mean() + weight * (r_min - r).clamp(min=0).mean()
    return value, (2 * n / (B * N) + weight * (r < r_min) / (B * N)).expand(T, B, N)


def mean_over_images_forgotten(spk, weight, r_min):
    """so it is −w/(B·N)"""
    T, B, N, n, r = _parts(spk)
    value = (n**2).mean() + weight * (r_min - r).clamp(min=0).mean()
    return value, (2 * n / (B * N) - weight * (r < r_min) / N).expand(T, B, N)


def pulled_at_the_corner(spk, weight, r_min):
    """only a neuron below r_min is pulled"""
    T, B, N, n, r = _parts(spk)
    value = (n**2).mean() + weight * (r_min - r).clamp(min=0).mean()
    return value, (2 * n / (B * N) - weight * (r <= r_min) / (B * N)).expand(T, B, N)


def counts_for_their_mean(spk, weight, r_min):
    """the mean over the images first"""
    T, B, N, n, r = _parts(spk)
    value = (n**2).mean() + weight * (r_min - n).clamp(min=0).mean()
    return value, (2 * n / (B * N) - weight * (n < r_min) / (B * N)).expand(T, B, N)


def nothing_returned(spk, weight, r_min):
    """Is there a return?"""
