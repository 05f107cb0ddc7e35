"""`manage.py bulk`: what it shows, what it asks, and the code it ends with."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.test import override_settings

from orchestration import bulk, executor
from orchestration.engine.builder import Workflow
from orchestration.models import BulkAct, Execution
from security.principals import Principal
from tests.factories import play, start_execution

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def a_cluster_goes_on_while_one_waits(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("time.sleep", lambda _seconds: bulk.carry_out())
    with override_settings(IGON7_BULK_RATE=10_000):
        yield


def command(*line: str) -> tuple[int, str, str]:
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command("bulk", *line, stdout=out, stderr=err)
    except SystemExit as exit:
        code = int(exit.code or 0)
    return code, out.getvalue(), err.getvalue()


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("builtins.input", lambda: text)


def test_the_dry_run_says_how_many_and_changes_nothing(etl: Workflow) -> None:
    start_execution(etl)
    play(start_execution(etl))
    code, out, _ = command("cancel", "--workflow", "etl", "--dry-run")
    assert code == 0
    assert out.splitlines() == [
        "1 execution of 2 selected to cancel.",
        "  1  It is succeeded, so it cannot be cancelled. There is nothing left to cancel.",
    ]
    assert not BulkAct.objects.exists()


def test_it_is_followed_to_its_end_once_it_is_confirmed(
    etl: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [start_execution(etl, tags=("old",)) for _ in range(3)]
    other = start_execution(etl)
    answer(monkeypatch, "cancel 3")
    code, out, _ = command("cancel", "--query", "tag=old&-status=paused", "--reason", "over")
    assert code == 0
    assert "is finished." in out
    assert "3 done, 0 refused, 0 to go" in out
    causes = Execution.objects.filter(pk__in=[each.pk for each in found]).values_list(
        "cause__reason", flat=True
    )
    assert list(causes) == ["over"] * 3
    assert Execution.objects.get(pk=other.pk).status == "running"
    assert BulkAct.objects.get().principal["name"] == Principal.for_shell().name


def test_a_wrong_confirmation_or_none_at_all_changes_nothing(
    etl: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_execution(etl)
    answer(monkeypatch, "yes")
    code, _, err = command("cancel", "--all")
    assert (code, err.strip()) == (
        2,
        'There is 1 execution to cancel now. Confirm with "cancel 1".',
    )
    monkeypatch.undo()
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert command("cancel", "--all")[::2] == (2, "Nobody is here to confirm it. Say --yes if you mean it.\n")
    assert not BulkAct.objects.exists()


def test_refused_executions_are_told_and_make_the_code_1(
    etl: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [start_execution(etl) for _ in range(2)]

    def meanwhile(_seconds: float) -> None:
        if Execution.objects.get(pk=found[0].pk).status == "running":
            executor.terminate(found[0].pk, principal=Principal.system("tests"))
        bulk.carry_out()

    monkeypatch.setattr("time.sleep", meanwhile)
    code, out, _ = command("pause", *(str(each.pk) for each in found), "--yes")
    assert code == 1
    assert f"{found[0].pk}  It is terminated, so it cannot be paused." in out
    assert "1 done, 1 refused" in out


def test_json_is_the_dry_run_and_the_end(etl: Workflow) -> None:
    start_execution(etl)
    code, out, _ = command("cancel", "--status", "running", "--yes", "--json")
    first, last = map(json.loads, out.splitlines())
    assert (code, first["type"], first["confirm"]) == (0, "preview", "cancel 1")
    assert (last["type"], last["status"], last["done"]) == ("result", "finished", 1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["cancel"], "either ids, filters, or --all"),
        (["cancel", "--all", "--status", "failed"], "either ids, filters, or --all"),
        (["cancel", "--status", "done"], "must be one of"),
        (["cancel", "--query", "statu=failed"], 'Did you mean "status"?'),
        (["retry", "--all", "--option", "node"], "NAME=VALUE"),
        (["retry", "--all", "--option", "nod=a"], 'Did you mean "node"?'),
        (["cancel", "0000-1111"], "no execution 0000-1111"),
        (["resume", "--all", "--yes"], '"resume" is possible for none of them now'),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(
    etl: Workflow, line: list[str], said: str
) -> None:
    start_execution(etl)
    code, _, err = command(*line)
    assert code == 2
    assert said in err
    assert not BulkAct.objects.exists()


def test_a_fork_takes_a_node_and_an_input(etl: Workflow) -> None:
    source = play(start_execution(etl))
    refused = command("fork", "--all", "--yes")
    assert refused[0] == 2
    assert "must be given, to fork" in refused[2]
    said = command("fork", str(source.pk), "--option", "node=load", "--input", '{"day": 4}', "--yes")
    assert said[0] == 0, said
    assert "1 done, 0 refused, 0 to go" in said[1]
    assert Execution.objects.get(forked_from=source).input == {"day": 4}
