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
├── TradingError          an order, a book or a risk setting that cannot be simulated
├── LedgerError           the journal is broken, or another session is writing to it
├── EvaluationError       there is nothing to evaluate
└── ProgramFault          something of ours broke; says what, and where in the code
"""


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
    """The source did not answer, however often it was asked; says how long it was tried."""


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


class TradingError(TradingPipelineError):
    """An order, a book or a risk setting that cannot be simulated."""


class LedgerError(TradingPipelineError):
    """The journal is broken, or another session is writing to it."""


class EvaluationError(TradingPipelineError):
    """There is nothing to evaluate."""


class ProgramFault(TradingPipelineError):
    """Something of ours broke, and what it was working on is not to be believed."""
