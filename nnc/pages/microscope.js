"use strict";

// One training step: a map of its stages, and the equations of the stage that is chosen. An
// equation is {result, text, parts, terms, marks}: the name of the matrix that it gives; the
// formula; the matrices that it takes, as [sign before, name, sign behind]; what an element is
// computed from, in numbers; and which elements of each part those are, as [row, column], of which
// null means all.

const data = JSON.parse(document.getElementById("data").textContent);
const layers = data.layers;
const last = layers.length;
const TERMS = 6; // of a sum, that are written out

const ACTIVATIONS = {
  identity: ["Z", "1"],
  sigmoid: ["1 / (1 + e^−Z)", "A (1 − A)"],
  hard_sigmoid: ["Z / 6 + 1/2, within 0 and 1", "1/6 where |Z| < 3, else 0"],
  tanh: ["tanh(Z)", "1 − A²"],
  relu: ["max(0, Z)", "1 where Z > 0, else 0"],
  leaky_relu: ["Z where Z > 0, else 0.01 Z", "1 where Z > 0, else 0.01"],
  elu: ["Z where Z > 0, else e^Z − 1", "1 where Z > 0, else e^Z"],
  selu: ["s Z where Z > 0, else s α (e^Z − 1)", "s where Z > 0, else s α e^Z"],
  gelu: ["Z Φ(Z), Φ the normal distribution", "Φ(Z) + Z φ(Z)"],
  silu: ["Z σ(Z), σ the sigmoid", "σ(Z) (1 + Z (1 − σ(Z)))"],
  mish: ["Z T, T = tanh(log(1 + e^Z))", "T + Z (1 − T²) σ(Z)"],
  softplus: ["log(1 + e^Z)", "σ(Z)"],
  softsign: ["Z / (1 + |Z|)", "1 / (1 + |Z|)²"],
  hard_swish: ["Z times Z / 6 + 1/2, within 0 and 1", "Z / 3 + 1/2 where |Z| < 3, else 1 or 0"],
  exponential: ["e^Z", "A"],
  softmax: ["e^Z over its sum for the sample", ""],
  log_softmax: ["Z − log of the sum of e^Z for the sample", ""],
};

// Those whose elements depend on all outputs of a sample.
const SHARED = ["softmax", "log_softmax"];

const RULES = {
  sgd: "p ← p − η g",
  momentum: "v ← μ v + g, p ← p − η v",
  nesterov: "v ← μ v + g, p ← p − η (g + μ v)",
  adagrad: "s ← s + g², p ← p − η g / (√s + ε)",
  rmsprop: "s ← ρ s + (1 − ρ) g², p ← p − η g / (√s + ε)",
  adam: "u ← β₁ u + (1 − β₁) g, s ← β₂ s + (1 − β₂) g², p ← p − η û / (√ŝ + ε)",
  amsgrad: "as Adam, with the greatest ŝ so far: p ← p − η û / (√max ŝ + ε)",
  nadam: "as Adam, with a look ahead: p ← p − η (β₁ û + (1 − β₁) ĝ) / (√ŝ + ε)",
  lion: "p ← p − η sign(β₁ u + (1 − β₁) g), u ← β₂ u + (1 − β₂) g",
  rprop: "p ← p − Δ sign(g); Δ grows while g keeps its sign, and shrinks when it changes",
  lbfgs: "p ← p + α d: L-BFGS has the direction d from the steps so far, a line search has α",
  levenberg_marquardt: "(JᵀJ + λ I) d = −Jᵀe, p ← p + d",
};

// ------------------------------------------------------------------------------------- numbers

function value(name, row, column) {
  return Number(data.matrices[name].values[row]?.[column]);
}

function bracketed(number) {
  return number < 0 ? `(${short(number)})` : short(number);
}

// "a · b + c · d + …" of a sum over k, of which so many terms are known and so many there are.
function products(known, total, pair) {
  const count = Math.min(known, TERMS);
  const terms = Array.from({ length: count }, (_, k) => pair(k).map(bracketed).join(" · "));
  return terms.join(" + ") + (total > count ? ` + … (${total} terms)` : "");
}

const overM = data.divisor > 1 ? " / m" : "";
const byM = data.divisor > 1 ? ` / ${data.divisor}` : "";

// ----------------------------------------------------------------------------------- equations

function dense(i) {
  const { key, bias, activation } = layers[i - 1];
  const [W, A, Z, b] = [`W${key}`, `A${i - 1}`, `Z${i}`, `b${key}`];
  const inner = data.matrices[W];
  const linear = {
    result: Z,
    text: bias ? `${Z} = ${W} ${A} + ${b}` : `${Z} = ${W} ${A}`,
    parts: [["=", W], ["·", A], ...(bias ? [["+", b]] : [])],
    terms: (r, c) =>
      products(inner.values[0].length, inner.shape[1], (k) => [value(W, r, k), value(A, k, c)]) +
      (bias ? ` + ${bracketed(value(b, r, 0))}` : ""),
    marks: (r, c) => ({ [W]: [r, null], [A]: [null, c], [b]: [r, 0] }),
  };
  const shared = SHARED.includes(activation);
  const activated = {
    result: `A${i}`,
    text: `A${i} = g(${Z}), ${activation}: g(Z) = ${ACTIVATIONS[activation][0]}`,
    parts: [["= g", Z]],
    terms: (r, c) => (shared ? `g of column ${c}` : `g(${short(value(Z, r, c))})`),
    marks: (r, c) => ({ [Z]: [shared ? null : r, c] }),
  };
  return [linear, activated];
}

function denseBack(i) {
  const { key, bias, activation } = layers[i - 1];
  const [W, A, dZ, dA] = [`W${key}`, `A${i - 1}`, `dZ${i}`, `dA${i}`];
  const m = data.samples;
  const shownSamples = data.matrices[A].values[0].length;
  const slope = `g′(Z${i})`;
  const found = [
    i === last
      ? outputSlope()
      : {
          result: dZ,
          text: `${dZ} = ${dA} ∗ ${slope}, ${activation}: g′(Z) = ${ACTIVATIONS[activation][1]}`,
          parts: [["=", dA], ["∗", slope]],
          terms: (r, c) => [value(dA, r, c), value(slope, r, c)].map(bracketed).join(" · "),
          marks: (r, c) => ({ [dA]: [r, c], [slope]: [r, c] }),
        },
    {
      result: `dW${key}`,
      text: `dW${key} = ${dZ} ${A}ᵀ${overM}`,
      parts: [["=", dZ], ["·", A, `ᵀ${overM}`]],
      terms: (r, c) =>
        `(${products(shownSamples, m, (k) => [value(dZ, r, k), value(A, c, k)])})${byM}`,
      marks: (r, c) => ({ [dZ]: [r, null], [A]: [c, null] }),
    },
  ];
  if (bias) found.push(rowSums(`db${key}`, dZ));
  if (i > 1) {
    const outer = data.matrices[W];
    found.push({
      result: `dA${i - 1}`,
      text: `dA${i - 1} = ${W}ᵀ ${dZ}`,
      parts: [["=", W, "ᵀ"], ["·", dZ]],
      terms: (r, c) =>
        products(outer.values.length, outer.shape[0], (k) => [value(W, k, r), value(dZ, k, c)]),
      marks: (r, c) => ({ [W]: [null, r], [dZ]: [null, c] }),
    });
  }
  return found;
}

// The sum of a matrix over samples, as the gradient of a bias or a beta.
function rowSums(result, of) {
  const shown = data.matrices[of].values[0].length;
  return {
    result,
    text: `${result} = sum of ${of} over samples${overM}`,
    parts: [["= Σ", of, overM]],
    terms: (r) => `(${products(shown, data.samples, (k) => [value(of, r, k)])})${byM}`,
    marks: (r) => ({ [of]: [r, null] }),
  };
}

// Cross-entropies whose slope and that of the activation make one difference.
const DIFFERENCES = {
  sigmoid: ["binary_cross_entropy"],
  softmax: ["categorical_cross_entropy", "sparse_categorical_cross_entropy"],
};

function outputSlope() {
  const { activation } = layers[last - 1];
  const { kind, smoothing } = data.loss;
  const [A, dZ] = [`A${last}`, `dZ${last}`];
  const difference = !smoothing && DIFFERENCES[activation]?.includes(kind);
  return {
    result: dZ,
    text: difference
      ? `${dZ} = Ŷ − Y: the slope of the loss by Ŷ = ${A}, times that of ${activation}`
      : `${dZ} = dL/dZ${last}, of the loss ${kind} behind ${activation}`,
    parts: difference ? [["=", A], ["−", "Y"]] : [["of", A], ["and", "Y"]],
    terms: (r, c) => {
      const pair = [value(A, r, c), value("Y", r, c)].map(bracketed);
      return difference ? pair.join(" − ") : `the slope at Ŷ ${pair[0]}, Y ${pair[1]}`;
    },
    marks: (r, c) => ({ [A]: [r, c], Y: [r, c] }),
  };
}

function dropout(i) {
  return [timesMask(`A${i}`, `A${i - 1}`, i, "training drops some elements, and scales the rest")];
}

function dropoutBack(i) {
  return [timesMask(`dA${i - 1}`, `dA${i}`, i, "what was dropped has no slope")];
}

function timesMask(result, of, i, why) {
  return {
    result,
    text: `${result} = ${of} ∗ M${i}: ${why}`,
    parts: [["=", of], ["∗", `M${i}`]],
    terms: (r, c) => [value(of, r, c), value(`M${i}`, r, c)].map(bracketed).join(" · "),
    marks: (r, c) => ({ [of]: [r, c], [`M${i}`]: [r, c] }),
  };
}

// Along which way a norm takes its means: null in the place of what they run over.
function overWhat(i) {
  const batch = layers[i - 1].kind === "batch_norm";
  const words = batch ? "the samples of the batch" : "the features of the sample";
  return [words, (r, c) => (batch ? [r, null] : [null, c])];
}

function norm(i) {
  const { key } = layers[i - 1];
  const [A, hat, gamma, beta] = [`A${i - 1}`, `Â${i}`, `gamma${key}`, `beta${key}`];
  const [words, all] = overWhat(i);
  return [
    {
      result: hat,
      text: `${hat} = (${A} − mean) / √(variance + ε), over ${words}`,
      parts: [["of", A]],
      terms: (r, c) => `(${short(value(A, r, c))} − mean) / √(variance + ε)`,
      marks: (r, c) => ({ [A]: all(r, c) }),
    },
    {
      result: `A${i}`,
      text: `A${i} = ${gamma} ∗ ${hat} + ${beta}`,
      parts: [["=", gamma], ["∗", hat], ["+", beta]],
      terms: (r, c) =>
        [value(gamma, r, 0), value(hat, r, c)].map(bracketed).join(" · ") +
        ` + ${bracketed(value(beta, r, 0))}`,
      marks: (r, c) => ({ [gamma]: [r, 0], [hat]: [r, c], [beta]: [r, 0] }),
    },
  ];
}

function normBack(i) {
  const { key } = layers[i - 1];
  const [dA, hat, gamma] = [`dA${i}`, `Â${i}`, `gamma${key}`];
  const [words, all] = overWhat(i);
  const shown = data.matrices[dA].values[0].length;
  const found = [
    {
      result: `dgamma${key}`,
      text: `dgamma${key} = sum of ${dA} ∗ ${hat} over samples${overM}`,
      parts: [["= Σ", dA], ["∗", hat, overM]],
      terms: (r) =>
        `(${products(shown, data.samples, (k) => [value(dA, r, k), value(hat, r, k)])})${byM}`,
      marks: (r) => ({ [dA]: [r, null], [hat]: [r, null] }),
    },
    rowSums(`dbeta${key}`, dA),
  ];
  if (i > 1) {
    const whole = `(D − mean D − ${hat} ∗ mean(D ∗ ${hat})) / √(variance + ε)`;
    found.push({
      result: `dA${i - 1}`,
      text: `dA${i - 1} = ${whole}, D = ${gamma} ∗ ${dA}, over ${words}`,
      parts: [["of", dA], ["and", hat], ["and", gamma]],
      terms: () => `the slopes of ${words}, less what the norm takes away`,
      marks: (r, c) => ({ [dA]: all(r, c), [hat]: all(r, c), [gamma]: [all(r, c)[0], 0] }),
    });
  }
  return found;
}

const KINDS = {
  dense: [dense, denseBack],
  dropout: [dropout, dropoutBack],
  layer_norm: [norm, normBack],
  batch_norm: [norm, normBack],
};

function parameters(i) {
  const { kind, key, bias } = layers[i - 1];
  if (kind === "dropout") return [];
  if (kind === "dense") return bias ? [`W${key}`, `b${key}`] : [`W${key}`];
  return [`gamma${key}`, `beta${key}`];
}

// The running statistics of a batch norm, which predictions use.
function moments(i) {
  const { kind, key, momentum } = layers[i - 1];
  if (kind !== "batch_norm") return [];
  return ["mean", "variance"].map((word) => {
    const name = `${word}${key}`;
    return {
      result: `${name} after`,
      text: `${name} ← ρ ${name} + (1 − ρ) ${word} of A${i - 1} over the batch, ρ = ${momentum}`,
      parts: [["from", name]],
      terms: (r, c) => moved(name, r, c),
      marks: (r, c) => ({ [name]: [r, c] }),
    };
  });
}

// What a number was before the step, and by how much it moves.
function moved(name, r, c) {
  const change = value(`${name} after`, r, c) - value(name, r, c);
  const sign = change < 0 ? "−" : "+";
  return `${exact(value(name, r, c))} ${sign} ${short(Math.abs(change))}`;
}

function updates(i) {
  const { frozen, rate, penalties } = layers[i - 1];
  const rule = `${RULES[data.optimizer.kind]}: ${[data.optimizer.text, ...penalties].join(", ")}`;
  const plain = rate !== null && !frozen;
  const trained = parameters(i).map((name) => {
    const text = frozen
      ? "frozen: training leaves it as it is"
      : plain
        ? `${name} ← ${name} − η d${name}, η = ${short(rate)}`
        : `g = d${name}, ${rule}`;
    return {
      result: `${name} after`,
      text,
      parts: [[plain ? "=" : "from", name], [plain ? "− η ·" : "and", `d${name}`]],
      terms: (r, c) =>
        plain
          ? `${short(value(name, r, c))} − ${short(rate)} · ${bracketed(value(`d${name}`, r, c))}`
          : moved(name, r, c),
      marks: (r, c) => ({ [name]: [r, c], [`d${name}`]: [r, c] }),
    };
  });
  return [...trained, ...moments(i)];
}

// -------------------------------------------------------------------------------------- stages

const PASSES = { Forward: "Forward →", Backward: "← Backward", Update: "Update" };

// What a layer's stage is about: "" where there is nothing to compute.
function labelOf(pass, i) {
  const { kind } = layers[i - 1];
  if (pass === "Update") return parameters(i).join(", ");
  if (pass === "Forward") return kind === "dense" ? `Z${i}, A${i}` : `A${i}`;
  if (kind === "dropout" && i === 1) return "";
  const slopes = parameters(i).map((name) => `d${name}`);
  return [kind === "dense" ? `dZ${i}` : `dA${i}`, ...slopes].join(", ");
}

function equationsOf({ pass, place }) {
  const [forward, backward] = KINDS[layers[place - 1].kind];
  return { Forward: forward, Backward: backward, Update: updates }[pass](place);
}

function stagesOf() {
  const places = layers.map((_, k) => k + 1);
  const of = (pass, order) => order.map((place) => ({ pass, place, label: labelOf(pass, place) }));
  const back = [...places].reverse();
  const all = [...of("Forward", places), ...of("Backward", back), ...of("Update", places)];
  return all.filter((stage) => stage.label);
}

const HINT = "Point at a number, or reach it by Tab and arrow keys, to see where it comes from.";

const stages = stagesOf();
let current = 0;

function titleOf(stage) {
  return `${stage.pass}, layer ${stage.place}: ${layers[stage.place - 1].text}`;
}

function drawMap() {
  const map = document.getElementById("map");
  map.style.setProperty("--layers", last);
  map.append(element("span", {}));
  for (let place = 1; place <= last; place++) {
    map.append(element("b", { textContent: `layer ${place}`, title: layers[place - 1].text }));
  }
  for (const [pass, text] of Object.entries(PASSES)) {
    map.append(element("b", { textContent: text }));
    for (let place = 1; place <= last; place++) {
      const number = stages.findIndex((s) => s.pass === pass && s.place === place);
      map.append(number < 0 ? element("span", {}) : mapButton(number));
    }
  }
}

function mapButton(number) {
  const stage = stages[number];
  const button = element("button", { type: "button", textContent: stage.label });
  button.dataset.stage = number;
  button.setAttribute("aria-label", `${titleOf(stage)}: ${stage.label}`);
  button.addEventListener("click", () => open(number));
  return button;
}

function open(number) {
  current = number;
  const stage = stages[number];
  document.getElementById("heading").textContent = titleOf(stage);
  document.getElementById("back").disabled = number === 0;
  document.getElementById("next").disabled = number === stages.length - 1;
  for (const button of document.querySelectorAll("#map button")) {
    if (Number(button.dataset.stage) === number) button.setAttribute("aria-current", "step");
    else button.removeAttribute("aria-current");
  }
  document.getElementById("told").textContent = HINT;
  const sections = equationsOf(stage).map(drawEquation);
  document.getElementById("stage").replaceChildren(...sections);
}

function drawEquation(equation) {
  const row = element("div", { className: "matrices" });
  const section = element("section", {}, element("h3", { textContent: equation.text }), row);
  const told = document.getElementById("told");
  const leave = () => section.querySelectorAll("table").forEach(unmark);
  const choose = (r, c) => {
    leave();
    const marks = equation.marks(r, c);
    for (const table of section.querySelectorAll("table")) {
      const places = table.dataset.name === equation.result ? [r, c] : marks[table.dataset.name];
      if (places) mark(table, ...places);
    }
    const number = exact(data.matrices[equation.result].values[r][c]);
    told.textContent = `${equation.result}[${r}, ${c}] = ${equation.terms(r, c)} = ${number}`;
  };
  row.append(part(matrixFigure(equation.result, data.matrices[equation.result], choose, leave)));
  for (const [before, name, behind] of equation.parts) {
    const tell = (r, c) => {
      told.textContent = `${name}[${r}, ${c}] = ${exact(data.matrices[name].values[r][c])}`;
    };
    row.append(part(matrixFigure(name, data.matrices[name], tell, leave), before, behind));
  }
  return section;
}

function part(figure, before = "", behind = "") {
  const [left, right] = [before, behind].map((sign) =>
    sign ? [element("span", { className: "sign", textContent: sign })] : [],
  );
  return element("div", { className: "part" }, ...left, figure, ...right);
}

function start() {
  const [before, after] = data.loss.values.map((loss) => Number(loss).toPrecision(6));
  document.getElementById("facts").textContent =
    `${data.network}. Samples: m = ${data.samples}. ` +
    `Loss: ${before} before the step, ${after} after it.`;
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset.theme = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
  });
  document.getElementById("back").addEventListener("click", () => open(current - 1));
  document.getElementById("next").addEventListener("click", () => open(current + 1));
  drawMap();
  open(0);
}

start();
