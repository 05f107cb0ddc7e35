"""What a node's body remembers, and waits for."""

from __future__ import annotations

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from orchestration import queries
from orchestration.engine.errors import InvalidOption
from orchestration.engine.graph import NodeSpec, suggest
from orchestration.store.versions import graph_of
from security.actions import EXECUTION_VIEW

from . import query
from .base import ExecutionEndpoint

VALUE = 64 * 1024  # characters of a value past which only its beginning is given


class Journal(ExecutionEndpoint):
    """What a node's durable calls gave, in order, after an entry's id; and what it waits for now."""

    required_actions = {"get": EXECUTION_VIEW}

    def get(self, request: Request, id: UUID) -> Response:
        query.only(request, "node", "index", "for", "after", "limit")
        spec = self._spec(query.text(request, "node"))
        after = query.whole(request, "after", 0)
        limit = query.whole(request, "limit", 100, least=1, most=100)
        index = query.whole(request, "index", 0) if "index" in request.query_params else -1
        run = queries.node_run(self.execution, spec.id, index, query.text(request, "for"))
        found: list[queries.Remembered] = []
        if run is not None:
            repeats = spec.repeat is not None
            found = queries.journal(run, repeats=repeats, after=after, limit=limit, characters=VALUE)
        waits = queries.waits_of([run]).get(run.pk, []) if run else []
        return Response(
            {
                "node": spec.id,
                "entries": [each.to_json() for each in found],
                "next": found[-1].id if found else after,
                "waits": [queries.wait_json(wait) for wait in waits],
            }
        )

    def _spec(self, node: str | None) -> NodeSpec:
        graph = graph_of(self.execution.version_id)
        if node is None or node not in graph.nodes:
            expected = f"a node of the workflow. {suggest(node or '', graph.nodes)}"
            raise InvalidOption(option='The query parameter "node"', value=node, expected=expected)
        return graph.nodes[node]
