"""A neuron layer over a whole sequence as one autograd function: snnTorch's spikes, bit for bit, faster."""

from multistep.engine import over_segments, unroll
from multistep.memory import saved_for_backward

__all__ = ["over_segments", "saved_for_backward", "unroll"]
