"""Endpoints below secrets/: what is known of secrets, and changing them. None gives a value."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from security.actions import CONSOLE_OPEN, SECRET_CHANGE
from security.policies import visible_to
from security.principals import Principal
from security.secret_models import Secret, SecretUse
from security.secrets import writing
from security.secrets.errors import SecretError

from . import query
from .base import Endpoint
from .bodies import Body


class Put(Body):
    value = serializers.CharField(write_only=True, trim_whitespace=False, max_length=64 * 1024)
    description = serializers.CharField(max_length=500, allow_blank=True, required=False)
    workflows = serializers.ListField(
        child=serializers.CharField(max_length=200), max_length=100, required=False
    )
    tags = serializers.ListField(child=serializers.CharField(max_length=200), max_length=100, required=False)
    rotate_days = serializers.IntegerField(min_value=1, max_value=36500, required=False)


class New(Put):
    name = serializers.CharField(max_length=100)


class Version(Body):
    number = serializers.IntegerField(min_value=1)


class Secrets(Endpoint):
    """The secrets that one may view; POST a new one."""

    required_actions = {"get": CONSOLE_OPEN, "post": SECRET_CHANGE}

    def get(self, request: Request) -> Response:
        query.only(request)
        return Response({"results": [_json(row) for row in _rows(self.principal)]})

    def post(self, request: Request) -> Response:
        query.only(request)
        given = self.body(New)
        if Secret.objects.filter(name=given["name"]).exists():
            raise ValidationError({"name": "There is a secret of this name; give it a new version."})
        return _put(self.principal, given.pop("name"), given)


class Named(Endpoint):
    """An endpoint below secrets/<name>/: its secret is found and authorised before the method runs."""

    def get_object(self) -> Secret:
        row: Secret | None = _rows(self.principal).filter(name=self.kwargs["name"]).first()
        if row is None:
            raise Http404
        self.check_object_permissions(self.request, row)
        return row


class OneSecret(Endpoint):
    """One secret."""

    required_actions = {"get": CONSOLE_OPEN}

    def get(self, request: Request, name: str) -> Response:
        query.only(request)
        row = _rows(self.principal).filter(name=name).first()
        if row is None:
            raise Http404
        return Response(_json(row))


class NewVersion(Named):
    """POST a value, which is read from now on."""

    required_actions = {"post": SECRET_CHANGE}

    def post(self, request: Request, name: str) -> Response:
        query.only(request)
        return _put(self.principal, self.get_object().name, self.body(Put))


class DisableVersion(Named):
    """POST a version's number, and the one before it is read from now on."""

    required_actions = {"post": SECRET_CHANGE}

    def post(self, request: Request, name: str) -> Response:
        query.only(request)
        try:
            writing.disable(self.principal, self.get_object(), self.body(Version)["number"])
        except SecretError as error:
            raise ValidationError({"number": str(error)}) from None
        return Response({"disabled": True})


class DeleteSecret(Named):
    """POST nothing, and the secret is there no more."""

    required_actions = {"post": SECRET_CHANGE}

    def post(self, request: Request, name: str) -> Response:
        query.only(request)
        writing.delete(self.principal, self.get_object())
        return Response({"deleted": True})


def _rows(principal: Principal) -> Any:
    return visible_to(principal, Secret.objects.prefetch_related("versions"))


def _put(principal: Principal, name: str, given: dict[str, Any]) -> Response:
    try:
        kept = writing.put(principal, name, **given)
    except SecretError as error:
        raise ValidationError({"value": str(error)}) from None
    return Response({"name": name, "version": kept.number}, status=201)


def _json(row: Secret) -> dict[str, Any]:
    current = row.current
    versions = [
        {
            "number": version.number,
            "created_at": version.created_at,
            "created_by": version.created_by,
            "disabled_at": version.disabled_at,
        }
        for version in row.versions.all()
    ]
    used = SecretUse.objects.filter(name=row.name).order_by("-last_at")
    return {
        "name": row.name,
        "description": row.description,
        "workflows": row.workflows,
        "tags": row.tags,
        "rotate_days": row.rotate_days,
        "overdue": row.is_overdue,
        "version": current.number if current else None,
        "versions": versions,
        "used_by": [{"workflow": use.workflow, "last_at": use.last_at} for use in used],
    }
