"""What breaks by a fault of ours is one line with the place, and no leak (exit code 1)."""

import pytest

from trading_pipeline.adapters.faults import naming_faults
from trading_pipeline.core.learning.walkforward import fold_rows
from trading_pipeline.errors import BarsError, ProgramFault


def test_a_fault_is_named_with_its_place():
    with pytest.raises(ProgramFault) as error, naming_faults(lambda: "the check broke"):
        fold_rows("a", None, 10, 20, 3)
    said = str(error.value)
    assert said.startswith("the check broke: TypeError: ")
    assert "(core/learning/walkforward.py:" in said
    assert "report it" in said
    assert isinstance(error.value.__cause__, TypeError)


def test_deliberate_errors_and_interruptions_pass():
    for passing in (BarsError("a bar"), KeyboardInterrupt()):
        with pytest.raises(type(passing)), naming_faults(lambda: "never said"):
            raise passing


def test_a_fault_in_code_that_is_not_ours_says_so():
    with pytest.raises(ProgramFault, match="outside of our code"), naming_faults(lambda: "it"):
        int("x")
