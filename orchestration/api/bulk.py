"""Endpoints below bulk/: one verb for many executions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from orchestration import bulk, queries
from orchestration.bulk import Selection
from orchestration.engine.errors import InvalidOption
from orchestration.models import BulkAct
from security.actions import CONSOLE_OPEN
from security.principals import Principal

from . import bodies, query, shapes
from .base import Endpoint


class Preview(Endpoint):
    """POST a verb and a selection: for how many it is possible, and why not for the others. Writes nothing."""

    # Whose executions may be controlled is asked by `bulk`, about each of them.
    required_actions = {"post": CONSOLE_OPEN}

    def post(self, request: Request) -> Response:
        query.only(request)
        fields = self.body(bodies.BulkPreview)
        selection = _selection(fields, self.principal)
        found = bulk.preview(self.principal, fields["verb"], selection, fields["options"])
        return Response(shapes.bulk_preview(found))


class Bulk(Endpoint):
    """GET: the bulk acts one may see, newest first, in pages. POST: a dry run's fields and a confirmation begin one."""

    required_actions = {"get": CONSOLE_OPEN, "post": CONSOLE_OPEN}

    def get(self, request: Request) -> Response:
        query.only(request, "after", "before", "limit")
        page = queries.page(
            bulk.acts(self.principal),
            after=query.text(request, "after"),
            before=query.text(request, "before"),
            limit=query.whole(request, "limit", 50, least=1, most=200),
        )
        counts = bulk.counts_of(page.items)
        return Response(
            {
                "results": [_linked(request, act, counts[act.pk]) for act in page.items],
                "next": query.turned(request, "after", page.next),
                "previous": query.turned(request, "before", page.previous),
            }
        )

    def post(self, request: Request) -> Response:
        query.only(request)
        fields = self.body(bodies.BulkStart)
        selection = _selection(fields, self.principal)
        told = {name: fields[name] for name in ("confirm", "reason", "options")}
        shape = _linked(request, bulk.start(self.principal, fields["verb"], selection, **told))
        return Response(shape, status=status.HTTP_201_CREATED, headers={"Location": shape["url"]})


class BulkDetail(Endpoint):
    """How far a bulk act has come, and the executions that were refused, in pages."""

    required_actions = {"get": CONSOLE_OPEN}

    def get(self, request: Request, id: UUID) -> Response:
        query.only(request, "after", "limit")
        act = bulk.find(self.principal, id)
        limit = query.whole(request, "limit", 50, least=1, most=1000)
        items = list(bulk.refused_items(act, query.whole(request, "after", 0), limit + 1))
        refused = [shapes.bulk_refusal(item) for item in items[:limit]]
        following = str(items[limit - 1].pk) if len(items) > limit else None
        return Response(
            _linked(request, act) | {"refusals": refused, "next": query.turned(request, "after", following)}
        )


class BulkStop(Endpoint):
    """POST: what nothing has been done to yet is left alone."""

    required_actions = {"post": CONSOLE_OPEN}

    def post(self, request: Request, id: UUID) -> Response:
        query.only(request)
        self.body(bodies.Body)
        return Response(_linked(request, bulk.stop(self.principal, id)))


def _selection(fields: Mapping[str, Any], principal: Principal) -> Selection:
    """Return the one selection that the body has. Raises InvalidOption and TooMany."""
    given = {name: fields[name] for name in ("ids", "filter", "selection") if fields.get(name) is not None}
    if len(given) != 1:
        names = ", ".join(given) or "nothing"
        raise InvalidOption(
            option="The selection", value=names, expected="one of ids, filter, or a dry run's selection"
        )
    if "selection" in given:
        return Selection.thaw(given["selection"], fields["verb"], principal)
    return Selection.of_ids(given["ids"]) if "ids" in given else Selection.of_query(given["filter"])


def _linked(request: Request, act: BulkAct, counts: bulk.Counts | None = None) -> shapes.JSON:
    executions = f"{reverse('api:executions', request=request)}?bulk={act.pk}"
    url = reverse("api:bulk_act", args=[act.pk], request=request)
    return shapes.bulk_act(act, counts or bulk.counts(act)) | {"url": url, "executions": executions}
