"""The pages of the reference are what the code says: tools/reference writes them."""

import runpy
from pathlib import Path

import pytest

from trading_pipeline.cli.main import app
from trading_pipeline.settings import Settings
from trading_pipeline.settings_markets import MarketSettings

ROOT = Path(__file__).parents[1]
NAMES = ("settings.md", "commands.md", "metrics.md", "errors.md", "python.md")


@pytest.fixture(scope="module")
def written():
    """Each page, as it would be written now."""
    pages = runpy.run_path(str(ROOT / "tools" / "reference"))["PAGES"]
    assert set(pages) == set(NAMES)
    return {name: page() for name, page in pages.items()}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_committed_is_what_the_code_says(written, name):
    committed = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert committed == written[name], "run `make docs`"


def test_every_setting_and_command_is_there(written):
    """Counted by another way than the pages are made."""
    for key in (*Settings.model_fields, *MarketSettings.model_fields):
        assert f"\n| `{key}` |" in written["settings.md"], key
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        assert f"\n## `trading-pipeline {name}`\n" in written["commands.md"], name
