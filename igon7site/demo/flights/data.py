"""The shipped data as checked rows, and the per-carrier tables that nodes pass on."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from igon7site.demo.flights.rows import MISSING, FieldError, Fields, Reader, clock, code, number, whole

AIRPORTS = {"EWR": "Newark", "JFK": "John F. Kennedy", "LGA": "LaGuardia"}
FLIGHTS_FILE, WEATHER_FILE, AIRLINES_FILE = "flights-2013-01.csv.gz", "weather-2013-01.csv.gz", "airlines.csv"
YEAR, MONTH = 2013, 1
DAY_MINUTES = 24 * 60


class Flight(NamedTuple):
    """One scheduled departure; delays in minutes (early is negative), None where they are not known."""

    carrier: str
    day: int
    hour: int
    origin: str
    dest: str
    departed: bool
    dep_delay: int | None
    arr_delay: int | None


class Observation(NamedTuple):
    """The weather at one airport in one local hour: °F, mph, inches an hour, miles."""

    origin: str
    day: int
    hour: int
    temp: float | None
    wind_speed: float | None
    precip: float | None
    visib: float | None


def _file(name: str) -> bytes:
    return resources.files("igon7site.demo").joinpath("data", name).read_bytes()


@cache
def airlines() -> dict[str, str]:
    """Return carrier code -> airline name, sorted by code."""
    rows = csv.DictReader(io.StringIO(_file(AIRLINES_FILE).decode()))
    return dict(sorted((row["carrier"], row["name"]) for row in rows))


def shipped_lines(name: str) -> list[str]:
    """Return the lines of a shipped .csv.gz file, the header first."""
    return gzip.decompress(_file(name)).decode().splitlines()


def _day(fields: Fields) -> int:
    whole(fields, "year", YEAR, YEAR)
    whole(fields, "month", MONTH, MONTH)
    return whole(fields, "day", 1, 31)


def _delay(fields: Fields, what: str) -> int | None:
    """Return the delay in minutes after checking it against the two clock times it is said to lie between."""
    column, actual, scheduled = f"{what}_delay", f"{what}_time", clock(fields, f"sched_{what}_time")
    if fields[column] == MISSING:
        return None
    delay = whole(fields, column, -DAY_MINUTES, 3 * DAY_MINUTES)
    if fields[actual] == MISSING:
        raise FieldError(actual, f"missing, but {column} is {delay}")
    if (clock(fields, actual) - scheduled - delay) % DAY_MINUTES:
        problem = f"{delay} minutes do not lead from {fields[f'sched_{what}_time']} to {fields[actual]}"
        raise FieldError(column, problem)
    return delay


def _airport(fields: Fields, column: str) -> str:
    value = fields[column]
    if len(value) != 3 or not (value.isascii() and value.isalpha() and value.isupper()):
        raise FieldError(column, f"expected an airport code of three capital letters, found {value!r}")
    return value


def _flight(fields: Fields) -> Flight:
    dep_delay, arr_delay = _delay(fields, "dep"), _delay(fields, "arr")
    departed = fields["dep_time"] != MISSING
    if departed and dep_delay is None:
        raise FieldError("dep_delay", f"missing, but dep_time is {fields['dep_time']}")
    if arr_delay is not None and not departed:
        raise FieldError("arr_delay", f"is {arr_delay}, but the flight never departed")
    whole(fields, "flight", 1, 9999)
    return Flight(
        carrier=code(fields, "carrier", airlines()),
        day=_day(fields),
        hour=clock(fields, "sched_dep_time") // 60,
        origin=code(fields, "origin", AIRPORTS),
        dest=_airport(fields, "dest"),
        departed=departed,
        dep_delay=dep_delay,
        arr_delay=arr_delay,
    )


def _observation(fields: Fields) -> Observation:
    return Observation(
        origin=code(fields, "origin", AIRPORTS),
        day=_day(fields),
        hour=whole(fields, "hour", 0, 23),
        temp=number(fields, "temp", -80, 140),
        wind_speed=number(fields, "wind_speed", 0, 250),
        precip=number(fields, "precip", 0, 20),
        visib=number(fields, "visib", 0, 100),
    )


FLIGHTS = Reader(
    FLIGHTS_FILE,
    (
        *("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay"),
        *("arr_time", "sched_arr_time", "arr_delay", "carrier", "flight", "origin", "dest"),
    ),
    _flight,
)
WEATHER = Reader(
    WEATHER_FILE,
    ("origin", "year", "month", "day", "hour", "temp", "wind_speed", "precip", "visib"),
    _observation,
)


def pack(flights: Iterable[Flight]) -> bytes:
    """Return checked flights as a gzipped CSV table without header; equal rows make equal bytes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows((*flight[:5], int(flight.departed), *flight[6:]) for flight in flights)
    return gzip.compress(out.getvalue().encode(), mtime=0)


def unpack(table: bytes) -> Iterator[Flight]:
    """Yield the flights of a table made by `pack`, in order."""
    for carrier, day, hour, origin, dest, departed, dep, arr in csv.reader(
        gzip.decompress(table).decode().splitlines()
    ):
        yield Flight(
            *(carrier, int(day), int(hour), origin, dest, departed == "1"),
            dep_delay=int(dep) if dep else None,
            arr_delay=int(arr) if arr else None,
        )


def pack_json(value: object) -> bytes:
    """Return a JSON value gzipped, the same bytes for the same value."""
    return gzip.compress(json.dumps(value, separators=(",", ":")).encode(), mtime=0)


def unpack_json(data: bytes) -> Any:
    """Return the JSON value packed by `pack_json`."""
    return json.loads(gzip.decompress(data))
