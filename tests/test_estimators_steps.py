"""nnc's optimizers, losses and schedules in the estimators.

The witness is scikit-learn's own estimator, whose AdamOptimizer is replaced by published updates in
plain NumPy, and whose losses and gradients by those of SciPy and formulas.
"""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, xlogy
from sklearn import neural_network as theirs
from sklearn.neural_network import _multilayer_perceptron as inside

import nnc
from nnc import MLPClassifier, MLPRegressor, losses
from nnc.optimizers import SGD, Adagrad, Adam, AdamW, Lion, NAdam, RMSprop, Rprop

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.RandomState(5)
X = rng.randn(150, 4)
CLASSES = np.array(["a", "b", "c"])[(X[:, 0] > 1).astype(int) + (X[:, 1] * X[:, 2] > 0)]
NUMBERS = np.column_stack([np.sin(X[:, 0]) + X[:, 1] ** 2, X[:, 2] * X[:, 3], X[:, 3] - X[:, 0]])
OPTIONS = {"hidden_layer_sizes": (7, 5), "activation": "tanh", "random_state": 2, "max_iter": 15,
           "alpha": 0.1, "batch_size": 40}  # fmt: skip

# ------------------------------------------------------------------------------- the witness


def mean(old, new, beta):
    return beta * old + (1 - beta) * new


def sgd(o, s, g, t, rate):
    s["v"] = o.momentum * s["v"] + g
    return rate * (g + o.momentum * s["v"] if o.nesterov else s["v"])


def adagrad(o, s, g, t, rate):
    s["v"] = s["v"] + g**2
    return rate * g / (np.sqrt(s["v"]) + o.epsilon)


def rmsprop(o, s, g, t, rate):
    s["v"] = mean(s["v"], g**2, o.rho)
    s["m"] = o.momentum * s["m"] + g / (np.sqrt(s["v"]) + o.epsilon)
    return rate * s["m"]


def adam(o, s, g, t, rate):
    s["m"], s["v"] = mean(s["m"], g, o.beta_1), mean(s["v"], g**2, o.beta_2)
    s["most"] = np.maximum(s["most"], s["v"]) if o.amsgrad else s["v"]
    root = np.sqrt(s["most"] / (1 - o.beta_2**t))
    return rate * s["m"] / (1 - o.beta_1**t) / (root + o.epsilon)


def nadam(o, s, g, t, rate):
    now, later = (o.beta_1 * (1 - 0.5 * 0.96 ** (0.004 * i)) for i in (t, t + 1))
    s["product"] = np.where(s["product"] == 0, 1, s["product"]) * now
    s["m"], s["v"] = mean(s["m"], g, o.beta_1), mean(s["v"], g**2, o.beta_2)
    ahead = g * (1 - now) / (1 - s["product"]) + s["m"] * later / (1 - s["product"] * later)
    return rate * ahead / (np.sqrt(s["v"] / (1 - o.beta_2**t)) + o.epsilon)


def lion(o, s, g, t, rate):
    step = rate * np.sign(mean(s["m"], g, o.beta_1))
    s["m"] = mean(s["m"], g, o.beta_2)
    return step


def rprop(o, s, g, t, rate):
    agrees = np.sign(s["g"] * g)
    s["size"] = np.full_like(g, rate) if t == 1 else s["size"]
    s["size"] = np.clip(s["size"] * np.select([agrees > 0, agrees < 0], [1.2, 0.5], 1), 1e-6, 50)
    s["g"] = np.where(agrees < 0, 0, g)
    return np.sign(s["g"]) * s["size"]


RULES = {"sgd": sgd, "adagrad": adagrad, "rmsprop": rmsprop, "adam": adam, "adamw": adam,
         "nadam": nadam, "lion": lion, "rprop": rprop}  # fmt: skip


class Steps:
    """An optimizer of nnc in NumPy, as scikit-learn calls one."""

    def __init__(self, spec, params, rate):
        names = ("v", "m", "most", "product", "g", "size")
        self.spec, self.rate, self.t = spec, rate, 0
        self.states = [dict.fromkeys(names, np.zeros_like(p)) for p in params]

    def update_params(self, params, grads):
        self.t += 1
        spec, rate = self.spec, self.rate(self.t)
        norm = np.sqrt(sum((g**2).sum() for g in grads))
        for p, g, state in zip(params, grads, self.states, strict=True):
            if spec.clip_norm and norm > spec.clip_norm:
                g = g * (spec.clip_norm / norm)
            if spec.clip_value:
                g = np.clip(g, -spec.clip_value, spec.clip_value)
            step = RULES[spec.kind](spec, state, g, self.t, rate)
            p -= rate * spec.weight_decay * p
            p -= step

    def iteration_ends(self, time_step):
        pass

    def trigger_stopping(self, msg, verbose):
        return True


def witness(monkeypatch, kind, spec, rate, y, **options):
    monkeypatch.setattr(inside, "AdamOptimizer", lambda params, *_: Steps(spec, params, rate))
    return getattr(theirs, kind)(**OPTIONS | options).fit(X, y)


def assert_same_training(right, ours):
    np.testing.assert_allclose(ours.loss_curve_, right.loss_curve_, rtol=1e-9)
    for expected, found in zip(right.coefs_, ours.coefs_, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


# -------------------------------------------------------------------------------- optimizers

SOLVERS = [
    SGD(0.05), SGD(0.02, 0.9), SGD(0.02, 0.9, True, weight_decay=0.05), Adagrad(0.05),
    RMSprop(0.01), RMSprop(0.01, momentum=0.5), Adam(0.02), Adam(0.02, amsgrad=True),
    AdamW(0.01, weight_decay=0.1), NAdam(0.01), Lion(0.005), Lion(0.005, weight_decay=0.1),
    Rprop(0.01), Adam(0.02, clip_norm=0.1), SGD(0.05, clip_value=0.01),
]  # fmt: skip
LABELS = {"one": NUMBERS[:, 0], "three": NUMBERS, "classes": CLASSES, "two": CLASSES == "a"}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("spec", SOLVERS, ids=repr)
def test_steps_are_the_published_ones(spec, labels, monkeypatch):
    kind = "MLPClassifier" if labels in ("classes", "two") else "MLPRegressor"
    size = {"batch_size": len(X)} if spec.full_batch else {}
    right = witness(monkeypatch, kind, spec, lambda t: spec.learning_rate, LABELS[labels], **size)
    ours = getattr(nnc, kind)(solver=spec, **OPTIONS | size).fit(X, LABELS[labels])
    assert_same_training(right, ours)


@pytest.mark.parametrize("name", ["adagrad", "rmsprop", "adamw", "nadam", "lion"])
def test_names_are_the_defaults_at_the_initial_rate(name, monkeypatch):
    spec = nnc.optimizers.KINDS[name](0.01)
    right = witness(monkeypatch, "MLPRegressor", spec, lambda t: 0.01, NUMBERS)
    ours = MLPRegressor(solver=name, learning_rate_init=0.01, **OPTIONS).fit(X, NUMBERS)
    assert_same_training(right, ours)


def test_clipping_of_the_estimator_is_the_optimizers():
    both = [
        MLPRegressor(solver=RMSprop(0.01, clip_norm=0.1), **OPTIONS),
        MLPRegressor(solver=RMSprop(0.01), clip_norm=0.1, **OPTIONS),
    ]
    first, second = (model.fit(X, NUMBERS).loss_curve_ for model in both)
    assert first == second


# --------------------------------------------------------------------------------- schedules

N_STEPS = 4  # of an epoch


def halving(epoch):
    return 0.02 * 0.5**epoch


@pytest.mark.parametrize(
    ("schedule", "rate"),
    [
        (halving, lambda t: halving((t - 1) // N_STEPS)),
        (nnc.schedules.StepDecay(0.02, 0.5, 5), lambda t: 0.02 * 0.5 ** ((t - 1) // N_STEPS // 5)),
        (
            nnc.schedules.ExponentialDecay(0.02, 0.9, per_step=True),
            lambda t: 0.02 * 0.9 ** ((t - 1) / N_STEPS),
        ),
        (
            nnc.schedules.Cosine(0.02, per_step=True),  # down to 0 where the training ends
            lambda t: 0.01 * (1 + np.cos(np.pi * (t - 1) / N_STEPS / 15)),
        ),
    ],
    ids=["function", "steps", "exponential", "cosine"],
)
@pytest.mark.parametrize("solver", ["sgd", "adam", "rmsprop", "in the optimizer"])
def test_schedules(schedule, rate, solver, monkeypatch):
    specs = {"sgd": SGD(1, 0.9, True), "adam": Adam(epsilon=1e-8), "rmsprop": RMSprop()}
    right = witness(monkeypatch, "MLPRegressor", specs.get(solver, AdamW()), rate, NUMBERS)
    asked = {"solver": solver, "learning_rate": schedule}
    if solver == "in the optimizer":
        asked = {"solver": AdamW(schedule)}
    assert_same_training(right, MLPRegressor(**asked, **OPTIONS).fit(X, NUMBERS))


def test_partial_fit_goes_on_with_the_schedule(monkeypatch):
    options = OPTIONS | {"shuffle": False}
    right = witness(monkeypatch, "MLPRegressor", Adam(epsilon=1e-8),
                    lambda t: halving((t - 1) // N_STEPS), NUMBERS, shuffle=False)  # fmt: skip
    ours = MLPRegressor(learning_rate=halving, **options)
    for _ in range(15):
        ours.partial_fit(X, NUMBERS)
    assert_same_training(right, ours)


# ------------------------------------------------------------------------------------ losses


def smooth(Y, smoothing):
    return Y * (1 - smoothing) + smoothing / Y.shape[1]


def quantile(q):
    return lambda Y, Z: np.maximum(q * (Y - Z), (q - 1) * (Y - Z)).mean()


def focal(gamma):
    def loss(Y, Z):
        p = np.where(Y > 0, expit(Z), expit(-Z))
        return -((1 - p) ** gamma * np.log(p)).mean()

    return loss


def huber(delta):
    def loss(Y, Z):
        e = np.abs(Y - Z)
        return np.where(e < delta, e**2 / 2, delta * (e - delta / 2)).mean()

    return loss


def smoothed_pair(Y, Z):
    T = Y * 0.8 + 0.1
    return -(T * np.log(expit(Z)) + (1 - T) * np.log(expit(-Z))).sum(axis=1).mean()


# name or loss, labels, and the same of labels and the last layer's sums
LOSSES = [
    ("absolute_error", NUMBERS, lambda Y, Z: np.abs(Y - Z).mean()),
    ("huber", NUMBERS, huber(1.0)),
    (losses.Huber(0.5), NUMBERS, huber(0.5)),
    ("quantile", NUMBERS, quantile(0.5)),
    (losses.Quantile(0.9), NUMBERS[:, :1], quantile(0.9)),
    (losses.MeanSquaredError(), NUMBERS, lambda Y, Z: ((Y - Z) ** 2).mean()),
    (losses.Poisson(), NUMBERS**2, lambda Y, Z: (np.exp(Z) - xlogy(Y, np.exp(Z))).mean()),
    (
        losses.CategoricalCrossEntropy(0.1),
        CLASSES,
        lambda Y, Z: -(smooth(Y, 0.1) * log_softmax(Z, axis=1)).sum(axis=1).mean(),
    ),
    (losses.BinaryCrossEntropy(0.2), CLASSES == "a", smoothed_pair),
    (losses.BinaryFocal(2.0), np.column_stack([CLASSES == "a", X[:, 0] > 0]).astype(int), focal(2)),
]


def sums(coefs, intercepts):
    A = X
    for i, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
        A = A @ W + b
        A = np.tanh(A) if i + 1 < len(coefs) else A
    return A


@pytest.mark.parametrize(("loss", "y", "formula"), LOSSES, ids=[repr(row[0]) for row in LOSSES])
def test_losses_and_their_steps(loss, y, formula):
    """The loss is the formula's with the penalty, and a step goes along its difference quotient."""
    kind = MLPRegressor if np.issubdtype(y.dtype, np.floating) else MLPClassifier
    alpha, rate, h = 0.1, 1e-4, 1e-6
    options = {"solver": SGD(rate), "batch_size": len(X), "alpha": alpha, "activation": "tanh",
               "hidden_layer_sizes": (5,), "random_state": 1}  # fmt: skip
    labels = y[:, 0] if y.shape[1:] == (1,) else y
    start = kind(loss=loss, **options | {"solver": SGD(1e-300), "max_iter": 1}).fit(X, labels)
    model = kind(loss=loss, max_iter=1, **options).fit(X, labels)
    Y = y.reshape(len(y), -1)
    if kind is MLPClassifier:
        Y = start._encode_classes(y).astype(float)

    def cost(coefs, intercepts):
        penalty = alpha / 2 * sum((W**2).sum() for W in coefs) / len(X)
        return formula(Y, sums(coefs, intercepts)) + penalty

    assert model.loss_curve_[0] == pytest.approx(cost(start.coefs_, start.intercepts_), rel=1e-12)
    for layer in range(2):
        for name in ("coefs_", "intercepts_"):
            array, after = getattr(start, name)[layer], getattr(model, name)[layer]
            place = np.unravel_index(array.size // 2, array.shape)
            moved = []
            for side in (h, -h):
                kept, array[place] = array[place], array[place] + side
                moved.append(cost(start.coefs_, start.intercepts_))
                array[place] = kept
            slope = (moved[0] - moved[1]) / (2 * h)
            assert (array[place] - after[place]) / rate == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_lbfgs_finds_the_least_loss():
    """Of a linear model, whose loss is convex, as SciPy does from the formula."""
    loss, k = losses.CategoricalCrossEntropy(0.1), 3
    options = {"solver": "lbfgs", "hidden_layer_sizes": (), "alpha": 0.1, "random_state": 0}
    model = MLPClassifier(loss=loss, max_iter=1000, tol=1e-9, **options).fit(X, CLASSES)
    Y = smooth((CLASSES[:, None] == model.classes_).astype(float), 0.1)

    def cost(flat):
        W, b = flat[: 4 * k].reshape(4, k), flat[4 * k :]
        penalty = 0.05 * (W**2).sum() / len(X)
        return -(Y * log_softmax(X @ W + b, axis=1)).sum(axis=1).mean() + penalty

    least = minimize(cost, np.zeros(5 * k), options={"gtol": 1e-7}).fun
    assert model.loss_ == pytest.approx(least, rel=1e-6)


def test_poisson_of_nnc_predicts_means():
    y = np.exp(X[:, 0])
    model = MLPRegressor(losses.Poisson(), (16,), max_iter=300, random_state=0).fit(X, y)
    assert model.out_activation_ == "exp"
    assert model.score(X, y) > 0.9
    assert (model.predict(X) > 0).all()


def test_quantiles_hold():
    y = X[:, 0] + rng.randn(len(X))
    model = MLPRegressor(losses.Quantile(0.8), (), solver="rmsprop", max_iter=500, tol=0, alpha=0,
                         n_iter_no_change=500, learning_rate_init=0.01, random_state=0)  # fmt: skip
    assert (y < model.fit(X, y).predict(X)).mean() == pytest.approx(0.8, abs=0.02)


# ----------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (MLPRegressor, {"solver": Adam(ema_decay=0.9)}, "solver: ema_decay has no use here"),
        (
            MLPRegressor,
            {"solver": Adam(), "learning_rate": halving},
            r"learning_rate: Adam\(\) has a learning rate of its own",
        ),
        (MLPRegressor, {"solver": nnc.optimizers.LBFGS()}, "The 'solver' parameter"),
        (MLPRegressor, {"solver": "rprop"}, "batch_size: rprop needs all samples in a step"),
        (MLPRegressor, {"loss": losses.Hinge()}, "The 'loss' parameter"),
        (MLPRegressor, {"learning_rate": lambda epoch: -1}, "learning_rate: expected finite pos"),
        (
            MLPClassifier,
            {"loss": losses.BinaryCrossEntropy(0.1)},
            "loss: three classes or more need CategoricalCrossEntropy",
        ),
    ],
)
def test_refusals(kind, options, words):
    y = CLASSES if kind is MLPClassifier else NUMBERS
    with pytest.raises(ValueError, match=words):
        kind(**OPTIONS | options).fit(X, y)


def test_two_classes_need_a_binary_loss():
    with pytest.raises(ValueError, match=r"loss: two classes, .*need BinaryCrossEntropy or Bin"):
        MLPClassifier(loss=losses.CategoricalCrossEntropy(0.1)).fit(X, CLASSES == "a")
