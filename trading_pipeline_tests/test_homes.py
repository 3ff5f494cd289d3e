"""Where everything is kept: folders with odd names."""

from pathlib import Path

import pytest

from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.defs.instance import local_instance, prepare_home
from trading_pipeline.errors import StoreError

ROOT = Path(__file__).parents[1]
ODD = ["with spaces", "a#b", "quote's \"", "größe 😀", "a: b", "{x}", "-", "a&b=c;d", "back\\slash"]


pytestmark = pytest.mark.usefixtures("no_dagster_home")


@pytest.mark.parametrize("name", [*ODD, "100%", "a?b"])
def test_a_ledger_lives_in_a_folder_of_any_name(tmp_path, name):
    """And in that one: a `?` once ended the path, so that two homes shared one record."""
    (tmp_path / name).mkdir()
    with Ledger(tmp_path / name / "ledger.sqlite") as ledger:
        assert ledger.read("trials") == []
    assert {path.name for path in tmp_path.iterdir()} == {name}
    assert (tmp_path / name / "ledger.sqlite").exists()


@pytest.mark.parametrize("name", ODD)
@pytest.mark.sampled(4)
def test_dagster_keeps_its_records_in_a_folder_of_any_name(tmp_path, name):
    with local_instance(tmp_path / name) as instance:
        assert instance.get_runs() == []
        assert instance.all_asset_keys() == []
    assert {path.name for path in tmp_path.iterdir()} == {name}
    assert (tmp_path / name / "dagster" / "history" / "runs.db").exists()


@pytest.mark.parametrize("name", ["100%", "a?b"])
def test_a_name_that_dagster_cannot_have_is_refused_by_its_character(tmp_path, name):
    sign = name.strip("10ab")
    with pytest.raises(StoreError, match=rf"has \{sign} in it, which Dagster cannot .* TP_HOME"):
        prepare_home(tmp_path / name)
    assert not list(tmp_path.iterdir())
