"""What every broker promises: an order at most once, every execution once, whatever the venue does.

Each test runs against every broker, the real client of a loopback venue that keeps books of its
own; the venue's books are the truth that the broker is held against.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.errors import (
    CredentialsError,
    OutcomeUnknown,
    Rejected,
    SourceError,
    SourceUnavailable,
)
from trading_pipeline_tests.adapters.brokers.desks import DESKS
from trading_pipeline_tests.fakes.books import Booked
from trading_pipeline_tests.fakes.venue import ANSWER_FAULTS, FOREVER, HTML, Fault, refusal

# What a venue may do to an order, and whether it has it afterwards.
ORDER_FAULTS = {
    "a time-out, and it has the order": (Fault(mute=True), True),
    "a cut connection, and it has the order": (Fault(cut=0.0), True),
    "half of an answer, and it has the order": (Fault(cut=0.5), True),
    "a time-out, and it has not": (Fault(silent=True), False),
    "500, and it has not": (refusal(500), False),
    "503, and it has not": (refusal(503), False),
    "a page of HTML": (Fault(answer=HTML), False),
}


@pytest.fixture(params=list(DESKS))
def desk(request):
    with DESKS[request.param]() as made:
        yield made


@pytest.fixture
def broker(desk):
    return desk.connect()


def test_an_order_is_new_and_can_be_asked_for(desk, broker):
    order = desk.order()
    assert broker.order(order.client_order_id) is None
    state = broker.submit(order)
    assert state.client_order_id == order.client_order_id
    assert (state.status, state.filled_quantity) == ("new", 0.0)
    assert broker.order(order.client_order_id) == state
    assert broker.open_orders() == [state]
    there = desk.there(order)
    assert (there.symbol, there.side, there.quantity) == (order.symbol, 1, order.quantity)


@pytest.mark.parametrize("then", ["rests", "filled", "canceled"])
@pytest.mark.parametrize("restarted", [False, True])
def test_the_same_order_is_sent_once(desk, broker, then, restarted):
    """The decision is made again after a crash; whatever has become of the order by then."""
    order = desk.order()
    broker.submit(order)
    if then == "filled":
        desk.books.fill(desk.there(order))
    elif then == "canceled":
        broker.cancel(order.client_order_id)
    broker = desk.connect() if restarted else broker
    state = broker.submit(order)
    assert state == broker.order(order.client_order_id)
    assert state.status == {"rests": "new"}.get(then, then)
    assert desk.placed() == 1


def waited_for(case, fault):
    """A case, slow where the broker is given its time to answer."""
    return pytest.param(case, marks=[pytest.mark.slow] if fault.silent or fault.mute else [])


@pytest.mark.parametrize("name", [waited_for(each, ORDER_FAULTS[each][0]) for each in ORDER_FAULTS])
def test_an_order_of_unknown_outcome_is_asked_for_and_not_sent_again(desk, broker, name):
    """What it says is what the venue has: a state if it has the order, else that nobody knows."""
    fault, arrives = ORDER_FAULTS[name]
    order = desk.order()
    desk.venue.misbehave(fault, method="POST")
    if arrives:
        assert broker.submit(order).status == "new"
    else:
        with pytest.raises(OutcomeUnknown, match="may have been done"):
            broker.submit(order)
        assert broker.order(order.client_order_id) is None
    assert len(posts(desk)) == 1
    assert broker.submit(order).status == "new"
    assert desk.placed() == 1


def posts(desk):
    return [each for each in desk.venue.requests if each.method == "POST"]


@pytest.mark.slow
def test_an_order_that_cannot_be_asked_for_either_stays_unknown(desk, broker):
    """The venue is gone for good: the session must not believe that nothing was done."""
    order = desk.order()
    assert broker.order(order.client_order_id) is None
    desk.venue.misbehave(Fault(mute=True), method="POST")
    desk.venue.misbehave(refusal(500), FOREVER, after=1, method="GET")  # after it was sent
    with pytest.raises(OutcomeUnknown, match="nor can it be asked"):
        broker.submit(order)
    desk.venue.behave()
    assert broker.submit(order).status == "new"
    assert desk.placed() == 1


def test_an_order_is_sent_again_where_the_venue_was_asked_too_often(desk, broker):
    """429 says that it has not looked at it; it wants a pause."""
    desk.venue.misbehave(refusal(429, retry_after=3), 2, method="POST")
    assert broker.submit(desk.order()).status == "new"
    assert len(posts(desk)) == 3
    assert desk.placed() == 1


def test_a_venue_that_wants_no_order_for_ever_has_none(desk, broker):
    desk.venue.misbehave(refusal(429, retry_after=3600), FOREVER, method="POST")
    with pytest.raises(SourceUnavailable, match="nothing was done"):
        broker.submit(desk.order())
    assert desk.placed() == 0


def test_partial_and_late_fills_come_each_once_and_oldest_first(desk, broker):
    """The account asks after what it has booked; whoever asks from the start gets all again."""
    one, two = desk.order(0, units=6), desk.order(0, symbol=1)
    for order in (one, two):
        broker.submit(order)
    assert broker.executions(None) == []
    desk.books.fill(desk.there(one), 2 * desk.unit)
    first = broker.executions(None)
    assert broker.order(one.client_order_id).status == "partially_filled"
    assert broker.order(one.client_order_id).filled_quantity == pytest.approx(2 * desk.unit)
    desk.books.fill(desk.there(two))
    desk.books.pass_time(3600)
    desk.books.fill(desk.there(one))
    rest = broker.executions(first[-1].execution_id)
    assert [each.client_order_id for each in first + rest] == [
        one.client_order_id, two.client_order_id, one.client_order_id,
    ]  # fmt: skip
    assert [each.quantity / desk.unit for each in first + rest] == pytest.approx([2, 3, 4])
    assert desk.connect().executions(None) == first + rest
    assert broker.executions(rest[-1].execution_id) == []
    assert broker.order(one.client_order_id).status == "filled"
    assert broker.open_orders() == []
    assert [each.filled_at for each in first + rest] == [each.at for each in desk.books.trades]
    check_books(desk, broker, first + rest)


def check_books(desk, broker, executions, cash=100_000.0):
    """What executions add up to is what the venue has, and what the broker says it has."""
    held = dict.fromkeys(desk.symbols, 0.0)
    for each in executions:
        held[each.symbol] += each.quantity
        cash -= each.quantity * each.price + each.fee
    held = {symbol: each for symbol, each in held.items() if abs(each) > 1e-12}
    assert held == pytest.approx(desk.books.positions)
    assert broker.positions() == pytest.approx(desk.books.positions)
    assert cash == pytest.approx(desk.books.cash)
    assert broker.cash() == pytest.approx(desk.books.cash)


@pytest.mark.slow
def test_many_executions_come_page_by_page(desk, broker):
    """More than a page of either venue, also from the middle on, and from just before its end."""
    orders = [desk.order(0, units=700), desk.order(0, symbol=1, units=700)]
    for order in orders:
        desk.books.cash = 1e9
        broker.submit(order)
    count = desk.venue.page + 110
    for number in range(count):
        desk.books.fill(desk.there(orders[number % 11 == 0]), desk.unit / 4)
    told = broker.executions(None)
    assert len({each.execution_id for each in told}) == len(told) == count
    assert [each.filled_at for each in told] == [each.at for each in desk.books.trades]
    for place in (0, 99, 100, count - 2):
        assert broker.executions(told[place].execution_id) == told[place + 1 :]


def test_executions_of_others_have_the_names_of_the_venue(desk, broker):
    """Somebody trades by hand in the same account: it is seen, and is none of ours."""
    desk.books.fill(desk.books.accept(Booked("by-hand", desk.symbols[0], 1, 2 * desk.unit)))
    rests = desk.books.accept(Booked("by-hand-2", desk.symbols[0], 1, desk.unit))
    (told,) = broker.executions(None)
    assert (told.client_order_id, told.symbol) == ("by-hand", desk.symbols[0])
    (state,) = broker.open_orders()
    assert (state.client_order_id, state.status) == (rests.client_id, "new")


@pytest.mark.parametrize("filled", [0, 1, 3])
def test_a_canceled_order_says_how_much_of_it_was_filled(desk, broker, filled):
    """To cancel what is over does no harm, and neither does to cancel twice."""
    order = desk.order()
    broker.submit(order)
    if filled:
        desk.books.fill(desk.there(order), filled * desk.unit)
    for _ in range(2):
        state = broker.cancel(order.client_order_id)
        assert state.status == ("filled" if filled == 3 else "canceled")
        assert state.filled_quantity == pytest.approx(filled * desk.unit)
    assert broker.open_orders() == []


def test_an_order_that_the_venue_does_not_have_cannot_be_canceled(desk, broker):
    with pytest.raises(Rejected, match="no order"):
        broker.cancel(desk.order().client_order_id)


@pytest.mark.parametrize(
    "fault",
    [waited_for(each, each) for each in (Fault(silent=True), Fault(mute=True), refusal(500))],
)
def test_a_cancel_of_unknown_outcome_may_be_sent_again(desk, broker, fault):
    order = desk.order()
    broker.submit(order)
    desk.venue.misbehave(fault, method="DELETE")
    with pytest.raises(OutcomeUnknown):
        broker.cancel(order.client_order_id)
    assert broker.cancel(order.client_order_id).status == "canceled"


@pytest.mark.parametrize("how", ["money", "symbol"])
def test_an_order_that_the_venue_refuses_is_rejected_with_its_words(desk, broker, how):
    order = desk.order(units=1e5)
    if how == "symbol":
        del desk.books.prices[order.symbol]
    with pytest.raises(Rejected, match=r"insufficient|not found|nvalid symbol"):
        broker.submit(order)
    assert broker.order(order.client_order_id) is None
    assert desk.placed() == 0


@pytest.mark.parametrize("status", ["rejected", "expired", "canceled"])
def test_what_ends_later_is_over(desk, broker, status):
    """The venue takes an order and refuses it afterwards, or its time is over."""
    order = desk.order()
    broker.submit(order)
    desk.books.fill(desk.there(order), desk.unit)
    desk.books.end(desk.there(order), status)
    state = broker.order(order.client_order_id)
    assert state.status == status
    assert state.filled_quantity == pytest.approx(desk.unit)
    assert broker.open_orders() == []


@pytest.mark.parametrize("fault", list(ANSWER_FAULTS))
def test_questions_are_answered_after_any_fault(desk, broker, fault):
    order = desk.order()
    broker.submit(order)
    desk.books.fill(desk.there(order), desk.unit)
    ANSWER_FAULTS[fault](desk.venue)
    executions = broker.executions(None)
    check_books(desk, broker, executions)
    assert len(executions) == 1
    assert len(broker.open_orders()) == 1


def test_a_venue_that_never_answers_is_an_error_and_no_empty_answer(desk, broker):
    """No positions, or no executions, would be believed."""
    broker.cash()
    desk.venue.misbehave(refusal(500), FOREVER)
    for ask in (broker.cash, broker.positions, broker.open_orders, lambda: broker.executions(None),
                lambda: broker.order(desk.order().client_order_id)):  # fmt: skip
        with pytest.raises(SourceUnavailable):
            ask()


@pytest.mark.parametrize("payload", [{}, [], [1], {"message": "hello"}, None, "", 7])
def test_an_answer_that_makes_no_sense_is_an_error(desk, broker, payload):
    broker.cash()
    desk.venue.misbehave(Fault(answer=refusal(200, payload=[payload]).answer), FOREVER)
    for ask in (broker.cash, broker.positions, lambda: broker.executions(None)):
        with pytest.raises((SourceError, Rejected)):
            ask()


def test_keys_that_are_refused_are_named_and_never_told(desk):
    """Nor is what holds them chained to the error, where a log would print it."""
    from pydantic import SecretStr

    wrong = SecretStr("W" * 20)
    broker = desk.connect(key=wrong)
    for call in (broker.cash, lambda: broker.submit(desk.order())):
        with pytest.raises(CredentialsError, match=r"TP_[A-Z]+_KEY|paper account") as caught:
            call()
        check_silence(caught.value, (*desk.secrets, "W" * 20))


@pytest.mark.parametrize("fault", [refusal(500), Fault(cut=0.0), refusal(403)])
def test_no_error_of_an_order_holds_a_key(desk, broker, fault):
    broker.cash()
    desk.venue.misbehave(fault, FOREVER)
    for call in (lambda: broker.submit(desk.order()), broker.positions,
                 lambda: broker.cancel(desk.order().client_order_id)):  # fmt: skip
        with pytest.raises(Exception) as caught:
            call()
        check_silence(caught.value, desk.secrets)


def check_silence(error, secrets):
    while error is not None:
        assert getattr(error, "request", None) is None
        assert getattr(error, "response", None) is None
        assert not any(secret in repr(error) + str(error) for secret in secrets)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.long
@settings(max_examples=8)
@given(st.integers(0, 10**6), st.sampled_from(list(DESKS)))
@pytest.mark.slow
def test_whatever_happens_nothing_is_lost_and_nothing_doubled(seed, kind):
    """Days of orders, faults, restarts, partial fills and cancels: the books agree at the end."""
    rng = random.Random(seed)
    with DESKS[kind]() as desk:
        broker, booked, wanted = desk.connect(), [], {}
        for day in range(4):
            orders = [desk.order(day, n, units=rng.randint(1, 9)) for n in (0, 1)]
            wanted |= {each.client_order_id: each for each in orders}
            for order in orders:
                fault = rng.choice(list(ORDER_FAULTS.values()))[0]
                desk.venue.misbehave(fault, method=rng.choice(["POST", "GET"]))
                broker = send_until_known(desk, broker, order, rng)
            desk.venue.behave()
            for order in orders:
                there = desk.there(order)
                match rng.choice(["part", "all", "cancel", "reject"]):
                    case "part":
                        desk.books.fill(there, desk.unit * rng.randint(1, 4) / 4)
                    case "all":
                        desk.books.fill(there)
                    case "cancel":
                        broker.cancel(order.client_order_id)
                    case "reject":
                        desk.books.end(there, "rejected")
            booked += broker.executions(booked[-1].execution_id if booked else None)
        assert desk.placed() == len(wanted) == 8
        assert {desk.name(each) for each in wanted} == {
            each.client_id for each in desk.books.orders.values()
        }
        assert len(booked) == len(desk.books.trades)
        check_books(desk, broker, booked)


def send_until_known(desk, broker, order, rng):
    """As a session does: ask or send again until it is known, sometimes after a crash."""
    for _ in range(20):
        try:
            broker.submit(order)
            return broker
        except (OutcomeUnknown, SourceUnavailable):
            broker = desk.connect() if rng.random() < 0.5 else broker
    raise AssertionError("never known")
