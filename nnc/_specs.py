"""What layers, losses, optimizers and initializers share: checked fields, names, plain dicts.

A spec is a frozen dataclass with a `kind`, the name that it has in a plain dict. Such a dict holds
values of JSON alone, and reading one runs the same checks as writing the spec in Python.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, TypeVar, dataclass_transform

from nnc import schedules
from nnc._arguments import read_flag, read_integer
from nnc._optional import unknown_name

MAX_RANK = 32  # of the shape of a sample

C = TypeVar("C")


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def frozen(cls: type[C]) -> type[C]:
    """Make a class a frozen dataclass, whose methods but __init__ are those of `Spec`.

    Each method that dataclasses write costs import time: there are some forty specs.
    """
    return dataclasses.dataclass(eq=False, repr=False)(cls)


@frozen
class Spec:
    """The base of all specs."""

    kind: ClassVar[str] = ""
    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field.name) for field in dataclasses.fields(self))

    def __eq__(self, other: object) -> bool:
        """Whether it is of the same class and has the same fields."""
        if not isinstance(other, Spec) or type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        """Return the hash of class and fields."""
        return hash((type(self), self._values()))

    def __setattr__(self, name: str, value: object) -> None:
        """Let __init__ set each field; after that raise."""
        if name in self.__dict__ or name not in {f.name for f in dataclasses.fields(self)}:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        """Raise."""
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    def __repr__(self) -> str:
        """Return the call that makes it, without the arguments that are defaults."""
        parts = []
        for field in sorted(dataclasses.fields(self), key=lambda field: bool(field.kw_only)):
            value = getattr(self, field.name)
            if field.default is dataclasses.MISSING:
                parts.append(repr(value))
            elif value != field.default:
                parts.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def _set(self, name: str, value: object) -> None:
        """Replace a field by its checked value, in __post_init__."""
        object.__setattr__(self, name, value)

    def _where(self, name: str) -> str:
        return f"{type(self).__name__}({name})"

    def _read_number(self, name: str, limits: Limits) -> None:
        self._set(name, read_number(self._where(name), getattr(self, name), limits))

    def _read_index(self, name: str, least: int) -> None:
        self._set(name, read_integer(self._where(name), getattr(self, name), least))

    def _read_flag(self, *names: str) -> None:
        for name in names:
            self._set(name, read_flag(self._where(name), getattr(self, name)))


S = TypeVar("S", bound=Spec)
T = TypeVar("T")


class Limits(NamedTuple):
    """An interval of numbers; an end that is `open` does not belong to it."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def hold(self, number: float) -> bool:
        """Whether the number lies in the interval."""
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        return above and below and math.isfinite(number)

    def __str__(self) -> str:
        """Return the interval in words."""
        low = f"{'above' if self.open_low else 'at least'} {self.low:g}"
        high = f"{'below' if self.open_high else 'at most'} {self.high:g}"
        bounds = [low] * (self.low > -math.inf) + [high] * (self.high < math.inf)
        return " ".join(["a finite number", " and ".join(bounds)]).rstrip()


ANY = Limits()
NOT_NEGATIVE = Limits(0.0)
POSITIVE = Limits(0.0, open_low=True)
FRACTION = Limits(0.0, 1.0, open_high=True)  # a rate of decay or of dropout: 1 would be for ever
BETWEEN_0_AND_1 = Limits(0.0, 1.0, open_low=True, open_high=True)


def read_number(name: str, value: object, limits: Limits = ANY) -> float:
    """Return a number as a float; TypeError or ValueError names the argument."""
    if isinstance(value, bool | str | bytes | bytearray):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number, got {value!r}") from None
    except OverflowError:
        number = math.inf
    if not limits.hold(number):
        raise ValueError(f"{name}: expected {limits}, got {number:g}")
    return number


def read_shape(name: str, value: object, *, least: int = 1) -> tuple[int, ...]:
    """Return a tuple of integers; one alone stands for a tuple of itself."""
    try:
        return (operator.index(value),)  # type: ignore[arg-type]
    except TypeError:
        pass
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise TypeError(f"{name}: expected an integer or a tuple of them, got {value!r}")
    items = list(itertools.islice(value, MAX_RANK + 1))
    if len(items) > MAX_RANK:
        raise ValueError(f"{name}: expected at most {MAX_RANK} dimensions, got more")
    return tuple(read_integer(f"{name}[{i}]", n, least) for i, n in enumerate(items))


def refuse_name(name: str, value: object, known: Iterable[str]) -> NoReturn:
    """Raise for an unknown name, or for what is none."""
    error = ValueError if isinstance(value, str) else TypeError
    raise error(unknown_name(name, value, known))


def resolve(name: str, value: object, base: type[S], table: Mapping[str, type[S]]) -> S | None:
    """Return the spec that a name, a class or an instance means; None for anything else."""
    if isinstance(value, base):
        return value
    if isinstance(value, str):
        if value not in table:
            refuse_name(name, value, table)
        value = table[value]
    if isinstance(value, type) and issubclass(value, base):
        if not value.kind:
            raise TypeError(
                f"{name}: {value.__name__} is what others derive from; pass one of them"
            )
        try:
            return value()
        except TypeError as error:
            raise TypeError(f"{name}: {value.__name__} needs arguments ({error})") from None
    return None


def to_config(spec: Spec, *, name_functions: bool = False) -> dict[str, Any]:
    """Return a spec as a dict of JSON values: its kind, and all of its fields.

    Functions are refused; with `name_functions` their names stand for them, for comparisons.
    """
    return _fields_of(spec, spec.kind, name_functions)


def _fields_of(value: Any, kind: str, name_functions: bool) -> dict[str, Any]:
    config: dict[str, Any] = {"kind": kind}
    for field in dataclasses.fields(value):
        where = f"{type(value).__name__}({field.name})"
        config[field.name] = _plain(where, getattr(value, field.name), name_functions)
    return config


def _plain(where: str, value: Any, name_functions: bool) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Spec):
        return to_config(value, name_functions=name_functions)
    if isinstance(value, tuple):
        return [_plain(where, item, name_functions) for item in value]
    for kind, cls in schedules.KINDS.items():
        if type(value) is cls:
            return _fields_of(value, kind, name_functions)
    if name_functions and callable(value):
        return f"function {getattr(value, '__qualname__', type(value).__qualname__)}"
    raise TypeError(
        f"{where}: {type(value).__name__} {value!r} is not data, and so cannot be stored; "
        "use a number or a name, or set it again after loading"
    )


def from_config(
    name: str,
    config: object,
    kinds: Mapping[str, type[T]],
    nested: Mapping[str, Mapping[str, type[Any]]] | None = None,
) -> T:
    """Return the spec of a dict that `to_config` made; unknown kinds and keys are refused.

    Keys may be missing where the spec has a default. `nested` names the fields that are specs
    themselves, and their kinds.
    """
    if not isinstance(config, Mapping):
        raise TypeError(f"{name}: expected a dict, got {type(config).__name__}")
    if "kind" not in config:
        raise ValueError(f"{name}: expected the key 'kind', got {_listed(config)}")
    kind = config["kind"]
    if not isinstance(kind, str) or kind not in kinds:
        refuse_name(f"{name}['kind']", kind, kinds)
    fields = {field.name: field for field in dataclasses.fields(kinds[kind])}  # type: ignore[arg-type]
    for key in config:
        if key != "kind" and key not in fields:
            refuse_name(f"{name}: key of {kind}", str(key), fields)
    required = [
        key
        for key, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    missing = [key for key in required if key not in config]
    if missing:
        raise ValueError(f"{name}: {kind} needs {', '.join(missing)}, got {_listed(config)}")
    values: dict[str, Any] = {}
    for key, value in config.items():
        if key == "kind":
            continue
        if nested and key in nested and isinstance(value, Mapping):
            value = from_config(f"{name}['{key}']", value, nested[key], nested)
        elif value is not None and not isinstance(value, bool | int | float | str | list | tuple):
            raise TypeError(f"{name}['{key}']: expected plain data, got {type(value).__name__}")
        values[key] = value
    try:
        return kinds[kind](**values)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None


def _listed(config: Mapping[Any, Any]) -> str:
    return ", ".join(repr(key) for key in config) or "no keys"
