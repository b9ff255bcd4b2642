"""What a network holds, as names and arrays: views of the engine's block, files, pickles."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from nnc import _core, _specs, files, layers, losses, optimizers
from nnc._arguments import Array
from nnc.layers import Dense, LayerSpec

if TYPE_CHECKING:
    from nnc.network import Network

N = TypeVar("N", bound="Network")

Tensors = dict[str, Array]
Config = dict[str, Any]

MAX_LAYERS = 1024  # of a file
MAX_COUNT = 2**53  # of steps and epochs in a file


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
    parts = trained(specs, engine, block)
    offsets, _ = engine.layout()
    result: dict[str, Array] = {}
    for spec, (_, _, state) in zip(specs, offsets, strict=True):
        result |= {name: parts[name] for name in spec.parameters}
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


def take_out(network: Network) -> tuple[Tensors, int]:
    """Return copies of all arrays of a network, and the steps that its optimizer has taken."""
    engine = network.engine
    tensors: Tensors = {name: array.copy() for name, array in network.params.items()}
    if isinstance(network.optimizer, optimizers.Minimizer):
        return tensors, 0  # they remember nothing
    # first, as it starts anew where another optimizer was at work
    state = engine.optimizer_state(network.optimizer.engine_name)
    average = engine.average
    if engine.steps or average is not None:
        tensors["optimizer.state"] = state
        if average is not None:
            tensors["optimizer.average"] = average
    return tensors, engine.steps


def put_in(network: Network, tensors: Tensors, steps: int) -> None:
    """Copy what `take_out` returned into a network of the same layers and optimizer.

    Everything is checked before memory is taken for it, and before anything is changed.
    """
    rest = dict(tensors)
    state, average = rest.pop("optimizer.state", None), rest.pop("optimizer.average", None)
    expected = shapes(network.specs)
    if rest.keys() != expected.keys():
        raise ValueError(f"expected the tensors {_listed(expected)}, got {_listed(rest)}")
    for name, array in tensors.items():
        if name in expected and array.shape != expected[name]:
            raise ValueError(f"{name}: expected shape {expected[name]}, got {array.shape}")
        if array.dtype != network.dtype:
            raise ValueError(f"{name}: expected {network.dtype}, got {array.dtype}")
    if state is None and (steps or average is not None):
        raise ValueError("expected a tensor optimizer.state, got none")
    engine = network.blank_engine()
    if state is None:
        engine.forget()
    elif isinstance(network.optimizer, optimizers.Minimizer):
        raise ValueError(f"optimizer.state: {network.optimizer.kind} has none")
    else:
        engine.resume(network.optimizer.engine_name, state, steps, average)
    for name, view in views(network.specs, engine).items():
        view[...] = rest[name]
    network.adopt(engine)


def shapes(specs: Sequence[LayerSpec]) -> dict[str, tuple[int, int]]:
    """Return the shapes of all parameters and running statistics, in the order of `views`."""
    result: dict[str, tuple[int, int]] = {}
    for spec in specs:
        result |= spec.parameters
        if spec.kind == "batch_norm":
            result |= {f"{name}{spec.key}": (spec.n_out, 1) for name in ("mean", "variance")}
    return result


def _listed(names: Iterable[str]) -> str:
    found = sorted(names)
    return ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")


def describe(network: Network, *, name_functions: bool = False) -> Config:
    """Return a network without its arrays, as JSON values.

    Functions are refused, or `name_functions` puts their names there, which nobody looks up.
    """
    if len(network.layers) > MAX_LAYERS:
        raise ValueError(f"layers: a file holds at most {MAX_LAYERS}, got {len(network.layers)}")
    specs = (*network.layers, network.loss, network.optimizer)
    *found, loss, optimizer = (
        _specs.to_config(spec, name_functions=name_functions) for spec in specs
    )
    return {
        "layers": found,
        "input_shape": list(network.input_shape),
        "loss": loss,
        "optimizer": optimizer,
        "dtype": network.dtype.name,
        "input_scale": network.input_scale,
        "seeds": list(network.seeds),
        "frozen": sorted(network.frozen),
        "epochs_trained": network.epochs_trained,
    }


def pack(network: Network) -> tuple[Tensors, Config]:
    """Return a network as arrays and JSON values."""
    config = describe(network)
    tensors, steps = take_out(network)
    return tensors, config | {"steps": steps}


_KEYS = {
    "layers", "input_shape", "loss", "optimizer", "dtype", "input_scale", "seeds", "frozen",
    "epochs_trained", "steps",
}  # fmt: skip


def unpack(cls: type[N], tensors: Tensors, config: Config, name: str) -> N:
    """Return the network that `pack` took apart; FormatError for anything that is not one.

    `name` is what messages call the source.
    """
    try:
        if config.keys() != _KEYS:
            raise ValueError(f"expected the keys {_listed(_KEYS)}, got {_listed(config)}")
        if config["dtype"] not in ("float32", "float64"):
            raise ValueError(f"dtype: expected float32 or float64, got {config['dtype']!r:.60}")
        found = _read_list("layers", config["layers"], MAX_LAYERS)
        network = cls(
            [layers.from_config(entry) for entry in found],
            input_shape=tuple(_read_list("input_shape", config["input_shape"])),
            loss=losses.from_config(config["loss"]),
            optimizer=optimizers.from_config(config["optimizer"]),
            dtype=config["dtype"],
            input_scale=config["input_scale"],
            seed=0,
        )
        frozen = _read_list("frozen", config["frozen"])
        limit = len(network.specs)
        network.frozen = {read_count("frozen", n, limit) for n in frozen}
        network.seeds = read_seeds(config["seeds"])
        network.epochs_trained = read_count("epochs_trained", config["epochs_trained"])
        put_in(network, tensors, read_count("steps", config["steps"]))
    except (ValueError, TypeError, OverflowError) as error:
        raise files.FormatError(f"{name}: describes no network: {error}") from None
    return network


def _read_list(name: str, value: object, most: int = files.MAX_TENSORS) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"{name}: expected a list of at most {most}, got {value!r:.60}")
    return value


def read_count(name: str, value: object, limit: int = MAX_COUNT) -> int:
    """Return an integer from 0 to below a limit."""
    if type(value) is not int or not 0 <= value < limit:
        raise ValueError(f"{name}: expected an integer from 0 to {limit - 1}, got {value!r:.60}")
    return value


def read_seeds(value: object) -> list[int]:
    """Return what `draw_seeds` returned."""
    seeds = [read_count("seeds", n, 2**32) for n in _read_list("seeds", value)]
    if len(seeds) != 2:
        raise ValueError(f"seeds: expected 2, got {len(seeds)}")
    return seeds
