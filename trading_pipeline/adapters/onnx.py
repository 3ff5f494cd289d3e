"""ONNX: a checkpoint as files that run without Python or torch.

Needs the extra: pip install 'trading-pipeline[onnx]'.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trading_pipeline.adapters.store.files import replace_file
from trading_pipeline.core.learning.scaling import CLIP, Scaler
from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.heads import Outputs
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline.core.model.position import N_BOOK
from trading_pipeline.errors import CheckpointError

INPUTS = ("features", "book")
OPSET = 20
_CARRIED = ("fingerprint", "catalog_hash", "features", "calibration", "train_end", "last_target")


class _FromRawFeatures(nn.Module):
    """A network with its scaler in front: features as the store has them, missing ones included."""

    center: Tensor
    scale: Tensor

    def __init__(self, network: TradingNetwork, scaler: Scaler) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("center", torch.tensor(scaler.center, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scaler.scale, dtype=torch.float32))

    def forward(self, features: Tensor, book: Tensor) -> tuple[Tensor, ...]:
        """(B, T, F) and (B, S) to the five answers, as `Outputs` names them."""
        scaled = ((features - self.center) / self.scale).clamp(-CLIP, CLIP)
        known = torch.where(features.isnan(), torch.zeros_like(scaled), scaled)
        return tuple(self.network(known, book))


def export_onnx(checkpoint: dict[str, Any], folder: Path, name: str) -> list[Path]:
    """Write `NAME-SEED.onnx` for every seed of a checkpoint; the files.

    Each takes `features` (B, T, F), float32, as the feature store has them (NaN where missing), and
    `book` (B, 5), the notional book's features, for any B; and gives the fields of `Outputs`. What
    a reader needs besides (the columns' names, how the heads become a score, the last bar seen) is
    in the files' metadata.

    Raises:
        CheckpointError: the packages of the extra `onnx` are not installed, or it has no networks.
    """
    if not checkpoint["states"]:
        raise CheckpointError(
            "ONNX is for networks, and this is the checkpoint of a rival of theirs"
        )
    try:
        import onnxscript  # noqa: F401  (torch's exporter needs it, and says so less clearly)
    except ImportError as error:
        raise CheckpointError(
            "ONNX needs packages that are not installed: pip install 'trading-pipeline[onnx]'"
        ) from error
    config = ModelConfig.from_dict(checkpoint["model"])
    scaler = Scaler.from_dict(checkpoint["scaler"])
    written = []
    for seed, state in zip(
        checkpoint["recipe"]["training"]["seeds"], checkpoint["states"], strict=True
    ):
        network = TradingNetwork(config).eval()
        network.load_state_dict(state)
        program = _program(_FromRawFeatures(network, scaler), config)
        for key in _CARRIED:
            program.model.metadata_props[key] = json.dumps(checkpoint[key])
        path = folder / f"{name}-{seed}.onnx"
        replace_file(path, program.save)
        written.append(path)
    return written


def _program(module: nn.Module, config: ModelConfig) -> Any:
    """The graph of a module: the recurrence over the window is unrolled into it."""
    batch = torch.export.Dim("batch", min=1)
    example = torch.zeros(2, config.n_steps, config.n_features), torch.zeros(2, N_BOOK)
    return torch.onnx.export(
        module.eval(),
        example,
        dynamo=True,
        opset_version=OPSET,
        input_names=list(INPUTS),
        output_names=list(Outputs._fields),
        dynamic_shapes={"features": {0: batch}, "book": {0: batch}},
        verbose=False,
    )
