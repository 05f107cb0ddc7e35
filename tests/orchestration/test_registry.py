"""Finding workflows, while somebody asks for them."""

from __future__ import annotations

import textwrap
import threading

from orchestration import registry
from tests.cluster import wait_until

MODULE = """
    import time
    from pathlib import Path
    from orchestration import WorkflowBuilder, registry
    Path({began!r}).touch()
    registry.discover()  # a module may ask too: it must not wait for itself
    time.sleep(0.3)  # as imports take their time
    slow = WorkflowBuilder("found-late").add_node("work", print).build()
"""


def test_who_asks_while_workflows_are_being_found_waits_for_all_of_them(settings, monkeypatch, tmp_path):
    began = tmp_path / "began"
    (tmp_path / "late.py").write_text(textwrap.dedent(MODULE).format(began=str(began)))
    settings.IGON7_WORKFLOWS = [str(tmp_path)]
    monkeypatch.setattr(registry, "_discovered", False)
    first = threading.Thread(target=registry.discover)
    first.start()
    try:
        wait_until(began.exists, what="the module is being imported")
        assert registry.require("found-late").name == "found-late"
    finally:
        first.join()
        registry.forget("found-late")
