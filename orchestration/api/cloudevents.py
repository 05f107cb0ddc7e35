"""CloudEvents 1.0 over HTTP: structured, in a batch, or binary; read whole or refused with a sentence."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import unquote

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from orchestration.engine.errors import Igon7Error
from orchestration.executor import Message

from . import strictjson
from .errors import BodyTooLarge
from .parsers import StrictJSONParser

KNOWN = ("specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema")
REQUIRED = ("specversion", "id", "source", "type")
STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
_NAME = re.compile(r"[a-z0-9]{1,50}")
_MEDIA = re.compile(r"[\w.+-]+/[\w.+-]+(\s*;.*)?", re.ASCII)
_JSON = re.compile(r"(application|text)/([\w.-]+\+)?json\s*(;.*)?", re.ASCII | re.IGNORECASE)
_SPACE = re.compile(r"\s")


class InvalidEvent(Igon7Error):
    """{what} is not a CloudEvent of version 1.0: {reason}."""

    code = "invalid_event"


class UnsupportedData(Igon7Error):
    """The event's data is of the type "{type}"; igon7 keeps JSON and text. Keep other data elsewhere and send a
    reference to it."""

    code = "unsupported_data"
    status = 415


class StructuredParser(StrictJSONParser):
    """One event as JSON."""

    media_type = STRUCTURED


class BatchParser(StrictJSONParser):
    """Events as a JSON array."""

    media_type = BATCH


class TextParser(BaseParser):
    """Data of an event whose attributes are headers; never more than the limit."""

    media_type = "*/*"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body: bytes = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge(limit=limit)
        return body


PARSERS = (StructuredParser, BatchParser, StrictJSONParser, TextParser)


def read(request: Request) -> tuple[list[Message], bool]:
    """Return the request's events, and whether they came as a batch. Raises InvalidEvent, UnsupportedData."""
    kind = (request.content_type or "").partition(";")[0].strip().lower()
    if kind == BATCH:
        if not isinstance(request.data, list):
            _refuse(_("The batch"), _("it is no array of events"))
        return [_one(each, _("Event %d of the batch") % n) for n, each in enumerate(request.data, 1)], True
    if kind != STRUCTURED and "ce-specversion" in request.headers:
        return [_binary(request, kind)], False
    if kind not in (STRUCTURED, "application/json"):
        what = _("What came as %s") % (kind or _("nothing"))
        _refuse(what, _("it has neither the header ce-specversion nor the type %s") % STRUCTURED)
    return [_one(request.data, _("The event"))], False


def _refuse(what: str, reason: str) -> NoReturn:
    raise InvalidEvent(what=what, reason=reason)


def _one(given: Any, what: str) -> Message:
    if not isinstance(given, dict):
        _refuse(what, _("it is no JSON object"))
    # What is null counts as left out.
    about = {name: value for name, value in given.items() if value is not None or name == "data"}
    data, encoded = about.pop("data", None), about.pop("data_base64", None)
    _check(about, what)
    if encoded is not None:
        if data is not None:
            _refuse(what, _("it has both data and data_base64"))
        data = _decoded(encoded, about.get("datacontenttype", "application/json"), what)
    return _message(about, data)


def _decoded(encoded: Any, kind: str, what: str) -> Any:
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (TypeError, ValueError, binascii.Error):
        _refuse(what, _("its data_base64 is not base64"))
    return _data(raw, kind)


def _data(raw: bytes, kind: str) -> Any:
    if _JSON.fullmatch(kind):
        return strictjson.loads(raw, _("The event's data")) if raw.strip() else None
    if not kind.lower().startswith("text/"):
        raise UnsupportedData(type=kind)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise UnsupportedData(type=f"{kind}, not UTF-8") from None


def _binary(request: Request, kind: str) -> Message:
    what, about = _("The event"), {}
    for header, value in request.headers.items():
        if header.lower().startswith("ce-"):
            about[header[3:].lower()] = unquote(value.strip().strip('"'))
    if "datacontenttype" in about:
        _refuse(what, _("its datacontenttype is the header Content-Type, not ce-datacontenttype"))
    if kind:
        about["datacontenttype"] = request.content_type or kind
    _check(about, what)
    raw = request.data
    return _message(about, _data(raw, about.get("datacontenttype", "")) if isinstance(raw, bytes) else raw)


def _message(about: dict[str, Any], data: Any) -> Message:
    attributes = {
        name: value for name, value in about.items() if name not in ("specversion", "id", "source", "type")
    }
    subject = attributes.pop("subject", "")
    return Message(about["type"], data, about["id"], about["source"], subject, attributes)


def _check(about: dict[str, Any], what: str) -> None:
    for name in REQUIRED:
        if name not in about:
            _refuse(what, _("it has no “%s”") % name)
    if about["specversion"] != "1.0":
        _refuse(what, _("its specversion is “%s”") % str(about["specversion"])[:40])
    for name, value in about.items():
        _check_attribute(name, value, what)
    for name, (fits, why) in _FORMS.items():
        if name in about and not fits(about[name]):
            _refuse(what, str(why))


def _check_attribute(name: str, value: Any, what: str) -> None:
    if not _NAME.fullmatch(name):
        said = _("“%s” is no name of an attribute: those are lower-case letters and digits, at most 50")
        _refuse(what, said % name[:60])
    if name in KNOWN and (not isinstance(value, str) or not value.strip()):
        _refuse(what, _("its “%s” is not a text, or empty") % name)
    if isinstance(value, (dict, list, float)):
        _refuse(what, _("its “%s” is no text, whole number, true or false") % name)


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text.upper()).tzinfo is not None and "T" in text.upper()
    except ValueError:
        return False


_FORMS: dict[str, tuple[Callable[[str], object], Any]] = {
    "source": (lambda text: not _SPACE.search(text), gettext_lazy("its “source” is no URI reference")),
    "dataschema": (
        lambda text: ":" in text and not _SPACE.search(text),
        gettext_lazy("its “dataschema” is no URI"),
    ),
    "datacontenttype": (_MEDIA.fullmatch, gettext_lazy("its “datacontenttype” is no media type")),
    "time": (
        _is_time,
        gettext_lazy("its “time” is no time with an offset, such as 2026-01-31T12:00:00Z"),
    ),
}
