"""`dagster api grpc`, whose runs are born of a process that has imported everything.

Dagster starts a new interpreter for each run, which takes longer than most of them work here. These
are processes of their own, too, forked from one that has no threads.
"""

import multiprocessing
from typing import Any

_LOADED = "trading_pipeline_tests.week.loaded"


def main() -> None:
    plain = multiprocessing.get_context

    def warm(method: str | None = None) -> Any:
        return plain("forkserver" if method == "spawn" else method)

    multiprocessing.set_forkserver_preload([_LOADED])
    multiprocessing.get_context = warm  # type: ignore[method-assign]
    from dagster._cli.api import grpc_command

    grpc_command()


if __name__ == "__main__":
    main()
