"""Start an execution like another."""

from __future__ import annotations

from typing import Any

from orchestration import executor
from orchestration.management import acts
from orchestration.models import Execution


class Command(acts.Act):
    help = "Start the workflow's present version anew, with an execution's input or another."
    verb = "rerun"
    takes_input = True

    def act(self, execution: Execution, options: dict[str, Any], given: dict[str, Any]) -> Any:
        return executor.rerun(execution.id, principal=self.principal, **given)
