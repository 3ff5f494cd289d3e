"""What the ledger's streams of a paper session are called."""

_SESSIONS, _BROKERS = "paper", "broker"


def session_stream(market: str, session: str) -> str:
    """What a session saw, decided and did."""
    return f"{_SESSIONS}/{market}/{session}"


def broker_stream(market: str, session: str) -> str:
    """What the broker of a session said."""
    return f"{_BROKERS}/{market}/{session}"


def is_of_session(stream: str, market: str = "") -> bool:
    """Whether a stream is one of a session: of this market, or of any."""
    return stream.startswith(session_stream(market, "") if market else f"{_SESSIONS}/")


def session_of(stream: str) -> str:
    """The session's name, which may have slashes itself."""
    return stream.split("/", 2)[2]
