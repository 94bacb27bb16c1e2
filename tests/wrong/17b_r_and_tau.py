"""Wrong versions of exercise 17b; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _refuse(node, dt):
    for name in ("v_leak", "v_reset"):
        if getattr(node, name).any():
            raise ValueError(name)
    if (node.tau < 0.999 * dt).any():
        raise ValueError("tau")


def exact_decay(node, dt):
    """is the exact solution"""
    share = dt / torch.as_tensor(node.tau)
    return torch.exp(-share), share * torch.as_tensor(node.r)


def r_is_dropped(node, dt):
    """as snnTorch writes its files"""
    share = dt / torch.as_tensor(node.tau)
    return 1 - share, torch.ones_like(share)


def r_whole(node, dt):
    """not all of R·I arrives"""
    share = dt / torch.as_tensor(node.tau)
    return 1 - share, torch.as_tensor(node.r)


def step_of_snntorch_always(node, dt):
    """Is dt used?"""
    share = 1e-4 / torch.as_tensor(node.tau)
    return 1 - share, share * torch.as_tensor(node.r)


def takes_everything(node, dt):
    """was taken without a word"""
    share = dt / torch.as_tensor(node.tau)
    return 1 - share, share * torch.as_tensor(node.r)


def refuses_without_a_name(node, dt):
    """does not name the field"""
    try:
        _refuse(node, dt)
    except ValueError as e:
        raise ValueError("not possible") from e
    share = dt / torch.as_tensor(node.tau)
    return 1 - share, share * torch.as_tensor(node.r)


def looks_at_the_first_neuron_only(node, dt):
    """only one of its two neurons has it"""
    if node.v_leak[0] or node.v_reset[0] or node.tau[0] < 0.999 * dt:
        raise ValueError("v_leak, v_reset, tau")
    share = dt / torch.as_tensor(node.tau)
    return 1 - share, share * torch.as_tensor(node.r)
