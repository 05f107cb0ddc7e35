"""`manage.py rotate_secrets`"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from security import audit
from security.principals import Principal
from security.secrets import rotation
from security.secrets.errors import SecretError


class Command(BaseCommand):
    """Re-encrypts what is not yet under the first key; may be stopped at any moment and started again."""

    help = "Re-encrypt all secrets under the first of IGON7_SECRET_KEYS."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch", type=int, default=rotation.BATCH, help="versions of one commit")

    def handle(self, *args: Any, batch: int, **options: Any) -> None:
        done = 0
        try:
            left = rotation.left()
            for count in rotation.rotate(max(1, batch)):
                done += count
                self.stdout.write(f"{done} of {left}")
        except SecretError as error:
            raise CommandError(
                f"{error} {done} versions were re-encrypted before; put its key back."
            ) from None
        audit.record(Principal.for_shell(), "secret.rotate", details={"versions": done})
        self.stdout.write(f"All secrets are under the first key; {done} versions were re-encrypted.")
