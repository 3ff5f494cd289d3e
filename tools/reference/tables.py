"""What the pages of the reference share."""

NOTE = "<!-- Written by `make docs` from the code; do not edit. -->"


def cell(text: object) -> str:
    """A text within a table, in one line."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(*rows: tuple[object, ...]) -> str:
    """A Markdown table; the first row is its head."""
    head, *others = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *others]) + "\n"
