"""What waits for an approval, and saying yes or no to it."""

from __future__ import annotations

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from orchestration import executor, queries
from security.actions import CONSOLE_OPEN

from . import bodies, query, shapes
from .base import Endpoint

SHOWN = 100


class Approvals(Endpoint):
    """GET: what asks, of what the caller is asked or may see: what is due first, then the oldest."""

    required_actions = {"get": CONSOLE_OPEN}

    def get(self, request: Request) -> Response:
        query.only(request)
        return Response(
            {"approvals": [shapes.approval(row) for row in queries.approvals(self.principal)[:SHOWN]]}
        )


class Decide(Endpoint):
    """POST: approve, or reject, what a node asks. Who is asked may do so without being allowed to see the rest."""

    required_actions = {"post": CONSOLE_OPEN}

    def post(self, request: Request, id: UUID) -> Response:
        query.only(request)
        taken = self.body(bodies.Approval)
        node, about = taken["node"], {"comment": taken["comment"], "wait": taken["id"]}
        if taken["approved"]:
            executor.approve(id, node, principal=self.principal, form=taken["form"], **about)
        else:
            executor.reject(id, node, principal=self.principal, **about)
        return Response({"execution": str(id), "node": node, "approved": taken["approved"]})
