"""flight-delays: a month of New York departures, one node per carrier, to a report."""

from typing import Any

from igon7site.demo.flights import nodes
from igon7site.demo.flights.data import airlines
from igon7site.demo.flights.rows import MalformedRow
from igon7site.demo.flights.stats import Options
from igon7site.demo.trace import workflow as _trace  # noqa: F401 - registers the task that replays a trace
from orchestration import RetryPolicy, WorkflowBuilder

DEFAULTS = Options()

INPUT_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "delay_threshold": {
            "type": "integer",
            "title": "Late from",
            "description": "A flight is late from so many minutes after schedule.",
            "minimum": 1,
            "maximum": 240,
            "default": DEFAULTS.delay_threshold,
        },
        "carriers": {
            "type": "array",
            "title": "Carriers",
            "description": "Only these carriers; none chosen means all.",
            "items": {"enum": list(airlines())},
            "uniqueItems": True,
            "default": list(DEFAULTS.carriers),
        },
        "top": {
            "type": "integer",
            "title": "Worst routes",
            "description": "How many of the worst routes to list per carrier.",
            "minimum": 1,
            "maximum": 50,
            "default": DEFAULTS.top,
        },
        "min_flights": {
            "type": "integer",
            "title": "Flights per route",
            "description": "Rank only routes with at least so many known arrivals.",
            "minimum": 1,
            "maximum": 500,
            "default": DEFAULTS.min_flights,
        },
        "resamples": {
            "type": "integer",
            "title": "Resamples",
            "description": "Bootstrap resamples for the interval of each mean delay; 0 leaves it out.",
            "minimum": 0,
            "maximum": 20_000,
            "default": DEFAULTS.resamples,
        },
    },
}

builder = WorkflowBuilder(
    "flight-delays",
    description="How late New York flew: 27,004 departures of January 2013, by carrier, hour and weather.",
    input_schema=INPUT_SCHEMA,
    tags=["demo"],
    timeout="10m",
    output="report",
)
builder.add_node(
    "read",
    nodes.read,
    retry=RetryPolicy(max_attempts=3, initial_interval="1s", do_not_retry=[MalformedRow]),
    timeout="1m",
)
for carrier in airlines():
    builder.add_node(
        nodes.carrier_node(carrier),
        nodes.carrier_stats,
        depends_on=["read"],
        params={"carrier": carrier},
        timeout="2m",
    )
builder.add_node("weather", nodes.weather, depends_on=["read"], timeout="1m")
builder.add_node(
    "join", nodes.join_tables, depends_on=[*map(nodes.carrier_node, airlines()), "weather"], timeout="1m"
)
builder.add_node("report", nodes.report, depends_on=["join"], timeout="1m")

flight_delays = builder.build()
