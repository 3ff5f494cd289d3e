"""The columns of every table, for the web UI: what each is, its unit, and what it is made of."""

from collections.abc import Iterable

import dagster as dg

from trading_pipeline.core.market.bars import KEY, PRICES
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.model.config import LEARNED_BASELINES

SCHEMA, LINEAGE = "dagster/column_schema", "dagster/column_lineage"
TABLE = "dagster/table_name"
_INSTANT, _TEXT, _NUMBER, _COUNT = "timestamp[us, tz=UTC]", "string", "double", "int64"
_BAR = (
    (
        "timestamp",
        _INSTANT,
        "when the bar opens; 00:00 UTC of its session for daily bars of shares",
    ),
    ("symbol", _TEXT, "as the source spells it"),
)
_VALUES = (
    ("open", _NUMBER, "first price, quote currency per unit, raw"),
    ("high", _NUMBER, "highest price, quote currency per unit, raw"),
    ("low", _NUMBER, "lowest price, quote currency per unit, raw"),
    ("close", _NUMBER, "last price, quote currency per unit, raw"),
    ("volume", _NUMBER, "units traded"),
    ("vwap", _NUMBER, "mean price by volume, quote currency per unit; where the source tells it"),
    ("trade_count", _COUNT, "trades; where the source tells it"),
)
_INGESTED = ("ingested_at", _INSTANT, "when this version of the bar was stored")
_PREDICTED = (
    (_BAR[0][0], _INSTANT, "the bar that is decided on"),
    _BAR[1],
    ("model", _TEXT, "what predicted it"),
    ("fold", _TEXT, "first day of the walk-forward fold, YYYY-MM-DD"),
    ("score", _NUMBER, "expected return of the next h bars, in units of σ√h, calibrated"),
    ("p_down", _NUMBER, "probability that the price falls by more than its noise, 0 to 1"),
    ("p_flat", _NUMBER, "probability of neither, 0 to 1"),
    ("p_up", _NUMBER, "probability that the price rises by more than its noise, 0 to 1"),
    ("position", _NUMBER, "what the model asks for, -1 to 1"),
    ("volatility", _NUMBER, "forecast standard deviation of log returns, per bar"),
    ("risk", _NUMBER, "probability of an adverse excursion, 0 to 1"),
    ("half_life", _NUMBER, "bars after which half of the score's say is gone"),
)
OPTIONAL = {"vwap", "trade_count"}  # of bars; networks besides have a column of each seed's score
_TABLES = {
    "raw_bars": (*_BAR, *_VALUES, _INGESTED),
    "corporate_actions": (
        ("timestamp", _INSTANT, "ex-date, stamped as the bars of that date are"),
        _BAR[1],
        ("kind", _TEXT, "split or dividend"),
        ("value", _NUMBER, "split: new shares per old one; dividend: cash per share, after splits"),
    ),
    "revised_bars": (
        *_BAR,
        *_VALUES,
        *((f"new_{name}", kind, f"what replaced {name}") for name, kind, _ in _VALUES),
        ("optional", _TEXT, "which of vwap and trade_count the old version had"),
        _INGESTED,
        ("revised_at", _INSTANT, "when another version replaced this one"),
    ),
    "predictions": _PREDICTED,
    **{f"{model}_predictions": _PREDICTED for model in LEARNED_BASELINES},
}
SCHEMAS = {
    asset: dg.TableSchema(
        [dg.TableColumn(name, kind, description) for name, kind, description in columns],
        constraints=dg.TableConstraints(
            ["sorted by (timestamp, symbol)", "(timestamp, symbol) is unique"]
        )
        if asset not in ("corporate_actions", "revised_bars")
        else None,
    )
    for asset, columns in _TABLES.items()
}


def features_schema() -> dg.TableSchema:
    """Key, then each feature with its formula, unit and range."""
    from trading_pipeline.core.features.catalog import CATALOG

    key = [dg.TableColumn(name, kind, description) for name, kind, description in _BAR]
    features = [dg.TableColumn(each.name, "float", each.in_words()) for each in CATALOG]
    unique = dg.TableConstraints(["(timestamp, symbol) is unique"])
    return dg.TableSchema([*key, *features], constraints=unique)


def features_lineage(market: Market) -> dg.TableColumnLineage:
    """From columns of raw bars, and of corporate actions where prices or volumes are adjusted.

    A dividend adjusts by what it is of the close before, so that every price knows that close.
    """
    from trading_pipeline.core.features.inputs import inputs

    made_from = {}
    for feature, columns in inputs().items():
        close = {"close"} if columns & {*PRICES} else set()
        actions = set() if columns == {"timestamp"} else {*KEY, "kind", "value"}
        made_from[feature] = [
            *_deps(market, "raw_bars", columns | close),
            *_deps(market, "corporate_actions", actions),
        ]
    keys = {name: _deps(market, "raw_bars", [name]) for name in KEY}
    return dg.TableColumnLineage({**keys, **made_from})


def predictions_lineage(market: Market, network: bool, with_book: bool) -> dg.TableColumnLineage:
    """What the columns of a fold are computed from, beside the checkpoint, which says the rest.

    Args:
        network: or a rival, whose probabilities are how often each came true in training.
        with_book: the network sees the notional book that its own answers made.
    """
    from trading_pipeline.core.features.catalog import NAMES

    features = _deps(market, "features", NAMES)
    heads = ["score", "position", *(("p_down", "p_flat", "p_up", "risk") if network else ())]
    book = _deps(market, "raw_bars", ["open", "close"]) if network and with_book else []
    sigma = _deps(market, "raw_bars", ["close"])
    keys = {name: _deps(market, "features", [name]) for name in KEY}
    volatility = {"volatility": [*(features if network else ()), *(book or sigma)]}
    said = {name: [*features, *book] for name in heads}
    return dg.TableColumnLineage({**keys, **said, **volatility})


def _deps(market: Market, asset: str, columns: Iterable[str]) -> list[dg.TableColumnDep]:
    key = dg.AssetKey([market.name, asset])
    return [dg.TableColumnDep(key, column) for column in sorted(columns)]
