"""All carriers, their names and the weather brought together."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from igon7site.demo.flights.stats import (
    CarrierTable,
    Distribution,
    HourRow,
    Options,
    RouteRow,
    badness,
    distribution,
)
from igon7site.demo.flights.weather import FactorTable


class NamedCarrier(CarrierTable):
    """A carrier's figures with the airline's name."""

    name: str


class Totals(TypedDict):
    """The figures of all selected carriers together."""

    flights: int
    cancelled: int
    unknown_arrivals: int
    on_time: int
    departure_known: int
    departure_minutes: int
    arrival: Distribution
    arrival_counts: list[tuple[int, int]]


class Chosen(TypedDict):
    """The options the figures were made with; `carriers` are the codes really included."""

    top: int
    delay_threshold: int
    min_flights: int
    resamples: int
    carriers: list[str]


class Joined(TypedDict):
    """What the report is written from; carriers with the most flights first."""

    options: Chosen
    totals: Totals
    carriers: list[NamedCarrier]
    hours: list[HourRow]
    worst_routes: list[RouteRow]
    weather: list[FactorTable]


def totals(tables: Sequence[CarrierTable]) -> Totals:
    """Return the figures of all tables together; percentiles are exact, from the merged counts of delays."""
    counts: Counter[int] = Counter()
    for table in tables:
        counts.update(dict(table["arrival_counts"]))
    hours = merged_hours(tables)
    return Totals(
        flights=sum(table["flights"] for table in tables),
        cancelled=sum(table["cancelled"] for table in tables),
        unknown_arrivals=sum(table["unknown_arrivals"] for table in tables),
        on_time=sum(table["on_time"] for table in tables),
        departure_known=sum(hour["departed"] for hour in hours),
        departure_minutes=sum(hour["minutes"] for hour in hours),
        arrival=distribution(counts.elements()),
        arrival_counts=sorted(counts.items()),
    )


def merged_hours(tables: Iterable[CarrierTable]) -> list[HourRow]:
    """Return the hour profiles of all tables added up."""
    rows: dict[int, HourRow] = {}
    for hour in (hour for table in tables for hour in table["hours"]):
        blank = HourRow(hour=hour["hour"], flights=0, departed=0, minutes=0, late=0)
        row = rows.setdefault(hour["hour"], blank)
        for field in ("flights", "departed", "minutes", "late"):
            row[field] += hour[field]
    return [rows[hour] for hour in sorted(rows)]


def join(
    tables: Sequence[CarrierTable], weather: list[FactorTable], names: Mapping[str, str], options: Options
) -> Joined:
    """Return everything the report needs, from the selected carriers' tables and the weather's."""
    ranked = sorted((route for table in tables for route in table["worst_routes"]), key=badness)
    busiest = sorted(tables, key=lambda table: (-table["flights"], table["carrier"]))
    return Joined(
        options=Chosen(
            top=options.top,
            delay_threshold=options.delay_threshold,
            min_flights=options.min_flights,
            resamples=options.resamples,
            carriers=[table["carrier"] for table in busiest],
        ),
        totals=totals(tables),
        carriers=[NamedCarrier(**table, name=names[table["carrier"]]) for table in busiest],
        hours=merged_hours(tables),
        worst_routes=ranked[: options.top],
        weather=weather,
    )
