"""The commands: what they print, and the code they end with."""

import io
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone
from rich.console import Console

from orchestration import executor, registry
from orchestration.management.board import Board
from orchestration.management.feed import News
from orchestration.management.views import LiveTable
from orchestration.models import Execution
from orchestration.queries import events_after, log_lines
from orchestration.store import versions
from security.models import AuditRecord
from security.principals import Principal
from tests.factories import Act, make_workflow, play, start_execution

SCHEMA = {"type": "object", "properties": {"day": {"type": "integer"}}, "required": ["day"]}


@pytest.fixture(autouse=True)
def etl() -> Iterator[Any]:
    workflow = make_workflow("etl")
    registry.register(workflow)
    registry.register(make_workflow("strict", input_schema=SCHEMA))
    yield workflow
    registry.forget("etl")
    registry.forget("strict")
    versions.forget_versions()


def command(*line: str) -> tuple[int, str, str]:
    """Run a command; return exit code, stdout and stderr."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command(*line, stdout=out, stderr=err)
    except SystemExit as exit:
        code = int(exit.code or 0)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.django_db
def test_run_starts_an_execution_for_whoever_is_at_the_shell(tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text('{"day": 3}')
    code, out, _ = command(
        "run", "strict", "--input", f"@{file}", "--priority", "2", "--tag", "a", "--tag", "b"
    )
    row = Execution.objects.get()
    assert code == 0
    assert str(row.id) in out
    assert f"/executions/{row.id}/" in out
    assert (row.input, row.priority, row.tags) == ({"day": 3}, 2, ["a", "b"])
    assert row.principal["name"] == Principal.for_shell().name
    assert AuditRecord.objects.filter(action="workflow.run", resource_id=str(row.id)).exists()


@pytest.mark.django_db
def test_run_with_a_key_that_has_an_execution_gives_that_one() -> None:
    first = json.loads(command("run", "etl", "--idempotency-key", "k", "--json")[1])
    again = json.loads(command("run", "etl", "--idempotency-key", "k", "--json")[1])
    assert first["id"] == again["id"]
    assert "has this key already" in command("run", "etl", "--idempotency-key", "k")[1]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["run", "elt"], 'Did you mean "etl"?'),
        (["run", "strict", "--input", '{"day": "x"}'], "/day"),
        (["run", "strict"], "day"),
        (["run", "etl", "--input", "{day: 3}"], "--input is not JSON igon7 can read: "),
        (["run", "etl", "--input", "@/no/such.json"], "/no/such.json cannot be read: No such file"),
        (["run", "etl", "--input", '"' + "a" * (3 << 20) + '"'], "limit"),
        (["show", "zz"], "at least 4 characters"),
        (["show", "0000-1111"], "no execution 0000-1111"),
        (["cancel", "00000000-0000-0000-0000-000000000000"], "no execution 00000000-"),
        (["executions", "--status", "done"], "must be one of"),
        (["executions", "--workflow", "elt"], 'Did you mean "etl"?'),
    ],
)
def test_what_cannot_be_done_is_one_sentence_on_stderr_and_exit_code_2(line: list[str], said: str) -> None:
    versions.sync()
    code, out, err = command(*line)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not Execution.objects.exists()


@pytest.mark.parametrize("line", [["run"], ["run", "etl", "--priority", "9"], ["executions", "--limit", "0"]])
def test_a_misspelt_command_line_is_refused_before_anything_happens(line: list[str]) -> None:
    with pytest.raises(CommandError):
        command(*line)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("script", "code"), [({}, 0), ({"transform": Act(error=("ValueError", "bad row"))}, 1)]
)
def test_following_tells_the_story_and_ends_with_the_outcomes_code(
    etl: Any, script: dict[str, Act], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    script |= {
        "extract": Act(lines=[("info", "read 3 rows \x1b[2J")], files={"rows.csv": ("text/csv", b"1")})
    }
    execution = start_execution(etl, ago=60, idempotency_key="k")
    play(execution, script)
    ended, out, _ = command("run", "etl", "--idempotency-key", "k", "--follow")
    assert ended == code
    assert out.index("execution started") < out.index("extract  completed") < out.index("transform")
    assert "| read 3 rows �[2J" in out  # a log line steers no terminal
    assert "rows.csv  1 byte  text/csv" in out
    assert ("bad row" in out) == bool(code)


@pytest.mark.django_db
def test_following_as_json_is_the_log_and_a_result(etl: Any) -> None:
    execution = play(start_execution(etl, ago=60, idempotency_key="k"), {"load": Act(result=42)})
    code, out, _ = command("run", "etl", "--idempotency-key", "k", "--follow", "--json")
    *events, result = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert events == events_after(execution.id)
    assert (result["type"], result["status"], result["output"]) == ("result", "succeeded", {"load": 42})


@pytest.mark.django_db(transaction=True)
def test_following_shows_what_happens_meanwhile_until_it_is_terminated(etl: Any) -> None:
    execution = start_execution(etl, ago=60, idempotency_key="k")

    def meanwhile() -> None:
        try:
            play(execution, until=1.5)
            executor.terminate(execution.id, principal=Principal.for_shell(), reason="enough")
        finally:
            connection.close()

    other = threading.Timer(0.5, meanwhile)
    other.start()
    code, out, _ = command("run", "etl", "--idempotency-key", "k", "--follow")
    other.join()
    assert code == 3, out
    assert "extract  completed" in out
    assert "enough" in out


@pytest.mark.django_db
@pytest.mark.django_db(transaction=True)
def test_the_live_table_shows_bars_statuses_and_what_was_logged(etl: Any) -> None:
    execution = start_execution(etl, ago=60)
    play(execution, {"transform": Act(9, progress=(0.4, "half way"), lines=[("info", "hello")])}, until=5)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, height=30, color_system=None, markup=False)
    board = Board(versions.graph_of(execution.version_id))
    lines = log_lines(execution.id)
    progress: dict[Any, Any] = {
        ("transform", None): {"fraction": 0.4, "text": "half way", "at": timezone.now().isoformat()}
    }
    with LiveTable(console, board, "etl v1") as view:
        view.show(News("running", events_after(execution.id), lines, progress), None)
        shown = out.getvalue()
    assert "1/3" in shown
    assert "◐ running" in shown
    assert "✓ succeeded" in shown
    assert "40% half way" in shown
    assert "| hello" in shown


@pytest.mark.django_db
def test_show_finds_an_execution_by_its_beginning_and_shows_all_of_it(etl: Any) -> None:
    script = {"transform": Act(error=("ValueError", "bad row"), lines=[("warning", "row 3")])}
    execution = play(start_execution(etl, ago=60, input={"day": 3}), script)
    code, out, _ = command("show", str(execution.id)[:20], "--log", "--events")
    assert code == 0
    for part in (
        "etl v1",
        "✕ failed",
        "✕ upstream failed",
        "Traceback",
        '"day": 3',
        "| row 3",
        "/executions/",
    ):
        assert part in out, part
    shape = json.loads(command("show", str(execution.id), "--json", "--log")[1])
    assert shape["error"]["node"] == "transform"
    assert [line["message"] for line in shape["log"]] == ["row 3"]
    again = play(
        start_execution(make_workflow("again", retries={"extract": 2}), ago=60),
        script | {"extract": Act(error=("OSError", "away"))},
        until=2,
    )
    assert "raise OSError" in command("show", str(again.id), "--events")[1]
    code, _, err = command("show", str(execution.id)[:8])
    assert code == 2
    assert str(execution.id) in err


@pytest.mark.django_db
def test_executions_are_listed_newest_first_and_filtered(etl: Any) -> None:
    assert "No executions yet" in command("executions")[1]
    done = play(start_execution(etl, ago=60))
    new = start_execution(etl)
    _, out, _ = command("executions")
    assert out.index(str(new.id)) < out.index(str(done.id))
    listed = json.loads(command("executions", "--status", "succeeded", "--workflow", "etl", "--json")[1])
    assert [each["id"] for each in listed] == [str(done.id)]
    assert len(json.loads(command("executions", "--limit", "1", "--json")[1])) == 1


@pytest.mark.django_db
def test_cancel_says_why_in_the_log_and_is_refused_the_second_time(etl: Any) -> None:
    execution = start_execution(etl)
    assert "is cancelled" in command("cancel", str(execution.id), "--reason", "wrong day")[1]
    execution.refresh_from_db()
    assert execution.cause is not None
    assert execution.cause["reason"] == "wrong day"
    code, _, err = command("cancel", str(execution.id))
    assert code == 2
    assert "is cancelled, so it cannot" in err


@pytest.mark.django_db
def test_workflows_lists_what_there_is_and_fails_when_a_module_is_broken(
    etl: Any, tmp_path: Path, settings: Any
) -> None:
    play(start_execution(etl, ago=60))
    code, out, _ = command("workflows")
    assert code == 0
    row = next(line for line in out.splitlines() if line.startswith("etl"))
    assert "v1" in row
    assert "succeeded" in row
    (tmp_path / "bad.py").write_text("x = 1\ndef f(:\n")
    settings.IGON7_WORKFLOWS = [str(tmp_path)]
    registry.discover(again=True)
    try:
        code, out, _ = command("workflows")
        assert code == 1
        assert f"{tmp_path / 'bad.py'}:2:" in out
        assert (
            f"{tmp_path / 'bad.py'}:2:"
            in json.loads(command("workflows", "--json")[1])["broken"].popitem()[1]
        )
    finally:
        registry._broken.clear()


def test_ctrl_c_stops_the_watching_and_not_the_execution(
    child_environment: dict[str, str], tmp_path: Path, etl: Any
) -> None:
    module = (
        "from orchestration import WorkflowBuilder\nw = WorkflowBuilder('one').add_node('a', print).build()\n"
    )
    (tmp_path / "flows.py").write_text(module)
    child = subprocess.Popen(
        [sys.executable, "manage.py", "run", "one", "--follow"],
        env=child_environment | {"IGON7_WORKFLOWS": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, a shell has them ignore it, and a child would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert child.stdout is not None
    next(
        line for line in child.stdout if "execution started" in line
    )  # nobody runs it: it would go on for ever
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=10)
    execution = Execution.objects.get()
    assert child.returncode == 130
    assert f"manage.py cancel {execution.id}" in err
    assert execution.status == "running"
