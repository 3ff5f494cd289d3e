"""The documentation as a site: it builds without a warning, and fetches nothing."""

import re
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from trading_pipeline_tests.browser import browser

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def listed(entries: list) -> list[str]:
    """Pages of a navigation, in its order."""
    pages = []
    for entry in entries:
        (target,) = entry.values()
        pages += [target] if isinstance(target, str) else listed(target)
    return pages


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Builds a site of some pages: the folder of the site, the exit code, and what was said."""

    def built(pages: Path) -> tuple[Path, int, str]:
        folder = tmp_path_factory.mktemp("site")
        shutil.copytree(pages, folder / "docs")
        shutil.copy(ROOT / "zensical.toml", folder)
        command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        return folder / "site", done.returncode, done.stdout + done.stderr

    return built


@pytest.fixture(scope="module")
def site(build):
    folder, code, said = build(DOCS)
    assert code == 0, said
    return folder


class Fetched(HTMLParser):
    """Addresses that a browser fetches by itself, of elements that load something."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed", "input"):
            self.addresses.append(given.get("src") or "")
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev", "sitemap"):
            self.addresses.append(given.get("href") or "")


def test_every_page_is_in_the_navigation_once_and_every_entry_is_a_page():
    """Of the decisions their index is: it lists each of them, and a test holds it to that."""
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    pages = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    wanted = [page for page in pages if not re.match(r"decisions/\d", page)]
    assert sorted(listed(nav)) == sorted(wanted)


@pytest.mark.slow
def test_nothing_of_the_site_is_fetched_from_the_network(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 60
    for page in pages:
        parser = Fetched()
        parser.feed(page.read_text(encoding="utf-8"))
        away = [each for each in parser.addresses if re.match(r"(https?:)?//", each)]
        assert not away, f"{page.name}: {away}"
        assert 'class="mermaid"' not in page.read_text(encoding="utf-8"), page  # fetches a script


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and logs nothing."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(site):
    """The address at which the site is, on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.slow
def test_a_dark_screen_has_a_dark_site_whose_search_needs_no_network(served, tmp_path):
    with browser(tmp_path) as tab:
        tab.do("Network.enable")
        tab.dark(True)
        tab.open(f"{served}index.html", 1280)
        tab.wait("document.body?.dataset.mdColorScheme == 'slate'")
        tab.wait("!!document.querySelector('.md-search__button')")
        tab.wait("document.readyState == 'complete'")
        tab.press(".md-search__button")
        tab.wait("!!document.activeElement.shadowRoot")
        tab.type("embargo")
        found = "[...document.activeElement.shadowRoot.querySelectorAll('a')].map(a => a.href)"
        tab.wait(f"{found}.length > 0")
        assert any("/concepts/walk-forward.html" in each for each in tab.ask(found))
        assert not [each for each in tab.asked_for if not each.startswith((served, "data:"))]
        assert not tab.errors


@pytest.mark.parametrize(
    ("link", "fine"), [("index.md#here", True), ("nowhere.md", False), ("index.md#nowhere", False)]
)
@pytest.mark.slow
def test_a_link_that_leads_nowhere_is_refused(build, tmp_path, link, fine):
    (tmp_path / "index.md").write_text(f"# Here\n\n[there]({link})\n", encoding="utf-8")
    _, code, said = build(tmp_path)
    assert (code == 0) == fine
    assert ("does not exist" in said) != fine


def test_no_page_links_to_a_file_that_the_site_does_not_have():
    """Zensical looks at links to pages alone; a file of the repository is named, and not linked."""
    for page in DOCS.rglob("*.md"):
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
        outside = [
            each for each in links if not (page.parent / each).resolve().is_relative_to(DOCS)
        ]
        assert not outside, f"{page.name}: {outside}"
