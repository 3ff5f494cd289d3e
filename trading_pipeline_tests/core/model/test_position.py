"""The notional book: what was asked, what it earned, and no gradient anywhere."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.model.position import (
    FURTHEST,
    LONGEST,
    N_BOOK,
    NotionalBook,
    advance,
)

NAN = float("nan")


def walk(steps):
    """The book of one symbol after (asked, overnight, intraday, sigma) bars."""
    book = NotionalBook.empty(1)
    for step in steps:
        book = advance(book, *(torch.tensor([value], dtype=torch.float32) for value in step))
    return {name: value.item() for name, value in book._asdict().items()}


def test_an_empty_book_is_flat():
    book = NotionalBook.empty(3)
    assert book.features().shape == (3, N_BOOK)
    assert (book.features() == 0).all()


def test_the_old_weight_earns_the_night_and_the_new_one_the_day():
    """By hand, σ 0.01: night 1 is unpaid, day 1 +2σ at 0.5; night 2 +1σ at 0.5, day 2 -3σ at 1."""
    book = walk([(0.5, 0.09, 0.02, 0.01), (1.0, 0.01, -0.03, 0.01)])
    assert book["weight"] == book["asked"] == 1.0
    assert book["equity"] == pytest.approx(0.5 * 2 + 0.5 * 1 - 1.0 * 3)
    assert book["peak"] == pytest.approx(1.0)  # at the first close
    assert book["held"] == 2
    # 3σ so far on half of what is held now, the other half comes in at the open: 1.5σ, then -3σ.
    assert book["unrealised"] == pytest.approx(1.5 - 3)


def test_selling_a_part_keeps_the_average_entry():
    book = walk([(1.0, 0.0, 0.02, 0.01), (0.25, 0.01, 0.0, 0.01)])
    assert book["unrealised"] == pytest.approx(3.0)
    assert book["held"] == 2


def test_turning_the_position_starts_a_new_one():
    book = walk([(1.0, 0.0, 0.02, 0.01), (-0.5, 0.01, 0.03, 0.01)])
    assert book["unrealised"] == pytest.approx(-3.0)  # a short that the day went against
    assert book["held"] == 1
    assert book["equity"] == pytest.approx(2 + 1 - 0.5 * 3)


def test_going_flat_forgets_the_position():
    book = walk([(1.0, 0.0, 0.02, 0.01), (0.0, 0.01, 0.03, 0.01)])
    assert (book["weight"], book["unrealised"], book["held"]) == (0, 0, 0)
    assert book["equity"] == pytest.approx(3.0)


def test_without_an_open_the_order_lapses():
    book = walk([(0.5, 0.0, 0.02, 0.01), (-1.0, NAN, NAN, 0.01)])
    assert (book["weight"], book["asked"]) == (0.5, -1.0)
    assert book["equity"] == pytest.approx(1.0)
    assert book["held"] == 2


@pytest.mark.parametrize("sigma", [NAN, 0.0, math.inf])
def test_without_a_volatility_nothing_is_earned(sigma):
    book = walk([(1.0, 0.02, 0.02, sigma)])
    assert (book["equity"], book["unrealised"], book["held"]) == (0, 0, 1)


def test_an_answer_that_is_missing_holds():
    book = walk([(0.5, 0.0, 0.02, 0.01), (NAN, 0.0, 0.01, 0.01)])
    assert (book["weight"], book["asked"]) == (0.5, 0.5)
    assert book["equity"] == pytest.approx(1.5)


def test_the_book_carries_no_gradient():
    asked = torch.tensor([0.5], requires_grad=True)
    one = torch.tensor([0.01])
    book = advance(NotionalBook.empty(1), asked, one, one, one)
    assert not any(field.requires_grad for field in book)


def test_drawn_books_cover_what_is_served():
    """Flat ones, every weight, positions of a bar and of two years, gains, losses, drawdowns."""
    book = NotionalBook.drawn(20_000, torch.Generator().manual_seed(0))
    flat = book.weight == 0
    assert flat.float().mean() == pytest.approx(0.2, abs=0.02)
    assert (book.held[flat] == 0).all()
    assert (book.unrealised[flat] == 0).all()
    bars = book.held[~flat]
    assert bars.min() == 1
    assert bars.max() == pytest.approx(LONGEST, rel=0.01)
    assert bars.median() == pytest.approx(math.sqrt(LONGEST), rel=0.05)
    assert (book.asked != book.weight).float().mean() == pytest.approx(0.1, abs=0.02)
    assert book.unrealised.std() == pytest.approx(bars.mean().item() ** 0.5, rel=0.15)
    assert book.unrealised.abs().max() <= FURTHEST
    assert (book.peak >= book.equity).all()


def test_a_draw_follows_from_its_generator_alone():
    one, same, other = (
        NotionalBook.drawn(8, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.weight, other.weight)


def test_what_is_served_stays_where_training_has_been():
    """A position that is held for ten years and falls all the time looks like the worst drawn."""
    old = NotionalBook(
        *(torch.tensor([value]) for value in (1.0, 1.0, -900.0, 2520.0, -950.0, 9.0))
    )
    most = math.asinh(FURTHEST)
    expected = [1.0, 1.0, -most, math.log1p(LONGEST), most]
    assert old.features()[0].tolist() == pytest.approx(expected)
    drawn = NotionalBook.drawn(20_000, torch.Generator().manual_seed(0)).features()
    assert drawn.abs().amax(dim=0)[2:].tolist() == pytest.approx(
        [most, expected[3], most], rel=0.15
    )


value = st.one_of(st.floats(-0.5, 0.5, width=16), st.just(NAN))
asks = st.one_of(st.floats(-1, 1, width=32), st.just(NAN))


@given(st.lists(st.tuples(asks, value, value, st.floats(1e-4, 0.2)), min_size=1, max_size=30))
def test_whatever_happens_the_features_are_finite_and_in_range(steps):
    book = NotionalBook.empty(1)
    for step in steps:
        book = advance(book, *(torch.tensor([value], dtype=torch.float32) for value in step))
        assert torch.isfinite(book.features()).all()
        assert -1 <= book.weight.item() <= 1
        assert book.peak >= max(0.0, book.equity.item())
        assert (book.weight != 0) == (book.held > 0)


@given(
    st.lists(st.tuples(asks, value, value), min_size=1, max_size=20), st.sampled_from([4.0, 0.5])
)
def test_the_book_does_not_see_how_volatile_a_symbol_is(steps, factor):
    """Twice the returns at twice the volatility is the same book (powers of two: bit for bit)."""
    calm = walk([(ask, night, day, 0.015625) for ask, night, day in steps])
    wild = walk(
        [(ask, factor * night, factor * day, factor * 0.015625) for ask, night, day in steps]
    )
    assert calm == wild
