"""Handing out files that nodes kept: always as a download, never as a page of this site."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import closing
from typing import IO

from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET

from orchestration import queries
from orchestration.engine.errors import UnknownArtifact
from orchestration.models import Artifact
from orchestration.web.access import load_execution
from security.actions import ARTIFACT_DOWNLOAD
from security.principals import Principal
from security.web.guard import requires

CHUNK = 256 * 1024


def load(principal: Principal, id: uuid.UUID, artifact: uuid.UUID) -> Artifact:
    """Return the artifact of an execution that the person may view. Raises Http404."""
    try:
        return queries.artifact(load_execution(principal, id), artifact)
    except UnknownArtifact as error:
        raise Http404(str(error)) from None


@require_GET
@requires(ARTIFACT_DOWNLOAD, load)
def download(request: HttpRequest, artifact: Artifact) -> StreamingHttpResponse:
    """Send the file as an attachment that a browser may neither guess at nor run."""
    try:
        opened = default_storage.open(artifact.path, "rb")
    except FileNotFoundError:
        raise Http404 from None
    response = StreamingHttpResponse(_chunks(opened), content_type=artifact.content_type)
    response["Content-Length"] = str(artifact.size)
    response["Content-Disposition"] = content_disposition_header(True, artifact.name) or "attachment"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Cache-Control"] = "private, no-store"
    return response


async def _chunks(opened: IO[bytes]) -> AsyncIterator[bytes]:
    # The server is asynchronous: a plain iterator would be gathered whole before it is sent.
    with closing(opened):
        while chunk := await sync_to_async(opened.read)(CHUNK):
            yield chunk
