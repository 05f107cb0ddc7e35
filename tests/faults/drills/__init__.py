"""Drills: each makes one kind of fault, while executions run, and says how often."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

from tests.faults.crew import Crew, Trial


@dataclass(frozen=True, slots=True)
class Drill:
    """A fault: how to make it once, how often in a row (and how often when time is short), and what that needs."""

    name: str
    fault: str
    once: Callable[[Trial], None]
    times: int
    short: int
    fed: bool
    prepare: Callable[[Trial], None] | None = None
    needs: tuple[str, ...] = ()

    def run(self, trial: Trial) -> None:
        """Make the fault so often; a drill that is *fed* does so while executions run."""
        if self.prepare is not None:
            self.prepare(trial)
        with trial.feeding() if self.fed else nullcontext():
            for _ in range(trial.times):
                if self.fed:
                    trial.await_starts(trial.chance.randint(1, 12))
                self.once(trial)

    def lacks(self, crew: Crew) -> str:
        """Return what is missing here for this drill, in words, or nothing."""
        have = {"postgres": crew.server, "disk": crew.disk, "cc": shutil.which("cc")}
        return next((_LACKS[need] for need in self.needs if not have[need]), "")


_LACKS = {
    "postgres": "PostgreSQL alone has this",
    "disk": "root alone may mount a small disk",
    "cc": "needs a C compiler, cc",
}
DRILLS: dict[str, Drill] = {}


def drill(
    fault: str,
    *,
    times: int,
    short: int,
    fed: bool = True,
    prepare: Callable[[Trial], None] | None = None,
    needs: tuple[str, ...] = (),
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Register the function as a drill of its own name."""

    def register(once: Callable[[Trial], None]) -> Callable[[Trial], None]:
        name = once.__name__.replace("_", "-")
        DRILLS[name] = Drill(name, fault, once, times, short, fed, prepare, needs)
        return once

    return register


from . import children, clocks, database, disk, events, kills, network, races, signals, stops, wakeups, web  # noqa: E402, F401 - each registers its own
