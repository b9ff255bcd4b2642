"""Layers as data: fields, shapes, names of parameters, plain dicts."""

import copy
import dataclasses
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

import nnc
from nnc import initializers, layers
from nnc.layers import BatchNorm, Dense, Dropout, Flatten, LayerNorm, Reshape, compile_layers

EACH = [
    Dense(3),
    Dense(
        np.int64(25), "swish", bias=True, kernel_initializer="he_normal",
        bias_initializer=initializers.Normal(0.2), l1=1, l2=np.float32(0.5), max_norm=3,
        trainable=np.False_, name="first",
    ),
    Dense(4, "softmax", bias=False),
    Dropout(0.25, name="rain"),
    LayerNorm(),
    LayerNorm(1e-5, trainable=False),
    BatchNorm(),
    BatchNorm(0.9, 1e-5),
    Flatten(),
    Reshape((2, -1)),
    Reshape(6),
]  # fmt: skip


@pytest.mark.parametrize("layer", EACH, ids=repr)
def test_plain_dicts_and_back(layer):
    config = layers.to_config(layer)
    assert layers.from_config(json.loads(json.dumps(config, allow_nan=False))) == layer
    assert set(config) == {"kind"} | {field.name for field in dataclasses.fields(layer)}
    minimal = {"kind": layer.kind} | {
        field.name: config[field.name]
        for field in dataclasses.fields(layer)
        if field.default is dataclasses.MISSING or config[field.name] != field.default
    }
    assert layers.from_config(minimal) == layer


@pytest.mark.parametrize("layer", EACH, ids=repr)
def test_layers_are_values(layer):
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin == layer
        assert hash(twin) == hash(layer)
    names = vars(initializers) | vars(layers)
    assert eval(repr(layer), dict(names)) == layer
    with pytest.raises(dataclasses.FrozenInstanceError):
        layer.name = "other"


def test_fields_become_plain():
    layer = EACH[1]
    assert (layer.units, layer.activation, layer.l1, layer.l2) == (25, "silu", 1.0, 0.5)
    assert type(layer.units) is int
    assert {type(layer.l1), type(layer.l2), type(layer.max_norm)} == {float}
    assert layer.trainable is False
    assert layer.kernel_initializer == initializers.HeNormal()
    assert repr(Dense(3, "linear")) == "Dense(3)"
    assert repr(Dropout(0.5)) == "Dropout(0.5)"


def test_names_of_activations():
    for name in layers.ACTIVATIONS:
        assert Dense(1, name).activation == name
    aliases = {"linear": "identity", "logistic": "sigmoid", "swish": "silu"}
    assert aliases == layers.ALIASES
    for alias, name in aliases.items():
        assert Dense(1, alias).activation == name


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dense(0), ValueError, r"Dense\(units\): expected at least 1, got 0"),
        (lambda: Dense(2.0), TypeError, r"Dense\(units\): expected an integer, got 2.0"),
        (lambda: Dense(True), TypeError, r"Dense\(units\): expected an integer, got True"),
        (lambda: Dense("relu"), TypeError, r"Dense\(units\): expected an integer, got 'relu'"),
        (lambda: Dense(10**30), ValueError, r"Dense\(units\): expected at most"),
        (lambda: Dense(1, "ReLU"), ValueError, "one of elu, .* got 'ReLU'; did you mean 'relu'"),
        (lambda: Dense(1, "leaky relu"), ValueError, "did you mean 'leaky_relu'"),
        (lambda: Dense(1, "sigmod"), ValueError, "did you mean 'sigmoid'"),
        (lambda: Dense(1, np.tanh), TypeError, r"Dense\(activation\): expected one of"),
        (lambda: Dense(1, l1=-1), ValueError, r"l1\): expected a finite number at least 0, got -1"),
        (lambda: Dense(1, l2=np.nan), ValueError, r"Dense\(l2\): expected a finite .* got nan"),
        (lambda: Dense(1, l2="1"), TypeError, r"Dense\(l2\): expected a number, got '1'"),
        (lambda: Dense(1, max_norm=0), ValueError, "expected a finite number above 0, got 0"),
        (lambda: Dense(1, bias=1), TypeError, r"Dense\(bias\): expected True or False, got 1"),
        (lambda: Dense(1, name=""), ValueError, r"Dense\(name\): expected printable characters"),
        (lambda: Dense(1, name=" "), ValueError, r"Dense\(name\): expected printable"),
        (lambda: Dropout(0, name="a\nb"), ValueError, r"Dropout\(name\): expected printable"),
        (lambda: Flatten(name="\ud800"), ValueError, r"Flatten\(name\): expected printable"),
        (lambda: Dense(1, name=3), TypeError, r"Dense\(name\): expected a name or None, got 3"),
        (lambda: Dense(1, kernel_initializer="he"), ValueError, "did you mean"),
        (lambda: Dense(1, kernel_initializer=0.1), TypeError, "kernel_initializer.: expected one"),
        (lambda: Dense(1, bias_initializer="he_normal"), ValueError, "use one of normal, ones"),
        (lambda: Dense(1, bias=False, bias_initializer="ones"), ValueError, "without biases"),
        (lambda: Dropout(1), ValueError, r"rate\): .*at least 0 and below 1, got 1"),
        (lambda: Dropout(-0.1), ValueError, r"Dropout\(rate\)"),
        (lambda: LayerNorm(0), ValueError, r"LayerNorm\(epsilon\): .*above 0"),
        (lambda: BatchNorm(1.0), ValueError, r"BatchNorm\(momentum\)"),
        (lambda: BatchNorm(epsilon=-1), ValueError, r"BatchNorm\(epsilon\)"),
        (lambda: Reshape(()), ValueError, r"Reshape\(shape\): expected positive"),
        (lambda: Reshape((2, 0)), ValueError, r"Reshape\(shape\): expected positive"),
        (lambda: Reshape((-1, -1)), ValueError, "at most one of them -1"),
        (lambda: Reshape((2, -2)), ValueError, r"shape\)\[1\]: expected at least -1"),
        (lambda: Reshape("ab"), TypeError, r"Reshape\(shape\): expected an integer or a tuple"),
    ],
)
def test_bad_fields(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ([], TypeError, "layer: expected a dict, got list"),
        ({}, ValueError, "layer: expected the key 'kind', got no keys"),
        ({"kind": "Dense"}, ValueError, "did you mean 'dense'"),
        ({"kind": "os.system"}, ValueError, r"layer\['kind'\]: expected one of batch_norm, dense"),
        ({"kind": ["dense"]}, TypeError, r"layer\['kind'\]: expected one of"),
        ({"kind": "dense"}, ValueError, "layer: dense needs units, got 'kind'"),
        ({"kind": "dense", "units": 2, "unit": 3}, ValueError, "did you mean 'units'"),
        ({"kind": "dense", "units": 2, "__class__": "x"}, ValueError, "key of dense"),
        ({"kind": "dense", "units": 2, "max_norm": {}}, TypeError, "expected plain data, got dict"),
        ({"kind": "dense", "units": 0}, ValueError, r"layer: Dense\(units\)"),
        ({"kind": "dense", "units": 2, "kernel_initializer": {"kind": "dense"}}, ValueError,
         r"layer\['kernel_initializer'\]\['kind'\]: expected one of glorot_normal"),
        ({"kind": "dense", "units": 2, "kernel_initializer": {"kind": "normal", "x": 1}},
         ValueError, r"layer\['kernel_initializer'\]: key of normal: expected one of stddev"),
    ],
)  # fmt: skip
def test_dicts_that_are_refused(config, error, message):
    with pytest.raises(error, match=message):
        layers.from_config(config)


def test_compiling():
    net = [
        Dropout(0.1), Flatten(), Dense(5, "tanh", bias=False), BatchNorm(0.9, 1e-4),
        Reshape((5, 1)), Dropout(0.5), Flatten(), LayerNorm(), Dense(3, "softmax"), Reshape((3, 1)),
    ]  # fmt: skip
    specs = compile_layers(net, (2, 3))
    assert [spec[:8] for spec in specs] == [
        ("dropout", 6, 6, "identity", False, 0.1, 0.0, 0.0),
        ("dense", 6, 5, "tanh", False, 0.0, 0.0, 0.0),
        ("batch_norm", 5, 5, "identity", False, 0.0, 1e-4, 0.9),
        ("dropout", 5, 5, "identity", False, 0.5, 0.0, 0.0),
        ("layer_norm", 5, 5, "identity", False, 0.0, 1e-3, 0.0),
        ("dense", 5, 3, "softmax", True, 0.0, 0.0, 0.0),
    ]
    assert [spec.key for spec in specs] == [0, 1, 2, 0, 3, 4]
    assert [spec.source for spec in specs] == [net[i] for i in (0, 2, 3, 5, 7, 8)]
    parameters = {name: shape for spec in specs for name, shape in spec.parameters.items()}
    assert parameters == {
        "W1": (5, 6), "gamma2": (5, 1), "beta2": (5, 1), "gamma3": (5, 1), "beta3": (5, 1),
        "W4": (3, 5), "b4": (3, 1),
    }  # fmt: skip
    assert [spec.n_params for spec in specs] == [0, 30, 10, 0, 10, 18]
    assert layers.shapes(net, (2, 3)) == [
        (2, 3), (2, 3), (6,), (5,), (5,), (5, 1), (5, 1), (5,), (5,), (3,), (3, 1),
    ]  # fmt: skip


def test_an_input_shape_may_be_a_number():
    assert compile_layers([Dense(1)], np.int32(4)) == compile_layers([Dense(1)], (4,))
    assert compile_layers((layer for layer in [Dense(1)]), [4])[0].n_in == 4


@pytest.mark.parametrize(
    ("net", "shape", "error", "message"),
    [
        ([], 2, ValueError, "layers: expected at least one Dense layer, got none"),
        (Dense(1), 2, TypeError, "layers: expected a list such as"),
        ("dense", 2, TypeError, "layers: expected a list such as"),
        (None, 2, TypeError, "layers: expected a list such as"),
        ([Dense], 2, TypeError, r"layers\[0\]: expected a layer, got a class: write Dense"),
        ([Dense(1), 3], 2, TypeError, r"layers\[1\]: expected one of Dense, Dropout.* got 3"),
        ([Dense(1)], 0, ValueError, "input_shape: expected positive integers"),
        ([Dense(1)], (2, -1), ValueError, r"input_shape\[1\]: expected at least 1, got -1"),
        ([Dense(1)], (), ValueError, "input_shape: expected positive integers"),
        ([Dense(1)], "2", TypeError, "input_shape: expected an integer or a tuple"),
        ([Dense(1)], (2, 2), ValueError, r"layers\[0\]: Dense takes a row .*\(2, 2\): put Flatten"),
        ([BatchNorm(), Dense(1)], (2, 2), ValueError, r"layers\[0\]: BatchNorm takes a row"),
        ([Reshape((3, -1)), Dense(1)], 4, ValueError, r"layers\[0\]: 4 features, .*\(3, -1\)"),
        ([Reshape((3,)), Dense(1)], 6, ValueError, r"layers\[0\]: 6 features"),
        ([Dense(2), Dropout(0.5)], 2, ValueError, "must be Dense, got Dropout: add Dense"),
        ([Flatten()], 2, ValueError, "must be Dense, got Flatten"),
        ([Dense(2, "softmax"), Dense(2)], 2, ValueError,
         r"layers\[0\]: softmax belongs to the last Dense layer, which is layers\[1\]"),
        ([Dense(2, "log_softmax"), Dropout(0.1), Dense(2)], 2, ValueError, "log_softmax belongs"),
        ([Dense(2, name="a"), Dense(2, name="a")], 2, ValueError,
         r"layers\[1\]: the name 'a' belongs to layers\[0\]"),
    ],
)  # fmt: skip
def test_networks_that_do_not_fit(net, shape, error, message):
    with pytest.raises(error, match=message):
        compile_layers(net, shape)


def test_the_tutorials_architecture():
    architecture = nnc.datasets.tutorial_architecture(2, 25, 50, 1)
    net, input_dim = layers.from_architecture(architecture)
    specs = compile_layers(net, input_dim)
    assert [(s.n_in, s.n_out, s.activation) for s in specs] == [
        (entry["input_dim"], entry["output_dim"], entry["activation"]) for entry in architecture
    ]
    params = {name: np.empty(shape) for s in specs for name, shape in s.parameters.items()}
    layers.initialize(params, specs, np.random.RandomState(99))
    expected = nnc.init_layers(architecture, 99)
    assert list(params) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(params[name], value)
    with pytest.raises(ValueError, match=r"nn_architecture\[0\]: missing output_dim"):
        layers.from_architecture([{"input_dim": 2}])


def test_sizes():
    assert layers.from_sizes((2, 25, 50, 1), "tanh", "logistic") == (
        [Dense(25, "tanh"), Dense(50, "tanh"), Dense(1, "sigmoid")], 2,
    )  # fmt: skip
    assert layers.from_sizes([3, 1]) == ([Dense(1)], 3)
    for sizes, error, message in (
        ([2], ValueError, "sizes: expected at least inputs and outputs"),
        ((2, 0, 1), ValueError, r"sizes\[1\]: expected at least 1, got 0"),
        ("23", TypeError, "sizes: expected integers"),
        (3, TypeError, "sizes: expected integers"),
    ):
        with pytest.raises(error, match=message):
            layers.from_sizes(sizes)
    with pytest.raises(ValueError, match=r"output_activation: expected one of.*did you mean"):
        layers.from_sizes((2, 1), "relu", "sigmoide")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_initial_parameters(dtype):
    net = [
        Dense(40, "relu", kernel_initializer="he_uniform", bias_initializer="ones"),
        BatchNorm(),
        Dropout(0.5),
        Dense(30),
    ]
    specs = compile_layers(net, 20)
    shapes = {name: shape for spec in specs for name, shape in spec.parameters.items()}
    params = {name: np.full(shape, np.nan, dtype) for name, shape in shapes.items()}
    layers.initialize(params, specs, 7)
    random = np.random.default_rng(7)
    he, glorot = np.sqrt(6 / 20), np.sqrt(6 / (40 + 30))
    np.testing.assert_array_equal(params["W1"], random.uniform(-he, he, (40, 20)).astype(dtype))
    np.testing.assert_array_equal(
        params["W3"], random.uniform(-glorot, glorot, (30, 40)).astype(dtype)
    )
    assert (params["b1"] == 1).all()
    assert (params["gamma2"] == 1).all()
    assert not params["beta2"].any()
    assert not params["b3"].any()


def test_specs_do_not_change():
    layer = Dense(3)
    for change in (
        lambda: setattr(layer, "units", 4),
        lambda: setattr(layer, "unit", 4),
        lambda: delattr(layer, "units"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot"):
            change()
    assert layer == Dense(3) != Dense(4)
    assert dataclasses.replace(layer, units=5) == Dense(5)
    assert initializers.GlorotUniform() != initializers.GlorotNormal()


def test_specs_import_little():
    code = "import sys, nnc.layers, nnc.losses, nnc.optimizers; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy.random", "difflib", "nnc.drawing"} & set(found)
