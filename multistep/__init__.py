"""A neuron layer over a whole sequence as one autograd function: snnTorch's spikes, bit for bit, faster."""

from multistep.engine import over_segments, unroll
from multistep.memory import keep_freed_memory, saved_for_backward
from multistep.normalised import fast_number, is_fused, unroll_normalised

__all__ = [
    "fast_number",
    "is_fused",
    "keep_freed_memory",
    "over_segments",
    "saved_for_backward",
    "unroll",
    "unroll_normalised",
]

keep_freed_memory()  # what this engine frees at one step it needs again at the next
