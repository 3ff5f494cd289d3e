"""The command that shows the catalog of features."""

from typing import Annotated

import typer


def features(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print docs/features.md instead of tables.")
    ] = False,
) -> None:
    """Show the catalog: what each feature is, its lookback, its range and its source."""
    from trading_pipeline.core.features.page import catalog_page

    if markdown:
        typer.echo(catalog_page(), nl=False)
    else:
        _print_tables()


def _print_tables() -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from trading_pipeline.core.features.catalog import CATALOG
    from trading_pipeline.core.features.feature import FAMILIES
    from trading_pipeline.core.features.page import COLUMNS, cells

    console = Console()
    for family in FAMILIES:
        table = Table(title=family.replace("_", " "), title_justify="left", expand=True)
        for column in COLUMNS:
            whole = column == "feature"  # a name that is cut cannot be searched for
            table.add_column(column, no_wrap=whole, overflow="fold")
        for feature in CATALOG:
            if feature.family == family:
                table.add_row(*map(Text, cells(feature)))
        console.print(table)
