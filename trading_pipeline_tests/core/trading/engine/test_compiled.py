"""Compiled code is kept on disk, and is never older than its source."""

from trading_pipeline.core.trading.engine import compiled, loop, many
from trading_pipeline.core.trading.engine.compiled import fingerprint, kernel
from trading_pipeline.core.trading.engine.parameters import PARAMETERS

LIMIT = 3


def test_the_records_carry_the_fingerprint_of_all_kernels():
    assert f"kernels_{loop.VERSION}" in PARAMETERS.names


def test_the_fingerprint_follows_code_constants_and_globals(monkeypatch):
    monkeypatch.setattr(compiled, "_SOURCES", dict(compiled._SOURCES))
    seen = {fingerprint()}

    def rule(x):
        return x + 1

    def same_name(body):
        body.__qualname__ = rule.__qualname__
        kernel(body)
        return fingerprint()

    seen.add(same_name(rule))
    seen.add(same_name(lambda x: x + 2))
    seen.add(same_name(lambda x: x - 2))
    seen.add(same_name(lambda x: x - LIMIT))
    monkeypatch.setitem(globals(), "LIMIT", 4)
    seen.add(fingerprint())
    assert len(seen) == 6


def test_entry_points_are_cached_on_disk():
    for entry in (loop.run_history, many.run_accounts, loop.decide_bar, loop.fill_bar):
        assert entry._cache.cache_path


def test_only_kernels_that_make_arrays_count_references():
    assert _counts(many.run_accounts)
    assert not _counts(loop.run_history)
    assert not _counts(loop.run_orders)
    assert not _counts(loop.fill_bar)


def _counts(kernel_):
    return kernel_.targetoptions["_nrt"]
