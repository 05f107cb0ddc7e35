"""`manage.py worker`: one django-q2 cluster that runs nodes."""

from __future__ import annotations

import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connections

from orchestration import executor, registry
from orchestration.bulk import carry
from orchestration.caching import flights, upkeep
from orchestration.engine.durations import seconds
from orchestration.runner import periodic, sweep
from orchestration.runner.cluster import Cluster
from orchestration.runner.keeper import Keeper
from orchestration.store import state, timers
from security import sealing


class Command(BaseCommand):
    help = "Runs a cluster of worker processes until it is stopped (SIGTERM or Ctrl-C drain it)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--workers", type=int, default=settings.IGON7_WORKERS, help="worker processes")
        parser.add_argument("--queue", action="append", help="a queue to serve (again for more)")
        parser.add_argument("--name", help="the name of this worker node (default: the host's)")
        parser.add_argument("--grace", default="25s", help="how long bodies may go on after a stop")

    def handle(self, *_: Any, **options: Any) -> None:
        queues = tuple(options["queue"] or settings.IGON7_QUEUES)
        grace = seconds(options["grace"], "--grace")
        registry.discover()
        cluster = Cluster(
            workers=max(1, options["workers"]), queues=queues, name=options["name"], grace=grace
        )
        connections.close_all()  # nothing open may be inherited by the fork
        cluster.start()
        periodic.register("bulk acts", carry.EVERY, carry.carry_out)
        periodic.register("cache: who waits", upkeep.STRANDED, flights.let_stranded_go)
        periodic.register("cache: what is old", upkeep.OLD, upkeep.tidy)
        periodic.register("waits: what is left over", timers.LEFT_OVER, timers.forget_left_over)
        periodic.register("state: what is old", state.EVERY, state.purge)
        periodic.register("audit: seals", sealing.EVERY, sealing.keep_sealed)
        periodic.register("events: what is old", executor.PURGE_EVERY, executor.purge)
        keeper = Keeper(cluster.about)
        keeper.start()
        self.stdout.write(f"{cluster.about.slots} workers serve {', '.join(queues)}.")
        self.stdout.flush()
        _wait(cluster)
        self._end(cluster, keeper)

    def _end(self, cluster: Cluster, keeper: Keeper) -> None:
        if not cluster.stopped_on_purpose:
            sweep.take_over(cluster.about.worker)
        keeper.end()
        if not cluster.stopped_on_purpose:
            self.stderr.write("The process that guards the workers died; start the command again.")
            sys.exit(1)


def _wait(cluster: Cluster) -> None:
    """Return when the sentinel has ended; signals only ask it to."""
    signal.signal(signal.SIGTERM, cluster.sig_handler)
    signal.signal(signal.SIGINT, cluster.sig_handler)
    while cluster.sentinel.is_alive():
        cluster.sentinel.join(1.0)
