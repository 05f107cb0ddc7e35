"""What igon7's commands have in common: who acts, where to write, how to fail."""

from __future__ import annotations

import json
import os
import sys
import uuid
from typing import IO, Any, NoReturn, cast

from django.core.management.base import BaseCommand, OutputWrapper
from django.db import DatabaseError
from django.utils.translation import gettext as _
from rich.console import Console
from rich.table import Table

from orchestration import queries
from orchestration.engine.errors import Igon7Error, InvalidOption
from orchestration.models import Execution
from security.errors import Denied
from security.principals import Principal

from .text import clean

OK, FAILED, USAGE, CANCELLED, INTERRUPTED = 0, 1, 2, 3, 130
_SHOWN = 5


class Command(BaseCommand):
    """A command that ends with an exit code, and with one sentence on stderr when it is refused."""

    requires_system_checks = []  # the servers' start runs them; here they would only be slow

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except (Igon7Error, Denied) as error:
            self.refuse(str(error))
        except DatabaseError as error:
            self.refuse(_database_sentence(error))
        except BrokenPipeError:  # whoever read our output has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(FAILED) from None
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None

    def refuse(self, sentence: str) -> NoReturn:
        """Write the sentence to stderr and end with USAGE."""
        self.stderr.write(clean(sentence))
        raise SystemExit(USAGE)

    @property
    def principal(self) -> Principal:
        return Principal.for_shell()

    def console(self) -> Console:
        return console(self.stdout)

    def write_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, ensure_ascii=False))


def console(out: OutputWrapper) -> Console:
    """Return a console on the command's output; where nobody looks on, no line is cut or wrapped."""
    out.ending = ""  # the console ends its lines itself
    tty = out.isatty()
    return Console(
        file=cast(IO[str], out),
        width=None if tty else 10_000,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not tty,
    )


def table(*columns: str) -> Table:
    found = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        found.add_column(name, overflow="fold")
    return found


def find(principal: Principal, text: str) -> Execution:
    """Return the execution of an id or its beginning. Raises InvalidOption or UnknownExecution."""
    digits = text.lower().replace("-", "")
    if not 4 <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
        expected = _("an execution's id, or at least 4 characters of its beginning")
        raise InvalidOption(option="ID", value=text, expected=expected)
    if len(digits) == 32:
        return queries.execution(principal, uuid.UUID(digits))
    span = (uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f")))
    found = list(queries.executions(principal).filter(id__range=span)[: _SHOWN + 1])
    if len(found) > 1:
        several = ", ".join(str(each.id) for each in found[:_SHOWN]) + (" …" if len(found) > _SHOWN else "")
        raise InvalidOption(option="ID", value=text, expected=_("longer: it begins %s") % several)
    return found[0] if found else queries.execution(principal, text)


def _database_sentence(error: DatabaseError) -> str:
    text = str(error).strip().splitlines()[0]
    if "no such table" in text or "does not exist" in text:
        return _("The database has no tables of igon7 yet. Make them: python3 manage.py up (or migrate).")
    return _("The database cannot be used: %s") % text
