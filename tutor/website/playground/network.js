// Lesson 09's network, 784–256–10: Linear → Leaky → Linear → Leaky, one image shown for T steps.
"use strict";

/** 16-bit floats of a base64 text as an array of numbers. */
function halves(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const words = new Uint16Array(bytes.buffer);
  return Float32Array.from(words, halfToNumber);
}

/** One 16-bit float: 1 bit sign, 5 bits exponent, 10 bits fraction. */
function halfToNumber(word) {
  const sign = word & 0x8000 ? -1 : 1;
  const exponent = (word >> 10) & 31;
  const fraction = word & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** One layer: weights (out × in) and biases, and the neurons behind it. */
function makeLayer(weight, bias) {
  return { weight, bias, inputs: weight.length / bias.length };
}

/** W·x + b, where only the places of x that are not 0 are visited, as an event-driven chip would do. */
function linear(layer, x) {
  const out = Float64Array.from(layer.bias);
  for (let i = 0; i < layer.inputs; i++) {
    if (x[i] === 0) continue;
    for (let j = 0; j < out.length; j++) out[j] += layer.weight[j * layer.inputs + i] * x[i];
  }
  return Float32Array.from(out);
}

/** One step of snn.Leaky for a whole layer, in place; returns which neurons spike. */
function leakyStep(mem, cur, beta, threshold, dead) {
  const spk = new Uint8Array(mem.length);
  for (let j = 0; j < mem.length; j++) {
    const owed = isAbove(mem[j], threshold);
    mem[j] = f32(f32(f32(beta * mem[j]) + cur[j]) - f32(owed * threshold));
    spk[j] = dead && dead[j] ? 0 : isAbove(mem[j], threshold);
  }
  return spk;
}

/**
 * All steps from rest. `dead` marks hidden neurons that never spike.
 * Returns hidden and output spikes (T × H, T × 10), the output membranes, and the synaptic operations:
 * a hidden spike causes one addition at each of the ten outputs.
 */
function classify(network, image, { steps, beta, threshold, dead }) {
  [beta, threshold] = [f32(beta), f32(threshold)];
  const cur1 = linear(network.hidden, image); // the image stays, and so does its current
  const mem1 = new Float32Array(cur1.length);
  const mem2 = new Float32Array(network.output.bias.length);
  const record = { hidden: [], output: [], mem: [], synops: [] };
  let synops = 0;
  for (let t = 0; t < steps; t++) {
    const spk1 = leakyStep(mem1, cur1, beta, threshold, dead);
    const cur2 = linear(network.output, spk1);
    const spk2 = leakyStep(mem2, cur2, beta, threshold, null);
    synops += spk1.reduce((sum, s) => sum + s, 0) * spk2.length;
    record.hidden.push(spk1);
    record.output.push(spk2);
    record.mem.push(Float32Array.from(mem2));
    record.synops.push(synops);
  }
  return record;
}

/** The class whose membrane is highest on average over all steps, as lesson 09 trains it. */
function highestMembrane(record) {
  const mean = record.mem[0].map((_, j) => record.mem.reduce((sum, mem) => sum + mem[j], 0));
  return mean.indexOf(Math.max(...mean));
}

/** A stroke as grey values: the larger side of its box fills 20 pixels, its centre of mass the middle. */
function rasterise(strokes, size = 28) {
  const points = strokes.flat();
  const image = new Float32Array(size * size);
  if (points.length === 0) return image;
  const xs = points.map((p) => p[0]);
  const ys = points.map((p) => p[1]);
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const side = Math.max(Math.max(...xs) - left, Math.max(...ys) - top, 1e-6);
  const scale = 18 / side; // the pen is two pixels wide: 18 and 2 make 20
  let placed = strokes.map((s) => s.map(([x, y]) => [(x - left) * scale, (y - top) * scale]));
  const middle = centreOf(placed.flat());
  const shift = (size - 1) / 2;
  placed = placed.map((s) => s.map(([x, y]) => [x - middle[0] + shift, y - middle[1] + shift]));
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const away = Math.min(...placed.map((stroke) => distance(stroke, column, row)));
      image[row * size + column] = Math.max(0, Math.min(1, 1.6 - away));
    }
  }
  return image;
}

function centreOf(points) {
  const sum = points.reduce((a, p) => [a[0] + p[0], a[1] + p[1]], [0, 0]);
  return sum.map((s) => s / points.length);
}

/** From a pixel to the nearest point of a stroke. */
function distance(stroke, x, y) {
  let least = Math.hypot(stroke[0][0] - x, stroke[0][1] - y);
  for (let i = 1; i < stroke.length; i++) {
    const [ax, ay] = stroke[i - 1];
    const [bx, by] = stroke[i];
    const length = (bx - ax) ** 2 + (by - ay) ** 2;
    let along = length > 0 ? ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length : 0;
    along = Math.max(0, Math.min(1, along));
    least = Math.min(least, Math.hypot(ax + along * (bx - ax) - x, ay + along * (by - ay) - y));
  }
  return least;
}

// ---------------------------------------------------------------- the three codes of lesson 02

/** Rate: at each step a pixel fires with the probability of its grey value. */
function rateCode(image, steps, random) {
  return Array.from({ length: steps }, () => image.map((x) => (random() < x ? 1 : 0)));
}

/** Latency: a pixel fires once, the brighter the earlier; below the threshold it stays silent. */
function latencyCode(image, steps, threshold = 0.2) {
  const spikes = Array.from({ length: steps }, () => new Float32Array(image.length));
  image.forEach((x, i) => {
    if (x <= threshold) return;
    const share = (1 - Math.min(x, 1)) / (1 - threshold); // 0 for white, towards 1 at the threshold
    spikes[Math.min(steps - 1, Math.floor(share * steps))][i] = 1;
  });
  return spikes;
}

/** Delta: the image moves one pixel to the right at each step; a pixel fires where it grew brighter. */
function deltaCode(image, steps, threshold = 0.2, size = 28) {
  const frame = (t) => image.map((_, i) => (i % size >= t ? image[i - t] : 0));
  return Array.from({ length: steps }, (_, t) => {
    const [now, before] = [frame(t), t > 0 ? frame(t - 1) : new Float32Array(image.length)];
    return now.map((x, i) => (x - before[i] > threshold ? 1 : 0));
  });
}

/** A generator of numbers in 0..1 that always begins alike (mulberry32). */
function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
  };
}
