"""The Python API: signatures and docstrings of what a notebook uses and an extension builds on."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from textwrap import dedent, indent
from typing import Any

from tables import NOTE, cell, table

API = {
    "Read what is stored": [
        "trading_pipeline.settings:Settings.read",
        "trading_pipeline.definitions:home_of",
        "trading_pipeline.steps.home:Home",
        "trading_pipeline.adapters.store.bars:BarStore",
        "trading_pipeline.adapters.store.features:FeatureStore",
        "trading_pipeline.adapters.store.predictions:PredictionStore",
    ],
    "Compute": [
        "trading_pipeline.core.market.bars:check_bars",
        "trading_pipeline.core.market.panel:Panel",
        "trading_pipeline.core.market.panel:volatility",
        "trading_pipeline.core.features.catalog:compute_features",
        "trading_pipeline.core.backtest.simulate:simulate",
        "trading_pipeline.core.backtest.simulate:simulate_orders",
        "trading_pipeline.core.backtest.run:run_backtest",
    ],
    "Extend": [
        "trading_pipeline.adapters.sources.table:TableSource",
        "trading_pipeline.adapters.sources.source:BarSource",
        "trading_pipeline.adapters.sources.source:LocalSource",
        "trading_pipeline.adapters.sources.source:LiveSource",
        "trading_pipeline.core.features.feature:Feature",
        "trading_pipeline.core.backtest.baselines:Span",
        "trading_pipeline.core.learning.rivals.rival:Rival",
        "trading_pipeline.core.model.rivals:RivalKind",
        "trading_pipeline.core.trading.broker:Broker",
    ],
}


def python_page() -> str:
    """Signatures and docstrings of what `API` names."""
    parts = [f"# Python API\n\n{NOTE}\n", _PYTHON]
    for title, places in API.items():
        parts.append(f"\n## {title}\n")
        parts += [_entry(place) for place in places]
    return "".join(parts)


_PYTHON = """
What a notebook reads and computes with, and what can be extended. All else is internal and may
change in any version; until 1.0 so may this, with a line in the changelog. Everything in `core`
is pure: tables and arrays in, tables and arrays out, no file, no clock. Times are UTC, rates are
fractions.

```python
from trading_pipeline.definitions import home_of
from trading_pipeline.settings import Settings

settings = Settings.read()  # pipeline.toml of this folder
market = settings.market("sample")
bars = home_of(settings).bars(market).read()
```
"""


def _entry(place: str) -> str:
    module, _, name = place.partition(":")
    made: Any = import_module(module)
    for part in name.split("."):
        made = getattr(made, part)
    signature = f"```python\n{_signature(made)}\n```" if not _is_protocol(made) else ""
    parts = [f"\n### {name}", f"`{module}`", signature, _prose(inspect.getdoc(made) or "")]
    if inspect.isclass(made):
        parts += [*_fields(made), *_methods(made)]
    return "\n".join(part.rstrip() + "\n" for part in parts if part)


def _is_protocol(made: Any) -> bool:
    return getattr(made, "_is_protocol", False)


def _signature(made: Any) -> str:
    """As the source has it, without its body."""
    node = ast.parse(dedent(inspect.getsource(made))).body[0]
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, node.bases))
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    assert isinstance(node, ast.FunctionDef)
    return _head(node)


def _head(node: ast.FunctionDef) -> str:
    arguments = ast.unparse(node.args).removeprefix("self, ").removeprefix("cls, ")
    arguments = "" if arguments in ("self", "cls") else arguments
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{node.name}({arguments}){returns}"
    if len(line) <= 96:
        return line
    lines = ",\n".join(_arguments(node.args))
    return f"{node.name}(\n{indent(lines, '    ')},\n){returns}"


def _arguments(given: ast.arguments) -> Iterator[str]:
    plain = [*given.posonlyargs, *given.args]
    padded = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    for one, default in zip(plain, padded, strict=True):
        if one.arg not in ("self", "cls"):
            yield _argument(one, default)
    if given.kwonlyargs:
        yield "*" if given.vararg is None else f"*{ast.unparse(given.vararg)}"
    for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield _argument(one, default)


def _argument(one: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(one) if default is None else f"{ast.unparse(one)} = {ast.unparse(default)}"


def _prose(text: str) -> str:
    """A docstring as Markdown: its sections are lists."""
    out = []
    for part in re.split(r"\n\s*\n", text):
        head, _, rest = part.partition("\n")
        if head in ("Args:", "Returns:", "Raises:"):
            items = re.split(r"\n(?=\S)", dedent(rest))
            lines = [_item(each) if head != "Returns:" else cell(each) for each in items]
            out.append(f"**{head[:-1]}**\n\n" + "\n".join(lines))
        else:
            out.append(part)
    return "\n\n".join(out) + "\n"


def _item(text: str) -> str:
    name, colon, what = cell(text).partition(": ")
    return f"- `{name}`: {what}" if colon else f"- {cell(text)}"


def _fields(made: Any) -> Iterator[str]:
    """Those of a dataclass or a named tuple, with their comments."""
    node = ast.parse(dedent(inspect.getsource(made))).body[0]
    lines = dedent(inspect.getsource(made)).splitlines()
    public = {each.name for each in fields(made)} if hasattr(made, "__dataclass_fields__") else {}
    found = [
        (each.target.id, ast.unparse(each.annotation), lines[each.end_lineno - 1])
        for each in node.body
        if isinstance(each, ast.AnnAssign)
        and (each.target.id in public or hasattr(made, "_fields"))
        and not each.target.id.startswith("_")
    ]
    if found:
        rows = [
            (f"`{name}`", f"`{kind}`", line.partition("  # ")[2].partition("# ")[0].strip())
            for name, kind, line in found
        ]
        yield table(("field", "type", "meaning"), *rows)


def _methods(made: Any) -> Iterator[str]:
    """Public methods of the class itself, each with the first sentence of what it says."""
    rows = []
    for name, each in vars(made).items():
        function = getattr(each, "__func__", getattr(each, "fget", None) or each)
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        node = ast.parse(dedent(inspect.getsource(function))).body[0]
        head = node.name if isinstance(each, property) else ast.unparse(node.args)
        shown = name if isinstance(each, property) else f"{name}({_bare(head)})"
        said = (inspect.getdoc(function) or "").split("\n\n")[0]
        rows.append((f"`{shown}`", said))
    if rows:
        yield table(("method", "what it does"), *rows)


def _bare(arguments: str) -> str:
    return re.sub(r"^(self|cls)(, )?", "", arguments)
