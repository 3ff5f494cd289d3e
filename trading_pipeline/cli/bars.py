"""The command that writes stored bars to a file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from trading_pipeline.adapters.terminal import say
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import MarketName
from trading_pipeline.errors import StoreError


def bars(
    market: MarketName = "sample",
    as_known: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="As the store held them at this instant, UTC; 2024-01-01 is its midnight.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The Parquet file to write; a file that is there is replaced if it is named.",
            show_default="bars.parquet",
        ),
    ] = None,
) -> None:
    """Write the raw bars of a market to one Parquet file, as they are or as they once were known.

    With `--as-known`, what was stored later is left out, and what was corrected later has its old
    values. `quality` and `walk-forward` read the file with `--data-path`.

    - `trading-pipeline bars --market crypto --as-known 2026-01-01 --out crypto.parquet`
    """
    from trading_pipeline.adapters.store.files import replace_file
    from trading_pipeline.definitions import home_of
    from trading_pipeline.steps.inputs import span_of

    settings, now = settings_of(market), datetime.now(UTC)
    terms = settings.market(market)
    store, span = home_of(settings).bars(terms), span_of(terms, now)
    at = now if as_known is None else as_known.replace(tzinfo=UTC)
    path = out or Path("bars.parquet")
    if out is None and path.exists():
        raise StoreError(f"{path} exists; name it with --out to replace it, or name another file")
    table = store.read(*span) if as_known is None else store.read_as_known(at, *span)
    if table.empty:
        raise StoreError(
            f"{store.folder} held no bars of {market} at {at:%Y-%m-%d %H:%M} UTC; give a later "
            f"--as-known, or run `trading-pipeline download --market {market}`"
        )
    replace_file(path, lambda draft: table.to_parquet(draft, index=False))
    say(f"written: {path}, {len(table):,} bars")
