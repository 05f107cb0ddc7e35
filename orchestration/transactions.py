"""What the database and the lease demand of nodes whose bodies write in one transaction with their end."""

from __future__ import annotations

from django.conf import settings
from django.db import connection

from .engine.errors import GraphError
from .engine.graph import Graph


def check(graph: Graph) -> None:
    """Raise GraphError, naming the node, for one whose transaction would outlast a lease that cannot be renewed.

    On SQLite nobody else writes while it is open, the heartbeat neither.
    """
    limit = settings.IGON7_LEASE_SECONDS / 3
    for node in graph.nodes.values():
        if node.transactional and connection.vendor == "sqlite" and (node.timeout or 0.0) > limit:
            raise GraphError(
                f'Node "{node.id}" of workflow "{graph.name}" is transactional, with a timeout of {node.timeout:g} s.'
                f" On SQLite, where everybody else waits for it, that is at most a third of a lease: {limit:g} s."
            )
