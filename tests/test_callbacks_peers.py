"""Early stopping and reduced rates against Keras' callbacks, on made-up losses."""

import numpy as np
import pytest

from nnc.callbacks import CallbackList, EarlyStopping, ReduceLROnPlateau

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


class Network:
    weights = (np.zeros(1),)

    def get_weights(self):
        return [weight.copy() for weight in self.weights]

    def set_weights(self, weights):
        self.weights = weights


def losses(rng, n=60):
    return np.round(1 + rng.random(n) - np.linspace(0, 0.5, n), 2).tolist()


def model_of(keras):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5))
    return model


@pytest.mark.parametrize("patience", [0, 1, 3, 8])
@pytest.mark.parametrize("min_delta", [0, 0.05])
@pytest.mark.parametrize("first", [0, 4])
def test_early_stopping(keras, rng, patience, min_delta, first):
    for _ in range(20):
        values = losses(rng)
        theirs = keras.callbacks.EarlyStopping(
            "val_loss", min_delta, patience, start_from_epoch=first, restore_best_weights=True
        )
        model = model_of(keras)
        theirs.set_model(model)
        ours = EarlyStopping("val_loss", patience, min_delta, start_from_epoch=first)
        ours.set_network(Network())
        theirs.on_train_begin()
        ours.on_train_begin()
        for epoch, value in enumerate(values):
            theirs.on_epoch_end(epoch, {"val_loss": value})
            stop = ours.on_epoch_end(epoch, {"val_loss": value})
            assert stop == bool(model.stop_training)
            if stop:
                break
        assert (ours.best, ours.best_epoch) == (theirs.best, theirs.best_epoch)


@pytest.mark.parametrize("patience", [0, 1, 4])
@pytest.mark.parametrize("cooldown", [0, 3])
@pytest.mark.parametrize(("factor", "min_lr"), [(0.5, 0), (0.1, 1 / 32)])
def test_reduce_on_plateau(keras, rng, patience, cooldown, factor, min_lr):
    for _ in range(20):
        values = losses(rng, 40)
        theirs = keras.callbacks.ReduceLROnPlateau(
            "val_loss", factor, patience, min_delta=0.02, cooldown=cooldown, min_lr=min_lr
        )
        model = model_of(keras)
        theirs.set_model(model)
        theirs.on_train_begin()
        ours = ReduceLROnPlateau("val_loss", factor, patience, 0.02, cooldown, min_lr)
        rates = np.full((len(values), 1), 0.5)
        made = CallbackList(ours, rates=rates)
        made.on_train_begin()
        expected = []
        for epoch, value in enumerate(values):
            expected.append(float(model.optimizer.learning_rate))
            theirs.on_epoch_end(epoch, {"val_loss": value})
            made.on_epoch_end(epoch, {"val_loss": value})
        np.testing.assert_allclose(rates.ravel(), expected, rtol=1e-6)
