// training.js - what the page holds, and the loop that trains the network and has it drawn.
"use strict";

const MOST_LAYERS = 5, MOST_UNITS = 8, INPUTS_SHOWN = 8, CURVE_POINTS = 1000;
const NUMBERS_SHOWN = 2; // standardised ones from minus this to this have colours of their own
const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3];
const BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256];
// Milliseconds from frame to frame, at least, and those of training in each, besides an epoch.
const SPEEDS = {
  "10 epochs a second": { pause: 100, work: 0 },
  "an epoch a frame": { pause: 0, work: 0 },
  "as fast as it can": { pause: 0, work: 12 },
};

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
  axes: data.axes,
};

let core, training, validation, network, palette, grid, bounds;
let stages = []; // of the training so far: see code.js
let curves = { training: [], validation: [] };
let score, validationScore;
let playing = false, diverged = false, looked = null, nextFrame = 0, lastFrame = 0;
let tiles = []; // [column][place]: {unit, button, canvas}, from the inputs to the outputs

const layers = () => [...settings.hidden, data.output];

function restart() {
  network?.free();
  network = new Network(
    core, inputs, layers(), data.output.loss, settings.seed, data.shuffleSeeds[settings.seed]);
  stages = [];
  diverged = false;
  curves = { training: [], validation: [] };
  evaluate();
  record();
  say("");
}

function evaluate() {
  score = network.evaluate(training);
  validationScore = validation && network.evaluate(validation);
}

function record() {
  const extend = (points, { loss }) => {
    const longer = [...points, [network.epochs, loss]];
    return longer.length > CURVE_POINTS ? longer.filter((_, i) => i % 2 === 0) : longer;
  };
  curves.training = extend(curves.training, score);
  if (validation) curves.validation = extend(curves.validation, validationScore);
}

// The stage with the present settings.
function stage() {
  const { optimizer, rate, batch } = settings;
  const last = stages.at(-1);
  if (last?.optimizer !== optimizer || last.rate !== rate || last.batch !== batch)
    stages.push({ optimizer, rate, batch, epochs: 0 });
  return stages.at(-1);
}

function train(epochs) {
  const present = stage();
  network.setOptimizer(present.optimizer, present.rate);
  if (network.train(training, present.batch, epochs)) {
    present.epochs += epochs;
    score = network.score();
    validationScore = validation && network.evaluate(validation);
    record();
    return;
  }
  diverged = true;
  evaluate();
  let left = network.epochs;
  for (const part of stages) {
    part.epochs = part === present ? left : Math.min(part.epochs, left);
    left -= part.epochs;
  }
  pause();
  say("The loss is no longer finite. Choose a smaller learning rate, and reset.");
}

function frame(now) {
  nextFrame = requestAnimationFrame(frame);
  const { pause, work } = SPEEDS[settings.speed];
  if (now - lastFrame < pause) return;
  lastFrame = now;
  const end = performance.now() + work;
  do train(1); while (playing && performance.now() < end);
  draw();
}

function play() {
  playing = true;
  $("play").textContent = "Pause";
  say("");
  nextFrame = requestAnimationFrame(frame);
}

function pause() {
  playing = false;
  cancelAnimationFrame(nextFrame);
  $("play").textContent = "Play";
  rest();
}

// After a change, while nothing moves.
function rest() {
  $("play").disabled = $("step").disabled = diverged;
  tell(network.epochs > 0 ? `Epoch ${network.epochs}: ${summary()}.` : "");
  describe();
}

// change, if given, makes other layers of the settings.
function reset(change) {
  if (playing) pause();
  change?.();
  restart();
  if (change) layNetwork();
  draw();
  rest();
}
