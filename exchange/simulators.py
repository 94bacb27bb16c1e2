"""One NIR file in other simulators: SpikingJelly, Norse and sinabs, as they come and with one change after another.

None of the three is needed by the course. ``benchmarks/simulators.py`` brings them along in an environment of its own
and writes what it measures; lesson 17 measures anew where they are installed. This module needs nothing but NIR and
PyTorch, so that it runs beside whatever versions of them those libraries bring.

A *mend* takes away one cause of difference between a simulator's reading and snnTorch's, which its docstring names.
All mends stay within what the simulator offers: another argument, another setting of its neuron, or the same graph
written in another way. Where all are made, nothing is left to differ; where all but one are made, what differs is the
work of that one cause.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import importlib.metadata
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import nir
import numpy as np
import torch
from torch import nn

DT = 1e-4
"""s; the step for which snnTorch writes its graphs"""


@dataclass
class Job:
    """A graph to be read and the input that it gets; mends alter both, or the settings."""

    graph: nir.NIRGraph
    x: torch.Tensor
    """``(T, B, …)``"""
    dt: float | None = None
    """None: the reader's own default"""
    in_steps: bool = False
    """sinabs: τ in steps"""
    euler: bool = False
    """sinabs: a τ for which its e^(−1/τ) is Euler's 1 − dt/τ"""
    at_most_one: bool = False
    """sinabs: one spike a step at most"""
    to_zero: bool = False
    """sinabs: reset to zero"""


Mend = Callable[[Job], bool]
"""Alters a job, and says whether there was anything to alter. Its docstring names the cause that it takes away."""


def flatten_with_batch(job: Job) -> bool:
    """Flatten counts the batch as a dimension"""
    found = [n for n in job.graph.nodes.values() if isinstance(n, nir.Flatten)]
    for node in found:
        node.start_dim += node.start_dim >= 0
        node.end_dim += node.end_dim >= 0
    return bool(found)


def tenth_of_a_millisecond(job: Job) -> bool:
    """a step of 1 ms, not 0.1 ms"""
    job.dt = DT
    return True


def r_in_threshold(job: Job) -> bool:
    """R is ignored"""
    found = [n for n in job.graph.nodes.values() if isinstance(n, nir.LIF)]
    for node in found:  # with u = v/R, equation (2) reads the same for u, with R = 1 and θ/R
        node.v_threshold = node.v_threshold / node.r
        node.v_reset = node.v_reset / node.r
        node.r = np.ones_like(node.r)
    return bool(found)


def loop_bias_at_once(job: Job) -> bool:
    """no bias of the loop in step 0"""
    nodes, edges = job.graph.nodes, job.graph.edges
    done = False
    for name, node in list(nodes.items()):
        ends = [b for a, b in edges if a == name]
        looped = bool(ends) and all((b, name) in edges for b in ends)
        if not (looped and isinstance(node, nir.Affine)):
            continue
        (into,) = [a for a, b in edges if b == ends[0] and a != name]
        entry, weights = next(a for a, b in edges if b == into), nodes[into]
        if not (isinstance(weights, nir.Affine) and isinstance(nodes[entry], nir.Input)):
            continue
        # one more input, which is 1 in step 0 and then 0, with the loop's bias as its weights
        weights.weight = np.concatenate([weights.weight, node.bias[:, None]], 1)
        size = np.array([weights.weight.shape[1]])
        weights.input_type = {"input": size}
        nodes[entry] = nir.Input(size)
        once = torch.zeros_like(job.x[..., :1])
        once[0] = 1
        job.x = torch.cat([job.x, once], -1)
        done = True
    return done


def one_number_a_layer(job: Job) -> bool:
    """v_leak must not be an image"""
    found = [n for n in job.graph.nodes.values() if isinstance(n, nir.LIF)]
    images = [n for n in found if np.ndim(n.v_leak) > 1]
    for node in images:
        node.v_leak = np.unique(node.v_leak)
    return bool(images)


def tau_in_steps(job: Job) -> bool:
    """seconds of τ taken as steps"""
    job.in_steps = True
    return True


def one_spike_a_step(job: Job) -> bool:
    """several spikes in one step"""
    job.at_most_one = True
    return True


def reset_to_zero(job: Job) -> bool:
    """reset by subtraction"""
    job.to_zero = True
    return True


def eulers_decay(job: Job) -> bool:
    """decay e^(−dt/τ), not 1 − dt/τ"""
    job.euler = True
    return True


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' prints and warnings."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logging.disable(logging.WARNING)
            try:
                yield
            finally:
                logging.disable(logging.NOTSET)


def stepped(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A network that takes a step and its state: ``x (T, B, …)`` → output spikes ``(T, B, …)``."""
    state, out = None, []
    for x_t in x:
        spk, state = net(x_t, state)
        out.append(spk)
    return torch.stack(out)


def run_spikingjelly(job: Job) -> torch.Tensor:
    """SpikingJelly's reader; its default is dt = 0.1 ms."""
    from spikingjelly.activation_based import nir_exchange

    options = {} if job.dt is None else {"dt": job.dt}
    return stepped(nir_exchange.import_from_nir(job.graph, **options), job.x)


def run_norse(job: Job) -> torch.Tensor:
    """Norse's reader; its default is dt = 1 ms."""
    import norse.torch

    options = {} if job.dt is None else {"dt": job.dt}
    return stepped(norse.torch.from_nir(job.graph, **options), job.x)


def run_sinabs(job: Job) -> torch.Tensor:
    """sinabs' reader, which takes all steps at once, samples and steps in one dimension."""
    import sinabs.activation
    import sinabs.layers
    import sinabs.nir

    net = sinabs.nir.from_nir(job.graph, batch_size=job.x.shape[1])
    for layer in net.modules():
        if not isinstance(layer, sinabs.layers.LIF):
            continue
        tau = layer.tau_mem.data  # as it stood in the file, in seconds
        if job.in_steps:
            tau = tau / DT
        if (
            job.euler
        ):  # where τ is under a step, 1 − 1/τ would be negative: nothing is left, as with e^(−1/τ)
            tau = torch.where(tau > 1, -1 / torch.log1p(-1 / tau.clamp(min=1.001)), tau)
        layer.tau_mem.data = tau
        if job.at_most_one:
            layer.spike_fn = sinabs.activation.SingleSpike
        if job.to_zero:
            layer.reset_fn = sinabs.activation.MembraneReset()
    out = net(job.x.transpose(0, 1).flatten(0, 1))  # (B·T, …)
    out = out[0] if isinstance(out, tuple) else out
    return out.unflatten(0, (job.x.shape[1], job.x.shape[0])).transpose(0, 1)


@dataclass(frozen=True)
class Simulator:
    """A library that reads NIR, and the mends that bring its spikes to snnTorch's."""

    package: str
    run: Callable[[Job], torch.Tensor]
    mends: tuple[Mend, ...]

    @property
    def version(self) -> str:
        """The installed version, or nothing."""
        return version_of(self.package)


SIMULATORS = {
    "SpikingJelly": Simulator("spikingjelly", run_spikingjelly, (loop_bias_at_once,)),
    "Norse": Simulator(
        "norse",
        run_norse,
        (flatten_with_batch, tenth_of_a_millisecond, r_in_threshold, loop_bias_at_once),
    ),
    "sinabs": Simulator(
        "sinabs",
        run_sinabs,
        (one_number_a_layer, tau_in_steps, one_spike_a_step, reset_to_zero, eulers_decay),
    ),
}


AS_IT_COMES, NOTHING_LEFT = "as it comes", "all causes taken away"


@dataclass
class Row:
    """How far a simulator's output spikes are from snnTorch's."""

    simulator: str
    version: str
    graph: str
    cause: str
    """the only cause that is left, or ``AS_IT_COMES`` (all are), or ``NOTHING_LEFT``"""
    differ: int | None
    """output spikes that only one of the two has; None: the graph was refused"""
    of: int
    """snnTorch's output spikes"""
    said: str = ""
    """the message of a refusal"""
    spikes: str = ""
    """digest of its output spikes, by which others can be found equal, place by place"""


def digest(spikes: torch.Tensor) -> str:
    """A short name for output spikes ``(T, B, …)``: equal for equal spikes only."""
    counts = np.ascontiguousarray(spikes.detach().cpu().numpy().astype(np.int32))
    return hashlib.sha256(counts.tobytes()).hexdigest()[:16]


def outcome(simulator: Simulator, job: Job, want: torch.Tensor) -> tuple[int | None, str, str]:
    """Output places that differ from ``want (T, B, …)``, or nothing; what the simulator said; its spikes' digest."""
    try:
        with quiet(), torch.no_grad():
            got = simulator.run(job)
    except Exception as e:  # whatever another library raises is the finding
        return None, f"{type(e).__name__}: {' '.join(str(e).split())[:90]}", ""
    if got.shape != want.shape:
        return None, f"output of shape {tuple(got.shape)}", ""
    return int((got != want).sum()), "", digest(got)


def compare(name: str, key: str, graph: nir.NIRGraph, x: torch.Tensor, want: torch.Tensor) -> list[Row]:  # fmt: skip
    """A simulator on one graph: as it comes, with each cause of difference alone, and with none.

    ``x (T, B, …)`` is the input, ``want (T, B, …)`` are snnTorch's output spikes. A graph that is refused as it
    comes and with all mends gets one row.
    """
    simulator = SIMULATORS[name]

    def job_with(mends: list[Mend]) -> Job:
        job = Job(copy.deepcopy(graph), x.clone())
        for mend in mends:
            mend(job)
        return job

    possible = []
    for mend in simulator.mends:
        if mend(job_with([])):  # there is something to mend in this graph
            possible.append(mend)
    tries: dict[str, list[Mend]] = {AS_IT_COMES: []}
    if len(possible) > 1:
        for cause in possible:
            tries[(cause.__doc__ or "").strip()] = [m for m in possible if m is not cause]
    tries[NOTHING_LEFT] = possible
    rows = []
    for cause, mends in tries.items():
        differ, said, spikes = outcome(simulator, job_with(mends), want)
        total = int(want.sum())
        rows.append(Row(name, simulator.version, key, cause, differ, total, said, spikes))
        if cause == AS_IT_COMES and differ == 0:
            return rows
    if len(possible) == 1:  # as it comes, there is just this one cause
        rows[0].cause = f"{AS_IT_COMES}: {(possible[0].__doc__ or '').strip()}"
    return rows[:1] if rows[-1].differ is None else rows


def version_of(package: str) -> str:
    """The installed version, or nothing."""
    if importlib.util.find_spec(package) is None:
        return ""
    return importlib.metadata.version(package)
