"""Between snnTorch and NIR: all that lesson 17 uses, under one name.

watching, nodes, exporting     a network of snnTorch neurons → a graph
files, graphs, reading         a file → a graph → a network that steps through time
fields, layers, membranes      one node → one layer, field by field
neurons                        NIR's equations in snnTorch's time steps
comparing                      two simulators of one graph, spike by spike
platforms, drawing             who takes which node; pictures
"""

from __future__ import annotations

from exchange.comparing import compare, quietly, run_graph, spikes_of
from exchange.drawing import draw_difference, draw_graph
from exchange.exporting import EXPORTED, per_neuron, to_nir, why_not
from exchange.fields import DT
from exchange.files import read_nir
from exchange.graphs import NEURONS, SPIKING, node_order
from exchange.nodes import lif_node
from exchange.platforms import BRAILLE, INSTEAD, TARGETS, second_simulators
from exchange.reading import ImportedNet, from_nir

__all__ = [
    "BRAILLE",
    "DT",
    "EXPORTED",
    "INSTEAD",
    "NEURONS",
    "SPIKING",
    "TARGETS",
    "ImportedNet",
    "compare",
    "draw_difference",
    "draw_graph",
    "from_nir",
    "lif_node",
    "node_order",
    "per_neuron",
    "quietly",
    "read_nir",
    "run_graph",
    "second_simulators",
    "spikes_of",
    "to_nir",
    "why_not",
]
