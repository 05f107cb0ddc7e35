"""The figures against SQL: the raw file in SQLite, by queries that share nothing with the code under test."""

import gzip
import hashlib
import re
import statistics

import pytest

from igon7site.demo.flights.data import airlines
from igon7site.demo.flights.stats import PERCENTILES, mean_interval, percentile
from tests.demo.conftest import DATA, OPTIONS

pytestmark = pytest.mark.once

CARRIERS = list(airlines())
LATE = OPTIONS.delay_threshold


def sql_percentile(db, column, p, where="1", values=()):
    known = f"FROM flights WHERE {column} IS NOT NULL AND {where}"
    (number,) = db.execute(f"SELECT count(*) {known}", values).fetchone()
    place = (number - 1) * p / 100
    pair = f"SELECT {column} {known} ORDER BY {column} LIMIT 2 OFFSET {int(place)}"
    (low,), *rest = db.execute(pair, values).fetchall()
    return low + (place - int(place)) * ((rest[0][0] if rest else low) - low)


def test_the_shipped_files_are_the_ones_described():
    said = dict(
        re.findall(r"([0-9a-f]{64})  (\S+\.csv)", (DATA / "SOURCE.md").read_text())[i][::-1] for i in range(3)
    )
    for name, digest in said.items():
        path = DATA / name
        content = path.read_bytes() if path.exists() else gzip.decompress((DATA / f"{name}.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == digest, name


def test_every_departure_of_the_month_is_read(flights, db):
    assert len(flights) == 27_004
    assert db.execute("SELECT count(*) FROM flights").fetchone() == (27_004,)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_counts_and_means_of_a_carrier_equal_sql(carrier, tables, db):
    row = db.execute(
        "SELECT count(*), sum(dep_time IS NULL), sum(dep_time IS NOT NULL AND arr_delay IS NULL),"
        " coalesce(sum(arr_delay < ?), 0), count(dep_delay), avg(dep_delay), count(arr_delay), avg(arr_delay)"
        " FROM flights WHERE carrier = ?",
        (LATE, carrier),
    ).fetchone()
    table = tables[carrier]
    departure, arrival = table["departure"], table["arrival"]
    assert row[:4] == (table["flights"], table["cancelled"], table["unknown_arrivals"], table["on_time"])
    assert (row[4], row[6]) == (departure["known"], arrival["known"])
    assert (departure["mean"], arrival["mean"]) == pytest.approx((row[5], row[7]))


@pytest.mark.parametrize("carrier", CARRIERS)
def test_percentiles_of_a_carrier_equal_sql(carrier, tables, db):
    for column, what in (("dep_delay", "departure"), ("arr_delay", "arrival")):
        expected = {f"p{p}": sql_percentile(db, column, p, "carrier = ?", [carrier]) for p in PERCENTILES}
        assert tables[carrier][what]["percentiles"] == pytest.approx(expected), what


@pytest.mark.parametrize("carrier", CARRIERS)
def test_hours_of_a_carrier_equal_sql(carrier, tables, db):
    rows = db.execute(
        "SELECT sched_dep_time / 100, count(*), count(dep_delay), coalesce(sum(dep_delay), 0),"
        " coalesce(sum(dep_delay >= ?), 0) FROM flights WHERE carrier = ? GROUP BY 1 ORDER BY 1",
        (LATE, carrier),
    ).fetchall()
    assert [tuple(hour.values()) for hour in tables[carrier]["hours"] if hour["flights"]] == rows
    assert {hour["hour"] for hour in tables[carrier]["hours"]} >= set(range(5, 24))


@pytest.mark.parametrize("carrier", CARRIERS)
def test_worst_routes_of_a_carrier_equal_sql(carrier, tables, db):
    rows = db.execute(
        "SELECT origin, dest, count(*), sum(dep_time IS NULL), count(arr_delay), avg(arr_delay) AS mean,"
        " sum(arr_delay >= ?) FROM flights WHERE carrier = ? GROUP BY origin, dest"
        " HAVING count(arr_delay) >= ? ORDER BY mean DESC, origin, dest",
        (LATE, carrier, OPTIONS.min_flights),
    ).fetchall()
    routes = tables[carrier]["worst_routes"]
    assert tables[carrier]["ranked_routes"] == len(rows)
    assert len(routes) == min(OPTIONS.top, len(rows))
    for route, row in zip(routes, rows, strict=False):
        assert (route["origin"], route["dest"], route["flights"], route["cancelled"], route["known"]) == row[
            :5
        ]
        assert (route["mean"], route["late"]) == pytest.approx(row[5:])
        there = "carrier = ? AND origin = ? AND dest = ?"
        assert route["p90"] == pytest.approx(sql_percentile(db, "arr_delay", 90, there, (carrier, *row[:2])))


def test_all_carriers_together_equal_sql(joined, db):
    totals = joined["totals"]
    counts = "SELECT count(*), sum(dep_time IS NULL), sum(arr_delay < ?), sum(dep_delay) FROM flights"
    said = (totals["flights"], totals["cancelled"], totals["on_time"], totals["departure_minutes"])
    assert db.execute(counts, [LATE]).fetchone() == said
    expected = {f"p{p}": sql_percentile(db, "arr_delay", p) for p in PERCENTILES}
    assert totals["arrival"]["percentiles"] == pytest.approx(expected)
    by_hour = "SELECT sched_dep_time / 100, count(*), count(dep_delay), sum(dep_delay), sum(dep_delay >= ?)"
    rows = db.execute(f"{by_hour} FROM flights GROUP BY 1 ORDER BY 1", [LATE]).fetchall()
    assert [tuple(hour.values()) for hour in joined["hours"]] == rows
    worst = "SELECT carrier, origin, dest FROM flights GROUP BY 1, 2, 3 HAVING count(arr_delay) >= ?"
    rows = db.execute(
        f"{worst} ORDER BY avg(arr_delay) DESC, 1, 2, 3 LIMIT 5", [OPTIONS.min_flights]
    ).fetchall()
    assert [(each["carrier"], each["origin"], each["dest"]) for each in joined["worst_routes"]] == rows


BANDS: dict[str, dict[str, tuple[float, float]]] = {
    "wind_speed": {"under 5": (0, 5), "20–25": (20, 25), "25 and over": (25, 999)},
    "visib": {"under 1": (0, 1), "3–6": (3, 6), "10 (clear)": (10, 999)},
    "precip": {"none": (0, 0.001), "under 0.03": (0.01, 0.03), "0.1 and over": (0.1, 99)},
    "temp": {"under 20": (-99, 20), "32–40": (32, 40), "50 and over": (50, 999)},
}


@pytest.mark.parametrize("factor", BANDS)
def test_weather_bands_equal_sql(factor, factors, db):
    table = next(each for each in factors if each["factor"] == factor)
    cells = {band["label"]: band["cells"] for band in table["bands"]}
    counted = (
        "SELECT f.origin, count(*), sum(dep_time IS NULL), count(dep_delay), sum(dep_delay),"
        " sum(dep_delay >= ?) FROM flights f JOIN weather w"
        " ON w.origin = f.origin AND w.day = f.day AND w.hour = f.sched_dep_time / 100"
    )
    for label, limits in BANDS[factor].items():
        within = f"WHERE w.{factor} >= ? AND w.{factor} < ? GROUP BY 1"
        rows = db.execute(f"{counted} {within}", (LATE, *limits)).fetchall()
        assert {row[0] for row in rows} == {"EWR", "JFK", "LGA"}
        for origin, *figures in rows:
            assert list(cells[label][origin].values()) == figures, (label, origin)
        everywhere = [sum(column) for column in list(zip(*rows, strict=True))[1:]]
        assert list(cells[label]["all"].values()) == everywhere, label
    assert sum(band["all"]["flights"] for band in cells.values()) + table["missing"] == 27_004


def test_percentiles_agree_with_the_standard_library(flights):
    ordered = sorted(flight.arr_delay for flight in flights if flight.arr_delay is not None)
    cuts = statistics.quantiles(ordered, n=100, method="inclusive")
    assert [percentile(ordered, p) for p in range(1, 100)] == pytest.approx(cuts)
    assert (percentile([], 50), percentile([7], 99)) == (None, 7.0)


def test_the_interval_of_a_mean_is_repeatable_and_as_wide_as_theory_says(flights):
    values = [
        flight.arr_delay for flight in flights if flight.carrier == "US" and flight.arr_delay is not None
    ]
    ticks: list[float] = []
    interval = mean_interval(values, 1_000, "US", ticks.append)
    assert interval is not None
    assert interval == mean_interval(values, 1_000, "US")
    low, high = interval
    assert low < statistics.mean(values) < high
    assert high - low == pytest.approx(2 * 1.96 * statistics.stdev(values) / len(values) ** 0.5, rel=0.1)
    assert ticks == sorted(ticks)
    assert ticks[-1] == 1.0
    assert mean_interval([3], 1_000, "US") is None
    assert mean_interval(values, 0, "US") is None
