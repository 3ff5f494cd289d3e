"""`pipeline.toml` of a panel: written for its user to edit, and never over anybody's work."""

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from trading_pipeline.adapters.store.files import replace_file
from trading_pipeline.errors import SettingsError, StoreError

_MARK = "# Written by `trading-pipeline walk-forward`, checksum "
_ADVICE = """.
# Edit it as you like, and use it with TP_CONFIG; it is not written over once it was edited.

"""


def write_settings(path: Path, values: Mapping[str, Any]) -> None:
    """Write settings as TOML, unless the file says the same already.

    Args:
        path: the file to make, or to replace where it is as this function wrote it.
        values: plain values: text, numbers, truth values, dates, lists and tables of these.

    Raises:
        SettingsError: there is a file that somebody else made, or edited since.
        StoreError: the file cannot be written.
    """
    body = tomlkit.dumps(values)
    if path.exists():
        found = path.read_bytes()
        if _read(found) == tomllib.loads(body):
            return
        if not _is_ours(found):
            raise SettingsError(
                f"{path} was not written by this command, or was edited since, and would be lost. "
                "Choose another folder with --out, move the file away, or use it as it is: "
                f"TP_CONFIG={path} trading-pipeline train"
            )
    content = f"{_MARK}{_checksum(body.encode(errors='surrogateescape'))}{_ADVICE}{body}"
    try:
        encoded = content.encode()
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"{path}: {error.object[error.start : error.end]!r} in a name is no Unicode text; "
            "rename the file or folder it comes from"
        ) from error
    try:
        replace_file(path, lambda draft: draft.write_bytes(encoded))
    except StoreError as error:
        reason = error.__cause__ or error
        raise StoreError(
            f"cannot write {path} ({reason}); give a writable folder with --out"
        ) from error


def _read(content: bytes) -> dict[str, Any] | None:
    """What a file says; None if it is no TOML."""
    try:
        return tomllib.loads(content.decode())
    except ValueError:  # also of other bytes than UTF-8
        return None


def _is_ours(content: bytes) -> bool:
    """Whether it begins with our mark and is, byte for byte, what we wrote behind it."""
    first, _, body = content.partition(_ADVICE.encode())
    return first == f"{_MARK}{_checksum(body)}".encode()


def _checksum(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
