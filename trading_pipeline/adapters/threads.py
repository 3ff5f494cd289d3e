"""Several questions at once, in threads that the end of the program does not wait for.

A `ThreadPoolExecutor` is joined when Python ends: after Ctrl-C that is as long as its threads
still wait for a venue that answers slowly, or pause before they ask it again.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")
_WATCH = 5.0  # seconds between two calls of `meanwhile`


def in_threads(
    ask: Callable[[Question], Answer],
    questions: Sequence[Question],
    workers: int,
    meanwhile: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Question, Future[Answer]]]:
    """Each question with its answer or error, in the order in which they come.

    When the caller stops early, what has not begun is dropped, and what has is left behind.

    Args:
        meanwhile: called in the caller's thread every few seconds while there is no answer.
    """
    todo: SimpleQueue[Question] = SimpleQueue()
    done: SimpleQueue[tuple[Question, Future[Answer]]] = SimpleQueue()
    stopped = Event()
    for question in questions:
        todo.put(question)
    for n in range(min(workers, len(questions))):
        name, args = f"asking {n}", (ask, todo, done, stopped)
        Thread(target=_work, args=args, name=name, daemon=True).start()
    try:
        for _ in questions:
            yield _next(done, meanwhile)
    finally:
        stopped.set()


def _next(done: SimpleQueue[Answer], meanwhile: Callable[[], None]) -> Answer:
    while True:
        try:
            return done.get(timeout=_WATCH)
        except Empty:
            meanwhile()


def _work(
    ask: Callable[[Question], Answer],
    todo: SimpleQueue[Question],
    done: SimpleQueue[tuple[Question, Future[Answer]]],
    stopped: Event,
) -> None:
    while not stopped.is_set():
        try:
            question = todo.get_nowait()
        except Empty:
            return
        answered: Future[Answer] = Future()
        try:
            answered.set_result(ask(question))
        except BaseException as error:  # noqa: BLE001  # raised where the answer is used
            answered.set_exception(error)
        done.put((question, answered))
