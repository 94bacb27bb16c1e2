"""Wrong versions of exercise 15b; each docstring is a part of the message that must come."""

from __future__ import annotations


def everybody_learns(w, x, winner, eta, total):
    """all four neurons have learnt"""
    w = w + eta * (x[:, None] - w)
    return w * total / w.sum(0)


def changed_in_place(w, x, winner, eta, total):
    """w itself was changed"""
    w[:, winner] += eta * (x - w[:, winner])
    w[:, winner] *= total / w[:, winner].sum()
    return w


def away_from_the_picture(w, x, winner, eta, total):
    """Towards what does"""
    w = w.clone()
    w[:, winner] -= eta * (x - w[:, winner])
    w[:, winner] *= total / w[:, winner].sum()
    return w


def only_gains(w, x, winner, eta, total):
    """by (5) it loses"""
    w = w.clone()
    w[:, winner] += eta * x
    w[:, winner] *= total / w[:, winner].sum()
    return w


def never_scaled(w, x, winner, eta, total):
    """scale them at the end"""
    w = w.clone()
    w[:, winner] += eta * (x - w[:, winner])
    return w


def scaled_to_three(w, x, winner, eta, total):
    """Is 3 written somewhere?"""
    w = w.clone()
    w[:, winner] += eta * (x - w[:, winner])
    w[:, winner] *= 3 / w[:, winner].sum()
    return w


def scaled_first(w, x, winner, eta, total):
    """scale them at the end"""
    w = w.clone()
    w[:, winner] *= total / w[:, winner].sum()
    w[:, winner] += eta * (x - w[:, winner])
    return w


def all_columns_scaled(w, x, winner, eta, total):
    """Only the winner's column is scaled"""
    w = w.clone()
    w[:, winner] += eta * (x - w[:, winner])
    return w * total / w.sum(0)


def the_column_alone(w, x, winner, eta, total):
    """expected the whole table"""
    column = w[:, winner] + eta * (x - w[:, winner])
    return column * total / column.sum()
