"""Have the blocking checks passed that stand between bars and models?"""

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from trading_pipeline.core.market.market import Market

_BLOCKING = (
    ("raw_bars", "bars_obey_market_invariants"),
    ("raw_bars", "no_session_is_missing"),
    ("features", "features_do_not_look_ahead"),
)


def checks_passed(instance: dg.DagsterInstance, market: Market) -> bool:
    """Whether the newest evaluation of every blocking check of bars and features was a pass.

    An asset is recorded as materialized before its checks run, so that it exists says nothing.
    """
    keys = [dg.AssetCheckKey(dg.AssetKey([market.name, asset]), name) for asset, name in _BLOCKING]
    newest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return all(
        key in newest and newest[key].status == AssetCheckExecutionRecordStatus.SUCCEEDED
        for key in keys
    )
