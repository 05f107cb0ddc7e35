import pytest

from orchestration import executor
from orchestration.engine.states import EXECUTION_LIVE
from orchestration.models import Execution
from tests.cluster import ME


@pytest.fixture(autouse=True)
def _nothing_left_to_run(request):
    """End what a test leaves open, so that the next one's cluster does not run it."""
    yield
    if "transactional_db" in request.fixturenames:
        for execution in Execution.objects.filter(status__in=sorted(EXECUTION_LIVE)):
            executor.terminate(execution.pk, principal=ME)
