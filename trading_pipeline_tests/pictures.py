"""Take the pictures of the report that README shows, from a report, in a real browser.

    python -m trading_pipeline_tests.pictures [--report FOLDER] [--out docs/images]

So they show what a demo writes now: `make pictures` after `make demo`.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from trading_pipeline_tests.browser import Tab, browser


class Picture(NamedTuple):
    """A file of the pictures, of a page on a screen."""

    page: str
    width: int  # CSS pixels
    height: int
    is_dark: bool


PICTURES = {
    "page.png": Picture("report.html", 1000, 1280, is_dark=False),
    "page_dark.png": Picture("report.html", 390, 1280, is_dark=True),
}


def take(tab: Tab, report: Path, out: Path) -> list[Path]:
    """Open each page, wait until all of it is drawn, and write the picture; where they are."""
    paths = []
    tab.do("Emulation.setScrollbarsHidden", hidden=True)
    for name, (page, width, height, is_dark) in PICTURES.items():
        tab.dark(is_dark)
        tab.open((report / page).absolute().as_uri(), width)
        tab.wait("document.documentElement?.dataset.drawn === 'all'")
        assert not tab.errors, tab.errors
        tab.picture(out / name, height)
        paths.append(out / name)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--report", type=Path, default=Path("data_storage/reports/sample"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    given = parser.parse_args()
    if not (given.report / "report.html").is_file():
        parser.error(f"{given.report} has no report.html; `make demo` writes one")
    with TemporaryDirectory() as profile, browser(Path(profile)) as tab:
        for path in take(tab, given.report, given.out):
            print(f"written: {path}")


if __name__ == "__main__":
    main()
