"""Commands about alerts: whether they arrive."""

import socket

import typer

from trading_pipeline.cli.markets import settings_of
from trading_pipeline.errors import SettingsError

NOT_SENT = 1  # exit code

app = typer.Typer(
    no_args_is_help=True,
    help="Messages that something went wrong: to the log, webhooks, Telegram, e-mail and others.",
)


@app.command()
def test() -> None:
    """Send a message to every address of TP_ALERT_URLS, and say which took it.

    Exit code 0: all of them, 1: not all, 2: there is none.
    """
    from trading_pipeline.definitions import alerts_of

    alerts = alerts_of(settings_of())
    if not alerts.addresses:
        raise SettingsError(
            "alerts go to the log alone; set TP_ALERT_URLS in .env, such as "
            "tgram://TOKEN/CHAT or mailtos://USER:PASSWORD@HOST?to=ADDRESS "
            "(https://appriseit.com/services has all that there are)"
        )
    sent = alerts.test(f"A test from {socket.gethostname()}: alerts of this machine arrive here.")
    for address, complaint in sent.items():
        typer.echo(f"{address}: {'sent' if complaint is None else f'NOT SENT: {complaint}'}")
    raise typer.Exit(NOT_SENT if any(sent.values()) else 0)
