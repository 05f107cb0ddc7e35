"""Endpoints below events/ and triggers/."""

from __future__ import annotations

from uuid import UUID

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from orchestration import executor, queries
from orchestration.queries.broadcasts import KEYS
from security.actions import CONSOLE_OPEN, EVENT_EMIT

from . import bodies, cloudevents, query
from .base import Endpoint
from .shapes import JSON

RECEIPTS = 200


class Broadcasts(Endpoint):
    """GET: the events that one may view, newest first, in pages. POST: send CloudEvents 1.0."""

    parser_classes = cloudevents.PARSERS
    required_actions = {"get": CONSOLE_OPEN, "post": EVENT_EMIT}

    def get(self, request: Request) -> Response:
        query.only(request, *KEYS, "after", "before", "limit")
        filters = queries.EventFilter.from_query(request.query_params)
        page = queries.page(
            queries.events(self.principal, filters).defer("data"),
            after=query.text(request, "after"),
            before=query.text(request, "before"),
            limit=query.whole(request, "limit", 50, least=1, most=200),
        )
        fates = queries.fates(page.items)
        results = [
            _linked(request, queries.broadcast_json(row, fates[row.pk], data=False)) for row in page.items
        ]
        turns = {"next": ("after", page.next), "previous": ("before", page.previous)}
        return Response(
            {"results": results, **{name: query.turned(request, *turn) for name, turn in turns.items()}}
        )

    def post(self, request: Request) -> Response:
        query.only(request)
        messages, is_batch = cloudevents.read(request)
        accepted = executor.emit_events(messages, principal=self.principal)
        shapes = [
            _linked(
                request,
                {
                    "id": str(each.id),
                    "event_id": message.id,
                    "source": message.source,
                    "existed": each.existed,
                },
            )
            for message, each in zip(messages, accepted, strict=True)
        ]
        new = any(not each.existed for each in accepted)
        code = status.HTTP_202_ACCEPTED if new else status.HTTP_200_OK
        return Response({"events": shapes} if is_batch else shapes[0], status=code)


class BroadcastDetail(Endpoint):
    """One event, whom it started or woke, and why it did not start others."""

    required_actions = {"get": CONSOLE_OPEN}

    def get(self, request: Request, id: UUID) -> Response:
        query.only(request)
        row = queries.event(self.principal, id)
        seen = list(queries.receipts(self.principal, row)[:RECEIPTS])
        waits = [
            {"execution": str(wait.execution_id), "node": wait.node_run.node, "why": why}
            for wait, why in queries.waiting_for(self.principal, row)
        ]
        shape = queries.broadcast_json(row, queries.fates([row])[row.pk]) | {
            "receipts": [queries.receipt_json(each) for each in seen],
            "more_receipts": queries.receipt_count(row) - len(seen),
            "waiting": waits,
        }
        return Response(_linked(request, shape))


class Triggers(Endpoint):
    """GET: what starts the workflows that one may view. POST: enable or disable one."""

    # Who may decide about which trigger is asked by the executor, about its workflow.
    required_actions = {"get": CONSOLE_OPEN, "post": CONSOLE_OPEN}

    def get(self, request: Request) -> Response:
        query.only(request, "workflow")
        name = query.text(request, "workflow")
        of_one = queries.triggers_of(queries.workflow(self.principal, name)) if name else None
        found = of_one if of_one is not None else queries.triggers(self.principal)
        return Response({"triggers": [queries.trigger_json(row) for row in found]})

    def post(self, request: Request) -> Response:
        query.only(request)
        taken = self.body(bodies.TriggerChange)
        about = {"principal": self.principal, "reason": taken["reason"]}
        if taken["enabled"]:
            about["owner"] = taken["owner"]
            row = executor.enable_trigger(taken["workflow"], taken["event"], **about)
        else:
            row = executor.disable_trigger(taken["workflow"], taken["event"], **about)
        return Response(queries.trigger_json(row))


def _linked(request: Request, shape: JSON) -> JSON:
    return shape | {"url": reverse("api:broadcast", args=[shape["id"]], request=request)}
