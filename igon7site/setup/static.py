"""Static files without a build step: one fingerprint of all of them is part of their URL."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile


def fingerprint(folders: Iterable[Path], *, also: Iterable[Path] = ()) -> str:
    """Return 12 hexadecimal digits that change when any file does; modules and styles may refer to each other
    by relative paths, because all of them move together."""
    digest = hashlib.sha256()
    found = (file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file())
    for file in (*also, *found):
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """WhiteNoise, answering whole files: under ASGI Django would gather its stream anyway, and warn."""

    @staticmethod
    def serve(static_file: StaticFile, request: HttpRequest) -> HttpResponse:
        """Return the file, or 304, 206 and the like as the request's headers ask."""
        answer = static_file.get_response(request.method, request.META)
        content = b""
        if answer.file is not None:
            with answer.file as opened:
                content = opened.read()
        response = HttpResponse(content, status=int(answer.status))
        del response["content-type"]
        for key, value in answer.headers:
            response[key] = value
        return response
