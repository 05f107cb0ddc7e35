"""Loading what a URL names, as what the person may see; the rest is not found."""

from __future__ import annotations

import uuid

from django.http import Http404

from orchestration import queries
from orchestration.engine.errors import UnknownExecution, UnknownWorkflow
from orchestration.models import Execution, Workflow
from security.principals import Principal


def load_execution(principal: Principal, id: uuid.UUID) -> Execution:
    """Return the execution. Raises Http404."""
    try:
        return queries.execution(principal, id)
    except UnknownExecution as error:
        raise Http404(str(error)) from None


def load_workflow(principal: Principal, name: str) -> Workflow:
    """Return the workflow. Raises Http404."""
    try:
        return queries.workflow(principal, name)
    except UnknownWorkflow as error:
        raise Http404(str(error)) from None
