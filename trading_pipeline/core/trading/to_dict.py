"""Records as plain data and back, exactly: what JSON takes has no NaN and no infinity."""

from dataclasses import is_dataclass
from math import inf, isinf, isnan, nan
from typing import Any, TypeVar

import numpy as np

from trading_pipeline.core.trading.engine.dtypes import Array, Record
from trading_pipeline.errors import TradingError

Kind = TypeVar("Kind", bound=Record)
_INFINITY = {"inf": inf, "-inf": -inf}


def json_number(value: float) -> float | str | None:
    """A float as JSON keeps it to the last bit: NaN is None, infinities are 'inf' and '-inf'."""
    if isnan(value):
        return None
    if isinf(value):
        return "inf" if value > 0 else "-inf"
    return float(value)


def to_json(value: Any) -> Any:
    """As JSON takes it: instants as ISO text, floats as `json_number` writes them."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    elif is_dataclass(value):
        value = vars(value)
    if isinstance(value, dict):
        return {name: to_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(each) for each in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return json_number(value) if isinstance(value, float) else value


def number_from_json(value: float | str | None) -> float:
    """The float that `json_number` wrote."""
    if value is None:
        return nan
    return _INFINITY[value] if isinstance(value, str) else float(value)


def records_to_dicts(records: np.ndarray) -> list[dict[str, Any]]:
    """(N,) records as dicts of int, float, str and None."""
    return [
        {
            name: int(record[name]) if dtype.kind in "iu" else json_number(float(record[name]))
            for name, (dtype, *_) in (records.dtype.fields or {}).items()
        }
        for record in records
    ]


def records_from_dicts(kind: type[Kind], plain: list[dict[str, Any]], what: str) -> Array[Kind]:
    """The (N,) records that `records_to_dicts` wrote.

    Raises:
        TradingError: the fields are not those of `kind`: another version wrote them.
    """
    names = kind.dtype.names or ()
    records = kind.zeros(len(plain))
    for n, values in enumerate(plain):
        if set(values) != set(names):
            differ = ", ".join(sorted(set(values) ^ set(names)))
            raise TradingError(
                f"the stored {what} were written by a version with other trading rules ({differ}); "
                "start a new session"
            )
        for name in names:
            whole = kind.dtype[name].kind in "iu"
            records[name][n] = values[name] if whole else number_from_json(values[name])
    return records
