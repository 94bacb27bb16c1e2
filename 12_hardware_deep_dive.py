"""Lesson 12 — GPU simulation vs. neuromorphic hardware: where a spike saves work, and where it does not

Question
    A silent neuron sends nothing. Which machine turns that nothing into saved time and energy, and which one
    multiplies it by a weight all the same?

Idea
    A layer of N inputs and M outputs does, in one time step, one of two things. *Clock-driven* hardware (CPU, GPU)
    multiplies the whole input vector, zeros included. *Event-driven* hardware takes the list of those inputs that
    spiked and adds the weights of each to the M sums. With the activity a, the share of inputs that spike:

        clock-driven:   y_j = Σ_i W_ji·s_i          N·M operations, whatever the input                    (1)
        event-driven:   y_j = Σ_{i: s_i=1} W_ji     a·N·M operations: additions only                      (2)

    (2) does fewer operations whenever a < 1, yet on a processor with caches and vector units an operation of (2) is
    dearer than one of (1), the more so the larger the batch: (1) loads a weight once for all samples. If (1) takes
    the time t_c and (2) the time t_0 + t_e·a, they are equally fast at the crossing

        a* = (t_c − t_0) / t_e                                                                            (3)

    and only below a* does sparsity buy time. Event-driven chips are built to move a* towards 1: each core holds its
    own weights (nothing is fetched), it works when an event arrives, and there is no batch. BrainChip's AKD1000 is
    a mesh of 20 nodes with up to four neural processors (NPs) each, 78 together. A layer is cut along its filters
    and spread over NPs; events travel between nodes as packets. What the mesh cannot take runs in software.

    NeuroBench sets *correctness* beside *complexity*: footprint (bytes), connection and activation sparsity (share
    of zero weights, of zero outputs), and synaptic operations: accumulates (ACs) where the input is a spike,
    multiply-accumulates (MACs) where it is a number, dense if nothing were skipped. They can be counted before there
    is a chip; latency and energy belong to the system that runs the network.

Read first
    Theory:   NeuroBench (2025), https://www.nature.com/articles/s41467-025-56739-4
    Practice: Akida documentation, https://doc.brainchipinc.com/
              limits of the AKD1000, https://doc.brainchipinc.com/user_guide/1.0_hw_constraints.html
              Open Neuromorphic, https://open-neuromorphic.org/

Run
    uv run 12_hardware_deep_dive.py              about two minutes on two CPU cores
    uv run 12_hardware_deep_dive.py --epochs 5   train the Akida twin anew (minutes), instead of its saved weights
    uv run 12_hardware_deep_dive.py --smoke      a minute at most, most of it TensorFlow's start; stand-in data

You should see
    Clock-driven time is flat; event-driven time follows activity. The crossing a*: 62 % for one sample, 17 % for a
    batch of 64; other runs on the same busy machine gave 57 to 70 % and 13 to 25 %.
    The SNN does 2.9 times fewer operations than a dense one, yet takes 4 to 8 times its ReLU twin's latency.
    The twin takes 66 of 78 processors (3 would do), all layers on the chip, and keeps 59.6 % of 61.6 % accuracy at
    8/4/4 bits; with max pooling last one layer falls to software.
    Estimated for arithmetic: event-driven 12 times below clock-driven, 3.5 times below the ReLU twin's dense pass.

Builds on / leads to
    10 trained the network. 14 makes it sparser, 17 counts energy by layer, 16 and 19 take the road to Akida with
    more care: ANN to SNN, quantisation-aware training, the file for the chip.

Predict: with --num-steps 8 the SNN runs twice as long. Which numbers of it double: latency, SynOps, memory, footprint?
Next: uv run 13_recurrent_snn.py
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from akd1000 import packages
from akd1000.chip import akida_outputs, layer_inputs, measure_on_chip
from akd1000.convert import channels_last, copy_weights, keras_outputs, quantize_and_convert
from akd1000.drawing import draw_mesh
from akd1000.mesh import Mapping, map_on_akd1000
from akd1000.published import published_tables
from common import plots
from common.akida import akida_status
from common.cost import PJ_PER_AC, PJ_PER_MAC, ann_macs, estimated_energy_nj, workload
from common.data import ImageData, cifar10
from common.device import describe, device_names, synchronize
from common.io import ROOT, UserError, load_weights
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from common.spiking import constant_current, over_time, reset_state, spiking_layers
from multistep import unroll
from training import evaluate, fit
from training.augment import flip_and_shift

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CNN, TWIN = (
    ROOT / "checkpoints" / f"{name}.safetensors" for name in ("cifar10_cnn", "cifar10_akida_twin")
)


@dataclass
class Config(LessonConfig):
    """Trained weights come from checkpoints/, so that the run measures and hardly trains."""

    num_steps: int = bounded(4, 1, 100_000)
    """time steps per image (T), as lesson 10 trained"""
    epochs: int = bounded(0, 0, 1000)
    """train the Akida twin for so many epochs; 0: take the saved weights"""
    repeats: int = bounded(40, 3, 10_000)
    """timings behind each median"""
    batch: int = bounded(256, 1, 4096)
    """largest batch in the throughput measurement"""
    images: int = bounded(1000, 8, 10_000)
    """test images that NeuroBench counts operations on"""
    simulated: int = bounded(2000, 8, 10_000)
    """test images that go through the quantised network in Akida's simulator"""
    inputs: int = bounded(2048, 64, 65_536)
    """inputs, and outputs, of the layer that is run clock-driven and event-driven"""


SMOKE = {"repeats": 3, "batch": 8, "images": 16, "simulated": 16, "inputs": 256}
FULL = {"repeats": 200, "images": 10_000, "simulated": 10_000}

CONTENDERS = ("SNN, step by step", "SNN, layer by layer", "ReLU twin, one pass")
ACTIVITIES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)


# ------------------------------------------------------------------------------------ the networks


# same as lesson 10
class SmallCNN(nn.Module):
    """Three convolutions of stride 2 and a read-out, a Leaky neuron after each: 32×32 pixels → 16 → 8 → 4.

    Strides make the maps small, so everything that travels between layers is binary, and the weights are all in
    convolutions and one linear layer. ``forward`` is one time step, ``run`` a whole sequence from rest.
    """

    def __init__(
        self, channels: Sequence[int] = (32, 64, 128), beta: float = 0.5, num_outputs: int = 10
    ) -> None:
        super().__init__()
        c1, c2, c3 = channels
        self.conv1 = nn.Conv2d(3, c1, 5, stride=2, padding=2)
        self.lif1 = snn.Leaky(beta=beta, init_hidden=True)
        self.conv2 = nn.Conv2d(c1, c2, 3, stride=2, padding=1)
        self.lif2 = snn.Leaky(beta=beta, init_hidden=True)
        self.conv3 = nn.Conv2d(c2, c3, 3, stride=2, padding=1)
        self.lif3 = snn.Leaky(beta=beta, init_hidden=True)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(c3 * 4 * 4, num_outputs)
        self.lif4 = snn.Leaky(beta=beta, init_hidden=True, output=True)
        for conv in (self.conv1, self.conv2, self.conv3):
            # spikes are few: with PyTorch's own scale the currents stay far under θ = 1 and deep layers start silent
            nn.init.normal_(conv.weight, std=2 / conv.weight[0].numel() ** 0.5)
            nn.init.zeros_(conv.bias)

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step: ``(B, 3, 32, 32)`` → output spikes and membrane, each ``(B, 10)``."""
        spk1 = self.lif1(self.conv1(x_t))  # (B, 32, 16, 16)
        spk2 = self.lif2(self.conv2(spk1))  # (B, 64, 8, 8)
        spk3 = self.lif3(self.conv3(spk2))  # (B, 128, 4, 4)
        return self.lif4(self.fc(self.flatten(spk3)))  # (B, 10), (B, 10)

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All steps: ``(T, B, 3, 32, 32)`` → ``spk_rec, mem_rec``, each ``(T, B, 10)``, starting from rest."""
        spk1, _, _ = unroll(self.lif1, over_time(self.conv1, x))  # a still image is convolved once
        spk2, _, _ = unroll(self.lif2, over_time(self.conv2, spk1))  # (T, B, 64, 8, 8)
        spk3, _, _ = unroll(self.lif3, over_time(self.conv3, spk2))  # (T, B, 128, 4, 4)
        cur4 = over_time(self.fc, spk3.flatten(2))  # (T, B, 10)
        spk4, mem4, _ = unroll(self.lif4, cur4, record_mem=True)
        return spk4, mem4


# same as lesson 10
def encode(x: torch.Tensor, num_steps: int) -> torch.Tensor:
    """Grey values 0..1, centred and stretched to −2..2, as a current that stays: ``(B, …) → (T, B, …)``."""
    return constant_current(4 * x - 2, num_steps)


class Twin(nn.Module):
    """SmallCNN for Akida: the same layers and weights, ReLU (clipped at 6) where the Leaky neurons were, no time.

    Padded as TensorFlow does for ``padding="same"`` and stride 2: more at the end than at the start.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5, stride=2)
        self.conv2 = nn.Conv2d(32, 64, 3, stride=2)
        self.conv3 = nn.Conv2d(64, 128, 3, stride=2)
        self.fc = nn.Linear(128 * 4 * 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pixels 0..1 ``(B, 3, 32, 32)`` → logits ``(B, 10)``."""
        x = F.relu6(self.conv1(F.pad(x, (1, 2, 1, 2))))  # (B, 32, 16, 16)
        x = F.relu6(self.conv2(F.pad(x, (0, 1, 0, 1))))  # (B, 64, 8, 8)
        x = F.relu6(self.conv3(F.pad(x, (0, 1, 0, 1))))  # (B, 128, 4, 4)
        return self.fc(
            x.permute(0, 2, 3, 1).flatten(1)
        )  # channels last, as Keras flattens: (B, 10)

    def run(self, x: torch.Tensor) -> torch.Tensor:
        """``(1, B, 3, 32, 32)`` → ``(B, 10)``: one frame, one pass."""
        return self(x[0])


def keras_twin(twin: Twin) -> Any:
    """The twin in Keras, with the same weights."""
    K = packages.keras()
    L = K.layers
    with packages.quiet():
        x = inputs = L.Input((32, 32, 3), dtype="uint8")  # a float input could not be mapped
        x = L.Rescaling(1 / 255.0)(x)
        for name, channels, size in (("conv1", 32, 5), ("conv2", 64, 3), ("conv3", 128, 3)):
            x = L.ReLU(6.0)(L.Conv2D(channels, size, strides=2, padding="same", name=name)(x))
        net = K.Model(inputs, L.Dense(10, name="fc")(L.Flatten()(x)))
    return copy_weights(twin, net)


def bare_model(channels: Sequence[int] = (32, 64, 128), pool_last: bool = False) -> Any:
    """The twin's layers written in akida itself, without training: what fits on the mesh depends on shapes alone."""
    ak = packages.load("akida")
    c1, c2, c3 = channels
    stride, bits = {"kernel_stride": (2, 2)}, {"weights_bits": 4, "act_bits": 4}
    pool = {"pool_type": ak.PoolType.Max, "pool_size": (2, 2), "pool_stride": (2, 2)}
    model = ak.Model()
    model.add(
        ak.InputConvolutional(
            (32, 32, 3), (5, 5), c1, name="conv1", weights_bits=8, act_bits=4, **stride
        )
    )
    model.add(ak.Convolutional((3, 3), c2, name="conv2", **bits, **stride))
    model.add(ak.Convolutional((3, 3), c3, name="conv3", **bits, **(pool if pool_last else stride)))
    model.add(ak.FullyConnected(10, name="fc", weights_bits=4, activation=False))
    model.layers[0].set_variable(
        "weights", np.ones((5, 5, 3, c1), np.int8)
    )  # the input converter refuses zeros
    return model


# ------------------------------------------------------------------------------------ the equations as code


def clock_driven(spk: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Equation (1): ``spk (B, N)`` of zeros and ones, ``weight (N, M)`` → ``(B, M)``."""
    return spk @ weight  # y_j = Σ_i W_ji·s_i, zeros included


def event_driven(events: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Equation (2): the addresses of the inputs that spiked, ``events (B, K)``, ``weight (N, M)`` → ``(B, M)``."""
    return F.embedding_bag(
        events, weight, mode="sum"
    )  # y_j = Σ_{i: s_i=1} W_ji: K rows are read, the others are not


def crossing(
    activity: Sequence[float], clock: Sequence[float], event: Sequence[float]
) -> dict[str, float]:
    """Equation (3): a line t_0 + t_e·a through the event-driven times, by least relative error."""
    a, event, t_c = np.asarray(activity), np.asarray(event), float(np.median(clock))
    t_e, t_0 = np.polyfit(a, event, 1, w=1 / event)
    residual = event - (t_0 + t_e * a)
    return {
        "t_c": t_c,
        "t_0": float(t_0),
        "t_e": float(t_e),
        "r2": float(1 - residual.var() / event.var()),
        "a": float(np.clip((t_c - t_0) / t_e, 0, 1)),
    }  # a* = (t_c − t_0) / t_e


# ------------------------------------------------------------------------------------ measuring a machine

ENERGY_COUNTER = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
"""RAPL: microjoules that the processor has taken so far (Linux; often for root only)"""


def timed(
    contenders: dict[Any, Callable[[], object]], repeats: int, device: torch.device | str
) -> dict[Any, np.ndarray]:
    """Milliseconds of each call, ``(repeats,)`` by name.

    The calls take turns, so that a busy machine is busy for all of them. Each round has a new order, so that
    none always finds the caches as the same other one left them.
    """
    times: dict[Any, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    rng = random.Random(0)
    for i in range(repeats + 2):
        for name in rng.sample(names, len(names)):
            call = contenders[name]
            begun = time.perf_counter()
            call()
            synchronize(device)
            if i >= 2:  # two rounds to warm up
                times[name].append(1000 * (time.perf_counter() - begun))
    return {name: np.asarray(t) for name, t in times.items()}


class LiveBytes(TorchDispatchMode):
    """``peak``: most bytes of tensors alive at one time inside the block, the same on every device.

    Args:
        leave_out: tensors, such as weights and input, whose memory is not counted.
    """

    def __init__(self, leave_out: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.outside = {t.untyped_storage().data_ptr() for t in leave_out}
        self.alive: dict[int, Callable[[], bool]] = {}
        self.size: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from torch.multiprocessing.reductions import StorageWeakRef

        out = func(*args, **(kwargs or {}))
        for t in tree_leaves(out):
            if not isinstance(t, torch.Tensor):
                continue
            storage = t.untyped_storage()
            if storage.data_ptr() in self.outside:
                continue
            self.alive[storage._cdata] = StorageWeakRef(storage).expired
            self.size[storage._cdata] = storage.nbytes()
        self.alive = {k: expired for k, expired in self.alive.items() if not expired()}
        self.peak = max(self.peak, sum(self.size[k] for k in self.alive))
        return out


def measured_energy(
    step: Callable[[], object],
    device: torch.device | str,
    seconds: float = 2.0,
    counter: Path = ENERGY_COUNTER,
) -> float | None:
    """Millijoules a call by the machine's own meter, whatever else it does included; None where there is none.

    A CPU has an energy counter, an NVIDIA or AMD GPU a power reading, which is averaged. Neither Apple's GPU nor
    a virtual machine shows one.
    """
    kind = torch.device(device).type
    try:
        if kind == "cpu":
            return _by_energy_counter(step, seconds, counter)
        if kind == "cuda":
            return _by_power_reading(step, torch.device(device), seconds)
    except (OSError, ValueError, RuntimeError, ModuleNotFoundError, AttributeError):
        pass  # no counter, no right to read it, or no driver that answers
    return None


def _by_energy_counter(step: Callable[[], object], seconds: float, counter: Path) -> float | None:
    before = int(counter.read_text(encoding="utf-8"))
    begun, calls = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        step()
        calls += 1
    used = int(counter.read_text(encoding="utf-8")) - before  # µJ
    return used / 1000 / calls if used > 0 else None  # the counter runs over now and then


def _by_power_reading(
    step: Callable[[], object], device: torch.device, seconds: float
) -> float | None:
    powers: list[int] = []  # mW
    begun, calls = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        step()
        synchronize(device)
        if calls % 20 == 0:
            powers.append(torch.cuda.power_draw(device))
        calls += 1
    spent = time.perf_counter() - begun
    return float(np.mean(powers)) * spent / calls  # mW · s = mJ


def effective_operations(x: torch.Tensor, layer: nn.Module) -> float:
    """Operations per sample that inputs ``x (B, C, H, W)`` or ``(B, N)`` cause, if zeros cause none.

    A convolution pads as TensorFlow does for ``padding="same"``. Each input that is not zero meets every window it
    lies in, in every output channel.
    """
    if isinstance(layer, nn.Linear):
        return float((x != 0).sum() / len(x)) * layer.out_features
    k, stride = layer.kernel_size[0], layer.stride[0]  # type: ignore[index]
    outputs = -(-x.shape[2] // stride)
    pad = max(0, (outputs - 1) * stride + k - x.shape[2])
    before, after = pad // 2, pad - pad // 2
    active = (x != 0).float().sum(1, keepdim=True)  # (B, 1, H, W): active channels at each place
    active = F.pad(active, (before, after, before, after))  # (B, 1, H + pad, W + pad)
    read = F.conv2d(
        active, torch.ones(1, 1, k, k), stride=stride
    )  # (B, 1, H', W'): read by each output
    return float(read.sum() / len(x)) * layer.out_channels  # type: ignore[operator]


# ------------------------------------------------------------------------------------ experiments


def step_by_step(net: SmallCNN, x: torch.Tensor) -> torch.Tensor:
    """The clock made visible: every layer at every step. ``x (T, B, …)`` → mean membrane ``(B, 10)``."""
    reset_state(net)
    return torch.stack([net(x_t)[1] for x_t in x]).mean(0)


@torch.no_grad()
def experiment_devices(
    cfg: Config, net: SmallCNN, twin: Twin, images: torch.Tensor
) -> list[dict[str, Any]]:
    """The SNN in two orders and its ReLU twin on every device here: latency, throughput, working memory."""
    rows = []
    for device in device_names():
        net, twin = net.to(device), twin.to(device)
        for size in sorted({1, *(b for b in (4, 16, 64, 256, 1024) if b < cfg.batch), cfg.batch}):
            x = images[:size].to(device).float() / 255
            seq = encode(x, cfg.num_steps)
            calls = (partial(step_by_step, net, seq), partial(net.run, seq), partial(twin, x))
            contenders = dict(zip(CONTENDERS, calls, strict=True))
            for name, ms in timed(
                contenders, max(3, round(cfg.repeats / max(1, size / 16))), device
            ).items():
                with LiveBytes(
                    [*net.parameters(), *net.buffers(), *twin.parameters(), x, seq]
                ) as live:
                    contenders[name]()
                rows.append(
                    {
                        "device": device,
                        "name": name,
                        "batch": size,
                        "p50": float(np.median(ms)),
                        "p95": float(np.percentile(ms, 95)),
                        "bytes": live.peak,
                    }
                )
        reset_state(net)
    _ = [network.to("cpu") for network in (net, twin)]
    return rows


@torch.no_grad()
def experiment_neurobench(net: SmallCNN, x: torch.Tensor) -> dict[str, Any]:
    """NeuroBench's complexity metrics on ``x (T, B, …)``, and each layer's firing rate by hooks of our own."""
    from neurobench.metrics.static import ConnectionSparsity, Footprint
    from neurobench.models import SNNTorchModel

    fired: dict[str, list[float]] = {name: [] for name in spiking_layers(net)}  # one entry a step

    def count(name: str, _m: nn.Module, _i: Any, out: Any) -> None:
        fired[name].append(float((out[0] if isinstance(out, tuple) else out).mean()))

    hooks = [
        m.register_forward_hook(partial(count, name)) for name, m in spiking_layers(net).items()
    ]
    try:
        found = workload(net, x)  # NeuroBench's ActivationSparsity and SynapticOperations
    finally:
        for hook in hooks:
            hook.remove()
    net(x[0, :1])  # footprint counts membranes too: those of one picture, not of the batch before
    static = {
        "footprint": Footprint()(SNNTorchModel(net)),
        "connection_sparsity": float(ConnectionSparsity()(SNNTorchModel(net))),
    }
    return static | found | {"rates": {name: float(np.mean(rate)) for name, rate in fired.items()}}


@torch.no_grad()
def experiment_clock_against_event(cfg: Config) -> dict[str, Any]:
    """One dense layer on the CPU, clock-driven and event-driven, from 0.1 % to 100 % of its inputs active."""
    N = cfg.inputs
    g = torch.Generator().manual_seed(cfg.seed)
    weight = torch.randn(
        N, N, generator=g
    )  # (N, M): one row holds the weights that a spike of input i is worth
    sizes = [b for b in (1, 4, 16, 64) if b == 1 or b <= cfg.batch]
    result: dict[str, Any] = {key: {} for key in ("clock", "event", "found", "crossing")}
    result |= {"sizes": sizes, "activity": [], "operations": [], "dense": N * N, "difference": 0.0}
    for B in sizes:
        calls: dict[tuple[str, float], Callable[[], object]] = {}
        for a in ACTIVITIES:
            K = max(1, round(a * N))
            events = (
                torch.rand(B, N, generator=g).argsort(1)[:, :K].sort(1).values
            )  # (B, K) addresses
            spk = torch.zeros(B, N).scatter_(1, events, 1.0)  # (B, N) the same as zeros and ones
            calls["clock", a] = partial(clock_driven, spk, weight)
            calls["event", a] = partial(event_driven, events, weight)
            # a clock-driven layer before this one would not send addresses: they have to be searched for
            calls["found", a] = lambda s=spk, B=B: event_driven(
                s.nonzero()[:, 1].view(B, -1), weight
            )
            apart = (calls["clock", a]() - calls["event", a]()).abs().max() / calls[
                "clock", a
            ]().abs().max()
            result["difference"] = max(result["difference"], float(apart))
            if B == 1:
                result["activity"].append(K / N)
                result["operations"].append(events.numel() * weight.shape[1])
        ms = timed(calls, max(3, round(cfg.repeats / B**0.25)), "cpu")
        for way in ("clock", "event", "found"):
            result[way][B] = [float(np.median(ms[way, a])) for a in ACTIVITIES]
        result["crossing"][B] = crossing(result["activity"], result["clock"][B], result["event"][B])
    return result


def experiment_akida(cfg: Config, twin: Twin, data: ImageData) -> dict[str, Any]:
    """Quantise, convert, map and simulate the twin; two variants show what falls to software."""
    calibration = channels_last(data.x_train[:512])
    test = channels_last(data.x_test[: cfg.simulated])
    quantised, model = quantize_and_convert(keras_twin(twin), calibration)
    answer = akida_outputs(model, test).argmax(1)
    same = (keras_outputs(quantised, test).argmax(1) == answer).mean()
    rates, operations = {}, {}
    for layer, x in zip(model.layers, layer_inputs(model, test[:200]), strict=True):
        events = torch.from_numpy(np.ascontiguousarray(x)).permute(0, 3, 1, 2)  # (B, C, H, W)
        rates[layer.name] = float((events != 0).float().mean())
        events = events.flatten(1) if layer.name == "fc" else events
        operations[layer.name] = effective_operations(events, getattr(twin, layer.name))
    return {
        "accuracy": float((answer == data.y_test[: len(test)].numpy()).mean()),
        "n": len(test),
        "same": float(same),
        "rates": rates,
        "operations": operations,
        "spread": map_on_akd1000(model),
        "minimal": map_on_akd1000(model, mode="Minimal"),
        "variants": {
            "max pooling in the last convolution": map_on_akd1000(bare_model(pool_last=True)),
            "128 filters in the first": map_on_akd1000(bare_model((128, 64, 128))),
        },
        "chip": measure_on_chip(model, test) if akida_status().state == "hardware" else None,
    }


@torch.no_grad()
def experiment_energy(
    cfg: Config,
    net: SmallCNN,
    twin: Twin,
    bench: dict[str, Any],
    chip: dict[str, Any] | None,
    x: torch.Tensor,
) -> list[tuple[str, str, float, str]]:
    """(what, measured or estimated, microjoules a picture, how) for every way to run the two networks."""
    per_step, held = ann_macs(net, encode(x, 1)[0]), 16 * 16 * net.conv1.weight.numel()
    clock = held + cfg.num_steps * (per_step - held)  # the still picture is convolved once
    macs, once = ann_macs(twin, x), bench["macs"] / cfg.num_steps
    estimates = {
        "SNN, clock-driven": (0, clock, f"{clock:,} MACs, zeros multiplied too"),
        "SNN, event-driven": (bench["acs"], once, f"{bench['acs']:,.0f} ACs, {once:,.0f} MACs"),
        "ReLU twin, one pass": (0, macs, f"{macs:,} MACs"),
    }
    if chip:
        events = sum(chip["operations"].values())
        estimates["ReLU twin, event-driven"] = (
            0,
            events,
            f"{events:,.0f} MACs at the 32-bit price; 4 bits cost less",
        )
    rows = [
        (what, "estimated", estimated_energy_nj(a, m) / 1000, how)
        for what, (a, m, how) in estimates.items()
    ]
    for device in device_names():
        step = partial(net.to(device).run, encode(x.to(device), cfg.num_steps))
        if (mj := measured_energy(step, device, 0.2 if cfg.smoke else 2.0)) is not None:
            rows.append(
                (
                    f"SNN on {describe(device)}",
                    "measured",
                    1000 * mj,
                    "the machine's counter, idle included",
                )
            )
    net.to("cpu")
    if chip and chip["chip"] and "energy_mj" in chip["chip"]:
        rows.append(
            (
                "twin on the AKD1000",
                "measured",
                1000 * chip["chip"]["energy_mj"],
                "the card's meter",
            )
        )
    return rows


# ------------------------------------------------------------------------------------ figures


def plot_devices(rows: list[dict[str, Any]], title: str) -> Figure:
    fig, (a, b, c) = plots.figure(1, 3, size=(14, 4), title=title)
    first = [r for r in rows if r["batch"] == 1]
    plots.bars(a, {f"{r['device']}: {r['name']}": r["p50"] for r in first}, fmt="{:.2f}")
    a.plot(
        [r["p95"] for r in first],
        np.arange(len(first)) + 0.2,
        "|",
        color=plots.RED,
        markersize=10,
        label="p95",
    )
    a.legend(loc="lower right")
    plots.label(a, "ms a picture, batch of 1 (median)", "", "Latency")
    for i, key in enumerate(dict.fromkeys((r["device"], r["name"]) for r in rows)):
        line = [r for r in rows if (r["device"], r["name"]) == key]
        look = {
            "color": plots.COLOURS[i % 7],
            "marker": plots.MARKERS[i % 7],
            "label": ": ".join(key),
        }
        b.loglog(
            [r["batch"] for r in line], [1000 * r["batch"] / r["p50"] for r in line], base=2, **look
        )
        c.loglog([r["batch"] for r in line], [r["bytes"] / 2**20 for r in line], base=2, **look)
    plots.label(b, "batch (pictures)", "pictures a second", "Throughput against batch")
    plots.label(
        c, "batch (pictures)", "MiB besides weights and input", "Working memory against batch"
    )
    b.legend(fontsize=8)
    return fig


def plot_clock_against_event(r: dict[str, Any], rates: dict[str, float], inputs: int) -> Figure:
    small, large = r["sizes"][0], r["sizes"][-1]
    star = {B: 100 * r["crossing"][B]["a"] for B in r["sizes"]}
    fig, ((a, b), (c, d)) = plots.figure(
        2,
        2,
        size=(12, 8),
        title=(
            f"Counting operations, events never lose; by the clock they win below {star[small]:.0f} % activity for one "
            f"sample,\nbelow {star[large]:.1f} % for a batch of {large}"
        ),
    )
    percent = [100 * a for a in r["activity"]]
    ways = {
        "clock": ("clock-driven (1)", "o-", plots.BLUE),
        "event": ("event-driven (2)", "s--", plots.RED),
        "found": ("event-driven, events searched for first", "^:", plots.ORANGE),
    }
    for ax, values, heading in (
        (
            a,
            {"clock": [r["dense"]] * len(percent), "event": r["operations"]},
            "Counted, one sample",
        ),
        *(
            (ax, {way: r[way][B] for way in ways}, f"Measured, batch of {B}")
            for ax, B in ((b, small), (c, large))
        ),
    ):
        for way, y in values.items():
            name, line, color = ways[way]
            ax.loglog(percent, y, line, color=color, label=name)
        plots.label(
            ax,
            "inputs that spike (%)",
            "operations" if ax is a else "ms (median)",
            f"{heading}: a layer of {inputs:,} × {inputs:,}",
        )
        ax.legend(fontsize=8.5)
    for ax, B in ((b, small), (c, large)):
        if 0 < star[B] < 100:
            ax.axvline(star[B], color=plots.BLACK, linewidth=1)
            ax.annotate(
                f"a* = {star[B]:.3g} % ", (star[B], min(r["event"][B])), ha="right", fontsize=9
            )
    d.semilogx(
        r["sizes"], list(star.values()), "o-", base=2, color=plots.BLACK, label="crossing a*"
    )
    for i, (name, rate) in enumerate(rates.items(), 1):
        d.axhline(
            100 * rate,
            color=plots.COLOURS[i],
            linestyle=plots.DASHES[i],
            linewidth=1.2,
            label=f"lesson 10, {name}: {100 * rate:.1f} % fire a step",
        )
    d.set_ylim(bottom=0)
    d.legend(fontsize=8.5)
    plots.label(
        d, "batch (samples)", "inputs that spike (%)", "The crossing: below it, events save time"
    )
    return fig


def plot_mesh(mesh: dict[str, Any]) -> Figure:  # panel title → what Mapping.places makes
    fig, axes = plots.figure(
        1,
        len(mesh),
        size=(5.4 * len(mesh), 6.2),
        title=(
            "The twin on the AKD1000's mesh, as the mapper reports it (a square is a processor, a box a node)"
        ),
    )
    for ax, (title, facts) in zip(np.atleast_1d(axes), mesh.items(), strict=True):
        draw_mesh(ax, facts["mesh"], facts["layers"])
        ax.set_title(title)
    return fig


def plot_layers(
    spread: Mapping, minimal: Mapping, twin: Twin, rates: dict[str, dict[str, float]]
) -> Figure:
    kib = {
        f"reserved on {m.nps_used} NPs": {layer.name: layer.bytes / 1024 for layer in m.layers}
        for m in (minimal, spread)
    }
    needed = {
        n: m.weight.numel() * (1 if n == "conv1" else 0.5) / 1024 for n, m in twin.named_children()
    }
    few, many = (sum(v.values()) for v in kib.values())
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(13, 4.2),
        title=(
            f"Over {spread.nps_used} NPs the layers reserve {many:.0f} KiB; {minimal.nps_used} would do with {few:.0f}"
        ),
    )
    plots.grouped_bars(a, {"weights at 8 and 4 bits": needed, **kib})
    plots.label(a, "layer", "KiB", "Memory: weights and input buffers")
    plots.grouped_bars(b, {k: {n: 100 * x for n, x in v.items()} for k, v in rates.items()})
    plots.label(b, "layer", "inputs that are not zero (%)", "Activity that each layer receives")
    return fig


def plot_energy(rows: list[tuple[str, str, float, str]]) -> Figure:
    clock, event, relu = (row[2] for row in rows[:3])
    fig, ax = plots.figure(
        size=(9.5, 0.55 * len(rows) + 2),
        title=(
            f"Estimated for arithmetic alone, skipping zeros saves the SNN {clock / event:.1f}×;\n"
            f"beside one dense pass of its ReLU twin it costs {event / relu:.2f}×"
        ),
    )
    plots.bars(ax, {f"{name} ({kind})": value for name, kind, value, _ in rows}, fmt="{:.2f}")
    if any(kind == "measured" for _, kind, _, _ in rows):
        ax.set_xscale("log")
    plots.label(
        ax,
        f"µJ a picture, {PJ_PER_AC} pJ an AC and {PJ_PER_MAC} pJ a MAC (Horowitz 2014, 45 nm, 32 bit)",
        "",
    )
    return fig


# ------------------------------------------------------------------------------------ the lesson


def on_akida(cfg: Config, run: Run, twin: Twin, data: ImageData) -> dict[str, Any] | None:
    """Part 3 where the Akida packages are; otherwise our committed run's mesh, and the published figures."""
    status = akida_status()
    run.extra |= {
        "akida": asdict(status),
        "analysis": status.means,
    }  # the analysis goes to the journal
    run.print(f"akida     {status.state}: {status.reason}")
    run.claim("akida_chips", f"Akida chips found (state: {status.state})", status.devices, "")
    try:
        if status.state == "absent":
            raise UserError(status.reason)
        return experiment_akida(cfg, twin, data)
    except UserError as e:
        run.note(f"No mapping of our own on this machine: {e}.")
        stored = ROOT / "docs" / "results" / "12_hardware_deep_dive.json"
        if stored.is_file() and (
            mesh := json.loads(stored.read_text(encoding="utf-8")).get("mesh")
        ):
            run.figure(plot_mesh(mesh), "mesh_of_the_course")
        return None


def show_mapping(run: Run, twin: Twin, chip: dict[str, Any], rates: dict[str, float]) -> None:
    """Figures, tables and claims about where the layers sit."""
    spread, minimal, variants = (chip[key] for key in ("spread", "minimal", "variants"))
    pooled = next(iter(variants.values()))
    run.extra["mesh"] = {
        f"{spread.nps_used} of {spread.nps_total} NPs: spread": spread.places(),
        f"{minimal.nps_used} NPs: as few as can be": minimal.places(),
        f"max pooling last: {', '.join(pooled.fallbacks)} in software": pooled.places(),
    }
    run.figure(plot_mesh(run.extra["mesh"]), "mesh")
    received = dict(
        zip(chip["rates"], (1.0, *rates.values()), strict=False)
    )  # what the layer before fires
    both = {"SNN, spikes a step": received, "twin, above zero": chip["rates"]}
    run.figure(plot_layers(spread, minimal, twin, both), "layers")
    run.table(
        "Where each layer sits",
        ("layer", "kind", "NPs", "fewest", "weights, B", "inputs, B", "external, B"),
        [
            (
                a.name,
                a.type,
                f"{len(a.nps)} {a.nps[0].type}" if a.nps else "software",
                len(b.nps),
                a.weight_bytes,
                a.input_bytes,
                a.external_bytes,
            )
            for a, b in zip(spread.layers, minimal.layers, strict=True)
        ],
    )
    run.table(
        "What falls to software, and akida's reason",
        ("variant", "layer", "reason"),
        [
            (variant, name, reason)
            for variant, m in variants.items()
            for name, reason in m.fallbacks.items()
        ],
    )
    if chip["chip"]:
        found = chip["chip"]
        alone, energy = found.get("chip_ms", "not told"), found.get("energy_mj", "no meter")
        power = found["power_mw"]["Avg"] if "power_mw" in found else "no meter"
        run.table(
            "On the chip",
            ("pictures/s", "ms a picture", "ms of the chip", "mW", "mJ a picture"),
            [(found["per_second"], found["p50_ms"], alone, power, energy)],
        )
    run.claim("nps", f"NPs taken, of {spread.nps_total}", spread.nps_used, "", "<= 78")
    run.claim("nps_fewest", "NPs taken when as few as can be", minimal.nps_used, "")
    run.claim(
        "software_layers", "layers of the twin in software", len(spread.fallbacks), "", "== 0"
    )
    run.claim(
        "software_pooled",
        "layers in software with max pooling last",
        len(pooled.fallbacks),
        "",
        ">= 1",
    )
    run.claim(
        "program_bytes", "program on the chip, weights included", spread.program_bytes, "bytes"
    )


def main(cfg: Config, run: Run) -> None:
    data = run.data(cifar10)
    torch.manual_seed(cfg.seed)
    twin = Twin()
    if cfg.epochs:
        fit(
            twin,
            data,
            lambda x: x[None],
            run=run,
            epochs=cfg.epochs,
            lr=2e-3,
            loss_fn=F.cross_entropy,
            predict=lambda out: out.argmax(1),
            augment=flip_and_shift,
            name="twin",
        )
        run.checkpoint(twin.cpu().eval(), TWIN.stem)
    else:
        load_weights(twin, TWIN).eval()
    net = load_weights(SmallCNN(), CNN).eval()

    here, n, images = device_names()[0], len(data.y_test), min(len(data.y_test), cfg.images)
    run.print(f"\n1  The SNN of lesson 10 on every device here: {', '.join(device_names())}")
    accuracy = evaluate(net, data.x_test, data.y_test, partial(encode, num_steps=cfg.num_steps))
    run.claim(
        "accuracy",
        f"SNN of lesson 10, test accuracy at T = {cfg.num_steps}",
        accuracy,
        n=n,
        real=True,
    )
    run.claim(
        "twin_accuracy",
        "ReLU twin in float, test accuracy",
        evaluate(
            twin, data.x_test, data.y_test, lambda x: x[None], predict=lambda out: out.argmax(1)
        ),
        n=n,
        real=True,
    )
    rows = experiment_devices(cfg, net, twin, data.x_test[: cfg.batch])
    found = {(r["device"], r["name"], r["batch"]): r for r in rows}
    run.table(
        "Latency at batch 1, throughput at the largest batch",
        (
            "device: network",
            "p50, ms",
            "p95, ms",
            f"pictures/s, batch {cfg.batch}",
            "KiB besides weights, batch 1",
        ),
        [
            (
                f"{device}: {name}",
                r["p50"],
                r["p95"],
                1000 * cfg.batch / found[device, name, cfg.batch]["p50"],
                r["bytes"] / 1024,
            )
            for (device, name, batch), r in found.items()
            if batch == 1
        ],
    )
    stepped, layered, relu = (found[here, name, 1]["p50"] for name in CONTENDERS)
    run.figure(
        plot_devices(
            rows,
            f"On {here}, time costs time: {stepped / relu:.1f}× the ReLU twin's latency step by "
            f"step, {layered / relu:.1f}× layer by layer",
        ),
        "devices",
    )
    run.claim(
        "latency_p50",
        f"SNN, layer by layer, one picture on {here}: median",
        layered,
        "ms",
        n=cfg.repeats,
    )
    run.claim(
        "latency_p95",
        "the same, 95th percentile",
        found[here, CONTENDERS[1], 1]["p95"],
        "ms",
        n=cfg.repeats,
    )
    run.claim(
        "steps_cost",
        "latency step by step / ReLU twin's single pass",
        stepped / relu,
        "×",
        n=cfg.repeats,
    )
    run.claim(
        "batch_gain",
        f"throughput at batch {cfg.batch} / at batch 1, layer by layer",
        cfg.batch * layered / found[here, CONTENDERS[1], cfg.batch]["p50"],
        "×",
    )

    run.print(f"\n2  NeuroBench on {images:,} test images")
    bench = experiment_neurobench(
        net, encode(data.x_test[: cfg.images].float() / 255, cfg.num_steps)
    )
    run.table(
        "NeuroBench: correctness and complexity, per picture",
        ("metric", "SNN of lesson 10"),
        [
            ("accuracy", f"{100 * accuracy:.2f} %"),
            *(
                (k, f"{bench[k]:,.4g}" if bench[k] < 100 else f"{bench[k]:,.0f}")
                for k in bench
                if k != "rates"
            ),
            *((f"{name}: spikes a neuron and step", rate) for name, rate in bench["rates"].items()),
        ],
    )
    run.claim(
        "footprint",
        "footprint of the SNN: weights and one picture's membranes",
        bench["footprint"],
        "bytes",
    )
    run.claim(
        "activation_sparsity",
        "activation sparsity",
        bench["activation_sparsity"],
        n=images,
        real=True,
    )
    run.claim("synops", "effective ACs per picture", bench["acs"], "", n=images, real=True)
    gain = bench["dense"] / (bench["acs"] + bench["macs"])
    run.claim(
        "dense_over_effective", "dense operations / effective ones", gain, "×", n=images, real=True
    )

    run.print("\n3  One layer, clock-driven and event-driven")
    r = experiment_clock_against_event(cfg)
    small, large = r["sizes"][0], r["sizes"][-1]
    cross = {B: r["crossing"][B]["a"] for B in r["sizes"]}
    hidden = {name: rate for name, rate in bench["rates"].items() if name != "lif4"}
    run.figure(plot_clock_against_event(r, hidden, cfg.inputs), "clock_against_event")
    run.table(
        "Milliseconds (medians), and the crossing",
        ("batch", "clock-driven", "event-driven, 0.1 %", "10 %", "100 %", "crossing a*"),
        [
            (
                B,
                r["crossing"][B]["t_c"],
                *(r["event"][B][ACTIVITIES.index(a)] for a in (0.001, 0.1, 1.0)),
                f"{100 * cross[B]:.1f} %",
            )
            for B in r["sizes"]
        ],
    )
    run.claim(
        "same_sums",
        "event-driven sums against clock-driven ones, relative",
        r["difference"],
        target="<= 1e-5",
    )
    run.claim(
        "clock_flat",
        f"clock-driven time, slowest / fastest of {len(ACTIVITIES)} activities, one sample",
        max(r["clock"][small]) / min(r["clock"][small]),
        "×",
        "<= 1.5",
        n=cfg.repeats,
    )
    run.claim(
        "event_span",
        "event-driven time, 100 % / 0.1 % active, one sample",
        r["event"][small][-1] / r["event"][small][0],
        "×",
        ">= 10",
        n=cfg.repeats,
    )
    r2 = r["crossing"][large]["r2"]
    run.claim(
        "event_linear",
        f"straightness (R²) of event-driven time, batch of {large}",
        r2,
        "",
        ">= 0.98",
    )
    run.claim("crossing_one", "crossing a*, one sample", cross[small])
    run.claim("crossing_batch", f"crossing a*, batch of {large}", cross[large])

    run.print("\n4  The twin on the AKD1000")
    chip = on_akida(cfg, run, twin, data)
    if chip:
        show_mapping(run, twin, chip, bench["rates"])
        run.claim(
            "akida_accuracy",
            "twin at 8/4/4 bits, test accuracy",
            chip["accuracy"],
            n=chip["n"],
            real=True,
        )
        run.claim(
            "akida_same",
            "test images on which Akida and the quantised Keras network agree",
            chip["same"],
            n=chip["n"],
            real=True,
        )
        spread = chip["spread"]
        run.ledger(
            model="ReLU twin of lesson 10 on Akida, 8/4/4",
            data=data.name,
            accuracy=chip["accuracy"],
            n=chip["n"],
            num_steps=1,
            parameters=sum(p.numel() for p in twin.parameters()),
            bytes=spread.program_bytes,
            macs=sum(chip["operations"].values()),
            ann_macs=ann_macs(twin, data.x_test[:1].float()),
            ann_macs_nonzero=ann_macs(twin, data.x_test[:100].float() / 255, skip_zeros=True),
            nps=spread.nps_used,
        )

    run.print("\n5  Energy a picture")
    energy = experiment_energy(cfg, net, twin, bench, chip, data.x_test[:1].float() / 255)
    run.table(
        "Energy: measured where a counter exists, else estimated",
        ("what", "kind", "µJ/picture", "how"),
        energy,
    )
    published_tables(run)
    run.figure(plot_energy(energy), "energy")
    clock, event, relu = (row[2] for row in energy[:3])
    run.claim("energy_event", "SNN, event-driven: estimated", event, "µJ", n=images, real=True)
    run.claim(
        "energy_saved",
        "SNN, estimated: clock-driven / event-driven",
        clock / event,
        "×",
        n=images,
        real=True,
    )
    run.claim(
        "energy_relu",
        "estimated: twin's dense pass / SNN, event-driven",
        relu / event,
        "×",
        n=images,
        real=True,
    )
    run.table(
        "When a GPU, when an NPU",
        ("you have", "take", "because"),
        [
            (
                "training, or many samples at once",
                "GPU",
                f"on this CPU a batch of {large} moved a* from {100 * cross[small]:.0f} to {100 * cross[large]:.0f} %",
            ),
            (
                "layers the mesh does not take",
                "GPU, CPU",
                "they fall to software, and so may their neighbours",
            ),
            (
                "a large network",
                "GPU",
                "the mesh has 78 NPs; YOLOv2 was slower on the chip (published)",
            ),
            (
                "one sample at a time, always on",
                "NPU",
                "no batch to fill, weights stay in place, work only at events",
            ),
            (
                "few events (cameras, keywords)",
                "NPU",
                "cost is proportional to activity, equation (2)",
            ),
            (
                "a battery",
                "NPU",
                "published: 96 to 99.7 % less energy than a GTX 1080, on those two networks",
            ),
        ],
    )


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
