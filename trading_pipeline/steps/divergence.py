"""The night's question about a paper session: why is its profit not the backtest's?"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trading_pipeline.adapters.alerts import DIVERGED, News
from trading_pipeline.adapters.store.files import replace_file
from trading_pipeline.adapters.store.ledger import Event, Ledger
from trading_pipeline.core.backtest.tolerance import Tolerance
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.trading.to_dict import to_json
from trading_pipeline.errors import LedgerError
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import read_panel
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.streams import is_of_session, session_of

if TYPE_CHECKING:  # it loads numba, which the code location must not
    from trading_pipeline.core.backtest.divergence import Divergence

BASIS_POINT = 1e-4
_EXPLAINED = 1e-9  # of the capital: what may be left unexplained


@dataclass(frozen=True)
class Reported:
    """A report that was written, and what is to be told of it."""

    summary: dict[str, Any]
    news: News
    picture: Path
    file: Path  # the summary, as JSON


def newest_session(ledger: Ledger, market: Market) -> Event | None:
    """The newest mark of the market's sessions, of the one that was written to last."""
    streams = [name for name in ledger.streams() if is_of_session(name, market.name)]
    marks = [event for name in streams if (event := ledger.last(name, "mark"))]
    return max(marks, key=lambda event: event.recorded_at, default=None)


def is_reported(home: Home, market: Market, newest: Event) -> bool:
    """Whether the report of a session reaches its newest mark."""
    told = _told(home, market, session_of(newest.stream))
    return str(told.get("until", "")) >= newest.at.isoformat()


def divergence_of(home: Home, plan: Plan, ledger: Ledger, session: str = "") -> dict[str, Any]:
    """What a session and the backtest of its days differ by, as `summary_of` has it.

    Args:
        session: the market's newest one, if empty.

    Raises:
        LedgerError: there is no such session, or the market has other settings now.
        EvaluationError: bars or predictions of its days are not stored yet. And as
            `PastSession.read`.
    """
    from trading_pipeline.core.backtest.divergence import divergence
    from trading_pipeline.steps.past_session import PastSession, eligibility_of

    market = plan.market
    if not session:
        newest = newest_session(ledger, market)
        if newest is None:
            raise LedgerError(
                f"{market.name} has no paper session that has lived through a bar; start one with "
                f"`trading-pipeline paper-trade --market {market.name}`"
            )
        session = session_of(newest.stream)
    able = eligibility_of(plan.recipe.model.n_steps)
    past = PastSession.read(ledger, market, home.recordings(market), session, able)
    predictions = home.predictions(market)
    stored = predictions.read(predictions.folds())
    found = divergence(past.on_paper, read_panel(home, market), stored, market, able)
    return summary_of(found, plan.divergence)


def summary_of(found: "Divergence", tolerance: Tolerance) -> dict[str, Any]:
    """A divergence as plain values: money in quote currency, shares as fractions of equity.

    `total` is of the backtest's equity in the end, `share` of a day of the session's before it.
    """
    table = found.days.assign(difference=found.difference, share=found.share).reset_index()
    days = [to_json(row) for row in table.to_dict("records")]
    worst = max(days, key=lambda day: abs(day["share"] or 0.0))
    return {
        "market": found.market,
        "session": found.session,
        "capital": found.capital,
        "start": days[0]["day"],
        "end": days[-1]["day"],
        "until": found.until.isoformat(),
        "tolerance": to_json(asdict(tolerance)),
        "paper": float(found.days["paper"].sum()),
        "backtest": float(found.days["backtest"].sum()),
        "difference": float(found.difference.sum()),
        "total": to_json(found.total),
        "parts": {str(name): float(each) for name, each in found.parts.items()},
        "worst": {"day": worst["day"], "share": worst["share"]},
        "days": days,
    }


def report(home: Home, plan: Plan, ledger: Ledger, session: str = "") -> Reported:
    """Write down the divergence of a session: JSON, Parquet, Markdown and a picture.

    Days that an earlier report had whole are not told again; errors as `divergence_of`.
    """
    from trading_pipeline.adapters.reports.divergence import draw_divergence, markdown_divergence

    summary = divergence_of(home, plan, ledger, session)
    market, name = plan.market, summary["session"]
    news = news_of(summary, _told(home, market, name))
    file = _file(home, market, name)
    picture, table = file.with_suffix(".png"), file.with_suffix(".parquet")
    page, text = file.with_suffix(".md"), markdown_divergence(summary)
    replace_file(table, lambda draft: _write_days(draft, summary))
    replace_file(picture, lambda draft: draw_divergence(draft, summary))
    replace_file(page, lambda draft: draft.write_text(text, encoding="utf-8"))
    said = json.dumps(summary, indent=2, allow_nan=False)
    replace_file(file, lambda draft: draft.write_text(said, encoding="utf-8"))
    home.share_report(market)
    return Reported(summary, news, picture, file)


def news_of(summary: Mapping[str, Any], earlier: Mapping[str, Any] | None = None) -> News:
    """That a session is further from the backtest than is tolerated, or that it is not any more.

    Args:
        earlier: the report before; one day's difference is told of those that came since, and of
            its last day where more bars of that came.
    """
    told = earlier.get("days", []) if earlier else []
    after = told[-1]["day"] if told else ""
    fresh = [day for day in summary["days"] if day["day"] >= after and day not in told[-1:]]
    days = fresh or summary["days"][-1:]
    over = [
        f"{day['day'][:10]}: {_basis_points(day['share'])} of equity apart, and "
        f"{_basis_points(summary['tolerance']['day'])} a day are tolerated ({_largest(day)})"
        for day in days
        if _exceeds(day["share"], summary["tolerance"]["day"])
    ]
    if _exceeds(summary["total"], summary["tolerance"]["total"]):
        over.append(
            f"since {summary['start'][:10]}: {_basis_points(summary['total'])} apart, and "
            f"{_basis_points(summary['tolerance']['total'])} are tolerated "
            f"({_largest(summary['parts'])})"
        )
    if not is_explained(summary):
        over.append(
            f"{summary['parts']['unexplained']:+,.2f} is explained by nothing: run "
            f"`trading-pipeline replay {summary['session']} --market {summary['market']}`"
        )
    subject = f"{summary['market']}/{summary['session']}"
    within = "paper and backtest are within what is tolerated"
    return News(DIVERGED, subject, "\n".join(over) or within, over=not over)


def is_explained(summary: Mapping[str, Any]) -> bool:
    """Whether the five parts add up to the whole, on every day."""
    return all(
        abs(day["unexplained"]) <= _EXPLAINED * summary["capital"] for day in summary["days"]
    )


def _exceeds(share: float | str | None, limit: float | str) -> bool:
    """None, a share of no equity, is beyond all limits."""
    return share is None or abs(float(share)) > float(limit)


def _basis_points(share: float | str | None) -> str:
    return "all" if share is None else f"{float(share) / BASIS_POINT:,.1f} bp"


def _largest(parts: Mapping[str, Any]) -> str:
    """The largest part."""
    from trading_pipeline.core.backtest.divergence import PARTS

    name = max(PARTS, key=lambda part: abs(parts[part]))
    return f"most of it {name}, {parts[name]:+,.2f}"


def _write_days(draft: Path, summary: Mapping[str, Any]) -> None:
    import pandas as pd

    days = pd.DataFrame(summary["days"])
    days.assign(day=pd.to_datetime(days["day"], utc=True)).to_parquet(draft, index=False)


def _file(home: Home, market: Market, session: str) -> Path:
    return home.report(market) / "paper" / f"{quote(session, safe='')}.json"


def _told(home: Home, market: Market, session: str) -> dict[str, Any]:
    """The report that there is; empty: none, or none that can be read."""
    try:
        told = json.loads(_file(home, market, session).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
