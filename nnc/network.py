"""`Network`: a network with parameters of its own, to train, look into, save and use.

Rows are samples. The computing is done by the engine; this class reads arguments, keeps what
belongs together, and hands arrays over.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nnc import _checkpoint, _core, _data, _fit, _state, losses, optimizers
from nnc._arguments import Array, read_dtype, read_index, read_threads
from nnc._data import Data
from nnc._inspect import Inspection
from nnc._specs import FRACTION, POSITIVE, read_number
from nnc._storage import Storage
from nnc.callbacks import EarlyStopping
from nnc.history import History
from nnc.initializers import read_random
from nnc.layers import (
    OUTPUT_ONLY,
    Layer,
    compile_layers,
    from_architecture,
    from_sizes,
    initialize,
    shapes,
)
from nnc.metrics import Metric
from nnc.metrics import resolve as read_metrics

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


class Network(Inspection, Storage):
    """A feed-forward network.

    Parameters
    ----------
    layers : list of Layer
        `Dense`, `Dropout`, `LayerNorm`, `BatchNorm`, `Flatten`, `Reshape`; the last one that
        computes is Dense.
    input_dim : int, optional
        The number of features of a sample.
    input_shape : tuple of int, optional
        Instead of `input_dim`, the shape of a sample, such as (28, 28) before `Flatten`.
    loss : str, Loss or callable, optional
        What training makes small: a name such as "huber", an instance such as ``Huber(0.5)``, or a
        function (y_true, y_pred) -> (loss, gradient by y_pred) of one batch. By default the
        cross-entropy after softmax and sigmoid, else the mean squared error.
    optimizer : str or Optimizer, optional
        "adam" by default.
    seed : int, Generator, RandomState or None, optional
        Of the initial parameters, the order of samples and dropout. None draws fresh entropy.
    dtype : dtype, optional
        float32 or float64. By default float64 where the first data to train on is, else float32.
    input_scale : float, optional
        What every input is multiplied by as it is read: 1 / 255 for images of uint8.

    Raises
    ------
    ValueError, TypeError
        For layers that do not fit together, and a loss that the output is not made for.

    Examples
    --------
    >>> from nnc import Dense, Network
    >>> from nnc.datasets import tutorial_moons
    >>> moons = tutorial_moons()
    >>> network = Network([Dense(25, "relu"), Dense(1, "sigmoid")], input_dim=2, seed=0)
    >>> history = network.fit(moons.X_train.T, moons.Y_train.T, epochs=100)
    >>> network.evaluate(moons.X_test.T, moons.Y_test.T)["accuracy"] > 0.85
    True
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        input_dim: int | None = None,
        *,
        input_shape: tuple[int, ...] | None = None,
        loss: Any = None,
        optimizer: Any = "adam",
        seed: Any = None,
        dtype: npt.DTypeLike | None = None,
        input_scale: float | None = None,
    ) -> None:
        if (input_dim is None) == (input_shape is None):
            raise ValueError(
                "input_dim: expected the number of features, or else input_shape, got "
                f"{'neither' if input_dim is None else 'both'}"
            )
        shape = (read_index("input_dim", input_dim, 1),) if input_shape is None else input_shape
        self.layers: tuple[Layer, ...] = tuple(layers)
        self.input_shape: tuple[int, ...] = shapes(self.layers, shape)[0]
        self.specs = compile_layers(self.layers, self.input_shape)
        last = self.specs[-1]
        self.loss = (
            losses.default_loss(last.activation, last.n_out)
            if loss is None
            else losses.resolve(loss)
        )
        problem = losses.suits(self.loss, last.activation, last.n_out)
        if problem:
            raise ValueError(problem)
        self._optimizer = optimizers.resolve(optimizer)
        self.input_scale = (
            None if input_scale is None else read_number("input_scale", input_scale, POSITIVE)
        )
        self._random = read_random(seed)
        self._dtype = read_dtype(dtype)
        self._engine: _core.Engine | None = None
        self._params: dict[str, Array] = {}
        self._grads: tuple[Array, dict[str, Array]] | None = None
        self.frozen = {i for i, spec in enumerate(self.specs) if not _trainable(spec.source)}
        self.epochs_trained = 0
        self.history: History | None = None
        self.seeds = _state.draw_seeds(self._random)

    @classmethod
    def from_architecture(
        cls, nn_architecture: Sequence[Mapping[str, Any]], **options: Any
    ) -> Network:
        """Build the tutorial's network from its list of dicts; options are those of `Network`.

        Weights and biases start as 0.1 * randn, drawn by ``np.random.RandomState(seed)`` where the
        seed is an int: bit for bit those of `nnc.init_layers`.
        """
        layers, input_dim = from_architecture(nn_architecture)
        if isinstance(options.get("seed"), int):
            options["seed"] = np.random.RandomState(options["seed"])
        return cls(layers, input_dim, **options)

    @classmethod
    def from_sizes(
        cls,
        *sizes: int,
        activation: str = "relu",
        output_activation: str = "identity",
        **options: Any,
    ) -> Network:
        """Build a network of Dense layers: ``from_sizes(2, 25, 50, 1)`` has two hidden ones."""
        layers, input_dim = from_sizes(sizes, activation, output_activation)
        return cls(layers, input_dim, **options)

    # ------------------------------------------------------------------------ what it is

    @property
    def n_inputs(self) -> int:
        """The number of features of a sample."""
        return math.prod(self.input_shape)

    @property
    def n_outputs(self) -> int:
        """The units of the last layer."""
        return self.specs[-1].n_out

    @property
    def n_params(self) -> int:
        """The number of parameters that training may change."""
        return sum(spec.n_params for spec in self.specs)

    @property
    def dtype(self) -> np.dtype[Any]:
        """What parameters and outputs are made of: float32 or float64."""
        return self._dtype or SINGLE

    @property
    def optimizer(self) -> optimizers.Optimizer:
        """The optimizer. One of another kind starts without the memory of the one before."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Any) -> None:
        self._optimizer = optimizers.resolve(optimizer)

    @property
    def engine(self) -> _core.Engine:
        """The engine below, which the first use builds."""
        if self._engine is None:
            engine = self._new_engine()
            params = _state.views(self.specs, engine)
            initialize(params, self.specs, self._random)
            for name, array in params.items():
                if name.startswith("variance"):
                    array[...] = 1
            self.adopt(engine)
        assert self._engine is not None
        return self._engine

    def blank_engine(self) -> _core.Engine:
        """Return the engine; where there is none, a new one of zeros, not yet the network's."""
        return self._new_engine() if self._engine is None else self._engine

    def adopt(self, engine: _core.Engine) -> None:
        """Make an engine that of the network, whose dtype it decides."""
        self._dtype = self.dtype
        self._engine = engine
        self._params = _state.views(self.specs, engine)

    def _new_engine(self) -> _core.Engine:
        return _core.Engine(self.engine_layers(), self.loss.engine_name, self.dtype.name)

    def engine_layers(self) -> list[tuple[int, int, str, bool, str, float, float, float]]:
        """Return the layers as the engine takes them."""
        return [
            (s.n_in, s.n_out, s.activation, s.has_bias, s.kind, s.rate, s.epsilon, s.momentum)
            for s in self.specs
        ]

    @property
    def params(self) -> dict[str, Array]:
        """The parameters: live views W1 (n_out, n_in), b1 (n_out, 1), … and gamma2, beta2, … too.

        Running statistics of batch norm are among them, as mean and variance. The tutorial's
        functions take this dict; what they write into its arrays, the network uses.
        """
        assert self.engine
        return dict(self._params)

    @property
    def average(self) -> dict[str, Array] | None:
        """Copies of the averaged parameters, where the optimizer has an `ema_decay`; else None."""
        block = self.engine.average
        return None if block is None else _state.trained(self.specs, self.engine, block)

    def use_average(self) -> None:
        """Copy the averaged parameters into `params`; running statistics stay."""
        average = self.average
        if average is None:
            raise ValueError(
                "use_average: there is no average yet: train with an optimizer that has one, such "
                "as Adam(ema_decay=0.999)"
            )
        for name, array in average.items():
            self._params[name][...] = array

    @property
    def grads(self) -> dict[str, Array]:
        """The gradients of the last `backward`: views dW1, db1, … that the next one changes."""
        if self._grads is None:
            raise RuntimeError("grads: there are none yet: call backward(X, y) first")
        return dict(self._grads[1])

    def get_weights(self) -> list[Array]:
        """Return copies of all parameters and running statistics, in the order of `params`."""
        return [array.copy() for array in self.params.values()]

    def set_weights(self, weights: Sequence[npt.ArrayLike] | Mapping[str, npt.ArrayLike]) -> None:
        """Copy values into the parameters: a list in the order of `params`, or a dict by name.

        Raises
        ------
        ValueError, TypeError
            For another number, name or shape, before anything is written.
        """
        _state.write(self.params, weights)

    def freeze(self, *layers: int | str) -> None:
        """Let training leave layers as they are: by place in `layers` or name; none means all."""
        self.frozen |= self._find(layers)

    def unfreeze(self, *layers: int | str) -> None:
        """Let training change layers again."""
        self.frozen -= self._find(layers)

    def _find(self, layers: Iterable[int | str]) -> set[int]:
        wanted = list(layers)
        if not wanted:
            return set(range(len(self.specs)))
        names = [layer.name for layer in self.layers]
        found = set()
        for layer in wanted:
            if isinstance(layer, str):
                if layer not in names:
                    known = ", ".join(repr(name) for name in names if name) or "none has one"
                    raise ValueError(f"layers: no layer is called {layer!r}; the names: {known}")
                place = names.index(layer)
            else:
                place = range(len(self.layers))[layer]
            source = self.layers[place]
            found |= {i for i, spec in enumerate(self.specs) if spec.source is source}
        return found

    # -------------------------------------------------------------------------- training

    @_fit.alone
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        epochs: int = 100,
        batch_size: int | str | None = "auto",
        shuffle: bool = True,
        sample_weight: Any = None,
        class_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        validation_split: float = 0.0,
        metrics: Any = None,
        callbacks: Any = None,
        early_stopping: bool | EarlyStopping = False,
        max_time: float | None = None,
        checkpoint: Any = None,
        checkpoint_every: int | None = None,
        verbose: int | str = "auto",
        n_threads: int | None = None,
    ) -> History:
        """Train, and return what each epoch gave. A second call goes on where the first ended.

        The result does not depend on `n_threads`, and an interrupted training that is resumed from
        a checkpoint ends with the same bits as an unbroken one.

        Parameters
        ----------
        X : array_like, shape (m, n_inputs), or (m, …) of `input_shape`; or batches
            Samples, of any real dtype. Arrays that are mapped from files are read block by block.
            Instead, with y left out, an iterable of (X, y) or (X, y, sample_weight): each is a
            step, whatever batch_size and shuffle say, and every epoch iterates anew, so that a
            generator serves for one epoch. Metrics are then means over the batches.
        y : array_like
            (m, n_outputs); (m,) for one output; or (m,) classes from 0 for a softmax output.
        epochs : int
            Passes over the data; iterations at most, for L-BFGS and Levenberg-Marquardt.
        batch_size : int, None or "auto"
            Samples of a step; None takes all. "auto" is 32, or all where the optimizer needs them.
        shuffle : bool
            Whether samples change places before each epoch.
        sample_weight : array_like, shape (m,), optional
            Weights of samples in the loss, which is a weighted mean.
        class_weight : "balanced" or dict, optional
            Weights by class, which multiply those of samples. Validation data is without them.
        X_val, y_val, sample_weight_val : optional
            Data that is only looked at, after each epoch: history gets val_loss and so on, as
            `evaluate` gives them.
        validation_split : float
            Instead, the part of the data, cut off its end, that serves so.
        metrics : names, functions, or a list of them, optional
            What else is recorded: see `nnc.metrics`. On the training data it is computed from the
            outputs before each step, in the same pass.
        callbacks : optional
            Objects with Keras' method names, or functions f(epoch, logs): see `nnc.callbacks`.
        early_stopping : bool or EarlyStopping
            True stops after 10 epochs without a better val_loss, and takes the best weights back.
        max_time : float, optional
            Seconds after which training ends with the step it is at. History has whole epochs.
        checkpoint : path, optional
            A file that holds the whole state of the training, and is written on its way: see
            docs/files.md. Where it is there already, the same call goes on from it, and returns at
            once where that training was finished.
        checkpoint_every : int, optional
            Write it after so many epochs. By default after each, but so that writing takes no more
            than a twentieth of the time. What came after the last one is done again.
        verbose : {"auto", 0, 1, 2}
            0: silent; 1: a bar; 2: a line per epoch; "auto": a bar where somebody can see it.
        n_threads : int, optional
            At most so many; by default `nnc.get_num_threads`.

        Returns
        -------
        History
            "loss", "accuracy" (of classifiers), "val_loss" and so on, a list each. Where an
            exception ends the training, the attribute `history` has the epochs before it, and the
            network is as after the last step.

        Raises
        ------
        ValueError, TypeError
            For bad arguments, before anything is trained. Of more than 2^20 learning rates those of
            later epochs are computed, and checked, when they are due.
        DivergenceError
            Where the loss or the parameters are no longer finite. The network holds the parameters
            that the last epoch with a finite loss began with, and the optimizer starts anew.
        RuntimeError
            Where another thread trains or uses this network.
        """
        started = time.monotonic()
        batches = _fit.read_batches(X, y)
        if batches is not None:
            asked = {
                "sample_weight": sample_weight,
                "class_weight": class_weight,
                "validation_split": validation_split or None,
                "checkpoint": checkpoint,
            }
            _fit.refuse_beside_batches(asked)
            data = batches.first(self)
        else:
            data = self._read(X, y, "", sample_weight)
        validation = self._read_validation(X_val, y_val, sample_weight_val)
        if validation_split:
            if validation is not None:
                raise ValueError("validation_split: expected 0 beside X_val, got both")
            fraction = read_number("validation_split", validation_split, FRACTION)
            data, validation = _data.split(data, fraction)
        if batches is None:
            _data.check_classes("y", data.Y, self.loss)
            data = _data.weigh_classes(class_weight, data, self.n_outputs, self.loss)
        limit = math.inf if max_time is None else read_number("max_time", max_time, POSITIVE)
        plan = _fit.make_plan(
            self, data, validation, epochs=epochs, batch_size=batch_size, shuffle=shuffle,
            metrics=metrics, callbacks=callbacks, early_stopping=early_stopping, verbose=verbose,
            n_threads=n_threads, deadline=started + limit, batches=batches,
        )  # fmt: skip
        if checkpoint is not None:
            _checkpoint.attach(plan, checkpoint, checkpoint_every)
        self.history = plan.history
        return _fit.run(plan)

    @_fit.alone
    def partial_fit(
        self, X: Any, y: Any, *, batch_size: int | None = 32, sample_weight: Any = None
    ) -> Network:
        """Take one pass over data in its order, with the optimizer's memory of earlier calls."""
        self._step(self._read(X, y, "", sample_weight), batch_size)
        return self

    @_fit.alone
    def step(self, X: Any, y: Any, *, sample_weight: Any = None) -> float:
        """Take one step on all of X and y; return the loss before it."""
        return self._step(self._read(X, y, "", sample_weight), None)

    def _step(self, data: Data, batch_size: int | None) -> float:
        plan = _fit.make_plan(self, data, None, epochs=1, batch_size=batch_size)
        loss: float = _fit.run(plan)["loss"][0]
        self.epochs_trained = plan.first_epoch  # no epoch of fit, so its order of samples goes on
        return loss

    def engine_options(self, data: Data) -> dict[str, Any]:
        """Return what the engine's fit wants to know of loss, optimizer and layers."""
        optimizer = self._optimizer
        options: dict[str, Any] = {
            "optimizer": optimizer.engine_name,
            **optimizer.numbers(),
            "loss_parameter": self.loss.parameter,
            "smoothing": self.loss.smoothing,
            "x_scale": self.input_scale or 0.0,
            "dropout_seed": self.seeds[1],
        }
        if isinstance(self.loss, losses.Custom):
            options["custom"] = self.loss.on(data.Y)
        decay = 0.0
        if isinstance(optimizer, optimizers.Gradient):
            decay = optimizer.weight_decay
            options |= {
                "clip_value": optimizer.clip_value,
                "clip_norm": optimizer.clip_norm,
                "average_decay": optimizer.ema_decay,
            }
        options["ranges"] = _state.ranges(self.specs, self.engine, self.frozen, decay)
        return options

    # ------------------------------------------------------------------------------- use

    def predict_proba(self, X: Any, *, n_threads: int | None = None) -> Array:
        """Return the outputs for rows of X, an array (m, n_outputs).

        Probabilities where the output is a sigmoid or softmax; the outputs as they are else.
        """
        rows = _data.read_inputs("X", X, self.input_shape)
        _data.check_range("X", rows, self.dtype, self.input_scale or 1.0)
        scale = self.input_scale or 0.0
        return self.engine.predict(rows, n_threads=read_threads(n_threads), x_scale=scale)

    def predict(self, X: Any, *, n_threads: int | None = None) -> Array:
        """Return what the network says of rows of X.

        Classes (m,) after softmax; 0 or 1 after a sigmoid that was trained as a classifier, (m,)
        or (m, n_outputs); else the outputs, (m,) where there is one.
        """
        outputs = self.predict_proba(X, n_threads=n_threads)
        if self.specs[-1].activation in OUTPUT_ONLY:
            classes: Array = outputs.argmax(axis=1)
            return classes
        if self.loss.classifies:
            outputs = (outputs > 0.5).astype(np.int64)
        return outputs[:, 0] if self.n_outputs == 1 else outputs

    def predict_one(self, x: npt.ArrayLike) -> Array:
        """Return the outputs (n_outputs,) for one sample x (n_inputs,), as fast as Python can."""
        if self.input_scale is not None:
            x = (np.asarray(x, DOUBLE) * self.input_scale).astype(self.dtype)
        if len(self.input_shape) > 1:
            x = np.asarray(x).reshape(self.n_inputs)
        return self.engine.predict(x)

    def evaluate(
        self,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        metrics: Any = None,
        n_threads: int | None = None,
    ) -> dict[str, float]:
        """Return {"loss": …, "accuracy": …, …} on data, with whatever metrics are asked for.

        The loss is that of the data alone: without the smoothing of labels, L1 and L2.
        """
        found = read_metrics(metrics)
        return self.evaluate_data(
            self._read(X, y, "", sample_weight), found, read_threads(n_threads)
        )

    def evaluate_data(
        self, data: Data, wanted: Sequence[Metric], n_threads: int
    ) -> dict[str, float]:
        """Do what `evaluate` does, on data that has been read."""
        if isinstance(self.loss, losses.Custom):
            return self._evaluate_custom(self.loss, data, wanted, n_threads)
        outputs = np.empty((len(data.X), self.n_outputs), self.dtype) if wanted else None
        loss, accuracy = self.engine.evaluate(
            data.X,
            data.Y,
            weights=data.weights,
            outputs=outputs,
            n_threads=n_threads,
            loss_parameter=self.loss.parameter,
            x_scale=self.input_scale or 0.0,
        )
        result = {"loss": loss}
        if self.loss.has_accuracy:
            result["accuracy"] = accuracy
        return result if outputs is None else result | self.score(wanted, data, outputs)

    def _evaluate_custom(
        self, loss: losses.Custom, data: Data, wanted: Sequence[Metric], n_threads: int
    ) -> dict[str, float]:
        scale = self.input_scale or 0.0
        outputs = self.engine.predict(data.X, n_threads=n_threads, x_scale=scale)
        return {"loss": loss.of(data.Y, outputs.copy())} | self.score(wanted, data, outputs)

    def score(self, wanted: Sequence[Metric], data: Data, outputs: Array) -> dict[str, float]:
        """Return metrics of outputs that have been computed."""
        multi_label = self.n_outputs > 1 and self.specs[-1].activation not in OUTPUT_ONLY
        return {
            metric.name: metric(
                data.Y, outputs, sample_weight=data.weights, multi_label=multi_label
            )
            for metric in wanted
        }

    # --------------------------------------------------------------------------- helpers

    def _read(self, X: Any, y: Any, suffix: str, weights: Any) -> Data:
        names = ("X" + suffix, "y" + suffix, "sample_weight" + suffix)
        return self.read_data(names, X, y, weights)

    def read_data(self, names: tuple[str, str, str], X: Any, y: Any, weights: Any) -> Data:
        """Return samples, labels and weights, checked; messages call them by these names."""
        rows = _data.read_inputs(names[0], X, self.input_shape)
        if self._dtype is None:
            self._dtype = DOUBLE if rows.dtype == DOUBLE else SINGLE
        labels = _data.read_labels(names[1], y, len(rows), self.n_outputs, self.loss)
        _data.check_range(names[0], rows, self._dtype, self.input_scale or 1.0)
        _data.check_range(names[1], labels, self._dtype)
        return Data(rows, labels, _data.read_weights(names[2], weights, len(rows)))

    def _read_validation(self, X: Any, y: Any, weights: Any) -> Data | None:
        if X is None and y is None:
            if weights is not None:
                raise ValueError("sample_weight_val: expected None without X_val")
            return None
        if X is None or y is None:
            missing = "X_val" if X is None else "y_val"
            raise ValueError(f"{missing}: X_val and y_val belong together; pass both")
        return self._read(X, y, "_val", weights)


def _trainable(layer: Layer) -> bool:
    return bool(getattr(layer, "trainable", True))
