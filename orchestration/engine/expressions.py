"""Outcome expressions: what must be true of a node's predecessors, as in "p.ok and (f.ok or f.failed)".

Python's parser reads them; nothing ever runs them. What is not known yet is neither true nor false (Kleene's logic), so
an expression may be true before every predecessor has ended, and once it is, it stays so.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from .errors import InvalidOption

OUTCOMES = ("ok", "failed", "skipped")
_ASKED = (*OUTCOMES, "done")
_EXPECTED = (
    'outcomes of predecessors joined by and, or, not: "read.ok and not check.failed"; each is a node with .ok, .failed,'
    " .skipped or .done, and a node whose id is no Python name stands in quotes: \"'read-all'.ok\""
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Whether a node has ended so; "done": however."""

    node: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Not:
    of: Expression


@dataclass(frozen=True, slots=True)
class All:
    of: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Any:
    of: tuple[Expression, ...]


Expression = Asked | Not | All | Any


@lru_cache(maxsize=1000)
def parse(text: str) -> Expression:
    """Return the expression. Raises InvalidOption, which says what one looks like."""
    try:
        return _read(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InvalidOption(option="join", value=text, expected=_EXPECTED) from None


def _read(tree: ast.expr) -> Expression:
    match tree:
        case ast.BoolOp(op=ast.And(), values=values):
            return All(tuple(map(_read, values)))
        case ast.BoolOp(values=values):
            return Any(tuple(map(_read, values)))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Not(_read(operand))
        case ast.Attribute(value=ast.Name(id=node) | ast.Constant(value=str(node)), attr=outcome):
            if outcome in _ASKED:
                return Asked(node, outcome)
    raise ValueError


def nodes_of(expression: Expression) -> Iterator[str]:
    """Yield the nodes that the expression asks for."""
    match expression:
        case Asked(node):
            yield node
        case Not(of):
            yield from nodes_of(of)
        case All(parts) | Any(parts):
            for part in parts:
                yield from nodes_of(part)


def truth(expression: Expression, outcomes: Mapping[str, str]) -> bool | None:
    """Say whether it is true; None while that depends on nodes that are not among the outcomes yet."""
    match expression:
        case Asked(node, asked):
            ended = outcomes.get(node)
            return None if ended is None else asked in (ended, "done")
        case Not(of):
            said = truth(of, outcomes)
            return None if said is None else not said
        case All(parts):
            return _all([truth(part, outcomes) for part in parts])
        case Any(parts):
            none = _all(
                [None if said is None else not said for said in (truth(part, outcomes) for part in parts)]
            )
            return None if none is None else not none


def _all(said: list[bool | None]) -> bool | None:
    if False in said:
        return False
    return None if None in said else True
