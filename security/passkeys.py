"""Which host passkeys are for: the one that the request came to, which ALLOWED_HOSTS has let through."""

from __future__ import annotations

from django.http import HttpRequest
from django_otp_webauthn.helpers import WebAuthnHelper


class Helper(WebAuthnHelper):
    """Takes answers from this request's own origin alone."""

    def get_allowed_origins(self) -> list[str]:
        """Return the origin of the request."""
        return [f"{self.request.scheme}://{self.request.get_host()}"]


def relying_party(request: HttpRequest) -> str:
    """Return the request's host, without its port."""
    return request.get_host().rpartition(":")[0] or request.get_host()
