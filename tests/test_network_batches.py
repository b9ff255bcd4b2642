"""Network.step, partial_fit, iterables of batches, frozen layers and averages, against NumPy."""

import numpy as np
import pytest
from plain_training import RATE, Plain, binary, make, same_bits, same_params

import nnc
from nnc import Dense, Network
from nnc.schedules import Cosine

# ----------------------------------------------------------------------------------- ema


def test_the_average_of_the_parameters():
    X, y, Y = binary()
    network = make(optimizer=nnc.SGD(RATE, ema_decay=0.8))
    assert network.average is None
    plain = Plain(network)
    average = {name: array.copy() for name, array in plain.params.items()}
    network.fit(X, y, epochs=6, batch_size=None)
    for _ in range(6):
        plain.fit(X, Y, 1)
        for name, array in plain.params.items():
            average[name] = 0.8 * average[name] + 0.2 * array
    for name, array in network.average.items():
        np.testing.assert_allclose(array, average[name], rtol=1e-11, atol=1e-13)
    network.use_average()
    plain.params = average
    same_params(network, plain)


def test_use_average_without_one():
    with pytest.raises(ValueError, match="use_average: there is no average yet: train with"):
        make().use_average()


def test_batch_norms_statistics_are_no_part_of_the_average():
    X, y, _ = binary()
    layers = [nnc.BatchNorm(), Dense(1, "sigmoid")]
    network = Network(layers, 2, seed=0, optimizer=nnc.Adam(ema_decay=0.5))
    network.fit(X, y, epochs=2)
    before = network.copy().params
    assert sorted(network.average) == ["W2", "b2", "beta1", "gamma1"]
    network.use_average()
    for name in ("mean1", "variance1"):
        assert (network.params[name] == before[name]).all()
    assert (network.params["W2"] != before["W2"]).any()


# ------------------------------------------------------------------------- steps, batches


def test_steps_and_partial_fits():
    X, y, Y = binary()
    network = make()
    plain = Plain(network)
    for _ in range(3):
        loss = network.step(X[:10], y[:10])
        P = plain.step(X[:10], Y[:10], np.ones(10), RATE)
        assert loss == pytest.approx(plain.losses(P, Y[:10]).mean(), rel=1e-12)
    assert network.partial_fit(X, y, batch_size=9) is network
    plain.fit(X, Y, 1, 9)
    same_params(network, plain)
    w = np.linspace(0, 1, 53)
    loss = network.step(X, y, sample_weight=w)
    P = plain.step(X, Y, w, RATE)
    assert loss == pytest.approx(np.average(plain.losses(P, Y), weights=w), rel=1e-12)
    network.partial_fit(X, y, batch_size=None, sample_weight=w)
    plain.fit(X, Y, 1, w=w)
    same_params(network, plain)
    assert network.epochs_trained == 0


def test_steps_take_one_class_and_any_labels():
    network = make()
    X, y, _ = binary()
    network.step(X[:1], y[:1])
    network.partial_fit(X[y == 1], y[y == 1])


def test_the_optimizers_memory_lasts_over_steps():
    X, y, _ = binary()
    networks = [make(optimizer="adam") for _ in range(3)]
    networks[0].fit(X, y, epochs=4, batch_size=None)
    for _ in range(4):
        networks[1].step(X, y)
        networks[2].partial_fit(X, y, batch_size=None)
    same_bits(networks[0], networks[1])
    same_bits(networks[0], networks[2])


@pytest.mark.parametrize("weighted", [False, True])
def test_an_iterable_of_batches(weighted):
    X, y, Y = binary()
    w = np.linspace(0.1, 1, 53)
    parts = [slice(0, 20), slice(20, 30), slice(30, 53)]
    batches = [(X[p], y[p], w[p]) if weighted else [X[p], y[p]] for p in parts]
    network = make()
    plain = Plain(network)
    history = network.fit(batches, epochs=3, metrics="mae", X_val=X, y_val=y)
    for epoch in range(3):
        rows = []
        for p in parts:
            weights = w[p] if weighted else np.ones(len(X[p]))
            P = plain.step(X[p], Y[p], weights, RATE)
            means = [
                np.average(values, weights=weights)
                for values in (plain.losses(P, Y[p]), plain.right(P, Y[p]), np.abs(P - Y[p])[:, 0])
            ]
            rows.append([*means, weights.sum()])
        rows = np.array(rows)
        expected = np.average(rows[:, :3], axis=0, weights=rows[:, 3])
        found = [history[key][epoch] for key in ("loss", "accuracy", "mae")]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        P = plain.outputs(X)
        assert history["val_loss"][epoch] == pytest.approx(plain.losses(P, Y).mean(), rel=1e-12)
    same_params(network, plain)
    assert network.epochs_trained == 3


def test_a_generator_serves_for_one_epoch():
    X, y, _ = binary()
    a, b = make(), make()
    a.fit(((X[i : i + 10], y[i : i + 10]) for i in range(0, 53, 10)), epochs=1)
    b.fit(X, y, epochs=1, batch_size=10, shuffle=False)
    same_bits(a, b)
    with pytest.raises(ValueError, match="no batches for epoch 1: pass a list, not a generator"):
        a.fit(((X, y) for _ in range(3)), epochs=2)


class Loader:
    """Something with a length that iterates anew."""

    def __init__(self, X, y):
        self.X, self.y, self.times = X, y, 0

    def __len__(self):
        return 3

    def __iter__(self):
        self.times += 1
        for i in range(3):
            yield self.X[i::3], self.y[i::3]


def test_a_loader_and_a_schedule_by_steps():
    X, y, Y = binary(60)
    loader = Loader(X, y)
    schedule = Cosine(0.4, per_step=True)
    network = make(optimizer=nnc.SGD(schedule))
    plain = Plain(network)
    network.fit(loader, epochs=2)
    assert loader.times == 2
    rates = nnc.schedules.rates(schedule, 2, 3)
    for epoch in range(2):
        for i in range(3):
            plain.step(X[i::3], Y[i::3], np.ones(20), rates[epoch, i])
    same_params(network, plain)


def test_no_epochs():
    X, y, _ = binary()
    for data in ((X, y), ([(X, y)],)):
        network = make()
        before = network.copy()
        history = network.fit(*data, epochs=0, callbacks=lambda epoch, logs: None)
        assert history.epoch == []
        assert network.epochs_trained == 0
        same_bits(network, before)


def test_frozen_layers_have_no_part():
    X, y, Y = binary()
    network = make()
    network.freeze(0)
    plain = Plain(network)
    network.fit(X, y, epochs=4, batch_size=10, shuffle=False)
    for _ in range(4):
        for start in range(0, 53, 10):
            rows = slice(start, start + 10)
            _, g = plain.gradients(X[rows], Y[rows], np.ones(len(X[rows])))
            for name in ("W2", "b2"):
                plain.params[name] -= RATE * g[name]
    same_params(network, plain)


@pytest.mark.parametrize("optimizer", ["adam", nnc.SGD(0.1)])
def test_a_frozen_batch_norm_stays_whole(optimizer):
    X, y, _ = binary()
    layers = [nnc.BatchNorm(), Dense(4, "tanh"), nnc.BatchNorm(), Dense(1, "sigmoid")]
    network = Network(layers, 2, seed=0, optimizer=optimizer)
    network.fit(X, y, epochs=1)
    network.freeze(0)
    before = network.copy().params
    network.fit(X, y, epochs=2)
    for name in ("gamma1", "beta1", "mean1", "variance1"):
        assert (network.params[name] == before[name]).all(), name
    for name in ("gamma3", "mean3", "variance3", "W2"):
        assert (network.params[name] != before[name]).any(), name
