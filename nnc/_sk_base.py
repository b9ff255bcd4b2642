"""What `nnc.MLPClassifier` and `nnc.MLPRegressor` have in common: fitting and predicting."""

# scikit-learn and SciPy have no types:
# mypy: disable-error-code="import-untyped"
# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False, warn-return-any=False

from __future__ import annotations

import operator
import time
import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, is_classifier
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from nnc import _core, _sk_engine, _sk_solvers
from nnc._arguments import Array, read_threads
from nnc._sk_epochs import Epochs, Watched
from nnc._sk_solvers import Optimizer, Training
from nnc._sk_tasks import CallbackSupportMixin, Tasks, tasks_of

STOCHASTIC = ("sgd", "adam")

# scikit-learn's four, and the engine's others.
ACTIVATIONS = {"identity", "logistic", "tanh", "relu"} | set(_core.ACTIVATIONS) - {
    "sigmoid", "softmax", "log_softmax"
}  # fmt: skip


class BaseMLP(CallbackSupportMixin, BaseEstimator, metaclass=ABCMeta):
    """The base of both estimators, with the parameters of scikit-learn's."""

    if TYPE_CHECKING:  # scikit-learn adds them
        set_fit_request: Any
        set_partial_fit_request: Any
        set_score_request: Any

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(ACTIVATIONS), list, tuple],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
        "clip_value": [Interval(Real, 0, None, closed="neither"), None],
        "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "dtype": [StrOptions({"float32", "float64"}), type, np.dtype, None],
        "n_threads": [Interval(Integral, 1, _core.MAX_THREADS, closed="both"), None],
    }

    # ---------------------------------------------------------------------- of the kinds

    @abstractmethod
    def _read_data(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        """Return X and y (m, n_outputs), checked; set what belongs to the labels."""

    @abstractmethod
    def _read_validation_labels(self, X: Any, y: Any) -> tuple[Any, Array]:
        """Return X and y (m, n_outputs) of validation data."""

    @abstractmethod
    def _out_activation(self) -> str: ...

    @abstractmethod
    def _labels_of(self, y: Array) -> Array:
        """Return what y (m, n_outputs) was before it was encoded."""

    @abstractmethod
    def _score_outputs(self, y: Array, outputs: Array, weights: Array | None) -> float: ...

    def _weigh(self, y: Any, weights: Array | None) -> Array | None:
        """Return the weights of samples with those of their classes."""
        return weights

    # -------------------------------------------------------------------------- networks

    def _hidden_sizes(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if np.any(np.array(sizes) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return [operator.index(size) for size in sizes]

    def _hidden_activations(self, n_hidden: int) -> list[str]:
        """Return the activation of each hidden layer."""
        names = self.activation
        if isinstance(names, str):
            return [names] * n_hidden
        if len(names) != n_hidden:
            raise ValueError(
                f"activation: expected one for each of {n_hidden} hidden layers, got "
                f"{len(names)}; pass one name for all of them"
            )
        unknown = [name for name in names if name not in ACTIVATIONS]
        if unknown:
            raise ValueError(
                f"activation: expected names among {', '.join(sorted(ACTIVATIONS))}, got "
                f"{unknown[0]!r}"
            )
        return list(names)

    def _dropout_rates(self, n_hidden: int) -> list[float]:
        rates = self.dropout
        rates = list(rates) if isinstance(rates, list | tuple) else [rates] * n_hidden
        if len(rates) != n_hidden or not all(
            isinstance(rate, int | float | np.number) and 0 <= rate < 1 for rate in rates
        ):
            raise ValueError(
                f"dropout: expected a number in [0, 1), or one for each of {n_hidden} hidden "
                f"layers, got {self.dropout!r}"
            )
        return [float(rate) for rate in rates]

    def _units(self) -> list[int]:
        return [len(self.coefs_[0]), *(len(b) for b in self.intercepts_)]

    def _engine(self, dtype: Any, dropout: Sequence[float] = ()) -> _core.Engine:
        """Return an engine with the parameters as they are."""
        units = self._units()
        activations = [*self._hidden_activations(len(units) - 2), self.out_activation_]
        task = _sk_engine.task_of(self.loss, self.out_activation_, units[-1])
        engine = _sk_engine.new_engine(units, activations, task.loss, dtype, dropout)
        _sk_engine.load(engine, self.coefs_, self.intercepts_)
        return engine

    def _initialize(self, units: list[int], dtype: Any) -> None:
        """Draw the parameters as scikit-learn does, and let all records begin."""
        self.n_iter_ = self.t_ = 0
        self.n_outputs_ = units[-1]
        self.n_layers_ = len(units)
        self.out_activation_ = self._out_activation()
        hidden = self._hidden_activations(len(units) - 2)
        names = [*hidden, hidden[-1] if hidden else str(self.activation)]
        self.coefs_, self.intercepts_ = [], []
        for fan_in, fan_out, name in zip(units[:-1], units[1:], names, strict=True):
            bound = np.sqrt((2.0 if name == "logistic" else 6.0) / (fan_in + fan_out))
            coef = self._random_state.uniform(-bound, bound, (fan_in, fan_out))
            intercept = self._random_state.uniform(-bound, bound, fan_out)
            self.coefs_.append(coef.astype(dtype, copy=False))
            self.intercepts_.append(intercept.astype(dtype, copy=False))
        if self.solver in STOCHASTIC:
            self._begin_records()

    def _begin_records(self) -> None:
        self.loss_curve_: list[float] = []
        self._no_improvement_count = 0
        self._best_params: Array | None = None
        stopping = self.early_stopping
        self.best_loss_ = None if stopping else np.inf
        self.validation_scores_: list[float] | None = [] if stopping else None
        self.best_validation_score_ = -np.inf if stopping else None
        self.validation_loss_curve_: list[float] | None = None

    # ------------------------------------------------------------------------------- fit

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train on X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. Sparse ones become dense some at a time, for 'lbfgs' all at once.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels: classes, or a matrix of 0 and 1 for several labels a sample; numbers of a
            regressor.
        sample_weight : array-like of shape (n_samples,), optional
            At least 0.
        X_val, y_val : optional
            Samples to watch. The attributes tell loss and score of them; with `early_stopping`
            they decide when to end, and no samples are set aside.
        sample_weight_val : array-like, optional
            Their weights.

        Returns
        -------
        self
            Fitted.
        """
        return self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        incremental: bool = False,
        validation: tuple[Any, Any, Any] = (None, None, None),
    ) -> Self:
        start = time.monotonic()
        hidden = self._hidden_sizes()
        rates = self._dropout_rates(len(hidden))
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        raw_X, raw_y = X, y
        X, y = self._read_data(X, y, incremental, first)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        if weights is not None and (weights < 0).any():
            raise ValueError(
                "Negative values in data passed to `sample_weight`: expected weights of at least "
                f"0, got {weights.min()}; leave those samples out"
            )
        weights = self._weigh(raw_y, weights)
        units = [X.shape[1], *hidden, y.shape[1]]
        self._random_state = check_random_state(self.random_state)
        self.n_outputs_ = units[-1]
        watched = self._read_validation(*validation)
        if first:
            self._initialize(units, X.dtype)
        elif self._units() != units:
            raise ValueError(
                f"hidden_layer_sizes: the network to go on with has {self._units()[1:-1]}, got "
                f"{hidden}; pass warm_start=False to begin anew"
            )
        tasks = None
        if not incremental:
            asked = {} if sample_weight is None else {"sample_weight": sample_weight}
            # SciPy begins one iteration more than it ends
            most = self.max_iter + (self.solver == "lbfgs")
            tasks = tasks_of(self, raw_X, raw_y, asked, most)
        if self.solver == "lbfgs":
            self._fit_lbfgs(X, y, weights, rates, tasks)
        else:
            self._fit_stochastic(X, y, weights, incremental, rates, watched, start, tasks)
        if not all(np.isfinite(p).all() for p in [*self.coefs_, *self.intercepts_]):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed. Training diverged after "
                f"{self.n_iter_} iterations; scale X, or pass a smaller learning_rate_init."
            )
        if tasks is not None:
            tasks.end_all()
        return self

    def _read_validation(self, X_val: Any, y_val: Any, sample_weight_val: Any) -> Watched | None:
        if X_val is None and y_val is None and sample_weight_val is None:
            return None
        if X_val is None or y_val is None:
            missing = "X_val" if X_val is None else "y_val"
            raise ValueError(f"{missing}: expected validation data, got None; pass X_val and y_val")
        if self.solver == "lbfgs":
            raise ValueError(
                "X_val: lbfgs looks at no validation data; leave it out, or use 'adam'"
            )
        X, Y = self._read_validation_labels(X_val, y_val)
        weights = None
        if sample_weight_val is not None:
            weights = _check_sample_weight(sample_weight_val, X, dtype=np.float64)
        return Watched(X, self._labels_of(Y), Y, weights)

    def _encode(self, Y: Array, dtype: Any) -> Array:
        """Return labels as the engine takes them: classes for softmax, else a matrix."""
        if self.out_activation_ == "softmax":
            return Y.argmax(axis=1).astype(np.int64)
        if self.loss == "poisson" and (Y < 0).any():
            raise ValueError(
                f"y: expected numbers of at least 0 for the loss 'poisson', got {Y.min()}; use "
                "loss='squared_error'"
            )
        return np.ascontiguousarray(Y, dtype)

    def _training(
        self, X: Any, y: Array, weights: Array | None, batch_size: int, dropout: Sequence[float]
    ) -> Training:
        dtype = np.float64 if self.solver == "lbfgs" else self.coefs_[0].dtype
        dense = not hasattr(X, "toarray")
        if weights is not None:
            weights = np.ascontiguousarray(weights, np.float64)
        return Training(
            engine=self._engine(dtype, dropout),
            task=_sk_engine.task_of(self.loss, self.out_activation_, self.n_outputs_),
            units=self._units(),
            X=np.ascontiguousarray(X) if dense else X.tocsr(),
            Y=self._encode(y, dtype),
            weights=weights,
            alpha=float(self.alpha),
            batch_size=batch_size,
            n_threads=read_threads(self.n_threads),
            # drawn where it is needed only: the stream is to be that of scikit-learn
            dropout_seed=self._random_state.randint(2**31) if any(dropout) else 0,
        )

    def _keep(self, block: Array, training: Training) -> None:
        """Show parameters as coefs_ and intercepts_."""
        self.coefs_, self.intercepts_ = _sk_engine.take_out(block, training.units, training.engine)

    def _shown(self, training: Training) -> dict[str, Any]:
        """Return what a copy of self needs to predict with the present parameters."""
        coefs, intercepts = _sk_engine.take_out(
            training.engine.params, training.units, training.engine
        )
        return {"coefs_": coefs, "intercepts_": intercepts}

    def _fit_lbfgs(
        self,
        X: Any,
        y: Array,
        weights: Array | None,
        dropout: Sequence[float],
        tasks: Tasks | None,
    ) -> None:
        for name, asked in (
            ("dropout", any(dropout)),
            ("clip_value", self.clip_value is not None),
            ("clip_norm", self.clip_norm is not None),
            ("max_time", self.max_time is not None),
        ):
            if asked:
                raise ValueError(f"{name}: lbfgs knows no {name}; leave it out, or use 'adam'")
        training = self._training(X, y, weights, len(y), ())
        end_iteration = None
        if tasks is not None:
            tasks.begin("iteration")

            def end_iteration(x: Array) -> None:
                training.engine.params[:] = x
                tasks.end(lambda: self._shown(training))
                if tasks.stopped:
                    raise StopIteration
                tasks.begin("iteration")

        result = _sk_solvers.minimize(
            training, self.max_fun, self.max_iter, self.tol, end_iteration
        )
        if tasks is not None and tasks.stopped:
            self.n_iter_ = result.nit
        else:
            if tasks is not None:
                tasks.end(None)  # the one that was not run
            self.n_iter_ = _check_optimize_result("lbfgs", result, self.max_iter)
        self.loss_ = float(result.fun)
        self._keep(training.engine.params, training)

    def _new_optimizer(self) -> Optimizer:
        return Optimizer(
            self.solver,
            self.learning_rate_init,
            self.learning_rate,
            self.power_t,
            self.momentum,
            self.nesterovs_momentum,
            self.beta_1,
            self.beta_2,
            self.epsilon,
            self.clip_value or 0.0,
            self.clip_norm or 0.0,
        )

    def _split(
        self, X: Any, y: Array, weights: Array | None
    ) -> tuple[Any, Array, Array | None, Watched]:
        """Take validation_fraction of the samples away, as scikit-learn does."""
        parts = [X, y] if weights is None else [X, y, weights]
        parts = train_test_split(
            *parts,
            random_state=self._random_state,
            test_size=self.validation_fraction,
            # several labels a sample cannot be stratified
            stratify=y if is_classifier(self) and self.n_outputs_ == 1 else None,
        )
        X_train, X_val, y_train, y_val = parts[:4]
        if X_val.shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' "
                "or the size of your dataset."
            )
        kept, held = (None, None) if weights is None else parts[4:]
        return X_train, y_train, kept, Watched(X_val, self._labels_of(y_val), y_val, held)

    def _read_batch_size(self, n_samples: int) -> int:
        if self.batch_size == "auto":
            return min(200, n_samples)
        if self.batch_size > n_samples:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=5,
            )
        return min(int(self.batch_size), n_samples)

    def _fit_stochastic(
        self,
        X: Any,
        y: Array,
        weights: Array | None,
        incremental: bool,
        dropout: Sequence[float],
        watched: Watched | None,
        start: float,
        tasks: Tasks | None,
    ) -> None:
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        if not hasattr(self, "loss_curve_"):  # lbfgs has none
            self._begin_records()
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = self._new_optimizer()
        if self.early_stopping and watched is None:
            X, y, weights, watched = self._split(X, y, weights)
        training = self._training(X, y, weights, self._read_batch_size(X.shape[0]), dropout)
        self._optimizer.install(training.engine)
        if watched is not None:
            watched.Y = self._encode(watched.Y, self.coefs_[0].dtype)
            self.validation_loss_curve_ = self.validation_loss_curve_ or []
            self.validation_scores_ = self.validation_scores_ or []
        # none that an earlier fit found: from a warm start scikit-learn keeps the last ones, too,
        # where none gets a better score
        self._best_params = None if self.loss_curve_ else training.engine.params.copy()
        deadline = np.inf if self.max_time is None else start + self.max_time
        try:
            Epochs(self, training, self._optimizer, watched, incremental, deadline, tasks).run()
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        self._optimizer.take_out(training.engine)
        best = self._best_params if self.early_stopping else None
        self._keep(training.engine.params if best is None else best, training)
        self._best_params = None

    # --------------------------------------------------------------------------- predict

    def _outputs(self, X: Any) -> Array:
        """Return the outputs (m, n_outputs) for rows of X, which is checked."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        return self._run(self._engine(self.coefs_[0].dtype), X)

    def _run(self, engine: _core.Engine, X: Any) -> Array:
        X = X.tocsr() if hasattr(X, "tocsr") else X
        return _sk_engine.predict(engine, X, read_threads(self.n_threads))

    def hidden_activations(self, X: Any, layer: int = -1) -> Array:
        """Return what a hidden layer passes on for each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        layer : int, default=-1
            Which hidden layer; 0 is the first one, -1 the last.

        Returns
        -------
        ndarray of shape (n_samples, n_units)
            Its activations.
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        n_hidden = len(self.coefs_) - 1
        if not -n_hidden <= layer < n_hidden:
            raise ValueError(
                f"layer: expected a hidden layer, {-n_hidden} to {n_hidden - 1}, got {layer}"
            )
        end = layer % n_hidden + 1
        units = self._units()[: end + 1]
        names = self._hidden_activations(n_hidden)[:end]
        engine = _sk_engine.new_engine(units, names, "sum_of_squares", self.coefs_[0].dtype)
        _sk_engine.load(engine, self.coefs_[:end], self.intercepts_[:end])
        return self._run(engine, X)

    def _is_stochastic(self) -> bool:
        """Return True, or raise what `available_if` turns into the absence of partial_fit."""
        if self.solver not in STOCHASTIC:
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
