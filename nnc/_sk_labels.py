"""What is a classifier's alone, and a regressor's: labels, outputs and scores."""

# scikit-learn and SciPy have no types:
# mypy: disable-error-code="import-untyped"
# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False, warn-return-any=False

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d, compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import validate_data

from nnc import _sk_engine, losses
from nnc._arguments import Array, read_dtype
from nnc._sk_base import BaseMLP
from nnc._sk_parameters import LOSSES


class BaseClassifier(ClassifierMixin, BaseMLP):
    """The inside of `MLPClassifier`."""

    def _classes_of(self, outputs: Array) -> Array:
        if self.n_outputs_ == 1:
            outputs = outputs.ravel()
        result: Array = self._label_binarizer.inverse_transform(outputs)
        return result

    def _validate(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            dtype=read_dtype(self.dtype) or (np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _encode_classes(self, y: Any) -> Array:
        """Return what LabelBinarizer does, which would check checked labels once more."""
        encoded: Array
        if y.ndim == 1:
            places = np.searchsorted(self.classes_, y).reshape(-1, 1)
            encoded = places == (np.arange(len(self.classes_)) if len(self.classes_) > 2 else 1)
        else:
            encoded = np.asarray(self._label_binarizer.transform(y)).astype(bool)
        return encoded

    def _read_data(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = self._validate(X, y, reset)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            classes = unique_labels(y)
            if self.warm_start and set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous "
                    f"call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
            self._refuse_other_classes(classes)
        return X, self._encode_classes(y)

    def _read_validation_labels(self, X: Any, y: Any) -> tuple[Any, Array]:
        X, y = self._validate(X, y, reset=False)
        self._refuse_other_classes(unique_labels(y), "y_val")
        return X, self._encode_classes(y)

    def _refuse_other_classes(self, classes: Array, name: str = "y") -> None:
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`{name}` has classes not in `self.classes_`. `self.classes_` has "
                f"{self.classes_}. '{name}' has {classes}."
            )

    def _out_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _read_loss(self) -> str | losses.Loss:
        if isinstance(self.loss, str):
            return self.loss
        fits = losses.suits(
            self.loss, _sk_engine.ACTIVATIONS.get(self.out_activation_, self.out_activation_),
            self.n_outputs_,
        ) is None  # fmt: skip
        if not fits:
            many = self.out_activation_ == "softmax"
            what = "three classes or more need" if many else "two classes, or several labels, need"
            which = "CategoricalCrossEntropy" if many else "BinaryCrossEntropy or BinaryFocal"
            raise ValueError(f"loss: {what} {which}, got {self.loss!r}")
        return self.loss

    def _labels_of(self, y: Array) -> Array:
        labels: Array = self._label_binarizer.inverse_transform(y)
        return labels

    def _score_outputs(self, y: Array, outputs: Array, weights: Array | None) -> float:
        return float(accuracy_score(y, self._classes_of(outputs), sample_weight=weights))

    def _weigh(self, y: Any, weights: Array | None) -> Array | None:
        if self.class_weight is None:
            return weights
        if self._label_binarizer.y_type_.startswith("multilabel"):
            raise ValueError(
                "class_weight: several labels a sample have no class each, got class_weight="
                f"{self.class_weight!r}; pass sample_weight"
            )
        y = column_or_1d(y)
        # refuses classes that are not there, as all of scikit-learn's classifiers do
        compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        factors: Array = compute_sample_weight(self.class_weight, y)
        return factors if weights is None else factors * weights

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class BaseRegressor(RegressorMixin, BaseMLP):
    """The inside of `MLPRegressor`."""

    def _read_data(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=read_dtype(self.dtype) or (np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y.reshape(-1, 1) if y.ndim == 1 else y

    def _read_validation_labels(self, X: Any, y: Any) -> tuple[Any, Array]:
        X, y = self._read_data(X, y, False, False)
        if y.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y_val: expected {self.n_outputs_} outputs as y has, got {y.shape[1]}"
            )
        return X, y

    def _out_activation(self) -> str:
        poisson = self.loss == "poisson" or isinstance(self.loss, losses.Poisson)
        return "exp" if poisson else "identity"

    def _read_loss(self) -> str | losses.Loss:
        return LOSSES.get(self.loss, self.loss) if isinstance(self.loss, str) else self.loss

    def _labels_of(self, y: Array) -> Array:
        return y.ravel() if y.shape[1] == 1 else y

    def _score_outputs(self, y: Array, outputs: Array, weights: Array | None) -> float:
        return float(r2_score(y, self._labels_of(outputs), sample_weight=weights))
