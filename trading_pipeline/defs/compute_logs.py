"""What runs print: kept for the web UI, but for those of a command, which prints to its terminal.

To keep it, Dagster starts four processes for each run. Ctrl-C reaches them as well, and two of them
say so with a traceback each.
"""

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._serdes import ConfigurableClassData

COMMAND_VARIABLE = "TRADING_PIPELINE_COMMAND"  # set in the processes of a command


class ServedComputeLogs(LocalComputeLogManager):
    """For `compute_logs` of dagster.yaml."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        """Nothing, of a command."""
        if COMMAND_VARIABLE in os.environ:
            yield CapturedLogContext(log_key)
        else:
            with super().capture_logs(log_key) as context:
                yield context
