"""Where a network sits on the AKD1000: 20 nodes in a mesh, up to four neural processors (NPs) each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from akd1000.drawing import draw_mesh
from akd1000.packages import load
from common.io import UserError

from matplotlib.axes import Axes


@dataclass(frozen=True)
class NP:
    """One neural processor that a layer got, as ``model.map`` reports it."""

    col: int
    row: int
    id: int
    type: str
    """HRC (the input converter, beside the mesh), CNP1, CNP2 (convolution), FNP2, FNP3 (fully connected)"""
    filters: int = 0
    """filters or neurons that this processor computes"""
    weight_bytes: int = 0
    """in the processor's own memory"""
    input_bytes: int = 0
    external_bytes: int = 0
    """weights in the chip's external memory (an FNP2 fetches them from there)"""


@dataclass(frozen=True)
class MappedLayer:
    """One layer, with the processors that hold it; no processors: it runs in software."""

    name: str
    type: str
    output_shape: tuple[int, ...]
    nps: tuple[NP, ...] = ()
    reason: str = ""
    """why it is not on the chip, in akida's words"""

    @property
    def on_hardware(self) -> bool:
        """True if the chip computes this layer."""
        return bool(self.nps)

    @property
    def weight_bytes(self) -> int:
        """Weights in all its processors together."""
        return sum(n.weight_bytes for n in self.nps)

    @property
    def input_bytes(self) -> int:
        """Input buffers of all its processors together."""
        return sum(n.input_bytes for n in self.nps)

    @property
    def external_bytes(self) -> int:
        """Weights in external memory."""
        return sum(n.external_bytes for n in self.nps)

    @property
    def bytes(self) -> int:
        """All three together."""
        return self.weight_bytes + self.input_bytes + self.external_bytes


@dataclass(frozen=True)
class Mapping:
    """Where a network sits on an AKD1000."""

    layers: tuple[MappedLayer, ...]
    mesh: tuple[NP, ...]
    """all processors of the chip; ``type`` joins what each can be, such as ``CNP1/FNP3``"""
    sequences: tuple[tuple[str, str, int, int], ...]
    """name, Hardware or Software, passes, bytes of the program (weights included)"""
    problem: str = ""
    """akida's full answer to ``hw_only``; empty if the whole network fits"""

    @property
    def nps_total(self) -> int:
        """Processors of the chip, its input converter not counted."""
        return len(self.mesh)

    @property
    def nps_used(self) -> int:
        """Processors taken, counted as ``model.summary()`` does: without the input converter."""
        return sum(n.type != "HRC" for layer in self.layers for n in layer.nps)

    @property
    def passes(self) -> int:
        """Times the chip is filled for one image."""
        return sum(passes for _, kind, passes, _ in self.sequences if kind == "Hardware")

    @property
    def program_bytes(self) -> int:
        """What is loaded onto the chip: weights, thresholds and routes."""
        return sum(size for *_, size in self.sequences)

    @property
    def fallbacks(self) -> dict[str, str]:
        """Layers in software: name → akida's reason."""
        return {layer.name: layer.reason for layer in self.layers if not layer.on_hardware}

    def places(self) -> dict[str, Any]:
        """The mesh and who sits where, as plain lists: what ``draw_mesh`` takes and metrics.json can hold."""
        layers = {layer.name: _places(layer.nps) for layer in self.layers}
        return {"mesh": _places(self.mesh), "layers": layers}

    def draw(self, ax: Axes) -> None:
        """Draw the mesh and its layers on ``ax``."""
        draw_mesh(ax, **self.places())


def _places(nps: Sequence[NP]) -> list[list[int]]:
    return [[n.col, n.row, n.id] for n in nps]


def copy_model(model: Any) -> Any:
    """A copy of an ``akida.Model``: mapping on a virtual chip makes a model unusable for simulation."""
    return load("akida").Model.from_dict(model.to_dict())


def map_on_akd1000(model: Any, hw_only: bool = False, mode: str = "AllNps") -> Mapping:
    """Map a copy of ``model`` on the AKD1000 (the virtual one: the mesh is the same); report what sits where.

    Args:
        hw_only: stop if anything would fall to software.
        mode: ``AllNps`` spreads a layer over as many processors as there are, ``Minimal`` takes as few as
            can be.

    Raises:
        UserError: ``hw_only`` and it does not fit, in akida's words.
    """
    akida = load("akida")
    device, mapped, problem = akida.AKD1000(), copy_model(model), ""
    map_mode = getattr(akida.MapMode, mode)
    try:
        mapped.map(device, hw_only=True, mode=map_mode)
    except RuntimeError as e:
        problem = str(e)
        if hw_only:
            raise UserError(f"Akida: the network does not fit on the AKD1000: {problem}") from e
        mapped = copy_model(model)
        mapped.map(device, mode=map_mode)
    reasons = fallback_reasons(problem)
    layers, sequences = [], []
    for sequence in mapped.sequences:
        on_chip = sequence.backend.name == "Hardware"
        size = len(sequence.program) if on_chip and sequence.program is not None else 0
        sequences.append((sequence.name, sequence.backend.name, len(sequence.passes), size))
        for one_pass in sequence.passes:
            for layer in one_pass.layers:
                layers.append(_mapped(layer, on_chip, reasons))
    mesh = []
    for n in device.mesh.nps:
        kinds = "/".join(kind.name for kind in n.types)
        mesh.append(NP(n.ident.col, n.ident.row, n.ident.id, kinds))
    return Mapping(tuple(layers), tuple(mesh), tuple(sequences), problem)


def _mapped(layer: Any, on_chip: bool, reasons: dict[str, str]) -> MappedLayer:
    nps, reason = [], ""
    if on_chip and layer.mapping is not None:
        for n in layer.mapping.nps:
            memory = n.mem_info
            size = (0, 0, 0)
            if memory is not None:
                size = (memory.weight_size, memory.input_size, memory.external_size)
            nps.append(NP(n.ident.col, n.ident.row, n.ident.id, n.type.name, n.filters, *size))
    if not nps:
        reason = reasons.get(layer.name, "its neighbours run in software")
    kind = layer.parameters.layer_type.name
    return MappedLayer(layer.name, kind, tuple(layer.output_dims), tuple(nps), reason)


def fallback_reasons(problem: str) -> dict[str, str]:
    """akida's answer to ``hw_only`` → name → reason.

    It has two forms: a line a layer, ``* Layer 'name': reason``, or one sentence, ``Cannot map layer
    'name'. reason``.
    """
    form = r"(?:\* Layer|Cannot map layer) '([^']+)'[:.][ \t]*(\S.*)$"
    found: dict[str, str] = {}
    for name, reason in re.findall(form, problem, re.MULTILINE):
        found.setdefault(name, reason.strip())
    return found
