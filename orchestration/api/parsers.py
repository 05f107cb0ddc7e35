"""Reading a request's body: JSON only, never more than the limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import BaseParser

from . import strictjson
from .errors import BodyTooLarge


class StrictJSONParser(BaseParser):
    """UTF-8 JSON. Raises InvalidJSON or BodyTooLarge."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge(limit=limit)
        return strictjson.loads(body, "The request's body") if body.strip() else {}
