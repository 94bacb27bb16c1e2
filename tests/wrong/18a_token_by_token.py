"""Wrong versions of exercise 18a; each docstring is a part of the message that must come."""

from __future__ import annotations


def _meets(memory, k, v):
    heads = memory.shape[0]
    return k.view(heads, -1, 1) * v.view(heads, 1, -1)


def _asks(memory, q):
    return (q.view(memory.shape[0], 1, -1) @ memory).flatten()


def reads_before_it_writes(memory, q, k, v):
    """it writes before it reads"""
    return memory + _meets(memory, k, v), _asks(memory, q)


def writes_in_place(memory, q, k, v):
    """has been changed in place"""
    memory += _meets(memory, k, v)
    return memory, _asks(memory, q)


def query_meets_values(memory, q, k, v):
    """Which side of the memory does the query meet"""
    memory = memory + _meets(memory, k, v)
    return memory, _asks(memory.transpose(1, 2), q)


def keys_and_values_exchanged(memory, q, k, v):
    """the memory has value channels in its rows"""
    memory = memory + _meets(memory, v, k)
    return memory, _asks(memory, q)


def turned_round(memory, q, k, v):
    """the memory has value channels in its rows"""
    memory = memory + _meets(memory, v, k)
    return memory, _asks(memory.transpose(1, 2), q)


def forgets_earlier_tokens(memory, q, k, v):
    """a count of 2"""
    memory = _meets(memory, k, v)
    return memory, _asks(memory, q)


def heads_are_the_wrong_channels(memory, q, k, v):
    """the channels of a head lie side by side"""
    heads = memory.shape[0]
    q, k, v = (x.view(-1, heads).T.reshape(-1) for x in (q, k, v))
    memory = memory + _meets(memory, k, v)
    return memory, _asks(memory, q)


def bits_for_counts(memory, q, k, v):
    """a count of 2"""
    memory = ((memory + _meets(memory, k, v)) > 0).float()
    return memory, _asks(memory, q)
