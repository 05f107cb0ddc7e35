"""Artifacts: their list, and their bytes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.core.handlers.asgi import ASGIRequest
from django.http import FileResponse, HttpRequest
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from orchestration import queries
from orchestration.engine.errors import Igon7Error
from orchestration.models import Artifact
from security.actions import ARTIFACT_DOWNLOAD, EXECUTION_VIEW

from . import query, shapes
from .base import Endpoint, ExecutionEndpoint

CHUNK = 256 * 1024
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(; ?charset=[\w-]+)?", re.ASCII)


class ArtifactGone(Igon7Error):
    """The file of artifact "{name}" is no longer in the storage."""

    code = "artifact_gone"
    status = 410


class Artifacts(ExecutionEndpoint):
    """The files that this execution's nodes kept, oldest first."""

    required_actions = {"get": EXECUTION_VIEW}

    def get(self, request: Request, id: UUID) -> Response:
        query.only(request)
        return Response({"results": addressed(request, id, shapes.artifacts(self.execution))})


class Download(Endpoint):
    """One artifact's bytes, to be saved and never shown in place."""

    required_actions = {"get": ARTIFACT_DOWNLOAD}
    artifact: Artifact

    def get_object(self) -> Artifact:
        execution = queries.execution(self.principal, self.kwargs["id"])
        self.artifact = queries.artifact(execution, self.kwargs["artifact"])
        self.artifact.execution = execution
        self.check_object_permissions(self.request, self.artifact)
        return self.artifact

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return super().perform_content_negotiation(request, force=True)  # a file is what it is

    def get(self, request: Request, id: UUID, artifact: UUID) -> FileResponse:
        query.only(request)
        return download(request._request, self.artifact)


def addressed(request: Request, execution: UUID, artifacts: list[shapes.JSON]) -> list[shapes.JSON]:
    """Return the artifacts' shapes with their addresses."""
    return [
        each | {"url": reverse("api:artifact", args=[execution, each["id"]], request=request)}
        for each in artifacts
    ]


def download(request: HttpRequest, artifact: Artifact) -> FileResponse:
    """Return the file as an attachment that no browser interprets. Raises ArtifactGone."""
    try:
        file = default_storage.open(artifact.path)
    except FileNotFoundError:
        raise ArtifactGone(name=artifact.name) from None
    known = _MEDIA_TYPE.fullmatch(artifact.content_type)
    response = FileResponse(
        file,
        as_attachment=True,
        filename=artifact.name,
        content_type=artifact.content_type if known else "application/octet-stream",
        headers={
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "Cache-Control": "private, no-store",
        },
    )
    if isinstance(request, ASGIRequest):
        # Under ASGI Django would gather a synchronous stream in memory, whole.
        response.streaming_content = _chunks(file)
    return response


async def _chunks(file: File[bytes]) -> AsyncIterator[bytes]:
    read = sync_to_async(file.read, thread_sensitive=False)
    while chunk := await read(CHUNK):
        yield chunk
