"""PostgreSQL goes away, comes back, and ends sessions."""

from __future__ import annotations

import time

import psycopg
from django.db import connection

from igon7site.setup.postgres import Server
from tests.faults.crew import Trial

from . import drill


@drill("PostgreSQL stopped fast, and started again", times=20, short=2, needs=("postgres",))
def postgres_fast(trial: Trial) -> None:
    _stop_and_start(trial, "fast")


@drill("PostgreSQL stopped immediate (a crash), and started again", times=20, short=2, needs=("postgres",))
def postgres_immediate(trial: Trial) -> None:
    _stop_and_start(trial, "immediate")


def _stop_and_start(trial: Trial, mode: str) -> None:
    server = _server(trial)
    with trial.fault():
        server.stop(mode)
        time.sleep(trial.chance.uniform(0, 2))  # the outage
        server.start()
        connection.close()


@drill("pg_terminate_backend of sessions at random", times=40, short=6, needs=("postgres",))
def postgres_terminate(trial: Trial) -> None:
    with trial.fault(), psycopg.connect(_server(trial).url, autocommit=True) as admin:
        found = admin.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'igon7'").fetchall()
        for (pid,) in trial.chance.sample(found, min(len(found), trial.chance.randint(1, 4))):
            admin.execute("SELECT pg_terminate_backend(%s)", [pid])


def _server(trial: Trial) -> Server:
    assert trial.crew.server is not None
    return trial.crew.server
