"""A Docker engine as far as Dagster's run launcher asks one: its HTTP API on a socket.

A container is a process of this machine that the compose stack plays, with what the engine was told
to give it. What the engine was not told of (image, network, the container whose volumes are to be
had) is unknown to it, as it would be to a real one.
"""

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlparse

from trading_pipeline_tests.compose import Service, Stack


@dataclass
class Container:
    """What its creator asked for, and the process."""

    asked: dict[str, Any]
    service: Service

    @property
    def status(self) -> str:
        if not self.service.starts:
            return "created"
        return "exited" if self.service.died() else "running"


@dataclass
class Engine:
    """The containers of a stack's engine, by id."""

    stack: Stack
    containers: dict[str, Container] = field(default_factory=dict)

    def answer(self, verb: str, path: str, query: Mapping[str, list[str]], body: Any) -> Any:
        """Status and content of the answer to a request."""
        if path == "/version":
            return 200, {"ApiVersion": "1.50", "MinAPIVersion": "1.24"}
        if (verb, path) == ("POST", "/containers/create"):
            return self._create(body)
        match = re.fullmatch(r"/containers/(\w+)/(json|start|stop)", path)
        found = self._present(match[1]) if match else None
        if match is None or found is None:
            return 404, {"message": f"No such container or page: {verb} {path}"}
        if match[2] == "json":
            state = {"Status": found.status, "Running": found.status == "running"}
            return 200, {"Id": match[1], "State": state, "Config": found.asked}
        if match[2] == "start":
            found.service.start()
        else:
            found.service.stop(float(query.get("t", ["10"])[0]))
        return 204, None

    def _create(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        host = asked["HostConfig"]
        for kind, name, known in (
            ("image", asked["Image"], self.stack.images),
            ("network", host["NetworkMode"], self.stack.networks),
            *(("container", each, self.stack.containers) for each in host["VolumesFrom"]),
        ):
            if name not in known:
                return 404, {"message": f"No such {kind}: {name}"}
        identity = secrets.token_hex(32)
        source = self.stack.containers[host["VolumesFrom"][0]]
        name = f"run-{len(self.containers)}"
        service = self.stack.container(name, asked["Cmd"], asked["Env"], volumes_of=source)
        self.containers[identity] = Container(asked, service)
        return 201, {"Id": identity, "Warnings": []}

    def _present(self, identity: str) -> Container | None:
        found = self.containers.get(identity)
        gone = found and found.asked["HostConfig"]["AutoRemove"] and found.status == "exited"
        return None if gone else found


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    engine: Engine


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        """A socket's client has no address to log."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or "null")
        url = urlparse(self.path)
        path = re.sub(r"^/v1\.\d+", "", url.path)
        status, content = self.server.engine.answer(self.command, path, parse_qs(url.query), body)
        text = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@contextmanager
def engine(stack: Stack) -> Iterator[Engine]:
    """The engine of the machine that a stack is on."""
    with _Server(str(stack.socket), _Handler) as server:
        server.engine = Engine(stack)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.engine
        finally:
            server.shutdown()
            thread.join()
