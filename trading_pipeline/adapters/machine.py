"""What computed a number, beside our own code: the kind of processor, and the packages."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# What figures are computed with; a browser or a test runner changes none of them.
_COMPUTING = (
    *("numpy", "pandas", "scipy", "numba", "torch", "scikit-learn", "lightgbm", "arch"),
    *("ta-lib", "pyarrow", "duckdb", "exchange-calendars", "bokeh-sampledata"),
)


def processor(device: str = "cpu") -> str:
    """The kind of processor: figures are equal bit for bit on two of the same kind.

    Architecture, model, and the widest vectors that torch uses; of a GPU its name, too.
    """
    import torch

    said = [platform.machine(), _model(), torch.backends.cpu.get_cpu_capability()]
    if device.startswith("cuda") and torch.cuda.is_available():
        said.append(torch.cuda.get_device_name(torch.device(device)))
    return ", ".join(said)


@cache
def packages() -> dict[str, str]:
    """Versions of Python and of the installed packages that figures are computed with."""
    found = {"python": platform.python_version()}
    for name in _COMPUTING:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an extra that is not installed computes nothing
            continue
    return found


@cache
def _model() -> str:
    """As the kernel tells it; elsewhere as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")
