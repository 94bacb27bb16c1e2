"""Wrong versions of exercise 13c; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _answers(before_sequence, before_step):
    def answers(fc, lif, fc_out, sequences):
        lif.reset_mem()
        results = []
        for x in sequences:
            before_sequence(lif)
            spk_rec = []
            for x_t in x:
                before_step(lif)
                spk_rec.append(lif(fc(x_t)))
            results.append(fc_out(torch.stack(spk_rec)[-5:].mean(0)))
        return results

    return answers


def _nothing(lif):
    pass


def _reset(lif):
    lif.reset_mem()


def _only_membrane(lif):
    lif.mem = torch.zeros(())


def _only_detached(lif):
    lif.mem, lif.spk = lif.mem.detach(), lif.spk.detach()


def as_given(*args):
    """What is left in the layer"""
    return _answers(_nothing, _nothing)(*args)


def reset_at_each_step(*args):
    """not at each step"""
    return _answers(_nothing, _reset)(*args)


def only_the_membrane_is_reset(*args):
    """What is left in the layer"""
    return _answers(_only_membrane, _nothing)(*args)


def history_is_cut_but_the_state_stays(*args):
    """What is left in the layer"""
    return _answers(_only_detached, _nothing)(*args)
