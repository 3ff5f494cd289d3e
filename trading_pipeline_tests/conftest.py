"""What every test shares: hypothesis profiles, a Ctrl-C that arrives, and a count of all cases."""

import logging
import os
import signal
from collections import Counter

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import settings

LONG = tuple(
    f"trading_pipeline_tests/{name}"
    for name in (
        "week/", "test_howto.py", "test_compose.py", "cli/test_pipeline.py", "defs/test_nights.py",
        "steps/test_session_killed.py", "steps/test_live.py", "steps/test_download_",
    )
)  # fmt: skip
CASES = pytest.StashKey[Counter[str]]()

# A few new examples at every run find more in a month than many of the same.
settings.register_profile("default", deadline=None, max_examples=20)
settings.register_profile("ci", deadline=None, max_examples=15, derandomize=True, print_blob=True)
# A shell that starts the tests in the background has them, and all that they start, ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# An instance of Dagster in memory that nobody closed is collected in the middle of another test, on
# any thread, of which SQLAlchemy complains: not to be read as that test's message. Alembic, which
# configures logging anew, leaves filters alone.
logging.getLogger("sqlalchemy.pool.impl.NullPool").addFilter(lambda record: False)

# Of each database that Dagster makes, in memory too, Alembic reads sixty files: once will do.
_READ: dict[str | None, ScriptDirectory] = {}
_read = ScriptDirectory.from_config


def _read_once(config: Config) -> ScriptDirectory:
    place = config.get_main_option("script_location")
    return _READ[place] if place in _READ else _READ.setdefault(place, _read(config))


ScriptDirectory.from_config = staticmethod(_read_once)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="all cases, and what takes many minutes")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Count before any are left out; what takes minutes comes first, so that no worker is left
    alone with it."""
    items.sort(key=lambda item: item.nodeid.startswith(LONG), reverse=True)
    names = (
        item.nodeid.partition("[")[0].removeprefix("trading_pipeline_tests/") for item in items
    )
    config.stash[CASES] = Counter(names)
    if not config.option.all and not any("::" in each for each in config.args):
        seen, kept, left = Counter[str](), [], []
        for item in items:
            (left if _is_for_all(item, seen) else kept).append(item)
        config.hook.pytest_deselected(items=left)
        items[:] = kept


def _is_for_all(item, seen):
    """Whether it is run by `--all` alone: marked `long`, or not each n-th case of a test that is
    marked `sampled(n)`, of which so many cases were seen."""
    if item.get_closest_marker("long") is not None:
        return True
    if (sampled := item.get_closest_marker("sampled")) is None:
        return False
    test = item.nodeid.partition("[")[0]
    seen[test] += 1
    return (seen[test] - 1) % sampled.args[0] != 0


@pytest.fixture(autouse=True)
def heard():
    """What a test before this one started may have configured logging anew, and silenced us."""
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("trading_pipeline.") and isinstance(logger, logging.Logger):
            logger.disabled = False


@pytest.fixture
def home(tmp_path):
    from trading_pipeline.steps.home import Home

    return Home(root=str(tmp_path))


@pytest.fixture
def no_dagster_home(monkeypatch):
    """Dagster's records are those of a home; a DAGSTER_HOME that is set meanwhile is undone."""
    monkeypatch.setenv("DAGSTER_HOME", "unset")
    monkeypatch.delenv("DAGSTER_HOME")


@pytest.fixture
def instance():
    import dagster as dg

    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(scope="session")
def cases(request):
    """How many cases each test has, as `file::name`; those that do not run included."""
    return request.config.stash[CASES]


@pytest.fixture(scope="session")
def postgres():
    from trading_pipeline_tests.postgres import throw_away_postgres

    with throw_away_postgres() as server:
        yield server
