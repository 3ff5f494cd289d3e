"""The map of the code, README in short, and every path that the pages name."""

import re
from pathlib import Path

import pytest

from trading_pipeline_tests import canaries
from trading_pipeline_tests.robustness import counted
from trading_pipeline_tests.steps import kills
from trading_pipeline_tests.week.nights import NIGHTS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "trading_pipeline"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
ROOTS = (ROOT, PACKAGE, ROOT / "trading_pipeline_tests")  # that pages name files from


def tried() -> dict[str, int]:
    """The figures of README's table of what was tried, by the first word of each row."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+)\b.* \| ([\d,]+)(?: cases)? \| .*make .* \|$|", text, re.M)
    return {word: int(figure.replace(",", "")) for word, figure in rows if word}


def test_the_figures_of_what_was_tried_are_those_of_the_tests():
    """Those of long runs are what their target does: its seeds, its nights, its bars."""
    make = (ROOT / "Makefile").read_text(encoding="utf-8")
    seeds = re.search(r"^kill-test:.*\n.*steps\.kills --seeds (\d+)$", make, re.M)
    bars = re.search(r"^soak:.*\n.*--bars \$\(or \$\(BARS\),(\d+)\)", make, re.M)
    if seeds is None or bars is None:
        pytest.fail("the Makefile says neither how many seeds nor how many bars")
    assert tried() == {
        "bad": counted("Files", "Stamps", "Disks", "Money", "Settings", "Names"),
        "venues": counted("Venues"),
        "kills": int(seeds[1]) * sum(kills.POINTS.values()),
        "nights": sum(NIGHTS.values()),
        "hourly": int(bars[1]),
        "secrets": len(canaries.SECRETS),
    }


def test_the_figures_of_secrets_are_those_of_the_search():
    (ways,) = {len(canaries.spellings(secret)) for secret in canaries.SECRETS.values()}
    places, secrets = len(canaries.PLACES), len(canaries.SECRETS)
    said = f"in {ways} spellings each, looked for in {places} kinds of places | {secrets} |"
    assert said in (ROOT / "README.md").read_text(encoding="utf-8")
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert f"each of {secrets} secrets" in page
    assert f"in {ways} spellings" in page
    assert f"in {places} kinds of places" in page


def tree() -> dict[str, str]:
    """Paths of the tree in architecture.md, folders with a slash at their end, and what it says of
    each."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = page.partition("## Where the code lives")
    block = re.search(r"```text\n(trading_pipeline/\n.+?)```", section[2], re.DOTALL)
    found: dict[str, str] = {}
    above = [""]
    for line in block[1].splitlines() if block else ():
        depth = (len(line) - len(line.lstrip())) // 2
        name, _, told = line.strip().partition(" ")
        above[depth:] = [above[depth - 1] + name if depth else name]
        found[above[depth]] = told.strip()
    return found


def test_the_tree_names_every_folder_of_the_package_and_no_other():
    folders = {f"{path.parent.relative_to(ROOT).as_posix()}/" for path in PACKAGE.rglob("*.py")}
    named = {path for path in tree() if path.endswith("/")} - {"trading_pipeline_tests/"}
    assert named == folders


def test_the_tree_names_the_modules_beside_the_rings_and_explains_all():
    beside = {path.relative_to(ROOT).as_posix() for path in PACKAGE.glob("[a-z]*.py")}
    assert {path for path in tree() if path.endswith(".py")} == beside
    assert [path for path, told in tree().items() if not told] == ["trading_pipeline/"]


def test_the_readme_is_read_in_a_few_minutes():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 130  # what is longer is a page of docs/


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_that_a_page_names_is_there(page):
    text = page.read_text(encoding="utf-8")
    made = set(re.findall(r"^```python title=\"(.+?)\"", text, re.M))  # by who follows the page
    named = set(re.findall(r"(?<![\w./-])[\w.-]+/[\w./-]+\.py\b", text)) - made
    assert not {path for path in named if not any((root / path).is_file() for root in ROOTS)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_links_to_is_there(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]
