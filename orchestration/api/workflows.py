"""Endpoints below workflows/."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from orchestration import queries
from orchestration.models import Workflow
from security.actions import CONSOLE_OPEN, WORKFLOW_VIEW

from . import query, shapes
from .base import Endpoint


class Workflows(Endpoint):
    """The workflows that one may view, by name."""

    required_actions = {"get": CONSOLE_OPEN}

    def get(self, request: Request) -> Response:
        query.only(request)
        rows = queries.workflows(self.principal).select_related("current").defer("current__definition")
        return Response({"results": [_linked(request, shapes.workflow_summary(row)) for row in rows]})


class WorkflowDetail(Endpoint):
    """One workflow: its graph, the schema of its input, its versions."""

    required_actions = {"get": WORKFLOW_VIEW}
    workflow: Workflow

    def get_object(self) -> Workflow:
        self.workflow = queries.workflow(self.principal, self.kwargs["name"])
        self.check_object_permissions(self.request, self.workflow)
        return self.workflow

    def get(self, request: Request, name: str) -> Response:
        query.only(request)
        return Response(_linked(request, shapes.workflow_detail(self.workflow)))


def _linked(request: Request, shape: shapes.JSON) -> shapes.JSON:
    return shape | {"url": reverse("api:workflow", args=[shape["name"]], request=request)}
