"""Keras 3: `Sequential`, `compile`, `fit`. The backend is chosen by who imports this."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from workloads import Array, Problem

from peers import History


class Model:
    """Keras as its guides use it."""

    note = ""
    same_start = True

    def __init__(self, problem: Problem) -> None:
        keras.utils.set_random_seed(0)
        keras.backend.set_floatx(problem.dtype)
        self.problem, self.workload = problem, problem.workload
        layers = [
            keras.layers.Dense(
                n_out, activation=activation.replace("identity", "linear"), use_bias=b
            )
            for _, n_out, activation, b in self.workload.layers
        ]
        self.model = keras.Sequential([keras.Input((self.workload.sizes[0],)), *layers])
        if self.workload.trains:
            self._compile()
        self.optimizer_start: list[Array] = []
        self.reset()

    def _compile(self) -> None:
        rate = self.workload.learning_rate
        losses: dict[str, Any] = {
            "sum_of_squares": keras.losses.MeanSquaredError(reduction="sum"),
            "categorical_cross_entropy": "categorical_crossentropy",
            "binary_cross_entropy": "binary_crossentropy",
        }
        adam = self.workload.optimizer == "adam"
        self.model.compile(
            optimizer=keras.optimizers.Adam(rate) if adam else keras.optimizers.SGD(rate),
            loss=losses.get(self.workload.loss, self.workload.loss),
            metrics=["accuracy"] if self.workload.classifies else None,
        )

    def reset(self) -> None:
        """Return to the initial parameters."""
        # Keras holds W as (n_in, n_out).
        self.model.set_weights([p.T for p in self.problem.params])
        if self.workload.trains:
            variables = self.model.optimizer.variables
            if self.optimizer_start:
                for variable, value in zip(variables, self.optimizer_start, strict=True):
                    variable.assign(value)
            else:
                self.model.optimizer.build(self.model.trainable_variables)
                variables = self.model.optimizer.variables
                self.optimizer_start = [np.array(variable) for variable in variables]

    def run(self, epochs: int) -> History:
        """Train on."""
        history = self.model.fit(
            self.problem.X,
            self.problem.Y,
            epochs=epochs,
            batch_size=self.workload.batch or len(self.problem.X),
            shuffle=bool(self.workload.batch),
            verbose=0,
        ).history
        accuracy = [float(value) for value in history.get("accuracy", [])]
        return History([float(value) for value in history["loss"]], accuracy)

    def predict(self, X: Array) -> Array:
        """Return the outputs: by a call for one row, as the guide advises, else by `predict`."""
        if X.ndim == 1:
            return np.asarray(self.model(X[None]))[0]
        outputs: Array = self.model.predict(X, batch_size=1024, verbose=0)
        return outputs
