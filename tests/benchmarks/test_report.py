"""From runs to verdicts: what a benchmark says of its figures."""

from __future__ import annotations

import io
import json
from contextlib import nullcontext

import pytest
from django.core.management import CommandError, call_command

from benchmarks.bench import Bench
from benchmarks.plan import ABSURD, CONTESTANTS, IGON7, SCENARIOS, SQLITE, TARGETS, Target
from benchmarks.report import COMMIT, Run, as_json, hop_by_commit, number, spreads, table, verdicts

SLOW = Target("a hop", "chain", "hop_ms", "≤", 1.0, "ms")
RATIO = Target("a hop ÷ Absurd's", "chain", "hop_ms", "≤", 0.9, over=ABSURD)


def runs(contestant: str, *hops: float) -> list[Run]:
    return [Run(n, "chain", contestant, {"hop_ms": hop}) for n, hop in enumerate(hops, 1)]


def test_one_slow_round_moves_the_spread_and_not_the_median():
    spread = spreads(runs(IGON7, 1.0, 1.2, 9.0))["chain", IGON7, "hop_ms"]
    assert (spread.median, spread.least, spread.most, spread.runs) == (1.2, 1.0, 9.0, 3)


def test_a_ratio_is_that_of_the_medians():
    found = spreads(runs(IGON7, 1.0, 0.8, 4.0) + runs(ABSURD, 2.0, 2.5, 0.5))
    (verdict,) = verdicts(found, [RATIO])
    assert verdict.value == pytest.approx(0.5)
    assert verdict.word == "reached"


@pytest.mark.parametrize(
    ("sense", "value", "word"),
    [("≤", 2.0, "reached"), ("≤", 2.01, "MISSED"), ("≥", 2.0, "reached"), ("≥", 1.99, "MISSED")],
)
def test_a_target_is_reached_at_its_limit_and_missed_beyond_it(sense, value, word):
    target = Target("", "chain", "hop_ms", sense, 2.0)
    assert verdicts(spreads(runs(IGON7, value)), [target])[0].word == word


def test_a_target_without_figures_is_neither_reached_nor_missed():
    assert verdicts(spreads(runs(IGON7, 1.0)), [RATIO])[0].word == "not measured"


def test_a_figure_can_be_held_against_another_of_the_same_contestant():
    figures = {"late": 33.0, "early": 30.0}
    target = Target("", "memory", "late", "≤", 1.03, over_figure="early")
    (verdict,) = verdicts(spreads([Run(1, "memory", IGON7, figures)]), [target])
    assert verdict.value == pytest.approx(1.1)
    assert verdict.word == "MISSED"


def test_a_hop_is_told_in_commits_of_the_same_run():
    commit = Run(1, "chain", COMMIT, {"commit_ms": 0.5})
    assert hop_by_commit(spreads([*runs(IGON7, 1.0), commit])) == 2.0
    assert hop_by_commit(spreads([commit])) is None


def test_the_json_keeps_every_run_beside_medians_and_verdicts():
    kept = runs(IGON7, 1.0, 2.0, 3.0) + runs(ABSURD, 1.0)
    data = json.loads(json.dumps(as_json({"quick": True}, kept, verdicts(spreads(kept), [RATIO]))))
    assert [run["figures"]["hop_ms"] for run in data["runs"]] == [1.0, 2.0, 3.0, 1.0]
    assert data["medians"][0]["median"] == 2.0
    assert data["verdicts"][0]["verdict"] == "MISSED"
    assert data["quick"] is True


def test_a_table_lines_its_columns_up():
    assert table([["name", "n"], ["a", "1,000"]], right={1}).splitlines() == [
        "name      n",
        "───────────",
        "a     1,000",
    ]
    assert [number(value) for value in (0.123, 12.34, 1234.5)] == ["0.12", "12.3", "1,234"]


def test_every_target_names_what_its_scenario_measures_on_those_contestants():
    known = {one.name: one for one in SCENARIOS}
    for target in TARGETS:
        assert {target.of, target.over or target.of} <= set(known[target.scenario].contestants), target.text
    assert {target.scenario for target in TARGETS} == set(known)
    assert {IGON7, SQLITE, ABSURD} <= set(CONTESTANTS)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"only": "chain,fans"}, "There is no scenario fans; there are chain, fan,"),
        ({"contestants": "igon8"}, "There is no contestant igon8; there are igon7,"),
        ({"rounds": 0}, "--rounds takes a number of rounds"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_starts(options, says):
    with pytest.raises(CommandError, match=says):
        call_command("bench", **options)


@pytest.mark.parametrize(("options", "code"), [({}, 1), ({"quick": True}, 0)])
def test_a_missed_target_fails_a_full_run_and_not_a_quick_one(options, code, monkeypatch, settings, tmp_path):
    settings.VAR = tmp_path
    monkeypatch.setattr(Bench, "run", lambda self: verdicts(spreads(runs(IGON7, 3.0)), [SLOW]))
    said = io.StringIO()
    with pytest.raises(SystemExit, match=r"^1$") if code else nullcontext():
        call_command("bench", **options, stdout=said)
    assert "MISSED" in said.getvalue()
    (kept,) = (tmp_path / "bench").iterdir()
    assert json.loads(kept.read_text())["verdicts"][0]["value"] == 3.0
