"""Wrong versions of exercise 17a; each docstring is a part of the message that must come."""

from __future__ import annotations

import nir
import numpy as np

EDGES = [("input", "fc"), ("fc", "lif"), ("lif", "output")]


def _graph(weight, bias, tau, r, threshold, edges=EDGES, reset=0.0, leak=0.0):
    nodes = {
        "input": nir.Input(np.array([weight.shape[1]])),
        "fc": nir.Affine(weight, bias),
        "lif": nir.LIF(
            tau=tau, r=r, v_leak=leak + 0 * tau, v_threshold=threshold, v_reset=reset + 0 * tau
        ),
        "output": nir.Output(np.array([weight.shape[0]])),
    }
    return nir.NIRGraph(nodes, edges, type_check=False)


def tau_of_the_exact_solution(weight, bias, beta, threshold, dt):
    """This is the exact solution's"""
    tau = -dt / np.log(beta)
    return _graph(weight, bias, tau, tau / dt, threshold)


def tau_in_steps(weight, bias, beta, threshold, dt):
    """that counts steps"""
    tau = 1 / (1 - beta)
    return _graph(weight, bias, tau, tau, threshold)


def r_is_one(weight, bias, beta, threshold, dt):
    """the input is scaled"""
    tau = dt / (1 - beta)
    return _graph(weight, bias, tau, np.ones_like(tau), threshold)


def an_edge_turned_round(weight, bias, beta, threshold, dt):
    """the other way round"""
    tau = dt / (1 - beta)
    edges = [("input", "fc"), ("fc", "lif"), ("output", "lif")]
    return _graph(weight, bias, tau, tau / dt, threshold, edges)


def one_threshold_for_all(weight, bias, beta, threshold, dt):
    """Is θ the one of each neuron?"""
    tau = dt / (1 - beta)
    return _graph(weight, bias, tau, tau / dt, np.ones_like(tau))


def bias_left_out(weight, bias, beta, threshold, dt):
    """Are W and b as given?"""
    tau = dt / (1 - beta)
    return _graph(weight, 0 * bias, tau, tau / dt, threshold)


def reset_to_the_threshold(weight, bias, beta, threshold, dt):
    """what does a spike set it to?"""
    tau = dt / (1 - beta)
    return _graph(weight, bias, tau, tau / dt, threshold, reset=1.0)
