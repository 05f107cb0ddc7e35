"""Typed readers of environment variables: a bad value is refused with a sentence that names it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured

from orchestration.engine import durations
from orchestration.engine.errors import InvalidOption

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_Default = TypeVar("_Default")


class EnvError(ImproperlyConfigured):
    """An environment variable or a line of .env that cannot be understood."""


class Env:
    """Reads typed values. An absent or empty variable gives the default."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @classmethod
    def load(cls, dotenv: Path) -> Env:
        """Read the process environment over the file, if there is one. Raises EnvError for a bad line."""
        return cls({**read_dotenv(dotenv), **os.environ})

    def str_(self, name: str, default: _Default) -> str | _Default:
        return self._values.get(name, "").strip() or default

    def bool_(self, name: str, default: bool) -> bool:
        text = self.str_(name, None)
        if text is None:
            return default
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise _refusal(name, text, "1 or 0 (also true, false, yes, no, on, off)")

    def int_(self, name: str, default: int, *, at_least: int = 0) -> int:
        text = self.str_(name, None)
        if text is None:
            return default
        if re.fullmatch(r"[+-]?[0-9]{1,18}", text) and int(text) >= at_least:
            return int(text)
        raise _refusal(name, text, f"a whole number, {at_least} or more")

    def duration(self, name: str, default: float) -> float:
        """Return seconds, from a number of seconds or the like of "30s" and "1h30m"."""
        text = self.str_(name, None)
        if text is None:
            return default
        try:
            return durations.seconds(_number(text))
        except InvalidOption:
            raise _refusal(name, text, 'a duration, such as 30, "30s" or "1h30m"') from None

    def list_(self, name: str, default: Iterable[str] = ()) -> list[str]:
        """Return the parts between commas, trimmed."""
        text = self.str_(name, None)
        if text is None:
            return list(default)
        parts = [part.strip() for part in text.split(",")]
        if not all(parts):
            raise _refusal(name, text, "values separated by commas, none of them empty")
        return parts

    def path(self, name: str, default: Path) -> Path:
        return Path(self.str_(name, default)).expanduser().absolute()

    def url(self, name: str, *, schemes: Iterable[str], default: str | None = None) -> str | None:
        text = self.str_(name, default)
        if text is not None:
            split(name, text, schemes)
        return text


def split(name: str, text: str, schemes: Iterable[str]) -> SplitResult:
    """Take a URL apart. Raises EnvError unless its scheme is among schemes and its port is a number."""
    expected = "a URL that starts with " + " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  (a property that raises for a port that is not a number)
    except ValueError as error:
        raise _refusal(name, without_password(text), f"{expected} ({error})") from None
    if parts.scheme not in schemes or "://" not in text:
        raise _refusal(name, without_password(text), expected)
    return parts


def without_password(url: str) -> str:
    """Return the URL with the password blotted out: error messages end up in logs."""
    return re.sub(r"(://[^:/@]*):.*@", r"\1:…@", url)


def read_dotenv(path: Path) -> dict[str, str]:
    """Read NAME=value lines; # begins a comment, quotes come off. Raises EnvError with the line's number."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise EnvError(f"{path} cannot be read: {error}") from None
    pairs = (_dotenv_line(path, number, line) for number, line in enumerate(text.splitlines(), 1))
    return dict(pair for pair in pairs if pair)


def _dotenv_line(path: Path, number: int, line: str) -> tuple[str, str] | None:
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    match = _LINE.fullmatch(line)
    if not match:
        raise EnvError(f"{path}, line {number}: expected NAME=value.")
    return match[1], _dotenv_value(path, number, match[2])


def _dotenv_value(path: Path, number: int, text: str) -> str:
    if text[:1] in ("'", '"'):
        quoted = re.fullmatch(r"""(['"])(.*)\1\s*(?:#.*)?""", text)
        if not quoted:
            raise EnvError(f"{path}, line {number}: the quote {text[0]} is not closed.")
        return quoted[2]
    return re.split(r"\s+#", text, maxsplit=1)[0].strip()


def _number(text: str) -> Any:
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else text


def _refusal(name: str, value: str, expected: str) -> EnvError:
    return EnvError(f'{name} is "{value}"; expected {expected}.')
