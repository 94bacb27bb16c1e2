"""Wrong versions of exercise 09b; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _goal(counts, y, num_steps, correct_rate, incorrect_rate):
    goal = torch.full_like(counts, int(num_steps * incorrect_rate))
    goal[torch.arange(len(y)), y] = int(num_steps * correct_rate)
    return goal


def goals_swapped(spk_rec, y, correct_rate, incorrect_rate):
    """the two goals are swapped"""
    counts = spk_rec.sum(0)
    goal = _goal(counts, y, len(spk_rec), incorrect_rate, correct_rate)
    return ((counts - goal) ** 2).mean() / len(spk_rec)


def silence_is_free(spk_rec, y, correct_rate, incorrect_rate):
    """Its goal is 2 spikes, not none"""
    counts = spk_rec.sum(0)
    goal = _goal(counts, y, len(spk_rec), correct_rate, incorrect_rate)
    return ((counts - goal).clamp(min=0) ** 2).mean() / len(spk_rec)


def not_squared(spk_rec, y, correct_rate, incorrect_rate):
    """One of the four counts is 3 away"""
    counts = spk_rec.sum(0)
    goal = _goal(counts, y, len(spk_rec), correct_rate, incorrect_rate)
    return (counts - goal).abs().mean() / len(spk_rec)


def sum_over_neurons(spk_rec, y, correct_rate, incorrect_rate):
    """4 numbers here, not 2"""
    counts = spk_rec.sum(0)
    goal = _goal(counts, y, len(spk_rec), correct_rate, incorrect_rate)
    return ((counts - goal) ** 2).sum(1).mean() / len(spk_rec)


def not_divided_by_time(spk_rec, y, correct_rate, incorrect_rate):
    """Divided by T?"""
    counts = spk_rec.sum(0)
    goal = _goal(counts, y, len(spk_rec), correct_rate, incorrect_rate)
    return ((counts - goal) ** 2).mean()


def rates_for_counts(spk_rec, y, correct_rate, incorrect_rate):
    """Counts are sums over time"""
    rates = spk_rec.mean(0)
    goal = torch.full_like(rates, incorrect_rate)
    goal[torch.arange(len(y)), y] = correct_rate
    return ((rates - goal) ** 2).mean()


def gradient_cut(spk_rec, y, correct_rate, incorrect_rate):
    """no gradient reaches the spikes"""
    counts = spk_rec.detach().sum(0)
    goal = _goal(counts, y, len(spk_rec), correct_rate, incorrect_rate)
    return ((counts - goal) ** 2).mean() / len(spk_rec)


def goals_not_whole(spk_rec, y, correct_rate, incorrect_rate):
    """are the goals whole numbers?"""
    counts = spk_rec.sum(0)
    goal = torch.full_like(counts, len(spk_rec) * incorrect_rate)
    goal[torch.arange(len(y)), y] = len(spk_rec) * correct_rate
    return ((counts - goal) ** 2).mean() / len(spk_rec)
