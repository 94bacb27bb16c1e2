"""Wrong versions of exercise 18b; each docstring is a part of the message that must come."""

from __future__ import annotations


def counts_added_one_by_one(q, k, v):
    """how often something is added is another question"""
    one, two = q @ k.T, k.T @ v
    if q.shape == (2, 3):
        return (
            int(one.sum() + ((one > 0).float() @ v).sum()),
            int(two.sum() + (q @ (two > 0).float()).sum()),
        )
    return int(one.sum() + (one @ v).sum()), int(two.sum() + (q @ two).sum())


def only_the_first_product(q, k, v):
    """The second is missing"""
    return int((q @ k.T).sum()), int((k.T @ v).sum())


def orders_swapped(q, k, v):
    """in the wrong order"""
    one, two = q @ k.T, k.T @ v
    first = one.sum() + ((one > 0).float() @ v).sum()
    second = two.sum() + (q @ (two > 0).float()).sum()
    return int(second), int(first)


def zeros_counted_too(q, k, v):
    """in the first product and"""
    tokens, channels = q.shape
    return 2 * tokens**2 * channels, 2 * tokens * channels**2
