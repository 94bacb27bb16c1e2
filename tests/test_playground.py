"""The playground: its JavaScript computes what snnTorch, lesson 01, lesson 09 and autograd compute."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from common.io import UserError
from games.gameworld.browser import find_browser
from tutor.website import content, playground

import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import load_script
from safetensors.torch import load_file
from snntorch import surrogate

Evaluate = Callable[[str], Any]
COMPUTING = ("neuron.js", "network.js", "surrogate.js")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@pytest.fixture(scope="module")
def js() -> Evaluate:
    """Evaluate an expression after the page's scripts, in Node.js."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is missing: the page's arithmetic is not compared")
    source = "\n".join((playground.FOLDER / name).read_text("utf-8") for name in COMPUTING)

    def evaluate(expression: str) -> Any:
        program = f"{source}\nconsole.log(JSON.stringify({expression}))"
        done = subprocess.run(
            [node, "-"], input=program, capture_output=True, text=True, timeout=60, check=True
        )
        return json.loads(done.stdout)

    return evaluate


def trace(draw: int, steps: int = 120) -> list[float]:
    """An input that makes a neuron fire now and then."""
    generator = torch.Generator().manual_seed(draw)
    return (0.4 * torch.rand(steps, generator=generator) - 0.05).tolist()


def stepped(neuron: Any, cur: list[float], states: int) -> tuple[list[float], list[float]]:
    """snnTorch's neuron over a trace: ``spk_rec, mem_rec``."""
    state = [torch.zeros(1)] * states
    spk_rec, mem_rec = [], []
    for value in cur:
        spk, *state = neuron(torch.tensor([value]), *state)
        spk_rec.append(spk.item())
        mem_rec.append(state[-1].item())
    return spk_rec, mem_rec


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("model", ["Leaky", "Synaptic", "Alpha"])
def test_neurons_are_snntorchs_own(js: Evaluate, model: str, reset: str) -> None:
    for draw, (alpha, beta, threshold) in enumerate([(0.9, 0.8, 1.0), (0.97, 0.61, 0.35)]):
        options = {"beta": beta, "threshold": threshold, "reset_mechanism": reset}
        if model == "Alpha" and reset == "none":
            options["threshold"] = threshold = 0.05  # without a reset nothing else shows
        neuron = {
            "Leaky": lambda o=options: snn.Leaky(**o),
            "Synaptic": lambda o=options, a=alpha: snn.Synaptic(alpha=a, **o),
            "Alpha": lambda o=options, a=alpha: snn.Alpha(alpha=a, **o),
        }[model]()
        cur = [8 * value for value in trace(draw)] if model == "Alpha" else trace(draw)
        spk_rec, mem_rec = stepped(neuron, cur, {"Leaky": 1, "Synaptic": 2, "Alpha": 3}[model])
        settings = {"alpha": alpha, "beta": beta, "threshold": threshold, "reset": reset}
        found = js(f"NEURONS.{model}({cur}, {json.dumps(settings)})")
        assert found["spk_rec"] == spk_rec and 2 < sum(spk_rec)
        if model == "Alpha":  # its factor comes from logarithms, whose last bit may differ
            np.testing.assert_allclose(found["mem_rec"], mem_rec, rtol=2e-5, atol=1e-6)
        else:
            assert found["mem_rec"] == mem_rec  # bit for bit


def test_the_adaptive_neuron_is_lesson_01s(js: Evaluate) -> None:
    lesson = load_script("01_lif_neuron")
    cur = torch.tensor([2 * value for value in trace(3)])[:, None]
    jump, none = torch.tensor([0.06]), torch.zeros(1)
    spk_rec, mem_rec, _ = lesson.adaptive_lif(cur, 0.9, 1.0, none, none, jump, 0.98)
    settings = {"beta": 0.9, "threshold": 1.0, "jump": 0.06, "decay": 0.98}
    found = js(f"NEURONS.adaptive({cur[:, 0].tolist()}, {json.dumps(settings)})")
    assert found["spk_rec"] == spk_rec[:, 0].tolist() and spk_rec.sum() > 3
    assert found["mem_rec"] == mem_rec[:, 0].tolist()


def test_sixteen_bits_are_read_as_numpy_reads_them(js: Evaluate) -> None:
    words = np.arange(0, 0x7C00, 37, dtype=np.uint16)
    words = np.concatenate([words, words | 0x8000])
    assert js(f"{words.tolist()}.map(halfToNumber)") == words.view(np.float16).tolist()


def network_of_lesson_09() -> Any:
    net = load_script("09_training_bptt").Net()
    weights = load_file(playground.WEIGHTS)
    net.load_state_dict({name: w.float() for name, w in weights.items()}, strict=False)
    return net


def read_by_python(image: np.ndarray, steps: int = 10) -> tuple[int, np.ndarray, np.ndarray]:
    """Class, output membranes ``(T, 10)`` and spikes of the hidden layer ``(T, 256)``, by lesson 09."""
    net = network_of_lesson_09()
    x = torch.from_numpy(image.astype(np.float32)).expand(steps, 1, 784)
    with torch.no_grad():
        _, mem_rec = net.run(x)
        net.lif1.reset_mem()
        hidden = []
        for x_t in x:
            hidden.append(net.lif1(net.fc1(x_t))[0])
    return int(mem_rec.mean(0).argmax()), mem_rec[:, 0].numpy(), torch.stack(hidden).numpy()


def ten_digits() -> np.ndarray:
    raw = np.frombuffer((playground.FOLDER / "digits.bin").read_bytes(), np.uint8)
    return raw.reshape(10, 784) / np.float32(255)


def network_in_js() -> str:
    weights = load_file(playground.WEIGHTS)
    parts = [json.dumps(weights[name].float().flatten().tolist()) for name in playground.PARTS]
    return (
        f"{{hidden: makeLayer({parts[0]}, {parts[1]}), output: makeLayer({parts[2]}, {parts[3]})}}"
    )


def test_the_network_reads_ten_digits_as_lesson_09_does(js: Evaluate) -> None:
    images = ten_digits()
    settings = {"steps": 10, "beta": 0.9, "threshold": 1.0, "dead": None}
    found = js(
        f"((net) => {json.dumps(images.tolist())}.map((x) => {{"
        f"const r = classify(net, x, {json.dumps(settings)});"
        "return {read: highestMembrane(r), mem: r.mem.map((m) => [...m]), synops: r.synops.at(-1),"
        f"hidden: r.hidden.map((s) => [...s])}}; }}))({network_in_js()})"
    )
    for image, page in zip(images, found, strict=True):
        read, mem_rec, hidden = read_by_python(image)
        assert page["read"] == read
        assert (np.array(page["hidden"]) == hidden).mean() > 0.999  # sums in another order
        np.testing.assert_allclose(page["mem"], mem_rec, atol=0.5)
        assert np.abs(np.array(page["mem"]) - mem_rec).mean() < 0.02
        assert page["synops"] == 10 * np.sum(page["hidden"])
    assert [page["read"] for page in found].count(7) >= 1
    assert sum(page["read"] == digit for digit, page in enumerate(found)) >= 9


def test_dead_neurons_send_nothing(js: Evaluate) -> None:
    settings = json.dumps({"steps": 5, "beta": 0.9, "threshold": 1, "dead": [True] * 256})
    image = ten_digits()[3].tolist()
    assert js(f"classify({network_in_js()}, {image}, {settings}).synops") == [0] * 5


def test_a_stroke_fills_twenty_pixels_around_the_middle(js: Evaluate) -> None:
    stroke = [[[30 + 3 * i, 20 + 10 * math.sin(i)] for i in range(40)]]
    image = np.array(list(js(f"Array.from(rasterise({stroke}))"))).reshape(28, 28)
    columns = np.flatnonzero(image.max(0) > 0.5)
    assert columns[-1] - columns[0] + 1 == pytest.approx(20, abs=1)
    middle = (image * np.arange(28)).sum() / image.sum()
    assert middle == pytest.approx(13.5, abs=1)
    assert js("Array.from(rasterise([])).every((v) => v === 0)")


def test_codes_of_a_picture(js: Evaluate) -> None:
    image = [0.0, 0.1, 0.5, 1.0] * 196
    sums = js(f"rateCode(Float32Array.from({image}), 400, seeded(1)).map((r) => Array.from(r))")
    rates = np.array(sums).mean(0).reshape(196, 4).mean(0)
    np.testing.assert_allclose(rates, [0, 0.1, 0.5, 1], atol=0.01)
    early = np.array(js(f"latencyCode(Float32Array.from({image}), 8).map((r) => Array.from(r))"))
    assert early.sum(0).reshape(196, 4)[0].tolist() == [0, 0, 1, 1]
    assert early[:, 3].argmax() == 0 < early[:, 2].argmax()
    moved = np.array(js(f"deltaCode(Float32Array.from({image}), 3).map((r) => Array.from(r))"))
    assert moved[0].reshape(28, 28)[0, :4].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("slope", [0.5, 2.0, 16.0])
def test_the_gradient_through_ten_layers_is_autograds(js: Evaluate, slope: float) -> None:
    found = js(
        "((s) => { const layers = forwardStack(s, 0.5); return {input: s.input.map((x) => [...x]),"
        "weights: layers.map((l) => [...l.weight]),"
        f"lengths: gradientByLayer(layers, 0.5, {slope})}}; }})(randomStack(7))"
    )
    x = torch.tensor(found["input"], dtype=torch.float64)[:, None]  # (T, 1, N)
    outputs = []
    for weight in found["weights"]:
        w = torch.tensor(weight, dtype=torch.float64).reshape(64, 64).requires_grad_()
        lif, spk_rec = snn.Leaky(beta=0.5, spike_grad=surrogate.atan(slope)), []
        mem = torch.zeros(1, 64, dtype=torch.float64)
        for x_t in x:
            spk, mem = lif(x_t @ w.T, mem)
            spk_rec.append(spk.double())
        x = torch.stack(spk_rec)
        x.retain_grad()
        outputs.append(x)
    assert 0.05 < outputs[-1].mean() < 0.4  # the activity goes on through all layers
    outputs[-1].sum().backward()
    norms = torch.stack([out.grad.norm() for out in outputs])
    np.testing.assert_allclose(found["lengths"], norms / norms[-1], rtol=1e-3)


def test_the_slope_decides_whether_the_error_arrives(js: Evaluate) -> None:
    firsts = js(
        "((s) => { const layers = forwardStack(s, 0.5);"
        "return [0.25, 16].map((slope) => gradientByLayer(layers, 0.5, slope)[0]); })(randomStack(7))"
    )
    assert firsts[0] < 0.01 and firsts[1] > 10


def test_the_recorded_game_is_whole() -> None:
    head, _, body = (playground.FOLDER / "game.bin").read_bytes().partition(b"\n")
    shape = json.loads(head)
    n, pixels, hidden = shape["moments"], shape["size"] ** 2, shape["hidden"]
    values = np.frombuffer(zlib.decompress(body), np.int8)
    assert values.size == n * (pixels + hidden + 2)
    pictures = values[: n * pixels].reshape(n, pixels).astype(int).cumsum(0)
    assert pictures.min() == 0 and pictures.max() == 3
    spikes = values[n * pixels : n * (pixels + hidden)]
    assert 0 == spikes.min() and spikes.max() <= shape["steps"]
    actions, points = values[-2 * n : -n], values[-n:]
    assert set(actions) <= {0, 1, 2} and set(points) <= {-1, 0, 1}


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The playground, opened from its file; what it complains of and asks for stands in ``page.bad``."""
    try:
        program = find_browser(None)
    except UserError as e:
        pytest.skip(f"no browser: {e}")
    from tutor.website import build

    from playwright.sync_api import sync_playwright

    folder = tmp_path_factory.mktemp("site") / "new"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "scripts", lambda: ["00_environment_test"])
        build(folder)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(program), args=FLAGS)
        opened = browser.new_page(viewport={"width": 1100, "height": 900})
        opened.bad = []
        opened.on("console", lambda message: opened.bad.append(message.text))
        opened.on("pageerror", lambda error: opened.bad.append(str(error)))
        opened.on("request", lambda r: opened.bad.append(r.url) if "http" in r.url[:5] else None)
        opened.goto((folder / "playground.html").as_uri())
        opened.wait_for_function("game !== null")
        yield opened
        browser.close()


def test_the_page_opens_without_complaint_or_request(page: Any) -> None:
    assert page.bad == []
    drawn = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0)"
    for canvas in ("#n-canvas", "#d-canvas", "#s-canvas", "#g-canvas", "#g-screen", "#d-image"):
        assert page.locator(canvas).evaluate(drawn), canvas


def test_sliders_work_by_keyboard(page: Any) -> None:
    before = page.locator("#n-summary").inner_text()
    slider = page.locator("#n-strength")
    slider.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert page.locator("#n-summary").inner_text() != before
    assert page.locator('output[for="n-strength"]').inner_text() == slider.input_value() == "0.22"


def test_every_control_has_a_name(page: Any) -> None:
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input, select, button, canvas")].filter((e) =>
        !(e.labels && e.labels.length) && !e.textContent.trim() && !e.getAttribute("aria-label"))
        .map((e) => e.id)"""
    )
    assert nameless == []


def test_digits_are_read_as_python_reads_them(page: Any) -> None:
    images = ten_digits()
    for digit in range(10):
        page.locator(f'[data-digit="{digit}"]').click()
        assert page.locator("#d-answer").inner_text() == str(read_by_python(images[digit])[0])


def test_a_drawn_digit_is_read_as_python_reads_it(page: Any) -> None:
    page.locator("#d-clear").click()
    box = page.locator("#d-pad").bounding_box()
    page.mouse.move(box["x"] + 85, box["y"] + 25)
    page.mouse.down()
    page.mouse.move(box["x"] + 85, box["y"] + 145, steps=12)
    page.mouse.up()
    image = np.array(page.evaluate("Array.from(digit)"))
    read, *_ = read_by_python(image)
    assert page.locator("#d-answer").inner_text() == str(read) == "1"


def test_the_game_plays_on(page: Any) -> None:
    page.locator("#g-play").click()
    page.wait_for_function("Number(document.getElementById('g-moment').value) > 3", timeout=20_000)
    page.locator("#g-play").click()
    assert page.locator("#g-play").inner_text() == "Play"
    assert page.bad == []
