"""The key that signs sessions: made once, kept in a file that only its owner reads."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from igon7site.env import EnvError

_SHORTEST = 50


def secret_key(path: Path) -> str:
    """Return the key kept at path, which is made if absent. Raises EnvError if the file cannot be used."""
    try:
        if not path.exists():
            _make(path, secrets.token_urlsafe(64))
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise EnvError(f"{path} cannot be used as the secret key's file: {error}") from None
    if len(key) < _SHORTEST:
        raise EnvError(f"{path} holds no key of {_SHORTEST} characters. Remove it, or set IGON7_SECRET_KEY.")
    return key


def secret_keys(path: Path) -> list[str]:
    """Return the keys kept at path, one a line; one is made if there is no file. Raises EnvError."""
    try:
        if not path.exists():
            _make(path, base64.urlsafe_b64encode(os.urandom(32)).decode())
        keys = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise EnvError(f"{path} cannot be used as the file of the secrets' keys: {error}") from None
    if not keys:
        raise EnvError(f"{path} holds no key. Put the one back that it held, or set IGON7_SECRET_KEYS.")
    return keys


def _make(path: Path, key: str) -> None:
    """Write a new key in full, then name it: of two processes the first wins, and both read its key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(key + "\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
