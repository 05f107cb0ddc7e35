"""Where values are: each backend is asked in the order of IGON7_SECRETS_BACKENDS, the first that has it answers."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple, Protocol

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from security.secret_models import NAME, SecretVersion
from security.secrets import keyring
from security.secrets.errors import KeyMissing, SecretError

SHORTEST, LONGEST = 6, 64 * 1024


class Value(NamedTuple):
    """A value, and which version it is (0 where there are none). Never shown: it has no repr of its content."""

    text: str
    version: int = 0

    def __repr__(self) -> str:
        return f"Value(•••, version={self.version})"


class Backend(Protocol):
    """Where secrets are read from."""

    read_only: bool

    def get(self, name: str) -> Value | None:
        """Return the value; None where there is none. Raises SecretError."""

    def exists(self, name: str) -> bool:
        """Say whether there is one, without reading it."""

    def names(self) -> list[str]:
        """Return the names of all of them."""


class Database:
    """Encrypted, with versions."""

    read_only = False

    def get(self, name: str) -> Value | None:
        """Return the newest version that is not disabled. Raises KeyMissing, which names it."""
        row = self._current().filter(secret__name=name).order_by("-number").first()
        if row is None:
            return None
        try:
            return Value(keyring.decrypt(row.ciphertext, row.secret_id, row.number), row.number)
        except KeyMissing as error:
            raise KeyMissing(f"Version {row.number} of the secret “{name}” cannot be read. {error}") from None

    def exists(self, name: str) -> bool:
        return self._current().filter(secret__name=name).exists()

    def names(self) -> list[str]:
        return sorted(set(self._current().values_list("secret__name", flat=True)))

    def _current(self) -> QuerySet[SecretVersion]:
        return SecretVersion.objects.filter(disabled_at=None)


class Environment:
    """IGON7_SECRET_<NAME>, in capitals, with _ for -."""

    read_only = True
    prefix = "IGON7_SECRET_"
    _ours = frozenset({"IGON7_SECRET_KEY", "IGON7_SECRET_KEYS"})

    def get(self, name: str) -> Value | None:
        text = os.environ.get(self._variable(name)) if self.exists(name) else None
        return Value(checked(text, name)) if text else None

    def exists(self, name: str) -> bool:
        variable = self._variable(name)
        return variable not in self._ours and bool(os.environ.get(variable))

    def names(self) -> list[str]:
        found = [each for each in os.environ if each.startswith(self.prefix) and each not in self._ours]
        return sorted(each.removeprefix(self.prefix).lower().replace("_", "-") for each in found)

    def _variable(self, name: str) -> str:
        return self.prefix + name.upper().replace("-", "_")


class Files:
    """Files in IGON7_SECRETS_DIR, as Docker and Kubernetes mount them; one newline at the end is not the value's."""

    read_only = True

    def get(self, name: str) -> Value | None:
        path = self._path(name)
        if path is None:
            return None
        with path.open("rb") as opened:
            data = opened.read(LONGEST + 2)
        try:
            text = data.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise SecretError(f"The file of the secret “{name}” is not UTF-8.") from None
        return Value(checked(text, name))

    def exists(self, name: str) -> bool:
        return self._path(name) is not None

    def names(self) -> list[str]:
        folder = self._folder()
        found = [each.name for each in folder.iterdir()] if folder is not None and folder.is_dir() else []
        return sorted(name for name in found if self.exists(name))

    def _folder(self) -> Path | None:
        return Path(settings.IGON7_SECRETS_DIR).resolve() if settings.IGON7_SECRETS_DIR else None

    def _path(self, name: str) -> Path | None:
        folder = self._folder()
        if folder is None or not re.match(NAME, name):
            return None
        # Kubernetes links each name to a file of the same folder: links are followed, but not out of it.
        path = (folder / name).resolve()
        return path if path.is_relative_to(folder) and path.is_file() else None


_SHIPPED: dict[str, type[Backend]] = {"database": Database, "environment": Environment, "files": Files}


def backends() -> list[Backend]:
    """Return the backends in the order in which they are asked. Raises ImproperlyConfigured."""
    try:
        return [_SHIPPED[name]() if name in _SHIPPED else import_string(name)() for name in _order()]
    except ImportError as error:
        raise ImproperlyConfigured(f"IGON7_SECRETS_BACKENDS names what is not there: {error}") from None


def _order() -> list[str]:
    order: list[str] = settings.IGON7_SECRETS_BACKENDS
    return order


def find(name: str) -> Value | None:
    """Return the value from the first backend that has it; None where none has. Raises SecretError."""
    return next((value for backend in backends() if (value := backend.get(name)) is not None), None)


def checked(text: str, name: str) -> str:
    """Return the value. Raises SecretError for what is too short to be masked, too long, or holds a NUL."""
    if len(text.strip()) < SHORTEST:
        why = f"is shorter than {SHORTEST} characters: it could not be masked without masking words"
    elif len(text.encode("utf-8", "replace")) > LONGEST:
        why = f"is longer than {LONGEST:,} bytes"
    elif "\0" in text:
        why = "holds a NUL character"
    else:
        return text
    raise SecretError(f"The value of the secret “{name}” {why}.")
