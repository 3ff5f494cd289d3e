"""The services of docker-compose.yml, started as it says, on this machine."""

import pytest

from trading_pipeline.defs.assets.market import FETCHED
from trading_pipeline_tests.compose import interpolated, stack
from trading_pipeline_tests.postgres import need_postgres

MARKET = """
[markets.small]
source = "sample"
symbols = ["IBM"]
start = 2012-12-03
end = 2013-02-02
horizon = 3
"""
BARS = ("small_download", ["small", "raw_bars"], FETCHED, ("2012-12-03", "2013-02-01"))


def test_variables_of_a_compose_file_are_filled_in():
    text = ["${A}", "${B:-b}", {"c": "x${A:?is needed}y"}, 1]
    assert interpolated(text, {"A": "a"}) == ["a", "b", {"c": "xay"}, 1]
    with pytest.raises(ValueError, match="A: is needed"):
        interpolated(text, {"A": ""})


@pytest.mark.slow
def test_services_come_up_in_order_work_and_come_back_when_killed():
    """The web server takes an order, the daemon starts it, the code server carries it out, and
    PostgreSQL keeps what became of it; also after each was killed."""
    need_postgres()
    files = {"pipeline.toml": MARKET, "secrets/postgres_password": "a:b\\c %canary\n"}
    with stack({}, files) as services:
        services.up()
        assert next(iter(services.services)) == "postgres"
        assert services.materialize(*BARS) == "SUCCESS", services.logs()
        months = services.volume("data") / "raw" / "small"
        assert len(list(months.glob("*.parquet"))) == 3
        for path in months.glob("*.parquet"):
            path.unlink()
        for name in services.services:
            services.kill(name)
        assert all(each.starts >= 2 for each in services.services.values())
        assert services.materialize(*BARS) == "SUCCESS", services.logs()
        assert len(list(months.glob("*.parquet"))) == 3
        assert len(services.processes()) >= 4
    assert services.processes() == []
    assert not services.folder.exists()
