"""Signed heads of the audit's chain, kept outside of the database: what cuts the chain short or writes it anew shows.

The key is Ed25519: IGON7_AUDIT_KEY, 32 bytes as base64, or else a file that is made once. Whoever has the database
and not the key cannot sign a chain of their own.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings

from security.chain import head_text

Head = dict[str, Any]  # position, digest, at, key (the public one), signature
_TAIL = 64 * 1024  # bytes, some two hundred heads


def sign(text: bytes) -> str:
    """Return the signature, as base64."""
    return base64.b64encode(_private(settings.IGON7_AUDIT_KEY, str(_key_file())).sign(text)).decode()


def public_key() -> str:
    """Return the key that signatures are checked with, as base64; keep it elsewhere."""
    key = _private(settings.IGON7_AUDIT_KEY, str(_key_file())).public_key()
    return base64.b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def is_signed(text: bytes, signature: Any, key: str) -> bool:
    """Say whether this key has signed the text."""
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(base64.b64decode(signature), text)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def write(position: int, digest: str, at: str) -> Head:
    """Sign a head and append it to the file of heads, in one write."""
    head: Head = {"position": position, "digest": digest, "at": at}
    head |= {"signature": sign(head_text(head)), "key": public_key()}
    path = heads_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(head) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return head


def read(path: Path | None = None) -> Iterator[Head]:
    """Return the heads of a file, the oldest first; of a line that is none, {}. No file has none."""
    path = path or heads_file()
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in filter(str.strip, lines):
            yield _parsed(line)


def last(path: Path | None = None) -> Head | None:
    """Return the newest head; of the file, which only grows, the end is read."""
    path = path or heads_file()
    if not path.exists():
        return None
    with path.open("rb") as lines:
        lines.seek(max(0, path.stat().st_size - _TAIL))
        found = lines.read().decode("utf-8", "replace").splitlines()
    return next(filter(None, map(_parsed, reversed(found))), None)  # a line that is cut parses as none


def is_genuine(head: Mapping[str, Any], key: str) -> bool:
    """Say whether the head was signed with this key."""
    if not {"position", "digest", "at", "signature"} <= head.keys():
        return False
    return is_signed(head_text(head), head["signature"], key)


def heads_file() -> Path:
    """Return where heads are appended."""
    return Path(settings.IGON7_AUDIT_HEADS)


def _parsed(line: str) -> Head:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _key_file() -> Path:
    return Path(settings.VAR) / "audit_key"


@cache
def _private(given: str, path: str) -> Ed25519PrivateKey:
    text = given or _kept(Path(path))
    try:
        return Ed25519PrivateKey.from_private_bytes(base64.b64decode(text, validate=True))
    except ValueError:
        where = "IGON7_AUDIT_KEY" if given else path
        raise ValueError(f"{where} holds no key of 32 bytes as base64; it signs the audit's heads.") from None


def _kept(path: Path) -> str:
    """Return the key in the file, which is made if absent: of two processes the first wins."""
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}.new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
            opened.write(base64.b64encode(secrets.token_bytes(32)))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="ascii").strip()
