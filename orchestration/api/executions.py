"""Endpoints below executions/."""

from __future__ import annotations

from uuid import UUID

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from orchestration import executor, queries
from orchestration.engine.errors import InvalidOption, UnknownExecution
from security.actions import CONSOLE_OPEN, EXECUTION_CONTROL, EXECUTION_VIEW

from . import bodies, query, shapes
from .artifacts import addressed
from .base import Endpoint, ExecutionEndpoint

FILTERS = ("status", "-status", "workflow", "-workflow", "tag", "-tag", "started_by", "since", "until", "q")
HEAVY = ("input", "output", "version__definition")  # what a list has no use for


class Executions(Endpoint):
    """GET: the executions one may view, newest first, in pages. POST: start one."""

    # Who may start which workflow is asked by executor.start, about that workflow.
    required_actions = {"get": CONSOLE_OPEN, "post": CONSOLE_OPEN}

    def get(self, request: Request) -> Response:
        query.only(request, *FILTERS, "after", "before", "limit")
        given = {name: request.query_params.getlist(name) for name in request.query_params if name in FILTERS}
        page = queries.page(
            queries.executions(self.principal, queries.ExecutionFilter.from_query(given)).defer(*HEAVY),
            after=query.text(request, "after"),
            before=query.text(request, "before"),
            limit=query.whole(request, "limit", 50, least=1, most=200),
        )
        whys = {id: str(why) for id, why in queries.whys(page.items).items()}
        results = [
            linked(request, shapes.execution_summary(each)) | {"why": whys.get(each.pk)}
            for each in page.items
        ]
        return Response(
            {
                "results": results,
                "next": _turned(request, "after", page.next),
                "previous": _turned(request, "before", page.previous),
            }
        )

    def post(self, request: Request) -> Response:
        query.only(request)
        fields = self.body(bodies.Start)
        fields["idempotency_key"] = _idempotency_key(request, fields["idempotency_key"])
        started = executor.start_or_get(**fields, principal=self.principal)
        shape = linked(request, self._started(started.id, fields["workflow"]))
        code = status.HTTP_200_OK if started.existed else status.HTTP_201_CREATED
        return Response(shape, status=code, headers={"Location": shape["url"]})

    def _started(self, id: UUID, workflow: str) -> shapes.JSON:
        try:
            return shapes.execution_summary(queries.execution(self.principal, id))
        except UnknownExecution:  # one may run a workflow without a right to view it
            return {"id": str(id), "workflow": workflow}


class ExecutionDetail(ExecutionEndpoint):
    """One execution with its nodes, output, error and artifacts."""

    required_actions = {"get": EXECUTION_VIEW}

    def get(self, request: Request, id: UUID) -> Response:
        query.only(request)
        shape = linked(request, shapes.execution_detail(self.principal, self.execution))
        shape["artifacts"] = addressed(request, id, shape["artifacts"])
        return Response(shape)


class Control(ExecutionEndpoint):
    """POST a verb: cancel, terminate, pause or resume, with a reason."""

    required_actions = {"post": EXECUTION_CONTROL}

    def post(self, request: Request, id: UUID, verb: str) -> Response:
        query.only(request)
        executor.RESERVED[verb](id, principal=self.principal, **self.body(bodies.Reason))
        return self.present()

    def present(self, code: int = status.HTTP_200_OK) -> Response:
        execution = queries.execution(self.principal, self.execution.id)
        return Response(linked(self.request, shapes.execution_summary(execution)), status=code)


class Retry(Control):
    """POST: run again what failed, or everything from the failed node named."""

    def post(self, request: Request, id: UUID) -> Response:  # type: ignore[override]
        query.only(request)
        executor.retry(id, principal=self.principal, **self.body(bodies.Retry))
        return self.present()


class Attend(Control):
    """POST what is decided about a node that needs attention."""

    def post(self, request: Request, id: UUID) -> Response:  # type: ignore[override]
        query.only(request)
        executor.attend(id, principal=self.principal, **self.body(bodies.Decision))
        return self.present()


class Signals(Control):
    """POST a signal; once it is accepted it is kept."""

    def post(self, request: Request, id: UUID) -> Response:  # type: ignore[override]
        query.only(request)
        signal = self.body(bodies.Signal)
        executor.send_signal(id, signal["name"], signal["payload"], principal=self.principal)
        return self.present(status.HTTP_202_ACCEPTED)


class Events(ExecutionEndpoint):
    """The events after a number, oldest first; `next` is what to ask after the next time."""

    required_actions = {"get": EXECUTION_VIEW}

    def get(self, request: Request, id: UUID) -> Response:
        query.only(request, "after", "limit")
        after = query.whole(request, "after", 0)
        events = queries.events_after(id, after, query.whole(request, "limit", 1000, least=1, most=1000))
        return Response({"events": events, "next": events[-1]["seq"] if events else after})


class Log(ExecutionEndpoint):
    """The log lines after an id, oldest first, of one node or with a text in them."""

    required_actions = {"get": EXECUTION_VIEW}

    def get(self, request: Request, id: UUID) -> Response:
        query.only(request, "after", "limit", "node", "q")
        after = query.whole(request, "after", 0)
        lines = queries.log_lines(
            id,
            after=after,
            node=query.text(request, "node"),
            q=query.text(request, "q"),
            limit=query.whole(request, "limit", 500, least=1, most=1000),
        )
        return Response({"lines": lines, "next": lines[-1]["id"] if lines else after})


def linked(request: Request, shape: shapes.JSON) -> shapes.JSON:
    """Return the shape with its address here and its page in the console."""
    return shape | {
        "url": reverse("api:execution", args=[shape["id"]], request=request),
        "page": request.build_absolute_uri(_page(shape["id"])),
    }


def _page(id: str) -> str:
    return reverse("execution", args=[id])


def _turned(request: Request, name: str, token: str | None) -> str | None:
    """Return this list's address at another page."""
    if token is None:
        return None
    params = request.query_params.copy()
    for cursor in ("after", "before"):
        params.pop(cursor, None)
    params[name] = token
    return request.build_absolute_uri(f"{request.path}?{params.urlencode()}")


def _idempotency_key(request: Request, in_body: str | None) -> str | None:
    """Return the key from header or body. Raises InvalidOption when they differ."""
    in_header = request.headers.get("Idempotency-Key")
    if in_header is None:
        return in_body
    if in_body not in (None, in_header):
        expected = "the idempotency_key of the body, or left out"
        raise InvalidOption(option="The header Idempotency-Key", value=in_header, expected=expected)
    return in_header
