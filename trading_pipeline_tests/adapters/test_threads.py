"""Questions in threads: every answer once, errors where they are used, no waiting at the end."""

import subprocess
import sys
import threading

import pytest

from trading_pipeline.adapters import threads
from trading_pipeline.adapters.threads import in_threads

STOPPED_EARLY = """
import time
from trading_pipeline.adapters.threads import in_threads
for _ in in_threads(time.sleep, [0, 600, 600], 3):
    raise KeyboardInterrupt  # as after Ctrl-C, while others pause before they ask again
"""


def halved(number):
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


def test_every_question_is_answered_once_and_an_error_is_its_own():
    answers = dict(in_threads(halved, list(range(20)), 3))
    assert sorted(answers) == list(range(20))
    assert [answers[n].result() for n in range(0, 20, 2)] == list(range(10))
    with pytest.raises(ValueError, match="7 is odd"):
        answers[7].result()
    assert not list(in_threads(halved, [], 3))


def test_something_is_done_while_nothing_is_answered(monkeypatch):
    """A session keeps its lease while its venue is silent."""
    monkeypatch.setattr(threads, "_WATCH", 0.01)
    enough, called = threading.Event(), []

    def meanwhile():
        called.append(threading.current_thread())
        if len(called) == 3:
            enough.set()

    (answer,) = in_threads(lambda _: enough.wait(60), ["a question"], 1, meanwhile)
    assert answer[1].result()
    assert set(called) == {threading.current_thread()}


def test_what_has_not_begun_is_dropped_when_the_caller_stops():
    asked, begun = [], threading.Barrier(2)

    def ask(question):
        asked.append(question)
        if question:
            begun.wait(60)

    answers = in_threads(ask, [0, 1, 2], 1)
    next(answers)
    answers.close()
    begun.wait(60)
    for thread in threading.enumerate():
        if thread.name.startswith("asking"):
            thread.join(60)
    assert asked == [0, 1]


def test_the_program_ends_while_a_thread_still_waits():
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_EARLY], capture_output=True, timeout=300, check=False
    )
    assert b"KeyboardInterrupt" in done.stderr
