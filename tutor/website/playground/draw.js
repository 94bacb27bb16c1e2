// Pictures on a canvas: lines, spikes, rasters and grey images, in the colours of the page's theme.
"use strict";

const COLOURS = { blue: "--mark", orange: "--orange", text: "--text", quiet: "--quiet", line: "--line" };

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(COLOURS[name]).trim();
}

/** A cleared canvas of the size it has on the page, in CSS pixels. */
function prepare(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const g = canvas.getContext("2d");
  g.scale(ratio, ratio);
  g.font = "13px system-ui, sans-serif";
  return { g, width, height };
}

const MARGIN = { left: 62, right: 12, top: 18, bottom: 22 };

/** Where values of an axis lie inside the margins of one panel. */
function panel(width, top, height, steps, low, high) {
  const span = high > low ? high - low : 1;
  const x = (t) => MARGIN.left + (t / Math.max(1, steps - 1)) * (width - MARGIN.left - MARGIN.right);
  const y = (v) => top + height - ((v - low) / span) * height;
  return { x, y, top, height, left: MARGIN.left, right: width - MARGIN.right };
}

function frame(g, p, label, low, high) {
  g.strokeStyle = colour("line");
  g.strokeRect(p.left, p.top, p.right - p.left, p.height);
  g.fillStyle = colour("text");
  g.textAlign = "left";
  g.fillText(label, p.left, p.top - 5);
  if (low === undefined) return;
  g.fillStyle = colour("quiet");
  g.textAlign = "right";
  g.fillText(short(high), p.left - 6, p.top + 10);
  g.fillText(short(low), p.left - 6, p.top + p.height);
}

/** A number with the digits that fit beside an axis. */
function short(value) {
  if (value !== 0 && (Math.abs(value) < 0.01 || Math.abs(value) >= 10000)) return value.toExponential(0);
  return String(Number(value.toPrecision(3)));
}

function line(g, p, values, name, dash = []) {
  g.strokeStyle = colour(name);
  g.lineWidth = 1.8;
  g.setLineDash(dash);
  g.beginPath();
  values.forEach((v, t) => (t ? g.lineTo(p.x(t), p.y(v)) : g.moveTo(p.x(t), p.y(v))));
  g.stroke();
  g.setLineDash([]);
  g.lineWidth = 1;
}

/** Spikes of several neurons as short upright strokes: rows (T × N), one line of strokes a neuron. */
function raster(g, p, rows, name = "text") {
  const count = rows[0].length;
  const high = p.height / count;
  const wide = Math.max(2, Math.min(14, 0.6 * (p.x(1) - p.x(0))));
  g.fillStyle = colour(name);
  rows.forEach((row, t) => {
    const from = Math.max(p.left, p.x(t) - wide / 2); // the first and last steps stand on the frame
    const to = Math.min(p.right, p.x(t) + wide / 2);
    for (let j = 0; j < count; j++) {
      if (row[j]) g.fillRect(from, p.top + j * high, to - from, Math.max(1, 0.85 * high));
    }
  });
}

function timeAxis(g, p, steps, label = "time step") {
  g.fillStyle = colour("quiet");
  g.textAlign = "left";
  g.fillText("0", p.left, p.top + p.height + 15);
  g.textAlign = "right";
  g.fillText(`${label} ${steps - 1}`, p.right, p.top + p.height + 15);
}

/** Grey values 0..1, white on black, as square pixels. */
function picture(canvas, values, size) {
  const { g, width, height } = prepare(canvas);
  const side = Math.min(width, height) / size;
  values.forEach((v, i) => {
    const grey = Math.round(255 * Math.max(0, Math.min(1, v)));
    g.fillStyle = `rgb(${grey} ${grey} ${grey})`;
    g.fillRect((i % size) * side, Math.floor(i / size) * side, side + 0.5, side + 0.5);
  });
}
