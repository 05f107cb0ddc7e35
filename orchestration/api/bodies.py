"""What a request's body may hold: fields that are checked, and none besides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers

from orchestration.engine.attention import DECISIONS
from orchestration.engine.graph import suggest


class Body(serializers.Serializer[Any]):
    """A JSON object whose unknown fields are refused by name."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (unknown := [name for name in data if name not in self.fields]):
            raise serializers.ValidationError({name: self._unknown(name) for name in unknown})
        return super().to_internal_value(data)

    def _unknown(self, name: str) -> str:
        if not self.fields:
            return _("There is no such field; this endpoint takes none.")
        return _("There is no such field. %s") % suggest(name, self.fields)


class AnyJSON(serializers.Field[Any, Any, Any, Any]):
    """Any JSON value, as it came; who takes it checks it."""

    def to_internal_value(self, data: Any) -> Any:
        return data


class Start(Body):
    workflow = serializers.CharField(max_length=200)
    input = AnyJSON(required=False, allow_null=True, default=None)
    idempotency_key = serializers.CharField(max_length=200, required=False, allow_null=True, default=None)
    priority = serializers.IntegerField(min_value=1, max_value=5, default=3)
    tags = serializers.ListField(child=serializers.CharField(max_length=200), max_length=100, default=list)
    refresh = serializers.BooleanField(default=False)


class Reason(Body):
    reason = serializers.CharField(max_length=1000, allow_blank=True, default="")


class Approval(Body):
    node = serializers.CharField(max_length=200)
    approved = serializers.BooleanField()
    id = serializers.IntegerField(required=False, allow_null=True, default=None)
    form = AnyJSON(required=False, allow_null=True, default=None)
    comment = serializers.CharField(max_length=2000, allow_blank=True, default="")


class Cancel(Reason):
    rollback = serializers.BooleanField(default=False)


class Edited(Reason):
    """`input` left out: as it was."""

    input = AnyJSON(required=False, allow_null=True)


class Retry(Edited):
    node = serializers.CharField(max_length=200, allow_null=True, default=None)


class Fork(Edited):
    node = serializers.CharField(max_length=200)


class Decision(Edited):
    node = serializers.CharField(max_length=200)
    decision = serializers.ChoiceField(choices=DECISIONS)
    result = AnyJSON(required=False, allow_null=True, default=None)
    reopen = serializers.BooleanField(default=False)


class Signal(Body):
    name = serializers.CharField(max_length=200)
    payload = AnyJSON(required=False, allow_null=True, default=None)
    id = serializers.CharField(max_length=200, required=False, allow_null=True, default=None)


class BulkPreview(Body):
    verb = serializers.CharField(max_length=40)
    ids = serializers.ListField(child=serializers.CharField(max_length=40), allow_null=True, default=None)
    filter = AnyJSON(required=False, allow_null=True, default=None)
    selection = serializers.CharField(allow_null=True, default=None)
    options = AnyJSON(required=False, default=dict)


class BulkStart(BulkPreview):
    confirm = serializers.CharField(max_length=100)
    reason = serializers.CharField(max_length=1000, allow_blank=True, default="")


class Invalidation(Reason):
    workflow = serializers.CharField(max_length=200, allow_null=True, default=None)
    node = serializers.CharField(max_length=200, allow_null=True, default=None)
    tag = serializers.CharField(max_length=200, allow_null=True, default=None)


class TriggerChange(Reason):
    workflow = serializers.CharField(max_length=200)
    event = serializers.CharField(max_length=200)
    enabled = serializers.BooleanField()
    owner = serializers.CharField(max_length=150, allow_null=True, default=None)


class OneState(Reason):
    key = serializers.CharField(max_length=128)
    workflow = serializers.CharField(max_length=200, allow_null=True, default=None)
    execution = serializers.UUIDField(allow_null=True, default=None)
    version = serializers.IntegerField(min_value=0, allow_null=True, default=None)


class SetState(OneState):
    value = AnyJSON(allow_null=True)
    ttl = AnyJSON(required=False, allow_null=True, default=None)


class Credentials(Body):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=4096, trim_whitespace=False)
    otp = serializers.CharField(max_length=100, required=False, allow_null=True, default=None)
