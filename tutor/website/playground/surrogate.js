// Ten spiking layers, and what is left of an error on its way down through them (lessons 07, 09 and 10).
"use strict";

const DEPTH = 10;
const WIDTH = 64;
const STEPS = 12;

/** The slope that ATan puts in the place of the step's: (α/2) / (1 + (π·α·x/2)²). */
function atanSlope(x, slope) {
  return slope / 2 / (1 + ((Math.PI / 2) * slope * x) ** 2);
}

/** Normal numbers from uniform ones (Box and Muller). */
function normal(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** What ten layers begin with: an input of normal numbers, (step, neuron), and normal weights. */
function randomStack(seed) {
  const random = seeded(seed);
  const draw = (count) => Float64Array.from({ length: count }, () => normal(random));
  const input = Array.from({ length: STEPS }, () => draw(WIDTH));
  const weights = Array.from({ length: DEPTH }, () => draw(WIDTH * WIDTH));
  return { input, weights };
}

/** Root of the mean square of all currents, (step, neuron). */
function spread(currents) {
  const squares = currents.reduce((sum, cur) => sum + cur.reduce((s, v) => s + v * v, 0), 0);
  return Math.sqrt(squares / (currents.length * WIDTH)) || 1;
}

/**
 * Potentials and spikes of every layer, (step, neuron): U[t] = β·U[t−1] + W·S_below[t] − θ·S[t−1]. Each layer's
 * weights are scaled until its currents have a spread of 1, as BatchNorm does; otherwise the activity dies out.
 */
function forwardStack(stack, beta) {
  let below = stack.input;
  return stack.weights.map((drawn) => {
    const scale = 1 / spread(below.map((x) => times(drawn, x)));
    const weight = drawn.map((w) => scale * w);
    const layer = { weight, mem: [], spk: [] };
    let mem = new Float64Array(WIDTH);
    let spk = new Float64Array(WIDTH);
    for (const x of below) {
      const cur = times(weight, x);
      mem = mem.map((u, j) => beta * u + cur[j] - spk[j]);
      spk = mem.map((u) => (u > 1 ? 1 : 0));
      layer.mem.push(mem);
      layer.spk.push(spk);
    }
    below = layer.spk;
    return layer;
  });
}

/** W·x, where places of x that are 0 are passed over. */
function times(weight, x) {
  const out = new Float64Array(WIDTH);
  for (let i = 0; i < WIDTH; i++) {
    if (x[i] === 0) continue;
    for (let j = 0; j < WIDTH; j++) out[j] += weight[j * WIDTH + i] * x[i];
  }
  return out;
}

/**
 * The length of ∂L/∂S of every layer, as a multiple of the last one's, for an L whose gradient at the last
 * layer's spikes is 1 everywhere. δ[t] = ∂L/∂S[t]·σ′(U[t] − θ) + β·δ[t+1]; the reset is not differentiated.
 */
function gradientByLayer(layers, beta, slope) {
  let above = layers[DEPTH - 1].spk.map(() => new Float64Array(WIDTH).fill(1));
  const lengths = [lengthOf(above)];
  for (let l = DEPTH - 1; l > 0; l--) {
    const below = new Array(STEPS);
    let delta = new Float64Array(WIDTH);
    for (let t = STEPS - 1; t >= 0; t--) {
      const mem = layers[l].mem[t];
      delta = delta.map((d, j) => beta * d + above[t][j] * atanSlope(mem[j] - 1, slope));
      below[t] = transposedTimes(layers[l].weight, delta);
    }
    above = below;
    lengths.unshift(lengthOf(above));
  }
  return lengths.map((length) => length / lengths[DEPTH - 1]);
}

function transposedTimes(weight, delta) {
  const out = new Float64Array(WIDTH);
  for (let j = 0; j < WIDTH; j++) {
    for (let i = 0; i < WIDTH; i++) out[i] += weight[j * WIDTH + i] * delta[j];
  }
  return out;
}

function lengthOf(rows) {
  return Math.sqrt(rows.reduce((sum, row) => sum + row.reduce((s, v) => s + v * v, 0), 0));
}
