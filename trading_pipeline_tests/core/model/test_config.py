"""Configs are valid once built, and survive being written down."""

import json
from dataclasses import FrozenInstanceError

import pytest

from trading_pipeline.core.model.config import PRESETS, LossWeights, ModelConfig, TrainingConfig


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name):
    model = ModelConfig.preset(name, n_features=41)
    training = TrainingConfig.preset(name, seeds=(3, 7), loss=LossWeights(risk=0.0))
    assert ModelConfig.from_dict(json.loads(json.dumps(model.to_dict()))) == model
    assert TrainingConfig.from_dict(json.loads(json.dumps(training.to_dict()))) == training


def test_presets_carry_the_sizes_and_budgets_that_were_asked_for():
    full, small, tiny = (ModelConfig.preset(name) for name in ("full", "small", "tiny"))
    assert (full.xlstm_width, full.xlstm_layers) == (512, 2)
    assert (full.transformer_width, full.transformer_heads, full.transformer_layers) == (256, 8, 3)
    assert (small.xlstm_width, small.xlstm_layers) == (64, 1)
    assert (small.transformer_width, small.transformer_heads) == (64, 4)
    assert small.transformer_layers == 2
    assert (tiny.xlstm_width, tiny.xlstm_layers) == (32, 1)
    assert (tiny.transformer_width, tiny.transformer_layers) == (32, 1)
    assert all((config.n_features, config.n_steps) == (60, 60) for config in (full, small, tiny))
    assert TrainingConfig.preset("tiny").steps == 60
    small_budget = TrainingConfig.preset("small")
    assert (small_budget.steps, small_budget.windows, small_budget.seeds) == (600, 960, (0,))


def test_a_changed_preset_keeps_the_rest():
    changed = ModelConfig.preset("tiny", n_features=44)
    assert (changed.n_features, changed.xlstm_width) == (44, 32)


def test_configs_are_frozen():
    with pytest.raises(FrozenInstanceError):
        ModelConfig().dropout = 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"xlstm_width": 10}, "xlstm_width 10 is not divisible by 4 heads"),
        ({"transformer_width": 10}, "transformer_width 10 is not divisible by 4 heads"),
        ({"xlstm_width": 4}, "at least 2 channels"),
        ({"n_features": 0}, "n_features must be at least 1, was 0"),
        ({"xlstm_layers": -1}, "xlstm_layers must be at least 1, was -1"),
        ({"conv_kernel": -1}, "conv_kernel must be at least 0, was -1"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), was 1.0"),
        ({"dropout": 1.5}, r"dropout must be in \[0, 1\), was 1.5"),
        ({"dropout": float("nan")}, r"dropout must be in \[0, 1\), was nan"),
        ({"xlstm_heads": 7}, "xlstm_width 64 is not divisible by 7 heads"),
        ({"fusion_heads": 7}, "fusion_width 64 is not divisible by 7 heads"),
        ({"terms": -1}, "terms must be at least 0, was -1"),
        ({"xlstm_heads": 0}, "xlstm_heads must be at least 1, was 0"),
        ({"xlstm_width": False}, "xlstm_width must be a whole number, was False"),
        ({"n_steps": 60.0}, "n_steps must be a whole number, was 60.0"),
        ({"position_state": 1}, "position_state must be true or false, was 1"),
    ],
)
def test_model_config_names_the_bad_size(changes, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, was 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive"),
        ({"steps": 1.5}, "steps must be a whole number, was 1.5"),
        ({"min_dates": 1}, "min_dates must be at least 2, was 1"),
        ({"min_dates": 961}, "min_dates must be in"),
        ({"symbols": -1}, "symbols must be at least 0, was -1"),
        ({"warmup": -1}, "warmup must be at least 0, was -1"),
        ({"weight_decay": -1.0}, "weight_decay must be finite and >= 0, was -1.0"),
        ({"weight_decay": float("nan")}, "weight_decay must be finite and >= 0, was nan"),
        ({"feature_penalty": -1.0}, "feature_penalty must be finite and >= 0, was -1.0"),
        ({"seeds": (0, -1)}, "each of seeds must be at least 0, was -1"),
        ({"seeds": ("0",)}, "each of seeds must be a whole number, was '0'"),
        ({"label_smoothing": 1.0}, "label_smoothing must be in"),
        ({"seeds": ()}, "seeds must be one or more"),
        ({"seeds": (1, 1)}, "each once"),
        ({"blocks": 0}, "blocks must be at least 1"),
        ({"precision": "float16"}, r"one of \('float32', 'bfloat16'\), was 'float16'"),
    ],
)
def test_training_config_names_the_bad_value(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**changes)


def test_loss_weights_refuse_a_negative_weight():
    with pytest.raises(ValueError, match="weight of risk must be finite and >= 0, was -1"):
        LossWeights(risk=-1)
    with pytest.raises(ValueError, match="weight of price must be finite and >= 0, was nan"):
        LossWeights(price=float("nan"))


def test_loss_weights_refuse_to_switch_everything_off():
    with pytest.raises(ValueError, match="nothing to learn"):
        LossWeights(**dict.fromkeys(LossWeights().__dict__, 0.0))


def test_an_unknown_preset_lists_the_known_ones():
    for config in (ModelConfig, TrainingConfig):
        with pytest.raises(ValueError, match=r"one of \('tiny', 'small', 'full'\), was 'huge'"):
            config.preset("huge")


def test_a_config_from_other_code_is_refused():
    """A checkpoint of another version must not be read with defaults silently filled in."""
    plain = ModelConfig().to_dict()
    with pytest.raises(ValueError, match=r"ModelConfig knows no \['depth'\]"):
        ModelConfig.from_dict({**plain, "depth": 3})
    plain.pop("dropout")
    with pytest.raises(ValueError, match=r"ModelConfig lacks \['dropout'\]"):
        ModelConfig.from_dict(plain)
