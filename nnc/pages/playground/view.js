// view.js - the page's words and pictures of the present state.
"use strict";

// --------------------------------------------------------------------------------- words

// say what everybody should read, tell those who do not see the figures.
const say = (text) => { $("status").textContent = text; };
const tell = (text) => { $("spoken").textContent = text; };
const number = (x) =>
  (Math.abs(x) >= 1e4 ? x.toExponential(2) : x.toPrecision(3)).replace("-", "−");
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
  const place = `over ${across} and ${up}, with ${training.m} samples`;
  label($("plane"), `${titleOfPlane()} ${place}, at epoch ${network.epochs}`);
  label($("curves"), `Loss by epoch, up to ${network.epochs}: ${summary()}`);
}

function titleOfPlane() {
  if (looked) return nameOfUnit(looked);
  return isRegression ? "Prediction" : "Regions of the classes";
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
    `${number(weights[unit * n + k])} (${nameOf(k)})`);
  if (n > INPUTS_SHOWN) parts.push("…");
  const name = nameOfUnit({ layer, unit });
  return `${name}: bias ${number(biases[unit])}; weights ${parts.join(", ")}.`;
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
  const [[left, right], [bottom, top]] = bounds;
  const values = new Float64Array(inputs * CELLS);
  for (let k = 0; k < CELLS; k++) {
    const column = k % GRID, row = Math.floor(k / GRID);
    values[settings.axes[0] * CELLS + k] = left + (right - left) * (column + 0.5) / GRID;
    values[settings.axes[1] * CELLS + k] = top - (top - bottom) * (row + 0.5) / GRID;
  }
  if (grid) core.free(grid.x);
  grid ??= {
    hidden: core.block(CELLS * MOST_LAYERS * MOST_UNITS),
    outputs: core.block(CELLS * data.output.units),
  };
  grid.x = core.put(values);
}

// The values of a unit over the grid.
function seen({ layer, unit }) {
  const rowOf = (block, row) => core.view(block + 8 * CELLS * row, CELLS);
  if (layer < 0) return rowOf(grid.x, unit);
  if (layer < settings.hidden.length) {
    const before = settings.hidden.slice(0, layer).reduce((sum, { units }) => sum + units, 0);
    return rowOf(grid.hidden, before + unit);
  }
  const { units } = data.output;
  const outputs = core.view(grid.outputs, CELLS * units);
  const values = Float64Array.from({ length: CELLS }, (_, k) => outputs[k * units + unit]);
  return isRegression ? values : values.map((p) => 2 * p - 1);
}

function draw() {
  network.trace(grid.x, CELLS, grid.hidden);
  network.predict(grid.x, CELLS, grid.outputs);
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
    : "Lines are weights: blue ones positive, dashed orange ones negative. Point at a unit, or " +
      "move to it with the Tab key, to see on the plane what it sees.";
}

const map = element("canvas", { width: GRID, height: GRID });

function drawPlane() {
  const { context, width } = begin($("plane"));
  const size = width - 52;
  const box = { left: 44, top: 6, width: size, height: size };
  const outputs = core.view(grid.outputs, CELLS * data.output.units);
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
  $("plane-title").textContent = titleOfPlane();
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
