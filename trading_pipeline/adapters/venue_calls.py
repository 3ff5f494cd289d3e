"""Calls to one venue from several threads at once; one that is down is left alone."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Lock
from typing import TypeVar

from trading_pipeline.adapters.threads import in_threads
from trading_pipeline.errors import (
    BarsError,
    CredentialsError,
    SourceError,
    SourceUnavailable,
    VenueDown,
)

WORKERS = 4  # calls under way; the clients keep the venue's rate limit between them
GIVE_UP = 2 * WORKERS  # calls in a row that a venue left without an answer: it is down

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class NotAsked(SourceUnavailable):
    """A call that was not made, since the venue is down."""


class VenueCalls:
    """Calls to the venue that is called `where` in errors."""

    def __init__(self, where: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        """`meanwhile` is called every few seconds while there is no answer."""
        self._where, self._meanwhile = where, meanwhile
        self._unanswered = 0  # in a row
        self._lock = Lock()

    @property
    def is_down(self) -> bool:
        """Whether no more calls are made."""
        return self._unanswered >= GIVE_UP

    def each(
        self, ask: Callable[[Question], Answer], questions: Sequence[Question]
    ) -> Iterator[tuple[Question, Answer | SourceError | BarsError]]:
        """Each question with its answer or what was wrong, in the order in which they come.

        Raises:
            CredentialsError: the keys are missing or refused, and so for every question.
        """
        call = partial(self._call, ask)
        for question, called in in_threads(call, questions, WORKERS, self._meanwhile):
            yield question, called.result()

    def _call(
        self, ask: Callable[[Question], Answer], question: Question
    ) -> Answer | SourceError | BarsError:
        if self.is_down:
            return NotAsked(
                f"{self._where} left those before it without an answer, so this request was not "
                "made; try again later"
            )
        try:
            answer = ask(question)
        except CredentialsError:
            raise
        except (SourceError, BarsError) as error:
            if isinstance(error, SourceUnavailable):
                with self._lock:
                    self._unanswered += GIVE_UP if isinstance(error, VenueDown) else 1
            return error
        self._unanswered = 0
        return answer
