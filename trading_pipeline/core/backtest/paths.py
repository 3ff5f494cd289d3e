"""Many accounts of one history, of each of which a path of equity is kept and little else.

Every account is the one of `simulate`, to the last bit; a thousand of them fit into memory.
Letters: R accounts, K bars, T rows of the panel, N symbols.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import cast

import numpy as np

from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.backtest.result import BacktestResult, Curves
from trading_pipeline.core.trading.engine.dtypes import Account, Array, Parameters, new_account
from trading_pipeline.core.trading.engine.loop import Known, new_scratch
from trading_pipeline.core.trading.engine.many import Path, run_accounts
from trading_pipeline.core.trading.engine.parameters import parameters_of
from trading_pipeline.core.trading.inputs import Inputs, known_grids
from trading_pipeline.core.trading.terms import Terms

_BLOCK = 4  # accounts that a thread runs before it says so


@dataclass(frozen=True, kw_only=True, eq=False)
class Paths(Curves):
    """What remains of R accounts over the same K bars; money in quote currency."""

    log: Array[Path]  # (R, K)
    accounts: Array[Account]  # (R,) after the last bar

    @classmethod
    def opened(cls, under: Sequence[Terms], bars: int) -> "Paths":
        """New accounts, and room for what becomes of them."""
        fresh = np.concatenate([Account.zeros(0), *(new_account(each.capital) for each in under)])
        return cls(log=Path.zeros(len(under), bars), accounts=cast(Array[Account], fresh))

    def with_result(self, result: BacktestResult, place: int) -> "Paths":
        """R + 1 accounts: these, and at that place one of the same bars simulated by itself."""
        own = Path.zeros(1, len(result.log))
        for name in own.dtype.names or ():
            own[name] = result.log[name]
        log = np.concatenate([self.log[:place], own, self.log[place:]])
        accounts = np.concatenate([self.accounts[:place], result.log[-1:], self.accounts[place:]])
        return Paths(log=cast(Array[Path], log), accounts=cast(Array[Account], accounts))


def trade_paths(
    basis: Basis,
    under: Sequence[Terms],
    shares: Sequence[np.ndarray],
    *,
    inputs: Inputs | None = None,
    threads: int = 1,
    watch: Callable[[int, int, str], None] | None = None,
) -> Paths:
    """Trade the same inputs under each of R terms.

    Args:
        shares: R of (T,), of the tilt that each account's evidence allows; NaN: none yet.
        inputs: what is traded; None: the basis's own. Their `kelly` plays no part.
        threads: that run accounts at the same time; the kernels leave the interpreter alone. The
            result does not depend on it.
        watch: called with (accounts done, R, "") as blocks of them are done.

    Raises:
        TradingError: a score or weight is infinite.
    """
    traded = basis.inputs if inputs is None else inputs
    rules = [parameters_of(each, scored=traded.score is not None) for each in under]
    known = known_grids(basis.panel, basis.prepared, traded)
    paths = Paths.opened(under, basis.stop - basis.start)

    def run(first: int) -> int:
        part = slice(first, first + _BLOCK)
        block = cast(Array[Parameters], np.concatenate(rules[part]))
        live_through(basis, block, known, np.stack(shares[part]), paths, part)
        return len(block)

    done = 0
    for count in in_threads(run, range(0, len(rules), _BLOCK), threads):
        done += count
        if watch is not None:
            watch(done, len(rules), "")
    return paths


def live_through(
    basis: Basis,
    rules: Array[Parameters],
    known: Known,
    shares: np.ndarray,
    paths: Paths,
    part: slice,
) -> None:
    """Run the accounts of `part`, one for each of `rules` and of `shares` (R, T)."""
    _, positions, periods, prices = basis.prepared.opened(1.0)
    run_accounts(
        rules,
        paths.accounts[part],
        positions,
        periods,
        prices,
        known,
        shares,
        (basis.start, basis.stop),
        new_scratch(len(basis.panel.symbols)),
        paths.log[part],
    )


def in_threads(work: Callable[[int], int], pieces: Sequence[int], threads: int) -> Iterator[int]:
    """Results as they come; after an error or Ctrl-C, pieces not yet begun are not begun."""
    pool = ThreadPoolExecutor(max_workers=threads)
    try:
        for future in as_completed([pool.submit(work, piece) for piece in pieces]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
