"""Periodic jobs: any cluster may run them, none has to. Apps above register theirs when they are ready."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Job:
    name: str
    every: float
    run: Callable[[], object]
    due: float = 0.0


_jobs: dict[str, Job] = {}


def register(name: str, every: float, run: Callable[[], object]) -> None:
    """Run the job about every so many seconds in each cluster; it makes itself safe against running twice at once."""
    _jobs[name] = Job(name, every, run)


def run_due() -> None:
    """Run the jobs that are due; one that fails is logged and tried again at its next time."""
    for job in _jobs.values():
        now = time.monotonic()
        if now < job.due:
            continue
        job.due = now + job.every
        try:
            job.run()
        except Exception:
            log.exception("The periodic job %s failed.", job.name)
