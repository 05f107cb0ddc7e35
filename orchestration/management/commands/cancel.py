"""Cancel an execution."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from orchestration.management import acts


class Command(acts.Act):
    help = "Cancel an execution: nothing new starts in it, and what runs is told to stop."
    verb = "cancel"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--rollback", action="store_true", help="then undo what has succeeded")

    def concerns(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"rollback": options["rollback"]}
