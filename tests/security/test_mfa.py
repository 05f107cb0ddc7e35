"""Evidence of a second factor."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from security.mfa import has_evidence
from security.principals import Principal
from tests.factories import person

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def verified(user: User, ago: timedelta) -> Principal:
    device = TOTPDevice.objects.create(user=user, name="phone", confirmed=True)
    return replace(Principal.for_user(user), mfa_device=device.persistent_id, mfa_at=timezone.now() - ago)


def test_evidence_counts_within_its_age_and_not_after_it():
    alice = verified(person(), timedelta(minutes=59))
    assert has_evidence(alice, HOUR, timezone.now())
    assert not has_evidence(alice, HOUR, timezone.now() + timedelta(minutes=2))


def test_evidence_from_the_future_does_not_count():
    assert not has_evidence(verified(person(), timedelta(minutes=-5)), HOUR, timezone.now())


def test_evidence_of_a_device_that_is_gone_unconfirmed_or_somebody_elses_does_not_count():
    alice = verified(person(), timedelta(0))
    assert not has_evidence(replace(alice, user_id=person("bob").pk), HOUR, timezone.now())
    TOTPDevice.objects.update(confirmed=False)
    assert not has_evidence(alice, HOUR, timezone.now())
    TOTPDevice.objects.all().delete()
    assert not has_evidence(alice, HOUR, timezone.now())


def test_a_token_and_the_system_have_no_second_factor():
    alice = verified(person(), timedelta(0))
    assert not has_evidence(replace(alice, kind="token"), HOUR, timezone.now())
    assert not has_evidence(replace(alice, kind="system"), HOUR, timezone.now())
