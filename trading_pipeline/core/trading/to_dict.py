"""Records as plain data and back, exactly: what JSON takes has no NaN and no infinity."""

import base64
import hashlib
import zlib
from dataclasses import is_dataclass
from math import inf, isinf, isnan, nan
from typing import Any, TypeVar, cast

import numpy as np

from trading_pipeline.errors import TradingError

Kind = TypeVar("Kind", bound=np.ndarray)
_WHOLE, _CHANGE = ":", "^"  # between digest and bytes
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


def packed(array: np.ndarray, before: np.ndarray | None = None) -> str:
    """Records or numbers as text, to the last bit: a digest of their fields, and their bytes.

    `before`: an array of the same fields and shape; only what has changed since is written.
    """
    data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
    if before is not None:
        data = data ^ np.frombuffer(np.ascontiguousarray(before).tobytes(), np.uint8)
    mark = _WHOLE if before is None else _CHANGE
    text = base64.b64encode(zlib.compress(data.tobytes())).decode()
    return f"{_fields(array)}{mark}{text}"


def is_change(text: str) -> bool:
    """Whether `packed` wrote only what had changed."""
    return _CHANGE in text


def unpacked(text: str, like: Kind, what: str, before: np.ndarray | None = None) -> Kind:
    """The array that `packed` wrote, of the fields and shape of another.

    Raises:
        TradingError: the fields are others, or their number: another version wrote them. Or it is a
            change, and `before` is not there.
    """
    mark = _CHANGE if is_change(text) else _WHOLE
    fields, _, data = text.partition(mark)
    if fields != _fields(like):
        raise TradingError(
            f"the stored {what} were written by a version with other trading rules, or are of "
            "other symbols; start a new session"
        )
    found = np.frombuffer(zlib.decompress(base64.b64decode(data)), np.uint8)
    if mark == _CHANGE:
        if before is None:
            raise TradingError(f"the stored {what} are a change of those before, which are needed")
        found = found ^ np.frombuffer(np.ascontiguousarray(before).tobytes(), np.uint8)
    return cast(Kind, found.view(like.dtype).reshape(like.shape).copy())


def _fields(array: np.ndarray) -> str:
    described = f"{array.dtype.descr} {array.shape}"
    return hashlib.sha256(described.encode()).hexdigest()[:8]
