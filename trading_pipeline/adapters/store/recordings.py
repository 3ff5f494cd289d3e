"""What paper sessions knew when they began: arrays in files that are named by their content.

A session records each bar in the ledger. What came before its first bar is large and never changes,
so that it lies in `DIGEST.npz`, and the ledger holds the digest.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from trading_pipeline.adapters.store.files import replace_file
from trading_pipeline.adapters.store.shared import not_shared
from trading_pipeline.errors import StoreError

_SHOWN = 16  # digits of a SHA-256 that name a file


class RecordingStore:
    """The recordings of one market's sessions; those that are equal are one file."""

    def __init__(self, folder: Path, share: Callable[[], None] = not_shared) -> None:
        """`share` is called after every write."""
        self.folder, self._share = folder, share

    def write(self, arrays: Mapping[str, np.ndarray]) -> str:
        """Keep arrays of numbers or text, bit for bit; the SHA-256 of what they say."""
        digest = _digest(arrays)
        path = self._path(digest)
        if not path.exists():
            replace_file(path, lambda draft: np.savez_compressed(draft, **arrays))  # type: ignore[arg-type]
            self._share()
        return digest

    def read(self, digest: str) -> dict[str, np.ndarray]:
        """The arrays of that SHA-256.

        Raises:
            StoreError: there is no such file, or it was changed.
        """
        path = self._path(digest)
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except (OSError, ValueError, BadZipFile, EOFError) as error:
            raise StoreError(
                f"{path}, what a paper session knew when it began, cannot be read ({error}); bring "
                "it back from a copy, or start another --session"
            ) from error
        if _digest(arrays) != digest:
            raise StoreError(
                f"{path}, what a paper session knew when it began, was changed since; bring it "
                "back from a copy, or start another --session"
            )
        return arrays

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest[:_SHOWN]}.npz"


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
