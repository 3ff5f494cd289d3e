"""Where alerts arrive, on this machine: a webhook, which may be Telegram's, and a mail server."""

import json
import socketserver
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self

from trading_pipeline_tests.fakes.venue import Answer, Request, Venue


class Inbox(Venue):
    """A webhook that takes whatever is posted, and can be told to misbehave."""

    def answer(self, request: Request, *, half: bool = False) -> Answer:
        return Answer({"ok": True, "result": {}})

    def is_page(self, request: Request) -> bool:
        return False

    def at(self, kind: str, path: str = "hook") -> str:
        """Its address, as apprise writes it: `json`, say."""
        return f"{kind}://{self.url.removeprefix('http://')}/{path}"

    @property
    def letters(self) -> list[dict[str, Any]]:
        """What was posted so far, refused or not."""
        return [json.loads(request.body) for request in self.asked()]

    @property
    def said(self) -> list[str]:
        """Titles and texts of what was posted."""
        return [f"{each['title']}\n{each['message']}" for each in self.letters]


class MailServer:
    """Takes all mail for anybody; `mail` is what came."""

    def __init__(self) -> None:
        self.mail: list[EmailMessage] = []
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _mailbox_of(self.mail))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _mailbox_of(mail: list[EmailMessage]) -> type[socketserver.StreamRequestHandler]:
    class Mailbox(socketserver.StreamRequestHandler):
        """SMTP (RFC 5321), as much of it as a client needs that is not asked for a password."""

        def handle(self) -> None:
            self.say("220 loopback")
            while word := self.rfile.readline()[:4].upper():
                if word == b"DATA":
                    self.say("354 go on")
                    lines = iter(self.rfile.readline, b".\r\n")
                    text = b"".join(line.removeprefix(b".") for line in lines)
                    mail.append(message_from_bytes(text, policy=policy.default))
                self.say("221 bye" if word == b"QUIT" else "250 yes")

        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    return Mailbox
