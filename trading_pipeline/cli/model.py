"""Commands about the network."""

from pathlib import Path
from typing import Annotated

import typer

from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import MarketName, known_preset


def model(
    preset: Annotated[
        str, typer.Option(callback=known_preset, help="tiny, small or full.")
    ] = "small",
    onnx: Annotated[
        Path | None,
        typer.Option(
            help="Instead, write a trained model into this folder, as MARKET-FOLD-SEED.onnx."
        ),
    ] = None,
    market: MarketName = "sample",
    fold: Annotated[
        str, typer.Option(help="With --onnx: the first day of a fold, or best_model.")
    ] = "best_model",
) -> None:
    """Show the network of a preset: its boxes, the shapes that pass them, and their weights.

    B is the batch, the windows of all symbols at once. Shapes are those of a real pass. Lay it
    beside the drawing in the README and `core/model/network.py`, which is where to begin reading.

    With --onnx FOLDER a model that was trained is exported, one file for each seed; it takes a
    minute or two, since all 60 bars are unrolled. `best_model` is the one of the nightly job.
    """
    if onnx:
        _export(onnx, market, fold)
    else:
        _show(preset)


def _export(folder: Path, market: str, fold: str) -> None:
    from trading_pipeline.adapters.onnx import export_onnx
    from trading_pipeline.adapters.terminal import say
    from trading_pipeline.definitions import home_of

    settings = settings_of()
    store = home_of(settings).checkpoints(settings.market(market))
    checkpoint = store.read(fold)
    for file in export_onnx(checkpoint, folder, f"{market}-{fold}"):
        say(f"wrote {file}")


def _show(preset: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from trading_pipeline.core.model.config import ModelConfig, TrainingConfig
    from trading_pipeline.core.model.summary import summary_of

    summary, budget = summary_of(ModelConfig.preset(preset)), TrainingConfig.preset(preset)
    table = Table("box", "in", "out", "parameters", title=f"the network, preset {preset}", box=None)
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
