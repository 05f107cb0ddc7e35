"""What `grant` and `revoke` take: which permission, on what, and whose."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from orchestration.queries.access import PERMISSIONS


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("permission", metavar="PERMISSION", choices=PERMISSIONS, help=", ".join(PERMISSIONS))
    on = parser.add_mutually_exclusive_group(required=True)
    on.add_argument("--workflow", metavar="NAME", help="on this workflow")
    on.add_argument("--tag", help="on every workflow that carries the tag, now or later")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--person", metavar="NAME", help="of this person")
    whose.add_argument("--role", metavar="NAME", help="of this role's members")
    parser.add_argument("--reason", default="", help="kept in the audit")


def given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("workflow", "tag", "person", "role", "reason")}
