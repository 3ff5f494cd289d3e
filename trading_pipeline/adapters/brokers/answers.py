"""What brokers share: answers read with suspicion, and what is done when none came."""

import math
from typing import Any

from trading_pipeline.adapters.sources.payload import excerpt, number
from trading_pipeline.core.trading.broker import Broker, OrderState
from trading_pipeline.errors import OutcomeUnknown, SourceError


def ask_after(broker: Broker, client_order_id: str, doubt: OutcomeUnknown) -> OrderState:
    """The state of an order that may not have arrived.

    Raises:
        OutcomeUnknown: the doubt: it cannot be asked for, or the venue has not heard of it yet.
    """
    try:
        known = broker.order(client_order_id)
    except SourceError as error:
        raise OutcomeUnknown(f"{doubt}; nor can it be asked: {error}") from None
    if known is None:  # it may be on its way
        raise doubt
    return known


def number_of(venue: str, raw: dict[str, Any], name: str) -> float:
    """A finite number of a record. Raises SourceError where there is none."""
    value = number(raw.get(name))
    if not math.isfinite(value):
        raise unknown(venue, raw)
    return value


def text_of(venue: str, raw: object, name: str) -> str:
    """A text of a record that is not empty. Raises SourceError where there is none."""
    value = raw.get(name) if isinstance(raw, dict) else None
    if not isinstance(value, str) or not value:
        raise unknown(venue, raw)
    return value


def unknown(venue: str, raw: object) -> SourceError:
    """The error of an answer that makes no sense."""
    return SourceError(f"{venue} sent something unknown: {excerpt(raw)}")
