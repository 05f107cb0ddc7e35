"""One shape for every error of the API: {"error": {"code", "message", "errors"?: [{"path", "message"}]}}."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from rest_framework import exceptions
from rest_framework.response import Response

from orchestration.engine.errors import Igon7Error
from security.errors import LOGIN_REQUIRED, PERMISSION_DENIED, Denied

logger = logging.getLogger(__name__)


class UnknownParameter(Igon7Error):
    """There is no query parameter "{name}" here. {hint}"""

    code = "unknown_parameter"


class BodyTooLarge(Igon7Error):
    """The body is larger than {limit} bytes. Keep large data elsewhere and send a reference to it."""

    code = "payload_too_large"
    status = 413


class LengthRequired(Igon7Error):
    """The request's body has no Content-Length. Send it whole, not in chunks."""

    code = "length_required"
    status = 411


def answer(
    status: int, code: str, message: str, errors: Any = None, headers: dict[str, str] | None = None
) -> Response:
    """Return an error response."""
    error: dict[str, Any] = {"code": code, "message": message}
    if errors:
        error["errors"] = errors
    return Response({"error": error}, status=status, headers=headers)


def handler(error: Exception, context: dict[str, Any]) -> Response:
    """Turn whatever a view raised into a response of the one shape."""
    if isinstance(error, Igon7Error):
        return answer(error.status, error.code, str(error), getattr(error, "errors", None))
    if isinstance(error, Denied):
        return _denied(error, context)
    if isinstance(error, Http404):
        error = exceptions.NotFound(_("There is nothing at this address."))
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, SuspiciousOperation):
        return answer(400, "bad_request", _("The request is malformed."))
    if isinstance(error, exceptions.ValidationError):
        return _invalid(error)
    if isinstance(error, exceptions.APIException):
        return _of_rest_framework(error)
    return _fault(error, context)


def _denied(error: Denied, context: dict[str, Any]) -> Response:
    if error.code != LOGIN_REQUIRED:
        return answer(403, error.code, str(error))
    challenge = context["view"].get_authenticate_header(context["request"])
    return answer(401, error.code, str(error), headers={"WWW-Authenticate": challenge})


def _invalid(error: exceptions.ValidationError) -> Response:
    errors = [{"path": path or "/", "message": message} for path, message in _flat(error.detail, "")]
    first, more = errors[0], len(errors) - 1
    message = _("The request does not fit: %(path)s: %(message)s") % first
    if more:
        message += " " + ngettext("(and %d more)", "(and %d more)", more) % more
    return answer(400, "invalid_request", message, errors)


def _flat(detail: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield a JSON pointer and a sentence for each complaint of a serializer."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _flat(inner, path if name == "non_field_errors" else f"{path}/{name}")
    elif isinstance(detail, list):
        for inner in detail:
            yield from _flat(inner, path)
    else:
        yield path, str(detail)


_CODES = {"not_authenticated": LOGIN_REQUIRED, "permission_denied": PERMISSION_DENIED}


def _of_rest_framework(error: exceptions.APIException) -> Response:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    code = str(error.get_codes())
    return answer(error.status_code, _CODES.get(code, code), str(error.detail), headers=headers)


def _fault(error: Exception, context: dict[str, Any]) -> Response:
    """Answer for a fault of ours; Django is told of it as if it had passed through."""
    request = context["request"]._request
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    if isinstance(error, OperationalError | InterfaceError):
        message = _("The database cannot be reached, or is busy. Try again.")
        return answer(503, "database_unavailable", message, headers={"Retry-After": "1"})
    got_request_exception.send(sender=context["view"].__class__, request=request)
    return answer(500, "internal_error", _("igon7 failed to answer this; its log says why."))
