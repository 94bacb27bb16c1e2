"""Between snnTorch and NIR: all that lesson 17 uses, under one name.

watching, nodes, exporting     a network of snnTorch neurons → a graph
files, graphs, reading         a file → a graph → a network that steps through time
fields, layers, membranes      one node → one layer, field by field
neurons, equations             NIR's equations in snnTorch's time steps; solved exactly
comparing                      two simulators of one graph, spike by spike
journeys                       out by a file and back
simulators                     the same file in SpikingJelly, Norse and sinabs, if they are installed
braille                        the NIR paper's recurrent task, rendered
probes                         ways to write forward, and what exporters make of them
platforms, drawing             who takes which node; pictures
"""

from __future__ import annotations

from exchange.comparing import compare, quietly, run_graph, spikes_of
from exchange.drawing import (
    draw_difference,
    draw_graph,
    draw_operations,
    draw_rows,
    draw_seeds,
    draw_words,
)
from exchange.equations import exact_membrane
from exchange.exporting import EXPORTED, per_neuron, to_nir, why_not
from exchange.fields import DT
from exchange.files import read_nir
from exchange.graphs import NEURONS, SPIKING, node_order
from exchange.journeys import Journey, in_one_line, send
from exchange.nodes import lif_node
from exchange.platforms import BRAILLE, BRAILLE_LETTERS, INSTEAD, TARGETS, braille_table
from exchange.reading import ImportedNet, from_nir

__all__ = [
    "BRAILLE",
    "BRAILLE_LETTERS",
    "DT",
    "EXPORTED",
    "INSTEAD",
    "NEURONS",
    "SPIKING",
    "TARGETS",
    "ImportedNet",
    "Journey",
    "braille_table",
    "compare",
    "draw_difference",
    "draw_graph",
    "draw_operations",
    "draw_rows",
    "draw_seeds",
    "draw_words",
    "exact_membrane",
    "from_nir",
    "in_one_line",
    "lif_node",
    "node_order",
    "per_neuron",
    "quietly",
    "read_nir",
    "run_graph",
    "send",
    "spikes_of",
    "to_nir",
    "why_not",
]
