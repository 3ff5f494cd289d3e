"""What limits a paper account, and what it holds is worth: read from its newest decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trading_pipeline.core.trading.engine.dtypes import new_account, new_positions
from trading_pipeline.core.trading.engine.reasons import Facts, reasons_in
from trading_pipeline.core.trading.engine.risk import (
    CLOSING,
    DRAWDOWN_HALF,
    KILL_SWITCH,
    REFUSING,
)
from trading_pipeline.core.trading.to_dict import number_from_json, unpacked
from trading_pipeline.errors import TradingError

ACTIVE, REDUCE_ONLY, HALTED = "active", "reduce-only", "halted"
# Rules that act rarely and on everything: whoever watches an account wants to hear of it. Drawdown
# control scales a little nearly always.
ALARMS = [each.name for each in reasons_in((REFUSING | CLOSING | DRAWDOWN_HALF) & ~KILL_SWITCH)]


@dataclass(frozen=True)
class RiskState:
    """Of one account at a close."""

    state: str  # ACTIVE; REDUCE_ONLY: nothing new is bought; HALTED: no order, or all is closed
    limits: dict[str, str]  # rules that act on the whole account now: by name, a sentence
    drawdown: float  # of equity below its highest so far, [0, 1]
    values: dict[str, float]  # of the positions, quote currency, shorts below 0

    @classmethod
    def of(
        cls,
        opened: Mapping[str, Any],
        decision: Mapping[str, Any],
        earlier: Sequence[Mapping[str, Any]],
    ) -> "RiskState | None":
        """From the payloads of a session's first event and of a decision, and `earlier_states`.

        None: a version with other trading rules wrote them.
        """
        symbols, state = opened["symbols"], decision["state"]
        try:
            account = unpacked(state["account"], new_account(1.0), "account")[0]
            held, before = new_positions(len(symbols)), None
            for each in (*earlier, state):
                held = before = unpacked(each["positions"], held, "positions", before)
        except TradingError:
            return None
        acting = int(account["acting"])
        halted = acting & CLOSING or decision["halted"]
        rules = {name: number_from_json(each) for name, each in opened["rules"].items()}
        facts = Facts(rules, account, None)
        worth = held["quantity"] * held["last"]
        return cls(
            HALTED if halted else REDUCE_ONLY if acting & REFUSING else ACTIVE,
            {each.name: each.told(facts) for each in reasons_in(acting)},
            max(0.0, 1 - float(account["equity"]) / float(account["peak"])),
            {name: float(worth[n]) for n, name in enumerate(symbols) if held["quantity"][n]},
        )
