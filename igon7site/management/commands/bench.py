"""The benchmarks: igon7 beside its peers and beside what a commit costs, on this machine, now."""

from __future__ import annotations

import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from benchmarks.bench import Bench, Options, named
from benchmarks.plan import CONTESTANTS, QUICK_ROUNDS, ROUNDS
from benchmarks.report import figures_table, hop_by_commit, number, spreads, verdicts_table
from igon7site.setup.postgres import NoPostgres


class Command(BaseCommand):
    help = "Run the benchmarks on a private PostgreSQL and on SQLite, beside Absurd and DBOS Transact."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--quick", action="store_true", help="one round of smaller amounts: minutes")
        parser.add_argument("--only", default="", metavar="NAMES", help="scenarios, such as chain,fan")
        parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}, with --quick {QUICK_ROUNDS}")
        parser.add_argument("--no-peers", action="store_true", help="igon7 alone")
        parser.add_argument(
            "--contestants", default=",".join(CONTESTANTS), metavar="NAMES", help="default: %(default)s"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        signal.signal(
            signal.SIGTERM, lambda *_: sys.exit(143)
        )  # what is running and what is on disk goes, too
        bench = Bench(_options(options), settings.VAR / "bench", self._say)
        try:
            judged = bench.run()
        except NoPostgres as why:
            raise CommandError(f"The benchmarks need PostgreSQL's server binaries: {why}") from None
        found = spreads(bench.runs)
        self._say("\n" + figures_table(found))
        if (commits := hop_by_commit(found)) is not None:
            self._say(f"\nA hop of igon7's chain costs {number(commits)} of pgbench's commits.")
        self._say("\n" + verdicts_table(judged))
        for name, reason in bench.skipped.items():
            self._say(f"Skipped: {name} ({reason})")
        self._say(f"\nKept as {bench.keep(judged)}")
        missed = any(one.word == "MISSED" for one in judged)
        if bench.failed or (missed and not options["quick"]):
            sys.exit(1)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _options(given: dict[str, Any]) -> Options:
    try:
        scenarios = named(given["only"])
    except ValueError as error:
        raise CommandError(str(error)) from None
    contestants = [name.strip() for name in given["contestants"].split(",")]
    if unknown := sorted(set(contestants) - set(CONTESTANTS)):
        raise CommandError(
            f"There is no contestant {', '.join(unknown)}; there are {', '.join(CONTESTANTS)}."
        )
    rounds = given["rounds"] if given["rounds"] is not None else QUICK_ROUNDS if given["quick"] else ROUNDS
    if rounds < 1:
        raise CommandError("--rounds takes a number of rounds, 1 or more.")
    return Options(scenarios, rounds, given["quick"], not given["no_peers"], contestants)
