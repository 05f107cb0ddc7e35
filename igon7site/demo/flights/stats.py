"""A carrier's figures: delay percentiles, on-time share, cancellations, routes, hours of the day.

A percentile is interpolated linearly between the two nearest of the sorted values (the "inclusive"
definition: p0 is the smallest, p100 the largest). Delays that are not known are left out of means and
percentiles, and counted: a cancelled flight never departed; a departed flight without an arrival delay was
diverted or not recorded. On time is, as the Department of Transportation counts it, an arrival less than
`threshold` minutes late, as a share of all scheduled flights: cancelled and diverted ones are not on time.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from igon7site.demo.flights.data import Flight

PERCENTILES = (50, 75, 90, 95, 99)
HOURS = range(5, 24)
Tick = Callable[[float], None]


class Distribution(TypedDict):
    """What is known of a set of delays in minutes; mean and percentiles are None when nothing is known."""

    known: int
    mean: float | None
    percentiles: dict[str, float | None]


class HourRow(TypedDict):
    """The departures scheduled in one hour of the day; `minutes` is the sum of their departure delays."""

    hour: int
    flights: int
    departed: int
    minutes: int
    late: int


class RouteRow(TypedDict):
    """One carrier's flights on one route; mean, p90 and late are of the `known` arrivals."""

    carrier: str
    origin: str
    dest: str
    flights: int
    cancelled: int
    known: int
    mean: float
    p90: float
    late: int


class CarrierTable(TypedDict):
    """Everything the report needs to know of one carrier."""

    carrier: str
    flights: int
    cancelled: int
    unknown_arrivals: int
    on_time: int
    departure: Distribution
    arrival: Distribution
    arrival_counts: list[tuple[int, int]]
    mean_interval: tuple[float, float] | None
    hours: list[HourRow]
    ranked_routes: int
    worst_routes: list[RouteRow]


@dataclass(frozen=True)
class Options:
    """What the person who starts the workflow may choose."""

    top: int = 10
    delay_threshold: int = 15
    min_flights: int = 10
    resamples: int = 3000
    carriers: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> "Options":
        """Return the options in an execution's input, defaults where nothing is given."""
        known = {name: given[name] for name in cls.__dataclass_fields__ if given and name in given}
        return cls(**{**known, "carriers": tuple(known.get("carriers", ()))})

    def selects(self, carrier: str) -> bool:
        """Tell whether the carrier is wanted; no choice wants all."""
        return not self.carriers or carrier in self.carriers


def percentile(ordered: Sequence[int], p: int) -> float | None:
    """Return the p-th percentile (0..100) of sorted values, interpolated linearly; None of nothing."""
    if not ordered:
        return None
    position, hundredths = divmod((len(ordered) - 1) * p, 100)
    if not hundredths:
        return float(ordered[position])
    low, high = ordered[position], ordered[position + 1]
    return low + (high - low) * hundredths / 100


def distribution(values: Iterable[int]) -> Distribution:
    """Return count, mean and percentiles of known delays."""
    ordered = sorted(values)
    return Distribution(
        known=len(ordered),
        mean=sum(ordered) / len(ordered) if ordered else None,
        percentiles={f"p{p}": percentile(ordered, p) for p in PERCENTILES},
    )


def mean_interval(
    values: Sequence[int], resamples: int, seed: str, tick: Tick = lambda share: None
) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean by percentile bootstrap; None of under two values or no resamples.

    Equal arguments give equal intervals. `tick` is told the share done, about 20 times.
    """
    if len(values) < 2 or not resamples:
        return None
    draw = random.Random(seed).choices
    means, every = [], max(1, resamples // 20)
    for done in range(1, resamples + 1):
        means.append(sum(draw(values, k=len(values))) / len(values))
        if done % every == 0:
            tick(done / resamples)
    means.sort()
    cut = int(0.025 * resamples)
    return means[cut], means[-1 - cut]


def hour_profile(flights: Iterable[Flight], threshold: int) -> list[HourRow]:
    """Return one row per hour of scheduled departure, 5 to 23; other hours only where somebody flew."""
    rows = {hour: HourRow(hour=hour, flights=0, departed=0, minutes=0, late=0) for hour in HOURS}
    for flight in flights:
        blank = HourRow(hour=flight.hour, flights=0, departed=0, minutes=0, late=0)
        row = rows.setdefault(flight.hour, blank)
        row["flights"] += 1
        if flight.dep_delay is not None:
            row["departed"] += 1
            row["minutes"] += flight.dep_delay
            row["late"] += flight.dep_delay >= threshold
    return [rows[hour] for hour in sorted(rows)]


def route_table(flights: Iterable[Flight], options: Options) -> list[RouteRow]:
    """Return the routes with at least `min_flights` known arrivals, worst mean arrival delay first."""
    routes: dict[tuple[str, str], list[Flight]] = defaultdict(list)
    for flight in flights:
        routes[flight.origin, flight.dest].append(flight)
    rows = [
        _route(flown, options.delay_threshold)
        for flown in routes.values()
        if _known(flown) >= options.min_flights
    ]
    return sorted(rows, key=badness)


def badness(row: RouteRow) -> tuple[float, str, str, str]:
    """Sort key: the worst mean delay first, equal ones by name."""
    return -row["mean"], row["carrier"], row["origin"], row["dest"]


def _known(flights: Iterable[Flight]) -> int:
    return sum(flight.arr_delay is not None for flight in flights)


def _route(flights: Sequence[Flight], threshold: int) -> RouteRow:
    delays = sorted(flight.arr_delay for flight in flights if flight.arr_delay is not None)
    return RouteRow(
        carrier=flights[0].carrier,
        origin=flights[0].origin,
        dest=flights[0].dest,
        flights=len(flights),
        cancelled=sum(not flight.departed for flight in flights),
        known=len(delays),
        mean=sum(delays) / len(delays),
        p90=percentile(delays, 90) or 0.0,
        late=sum(delay >= threshold for delay in delays),
    )


def carrier_table(
    carrier: str, flights: Sequence[Flight], options: Options, tick: Tick = lambda share: None
) -> CarrierTable:
    """Return the figures of one carrier's flights; `tick` hears the share of resampling done."""
    arrivals = [flight.arr_delay for flight in flights if flight.arr_delay is not None]
    departed = sum(flight.departed for flight in flights)
    routes = route_table(flights, options)
    return CarrierTable(
        carrier=carrier,
        flights=len(flights),
        cancelled=len(flights) - departed,
        unknown_arrivals=departed - len(arrivals),
        on_time=sum(delay < options.delay_threshold for delay in arrivals),
        departure=distribution(flight.dep_delay for flight in flights if flight.dep_delay is not None),
        arrival=distribution(arrivals),
        arrival_counts=sorted(Counter(arrivals).items()),
        mean_interval=mean_interval(arrivals, options.resamples, carrier, tick),
        hours=hour_profile(flights, options.delay_threshold),
        ranked_routes=len(routes),
        worst_routes=routes[: options.top],
    )
