"""The files of a report, and what is in each."""

from collections.abc import Mapping
from typing import NamedTuple


class File(NamedTuple):
    """A file of a report."""

    name: str
    said: str  # in a line


_FILES: Mapping[str, File] = {
    "html": File("report.html", "this page"),
    "features": File("features.html", "the features: coverage, drift, what they said"),
    "quality": File("quality.html", "the data: what was found, coverage by month"),
    "json": File("report.json", "every figure of this page, for machines"),
    "png": File("equity.png", "equity as a picture"),
    "drawdown": File("drawdown.png", "drawdowns as a picture"),
    "months": File("months.png", "returns of months as a picture"),
    "curves": File("curves.csv", "equity of strategy, baselines and random portfolios"),
    "random": File("random_portfolios.csv", "what each random portfolio came to"),
    "trades": File("trades.csv", "closed trades: quantity, prices, return, reasons"),
    "positions": File("positions.csv", "what is held: cost, unrealised and realised P&L"),
    "orders": File("orders.csv", "every order, with what shaped it"),
    "fills": File("fills.csv", "every fill: quantity, price, fee, slippage"),
    "vetoes": File("vetoes.csv", "every order that a rule refused, with figure and limit"),
    "predictions": File("predictions.csv", "what the models said, by bar and symbol"),
    "cash_flows": File("cash_flows.csv", "dividends, borrow, funding, interest"),
    "equity": File("equity.csv", "the account at each close: equity, cash, holdings"),
    "attribution": File("attribution.csv", "what each symbol made on each side"),
}
PAGES = ("features", "quality")  # where features and bars are those of a market
FILES = {key: file.name for key, file in _FILES.items()}
SAID = {file.name: file.said for file in _FILES.values()}
