"""The bodies of the workflow's nodes: input and artifacts in, artifacts and a short result out."""

from collections import defaultdict
from typing import Any

from igon7site.demo.flights.data import (
    FLIGHTS,
    FLIGHTS_FILE,
    WEATHER,
    WEATHER_FILE,
    Flight,
    airlines,
    pack,
    pack_json,
    shipped_lines,
    unpack,
    unpack_json,
)
from igon7site.demo.flights.join import Joined, join
from igon7site.demo.flights.report import render
from igon7site.demo.flights.stats import CarrierTable, Options, carrier_table
from igon7site.demo.flights.summary import summary_json
from igon7site.demo.flights.weather import EVERYWHERE, weather_tables

GZIP = "application/gzip"
PROGRESS_EVERY = 2_000


def carrier_node(carrier: str) -> str:
    """Return the id of a carrier's node."""
    return f"carrier-{carrier}"


def read(ctx: Any) -> dict[str, Any]:
    """Check every flight and keep a table per selected carrier; raise MalformedRow at the first bad row."""
    options, lines = Options.of(ctx.input), shipped_lines(FLIGHTS_FILE)
    by_carrier: dict[str, list[Flight]] = defaultdict(list)
    for done, flight in enumerate(FLIGHTS.rows(lines), 1):
        by_carrier[flight.carrier].append(flight)
        if done % PROGRESS_EVERY == 0:
            ctx.progress(done / len(lines), f"{done:,} rows read")
    ctx.log.info(
        "Read %s flights of %s carriers; every row is sound.", f"{len(lines) - 1:,}", len(by_carrier)
    )
    tables = {
        carrier: ctx.artifact(f"flights-{carrier}.csv.gz", pack(flights), GZIP)
        for carrier, flights in sorted(by_carrier.items())
        if options.selects(carrier)
    }
    ctx.log.info("Kept tables of %s.", ", ".join(tables))
    flights = {carrier: len(by_carrier[carrier]) for carrier in tables}
    return {"rows": len(lines) - 1, "flights": flights, "tables": tables}


def carrier_stats(ctx: Any) -> dict[str, Any]:
    """Compute one carrier's figures; a carrier that was not selected has none."""
    carrier: str = ctx.params["carrier"]
    if (reference := ctx.results["read"]["tables"].get(carrier)) is None:
        ctx.log.info("%s was not selected.", carrier)
        return {"carrier": carrier, "selected": False}
    flights = list(unpack(ctx.read_artifact(reference)))
    table = carrier_table(
        carrier, flights, Options.of(ctx.input), lambda share: ctx.progress(share, "resampling arrivals")
    )
    ctx.log.info("%s: %s flights, %s on time.", carrier, table["flights"], table["on_time"])
    return {
        "carrier": carrier,
        "selected": True,
        "flights": table["flights"],
        "cancelled": table["cancelled"],
        "on_time": table["on_time"],
        "arrival": table["arrival"],
        "table": ctx.artifact(f"carrier-{carrier}.json.gz", pack_json(table), GZIP),
    }


def weather(ctx: Any) -> dict[str, Any]:
    """Join the selected carriers' flights to the hour's weather and count them by band."""
    observations = list(WEATHER.rows(shipped_lines(WEATHER_FILE)))
    ctx.log.info("Read %s hours of weather; every row is sound.", f"{len(observations):,}")
    references = ctx.results["read"]["tables"].values()
    flights: list[Flight] = []
    for done, reference in enumerate(references, 1):
        flights += unpack(ctx.read_artifact(reference))
        ctx.progress(0.5 * done / len(references), f"{len(flights):,} flights joined")
    factors = weather_tables(flights, observations, Options.of(ctx.input).delay_threshold)
    for factor in factors:
        if factor["missing"]:
            ctx.log.warning("%s was not observed for %s flights.", factor["title"], factor["missing"])
    counted = {
        factor["factor"]: sum(band["cells"][EVERYWHERE]["flights"] for band in factor["bands"])
        for factor in factors
    }
    return {"flights": counted, "tables": ctx.artifact("weather.json.gz", pack_json(factors), GZIP)}


def join_tables(ctx: Any) -> dict[str, Any]:
    """Bring the carriers' tables, the airlines' names and the weather together."""
    results = [ctx.results[carrier_node(carrier)] for carrier in airlines()]
    tables: list[CarrierTable] = [
        unpack_json(ctx.read_artifact(result["table"])) for result in results if result["selected"]
    ]
    factors = unpack_json(ctx.read_artifact(ctx.results["weather"]["tables"]))
    joined = join(tables, factors, airlines(), Options.of(ctx.input))
    ctx.log.info("Joined %s carriers, %s flights.", len(tables), f"{joined['totals']['flights']:,}")
    return {
        "carriers": len(tables),
        "flights": joined["totals"]["flights"],
        "joined": ctx.artifact("joined.json.gz", pack_json(joined), GZIP),
    }


def report(ctx: Any) -> dict[str, Any]:
    """Write the HTML report and the JSON summary; the result is the workflow's output."""
    joined: Joined = unpack_json(ctx.read_artifact(ctx.results["join"]["joined"]))
    ctx.progress(0.3, "drawing the charts")
    html = render(joined, str(ctx.execution_id)).encode()
    ctx.progress(0.8, "writing the summary")
    totals = joined["totals"]
    return {
        "flights": totals["flights"],
        "cancelled": totals["cancelled"],
        "on_time": totals["on_time"],
        "arrival": totals["arrival"],
        "report": ctx.artifact("flight-delays.html", html, "text/html; charset=utf-8"),
        "summary": ctx.artifact("flight-delays.json", summary_json(joined), "application/json"),
    }
