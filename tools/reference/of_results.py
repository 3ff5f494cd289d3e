"""The metrics of a report, and the errors."""

import inspect
import re

from tables import NOTE, cell

from trading_pipeline import errors
from trading_pipeline.core.evaluation.metrics import METRICS

_OF = {
    "returns": "daily returns",
    "against": "daily returns, and those of the benchmark",
    "trades": "closed trades",
    "turnover": "traded value over equity, a day",
    "exposure": "gross exposure at closes",
    "ic": "scores, and what came true",
}


def metrics_page() -> str:
    """The table of metrics, and a formula for each."""
    parts = [f"# Metrics\n\n{NOTE}\n", _METRICS]
    for key, metric in METRICS.items():
        said = inspect.getdoc(metric.formula) if metric.formula else _IC[key]
        text = re.sub(r"\s*: (\(.*?\)|two \(.*?\)) -> \(.*?\)\.", ".", said or "").strip()
        text = re.sub(r"\n\nArgs:\n.*", "", text, flags=re.S).replace(" `sums`: `win_rate`.", "")
        low, high = metric.limits
        parts.append(
            f"\n## {metric.label}\n\n"
            f"`{key}`, of {_OF[metric.of]}, in [{low:g}, {high:g}].\n\n{text}\n"
        )
    return "".join(parts)


_METRICS = """
What the report says of an account, in `report.json` by these keys. Returns are simple returns of
one day, as fractions; ratios are over a zero rate. What is undefined is missing, and never
infinite: an account without a losing day has no Sortino ratio. Each has a 95 % interval ([how
they are found](../concepts/verdicts.md#intervals)).
"""
_IC = {
    "information_coefficient": "Correlation across the symbols of a date between scores and the "
    "return that followed over the horizon, averaged over dates. Dates of fewer than eight symbols "
    "have none.",
    "rank_information_coefficient": "The same of ranks (Spearman's correlation): outliers count no "
    "more than others.",
}


def errors_page() -> str:
    """The tree of errors."""
    parts = [f"# Errors\n\n{NOTE}\n", _ERRORS, _tree(errors.TradingPipelineError, 0)]
    return "".join(parts)


_ERRORS = """
Everything that the pipeline refuses on purpose is one of these. A command prints one line, says
what was wrong, where, and the next step, and ends with exit code 2; no traceback. In a run of
Dagster the same line is the failure of the step. In Python, `except TradingPipelineError` catches
all of them. Any other exception is a fault of the program.

"""


def _tree(kind: type, depth: int) -> str:
    said = cell((inspect.getdoc(kind) or "").split("\n\n")[0])
    own = f"{'    ' * depth}- **{kind.__name__}**: {said}\n"
    # Of what else is loaded by now some are private to their module.
    known = [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
    return own + "".join(_tree(each, depth + 1) for each in known)
