"""A node whose code is gone waits, says so, and goes on when a cluster with the code comes."""

import pytest

from orchestration import executor
from tests import workflows_for_tests as samples
from tests.cluster import (
    ME,
    begin,
    check_log,
    cluster,
    ended,
    events,
    run_of,
    status,
    transactional_db,  # noqa: F401 - a fixture
    wait_for,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("transactional_db")


def test_a_node_without_code_blocks_its_execution_with_a_sentence_until_the_code_is_back(tmp_path):
    with cluster(tmp_path, IGON7_WORKFLOWS="") as without:
        id = begin(samples.chain)
        cancelled = begin(samples.chain)
        other = begin("flight-delays", {"carriers": ["HA"], "resamples": 0})
        for one in (id, cancelled):
            wait_for(one, "blocked")
        sentence = run_of(id, "a").error["message"]
        assert 'Node "a" of workflow "t-chain"' in sentence
        assert "The installed code does not have it." in sentence
        assert events(id, "execution.blocked")[0]["data"]["reason"] == sentence
        assert (run_of(id, "a").status, run_of(id, "a").attempt) == ("blocked", 0)
        check_log(id)
        executor.cancel(cancelled, principal=ME)
        ended(cancelled, "cancelled")
        ended(other)
        without.stop()
    assert status(id) == "blocked"
    with cluster(tmp_path) as crew:
        ended(id, within=10.0)
        assert crew.ledger.runs(id) == {"a": 1, "b": 1, "c": 1}
        assert events(id, "execution.resumed")[0]["data"]["reason"] == "the missing code is here again"
        crew.stop()


def test_a_cluster_tells_in_its_row_which_modules_are_broken(tmp_path):
    folder = tmp_path / "workflows"
    folder.mkdir()
    (folder / "broken.py").write_text("def (:\n")
    with cluster(tmp_path, IGON7_WORKFLOWS=f"{folder},tests.workflows_for_tests") as crew:
        row = wait_until(crew.row)
        (sentence,) = row.broken_modules.values()
        assert sentence.startswith(f"{folder}/broken.py:1: ")
        assert "are not available" in crew.log
        ended(begin(samples.diamond))
        crew.stop()
