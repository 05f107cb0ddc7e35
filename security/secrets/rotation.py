"""Re-encrypting under the first key. What is done is known by its fingerprint, so that a stopped run just goes on."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import transaction
from django.db.models import QuerySet

from security.secret_models import SecretVersion
from security.secrets import keyring
from security.secrets.errors import KeyMissing

BATCH = 100


def left() -> int:
    """Return how many versions are under another key than the first. Raises KeyMissing."""
    return _others().count()


def unreadable() -> list[SecretVersion]:
    """Return up to ten versions whose key is not there. Raises KeyMissing where there is no key at all."""
    rows = SecretVersion.objects.exclude(key_fingerprint__in=keyring.fingerprints())
    return list(rows.select_related("secret").order_by("pk")[:10])


def rotate(batch: int = BATCH) -> Iterator[int]:
    """Re-encrypt in batches, each committed by itself; give how many each was. Raises KeyMissing, naming the row."""
    while count := _one(batch):
        yield count


def _others() -> QuerySet[SecretVersion]:
    return SecretVersion.objects.exclude(key_fingerprint=keyring.fingerprints()[0])


@transaction.atomic
def _one(batch: int) -> int:
    rows = list(_others().select_for_update(of=("self",)).select_related("secret").order_by("pk")[:batch])
    for row in rows:
        try:
            value = keyring.decrypt(row.ciphertext, row.secret_id, row.number)
        except KeyMissing as error:
            named = f"Version {row.number} of the secret “{row.secret.name}” (key {row.key_fingerprint})"
            raise KeyMissing(f"{named} cannot be decrypted. {error}") from None
        row.ciphertext, row.key_fingerprint = keyring.encrypt(value, row.secret_id, row.number)
    SecretVersion.objects.bulk_update(rows, ["ciphertext", "key_fingerprint"])
    return len(rows)
