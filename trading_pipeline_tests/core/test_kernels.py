"""Is every kernel compiled ahead that a command would wait for?"""

import importlib
import pkgutil

from numba.core.caching import NullCache
from numba.core.registry import CPUDispatcher

import trading_pipeline.core
from trading_pipeline.core.kernels import compile_kernels


def test_what_python_calls_has_been_called_and_is_kept_on_disk():
    """Other kernels are part of those that call them."""
    compile_kernels()
    core = trading_pipeline.core
    names = [each.name for each in pkgutil.walk_packages(core.__path__, f"{core.__name__}.")]
    kernels = {
        each
        for module in map(importlib.import_module, names)
        for each in vars(module).values()
        if isinstance(each, CPUDispatcher)
    }
    called = {name for each in kernels for name in each.py_func.__code__.co_names}
    kept = [each.py_func for each in kernels if not isinstance(each._cache, NullCache)]
    ready = {each.py_func for each in kernels if each.signatures}
    assert len(kept) > 40
    assert [
        each.__name__ for each in kept if each not in ready and each.__name__ not in called
    ] == []
    entries = {
        each.__name__ for each in kept if each.__module__.startswith(f"{core.__name__}.trading")
    }
    assert len(entries) == 8
    assert entries <= {each.__name__ for each in ready}
