"""Secrets that a test gives a run, in the place of every backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from unittest import mock

from orchestration.engine import codec
from security import masking
from security.secrets import backends
from security.secrets.backends import Value, checked


class Given:
    """The backend of a test."""

    read_only = True

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: checked(value, name) for name, value in values.items()}

    def get(self, name: str) -> Value | None:
        return Value(self._values[name]) if name in self._values else None

    def exists(self, name: str) -> bool:
        return name in self._values

    def names(self) -> list[str]:
        return sorted(self._values)


@contextmanager
def given(values: Mapping[str, str] | None) -> Iterator[None]:
    """Let bodies read these secrets and no others; what the process has read is forgotten afterwards."""
    if values is None:
        yield
        return
    backend = Given(values)
    try:
        with mock.patch.object(backends, "backends", return_value=[backend]):
            yield
    finally:
        masking.forget()
        codec.masks.clear()
