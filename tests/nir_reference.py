"""NIR's equations in plain NumPy, written a second time: what the exchange package is checked against.

Steps of dt by Euler, the current before the membrane, 64-bit numbers, loops over every index where speed allows it.
Nothing here uses PyTorch, snnTorch or the package itself.
"""

from __future__ import annotations

import nir
import numpy as np

DT = 1e-4


def conv(x: np.ndarray, node: nir.Conv1d | nir.Conv2d) -> np.ndarray:
    """A convolution as sums over windows: ``(C, …)`` → ``(C_out, …)``, one sample."""
    weight = np.asarray(node.weight, float)
    dims = weight.ndim - 2
    stride = np.broadcast_to(node.stride, dims)
    dilation = np.broadcast_to(node.dilation, dims)
    spans = dilation * (np.array(weight.shape[2:]) - 1)
    if isinstance(node.padding, str):
        before = spans // 2 if node.padding == "same" else 0 * spans
        after = spans - before if node.padding == "same" else 0 * spans
    else:
        before = after = np.broadcast_to(node.padding, dims)
    padded = np.pad(x, [(0, 0), *zip(before, after, strict=True)])
    size = (np.array(padded.shape[1:]) - spans - 1) // stride + 1
    groups = int(node.groups)
    each_in, each_out = weight.shape[1], weight.shape[0] // groups
    out = np.zeros((weight.shape[0], *size))
    for o in range(weight.shape[0]):
        first = o // each_out * each_in
        for place in np.ndindex(*size):
            total = float(node.bias[o])
            for c in range(each_in):
                for k in np.ndindex(*weight.shape[2:]):
                    at = tuple(
                        p * s + d * j for p, s, d, j in zip(place, stride, dilation, k, strict=True)
                    )
                    total += weight[(o, c, *k)] * padded[(first + c, *at)]
            out[(o, *place)] = total
    return out


def pool(x: np.ndarray, node: nir.SumPool2d | nir.AvgPool2d) -> np.ndarray:
    """Sum or mean over windows: ``(C, H, W)``, one sample."""
    size = np.broadcast_to(node.kernel_size, 2)
    stride = np.broadcast_to(node.stride, 2)
    p, q = np.broadcast_to(node.padding, 2)
    padded = np.pad(x, [(0, 0), (p, p), (q, q)])
    height, width = (np.array(padded.shape[1:]) - size) // stride + 1
    out = np.zeros((len(x), height, width))
    for c, i, j in np.ndindex(*out.shape):
        top, left = i * stride[0], j * stride[1]
        window = padded[c, top : top + size[0], left : left + size[1]]
        out[c, i, j] = window.sum() if isinstance(node, nir.SumPool2d) else window.mean()
    return out


def stateless(node: nir.NIRNode, x: np.ndarray) -> np.ndarray:
    """A node without memory, on one sample."""
    if isinstance(node, nir.Affine):
        return np.asarray(node.weight, float) @ x + node.bias
    if isinstance(node, nir.Linear):
        return np.asarray(node.weight, float) @ x
    if isinstance(node, (nir.Conv1d, nir.Conv2d)):
        return conv(x, node)
    if isinstance(node, (nir.SumPool2d, nir.AvgPool2d)):
        return pool(x, node)
    if isinstance(node, nir.Scale):
        return node.scale * x
    if isinstance(node, nir.Threshold):
        return (x > node.threshold).astype(float)
    if isinstance(node, nir.Flatten):
        start = node.start_dim % x.ndim
        end = node.end_dim % x.ndim
        return x.reshape(*x.shape[:start], -1, *x.shape[end + 1 :])
    assert isinstance(node, (nir.Input, nir.Output))
    return x


class Membrane:
    """One neuron node on one sample; R of IF counts steps (R = 1) or seconds (R = 1/dt)."""

    def __init__(self, node: nir.NIRNode, dt: float) -> None:
        self.node, self.dt = node, dt
        leak = getattr(node, "v_leak", None)
        self.v = np.zeros_like(np.asarray(node.r, float)) + (0 if leak is None else leak)
        self.i = np.zeros_like(self.v)
        self.nearest = np.inf
        """the smallest distance of v from θ so far, for its size: below 32-bit rounding, spikes are a toss-up"""

    def step(self, x: np.ndarray) -> np.ndarray:
        n, dt = self.node, self.dt
        current = x
        if isinstance(n, (nir.CubaLIF, nir.CubaLI)):
            self.i = self.i + dt / np.asarray(n.tau_syn, float) * (-self.i + n.w_in * x)
            current = self.i
        if isinstance(n, (nir.IF, nir.I)):
            step = 1.0 if np.allclose(n.r, 1) else dt
            self.v = self.v + step * n.r * current
        else:
            tau = np.asarray(n.tau if hasattr(n, "tau") else n.tau_mem, float)
            self.v = self.v + dt / tau * ((n.v_leak - self.v) + n.r * current)
        if not hasattr(n, "v_threshold"):
            return self.v
        distance = np.abs(self.v - n.v_threshold) / (1 + np.abs(self.v))
        self.nearest = min(self.nearest, distance.min())
        spikes = self.v > n.v_threshold
        self.v = np.where(spikes, n.v_reset, self.v)
        return spikes.astype(float)


def run(
    nodes: dict[str, nir.NIRNode],
    edges: list[tuple[str, str]],
    order: list[str],
    x: np.ndarray,
    dt: float = DT,
) -> tuple[dict[str, np.ndarray], float]:
    """Every node's output ``(T, …)`` for one sample ``x (T, …)``, worked out in the given ``order``.

    An edge to a node that stands earlier in the order, or to itself, carries the step before. In the first step it
    carries what its node makes of silence: zeros from input and neurons, pushed through whatever stands between.
    The second value is the smallest distance of a membrane from its threshold, relative to 1 + |v|.
    """
    place = {name: i for i, name in enumerate(order)}
    membranes = {n: Membrane(nodes[n], dt) for n in order if hasattr(nodes[n], "r")}
    lines = {
        n: [np.zeros(nodes[n].delay.shape)] * 400 for n in order if isinstance(nodes[n], nir.Delay)
    }

    def quiet(name: str) -> np.ndarray:
        node = nodes[name]
        if name in membranes:
            return np.zeros(np.asarray(node.r).shape)
        if isinstance(node, nir.Input):
            return np.zeros(x.shape[1:])
        return stateless(node, sum(quiet(a) for a, b in edges if b == name))

    records: dict[str, list[np.ndarray]] = {n: [] for n in order}
    for t, x_t in enumerate(x):
        for name in order:
            total = x_t if isinstance(nodes[name], nir.Input) else 0
            for a, b in edges:
                if b == name and place[a] < place[b]:
                    total = total + records[a][t]
                elif b == name:
                    total = total + (records[a][t - 1] if t else quiet(a))
            if name in membranes:
                out = membranes[name].step(total)
            elif name in lines:
                lines[name] = [total, *lines[name][:-1]]
                steps = np.round(nodes[name].delay / dt).astype(int)
                out = np.zeros(steps.shape)
                for index in np.ndindex(*steps.shape):
                    out[index] = lines[name][steps[index]][index]
            else:
                out = stateless(nodes[name], total)
            records[name].append(out)
    nearest = min([m.nearest for m in membranes.values()], default=np.inf)
    return {name: np.stack(record) for name, record in records.items()}, nearest
