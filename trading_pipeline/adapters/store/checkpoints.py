"""Checkpoints on disk: one file a fold, plain types only, its SHA-256 beside it.

torch loads a file with a flipped byte without complaint, so the digest is verified first.
"""

import hashlib
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from shutil import copyfile
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

from trading_pipeline.adapters.code_version import code_version
from trading_pipeline.adapters.machine import processor
from trading_pipeline.adapters.store.files import one_writer, remove_file, replace_file
from trading_pipeline.adapters.store.shared import not_shared
from trading_pipeline.errors import CheckpointError

FORMAT = 3
_DIGEST_BYTES = 32
_AGAIN = "run `trading-pipeline train`"
# What torch raises for a file that is cut short, is no file of torch's, or is no plain data.
_UNREADABLE = (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError)


class CheckpointStore:
    """The models of one market: `FOLD.pt`, and `best_model.pt` for production."""

    def __init__(self, folder: Path, share: Callable[[], None] = not_shared) -> None:
        """`share` is called after every write."""
        self.folder, self._share = folder, share

    def path(self, name: str) -> Path:
        """Its file, whether or not it is there."""
        return self.folder / f"{name}.pt"

    def write(self, name: str, checkpoint: dict[str, Any], trained_on: str = "cpu") -> str:
        """Replace the checkpoint of that name in one step; return its SHA-256.

        Args:
            trained_on: the device, "cpu", "cuda", "cuda:1", ...
        """
        import torch

        made_by = {
            "format": FORMAT,
            "code_version": code_version(),
            "torch": str(torch.__version__),
            "processor": processor(trained_on),
        }
        digest = self._replace(name, lambda draft: _save({**made_by, **checkpoint}, draft))
        remove_file(self._unfinished(name))
        return digest

    def copy(self, name: str, source: Path) -> str:
        """Replace the checkpoint of that name by a copy of a file, in one step; its SHA-256."""
        return self._replace(name, lambda draft: copyfile(source, draft))

    def remove(self, name: str) -> None:
        """Remove the checkpoint of that name, if there is one."""
        remove_file(self.path(name))
        remove_file(_digest_path(self.path(name)))
        self._share()

    def _replace(self, name: str, write: Callable[[Path], object]) -> str:
        """Swap file and digest as one: while the file is swapped, beside it are the digests of
        both, so that whoever reads, also after a kill, finds one of two whole checkpoints."""
        path, digests = self.path(name), list[str]()

        def announced(draft: Path) -> None:
            """Write the draft, and put its digest beside the file that it replaces."""
            write(draft)
            digests.append(_sha256(draft))
            if path.exists() and (before := _sha256(path)) in _digests_beside(path):
                digests.append(before)
            text = "".join(f"{digest}\n" for digest in digests)
            replace_file(_digest_path(path), lambda beside: beside.write_text(text))

        replace_file(path, announced)
        self._share()
        return digests[0]

    def read(self, name: str) -> dict[str, Any]:
        """The checkpoint of that name.

        Raises:
            CheckpointError: it is missing, truncated, altered, of another format, or not sound.
        """
        from trading_pipeline.core.learning.soundness import check_schema

        path = self.path(name)
        self.verify(name)
        try:
            checkpoint: dict[str, Any] = load(path)
        except _UNREADABLE as error:
            raise CheckpointError(f"{path} cannot be read ({_first(error)}); {_AGAIN}") from error
        found = checkpoint.get("format") if isinstance(checkpoint, dict) else type(checkpoint)
        if found != FORMAT:
            raise CheckpointError(
                f"{path} has format {found}, this version reads {FORMAT}; {_AGAIN}"
            )
        try:
            check_schema(checkpoint)
        except CheckpointError as error:
            raise CheckpointError(f"{path} {error}; {_AGAIN}") from error
        return checkpoint

    def verify(self, name: str) -> str:
        """The SHA-256 of a checkpoint, after comparing it with the one written beside it."""
        path = self.path(name)
        if not path.exists():
            raise CheckpointError(f"{path} does not exist; {_AGAIN}")
        try:
            digest, said = _sha256(path), _digests_beside(path)
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read ({error})") from error
        if digest not in said:
            raise CheckpointError(
                f"{path} is not the file that was written (its SHA-256 is {digest[:12]}..., "
                f"{_digest_path(path).name} says {said[0][:12] + '...' if said else 'nothing'}); "
                f"{_AGAIN}"
            )
        return digest

    def is_whole(self, name: str, digest: str) -> bool:
        """Whether the file of that name is there, undamaged, and of this SHA-256."""
        try:
            return self.verify(name) == digest
        except CheckpointError:
            return False

    @contextmanager
    def one_training(self, name: str, waiting: Callable[[], object]) -> Iterator[None]:
        """One training of that name at a time: two would share curves and unfinished runs.

        `waiting` is called once if another process is at it.
        """
        with one_writer(self.lock(name), waiting):
            yield

    def lock(self, name: str) -> Path:
        """The folder that is locked while a checkpoint of that name is trained."""
        return self.folder / "unfinished" / "locks" / name

    def write_unfinished(self, name: str, fingerprint: str, runs: dict[int, Any]) -> None:
        """Keep a training so far, by seed, until the checkpoint of that name is written."""
        write_runs(self._unfinished(name), fingerprint, runs)

    def read_unfinished(self, name: str, fingerprint: str) -> dict[int, Any]:
        """The runs of an interrupted training of the same fingerprint, by seed; {} if none."""
        return read_runs(self._unfinished(name), fingerprint)

    def _unfinished(self, name: str) -> Path:
        return self.folder / "unfinished" / f"{name}.pt"

    def names(self) -> list[str]:
        """Names of all checkpoints, in order."""
        return sorted(path.stem for path in self.folder.glob("*.pt"))


def write_runs(path: Path, fingerprint: str, runs: dict[int, Any]) -> None:
    """Replace the file of a training so far: its runs by seed, under what they are made of.

    Their SHA-256 comes first, in the same file: a kill between two files would lose the training.
    """
    import torch

    whole = BytesIO()
    torch.save({"format": FORMAT, "fingerprint": fingerprint, "runs": runs}, whole)
    content = whole.getvalue()
    replace_file(path, lambda draft: draft.write_bytes(_digest_of(content) + content))


def read_runs(path: Path, fingerprint: str) -> dict[int, Any]:
    """The runs in such a file, by seed; {} if there are none, or none of this fingerprint."""
    try:
        stored = path.read_bytes()
    except OSError:
        return {}
    digest, content = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
    if digest != _digest_of(content):
        return {}  # damaged: nothing is lost but time, and the training starts again
    whole = load(BytesIO(content))
    if (whole["format"], whole["fingerprint"]) != (FORMAT, fingerprint):
        return {}
    runs: dict[int, Any] = whole["runs"]
    return runs


def save(content: Any, path: Path) -> None:
    """Replace a file of torch's in one step.

    Raises:
        StoreError: it cannot be written.
    """
    replace_file(path, lambda draft: _save(content, draft))


def _save(content: Any, path: Path) -> None:
    """Given a path, torch would say of a full disk something about a position in a file; given an
    open file, it passes on what the system says."""
    import torch

    with path.open("wb") as file:
        torch.save(content, file)


def load(file: Path | BytesIO) -> Any:
    """What is in a file of torch's: plain types and tensors, on the CPU; nothing is executed.

    Raises:
        ValueError: its table of contents is damaged; or it is compressed, which torch's files are
            not: a few bytes might fill memory.
    """
    import torch

    if is_zipfile(file):
        try:
            with ZipFile(file) as archive:
                compressed = any(each.compress_type for each in archive.infolist())
        except BadZipFile as error:
            raise ValueError(f"its table of contents is damaged: {error}") from error
        if compressed:
            raise ValueError("it is compressed, as no file of torch's is")
    if isinstance(file, BytesIO):
        file.seek(0)
    return torch.load(file, weights_only=True, map_location="cpu")


def _first(error: Exception) -> str:
    """The first sentence, without the advice that torch has for files that one trusts."""
    if isinstance(error, pickle.UnpicklingError):
        return "it is not a file of torch's, or holds more than plain data and weights"
    return str(error).partition(". ")[0].partition("\n")[0]


def _digest_of(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _digest_path(path: Path) -> Path:
    return path.with_suffix(".pt.sha256")


def _digests_beside(path: Path) -> list[str]:
    """The SHA-256 of a checkpoint and, since it was last replaced, of the one before it."""
    beside = _digest_path(path)
    return beside.read_text(errors="replace").split() if beside.exists() else []


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
