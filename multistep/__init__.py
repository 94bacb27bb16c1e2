"""A neuron layer over a whole sequence as one autograd function: snnTorch's spikes, bit for bit, faster.

``recursion.py`` is the page to read first; README.md says which neuron takes which path.
"""

from multistep.adaptive import Adaptation, triangle, unroll_adaptive
from multistep.bits import spikes_as_bits
from multistep.engine import unroll
from multistep.event_driven import over_events, rows_by_input
from multistep.gpu_normalised import norm_and_fire
from multistep.memory import keep_freed_memory, saved_for_backward
from multistep.normalised import fast_number, is_fused, unroll_normalised
from multistep.plan import which_path
from multistep.segments import over_segments
from multistep.stepping import step_through

__all__ = [
    "Adaptation",
    "fast_number",
    "is_fused",
    "keep_freed_memory",
    "norm_and_fire",
    "over_events",
    "over_segments",
    "rows_by_input",
    "saved_for_backward",
    "spikes_as_bits",
    "step_through",
    "triangle",
    "unroll",
    "unroll_adaptive",
    "unroll_normalised",
    "which_path",
]

keep_freed_memory()  # what this engine frees at one step it needs again at the next
