"""A workflow's input: JSON, within the limit, and fitting the workflow's JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from .engine.codec import canonical, dump_payload
from .engine.errors import GraphError, InvalidInput
from .engine.graph import Graph
from .engine.shipped import APPROVAL

MOST_ERRORS = 20


def check(workflow: str, schema: Mapping[str, Any] | None, value: Any) -> str:
    """Return the input as JSON text; None stands for an empty object.

    Raises InvalidInput (its `errors` are [{"path": JSON pointer, "message"}]), PayloadTooLarge, NotSerialisable.
    """
    text = dump_payload(
        {} if value is None else value, f'The input of "{workflow}"', settings.IGON7_PAYLOAD_LIMIT
    )
    if schema is not None:
        _check_schema(workflow, _validator(workflow, canonical(schema)), json.loads(text))
    return text


def check_forms(graph: Graph) -> None:
    """Raise GraphError, naming the node, for a form of an approval that is no JSON Schema."""
    for node in graph.nodes.values():
        if node.body != f"task:{APPROVAL}" or not node.params.get("form"):
            continue
        try:
            Draft202012Validator.check_schema(node.params["form"])
        except SchemaError as error:
            raise GraphError(
                f'The form of node "{node.id}" of workflow "{graph.name}" is not a JSON Schema: {error.message}'
            ) from None


def _check_schema(workflow: str, validator: Draft202012Validator, value: Any) -> None:
    found = sorted(
        validator.iter_errors(value), key=lambda error: [str(part) for part in error.absolute_path]
    )
    if not found:
        return
    errors = [
        {"path": _pointer(error.absolute_path), "message": _message(error)} for error in found[:MOST_ERRORS]
    ]
    detail = "; ".join(f"{error['path'] or 'the whole input'}: {error['message']}" for error in errors[:5])
    more = f" (and {len(found) - 5} more)" if len(found) > 5 else ""
    raise InvalidInput(workflow=workflow, detail=detail + more, errors=errors)


def _message(error: Any) -> str:
    message = str(error.message)
    return message if len(message) <= 300 else message[:300] + "…"


def _pointer(path: Any) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


@lru_cache(maxsize=256)
def _validator(workflow: str, schema: str) -> Draft202012Validator:
    data = json.loads(schema)
    try:
        Draft202012Validator.check_schema(data)
    except SchemaError as error:
        raise GraphError(
            f'The input_schema of workflow "{workflow}" is not a JSON Schema: {error.message}'
        ) from None
    return Draft202012Validator(data)
