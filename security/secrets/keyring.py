"""The keys that secrets are encrypted under: the first encrypts, all of them decrypt."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.conf import settings

from security.secrets.errors import KeyMissing


def fingerprint(key: str) -> str:
    """Return what tells one key from another and says nothing about it."""
    return hashlib.sha256(b"igon7 secret key\0" + key.encode()).hexdigest()[:16]


def fingerprints() -> list[str]:
    """Return those of all the keys, the first one's first."""
    return [fingerprint(key) for key in _keys()]


def encrypt(value: str, secret_id: int, number: int) -> tuple[str, str]:
    """Return the ciphertext, and the fingerprint of the key. Raises KeyMissing."""
    # The place is encrypted too: whoever can write rows cannot put one secret's value in the place of another's.
    text = json.dumps([secret_id, number, value])
    return _fernet().encrypt(text.encode()).decode(), fingerprints()[0]


def decrypt(ciphertext: str, secret_id: int, number: int) -> str:
    """Return the value. Raises KeyMissing, also for a ciphertext that was made for another place."""
    from cryptography.fernet import InvalidToken

    try:
        of, at, value = json.loads(_fernet().decrypt(ciphertext.encode()))
    except (InvalidToken, ValueError):
        raise KeyMissing("No key in IGON7_SECRET_KEYS opens it.") from None
    if (of, at) != (secret_id, number):
        raise KeyMissing("What is stored there was encrypted as another secret or version.")
    return str(value)


def _keys() -> list[str]:
    keys: list[str] = settings.IGON7_SECRET_KEYS
    if not keys:
        raise KeyMissing("There is no key for secrets: set IGON7_SECRET_KEYS.")
    return keys


def _fernet() -> Any:
    from cryptography.fernet import Fernet, MultiFernet

    try:
        return MultiFernet([Fernet(key) for key in _keys()])
    except ValueError:
        raise KeyMissing(
            "A key in IGON7_SECRET_KEYS is not one: each is 32 bytes in URL-safe base64."
        ) from None
