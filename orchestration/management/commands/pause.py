"""Pause an execution."""

from __future__ import annotations

from orchestration.management import acts


class Command(acts.Act):
    help = "Pause an execution: nothing new starts in it, and what runs goes on."
    verb = "pause"
