"""Evidence of a second factor: which device answered for a person, and when."""

from __future__ import annotations

from datetime import datetime, timedelta

from django_otp.models import Device

from security.principals import Principal

STEP_UP = timedelta(minutes=10)  # how recent the evidence for a sensitive act is
_SKEW = timedelta(seconds=5)  # between the clocks of whoever wrote the evidence and whoever reads it


def has_evidence(principal: Principal, max_age: timedelta, now: datetime) -> bool:
    """Return whether the principal's second factor answered within `max_age` before `now`, with a device it still has.

    Tokens, schedules and the system have no second factor.
    """
    if principal.kind != "user" or principal.mfa_at is None or not principal.mfa_device:
        return False
    if not -_SKEW <= now - principal.mfa_at <= max_age:
        return False
    device = Device.from_persistent_id(principal.mfa_device)
    return device is not None and device.confirmed and device.user_id == principal.user_id
