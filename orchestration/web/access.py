"""Loading what a URL names, as what the person may see; the rest is not found."""

from __future__ import annotations

import uuid

from django.http import Http404

from security.principals import Principal

from .. import queries
from ..engine.errors import UnknownExecution, UnknownWorkflow
from ..models import Execution, Workflow


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
