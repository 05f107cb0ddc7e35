"""Steps of the test command: beside each other or one after another, none lost, every failure told at the end."""

import os
import signal
import sys
import textwrap
from itertools import product

import pytest
from _pytest.mark.expression import Expression

from igon7site.management.commands import test as command
from igon7site.setup.steps import Step, Steps

pytestmark = pytest.mark.once


def step(title, program, **environment):
    return Step(title, [sys.executable, "-c", textwrap.dedent(program)], environment)


def meets(mine, other):
    """A program that ends well only while the one of the other name runs too."""
    return f"""
        import pathlib, time
        pathlib.Path({str(mine)!r}).touch()
        deadline = time.monotonic() + 30
        while not pathlib.Path({str(other)!r}).exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        print("first\\nsecond", end="")
    """


@pytest.fixture
def said():
    return []


@pytest.fixture
def steps(said):
    return Steps(said.append)


def test_lanes_run_at_the_same_time_and_each_step_is_heard_in_one_piece(steps, said, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    steps.run([step("one", meets(one, two))], [step("two", meets(two, one))])
    assert steps.failed == []
    for title in ("one", "two"):
        place = next(n for n, text in enumerate(said) if text.startswith(f"\n── {title} "))
        assert said[place + 1] == "first\nsecond"
        assert said[place + 2].startswith(f"{title}: ok, ")


def test_a_single_lane_is_heard_as_it_goes(tmp_path):
    said = []

    def say(text):
        said.append(text)
        if "begun" in text:
            (tmp_path / "heard").touch()

    steps = Steps(say)
    goes_on = "print('begun', flush=True)" + textwrap.dedent(meets(tmp_path / "here", tmp_path / "heard"))
    steps.run([step("slow", goes_on)])
    assert steps.failed == []
    assert "".join(said[1:-1]) == "begun\nfirst\nsecond"


def test_a_failure_in_any_lane_stops_nothing_and_is_named_at_the_end(steps, said):
    bad = "print('FAILED tests/test_x.py::test_y - no'); raise SystemExit(3)"
    steps.run([step("bad", bad), step("after it", "")], [step("beside it", "")])
    steps.run([step("later", "import os; raise SystemExit(int(os.environ['CODE']))", CODE="1")])
    assert steps.failed == ["bad", "later"]
    summary = steps.summary()
    for title in ("after it", "beside it"):
        assert f"\n{title}: ok, " in summary
    assert "\nbad: FAILED (exit code 3), " in summary
    assert "\nbad: FAILED tests/test_x.py::test_y - no\n" in summary
    assert summary.endswith("\nFailed: bad, later.")


def test_a_process_that_a_step_leaves_behind_holds_nobody_up(steps, said):
    leaves = """
        import subprocess, sys
        print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid)
    """
    steps.run([step("parent", leaves)])
    assert steps.failed == []
    os.kill(int(said[1]), signal.SIGKILL)  # raises when it has ended: then nothing was shown


@pytest.mark.parametrize(("engine", "once", "e2e", "alone", "faults"), list(product([False, True], repeat=5)))
def test_every_test_is_in_one_part_on_each_database_that_could_change_its_result(
    engine, once, e2e, alone, faults
):
    marks = {"once": once, "e2e": e2e, "alone": alone, "faults": faults}

    def chosen(part):
        folders = [word for word in part.choice if "tests/engine" in word]
        expression = Expression.compile(part.choice[-1])
        within = {(): True, ("tests/engine",): engine, ("--ignore=tests/engine",): not engine}[tuple(folders)]
        return within and expression.evaluate(lambda name, /, **_: marks[name])

    on_sqlite = [command._ENGINE, command._ONCE, command._EACH, command._ALONE, command._FAULTS]
    assert sum(map(chosen, on_sqlite)) == 1
    same_everywhere = (engine and not alone) or once or e2e
    assert sum(map(chosen, [command._EACH, command._ALONE_EACH, command._FAULTS])) == (
        0 if same_everywhere else 1
    )
