"""What loading the code location costs, beyond `import dagster` itself: CPU seconds, goal < 2.

    python benchmarks/definitions_load.py [--laps 5]

The web server, the daemon and every run load it. Each lap is a process of its own, run from the
folder of pipeline.toml; the two kinds take turns, and the best lap of each is taken.
"""

import argparse
import subprocess
import sys

GOAL = 2.0
DAGSTER = "import dagster"
OURS = "import trading_pipeline.definitions as d; d.defs()"
TIMED = "{statement}; import time; print(time.process_time())"


def cpu_seconds(statement: str) -> float:
    """CPU seconds of a fresh interpreter that executes the statement."""
    command = [sys.executable, "-c", TIMED.format(statement=statement)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--laps", type=int, default=5)
    given = parser.parse_args()
    laps = [(cpu_seconds(DAGSTER), cpu_seconds(OURS)) for _ in range(given.laps)]
    dagster, ours = (min(times) for times in zip(*laps, strict=True))
    print(
        f"import dagster {dagster:.2f} s, definitions {ours:.2f} s of CPU: "
        f"{ours - dagster:.2f} s on top, goal < {GOAL:.0f} s"
    )


if __name__ == "__main__":
    main()
