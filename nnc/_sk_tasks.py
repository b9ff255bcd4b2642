"""scikit-learn's callbacks (since 1.9): each epoch or iteration of a fit is a task to them."""

# scikit-learn has no types:
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CallbackSupportMixin: Any
try:
    from sklearn import callback

    CallbackSupportMixin = callback.CallbackSupportMixin
except ImportError:  # 1.7 and 1.8 have none
    CallbackSupportMixin = type("CallbackSupportMixin", (), {})

__all__ = ["CallbackSupportMixin", "Tasks", "tasks_of"]


class Tasks:
    """The tasks of a fit, as an estimator's callbacks see them.

    Attributes
    ----------
    stopped : bool
        Whether a callback has asked for the end.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, metadata: dict[str, Any], n: int) -> None:
        """Begin the fit, of at most n tasks."""
        self.stopped = False
        self._root = estimator._init_callback_context(max_subtasks=n)
        self._arguments = {"estimator": estimator, "X": X, "y": y, "metadata": metadata or None}
        self._root.call_on_fit_task_begin(**self._arguments)
        self._task: Any = None

    def begin(self, name: str) -> None:
        """Begin a task."""
        self._task = self._root.subcontext(task_name=name)
        self._task.call_on_fit_task_begin(**self._arguments)

    def end(self, attributes: Callable[[], dict[str, Any]] | None) -> None:
        """End a task; attributes: what a copy of the estimator needs to predict by then."""
        if attributes is None:
            self._task.call_on_fit_task_end(estimator=self._arguments["estimator"])
            return
        self.stopped |= self._task.call_on_fit_task_end(
            **self._arguments, reconstruction_attributes=attributes
        )

    def end_all(self) -> None:
        """End the fit."""
        self._root.call_on_fit_task_end(**self._arguments, reconstruction_attributes={})


def tasks_of(estimator: Any, X: Any, y: Any, metadata: dict[str, Any], n: int) -> Tasks | None:
    """Return the tasks of a fit, or None where no callback will see them."""
    return Tasks(estimator, X, y, metadata, n) if hasattr(estimator, "_skl_callbacks") else None
