"""What a run needs around it: a place that is a test's, the workflow's bodies, and the alarm given back."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

from django.core import mail

from orchestration import queries, registry
from orchestration.engine.builder import Workflow


def check_place() -> None:
    """Raise RuntimeError unless this is a test, in the main thread, and the database is its alone."""
    # Django's test environment keeps mails. In any other, a clock that jumps would take over what real workers hold.
    if not hasattr(mail, "outbox"):
        raise RuntimeError("orchestration.testing is for tests alone: there is no test environment here.")
    if names := list(queries.live_worker_nodes().values_list("name", flat=True)):
        raise RuntimeError(f"Real workers run on this database: {', '.join(names)}. Stop them first.")
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "Run workflows in the main thread: there alone can a timeout interrupt a body. (An async test calls from"
            " a thread; write it as a plain one.)"
        )


@contextlib.contextmanager
def registered(workflow: Workflow) -> Iterator[None]:
    """Let the worker find the workflow's bodies, in the place of another of its name."""
    known = registry.get(workflow.name)
    registry.forget(workflow.name)
    registry.register(workflow)
    try:
        yield
    finally:
        registry.forget(workflow.name)
        if known is not None:
            registry.register(known)


@contextlib.contextmanager
def alarm_kept() -> Iterator[None]:
    """Give SIGALRM back to whom it belonged: a timeout of the test's own."""
    handler = signal.getsignal(signal.SIGALRM)
    left, interval = signal.getitimer(signal.ITIMER_REAL)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, handler)
        if left:
            signal.setitimer(signal.ITIMER_REAL, left, interval)
