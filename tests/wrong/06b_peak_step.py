"""Wrong versions of exercise 06b; each docstring is a part of the message that must come."""

from __future__ import annotations

import math


def first_n_of_alpha(alpha, beta):
    """got step 1, expected 0"""
    x = math.log((1 - beta) / (1 - alpha)) / math.log(alpha / beta)
    return math.ceil(x)


def rounds_to_nearest(alpha, beta):
    """One too early"""
    x = math.log((1 - beta) / (1 - alpha)) / math.log(alpha / beta)
    return max(round(x) - 1, 0)


def rounds_x_up_and_stays(alpha, beta):
    """One too late"""
    x = math.log((1 - beta) / (1 - alpha)) / math.log(alpha / beta)
    return math.ceil(x) if x > 1 else 0


def no_rounding(alpha, beta):
    """expected a whole number"""
    return math.log((1 - beta) / (1 - alpha)) / math.log(alpha / beta) - 1


def mean_delay(alpha, beta):
    """Do (1 − α) and (1 − β) stand where they should?"""
    return math.floor(alpha / (1 - alpha) + beta / (1 - beta))


def only_one_order(alpha, beta):
    """when they change places"""
    if alpha < beta:
        return 0
    x = math.log((1 - beta) / (1 - alpha)) / math.log(alpha / beta)
    return math.ceil(x) - 1


def turned_round(alpha, beta):
    """got step -"""
    x = math.log((1 - alpha) / (1 - beta)) / math.log(alpha / beta)
    return math.floor(x)


def top_of_the_curve(alpha, beta):
    """To round the peak of a curve"""
    x = math.log(math.log(beta) / math.log(alpha)) / math.log(alpha / beta)
    return max(0, round(x - 1))
