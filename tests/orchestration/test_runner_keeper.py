"""The keeper lives through a database that goes away in the middle of what it says."""

from unittest import mock

import pytest
from django.db import OperationalError

from orchestration.models import WorkerNode
from orchestration.runner import sweep
from orchestration.runner.cluster import Cluster
from orchestration.runner.keeper import Keeper
from orchestration.store import versions


@pytest.mark.django_db(transaction=True)
def test_a_keeper_that_was_cut_off_after_it_had_registered_sweeps_all_the_same():
    about = Cluster(workers=1, queues=("default",)).about
    keeper = Keeper(about)
    with mock.patch.object(versions, "sync", side_effect=OperationalError("cut off")):
        keeper._attempt()
    assert WorkerNode.objects.filter(pk=about.worker).count() == 1
    with mock.patch.object(sweep, "sweep") as swept:
        keeper._attempt()
    swept.assert_called_once()
