"""The API's front page, and the answer at every address that is none."""

from __future__ import annotations

from typing import NoReturn

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from security.actions import CONSOLE_OPEN

from . import query
from .base import Endpoint


class Root(Endpoint):
    """Where to go from here."""

    required_actions = {"get": CONSOLE_OPEN}

    def get(self, request: Request) -> Response:
        query.only(request)
        names = {
            "workflows": "workflows",
            "executions": "executions",
            "events": "broadcasts",
            "state": "state",
            "token": "token",
        }
        return Response({word: reverse(f"api:{name}", request=request) for word, name in names.items()})


class Nothing(Endpoint):
    """Not found, as JSON."""

    required_actions = {"get": CONSOLE_OPEN, "post": CONSOLE_OPEN}

    def get(self, request: Request, rest: str) -> NoReturn:
        raise Http404

    post = get
