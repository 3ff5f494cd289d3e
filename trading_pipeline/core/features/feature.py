"""What a feature is: one row of the catalog, which is the schema of the feature table."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

FAMILIES = (
    "price",
    "trend",
    "momentum",
    "volatility",
    "volume",
    "cross_section",
    "market",
    "calendar",
)


class Scale(NamedTuple):
    """What the values of a feature are measured in, and the range that they are clipped into."""

    unit: str
    low: float
    high: float


FRACTION = Scale("fraction", 0, 1)
SIGMAS = Scale("σ√bars", -5, 5)
LOG_RATIO = Scale("log ratio", -4, 4)


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of the feature table. An impossible one cannot be constructed.

    `of` is called with the family's input (a `SymbolSeries`, a `CrossSection`, a `MarketSeries` or
    a `Clock`) and with `parameters` as keywords, so that the row cannot disagree with the code.
    """

    name: str
    family: str
    formula: str
    lookback: int  # bars a value is made of, the newest one included; NaN until they exist
    scale: Scale
    source: str
    of: Callable[..., Any] = field(compare=False, repr=False)
    parameters: Mapping[str, int | float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"{self.name}: family must be one of {FAMILIES}, was {self.family!r}")
        if self.lookback < 1:
            raise ValueError(f"{self.name}: lookback must be at least 1 bar, was {self.lookback}")
        if not self.scale.low < self.scale.high:
            raise ValueError(f"{self.name}: range [{self.scale.low}, {self.scale.high}] is empty")

    def compute(self, source: object) -> Any:
        """The feature's values on the family's input, not yet clipped."""
        return self.of(source, **self.parameters)

    def in_words(self) -> str:
        """Formula, parameters, unit, range and lookback on one line, as a column's comment."""
        given = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        formula = f"{self.formula}, {given}" if given else self.formula
        unit, low, high = self.scale
        return f"{formula}; {unit}, {low:g} to {high:g}; NaN before {self.lookback} bars exist"

    def described(self) -> dict[str, Any]:
        """Everything a reader of the column needs to know, as plain types."""
        return {
            "name": self.name,
            "family": self.family,
            "formula": self.formula,
            "parameters": dict(self.parameters),
            "lookback": self.lookback,
            "unit": self.scale.unit,
            "range": [self.scale.low, self.scale.high],
            "source": self.source,
        }


class Family:
    """Features of one kind, each declared beside the function that computes it.

    `shared` are fields of `Feature` that hold where a declaration says nothing else. The order of
    the declarations is that of the columns.
    """

    def __init__(self, name: str, **shared: Any) -> None:
        self.features: list[Feature] = []
        self._shared = {"family": name, **shared}

    def feature(self, **row: Any) -> Callable[[Function], Function]:
        """Declare what the decorated function computes, by the fields of `Feature`.

        Its parameters are the function's defaults; a function of several features is declared once
        for each, with `parameters` of its own.
        """

        def declare(of: Function) -> Function:
            given = inspect.signature(of).parameters.values()
            defaults = {each.name: each.default for each in given if each.default is not each.empty}
            self.features.append(Feature(**{**self._shared, "parameters": defaults, **row}, of=of))
            return of

        return declare
