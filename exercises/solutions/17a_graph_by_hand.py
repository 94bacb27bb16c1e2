"""17a  A NIR graph by hand: model solution"""

from __future__ import annotations

import nir
import numpy as np


def leaky_graph(
    weight: np.ndarray, bias: np.ndarray, beta: np.ndarray, threshold: np.ndarray, dt: float
) -> nir.NIRGraph:
    """Input → Affine → LIF → Output, with the names of the task."""
    tau = dt / (1 - beta)  # so that 1 − dt/τ is β
    r = tau / dt  # so that (dt/τ)·R is 1
    zeros = np.zeros_like(tau)
    nodes = {
        "input": nir.Input(np.array([weight.shape[1]])),
        "fc": nir.Affine(weight, bias),
        "lif": nir.LIF(tau=tau, r=r, v_leak=zeros, v_threshold=threshold, v_reset=zeros),
        "output": nir.Output(np.array([weight.shape[0]])),
    }
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "output")]
    return nir.NIRGraph(nodes, edges)
