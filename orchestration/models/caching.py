"""What the cache of results keeps in the database. `orchestration.caching` is the only writer of these tables."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class CachedValue(models.Model):
    """One value of the table-backed cache, as JSON text."""

    key = models.CharField(_("key"), max_length=300, primary_key=True)
    value = models.TextField(_("value"))
    expires_at = models.DateTimeField(_("expires"), null=True)

    class Meta:
        verbose_name = _("cached value")
        verbose_name_plural = _("cached values")
        indexes: ClassVar = [
            models.Index(
                fields=["expires_at"],
                name="cached_value_expiring",
                condition=models.Q(expires_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return self.key


class CacheEntry(models.Model):
    """One result that a store holds, whichever store that is: what it is the result of, and until when it stands."""

    key = models.CharField(_("key"), max_length=300, primary_key=True)
    store = models.CharField(_("store"), max_length=100)
    scope = models.CharField(_("scope"), max_length=10)
    workflow = models.CharField(_("workflow"), max_length=200)
    node = models.CharField(_("node"), max_length=200)
    body = models.TextField(_("body"))
    tags = models.JSONField(_("tags"), default=list)
    execution = models.UUIDField(_("execution"))
    size = models.IntegerField(_("bytes"))
    at = models.DateTimeField(_("at"))
    expires_at = models.DateTimeField(_("expires"))

    class Meta:
        verbose_name = _("cached result")
        verbose_name_plural = _("cached results")
        indexes: ClassVar = [
            models.Index(fields=["workflow", "node", "-at"], name="cache_entry_by_node"),
            models.Index(fields=["expires_at"], name="cache_entry_expiring"),
        ]

    def __str__(self) -> str:
        return f"{self.workflow}: {self.node}"


class CacheFlight(models.Model):
    """Who computes a result now. The flight is over when this claim of the node run is: it has no lease of its own."""

    key = models.CharField(_("key"), max_length=300, primary_key=True)
    run_id = models.BigIntegerField(_("node run"))
    fence = models.BigIntegerField(_("fence"))
    execution = models.UUIDField(_("execution"))

    class Meta:
        verbose_name = _("flight")
        verbose_name_plural = _("flights")

    def __str__(self) -> str:
        return self.key


class CacheWait(models.Model):
    """A node run that waits for another's flight, since this claim of it was handed back."""

    run_id = models.BigIntegerField(_("node run"), primary_key=True)
    fence = models.BigIntegerField(_("fence"))
    key = models.CharField(_("key"), max_length=300, db_index=True)

    class Meta:
        verbose_name = _("wait for a flight")
        verbose_name_plural = _("waits for flights")

    def __str__(self) -> str:
        return str(self.run_id)


class CacheGeneration(models.Model):
    """How often something has been invalidated. The number is a part of each key, so older entries are never found."""

    name = models.CharField(_("name"), max_length=500, primary_key=True)
    number = models.BigIntegerField(_("number"), default=1)

    class Meta:
        verbose_name = _("cache generation")
        verbose_name_plural = _("cache generations")

    def __str__(self) -> str:
        return f"{self.name} {self.number}"


class CacheCount(models.Model):
    """How often a node's result was found in the cache, and how often not, in one minute."""

    id = models.BigAutoField(primary_key=True)
    workflow = models.CharField(_("workflow"), max_length=200)
    node = models.CharField(_("node"), max_length=200)
    minute = models.DateTimeField(_("minute"))
    hits = models.BigIntegerField(_("hits"), default=0)
    misses = models.BigIntegerField(_("misses"), default=0)

    class Meta:
        verbose_name = _("use of the cache")
        verbose_name_plural = _("uses of the cache")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["workflow", "node", "minute"], name="cache_count_once")
        ]
        indexes: ClassVar = [models.Index(fields=["minute"], name="cache_count_by_minute")]

    def __str__(self) -> str:
        return f"{self.workflow}: {self.node} {self.hits}/{self.hits + self.misses}"
