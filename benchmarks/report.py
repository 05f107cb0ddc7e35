"""From single runs to medians, ratios and verdicts, as text and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .plan import IGON7, Target

COMMIT = "pgbench"  # whose figure commit_ms stands beside each scenario


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement."""

    round: int
    scenario: str
    contestant: str
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds."""

    median: float
    least: float
    most: float
    runs: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, and what was measured; None where it was not."""

    target: Target
    value: float | None

    @property
    def word(self) -> str:
        if self.value is None:
            return "not measured"
        return "reached" if self.target.reached(self.value) else "MISSED"


Spreads = dict[tuple[str, str, str], Spread]  # by scenario, contestant and figure


def spreads(runs: Iterable[Run]) -> Spreads:
    """Return each figure's median, least and most over the rounds."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for run in runs:
        for name, value in run.figures.items():
            found.setdefault((run.scenario, run.contestant, name), []).append(value)
    return {
        key: Spread(statistics.median(values), min(values), max(values), len(values))
        for key, values in found.items()
    }


def verdicts(found: Spreads, targets: Iterable[Target]) -> list[Verdict]:
    """Hold the medians, or their ratios, against the targets."""
    return [Verdict(target, _value(found, target)) for target in targets]


def _value(found: Spreads, target: Target) -> float | None:
    mine = found.get((target.scenario, target.of, target.figure))
    if not (target.over or target.over_figure):
        return mine.median if mine else None
    other = (target.scenario, target.over or target.of, target.over_figure or target.figure)
    theirs = found.get(other)
    return mine.median / theirs.median if mine and theirs and theirs.median else None


def hop_by_commit(found: Spreads) -> float | None:
    """Return what a hop costs in commits of pgbench, or None."""
    hop, commit = found.get(("chain", IGON7, "hop_ms")), found.get(("chain", COMMIT, "commit_ms"))
    return hop.median / commit.median if hop and commit else None


# --- as text ---------------------------------------------------------------------------------------


def figures_table(found: Spreads) -> str:
    """Return every figure with its least and most."""
    rows = [["scenario", "contestant", "figure", "median", "least – most", "runs"]]
    for (scenario, contestant, figure), spread in found.items():
        between = f"{number(spread.least)} – {number(spread.most)}"
        rows.append([scenario, contestant, figure, number(spread.median), between, str(spread.runs)])
    return table(rows, right={3})


def verdicts_table(judged: Sequence[Verdict]) -> str:
    """Return the targets, what was measured, and whether they were reached."""
    rows = [["target", "asked", "measured", ""]]
    for verdict in judged:
        target = verdict.target
        asked = f"{target.sense} {target.limit:g} {target.unit}".strip()
        measured = "–" if verdict.value is None else f"{number(verdict.value)} {target.unit}".strip()
        rows.append([target.text, asked, measured, verdict.word])
    return table(rows)


def table(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> str:
    """Return rows as aligned text; the first is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    flush = set(right)
    lines = [
        "  ".join(
            cell.rjust(width) if column in flush else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "─" * max(map(len, lines)), *lines[1:]])


def number(value: float) -> str:
    """Write a figure with three digits that count, or as a whole number."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


# --- as JSON ---------------------------------------------------------------------------------------


def as_json(about: dict[str, Any], runs: Sequence[Run], judged: Sequence[Verdict]) -> dict[str, Any]:
    """Return all there is to keep: about the machine, every run, the medians and the verdicts."""
    return {
        **about,
        "runs": [asdict(run) for run in runs],
        "medians": [
            {"scenario": scenario, "contestant": contestant, "figure": figure, **asdict(spread)}
            for (scenario, contestant, figure), spread in spreads(runs).items()
        ],
        "verdicts": [{**asdict(one.target), "value": one.value, "verdict": one.word} for one in judged],
    }
