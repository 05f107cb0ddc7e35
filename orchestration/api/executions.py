"""Endpoints below executions/."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from orchestration import executor, queries
from orchestration.engine.errors import InvalidOption
from orchestration.queries.filters import KEYS as FILTERS
from security.actions import CONSOLE_OPEN, EXECUTION_CONTROL, EXECUTION_VIEW
from security.principals import Principal

from . import bodies, query, shapes
from .artifacts import addressed
from .base import Endpoint, ExecutionEndpoint

PAGING = ("after", "before", "limit")
HEAVY = ("input", "output", "version__definition")  # what a list has no use for


class Executions(Endpoint):
    """GET: the executions one may view, newest first, in pages. POST: start one."""

    # Who may start which workflow is asked by executor.start, about that workflow.
    required_actions = {"get": CONSOLE_OPEN, "post": CONSOLE_OPEN}

    def get(self, request: Request) -> Response:
        query.only(request, *FILTERS, *PAGING)
        given = {name: request.query_params.getlist(name) for name in request.query_params if name in FILTERS}
        return Response(_listed(request, self.principal, queries.ExecutionFilter.from_query(given)))

    def post(self, request: Request) -> Response:
        query.only(request)
        fields = self.body(bodies.Start)
        fields["idempotency_key"] = _idempotency_key(request, fields["idempotency_key"])
        started = executor.start_or_get(**fields, principal=self.principal)
        shape = linked(request, shapes.started(self.principal, started.id, fields["workflow"]))
        code = status.HTTP_200_OK if started.existed else status.HTTP_201_CREATED
        return Response(shape, status=code, headers={"Location": shape["url"]})


def _listed(request: Request, principal: Principal, filters: queries.ExecutionFilter) -> shapes.JSON:
    """Return a page of the executions that one may view, newest first."""
    page = queries.page(
        queries.executions(principal, filters).defer(*HEAVY),
        after=query.text(request, "after"),
        before=query.text(request, "before"),
        limit=query.whole(request, "limit", 50, least=1, most=200),
    )
    whys = {id: str(why) for id, why in queries.whys(page.items).items()}
    results = [
        linked(request, shapes.execution_summary(each)) | {"why": whys.get(each.pk)} for each in page.items
    ]
    return {
        "results": results,
        "next": query.turned(request, "after", page.next),
        "previous": query.turned(request, "before", page.previous),
    }


class Children(ExecutionEndpoint):
    """The executions that this one has started and one may view, newest first, in pages; and how many there are."""

    required_actions = {"get": EXECUTION_VIEW}

    def get(self, request: Request, id: UUID) -> Response:
        query.only(request, "status", *PAGING)
        given = {"status": request.query_params.getlist("status"), "parent": [str(id)]}
        shape = _listed(request, self.principal, queries.ExecutionFilter.from_query(given))
        return Response(shape | shapes.children(queries.children(self.execution, self.principal)))


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
        taken = self.body(bodies.Cancel if verb == "cancel" else bodies.Reason)
        executor.RESERVED[verb](id, principal=self.principal, **taken)
        return self.present()

    def present(self, code: int = status.HTTP_200_OK) -> Response:
        execution = queries.execution(self.principal, self.execution.id)
        return Response(linked(self.request, shapes.execution_summary(execution)), status=code)


class Retry(Control):
    """POST: run again what failed, or everything from the node named, which may be given another input."""

    def post(self, request: Request, id: UUID) -> Response:  # type: ignore[override]
        query.only(request)
        executor.retry(id, principal=self.principal, **self.body(bodies.Retry))
        return self.present()


class Attend(Control):
    """POST what is decided about a node: retry it, supply its result, skip it or let it fail."""

    def post(self, request: Request, id: UUID) -> Response:  # type: ignore[override]
        query.only(request)
        executor.attend(id, principal=self.principal, **self.body(bodies.Decision))
        return self.present()


class Anew(ExecutionEndpoint):
    """POST: start an execution from this one: a rerun from its beginning, or a fork from a node."""

    # Who may start an execution of the workflow is asked by the executor.
    required_actions = {"post": EXECUTION_VIEW}

    def post(self, request: Request, id: UUID, verb: str) -> Response:
        query.only(request)
        taken = self.body(bodies.Fork if verb == "fork" else bodies.Edited)
        act: Callable[..., UUID] = executor.fork if verb == "fork" else executor.rerun
        new = act(id, principal=self.principal, **taken)
        shape = linked(request, shapes.started(self.principal, new, self.execution.workflow.name))
        return Response(shape, status=status.HTTP_201_CREATED, headers={"Location": shape["url"]})


class ActPreview(ExecutionEndpoint):
    """GET: what an act would run again, keep, cancel or undo."""

    required_actions = {"get": EXECUTION_CONTROL}

    def get(self, request: Request, id: UUID) -> Response:
        query.only(request, "verb", "node", "rollback")
        verb, node = query.text(request, "verb") or "", query.text(request, "node")
        rollback = query.text(request, "rollback") in ("1", "true")
        return Response(executor.preview(id, verb, principal=self.principal, node=node, rollback=rollback))


class Signals(Control):
    """POST a signal; once it is accepted it is kept. GET: those that came after a number, in order of receipt."""

    required_actions = {"get": EXECUTION_VIEW, "post": EXECUTION_CONTROL}

    def get(self, request: Request, id: UUID) -> Response:
        query.only(request, "after", "limit")
        after = query.whole(request, "after", 0)
        limit = query.whole(request, "limit", 100, least=1, most=1000)
        rows = queries.signals(id).filter(pk__gt=after)[:limit]
        found = [queries.signal_json(row, self.execution) for row in rows]
        return Response({"signals": found, "next": found[-1]["number"] if found else after})

    def post(self, request: Request, id: UUID) -> Response:  # type: ignore[override]
        query.only(request)
        executor.send_signal(id, **self.body(bodies.Signal), principal=self.principal)
        return self.present(status.HTTP_202_ACCEPTED)


class Items(ExecutionEndpoint):
    """The items of a map behind an index, in their order, with how many stand at which status."""

    required_actions = {"get": EXECUTION_VIEW}

    def get(self, request: Request, id: UUID, node: str) -> Response:
        query.only(request, "status", "after", "limit")
        shown = queries.map_of(self.execution, node)
        page = queries.items_page(
            self.execution,
            node,
            status=query.text(request, "status"),
            after=query.whole(request, "after", -1, most=2**31 - 1),
            limit=query.whole(request, "limit", 100, least=1, most=queries.MOST_ITEMS),
        )
        following = str(page.next) if page.next is not None else None
        return Response(
            {
                "node": node,
                "items": shown,
                "counts": queries.item_counts(self.execution, node),
                "results": queries.items_json(self.execution, node, page.items),
                "next": query.turned(request, "after", following),
            }
        )


class Events(ExecutionEndpoint):
    """The events after a number, oldest first; `next` is what to ask after the next time.

    Each may carry the traceback of an attempt, so they come to those who ask: `tracebacks=1`.
    """

    required_actions = {"get": EXECUTION_VIEW}

    def get(self, request: Request, id: UUID) -> Response:
        query.only(request, "after", "limit", "tracebacks")
        after = query.whole(request, "after", 0)
        limit = query.whole(request, "limit", 1000, least=1, most=1000)
        tracebacks = bool(query.whole(request, "tracebacks", 0, most=1))
        events = queries.events_after(id, after, limit, tracebacks=tracebacks)
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


def _idempotency_key(request: Request, in_body: str | None) -> str | None:
    """Return the key from header or body. Raises InvalidOption when they differ."""
    in_header = request.headers.get("Idempotency-Key")
    if in_header is None:
        return in_body
    if in_body not in (None, in_header):
        expected = "the idempotency_key of the body, or left out"
        raise InvalidOption(option="The header Idempotency-Key", value=in_header, expected=expected)
    return in_header
