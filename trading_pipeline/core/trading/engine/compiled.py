"""How the kernels of this package are compiled, and when a compiled one is out of date.

numba keeps compiled code on disk, but looks only at the file of the function itself: after a
change in one module, the callers in other modules would go on with the old code, and a backtest
and a paper session could follow different rules. So only entry points are cached, and each takes
an argument whose type carries the fingerprint of all kernels: any change is a new signature.
"""

import hashlib
from collections.abc import Callable
from types import CodeType
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import ArrayLike, DTypeLike

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
_MAKE = {"zeros", "full", "copy"}  # what makes an array that has to be freed
_njit: Any = numba.njit  # whose stubs lack some of the options
_SOURCES: dict[str, Callable[..., Any]] = {}


def kernel(function: Kernel) -> Kernel:
    """Compile an inner kernel. It becomes part of the entry points that call it.

    Python cannot call it: the wrappers that this takes are a fifth of the time to compile.
    """
    _SOURCES[f"{function.__module__}.{function.__qualname__}"] = function
    bare = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    compiled: Any = _njit(**bare, **_options(function))(function)
    return cast(Kernel, compiled)


def entry_point(function: Kernel) -> Kernel:
    """Compile a kernel that Python calls, and keep the result on disk."""
    _SOURCES[f"{function.__module__}.{function.__qualname__}"] = function
    compiled: Any = _njit(cache=True, no_cfunc_wrapper=True, **_options(function))(function)
    return cast(Kernel, compiled)


def own(values: ArrayLike, kind: DTypeLike = float) -> np.ndarray:
    """An array as every entry point takes it: contiguous, and one that may be written to.

    pandas hands out arrays that may not, which would be another signature: seconds to compile.
    """
    return np.require(values, kind, ["C", "W"])


def _options(function: Callable[..., Any]) -> dict[str, Any]:
    """Without counts of references, which cost more than the arithmetic, where nothing is made."""
    makes = not _MAKE.isdisjoint(function.__code__.co_names)
    return {"nogil": True, "error_model": "numpy", "_nrt": makes}


def fingerprint() -> str:
    """12 hexadecimal digits that change when any kernel, or a number that it uses, does."""
    digest = hashlib.sha256()
    for name, function in sorted(_SOURCES.items()):
        code = function.__code__
        digest.update(repr((name, code.co_code, _constants(code), code.co_names)).encode())
        numbers = {key: function.__globals__.get(key) for key in code.co_names}
        used = {
            key: value for key, value in numbers.items() if isinstance(value, int | float | tuple)
        }
        digest.update(repr((sorted(used.items()), sorted(_options(function).items()))).encode())
    return digest.hexdigest()[:12]


def _constants(code: CodeType) -> tuple[Any, ...]:
    """Constants of a function without its docstring, which changes nothing."""
    return tuple(value for value in code.co_consts if not isinstance(value, str))
