"""Wrong versions of exercise 01b; each docstring is a part of the message that must come."""

from __future__ import annotations


def rheobase_for_every_n(n, beta, threshold):
    """After one step U is I itself"""
    return threshold * (1 - beta)


def leak_forgotten(n, beta, threshold):
    """With all the time there is, U climbs"""
    return threshold / n if n == 1 else threshold


def shared_out_over_the_steps(n, beta, threshold):
    """Does β occur in your line?"""
    return threshold / n


def one_step_too_many(n, beta, threshold):
    """Too weak"""
    return threshold if n == 1 else threshold * (1 - beta) / (1 - beta ** (n + 1))


def one_step_too_few(n, beta, threshold):
    """Too strong"""
    return threshold if n == 1 else threshold * (1 - beta) / (1 - beta ** (n - 1))


def threshold_forgotten(n, beta, threshold):
    """θ = 2.0. After one step U is I itself"""
    return (1 - beta) / (1 - beta**n)
