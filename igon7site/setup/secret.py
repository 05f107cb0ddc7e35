"""The key that signs sessions: made once, kept in a file that only its owner reads."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from igon7site.env import EnvError

_SHORTEST = 50


def secret_key(path: Path) -> str:
    """Return the key kept at path, which is made if absent. Raises EnvError if the file cannot be used."""
    try:
        if not path.exists():
            _make(path)
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise EnvError(f"{path} cannot be used as the secret key's file: {error}") from None
    if len(key) < _SHORTEST:
        raise EnvError(f"{path} holds no key of {_SHORTEST} characters. Remove it, or set IGON7_SECRET_KEY.")
    return key


def _make(path: Path) -> None:
    """Write a new key in full, then name it: of two processes the first wins, and both read its key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(secrets.token_urlsafe(64) + "\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
