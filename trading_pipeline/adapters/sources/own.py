"""A source of one's own: a class of any module, named in a market's entry as MODULE:CLASS."""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from trading_pipeline.adapters.sources.source import BarSource
from trading_pipeline.errors import SettingsError

# What `LocalSource` promises.
_PROMISED = ("symbols", "span", "bars", "actions", "set_aside")


def own_source(place: str, folder: str, options: Mapping[str, Any]) -> BarSource:
    """A source on this machine, made by a class that is called with `options` as keywords.

    Args:
        place: `my_source:CsvSource`: a module that is installed, or lies in `folder`, and a class.

    Raises:
        SettingsError: there is no such class, it does not take the options, or what it makes is no
            `LocalSource`.
    """
    made: BarSource = _called(_class(place, folder), place, options)
    lacking = [name for name in _PROMISED if not callable(getattr(made, name, None))]
    if lacking or getattr(made, "live", None) is not False:
        rule = f"lacks {', '.join(lacking)}" if lacking else "does not say `live = False`"
        raise SettingsError(
            f"source {place!r} {rule}; make it a subclass of TableSource "
            "(trading_pipeline/adapters/sources/table.py), or give it all of LocalSource"
        )
    return made


def _class(place: str, folder: str) -> Any:
    module, _, name = place.partition(":")
    sys.path.insert(0, folder)  # where pipeline.toml is; a console script does not look there
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        raise SettingsError(
            f"source {place!r}: {error}; put {module}.py beside pipeline.toml, or install it"
        ) from error
    except AttributeError as error:
        raise SettingsError(f"source {place!r}: the module has no {name}") from error
    finally:
        sys.path.remove(folder)


def _called(kind: Any, place: str, options: Mapping[str, Any]) -> BarSource:
    try:
        made: BarSource = kind(**options)
    except TypeError as error:
        raise SettingsError(f"source {place!r} with `options` {dict(options)}: {error}") from error
    return made
