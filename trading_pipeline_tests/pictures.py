"""Take the pictures of the docs from a home after a demo, in a real browser.

    python -m trading_pipeline_tests.pictures [--home FOLDER] [--out docs/images] [--live URL]

`make pictures` after `make demo`. Each carries a digest of what draws it, and a test refuses one
that was taken before that changed.
"""

import argparse
import hashlib
import re
import time
from collections import defaultdict
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import NamedTuple

import dagster as dg
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from trading_pipeline.adapters import dashboard_page
from trading_pipeline.adapters.reports.report_page import page
from trading_pipeline.core.evaluation.summary import evaluate
from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.assets.metadata import of_report
from trading_pipeline.defs.markets import market_definitions
from trading_pipeline.steps.plan import Plan
from trading_pipeline_tests.adapters.reports.histories import series, with_holdings
from trading_pipeline_tests.browser import Tab, browser
from trading_pipeline_tests.core.evaluation.books import inputs
from trading_pipeline_tests.web_ui import web_ui

IMAGES = Path(__file__).parents[1] / "docs" / "images"
MARKET = "sample"
_DIGEST = "Shows"  # the key of a PNG's text
_STEADY = 10.0  # seconds that a page of the web UI stays the same before it counts as whole


class Picture(NamedTuple):
    """A file of the pictures, of a page on a screen."""

    page: str
    width: int  # CSS pixels
    height: int
    is_dark: bool = False


PICTURES = {  # below the folder of a report
    "page.png": Picture("report.html", 1000, 1280),
    "page_dark.png": Picture("report.html", 390, 1280, is_dark=True),
}
OF_UI = {  # below the address of the web UI
    "graph.png": Picture(f"locations/trading_pipeline/asset-groups/{MARKET}", 2000, 1700),
    "report.png": Picture(f"assets/{MARKET}/backtest_report", 1640, 1480),
}
LIVE = Picture("live.png", 985, 1210)


def take(tab: Tab, report: Path, out: Path) -> list[Path]:
    """Open each page of a report, wait until all of it is drawn, and write the picture; where."""
    paths = []
    tab.do("Emulation.setScrollbarsHidden", hidden=True)
    for name, (where, width, height, is_dark) in PICTURES.items():
        tab.dark(is_dark)
        tab.open((report / where).absolute().as_uri(), width)
        tab.wait("document.documentElement?.dataset.drawn === 'all'")
        assert not tab.errors, tab.errors
        tab.picture(out / name, height)
        paths.append(out / name)
    return paths


def take_ui(tab: Tab, url: str, out: Path) -> list[Path]:
    """The same of pages of Dagster's web UI, once each says no more for a while."""
    tab.dark(False)
    for name, (where, width, height, _) in OF_UI.items():
        tab.open(f"{url}/{where}", width, height)
        tab.wait("document.body?.innerText.includes('backtest_report')")
        _steady(tab)
        tab.picture(out / name, height)
    return [out / name for name in OF_UI]


def _steady(tab: Tab) -> None:
    """Wait until the text of a page stays the same."""
    said, since = "", time.monotonic()
    while time.monotonic() - since < _STEADY:
        time.sleep(1)
        if (now := tab.ask("document.body.innerText")) != said:
            said, since = now, time.monotonic()


def take_live(tab: Tab, url: str, out: Path) -> Path:
    """The same of the live page of a paper session."""
    tab.dark(False)
    tab.open(url, LIVE.width)
    tab.wait("document.querySelector('#decisions details') !== null")
    tab.picture(out / LIVE.page, LIVE.height)
    return out / LIVE.page


def digests() -> dict[str, str]:
    """By picture, a digest of what its page is drawn from: the figures on it may change."""
    given = with_holdings(inputs())
    summary, drawn = evaluate(given), series(given)
    plan = Plan(Market(name=MARKET, source="sample", symbols=("IBM",), start=date(2000, 3, 1)))
    specs = [
        spec
        for each in market_definitions(plan).assets or ()
        for spec in (each.specs if isinstance(each, dg.AssetsDefinition) else [each])
    ]
    graph = [
        dg.__version__,
        *((s.key, sorted(d.asset_key for d in s.deps), sorted(s.kinds)) for s in specs),
    ]
    (report,) = (spec for spec in specs if spec.key.path[-1] == "backtest_report")
    made = SimpleNamespace(
        summary=summary,
        series=drawn,
        files=defaultdict(lambda: IMAGES / LIVE.page),
        diagnostics=None,
        aside=[],
    )
    shown = {
        **dict.fromkeys(PICTURES, skeleton(page(summary, drawn).partition("<h2>Metrics")[0])),
        "graph.png": graph,
        "report.png": [dg.__version__, report.description, list(of_report(plan.market, made))],
        LIVE.page: dashboard_page.page(MARKET, "", "").partition("<script")[0],
    }
    return {
        name: hashlib.sha256(str(each).encode()).hexdigest()[:16] for name, each in shown.items()
    }


def skeleton(html: str) -> list[str]:
    """The style of a page, its elements and its headings, without figures and lists of them."""
    style, _, body = html.partition("</style>")
    body = re.sub(r"<ul>.*?</ul>|<b>.*?</b>", "", body)
    heads = re.findall(r"<(?:h\d|th)[^>]*>(.*?)</(?:h\d|th)>", body)
    return [style, *re.findall(r"<\w+(?: class=\"[^\"]*\")?", body), *heads]


def stamp(path: Path, digest: str) -> None:
    """Write into a PNG of what it is."""
    told = PngInfo()
    told.add_text(_DIGEST, digest)
    with Image.open(path) as picture:
        picture.save(path, pnginfo=told, optimize=True)


def stamped(path: Path) -> str | None:
    """What `stamp` wrote."""
    with Image.open(path) as picture:
        return picture.info.get(_DIGEST)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--home", type=Path, default=Path("data_storage"))
    parser.add_argument("--out", type=Path, default=IMAGES)
    parser.add_argument("--live", metavar="URL", help="where `trading-pipeline dashboard` runs")
    given = parser.parse_args()
    report = given.home / "reports" / MARKET
    if not (report / "report.html").is_file():
        parser.error(f"{report} has no report.html; `make demo` writes one")
    with TemporaryDirectory() as profile, browser(Path(profile)) as tab:
        paths = take(tab, report, given.out)
        with web_ui(given.home, {"TP_HOME": str(given.home.absolute())}) as web:
            paths += take_ui(tab, web.url, given.out)
        paths += [take_live(tab, given.live, given.out)] if given.live else []
    current = digests()
    for path in paths:
        stamp(path, current[path.name])
        print(f"written: {path}")


if __name__ == "__main__":
    main()
