"""Wrong versions of exercise 09c; each docstring is a part of the message that must come."""

from __future__ import annotations


def _run(x, fc1, lif1, fc2, lif2, before):
    """The loop, with ``before(t, mem1, mem2)`` called at the top of each step."""
    mem1, mem2 = lif1.init_leaky(), lif2.init_leaky()
    for t in range(len(x)):
        mem1, mem2 = before(t, mem1, mem2)
        spk1, mem1 = lif1(fc1(x[t]), mem1)
        _, mem2 = lif2(fc2(spk1), mem2)
    return mem2


def state_set_to_zero(x, fc1, lif1, fc2, lif2, window):
    """Was the state set to zero?"""

    def before(t, mem1, mem2):
        return (mem1 * 0, mem2 * 0) if t == len(x) - window else (mem1, mem2)

    return _run(x, fc1, lif1, fc2, lif2, before)


def only_the_last_steps_are_run(x, fc1, lif1, fc2, lif2, window):
    """cutting the history must not change the number"""
    return _run(x[-window:], fc1, lif1, fc2, lif2, lambda t, mem1, mem2: (mem1, mem2))


def never_cut(x, fc1, lif1, fc2, lif2, window):
    """the error still gets there"""
    return _run(x, fc1, lif1, fc2, lif2, lambda t, mem1, mem2: (mem1, mem2))


def output_state_not_cut(x, fc1, lif1, fc2, lif2, window):
    """Both layers have a state"""

    def before(t, mem1, mem2):
        return (mem1.detach(), mem2) if t == len(x) - window else (mem1, mem2)

    return _run(x, fc1, lif1, fc2, lif2, before)


def hidden_state_not_cut(x, fc1, lif1, fc2, lif2, window):
    """Both layers have a state"""

    def before(t, mem1, mem2):
        return (mem1, mem2.detach()) if t == len(x) - window else (mem1, mem2)

    return _run(x, fc1, lif1, fc2, lif2, before)


def cut_one_step_early(x, fc1, lif1, fc2, lif2, window):
    """or the cut comes too early"""

    def before(t, mem1, mem2):
        cut = t == len(x) - window - 1
        return (mem1.detach(), mem2.detach()) if cut else (mem1, mem2)

    return _run(x, fc1, lif1, fc2, lif2, before)


def cut_at_every_later_step(x, fc1, lif1, fc2, lif2, window):
    """Is the history cut at one step only"""

    def before(t, mem1, mem2):
        cut = t >= len(x) - window
        return (mem1.detach(), mem2.detach()) if cut else (mem1, mem2)

    return _run(x, fc1, lif1, fc2, lif2, before)


def cut_after_the_step(x, fc1, lif1, fc2, lif2, window):
    """even the last step was cut off"""
    mem1, mem2 = lif1.init_leaky(), lif2.init_leaky()
    for t in range(len(x)):
        spk1, mem1 = lif1(fc1(x[t]), mem1)
        _, mem2 = lif2(fc2(spk1), mem2)
        if t == len(x) - window:
            mem1, mem2 = mem1.detach(), mem2.detach()
    return mem2


def cut_every_so_many_steps(x, fc1, lif1, fc2, lif2, window):
    """as by t % window"""

    def before(t, mem1, mem2):
        return (mem1.detach(), mem2.detach()) if t % window == 0 else (mem1, mem2)

    return _run(x, fc1, lif1, fc2, lif2, before)
