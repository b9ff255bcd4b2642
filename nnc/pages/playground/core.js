// core.js - the engine: csrc/wasm/page.h for JavaScript. Numbers are Float64Arrays; those that are
// looked at in the engine's memory are valid until the next call.
"use strict";

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

class Core {
  // From the engine's gzipped bytes.
  static async load(bytes) {
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const { instance } = await WebAssembly.instantiate(await new Response(unpacked).arrayBuffer());
    return new Core(instance.exports);
  }

  constructor(exports) {
    this.exports = exports;
    exports._initialize();
  }

  view(pointer, n) {
    return new Float64Array(this.exports.memory.buffer, pointer, n);
  }

  // A block of n zeros, to be freed.
  block(n) {
    const pointer = this.exports.new_block(n);
    if (pointer === 0) throw new Error(`No memory for ${n} numbers`);
    return pointer;
  }

  put(values) {
    const pointer = this.block(values.length);
    this.view(pointer, values.length).set(values);
    return pointer;
  }

  free(...pointers) {
    for (const pointer of pointers) this.exports.free_block(pointer);
  }

  // The place of a name in one of the engine's lists: activation, loss, optimizer.
  find(list, name) {
    const bytes = new TextEncoder().encode(name);
    const pointer = this.block(bytes.length / 8 + 1);
    new Uint8Array(this.exports.memory.buffer, pointer).set(bytes);
    const place = this.exports[`find_${list}`](pointer);
    this.free(pointer);
    if (place < 0) throw new Error(`The engine knows no ${list} ${name}`);
    return place;
  }
}

// Samples in the engine's memory: x has a row of m numbers for each feature.
class Samples {
  constructor(core, x, y, m) {
    this.x = core.put(x);
    this.y = core.put(y);
    this.m = m;
  }
}

class Network {
  // layers: [{units, activation}, …]
  constructor(core, inputs, layers, loss, seed, shuffleSeed) {
    const widths = core.put([inputs, ...layers.map((layer) => layer.units)]);
    const functions = core.put(layers.map((layer) => core.find("activation", layer.activation)));
    this.core = core;
    this.widths = [inputs, ...layers.map((layer) => layer.units)];
    this.pointer = core.exports.network_new(
      layers.length, widths, functions, core.find("loss", loss), seed, shuffleSeed);
    core.free(widths, functions);
    if (this.pointer === 0) throw new Error("The engine cannot make this network");
    this.results = core.block(2);
  }

  free() {
    this.core.free(this.results);
    this.core.exports.network_free(this.pointer);
  }

  get epochs() {
    return this.core.exports.network_epochs(this.pointer);
  }

  get params() {
    const { network_params, network_n_params } = this.core.exports;
    return this.core.view(network_params(this.pointer), network_n_params(this.pointer));
  }

  // Views of layer i: weights (units, inputs), and biases.
  layer(i) {
    let start = 0;
    for (let k = 0; k < i; k++) start += (this.widths[k] + 1) * this.widths[k + 1];
    const n = this.widths[i] * this.widths[i + 1];
    const params = this.params;
    return {
      weights: params.subarray(start, start + n),
      biases: params.subarray(start + n, start + n + this.widths[i + 1]),
    };
  }

  setOptimizer({ engineName, numbers }, rate) {
    const { beta_1 = 0, beta_2 = 0, epsilon = 0, momentum = 0, rho = 0 } = numbers;
    this.check(this.core.exports.network_set_optimizer(
      this.pointer, this.core.find("optimizer", engineName),
      rate, beta_1, beta_2, epsilon, momentum, rho));
  }

  // False where the loss is no longer finite; else the last epoch's is what score() gives.
  train(samples, batch, epochs) {
    const status = this.core.exports.network_train(
      this.pointer, samples.x, samples.y, samples.m, Math.min(batch, samples.m), epochs,
      this.results);
    if (status < 0) return false;
    this.check(status);
    return true;
  }

  evaluate(samples) {
    this.check(this.core.exports.network_evaluate(
      this.pointer, samples.x, samples.y, samples.m, this.results));
    return this.score();
  }

  score() {
    const [loss, accuracy] = this.core.view(this.results, 2);
    return { loss, accuracy };
  }

  // Outputs (m, outputs) for inputs x (inputs, m), a pointer; written to y.
  predict(x, m, y) {
    this.check(this.core.exports.network_predict(this.pointer, x, m, y));
  }

  // Activations of the hidden layers, each (units, m), one after the other; written to a.
  trace(x, m, a) {
    this.check(this.core.exports.network_trace(this.pointer, x, m, a));
  }

  check(status) {
    if (status !== 0) throw new Error(`The engine refuses: status ${status}`);
  }
}
