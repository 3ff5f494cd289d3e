import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from trading_pipeline.core.learning.calibration import heads_on
from trading_pipeline.core.learning.losses import block_loss
from trading_pipeline.core.learning.rivals.rival import Frequencies
from trading_pipeline.core.learning.samples import Samples, block_outputs, encode_dates
from trading_pipeline.core.learning.scaling import Scaler
from trading_pipeline.core.learning.screening import Found
from trading_pipeline.core.learning.targets import make_targets
from trading_pipeline.core.learning.training import (
    Run,
    Start,
    _feature_penalty,
    _seed_of,
    train_network,
)
from trading_pipeline.core.learning.validation import _prices, pearson_information_coefficient
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.core.learning.windows import Block, BlockSampler
from trading_pipeline.core.model.config import LossWeights, ModelConfig
from trading_pipeline.core.model.network import TradingNetwork, threads_for
from trading_pipeline.core.model.position import N_BOOK, NotionalBook, advance
from trading_pipeline.core.model.terms import Term
from trading_pipeline.errors import TrainingError
from trading_pipeline_tests.core.learning.rivals import planted
from trading_pipeline_tests.core.learning.sample_market import dataset, recipe, short_fold

MODEL = replace(recipe().model, position_state=True)  # so that what is done to books is seen


@pytest.fixture(scope="module")
def samples():
    data = dataset()
    targets = make_targets(data.panel, data.sigma, data.eligible, 21)
    return Samples.of(data, targets, Scaler.fit(data.grid[: short_fold().train.last]))


@pytest.fixture(scope="module")
def block():
    return Block(slice(900, 916), np.arange(4))


@pytest.mark.slow
def test_a_network_can_learn_one_block_by_heart(samples, block):
    """All five losses together fall, so every head has a gradient that helps."""
    network = TradingNetwork(MODEL)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses, alike = [], replace(recipe().training, loss=LossWeights(position=1.0, direction=1.0))
    with threads_for(network.config):
        for _ in range(25):
            network.eval()  # without dropout the loss is a function of the weights alone
            outputs = block_outputs(network, samples, block)
            loss = block_loss(outputs, partial(samples.of_block, block=block), alike, 0.001)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.5


def test_what_is_unknown_has_no_gradient(samples, block):
    """A target that is not known must not be learned as zero."""
    holed = Samples(**{**vars(samples), "usable": samples.usable.copy()})
    holed.usable[900:916, 1] = False
    outputs = block_outputs(TradingNetwork(MODEL).eval(), holed, block)
    for each in outputs:
        each.retain_grad()
    block_loss(outputs, partial(holed.of_block, block=block), recipe().training, 0.001).backward()
    for each in (outputs.price, outputs.direction_logits, outputs.volatility, outputs.risk_logit):
        assert each.grad[:, 1].abs().sum() == 0
        assert each.grad[:, 0].abs().sum() > 0


def test_a_number_that_is_not_one_names_batch_and_feature(samples):
    """Where the training broke, and the bars to look at first."""
    broken = Samples(**{**vars(samples), "grid": samples.grid.clone()})
    place = samples.features.index("rsi_14")
    broken.grid[:, 2, place] = float("nan")
    with pytest.raises(TrainingError) as error:
        train_network(broken, short_fold(), MODEL, recipe().training, 0.001, seed=0)
    assert "seed 0, step 1: the loss became nan" in str(error.value)
    assert "feature rsi_14 of MSFT at 200" in str(error.value)
    assert "nan standard deviations" in str(error.value)


def test_a_training_that_diverges_is_stopped(samples):
    """Weights that grow without bound make an infinite loss or gradient, not a checkpoint."""
    wild = recipe(steps=40, learning_rate=1e30, warmup=0).training
    with pytest.raises(TrainingError, match="lower the learning rate"):
        train_network(samples, short_fold(), MODEL, wild, 0.001, seed=0)


def test_weights_that_blow_up_in_the_last_step_are_no_checkpoint(samples):
    """No later loss would tell: what validation hears does."""
    wild = recipe(steps=1, learning_rate=1e30, warmup=0).training
    with pytest.raises(TrainingError, match=r"answers nan for .* a date of validation"):
        train_network(samples, short_fold(), MODEL, wild, 0.001, seed=0)


class Killed(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("died_at", [6, *(pytest.param(k, marks=pytest.mark.slow) for k in (3, 9))])
@pytest.mark.sampled(3)
def test_a_training_that_was_killed_ends_with_the_same_weights(samples, died_at):
    """Bit for bit those of a run that nobody disturbed, and the same curve."""
    budget = recipe(steps=12).training
    whole, curve = train_network(samples, short_fold(), MODEL, budget, 0.001, seed=5)
    kept = {}

    def save(run):
        kept.update(copy.deepcopy(run))
        if run["step"] == died_at:
            raise Killed

    with pytest.raises(Killed):
        train_network(samples, short_fold(), MODEL, budget, 0.001, seed=5, save=save)
    steps = []
    again, same = train_network(
        samples,
        short_fold(),
        MODEL,
        budget,
        0.001,
        seed=5,
        saved=kept,
        on_step=lambda done, *_: steps.append(done),
    )
    assert steps[0] == died_at + 1
    assert same == curve
    assert all(
        torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True)
    )


@pytest.mark.slow
def test_a_run_fits_into_a_file_of_plain_types(samples, tmp_path):
    """torch's safe loader takes nothing else."""
    runs = []
    train_network(samples, short_fold(), MODEL, recipe().training, 0.001, 0, save=runs.append)
    torch.save(runs[-1], tmp_path / "run.pt")
    assert torch.load(tmp_path / "run.pt", weights_only=True)["step"] == 6


@pytest.mark.long
@pytest.mark.slow
def test_nothing_is_chosen_by_what_validation_says(samples, monkeypatch):
    """Its error is as large as what it could choose by: the budget alone ends a training."""
    said = iter([0.3, *[0.2, 0.1] * 20])
    place = "trading_pipeline.core.learning.validation.pearson_information_coefficient"
    budget = recipe(steps=6, evaluate_every=1).training
    whole, _ = train_network(samples, short_fold(), MODEL, budget, 0.001, 0)
    monkeypatch.setattr(place, lambda *_: next(said))
    same, looks = train_network(samples, short_fold(), MODEL, budget, 0.001, 0)
    assert [look.information for look in looks] == [0.3, 0.2, 0.1, 0.2, 0.1, 0.2]
    assert all(
        torch.equal(a, b) for a, b in zip(whole.parameters(), same.parameters(), strict=True)
    )


def test_a_training_starts_at_what_is_known(samples):
    """Terms, and how often things came true: before the first step the heads say no more."""
    found = Found([Term(0, 3), Term(2, 1, 5, 4)], torch.tensor([0.5, -0.25]), [5.0, 7.0])
    start = Start(found, Frequencies((0.2, 0.5, 0.3), 0.02), volatility=0.9)
    network = Run(MODEL, recipe().training, 0, torch.device("cpu"), start).network.eval()
    with torch.no_grad():
        for head in ("direction", "risk", "volatility"):
            getattr(network.answers, head).weight.zero_()
        x = torch.zeros(1, 60, 60)
        x[0, -1, 3], x[0, -3, 1], x[0, -6, 4] = 2.0, 1.5, -1.0
        silent = network(torch.zeros(1, 60, 60), torch.zeros(1, N_BOOK))
        told = network(x, torch.zeros(1, N_BOOK))
    assert told.price.item() == pytest.approx(0.5 * 2 + 0.25 * 1.5)
    assert silent.price.item() == 0
    assert silent.direction_logits.softmax(dim=1)[0].tolist() == pytest.approx([0.2, 0.5, 0.3])
    assert silent.risk_logit.sigmoid().item() == pytest.approx(0.02, rel=1e-4)
    assert silent.volatility.item() == pytest.approx(0.9, rel=0.01)


def test_the_start_is_taken_from_the_training_rows_alone():
    """Nothing that validation or later bars hold moves any of it."""
    config = replace(MODEL, n_features=3, n_steps=45)
    starts = []
    for later in (False, True):
        known = planted.samples()
        if later:
            for name in ("grid", "price", "direction", "next_residual", "volatility", "risk"):
                getattr(known, name)[planted.FOLD.train.last + 1 :] = 1
        starts.append(Start.of(known, planted.FOLD, config, horizon=1))
    one, other = starts
    assert one.found.terms[0] == Term(0, 0)
    assert one.found.t[0] > 10
    assert one[1:] == other[1:]
    assert one.found.terms == other.found.terms
    assert torch.equal(one.found.weights, other.found.weights)


def test_what_a_training_starts_from_does_not_decay():
    """Without a gradient biases, norms and ages stay as they are, and matrices shrink."""
    run = Run(replace(MODEL, position_state=False), recipe().training, 0, torch.device("cpu"))
    before = {name: each.clone() for name, each in run.network.named_parameters()}
    for each in run.network.parameters():
        each.grad = torch.zeros_like(each)
    run.optimizer.step()
    moved = {
        name for name, each in run.network.named_parameters() if not torch.equal(each, before[name])
    }
    assert {"answers.trunk.weight", "xlstm.input.weight"} <= moved
    kept = {"answers.risk.bias", "answers.takes", "temporal_fusion.age", "xlstm.norm.weight"}
    assert not kept & moved


def test_every_feature_is_penalised_as_one_group():
    """By the sum of the norms of what each encoder takes of it, more with every step."""
    run = Run(MODEL, recipe(steps=4, feature_penalty=0.5).training, 0, torch.device("cpu"))
    inputs = run.network.xlstm.input.weight, run.network.transformer.input.weight
    norms = sum(float(weight.detach()[:, k].norm()) for weight in inputs for k in range(60))
    for step in (1, 4):
        run.step = step
        penalty = float(_feature_penalty(run).detach())
        assert penalty == pytest.approx(step / 4 * 0.5 * norms, rel=1e-5)


@pytest.mark.slow
def test_the_penalty_shrinks_what_encoders_take_and_is_no_part_of_the_loss_of_a_step(samples):
    """Once for a step, however many blocks it has."""
    taken, losses = [], []
    for penalty, blocks in ((0.0, 1), (50.0, 1), (50.0, 2)):
        budget = recipe(steps=1, warmup=0, blocks=blocks, feature_penalty=penalty).training
        network, looks = train_network(samples, short_fold(), MODEL, budget, 0.001, seed=0)
        taken.append(float(network.xlstm.input.weight.detach().norm()))
        losses.append(looks[0].loss)
    assert taken[1] < taken[0]
    assert taken[2] == pytest.approx(taken[1], rel=1e-4)
    assert losses[0] == losses[1]


def test_information_is_per_date_across_eight_symbols_and_pooled_below():
    score = np.tile(np.arange(8.0), (2, 1))
    target = np.vstack([np.arange(8.0), -np.arange(8.0)])
    assert pearson_information_coefficient(score, target) == pytest.approx(0.0)
    assert pearson_information_coefficient(score[:1], target[:1]) == pytest.approx(1.0)
    few, shifted = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[2.0, 4.0], [6.0, 8.0]])
    assert pearson_information_coefficient(few, shifted) == pytest.approx(1.0)
    assert pearson_information_coefficient(few, np.full((2, 2), np.nan)) == 0.0


@pytest.mark.slow
def test_blocks_start_from_books_and_not_flat(samples, monkeypatch):
    """Those of a step are the same whatever was drawn before, and no other step's."""
    true, seen = NotionalBook.drawn, []

    def drawn(n, generator):
        seen.append(true(n, generator))
        return seen[-1]

    monkeypatch.setattr(NotionalBook, "drawn", drawn)
    budget = recipe(steps=3).training
    for _ in range(2):
        train_network(samples, short_fold(), MODEL, budget, 0.001, seed=0)
        torch.rand(5)
    weights = [book.weight for book in seen]
    assert all(weight.any() for weight in weights)
    assert all(torch.equal(weights[n], weights[n + 3]) for n in range(3))
    assert not torch.equal(weights[0], weights[1])


def test_a_symbol_that_cannot_be_traded_is_not_held_in_training(samples, block):
    """As predictions are made: what is asked for it is nothing, and its book is flat a bar on."""
    holed = Samples(**{**vars(samples), "usable": samples.usable.copy()})
    holed.usable[900:910, 1] = False
    network, seen = TradingNetwork(MODEL).eval(), []
    network.heads = lambda z, book: (seen.append(book), TradingNetwork.heads(network, z, book))[1]
    with torch.inference_mode():
        block_outputs(network, holed, block)
    weights = torch.stack(seen)[:, :, 0]
    assert (weights[1:11, 1] == 0).all()
    assert (weights[11:, 1] != 0).all()
    assert (weights[1:, 0] != 0).all()


def test_validation_looks_at_books_as_they_are_when_predictions_are_made(samples):
    """On every date those of a walk; on some, what was asked at the last one through every bar."""
    network = TradingNetwork(MODEL).eval()
    dates = np.arange(900, 940)
    with torch.inference_mode(), threads_for(network.config):
        price, *_ = heads_on([network], samples, Rows(900, 939))
        np.testing.assert_array_equal(_prices(network, samples, dates).double().numpy(), price)
        sparse = _prices(network, samples, np.array([900, 939]))
        encoded = encode_dates(network, samples, np.array([900, 939]))
        book = NotionalBook.empty(4)
        asked = network.heads(encoded[0], book.features()).position
        for row in range(901, 940):
            moves = samples.overnight[row], samples.intraday[row], samples.sigma[row - 1]
            book = advance(book, asked, *moves)
        naive = network.heads(encoded[1], book.features()).price
    listed = slice(0, 3)  # GOOG is not yet
    assert (book.held[listed] == 39).all()
    torch.testing.assert_close(sparse[1, listed], naive[listed])


def test_thread_counts_are_given_back():
    before = torch.get_num_threads()
    with threads_for(ModelConfig.preset("tiny")):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_the_loss_of_a_step_is_the_mean_over_its_blocks(samples):
    """Two blocks in one step move the weights by the mean of what each of them asks for."""
    seen = []
    for blocks in (1, 2):
        budget = recipe(steps=1, blocks=blocks, evaluate_every=1).training
        _, looks = train_network(samples, short_fold(), MODEL, budget, 0.001, seed=0)
        seen.append(looks[0].loss)
    sampler = BlockSampler(samples.usable, short_fold().train, 960, 8)
    network = TradingNetwork(MODEL, seed=0).train()
    alone = []
    for place in (0, 1):
        key, block = _seed_of(0, 1, place), sampler.block(0, 1, place)
        book = NotionalBook.drawn(len(block.symbols), torch.Generator().manual_seed(key))
        torch.manual_seed(key)
        with threads_for(network.config):
            outputs = block_outputs(network, samples, block, book=book)
        alone.append(
            block_loss(
                outputs,
                partial(samples.of_block, block=block),
                recipe().training,
                0.001,
                book.weight if MODEL.position_state else None,
            ).item()
        )
    assert seen == pytest.approx([alone[0], np.mean(alone)], rel=1e-6)


class OneOfTwo:
    """A rank that hears nothing of the other: its gradients are those of its own blocks."""

    count = 2

    def __init__(self, rank):
        self.rank, self.seen = rank, None

    def sum(self, tensors):
        self.seen = [each.clone() for each in tensors]


@pytest.mark.slow
def test_ranks_share_whole_blocks_and_their_sum_is_the_step_of_one(samples):
    """Loss and gradients of two ranks add up to those of a process that takes both blocks."""
    budget = recipe(steps=1, blocks=2, evaluate_every=1).training
    ranks = [OneOfTwo(0), OneOfTwo(1), OneOfTwo(0)]
    ranks[2].count = 1
    for each in ranks:
        train_network(samples, short_fold(), MODEL, budget, 0.001, seed=0, ranks=each)
    first, second, alone = (each.seen for each in ranks)
    assert any(not torch.equal(one, other) for one, other in zip(first, second, strict=True))
    for one, other, both in zip(first, second, alone, strict=True):
        torch.testing.assert_close(one + other, both, rtol=1e-5, atol=1e-7)


class SecondOfTwo:
    """A rank that hears of the first one's network, and of nothing else."""

    rank, count = 1, 2

    def __init__(self, first):
        self.first = list(first.state_dict().values())

    def sum(self, tensors):
        for each, other in zip(tensors, self.first, strict=False):
            each += other
        self.first = []


def test_every_rank_starts_as_the_first_one_does(samples):
    """Closed form may end in other bits on another processor, and terms share no gradients."""
    found = [Found([Term(2, 1)], torch.tensor([weight]), [5.0]) for weight in (0.3, 0.3001)]
    ours, others = (Start(each, Frequencies((0.3, 0.4, 0.3), 0.1), 1.0) for each in found)
    first = Run(MODEL, recipe().training, 0, samples.grid.device, ours).network
    budget = recipe(steps=1, blocks=2, evaluate_every=1).training
    network, _ = train_network(
        samples, short_fold(), MODEL, budget, 0.001, 0, others, ranks=SecondOfTwo(first)
    )
    assert torch.equal(network.terms.weight, first.terms.weight)


def test_more_ranks_than_blocks_are_refused(samples):
    with pytest.raises(TrainingError, match="2 processes cannot share 1 blocks"):
        train_network(samples, short_fold(), MODEL, recipe().training, 0.001, 0, ranks=OneOfTwo(0))


def test_half_precision_stays_near_the_whole_one(samples, block):
    """Encoders multiply in bfloat16, which has 8 bits; memories, heads and losses keep float32."""
    network = TradingNetwork(MODEL).eval()
    whole = block_outputs(network, samples, block)
    half = block_outputs(network, samples, block, "bfloat16")
    assert half.price.dtype == torch.float32
    for one, other in zip(whole, half, strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.05)
    assert not torch.equal(whole.volatility, half.volatility)


def test_a_large_block_has_the_gradient_of_a_small_one(samples, block, monkeypatch):
    """Encoded in parts that are forgotten and encoded again, dropout included."""
    gradients = []
    for at_once in (512, 10):
        monkeypatch.setattr("trading_pipeline.core.learning.samples.ENCODED_AT_ONCE", at_once)
        network = TradingNetwork(replace(MODEL, dropout=0.0), seed=0).train()
        outputs = block_outputs(network, samples, block)
        block_loss(
            outputs, partial(samples.of_block, block=block), recipe().training, 0.001
        ).backward()
        gradients.append([each.grad for each in network.parameters() if each.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_large_block_drops_the_same_twice(samples, block, monkeypatch):
    """A part that is encoded again meets the dropout of the first time: the gradient is that of
    parts which were kept."""
    place = "trading_pipeline.core.learning.samples"
    monkeypatch.setattr(f"{place}.ENCODED_AT_ONCE", 10)

    def gradients():
        network = TradingNetwork(MODEL, seed=0).train()
        torch.manual_seed(3)
        outputs = block_outputs(network, samples, block)
        block_loss(
            outputs, partial(samples.of_block, block=block), recipe().training, 0.001
        ).backward()
        return [each.grad for each in network.parameters() if each.grad is not None]

    forgotten = gradients()
    monkeypatch.setattr(f"{place}.checkpoint", lambda encode, part, use_reentrant: encode(part))
    for one, other in zip(forgotten, gradients(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_half_precision_trains(samples):
    budget = recipe(precision="bfloat16").training
    _, looks = train_network(samples, short_fold(), MODEL, budget, 0.001, seed=0)
    assert all(np.isfinite(look.loss) for look in looks)
