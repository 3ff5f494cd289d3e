"""Secrets that are canaries: where one sings, a secret would have been told.

`SECRETS` has every secret that the program is given, with signs in it that encodings change;
`spellings` are the ways in which one could be told; a `Search` counts what it has looked through.
"""

import html
import json
import sqlite3
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote, quote_plus

# Alpaca's are letters and digits, as the venue's are; AWS's have its slash and plus sign.
SECRETS = {
    "TP_ALPACA_KEY": "PKCANARYONE11",
    "TP_ALPACA_SECRET": "canaryTwo22canaryTwo",
    "TP_BINANCE_KEY": "canaryThree33canaryThree",
    "TP_BINANCE_SECRET": "canaryFour44canaryFour",
    "TP_LEDGER_URL": 'canary "fünf" a:b\\c/5@5%',  # the password of PostgreSQL in it
    "TP_ALERT_URLS": "canary<Six>&66'",  # a token in one of them
    "AWS_SECRET_ACCESS_KEY": "canary/Seven+77/canary",
    "HTTP_PROXY": 'canary "eight"~88',  # the password of a proxy
}

# Kinds of places, and what is in each, so that it is known to have been read.
WHERE_IT_IS_REFUSED = {
    "what commands print": b"NOT SENT",
    "logs": b"urllib3.connectionpool",  # of libraries, too, at their most talkative
    "errors": b"CredentialsError",  # with their tracebacks and causes
    "records of runs": b"sample__raw_bars",
    "stores": b"DUCK",
    "the ledger": b"halted",
    "alerts": b"alerts of this machine arrive here",
    "GraphQL": b"sample__raw_bars",
    "metadata": b"metadataEntries",
    "the web UI": b"sample__raw_bars",
}
WHERE_IT_WORKS = {
    "command lines": b"trading_pipeline.defs.one_run",
    "models": b"PK",
    "reports": b"<!doctype html>",
    "trials": b"sharpe",
    "the live page": b"heartbeat",
}
PLACES = {**WHERE_IT_IS_REFUSED, **WHERE_IT_WORKS}


def spellings(secret: str) -> dict[str, bytes]:
    """How a secret could be told, by what was done to it."""
    raw = secret.encode()
    texts = {
        "as it is": secret,
        "quoted for a URL": quote(secret, safe=""),
        "quoted for a path": quote(secret),
        "quoted for a form": quote_plus(secret),
        "quoted twice": quote(quote(secret, safe=""), safe=""),
        "in JSON": json.dumps(secret)[1:-1],
        "in JSON in UTF-8": json.dumps(secret, ensure_ascii=False)[1:-1],
        "in JSON twice": json.dumps(json.dumps(secret)[1:-1])[1:-1],
        "in HTML": html.escape(secret),
        "as Python writes it": repr(secret)[1:-1],
        "in hexadecimal": raw.hex(),
    }
    for name, encode in {"base64": b64encode, "base64 of URLs": urlsafe_b64encode}.items():
        # Of whatever stands before it: the letters that are its alone, for each of three places.
        for before in range(3):
            told = encode(b"\0" * before + raw).decode().rstrip("=")
            texts[f"{name}, {before} bytes in"] = told[4 * bool(before) : -4]
    return {name: text.encode() for name, text in texts.items()}


class Search:
    """Looks for all secrets, in all spellings, in whatever it is given.

    Args:
        places: by kind of place, what is in it: where that was not met, it was not read.

    found: (place, secret, spelling) of each that was told. unread: kinds of places.
    """

    def __init__(self, places: Mapping[str, bytes]) -> None:
        self.unread, self.found = dict(places), set[tuple[str, str, str]]()
        self._known = [
            (secret, how, told)
            for secret, value in SECRETS.items()
            for how, told in spellings(value).items()
        ]

    def look(self, kind: str, text: str | bytes, where: str = "") -> None:
        """Search a text of a kind of place; `where` exactly, for a person."""
        read = text.encode(errors="surrogatepass") if isinstance(text, str) else text
        if self.unread.get(kind, b"\0none") in read:
            del self.unread[kind]
        place = f"{kind} {where}".strip()
        self.found |= {(place, secret, how) for secret, how, told in self._known if told in read}

    def look_below(self, kind: str, folder: Path) -> None:
        """Search every file below a folder, names included."""
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            self.look(kind, name, "names of files")
            if path.is_file():
                for text in said_in(path):
                    self.look(kind, text, name)


def said_in(path: Path) -> Iterator[bytes]:
    """The bytes of a file; of a database of SQLite also what was compressed in its rows."""
    said = path.read_bytes()
    yield said
    if not said.startswith(b"SQLite format 3\0"):
        return
    with closing(sqlite3.connect(path)) as database:
        database.text_factory = bytes
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in database.execute(f'SELECT * FROM "{table.decode()}"'):
                yield b" ".join(each for each in row if isinstance(each, bytes))
                for value in row:
                    if isinstance(value, bytes):
                        with suppress(zlib.error):
                            yield zlib.decompress(value)
