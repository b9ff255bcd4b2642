"""The part of `nnc.Network` that looks inside: activations, gradients, tables and drawings."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnc import _core, _data, _state, _trace, drawing
from nnc._arguments import Array, read_index
from nnc._data import Data
from nnc.layers import Layer, LayerSpec
from nnc.losses import Custom, Loss


class Inspection:
    """Methods of `Network` that change nothing."""

    layers: tuple[Layer, ...]
    input_shape: tuple[int, ...]
    input_scale: float | None
    loss: Loss
    specs: list[LayerSpec]
    _grads: tuple[Array, dict[str, Array]] | None

    # what Network has
    dtype: Any
    params: Any
    engine: Any
    n_inputs: Any
    n_outputs: Any
    n_params: Any

    def forward(self, X: Any, *, trace: bool = False) -> Any:
        """Return the outputs for rows of X, as `predict_proba`, layer by layer in NumPy.

        Parameters
        ----------
        X : array_like, shape (m, n_inputs)
            Samples.
        trace : bool
            Whether to return the way there as well.

        Returns
        -------
        outputs : numpy.ndarray, shape (m, n_outputs)
            The outputs.
        memory : dict of str to numpy.ndarray
            Where `trace`: A0, Z1, A1, Z2, …, A of the last layer, numbered by layer (Flatten and
            Reshape do not count), with a sample per *column* as the tutorial keeps it.
        """
        A, memory = _trace.forward(self.specs, self.params, self._columns(X))
        return (A.T, memory) if trace else A.T

    def hidden_activations(self, X: Any, layer: int = -2) -> Array:
        """Return the outputs (m, units) of one layer for rows of X; -1 is the output layer.

        Layers count as in `layers`, without Flatten and Reshape.
        """
        specs = self.specs
        places = range(len(specs)) if len(specs) > 1 else range(-1, 0)
        place = range(len(specs))[layer] if -len(specs) <= layer < len(specs) else None
        if place is None:
            raise ValueError(f"layer: expected {-len(specs)} to {places[-1]}, got {layer}")
        A, _ = _trace.forward(specs[: place + 1], self.params, self._columns(X))
        return A.T

    def input_gradients(self, X: Any, output: int = 0) -> Array:
        """Return the gradient of one output by each input, (m, n_inputs): a saliency.

        Parameters
        ----------
        X : array_like, shape (m, n_inputs)
            Samples, before `input_scale`.
        output : int
            Which output.
        """
        n_out = self.n_outputs
        if not -n_out <= read_index("output", output, -n_out) < n_out:
            raise ValueError(f"output: expected {-n_out} to {n_out - 1}, got {output}")
        A, memory = _trace.forward(self.specs, self.params, self._columns(X))
        dA = np.zeros_like(A)
        dA[output] = 1
        gradient: Array = _trace.backward(self.specs, self.params, memory, dA)["dA0"].T
        gradient *= self.dtype.type(self.input_scale or 1)
        return gradient

    def _columns(self, X: Any) -> Array:
        rows = _data.read_inputs("X", X, self.input_shape).astype(self.dtype)
        if self.input_scale is not None:
            rows *= self.dtype.type(self.input_scale)
        return rows.T

    def backward(self, X: Any, y: Any, *, sample_weight: Any = None) -> dict[str, Array]:
        """Compute the gradient of the mean loss by all parameters, as the next step would.

        Dropout is at work, and batch norm uses the statistics of X. L1 and L2 are not part of it.

        Returns
        -------
        dict of str to numpy.ndarray
            dW1, db1, …: `grads`, which the next call changes.
        """
        data = self._read(X, y, "", sample_weight)  # type: ignore[attr-defined]
        if self._grads is None:
            block = np.zeros(self.n_params, self.dtype)
            views = _state.trained(self.specs, self.engine, block)
            self._grads = block, {"d" + name: view for name, view in views.items()}
        self._grads[0][:] = self._gradient(data)
        return dict(self._grads[1])

    def _gradient(self, data: Data) -> Array:
        """Return the gradient in the order of the block.

        One step of momentum that starts from nothing remembers just that. It is the step that comes
        next, of which dropout is a function.
        """
        copy = self._new_engine()  # type: ignore[attr-defined]
        copy.params[:] = self.engine.params
        copy.resume("momentum", copy.optimizer_state("momentum"), self.engine.steps, None)
        numbers = self.optimizer.numbers()  # type: ignore[attr-defined]
        options = self.engine_options(data)  # type: ignore[attr-defined]
        options = {name: value for name, value in options.items() if name not in numbers} | {
            "optimizer": "momentum", "momentum": 0.0, "ranges": (), "clip_value": 0.0,
            "clip_norm": 0.0, "average_decay": 0.0,
        }  # fmt: skip
        copy.fit(data.X, data.Y, 1, max(len(data.X), 1), weights=data.weights, **options)
        state: Array = copy.optimizer_state("momentum")
        return state

    def gradcheck(
        self, X: Any, y: Any, *, epsilon: float | None = None, samples: int = 100, seed: int = 0
    ) -> float:
        """Compare gradients with central differences of the loss.

        Parameters
        ----------
        X, y : array_like
            Some samples: ten are enough.
        epsilon : float, optional
            The step of the differences; by default 6e-6 in float64 and 1e-2 in float32.
        samples : int
            So many parameters are checked, drawn with `seed`.

        Returns
        -------
        float
            The largest difference, relative to the largest gradient. Near 1e-9 in float64, unless
            a kink of relu or the like lies within epsilon. Only for networks without dropout and
            batch norm, whose loss in training is another than that of `evaluate`.
        """
        if any(spec.kind in ("dropout", "batch_norm") for spec in self.specs):
            raise ValueError("gradcheck: the network has dropout or batch norm, which train unlike")
        data = self._read(X, y, "", None)  # type: ignore[attr-defined]
        step = epsilon or (6e-6 if self.dtype == np.float64 else 1e-2)
        gradient = self._gradient(data).astype(np.float64)
        copy = self._new_engine()  # type: ignore[attr-defined]
        params = copy.params
        params[:] = self.engine.params
        places = np.random.default_rng(seed).permutation(len(gradient))[:samples]
        worst = 0.0
        for place in places:
            start = params[place]
            losses, ends = [], []
            for sign in (1, -1):
                params[place] = start + sign * step
                ends.append(float(params[place]))
                losses.append(self._loss_of(copy, data))
            params[place] = start
            difference = (losses[0] - losses[1]) / (ends[0] - ends[1])
            worst = max(worst, abs(difference - gradient[place]))
        scale = float(np.abs(gradient).max(initial=0.0))
        return worst / scale if scale else worst

    def _loss_of(self, engine: _core.Engine, data: Data) -> float:
        loss: float
        if isinstance(self.loss, Custom):
            outputs = engine.predict(data.X, x_scale=self.input_scale or 0.0)
            return self.loss.of(data.Y, outputs)
        loss, _ = engine.evaluate(
            data.X, data.Y, loss_parameter=self.loss.parameter, smoothing=self.loss.smoothing,
            x_scale=self.input_scale or 0.0,
        )  # fmt: skip
        return loss

    # ---------------------------------------------------------------------------- looks

    def summary(self) -> str:
        """Return a table of the layers: shapes, activations, numbers of parameters."""
        return drawing.summary_table(self.specs, self.n_inputs)

    def to_svg(self, *, weights: bool = True, dark: bool | None = None) -> str:
        """Return a drawing of the network as SVG; with weights as colour and width of lines."""
        params = self.params if weights else None
        return drawing.network_svg(self.specs, self.n_inputs, weights=params, dark=dark)

    def _repr_html_(self) -> str:
        return self.to_svg()

    def __repr__(self) -> str:
        """Return the sizes, the loss and the optimizer."""
        sizes = "-".join(
            map(str, [self.n_inputs, *(s.n_out for s in self.specs if s.kind == "dense")])
        )
        optimizer = self.optimizer  # type: ignore[attr-defined]
        return f"<Network {sizes}, {self.n_params} parameters, {self.loss}, {optimizer}>"
