"""Who may run a node. Pure: who somebody is, and whether their second factor is fresh, is found out elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from .durations import Duration, seconds
from .errors import InvalidOption

ON_DENIED = ("fail", "wait")
NAME_LIMIT = 150  # of a Django group or user


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """Say who a node runs for: members of one of the roles, or one of the users; of nobody named, anybody.

    With `require_mfa` their second factor has answered within `mfa_max_age` before the node starts. Otherwise the node
    fails, or, with `on_denied="wait"`, waits until somebody who is admitted releases it.
    """

    required_roles: tuple[str, ...] = ()
    allowed_users: tuple[str, ...] = ()
    require_mfa: bool = False
    on_denied: str = "fail"
    mfa_max_age: float = 3600.0

    def __init__(
        self,
        *,
        required_roles: Iterable[str] = (),
        allowed_users: Iterable[str] = (),
        require_mfa: bool = False,
        on_denied: str = "fail",
        mfa_max_age: Duration = "1h",
    ) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731 - frozen
        put("required_roles", _names("required_roles", required_roles))
        put("allowed_users", _names("allowed_users", allowed_users))
        if not isinstance(require_mfa, bool):
            raise _wrong("require_mfa", require_mfa, "True or False")
        put("require_mfa", require_mfa)
        if on_denied not in ON_DENIED:
            raise _wrong("on_denied", on_denied, "one of " + ", ".join(ON_DENIED))
        put("on_denied", on_denied)
        put("mfa_max_age", seconds(mfa_max_age, "Permissions.mfa_max_age"))
        if not self.mfa_max_age:
            raise _wrong("mfa_max_age", mfa_max_age, "longer than nothing")
        if not (self.required_roles or self.allowed_users or require_mfa):
            raise _wrong("required_roles", required_roles, "given, or allowed_users, or require_mfa")

    @property
    def waits(self) -> bool:
        """Say whether the node waits for a release where it may not run."""
        return self.on_denied == "wait"

    def admits(self, user: str | None, roles: Collection[str]) -> bool:
        """Say whether a person of this name and these roles is one of those for whom the node runs."""
        if not self.required_roles and not self.allowed_users:
            return True
        return user in self.allowed_users or any(role in self.required_roles for role in roles)


def _names(option: str, names: Any) -> tuple[str, ...]:
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, Iterable):
        raise _wrong(option, names, "a list of names")
    found = []
    for name in listed:
        fits = isinstance(name, str) and 0 < len(name) <= NAME_LIMIT and name == name.strip()
        if not fits or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name):
            raise _wrong(option, name, f"names of 1 to {NAME_LIMIT} characters")
        found.append(name)
    return tuple(sorted(set(found)))  # in an order of their own: the version's checksum must not differ


def _wrong(option: str, value: Any, expected: str) -> InvalidOption:
    return InvalidOption(option=f"Permissions.{option}", value=value, expected=expected)
