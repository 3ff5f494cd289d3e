"""What cannot be made again is refused with the reason."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from math import inf
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.errors import StoreError
from trading_pipeline.steps import rebuild
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.lineage import config_of, plan_from
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.rebuild import Original, begin, home_of_report, read_original
from trading_pipeline.steps.trials import Evaluation, journal
from trading_pipeline_tests.defs.small_market import MARKET

PLAN = Plan(
    replace(MARKET, end=date(2003, 1, 1), limits={"stop_loss": inf}), model="ridge", preset="tiny"
)


def written(folder: Path, summary: object) -> Path:
    path = folder / "reports" / "small" / "report.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(summary))
    return path


def lineage(plan: Plan) -> dict:
    return {
        "config": config_of(plan, 1e5),
        "data": {
            "rows": 9,
            "first": "2002-01-02T00:00:00+00:00",
            "last": "2002-08-30T00:00:00+00:00",
        },
        "made_at": "2026-11-29T02:00:00+00:00",
    }


def test_a_plan_is_read_back_from_a_report():
    plain = json.loads(json.dumps(config_of(PLAN, 1e5)))
    assert plan_from(plain) == PLAN
    assert plain["plan"]["device"] == "cpu"


@pytest.mark.parametrize(
    ("summary", "complaint"),
    [
        ([], "is no report.json of this program"),
        ({"market": "small"}, "it has no lineage"),
        ({"lineage": {"inputs_hash": "1"}}, "does not say how it was made"),
        (
            {"lineage": lineage(PLAN) | {"config": {"recipe": {}}}},
            "the configuration in the report cannot be read by this version",
        ),
        (
            {"lineage": lineage(PLAN) | {"made_at": "yesterday"}},
            r"does not say how it was made \(ValueError.*'yesterday'.*changed after it was written",
        ),
        ({"lineage": lineage(PLAN)}, r"\(KeyError\('config_hash'\)\): it was changed after"),
        (
            {"lineage": lineage(PLAN), "config_hash": "0" * 64, "code_version": "0.0.1+0"},
            r"makes another configuration \(.{12}\) of the same settings than 0.0.1\+0 did",
        ),
    ],
)
def test_a_report_that_cannot_be_made_again_is_refused(tmp_path, summary, complaint):
    with pytest.raises(StoreError, match=complaint):
        read_original(written(tmp_path, summary))


def test_a_market_that_goes_on_ends_where_its_report_did(tmp_path):
    from trading_pipeline.core.features.catalog import catalog_hash

    plan = replace(PLAN, market=MARKET)
    known = plan.recipe.config_hash(catalog_hash())
    told = {"lineage": lineage(plan), "config_hash": known, "code_version": "0.1.0"}
    path = written(tmp_path, told)
    original = read_original(path, device="cuda")
    assert original.plan.market == replace(MARKET, end=date(2002, 8, 31))
    assert (original.plan.device, original.capital) == ("cuda", 1e5)
    assert original.home.path == tmp_path


def test_a_report_out_of_its_home_is_refused(tmp_path):
    with pytest.raises(StoreError, match="does not lie in a home"):
        home_of_report(tmp_path / "report.json", None)


def test_what_is_no_file_or_no_json_is_refused(tmp_path):
    with pytest.raises(StoreError, match="cannot be read as a report"):
        read_original(tmp_path / "report.json")
    (tmp_path / "report.json").write_text("<html>")
    with pytest.raises(StoreError, match="cannot be read as a report"):
        read_original(tmp_path / "report.json")


@pytest.fixture
def original(tmp_path) -> Original:
    """A report after three trials, evaluated one after the other."""
    home, days = Home(root=str(tmp_path / "home")), pd.date_range("2002-07-01", periods=9, tz="UTC")
    for config in "abc":
        rising = Evaluation(config, config, np.linspace(1e5, 2e5, 9))
        event = journal(home, MARKET, days, [rising]).event
    summary = {"lineage": lineage(PLAN) | {"trial": event}}
    path = written(home.path, summary)
    return Original(path, summary, home, PLAN, 1e5, datetime(2026, 11, 29, tzinfo=UTC))


def events_of(home: Home) -> list:
    with home.ledger() as ledger:
        return ledger.read("trials")


@pytest.mark.parametrize("appended", [0, 1, 2])
def test_a_rebuild_that_was_killed_at_its_beginning_goes_on(
    original, tmp_path, monkeypatch, appended
):
    """While the trials are copied; whatever its own evaluation has appended later."""
    new, done = Home(root=str(tmp_path / "again")), []
    append = Ledger.append_many

    def dies(ledger, *arguments, **more):
        if len(done) == appended:
            raise KeyboardInterrupt
        done.append(append(ledger, *arguments, **more))

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append_many", dies)
        with pytest.raises(KeyboardInterrupt):
            begin(original, new)
    assert begin(original, new) == []
    assert events_of(new) == events_of(original.home)
    with new.ledger() as ledger:
        ledger.append(
            "trials", "walk_forward", original.made_at, {"of": "its own"}, original.made_at
        )
    assert begin(original, new) == []
    assert len(events_of(new)) == 4


def test_a_rebuild_that_was_killed_before_its_mark_begins_again(original, tmp_path):
    """The folder is there, and a draft of the mark."""
    new = Home(root=str(tmp_path / "again"))
    new.path.mkdir()
    (new.path / f".draft-{16 * 'a'}-rebuild.json").write_text("{")
    assert begin(original, new) == []
    assert [each.name for each in new.path.glob(".draft*")] == []


@pytest.mark.parametrize(
    ("other", "how"),
    [
        ({"summary": "another"}, "sha256 "),
        ({"device": "cuda"}, "device cpu, now cuda"),
        ({"code": "0.2.0+0"}, r"code .*, now 0.2.0\+0"),
        ({"mark": "{"}, "is damaged"),
    ],
)
def test_two_rebuilds_are_not_mixed(original, tmp_path, monkeypatch, other, how):
    """Half of one and half of the other would be neither."""
    new = Home(root=str(tmp_path / "again"))
    begin(original, new)
    if "summary" in other:
        original.path.write_text(json.dumps(original.summary | {"market": "another"}))
    if "mark" in other:
        (new.path / rebuild.MARK).write_text(other["mark"])
    if "code" in other:
        monkeypatch.setattr(rebuild, "code_version", lambda: other["code"])
    asked = replace(original, plan=replace(PLAN, device=other.get("device", PLAN.device)))
    with pytest.raises(StoreError, match=f"{how}.*give --out another folder"):
        begin(asked, new)


def test_a_folder_of_something_else_is_not_taken(original, tmp_path):
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "mine.txt").write_text("keep me")
    for taken in (tmp_path / "again", tmp_path / "again" / "mine.txt"):
        with pytest.raises(StoreError, match="is no empty folder; give --out"):
            begin(original, Home(root=str(taken)))
    assert (tmp_path / "again" / "mine.txt").read_text() == "keep me"
