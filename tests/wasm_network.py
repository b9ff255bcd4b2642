"""The engine of the playground's page without a browser: csrc/wasm/page.h, run by wasmtime."""

import functools
from pathlib import Path

import numpy as np
import wasmtime

import nnc
from nnc._state import draw_seeds

WASM = Path(nnc.__file__).parent / "pages" / "playground" / "core.wasm"


@functools.cache
def load():
    """The module, compiled once, and the machine that it was compiled for."""
    engine = wasmtime.Engine()
    return engine, wasmtime.Module.from_file(engine, WASM)


class WasmNetwork:
    """A network in an engine of its own: layers are (units, activation), the output included."""

    def __init__(self, inputs, layers, loss, seed):
        engine, module = load()
        self.store = wasmtime.Store(engine)
        self.exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        self.call("_initialize")
        widths = [inputs, *(units for units, _ in layers)]
        activations = [self.find("activation", name) for _, name in layers]
        self.pointer = self.call(
            "network_new", len(layers), self.put(widths), self.put(activations),
            self.find("loss", loss), seed, draw_seeds(np.random.RandomState(seed))[0],
        )  # fmt: skip
        assert self.pointer
        self.results = self.put([0, 0])

    def call(self, name, *arguments):
        return self.exports[name](self.store, *arguments)

    def put(self, values):
        values = np.ascontiguousarray(values, "<f8")
        pointer = self.call("new_block", values.size)
        self.exports["memory"].write(self.store, values.tobytes(), pointer)
        return pointer

    def get(self, pointer, *shape):
        n = int(np.prod(shape))
        data = self.exports["memory"].read(self.store, pointer, pointer + 8 * n)
        return np.frombuffer(bytes(data), "<f8").reshape(shape)

    def find(self, kind, name):
        pointer = self.call("new_block", 8)
        self.exports["memory"].write(self.store, name.encode(), pointer)
        return self.call(f"find_{kind}", pointer)

    def train(self, X, Y, optimizer, batch, epochs):
        """Return whether it is well, after setting the optimizer."""
        numbers = optimizer.numbers()
        names = ("beta_1", "beta_2", "epsilon", "momentum", "rho")
        status = self.call(
            "network_set_optimizer", self.pointer, self.find("optimizer", optimizer.engine_name),
            optimizer.learning_rate, *(numbers.get(name, 0.0) for name in names),
        )  # fmt: skip
        assert status == 0
        x, y = self.put(X.T), self.put(Y.T)
        status = self.call("network_train", self.pointer, x, y, len(X), batch, epochs, self.results)
        assert status in (0, -1)
        return status == 0

    @property
    def params(self):
        return self.get(
            self.call("network_params", self.pointer), self.call("network_n_params", self.pointer)
        )

    @property
    def epochs(self):
        return self.call("network_epochs", self.pointer)

    def evaluate(self, X, Y):
        status = self.call(
            "network_evaluate", self.pointer, self.put(X.T), self.put(Y.T), len(X), self.results
        )
        assert status == 0
        return self.get(self.results, 2)

    def predict(self, X, n_out):
        y = self.put(np.zeros(len(X) * n_out))
        assert self.call("network_predict", self.pointer, self.put(X.T), len(X), y) == 0
        return self.get(y, len(X), n_out)

    def trace(self, X, units):
        """Return the activations of all hidden layers, whose units add up to that many."""
        a = self.put(np.zeros(len(X) * units))
        assert self.call("network_trace", self.pointer, self.put(X.T), len(X), a) == 0
        return self.get(a, units, len(X))
