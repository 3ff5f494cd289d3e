"""What breaks by a fault of the program, told as one line that names the place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb

from trading_pipeline.errors import ProgramFault, TradingPipelineError

_PACKAGE = Path(__file__).parents[1]


@contextmanager
def naming_faults(
    broke: Callable[[], str], passing: tuple[type[Exception], ...] = (TradingPipelineError,)
) -> Iterator[None]:
    """Turn any exception but those of `passing` into a ProgramFault.

    Args:
        broke: what broke, and what follows from that; asked when it has.
    """
    try:
        yield
    except passing:
        raise
    except Exception as error:  # told in one line, for 1 is the exit code of a leak
        name, text = type(error).__name__, str(error)
        raise ProgramFault(
            f"{broke()}: {name}: {text} ({_place(error)}). This is a fault of the program, not of "
            "your data: please report it."
        ) from error


def _place(error: Exception) -> str:
    """File and line of the innermost call of ours: `core/learning/leakage.py:65`."""
    for call in reversed(extract_tb(error.__traceback__)):
        file = Path(call.filename)
        if _PACKAGE in file.parents and file != Path(__file__):
            return f"{file.relative_to(_PACKAGE).as_posix()}:{call.lineno}"
    return "outside of our code"
