"""Two acts on one execution at the same moment, over two real connections."""

from __future__ import annotations

import uuid
from functools import partial

from orchestration.engine.errors import IllegalMove
from orchestration.store import acts
from orchestration.store.claim import claim
from orchestration.store.locked import Claimer
from orchestration.store.settle import settle
from tests.faults import workflows
from tests.faults.crew import Trial
from tests.orchestration.store_helpers import ABOUT, done, status, together

from . import drill


@drill("a cancel against a completion", times=1000, short=200, fed=False)
def cancel_against_completion(trial: Trial) -> None:
    id = trial.begin(workflows.raced)
    held = claim(Claimer(uuid.uuid4(), 0, (workflows.RACE,), "sync", 30.0), 1)
    cancelled, settled = together(partial(acts.cancel, id, ABOUT), partial(settle, done(held)))
    trial.expected[id] = "cancelled" if cancelled is None else "succeeded"
    legal = cancelled is None or isinstance(cancelled, IllegalMove)
    trial.check(legal and not isinstance(settled, Exception), f"{id}: {cancelled!r}, {settled!r}")
    trial.check(status(id) == trial.expected[id], f"{id} is {status(id)}, not {trial.expected[id]}")
