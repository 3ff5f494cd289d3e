"""Commands about the network."""

from typing import Annotated

import typer

from trading_pipeline.cli.context import known_preset


def model(
    preset: Annotated[str, typer.Option(help="tiny, small or full.")] = "small",
) -> None:
    """Show the network of a preset: its boxes, the shapes that pass them, and their weights.

    B is the batch, the windows of all symbols at once. Shapes are those of a real pass. Lay it
    beside the drawing in the README and `core/model/network.py`, which is where to begin reading.
    """
    from rich.console import Console
    from rich.table import Table

    from trading_pipeline.core.model.config import ModelConfig, TrainingConfig
    from trading_pipeline.core.model.summary import summary_of

    name = known_preset(preset)
    summary, budget = summary_of(ModelConfig.preset(name)), TrainingConfig.preset(name)
    table = Table("box", "in", "out", "parameters", title=f"the network, preset {name}", box=None)
    table.columns[3].justify = "right"
    for each in summary.boxes:
        table.add_row(
            "  " * each.depth + each.name,
            " ".join(map(_shape, each.takes)),
            " ".join(map(_shape, each.gives)),
            f"{each.parameters:,}",
        )
    console = Console(width=110, highlight=False)
    console.print(table)
    seeds = len(budget.seeds)
    console.print(
        f"\n{summary.parameters:,} parameters. Trained for {budget.steps:,} steps of "
        f"{budget.windows * budget.blocks:,} windows, {seeds} seed{'s'[: seeds != 1]} averaged."
    )


def _shape(sizes: tuple[int, ...]) -> str:
    return f"({', '.join(['B', *map(str, sizes[1:])])})"
