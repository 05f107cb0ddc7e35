"""flight-delays as people run it: started by name, run by a real cluster, its files checked against SQL."""

import json
from html.parser import HTMLParser

import pytest
from django.core.files.storage import default_storage

from igon7site.demo.flights.data import airlines
from igon7site.demo.flights.stats import Options
from orchestration.models import Artifact, NodeRun
from tests.cluster import (
    begin,
    check_order,
    ended,
    lines_of,
    transactional_db,  # noqa: F401 - a fixture
)


@pytest.fixture(scope="module")
def execution(crew):
    execution = ended(begin("flight-delays", {"resamples": 200}), within=120.0)
    check_order(execution.pk)
    return execution


@pytest.fixture(scope="module")
def summary(execution):
    return json.loads(_bytes(execution, "flight-delays.json"))


def _bytes(execution, name):
    with default_storage.open(Artifact.objects.get(execution=execution, name=name).path) as file:
        return file.read()


def test_every_node_succeeded_at_its_first_attempt(execution):
    rows = NodeRun.objects.filter(execution=execution)
    assert set(rows.values_list("status", "attempt")) == {("succeeded", 1)}
    assert rows.count() == 4 + len(airlines())


def test_the_output_names_both_files(execution):
    assert (execution.output["flights"], execution.output["cancelled"]) == (27_004, 521)
    for name, reference in (("report", "flight-delays.html"), ("summary", "flight-delays.json")):
        kept = Artifact.objects.get(pk=execution.output[name]["artifact"])
        assert (kept.name, kept.execution_id) == (reference, execution.pk)
        assert kept.size == len(_bytes(execution, reference)) > 10_000


def test_the_report_is_a_whole_page(execution):
    page = _bytes(execution, "flight-delays.html").decode()
    HTMLParser().feed(page)
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") > 3
    assert "27,004" in page
    assert all(name in page for name in ("United Air Lines", "ExpressJet", "Hawaiian"))


def test_the_totals_of_the_summary_equal_sql(summary, db):
    late = Options().delay_threshold
    totals = summary["totals"]
    row = db.execute(
        "SELECT count(*), sum(dep_time IS NULL), sum(arr_delay < ?), sum(dep_delay), avg(arr_delay) FROM flights",
        [late],
    ).fetchone()
    said = [totals[name] for name in ("flights", "cancelled", "on_time", "departure_minutes")]
    assert (*said, totals["arrival"]["mean"]) == pytest.approx(row)


def test_the_carriers_of_the_summary_equal_sql(summary, db):
    rows = db.execute(
        "SELECT carrier, count(*), sum(dep_time IS NULL), count(arr_delay), avg(arr_delay), avg(dep_delay)"
        " FROM flights GROUP BY 1"
    ).fetchall()
    expected = {row[0]: row[1:] for row in rows}
    assert {each["carrier"] for each in summary["carriers"]} == set(expected) == set(airlines())
    for each in summary["carriers"]:
        said = (each["flights"], each["cancelled"], each["arrival"]["known"])
        means = (each["arrival"]["mean"], each["departure"]["mean"])
        assert (*said, *means) == pytest.approx(expected[each["carrier"]]), each["carrier"]


def test_the_hours_of_the_summary_equal_sql(summary, db):
    rows = db.execute(
        "SELECT sched_dep_time / 100, count(*), count(dep_delay), sum(dep_delay) FROM flights GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert [tuple(hour.values())[:4] for hour in summary["hours"] if hour["flights"]] == rows


def test_the_bodies_told_what_they_did(execution):
    assert any("27,004" in line or "27004" in line for line in lines_of(execution.pk, "read"))


def test_only_the_chosen_carriers_are_counted(crew, db):
    chosen = ended(begin("flight-delays", {"carriers": ["HA", "OO"], "resamples": 0}), within=60.0)
    (flights,) = db.execute("SELECT count(*) FROM flights WHERE carrier IN ('HA', 'OO')").fetchone()
    assert chosen.output["flights"] == flights
