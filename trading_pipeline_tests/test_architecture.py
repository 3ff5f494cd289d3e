"""`docs/architecture.md`: its files are there, and no task touches more than it says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (.+?) \| (\d) \| (.+) \|$", re.M)
FILE = re.compile(r"`((?:core|steps|adapters|defs|cli)/[\w/]+\.py|settings\.py)`")
# The most package files that a change of each may cost; a risk rule's third one is its test.
LIMITS = {
    "the slippage model": 2,
    "a feature": 1,
    "an exchange of ccxt": 0,
    "a metric in the report": 1,
    "the nightly hour": 1,
    "a loss": 2,
    "what a fold is": 2,
    "a simpler model beside the network": 2,
    "a baseline": 1,
    "a broker": 2,
    "an option of `train`": 2,
    "the quarantine rule": 1,
    "a risk rule": 3,
}


def test_every_file_of_the_page_is_there():
    named = set(FILE.findall(PAGE))
    assert len(named) > 30
    assert [
        name for name in sorted(named) if not (ROOT / "trading_pipeline" / name).is_file()
    ] == []


@pytest.mark.parametrize("task", LIMITS)
def test_no_task_touches_more_files_than_it_may(task):
    rows = {name: (int(most), set(FILE.findall(files))) for name, most, files in ROW.findall(PAGE)}
    most, files = rows[task]
    assert most == LIMITS[task]
    assert len(files) <= most


def test_the_rings_and_layers_of_the_page_are_those_of_the_import_contracts():
    """The page cannot keep a ring or a room that the linter no longer knows."""
    contracts = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    rings = re.findall(r'^    "trading_pipeline\.(\w+)",$', contracts, re.M)
    assert rings == ["cli", "definitions", "defs", "steps", "adapters", "core", "errors"]
    assert "images/architecture.svg" in PAGE
    picture = (ROOT / "docs" / "images" / "architecture.svg").read_text(encoding="utf-8")
    assert re.findall(r'class="ring">(\w+)<', picture) == rings
    layers = re.search(r"containers = .*?layers = \[(.*?)\]", contracts, re.S)
    assert layers is not None
    rooms = [sorted(re.findall(r"\w+", each)) for each in re.findall(r'"(.+?)"', layers[1])]
    block = PAGE.partition("## Rooms of core")[2].partition("```text\n")[2].partition("```")[0]
    told = [sorted(re.findall(r"\w+", line[:24])) for line in block.splitlines()]
    assert told == rooms
