"""Waiting out a database that is away, where a body asks for something: a restart must not fail the node."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

T = TypeVar("T")
PATIENCE = 20.0  # seconds; short of a lease, whose end stops the body anyway


def patiently(ask: Callable[[], T]) -> T:
    """Return what `ask` returns, trying again while the database is away. `ask` may run more than once.

    Inside a transaction of the body's own nothing is tried again: what it did so far is gone with the connection.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block or time.monotonic() > end:
                raise
        connection.close()
        time.sleep(0.25)
