"""The cases of tests/c/golden.txt through Python: the same bits, however they are computed."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import ISAS, ISAS_WITH_FMA

import nnc
from nnc import _core

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "c" / "golden.txt"
LINES = [
    line
    for line in GOLDEN.read_text(encoding="ascii").splitlines()
    if line and not line.startswith("#")
]
THREADS = (1, 2, 3, 4, 7, 8, 16)
ACTIVATIONS = {
    "r": "relu", "s": "sigmoid", "i": "identity", "m": "softmax", "l": "log_softmax", "t": "tanh",
    "e": "elu", "g": "gelu", "h": "mish", "p": "softplus", "w": "hard_swish",
}  # fmt: skip
KINDS = {"D": "dropout", "N": "layer_norm", "B": "batch_norm"}
LOSSES = {
    "bce": "binary_cross_entropy",
    "cce": "categorical_cross_entropy",
    "mse": "mean_squared_error",
    "sse": "sum_of_squares",
}
PARAMETERS = {"huber": 1.0, "quantile": 0.5, "binary_focal_cross_entropy": 2.0}


class Case:
    """A line of golden.txt. C's twin of this class is in tests/c/test_golden.c."""

    def __init__(self, line):
        self.text, hashes = line.split(" = ")
        self.hashes = dict(zip((True, False), hashes.split(), strict=True))
        self.verb, dtype, loss, bias, m, times, rate, layers, *self.words = self.text.split()
        self.loss = LOSSES.get(loss, loss)
        self.dtype = np.dtype({"f32": np.float32, "f64": np.float64}[dtype])
        self.m, self.times, self.rate = int(m), int(times), float(rate)
        first, *rest = layers.split("-")
        n_in = n_out = int(first)
        self.layers = []
        for layer in rest:
            if layer in KINDS:
                numbers = (0.25, 2.0**-10, 0.875)
                self.layers.append((n_out, n_out, "identity", False, KINDS[layer], *numbers))
                continue
            width, n_out = n_out, int(layer[:-1])
            self.layers.append((width, n_out, ACTIVATIONS[layer[-1]], bias == "bias"))
        self.X = (fractions(n_in * self.m, 1) * 2).reshape(n_in, -1).astype(self.dtype)
        self.labels = ((fractions(self.m, 2) + 1) / 2 * n_out).astype(np.int64)
        if self.loss == "categorical_cross_entropy":
            Y = np.arange(n_out)[:, None] == self.labels
        else:
            Y = fractions(n_out * self.m, 2)
            Y = Y > 0 if "cross_entropy" in self.loss or self.loss == "hinge" else (Y + 1) / 2
        self.Y = Y.reshape(n_out, -1).astype(self.dtype)
        self.params = self.initial()

    def initial(self):
        sizes = []
        for n_in, n_out, _, bias, *kind in self.layers:
            norm = 0 if kind[:1] == ["dropout"] else 2 * n_in
            sizes.append(norm if kind else (n_in + bias) * n_out)
        params, start = fractions(sum(sizes), 3), 0
        for (n_in, *_), size in zip(self.layers, sizes, strict=True):
            params[start : start + size] *= 0.5 ** ((n_in.bit_length() + 1) // 2)
            start += size
        return params.astype(self.dtype)

    def architecture(self):
        keys = ("input_dim", "output_dim", "activation")
        return [dict(zip(keys, layer, strict=False)) for layer in self.layers]

    def train(self, X=None, Y=None, params=None, n_threads=1):
        """Return parameters and histories, in bytes."""
        X, Y = self.X if X is None else X, self.Y if Y is None else Y
        params = self.params.copy() if params is None else params
        cost, accuracy = np.zeros(self.times), np.zeros(self.times)
        done, diverged = _core.train(
            params, X, Y, self.layers, self.loss, self.times, self.rate, n_threads,
            cost, accuracy,
        )  # fmt: skip
        assert (done, diverged) == (self.times, False)
        return params.tobytes() + cost.tobytes() + accuracy.tobytes()

    def fit(self, X=None, Y=None, params=None, n_threads=1):
        """Do the same in batches, with predictions at the end."""
        X, Y = self.X if X is None else X, self.Y if Y is None else Y
        optimizer, batch = re.fullmatch(r"([a-z]+)(\d+)", self.verb).groups()
        engine = _core.Engine(self.layers, self.loss, self.dtype.name)
        n = self.params.size
        engine.params[:n] = self.params if params is None else params
        engine.params[n:] = 0  # what batch norm keeps
        options = {}
        if "penalties" in self.words:
            options["ranges"] = [(0, n, False, 2.0**-8, 2.0**-6, 2.0**-5, 0.0, 0)]
        if "clipping" in self.words:
            options |= {"clip_value": 0.25, "clip_norm": 0.5}
        if "average" in self.words:
            options["average_decay"] = 0.75
        if "smoothing" in self.words:
            options["smoothing"] = 0.125
        if "weights" in self.words:
            options["weights"] = fractions(self.m, 4) + 1
        cost, accuracy = engine.fit(
            X.T, self.labels if "classes" in self.words else Y.T, epochs=self.times,
            batch_size=int(batch), optimizer=optimizer, learning_rate=self.rate, beta_1=0.875,
            beta_2=0.96875, epsilon=2.0**-20, momentum=0.875, rho=0.96875, seed=5, dropout_seed=7,
            loss_parameter=PARAMETERS.get(self.loss, 0.0), n_threads=n_threads, **options,
        )  # fmt: skip
        parts = [engine.params] + ([engine.average] if "average" in self.words else [])
        parts += [cost, accuracy, engine.predict(X.T, n_threads=n_threads)]
        return b"".join(part.tobytes() for part in [*parts, engine.predict(X[:, 0])])

    def steps(self):
        net, parts = self.architecture(), []
        offsets, _ = _core.layout(self.layers)
        block, params = self.params.copy(), {}
        for i, ((w, b), (n_in, n_out, *_)) in enumerate(zip(offsets, self.layers, strict=True), 1):
            params[f"W{i}"] = block[w : w + n_out * n_in].reshape(n_out, n_in)
            params[f"b{i}"] = block[b : b + n_out].reshape(n_out, 1)
        for _ in range(self.times):
            Y_hat, memory = nnc.full_forward_propagation(self.X, params, net)
            A = [memory[f"A{i}"] for i in range(1, len(net))] + [Y_hat]
            for i, activations in enumerate(A, 1):
                parts += [memory[f"Z{i}"], activations]
            cost = nnc.get_cost_value(Y_hat, self.Y)
            parts += [np.float64(cost), np.float64(nnc.get_accuracy_value(Y_hat, self.Y))]
            grads = nnc.full_backward_propagation(Y_hat, self.Y, memory, params, net)
            for i in range(len(net), 0, -1):
                parts += [grads[f"dW{i}"], grads[f"db{i}"]]
            nnc.update(params, grads, net, self.rate)
            parts.append(block.copy())
        return b"".join(part.tobytes() for part in parts)

    def functions(self):
        i = np.arange(self.m, dtype=self.dtype).reshape(1, -1)
        z, p = (i - self.m // 2) / 16, np.minimum(i / 4096, 1)
        a = nnc.sigmoid(z)
        parts = [a, nnc.sigmoid_backward(z, z), np.float64(nnc.get_cost_value(p, self.Y))]
        parts += [np.float64(nnc.get_accuracy_value(p, self.Y))]
        parts += [_core.output_gradient(p, self.Y, "identity")]
        assert a.dtype == parts[1].dtype == parts[-1].dtype == self.dtype
        return b"".join(part.tobytes() for part in parts)


def fractions(n, stream):
    """n of the 2**21 multiples of 2**-20 in [-1, 1): splitmix64 of a counter."""
    h = (np.arange(1, n + 1, dtype=np.uint64) + np.uint64(stream << 32)) * np.uint64(
        0x9E3779B97F4A7C15
    )
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((h ^ (h >> np.uint64(31))) >> np.uint64(43)) * 2.0**-20 - 1


def hash_of(data):
    value = 0xCBF29CE484222325
    for word in np.frombuffer(data, np.uint32).tolist():
        value = (value ^ word) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 32
    return f"{value:016x}"


def shifted(array, offset):
    """A copy that starts `offset` elements after a cache line."""
    room = np.empty(array.size + 128, array.dtype)
    start = -room.ctypes.data % 64 // array.itemsize + offset
    copy = room[start : start + array.size].reshape(array.shape)
    copy[:] = array
    return copy


@pytest.fixture(autouse=True)
def isa_before():
    before = nnc.cpu_info()["isa"]
    yield
    _core.select_isa(before)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.partition(" =")[0])
def test_every_way_of_computing_gives_the_recorded_bits(line):
    case = Case(line)
    for names in (ISAS[:1], ISAS_WITH_FMA):
        results = set()
        for name in names:
            _core.select_isa(name)
            if case.verb in ("steps", "functions"):
                results |= {getattr(case, case.verb)() for _ in range(2)}
                continue
            compute = case.train if case.verb == "train" else case.fit
            results |= {compute(n_threads=n) for n in THREADS}
            for offset in range(1, 64 // case.dtype.itemsize):
                moved = [shifted(array, offset) for array in (case.X, case.Y, case.params)]
                results.add(compute(*moved, n_threads=1 + offset % 2))
            rows = [np.ascontiguousarray(array.T).T for array in (case.X, case.Y)]
            results.add(compute(*rows))
        if names:
            assert {hash_of(result) for result in results} == {case.hashes[nnc.cpu_info()["fma"]]}


def test_train_is_what_the_cases_compute():
    """What nnc.train adds is the initial parameters, whose log is the C library's."""
    case = Case(next(line for line in LINES if line.startswith("train f64 bce bias 900")))
    net = case.architecture()
    start = nnc.init_layers(net, 2)
    keys = [f"{letter}{i}" for i in range(1, len(net) + 1) for letter in "Wb"]
    expected = case.train(params=np.concatenate([start[key].ravel() for key in keys]))
    for n_threads in THREADS:
        params, cost, accuracy = nnc.train(
            case.X, case.Y, net, case.times, case.rate, seed=2, n_threads=n_threads
        )
        parts = [*(params[key] for key in keys), np.array(cost), np.array(accuracy)]
        assert b"".join(part.tobytes() for part in parts) == expected


def test_chapter_1_is_what_the_cases_compute():
    case = Case(next(line for line in LINES if line.startswith("train f64 sse free 4 1500 1 ")))
    network = nnc.NeuralNetwork(case.X.T, case.Y.T, seed=0)
    network.weights1 = case.params[:12].reshape(4, 3).T.copy()
    network.weights2 = case.params[12:].reshape(4, 1).copy()
    loss = np.array(network.train(case.times))
    result = network.weights1.T.tobytes() + network.weights2.tobytes() + loss.tobytes()
    assert case.train().startswith(result)


def test_the_changelog_names_the_recorded_values():
    """Results change on purpose only, and then the changelog says so."""
    digest = hashlib.sha256(GOLDEN.read_bytes()).hexdigest()[:16]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    named = re.findall(r"`golden\.txt`, `([0-9a-f]{16})`", changelog)
    assert named[:1] == [digest], f"the latest entry must say: `golden.txt`, `{digest}`"
