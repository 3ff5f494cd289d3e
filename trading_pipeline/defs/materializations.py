"""Which run made what a report was made from, as Dagster has it on record."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import dagster as dg

from trading_pipeline.defs.assets.metadata import short
from trading_pipeline.defs.assets.rivals import rival_asset

_LOOKED_AT = 50  # materializations of a fold, the newest first


class Made(NamedTuple):
    """A materialization."""

    asset: str
    fold: str | None
    run_id: str
    at: datetime


def materializations(
    instance: dg.DagsterInstance, summary: Mapping[str, Any], models: list[str]
) -> Iterator[Made]:
    """Of bars, features, the folds of some models and the report: the newest until it was made.

    Of a checkpoint, the one that wrote the very file, where it is on record.
    """
    market, lineage = summary["market"], summary["lineage"]
    until = datetime.fromisoformat(lineage["made_at"]).timestamp()
    for asset in ("raw_bars", "corporate_actions", "features"):
        yield from _newest(instance, market, asset, until)
    own = next(iter(lineage["models"]))
    for model in models:
        for key, fold in lineage["models"][model].items():
            if model == own:
                digest = short(fold["checkpoint"])
                yield from _newest(instance, market, "model_checkpoint", until, key, digest)
                yield from _newest(instance, market, "predictions", until, key)
            else:
                yield from _newest(instance, market, rival_asset(model), until, key)
    yield from _newest(instance, market, "backtest_report", None)


def _newest(
    instance: dg.DagsterInstance,
    market: str,
    asset: str,
    until: float | None,
    fold: str | None = None,
    digest: str | None = None,
) -> Iterator[Made]:
    """The newest materialization, if there is one; with that digest of its file, if one has it."""
    wanted = dg.AssetRecordsFilter(
        asset_key=dg.AssetKey([market, asset]),
        asset_partitions=[fold] if fold else None,
        before_timestamp=until,
    )
    records = instance.fetch_materializations(wanted, _LOOKED_AT if digest else 1).records
    written = [each for each in records if digest and _sha256(each) == digest]
    for record in (written or list(records))[:1]:
        at = datetime.fromtimestamp(record.timestamp, UTC)
        yield Made(asset, fold, record.run_id, at)


def _sha256(record: dg.EventLogRecord) -> str | None:
    made = record.asset_materialization
    said = made.metadata.get("sha256") if made else None
    return str(said.value) if said else None
