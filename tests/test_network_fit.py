"""Network.fit against plain NumPy trainings in float64: histories, weights, metrics, schedules."""

import numpy as np
import pytest
from plain_training import RATE, Plain, binary, make, one_hot, same_bits, same_params, several

import nnc
from nnc import Dense, Network, metrics
from nnc.schedules import Cosine, StepDecay

# ----------------------------------------------------------------------- plain trainings


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [1, 7, 53, 100, None])
@pytest.mark.parametrize("last", ["sigmoid", "softmax", "identity"])
def test_histories_and_parameters_are_numpys(last, batch_size, shuffle):
    X, y, Y = {"sigmoid": binary, "softmax": several, "identity": several}[last]()
    network = make(last, Y.shape[1])
    plain = Plain(network)
    seed = network.seeds[0] if shuffle and batch_size in (1, 7) else None
    history = network.fit(
        X, Y if last == "identity" else y, epochs=5, batch_size=batch_size, shuffle=shuffle
    )
    expected = plain.fit(X, Y, 5, batch_size, seed=seed)
    np.testing.assert_allclose(history["loss"], [e[0] for e in expected], rtol=1e-12)
    if last == "identity":
        assert "accuracy" not in history
    else:
        np.testing.assert_allclose(history["accuracy"], [e[1] for e in expected], rtol=1e-12)
    same_params(network, plain)
    assert history.epoch == list(range(5))
    assert network.epochs_trained == 5
    assert network.history is history
    assert history.params["batch_size"] == min(batch_size or 53, 53)


def test_a_second_fit_goes_on_with_the_order_of_samples():
    X, y, Y = binary()
    network = make()
    plain = Plain(network)
    network.fit(X, y, epochs=2, batch_size=8)
    network.fit(X, y, epochs=1, batch_size=8)
    plain.fit(X, Y, 3, 8, seed=network.seeds[0])
    same_params(network, plain)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_wide_batches_and_threads(n_threads):
    X, y, Y = several(700)
    networks = [make("softmax", 4) for _ in range(2)]
    plain = Plain(networks[0])
    for network, threads in zip(networks, (1, n_threads), strict=True):
        network.fit(X, y, epochs=3, batch_size=300, n_threads=threads)
    same_bits(*networks)
    plain.fit(X, Y, 3, 300, seed=networks[0].seeds[0])
    same_params(networks[0], plain)


@pytest.mark.parametrize("batch_size", [9, None])
def test_sample_weights(batch_size):
    X, y, Y = binary()
    w = np.random.default_rng(3).uniform(0, 3, 53)
    w[5] = 0
    network = make()
    plain = Plain(network)
    history = network.fit(X, y, epochs=4, batch_size=batch_size, sample_weight=w)
    expected = plain.fit(X, Y, 4, batch_size, w, network.seeds[0] if batch_size else None)
    np.testing.assert_allclose(history["loss"], [e[0] for e in expected], rtol=1e-12)
    np.testing.assert_allclose(history["accuracy"], [e[1] for e in expected], rtol=1e-12)
    same_params(network, plain)


def test_sample_weight_0_is_as_if_it_were_not_there():
    X, y, _ = binary()
    keep = np.arange(53) % 3 > 0
    weighed, fewer = make(), make()
    a = weighed.fit(X, y, epochs=5, batch_size=None, sample_weight=keep)
    b = fewer.fit(X[keep], y[keep], epochs=5, batch_size=None)
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-13)


@pytest.mark.parametrize(
    ("class_weight", "factors"),
    [
        ({0: 2.0, 2: 0.5}, [2, 1, 0.5, 1]),
        ({np.int64(1): np.float32(3), 3: 0}, [1, 3, 1, 0]),
        ("balanced", None),
    ],
)
@pytest.mark.parametrize("form", ["classes", "one-hot"])
def test_class_weights(class_weight, factors, form):
    X, y, Y = several()
    if factors is None:
        factors = 53 / (4 * np.bincount(y))
    own = np.linspace(0.5, 2, 53)
    networks = [make("softmax", 4) for _ in range(2)]
    labels = y if form == "classes" else Y
    histories = [
        networks[0].fit(X, labels, epochs=3, class_weight=class_weight, sample_weight=own),
        networks[1].fit(X, labels, epochs=3, sample_weight=own * np.asarray(factors, float)[y]),
    ]
    assert histories[0]["loss"] == histories[1]["loss"]
    same_bits(*networks)


@pytest.mark.parametrize("loss", ["binary_crossentropy", "binary_focal", "hinge"])
def test_class_weights_of_two_classes(loss):
    X, y, _ = binary()
    last = "identity" if loss == "hinge" else "sigmoid"
    networks = [make(last, loss=loss) for _ in range(2)]
    labels = 2 * y - 1 if loss == "hinge" else y
    networks[0].fit(X, labels, epochs=3, class_weight={1: 4})
    networks[1].fit(X, labels, epochs=3, sample_weight=np.where(y == 1, 4, 1))
    same_bits(*networks)


# ---------------------------------------------------------------------------- validation


def test_validation_data_is_evaluated_after_each_epoch():
    X, y, Y = several(80)
    w = np.linspace(0, 1, 30)
    network = make("softmax", 4)
    plain = Plain(network)
    history = network.fit(
        X[:50], y[:50], epochs=3, batch_size=None, X_val=X[50:], y_val=y[50:], sample_weight_val=w,
        metrics=["f1", "top_2_accuracy"],
    )  # fmt: skip
    for epoch in range(3):
        plain.fit(X[:50], Y[:50], 1)
        P = plain.outputs(X[50:])
        for key, expected in {
            "val_loss": np.average(plain.losses(P, Y[50:]), weights=w),
            "val_accuracy": np.average(plain.right(P, Y[50:]), weights=w),
            "val_f1": metrics.f1(y[50:], P, sample_weight=w),
            "val_top_2_accuracy": metrics.top_k_accuracy(y[50:], P, k=2, sample_weight=w),
        }.items():
            assert history[key][epoch] == pytest.approx(expected, rel=1e-12), key
    found = network.evaluate(X[50:], y[50:], sample_weight=w, metrics=["f1"])
    assert found == {key: history["val_" + key][-1] for key in ("loss", "accuracy", "f1")}


def test_validation_split_cuts_the_end_off():
    X, y, _ = binary(50)
    w = np.linspace(1, 2, 50)
    a, b = make(), make()
    first = a.fit(X, y, epochs=3, sample_weight=w, validation_split=0.3)
    second = b.fit(
        X[:35], y[:35], epochs=3, sample_weight=w[:35], X_val=X[35:], y_val=y[35:],
        sample_weight_val=w[35:],
    )  # fmt: skip
    assert dict(first) == dict(second)
    same_bits(a, b)


def test_class_weights_do_not_weigh_validation_data():
    X, y, _ = binary(50)
    a, b = make(), make()
    first = a.fit(X, y, epochs=3, class_weight="balanced", validation_split=0.3)
    second = b.fit(X[:35], y[:35], epochs=3, class_weight="balanced", X_val=X[35:], y_val=y[35:])
    assert dict(first) == dict(second)


def test_smoothing_is_of_training_alone():
    X, y, _ = several()
    network = make("softmax", 4, loss=nnc.losses.CategoricalCrossEntropy(label_smoothing=0.2))
    twin = make("softmax", 4)
    smooth = network.fit(X, y, epochs=1, batch_size=None, X_val=X, y_val=y)
    P = twin.predict_proba(X)
    labels = 0.8 * one_hot(y, 4) + 0.05
    assert smooth["loss"][0] == pytest.approx(-(labels * np.log(P)).sum(axis=1).mean(), rel=1e-12)
    P = network.predict_proba(X)
    assert smooth["val_loss"][0] == pytest.approx(-np.log(P[np.arange(53), y]).mean(), rel=1e-12)


def test_penalties_count_in_training_alone():
    X, y, Y = binary()
    layers = [Dense(6, "tanh", l1=0.01, l2=0.02), Dense(1, "sigmoid", l2=0.3)]
    network = Network(layers, 2, seed=1, dtype="float64", optimizer=nnc.SGD(RATE))
    plain = Plain(network)
    history = network.fit(X, y, epochs=4, batch_size=20, shuffle=False, X_val=X, y_val=y)
    for epoch in range(4):
        costs = []
        for start in range(0, 53, 20):
            part = slice(start, start + 20)
            P, g = plain.gradients(X[part], Y[part], np.ones(len(X[part])))
            W1, W2 = plain.params["W1"], plain.params["W2"]
            penalty = 0.01 * np.abs(W1).sum() + 0.01 * (W1**2).sum() + 0.15 * (W2**2).sum()
            costs.append((plain.losses(P, Y[part]).sum(), penalty))
            g["W1"] += 0.01 * np.sign(W1) + 0.02 * W1
            g["W2"] += 0.3 * W2
            for name, array in g.items():
                plain.params[name] -= RATE * array
        costs = np.array(costs)
        expected = costs[:, 0].sum() / 53 + costs[:, 1].mean()
        assert history["loss"][epoch] == pytest.approx(expected, rel=1e-12)
        P = plain.outputs(X)
        assert history["val_loss"][epoch] == pytest.approx(plain.losses(P, Y).mean(), rel=1e-12)
    same_params(network, plain)


def test_max_norm():
    X, y, Y = binary()
    layers = [Dense(6, "tanh", max_norm=0.7), Dense(1, "sigmoid")]
    network = Network(layers, 2, seed=1, dtype="float64", optimizer=nnc.SGD(2.0))
    plain = Plain(network)
    network.fit(X, y, epochs=5, batch_size=None)
    for _ in range(5):
        plain.fit(X, Y, 1, rate=2.0)
        norms = np.linalg.norm(plain.params["W1"], axis=1, keepdims=True)
        plain.params["W1"] *= np.minimum(1, 0.7 / norms)
    assert (norms > 0.7).any()
    same_params(network, plain)


# ------------------------------------------------------------------------------- metrics


@pytest.mark.parametrize("batch_size", [8, None])
@pytest.mark.parametrize("last", ["sigmoid", "softmax", "log_softmax", "identity"])
def test_training_metrics_are_of_outputs_before_each_step(last, batch_size):
    X, y, Y = {"sigmoid": binary}.get(last, several)()
    network = make(last, Y.shape[1])
    plain = Plain(network)
    plain.last = last.removeprefix("log_")
    names = {
        "sigmoid": ["accuracy", "f1", "auc"],
        "identity": ["mae", "r2", "mse"],
    }.get(last, ["accuracy", "f1", "auc", "top_2_accuracy", "top_3_accuracy"])
    w = np.linspace(0.2, 1, 53)
    labels = Y if last == "identity" else y
    history = network.fit(
        X, labels, epochs=3, batch_size=batch_size, metrics=names, sample_weight=w
    )
    expected = plain.fit(X, Y, 3, batch_size, w, network.seeds[0] if batch_size else None)
    for name in names:
        metric = metrics.resolve(name)[0]
        for epoch, (_, _, P) in enumerate(expected):
            value = metric(labels, P, sample_weight=w)
            assert history[name][epoch] == pytest.approx(value, rel=1e-11), name


def test_metrics_change_no_bit():
    X, y, _ = several()
    a, b = make("softmax", 4), make("softmax", 4)
    first = a.fit(X, y, epochs=3, metrics=["f1", "auc"])
    second = b.fit(X, y, epochs=3)
    assert first["loss"] == second["loss"]
    same_bits(a, b)


def test_a_function_as_metric():
    X, y, _ = binary()

    def spread(y_true, y_pred):
        assert y_true.shape == y_pred.shape == (53, 1)
        return y_pred.max() - y_pred.min()

    network = make()
    P = network.predict_proba(X)
    history = network.fit(X, y, epochs=1, batch_size=None, metrics={"range": spread})
    assert history["range"] == [np.ptp(P)]


def test_a_metric_that_does_not_fit_is_refused_before_training():
    X, y, _ = binary()
    network = make()
    before = network.copy()
    with pytest.raises(ValueError, match="several classes for the top 2"):
        network.fit(X, y, metrics="top_2_accuracy")
    same_bits(network, before)


# ----------------------------------------------------------------------------- schedules


@pytest.mark.parametrize("batch_size", [10, 300])  # fused, and with wide batches
@pytest.mark.parametrize("per_step", [False, True])
def test_schedules(per_step, batch_size):
    X, y, Y = several(700)
    schedule = Cosine(0.4, per_step=per_step)
    network = make("softmax", 4, optimizer=nnc.SGD(schedule))
    plain = Plain(network)
    history = network.fit(X, y, epochs=4, batch_size=batch_size)
    steps = -(-700 // batch_size)
    rates = nnc.schedules.rates(schedule, 4, steps)
    plain.fit(X, Y, 4, batch_size, seed=network.seeds[0],
              rate=lambda epoch, step: rates[epoch, step if per_step else 0])  # fmt: skip
    same_params(network, plain)
    assert history["learning_rate"] == rates[:, -1].tolist()


@pytest.mark.parametrize("optimizer", [nnc.SGD, nnc.Adam, lambda rate: nnc.SGD(rate, 0.9)])
@pytest.mark.parametrize("batch_size", [10, 300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_rate_of_0_changes_no_parameter(optimizer, batch_size, dtype):
    X, y, _ = several(700)
    first = make("softmax", 4, dtype=dtype, optimizer=optimizer(lambda e: [0.1, 0.1, 0, 0][int(e)]))
    second = make("softmax", 4, dtype=dtype, optimizer=optimizer(0.1))
    first.fit(X, y, epochs=4, batch_size=batch_size)
    second.fit(X, y, epochs=2, batch_size=batch_size)
    if optimizer is nnc.SGD:
        same_bits(first, second)
    assert all(np.isfinite(array).all() for array in first.params.values())


def test_rates_that_are_0_in_float32():
    X, y, _ = binary()
    network = make(dtype="float32", optimizer=nnc.SGD(1e-60))
    before = network.copy()
    network.fit(X, y, epochs=2, batch_size=10)
    same_bits(network, before)


def test_reduced_rates_are_those_of_later_epochs():
    X, y, Y = binary()
    network = make()
    plain = Plain(network)
    # no epoch is better by 10, so that the rate is reduced after epochs 1, 2, 3 …
    reduce = nnc.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=10)
    network.fit(X, y, epochs=5, batch_size=20, callbacks=reduce)
    rates = [RATE, RATE, RATE / 2, RATE / 4, RATE / 8]
    plain.fit(X, Y, 5, 20, seed=network.seeds[0], rate=lambda epoch, step: rates[epoch])
    same_params(network, plain)


def test_reduced_rates_of_a_schedule_for_batches():
    X, y, Y = binary(40)
    network = make(optimizer=nnc.SGD(StepDecay(0.4, 0.5, 1)))
    plain = Plain(network)
    reduce = nnc.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=10)
    network.fit([(X[:20], y[:20]), (X[20:], y[20:])], epochs=3, callbacks=reduce)
    rates = [0.4, 0.2, 0.05]
    plain.fit(X, Y, 3, 20, rate=lambda epoch, step: rates[epoch])
    same_params(network, plain)
