"""The part of `nnc.Network` that keeps it: files, copies, pickles."""

from __future__ import annotations

import copy
import os
from typing import Any, Self

from nnc import _state, files
from nnc.layers import compile_layers


class Storage:
    """Methods of `Network` that return all of it."""

    # what Network has
    layers: Any
    input_shape: Any
    specs: Any
    _engine: Any

    def save(self, path: Any) -> None:
        """Write the network to a file: layers, loss, optimizer and its memory, and parameters.

        The file is the old one or the new one, whatever happens: see `nnc.files`. A loss that is a
        function, and a learning rate that is one and no schedule, are no data, and refused. A
        network that was never used gets its initial parameters now.
        """
        files.write(path, *_state.pack(self), "network")  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Any) -> Self:
        """Read what `save` wrote; nothing but data comes out of such a file.

        Parameters that are not finite are data too, and loaded.

        Raises
        ------
        FormatError
            A ValueError: the file is damaged, or not one of these.
        OSError
            It cannot be read.
        """
        tensors, config = files.read(path, kind="network")
        return _state.unpack(cls, tensors, config, os.fsdecode(path))  # type: ignore[type-var]

    def copy(self) -> Self:
        """Return a network that is equal and shares nothing with this one."""
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, with arrays instead of the engine.

        What was not decided yet stays so: a network that was never used keeps its seed. Functions
        are pickled by reference, so that pickle refuses lambdas.
        """
        state = {key: value for key, value in self.__dict__.items() if key != "specs"}
        built = None if self._engine is None else _state.take_out(self)  # type: ignore[arg-type]
        return state | {"_engine": None, "_params": {}, "_grads": None, "built": built}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what `__getstate__` returned."""
        built = state["built"]
        self.__dict__.update({key: value for key, value in state.items() if key != "built"})
        self.specs = compile_layers(self.layers, self.input_shape)
        if built is not None:
            _state.put_in(self, *built)  # type: ignore[arg-type]
