"""Giving a permission on workflows."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from orchestration import executor
from orchestration.management import command, granting


class Command(command.Command):
    help = "Give a person or a role a permission on a workflow, or on all that carry a tag."

    def add_arguments(self, parser: CommandParser) -> None:
        granting.add_arguments(parser)

    def handle(self, *args: Any, permission: str, **options: Any) -> None:
        new = executor.grant(permission, principal=self.principal, **granting.given(options))
        self.stdout.write(_("It is given.") if new else _("It was given already."))
