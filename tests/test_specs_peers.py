"""Defaults and initial values are those of Keras; the differences are the ones that docs name."""

import numpy as np
import pytest

from nnc import initializers, layers, losses, optimizers

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]

N_OUT, N_IN = 400, 250


@pytest.fixture(autouse=True)
def same_numbers(keras):
    keras.utils.set_random_seed(1)


def test_defaults_of_layers(keras):
    dense = keras.layers.Dense(3).get_config()
    assert dense["activation"] == "linear"
    assert dense["kernel_initializer"]["class_name"] == "GlorotUniform"
    assert dense["bias_initializer"]["class_name"] == "Zeros"
    assert layers.Dense(3).activation == layers.ALIASES["linear"]
    specs = layers.compile_layers([layers.Dense(3)], 4)
    params = {"W1": np.empty((3, 4)), "b1": np.empty((3, 1))}
    layers.initialize(params, specs, 1)
    expected = initializers.GlorotUniform().draw(np.random.default_rng(1), (3, 4))
    np.testing.assert_array_equal(params["W1"], expected)
    assert not params["b1"].any()
    norm = keras.layers.BatchNormalization()
    assert (norm.momentum, norm.epsilon) == (
        layers.BatchNorm().momentum, layers.BatchNorm().epsilon,
    )  # fmt: skip
    assert keras.layers.LayerNormalization().epsilon == layers.LayerNorm().epsilon


@pytest.mark.parametrize(
    ("name", "keras_name"),
    [("SGD", "SGD"), ("RMSprop", "RMSprop"), ("Adam", "Adam"), ("AdamW", "AdamW"),
     ("NAdam", "Nadam"), ("Lion", "Lion")],
)  # fmt: skip
def test_defaults_of_optimizers(keras, name, keras_name):
    ours = getattr(optimizers, name)()
    theirs = getattr(keras.optimizers, keras_name)().get_config()
    assert ours.learning_rate == pytest.approx(theirs["learning_rate"], rel=1e-6)  # float32 there
    for key in ("momentum", "nesterov", "rho", "beta_1", "beta_2", "epsilon", "amsgrad"):
        if hasattr(ours, key):
            assert getattr(ours, key) == theirs[key], key
    assert ours.weight_decay == (theirs["weight_decay"] or 0)
    assert (theirs["clipvalue"], theirs["clipnorm"], theirs["use_ema"]) == (None, None, False)


@pytest.mark.parametrize(
    ("alias", "keras_name", "kind"),
    [
        ("mse", "mean_squared_error", "mean_squared_error"),
        ("mae", "mean_absolute_error", "mean_absolute_error"),
        ("huber", "huber", "huber"),
        ("poisson", "poisson", "poisson"),
        ("hinge", "hinge", "hinge"),
        ("bce", "binary_crossentropy", "binary_cross_entropy"),
        ("binary_crossentropy", "binary_crossentropy", "binary_cross_entropy"),
        ("categorical_crossentropy", "categorical_crossentropy", "categorical_cross_entropy"),
        ("sparse_categorical_crossentropy", "sparse_categorical_crossentropy",
         "sparse_categorical_cross_entropy"),
        ("binary_focal_crossentropy", "binary_focal_crossentropy", "binary_focal_cross_entropy"),
    ],
)  # fmt: skip
def test_keras_spellings_of_losses(keras, alias, keras_name, kind):
    assert keras.losses.get(alias).__name__ == keras_name
    assert losses.resolve(alias).kind == kind


@pytest.mark.parametrize(
    "name",
    ["normal", "uniform", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal",
     "lecun_uniform", "lecun_normal"],
)  # fmt: skip
def test_initial_weights_are_distributed_as_keras(keras, name):
    """The two-sample statistic of Kolmogorov and Smirnov, at a level of about 1e-6."""
    keras_name = {"normal": "random_normal", "uniform": "random_uniform"}.get(name, name)
    theirs = keras.initializers.get(keras_name)
    theirs = np.sort(np.asarray(theirs((N_IN, N_OUT), dtype="float32").cpu()).ravel())
    ours = initializers.resolve(name).draw(np.random.default_rng(3), (N_OUT, N_IN))
    ours = np.sort(ours.ravel())
    both = np.concatenate([ours, theirs])
    distance = np.abs(
        np.searchsorted(ours, both, "right") - np.searchsorted(theirs, both, "right")
    ).max()
    assert distance / ours.size < 2.7 * np.sqrt(2 / ours.size)


def test_orthogonal_weights(keras):
    theirs = np.asarray(keras.initializers.Orthogonal()((6, 4)).cpu())
    np.testing.assert_allclose(theirs.T @ theirs, np.eye(4), atol=1e-5)
    ours = initializers.Orthogonal().draw(np.random.default_rng(3), (4, 6))
    np.testing.assert_allclose(ours @ ours.T, np.eye(4), atol=1e-14)


@pytest.mark.parametrize(
    "net",
    [
        [layers.Dense(5, "relu"), layers.Dense(3, "softmax")],
        [layers.Flatten(), layers.Dense(4, bias=False), layers.LayerNorm(), layers.Dense(2)],
        [layers.Reshape((3, -1)), layers.Dropout(0.5), layers.Flatten(), layers.Dense(2)],
    ],
    ids=repr,
)
def test_shapes_and_numbers_of_parameters(keras, net):
    shape = (6,) if not isinstance(net[0], layers.Flatten) else (3, 2)
    make = {
        "dense": lambda s: keras.layers.Dense(s.units, use_bias=s.bias),
        "dropout": lambda s: keras.layers.Dropout(s.rate),
        "layer_norm": lambda s: keras.layers.LayerNormalization(),
        "flatten": lambda s: keras.layers.Flatten(),
        "reshape": lambda s: keras.layers.Reshape(s.shape),
    }
    theirs = keras.Sequential([keras.Input(shape), *(make[s.kind](s) for s in net)])
    specs = layers.compile_layers(net, shape)
    assert theirs.count_params() == sum(spec.n_params for spec in specs)
    assert layers.shapes(net, shape)[1:] == [tuple(t.output.shape[1:]) for t in theirs.layers]
