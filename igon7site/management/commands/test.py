"""All checks of the project, or with arguments the tests that they name."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand

from igon7site.setup.postgres import FAST, NoPostgres, private_postgres
from igon7site.setup.steps import Step, Steps

_USAGE = """\
manage.py test                  lint, types, layers, migrations, deployment checks, and every test on
                                SQLite and PostgreSQL beside each other, those that hold a bound of
                                time alone, with the coverage of the engine and the store
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
            steps.attach(Step("pytest", [*_PYTEST, *arguments], environment))
            return
        with _on_postgres(steps, environment) as theirs:
            if theirs is None:
                sys.exit(1)
            steps.attach(Step("pytest on PostgreSQL", [*_PYTEST, *arguments[1:]], theirs))

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


_PYTHON = [sys.executable, "-m"]
_MANAGE = [sys.executable, "manage.py"]
_PYTEST = [*_PYTHON, "pytest"]
_DEPLOYED = {"IGON7_ALLOWED_HOSTS": "igon7.example.org", "IGON7_DEBUG": "0"}


@dataclass(frozen=True)
class Part:
    """Some of the tests, as pytest's arguments choose them; `covered` counts lines of the engine and the store."""

    title: str
    choice: tuple[str, ...]
    covered: bool = False

    def on(self, database: str, environment: dict[str, str]) -> Step:
        """Return the step that runs this part in an environment which names the database."""
        runner = [*_PYTHON, "coverage", "run", "-m", "pytest"] if self.covered else _PYTEST
        # Parts run beside each other, and would write over each other's notes of what has failed.
        command = [*runner, "-p", "no:cacheprovider", *self.choice]
        return Step(f"{self.title}{' on ' if database else ''}{database}", command, environment)


# Every test is in one of these on SQLite; on PostgreSQL in EACH, ALONE_EACH or FAULTS, unless it cannot differ there.
_ENGINE = Part("tests of the engine", ("tests/engine", "-m", "not (once or e2e or alone)"), covered=True)
_ONCE = Part("tests that run once", ("-m", "(once or e2e) and not alone"))
_EACH = Part("tests", ("--ignore=tests/engine", "-m", "not (once or e2e or alone)"), covered=True)
_ALONE = Part("tests that run alone", ("-m", "alone and (once or e2e or not faults)"))
_ALONE_EACH = Part("tests that run alone", ("-m", "alone and not (faults or once or e2e)"))
_FAULTS = Part("tests with faults", ("-m", "faults and alone and not (once or e2e)"))


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
    once = [_ENGINE.on("", environment), _ONCE.on("", environment)]
    with _on_postgres(steps, environment) as theirs:
        lanes = [[*_checks(environment), *once], [_EACH.on("SQLite", environment)]]
        alone = [_ALONE.on("SQLite", environment)]
        faults = [_FAULTS.on("SQLite", environment)]  # they hold bounds of time, too
        if theirs is not None:
            lanes.append([_EACH.on("PostgreSQL", theirs)])
            alone.append(_ALONE_EACH.on("PostgreSQL", theirs))
            faults.append(_FAULTS.on("PostgreSQL", theirs))
        _beside(steps, lanes)
        steps.run([*alone, *faults])
    steps.run(
        [
            Step("coverage, combined", [*_PYTHON, "coverage", "combine", "--quiet"], environment),
            Step("coverage of engine and store", [*_PYTHON, "coverage", "report"], environment),
        ]
    )


def _beside(steps: Steps, lanes: list[list[Step]]) -> None:
    """Run lanes beside each other, where there are cores for it."""
    if _cores() > 1:
        steps.run(*lanes)
    else:
        steps.run(chain(*lanes))


def _checks(environment: dict[str, str]) -> list[Step]:
    tools = Path(sys.executable).parent
    deployed = {**environment, **_DEPLOYED}
    return [
        Step("ruff check", [*_PYTHON, "ruff", "check"], environment),
        Step("ruff format", [*_PYTHON, "ruff", "format", "--check"], environment),
        Step("import layers", [str(tools / "lint-imports")], environment),
        Step("migrations", [*_MANAGE, "makemigrations", "--check", "--dry-run"], environment),
        Step("check --deploy", [*_MANAGE, "check", "--deploy", "--fail-level", "WARNING"], deployed),
        Step("mypy", [*_PYTHON, "mypy"], environment),
    ]


def _cores() -> int:
    """Return how many cores this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


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
