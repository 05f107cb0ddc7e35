"""Endpoints below cache/."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from orchestration import executor, queries
from security.actions import CONSOLE_OPEN

from . import bodies, query
from .base import Endpoint


class Cache(Endpoint):
    """The cached results of workflows that one may view, the newest first."""

    required_actions = {"get": CONSOLE_OPEN}

    def get(self, request: Request) -> Response:
        query.only(request, "workflow", "node", "limit")
        limit = query.whole(request, "limit", 50, least=1, most=200)
        rows = queries.cache_entries(
            self.principal, query.text(request, "workflow"), query.text(request, "node")
        )
        return Response({"results": [queries.entry_json(row) for row in rows[:limit]]})


class Invalidate(Endpoint):
    """POST a workflow, one of its nodes, or a tag: nobody takes over what is cached of it any more."""

    # Who may invalidate what is asked by the executor, about each workflow.
    required_actions = {"post": CONSOLE_OPEN}

    def post(self, request: Request) -> Response:
        query.only(request)
        count = executor.invalidate_cache(principal=self.principal, **self.body(bodies.Invalidation))
        return Response({"invalidated": count})
