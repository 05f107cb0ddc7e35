"""What every endpoint has in common."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from django.conf import settings
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from orchestration import queries
from orchestration.models import Execution
from security.api.permissions import ActionPermission
from security.principals import Principal

from .bodies import Body
from .errors import BodyTooLarge, LengthRequired
from .parsers import StrictJSONParser

AnyBody = TypeVar("AnyBody", bound=Body)


class Endpoint(APIView):
    """A view whose methods are the ones that `required_actions` names."""

    parser_classes: tuple[type[BaseParser], ...] = (StrictJSONParser,)
    permission_classes: tuple[type[BasePermission], ...] = (ActionPermission,)
    required_actions: ClassVar[dict[str, str]] = {}
    http_method_names = ("get", "head", "post")

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if not hasattr(self, (request.method or "").lower()):
            self.http_method_not_allowed(request)
        _check_length(request)
        super().initial(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @property
    def principal(self) -> Principal:
        return Principal.for_request(self.request)

    def body(self, kind: type[AnyBody]) -> dict[str, Any]:
        """Return the body's checked fields. Raises ValidationError, InvalidJSON or BodyTooLarge."""
        body = kind(data=self.request.data)
        body.is_valid(raise_exception=True)
        fields: dict[str, Any] = body.validated_data
        return fields


class ExecutionEndpoint(Endpoint):
    """An endpoint below executions/<uuid>/: its execution is found and authorised before the method runs."""

    execution: Execution

    def get_object(self) -> Execution:
        self.execution = queries.execution(self.principal, self.kwargs["id"])
        self.check_object_permissions(self.request, self.execution)
        return self.execution


def _check_length(request: Request) -> None:
    """Refuse a body that is too large, or of unknown length, before any of it is read."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isdigit() and int(length) > limit:
        raise BodyTooLarge(limit=limit)
    if not length and request.META.get("HTTP_TRANSFER_ENCODING"):
        raise LengthRequired()
