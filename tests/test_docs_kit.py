"""The tests that the pages show pass: each by itself, on a database without workers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from tests.test_docs import PAGES, TESTS, blocks, definitions, name_of

SHOWN = [page for page in PAGES if any(block.text.startswith(TESTS) for block in blocks(page, "python"))]


def _tests() -> list[object]:
    found: list[object] = []
    for page in SHOWN:
        module = ModuleType(f"tests_of_{page.stem}")
        sys.modules[module.__name__] = module
        shown = [block for block in blocks(page, "python") if block.text.startswith(TESTS)]
        code = definitions(page) + "".join(block.text for block in shown)
        exec(compile(code, str(page), "exec"), vars(module))  # noqa: S102 - the page's own code
        found += [
            pytest.param(test, id=f"{name_of(page)}-{name}")
            for name, test in vars(module).items()
            if name.startswith("test_")
        ]
    return found


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("shown", _tests())
def test_what_a_page_shows_as_a_test_passes(shown: Callable[[], None]) -> None:
    shown()
