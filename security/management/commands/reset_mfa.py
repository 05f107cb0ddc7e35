"""Take away the second factors of somebody who has lost them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from security import second_factor
from security.principals import Principal


class Command(BaseCommand):
    help = "Take away the second factors and recovery codes of somebody who has lost them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", metavar="NAME")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        people: Any = get_user_model()._default_manager
        user = people.filter(username=username).first()
        if user is None:
            raise CommandError(_("There is nobody called “%(name)s”.") % {"name": username})
        count = second_factor.reset(Principal.for_shell(), user)
        said = ngettext(
            "%(count)d device of %(name)s is removed.", "%(count)d devices of %(name)s are removed.", count
        )
        self.stdout.write(said % {"count": count, "name": username})
