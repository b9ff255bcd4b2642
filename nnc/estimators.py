"""`MLPClassifier` and `MLPRegressor`: scikit-learn's estimators, trained by nnc's engine.

Parameters, attributes, messages and results are those of `sklearn.neural_network`;
docs/estimators.md says what differs.
"""

# scikit-learn and SciPy have no types:
# mypy: disable-error-code="import-untyped"
# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False, warn-return-any=False

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from nnc._arguments import Array
from nnc._optional import import_optional

import_optional("sklearn", "nnc.estimators", install="scikit-learn")

from sklearn.base import _fit_context  # noqa: E402
from sklearn.preprocessing import LabelBinarizer  # noqa: E402
from sklearn.utils._param_validation import StrOptions  # noqa: E402
from sklearn.utils.metaestimators import available_if  # noqa: E402
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target  # noqa: E402

from nnc._sk_labels import BaseClassifier, BaseRegressor  # noqa: E402
from nnc._sk_parameters import CLASSIFICATION, LOSSES, REGRESSION  # noqa: E402


class MLPClassifier(BaseClassifier):
    """scikit-learn's multi-layer perceptron for classes, on nnc's engine.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        The units of each hidden layer; none at all with ().
    activation : str or list of str, default='relu'
        That of the hidden layers, or one for each of them: 'identity', 'logistic', 'tanh', 'relu',
        or another that `nnc.Network` knows ('gelu', 'silu', 'leaky_relu', …).
    solver : str or nnc.optimizers.Gradient, default='adam'
        How the loss is minimized: 'adam', 'sgd', or 'lbfgs', which takes all samples at once, in
        float64; another of nnc's optimizers by name ('adamw', 'rmsprop', 'nadam', 'lion', …) at
        `learning_rate_init`; or one with options of its own, as ``AdamW(0.001, weight_decay=0.1)``.
    alpha : float, default=0.0001
        The L2 penalty on the coefficients, alpha / 2 times the sum of their squares, divided by
        the samples of a batch.
    batch_size : int or 'auto', default='auto'
        Samples of a step of 'sgd' and 'adam'; 'auto' is 200, or all if there are fewer.
    learning_rate : {'constant', 'invscaling', 'adaptive'} or callable, default='constant'
        What becomes of the rate of 'sgd'. 'invscaling' divides it by the number of samples seen,
        to the power of `power_t`; 'adaptive' by 5 where nothing improves. Or the rates of any
        solver but 'lbfgs': one of `nnc.schedules`, such as ``Cosine(0.01)``, or any function of the
        epoch.
    learning_rate_init : float, default=0.001
        The rate of the first step.
    power_t : float, default=0.5
        See `learning_rate`.
    max_iter : int, default=200
        Epochs of 'sgd' and 'adam', iterations of 'lbfgs', at most.
    shuffle : bool, default=True
        Whether the samples of each epoch come in a new order.
    random_state : int, RandomState instance or None, default=None
        Where initial parameters, the order of samples, validation samples and dropout come from.
    tol : float, default=1e-4
        The loss, or with `early_stopping` the score, has to improve by more than this.
    verbose : bool, default=False
        Whether to print the loss of each epoch.
    warm_start : bool or 'resume', default=False
        Whether `fit` goes on from the parameters of the one before. With 'resume' the optimizer,
        the random numbers and the schedule go on as well: two fits are one longer fit, bit for
        bit; but after `early_stopping` the best parameters are what it goes on from.
    momentum : float, default=0.9
        Of 'sgd'.
    nesterovs_momentum : bool, default=True
        Whether it is Nesterov's.
    early_stopping : bool, default=False
        Whether samples are set aside, or taken from `X_val`, and training ends where the score on
        them does not improve; the best parameters are kept then.
    validation_fraction : float, default=0.1
        The part of the samples that is set aside.
    beta_1, beta_2 : float, default=0.9 and 0.999
        The parts of the running means of gradients and squares that a step of 'adam' keeps.
    epsilon : float, default=1e-8
        What 'adam' adds to the root of the mean of squares.
    n_iter_no_change : int or inf, default=10
        So many epochs may pass without improvement.
    max_fun : int, default=15000
        Evaluations of the loss by 'lbfgs', at most.
    loss : 'log_loss' or nnc.losses.Loss, default='log_loss'
        Or one of `nnc.losses`: ``CategoricalCrossEntropy(label_smoothing=0.1)`` of several classes,
        ``BinaryCrossEntropy(0.1)`` or ``BinaryFocal(2.0)`` of two, or of several labels.
    class_weight : dict or 'balanced', optional
        What samples of each class weigh; 'balanced' gives all classes the same sum.
    scoring : str or callable, optional
        What scores validation samples, and with `early_stopping` decides: a scorer or its name, as
        of `sklearn.metrics.get_scorer`, or 'loss' for the negative loss; by default the accuracy.
    dropout : float or list of float, default=0.0
        The part of each hidden layer's units that a step leaves out, or one for each layer.
    clip_value : float, optional
        Elements of the gradient are cut to plus or minus this.
    clip_norm : float, optional
        Where the length of the gradient is greater, it is scaled down to this.
    coefs_init, intercepts_init : list of ndarray, optional
        The first parameters of each layer, (n_in, n_out) and (n_out,), in place of random ones.
    callbacks : callback, callable or list of them, optional
        Of `nnc.callbacks`; a function (epoch, logs) that returns True ends the training. Logs are
        'loss'; and of validation samples 'val_loss' and the score, as 'val_accuracy', or 'val_' and
        the name of the scorer.
    max_time : float, optional
        Seconds after which no further epoch begins.
    dtype : {'float32', 'float64'}, optional
        What is computed in; by default that of X, where it is one of them, else float64.
    n_threads : int, optional
        Threads at most; by default `nnc.get_num_threads`. Results do not depend on it.

    Attributes
    ----------
    classes_ : ndarray
        The classes.
    loss_ : float
        The loss of the last epoch.
    best_loss_ : float or None
        The lowest loss of all epochs; None with `early_stopping`.
    loss_curve_ : list of float
        The mean loss of each epoch's batches, penalty included. 'lbfgs' has none of the curves.
    validation_scores_ : list of float or None
        The accuracy on validation samples after each epoch, where there are any.
    best_validation_score_ : float or None
        The highest of them; None without `early_stopping`.
    validation_loss_curve_ : list of float or None
        The loss of the same samples, without penalty.
    t_ : int
        Samples seen in training.
    coefs_, intercepts_ : list of ndarray
        The parameters of each layer, (n_in, n_out) and (n_out,); predictions take them from here.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of str
        Their names, where X has such.
    n_iter_ : int
        Epochs, or iterations, that the last fit took.
    n_layers_, n_outputs_ : int
        Layers, the inputs counted; units of the output layer.
    out_activation_ : str
        That of the output layer.

    Examples
    --------
    >>> from nnc import MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = MLPClassifier(solver="lbfgs", max_iter=500, random_state=0).fit(X, y)
    >>> classifier.score(X, y) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseClassifier._parameter_constraints,
        "loss": [StrOptions({"log_loss"}), *CLASSIFICATION],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: Any = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: Any = 0.001,
        power_t: Any = 0.5,
        max_iter: Any = 200,
        shuffle: Any = True,
        random_state: Any = None,
        tol: Any = 1e-4,
        verbose: Any = False,
        warm_start: Any = False,
        momentum: Any = 0.9,
        nesterovs_momentum: Any = True,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: Any = 15000,
        loss: Any = "log_loss",
        class_weight: Any = None,
        scoring: Any = None,
        dropout: Any = 0.0,
        clip_value: Any = None,
        clip_norm: Any = None,
        coefs_init: Any = None,
        intercepts_init: Any = None,
        callbacks: Any = None,
        max_time: Any = None,
        dtype: Any = None,
        n_threads: Any = None,
    ) -> None:
        """Keep the parameters; fit checks them."""
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.class_weight = class_weight
        self.scoring = scoring
        self.dropout = dropout
        self.clip_value = clip_value
        self.clip_norm = clip_norm
        self.coefs_init = coefs_init
        self.intercepts_init = intercepts_init
        self.callbacks = callbacks
        self.max_time = max_time
        self.dtype = dtype
        self.n_threads = n_threads

    @available_if(lambda self: self._is_stochastic())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one more epoch, on these samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. Sparse ones become dense some at a time, for 'lbfgs' all at once.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Classes.
        sample_weight : array-like of shape (n_samples,), optional
            At least 0.
        classes : array-like, optional
            All classes there will be, in the first call.

        Returns
        -------
        self
            Fitted.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit, which does not know how "
                "many samples of each class there will be: pass a dict"
            )
        if _check_partial_fit_first_call(self, classes):
            labels = y if type_of_target(y).startswith("multilabel") else classes
            self._label_binarizer = LabelBinarizer().fit(labels)
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each sample; of several labels, those above 1/2."""
        return self._classes_of(self._outputs(X))

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, or of each label, for rows of X."""
        outputs = self._outputs(X)
        if self.n_outputs_ == 1:
            return np.hstack([1 - outputs, outputs])
        return outputs

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of `predict_proba`."""
        return np.log(self.predict_proba(X))


class MLPRegressor(BaseRegressor):
    """scikit-learn's multi-layer perceptron for numbers, on nnc's engine.

    Parameters
    ----------
    loss : str or nnc.losses.Loss, default='squared_error'
        Half the squared error; with 'poisson' half the Poisson deviance of a mean that is the
        exponential of the last layer, y is at least 0 then. Besides, 'absolute_error', 'huber',
        'quantile' (the median), or one with options, as ``nnc.losses.Quantile(0.9)``.
    hidden_layer_sizes : int or array-like of int, default=(100,)
        The units of each hidden layer; none at all with ().
    activation : str or list of str, default='relu'
        That of the hidden layers, or one for each of them: 'identity', 'logistic', 'tanh', 'relu',
        or another that `nnc.Network` knows ('gelu', 'silu', 'leaky_relu', …).
    solver : str or nnc.optimizers.Gradient, default='adam'
        How the loss is minimized: 'adam', 'sgd', or 'lbfgs', which takes all samples at once, in
        float64; another of nnc's optimizers by name ('adamw', 'rmsprop', 'nadam', 'lion', …) at
        `learning_rate_init`; or one with options of its own, as ``AdamW(0.001, weight_decay=0.1)``.
    alpha : float, default=0.0001
        The L2 penalty on the coefficients, alpha / 2 times the sum of their squares, divided by
        the samples of a batch.
    batch_size : int or 'auto', default='auto'
        Samples of a step of 'sgd' and 'adam'; 'auto' is 200, or all if there are fewer.
    learning_rate : {'constant', 'invscaling', 'adaptive'} or callable, default='constant'
        What becomes of the rate of 'sgd'. 'invscaling' divides it by the number of samples seen,
        to the power of `power_t`; 'adaptive' by 5 where nothing improves. Or the rates of any
        solver but 'lbfgs': one of `nnc.schedules`, such as ``Cosine(0.01)``, or any function of the
        epoch.
    learning_rate_init : float, default=0.001
        The rate of the first step.
    power_t : float, default=0.5
        See `learning_rate`.
    max_iter : int, default=200
        Epochs of 'sgd' and 'adam', iterations of 'lbfgs', at most.
    shuffle : bool, default=True
        Whether the samples of each epoch come in a new order.
    random_state : int, RandomState instance or None, default=None
        Where initial parameters, the order of samples, validation samples and dropout come from.
    tol : float, default=1e-4
        The loss, or with `early_stopping` the score, has to improve by more than this.
    verbose : bool, default=False
        Whether to print the loss of each epoch.
    warm_start : bool or 'resume', default=False
        Whether `fit` goes on from the parameters of the one before. With 'resume' the optimizer,
        the random numbers and the schedule go on as well: two fits are one longer fit, bit for
        bit; but after `early_stopping` the best parameters are what it goes on from.
    momentum : float, default=0.9
        Of 'sgd'.
    nesterovs_momentum : bool, default=True
        Whether it is Nesterov's.
    early_stopping : bool, default=False
        Whether samples are set aside, or taken from `X_val`, and training ends where the score on
        them does not improve; the best parameters are kept then.
    validation_fraction : float, default=0.1
        The part of the samples that is set aside.
    beta_1, beta_2 : float, default=0.9 and 0.999
        The parts of the running means of gradients and squares that a step of 'adam' keeps.
    epsilon : float, default=1e-8
        What 'adam' adds to the root of the mean of squares.
    n_iter_no_change : int or inf, default=10
        So many epochs may pass without improvement.
    max_fun : int, default=15000
        Evaluations of the loss by 'lbfgs', at most.
    scoring : str or callable, optional
        What scores validation samples, and with `early_stopping` decides: a scorer or its name, as
        of `sklearn.metrics.get_scorer`, or 'loss' for the negative loss; by default the R².
    dropout : float or list of float, default=0.0
        The part of each hidden layer's units that a step leaves out, or one for each layer.
    clip_value : float, optional
        Elements of the gradient are cut to plus or minus this.
    clip_norm : float, optional
        Where the length of the gradient is greater, it is scaled down to this.
    coefs_init, intercepts_init : list of ndarray, optional
        The first parameters of each layer, (n_in, n_out) and (n_out,), in place of random ones.
    callbacks : callback, callable or list of them, optional
        Of `nnc.callbacks`; a function (epoch, logs) that returns True ends the training. Logs are
        'loss'; and of validation samples 'val_loss' and the score, as 'val_r2_score', or 'val_' and
        the name of the scorer.
    max_time : float, optional
        Seconds after which no further epoch begins.
    dtype : {'float32', 'float64'}, optional
        What is computed in; by default that of X, where it is one of them, else float64.
    n_threads : int, optional
        Threads at most; by default `nnc.get_num_threads`. Results do not depend on it.

    Attributes
    ----------
    loss_ : float
        The loss of the last epoch.
    best_loss_ : float or None
        The lowest loss of all epochs; None with `early_stopping`.
    loss_curve_ : list of float
        The mean loss of each epoch's batches, penalty included. 'lbfgs' has none of the curves.
    validation_scores_ : list of float or None
        The R² on validation samples after each epoch, where there are any.
    best_validation_score_ : float or None
        The highest of them; None without `early_stopping`.
    validation_loss_curve_ : list of float or None
        The loss of the same samples, without penalty.
    t_ : int
        Samples seen in training.
    coefs_, intercepts_ : list of ndarray
        The parameters of each layer, (n_in, n_out) and (n_out,); predictions take them from here.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of str
        Their names, where X has such.
    n_iter_ : int
        Epochs, or iterations, that the last fit took.
    n_layers_, n_outputs_ : int
        Layers, the inputs counted; units of the output layer.
    out_activation_ : str
        That of the output layer.

    Examples
    --------
    >>> from nnc import MLPRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = MLPRegressor(solver="lbfgs", max_iter=500, random_state=0).fit(X, y)
    >>> regressor.score(X, y) > 0.5
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseRegressor._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson", *LOSSES}), *REGRESSION],
    }

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: Any = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: Any = 0.001,
        power_t: Any = 0.5,
        max_iter: Any = 200,
        shuffle: Any = True,
        random_state: Any = None,
        tol: Any = 1e-4,
        verbose: Any = False,
        warm_start: Any = False,
        momentum: Any = 0.9,
        nesterovs_momentum: Any = True,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: Any = 15000,
        scoring: Any = None,
        dropout: Any = 0.0,
        clip_value: Any = None,
        clip_norm: Any = None,
        coefs_init: Any = None,
        intercepts_init: Any = None,
        callbacks: Any = None,
        max_time: Any = None,
        dtype: Any = None,
        n_threads: Any = None,
    ) -> None:
        """Keep the parameters; fit checks them."""
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.scoring = scoring
        self.dropout = dropout
        self.clip_value = clip_value
        self.clip_norm = clip_norm
        self.coefs_init = coefs_init
        self.intercepts_init = intercepts_init
        self.callbacks = callbacks
        self.max_time = max_time
        self.dtype = dtype
        self.n_threads = n_threads

    @available_if(lambda self: self._is_stochastic())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch, on these samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. Sparse ones become dense some at a time, for 'lbfgs' all at once.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers.
        sample_weight : array-like of shape (n_samples,), optional
            At least 0.

        Returns
        -------
        self
            Fitted.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """Return the outputs for rows of X: (n_samples,), or (n_samples, n_outputs) of several."""
        return self._labels_of(self._outputs(X))
