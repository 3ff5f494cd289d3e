"""Every command with its options, as typer writes them."""

import re

from tables import NOTE
from typer.testing import CliRunner


def commands_page() -> str:
    """What typer writes of all commands; their headings as a reader looks for them."""
    from typer.cli import app as typer_itself

    place = ["trading_pipeline.cli.main", "utils", "docs", "--name", "trading-pipeline"]
    done = CliRunner().invoke(typer_itself, place)
    if done.exit_code:
        raise SystemExit(done.output)
    text = re.sub(r"^# `trading-pipeline`\n", "", done.stdout)
    text = re.sub(r"\n\*\*Commands\*\*:\n(\n\* .*)+\n", "\n", text)  # the page's own contents do it
    text = re.sub(r"^\*\*(Usage|Options|Arguments)\*\*:", r"**\1**", text, flags=re.M)
    text = re.sub(r"^\* ", "- ", text, flags=re.M)
    text = re.sub(r"\n{3,}", "\n\n", text)
    intro = (
        "Every command runs the same Dagster jobs as the web UI, on the same data. Exit codes: 0 "
        "done, 1 done and the answer is not good (`quality`, `check-leakage`, `doctor`, `replay`, "
        "`divergence`, `rebuild`, `ledger verify`, `alerts test`), 2 refused with one line that "
        "says why, 3 downloaded in part, 130 stopped by Ctrl-C or SIGTERM.\n"
    )
    return f"# Commands\n\n{NOTE}\n\n{intro}{text.rstrip()}\n"
