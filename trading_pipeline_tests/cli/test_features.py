"""The command that shows the catalog."""

from typer.testing import CliRunner

from trading_pipeline.cli.main import app
from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.features.page import catalog_page


def test_the_command_prints_the_page_that_is_committed():
    shown = CliRunner().invoke(app, ["features", "--markdown"])
    assert shown.exit_code == 0
    assert shown.stdout == catalog_page()


def test_the_tables_name_every_feature_whole_on_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    shown = CliRunner().invoke(app, ["features"])
    assert shown.exit_code == 0
    assert all(name in shown.stdout for name in NAMES)
