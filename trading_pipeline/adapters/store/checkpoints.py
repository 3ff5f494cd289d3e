"""Checkpoints on disk: one file a fold, plain types only, its SHA-256 beside it.

torch loads a file with a flipped byte without complaint, so the digest is verified first.
"""

import hashlib
import pickle
from pathlib import Path
from typing import Any

from trading_pipeline.adapters.store.files import remove_file, replace_file
from trading_pipeline.errors import CheckpointError

FORMAT = 1


class CheckpointStore:
    """The models of one market: `FOLD.pt`, and `best_model.pt` for production."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.pt"

    def write(self, name: str, checkpoint: dict[str, Any]) -> str:
        """Replace the checkpoint of that name in one step; return its SHA-256."""
        import torch

        path = self.path(name)
        replace_file(path, lambda draft: torch.save({"format": FORMAT, **checkpoint}, draft))
        digest = _sha256(path)
        replace_file(_digest_path(path), lambda draft: draft.write_text(digest + "\n"))
        remove_file(self._unfinished(name))
        return digest

    def read(self, name: str) -> dict[str, Any]:
        """The checkpoint of that name.

        Raises:
            CheckpointError: it is missing, truncated, altered, or of another format.
        """
        import torch

        path = self.path(name)
        self.verify(name)
        try:
            checkpoint: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        except (RuntimeError, EOFError, OSError, ValueError) as error:
            raise CheckpointError(
                f"{path} cannot be read ({error}); run `trading-pipeline train`"
            ) from error
        if checkpoint.get("format") != FORMAT:
            raise CheckpointError(
                f"{path} has format {checkpoint.get('format')}, this version reads {FORMAT}; "
                "run `trading-pipeline train`"
            )
        return checkpoint

    def verify(self, name: str) -> str:
        """The SHA-256 of a checkpoint, after comparing it with the one written beside it."""
        path = self.path(name)
        if not path.exists():
            raise CheckpointError(f"{path} does not exist; run `trading-pipeline train`")
        digest = _sha256(path)
        beside = _digest_path(path)
        if not beside.exists() or beside.read_text().strip() != digest:
            raise CheckpointError(
                f"{path} is not the file that was written (its SHA-256 is {digest[:12]}..., "
                f"{beside.name} says otherwise or is missing); run `trading-pipeline train`"
            )
        return digest

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
    """Replace the file of a training so far: its runs by seed, under what they are made of."""
    import torch

    whole = {"format": FORMAT, "fingerprint": fingerprint, "runs": runs}
    replace_file(path, lambda draft: torch.save(whole, draft))


def read_runs(path: Path, fingerprint: str) -> dict[int, Any]:
    """The runs in such a file, by seed; {} if there are none, or none of this fingerprint."""
    import torch

    if not path.exists():
        return {}
    try:
        whole = torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError):
        return {}  # nothing is lost but time: the training starts again
    if (whole.get("format"), whole.get("fingerprint")) != (FORMAT, fingerprint):
        return {}
    runs: dict[int, Any] = whole["runs"]
    return runs


def _digest_path(path: Path) -> Path:
    return path.with_suffix(".pt.sha256")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
