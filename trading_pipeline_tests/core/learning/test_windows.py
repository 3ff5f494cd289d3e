import numpy as np
import pytest
import torch

from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.core.learning.windows import (
    MOST_DATES,
    Block,
    BlockSampler,
    stretches_of,
    windows_of,
)
from trading_pipeline.errors import TrainingError


def test_a_window_ends_on_its_decision():
    grid = torch.arange(10.0)[:, None, None] + torch.tensor([0.0, 100.0])[None, :, None]
    windows = windows_of(grid, slice(5, 7), np.array([1]), steps=3)
    assert windows.shape == (2, 1, 3, 1)
    assert windows[:, 0, :, 0].tolist() == [[103, 104, 105], [104, 105, 106]]


def sampler(usable, rows, windows=64):
    return BlockSampler(usable, rows, windows)


def test_blocks_stay_inside_the_training_rows():
    usable, rows = np.ones((300, 4), bool), Rows(50, 120)
    blocks = sampler(usable, rows)
    for step in range(200):
        block = blocks.block(0, step)
        assert block.dates.start >= rows.first
        assert block.dates.stop - 1 <= rows.last
    assert (blocks.length, blocks.width) == (16, 4)


def test_a_block_is_eight_dates_of_the_whole_cross_section():
    """However large: the Sharpe ratio of a part of a book is not that of the book."""
    blocks = sampler(np.ones((300, 100), bool), Rows(50, 290))
    block = blocks.block(0, 1)
    assert block.dates.stop - block.dates.start == 8
    assert block.symbols.tolist() == list(range(100))


def test_a_symbol_that_is_present_at_any_date_of_a_block_is_in_it():
    usable = np.ones((300, 20), bool)
    usable[:, 3] = False
    usable[::4, 5] = False
    block = sampler(usable, Rows(50, 290)).block(0, 1)
    assert block.symbols.tolist() == [n for n in range(20) if n != 3]


def test_a_cap_gives_a_part_of_a_large_market_and_all_of_a_small_one():
    """Another part for every block, so that each symbol is learned from."""
    rows = Rows(50, 290)
    capped = BlockSampler(np.ones((300, 100), bool), rows, 64, symbols=16)
    drawn = [capped.block(0, step) for step in range(60)]
    assert {len(set(block.symbols.tolist())) for block in drawn} == {16}
    assert {block.dates.stop - block.dates.start for block in drawn} == {8}
    assert len({n for block in drawn for n in block.symbols.tolist()}) == 100
    small = BlockSampler(np.ones((300, 10), bool), rows, 64, symbols=16).block(0, 1)
    assert small.symbols.tolist() == list(range(10))


def test_a_key_has_one_block_whatever_was_drawn_before():
    """A training that goes on after a kill must see the blocks that it would have seen."""
    usable = np.ones((300, 20), bool)
    one, other = sampler(usable, Rows(0, 200)), sampler(usable, Rows(0, 200))
    drawn = [one.block(3, step) for step in range(20)]
    for step in (19, 7, 0):
        again = other.block(3, step)
        assert again.dates == drawn[step].dates
        assert (again.symbols == drawn[step].symbols).all()
    assert len({block.dates.start for block in drawn}) > 10
    assert one.block(4, 7).dates != drawn[7].dates


def test_few_symbols_make_no_endless_stretches():
    blocks = BlockSampler(np.ones((900, 4), bool), Rows(50, 890), 1920)
    assert blocks.length == MOST_DATES


def test_a_stretch_holds_the_bars_of_every_window_of_its_block():
    grid = torch.arange(80.0).reshape(20, 2, 2)
    block = Block(slice(8, 12), np.array([1]))
    stretch, windows = stretches_of(grid, block, 5), windows_of(grid, block.dates, block.symbols, 5)
    assert stretch.shape == (1, 8, 2)
    for date in range(4):
        assert torch.equal(stretch[0, date : date + 5], windows[date, 0])


def test_nothing_to_learn_from_is_an_error():
    with pytest.raises(TrainingError, match="training window is empty"):
        sampler(np.zeros((300, 4), bool), Rows(50, 120))
