"""What a network holds, as names and arrays: views of the engine's block, files, checkpoints."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnc import _core, files, layers, losses, optimizers
from nnc._arguments import Array
from nnc.layers import Dense, LayerSpec
from nnc.losses import Loss
from nnc.optimizers import Optimizer

if TYPE_CHECKING:
    from nnc._fit import Plan
    from nnc.network import Network

Tensors = dict[str, Array]
Config = dict[str, Any]


def draw_seeds(random: np.random.Generator | np.random.RandomState) -> list[int]:
    """Return the seeds of the order of samples and of dropout, which leaves `random` as it is.

    They come from its next numbers, but are far from them: those are for the initial parameters.
    """
    ahead = copy.deepcopy(random)
    words = ahead.bytes(16)
    entropy = int.from_bytes(words, "little")
    return [int(n) for n in np.random.SeedSequence(entropy).generate_state(2)]


def trained(specs: Sequence[LayerSpec], engine: _core.Engine, block: Array) -> dict[str, Array]:
    """Return W1, b1, …, gamma2, beta2, … as views of a block like the parameters."""
    offsets, _ = engine.layout()
    return {
        name: block[start : start + math.prod(shape)].reshape(shape)
        for spec, places in zip(specs, offsets, strict=True)
        for (name, shape), start in zip(spec.parameters.items(), places, strict=False)
    }


def views(specs: Sequence[LayerSpec], engine: _core.Engine) -> dict[str, Array]:
    """Return live views on the engine's block: W1, b1, …, gamma2, beta2, mean2, variance2."""
    block = engine.params
    offsets, _ = engine.layout()
    result: dict[str, Array] = {}
    for spec, (first, second, state) in zip(specs, offsets, strict=True):
        for (name, shape), start in zip(spec.parameters.items(), (first, second), strict=False):
            result[name] = block[start : start + math.prod(shape)].reshape(shape)
        if spec.kind == "batch_norm":
            for i, name in enumerate(("mean", "variance")):
                start = state + i * spec.n_out
                result[f"{name}{spec.key}"] = block[start : start + spec.n_out].reshape(-1, 1)
    return result


def write(params: Mapping[str, Array], weights: Any) -> None:
    """Copy values into parameters, after checking all of them."""
    names = list(params)
    if isinstance(weights, Mapping):
        if set(weights) != set(names):
            raise ValueError(
                f"weights: expected {', '.join(names)}, got {', '.join(map(str, weights))}"
            )
        values = [weights[name] for name in names]
    else:
        values = list(weights)
        if len(values) != len(names):
            raise ValueError(
                f"weights: expected {len(names)} arrays ({', '.join(names)}), got {len(values)}"
            )
    arrays = []
    for name, value in zip(names, values, strict=True):
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":
            raise TypeError(f"weights[{name}]: expected real numbers, got dtype {array.dtype}")
        if array.shape != params[name].shape:
            raise ValueError(
                f"weights[{name}]: expected shape {params[name].shape}, got {array.shape}"
            )
        arrays.append(array)
    for name, array in zip(names, arrays, strict=True):
        params[name][...] = array


def ranges(
    specs: Sequence[LayerSpec], engine: _core.Engine, frozen: Iterable[int], decay: float
) -> list[tuple[int, int, bool, float, float, float, float, int]]:
    """Return what the engine treats specially: (start, n, frozen, l1, l2, decay, norm, row)."""
    offsets, _ = engine.layout()
    still = set(frozen)
    result = []
    for i, (spec, (first, second, _)) in enumerate(zip(specs, offsets, strict=True)):
        layer = spec.source
        l1, l2, norm = (
            (layer.l1, layer.l2, layer.max_norm or 0.0) if isinstance(layer, Dense) else (0, 0, 0)
        )
        for shape, start in zip(spec.parameters.values(), (first, second), strict=False):
            if start == second:
                l1 = l2 = norm = 0.0
            if i in still or l1 or l2 or norm or decay:
                n = math.prod(shape)
                result.append((start, n, i in still, l1, l2, decay, norm, shape[1] if norm else 0))
    return result


# ---------------------------------------------------------------------------------- files


def pack(network: Network, *, plain: bool = True) -> tuple[Tensors, Config]:
    """Return a network as arrays and a configuration, of JSON values where `plain`."""
    engine, optimizer = network.engine, network.optimizer
    tensors: Tensors = {name: array.copy() for name, array in network.params.items()}
    config: Config = {
        "layers": [layers.to_config(layer) for layer in network.layers],
        "input_shape": list(network.input_shape),
        "loss": losses.to_config(network.loss) if plain else network.loss,
        "optimizer": optimizers.to_config(optimizer) if plain else optimizer,
        "dtype": network.dtype.name,
        "input_scale": network.input_scale,
        "seeds": list(network.seeds),
        "frozen": sorted(network.frozen),
        "epochs_trained": network.epochs_trained,
        "steps": engine.steps,
    }
    if engine.steps:
        tensors["optimizer.state"] = engine.optimizer_state(optimizer.engine_name)
        average = engine.average
        if average is not None:
            tensors["optimizer.average"] = average
    return tensors, config


_KEYS = {
    "layers", "input_shape", "loss", "optimizer", "dtype", "input_scale", "seeds", "frozen",
    "epochs_trained", "steps",
}  # fmt: skip


def unpack(
    cls: type[Network],
    tensors: Tensors,
    config: Config,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
) -> Network:
    """Return the network that `pack` took apart; FormatError for anything that is not one."""
    try:
        return _unpack(cls, tensors, config, loss, optimizer)
    except files.FormatError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
        raise files.FormatError(f"the file describes no network: {error}") from None


def _unpack(
    cls: type[Network],
    tensors: Tensors,
    config: Config,
    loss: Loss | None,
    optimizer: Optimizer | None,
) -> Network:
    if set(config) != _KEYS:
        raise ValueError(f"expected the keys {sorted(_KEYS)}, got {sorted(config)}")
    found = [layers.from_config(entry) for entry in config["layers"]]
    network = cls(
        found,
        input_shape=tuple(config["input_shape"]),
        loss=loss or losses.from_config(config["loss"]),
        optimizer=optimizer or optimizers.from_config(config["optimizer"]),
        dtype=config["dtype"],
        input_scale=config["input_scale"],
        seed=0,
    )
    restore(network, tensors, config)
    return network


def restore(network: Network, tensors: Tensors, config: Config) -> None:
    """Copy arrays and counters of a packed network into one of the same layers."""
    seeds, frozen = config["seeds"], config["frozen"]
    counts = [*seeds, *frozen, config["epochs_trained"], config["steps"]]
    if len(seeds) != 2 or not all(isinstance(n, int) and 0 <= n < 2**63 for n in counts):
        raise ValueError("seeds, frozen, epochs_trained and steps are not counts")
    named = {key: value for key, value in tensors.items() if not key.startswith("optimizer.")}
    for name, array in named.items():
        if array.dtype != network.dtype:
            raise ValueError(f"{name}: expected {network.dtype}, got {array.dtype}")
    write(network.params, named)
    network.seeds = list(seeds)
    network.frozen = set(frozen)
    network.epochs_trained = config["epochs_trained"]
    if config["steps"]:
        network.engine.resume(
            network.optimizer.engine_name,
            tensors["optimizer.state"],
            config["steps"],
            tensors.get("optimizer.average"),
        )


def rebuild(cls: type[Network], tensors: Tensors, config: Config) -> Network:
    """Return the network of a pickle."""
    rest = dict(config)
    loss, optimizer = rest["loss"], rest["optimizer"]
    return unpack(cls, tensors, rest, loss, optimizer)


# ----------------------------------------------------------------------------- checkpoints


def attach_checkpoint(network: Network, plan: Plan, path: Any, every: int) -> None:
    """Let a training go on from a checkpoint, where there is one, and write it on its way."""
    asked = {
        "epochs": plan.epochs,
        "batch_size": plan.batch_size,
        "samples": len(plan.data.X),
        "shuffle": plan.shuffle_seed is not None,
    }
    place = os.fspath(path)
    if os.path.exists(place) or os.path.exists(place + files.PREVIOUS):
        _go_on(network, plan, place, asked)

    def save(epoch: int) -> None:
        done = epoch + 1
        if done % every and done < plan.epochs and not plan.callbacks.stopped_by:
            return
        tensors, config = pack(network)
        for i, arrays in enumerate(plan.callbacks.get_arrays()):
            tensors |= {f"callback.{i}.{j}": np.asarray(a) for j, a in enumerate(arrays)}
        history = {key: _plain(plan.history[key]) for key in plan.history}
        training = asked | {
            "done": done,
            "stopped_by": plan.callbacks.stopped_by,
            "first_epoch": plan.first_epoch,
            "history": history,
            "rates": [_plain(row) for row in plan.rates],
            "callbacks": plan.callbacks.get_state(),
        }
        files.write(place, tensors, {"network": config, "training": training}, "checkpoint",
                    keep_previous=True)  # fmt: skip

    plan.save = save


def _plain(values: Iterable[float]) -> list[float | None]:
    """Return floats as JSON holds them: None for what is not finite."""
    return [float(v) if math.isfinite(v) else None for v in values]


def _go_on(network: Network, plan: Plan, path: str, asked: Config) -> None:
    tensors, config = files.read_checkpoint(path)
    try:
        training, packed = config["training"], config["network"]
        for key, value in asked.items():
            if training[key] != value:
                raise ValueError(
                    f"{path}: holds a training with {key}={training[key]}, not {value}; pass the "
                    "same arguments, or another path"
                )
        _, own = pack(network)
        for key in ("layers", "input_shape", "loss", "optimizer", "dtype", "input_scale"):
            if packed[key] != own[key]:
                raise ValueError(f"{path}: holds a network with other {key}; pass another path")
        callbacks = [
            [tensors.pop(f"callback.{i}.{j}") for j in range(len(tensors))
             if f"callback.{i}.{j}" in tensors]
            for i in range(len(plan.callbacks))
        ]  # fmt: skip
        restore(network, tensors, packed)
        plan.callbacks.set_state(training["callbacks"], callbacks)
        plan.rates[:] = training["rates"]
        plan.start, plan.first_epoch = training["done"], training["first_epoch"]
        _append_history(plan, training["history"], training["done"])
    except (KeyError, TypeError, OverflowError) as error:
        raise files.FormatError(f"{path}: describes no training: {error}") from None
    if training["stopped_by"]:
        plan.stopped_by = training["stopped_by"]
        plan.start = plan.epochs
    plan.shuffle_seed = network.seeds[0] if plan.shuffle_seed is not None else None


def _append_history(plan: Plan, lists: Mapping[str, Sequence[float | None]], done: int) -> None:
    for epoch in range(done):
        plan.history.append(
            epoch,
            {key: math.nan if values[epoch] is None else values[epoch]  # type: ignore[misc]
             for key, values in lists.items()},
        )  # fmt: skip
