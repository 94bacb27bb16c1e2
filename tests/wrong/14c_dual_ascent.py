"""Wrong versions of exercise 14c; each docstring is a part of the message that must come."""

from __future__ import annotations


def _steer(rule):
    """Dual ascent by ``rule(price, excess, eta, budget)``, with the excess spent − budget."""

    def steer(train_once, budget, eta, updates):
        price, used = 0.0, []
        for _ in range(updates):
            used.append(price)
            price = rule(price, train_once(price) - budget, eta, budget)
        return used

    return steer


def sign_turned_round(train_once, budget, eta, updates):
    """Above the budget a spike must get dearer"""
    rule = _steer(lambda price, excess, eta, b: max(0.0, price - eta * excess / b))
    return rule(train_once, budget, eta, updates)


def excess_not_as_a_share(train_once, budget, eta, updates):
    """as a share of the budget"""
    rule = _steer(lambda price, excess, eta, b: max(0.0, price + eta * excess))
    return rule(train_once, budget, eta, updates)


def change_cut_at_zero(train_once, budget, eta, updates):
    """Cut the new price at 0, not the change"""
    rule = _steer(lambda price, excess, eta, b: price + max(0.0, eta * excess / b))
    return rule(train_once, budget, eta, updates)


def not_cut_at_all(train_once, budget, eta, updates):
    """A negative price would reward spikes"""
    rule = _steer(lambda price, excess, eta, b: price + eta * excess / b)
    return rule(train_once, budget, eta, updates)


def prices_noted_too_late(train_once, budget, eta, updates):
    """Note a price before it changes"""
    price, used = 0.0, []
    for _ in range(updates):
        spent = train_once(price)
        price = max(0.0, price + eta * (spent / budget - 1))
        used.append(price)
    return used


def trains_twice(train_once, budget, eta, updates):
    """Each call trains"""
    price, used = 0.0, []
    for _ in range(updates):
        used.append(price)
        if train_once(price) != budget:
            price = max(0.0, price + eta * (train_once(price) / budget - 1))
    return used


def nothing_returned(train_once, budget, eta, updates):
    """Is there a return?"""
