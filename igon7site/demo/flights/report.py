"""The HTML report: figures turned into words and charts, then into one self-contained page."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.template import Context, Engine
from django.utils.safestring import SafeString

from igon7site.demo.flights import charts, svg
from igon7site.demo.flights.data import AIRPORTS
from igon7site.demo.flights.findings import findings
from igon7site.demo.flights.join import Joined, NamedCarrier, Totals
from igon7site.demo.flights.stats import HOURS, PERCENTILES, HourRow, RouteRow
from igon7site.demo.flights.weather import EVERYWHERE, BandRow, FactorTable
from igon7site.demo.flights.words import NOTHING, average, count, minutes, share

# An engine of its own: the document takes nothing from the site, neither its tags nor its context.
ENGINE = Engine(dirs=[str(Path(__file__).parent / "templates")])
FULL, HALF = (1040, 342), (496, 342)
FEW = 10
HEAT_STEPS = 6


def render(joined: Joined, execution: str) -> str:
    """Return the report as one HTML document without scripts or references to anything outside it."""
    return ENGINE.get_template("report.html").render(Context(context(joined, execution)))


def context(joined: Joined, execution: str) -> dict[str, Any]:
    """Return what the template shows, every number already in words."""
    options, totals = joined["options"], joined["totals"]
    return {
        "execution": execution,
        "options": options,
        "airports": AIRPORTS.items(),
        "departures": count(totals["flights"]),
        "number_of_carriers": len(joined["carriers"]),
        "facts": facts(totals, options["delay_threshold"]),
        "findings": findings(joined),
        "percentiles": PERCENTILES,
        "carriers": [carrier_row(row) for row in joined["carriers"]],
        "hours": HOURS,
        "heat": [heat_row(row) for row in joined["carriers"]],
        "routes": [route_row(row) for row in joined["worst_routes"]],
        "routes_by_carrier": [routes_of(row) for row in joined["carriers"]],
        "weather": [weather_section(factor, joined["weather"]) for factor in joined["weather"]],
        "arrivals_known": count(totals["arrival"]["known"]),
        "cancelled": count(totals["cancelled"]),
        "unknown_arrivals": count(totals["unknown_arrivals"]),
        "unobserved": count(max((factor["missing"] for factor in joined["weather"]), default=0)),
        **drawings(joined),
    }


def drawings(joined: Joined) -> dict[str, SafeString]:
    """Return the page-wide charts."""
    threshold, counts = joined["options"]["delay_threshold"], joined["totals"]["arrival_counts"]
    return {
        "arrivals_chart": svg.at_two_widths(lambda width: charts.arrivals(counts, threshold, width), FULL),
        "hours_chart": svg.at_two_widths(lambda width: charts.hours(joined["hours"], width), FULL),
        "carriers_chart": svg.at_two_widths(
            lambda width: charts.carriers(joined["carriers"], threshold, width), FULL
        ),
    }


def facts(totals: Totals, threshold: int) -> list[dict[str, str]]:
    """Return the five figures at the top."""
    percentiles = totals["arrival"]["percentiles"]
    return [
        _fact("Departures", count(totals["flights"]), f"{count(totals['arrival']['known'])} known arrivals"),
        _fact("On time", share(totals["on_time"], totals["flights"]), f"less than {threshold} min late"),
        _fact("Median arrival", minutes(percentiles["p50"], 0), "minutes after schedule"),
        _fact("One in ten", minutes(percentiles["p90"], 0), "minutes after schedule, or more"),
        _fact(
            "Cancelled",
            share(totals["cancelled"], totals["flights"]),
            f"{count(totals['cancelled'])} flights",
        ),
    ]


def _fact(name: str, figure: str, note: str) -> dict[str, str]:
    return {"name": name, "figure": figure, "note": note}


def carrier_row(row: NamedCarrier) -> dict[str, Any]:
    """Return one line of the carriers table."""
    interval = row["mean_interval"]
    return {
        "code": row["carrier"],
        "name": row["name"],
        "flights": count(row["flights"]),
        "cancelled": share(row["cancelled"], row["flights"]),
        "on_time": share(row["on_time"], row["flights"]),
        "mean": minutes(row["arrival"]["mean"]),
        "interval": f"{minutes(interval[0])} … {minutes(interval[1])}" if interval else NOTHING,
        "percentiles": [minutes(row["arrival"]["percentiles"][f"p{p}"], 0) for p in PERCENTILES],
    }


def heat_row(row: NamedCarrier) -> dict[str, Any]:
    """Return a carrier's late share by hour, each with its step of heat."""
    by_hour = {hour["hour"]: hour for hour in row["hours"]}
    return {
        "code": row["carrier"],
        "name": row["name"],
        "cells": [_heat(by_hour.get(hour)) for hour in HOURS],
    }


def _heat(hour: HourRow | None) -> dict[str, str]:
    if hour is None or not hour["departed"]:
        return {"kind": "none", "text": "", "title": "no departures"}
    late, departed = hour["late"], hour["departed"]
    step = min(10 * late // departed, HEAT_STEPS - 1)
    kind = f"heat-{step}" if departed >= FEW else "few"
    return {"kind": kind, "text": share(late, departed, 0)[:-1], "title": f"{late} of {departed} left late"}


def route_row(row: RouteRow) -> dict[str, str]:
    """Return one line of a routes table."""
    known = row["known"]
    return {
        "carrier": row["carrier"],
        "origin": row["origin"],
        "dest": row["dest"],
        "flights": count(row["flights"]),
        "cancelled": count(row["cancelled"]),
        "mean": minutes(row["mean"]),
        "p90": minutes(row["p90"], 0),
        "late": share(row["late"], known, 0),
    }


def routes_of(row: NamedCarrier) -> dict[str, Any]:
    """Return a carrier's worst routes and how many were ranked."""
    return {
        "code": row["carrier"],
        "name": row["name"],
        "ranked": row["ranked_routes"],
        "rows": [route_row(route) for route in row["worst_routes"]],
    }


def weather_section(factor: FactorTable, factors: Iterable[FactorTable]) -> dict[str, Any]:
    """Return one weather quantity: its chart (all charts on one scale) and its table by airport."""
    cells = [band["cells"][EVERYWHERE] for each in factors for band in each["bands"]]
    longest = max((average(cell["minutes"], cell["departed"]) or 0.0 for cell in cells), default=0.0)
    return {
        "title": factor["title"],
        "unit": factor["unit"],
        "chart": svg.at_two_widths(lambda width: charts.weather(factor, longest, width), HALF),
        "rows": [weather_row(band) for band in factor["bands"]],
    }


def weather_row(band: BandRow) -> Mapping[str, Any]:
    """Return one band of weather: mean departure delay by airport, cancellations everywhere."""
    cells, everywhere = band["cells"], band["cells"][EVERYWHERE]
    return {
        "label": band["label"],
        "means": [minutes(average(cells[place]["minutes"], cells[place]["departed"])) for place in AIRPORTS],
        "cancelled": share(everywhere["cancelled"], everywhere["flights"]),
    }
