"""Worker nodes: registered, kept alive by heartbeats on the database's clock, forgotten a day after they stopped."""

from __future__ import annotations

import datetime as dt
import os
import socket
import uuid

from orchestration.models import WorkerNode

from . import clock

FORGET_AFTER = dt.timedelta(days=1)


def register(
    worker: uuid.UUID, name: str, queues: tuple[str, ...], slots: int, version: str, broken: dict[str, str]
) -> None:
    """Insert the cluster's row."""
    now = clock.now()
    WorkerNode.objects.create(
        id=worker,
        name=name,
        host=socket.gethostname(),
        pid=os.getpid(),
        queues=list(queues),
        slots=slots,
        version=version,
        broken_modules=broken,
        started_at=now,
        heartbeat_at=now,
    )
    WorkerNode.objects.filter(heartbeat_at__lt=now - FORGET_AFTER).delete()


def beat(worker: uuid.UUID) -> bool:
    """Renew the heartbeat; False when somebody has forgotten the row."""
    return bool(WorkerNode.objects.filter(pk=worker).update(heartbeat_at=clock.now()))


def stopped(worker: uuid.UUID) -> None:
    """Note that the cluster has stopped on purpose."""
    now = clock.now()
    WorkerNode.objects.filter(pk=worker).update(stopped_at=now, heartbeat_at=now)
