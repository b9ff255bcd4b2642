// controls.js - what the page is made of and reacts to, and its beginning.
"use strict";

function label(made, text) {
  made.setAttribute("aria-label", text);
  return made;
}

function look(unit) {
  looked = unit;
  drawNetwork();
  drawPlane();
  describe();
}

function makeTile(unit, caption) {
  const canvas = element("canvas", { width: GRID, height: GRID });
  const button = element("button", { type: "button", className: "unit" }, canvas);
  if (caption) button.append(element("span", { textContent: caption, title: caption }));
  label(button, nameOfUnit(unit));
  const watch = () => look(unit), leave = () => look(null);
  button.addEventListener("pointerenter", watch);
  button.addEventListener("focus", watch);
  button.addEventListener("pointerleave", leave);
  button.addEventListener("blur", leave);
  return { unit, button, canvas };
}

function makeStepper(name, value, least, most, change) {
  const step = (sign, by) => label(element("button", {
    type: "button", textContent: sign, disabled: by < 0 ? value <= least : value >= most,
    onclick: () => change(value + by),
  }), `${name}: one unit ${by < 0 ? "less" : "more"}`);
  const group = element("span", { className: "stepper" },
    step("−", -1), element("output", { textContent: value }), step("+", 1));
  group.setAttribute("role", "group");
  return label(group, `Units of ${name}`);
}

function makeColumn(layer, found) {
  const head = element("div", { className: "head" }, element("h2", { textContent:
    layer < 0 ? "Inputs" : nameOfLayer(layer) }));
  const spec = settings.hidden[layer];
  if (spec) {
    head.append(makeStepper(nameOfLayer(layer), spec.units, 1, MOST_UNITS, (units) =>
      reset(() => { spec.units = units; })));
    const select = label(element("select"), `Activation of ${nameOfLayer(layer)}`);
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
  ["across", "up"].forEach((id, i) => {
    fill($(id), data.features, null, () => {
      settings.axes[i] = $(id).selectedIndex;
      layPlane();
      layNetwork();
      draw();
      describe();
    });
    $(id).selectedIndex = settings.axes[i];
  });
  $("axes").hidden = inputs === 2;
  $("play").onclick = () => (playing ? pause() : play());
  $("step").onclick = () => {
    if (playing) pause();
    train(1);
    draw();
    rest();
  };
  $("reset").onclick = () => reset();
  $("copy").onclick = copyCode;
  for (const it of document.querySelectorAll(".validation")) it.hidden = !data.validation;
  for (const it of document.querySelectorAll(".accuracy")) it.hidden ||= isRegression;
  $("reset").disabled = false;
}

// What the next epoch shall be like; the network goes on.
function adjust(change) {
  Object.assign(settings, change);
  showCode();
}

async function copyCode() {
  const selection = getSelection();
  selection.selectAllChildren($("code"));
  let copied = true;
  try {
    await navigator.clipboard.writeText($("code").textContent);
  } catch { // frames of some notebooks may not: the old way, from the selection
    copied = document.execCommand("copy");
  }
  say(copied ? "The code is copied." : "This page may not copy: the code is selected.");
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
  const { m } = data.training, shown = Math.ceil(m / Math.ceil(m / MOST_POINTS));
  if (shown < m) notes.push(`${shown} of ${m.toLocaleString("en")} samples are shown.`);
  $("plane-text").textContent = notes.join(" ");
}

// --------------------------------------------------------------------------------- begin

function repaint() {
  palette = readPalette();
  makeLegends();
  draw();
}

async function main() {
  core = await Core.load(fromBase64(data.core));
  const numbers = (text) => new Float64Array(fromBase64(text).buffer);
  const load = (part) => {
    part.x = numbers(part.x);
    part.y = numbers(part.y);
    const { units } = data.output, { y, m } = part;
    const isOf = (i) => y[i % m] === Math.floor(i / m); // whether sample i % m is of that class
    const targets = units === 1 ? y
      : Float64Array.from({ length: units * m }, (_, i) => Number(isOf(i)));
    return new Samples(core, part.x, targets, m);
  };
  training = load(data.training);
  validation = data.validation && load(data.validation);
  palette = readPalette();
  makeControls();
  layPlane();
  restart();
  layNetwork();
  repaint();
  rest();
  new ResizeObserver(() => draw()).observe(document.body);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
}

main().catch((error) => say(`This browser cannot run the page: ${error.message}`));
