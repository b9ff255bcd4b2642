"""The number of threads, and the tool threadpoolctl that other packages control it with."""

from __future__ import annotations

import importlib
from typing import Any, SupportsIndex

from nnc import _core
from nnc._arguments import read_thread_count, read_threads


def set_num_threads(n: SupportsIndex | None) -> None:
    """Set how many threads trainings of this process use at most, where they don't say.

    Results do not depend on it. A call's own ``n_threads`` goes first.

    Parameters
    ----------
    n : int or None
        1 to 1024. None leaves it to the environment again, see `get_num_threads`.

    Raises
    ------
    ValueError, TypeError
        For anything else.

    Examples
    --------
    >>> import nnc
    >>> nnc.set_num_threads(2)
    >>> nnc.get_num_threads()
    2
    >>> nnc.set_num_threads(None)
    """
    _core.set_num_threads(0 if n is None else read_thread_count("n", n))


def get_num_threads() -> int:
    """Return how many threads trainings of this process use at most, where they don't say.

    That is what `set_num_threads` set, or else the environment's NNC_NUM_THREADS, or else its
    OMP_NUM_THREADS, or else the number of CPUs that the calling thread may use: those of its
    affinity, but no more than the CPU quota of the process's control groups, rounded up. The
    environment and the affinity are looked at in each call, the quota once.

    Returns
    -------
    int
        1 to 1024.

    Raises
    ------
    ValueError
        Where NNC_NUM_THREADS decides and is no such number. OMP_NUM_THREADS, which is not nnc's
        own, is passed over then.

    Examples
    --------
    >>> import nnc
    >>> nnc.get_num_threads() >= 1
    True
    """
    return read_threads(None)


def register_threadpoolctl() -> None:
    """Let threadpoolctl see and limit nnc's threads.

    ``threadpool_info()`` then has an entry with the user_api "nnc", and ``threadpool_limits(1)``
    limits nnc too, as `set_num_threads` would. Where threadpoolctl was imported before nnc, by
    scikit-learn for one, importing nnc has done it; a second call does nothing.

    Raises
    ------
    ImportError
        Where threadpoolctl is not installed, or older than 3.2.

    Examples
    --------
    >>> import nnc, threadpoolctl
    >>> nnc.register_threadpoolctl()
    >>> with threadpoolctl.threadpool_limits(1, user_api="nnc"):
    ...     nnc.get_num_threads()
    1
    """
    if _controllers:
        return
    threadpoolctl: Any = importlib.import_module("threadpoolctl")
    if not hasattr(threadpoolctl, "register"):
        raise ImportError("nnc: expected threadpoolctl 3.2 or newer")
    controller = _controller(threadpoolctl.LibController)
    threadpoolctl.register(controller)
    _controllers.append(controller)


_controllers: list[type] = []  # what is registered: at most one


def _controller(base: type) -> type:
    """Return the class that finds the extension module by its name and what it exports."""

    def get_num_threads(self: Any) -> int:
        return _core.get_num_threads()  # with the GIL: it reads the environment

    def set_num_threads(self: Any, num_threads: int) -> None:
        self.dynlib.nnc_set_num_threads(num_threads)

    def get_version(self: Any) -> str:
        return str(importlib.import_module("nnc").__version__)

    members = {
        "user_api": "nnc",
        "internal_api": "nnc",
        "filename_prefixes": ("_core.",),
        "check_symbols": ("nnc_get_num_threads", "nnc_set_num_threads"),
        "get_num_threads": get_num_threads,
        "set_num_threads": set_num_threads,
        "get_version": get_version,
    }
    return type("Controller", (base,), members)
