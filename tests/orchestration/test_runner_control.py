"""What bodies see of control: an input that a person has edited, and, in an undo, the result that it undoes."""

from orchestration import executor
from tests import workflows_for_tests as samples
from tests.cluster import (
    ME,
    begin,
    ended,
    run_of,
    transactional_db,  # noqa: F401 - a fixture
)


def test_an_edited_input_reaches_the_body_of_its_node_alone(crew):
    id = begin(samples.seeing, {"fail": True})
    ended(id, "failed")
    executor.retry(id, principal=ME, node="work", input={"fail": False, "by": "hand"})
    execution = ended(id)
    assert execution.output == {"work": {"fail": False, "by": "hand"}, "after": {"fail": True}}
    assert execution.input == {"fail": True}
    assert crew.ledger.runs(id) == {"first": 1, "work": 2, "after": 1, "all": 1}


def test_an_undo_sees_the_result_of_what_it_undoes_and_what_that_saw(crew):
    id = begin(samples.undoing)
    ended(id, "failed")
    assert run_of(id, "undo:other").result == {"undone": "other", "sees": {"work": "work", "other": "other"}}
    assert run_of(id, "undo:work").result == {"undone": "work", "sees": {"first": "first", "work": "work"}}
    assert [entry.node for entry in crew.ledger.entries(id)][-2:] == ["undo:other", "undo:work"]
