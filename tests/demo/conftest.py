"""The shipped flights twice: as the code under test reads them, and raw in an SQLite of its own."""

import csv
import gzip
import sqlite3
from collections import defaultdict
from pathlib import Path

import pytest

import igon7site.demo
from igon7site.demo.flights.data import FLIGHTS, FLIGHTS_FILE, WEATHER, WEATHER_FILE, airlines, shipped_lines
from igon7site.demo.flights.join import join
from igon7site.demo.flights.stats import Options, carrier_table
from igon7site.demo.flights.weather import weather_tables

DATA = Path(igon7site.demo.__file__).parent / "data"
OPTIONS = Options(top=5, resamples=200)


def _load(db, table, path):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    texts = {"carrier", "origin", "dest"}
    columns = ", ".join(f"{name} {'TEXT' if name in texts else 'NUMERIC'}" for name in header)
    db.execute(f"CREATE TABLE {table} ({columns})")
    marks = ", ".join("NULLIF(?, 'NA')" for _ in header)
    db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


@pytest.fixture(scope="session")
def db():
    db = sqlite3.connect(":memory:")
    _load(db, "flights", DATA / "flights-2013-01.csv.gz")
    _load(db, "weather", DATA / "weather-2013-01.csv.gz")
    return db


@pytest.fixture(scope="session")
def flights():
    return list(FLIGHTS.rows(shipped_lines(FLIGHTS_FILE)))


@pytest.fixture(scope="session")
def tables(flights):
    by_carrier = defaultdict(list)
    for flight in flights:
        by_carrier[flight.carrier].append(flight)
    return {carrier: carrier_table(carrier, by_carrier[carrier], OPTIONS) for carrier in airlines()}


@pytest.fixture(scope="session")
def factors(flights):
    observations = list(WEATHER.rows(shipped_lines(WEATHER_FILE)))
    return weather_tables(flights, observations, OPTIONS.delay_threshold)


@pytest.fixture(scope="session")
def joined(tables, factors):
    return join(list(tables.values()), factors, airlines(), OPTIONS)
