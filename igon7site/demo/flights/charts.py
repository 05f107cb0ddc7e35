"""The report's charts, each drawn for a given width in pixels."""

from collections.abc import Sequence

from django.utils.safestring import SafeString

from igon7site.demo.flights import svg
from igon7site.demo.flights.join import NamedCarrier
from igon7site.demo.flights.stats import HourRow
from igon7site.demo.flights.weather import EVERYWHERE, FactorTable
from igon7site.demo.flights.words import average, count, minutes, share

BIN, FIRST, LAST = 5, -60, 180
NARROW = 480


def arrivals(counts: Sequence[tuple[int, int]], threshold: int, width: int) -> SafeString:
    """Draw how many flights arrived how late, in bins of 5 minutes; the last bin holds all beyond."""
    bins = dict.fromkeys(range(FIRST, LAST + BIN, BIN), 0)
    for delay, flights in counts:
        bins[min(max(delay // BIN * BIN, FIRST), LAST)] += flights
    height, base = 240, 208
    x = svg.linear(FIRST, LAST + BIN, 0, width)
    y = svg.linear(0, max(*bins.values(), 1), base, 22)
    marks = [svg.line(0, base, width, base, "axis")]
    for start, flights in bins.items():
        kind = "late" if start >= threshold else "calm"
        end = "and more" if start == LAST else f"to {minutes(start + BIN - 1, 0)}"
        title = f"{count(flights)} flights: {minutes(start, 0)} {end} minutes"
        left, right = x(start) + 0.5, x(start + BIN) - 0.5
        marks.append(svg.bar(left, y(flights), right - left, base - y(flights), kind, title))
    for tick in range(FIRST, LAST + 1, 60 if width < NARROW else 30):
        label = (
            "scheduled" if tick == 0 and width >= NARROW else minutes(tick, 0) + ("+" if tick == LAST else "")
        )
        anchor = {FIRST: "start", LAST: "end"}.get(tick, "middle")
        marks.append(svg.text(x(tick) if tick != LAST else width, base + 18, label, "tick", anchor))
    edge = x(min(threshold, LAST))
    marks += [
        svg.line(edge, 14, edge, base, "mark"),
        svg.text(edge + 6, 24, f"{threshold} minutes late and more →", "note"),
    ]
    return svg.drawing(width, height, "How many flights arrived how many minutes after schedule", marks)


def hours(rows: Sequence[HourRow], width: int) -> SafeString:
    """Draw the mean departure delay by hour of scheduled departure."""
    means = [average(row["minutes"], row["departed"]) or 0.0 for row in rows]
    step, base = width / len(rows), 196
    y = svg.linear(min(0.0, *means), max(1.0, *means), base, 26)
    zero, worst = y(0), max(means)
    marks = [svg.line(0, zero, width, zero, "axis")]
    for place, (row, mean) in enumerate(zip(rows, means, strict=True)):
        left, middle = round(place * step, 1), round((place + 0.5) * step, 1)
        kind = "late" if mean == worst else "calm"
        title = f"{row['hour']:02}:00 – {minutes(mean)} minutes on average, {count(row['flights'])} flights"
        top = min(y(mean), zero)
        marks.append(svg.bar(left + step * 0.12, top, step * 0.76, abs(zero - y(mean)), kind, title))
        if width >= NARROW or mean == worst or place == 0:
            marks.append(svg.text(middle, top - 6, minutes(mean), "value", "middle"))
        if width >= NARROW or row["hour"] % 3 == 0:
            marks.append(svg.text(middle, base + 20, f"{row['hour']:02}", "tick", "middle"))
    return svg.drawing(width, base + 28, "Mean departure delay in minutes by scheduled hour", marks)


def carriers(rows: Sequence[NamedCarrier], threshold: int, width: int) -> SafeString:
    """Draw each carrier's arrival delays: a bar from the median to p90, a line on to p95."""
    known = [row for row in rows if row["arrival"]["known"]]
    ends = [_percentiles(row) for row in known]
    low, high = min((end[0] for end in ends), default=0) - 4, max((end[2] for end in ends), default=60) + 4
    label, row_height, top = (190 if width >= NARROW else 34), 28, 30
    x, bottom = svg.linear(low, max(high, threshold + 1), label, width - 34), top + row_height * len(known)
    marks = []
    for tick in svg.ticks(low, high, 7 if width >= NARROW else 4):
        marks += [
            svg.line(x(tick), top - 6, x(tick), bottom, "grid"),
            svg.text(x(tick), top - 12, minutes(tick, 0), "tick", "middle"),
        ]
    marks.append(svg.line(x(threshold), top - 6, x(threshold), bottom, "mark"))
    for place, (row, (p50, p90, p95)) in enumerate(zip(known, ends, strict=True)):
        y = top + row_height * place + row_height / 2
        name = row["name"] if width >= NARROW else row["carrier"]
        title = f"{row['name']}: median {minutes(p50)}, p90 {minutes(p90)}, p95 {minutes(p95)} minutes"
        marks += [
            svg.text(0, y + 4, name, "name"),
            svg.line(x(p90), y, x(p95), y, "reach"),
            svg.bar(x(p50), y - 6, max(x(p90) - x(p50), 1.5), 12, "calm", title),
            svg.dot(x(p50), y, 4, "median"),
            svg.text(max(x(p95), x(p50) + 5) + 6, y + 4, minutes(p95, 0), "value"),
        ]
    return svg.drawing(
        width, bottom + 6, "Median, 90th and 95th percentile of arrival delay by carrier", marks
    )


def _percentiles(row: NamedCarrier) -> tuple[float, float, float]:
    values = row["arrival"]["percentiles"]
    return values["p50"] or 0.0, values["p90"] or 0.0, values["p95"] or 0.0


def weather(factor: FactorTable, longest: float, width: int) -> SafeString:
    """Draw the mean departure delay by band of one weather quantity; `longest` minutes fill the width."""
    label, row_height = 96, 30
    marks = [svg.line(label, 0, label, row_height * len(factor["bands"]), "axis")]
    x = svg.linear(0, longest or 1, 0, width - label - 128)
    for place, band in enumerate(factor["bands"]):
        cell, y = band["cells"][EVERYWHERE], row_height * place + 4
        mean = average(cell["minutes"], cell["departed"])
        length = max(x(mean or 0), 0)
        note = f"{count(cell['flights'])} flights"
        cancelled = share(cell["cancelled"], cell["flights"])
        title = f"{band['label']} {factor['unit']}: {minutes(mean)} minutes, {cancelled} cancelled"
        marks += [
            svg.text(label - 10, y + 15, band["label"], "name", "end"),
            svg.bar(label, y, length, 22, "calm", title),
            svg.text(label + length + 7, y + 15, minutes(mean), "value"),
            svg.text(width, y + 15, note, "tick", "end"),
        ]
    height = row_height * len(factor["bands"])
    return svg.drawing(width, height, f"Mean departure delay in minutes by {factor['title'].lower()}", marks)
