"""What `nnc.MLPClassifier` and `nnc.MLPRegressor` have in common: fitting and predicting."""

# scikit-learn and SciPy have no types:
# mypy: disable-error-code="import-untyped"
# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False, warn-return-any=False

from __future__ import annotations

import copy
import time
import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, is_classifier
from sklearn.metrics import get_scorer
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from nnc import _core, _sk_engine, _sk_solvers
from nnc._arguments import Array, read_threads
from nnc._sk_callbacks import watchers_of
from nnc._sk_engine import Task
from nnc._sk_epochs import Epochs, Unbroken, Watched
from nnc._sk_optimizers import Optimizer
from nnc._sk_parameters import (
    CONSTRAINTS,
    NOT_LBFGS,
    dropout_rates,
    hidden_activations,
    hidden_sizes,
    initial_parameters,
    new_optimizer,
)
from nnc._sk_solvers import Training
from nnc._sk_tasks import CallbackSupportMixin, Tasks, tasks_of
from nnc.losses import Loss


class BaseMLP(CallbackSupportMixin, BaseEstimator, metaclass=ABCMeta):
    """The base of both estimators, with the parameters of scikit-learn's."""

    if TYPE_CHECKING:  # scikit-learn adds them
        set_fit_request: Any
        set_partial_fit_request: Any
        set_score_request: Any
    _optimizer: Optimizer

    _parameter_constraints: ClassVar[dict[str, Any]] = CONSTRAINTS

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
    def _read_loss(self) -> str | Loss:
        """Return scikit-learn's name of the loss, or nnc's loss, which fits the outputs."""

    @abstractmethod
    def _labels_of(self, y: Array) -> Array:
        """Return what y (m, n_outputs) was before it was encoded."""

    @abstractmethod
    def _score_outputs(self, y: Array, outputs: Array, weights: Array | None) -> float: ...

    def _weigh(self, y: Any, weights: Array | None) -> Array | None:
        """Return the weights of samples with those of their classes."""
        return weights

    # -------------------------------------------------------------------------- networks

    def _units(self) -> list[int]:
        return [len(self.coefs_[0]), *(len(b) for b in self.intercepts_)]

    def _task(self) -> Task:
        return _sk_engine.task_of(self._read_loss(), self.out_activation_, self.n_outputs_)

    def _engine(
        self, dtype: Any, dropout: Sequence[float] = (), loss: str | None = None
    ) -> _core.Engine:
        """Return an engine with the parameters as they are, by default to predict."""
        units = self._units()
        activations = [*hidden_activations(self, len(units) - 2), self.out_activation_]
        engine = _sk_engine.new_engine(units, activations, dtype, dropout, loss)
        _sk_engine.load(engine, self.coefs_, self.intercepts_)
        return engine

    def _initialize(self, units: list[int], dtype: Any) -> None:
        """Set the first parameters, and let all records begin."""
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(units)
        self.out_activation_ = self._out_activation()
        hidden = hidden_activations(self, len(units) - 2)
        names = [*hidden, hidden[-1] if hidden else str(self.activation)]
        self.coefs_, self.intercepts_ = initial_parameters(
            self, units, names, self._random_state, dtype
        )
        if self.solver != "lbfgs":
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

    def _score_watched(
        self, watched: Watched, loss: float, outputs: Array, training: Training
    ) -> float:
        """Return what `scoring` says of validation samples."""
        if self.scoring == "loss":
            return -loss
        if self.scoring is None:
            return self._score_outputs(watched.y, outputs, watched.weights)
        judged = copy.copy(self)
        judged.__dict__ |= self._shown(training)
        judged.__dict__.pop("feature_names_in_", None)  # X has none any more
        weights = {} if watched.weights is None else {"sample_weight": watched.weights}
        return float(get_scorer(self.scoring)(judged, watched.X, watched.y, **weights))

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
        hidden = hidden_sizes(self)
        rates = dropout_rates(self, len(hidden))
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        resumes = self.warm_start == "resume" and not first and not incremental
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
        if not (resumes and hasattr(self, "_unbroken")):
            self._random_state = check_random_state(self.random_state)
            self._unbroken = Unbroken()
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
            self._fit_stochastic(X, y, weights, incremental, resumes, rates, watched, start, tasks)
        if not all(np.isfinite(p).all() for p in [*self.coefs_, *self.intercepts_]):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed. Training diverged after "
                f"{self.n_iter_} iterations; scale X, or pass a smaller learning_rate_init."
            )
        if self.warm_start != "resume":
            del self._unbroken  # nobody goes on with it
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
        if self._task().loss == "poisson" and (Y < 0).any():
            raise ValueError(
                f"y: expected numbers of at least 0 for the loss 'poisson', got {Y.min()}; use "
                "loss='squared_error'"
            )
        return np.ascontiguousarray(Y, dtype)

    def _training(
        self, X: Any, y: Array, weights: Array | None, batch_size: int, dropout: Sequence[float]
    ) -> Training:
        dtype = np.float64 if self.solver == "lbfgs" else self.coefs_[0].dtype
        dense, task = not hasattr(X, "toarray"), self._task()
        if weights is not None:
            weights = np.ascontiguousarray(weights, np.float64)
        return Training(
            engine=self._engine(dtype, dropout, task.loss),
            task=task,
            units=self._units(),
            X=np.ascontiguousarray(X) if dense else X.tocsr(),
            Y=self._encode(y, dtype),
            weights=weights,
            alpha=float(self.alpha),
            batch_size=batch_size,
            n_threads=read_threads(self.n_threads),
            # drawn where it is needed only: the stream is to be that of scikit-learn
            dropout_seed=self._unbroken.dropout_seed(self._random_state) if any(dropout) else 0,
            saturated=self._unbroken.saturated,
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
        for name in NOT_LBFGS:
            if any(dropout) if name == "dropout" else getattr(self, name) is not None:
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

    def _split(
        self, X: Any, y: Array, weights: Array | None
    ) -> tuple[Any, Array, Array | None, Watched]:
        """Take validation_fraction of the samples away, as scikit-learn does."""
        parts = [X, y] if weights is None else [X, y, weights]
        parts = train_test_split(
            *parts,
            random_state=self._unbroken.split_stream(self._random_state),
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
        needs_all = self._optimizer.full_batch
        if self.batch_size == "auto":
            return n_samples if needs_all else min(200, n_samples)
        if needs_all and self.batch_size < n_samples:
            raise ValueError(
                f"batch_size: {self._optimizer.engine_name} needs all samples in a step, expected "
                f"{n_samples} or more, got {self.batch_size}; pass batch_size='auto'"
            )
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
        resumes: bool,
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
            optimizer = new_optimizer(self)
            if resumes and hasattr(self, "_optimizer"):
                optimizer.go_on_from(self._optimizer)
            self._optimizer = optimizer
        if self.early_stopping and watched is None:
            X, y, weights, watched = self._split(X, y, weights)
        if self.scoring is not None and watched is None:
            raise ValueError(
                "scoring: there are no validation samples to score; pass early_stopping=True, or "
                "X_val and y_val, or leave it out"
            )
        training = self._training(X, y, weights, self._read_batch_size(X.shape[0]), dropout)
        training.decay = self._optimizer.decay(training.task.slope)
        self._optimizer.install(training.engine)
        self._optimizer.begin(1 if incremental else self.max_iter, training.n_steps)
        if watched is not None:
            watched.Y = self._encode(watched.Y, self.coefs_[0].dtype)
            self.validation_loss_curve_ = self.validation_loss_curve_ or []
            self.validation_scores_ = self.validation_scores_ or []
        if resumes and self._no_improvement_count > self.n_iter_no_change:
            self._no_improvement_count = 0  # that ended the fit before
        # none that an earlier fit found: from a warm start scikit-learn keeps the last ones, too,
        # where none gets a better score
        anew = not self.loss_curve_ or resumes
        self._best_params = training.engine.params.copy() if anew else None
        deadline = np.inf if self.max_time is None else start + self.max_time
        watchers = watchers_of(self, training, self._optimizer, watched is not None)
        epochs = Epochs(
            self, training, self._optimizer, watched, incremental, deadline, tasks, watchers
        )
        try:
            epochs.run()
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
        names = hidden_activations(self, n_hidden)[:end]
        engine = _sk_engine.new_engine(units, names, self.coefs_[0].dtype)
        _sk_engine.load(engine, self.coefs_[:end], self.intercepts_[:end])
        return self._run(engine, X)

    def _is_stochastic(self) -> bool:
        """Return True, or raise what `available_if` turns into the absence of partial_fit."""
        if self.solver == "lbfgs":
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
