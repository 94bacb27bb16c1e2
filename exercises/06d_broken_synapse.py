"""06d  Broken on purpose: a synapse that passes the usual test

Lesson 06, sections 1 and 2. Somebody has ported snn.Synaptic to a library whose neurons are described by
two time constants: τ_syn of the synapse and τ_mem of the membrane, both in ms. The test that came with it
compares the potential after one input with snn.Synaptic, below the threshold. It passes, to the last
digit. In a network the neuron makes quite different spikes.

The function below runs; two things in it are wrong. Find out why the test cannot see them, and mend them.
``x (T, B)`` is the weighted input, ``tau_syn``, ``tau_mem`` and ``dt`` are in ms, θ is 1, the reset is by
subtraction. Returned are spk_rec, syn_rec and mem_rec, each ``(T, B)``. About 10 minutes.

Run:  uv run exercises/06d_broken_synapse.py
"""

from __future__ import annotations

import _root  # noqa: F401

import math

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor


def run_synapse(
    x: Tensor, tau_syn: float, tau_mem: float, dt: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """A neuron with a synaptic current over ``x (T, B)``: ``spk_rec, syn_rec, mem_rec``."""
    decay_1 = math.exp(-dt / tau_mem)
    decay_2 = math.exp(-dt / tau_syn)
    syn = torch.zeros_like(x[0])
    mem = torch.zeros_like(x[0])
    spk = torch.zeros_like(x[0])
    spk_rec, syn_rec, mem_rec = [], [], []
    for x_t in x:
        syn = decay_1 * syn + x_t - spk * 1.0
        mem = decay_2 * mem + syn
        spk = (mem > 1.0).float()
        spk_rec.append(spk)
        syn_rec.append(syn)
        mem_rec.append(mem)
    return torch.stack(spk_rec), torch.stack(syn_rec), torch.stack(mem_rec)


# ---- nothing to edit below this line

TAUS = ((9.5, 4.5), (3.0, 20.0), (5.0, 5.0))  # τ_syn, τ_mem in ms


def records(run_synapse, x: Tensor, tau_syn: float, tau_mem: float, dt: float = 1.0):
    """The student's three records, each ``(T, B)``."""
    returned = run_synapse(x, tau_syn, tau_mem, dt)
    if not isinstance(returned, tuple) or len(returned) != 3:
        raise Wrong(
            "expected three things: 'return torch.stack(spk_rec), torch.stack(syn_rec), …'."
        )
    return returned


def by_snntorch(x: Tensor, tau_syn: float, tau_mem: float, dt: float = 1.0):
    """spk_rec, syn_rec, mem_rec of snn.Synaptic."""
    synaptic = snn.Synaptic(alpha=math.exp(-dt / tau_syn), beta=math.exp(-dt / tau_mem))
    syn = torch.zeros_like(x[0])
    mem = torch.zeros_like(x[0])
    steps = []
    for x_t in x:
        spk, syn, mem = synaptic(x_t, syn, mem)
        steps.append(torch.stack((spk, syn, mem)))
    return torch.stack(steps, dim=1).unbind(0)


def check_below_threshold(run_synapse) -> None:
    """the test that came with it: U after one weak input, no spike"""
    for tau_syn, tau_mem in TAUS:
        x = torch.zeros(60, 1)
        x[0] = 0.1
        _, _, mem_rec = records(run_synapse, x, tau_syn, tau_mem)
        wanted = by_snntorch(x, tau_syn, tau_mem)[2]
        smell = f"τ_syn = {tau_syn} ms, τ_mem = {tau_mem} ms. This was right before."
        expect(mem_rec, wanted, "U (T, N)", smell)


def check_current(run_synapse) -> None:
    """after one weak input, the current too is that of snn.Synaptic"""
    for tau_syn, tau_mem in TAUS:
        x = torch.zeros(60, 1)
        x[0] = 0.1
        _, syn_rec, _ = records(run_synapse, x, tau_syn, tau_mem)
        wanted = by_snntorch(x, tau_syn, tau_mem)[1]
        smell = (
            f"τ_syn = {tau_syn} ms, τ_mem = {tau_mem} ms. The same U can come from a different "
            "current: how?"
        )
        expect(syn_rec, wanted, "I (T, N)", smell)


def check_reset(run_synapse) -> None:
    """a spike changes U and leaves the current alone"""
    for tau_syn, tau_mem in TAUS:
        x = torch.zeros(40, 1)
        x[0] = 1.4
        spk_rec, syn_rec, mem_rec = records(run_synapse, x, tau_syn, tau_mem)
        wanted_spk, wanted_syn, wanted_mem = by_snntorch(x, tau_syn, tau_mem)
        smell = (
            f"τ_syn = {tau_syn} ms, τ_mem = {tau_mem} ms; one input of 1.4, which fires at step 0."
        )
        expect(syn_rec, wanted_syn, "I (T, N)", f"{smell} Who pays for the spike?")
        expect(mem_rec, wanted_mem, "U (T, N)", f"{smell} θ is paid in full, one step later.")
        expect(spk_rec, wanted_spk, "S (T, N)", smell)


def check_clock(run_synapse) -> None:
    """random input, and a finer clock: spike for spike like snn.Synaptic"""
    x = 0.4 * torch.rand(300, 8) - 0.05
    for dt in (1.0, 0.5):
        spk_rec, _, _ = records(run_synapse, x, 6.0, 12.0, dt)
        wanted = by_snntorch(x, 6.0, 12.0, dt)[0]
        expect(spk_rec, wanted, "S (T, N)", f"τ_syn = 6 ms, τ_mem = 12 ms, Δt = {dt} ms.")


EXERCISE = Exercise(
    solve=run_synapse,
    checks=(check_below_threshold, check_current, check_reset, check_clock),
    hints=(
        "Which changes to a neuron leave U as it is, as long as there is no spike? Section 2 names one; a "
        "term that contains S is another.",
        "Compare the loop with equations (1) and (2), decay by decay and term by term.",
        "The current fades with τ_syn and the membrane with τ_mem; '- spk * 1.0' belongs into the line of "
        "mem.",
    ),
    why="Below the threshold a neuron shows only its impulse response, which is symmetric in the two decays "
    "and knows no reset. Test a port with spikes.",
)

if __name__ == "__main__":
    EXERCISE.main()
