"""Predictions that somebody else made: a table of them, checked against the bars they are of."""

import numpy as np
import pandas as pd

from trading_pipeline.core.market.bars import KEY
from trading_pipeline.core.market.calendar import is_daily
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.quality.finding import abbreviated
from trading_pipeline.core.market.stamps import actions_by_session
from trading_pipeline.core.trading.cells import codes_of, numbers_of, refuse, rows_of
from trading_pipeline.errors import TradingError

NEEDED = (*KEY, "score")
POSITIVE = ("volatility", "half_life")  # where they are given
_UNITS_APART = 4.0  # a volatility and σ that are further apart are not of the same span


def predictions_from(table: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """The predictions in canonical form: rows ordered by (timestamp, symbol), scores as given.

    Args:
        table: `timestamp` (UTC, the bar at whose close the score was known), `symbol`, `score`
            (expected return in units of σ√h, finite), and where there are any `volatility` (of a
            bar, > 0) and `half_life` (of the scores, bars > 0, one for all symbols of a bar; empty
            cells of both are unknown). Further columns are kept. Daily stamps at an hour of another
            zone are those of their session, as in bars. A row is named in errors by its label.

    Raises:
        TradingError: the first row that breaks a rule, and the rule.
    """
    if missing := [name for name in NEEDED if name not in table]:
        raise TradingError(
            f"predictions lack the columns {', '.join(missing)}; needed are {', '.join(NEEDED)}, "
            "and volatility and half_life may be there"
        )
    daily = is_daily(panel.timestamps)
    moved = actions_by_session(table, panel.timestamps) if daily else table
    _check_keys(table.assign(timestamp=moved["timestamp"]), panel)
    found = moved.assign(score=_scores(table))
    for name in POSITIVE:
        if name in table:
            values = numbers_of(table, name)
            wrong = (values <= 0) | np.isinf(values)
            refuse(table, wrong, name, "is not a positive number")
            found[name] = values
    _check_half_lives(table, found)
    return found.sort_values(KEY, ignore_index=True)


def _check_keys(table: pd.DataFrame, panel: Panel) -> None:
    row, column = rows_of(table["timestamp"], panel.timestamps), table["symbol"]
    symbol, last = codes_of(column, panel.symbols), panel.timestamps[-1]
    later = (table["timestamp"] > last).to_numpy()
    refuse(table, later, "timestamp", f"is after {last}, the panel's last bar")
    count, first = len(panel.timestamps), panel.timestamps[0]
    span = f"is not a bar of the panel, which has {count:,} from {first} to {last}"
    refuse(table, row < 0, "timestamp", span)
    known = f"is not in the panel, which has {abbreviated(panel.symbols)}"
    refuse(table, symbol < 0, "symbol", known)
    again = pd.Series(row * len(panel.symbols) + symbol).duplicated().to_numpy()
    refuse(table, again, "symbol", "has a score at that bar already; give one model, each bar once")


def _scores(table: pd.DataFrame) -> np.ndarray:
    """(M,) finite."""
    score = numbers_of(table, "score")
    unsaid = "is not a finite number; leave the row out where nothing is predicted"
    refuse(table, ~np.isfinite(score), "score", unsaid)
    if len(score) > 1 and (score == score[0]).all():
        raise TradingError(
            f"every score is {score[0]:g}, so no symbol or bar is preferred to another"
        )
    return score


def _check_half_lives(table: pd.DataFrame, found: pd.DataFrame) -> None:
    if "half_life" in found:
        own = found["half_life"].to_numpy(float)
        bar = found.groupby("timestamp")["half_life"].transform("first").to_numpy(float)
        others = "is not that of the symbols before it at that bar; give one for all of a bar"
        refuse(table, np.isfinite(own) & (own != bar), "half_life", others)


def refuse_another_unit(predictions: pd.DataFrame, sigma: np.ndarray) -> None:
    """Raise TradingError where volatilities are not of a bar: their median is far from that of σ.

    Args:
        sigma: (M,) of the same rows, NaN where it is not known.
    """
    if "volatility" not in predictions:
        return
    ratios = predictions["volatility"].to_numpy(float) / sigma
    known = ratios[np.isfinite(ratios)]
    if not len(known):  # empty cells alone, or a σ of none of those that are given
        return
    ratio = float(np.median(known))
    if not 1 / _UNITS_APART < ratio < _UNITS_APART:
        raise TradingError(
            f"volatility is {ratio:.3g} times the deviation of a bar's return, in the median: give "
            "that of one bar, not of a year or of the horizon, as a fraction"
        )
