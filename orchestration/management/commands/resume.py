"""Resume an execution."""

from __future__ import annotations

from orchestration.management import acts


class Command(acts.Act):
    help = "Let a paused execution go on."
    verb = "resume"
