import logging
import sys

from rich.console import Console

from trading_pipeline.adapters import terminal


def test_without_a_terminal_long_work_is_lines(capfd):
    with terminal.ProgressBars() as bars:
        bars.clock = iter(range(0, 1000, 5)).__next__
        advance = bars.start("fold 2006", print)
        for done in range(1, 101):
            advance(done, 100, "loss 0.5")
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "fold 2006: 10 of 100 loss 0.5, 8 min left"
    assert len(lines) == 10


def test_in_a_terminal_it_is_bars_whatever_becomes_of_stderr(capfd, monkeypatch):
    """A step of a run sends stderr to its own file; the bars stay with the person."""
    seen = Console(force_terminal=True, stderr=True, width=100)
    monkeypatch.setattr(terminal, "console", seen)
    with terminal.ProgressBars() as bars:
        assert seen.file is not sys.stderr
        for label in ("fold 2006", "fold 2007"):
            advance = bars.start(label, print)
            for done in range(1, 4):
                advance(done, 3, "loss 0.5")
            advance(3, 3, "late words are ignored")
    assert seen.file is sys.stderr
    shown = capfd.readouterr().err
    assert "fold 2006" in shown
    assert "3/3" in shown
    assert shown.rindex("fold 2006") < shown.index("fold 2007")


def test_messages_are_one_line_however_long(capfd):
    terminal.say("word " * 60)
    assert capfd.readouterr().err.count("\n") == 1


def test_what_a_module_logs_is_said_while_it_is_listened_to(capfd):
    """A venue that does not answer must not look like a command that hangs."""
    logger = logging.getLogger("trading_pipeline.waiting")
    with terminal.telling("trading_pipeline.waiting"):
        logger.info("binance asks for patience; asked again in %d s", 30)
    logger.info("nobody listens")
    said = capfd.readouterr().err
    assert "binance asks for patience; asked again in 30 s" in said
    assert "nobody listens" not in said


def test_brackets_of_a_name_are_no_markup(monkeypatch):
    """A session may be called `[/x]`."""
    seen = Console(force_terminal=True, stderr=True, width=100)
    monkeypatch.setattr(terminal, "console", seen)
    with terminal.ProgressBars() as bars:
        bars.start("paper [/x]", print)(1, 2, "a[b]c")
        (task,) = bars.bars.tasks
        assert bars.bars.columns[0].render(task).plain == "paper [/x]"
        assert bars.bars.columns[-1].render(task).plain == "a[b]c"
