"""The tests that the pages show pass: each by itself, on a database without workers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.test_docs import PAGES, TESTS, blocks, definitions, name_of


def _shown(page: Path) -> str:
    return "".join(block.text for block in blocks(page, "python") if block.text.startswith(TESTS))


def _tests() -> Iterator[Any]:
    for page in PAGES:
        for statement in ast.parse(_shown(page)).body:
            if isinstance(statement, ast.FunctionDef) and statement.name.startswith("test_"):
                yield pytest.param(page, statement.name, id=f"{name_of(page)}-{statement.name}")


@cache
def _namespace(page: Path) -> dict[str, Any]:
    # Its name is that under which the page's workflows are discovered: a task belongs to one module.
    namespace = {"__name__": f"igon7_workflows_{page.stem.lower()}"}
    exec(compile(definitions(page) + _shown(page), str(page), "exec"), namespace)  # noqa: S102 - the page's own
    return namespace


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("page", "name"), list(_tests()))
def test_what_a_page_shows_as_a_test_passes(page: Path, name: str) -> None:
    _namespace(page)[name]()
