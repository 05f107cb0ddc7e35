"""Everything with one command: tables, administrator, web server and workers."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from igon7site.setup import address, first_run
from igon7site.setup.supervisor import Child, GaveUp, Supervisor

_ANSWER_WITHIN = 60.0
_GRACE = "500ms"


class Command(BaseCommand):
    help = "Start igon7: migrate, make an administrator on the first run, run the web server and the workers."
    requires_system_checks = []  # they run in the children; here they would only be slow

    def add_arguments(self, parser: CommandParser) -> None:
        address.add_arguments(parser)
        parser.add_argument(
            "--workers",
            type=_count,
            default=settings.IGON7_WORKERS,
            help="worker processes (default %(default)s)",
        )
        parser.add_argument("--no-demo", action="store_true", help="leave the demonstration workflows out")

    def handle(self, *args: Any, host: str, port: int, workers: int, no_demo: bool, **options: Any) -> None:
        if no_demo:
            os.environ["IGON7_DEMO"] = "0"  # for the children; here the demo is merely not filled
        with first_run.only_one_here():
            address.check_free(host, port)
            self._prepare(demo=settings.DEMO and not no_demo)
            self._run(host, port, workers)

    def _prepare(self, *, demo: bool) -> None:
        applied = first_run.migrate()
        self._say(
            f"Database: {first_run.database_name()}" + (f", {applied} migrations applied" if applied else "")
        )
        password = first_run.make_administrator()
        if password is not None:
            self._say(f"Administrator: admin   password: {password}   (shown this once)")
        if password is not None and demo and "seed_demo" in get_commands():
            call_command("seed_demo", verbosity=0)
        connections.close_all()

    def _run(self, host: str, port: int, workers: int) -> None:
        manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
        children = [
            Child("web server", [*manage, "web", "--host", host, "--port", str(port)]),
            # A stop here is for somebody who waits: bodies get a moment, then go back unspent.
            Child("worker", [*manage, "worker", "--workers", str(workers), "--grace", _GRACE]),
        ]
        with Supervisor(children, self._say) as supervisor:
            try:
                supervisor.start()
                self._wait_for_web(supervisor, host, port)
                supervisor.run()
            except GaveUp as error:
                raise CommandError(str(error)) from None
            finally:
                self._say("Stopping…")

    def _wait_for_web(self, supervisor: Supervisor, host: str, port: int) -> None:
        deadline = time.monotonic() + _ANSWER_WITHIN
        name = first_run.allowed_name()
        supervisor.run(
            until=lambda: address.answers(host, port, "/login/", name) or time.monotonic() > deadline
        )
        if supervisor.stops_asked:
            return
        if time.monotonic() > deadline:
            raise CommandError(f"The web server did not answer within {_ANSWER_WITHIN:g} s.")
        self._announce(address.url(host, port), name)

    def _announce(self, here: str, name: str) -> None:
        if not settings.HTTPS:
            self._say(f"igon7 is up: {here}   Ctrl-C stops it.")
            return
        self._say(f"igon7 is up: https://{name}/ by way of a TLS proxy to {here}   Ctrl-C stops it.")
        if not settings.BEHIND_PROXY:
            self._say("Set IGON7_BEHIND_PROXY=1 once that proxy sets X-Forwarded-Proto, or IGON7_HTTPS=0.")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _count(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ArgumentTypeError(f'"{text}" is not a number of processes, 1 or more')
