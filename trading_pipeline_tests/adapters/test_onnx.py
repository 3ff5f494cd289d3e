"""An exported network answers what torch answers, from raw features, for any number of symbols."""

import json

import numpy as np
import pytest
import torch

from trading_pipeline.adapters.onnx import export_onnx
from trading_pipeline.core.learning.scaling import Scaler
from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.heads import Outputs
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline.core.model.position import N_BOOK
from trading_pipeline_tests.core.learning.checkpoints import speaking

pytestmark = pytest.mark.slow

CONFIG = ModelConfig.preset("tiny", n_steps=3, n_features=12)  # each bar lengthens the export
SEEDS = (3,)


@pytest.fixture(scope="module")
def checkpoint():
    generator = np.random.default_rng(0)
    scaler = Scaler(generator.normal(size=12), generator.uniform(0.5, 2, 12))
    return {
        "model": CONFIG.to_dict(),
        "recipe": {"training": {"seeds": list(SEEDS)}},
        "states": [speaking(CONFIG, seed).state_dict() for seed in SEEDS],
        "scaler": scaler.to_dict(),
        "fingerprint": "f" * 64,
        "catalog_hash": "c" * 64,
        "features": [f"feature_{n}" for n in range(12)],
        "calibration": {"weight": 0.5, "slope": 0.8},
        "train_end": "2005-12-30T00:00:00+00:00",
        "last_target": "2006-01-31T00:00:00+00:00",
    }


@pytest.fixture(scope="module")
def files(checkpoint, tmp_path_factory):
    pytest.importorskip("onnxscript", reason="the extra `onnx` is not installed")
    return export_onnx(checkpoint, tmp_path_factory.mktemp("onnx"), "2006-01-01")


@pytest.mark.long
def test_the_answers_are_those_of_torch(checkpoint, files):
    """Within 1e-4, also for a single symbol, and with features missing or far out."""
    runtime = pytest.importorskip("onnxruntime")
    generator = np.random.default_rng(1)
    scaler = Scaler.from_dict(checkpoint["scaler"])
    for state, file in zip(checkpoint["states"], files, strict=True):
        network = TradingNetwork(CONFIG).eval()
        network.load_state_dict(state)
        session = runtime.InferenceSession(file)
        assert [each.name for each in session.get_outputs()] == list(Outputs._fields)
        for symbols in (1, 500):
            features = generator.normal(0, 4, (symbols, 3, 12)).astype(np.float32)
            features[0, 1, 5] = np.nan
            features[0, 2, 5] = 1e9
            book = generator.normal(size=(symbols, N_BOOK)).astype(np.float32)
            got = session.run(None, {"features": features, "book": book})
            with torch.inference_mode():
                scaled = torch.from_numpy(scaler.apply(features))
                expected = network(scaled, torch.from_numpy(book))
            for mine, theirs in zip(got, expected, strict=True):
                np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.long
def test_a_file_says_what_it_is_and_what_it_has_seen(checkpoint, files):
    runtime = pytest.importorskip("onnxruntime")
    assert [file.name for file in files] == ["2006-01-01-3.onnx"]
    said = runtime.InferenceSession(files[0]).get_modelmeta().custom_metadata_map
    assert json.loads(said["features"]) == checkpoint["features"]
    assert json.loads(said["last_target"]) == "2006-01-31T00:00:00+00:00"
    assert json.loads(said["calibration"]) == checkpoint["calibration"]
