"""The pages of a report in a real browser: drawn whole, quietly, at three widths, day and night."""

import json

import pytest
from matplotlib.image import imread

from trading_pipeline.adapters.reports.tear_sheet import write_report
from trading_pipeline.core.evaluation.summary import evaluate
from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline_tests.adapters.reports.histories import (
    catalog,
    diagnostics,
    figures,
    quality,
    series,
    with_holdings,
)
from trading_pipeline_tests.browser import browser
from trading_pipeline_tests.core.evaluation.books import inputs
from trading_pipeline_tests.pictures import PICTURES, take

pytestmark = pytest.mark.slow
WIDTHS = (1280, 768, 390)
DRAWN = "document.documentElement?.dataset.drawn === 'all'"  # all charts of a page
THEMES = {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 27, 34)"}
PAGES = ("html", "features")
LONGEST = sorted(NAMES, key=len)[-4:]  # names take room from a chart
CUT_OFF = """[...document.querySelectorAll('[data-figure]')].flatMap(chart => {
  const room = chart.getBoundingClientRect();
  return [...chart.querySelectorAll('svg text')].filter(text => {
    const box = text.getBoundingClientRect();
    return box.width && (box.left < room.left - 2 || box.right > room.right + 2);
  }).map(text => `${chart.id}: ${text.textContent}`);
})"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    given = with_holdings(inputs())
    folder = tmp_path_factory.mktemp("reports") / "sample"
    return write_report(
        folder, evaluate(given), series(given), diagnostics(catalog(LONGEST)), quality()
    )


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as made:
        made.do("Network.enable")
        yield made


def opened(tab, path, width, theme="light"):
    """The page on a screen, with every chart drawn."""
    tab.errors.clear()
    tab.asked_for.clear()
    tab.dark(theme == "dark")
    tab.open(path.as_uri(), width)
    tab.wait(DRAWN)
    return tab


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.sampled(7)
def test_every_chart_is_drawn_and_nothing_is_asked_of_the_network(tab, files, name, width, theme):
    """Nothing is pushed sideways or cut off, and the page is as dark as its reader's screen."""
    path = files[name]
    page = opened(tab, path, width, theme)
    page.picture(path.with_name(f"{name}-{width}-{theme}.png"))
    expected = sorted(figures(path.read_text(encoding="utf-8")))
    seen = page.ask(
        "[...document.querySelectorAll('[data-figure]')].filter(c => c.querySelector('svg') &&"
        "c.getBoundingClientRect().width > 200).map(c => c.id.slice(6))"
    )
    assert sorted(seen) == expected
    assert page.errors == []
    outside = [url for url in page.asked_for if not url.startswith(("data:", "blob:"))]
    assert outside == [path.as_uri()]
    assert page.ask("document.documentElement.scrollWidth") <= width
    assert page.ask(CUT_OFF) == []
    colour = "getComputedStyle(document.querySelector('section')).backgroundColor"
    assert page.ask(colour) == THEMES[theme]


def test_the_switch_turns_page_and_charts_dark_and_is_remembered(tab, files):
    page = opened(tab, files["html"], 1280)
    ink = "document.querySelector('#chart-equity .xtick text').style.fill"
    by_day = page.ask(ink)
    page.press("#theme")
    page.wait(f"{ink} !== {json.dumps(by_day)}")
    assert page.ask("document.getElementById('theme').textContent") == "Light"
    page = opened(tab, files["html"], 1280)
    assert page.ask(ink) != by_day
    page.press("#theme")
    page.wait(f"{ink} === {json.dumps(by_day)}")
    assert page.errors == []


def test_the_text_is_painted_before_the_charts_are_drawn(tab, files):
    """By the browser's own clock: nobody waits for plotly.js to be unpacked."""
    page = opened(tab, files["html"], 1280)
    painted = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    assert page.ask(painted) < page.ask("performance.getEntriesByName('drawn')[0].startTime")


def test_a_table_wider_than_the_screen_says_so_and_keeps_its_names(tab, files):
    page = opened(tab, files["html"], 390)
    wide = "document.querySelector('table.metrics').parentElement"
    hint = f"{wide}.parentElement.classList.contains('more')"
    page.wait(hint)
    name = f"{wide}.querySelector('tbody td')"
    left = page.ask(f"{name}.getBoundingClientRect().left")
    page.ask(f"{wide}.scrollLeft = {wide}.scrollWidth")
    page.wait(f"!{hint}")
    assert abs(page.ask(f"{name}.getBoundingClientRect().left") - left) < 2


def test_the_first_answer_fits_on_a_phone(tab, files):
    """Strategy, benchmark and difference are all seen without a finger."""
    page = opened(tab, files["html"], 390)
    table = "document.querySelector('table.beside')"
    assert page.ask(f"{table}.querySelectorAll('tr')[1].cells.length") == 4
    assert page.ask(f"{table}.scrollWidth <= {table}.parentElement.clientWidth")
    assert not page.ask(f"{table}.closest('.more')")


def test_the_pictures_of_the_docs_are_taken_of_a_report(tab, files, tmp_path):
    """As wide and high as README needs them, and not of a blank page."""
    for path in take(tab, files["html"].parent, tmp_path):
        picture = PICTURES[path.name]
        assert tab.errors == []
        pixels = imread(path)
        assert pixels.shape[:2] == (picture.height, picture.width)
        assert pixels[..., :3].std() > 0.05
    tab.do("Emulation.setScrollbarsHidden", hidden=False)
