"""Write the audit as lines of JSON."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from security import audit
from security.archive import export
from security.models import AuditRecord
from security.principals import Principal


class Command(BaseCommand):
    help = "Write the audit to standard output, a line of JSON for each record, the oldest first."

    def handle(self, *args: Any, **options: Any) -> None:
        audit.record(Principal.for_shell(), "audit.export")
        for line in export(AuditRecord.objects.order_by("id")):
            self.stdout.write(line, ending="")
