"""Who acts: a person, a token in their name, or the system itself."""

from __future__ import annotations

import hashlib
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, cast, get_args

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.http import HttpRequest

if TYPE_CHECKING:
    from rest_framework.request import Request

JSON: TypeAlias = dict[str, Any]
Kind = Literal["user", "token", "system", "anonymous"]
KINDS: tuple[str, ...] = get_args(Kind)
USER_AGENT_LENGTH = 200
EVIDENCE = "igon7_mfa"  # the session's key for which device answered, and when


@dataclass(frozen=True, slots=True)
class Principal:
    """Who an act is done for, and the evidence of it.

    `roles`, `is_staff` and `is_superuser` say what held when the principal was made: they are for display
    and for the record. Permission is always decided on the person as they are now (see `person`).
    """

    kind: Kind
    id: str
    name: str
    user_id: int | None = None
    roles: tuple[str, ...] = ()
    is_staff: bool = False
    is_superuser: bool = False
    mfa_device: str | None = None
    mfa_at: datetime | None = None
    address: str | None = None
    user_agent: str | None = None
    _loaded: AbstractUser | None = field(default=None, compare=False, repr=False)

    @classmethod
    def system(cls, name: str) -> Self:
        """Return the principal of a part of igon7 itself, such as "sweep"."""
        return cls(kind="system", id=name, name=name)

    @classmethod
    def for_shell(cls) -> Self:
        """Return the system principal of whoever runs a command here, named after their OS account."""
        # Not getpass.getuser(): it believes the environment, and this name goes into the audit.
        uid = os.getuid()
        try:
            account = pwd.getpwuid(uid).pw_name
        except KeyError:  # containers run under numbers without an account
            account = str(uid)
        return cls.system(f"shell:{account}")

    @classmethod
    def anonymous(cls, request: HttpRequest | Request | None = None) -> Self:
        """Return the principal of nobody known; it may do nothing and is never kept on an execution."""
        return cls(kind="anonymous", id="", name="anonymous", **_origin(request))

    @classmethod
    def for_user(
        cls, user: AbstractUser | AnonymousUser, request: HttpRequest | Request | None = None
    ) -> Self:
        """Return the principal of a person; `request` says from where."""
        if not user.is_authenticated:
            return cls.anonymous(request)
        return cls(kind="user", id=str(user.pk), name=user.get_username(), **_of(user), **_origin(request))

    @classmethod
    def for_request(cls, request: HttpRequest | Request) -> Self:
        """Return the principal of a request's session or token; "anonymous" when it has neither."""
        user, token = getattr(request, "user", None), getattr(request, "auth", None)
        session = getattr(request, "session", None)
        key = (
            user.pk if user else None,
            id(token),
            str(session.get(EVIDENCE)) if session is not None else "",
        )
        kept = getattr(request, "_igon7_principal", None)
        if kept is None or kept[0] != key:  # a login in mid-request changes the key
            kept = (key, cls._from_request(request, user, token))
            request._igon7_principal = kept  # type: ignore[union-attr]
        return cast(Self, kept[1])

    @classmethod
    def for_scope(cls, scope: Mapping[str, Any]) -> Self:
        """Return the principal of a WebSocket's session. Reads the database, so not on the event loop."""
        handshake = HttpRequest()
        handshake.META["REMOTE_ADDR"] = (scope.get("client") or [""])[0]
        handshake.META["HTTP_USER_AGENT"] = dict(scope["headers"]).get(b"user-agent", b"").decode("latin-1")
        return cls.for_user(scope["user"], handshake)

    @classmethod
    def _from_request(cls, request: HttpRequest | Request, user: Any, token: Any) -> Self:
        if user is None or not user.is_authenticated:
            return cls.anonymous(request)
        kind: Kind = "user" if token is None else "token"
        identity = str(user.pk) if token is None else _fingerprint(token.key)
        found = {**_of(user), **_origin(request), "_loaded": user}
        if kind == "user":
            found |= _evidence(request)
        return cls(kind=kind, id=identity, name=user.get_username(), **found)

    def person(self) -> AbstractUser | None:
        """Return the person behind, as they are now; None for the system, nobody, and deleted people.

        A principal made by `for_request` keeps the person that this request has loaded. Every other one
        (from an execution, in a socket) asks the database each time, so that a right taken away is gone.
        """
        if self._loaded is not None or self.user_id is None:
            return self._loaded
        return cast("AbstractUser | None", get_user_model()._default_manager.filter(pk=self.user_id).first())

    def as_now(self) -> Self:
        """Return the same principal with the person loaded, for one act that asks several times who that is."""
        return replace(self, _loaded=replace(self, _loaded=None).person())

    def to_json(self) -> JSON:
        """Return plain JSON, as kept on an execution; `mfa_at` is an ISO 8601 instant or None."""
        return {
            "kind": self.kind,
            "id": self.id,
            "name": self.name,
            "user_id": self.user_id,
            "roles": list(self.roles),
            "is_staff": self.is_staff,
            "is_superuser": self.is_superuser,
            "mfa_device": self.mfa_device,
            "mfa_at": self.mfa_at.isoformat() if self.mfa_at else None,
            "address": self.address,
            "user_agent": self.user_agent,
        }

    @classmethod
    def from_json(cls, data: JSON) -> Self:
        """Return the principal that `to_json` wrote. Raises ValueError when `data` is not one."""
        if data.get("kind") not in KINDS:
            raise ValueError(f"A principal's kind is one of {', '.join(KINDS)}, not {data.get('kind')!r}.")
        plain = ("kind", "id", "name", "user_id", "is_staff", "is_superuser")
        names = (*plain, "mfa_device", "address", "user_agent")
        try:
            mfa_at = datetime.fromisoformat(data["mfa_at"]) if data["mfa_at"] else None
            return cls(roles=tuple(data["roles"]), mfa_at=mfa_at, **{name: data[name] for name in names})
        except KeyError as missing:
            raise ValueError(f"A principal needs {missing.args[0]!r}; it is not in {sorted(data)}.") from None


def _of(user: AbstractUser) -> dict[str, Any]:
    asked = ("name", "role__everything", "role__requires_mfa")
    roles = list(user.groups.order_by("name").values_list(*asked))
    # Kept on the person, for as long as this one is loaded: see policies and second_factor.
    user._igon7_everything = any(everything for _, everything, _ in roles)  # type: ignore[attr-defined]
    user._igon7_must_verify = any(must for _, _, must in roles)  # type: ignore[attr-defined]
    return {
        "user_id": user.pk,
        "roles": tuple(name for name, _, _ in roles),
        "is_staff": user.is_staff,
        "is_superuser": user.is_superuser,
    }


def _evidence(request: HttpRequest | Request) -> dict[str, Any]:
    session = getattr(request, "session", None)
    kept = session.get(EVIDENCE) if session is not None else None
    if not kept:
        return {}
    return {"mfa_device": kept["device"], "mfa_at": datetime.fromisoformat(kept["at"])}


def _origin(request: HttpRequest | Request | None) -> dict[str, Any]:
    meta = request.META if request is not None else {}
    agent = meta.get("HTTP_USER_AGENT", "")[:USER_AGENT_LENGTH]
    return {"address": meta.get("REMOTE_ADDR") or None, "user_agent": agent or None}


def _fingerprint(key: str) -> str:
    # The key itself is the secret, and its row's primary key; neither may reach the audit or an execution.
    return hashlib.sha256(key.encode()).hexdigest()[:16]
