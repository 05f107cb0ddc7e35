"""Endpoints below state/: of an execution or a workflow that is named, or else of all."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from orchestration import executor, queries
from orchestration.queries.state import previewed, state_entry, state_json, writers
from security.actions import CONSOLE_OPEN

from . import bodies, query
from .base import Endpoint


class State(Endpoint):
    """The keys, in their order, with the beginnings of their values."""

    # Whose state may be viewed is asked by the executor.
    required_actions = {"get": CONSOLE_OPEN}

    def get(self, request: Request) -> Response:
        query.only(request, "workflow", "execution", "search", "after", "limit")
        limit = query.whole(request, "limit", 50, least=1, most=200)
        place = _whose(self, request).place()
        asked = query.text(request, "search"), query.text(request, "after")
        rows = list(previewed(queries.state(place.scope, place.owner, *asked))[: limit + 1])
        found, seen = rows[:limit], writers(self.principal, rows)
        last = found[-1].key if len(rows) > limit else None
        results = [state_json(row, seen) | {"preview": row.preview} for row in found]  # type: ignore[attr-defined]
        return Response({"results": results, "next": query.turned(request, "after", last)})


class StateValue(Endpoint):
    """One value, whole."""

    required_actions = {"get": CONSOLE_OPEN}

    def get(self, request: Request) -> Response:
        query.only(request, "workflow", "execution", "key")
        place = _whose(self, request).place()
        entry = state_entry(place.scope, place.owner, query.text(request, "key") or "")
        seen = writers(self.principal, [entry])
        return Response(state_json(entry, seen) | {"value": entry.value})


class SetState(Endpoint):
    """POST a key and its value; with the version that was seen, only if nobody was faster."""

    required_actions = {"post": CONSOLE_OPEN}

    def post(self, request: Request) -> Response:
        query.only(request)
        version = executor.set_state(principal=self.principal, **self.body(bodies.SetState))
        return Response({"version": version})


class DeleteState(Endpoint):
    """POST a key, and its value is there no more."""

    required_actions = {"post": CONSOLE_OPEN}

    def post(self, request: Request) -> Response:
        query.only(request)
        executor.delete_state(principal=self.principal, **self.body(bodies.OneState))
        return Response({"deleted": True})


def _whose(endpoint: Endpoint, request: Request) -> executor.StateOf:
    named = {name: query.text(request, name) for name in ("workflow", "execution")}
    return executor.state_of(principal=endpoint.principal, **named)
