"""Predictions on disk: one Parquet file a fold, with the fingerprint of what made it.

Beside it lies what the leakage check found in exactly these bytes, once it has ended.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from trading_pipeline.adapters.store.files import remove_file, replace_file
from trading_pipeline.adapters.store.shared import not_shared
from trading_pipeline.core.market.bars import KEY
from trading_pipeline.core.model.config import SCORE_OF_SEED
from trading_pipeline.errors import StoreError

COLUMNS = (
    *KEY,
    "model",
    "fold",
    "score",
    "p_down",
    "p_flat",
    "p_up",
    "position",
    "volatility",
    "risk",
    "half_life",
)
_FINGERPRINT = b"fingerprint"


class PredictionStore:
    """What the models of one market predicted out of sample."""

    def __init__(self, folder: Path, share: Callable[[], None] = not_shared) -> None:
        """`share` is called after every write."""
        self.folder, self._share = folder, share

    def path(self, fold: str) -> Path:
        """The file of a fold's predictions, if it has any."""
        return self.folder / f"{fold}.parquet"

    def write(self, fold: str, predictions: pd.DataFrame, fingerprint: str) -> None:
        """Replace a fold's predictions; columns as in `COLUMNS`, and the scores of each seed."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        kept = [*COLUMNS, *(name for name in predictions if str(name).startswith(SCORE_OF_SEED))]
        table = pa.Table.from_pandas(predictions[kept], preserve_index=False)
        metadata = {**(table.schema.metadata or {}), _FINGERPRINT: fingerprint.encode()}
        table = table.replace_schema_metadata(metadata)
        replace_file(self.path(fold), lambda draft: pq.write_table(table, draft))
        self._share()

    def read(self, folds: list[str]) -> pd.DataFrame:
        """Predictions of these folds, ordered by (timestamp, symbol).

        Raises:
            StoreError: a fold has none, or its file cannot be read.
        """
        parts = [self._read(fold) for fold in folds]
        rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))
        return rows.sort_values(KEY, ignore_index=True)

    def fingerprint(self, fold: str) -> str | None:
        """What the predictions of a fold were made from; None if there are none."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.path(fold)
        if not path.exists():
            return None
        try:
            metadata = pq.read_schema(path).metadata or {}
        except (pa.ArrowException, OSError):
            return None
        return metadata.get(_FINGERPRINT, b"").decode() or None

    def digest(self, fold: str) -> str | None:
        """SHA-256 of a fold's file; None if there is none, or it cannot be read."""
        try:
            return hashlib.sha256(self.path(fold).read_bytes()).hexdigest()
        except OSError:
            return None

    def note_check(self, fold: str, digest: str | None, passed: bool) -> None:
        """Keep whether the rows of that digest passed their check."""
        text = f"{'passed' if passed else 'failed'} {digest}\n"
        replace_file(self._checked(fold), lambda draft: draft.write_text(text))
        self._share()

    def forget_check(self, fold: str) -> None:
        """As if it had never been checked."""
        remove_file(self._checked(fold))
        self._share()

    def passed(self, fold: str) -> bool | None:
        """Whether the rows stored now passed their check; None: it has not ended on them."""
        try:
            verdict, _, digest = self._checked(fold).read_text(errors="replace").partition(" ")
        except OSError:
            return None
        if digest.strip() != self.digest(fold):
            return None
        return {"passed": True, "failed": False}.get(verdict)

    def _checked(self, fold: str) -> Path:
        return self.folder / f"{fold}.checked"

    def folds(self) -> list[str]:
        """Folds that have predictions, in order."""
        return sorted(path.stem for path in self.folder.glob("*.parquet"))

    def _read(self, fold: str) -> pd.DataFrame:
        path = self.path(fold)
        if not path.exists():
            raise StoreError(f"{path} does not exist; materialize predictions for fold {fold}")
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} cannot be read ({error}); materialize it again") from error
