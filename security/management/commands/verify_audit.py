"""Verify the audit's chain."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from security import heads
from security.verify import verify


class Command(BaseCommand):
    help = "Verify the audit's chain, its signed heads and archived segments; exit with 1 when something is wrong."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--heads", type=Path, metavar="FILE", help="signed heads (default: IGON7_AUDIT_HEADS)"
        )
        parser.add_argument(
            "--key", metavar="BASE64", help="the public key (default: this installation's own)"
        )
        parser.add_argument(
            "--archive",
            type=Path,
            nargs="+",
            default=[],
            metavar="FILE",
            help="also verify these archived segments",
        )
        parser.add_argument(
            "--print-key", action="store_true", help="print the public key, to be kept elsewhere"
        )
        parser.add_argument("--json", action="store_true", help="write one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["print_key"]:
            self.stdout.write(heads.public_key())
            return
        report = verify(heads_path=options["heads"], key=options["key"], archives=options["archive"])
        if options["json"]:
            self.stdout.write(json.dumps({**asdict(report), "holds": report.holds}))
        if not report.holds:
            raise CommandError("\n".join(problem.sentence for problem in report.problems), returncode=1)
        if not options["json"]:
            said = _(
                "The chain holds: %(sealed)d records to position %(position)d, %(heads)d heads,"
                " %(archived)d archived."
            )
            self.stdout.write(said % asdict(report))
