"""Dagster's web server and daemon, as `trading-pipeline ui` starts them, asked by GraphQL."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PATIENCE = 300.0  # seconds that a loaded machine may take


class WebUI:
    """One that runs."""

    def __init__(self, url: str, log: Path) -> None:
        self.url, self.log = url, log

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Its answer to a GraphQL query."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/graphql", body, headers)
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
            said = json.load(answer)
        assert not said.get("errors"), said
        return said["data"]

    def wait(self, seen: Callable[[], Any]) -> Any:
        """What `seen` returns, once that is something."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            try:
                if found := seen():
                    return found
            except urllib.error.URLError:
                pass  # it is not up yet
            time.sleep(0.5)
        raise AssertionError(self.log.read_text()[-5000:])


@contextmanager
def web_ui(home: Path, places: dict[str, str]) -> Iterator[WebUI]:
    """Those of a home, with the settings that `places` names."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = home / "web_ui.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "trading_pipeline.cli", "ui", "--port", str(port)],
            env={
                **os.environ,
                **places,
                "TP_HOME": str(home),
                "DAGSTER_GRPC_TIMEOUT_SECONDS": str(int(_PATIENCE)),
            },
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        made = WebUI(f"http://127.0.0.1:{port}", log)
        made.wait(lambda: made.ask("{version}"))
        yield made
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
