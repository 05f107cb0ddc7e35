"""Terminate an execution."""

from __future__ import annotations

from orchestration.management import acts


class Command(acts.Act):
    help = "End an execution at once: no code of it runs any more, and what still comes of it is refused."
    verb = "terminate"
