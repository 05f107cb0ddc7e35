"""All checks of the project, or with arguments the tests that they name."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand

from igon7site.setup.postgres import FAST, NoPostgres, private_postgres
from igon7site.setup.steps import Steps

_USAGE = """\
manage.py test                  lint, types, layers, migrations, deployment checks, and every test on
                                SQLite and PostgreSQL, with the coverage of the engine and the store
manage.py test ARGS…            pytest alone, with these arguments, on SQLite
manage.py test --postgres ARGS… the same on PostgreSQL

PostgreSQL is TEST_DATABASE_URL, or else a private server made for the run."""


class Command(BaseCommand):
    help = _USAGE
    requires_system_checks = []

    def run_from_argv(self, argv: list[str]) -> None:
        """Take the command line as it is: its options are pytest's, which argparse would refuse."""
        arguments = argv[2:]
        if arguments[:1] in (["--help"], ["-h"]):
            self.stdout.write(_USAGE)
            return
        os.chdir(settings.BASE_DIR)
        with tempfile.TemporaryDirectory(prefix="igon7-test-") as scratch:
            steps = Steps(self._say)
            environment = _environment(Path(scratch))
            if arguments:
                self._some(steps, arguments, environment)
            else:
                _all(steps, environment)
                self._say(steps.summary())
        if steps.failed:
            sys.exit(1)

    def _some(self, steps: Steps, arguments: list[str], environment: dict[str, str]) -> None:
        if arguments[0] != "--postgres":
            steps.run("pytest", [*_PYTEST, *arguments], environment)
            return
        with _on_postgres(steps, environment) as theirs:
            if theirs is None:
                sys.exit(1)
            steps.run("pytest on PostgreSQL", [*_PYTEST, *arguments[1:]], theirs)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


_PYTHON = [sys.executable, "-m"]
_MANAGE = [sys.executable, "manage.py"]
_PYTEST = [*_PYTHON, "pytest"]
_COVERED = [*_PYTHON, "coverage", "run", "-m", "pytest"]
_DEPLOYED = {"IGON7_ALLOWED_HOSTS": "igon7.example.org", "IGON7_DEBUG": "0"}


def _environment(scratch: Path) -> dict[str, str]:
    """Return what keeps a run to itself: nothing of this installation's configuration, database or files."""
    own = {name: "" for name in os.environ if name.startswith("IGON7_") and name != "IGON7_NO_VENV"}
    return {
        **own,
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "IGON7_ENV_FILE": os.devnull,
        "IGON7_VAR": str(scratch / "var"),
        "COVERAGE_FILE": str(scratch / "coverage"),
    }


def _all(steps: Steps, environment: dict[str, str]) -> None:
    tools = Path(sys.executable).parent
    for title, command, more in (
        ("ruff check", [*_PYTHON, "ruff", "check"], {}),
        ("ruff format", [*_PYTHON, "ruff", "format", "--check"], {}),
        ("mypy", [*_PYTHON, "mypy"], {}),
        ("import layers", [str(tools / "lint-imports")], {}),
        ("migrations", [*_MANAGE, "makemigrations", "--check", "--dry-run"], {}),
        ("check --deploy", [*_MANAGE, "check", "--deploy", "--fail-level", "WARNING"], _DEPLOYED),
        ("pytest on SQLite", _COVERED, {}),
    ):
        steps.run(title, command, {**environment, **more})
    with _on_postgres(steps, environment) as theirs:
        if theirs is not None:
            # A browser sees the same pages on either database: those tests run once, above.
            steps.run("pytest on PostgreSQL", [*_COVERED, "-m", "not e2e"], theirs)
    steps.run("coverage, combined", [*_PYTHON, "coverage", "combine", "--quiet"], environment)
    steps.run("coverage of engine and store", [*_PYTHON, "coverage", "report"], environment)


@contextmanager
def _on_postgres(steps: Steps, environment: dict[str, str]) -> Iterator[dict[str, str] | None]:
    """Yield the environment of a run on PostgreSQL, or None after saying why there is none."""
    with ExitStack() as stack:
        try:
            url = os.environ.get("TEST_DATABASE_URL") or stack.enter_context(private_postgres(**FAST))
        except NoPostgres as error:
            steps.skip("PostgreSQL", str(error))
            yield None
        else:
            yield {**environment, "DATABASE_URL": url}
