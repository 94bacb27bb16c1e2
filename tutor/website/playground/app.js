// The four parts of the page: sliders, drawing pad and buttons; what they show is computed in the other files.
"use strict";

const byId = (id) => document.getElementById(id);
const number = (id) => Number(byId(id).value);

/** The data that the page carries, by the id of its script element. */
function bytesOf(id) {
  return Uint8Array.from(atob(byId(id).textContent.trim()), (c) => c.charCodeAt(0));
}

/** Call `show` now, and whenever something inside `part` changes. Every slider shows its value beside it. */
function connect(part, show) {
  const update = () => {
    for (const slider of part.querySelectorAll('input[type="range"]')) {
      const output = part.querySelector(`output[for="${slider.id}"]`);
      output.textContent = slider.dataset.power ? short(2 ** Number(slider.value)) : slider.value;
    }
    show();
  };
  part.addEventListener("input", update);
  addEventListener("resize", update);
  byId("theme").addEventListener("click", update);
  update();
}

// ---------------------------------------------------------------- (a) one neuron

const STEPS_SHOWN = 200;

function neuronSettings() {
  return {
    beta: number("n-beta"),
    alpha: number("n-alpha"),
    threshold: number("n-threshold"),
    reset: byId("n-reset").value,
    decay: number("n-decay"),
    jump: number("n-jump"),
  };
}

function showNeuron() {
  const kind = byId("n-model").value;
  const settings = neuronSettings();
  for (const label of document.querySelectorAll("[data-models]")) {
    label.hidden = !label.dataset.models.split(" ").includes(kind);
  }
  const note = byId("n-note");
  note.textContent = "";
  if (kind === "Alpha" && settings.alpha <= settings.beta) {
    settings.beta = settings.alpha - 0.01;
    note.textContent = `snn.Alpha needs α > β: shown with β = ${settings.beta.toFixed(2)}.`;
  }
  const input = stimulus(byId("n-input").value, number("n-strength"), STEPS_SHOWN);
  const record = NEURONS[kind](input, settings);
  drawNeuron(record, settings.threshold);
  const spikes = record.spk_rec.reduce((sum, s) => sum + s, 0);
  const first = record.spk_rec.indexOf(1);
  byId("n-summary").textContent = spikes
    ? `${spikes} spikes in ${STEPS_SHOWN} steps; the first at step ${first}.`
    : `No spike in ${STEPS_SHOWN} steps: U stays at or below θ.`;
}

function drawNeuron({ cur, mem_rec, spk_rec }, threshold) {
  const { g, width, height } = prepare(byId("n-canvas"));
  const room = height - 3 * MARGIN.top - MARGIN.bottom - 2 * 8;
  const [small, large] = [0.24 * room, 0.56 * room];
  let top = MARGIN.top;
  let [low, high] = [Math.min(0, ...cur), Math.max(...cur, 1e-6)];
  let p = panel(width, top, small, STEPS_SHOWN, low, high);
  frame(g, p, "current", low, high);
  line(g, p, cur, "orange");
  top += small + MARGIN.top + 8;
  [low, high] = [Math.min(0, ...mem_rec), Math.max(1.1 * threshold, ...mem_rec)];
  p = panel(width, top, large, STEPS_SHOWN, low, high);
  frame(g, p, "membrane potential U (dashed: θ)", low, high);
  line(g, p, new Array(STEPS_SHOWN).fill(threshold), "quiet", [5, 4]);
  line(g, p, mem_rec, "blue");
  top += large + MARGIN.top + 8;
  p = panel(width, top, room - small - large, STEPS_SHOWN, 0, 1);
  frame(g, p, "spikes");
  raster(g, p, spk_rec.map((s) => [s]));
  timeAxis(g, p, STEPS_SHOWN);
}

// ---------------------------------------------------------------- (b) a digit

const SIDE = 28;
let network = null;
let digit = null; // 784 grey values
let strokes = [];

function loadNetwork() {
  const values = halves(byId("weights").textContent.trim());
  const sizes = [256 * 784, 256, 10 * 256, 10];
  const parts = [];
  let at = 0;
  for (const size of sizes) {
    parts.push(values.subarray(at, at + size));
    at += size;
  }
  return { hidden: makeLayer(parts[0], parts[1]), output: makeLayer(parts[2], parts[3]) };
}

function sampleDigit(which) {
  const all = bytesOf("digits");
  return Float32Array.from(all.subarray(which * SIDE * SIDE, (which + 1) * SIDE * SIDE), (b) => b / 255);
}

function codeOf(image, steps) {
  const kind = byId("d-code").value;
  if (kind === "rate") return rateCode(image, steps, seeded(1));
  if (kind === "latency") return latencyCode(image, steps);
  return deltaCode(image, steps);
}

function showDigit() {
  const steps = number("d-steps");
  const random = seeded(2);
  const order = Array.from({ length: 256 }, random);
  const dead = order.map((r) => r < number("d-dead") / 100);
  const settings = { steps, beta: number("d-beta"), threshold: number("d-threshold"), dead };
  picture(byId("d-image"), digit, SIDE);
  const code = codeOf(digit, steps);
  const total = digit.map((_, i) => code.reduce((sum, spikes) => sum + spikes[i], 0));
  picture(byId("d-spikes"), total.map((count) => count / Math.max(1, ...total)), SIDE);
  const sent = total.reduce((sum, count) => sum + count, 0);
  const record = classify(network, digit, settings);
  drawDigit(record, steps);
  const answer = highestMembrane(record);
  byId("d-answer").textContent = String(answer);
  const hidden = record.hidden.flatMap((row) => [...row]).reduce((sum, s) => sum + s, 0);
  byId("d-summary").textContent =
    `Read as ${answer}. ${hidden} hidden spikes in ${steps} steps cause ` +
    `${record.synops.at(-1).toLocaleString("en")} synaptic operations; a dense layer would do ` +
    `${(steps * 2560).toLocaleString("en")}. The code above sends ${sent} spikes.`;
}

function drawDigit(record, steps) {
  const { g, width, height } = prepare(byId("d-canvas"));
  const room = height - 3 * MARGIN.top - MARGIN.bottom - 2 * 8;
  const [large, middle] = [0.45 * room, 0.35 * room];
  let p = panel(width, MARGIN.top, large, steps, 0, 1);
  frame(g, p, "spikes of 256 hidden neurons");
  raster(g, p, record.hidden);
  let top = MARGIN.top + large + MARGIN.top + 8;
  const all = record.mem.flatMap((mem) => [...mem]);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  p = panel(width, top, middle, steps, low, high);
  frame(g, p, "output membranes, numbered by class", low, high);
  const answer = highestMembrane(record);
  for (let j = 0; j < 10; j++) {
    line(g, p, record.mem.map((mem) => mem[j]), j === answer ? "blue" : "quiet", j === answer ? [] : [2, 3]);
    g.fillStyle = colour(j === answer ? "blue" : "quiet");
    g.textAlign = "right";
    g.fillText(String(j), p.right - 4 - 11 * (j % 3), p.y(record.mem.at(-1)[j]) - 3);
  }
  top += middle + MARGIN.top + 8;
  p = panel(width, top, room - large - middle, steps, 0, record.synops.at(-1) || 1);
  frame(g, p, "synaptic operations so far", 0, record.synops.at(-1));
  line(g, p, record.synops, "orange");
  timeAxis(g, p, steps);
}

/** Strokes of a pointer on the pad, in the pad's own pixels. */
function connectPad() {
  const pad = byId("d-pad");
  let drawing = false;
  const place = (event) => {
    const box = pad.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const finish = () => {
    if (!drawing) return;
    drawing = false;
    digit = rasterise(strokes, SIDE);
    showDigit();
  };
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    drawing = true;
    strokes.push([place(event)]);
    drawPad();
  });
  pad.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    strokes.at(-1).push(place(event));
    drawPad();
  });
  pad.addEventListener("pointerup", finish);
  pad.addEventListener("pointercancel", finish);
  byId("d-clear").addEventListener("click", () => {
    strokes = [];
    drawPad();
  });
}

function drawPad() {
  const { g } = prepare(byId("d-pad"));
  g.strokeStyle = colour("text");
  g.lineWidth = 14;
  g.lineCap = "round";
  g.lineJoin = "round";
  for (const stroke of strokes) {
    g.beginPath();
    g.moveTo(...stroke[0]);
    for (const point of stroke) g.lineTo(...point);
    g.lineTo(...stroke.at(-1));
    g.stroke();
  }
}

// ---------------------------------------------------------------- (c) the surrogate

const stack = randomStack(7);

function showSurrogate() {
  const slope = 2 ** number("s-slope");
  const beta = number("s-beta");
  const layers = forwardStack(stack, beta);
  const lengths = gradientByLayer(layers, beta, slope);
  const { g, width, height } = prepare(byId("s-canvas"));
  const half = (width - 20) / 2;
  let p = panel(half, MARGIN.top, height - MARGIN.top - MARGIN.bottom, 101, 0, Math.max(1, slope / 2));
  const at = Array.from({ length: 101 }, (_, i) => -2 + (4 * i) / 100);
  frame(g, p, "slope that the backward pass sees", 0, Math.max(1, slope / 2));
  line(g, p, at.map((x) => atanSlope(x, slope)), "blue");
  g.fillStyle = colour("quiet");
  g.textAlign = "left";
  g.fillText("U − θ: −2", p.left, p.top + p.height + 15);
  g.textAlign = "right";
  g.fillText("2", p.right, p.top + p.height + 15);
  g.save();
  g.translate(half + 20, 0);
  const logs = lengths.map((length) => Math.log10(Math.max(length, 1e-12)));
  const [low, high] = [Math.min(-2, ...logs), Math.max(2, ...logs)];
  p = panel(half, MARGIN.top, height - MARGIN.top - MARGIN.bottom, DEPTH, low, high);
  frame(g, p, "gradient at each layer / at the last (powers of 10)", low, high);
  line(g, p, new Array(DEPTH).fill(0), "quiet", [5, 4]);
  line(g, p, logs, "orange");
  logs.forEach((v, l) => g.fillRect(p.x(l) - 3, p.y(v) - 3, 6, 6));
  g.fillStyle = colour("quiet");
  g.textAlign = "left";
  g.fillText("layer 1", p.left, p.top + p.height + 15);
  g.textAlign = "right";
  g.fillText(`layer ${DEPTH}`, p.right, p.top + p.height + 15);
  g.restore();
  const first = lengths[0];
  const fate = first < 0.1 ? "It dies on its way down." : "It keeps its size, within ten times.";
  byId("s-summary").textContent =
    `Slope α = ${short(slope)}: the gradient at layer 1 is ${short(first)} times the last one's. ` +
    (first > 10 ? "It blows up." : fate);
}

// ---------------------------------------------------------------- (d) the agent that plays Pong

const GREYS = [0, 90, 170, 255];
let game = null;
let playing = 0;

/** The recording: pictures (moments × 84·84 levels), hidden spikes, actions and points. */
async function loadGame() {
  const bytes = bytesOf("game");
  const end = bytes.indexOf(10);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  const stream = new Blob([bytes.subarray(end + 1)]).stream();
  const body = new Int8Array(
    await new Response(stream.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer(),
  );
  const { moments, size, hidden } = head;
  const pixels = size * size;
  const pictures = [];
  let shown = new Int8Array(pixels);
  for (let t = 0; t < moments; t++) {
    shown = shown.map((level, i) => level + body[t * pixels + i]);
    pictures.push(shown);
  }
  let at = moments * pixels;
  const spikes = [];
  for (let t = 0; t < moments; t++) spikes.push(body.subarray(at + t * hidden, at + (t + 1) * hidden));
  at += moments * hidden;
  const actions = body.subarray(at, at + moments);
  const points = body.subarray(at + moments, at + 2 * moments);
  return { ...head, pictures, spikes, actions, points };
}

function showGame() {
  if (!game) return;
  const t = number("g-moment");
  const { g, width, height } = prepare(byId("g-screen"));
  const side = Math.min(width, height) / game.size;
  game.pictures[t].forEach((level, i) => {
    g.fillStyle = `rgb(${GREYS[level]} ${GREYS[level]} ${GREYS[level]})`;
    g.fillRect((i % game.size) * side, Math.floor(i / game.size) * side, side + 0.5, side + 0.5);
  });
  const seen = 60;
  const from = Math.max(0, t - seen + 1);
  const rows = game.spikes.slice(from, t + 1);
  const view = prepare(byId("g-canvas"));
  const p = panel(view.width, MARGIN.top, view.height - MARGIN.top - MARGIN.bottom, seen, 0, 1);
  frame(view.g, p, `which of ${game.hidden} hidden neurons fired, last ${seen} decisions`);
  raster(view.g, p, rows);
  timeAxis(view.g, p, seen, "decision");
  const points = game.points.slice(0, t).reduce((sum, v) => sum + v, 0);
  const fired = game.spikes[t].reduce((sum, v) => sum + v, 0);
  const move = ["stays", "goes up", "goes down"][game.actions[t]];
  byId("g-summary").textContent =
    `Decision ${t + 1} of ${game.moments}: the agent ${move}; ${fired} hidden spikes; ` +
    `points so far ${points > 0 ? "+" : ""}${points}.`;
}

function connectGame() {
  byId("g-play").addEventListener("click", () => {
    const stop = playing !== 0;
    byId("g-play").textContent = stop ? "Play" : "Pause";
    byId("g-play").setAttribute("aria-pressed", String(!stop));
    clearInterval(playing);
    playing = 0;
    if (stop) return;
    playing = setInterval(() => {
      byId("g-moment").value = (number("g-moment") + 1) % game.moments;
      byId("game-part").dispatchEvent(new Event("input"));
    }, 66); // four frames of 60 a second
  });
}

addEventListener("DOMContentLoaded", async () => {
  connect(byId("neuron-part"), showNeuron);
  network = loadNetwork();
  digit = sampleDigit(7);
  connectPad();
  for (const button of document.querySelectorAll("[data-digit]")) {
    button.addEventListener("click", () => {
      digit = sampleDigit(Number(button.dataset.digit));
      showDigit();
    });
  }
  connect(byId("digit-part"), showDigit);
  connect(byId("surrogate-part"), showSurrogate);
  game = await loadGame();
  byId("g-moment").max = game.moments - 1;
  connectGame();
  connect(byId("game-part"), showGame);
});
