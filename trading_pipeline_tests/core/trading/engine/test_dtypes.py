"""Records are declared once: what numpy stores follows from the fields that mypy reads."""

from dataclasses import fields

import numpy as np

from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.trading.engine.dtypes import Account, Fill, Parameters, new_account


def test_a_dtype_has_the_fields_of_its_class_in_their_order():
    assert list(Account.dtype.names) == list(Account.__annotations__)
    assert (Account.dtype["cash"], Account.dtype["day"]) == (np.float64, np.int64)


def test_an_annotation_may_name_a_narrower_format():
    """Events are many, so that their rows are narrow."""
    assert (Fill.dtype["bar"], Fill.dtype["reasons"]) == (np.int32, np.int64)
    assert Fill.dtype.itemsize == 56


def test_every_cost_is_a_parameter():
    """A new cost is one line in `Costs`, and the kernel that uses it."""
    assert {each.name for each in fields(Costs)} <= set(Parameters.dtype.names)


def test_new_records_are_blank():
    assert not Fill.zeros(2, 3)["quantity"].any()
    assert new_account(1e5)["cash"].tolist() == [1e5]
