"""The documentation says what is true: its code runs, its commands parse, its links lead somewhere."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import global_settings, settings
from django.contrib.auth import get_user_model
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandError
from django.db import connection
from django.test import override_settings

from igon7site.setup import address
from igon7site.setup.processes import kill_group, start
from orchestration import CachePolicy, RetryPolicy, WorkflowBuilder, registry
from orchestration.engine import errors
from orchestration.runner.context import AsyncContext, Context
from tests.cluster import Cluster, cluster, transactional_db, wait_until  # noqa: F401 - a fixture
from tests.databases import url_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
_PROGRAM = "# manage.py shell"  # the first line of what is run, not discovered
TESTS = "# tests/"  # and of what is run by itself: see test_docs_kit
_OURS = ("igon7site", "orchestration", "monitoring", "security")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `line` is where its first line stands in the page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path, *languages: str) -> list[Block]:
    text = page.read_text()
    found = [Block(page, text.count("\n", 0, m.start(2)) + 1, m[1], m[2]) for m in _FENCE.finditer(text)]
    return [block for block in found if block.language in languages]


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text())


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


# --- Python ----------------------------------------------------------------------------------------

WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]


def definitions(page: Path) -> str:
    """Return the page's workflows as one module whose lines have the page's numbers."""
    lines: list[str] = []
    for block in blocks(page, "python"):
        if not block.text.startswith((_PROGRAM, TESTS)):
            lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as IGON7_WORKFLOWS names it, with a module of each page's workflows."""
    folder = tmp_path_factory.mktemp("flows")
    for page in WITH_PYTHON:
        (folder / f"{page.stem.lower()}.py").write_text(definitions(page))
    return folder


@pytest.fixture(scope="module")
def workers(
    transactional_db: None,  # noqa: F811 - the imported one
    flows: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """Two workers that know the workflows of the pages, as this process does."""
    before = set(registry.all())
    with override_settings(IGON7_WORKFLOWS=[str(flows)]):
        registry.discover(again=True)
        assert not registry.broken()
        with cluster(tmp_path_factory.mktemp("docs"), IGON7_WORKFLOWS=str(flows)) as made:
            yield made
            made.stop()
    for name in set(registry.all()) - before:
        registry.forget(name)


@pytest.fixture(scope="module")
def environment(workers: Cluster, flows: Path, apart: Path) -> dict[str, str]:
    """What a command needs to see the workers' database and workflows."""
    return {
        **os.environ,
        "DATABASE_URL": url_of(connection.settings_dict),
        "IGON7_VAR": str(apart),
        "IGON7_MEDIA": str(settings.MEDIA_ROOT),
        "IGON7_SECRET_KEY": settings.SECRET_KEY,
        "IGON7_SECRET_KEYS": ",".join(settings.IGON7_SECRET_KEYS),
        "IGON7_ENV_FILE": os.devnull,
        "IGON7_NO_VENV": "1",
        "IGON7_WORKFLOWS": str(flows),
    }


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_the_python_of_a_page_runs_from_top_to_bottom(page: Path, workers: Cluster) -> None:
    namespace = vars(sys.modules[f"igon7_workflows_{page.stem.lower()}"])
    for block in blocks(page, "python"):
        if block.text.startswith(_PROGRAM):
            padded = "\n" * (block.line - 1) + block.text
            exec(compile(padded, str(page), "exec"), namespace)  # noqa: S102 - the pages' own code


# --- commands --------------------------------------------------------------------------------------

_CHEAP = {"workflows", "executions", "run", "trace", "check"}  # run as they stand


def _shell_lines(block: Block) -> list[str]:
    """Return the block's commands, continuation lines joined."""
    text = block.text.replace("\\\n", " ")
    lines = (line.strip().removeprefix("$ ") for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _commands() -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield (where, assignments before it, words after it) of every manage.py in the pages."""
    for page in PAGES:
        for block in blocks(page, "bash", "console"):
            for line in _shell_lines(block):
                if "manage.py" in line:
                    words = shlex.split(line.split(" | ")[0].split(" > ")[0], comments=True)
                    at = next(n for n, word in enumerate(words) if word.endswith("manage.py"))
                    yield block.where, [word for word in words[:at] if "=" in word], words[at + 1 :]


COMMANDS = [
    pytest.param(given, words, id=f"{where} {' '.join(words)}"[:90]) for where, given, words in _commands()
]


@pytest.mark.parametrize(("given", "words"), COMMANDS)
def test_every_command_in_the_pages_is_one_that_exists_with_such_options(
    given: list[str], words: list[str]
) -> None:
    assert {word.split("=")[0] for word in given} <= set(_variables_read())
    name, *arguments = words
    if name == "test":
        return  # its arguments are pytest's
    command = load_command_class(get_commands()[name], name)
    parser = command.create_parser("manage.py", name)
    parser.error = lambda message: pytest.fail(f"{words}: {message}")  # type: ignore[method-assign]
    try:
        parser.parse_args(arguments)
    except CommandError as error:
        pytest.fail(f"{words}: {error}")


RUNNABLE = [param for param in COMMANDS if param.values[1][0] in _CHEAP]  # type: ignore[index]


@pytest.mark.parametrize(("given", "words"), RUNNABLE)
def test_the_commands_that_start_list_and_check_do_so(
    given: list[str], words: list[str], environment: dict[str, str]
) -> None:
    chosen = dict(word.split("=", 1) for word in given)
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT, env=environment | chosen, text=True, capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WARNINGS" not in done.stderr


def test_every_command_of_ours_is_described() -> None:
    described = set(re.findall(r"^\| `(\w+)", (ROOT / "docs/operating.md").read_text(), re.MULTILINE))
    ours = {
        name for name, app in get_commands().items() if isinstance(app, str) and app.split(".")[0] in _OURS
    }
    assert ours <= described


# --- curl ------------------------------------------------------------------------------------------

WITH_CURL = [page for page in PAGES if any("curl " in block.text for block in blocks(page, "bash"))]
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[str]:
    """The address of a web server on the same database, with the administrator "admin"."""
    with override_settings(PASSWORD_HASHERS=global_settings.PASSWORD_HASHERS):  # as the server has them
        get_user_model().objects.create_superuser("admin", password=PASSWORD)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    child = start([sys.executable, "manage.py", "web", "--port", str(port)], environment, cwd=ROOT)
    try:
        wait_until(
            lambda: address.answers("127.0.0.1", port, "/login/", "localhost"), 60, "the server answers"
        )
        yield f"http://127.0.0.1:{port}"
    finally:
        kill_group(child)


@pytest.mark.parametrize("page", WITH_CURL, ids=name_of)
def test_the_requests_of_a_page_are_answered_as_it_says(page: Path, server: str, tmp_path: Path) -> None:
    """A page's shell blocks run as one script: what one sets, the next may use."""
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("needs curl and bash")
    script = "\n".join(block.text for block in blocks(page, "bash") if "manage.py" not in block.text)
    who = {"IGON7": server, "IGON7_USER": "admin", "IGON7_PASSWORD": PASSWORD}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("http://127.0.0.1:8000", server)],
        cwd=tmp_path, env={**os.environ, **who}, text=True, capture_output=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


# --- links and lists -------------------------------------------------------------------------------


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{name_of(page)} links to {target}"
        assert ROOT in [found, *found.parents], f"{name_of(page)} links to {target}, outside of the project"
        assert not anchor or anchor in _anchors(found), f"{name_of(page)} links to {target}"


def test_pictures_are_small() -> None:
    for picture in (ROOT / "docs/images").glob("*.png"):
        assert picture.stat().st_size < 300_000, picture


def _variables_read() -> list[str]:
    sources = [
        ROOT / "igon7site/settings.py",
        ROOT / "manage.py",
        ROOT / "igon7site/management/commands/test.py",
    ]
    reads = r'(?:env\.\w+|environ\.get)\(\s*"([A-Z][A-Z0-9_]+)"'
    return sorted({name for path in sources for name in re.findall(reads, path.read_text())})


def test_every_environment_variable_is_described_and_every_one_described_is_read() -> None:
    described = re.findall(
        r"^\| `([A-Z][A-Z0-9_]+)` \|", (ROOT / "docs/operating.md").read_text(), re.MULTILINE
    )
    assert sorted(described) == _variables_read()


def _texts(source: Path) -> Iterator[str]:
    """Yield the string literals of a module, "…" where a value goes in."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"%\(\w+\)[sd]|%[sd.0-9f]+|\{[^}]*\}", "…", node.value)


def test_every_message_that_is_explained_is_one_that_the_product_says() -> None:
    page = (ROOT / "docs/operating.md").read_text()
    explained = re.findall(r"^\| `([^`]+)` \|", page[page.index("## Troubleshooting") :], re.MULTILINE)
    sources = [ROOT / "manage.py", *(path for app in _OURS for path in (ROOT / app).rglob("*.py"))]
    said = "\n".join(re.sub(r"[“”\"]", "", text) for path in sources for text in _texts(path))
    assert len(explained) > 10
    parts = {message: ".*".join(map(re.escape, message.split("…"))) for message in explained}
    assert [message for message, pattern in parts.items() if not re.search(pattern, said)] == []


def test_every_option_of_the_authoring_api_is_described() -> None:
    page = (ROOT / "docs/authoring.md").read_text()
    signatures: list[Callable[..., Any]] = [
        WorkflowBuilder,
        WorkflowBuilder.add_node,
        RetryPolicy,
        CachePolicy,
    ]
    named = {
        name for function in signatures for name in inspect.signature(function).parameters if name != "self"
    }
    assert {name for name in named if f"| `{name}` |" not in page} == set()


def test_everything_a_body_can_ask_of_ctx_is_described() -> None:
    page = (ROOT / "docs/authoring.md").read_text()
    instance = re.findall(r"self\.([a-z]\w+)\b[^=(]*=", inspect.getsource(Context.__init__))
    public = {name for kind in (Context, AsyncContext) for name in vars(kind) if not name.startswith("_")}
    assert {name for name in public | set(instance) if not re.search(rf"`ctx\.{name}\b", page)} == set()


def test_every_error_code_of_the_engine_is_described() -> None:
    page = (ROOT / "docs/authoring.md").read_text()
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.Igon7Error)
    ]
    assert {
        kind.code for kind in kinds if kind is not errors.Igon7Error and f"`{kind.code}`" not in page
    } == set()


def test_every_app_of_ours_has_its_place_in_the_architecture() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    ours = {config.name.split(".")[0] for config in apps.get_app_configs()} & set(_OURS)
    modules = {path.stem for path in (ROOT / "orchestration/engine").glob("[!_]*.py")}
    assert ours == set(_OURS)
    assert {name for name in modules if f"{name}.py" not in page} == set()
