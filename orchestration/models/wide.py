"""What maps go over. Written by `orchestration.store` alone."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .execution import NodeRun
from .fields import WrittenJSONField


class MapItem(models.Model):
    """An item of a map, or a batch of them, as its own worker found it; `fence` is that of the map's claim."""

    id = models.BigAutoField(primary_key=True)
    node_run = models.ForeignKey(
        NodeRun,
        verbose_name=_("node run"),
        db_constraint=False,
        db_index=False,
        on_delete=models.CASCADE,
        related_name="items_found",
    )
    fence = models.BigIntegerField(_("fence"))
    index = models.IntegerField(_("index"))
    value = WrittenJSONField(_("value"), null=True)

    class Meta:
        verbose_name = _("map item")
        verbose_name_plural = _("map items")
        constraints = [models.UniqueConstraint(fields=["node_run", "fence", "index"], name="map_item_once")]

    def __str__(self) -> str:
        return f"[{self.index}]"
