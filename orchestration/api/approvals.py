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
    """GET: what asks, the oldest first, of what the caller is asked or may see."""

    required_actions = {"get": CONSOLE_OPEN}

    def get(self, request: Request) -> Response:
        query.only(request)
        found = queries.approvals(self.principal, executor.may_decide)
        return Response({"approvals": [shapes.approval(wait, may) for wait, may in found[:SHOWN]]})


class Decide(Endpoint):
    """POST: approve, or reject, what a node asks. Who is asked may do so without being allowed to see the rest."""

    required_actions = {"post": CONSOLE_OPEN}

    def post(self, request: Request, id: UUID) -> Response:
        query.only(request)
        taken = self.body(bodies.Approval)
        node, comment = taken["node"], taken["comment"]
        if taken["approved"]:
            executor.approve(id, node, principal=self.principal, form=taken["form"], comment=comment)
        else:
            executor.reject(id, node, principal=self.principal, comment=comment)
        return Response({"execution": str(id), "node": node, "approved": taken["approved"]})
