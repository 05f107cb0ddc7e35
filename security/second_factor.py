"""A person's second factors: which there are, whether a code is right, and the evidence of it in their session."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import django_otp
from django.contrib.auth.models import AbstractUser
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from security import audit
from security.mfa import STEP_UP, has_evidence
from security.models import AuditRecord, Role
from security.principals import EVIDENCE, Principal

ADDED, REMOVED, RENEWED, VERIFIED = "device.add", "device.remove", "recovery.renew", "session.verify"
RECOVERY_CODES = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that reads like something else


def devices(user: AbstractUser) -> list[Device]:
    """Return the confirmed devices that answer for a person; recovery codes are not among them."""
    return [each for each in django_otp.devices_for_user(user) if not isinstance(each, StaticDevice)]


def has_device(user: AbstractUser) -> bool:
    """Say whether the person has set up a second factor."""
    return bool(devices(user))


def recovery_left(user: AbstractUser) -> int:
    """Return how many recovery codes the person has left."""
    return sum(device.token_set.count() for device in StaticDevice.objects.filter(user=user, confirmed=True))


def must_enrol(user: Any) -> bool:
    """Say whether a role of the person asks for a second factor, and there is none."""
    asked = getattr(user, "_igon7_must_verify", None)
    if asked is None:
        asked = Role.objects.filter(requires_mfa=True, group__user=user.pk).exists()
    return bool(asked) and not has_device(user)


def verify(request: HttpRequest, user: AbstractUser, code: str) -> bool:
    """Say whether the code is right, a recovery code too; if so, note it in the session, under a new key.

    Wrong ones are recorded; devices make whoever tries them wait longer and longer.
    """
    device = django_otp.match_token(user, code.strip().replace(" ", "").lower())
    if device is None:
        audit.record(Principal.for_user(user, request), VERIFIED, user, AuditRecord.Outcome.FAILED)
        return False
    note(request, user, device)
    return True


def note(request: HttpRequest, user: AbstractUser, device: Device) -> None:
    """Keep in the session that a device has answered just now."""
    django_otp.login(request, device)
    request.session[EVIDENCE] = {"device": device.persistent_id, "at": timezone.now().isoformat()}
    request.session.cycle_key()
    principal = Principal.for_user(user, request)
    audit.record(principal, VERIFIED, user, details={"device": str(device)})


def is_fresh(request: HttpRequest) -> bool:
    """Say whether a second factor has answered recently enough for a sensitive act."""
    return has_evidence(Principal.for_request(request), STEP_UP, timezone.now())


def begin_totp(user: AbstractUser, name: str) -> TOTPDevice:
    """Return the device that is being set up; it counts once a code of it has come."""
    TOTPDevice.objects.filter(user=user, confirmed=False).delete()
    return TOTPDevice.objects.create(user=user, name=name, confirmed=False)


def confirm_totp(request: HttpRequest, device: TOTPDevice, code: str) -> list[str] | None:
    """Let the device count, and return new recovery codes if there were none; None when the code is wrong."""
    user: Any = device.user
    if not device.verify_token(code.strip().replace(" ", "")):
        return None
    with transaction.atomic():
        device.confirmed = True
        device.save()
        codes = renew_recovery(request, user) if not recovery_left(user) else []
        audit.record(Principal.for_request(request), ADDED, user, details={"device": device.name})
    note(request, user, device)
    return codes


def renew_recovery(request: HttpRequest, user: AbstractUser) -> list[str]:
    """Make new recovery codes in the place of all others, and return them: they are not shown again."""
    codes = list(_codes(RECOVERY_CODES))
    with transaction.atomic():
        StaticDevice.objects.filter(user=user).delete()
        kept = StaticDevice.objects.create(user=user, name="recovery codes", confirmed=True)
        for code in codes:
            kept.token_set.create(token=code)
        audit.record(Principal.for_request(request), RENEWED, user)
    return codes


def remove(principal: Principal, user: AbstractUser, device: Device) -> None:
    """Take a device away; with the last one, the recovery codes go too."""
    with transaction.atomic():
        about = {"device": device.name}
        device.delete()
        if not has_device(user):
            StaticDevice.objects.filter(user=user).delete()
        audit.record(principal, REMOVED, user, details=about)


def reset(principal: Principal, user: AbstractUser) -> int:
    """Take all devices of a person away, who has lost them; return how many."""
    found = [*devices(user), *StaticDevice.objects.filter(user=user)]
    with transaction.atomic():
        for device in found:
            device.delete()
        audit.record(principal, "device.reset", user, details={"devices": len(found)})
    return len(found)


def _codes(count: int) -> Iterator[str]:
    for _ in range(count):
        yield "".join(secrets.choice(_ALPHABET) for _ in range(10))
