"""Akida: chip, simulator or nothing; from a Keras network to the AKD1000, and what it looks like there.

The way of a network: a Keras CNN is quantised (quantizeml), converted (cnn2snn, rules of Akida 1.0), mapped (akida).
TensorFlow and akida are imported inside the functions that need them: the first import takes ten seconds or more.
Documentation: https://doc.brainchipinc.com/
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from akd1000.device import load_network, write_checksum
from common.io import UserError, write_atomic

import numpy as np

NO_MACOS = "there are no wheels for macOS"
INSTALL = "pip install akida==2.19.1"


@dataclass(frozen=True)
class AkidaStatus:
    """``state`` is ``hardware``, ``simulator`` or ``absent``; ``reason`` is a phrase for people."""

    state: str
    reason: str
    version: str = ""
    devices: int = 0

    @property
    def means(self) -> str:
        """What this state makes of the numbers: a sentence for the journal."""
        return (
            f"Akida: {self.state} ({self.reason}). "
            + {
                "hardware": "Latency and power are the chip's own.",
                "simulator": "Accuracy, mapping and sparsity are the simulator's, which computes what the chip computes; "
                "no power was measured, and its speed is this machine's.",
                "absent": "Nothing was quantised or mapped here; hardware energy measurements were skipped, published "
                "figures stand in their place.",
            }[self.state]
        )


@cache
def akida_status() -> AkidaStatus:
    """Look for the akida package and for chips that its driver shows."""
    try:
        import akida
    except ImportError as e:
        how = NO_MACOS if sys.platform == "darwin" else INSTALL
        return AkidaStatus(
            "absent",
            f"the akida package is not installed ({how})"
            if e.name == "akida"
            else f"the akida package is broken: {e}",
        )
    try:
        devices = akida.devices()
    except Exception as e:  # a driver of another version, or no right to open /dev/akida0
        return AkidaStatus(
            "simulator", f"the driver answered with an error: {e}", akida.__version__
        )
    if devices:
        return AkidaStatus(
            "hardware", f"Found {len(devices)} Akida device(s)", akida.__version__, len(devices)
        )
    return AkidaStatus(
        "simulator",
        "Found 0 Akida device(s): no card, or its driver is not loaded",
        akida.__version__,
    )


# ------------------------------------------------------------------------------------ packages, quietly


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing on standard output or error inside, not even what C++ writes there, and no Python warnings.

    TensorFlow's libraries report on GPUs that are not there before any setting can silence them.
    """
    saved = None
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
        saved = os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        if saved is not None:
            os.dup2(saved, 2)
            os.close(saved)


def load(package: str) -> Any:
    """Import ``akida``, ``cnn2snn``, ``quantizeml`` or ``tf_keras`` without their noise.

    Raises:
        UserError: it is not installed, with what to do.
    """
    if package in sys.modules and sys.modules[package] is not None:
        return sys.modules[package]
    try:
        with quiet():
            return import_module(package)
    except ImportError as e:
        missing = e.name or package
        how = (
            NO_MACOS + "; run this part on Linux or Windows"
            if sys.platform == "darwin"
            else "install the course's packages with 'uv sync', or with 'uv pip install -r requirements-pc.txt'"
        )
        raise UserError(f"Akida: the package '{missing}' is missing; {how}") from e


def keras(threads: int = 2) -> Any:
    """``tf_keras``, the Keras that quantizeml works on; TensorFlow silenced, on the CPU, with few threads.

    TensorFlow would otherwise take a GPU's whole memory from PyTorch. ``$OMP_NUM_THREADS`` limits the threads further.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    fresh = "tensorflow" not in sys.modules
    tf = load("tensorflow")
    if fresh:
        tf.get_logger().setLevel("ERROR")
        with contextlib.suppress(ValueError):
            threads = min(threads, int(os.environ.get("OMP_NUM_THREADS", threads)))
        with contextlib.suppress(RuntimeError):  # too late once something ran
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
            tf.config.set_visible_devices([], "GPU")
    return load("tf_keras")


def missing_packages() -> list[str]:
    """Those of the four packages of the Akida stack that cannot be imported here."""
    missing = []
    for package in ("tensorflow", "akida", "quantizeml", "cnn2snn"):
        try:
            keras() if package == "tensorflow" else load(package)
        except UserError:
            missing.append(package)
    return missing


# ------------------------------------------------------------------------------------ quantise and convert

WEIGHTED = (
    "Conv2D",
    "DepthwiseConv2D",
    "SeparableConv2D",
    "Dense",
)  # Keras layers that become an Akida layer each


def channels_last(x: Any) -> np.ndarray:
    """PyTorch's uint8 images ``(N, C, H, W)`` as Akida and Keras take them, ``(N, H, W, C)``."""
    return np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy())


def check_samples(samples: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Images for Akida: ``(N, H, W, C)`` of uint8, the layout and type of the chip's input.

    Raises:
        UserError: with what was got, what is expected, and what to do.
    """
    samples = np.asarray(samples)
    if samples.dtype != np.uint8:
        raise UserError(
            f"Akida: got images of {samples.dtype}, expected uint8 (0 to 255); Akida 1.0 takes 8-bit "
            "inputs, so keep the raw pixels and let a Rescaling layer scale them"
        )
    if samples.ndim != 4 or samples.shape[1:] != tuple(shape):
        last = samples.ndim == 4 and samples.shape[2:] + samples.shape[1:2] == tuple(shape)
        fix = (
            "channels come last: use x.transpose(0, 2, 3, 1)"
            if last
            else "check the network's Input"
        )
        expected = ", ".join(("N", *map(str, shape)))
        raise UserError(f"Akida: got images {samples.shape}, expected ({expected}); {fix}")
    return samples


def quantize_and_convert(
    keras_model: Any,
    samples: np.ndarray,
    *,
    input_bits: int = 8,
    weight_bits: int = 4,
    activation_bits: int = 4,
    check: bool = True,
    per_channel: bool = False,
) -> tuple[Any, Any]:
    """Post-training quantisation and conversion by the rules of Akida 1.0 (the AKD1000).

    For the chip, a network starts with ``Input(dtype="uint8")`` and ``Rescaling``, then a convolution on 1 or 3
    channels; 3×3 convolutions, with max pooling except in the last one before the dense layers; ReLU throughout.

    Args:
        samples: ``(N, H, W, C)`` uint8 images, from which the range of each activation is read.
        input_bits: bits of the *weights* of the first layer (its input has 8); 8/4/4, 4/4/4 and 8/2/2 work.
        check: stop if the end of the network was lost on the way, which the packages do with no more than a warning
            (average pooling, 1-bit weights). False returns the truncated model, to be looked at.
        per_channel: quantizeml's default, which is wrong for this chip; lesson 19 shows what comes of it.

    Returns:
        The quantised Keras model and the ``akida.Model``, not mapped yet.

    Raises:
        UserError: a package is missing, the images have another type or shape, the network cannot be converted, or
            layers were lost.
    """
    keras()
    quantizeml, cnn2snn = load("quantizeml"), load("cnn2snn")
    samples = check_samples(samples, keras_model.input_shape[1:])
    bits = f"{input_bits}/{weight_bits}/{activation_bits}"
    try:
        with quiet(), cnn2snn.set_akida_version(cnn2snn.AkidaVersion.v1):
            # Akida 1.0 hands plain integers from layer to layer. quantizeml's default gives each channel a scale of its
            # own, which the conversion drops without a word: one image in four then gets another class on the chip.
            params = quantizeml.models.QuantizationParams(
                input_weight_bits=input_bits,
                weight_bits=weight_bits,
                activation_bits=activation_bits,
                per_tensor_activations=not per_channel,
            )
            quantised = quantizeml.models.quantize(
                keras_model,
                qparams=params,
                samples=samples,
                num_samples=len(samples),
                batch_size=min(100, len(samples)),
            )
            model = cnn2snn.convert(quantised)
    except Exception as e:  # TensorFlow, quantizeml and akida each have errors of their own
        raise UserError(
            f"Akida: the network cannot be converted at {bits} (input/weight/activation bits): {e}; "
            "known to work are 8/4/4, 4/4/4 and 8/2/2 on convolutions with max pooling and ReLU"
        ) from e
    if check:
        check_complete(keras_model, model, bits)
    return quantised, model


def convert(quantised: Any, keras_model: Any, bits: str = "") -> Any:
    """A quantised Keras network, for instance after quantisation-aware training, → ``akida.Model``, checked.

    Raises:
        UserError: a part of ``keras_model``, the float network that it was made from, got lost.
    """
    cnn2snn = load("cnn2snn")
    with quiet(), cnn2snn.set_akida_version(cnn2snn.AkidaVersion.v1):
        model = cnn2snn.convert(quantised)
    check_complete(keras_model, model, bits)
    return model


def keras_outputs(model: Any, x: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """Outputs ``(N, K)`` of a float or quantised Keras network, without the seconds that tracing a graph takes."""
    with quiet():
        out = [
            np.asarray(model(x[i : i + batch_size], training=False))
            for i in range(0, len(x), batch_size)
        ]
    return np.concatenate(out).reshape(len(x), -1)


def copy_weights(torch_net: Any, keras_net: Any) -> Any:
    """The weights of PyTorch's layers into those Keras layers that have the same names.

    PyTorch keeps (out, in, k, k) and (out, in), Keras (k, k, in, out) and (in, out).
    """
    for name, layer in torch_net.named_children():
        weight = layer.weight.detach().cpu().numpy()
        weight = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T
        keras_net.get_layer(name).set_weights([weight, layer.bias.detach().cpu().numpy()])
    return keras_net


def check_complete(keras_model: Any, model: Any, bits: str = "") -> None:
    """Every weighted layer arrived on the Akida side, and the output has the shape it had.

    Raises:
        UserError: a part of the network was lost in conversion.
    """
    expected = [
        layer.name for layer in keras_model.layers if type(layer).__name__.endswith(WEIGHTED)
    ]
    got = [layer.name for layer in model.layers]
    lost = [name for name in expected if name not in got]
    wanted = tuple(n for n in keras_model.output_shape[1:] if n != 1)
    shape = tuple(n for n in model.output_shape if n != 1)
    if lost or shape != wanted:
        raise UserError(
            f"Akida: conversion{' at ' + bits if bits else ''} lost a part of the network without an error: got "
            f"{len(got)} layers with output {tuple(model.output_shape)}, expected {len(expected)} with {wanted}"
            + (f"; the first one lost is '{lost[0]}'" if lost else "")
            + "; use max pooling and ReLU, and at least 2-bit weights"
        )


# ------------------------------------------------------------------------------------ on the mesh


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
        return sum(p for _, kind, p, _ in self.sequences if kind == "Hardware")

    @property
    def program_bytes(self) -> int:
        """What is loaded onto the chip: weights, thresholds and routes."""
        return sum(size for *_, size in self.sequences)

    @property
    def fallbacks(self) -> dict[str, str]:
        """Layers in software: name → akida's reason."""
        return {layer.name: layer.reason for layer in self.layers if not layer.on_hardware}

    def places(self) -> dict[str, Any]:
        """The mesh and who sits where, as plain lists: what ``plots.npu_mesh`` takes and metrics.json can hold."""
        place = lambda nps: [[n.col, n.row, n.id] for n in nps]  # noqa: E731
        return {
            "mesh": place(self.mesh),
            "layers": {layer.name: place(layer.nps) for layer in self.layers},
        }


def clone(model: Any) -> Any:
    """A copy of an ``akida.Model``: mapping a model on a virtual chip makes it unusable for simulation."""
    return load("akida").Model.from_dict(model.to_dict())


def map_on_akd1000(model: Any, hw_only: bool = False, mode: str = "AllNps") -> Mapping:
    """Map a copy of ``model`` on the AKD1000 (the virtual one: the mesh is the same) and report what sits where.

    Args:
        hw_only: stop if anything would fall to software.
        mode: ``AllNps`` spreads a layer over as many processors as there are, ``Minimal`` takes as few as can be.

    Raises:
        UserError: ``hw_only`` and it does not fit, in akida's words.
    """
    akida = load("akida")
    device, copy, problem = akida.AKD1000(), clone(model), ""
    map_mode = getattr(akida.MapMode, mode)
    try:
        copy.map(device, hw_only=True, mode=map_mode)
    except RuntimeError as e:
        problem = str(e)
        if hw_only:
            raise UserError(f"Akida: the network does not fit on the AKD1000: {problem}") from e
        copy = clone(model)
        copy.map(device, mode=map_mode)
    mesh = tuple(
        NP(n.ident.col, n.ident.row, n.ident.id, "/".join(t.name for t in n.types))
        for n in device.mesh.nps
    )
    why = fallback_reasons(problem)
    layers, sequences = [], []
    for sequence in copy.sequences:
        hardware = sequence.backend.name == "Hardware"
        sequences.append(
            (
                sequence.name,
                sequence.backend.name,
                len(sequence.passes),
                len(sequence.program) if hardware and sequence.program is not None else 0,
            )
        )
        for layer in (layer for p in sequence.passes for layer in p.layers):
            nps = (
                tuple(_np(n) for n in layer.mapping.nps)
                if hardware and layer.mapping is not None
                else ()
            )
            reason = "" if nps else why.get(layer.name, "its neighbours run in software")
            kind = layer.parameters.layer_type.name
            layers.append(MappedLayer(layer.name, kind, tuple(layer.output_dims), nps, reason))
    return Mapping(tuple(layers), mesh, tuple(sequences), problem)


def _np(n: Any) -> NP:
    memory = n.mem_info
    size = (
        (memory.weight_size, memory.input_size, memory.external_size)
        if memory is not None
        else (0, 0, 0)
    )
    return NP(n.ident.col, n.ident.row, n.ident.id, n.type.name, n.filters, *size)


def fallback_reasons(problem: str) -> dict[str, str]:
    """akida's answer to ``hw_only`` → name → reason. Two forms: a line a layer, ``* Layer 'name': reason``, or one
    sentence, ``Cannot map layer 'name'. reason``."""
    found: dict[str, str] = {}
    for name, reason in re.findall(
        r"(?:\* Layer|Cannot map layer) '([^']+)'[:.][ \t]*(\S.*)$", problem, re.MULTILINE
    ):
        found.setdefault(name, reason.strip())
    return found


# ------------------------------------------------------------------------------------ running it


def simulate(model: Any, x: np.ndarray, batch_size: int = 100) -> np.ndarray:
    """The outputs ``(N, K)`` for uint8 images ``(N, H, W, C)``: from the chip if there is one, else from the simulator.

    The simulator computes what the chip computes; its *speed* is that of this machine's processor and says nothing
    about the chip. ``model`` is not mapped yet, and stays so.
    """
    x = check_samples(x, tuple(model.input_shape))
    if akida_status().state == "hardware":
        model = clone(model)
        model.map(load("akida").devices()[0])
    out = [model.predict(x[i : i + batch_size]) for i in range(0, len(x), batch_size)]
    return np.concatenate(out).reshape(len(x), -1)


def layer_inputs(model: Any, x: np.ndarray) -> Iterator[np.ndarray]:
    """What each layer of ``model`` receives for ``x (N, H, W, C)``, by the simulator: ``(N, H, W, C)`` each."""
    yield x
    for i in range(1, len(model.layers)):  # the first layers of a model are a model, too
        yield load("akida").Model(layers=model.layers[:i]).forward(x)


def measure_on_chip(model: Any, x: np.ndarray) -> dict[str, float | None]:
    """Frames a second, mean power (mW) and energy a frame (mJ), by the card's own meter; None where it gives nothing.

    Raises:
        UserError: there is no chip. A simulator has no watts.
    """
    status = akida_status()
    if status.state != "hardware":
        raise UserError(
            f"Akida: got no chip ({status.reason}), expected one; power can only be measured on hardware"
        )
    device = load("akida").devices()[0]
    copy = clone(model)
    copy.map(device)
    soc = getattr(device, "soc", None)
    if soc is not None:
        soc.power_measurement_enabled = True
    copy.predict(check_samples(x, tuple(model.input_shape)))
    measured = copy.statistics
    return {
        "fps": measured.fps,
        "power_mw": (measured.powers or {}).get("Avg"),
        "energy_mj": measured.energy,
    }


# ------------------------------------------------------------------------------------ published figures

# what Akida 1.0 takes, layer by layer: https://doc.brainchipinc.com/user_guide/1.0_hw_constraints.html
ZOO = "https://doc.brainchipinc.com/model_zoo_performance.html"
KTH = "Chemnitz & Ermis, bachelor's thesis, KTH, June 2025"


@dataclass(frozen=True)
class Published:
    """A figure that others measured on an AKD1000. ``secondary``: taken from a summary, not read at the source."""

    model: str
    data: str
    bits: str
    source: str
    accuracy: float | None = None
    kilobytes: float | None = None
    nps: int | None = None
    latency_ms: float | None = None
    gpu_latency_ms: float | None = None
    energy_saved: str = ""
    """energy of the AKD1000 below that of the GTX 1080, as published"""
    secondary: bool = False


PUBLISHED: tuple[Published, ...] = (
    # Akida 1.0 model zoo, quantisation-aware training; bits are input weights/weights/activations
    Published("GXNOR", "MNIST", "2/2/1", ZOO, 0.9803, 412.8, 3),
    Published("DS-CNN", "keywords", "8/4/4", ZOO, 0.9172, 23.1, 5),
    Published("AkidaNet-0.25/96", "visual wake words", "8/4/4", ZOO, 0.8477, 179.6, 16),
    Published("AkidaNet-0.25/160", "ImageNet", "8/4/4", ZOO, 0.4258, None, 20),
    Published("AkidaNet/224", "ImageNet", "8/4/4", ZOO, 0.6965, None, 116),
    # one frame at a time against an NVIDIA GTX 1080
    Published(
        "GXNOR",
        "MNIST",
        "2-bit weights",
        KTH,
        latency_ms=1.622,
        gpu_latency_ms=7.014,
        energy_saved="99.5 %",
        secondary=True,
    ),
    Published(
        "YOLOv2",
        "Pascal VOC",
        "4-bit weights",
        KTH,
        latency_ms=160.9,
        gpu_latency_ms=73.8,
        energy_saved="96–99.7 %",
        secondary=True,
    ),
)


def published_tables(run: Any) -> None:
    """Print ``PUBLISHED``, and keep it in a lesson's results: figures of others, each with its network and source."""
    run.table(
        "Published: AKD1000 against an NVIDIA GTX 1080, one frame at a time (secondary source)",
        ("network, data", "AKD1000, ms", "GTX 1080, ms", "energy below the GPU's", "source"),
        [
            (
                f"{p.model}, {p.data}, {p.bits}",
                p.latency_ms,
                p.gpu_latency_ms,
                p.energy_saved,
                p.source,
            )
            for p in PUBLISHED
            if p.latency_ms
        ],
    )
    run.table(
        f"Published: Akida 1.0 model zoo, {ZOO}",
        ("network, data", "bits", "accuracy", "KB", "NPs"),
        [
            (f"{p.model}, {p.data}", p.bits, f"{100 * p.accuracy:.2f} %", p.kilobytes or "", p.nps)
            for p in PUBLISHED
            if p.accuracy
        ],
    )


def save_fbz(model: Any, path: Path) -> Path:
    """An ``akida.Model`` as ``path`` with its checksum beside it: akida does not notice a file that was cut short."""
    write_atomic(path, lambda tmp: model.save(str(tmp)))
    write_checksum(path)
    return path


def open_fbz(path: Path) -> Any:
    """The ``akida.Model`` in ``path``.

    Raises:
        UserError: there is none, it differs from its checksum, or it is damaged.
    """
    try:
        return load_network(path)
    except (ValueError, OSError) as e:
        raise UserError(str(e)) from e
