// code.js - the Python code that trains the network of the page.
"use strict";

const pythonOptimizer = ({ optimizer, rate }) => optimizer.code.replace("{rate}", String(rate));

function pythonFit({ batch, epochs }, m) {
  return `network.fit(X, y, epochs=${epochs}, batch_size=${batch < m ? batch : "None"}, verbose=0)`;
}

// On one line where it fits.
function pythonLayers(layers) {
  const calls = layers.map(({ units, activation }) => `nnc.Dense(${units}, "${activation}")`);
  const line = `    [${calls.join(", ")}],`;
  return line.length <= 88
    ? [line]
    : ["    [", ...calls.map((call) => `        ${call},`), "    ],"];
}

// preamble: the code that makes X and y; layers, the last one included; stages: what was trained,
// [{optimizer, rate, batch, epochs}, …], the first of which may have no epochs yet.
function pythonCode(preamble, inputs, layers, seed, stages, m) {
  const lines = [
    preamble.trimEnd(),
    "",
    "network = nnc.Network(",
    ...pythonLayers(layers),
    `    input_dim=${inputs},`,
    `    optimizer=${pythonOptimizer(stages[0])},`,
    '    dtype="float64",',
    `    seed=np.random.RandomState(${seed}),`,
    ")",
  ];
  stages.forEach((stage, i) => {
    const optimizer = pythonOptimizer(stage);
    if (i > 0 && optimizer !== pythonOptimizer(stages[i - 1]))
      lines.push(`network.optimizer = ${optimizer}`);
    if (stage.epochs > 0) lines.push(pythonFit(stage, m));
  });
  return lines.join("\n") + "\n";
}
