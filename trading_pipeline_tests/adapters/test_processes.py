"""Commands at the same time: as many as may, and none left behind."""

import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from trading_pipeline.adapters.processes import run_each

MEET = """
import sys, time
from pathlib import Path
Path(sys.argv[1]).touch()
while not Path(sys.argv[2]).exists():
    time.sleep(0.01)
"""


def python(code, *arguments):
    return [sys.executable, "-c", code, *map(str, arguments)]


def test_commands_run_at_the_same_time(tmp_path):
    """Each of two waits for what the other makes."""
    one, other = tmp_path / "one", tmp_path / "other"
    ended = []
    commands = {"a": python(MEET, one, other), "b": python(MEET, other, one)}
    assert run_each(commands, 2, lambda *each: ended.append(each)) == {}
    assert sorted(ended) == [("a", True), ("b", True)]


def test_no_more_than_may_run_at_the_same_time(tmp_path):
    alone = f"import os, time; os.mkdir({str(tmp_path / 'busy')!r}); time.sleep(0.05)"
    alone += f"; os.rmdir({str(tmp_path / 'busy')!r})"
    assert run_each({str(n): python(alone) for n in range(3)}, 1, lambda *each: None) == {}


def test_what_fails_says_why_and_stops_no_other(tmp_path):
    commands = {
        "bad": python("import sys; sys.exit('no such bars')"),
        "silent": python("import os; os._exit(7)"),
        "killed": python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"),
        "good": python(f"open({str(tmp_path / 'made')!r}, 'w')"),
    }
    failed = run_each(commands, 1, lambda *each: None)
    killed = "killed by signal 9; was memory short?"
    assert failed == {"bad": "no such bars\n", "silent": "exit code 7", "killed": killed}
    assert (tmp_path / "made").exists()


def test_ctrl_c_ends_what_runs(tmp_path):
    pid = tmp_path / "pid"
    code = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"

    def interrupt():
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_each({"long": python(code)}, 1, lambda *each: None)
    assert not Path(f"/proc/{pid.read_text()}").exists()


@pytest.mark.slow
def test_a_kill_of_who_started_it_ends_it(tmp_path):
    """Else it would work on beside those of the same command, started again."""
    pid = tmp_path / "pid"
    module = "trading_pipeline.adapters.processes"
    child = f"import os, time; from {module} import leave_with_parent; leave_with_parent(); "
    child += f"open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    parent = f"from {module} import run_each; run_each({{'': {python(child)!r}}}, 1, print)"
    with subprocess.Popen(python(parent)) as started:
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.01)
        started.kill()
    until = time.monotonic() + 60
    while Path(f"/proc/{pid.read_text()}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid.read_text()}").exists()


def test_the_run_of_a_fold_ends_with_its_command():
    """All that `run_each` starts for it is that module."""
    from trading_pipeline.defs import one_run

    assert "leave_with_parent()" in inspect.getsource(one_run.main)
