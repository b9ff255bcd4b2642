// page.js - what the page holds, its controls, and the loop that trains and draws.
"use strict";

const MOST_LAYERS = 5, MOST_UNITS = 8, INPUTS_SHOWN = 8, CURVE_POINTS = 1000, FRAME_MS = 12;
const NUMBERS_SHOWN = 2; // standardised ones from minus this to this have colours of their own
const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3];
const BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const SPEEDS = { "10 epochs a second": 100, "an epoch a frame": 0, "as fast as it can": null };

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const inputs = data.features.length;
const isRegression = data.classes === null;

const settings = {
  hidden: [{ units: 4, activation: "tanh" }, { units: 4, activation: "tanh" }],
  optimizer: data.optimizers[0],
  rate: 0.03,
  batch: Math.min(32, data.training.m),
  seed: 0,
  speed: "an epoch a frame",
  axes: [0, 1],
};

let core, training, validation, network, palette, grid, bounds;
let stages = []; // of the training so far: see code.js
let curves = { training: [], validation: [] };
let score, validationScore;
let playing = false, diverged = false, looked = null, lastStep = 0;
let tiles = []; // [column][place]: {unit, button, canvas}, from the inputs to the outputs

const layers = () => [...settings.hidden, data.output];

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// ------------------------------------------------------------------------------ training

function restart() {
  network?.free();
  network = new Network(
    core, inputs, layers(), data.output.loss, settings.seed, data.shuffleSeeds[settings.seed]);
  stages = [];
  diverged = false;
  curves = { training: [], validation: [] };
  score = network.evaluate(training);
  validationScore = validation && network.evaluate(validation);
  record();
  say("");
}

function record() {
  for (const [name, { loss }] of Object.entries({
    training: score, ...(validation && { validation: validationScore }),
  })) {
    const points = curves[name];
    points.push([network.epochs, loss]);
    if (points.length > CURVE_POINTS) curves[name] = points.filter((_, i) => i % 2 === 0);
  }
}

// The stage with the present settings.
function stage() {
  const { optimizer, rate, batch } = settings;
  const last = stages[stages.length - 1];
  if (last && last.optimizer === optimizer && last.rate === rate && last.batch === batch)
    return last;
  stages.push({ optimizer, rate, batch, epochs: 0 });
  return stages[stages.length - 1];
}

function train(epochs) {
  const present = stage();
  network.setOptimizer(present.optimizer, present.rate);
  if (network.train(training, present.batch, epochs)) {
    present.epochs += epochs;
    score = network.score();
    if (validation) validationScore = network.evaluate(validation);
    record();
    return;
  }
  diverged = true;
  let left = network.epochs;
  for (const part of stages) {
    part.epochs = part === present ? left : Math.min(part.epochs, left);
    left -= part.epochs;
  }
  pause();
  say("The loss is no longer finite. Choose a smaller learning rate, and reset.");
}

function frame(now) {
  if (!playing) return;
  const pause = SPEEDS[settings.speed];
  if (pause === null) {
    const end = performance.now() + FRAME_MS;
    do train(1); while (playing && performance.now() < end);
  } else if (now - lastStep >= pause) {
    lastStep = now;
    train(1);
  } else {
    requestAnimationFrame(frame);
    return;
  }
  draw();
  requestAnimationFrame(frame);
}

function play() {
  playing = true;
  $("play").textContent = "Pause";
  say("");
  requestAnimationFrame(frame);
}

function pause() {
  playing = false;
  $("play").textContent = "Play";
  $("play").disabled = $("step").disabled = diverged;
  if (!diverged && network.epochs > 0) tell(`Epoch ${network.epochs}: ${summary()}.`);
  describe();
}

// change, if given, makes other layers of the settings.
function reset(change) {
  if (playing) pause();
  change?.();
  restart();
  if (change) layNetwork();
  $("play").disabled = $("step").disabled = false;
  draw();
  describe();
}

// --------------------------------------------------------------------------------- words

// say what everybody should read, tell those who do not see the figures.
const say = (text) => { $("status").textContent = text; };
const tell = (text) => { $("spoken").textContent = text; };
const number = (x) => (Math.abs(x) >= 1e4 ? x.toExponential(2) : x.toPrecision(3)).replace("-", "−");
const percent = (x) => `${(100 * x).toFixed(1)} %`;
const nameOfLayer = (i) => (i < settings.hidden.length ? `Layer ${i + 1}` : "Output");

function summary() {
  const parts = [`loss ${number(score.loss)}`];
  if (!isRegression) parts.push(`accuracy ${percent(score.accuracy)}`);
  if (validation) parts.push(`validation loss ${number(validationScore.loss)}`);
  return parts.join(", ");
}

// For those who do not see the pictures.
function describe() {
  const [across, up] = settings.axes.map((i) => data.features[i]);
  const what = looked ? nameOfUnit(looked) : isRegression ? "Predictions" : "Regions of the classes";
  $("plane").setAttribute("aria-label",
    `${what} over ${across} and ${up}, with ${training.m} samples, at epoch ${network.epochs}`);
  $("curves").setAttribute("aria-label", `Loss by epoch, up to ${network.epochs}: ${summary()}`);
}

function nameOfUnit({ layer, unit }) {
  if (layer < 0) return `Input ${data.features[unit]}`;
  if (layer < settings.hidden.length) return `Layer ${layer + 1}, unit ${unit + 1}`;
  return data.output.units > 1 ? `Output for ${data.classes[unit]}` : "Output";
}

function textOfUnit({ layer, unit }) {
  if (layer < 0) return `${nameOfUnit({ layer, unit })}, standardised.`;
  const { weights, biases } = network.layer(layer);
  const n = network.widths[layer];
  const nameOf = (k) => (layer === 0 ? data.features[k] : `unit ${k + 1}`);
  const parts = Array.from({ length: Math.min(n, INPUTS_SHOWN) }, (_, k) =>
    `${nameOf(k)} ${number(weights[unit * n + k])}`);
  if (n > INPUTS_SHOWN) parts.push("…");
  return `${nameOfUnit({ layer, unit })}: bias ${number(biases[unit])}; weights ${parts.join(", ")}.`;
}

// ------------------------------------------------------------------------------- drawing

const toData = (feature, z) => data.mean[feature] + data.scale[feature] * z;

// The plane of two features: its bounds, and a grid over it with the others at their mean.
function layPlane() {
  const { x, m } = data.training;
  bounds = settings.axes.map((feature) => {
    const row = x.subarray(feature * m, (feature + 1) * m);
    const low = row.reduce((a, b) => Math.min(a, b)), high = row.reduce((a, b) => Math.max(a, b));
    const margin = 0.08 * (high - low);
    return [low - margin, high + margin];
  });
  const n = GRID * GRID;
  const [[left, right], [bottom, top]] = bounds;
  const values = new Float64Array(inputs * n);
  for (let k = 0; k < n; k++) {
    const column = k % GRID, row = Math.floor(k / GRID);
    values[settings.axes[0] * n + k] = left + (right - left) * (column + 0.5) / GRID;
    values[settings.axes[1] * n + k] = top - (top - bottom) * (row + 0.5) / GRID;
  }
  if (grid) core.free(grid.x);
  else grid = { outputs: core.block(n * data.output.units),
    hidden: core.block(n * MOST_LAYERS * MOST_UNITS) };
  grid.x = core.put(values);
}

// The values of a unit over the grid.
function seen({ layer, unit }) {
  const n = GRID * GRID, units = data.output.units;
  if (layer < 0) return core.view(grid.x + 8 * n * unit, n);
  if (layer < settings.hidden.length) {
    const before = settings.hidden.slice(0, layer).reduce((sum, { units }) => sum + units, 0);
    return core.view(grid.hidden + 8 * n * (before + unit), n);
  }
  const outputs = core.view(grid.outputs, n * units);
  const values = Float64Array.from({ length: n }, (_, k) => outputs[k * units + unit]);
  return isRegression ? values : values.map((p) => 2 * p - 1);
}

function draw() {
  const n = GRID * GRID;
  network.trace(grid.x, n, grid.hidden);
  network.predict(grid.x, n, grid.outputs);
  $("epoch").textContent = network.epochs.toLocaleString("en");
  $("loss").textContent = number(score.loss);
  $("accuracy").textContent = percent(score.accuracy);
  if (validation) {
    $("val-loss").textContent = number(validationScore.loss);
    $("val-accuracy").textContent = percent(validationScore.accuracy);
  }
  for (const { unit, canvas } of tiles.flat()) {
    const values = seen(unit);
    paintSigned(canvas, values, greatest(values), palette);
  }
  drawNetwork();
  drawPlane();
  drawCurves($("curves"), [
    { points: curves.training, colour: palette.positive },
    { points: curves.validation, colour: palette.negative, dashed: true },
  ], palette);
  showCode();
}

function drawNetwork() {
  const home = $("network").getBoundingClientRect();
  const placed = tiles.map((column) => column.map(({ button }) => {
    const box = button.firstChild.getBoundingClientRect();
    return { left: box.left - home.left, right: box.right - home.left,
      y: (box.top + box.bottom) / 2 - home.top };
  }));
  const lines = [];
  tiles.slice(1).forEach((column, i) => {
    const { weights } = network.layer(i);
    const n = network.widths[i], most = greatest(weights);
    column.forEach(({ unit }, to) => tiles[i].forEach((source, from) => lines.push({
      from: [placed[i][from].right, placed[i][from].y],
      to: [placed[i + 1][to].left, placed[i + 1][to].y],
      weight: weights[unit.unit * n + source.unit.unit],
      most,
      strong: looked && looked.layer === i && looked.unit === unit.unit,
    })));
  });
  drawEdges($("edges"), lines, palette);
  $("unit-text").textContent = looked
    ? textOfUnit(looked)
    : "Lines are weights: blue ones positive, dashed orange ones negative. Point at a unit, or move " +
      "to it with the Tab key, to see on the plane what it sees.";
}

const map = element("canvas", { width: GRID, height: GRID });

function drawPlane() {
  const { context, width } = begin($("plane"));
  const size = width - 52;
  const box = { left: 44, top: 6, width: size, height: size };
  const outputs = core.view(grid.outputs, GRID * GRID * data.output.units);
  if (looked) {
    const values = seen(looked);
    paintSigned(map, values, greatest(values), palette);
  } else if (isRegression) {
    paintSigned(map, outputs, NUMBERS_SHOWN, palette);
  } else {
    paintClasses(map, outputs, data.output.units, palette);
  }
  context.imageSmoothingQuality = "high";
  context.drawImage(map, box.left, box.top, size, size);
  context.save();
  context.beginPath();
  context.rect(box.left, box.top, size, size);
  context.clip();
  context.translate(box.left, box.top);
  if (!looked && !isRegression) {
    context.lineWidth = 2;
    context.strokeStyle = css(palette.ink);
    for (const lead of leads(outputs, data.output.units)) strokeZero(context, lead, size);
  }
  drawPoints(context, size);
  context.restore();
  drawAxes(context, palette, box, ...settings.axes.map((feature, i) =>
    bounds[i].map((z) => toData(feature, z))));
  $("plane-title").textContent = looked
    ? nameOfUnit(looked)
    : isRegression ? "Prediction" : "Regions of the classes";
}

const lookOfNumber = (z) =>
  ({ shape: 0, colour: signedColour(palette, z / NUMBERS_SHOWN), edge: palette.ink });

function drawPoints(context, size) {
  const [[left, right], [bottom, top]] = bounds;
  const parts = [data.training, data.validation].filter((part) => part);
  for (const part of parts) {
    const { x, y, m } = part;
    const stride = Math.ceil(m / MOST_POINTS);
    for (let k = 0; k < m; k += stride) {
      const across = x[settings.axes[0] * m + k], up = x[settings.axes[1] * m + k];
      const look = isRegression
        ? lookOfNumber(y[k])
        : { shape: y[k], colour: palette.classes[y[k]] };
      drawPoint(context, { ...look, hollow: part === data.validation },
        size * (across - left) / (right - left), size * (top - up) / (top - bottom), 3.2, palette);
    }
  }
}

function showCode() {
  const { optimizer, rate, batch, seed } = settings;
  const text = pythonCode(data.code, inputs, layers(), seed,
    stages.length ? stages : [{ optimizer, rate, batch, epochs: 0 }], data.training.m);
  if ($("code").textContent !== text) $("code").textContent = text;
}

// ------------------------------------------------------------------------------ controls

function look(unit) {
  looked = unit;
  drawNetwork();
  drawPlane();
  describe();
}

function makeTile(unit, label) {
  const canvas = element("canvas", { width: GRID, height: GRID });
  const button = element("button", { type: "button", className: "unit" }, canvas);
  if (label) button.append(element("span", { textContent: label, title: label }));
  button.setAttribute("aria-label", nameOfUnit(unit));
  const watch = () => look(unit), leave = () => look(null);
  button.addEventListener("pointerenter", watch);
  button.addEventListener("focus", watch);
  button.addEventListener("pointerleave", leave);
  button.addEventListener("blur", leave);
  return { unit, button, canvas };
}

function makeStepper(name, value, least, most, change) {
  const step = (sign, by) => element("button", {
    type: "button", textContent: sign, disabled: by < 0 ? value <= least : value >= most,
    ariaLabel: `${name}: one unit ${by < 0 ? "less" : "more"}`, onclick: () => change(value + by),
  });
  const group = element("span", { className: "stepper", role: "group" },
    step("−", -1), element("output", { textContent: value }), step("+", 1));
  group.setAttribute("aria-label", `Units of ${name}`);
  return group;
}

function makeColumn(layer, found) {
  const head = element("div", { className: "head" }, element("h2", { textContent:
    layer < 0 ? "Inputs" : nameOfLayer(layer) }));
  const spec = settings.hidden[layer];
  if (spec) {
    head.append(makeStepper(nameOfLayer(layer), spec.units, 1, MOST_UNITS, (units) =>
      reset(() => { spec.units = units; })));
    const select = element("select", { ariaLabel: `Activation of ${nameOfLayer(layer)}` });
    fill(select, data.activations, spec.activation, (name) =>
      reset(() => { spec.activation = name; }));
    head.append(select);
  } else if (layer >= 0) {
    head.append(element("span", { className: "fixed", textContent: data.output.activation }));
  }
  const units = element("div", { className: "units" }, ...found.map(({ button }) => button));
  if (layer < 0 && inputs > found.length)
    units.append(element("span", { textContent: `${inputs - found.length} more` }));
  return element("div", { className: "column" }, head, units);
}

// The tiles and the controls of the layers, anew; the focus stays at its place.
function layNetwork() {
  const controls = () => [...$("network").querySelectorAll("button, select")];
  const focused = document.activeElement?.getAttribute("aria-label");
  looked = null;
  const [across, up] = settings.axes;
  const shown = [...new Set(inputs > INPUTS_SHOWN
    ? [across, up, ...data.features.keys()] : data.features.keys())].slice(0, INPUTS_SHOWN);
  tiles = [
    shown.map((unit) => makeTile({ layer: -1, unit }, data.features[unit])),
    ...layers().map(({ units }, layer) => Array.from({ length: units }, (_, unit) =>
      makeTile({ layer, unit },
        layer === settings.hidden.length && units > 1 ? data.classes[unit] : ""))),
  ];
  $("network").replaceChildren($("edges"),
    ...tiles.map((column, i) => makeColumn(i - 1, column)));
  $("depth").textContent = settings.hidden.length;
  $("fewer").disabled = settings.hidden.length === 0;
  $("more").disabled = settings.hidden.length === MOST_LAYERS;
  if (focused) controls().find((it) => it.getAttribute("aria-label") === focused)?.focus();
}

function fill(select, options, chosen, change) {
  select.replaceChildren(...options.map((option) =>
    element("option", { textContent: option, selected: option === chosen })));
  select.onchange = () => change(options[select.selectedIndex]);
}

function makeControls() {
  const names = data.optimizers.map(({ name }) => name);
  fill($("optimizer"), names, settings.optimizer.name, (name) =>
    adjust({ optimizer: data.optimizers[names.indexOf(name)] }));
  fill($("rate"), RATES, settings.rate, (rate) => adjust({ rate }));
  const { m } = data.training;
  const batches = [...BATCHES.filter((size) => size < m), m];
  fill($("batch"), batches, settings.batch, (batch) => adjust({ batch }));
  $("batch").lastChild.textContent = `all ${m}`;
  fill($("speed"), Object.keys(SPEEDS), settings.speed, (speed) => adjust({ speed }));
  const most = data.shuffleSeeds.length - 1;
  Object.assign($("seed"), { min: 0, max: most, value: settings.seed, onchange: () => {
    const seed = Math.round(Math.min(Math.max(Number($("seed").value) || 0, 0), most));
    $("seed").value = seed;
    reset(() => { settings.seed = seed; });
  } });
  $("fewer").onclick = () => reset(() => settings.hidden.pop());
  $("more").onclick = () => reset(() =>
    settings.hidden.push({ units: 4, activation: settings.hidden.at(-1)?.activation ?? "tanh" }));
  ["across", "up"].forEach((id, i) => fill($(id), data.features, data.features[i], () => {
    settings.axes[i] = $(id).selectedIndex;
    layPlane();
    layNetwork();
    draw();
    describe();
  }));
  $("axes").hidden = inputs === 2;
  $("play").onclick = () => (playing ? pause() : play());
  $("step").onclick = () => {
    if (playing) pause();
    train(1);
    draw();
    if (!diverged) pause();
  };
  $("reset").onclick = () => reset();
  $("copy").onclick = copyCode;
  for (const it of document.querySelectorAll(".validation")) it.hidden = !data.validation;
  for (const it of document.querySelectorAll(".accuracy")) it.hidden ||= isRegression;
  for (const id of ["play", "step", "reset"]) $(id).disabled = false;
}

// What the next epoch shall be like; the network goes on.
function adjust(change) {
  Object.assign(settings, change);
  showCode();
}

async function copyCode() {
  const selection = getSelection();
  selection.selectAllChildren($("code"));
  try {
    await navigator.clipboard.writeText($("code").textContent);
  } catch { // frames of some notebooks may not: the old way, from the selection
    document.execCommand("copy");
  }
  say("The code is copied.");
}

function makeLegends() {
  const key = (look, text) => {
    const canvas = element("canvas", { className: "key", width: 32, height: 32 });
    const context = canvas.getContext("2d");
    context.scale(2, 2);
    drawPoint(context, look, 8, 8, 4.5, palette);
    return element("li", {}, canvas, text);
  };
  const points = isRegression
    ? [-NUMBERS_SHOWN, 0, NUMBERS_SHOWN].map((z) =>
      key(lookOfNumber(z), tidy(data.target[0] + z * data.target[1], 3)))
    : data.classes.map((name, c) => key({ shape: c, colour: palette.classes[c] }, name));
  if (validation)
    points.push(key({ shape: 0, colour: palette.faint, hollow: true }, "validation"));
  $("legend").replaceChildren(...points);
  const line = (className, text) =>
    element("li", {}, element("span", { className: `line ${className}` }), text);
  $("curves-legend").replaceChildren(line("training", "training"),
    ...(validation ? [line("dashed", "validation")] : []));
  const notes = [];
  if (inputs > 2) notes.push("The other features are at their mean.");
  if (data.training.m > MOST_POINTS)
    notes.push(`Every ${Math.ceil(data.training.m / MOST_POINTS)}th sample is shown.`);
  $("plane-text").textContent = notes.join(" ");
}

// --------------------------------------------------------------------------------- begin

function repaint() {
  palette = readPalette();
  makeLegends();
  draw();
}

async function main() {
  core = await Core.load(fromBase64($("core").textContent));
  const numbers = (text) => new Float64Array(fromBase64(text).buffer);
  const load = (part) => {
    part.x = numbers(part.x);
    part.y = numbers(part.y);
    const { units } = data.output, { m } = part;
    const y = units === 1 ? part.y
      : Float64Array.from({ length: units * m }, (_, i) => Number(part.y[i % m] === Math.floor(i / m)));
    return new Samples(core, part.x, y, m);
  };
  training = load(data.training);
  validation = data.validation && load(data.validation);
  palette = readPalette();
  makeControls();
  layPlane();
  restart();
  layNetwork();
  repaint();
  describe();
  new ResizeObserver(() => draw()).observe(document.body);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
}

main().catch((error) => say(`This browser cannot run the page: ${error.message}`));
