"""`docs/robustness.md`: every row names tests that exist, and counts their cases."""

import re

import pytest

from trading_pipeline_tests.robustness import PAGE, ROW


def rows() -> list[tuple[str, int, list[str]]]:
    """What was tried, how many cases the page says, and its tests as `file::name`."""
    return [
        (tried, int(count), re.findall(r"`([^`]+)`", tests))
        for tried, _, count, tests in ROW.findall(PAGE.read_text(encoding="utf-8"))
    ]


def test_every_row_counts_the_cases_of_its_tests(cases):
    """Of all files that this run collected, which is all of them in `make test`."""
    files = {test.partition("::")[0] for test in cases}
    wrong = {}
    for tried, said, tests in rows():
        if all(test.partition("::")[0] in files for test in tests):
            counted = sum(cases[test] for test in tests)
            if counted != said or not all(cases[test] for test in tests):
                wrong[tried] = f"{said} on the page, {counted} in {tests}"
    assert not wrong


def test_every_kind_is_there_and_the_total_is_the_sum():
    text = PAGE.read_text(encoding="utf-8")
    kinds = re.findall(r"^## (.+)$", text, re.M)
    assert kinds == [
        *("Files", "Stamps", "Venues", "Nights", "Kills", "Disks", "Money", "Settings", "Names")
    ]
    assert len(rows()) == text.count("::") - sum(len(tests) - 1 for _, _, tests in rows())
    total = re.search(r"([\d,]+) cases in (\d+) rows", text)
    if total is None:
        pytest.fail("the page says no total")
    assert int(total[1].replace(",", "")) == sum(count for _, count, _ in rows())
    assert int(total[2]) == len(rows())
