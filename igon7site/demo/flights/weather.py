"""Departures by the weather at their airport in the hour they were scheduled in."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

from igon7site.demo.flights.data import AIRPORTS, Flight, Observation

EVERYWHERE = "all"


class Cell(TypedDict):
    """The departures in one band of weather; `minutes` is the sum of their departure delays."""

    flights: int
    cancelled: int
    departed: int
    minutes: int
    late: int


class BandRow(TypedDict):
    """One band: its label and its cells by airport, and `all`."""

    label: str
    cells: dict[str, Cell]


class FactorTable(TypedDict):
    """One weather quantity, its bands in order, and the flights for which it was not observed."""

    factor: str
    title: str
    unit: str
    missing: int
    bands: list[BandRow]


@dataclass(frozen=True)
class Factor:
    """A quantity of an Observation cut at `edges`: band i holds edges[i-1] <= value < edges[i]."""

    field: str
    title: str
    unit: str
    edges: tuple[float, ...]
    labels: tuple[str, ...]

    def band(self, value: float) -> str:
        """Return the label of the band that holds the value."""
        return self.labels[sum(value >= edge for edge in self.edges)]


FACTORS = (
    Factor(
        "wind_speed",
        "Wind",
        "mph",
        (5, 10, 15, 20, 25),
        ("under 5", "5–10", "10–15", "15–20", "20–25", "25 and over"),
    ),
    Factor("visib", "Visibility", "miles", (1, 3, 6, 10), ("under 1", "1–3", "3–6", "6–10", "10 (clear)")),
    Factor(
        "precip",
        "Precipitation",
        "inches an hour",
        (0.005, 0.03, 0.1),
        ("none", "under 0.03", "0.03–0.1", "0.1 and over"),
    ),
    Factor(
        "temp", "Temperature", "°F", (20, 32, 40, 50), ("under 20", "20–32", "32–40", "40–50", "50 and over")
    ),
)


def blank() -> Cell:
    """Return a cell that counts nothing yet."""
    return Cell(flights=0, cancelled=0, departed=0, minutes=0, late=0)


def _count(cell: Cell, flight: Flight, threshold: int) -> None:
    cell["flights"] += 1
    cell["cancelled"] += not flight.departed
    if flight.dep_delay is not None:
        cell["departed"] += 1
        cell["minutes"] += flight.dep_delay
        cell["late"] += flight.dep_delay >= threshold


def weather_tables(
    flights: Iterable[Flight], observations: Iterable[Observation], threshold: int
) -> list[FactorTable]:
    """Join flights to the hour's weather by (airport, day, hour) and count them by band of each factor."""
    seen = {(weather.origin, weather.day, weather.hour): weather for weather in observations}
    joined = [(flight, seen.get((flight.origin, flight.day, flight.hour))) for flight in flights]
    return [_factor_table(factor, joined, threshold) for factor in FACTORS]


def _factor_table(
    factor: Factor, joined: Iterable[tuple[Flight, Observation | None]], threshold: int
) -> FactorTable:
    cells = {label: {place: blank() for place in (EVERYWHERE, *AIRPORTS)} for label in factor.labels}
    missing = 0
    for flight, weather in joined:
        value: float | None = getattr(weather, factor.field, None)
        if value is None:
            missing += 1
            continue
        band = cells[factor.band(value)]
        _count(band[EVERYWHERE], flight, threshold)
        _count(band[flight.origin], flight, threshold)
    bands = [BandRow(label=label, cells=places) for label, places in cells.items()]
    return FactorTable(
        factor=factor.field, title=factor.title, unit=factor.unit, missing=missing, bands=bands
    )
