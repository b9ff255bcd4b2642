"""One test for each row of docs/errata.md: what was wrong there is right here."""

import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from support import architecture

import nnc
from nnc import reference

NET = architecture([2, 3, 1], ["relu", "sigmoid"])
X = np.array([[0.5, -1.0, 2.0], [1.0, 0.3, -0.7]])
Y = np.array([[1, 0, 1]])
BOTH = pytest.mark.parametrize("side", [nnc, reference], ids=["nnc", "reference"])


@BOTH
def test_update_counts_layers_from_one(side):
    params = side.init_layers(NET)
    grads = {"d" + key: np.ones_like(value) for key, value in params.items()}
    before = {key: value.copy() for key, value in params.items()}
    side.update(params, grads, NET, 0.5)
    for key in ("W1", "b1", "W2", "b2"):
        np.testing.assert_allclose(params[key], before[key] - 0.5, rtol=1e-15)


@BOTH
def test_activations_are_compared_by_value(side):
    name = "".join(["re", "lu"])  # equal to "relu", but another object
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        A, _ = side.single_layer_forward_propagation(X, np.eye(2), np.zeros((2, 1)), name)
        side.single_layer_forward_propagation(X, np.eye(2), np.zeros((2, 1)), np.str_("relu"))
    np.testing.assert_array_equal(A, np.maximum(0, X))


@BOTH
def test_exp_does_not_overflow(side):
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(side.sigmoid(np.array([-1e4, 1e4])), [0, 1])


@BOTH
@pytest.mark.parametrize(("p", "y"), [(1.0, 1), (0.0, 0)])
def test_a_saturated_output_that_is_right_costs_nothing(side, p, y):
    assert side.get_cost_value(np.array([[p]]), np.array([[y]])) == 0


@BOTH
def test_a_saturated_output_that_is_wrong_costs_what_its_limit_costs(side):
    high = side.get_cost_value(np.array([[1.0]]), np.array([[0]]))
    assert high == pytest.approx(53 * math.log(2), rel=1e-14)
    low = side.get_cost_value(np.array([[0.0]]), np.array([[1]]))
    assert low == pytest.approx(1022 * math.log(2), rel=1e-14)


@BOTH
def test_the_gradient_of_a_saturated_output_is_finite_and_right(side):
    params = {"W1": np.array([[1.0]]), "b1": np.array([[0.0]])}
    net = architecture([1, 1], ["sigmoid"])
    inputs = np.array([[40.0, 40.0, -800.0, -800.0]])
    labels = np.array([[1, 0, 1, 0]])
    Y_hat, memory = side.full_forward_propagation(inputs, params, net)
    grads = side.full_backward_propagation(Y_hat, labels, memory, params, net)
    assert grads["dW1"][0, 0] == (40 + 800) / 4
    assert grads["db1"][0, 0] == 0


@BOTH
def test_training_survives_saturation(side):
    """lr 1 and inputs of 40: the tutorial's quotient is 0 / 0 at the first correct sample."""
    data = np.array([[40.0, -40.0]])
    labels = np.array([[1, 0]])
    params, cost, _ = side.train(data, labels, architecture([1, 1], ["sigmoid"]), 50, 1.0)
    assert np.isfinite(params["W1"]).all()
    assert np.isfinite(cost).all()
    assert cost[-1] < 1e-10


def test_the_cost_of_training_is_exact_where_probabilities_are_saturated():
    """z = W x + b with x = 1e5 and a wrong label: the cost is z itself, far above 36.7."""
    net = architecture([1, 1], ["sigmoid"])
    params = nnc.init_layers(net, 1)
    z = params["W1"][0, 0] * 1e5 + params["b1"][0, 0]
    assert z > 1000
    _, cost, _ = nnc.train([[1e5]], [[0]], net, 1, 1e-9, seed=1)
    assert cost[0] == pytest.approx(z, rel=1e-14)


@BOTH
def test_the_formula_of_dA_and_dZ(side):
    """dA of a layer is W.T dZ, in the shape of its input."""
    W, dZ, A_prev = np.arange(6.0).reshape(3, 2), np.ones((3, 4)), np.ones((2, 4))
    dA_prev, dW, db = side.single_layer_backward_propagation(
        dZ, W, np.zeros((3, 1)), np.ones((3, 4)), A_prev, "identity"
    )
    np.testing.assert_array_equal(dA_prev, np.tile([[6.0], [9.0]], 4))
    assert dW.shape == W.shape
    np.testing.assert_array_equal(db, np.ones((3, 1)))


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"Y: expected shape \(1, 3\), got \(3, 1\): pass Y.T"):
        nnc.get_accuracy_value(np.full((1, 3), 0.5), Y.T)
    with pytest.raises(ValueError, match=r"Y: .*pass Y.reshape\(1, -1\)"):
        nnc.train(X, Y.ravel(), NET, 1, 0.1)


@BOTH
def test_several_outputs_have_one_cost(side):
    Y_hat, labels = np.array([[0.9, 0.2], [0.3, 0.6]]), np.array([[1, 0], [0, 1]])
    expected = -np.log([0.9, 0.8, 0.7, 0.6]).sum() / 2
    assert side.get_cost_value(Y_hat, labels) == pytest.approx(expected, rel=1e-14)


@BOTH
def test_the_seed_is_an_argument_and_the_global_state_is_left_alone(side):
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    first, _, _ = side.train(X, Y, NET, 1, 0.1, seed=7)
    second, _, _ = side.train(X, Y, NET, 1, 0.1)
    assert np.random.rand() == expected
    assert (first["W1"] != second["W1"]).any()


@BOTH
def test_histories_are_floats_from_before_each_update(side):
    _, cost, accuracy = side.train(X, Y, NET, 2, 0.1)
    Y_hat, _ = side.full_forward_propagation(X, side.init_layers(NET, 2), NET)
    assert cost[0] == pytest.approx(side.get_cost_value(Y_hat, Y), rel=1e-14)
    assert accuracy[0] == side.get_accuracy_value(Y_hat, Y)
    assert all(type(value) is float for value in cost + accuracy)


def test_integer_parameters_are_refused_before_anything_is_written():
    params = nnc.init_layers(NET)
    before = params["W1"].copy()
    grads = {"d" + key: np.ones_like(value) for key, value in params.items()}
    params["b2"] = np.zeros((1, 1), int)
    with pytest.raises(TypeError, match=r"params_values\['b2'\].*int64"):
        nnc.update(params, grads, NET, 0.1)
    np.testing.assert_array_equal(params["W1"], before)


@BOTH
def test_train_returns_three_values(side):
    params, cost, accuracy = side.train(X, Y, NET, 3, 0.1)
    assert (sorted(params), len(cost), len(accuracy)) == (["W1", "W2", "b1", "b2"], 3, 3)


@BOTH
def test_chapter_1_descends_the_gradient(side):
    """The printed sign and z (1 - z) were wrong: the loss falls along minus the gradient."""
    x, y = np.array([[0.0, 1], [1, 1]]), np.array([[0.0], [1]])
    network = side.NeuralNetwork(x, y, seed=0)
    loss = network.train(200)
    assert (np.diff(loss) < 0).all()


def test_chapter_1_output_is_that_of_the_final_weights():
    x, y = np.array([[0.0, 1], [1, 1]]), np.array([[0.0], [1]])
    network = nnc.NeuralNetwork(x, y, seed=0)
    network.train(5)
    expected = reference.sigmoid(reference.sigmoid(x @ network.weights1) @ network.weights2)
    np.testing.assert_allclose(network.output, expected, rtol=1e-14)


def test_memory_keeps_each_layers_input_and_logits_and_no_gradient_of_the_data():
    params = nnc.init_layers(NET)
    Y_hat, memory = nnc.full_forward_propagation(X, params, NET)
    assert list(memory) == ["A0", "Z1", "A1", "Z2"]
    np.testing.assert_array_equal(memory["A0"], X)
    grads = nnc.full_backward_propagation(Y_hat, Y, memory, params, NET)
    assert sorted(grads) == ["dW1", "dW2", "db1", "db2"]


def test_chapter_1_has_a_learning_rate_of_one_and_twice_that_is_not_monotone():
    x, y = nnc.datasets.tutorial_truth_table()
    rises = 0
    for seed in range(10):
        network = reference.NeuralNetwork(x, y, seed=seed)
        loss = []
        for _ in range(300):
            network.feedforward()
            loss.append(((y - network.output) ** 2).sum())
            before = network.weights1.copy(), network.weights2.copy()
            network.backprop()
            network.weights1 += network.weights1 - before[0]
            network.weights2 += network.weights2 - before[1]
        rises += (np.diff(loss) > 0).any()
        assert (np.diff(nnc.NeuralNetwork(x, y, seed=seed).train(300)) < 0).all()
    assert rises >= 5


def test_chapter_1_is_not_at_its_minimum_after_1500_iterations():
    x, y = nnc.datasets.tutorial_truth_table()
    network = nnc.NeuralNetwork(x, y, seed=63)
    assert network.train(1500)[-1] > 0.002
    assert network.train(20_000)[-1] < 0.0002


def test_chapter_1_with_positive_weights_may_stand_still():
    x, y = nnc.datasets.tutorial_truth_table()
    network = nnc.NeuralNetwork(x, y, seed=67)
    assert (network.weights1 > 0).all()
    assert network.train(1500)[-1] > 0.5
    assert network.train(4500)[-1] < 0.01


def test_the_network_that_is_drawn_does_not_learn_at_that_rate():
    moons = nnc.datasets.tutorial_moons()
    drawn = nnc.datasets.tutorial_architecture(2, 4, 6, 6, 4, 1)
    _, cost, _ = nnc.train(moons.X_train, moons.Y_train, drawn, 10_000, 0.01)
    assert cost[-1] > 0.69


def test_small_initial_weights_stand_still_for_1300_epochs():
    moons, net = nnc.datasets.tutorial_moons(), nnc.datasets.tutorial_architecture()
    _, _, accuracy = nnc.train(moons.X_train, moons.Y_train, net, 1400, 0.01)
    assert np.argmax(np.array(accuracy) > 0.55) == 1315


def test_unknown_activations_name_the_known_ones():
    for name, hint in [("rellu", "did you mean 'relu'"), ("softmax", "known are"), (None, "known")]:
        with pytest.raises(ValueError, match=f"^Non-supported activation function .*{hint}"):
            nnc.single_layer_forward_propagation(X, np.eye(2), np.zeros((2, 1)), name)


def test_every_row_of_the_table_names_a_test_of_this_file():
    here = Path(__file__)
    table = (here.parent.parent / "docs" / "errata.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", table))
    defined = set(re.findall(r"^def (test_\w+)", here.read_text(encoding="utf-8"), re.MULTILINE))
    defined.discard("test_every_row_of_the_table_names_a_test_of_this_file")
    assert named == defined
