"""Commands about the network."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import MarketName, known_preset
from trading_pipeline.core.model.config import ModelConfig, TrainingConfig
from trading_pipeline.errors import CheckpointError


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
        str | None,
        typer.Option(help="Of a trained model: the first day of a fold, or best_model."),
    ] = None,
) -> None:
    """Show a network: its boxes, the shapes that pass them, and their weights.

    B is the batch, the windows of all symbols at once. Shapes are those of a real pass. Lay it
    beside the drawing in `core/model/network.py`, which is where to begin reading.

    With --fold it is the trained one of a market's fold, and the terms that it started from are
    listed: what closed form found before training, and how much the encoders' addition counts.

    With --onnx FOLDER a model that was trained is exported, one file for each seed; it takes a
    minute or two, since all 60 bars are unrolled. `best_model` is the one of the nightly job.
    """
    if onnx:
        _export(onnx, market, fold or "best_model")
    elif fold:
        _show_trained(market, fold)
    else:
        _show(ModelConfig.preset(preset), TrainingConfig.preset(preset), f"preset {preset}")


def _checkpoint(market: str, fold: str) -> dict[str, Any]:
    from trading_pipeline.definitions import home_of

    settings = settings_of()
    return home_of(settings).checkpoints(settings.market(market)).read(fold)


def _export(folder: Path, market: str, fold: str) -> None:
    from trading_pipeline.adapters.onnx import export_onnx
    from trading_pipeline.adapters.terminal import say

    for file in export_onnx(_checkpoint(market, fold), folder, f"{market}-{fold}"):
        say(f"wrote {file}")


def _show_trained(market: str, fold: str) -> None:
    from rich.console import Console
    from rich.table import Table

    checkpoint = _checkpoint(market, fold)
    if "rival" in checkpoint:
        name = checkpoint["rival"]["name"]
        raise CheckpointError(f"fold {fold} of {market} is traded by {name}: it has no network")
    model = ModelConfig.from_dict(checkpoint["model"])
    budget = TrainingConfig.from_dict(checkpoint["recipe"]["training"])
    if budget.epochs:  # what they came to on the bars of then
        budget = replace(budget, steps=checkpoint["curves"][0][-1]["step"])
    _show(model, budget, f"{market} {fold}")
    start, console = checkpoint["start"], Console(width=110, highlight=False)
    table = Table("term it started from", "weight", "t", box=None)
    for each in start["terms"]:
        table.add_row(each["term"], f"{each['weight']:+.4f}", f"{each['t']:+.1f}")
    console.print("", table if start["terms"] else "No term stood out before training.")
    console.print(f"What the encoders add counts {start['gain']:.2f}.")


def _show(config: ModelConfig, budget: TrainingConfig, whose: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from trading_pipeline.core.model.summary import summary_of

    summary = summary_of(config)
    table = Table("box", "in", "out", "parameters", title=f"the network, {whose}", box=None)
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
        f"about {budget.windows * budget.blocks:,} windows, "
        f"{seeds} seed{'s'[: seeds != 1]} averaged."
    )


def _shape(sizes: tuple[int, ...]) -> str:
    return f"({', '.join(['B', *map(str, sizes[1:])])})"
