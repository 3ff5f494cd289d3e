"""A real browser without a window, driven through Chromium's DevTools protocol.

Debian's package `chromium` has it; tests that need it are skipped, with a message, where it is not
installed.
"""

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE = 120.0  # seconds that a loaded machine may take


class Tab:
    """One page."""

    def __init__(self, wire: ClientConnection) -> None:
        self._wire, self._asked = wire, 0
        self.errors: list[str] = []  # of its scripts, and what its policy refused
        self.asked_for: list[str] = []  # addresses, once `Network` is enabled
        for domain in ("Page", "Runtime", "Log"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **given: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        self._asked += 1
        self._wire.send(json.dumps({"id": self._asked, "method": method, "params": given}))
        while True:
            said = json.loads(self._wire.recv(timeout=_PATIENCE))
            if said.get("method") == "Runtime.exceptionThrown":
                self.errors.append(str(said["params"]["exceptionDetails"]))
            if said.get("method") == "Log.entryAdded":
                entry = said["params"]["entry"]
                self.errors += [entry["text"]] if entry["level"] == "error" else []
            if said.get("method") == "Network.requestWillBeSent":
                self.asked_for.append(said["params"]["request"]["url"])
            if said.get("id") == self._asked:
                assert "error" not in said, said
                return said.get("result", {})

    def open(self, url: str, width: int, height: int = 900) -> None:
        """Load a page on a screen of that many CSS pixels."""
        self.do(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.do("Page.navigate", url=url)

    def ask(self, script: str) -> Any:
        """The value of an expression of JavaScript."""
        done = self.do("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, script: str) -> None:
        """Until an expression is true."""
        until = time.monotonic() + _PATIENCE
        while not self.ask(script):
            assert time.monotonic() < until, f"never came true: {script}"
            time.sleep(0.05)

    def press(self, selector: str) -> None:
        """Click as a finger does: on what lies uppermost at the middle of an element."""
        place = self.ask(
            "(e => {e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]})"
            f"(document.querySelector('{selector}'))"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.do(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )

    def press_button(self, text: str) -> None:
        """Click the button that says just this, once it is there and can be clicked."""
        found = f"""[...document.querySelectorAll('button')].find(
            b => b.innerText.trim() === {json.dumps(text)} && !b.disabled
            && b.getAttribute('aria-disabled') !== 'true')"""
        self.wait(f"!!({found})")
        self.ask(f"({found}).click()")

    def type(self, text: str) -> None:
        """Into what has the focus."""
        self.do("Input.insertText", text=text)

    def dark(self, is_dark: bool) -> None:
        """What the screen asks of pages that are opened from now on."""
        theme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.do("Emulation.setEmulatedMedia", features=[theme])

    def picture(self, path: Path, height: int | None = None) -> None:
        """A PNG of the whole page, or of its first CSS pixels."""
        size = self.do("Page.getLayoutMetrics")["cssContentSize"]
        high = size["height"] if height is None else min(height, size["height"])
        clip = {"x": 0, "y": 0, "width": size["width"], "height": high, "scale": 1}
        shot = self.do("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Tab]:
    """A tab of a browser whose profile is in a folder."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("no browser: install Debian's package chromium to run this test")
    running = subprocess.Popen(
        [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-extensions",
            "--disable-background-networking",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
            "about:blank",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stderr is not None
        said = next(line for line in running.stderr if "DevTools listening" in line)
        found = re.search(r"ws://(\S+?)/", said)
        assert found is not None
        with connect(said.split()[-1], max_size=None) as wire:
            target = _first_page(wire)
        with connect(f"ws://{found[1]}/devtools/page/{target}", max_size=None) as wire:
            yield Tab(wire)
    finally:
        running.terminate()
        running.wait(timeout=_PATIENCE)


def _first_page(wire: ClientConnection) -> str:
    wire.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
    while True:
        said = json.loads(wire.recv(timeout=_PATIENCE))
        if said.get("id") == 1:
            targets = said["result"]["targetInfos"]
            return next(each["targetId"] for each in targets if each["type"] == "page")
