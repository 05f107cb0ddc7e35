"""What `start` and its kin take and refuse. No worker runs here: a refusal must leave nothing behind."""

import json
import os
import subprocess
import sys
import uuid
from typing import Any

import pytest

from orchestration import WorkflowBuilder, executor
from orchestration.engine.errors import (
    IdempotencyConflict,
    InvalidInput,
    InvalidOption,
    NotSerialisable,
    PayloadTooLarge,
    UnknownExecution,
    UnknownTask,
    UnknownWorkflow,
)
from orchestration.models import Execution, ExecutionEvent, NodeRun, WorkflowVersion
from security.errors import Denied
from security.models import AuditRecord
from security.principals import Principal
from tests.cluster import (
    ME,
    ROOT,
    begin,
    check_log,
    events,
    statuses,
    transactional_db,  # noqa: F401 - a fixture
)

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.fixture
def nothing_made():
    """Fail when the test leaves any row of state behind."""
    kinds = (Execution, NodeRun, ExecutionEvent, WorkflowVersion)
    before = [kind.objects.count() for kind in kinds]
    yield
    assert [kind.objects.count() for kind in kinds] == before


def test_starting_writes_the_first_events_the_roots_and_an_audit_row():
    id = begin("t-diamond", {"a": 1}, tags=["nightly"], priority=2, labels={"team": "data"})
    execution = Execution.objects.get(pk=id)
    assert (execution.status, execution.input, execution.priority) == ("running", {"a": 1}, 2)
    assert (execution.tags, execution.labels) == (["nightly"], {"team": "data"})
    assert statuses(id) == {"top": "ready"}
    assert [e["type"] for e in events(id)] == ["execution.started", "node.ready"]
    assert NodeRun.objects.get(execution=id).priority == 2
    record = AuditRecord.objects.get(resource_id=str(id))
    assert (record.action, record.details["version"]) == ("workflow.run", 1)
    check_log(id)


def test_an_input_over_the_limit_is_refused(nothing_made):
    with pytest.raises(
        PayloadTooLarge, match=r'The input of "t-chain" is 31457\d\d bytes; the limit is 2097152'
    ):
        begin("t-chain", {"text": "x" * (3 * 1024 * 1024)})


def test_an_input_that_is_not_json_is_refused_where_it_is_not(nothing_made):
    with pytest.raises(NotSerialisable, match=r"rows\[1\]"):
        begin("t-chain", {"rows": [1, object()]})


def test_an_input_that_does_not_fit_the_schema_is_refused_with_pointers(nothing_made):
    with pytest.raises(InvalidInput) as refused:
        begin("t-schema", {"rows": [{"age/y": 3}, {"age/y": "old"}], "x": 1})
    paths = [error["path"] for error in refused.value.fields["errors"]]
    assert paths == ["", "/rows/1/age~1y"]
    assert "/rows/1/age~1y: 'old' is not of type 'integer'" in str(refused.value)
    with pytest.raises(InvalidInput, match="'rows' is a required property"):
        begin("t-schema")


def test_an_unknown_workflow_is_refused_with_a_hint(nothing_made):
    with pytest.raises(UnknownWorkflow, match=r'There is no workflow "t-diamnd".*"t-diamond"'):
        begin("t-diamnd")


def test_an_unknown_task_is_refused_with_a_hint(nothing_made):
    made = WorkflowBuilder("t-made").add_node("a", "t.nip").build()
    with pytest.raises(UnknownTask, match=r'Node "a" of workflow "t-made" needs the task "t\.nip".*t\.nap'):
        begin(made)


def test_a_function_of_this_process_alone_is_refused_in_a_graph_made_at_run_time(nothing_made):
    made = WorkflowBuilder("t-made").add_node("a", lambda ctx: None).build()
    with pytest.raises(UnknownTask, match="decorate the function with @task"):
        begin(made)


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 0},
        {"priority": True},
        {"tags": [""]},
        {"tags": [3]},
        {"idempotency_key": "k" * 201},
        {"idempotency_key": 7},
        {"labels": {"a": 1}},
    ],
    ids=str,
)
def test_a_bad_option_is_refused(nothing_made, options):
    with pytest.raises(InvalidOption):
        begin("t-chain", **options)


def test_nobody_may_start_before_logging_in(nothing_made):
    with pytest.raises(Denied) as denied:
        executor.start("t-chain", principal=Principal.anonymous())
    assert denied.value.code == "login_required"


def test_an_idempotency_key_gives_the_execution_that_has_it():
    id = begin("t-chain", {"a": 1, "b": 2}, idempotency_key="order-1")
    assert begin("t-chain", {"b": 2, "a": 1}, idempotency_key="order-1") == id
    assert begin("t-diamond", idempotency_key="order-1") != id
    again = executor.start_or_get("t-chain", {"a": 1, "b": 2}, principal=ME, idempotency_key="order-1")
    assert (again.id, again.existed) == (id, True)
    assert AuditRecord.objects.filter(resource_id=str(id)).count() == 1


def test_an_idempotency_key_with_another_input_is_refused_naming_the_execution():
    id = begin("t-chain", {"a": 1}, idempotency_key="order-2")
    before = Execution.objects.count()
    with pytest.raises(IdempotencyConflict, match=str(id)):
        begin("t-chain", {"a": 2}, idempotency_key="order-2")
    assert Execution.objects.count() == before


RACE = """
import os, sys, django
django.setup()
from orchestration import executor
from security.principals import Principal
sys.stdout.write("ready\\n"); sys.stdout.flush()
sys.stdin.readline()
for n in range(20):
    print(executor.start("t-chain", {"n": n}, principal=Principal.system("race"), idempotency_key=f"race-{n}"))
"""


def test_processes_that_race_with_the_same_keys_get_the_same_executions(child):
    before = Execution.objects.count()
    racers = [child("-c", RACE) for _ in range(3)]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate(timeout=60)[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert len(said[0]) == 20
    assert said[0] == said[1] == said[2]
    assert Execution.objects.count() == before + 20


def test_many_executions_start_in_the_order_of_their_inputs():
    ids = executor.start_many("t-chain", [{"n": n} for n in range(1200)], principal=ME, tags=["many"])
    kept = dict(Execution.objects.filter(pk__in=ids).values_list("id", "input__n"))
    assert [kept[id] for id in ids] == list(range(1200))
    assert NodeRun.objects.filter(execution__in=ids, status="ready").count() == 1200
    for id in (ids[0], ids[-1]):
        check_log(id)


def test_one_bad_input_among_many_starts_none(nothing_made):
    with pytest.raises(InvalidInput, match="rows"):
        executor.start_many("t-schema", [{"rows": []}] * 3 + [{"rows": 3}], principal=ME)
    assert executor.start_many("t-schema", [], principal=ME) == []


def test_what_does_not_exist_cannot_be_acted_on():
    for id in (uuid.uuid4(), "not-an-id"):
        with pytest.raises(UnknownExecution, match=f"There is no execution {id}"):
            executor.cancel(id, principal=ME)


def test_a_reserved_signal_takes_a_reason_that_is_a_text():
    id = begin("t-chain")
    with pytest.raises(InvalidOption, match="payload"):
        executor.send_signal(id, "pause", {"reason": 7}, principal=ME)


BROKEN = "from orchestration import WorkflowBuilder\n\nbuilder = WorkflowBuilder('b'\n"
RAISES = "from orchestration import WorkflowBuilder as B\n\nB('c').add_node('a', print, depends_on=['z']).build()\n"
GOOD = "from orchestration import WorkflowBuilder\n\ngood = WorkflowBuilder('good').add_node('a', print).build()\n"
LIST = """
import json, django
django.setup()
from orchestration import registry
print(json.dumps([registry.broken(), list(registry.all())]))
"""


def test_a_broken_module_is_named_with_file_and_line_and_takes_nobody_down(child, tmp_path):
    for name, text in {
        "broken": BROKEN,
        "raises": RAISES,
        "good": GOOD,
        "exits": "raise SystemExit(2)\n",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    out, _ = child("-c", LIST, IGON7_WORKFLOWS=str(tmp_path)).communicate(timeout=60)
    broken, known = json.loads(out)
    assert set(broken) == {str(tmp_path / f"{name}.py") for name in ("broken", "raises", "exits")}
    assert broken[str(tmp_path / "broken.py")] == f"{tmp_path}/broken.py:3: '(' was never closed"
    assert broken[str(tmp_path / "raises.py")].startswith(
        f'{tmp_path}/raises.py:3: UnknownDependency: Node "a"'
    )
    assert broken[str(tmp_path / "exits.py")] == f"{tmp_path}/exits.py:1: SystemExit: 2"
    assert "good" in known
    assert "flight-delays" in known


@pytest.fixture
def child(child_environment):
    """Start Python with this test's database; what is left of it ends with the test."""
    started: list[Any] = []

    def start(*arguments, **more):
        environment = {
            **child_environment,
            "DJANGO_SETTINGS_MODULE": "igon7site.settings",
            "PYTHONPATH": str(ROOT),
            "IGON7_WORKFLOWS": "tests.workflows_for_tests",
            **more,
        }
        pipe = subprocess.PIPE
        command = [sys.executable, *arguments]
        started.append(
            subprocess.Popen(command, env=environment, cwd=os.sep, stdin=pipe, stdout=pipe, text=True)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
