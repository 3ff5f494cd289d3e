"""Commands about the model that trades tomorrow's bars: which one, why, and back to an earlier."""

from typing import Annotated, Any

import typer

from trading_pipeline.adapters.terminal import say
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import MarketName
from trading_pipeline.errors import CheckpointError

app = typer.Typer(
    no_args_is_help=True,
    help="The model that trades tomorrow's bars: which one it is, why, and back to an earlier one.",
)
_SHOWN = 12  # digits of a SHA-256

Reason = Annotated[str, typer.Option(help="Why; it is kept in the ledger.")]
Digits = Annotated[str, typer.Argument(help="First digits of its SHA-256, as `list` shows them.")]


@app.command("list")
def list_models(market: MarketName = "sample") -> None:
    """Every candidate of the nights, what was decided about it, and which one trades.

    A candidate is accepted where it loads, predicts numbers, agrees with its predecessor about the
    last quarter, and is not significantly worse on the dates that both were validated on.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # brackets of a reason are not markup

    home, plan = _place(market)
    from trading_pipeline.steps.production import listed

    table = Table("model", "learned to", "decided", "by", "decision", "", box=None)
    for each in listed(home, plan.market):
        said = each.decision
        where = "in service" if each.in_service else "kept" if each.kept else ""
        kind = "; ".join([said.kind.replace("_", " "), *said.reasons])
        table.add_row(
            said.model[:_SHOWN], said.last_target[:10], f"{said.at:%Y-%m-%d %H:%M}", Text(said.by),
            Text(kind), where,
        )  # fmt: skip
    if not table.rows:
        say(f"{market} has no production model yet: its nightly job makes one")
        return
    Console(width=120, highlight=False).print(table)


@app.command()
def show(model: Digits = "", market: MarketName = "sample") -> None:
    """The evidence of the decisions about a model; of the one in service, if none is named."""
    from trading_pipeline.adapters.store.production import in_service
    from trading_pipeline.steps.production import decided

    home, plan = _place(market)
    known = decided(home, plan.market)
    if not model:
        if (now := in_service(known)) is None:
            raise CheckpointError(
                f"{market} has no production model yet: its nightly job makes one"
            )
        model = now.model
    found = [each for each in known if each.model.startswith(model)]
    if not found:
        raise CheckpointError(
            f"no decision about a model of {market} that begins with {model!r}; "
            "`trading-pipeline production list` shows them"
        )
    for each in found:
        typer.echo(f"{each.at:%Y-%m-%d %H:%M} UTC  {each.kind.replace('_', ' ')} by {each.by}")
        facts = {
            "model": each.model,
            "fingerprint": each.fingerprint,
            "learned to": each.last_target,
            "instead of": each.instead_of or "none",
            **{"reason": "; ".join(each.reasons)},
            **(each.evidence or {}),
        }
        for name, value in facts.items():
            if value != "":
                typer.echo(f"  {name:<12} {'not available' if value is None else value}")


@app.command()
def rollback(
    market: MarketName = "sample",
    to: Annotated[
        str, typer.Option(help="First digits of another model's SHA-256.", show_default="before")
    ] = "",
    hold: Annotated[
        bool, typer.Option("--hold", help="Accept no candidate until `production accept`.")
    ] = False,
    reason: Reason = "",
) -> None:
    """Go back to the production model before the one in service, in one step.

    The night refuses the model that is left until its bars or its recipe change: tomorrow's
    candidate is another model, and judged like any. With --hold none is accepted until you say so.
    """
    from trading_pipeline.steps.production import roll_back

    left, now = roll_back(*_place(market), reason, to, hold)
    said = "no candidate is accepted" if hold else "the night refuses the model that was left"
    typer.echo(
        f"{market}: {now.model[:_SHOWN]}, which learned to {now.last_target[:10]}, is in service "
        f"instead of {left.model[:_SHOWN]} ({left.last_target[:10]})\n"
        f"{said} until `trading-pipeline production accept MODEL --market {market}`"
    )


@app.command()
def accept(model: Digits, market: MarketName = "sample", reason: Reason = "") -> None:
    """Put a model in service whatever was said against it: a refused candidate, or one left."""
    from trading_pipeline.steps.production import accept as accept_model

    now = accept_model(*_place(market), model, reason)
    typer.echo(f"{market}: {now.model[:_SHOWN]} is in service, learned to {now.last_target[:10]}")


def _place(market: str) -> tuple[Any, Any]:
    from trading_pipeline.definitions import home_of, plan_of

    settings = settings_of(market)
    return home_of(settings), plan_of(settings, market)
