"""What comes from outside against its JSON Schema: an input, a signal's payload, the answers to a form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from .engine.builder import Workflow
from .engine.codec import canonical, dump_payload
from .engine.errors import GraphError, Igon7Error, InvalidAnswers, InvalidInput, InvalidSignal
from .engine.shipped import APPROVAL

MOST_ERRORS = 20
Schema = Mapping[str, Any]
Refuse = Callable[..., Igon7Error]


def check(workflow: str, schema: Schema | None, value: Any) -> str:
    """Return the input as JSON text; None stands for an empty object.

    Raises InvalidInput (its `errors` are [{"path": JSON pointer, "message"}]), PayloadTooLarge, NotSerialisable.
    """
    text = _text(f'The input of "{workflow}"', {} if value is None else value)
    if schema is not None:
        refuse = lambda **about: InvalidInput(workflow=workflow, **about)  # noqa: E731
        _check(_of_input(workflow), schema, text, refuse, "the whole input")
    return text


def check_signal(workflow: str, name: str, schema: Schema | None, payload: Any) -> str:
    """Return a signal's payload as JSON text. Raises InvalidSignal, PayloadTooLarge, NotSerialisable."""
    text = _text(f'The payload of signal "{name}"', payload)
    if schema is not None:
        refuse = lambda **about: InvalidSignal(name=name, workflow=workflow, **about)  # noqa: E731
        _check(_of_signal(workflow, name), schema, text, refuse, "the whole payload")
    return text


def check_answers(name: str, schema: Schema | None, answers: Any) -> str:
    """Return the answers to a form as JSON text. Raises InvalidAnswers, PayloadTooLarge, NotSerialisable."""
    text = _text(f'The answers to "{name}"', {} if answers is None else answers)
    if schema is not None:
        refuse = lambda **about: InvalidAnswers(name=name, **about)  # noqa: E731
        _check(_of_form(name), schema, text, refuse, "all of them")
    return text


def check_form(name: str, schema: Schema) -> None:
    """Raise GraphError unless the form is a JSON Schema."""
    _validator(_of_form(name), canonical(schema))


def check_schemas(workflow: Workflow) -> None:
    """Raise GraphError where a schema that the workflow declares is none."""
    if workflow.input_schema is not None:
        _validator(_of_input(workflow.name), canonical(workflow.input_schema))
    for name, schema in workflow.graph.signals.items():
        _validator(_of_signal(workflow.name, name), canonical(schema))
    for node in workflow.graph.nodes.values():
        if node.body == f"task:{APPROVAL}" and node.params.get("form"):
            form = f'The form of node "{node.id}" of workflow "{workflow.name}"'
            _validator(form, canonical(node.params["form"]))


def _of_form(name: str) -> str:
    return f'The form of "{name}"'


def _of_input(workflow: str) -> str:
    return f'The input_schema of workflow "{workflow}"'


def _of_signal(workflow: str, name: str) -> str:
    return f'The schema of signal "{name}" of workflow "{workflow}"'


def _text(what: str, value: Any) -> str:
    return dump_payload(value, what, settings.IGON7_PAYLOAD_LIMIT)


def _check(what: str, schema: Schema, text: str, refuse: Refuse, whole: str) -> None:
    found = sorted(
        _validator(what, canonical(schema)).iter_errors(json.loads(text)),
        key=lambda error: [str(part) for part in error.absolute_path],
    )
    if not found:
        return
    errors = [
        {"path": _pointer(error.absolute_path), "message": _message(error)} for error in found[:MOST_ERRORS]
    ]
    detail = "; ".join(f"{error['path'] or whole}: {error['message']}" for error in errors[:5])
    more = f" (and {len(found) - 5} more)" if len(found) > 5 else ""
    raise refuse(detail=detail + more, errors=errors)


def _message(error: Any) -> str:
    message = str(error.message)
    return message if len(message) <= 300 else message[:300] + "…"


def _pointer(path: Any) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


@lru_cache(maxsize=256)
def _validator(what: str, schema: str) -> Draft202012Validator:
    data = json.loads(schema)
    try:
        Draft202012Validator.check_schema(data)
    except SchemaError as error:
        raise GraphError(f"{what} is not a JSON Schema: {error.message}") from None
    return Draft202012Validator(data)
