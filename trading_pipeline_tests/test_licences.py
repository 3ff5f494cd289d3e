"""What is installed may be used by everybody, and docs/licences.md says so."""

from pathlib import Path

import pytest

from trading_pipeline_tests.licences import NAMED, PERMISSIVE, packages, page

PAGE = Path(__file__).parents[1] / "docs" / "licences.md"


@pytest.mark.slow
def test_every_package_may_be_used_in_a_product():
    found = packages()
    assert len(found) > 100
    assert {"torch", "duckdb", "dagster"} <= set(found)
    unclear = {name: said for name, said in found.items() if not PERMISSIVE.search(said)}
    assert set(unclear) <= set(NAMED), "look up its licence, and say in NAMED why it may be used"
    assert not set(NAMED) - set(found), "named, and not installed"


@pytest.mark.parametrize("said", ["GPL-3.0", "GNU Affero General Public License", "UNKNOWN", ""])
def test_other_licences_are_not_taken_for_permissive(said):
    assert not PERMISSIVE.search(said)


@pytest.mark.slow
def test_the_page_names_what_is_installed():
    """Of another system some are not."""
    told = PAGE.read_text(encoding="utf-8").splitlines()
    assert set(page().splitlines()) <= set(told), "write it anew: make docs"
