"""Move the oldest part of the audit to files."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _

from security.archive import MOST, archive
from security.principals import Principal


class Command(BaseCommand):
    help = "Move what was recorded before a date, and is sealed, to files, with its chain."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--before", required=True, metavar="DATE", help="such as 2026-01-31")
        parser.add_argument("--most", type=int, default=MOST, metavar="N", help="records of one file")

    def handle(self, *args: Any, before: str, most: int, **options: Any) -> None:
        day = parse_date(before)
        if day is None:
            raise CommandError(_("--before is a date such as 2026-01-31, not %(given)s.") % {"given": before})
        moment = timezone.make_aware(dt.datetime.combine(day, dt.time()))
        count = 0
        try:
            for segment in archive(moment, Principal.for_shell(), most):
                self.stdout.write(segment.file)
                count += segment.last - segment.first + 1
        except RuntimeError as error:
            raise CommandError(_("Nothing was deleted: %(error)s") % {"error": error}) from None
        self.stdout.write(_("%(count)d records were archived.") % {"count": count})
