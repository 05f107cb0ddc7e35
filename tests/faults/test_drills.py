"""Every drill, short, with a fixed seed. `manage.py faults` runs them longer."""

from __future__ import annotations

import pytest

from .drills import DRILLS
from .table import Report

pytestmark = [pytest.mark.faults, pytest.mark.alone]


@pytest.mark.parametrize("drill", DRILLS)
def test_every_promise_holds_through(drill: str, reports: dict[str, Report]) -> None:
    report = reports[drill]
    if report.skipped:
        pytest.skip(report.skipped)
    assert not report.broken, "\n".join(report.broken)
    assert report.counts["ends"].checked, "nothing ran"
