// pictures.js - what is drawn: maps of units and outputs over the plane, points, curves, weights.
"use strict";

const GRID = 48, CELLS = GRID * GRID; // points of a map, across and up, and in all
const MOST_POINTS = 1500; // that are drawn

const mix = (a, b, t) => a.map((x, i) => x + (b[i] - x) * t);
const css = (colour) => `rgb(${colour.map(Math.round).join(" ")})`;

// The colours of the style sheet, as numbers.
function readPalette() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) =>
    [1, 3, 5].map((i) => parseInt(style.getPropertyValue(name).trim().slice(i, i + 2), 16));
  return {
    paper: read("--plot"),
    ink: read("--ink"),
    faint: read("--faint"),
    line: read("--line"),
    negative: read("--negative"),
    positive: read("--positive"),
    classes: Array.from({ length: 8 }, (_, i) => read(`--class-${i}`)),
  };
}

// From -1 to 1: from orange over paper to blue.
function signedColour(palette, t) {
  const size = Math.min(Math.abs(t), 1);
  return mix(palette.paper, t < 0 ? palette.negative : palette.positive, 0.9 * size);
}

// Clears a canvas, whose picture gets as many pixels as it has on the screen.
function begin(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const density = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * density) ||
      canvas.height !== Math.round(height * density)) {
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
  }
  const context = canvas.getContext("2d");
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, height);
  context.setLineDash([]);
  return { context, width, height };
}

// ---------------------------------------------------------------------------------- maps

// A pixel: wherever browsers run, the first of its bytes is the lowest of a number's.
const pixel = ([red, green, blue]) =>
  ((255 << 24) | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red)) >>> 0;

// A map is GRID x GRID pixels: pixelOf(k) for each point k of the grid.
function paintMap(canvas, pixelOf) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(GRID, GRID);
  const pixels = new Uint32Array(image.data.buffer);
  for (let k = 0; k < pixels.length; k++) pixels[k] = pixelOf(k);
  context.putImageData(image, 0, 0);
}

// Values over the plane, by their sign and by their size relative to `most`.
function paintSigned(canvas, values, most, palette) {
  const shades = Array.from({ length: 129 }, (_, i) => pixel(signedColour(palette, i / 64 - 1)));
  const unknown = pixel(palette.faint);
  const clip = (t) => Math.max(-1, Math.min(t, 1));
  paintMap(canvas, (k) => shades[Math.round(64 * clip(values[k] / most)) + 64] ?? unknown);
}

function greatest(values) {
  let most = 1e-12;
  for (const value of values) if (Number.isFinite(value)) most = Math.max(most, Math.abs(value));
  return most;
}

// Probabilities of the classes: the colour of each by its part.
function paintClasses(canvas, outputs, units, palette) {
  const colours = palette.classes.map((colour) => mix(palette.paper, colour, 0.5));
  if (units === 1) {
    const shades = Array.from({ length: 129 }, (_, i) =>
      pixel(mix(palette.paper, colours[i > 64 ? 1 : 0], 0.25 + 0.75 * Math.abs(i / 64 - 1))));
    paintMap(canvas, (k) => shades[Math.round(128 * outputs[k])]);
    return;
  }
  const colour = [0, 0, 0];
  paintMap(canvas, (k) => {
    colour.fill(0);
    for (let c = 0; c < units; c++)
      for (let i = 0; i < 3; i++) colour[i] += outputs[k * units + c] * colours[c][i];
    return pixel(colour);
  });
}

// How far each class is ahead of all others, as the logarithm of a ratio of probabilities, which
// runs evenly across a boundary.
function leads(outputs, units) {
  const log = (p) => Math.log(Math.max(p, 1e-12));
  if (units === 1) return [Float64Array.from(outputs, (p) => log(p) - log(1 - p))];
  return Array.from({ length: units }, (_, c) =>
    Float64Array.from({ length: CELLS }, (_, k) => {
      let rival = 0;
      for (let d = 0; d < units; d++)
        if (d !== c) rival = Math.max(rival, outputs[k * units + d]);
      return log(outputs[k * units + c]) - log(rival);
    }));
}

// The line on which values are 0, by marching squares: pieces from edge to edge of each cell.
function strokeZero(context, values, size) {
  const unit = size / GRID;
  const place = (k, l) => {
    const t = values[k] / (values[k] - values[l]);
    const between = (a, b) => (a + (b - a) * t + 0.5) * unit;
    return [between(k % GRID, l % GRID), between(Math.floor(k / GRID), Math.floor(l / GRID))];
  };
  context.beginPath();
  for (let row = 0; row + 1 < GRID; row++)
    for (let column = 0; column + 1 < GRID; column++) {
      const k = row * GRID + column;
      const corners = [k, k + 1, k + GRID + 1, k + GRID];
      const crossings = [];
      corners.forEach((a, i) => {
        const b = corners[(i + 1) % 4];
        if (values[a] > 0 !== values[b] > 0) crossings.push(place(a, b));
      });
      for (let i = 0; i + 1 < crossings.length; i += 2) {
        context.moveTo(...crossings[i]);
        context.lineTo(...crossings[i + 1]);
      }
    }
  context.stroke();
}

// -------------------------------------------------------------------------------- points

// A shape for each class beside its colour.
function outline(context, shape, x, y, r) {
  const corners = {
    1: [4, Math.PI / 4], 2: [3, -Math.PI / 2], 3: [4, 0], 4: [3, Math.PI / 2], 5: [5, -Math.PI / 2],
    6: [6, 0],
  }[shape];
  context.beginPath();
  if (shape === 7) {
    for (const turn of [0, 1, 2, 3]) {
      context.moveTo(x, y);
      context.lineTo(x + r * Math.cos((turn + 0.5) * Math.PI / 2),
        y + r * Math.sin((turn + 0.5) * Math.PI / 2));
    }
  } else if (!corners) {
    context.arc(x, y, r, 0, 2 * Math.PI);
  } else {
    const [n, turn] = corners;
    for (let i = 0; i < n; i++) {
      const angle = turn + 2 * Math.PI * i / n;
      context.lineTo(x + 1.2 * r * Math.cos(angle), y + 1.2 * r * Math.sin(angle));
    }
    context.closePath();
  }
}

// edge: the colour around it, by default that of paper.
function drawPoint(context, { shape, colour, hollow, edge }, x, y, r, palette) {
  outline(context, shape, x, y, r);
  if (shape === 7 || hollow) {
    context.lineWidth = 3;
    context.strokeStyle = css(edge ?? palette.paper);
    context.stroke();
    context.lineWidth = 1.6;
    context.strokeStyle = css(colour);
  } else {
    context.fillStyle = css(colour);
    context.fill();
    context.lineWidth = 1;
    context.strokeStyle = css(edge ?? palette.paper);
  }
  context.stroke();
}

// ---------------------------------------------------------------------------------- axes

// Round numbers from low to high: three to eight.
function ticks(low, high) {
  const most = (high - low) / 3; // from one to the next
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [5, 2, 1].map((n) => n * power).find((n) => n <= most);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high * (1 + 1e-12); i++) found.push(i * step);
  return found;
}

const tidy = (x, digits = 6) => String(Number(x.toPrecision(digits))).replace("-", "−");

function drawAxes(context, palette, { left, top, width, height }, across, up) {
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = css(palette.faint);
  context.strokeStyle = css(palette.line);
  context.lineWidth = 1;
  context.strokeRect(left - 0.5, top - 0.5, width + 1, height + 1);
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const x of ticks(...across))
    context.fillText(tidy(x), left + width * (x - across[0]) / (across[1] - across[0]),
      top + height + 6);
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const y of ticks(...up))
    context.fillText(tidy(y), left - 6, top + height * (up[1] - y) / (up[1] - up[0]));
}

// curves: [{points: [[epoch, value], …], colour, dashed}, …]
function drawCurves(canvas, curves, palette) {
  const { context, width, height } = begin(canvas);
  const box = { left: 48, top: 8, width: width - 60, height: height - 34 };
  const all = curves.flatMap(({ points }) => points);
  const last = Math.max(10, ...all.map(([epoch]) => epoch));
  const most = Math.max(1e-6, ...all.map(([, value]) => value)) * 1.05;
  drawAxes(context, palette, box, [0, last], [0, most]);
  for (const { points, colour, dashed } of curves) {
    context.beginPath();
    for (const [epoch, value] of points)
      context.lineTo(box.left + box.width * epoch / last,
        box.top + box.height * (1 - value / most));
    context.strokeStyle = css(colour);
    context.lineWidth = 2;
    context.setLineDash(dashed ? [6, 4] : []);
    context.stroke();
  }
}

// --------------------------------------------------------------------------------- edges

// lines: [{from: [x, y], to: [x, y], weight, most, strong}, …]
function drawEdges(canvas, lines, palette) {
  const { context } = begin(canvas);
  for (const { from, to, weight, most, strong } of lines) {
    const size = Math.abs(weight) / most;
    const middle = (from[0] + to[0]) / 2;
    context.beginPath();
    context.moveTo(...from);
    context.bezierCurveTo(middle, from[1], middle, to[1], ...to);
    context.strokeStyle = css(weight < 0 ? palette.negative : palette.positive);
    context.lineWidth = 0.5 + 4.5 * size;
    context.globalAlpha = strong ? 1 : 0.2 + 0.6 * size;
    context.setLineDash(weight < 0 ? [5, 3] : []);
    context.stroke();
  }
  context.globalAlpha = 1;
}
