"""What docs/coming-from.md promises to those who know another system: a test for each row."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from orchestration import RetryPolicy, WorkflowBuilder
from orchestration.engine.graph import Graph
from orchestration.engine.retry import delay_after
from orchestration.engine.states import ExecutionStatus as E
from orchestration.engine.states import Outcome
from orchestration.engine.view import Key
from tests.engine.simulation import ERROR, Simulation

PAGE = Path(__file__).resolve().parents[2] / "docs/coming-from.md"
ENDS = ("success", "failed", "skipped")
TESTS: dict[tuple[str, str], Callable[[str], None]] = {}


def rows() -> dict[tuple[str, str], str]:
    """Return what stands on the right of each row, by its section and its left."""
    found, section = {}, ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith(("| there", "| ---")):
            there, here = (cell.strip() for cell in line.strip("|").split(" | ", 1))
            found[section, there] = here
    return found


Test = Callable[[str], None]


def row(section: str, there: str) -> Callable[[Test], Test]:
    """Note the test of a row; it is given the row's right."""

    def note(test: Test) -> Test:
        TESTS[section, there] = test
        return test

    return note


def test_every_row_has_its_test_and_every_test_its_row() -> None:
    assert set(TESTS) == set(rows())


@pytest.mark.parametrize("name", list(rows()), ids=" – ".join)
def test_the_row_is_true(name: tuple[str, str]) -> None:
    TESTS[name](rows()[name])


# --- Airflow ---------------------------------------------------------------------------------------

AIRFLOW, STEP, TEMPORAL = (
    "Airflow's trigger rules",
    "Step Functions: Retry and Catch",
    "Temporal's retry policy",
)


def body(ctx):
    """Do nothing."""


def join_of(here: str) -> str:
    found = re.search(r'join="([^"]+)"', here)
    assert found is not None, here
    return found[1]


def fate(join: str, a: str, b: str) -> str:
    """Return what becomes of a node behind two that end so."""
    builder = WorkflowBuilder("w")
    for name, ends in (("a", a), ("b", b)):
        builder.add_node(name, body, when=body if ends == "skipped" else None)
    simulation = Simulation(builder.add_node("c", body, depends_on=["a", "b"], join=join).build().graph)
    outcomes = {"success": Outcome.SUCCEEDED, "failed": Outcome.FAILED, "skipped": Outcome.SKIPPED}
    for name, ends in (("a", a), ("b", b)):
        simulation.claim(Key(name))
        simulation.settle(Key(name), outcomes[ends])
    return simulation.statuses()["c"]


# As airflow.ti_deps.deps.trigger_rule_dep (Airflow 3.1) decides once every upstream task is done.
RULES: dict[str, Callable[[list[str]], str]] = {
    "all_success": lambda e: (
        "runs" if e == ["success"] * 2 else "upstream_failed" if "failed" in e else "skipped"
    ),
    "all_failed": lambda e: "runs" if e == ["failed"] * 2 else "skipped",
    "all_done": lambda e: "runs",
    "all_skipped": lambda e: "runs" if e == ["skipped"] * 2 else "skipped",
    "one_success": lambda e: "runs" if "success" in e else "upstream_failed" if "failed" in e else "skipped",
    "one_failed": lambda e: "runs" if "failed" in e else "skipped",
    "one_done": lambda e: "runs" if {"success", "failed"} & set(e) else "skipped",
    "none_failed": lambda e: "upstream_failed" if "failed" in e else "runs",
    "none_failed_min_one_success": lambda e: (
        "upstream_failed" if "failed" in e else "runs" if "success" in e else "skipped"
    ),
    "none_skipped": lambda e: "skipped" if "skipped" in e else "runs",
}
# Where the page says that the node reads upstream failed, and there skipped.
DIFFER: dict[str, Callable[[list[str]], bool]] = {
    "all_skipped": lambda e: "failed" in e,
    "none_skipped": lambda e: {"failed", "skipped"} <= set(e),
}


def trigger_rule(rule: str) -> Callable[[str], None]:
    def check(here: str) -> None:
        for ends in product(ENDS, repeat=2):
            there, mine = RULES[rule](list(ends)), fate(join_of(here), *ends)
            if rule in DIFFER and DIFFER[rule](list(ends)):
                assert (there, mine) == ("skipped", "upstream_failed"), ends
                assert "reads upstream failed and not skipped" in here
            else:
                assert mine == ("ready" if there == "runs" else there), ends

    return check


for _rule in RULES:
    row(AIRFLOW, f"`{_rule}`")(trigger_rule(_rule))


@row(AIRFLOW, "`always`")
def always(here: str) -> None:
    simulation = Simulation(WorkflowBuilder("w").add_node("a", body).add_node("b", body).build().graph)
    assert simulation.statuses() == {"a": "ready", "b": "ready"}


@row(AIRFLOW, "`AirflowSkipException`")
def skips(here: str) -> None:
    assert fate("none_failed", "skipped", "success") == "ready"


@row(AIRFLOW, "`AirflowFailException`")
@row(TEMPORAL, "`ApplicationError(non_retryable=True)`")
def gives_up(here: str) -> None:
    assert "DoNotRetry" in here
    assert delay_after(RetryPolicy(max_attempts=9), 1, (), False, 1.0) is None


@row(AIRFLOW, "`retries=3`")
@row(STEP, "`MaxAttempts: 3`")
def first_try_counts(here: str) -> None:
    assert "max_attempts=4" in here
    assert delays(RetryPolicy(max_attempts=4, initial_interval=1, strategy="fixed")) == [1, 1, 1]


@row(AIRFLOW, "`retry_delay`, `retry_exponential_backoff`, `max_retry_delay`")
def airflow_delays(here: str) -> None:
    assert delays(RetryPolicy(max_attempts=5, initial_interval=300, max_interval=1000)) == [
        300,
        600,
        1000,
        1000,
    ]
    assert delays(
        RetryPolicy(max_attempts=3, initial_interval="5m", strategy="fixed", max_interval="1h")
    ) == [300, 300]


def delays(policy: RetryPolicy, types: tuple[str, ...] = ("ValueError",), jitter: float = 1.0) -> list[float]:
    found = (
        delay_after(policy, attempt, types, None, jitter) for attempt in range(1, policy.max_attempts + 1)
    )
    return [delay for delay in found if delay is not None]


# --- Step Functions --------------------------------------------------------------------------------


@row(STEP, "`IntervalSeconds`")
@row(STEP, "`BackoffRate`")
@row(STEP, "`MaxDelaySeconds`")
@row(TEMPORAL, "`initial_interval`, `backoff_coefficient`")
def grows(here: str) -> None:
    policy = RetryPolicy(max_attempts=5, initial_interval=3, backoff_coefficient=2, max_interval=10)
    assert delays(policy) == [3, 6, 10, 10]


@row(STEP, "`JitterStrategy: FULL`")
def jitter(here: str) -> None:
    policy = RetryPolicy(max_attempts=3, initial_interval=4, jitter="full")
    assert delays(policy, jitter=0.25) == [1, 2]


@row(STEP, "`Retry` with `ErrorEquals`")
def retries_some(here: str) -> None:
    policy = RetryPolicy(max_attempts=2, initial_interval=1, retry_on=[OSError])
    assert delays(policy, ("ConnectionError", "OSError")) == [1]
    assert delays(policy, ("ValueError",)) == []


NETWORK = {**ERROR, "type": "ConnectionError", "types": ["ConnectionError", "OSError", "Exception"]}


def caught(error: dict, *catchers: tuple[str, list[type]]) -> str | None:
    """Return which boundary is called for a node that fails with the error."""
    builder = WorkflowBuilder("w").add_node("a", body)
    for name, types in catchers:
        builder.add_node(name, body, on_error=True, for_nodes=["a"], error_types=types)
    simulation = Simulation(builder.build().graph)
    simulation.claim(Key("a"))
    simulation.settle(Key("a"), Outcome.FAILED, error=error)
    called = [key.node for key in simulation.view.rows if key.for_node == "a"]
    for node in called:
        simulation.claim(Key(node, for_node="a"))
        simulation.settle(Key(node, for_node="a"), Outcome.SUCCEEDED, result='"caught"')
        assert simulation.view.rows[Key("a")].result == '"caught"'
    return called[0] if called else None


@row(STEP, "`Catch` with `ErrorEquals` and `Next`")
def catches_some(here: str) -> None:
    assert caught(NETWORK, ("net", [OSError])) == "net"
    assert caught(ERROR, ("net", [OSError])) is None


@row(STEP, "`Catch` with `States.ALL`")
def catches_all(here: str) -> None:
    assert caught(ERROR, ("any", [])) == "any"


@row(STEP, "several catchers")
def first_that_fits(here: str) -> None:
    assert caught(NETWORK, ("values", [ValueError]), ("net", [OSError]), ("any", [])) == "net"


@row(STEP, "`Fail` at once, other branches stopped")
def fails_fast(here: str) -> None:
    builder = WorkflowBuilder("w", on_failure="fail_fast").add_node("a", body).add_node("b", body)
    simulation = Simulation(builder.build().graph)
    simulation.claim(Key("a"))
    simulation.settle(Key("a"), Outcome.FAILED)
    assert (simulation.status(), simulation.statuses()) == (E.FAILED, {"a": "failed", "b": "cancelled"})


# --- Temporal --------------------------------------------------------------------------------------


@row(TEMPORAL, "`maximum_interval`")
def default_cap(here: str) -> None:
    assert max(delays(RetryPolicy(max_attempts=20))) == 60


@row(TEMPORAL, "`maximum_attempts`")
def counts_all(here: str) -> None:
    assert len(delays(RetryPolicy(max_attempts=3))) == 2
    assert delay_after(RetryPolicy(max_attempts=1_000_000), 5000, (), None, 1.0) == 60


@row(TEMPORAL, "`non_retryable_error_types`")
def never_retries_some(here: str) -> None:
    policy = RetryPolicy(max_attempts=2, do_not_retry=[OSError])
    assert delays(policy, ("ConnectionError", "OSError")) == []
    assert delays(policy, ("ValueError",)) == [1]


@row(TEMPORAL, "`ApplicationError(next_retry_delay=…)`")
def asks_for_a_delay(here: str) -> None:
    assert "RetryAfter" in here
    assert delay_after(RetryPolicy(max_attempts=2), 1, (), 30.0, 1.0) == 30


@row(TEMPORAL, "`start_to_close_timeout`")
def one_attempt(here: str) -> None:
    graph: Graph = WorkflowBuilder("w").add_node("a", body, timeout="1m").build().graph
    assert graph.nodes["a"].timeout == 60


@row(TEMPORAL, "no retry policy")
def fails_at_once(here: str) -> None:
    assert delay_after(None, 1, (), None, 1.0) is None
