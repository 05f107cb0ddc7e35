"""Reading untrusted JSON: every value knows its path, so that every refusal names the field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from orchestration import Igon7Error

MAX_BYTES = 64 * 1024 * 1024
_SHOWN = 60


class TraceInvalid(Igon7Error):
    """This is not a WfFormat trace that can be replayed. {detail}"""

    code = "trace_invalid"


@dataclass(frozen=True, slots=True)
class Field:
    """A value and where it was found; each reader raises TraceInvalid when the value is of another kind."""

    path: str
    value: Any

    def refuse(self, why: str) -> NoReturn:
        """Raise TraceInvalid, naming this field."""
        raise TraceInvalid(f"{self.path}: {why}" if self.path else f"The file {why}")

    def __contains__(self, name: str) -> bool:
        return name in self.object()

    def __getitem__(self, name: str) -> Field:
        """Return a member of an object; it must be there."""
        member = Field(f"{self.path}.{name}" if self.path else name, self.object().get(name))
        if name not in self.object():
            member.refuse("is missing")
        return member

    def items(self) -> Iterator[Field]:
        """Walk an array."""
        if not isinstance(self.value, list):
            self.refuse(f"must be an array, not {self.shown}")
        return (Field(f"{self.path}[{index}]", value) for index, value in enumerate(self.value))

    def object(self) -> Mapping[str, Any]:
        """Return an object's members."""
        if not isinstance(self.value, Mapping):
            self.refuse(f"must be an object, not {self.shown}")
        return self.value

    def text(self, limit: int) -> str:
        """Return a text fit for a name: 1…limit characters, no control characters, no outer spaces."""
        value = self.value
        if not isinstance(value, str) or not value:
            self.refuse(f"must be a text, not {self.shown}")
        if len(value) > limit:
            self.refuse(f"must have at most {limit} characters, not {len(value)}")
        if value != value.strip() or any(ord(each) < 32 or 0xD800 <= ord(each) < 0xE000 for each in value):
            self.refuse(f"must not have control characters or outer spaces, as {self.shown} has")
        return value

    def number(self, most: float) -> float:
        """Return a number from 0 to `most`."""
        value = self.value
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        if not plain or not value >= 0:  # NaN is not
            self.refuse(f"must be a number ≥ 0, not {self.shown}")
        if value > most:
            self.refuse(f"must be at most {most:.0f}, not {self.shown}")
        return float(value)

    @property
    def shown(self) -> str:
        """Return the value as JSON, short enough for a sentence."""
        if isinstance(self.value, list | Mapping):
            return "an array" if isinstance(self.value, list) else "an object"
        text = json.dumps(self.value, ensure_ascii=False, default=repr)
        return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def load(source: str | bytes | Mapping[str, Any]) -> Field:
    """Return the whole document. Raises TraceInvalid, with line and column, when it is not JSON."""
    if isinstance(source, Mapping):
        return Field("", source)
    if len(source) > MAX_BYTES:
        raise TraceInvalid(f"The file has more than {MAX_BYTES // 2**20} MiB; that is the limit.")
    try:
        text = source.decode("utf-8-sig") if isinstance(source, bytes) else source
        return Field("", json.loads(text))
    except json.JSONDecodeError as error:
        raise TraceInvalid(
            f"It is not JSON: line {error.lineno}, column {error.colno}: {error.msg}."
        ) from None
    except UnicodeDecodeError as error:
        raise TraceInvalid(f"It is not UTF-8 text: byte {error.start} cannot be read.") from None
    except RecursionError:
        raise TraceInvalid("It is nested too deeply.") from None
    except ValueError as error:  # an integer of thousands of digits
        raise TraceInvalid(f"It is not JSON that can be read: {error}.") from None
