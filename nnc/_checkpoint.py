"""Checkpoints: files from which `Network.fit` goes on as if it had never been interrupted."""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nnc import _state, callbacks, files
from nnc._arguments import Array, read_index
from nnc._state import Config, Tensors, read_count
from nnc.callbacks import CallbackList
from nnc.optimizers import Minimizer

if TYPE_CHECKING:
    from nnc._fit import Plan

# Writing takes at most one part of the time in so many, unless checkpoint_every says otherwise.
SHARE = 20
# Bytes of the data that its fingerprint looks at.
LOOKED_AT = 1 << 24

_KEYS = {"asked", "callbacks", "done", "first_epoch", "history", "stopped_by"}


def attach(plan: Plan, path: Any, every: Any) -> None:
    """Let a training go on from a checkpoint, where there is one, and write it on its way.

    Raises
    ------
    FormatError, ValueError, TypeError
        For a checkpoint that is damaged or of another training; nothing was changed.
    """
    number = None if every is None else read_index("checkpoint_every", every, 1)
    optimizer = plan.network.optimizer
    if isinstance(optimizer, Minimizer):
        raise ValueError(
            f"checkpoint: {optimizer.kind} cannot go on from the middle; leave it out, and save "
            "the network afterwards"
        )
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"checkpoint: expected a path, got {path!r}")
    place = os.fsdecode(path)
    folder = os.path.dirname(os.path.realpath(place))
    if os.path.isdir(place):
        raise ValueError(f"checkpoint: expected a file, got the folder {place}; add a name")
    if not os.path.isdir(folder):
        raise ValueError(f"checkpoint: there is no folder {folder}; make it first")
    asked = _asked(plan)
    if os.path.exists(place) or os.path.exists(place + files.PREVIOUS):
        _go_on(plan, place, asked)
    plan.save = _Writer(plan, place, number, asked)


class _Writer:
    """Writes the checkpoint at the end of an epoch, where it is time to."""

    def __init__(self, plan: Plan, path: str, every: int | None, asked: Config) -> None:
        self._plan, self._path, self._every, self._asked = plan, path, every, asked
        self._not_before = 0.0

    def __call__(self, epoch: int) -> None:
        plan, begin = self._plan, time.monotonic()
        if self._every is None:
            due = begin >= self._not_before
        else:
            due = (epoch + 1) % self._every == 0
        ends = epoch + 1 == plan.epochs or plan.callbacks.stopped_by or begin >= plan.deadline
        if due or ends:
            tensors, config = _pack(plan, epoch + 1, self._asked)
            files.write(self._path, tensors, config, "checkpoint", keep_previous=True)
            end = time.monotonic()
            self._not_before = end + (SHARE - 1) * (end - begin)


def _pack(plan: Plan, done: int, asked: Config) -> tuple[Tensors, Config]:
    network, history = plan.network, plan.history
    tensors, steps = _state.take_out(network)
    for i, arrays in enumerate(plan.callbacks.get_arrays()):
        tensors |= {f"callback.{i}.{j}": np.asarray(array) for j, array in enumerate(arrays)}
    lists = np.array(list(history.values()), np.float64)
    tensors["training.history"] = lists.reshape(len(history), done)
    if _stores_rates(plan):
        tensors["training.rates"] = plan.rates.keep()[done:]
    training = {
        "asked": asked,
        "callbacks": [_plain(i, state) for i, state in enumerate(plan.callbacks.get_state())],
        "done": done,
        "first_epoch": plan.first_epoch,
        "history": list(history),
        "stopped_by": plan.callbacks.stopped_by,
    }
    counts = {"epochs_trained": network.epochs_trained, "seeds": network.seeds, "steps": steps}
    return tensors, {"network": counts, "training": training}


def _stores_rates(plan: Plan) -> bool:
    """Whether there are callbacks that may change them: nobody else does."""
    return len(plan.callbacks) > 0 and plan.rates.array is not None


def _plain(i: int, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a callback as JSON holds it."""
    result = {k: v.item() if isinstance(v, np.generic) else v for k, v in state.items()}
    for key, value in result.items():
        if not _is_number(value):
            raise TypeError(
                f"callbacks[{i}].get_state: expected finite numbers or None, got {value!r} for "
                f"{key!r}; return anything else from get_arrays"
            )
    return result


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


# ------------------------------------------------------------------- what was asked for


def _asked(plan: Plan) -> Config:
    """Return what must be the same where a training goes on: all but threads and time."""
    network = plan.network
    about = _state.describe(network, name_functions=True)
    for key in ("seeds", "epochs_trained"):  # where it began, which the checkpoint knows
        del about[key]
    return {
        **about,
        "epochs": plan.epochs,
        "batch_size": plan.batch_size,
        "shuffle": plan.shuffle_seed is not None,
        "samples": len(plan.data.X),
        "validation samples": 0 if plan.validation is None else len(plan.validation.X),
        "data": _fingerprint(*plan.data),
        "validation data": _fingerprint(*(plan.validation or ())),
        "metrics": [metric.name for metric in plan.metrics],
        "callbacks": _described(plan.callbacks),
        "learning rates": _fingerprint(plan.rates.sample()),
    }


def _fingerprint(*arrays: Array | None) -> str:
    """Return a number for the contents of arrays, of which it looks at rows far between."""
    digest = hashlib.sha256()
    for array in arrays:
        if array is None:
            digest.update(b"none")
            continue
        rows = array[:: 1 + array.nbytes // LOOKED_AT]
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(rows).data)
    return digest.hexdigest()[:16]


def _described(watchers: CallbackList) -> list[Config]:
    """Return the kinds of callbacks, and the options of those that are nnc's own."""
    result: list[Config] = []
    for callback in watchers.callbacks:
        kind = type(callback)
        own = vars(callback) if kind.__module__ == callbacks.__name__ else {}
        options = {
            key: value
            for key, value in own.items()
            if not key.startswith("_") and key != "path" and isinstance(value, str | int | float)
        }
        result.append({"kind": kind.__name__, **options})
    return result


# ------------------------------------------------------------------------------- going on


class _Found(NamedTuple):
    """The contents of a checkpoint, checked."""

    done: int
    first_epoch: int
    stopped_by: str
    names: list[str]
    history: Array
    rates: Array | None
    states: list[dict[str, Any]]
    arrays: list[list[Array]]
    seeds: list[int]
    epochs_trained: int
    steps: int


def _go_on(plan: Plan, path: str, asked: Config) -> None:
    """Put a plan and its network into the state of a checkpoint."""
    network = plan.network
    tensors, config = files.read_checkpoint(path)
    try:
        _compare(path, config, asked)
        found = _read(plan, tensors, config)
        plan.callbacks.set_state(found.states, found.arrays)
        _state.put_in(network, tensors, found.steps)
    except _OtherTrainingError as error:
        raise ValueError(str(error)) from None
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise files.FormatError(f"{path}: describes no training: {error}") from None
    network.seeds, network.epochs_trained = found.seeds, found.epochs_trained
    plan.shuffle_seed = None if plan.shuffle_seed is None else found.seeds[0]
    plan.start, plan.first_epoch = found.done, found.first_epoch
    if found.rates is not None:
        plan.rates.keep()[found.done :] = found.rates
    for epoch, values in enumerate(found.history.T.tolist()):
        plan.history.append(epoch, dict(zip(found.names, values, strict=True)))
    if found.stopped_by:
        plan.stopped_by = found.stopped_by
        plan.start = plan.epochs


class _OtherTrainingError(ValueError):
    """The checkpoint is sound, but of another training."""


def _compare(path: str, config: Config, asked: Config) -> None:
    if config.keys() != {"network", "training"} or not isinstance(config["training"], dict):
        raise ValueError(f"expected network and training, got {', '.join(config)!r:.60}")
    saved = config["training"].get("asked")
    if not isinstance(saved, dict) or saved.keys() != asked.keys():
        raise ValueError("it does not say what was asked for")
    for key, value in asked.items():
        if saved[key] != value:
            raise _OtherTrainingError(
                f"{path}: holds a training with {key} {_short(saved[key])}, got {_short(value)}; "
                f"pass the same to go on, or another path, or remove it and what is called so "
                f"with {files.PREVIOUS}"
            )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."


def _read(plan: Plan, tensors: Tensors, config: Config) -> _Found:
    """Check a checkpoint, and take out of its tensors what is not the network's."""
    training, counts = config["training"], config["network"]
    if training.keys() != _KEYS:
        raise ValueError(f"expected the keys {', '.join(sorted(_KEYS))}")
    if not isinstance(counts, dict) or counts.keys() != {"epochs_trained", "seeds", "steps"}:
        raise ValueError("expected the network's epochs_trained, seeds and steps")
    done = read_count("done", training["done"], plan.epochs + 1)
    names, states = training["history"], training["callbacks"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"history: expected names, got {names!r:.60}")
    history = tensors.pop("training.history")
    _check_floats("training.history", history, (len(set(names)), done))
    if not isinstance(states, list) or not all(
        isinstance(state, dict) and all(map(_is_number, state.values())) for state in states
    ):
        raise ValueError(f"callbacks: expected numbers, got {states!r:.60}")
    if not isinstance(training["stopped_by"], str):
        raise ValueError(f"stopped_by: expected a string, got {training['stopped_by']!r:.60}")
    rates = tensors.pop("training.rates") if _stores_rates(plan) else None
    if rates is not None:
        _check_floats("training.rates", rates, (plan.epochs - done, plan.rates.shape[1]))
        if not (np.isfinite(rates) & (rates >= 0)).all():
            raise ValueError("training.rates: expected finite numbers of at least 0")
    return _Found(
        done=done,
        first_epoch=read_count("first_epoch", training["first_epoch"]),
        stopped_by=training["stopped_by"],
        names=names,
        history=history,
        rates=rates,
        states=states,
        arrays=[_pop_arrays(tensors, f"callback.{i}.") for i in range(len(states))],
        seeds=_state.read_seeds(counts["seeds"]),
        epochs_trained=read_count("epochs_trained", counts["epochs_trained"]),
        steps=read_count("steps", counts["steps"]),
    )


def _check_floats(name: str, array: Array, shape: Sequence[int]) -> None:
    if array.shape != tuple(shape) or array.dtype != np.float64:
        raise ValueError(
            f"{name}: expected float64 {tuple(shape)}, got {array.dtype} {array.shape}"
        )


def _pop_arrays(tensors: Tensors, prefix: str) -> list[Array]:
    found: list[Array] = []
    while f"{prefix}{len(found)}" in tensors:
        found.append(tensors.pop(f"{prefix}{len(found)}"))
    return found
