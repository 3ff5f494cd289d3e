"""Every loss against numbers worked by hand, and against what it must ignore."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.learning import losses
from trading_pipeline.core.model.config import LossWeights

NAN = float("nan")


def table(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_huber_is_square_inside_and_linear_outside():
    """By hand: 0.5² / 2 = 0.125; |3| - 0.5 = 2.5; the missing one counts neither way."""
    loss = losses.huber_loss(table([0.5, 3.0, 9.0]), table([0.0, 0.0, NAN]))
    assert loss.item() == pytest.approx((0.125 + 2.5) / 2)


def test_information_loss_by_hand():
    """Scores 1 2 3 against 1 3 2 correlate by 1/2; against 3 2 1 by -1: the mean is -1/4."""
    score = table([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    target = table([1.0, 3.0, 2.0], [3.0, 2.0, 1.0])
    assert losses.information_loss(score, target, min_symbols=3).item() == pytest.approx(1.25)


def test_information_loss_is_the_correlation_of_the_known_symbols():
    torch.manual_seed(0)
    score, target = torch.randn(4, 12).double(), torch.randn(4, 12).double()
    target[1, 3] = target[2, :3] = NAN
    by_date = []
    for one, other in zip(score, target, strict=True):
        known = ~other.isnan()
        by_date.append(torch.corrcoef(torch.stack([one[known], other[known]]))[0, 1])
    expected = 1 - torch.stack(by_date).mean()
    assert losses.information_loss(score, target).item() == pytest.approx(expected.item())


def test_information_needs_eight_symbols():
    score = torch.randn(3, 8, requires_grad=True)
    target = torch.randn(3, 8)
    assert losses.information_loss(score, target) != 0
    target[:, 0] = NAN
    loss = losses.information_loss(score, target)
    loss.backward()
    assert loss == 0
    assert (score.grad == 0).all()


def test_information_of_constants_is_no_nan():
    score = torch.ones(2, 9, requires_grad=True)
    loss = losses.information_loss(score, torch.randn(2, 9))
    loss.backward()
    assert loss.item() == pytest.approx(1.0)
    assert torch.isfinite(score.grad).all()
    assert losses.information_loss(torch.randn(2, 9), torch.ones(2, 9)) == 0


def test_directions_leave_the_band_or_not():
    target = table([-0.5, -0.3, 0.0, 0.3, 0.5, NAN])
    assert losses.direction_classes(target, 0.43).tolist() == [[0, 1, 1, 1, 2, -1]]
    wide = table([0.43, 0.43, 0.43, 0.2, 0.9, 0.43])  # a band of each, where costs need one
    assert losses.direction_classes(target, wide).tolist() == [[0, 1, 1, 2, 1, -1]]
    assert losses.direction_classes(target[:, :1], table([NAN])).tolist() == [[-1]]


def test_direction_loss_by_hand():
    """Logits log 1, log 2, log 5 are odds of 1, 2, 5 in 8."""
    logits = table([1.0, 2.0, 5.0]).log().expand(1, 3, 3)
    classes = torch.tensor([[0, 2, losses.MISSING]])
    expected = (math.log(8) + math.log(8 / 5)) / 2
    assert losses.direction_loss(logits, classes).item() == pytest.approx(expected)
    even = (math.log(8 / 1) + math.log(8 / 2) + math.log(8 / 5)) / 3
    smoothed = losses.direction_loss(logits, classes, smoothing=0.3).item()
    assert smoothed == pytest.approx(0.7 * expected + 0.3 * even)


def test_net_sharpe_by_hand():
    """Two symbols, σ 0.1 and 0.2, cost 1 %, three dates.

    Weights 10 5 | 10 0 | 0 -5; turned over 15 | 5 | 15.
    Earned 10 × 0.02 + 5 × 0.02 | 10 × -0.01 | -5 × -0.1, less 0.15 | 0.05 | 0.15, halved:
    0.075 | -0.075 | 0.175.
    """
    position = table([1.0, 1.0], [1.0, 0.0], [0.0, -1.0])
    simple = table([0.02, 0.02], [-0.01, 0.3], [0.5, -0.1])
    sigma = table([0.1, 0.2]).expand(3, 2)
    loss = losses.net_sharpe_loss(position, simple.log1p(), sigma, cost=0.01)
    book = [0.075, -0.075, 0.175]
    mean = sum(book) / 3
    spread = math.sqrt(sum((each - mean) ** 2 for each in book) / 3)
    assert loss.item() == pytest.approx(-mean / spread, rel=1e-5)


def test_a_position_that_is_held_already_costs_nothing_to_keep():
    """By hand: from 0.5 to 1 of the first symbol, σ 0.1, only the half is bought; it is 5 units."""
    position, sigma = table([1.0, 1.0], [1.0, 1.0]), table([0.1, 0.2]).expand(2, 2)
    simple = table([0.02, 0.02], [-0.01, 0.03])
    held = torch.tensor([0.5, 1.0], dtype=torch.float64)
    loss = losses.net_sharpe_loss(position, simple.log1p(), sigma, 0.01, held)
    book = torch.tensor([(0.2 + 0.1 - 0.01 * 5) / 2, (-0.1 + 0.15) / 2], dtype=torch.float64)
    assert loss.item() == pytest.approx((-book.mean() / book.std(unbiased=False)).item(), rel=1e-4)


def test_a_missing_return_is_no_zero_return():
    """The symbol leaves the book: as if it had been alone with the others, exit and entry paid."""
    position = torch.full((4, 2), 0.5, dtype=torch.float64)
    returns = table([0.01, 0.02], [0.02, NAN], [-0.01, NAN], [0.01, 0.01])
    sigma = torch.full_like(returns, 0.1)
    loss = losses.net_sharpe_loss(position, returns, sigma, cost=0.0)
    simple = torch.expm1(returns) * 5
    book = torch.stack([simple[0].mean(), simple[1, 0], simple[2, 0], simple[3].mean()])
    assert loss.item() == pytest.approx((-book.mean() / book.std(unbiased=False)).item(), rel=1e-5)


def test_dates_without_returns_are_left_out():
    position = torch.rand(5, 3).double()
    returns = torch.randn(5, 3).double() * 0.01
    sigma = torch.full_like(returns, 0.02)
    whole = losses.net_sharpe_loss(position[:3], returns[:3], sigma[:3], cost=0.001)
    returns[3:] = NAN
    cut = losses.net_sharpe_loss(position, returns, sigma, cost=0.001)
    assert cut.item() == pytest.approx(whole.item())


@pytest.mark.parametrize("known", [0, 1])
def test_fewer_than_two_dates_have_no_sharpe_ratio(known):
    position = torch.rand(3, 4, requires_grad=True)
    returns = torch.full((3, 4), NAN)
    returns[:known] = 0.01
    loss = losses.net_sharpe_loss(position, returns, torch.full((3, 4), 0.02), cost=0.001)
    loss.backward()
    assert loss == 0
    assert (position.grad == 0).all()


def test_a_flat_book_has_a_finite_gradient():
    position = torch.zeros(6, 4, requires_grad=True)
    loss = losses.net_sharpe_loss(
        position, 0.02 * torch.randn(6, 4), torch.full((6, 4), 0.02), cost=0.001
    )
    loss.backward()
    assert loss == 0
    assert torch.isfinite(position.grad).all()
    assert position.grad.abs().sum() > 0  # it can learn to leave


@given(st.floats(0, 0.02), st.floats(1e-4, 0.02), st.integers(0, 99))
def test_costs_lower_the_sharpe_of_a_book_that_is_turned_over(cost, more, seed):
    generator = torch.Generator().manual_seed(seed)
    position = torch.rand(20, 5, generator=generator) * 2 - 1
    returns = 0.01 * torch.randn(20, 5, generator=generator) + 0.04 * position
    sigma = torch.full_like(returns, 0.02)
    cheap = losses.net_sharpe_loss(position, returns, sigma, cost)
    assert losses.net_sharpe_loss(position, returns, sigma, cost + more) > cheap


def test_the_book_puts_equal_risk_on_equal_positions():
    """A symbol twice as volatile, moving twice as much, changes nothing but what trading costs."""
    position = torch.rand(6, 3).double()
    simple = 0.01 * torch.randn(6, 3).double()
    sigma = torch.full_like(simple, 0.02)
    factor = table([1.0, 2.0, 4.0])
    calm = losses.net_sharpe_loss(position, simple.log1p(), sigma, cost=0.0)
    wild = losses.net_sharpe_loss(position, (factor * simple).log1p(), factor * sigma, cost=0.0)
    assert wild.item() == pytest.approx(calm.item())


def test_qlike_by_hand():
    """Realised twice the forecast: a ratio of variances of 4, so 4 - log 4 - 1; a hit costs 0."""
    loss = losses.volatility_loss(table([0.5, 1.5, 7.0]), table([1.0, 1.5, NAN]))
    assert loss.item() == pytest.approx((3 - math.log(4)) / 2)


def test_qlike_is_least_at_the_expected_variance():
    """Half the time variance 1, half the time 3: the best constant forecast is √2."""
    realised = table([1.0, math.sqrt(3.0)])
    forecast = torch.full((1,), 1.0, dtype=torch.float64, requires_grad=True)
    for _ in range(200):
        (gradient,) = torch.autograd.grad(
            losses.volatility_loss(forecast.expand(1, 2), realised), forecast
        )
        forecast = (forecast - 0.3 * gradient).detach().requires_grad_()
    assert forecast.item() == pytest.approx(math.sqrt(2.0), abs=1e-6)


def test_a_symbol_that_did_not_move_is_no_infinity():
    assert torch.isfinite(losses.volatility_loss(table([1.0]), table([0.0])))


def test_risk_loss_by_hand():
    """Odds of 3 to 1: log(4 / 3) when it came, log 4 when not."""
    logit = table([3.0, 3.0, 3.0]).log()
    loss = losses.risk_loss(logit, table([1.0, 0.0, NAN]))
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


def everything(answers, target):
    """All losses of the same answers, for what they must have in common."""
    classes = losses.direction_classes(target, 0.43)
    sigma = torch.full_like(target, 0.02)
    return {
        "price": losses.huber_loss(answers[..., 0], target),
        "information": losses.information_loss(answers[..., 0], target),
        "direction": losses.direction_loss(answers[..., 1:4], classes, 0.1),
        "position": losses.net_sharpe_loss(answers[..., 4].tanh(), 0.01 * target, sigma, 0.001),
        "volatility": losses.volatility_loss(answers[..., 5].exp(), target.abs()),
        "risk": losses.risk_loss(answers[..., 6], (target > 0).where(~target.isnan(), target)),
    }


def test_no_gradient_reaches_an_answer_whose_target_is_missing():
    answers = torch.randn(5, 10, 7, requires_grad=True)
    target = torch.randn(5, 10)
    target[torch.rand(5, 10) < 0.2] = NAN
    known = ~target.isnan()
    total = losses.weighted_sum(everything(answers, target), LossWeights())
    total.backward()
    assert torch.isfinite(total)
    assert (answers.grad[~known] == 0).all()
    assert (answers.grad[known].abs().sum(dim=0) > 0).all()


def test_nothing_known_is_a_loss_of_zero():
    answers = torch.randn(5, 10, 7, requires_grad=True)
    parts = everything(answers, torch.full((5, 10), NAN))
    assert all(part == 0 for part in parts.values())
    losses.weighted_sum(parts, LossWeights()).backward()
    assert (answers.grad == 0).all()


def test_the_sum_is_weighted():
    parts = {name: torch.tensor(1.0) for name in LossWeights().__dict__}
    weights = LossWeights(price=1, information=2, direction=4, position=8, volatility=16, risk=0)
    assert losses.weighted_sum(parts, weights) == 31


def test_a_loss_without_a_weight_is_refused():
    parts = {"price": torch.tensor(1.0)}
    with pytest.raises(ValueError, match=r"'direction'.*are in one only"):
        losses.weighted_sum(parts, LossWeights())
