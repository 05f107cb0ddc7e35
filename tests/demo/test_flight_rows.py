"""Rows that cannot be believed are refused by line and column."""

import pytest

from igon7site.demo.flights.data import FLIGHTS, WEATHER, pack, unpack
from igon7site.demo.flights.rows import MalformedRow

pytestmark = pytest.mark.once

FLIGHT = dict(zip(FLIGHTS.columns, "2013,1,1,517,515,2,830,819,11,UA,1545,EWR,IAH".split(","), strict=True))
HOUR = dict(zip(WEATHER.columns, "EWR,2013,1,1,1,39.02,10.3,0,10".split(","), strict=True))


def lines(columns, *rows):
    return [",".join(columns), *(",".join(row.values()) for row in rows)]


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("dep_delay", "two", "expected a whole number, found 'two'"),
        ("dep_delay", "2.5", "expected a whole number, found '2.5'"),
        ("dep_delay", "", "expected a whole number, found ''"),
        ("dep_delay", "٢", "expected a whole number, found '٢'"),
        ("dep_delay", "3", "3 minutes do not lead from 515 to 517"),
        ("dep_delay", "NA", "missing, but dep_time is 517"),
        ("dep_time", "NA", "missing, but dep_delay is 2"),
        ("dep_time", "561", "expected a clock time such as 1730, found '561'"),
        ("dep_time", "2401", "expected 0 to 2400, found 2401"),
        ("sched_arr_time", "NA", "expected a whole number, found 'NA'"),
        ("arr_delay", "12", "12 minutes do not lead from 819 to 830"),
        ("carrier", "ZZ", "unknown code 'ZZ'"),
        ("origin", "BOS", "unknown code 'BOS'"),
        ("dest", "iah", "expected an airport code of three capital letters, found 'iah'"),
        ("day", "32", "expected 1 to 31, found 32"),
        ("month", "2", "expected 1 to 1, found 2"),
        ("flight", "0", "expected 1 to 9999, found 0"),
    ],
)
def test_a_malformed_flight_is_refused_naming_line_and_column(column, value, why):
    with pytest.raises(MalformedRow) as refused:
        list(FLIGHTS.rows(lines(FLIGHTS.columns, FLIGHT, FLIGHT, {**FLIGHT, column: value}, FLIGHT)))
    assert str(refused.value) == f"flights-2013-01.csv.gz, line 4, column {column}: {why}."
    assert (refused.value.line, refused.value.column) == (4, column)


def test_an_arrival_of_a_flight_that_never_departed_is_refused():
    never = {**FLIGHT, "dep_time": "NA", "dep_delay": "NA"}
    with pytest.raises(MalformedRow, match="line 2, column arr_delay: is 11, but the flight never departed"):
        list(FLIGHTS.rows(lines(FLIGHTS.columns, never)))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2013,1,1,517", "line 2, column sched_dep_time: expected 13 fields, found 4"),
        (",".join(FLIGHT.values()) + ",x", "line 2, column dest: expected 13 fields, found 14"),
        ("", "line 2, column year: expected 13 fields, found 0"),
    ],
)
def test_a_row_with_too_few_or_too_many_fields_is_refused(row, message):
    with pytest.raises(MalformedRow, match=message):
        list(FLIGHTS.rows([",".join(FLIGHTS.columns), row]))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ([], "line 1, column year: expected this header, found 'nothing'"),
        (["year,day"], "line 1, column month: expected this header, found 'day'"),
        ([",".join(FLIGHTS.columns) + ",tail"], "line 1, column tail: unexpected header"),
    ],
)
def test_a_wrong_header_is_refused(header, message):
    with pytest.raises(MalformedRow, match=message):
        list(FLIGHTS.rows(header))


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("wind_speed", "calm", "expected a number or NA, found 'calm'"),
        ("wind_speed", "nan", "expected 0 to 250, found nan"),
        ("precip", "-0.1", "expected 0 to 20, found -0.1"),
        ("hour", "24", "expected 0 to 23, found 24"),
    ],
)
def test_a_malformed_hour_of_weather_is_refused(column, value, why):
    with pytest.raises(MalformedRow) as refused:
        list(WEATHER.rows(lines(WEATHER.columns, {**HOUR, column: value})))
    assert str(refused.value) == f"weather-2013-01.csv.gz, line 2, column {column}: {why}."


def test_cancelled_diverted_and_midnight_flights_are_understood():
    cancelled = {**FLIGHT, **dict.fromkeys(("dep_time", "dep_delay", "arr_time", "arr_delay"), "NA")}
    diverted = {**FLIGHT, "arr_delay": "NA"}
    midnight = {**FLIGHT, "sched_dep_time": "2359", "dep_time": "2400", "dep_delay": "1"}
    rows = list(FLIGHTS.rows(lines(FLIGHTS.columns, cancelled, diverted, midnight)))
    assert [(row.departed, row.dep_delay, row.arr_delay) for row in rows] == [
        (False, None, None),
        (True, 2, None),
        (True, 1, 11),
    ]


def test_a_table_of_flights_comes_back_as_it_went(flights):
    table = pack(flights)
    assert list(unpack(table)) == flights
    assert pack(flights) == table
