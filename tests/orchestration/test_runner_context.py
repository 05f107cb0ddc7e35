"""What a body says and asks through ctx: log lines, progress, artifacts, results."""

import hashlib

from django.core.files.storage import default_storage

from orchestration.models import Artifact, LogLine
from tests import workflows_for_tests as samples
from tests.cluster import (
    begin,
    ended,
    lines_of,
    run_of,
    transactional_db,  # noqa: F401 - a fixture
    wait_until,
)


def test_ten_thousand_log_lines_of_one_body_are_kept_in_order(crew):
    id = begin(samples.talking, {"lines": 10_000})
    ended(id, within=40.0)
    lines = lines_of(id, "work")
    assert lines[:-1] == [f"line {n}" for n in range(10_000)]
    numbers = list(LogLine.objects.filter(execution=id).order_by("id").values_list("number", flat=True))
    assert numbers == list(range(1, 10_002))


def test_a_log_line_may_hold_any_text(crew):
    id = begin(samples.talking, {"lines": 1})
    ended(id)
    last = LogLine.objects.filter(execution=id).latest("number")
    assert last.message == "a NUL \ufffd, a lone surrogate ? and 100%"
    assert (last.level, last.attempt, last.node) == (30, 1, "work")


def test_lines_are_there_while_the_body_still_runs_and_progress_is_shown(crew, tmp_path):
    id = begin(samples.reporting, {"gate": str(tmp_path / "gate")})
    progress = wait_until(lambda: run_of(id, "work").progress, within=5.0)
    assert (progress["fraction"], progress["text"]) == (0.25, "a quarter")
    assert wait_until(lambda: lines_of(id, "work"), within=5.0) == ["a quarter of it"]
    assert run_of(id, "work").status == "running"
    (tmp_path / "gate").touch()
    ended(id)
    assert run_of(id, "work").progress["fraction"] == 1.0


def test_an_artifact_is_the_same_bytes_for_the_node_that_reads_it(crew):
    id = begin(samples.keeping)
    assert ended(id).output == {"size": 5_120_000, "same": True}
    kept = Artifact.objects.get(execution=id)
    reference = run_of(id, "keep").result
    with default_storage.open(kept.path) as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    assert (kept.sha256, reference["sha256"], reference["artifact"]) == (digest, digest, str(kept.pk))
    assert (kept.name, kept.content_type, kept.size, kept.node) == (
        "numbers.csv",
        "text/csv",
        5_120_000,
        "keep",
    )


def test_a_wrong_question_is_answered_with_a_sentence(crew):
    id = begin(samples.asking, {"given": 7})
    said = ended(id, "failed") and run_of(id, "ask").result
    assert "first" in said["typo"]
    assert "no such node" in said["typo"]
    assert "upstream_failed" in said["skipped"]
    assert said["artifact"] == "There is no artifact not-an-id in this execution."
    assert "a number from 0 to 1" in said["progress"]
    assert "without /" in said["name"]
    assert "bytes" in said["bytes"]
    assert (said["attempt"], said["params"], said["input"]) == (1, {"a": [1, 2]}, {"given": 7})
    assert (said["get"], said["first"], said["by"]) == (None, "first", "tests")
    assert said["key"] == f"{id}:ask"
