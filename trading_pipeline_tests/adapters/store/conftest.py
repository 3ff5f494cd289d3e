"""A ledger's address, in turn on each database that can hold one."""

import pytest


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/stores/ledger.sqlite"
    return request.getfixturevalue("postgres").empty_database()
