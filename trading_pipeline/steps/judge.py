"""Judge anyone's own model: its scores, traded and weighed as the network's are."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.adapters.code_version import code_version
from trading_pipeline.adapters.machine import packages
from trading_pipeline.adapters.prediction_file import read_predictions
from trading_pipeline.core.backtest.basis import score_grid
from trading_pipeline.core.backtest.prediction_table import predictions_from, refuse_another_unit
from trading_pipeline.core.evaluation.summary import FOREIGN
from trading_pipeline.core.leakage.timing import timing_of
from trading_pipeline.core.learning.dataset import burn_in
from trading_pipeline.core.learning.recalibration import Recalibrated, recalibrated
from trading_pipeline.core.learning.recipe import fingerprint, of_a_configuration
from trading_pipeline.core.learning.targets import Targets, make_targets
from trading_pipeline.core.market.bars import content_hash
from trading_pipeline.core.market.eligibility import eligible, refusals, rules_of
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel, volatility
from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.errors import EvaluationError, TradingError
from trading_pipeline.steps.evaluate import Candidate, Evaluated, evaluate_candidate
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.lineage import spanned
from trading_pipeline.steps.panel_file import PanelBars

# How far the scores of a date lie apart, as expected returns in units of σ√h: the information
# coefficient that they claim. Below the lower one nothing is worth its cost.
PLAUSIBLE_SPREAD = (0.002, 0.15)
_WINDOW = ModelConfig().n_steps


class Judged(NamedTuple):
    """A report on predictions that somebody else made."""

    evaluated: Evaluated
    notes: list[str]  # what a person should know beside it


def judge(
    home: Home, path: Path, bars: PanelBars, folder: Path, capital: float, calibrate: bool = False
) -> Judged:
    """Trade predictions beside all baselines, journal the trial, and write the report.

    They are traded on symbols that are eligible at their bar; what they say of others is left out.

    Args:
        home: whose ledger counts the trial.
        path: of the predictions; columns as of `predictions_from`.
        folder: of the report.
        calibrate: multiply each score by what earlier ones were worth, see `recalibrated`.

    Raises:
        SourceError: they cannot be read.
        TradingError: a row that cannot be a prediction; the message names file, row and rule.
        EvaluationError: nothing of it can be traded, or on too few days.
    """
    market, panel = bars.market, bars.panel
    try:
        table = predictions_from(read_predictions(path, panel.timestamps), panel)
        traded, able, sigma = _traded(table, bars)
        refuse_another_unit(traded, _values(panel, traded, sigma))
    except TradingError as error:
        raise TradingError(f"{path}: {error}") from error
    targets = _targets(panel, sigma, able, market)
    score = score_grid(panel, traded)
    timing = timing_of(panel, score, market.horizon)
    fitted = recalibrated(score, targets, sigma, able, market) if calibrate else None
    notes = [
        *timing.cautions(market.horizon),
        *([_fitted(panel, fitted)] if fitted else _unit(score)),
        *_left_out(len(table), len(traded)),
    ]
    candidate = Candidate(
        market=market,
        panel=panel,
        eligible=able,
        predictions=_calibrated(panel, traded, fitted) if fitted else traded,
        targets=targets,
        name=f"{path.stem}, {market.profile}{', calibrated' * calibrate}",
        hashes=_hashes(bars, table, calibrate),
        aside=bars.aside,
        origin=FOREIGN,
        notes=notes,
        known={"model": path.stem, "leaks": timing.leaks(market.horizon)},
    )
    return Judged(evaluate_candidate(home, candidate, folder, capital), _told(market, table))


def _traded(
    table: pd.DataFrame, bars: PanelBars
) -> tuple[pd.DataFrame, NDArray[np.bool_], NDArray[np.float64]]:
    """The predictions of eligible symbols, who is eligible (T, N), and σ (T, N)."""
    panel, lookback = bars.panel, burn_in(_WINDOW)
    able = eligible(panel, lookback, window=_WINDOW)
    row = panel.timestamps.get_indexer(pd.DatetimeIndex(table["timestamp"]))
    kept = able[row, pd.Index(panel.symbols).get_indexer(table["symbol"])]
    if not kept.any():
        rows = slice(int(row.min()), int(row.max()) + 1)
        why = refusals(panel, rules_of(panel, lookback, window=_WINDOW), rows)
        raise EvaluationError(
            f"{bars.market.name}: no prediction is of a symbol that may be traded at its bar: {why}"
        )
    return table[kept].reset_index(drop=True), able, volatility(panel)


def _values(panel: Panel, table: pd.DataFrame, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M,) of a grid (T, N), at the rows of a table."""
    row = panel.timestamps.get_indexer(pd.DatetimeIndex(table["timestamp"]))
    found: NDArray[np.float64] = grid[row, pd.Index(panel.symbols).get_indexer(table["symbol"])]
    return found


def _targets(
    panel: Panel, sigma: NDArray[np.float64], able: NDArray[np.bool_], market: Market
) -> Targets:
    costs = market.costs
    return make_targets(
        panel, sigma, able, market.horizon, round_trip=2 * (costs.fee + costs.slippage)
    )


def _calibrated(panel: Panel, table: pd.DataFrame, fitted: Recalibrated) -> pd.DataFrame:
    """The predictions from the first fit on, in units of σ√h; their own half-life, if they say."""
    score = _values(panel, table, fitted.score)
    new: dict[str, Any] = {"score": score}
    if "half_life" not in table:
        lasting = np.broadcast_to(fitted.half_life[:, None], panel.close.shape)
        new["half_life"] = _values(panel, table, lasting)
    return table.assign(**new)[np.isfinite(score)].reset_index(drop=True)


def _hashes(bars: PanelBars, table: pd.DataFrame, calibrate: bool) -> dict[str, Any]:
    """What the numbers trace to; another table, or another setting, is another trial."""
    content, stamps = content_hash(table), bars.panel.timestamps
    return {
        "data_hash": bars.panel.data_hash(len(stamps)),
        "data": spanned(stamps),
        "packages": packages(),
        "code_version": code_version(),
        "config_hash": fingerprint(of_a_configuration(bars.market), content, calibrate),
        "predictions_hash": content,
    }


def _unit(score: NDArray[np.float64]) -> list[str]:
    """A warning where the scores can hardly be expected returns in units of σ√h."""
    wide = score[np.isfinite(score).sum(axis=1) > 1]
    spread = float(np.median(np.nanstd(wide, axis=1))) if len(wide) else 0.0
    low, high = PLAUSIBLE_SPREAD
    if low <= spread <= high:
        return []
    if spread == 0:
        return ["the scores of most dates are all equal: no symbol is preferred to another"]
    claim = (
        "which promises more than any model keeps: trades look worth their cost that are not"
        if spread > high
        else "so that hardly a trade looks worth its cost"
    )
    return [
        f"the scores of a date differ by {spread:.3g} (their deviation, in the median); taken as "
        "expected returns in units of σ√h that is the information coefficient they claim, "
        f"{claim}. --calibrate fits the unit of ranks, z-scores or returns on earlier dates"
    ]


def _fitted(panel: Panel, fitted: Recalibrated) -> str:
    slopes = [each.slope for each in fitted.fits.values()]
    nothing = sum(slope == 0 for slope in slopes)
    first = panel.timestamps[min(fitted.fits)]
    return (
        f"scores were calibrated on earlier dates alone, {len(slopes)} times from "
        f"{first:%Y-%m-%d} on, where the judged period begins: slopes {min(slopes):.3g} to "
        f"{max(slopes):.3g}, and {nothing} times 0, where what came before showed nothing"
    )


def _left_out(given: int, kept: int) -> list[str]:
    if given == kept:
        return []
    return [
        f"{given - kept:,} of {given:,} scores are left out: their symbols may not be traded at "
        "their bars (no bar, too little history, a low price, no volume, or in quarantine)"
    ]


def _told(market: Market, table: pd.DataFrame) -> list[str]:
    costs = market.costs
    sized = "their volatility" if "volatility" in table else "the deviation of 63 returns"
    return [
        f"{table['timestamp'].nunique():,} dates of {table['symbol'].nunique():,} symbols, "
        f"{market.timeframe}, horizon {market.horizon} bars, sized by {sized}, profile "
        f"{market.profile}, fee {costs.fee:.2%}, slippage {costs.slippage:.2%}"
    ]
