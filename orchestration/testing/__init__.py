"""Test kit: run workflows inside a test, through the real store and the real runner, without waiting."""

from .crash import Crashes, crash_everywhere
from .playing import LIMIT, NeverEnds, Result, run
from .result import Node, Nodes, Snapshot

__all__ = ["LIMIT", "Crashes", "NeverEnds", "Node", "Nodes", "Result", "Snapshot", "crash_everywhere", "run"]
