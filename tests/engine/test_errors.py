"""The error tree: every class has a code of its own and a sentence that its fields complete."""

from __future__ import annotations

import importlib
import pkgutil
import re
from string import Formatter

import pytest

from orchestration import engine
from orchestration.engine.errors import (
    DoNotRetry,
    GraphError,
    Igon7Error,
    InvalidOption,
    NodeLost,
    RetryAfter,
    UnknownResult,
)
from orchestration.engine.graph import suggest

for _found in pkgutil.iter_modules(engine.__path__):
    importlib.import_module(f"{engine.__name__}.{_found.name}")


def _tree(kind: type[Igon7Error]) -> list[type[Igon7Error]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _tree(child))]


KINDS = [kind for kind in _tree(Igon7Error) if kind.__module__.startswith("orchestration.engine.")]


def test_every_error_has_a_code_of_its_own_and_an_http_status():
    codes = [kind.code for kind in KINDS]
    assert len(KINDS) > 20
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)
    assert all(400 <= kind.status < 600 for kind in KINDS)
    assert all("code" in vars(kind) for kind in KINDS)


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not RetryAfter], ids=lambda kind: kind.__name__)
def test_every_docstring_is_one_sentence_that_the_fields_complete(kind):
    parsed = Formatter().parse(kind.__doc__ or "")
    fields = {name: 7.5 if spec else f"<{name}>" for _, name, spec, _ in parsed if name}
    error = kind(**fields)
    assert all(str(value) in str(error) for value in fields.values())
    assert "\n" not in str(error)
    assert "  " not in str(error)
    assert {name: getattr(error, name) for name in fields if name != "detail"} == {
        name: value for name, value in fields.items() if name != "detail"
    }


def test_braces_and_line_breaks_in_what_people_wrote_stay_as_they_are():
    assert str(GraphError("a {b} in\n  two lines")) == "a {b} in\n  two lines"
    assert str(InvalidOption(option="x", value="{y}", expected="{z}")) == "x is '{y}'; it must be {z}."


def test_a_subclass_that_says_nothing_of_itself_shows_its_detail():
    class DiskFull(DoNotRetry):
        pass

    assert str(DiskFull("no space left")) == "no space left"


def test_a_poison_node_reads_as_one_line():
    assert str(NodeLost(losses=4)).startswith("The worker that ran this node disappeared 4 times in a row; ")


def test_an_unknown_result_is_a_key_error_that_reads_well():
    error = UnknownResult(node="a", why="it was skipped.")
    assert isinstance(error, KeyError)
    assert str(error) == 'Node "a" has no result here: it was skipped.'


def test_retry_after_takes_every_kind_of_duration():
    assert RetryAfter("2m").delay == 120
    assert str(RetryAfter(1.5)) == "asked to be tried again in 1.5 s"
    assert str(RetryAfter(1, "busy")) == "busy"
    with pytest.raises(InvalidOption):
        RetryAfter(10**15)


def test_a_hint_where_there_is_nothing_to_choose_from_says_so():
    assert suggest("a", []) == "There is nothing to choose from."
