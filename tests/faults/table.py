"""What drills have shown: a table of faults × promises, with counts. Knows nothing of Django."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.table import Table

SHOWN = 8  # sentences about one promise that broke


@dataclass(slots=True)
class Count:
    """How often a promise was checked and held, and what broke it."""

    held: int = 0
    checked: int = 0
    broken: list[str] = field(default_factory=list)

    def check(self, holds: bool, otherwise: str) -> None:
        self.checked += 1
        self.held += holds
        if not holds:
            self.broken.append(otherwise)

    def __str__(self) -> str:
        return f"{self.held}/{self.checked}" if self.checked else "·"


@dataclass(slots=True)
class Report:
    """What one drill has shown on one database."""

    database: str
    drill: str
    fault: str
    seed: int
    times: int = 0
    seconds: float = 0.0
    skipped: str = ""
    counts: dict[str, Count] = field(default_factory=dict)

    @property
    def broken(self) -> list[str]:
        """Return a sentence for each time that a promise did not hold."""
        return [
            f"{name}: {sentence}" for name, count in self.counts.items() for sentence in count.broken[:SHOWN]
        ]

    def add(self, other: Report) -> None:
        """Add what a further round has shown."""
        self.times += other.times
        self.seconds += other.seconds
        for name, count in other.counts.items():
            mine = self.counts.setdefault(name, Count())
            mine.held += count.held
            mine.checked += count.checked
            mine.broken += count.broken

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Report:
        counts = {name: Count(**count) for name, count in data.pop("counts").items()}
        return cls(counts=counts, **data)


def table(title: str, reports: Sequence[Report]) -> Table:
    """Return the table of faults × promises; a cell says how often a promise held, of how often it was checked."""
    names = list(dict.fromkeys(name for report in reports for name in report.counts))
    made = Table(title=title, box=None, pad_edge=False, header_style="bold", title_justify="left")
    made.add_column("fault")
    for name in ["times", *names, "s"]:
        made.add_column(name, justify="right")
    for report in (each for each in reports if not each.skipped):
        cells = [str(report.counts[name]) if name in report.counts else "·" for name in names]
        made.add_row(report.fault, str(report.times), *cells, f"{report.seconds:.1f}")
    made.caption = "\n".join(f"skipped: {each.fault} ({each.skipped})" for each in reports if each.skipped)
    made.caption_justify = "left"
    return made
