"""Servers on this machine that refuse, and quote the secret that they were sent."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

from trading_pipeline_tests.fakes.venue import Answer, Request, Venue

_PLAIN = b"R\0\0\0\x08\0\0\0\x03"  # PostgreSQL's wish for a password as it is


class Echo(Venue):
    """A web server that answers every request with what was in it, as JSON or as XML."""

    def __init__(self, status: int, kind: str = "json") -> None:
        super().__init__()
        self.status, self.kind = status, kind

    def answer(self, request: Request, *, half: bool = False) -> Answer:
        sent = {"path": request.target, "body": request.body.decode(), **request.headers}
        if self.kind == "json":
            return Answer({"code": -2015, "msg": sent, "message": json.dumps(sent)}, self.status)
        text = f"<Error><Code>AccessDenied</Code><Message>{escape(str(sent))}</Message></Error>"
        return Answer(text.encode(), self.status, {"Content-Type": "application/xml"})

    def is_page(self, request: Request) -> bool:
        return False


@contextmanager
def echoing_postgres() -> Iterator[int]:
    """The port of a PostgreSQL server that asks for a password, and refuses and quotes it."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Postgres) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class _Postgres(socketserver.StreamRequestHandler):
    """As much of its protocol (3.0) as a refusal takes."""

    def handle(self) -> None:
        while (
            self._message()[:2] != b"\0\x03"
        ):  # a wish for TLS, say, comes before the version, 3.0
            self.wfile.write(b"N")
        self.wfile.write(_PLAIN)
        self.rfile.read(1)
        said = b"password authentication failed, it was " + self._message().rstrip(b"\0")
        fields = b"SFATAL\0C28P01\0M" + said + b"\0\0"
        self.wfile.write(b"E" + (len(fields) + 4).to_bytes(4) + fields)

    def _message(self) -> bytes:
        size = int.from_bytes(self.rfile.read(4))
        return self.rfile.read(size - 4)
