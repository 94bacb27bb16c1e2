// One neuron over time, in the arithmetic of snnTorch: every operation is rounded to 32 bits, in its order.
// A model takes the input of each step, an array of T numbers, and returns what it recorded, T numbers each.
"use strict";

const f32 = Math.fround;

/** snnTorch compares U − θ with 0, not U with θ. */
function isAbove(mem, threshold) {
  return f32(mem - threshold) > 0 ? 1 : 0;
}

/** The reset that this step still owes to the spike of the last one. */
function afterReset(mem, last, owed, threshold, reset) {
  if (reset === "subtract") return f32(mem - f32(owed * threshold));
  if (reset === "zero") return owed ? last : mem;
  return mem;
}

/** snn.Leaky: U[t+1] = β·U[t] + I[t+1] − S[t]·θ, or with U[t] = 0 after a spike. */
function leaky(input, { beta, threshold, reset }) {
  [beta, threshold] = [f32(beta), f32(threshold)];
  const cur = [], mem_rec = [], spk_rec = [];
  let mem = 0;
  for (const value of input) {
    const x = f32(value);
    const owed = isAbove(mem, threshold);
    const kept = reset === "zero" ? f32((1 - owed) * mem) : mem;
    mem = f32(f32(beta * kept) + x);
    if (reset === "subtract") mem = f32(mem - f32(owed * threshold));
    cur.push(x);
    mem_rec.push(mem);
    spk_rec.push(isAbove(mem, threshold));
  }
  return { cur, mem_rec, spk_rec };
}

/** snn.Synaptic: the input feeds a current that decays with α, and the current feeds the membrane. */
function synaptic(input, { alpha, beta, threshold, reset }) {
  [alpha, beta, threshold] = [f32(alpha), f32(beta), f32(threshold)];
  const cur = [], mem_rec = [], spk_rec = [];
  let syn = 0;
  let mem = 0;
  for (const value of input) {
    const x = f32(value);
    const owed = isAbove(mem, threshold);
    syn = f32(f32(alpha * syn) + x);
    mem = f32(f32(beta * mem) + syn);
    mem = afterReset(mem, 0, owed, threshold, reset);
    cur.push(syn);
    mem_rec.push(mem);
    spk_rec.push(isAbove(mem, threshold));
  }
  return { cur, mem_rec, spk_rec };
}

/** snn.Alpha: a rising and a falling exponential; their sum, scaled, is the membrane. Needs α > β. */
function alphaNeuron(input, { alpha, beta, threshold, reset }) {
  [alpha, beta, threshold] = [f32(alpha), f32(beta), f32(threshold)];
  const logAlpha = f32(Math.log(alpha));
  const logBeta = f32(Math.log(beta));
  const scale = f32(f32(logAlpha / f32(logBeta - logAlpha)) + 1);
  const cur = [], mem_rec = [], spk_rec = [];
  let excitation = 0;
  let inhibition = 0;
  let mem = 0;
  for (const value of input) {
    const x = f32(value);
    const owed = isAbove(mem, threshold);
    const up = f32(f32(alpha * excitation) + x);
    const down = f32(f32(beta * inhibition) - x);
    const sum = f32(scale * f32(up + down));
    [mem, excitation] = [sum, up];
    if (owed && reset === "subtract") {
      mem = f32(sum + inhibition);
      excitation = f32(up - threshold);
    }
    if (owed && reset === "zero") [mem, excitation] = [0, 0];
    inhibition = owed && reset !== "none" ? 0 : down;
    cur.push(f32(excitation + inhibition));
    mem_rec.push(mem);
    spk_rec.push(isAbove(mem, threshold));
  }
  return { cur, mem_rec, spk_rec };
}

/** Lesson 01, equation (7): a slow current w grows by b at every spike, decays with ρ and holds U back. */
function adaptive(input, { beta, threshold, decay, jump }) {
  [beta, threshold, decay, jump] = [beta, threshold, decay, jump].map(f32);
  const cur = [], mem_rec = [], spk_rec = [];
  let mem = 0;
  let spk = 0;
  let w = 0;
  for (const value of input) {
    const x = f32(value);
    w = f32(f32(decay * w) + f32(jump * spk));
    const kept = spk ? 0 : mem;
    mem = f32(f32(f32(beta * kept) + x) - w);
    spk = mem > threshold ? 1 : 0;
    cur.push(f32(x - w));
    mem_rec.push(mem);
    spk_rec.push(spk);
  }
  return { cur, mem_rec, spk_rec };
}

const NEURONS = { Leaky: leaky, Synaptic: synaptic, Alpha: alphaNeuron, adaptive };

/** What flows in: T numbers of one of the kinds that lesson 01 shows. */
function stimulus(kind, strength, steps) {
  const onset = Math.floor(steps / 10);
  const input = new Array(steps).fill(0);
  for (let t = onset; t < steps; t++) {
    const age = t - onset;
    if (kind === "steady") input[t] = strength;
    if (kind === "pulses") input[t] = age % 20 === 0 ? 5 * strength : 0;
    if (kind === "ramp") input[t] = (2 * strength * age) / (steps - onset);
    if (kind === "sine") input[t] = strength * (1 + Math.sin((2 * Math.PI * age) / 40));
  }
  return input;
}
