"""How far a paper session may be from the backtest."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """Differences of P&L that nobody has to hear of: fractions of equity."""

    day: float = 0.0025  # of one day: 25 basis points
    total: float = 0.01  # of all days since the session began: 100 basis points

    def __post_init__(self) -> None:
        if not (self.day > 0 and self.total > 0):
            raise ValueError(
                f"a tolerance must be > 0 (inf tells nobody), was {self.day} a day and "
                f"{self.total} in total"
            )
