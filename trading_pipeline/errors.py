"""Every error this package raises on purpose, in one tree.

TradingPipelineError
├── SettingsError         pipeline.toml, .env or a TP_* variable says something impossible
├── BarsError             bars break a market invariant, or a panel cannot be read as bars
├── SourceError           a source answered, but not with what we asked for
│   ├── UnknownSymbol     the source does not know a symbol
│   ├── SourceUnavailable the source did not answer, however often it was asked
│   │   └── VenueDown     it answers no question of that kind, or wants to be left alone
│   └── CredentialsError  the keys of a venue are missing, or it refuses them
├── HistoryTooShort       fewer bars than the folds or the features need
├── StoreError            a folder or file of ours cannot be read or written
├── FeatureError          features are missing, or were made by another catalog
├── TrainingError         the loss became NaN or infinite, or there is nothing to learn from
├── CheckpointError       a checkpoint does not fit the code or the bars that use it
│   └── LookAheadError    a checkpoint has seen the bars it is asked to predict
├── BrokerError           a broker did not do what an order asked for
│   ├── OutcomeUnknown    nobody knows whether an order arrived: ask before it is sent again
│   ├── TooEarly          the broker takes such orders later; nothing was sent
│   └── Rejected          the broker refused the order
├── TradingError          an order, a book or a risk setting that cannot be simulated
├── LedgerError           the journal cannot be used, or another session is writing to it
│   ├── BrokenChain       events were changed, removed or put in between
│   ├── Overtaken         another writer was faster; nothing was written
│   ├── LeaseHeld         another session trades the market
│   └── LeaseLost         the lease on a market has expired, or is another session's
├── EvaluationError       there is nothing to evaluate
└── ProgramFault          something of ours broke; says what, and where in the code
"""

from datetime import datetime


class TradingPipelineError(Exception):
    """Base of every deliberate error; catch it only at the edge (an asset, a command)."""


class SettingsError(TradingPipelineError):
    """A setting is unknown, missing or impossible."""


class BarsError(TradingPipelineError):
    """Bars break a market invariant, or a panel cannot be read as bars."""


class SourceError(TradingPipelineError):
    """A source answered, but not with what we asked for."""


class UnknownSymbol(SourceError):
    """The source does not know a symbol."""


class SourceUnavailable(SourceError):
    """The source did not answer, however often it was asked; says how long it was tried.

    `retry_after`: seconds for which it wants to be left alone; 0: it did not say.
    """

    def __init__(self, text: str, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class VenueDown(SourceUnavailable):
    """A venue answers nothing of what it was asked, or wants to be left alone: ask no more."""


class CredentialsError(SourceError):
    """The keys of a venue are missing, or it refuses them; says which variable to set."""


class HistoryTooShort(TradingPipelineError):
    """Fewer bars than the folds or the features need."""


class StoreError(TradingPipelineError):
    """A folder or file of ours cannot be read or written."""


class FeatureError(TradingPipelineError):
    """Features are missing, or were made by another catalog."""


class TrainingError(TradingPipelineError):
    """The loss became NaN or infinite, or there is nothing to learn from."""


class CheckpointError(TradingPipelineError):
    """A checkpoint does not fit the code or the bars that use it."""


class LookAheadError(CheckpointError):
    """A checkpoint has seen the bars that it is asked to predict."""


class BrokerError(TradingPipelineError):
    """A broker did not do what an order asked for."""


class OutcomeUnknown(BrokerError):
    """Nobody knows whether an order arrived: ask by its client order id before it is sent again."""


class TooEarly(BrokerError):
    """The broker takes such orders later, from `until` on; nothing was sent."""

    def __init__(self, text: str, until: datetime) -> None:
        super().__init__(text)
        self.until = until


class Rejected(BrokerError):
    """The broker refused the order; nothing will come of it."""


class TradingError(TradingPipelineError):
    """An order, a book or a risk setting that cannot be simulated."""


class LedgerError(TradingPipelineError):
    """The journal cannot be used, or another session is writing to it."""


class BrokenChain(LedgerError):
    """Events of the journal were changed, removed or put in between; says where."""


class Overtaken(LedgerError):
    """Another writer was faster than this one, of which nothing was written."""


class LeaseHeld(LedgerError):
    """Another session trades the market; says which, since when, and what to do."""


class LeaseLost(LedgerError):
    """A lease has expired, or is another session's by now: send no more orders."""


class EvaluationError(TradingPipelineError):
    """There is nothing to evaluate."""


class ProgramFault(TradingPipelineError):
    """Something of ours broke, and what it was working on is not to be believed."""
