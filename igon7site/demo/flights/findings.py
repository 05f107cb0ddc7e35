"""What the figures say, in sentences."""

from collections.abc import Iterator

from igon7site.demo.flights.join import Joined, NamedCarrier
from igon7site.demo.flights.weather import EVERYWHERE, FactorTable
from igon7site.demo.flights.words import average, late_or_early, share

ENOUGH = 100


def findings(joined: Joined) -> list[str]:
    """Return the sentences that these figures support, most general first."""
    return [
        *_arrivals(joined),
        *_carriers([row for row in joined["carriers"] if row["flights"] >= ENOUGH]),
        *_hours(joined),
        *(sentence for factor in joined["weather"][:1] for sentence in _weather(factor)),
    ]


def _arrivals(joined: Joined) -> Iterator[str]:
    percentiles = joined["totals"]["arrival"]["percentiles"]
    p50, p90 = percentiles["p50"], percentiles["p90"]
    if p50 is not None and p90 is not None:
        half = f"Half of the arrivals were {late_or_early(p50)} or better"
        yield f"{half}; one in ten was {late_or_early(p90)} or worse."


def _carriers(rows: list[NamedCarrier]) -> Iterator[str]:
    ranked = sorted(rows, key=lambda row: row["on_time"] / row["flights"])
    if len(ranked) > 1:
        worst, best = (
            f"{row['name'].rstrip('.')} ({share(row['on_time'], row['flights'])} on time)"
            for row in (ranked[0], ranked[-1])
        )
        yield f"Among carriers with at least {ENOUGH} flights, {best} did best and {worst} worst."


def _hours(joined: Joined) -> Iterator[str]:
    means = {
        row["hour"]: row["minutes"] / row["departed"] for row in joined["hours"] if row["departed"] >= ENOUGH
    }
    if len(means) > 1:
        best, worst = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
        yield (
            f"The hour matters: flights scheduled between {best:02}:00 and {best:02}:59 left "
            f"{late_or_early(means[best])} on average, those between {worst:02}:00 and {worst:02}:59 "
            f"{late_or_early(means[worst])}."
        )


def _weather(factor: FactorTable) -> Iterator[str]:
    cells = {band["label"]: band["cells"][EVERYWHERE] for band in factor["bands"]}
    means = {
        label: average(cell["minutes"], cell["departed"]) or 0.0
        for label, cell in cells.items()
        if cell["departed"] >= ENOUGH
    }
    if len(means) > 1:
        worst, best = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
        what, unit = factor["title"].lower(), factor["unit"]
        yield (
            f"Departures left {late_or_early(means[worst])} on average in {what} of {measured(worst, unit)}, "
            f"{late_or_early(means[best])} in {what} of {measured(best, unit)}."
        )


def measured(label: str, unit: str) -> str:
    """Return a band with its unit: "25 mph and over", "10–15 mph"."""
    value, over, _ = label.partition(" and over")
    return f"{value} {unit}{over}"
