"""Wrong versions of exercise 17c; each docstring is a part of the message that must come."""

from __future__ import annotations

import nir
import numpy as np
import torch


def _tensor(array):
    return torch.as_tensor(np.asarray(array)).float()


def _reader(follow=True, r=True, reset="value", step=None):
    """A reader with some of its faults mended."""

    def read_and_run(graph, x, dt):
        following = dict(graph.edges)
        names = list(graph.nodes)
        if follow:
            names, name = [], following["input"]
            while name != "output":
                names.append(name)
                name = following[name]
        v, out = {}, []
        for x_t in x:
            signal = x_t
            for name in names:
                node = graph.nodes[name]
                if isinstance(node, nir.Affine):
                    signal = signal @ _tensor(node.weight).T + _tensor(node.bias)
                if isinstance(node, nir.LIF):
                    share = (step or dt) / _tensor(node.tau)
                    gain = share * _tensor(node.r) if r else 1.0
                    v[name] = (1 - share) * v.get(name, 0.0) + gain * signal
                    spk = (v[name] > _tensor(node.v_threshold)).float()
                    if reset == "subtract":
                        v[name] = v[name] - spk * _tensor(node.v_threshold)
                    if reset == "zero":
                        v[name] = v[name] * (1 - spk)
                    if reset == "value":
                        v[name] = torch.where(spk > 0, _tensor(node.v_reset), v[name])
                    signal = spk
            out.append(signal)
        return torch.stack(out)

    return read_and_run


def as_given(graph, x, dt):
    """how much of the current arrives in one step?"""
    return _reader(follow=False, r=False, reset="subtract")(graph, x, dt)


def only_r_mended(graph, x, dt):
    """Where does NIR's equation put v after one?"""
    return _reader(follow=False, reset="subtract")(graph, x, dt)


def reset_to_zero(graph, x, dt):
    """Here v_reset = 0.4."""
    return _reader(reset="zero")(graph, x, dt)


def order_of_the_file(graph, x, dt):
    """Which of the two says what feeds what?"""
    return _reader(follow=False)(graph, x, dt)


def step_of_snntorch(graph, x, dt):
    """Here dt = 1 ms."""
    return _reader(step=1e-4)(graph, x, dt)
