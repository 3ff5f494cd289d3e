"""What can name a symbol."""

LONGEST_NAME = 100  # characters of a symbol


def is_name(value: object) -> bool:
    """Whether it can name a symbol: a text that pages, tables and ledgers show as it is."""
    if not isinstance(value, str) or len(value) > LONGEST_NAME:
        return False
    return bool(value.strip()) and value.isprintable()
