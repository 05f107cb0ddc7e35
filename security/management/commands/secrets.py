"""`manage.py secrets`"""

import getpass
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from security.principals import Principal
from security.secret_models import Secret, SecretUse
from security.secrets import backends, writing
from security.secrets.errors import SecretError


class Command(BaseCommand):
    """Lists and changes secrets. A value comes from the terminal or stdin, and is never shown."""

    help = "List, set, disable and delete secrets."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="names, versions and use; never values")
        put = verbs.add_parser("set", help="keep a new version; the value is read from the terminal or stdin")
        put.add_argument("name")
        put.add_argument("--description")
        put.add_argument("--workflow", action="append", dest="workflows", help="limit it to this workflow")
        put.add_argument("--tag", action="append", dest="tags", help="limit it to workflows with this tag")
        put.add_argument("--rotate-days", type=int, help="days after which it is overdue")
        disable = verbs.add_parser("disable", help="disable one version")
        disable.add_argument("name")
        disable.add_argument("number", type=int)
        verbs.add_parser("delete", help="delete a secret").add_argument("name")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        try:
            getattr(self, f"_{verb}")(options)
        except SecretError as error:
            raise CommandError(str(error)) from None

    def _list(self, options: dict[str, Any]) -> None:
        used = {use.name: use for use in SecretUse.objects.order_by("last_at")}
        known = {row.name: row for row in Secret.objects.prefetch_related("versions")}
        elsewhere = {name for backend in backends.backends() for name in backend.names()}
        for name in sorted(known.keys() | elsewhere):
            row, use = known.get(name), used.get(name)
            current = row.current if row is not None else None
            version = f"version {current.number}" if current else "in another backend, or disabled"
            last = f"used {use.last_at:%Y-%m-%d %H:%M} by {use.workflow}" if use else "never used"
            overdue = ", overdue" if row is not None and row.is_overdue else ""
            self.stdout.write(f"{name}: {version}, {last}{overdue}")

    def _set(self, options: dict[str, Any]) -> None:
        names = ("description", "workflows", "tags", "rotate_days")
        given = {name: options[name] for name in names}
        version = writing.put(Principal.for_shell(), options["name"], _value(), **given)
        self.stdout.write(f"{options['name']}: version {version.number} is kept.")

    def _disable(self, options: dict[str, Any]) -> None:
        writing.disable(Principal.for_shell(), _row(options["name"]), options["number"])
        self.stdout.write(f"{options['name']}: version {options['number']} is disabled.")

    def _delete(self, options: dict[str, Any]) -> None:
        writing.delete(Principal.for_shell(), _row(options["name"]))
        self.stdout.write(f"{options['name']} is deleted.")


def _row(name: str) -> Secret:
    row = Secret.objects.filter(name=name).first()
    if row is None:
        raise SecretError(f"There is no secret “{name}”.")
    return row


def _value() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("Value: ")
    return sys.stdin.read().removesuffix("\n")
