"""The workflow as it is built, and its bodies run in the graph's order on what the earlier ones left."""

import json
import logging
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator

from igon7site.demo.flights.data import airlines
from igon7site.demo.workflows import INPUT_SCHEMA, flight_delays

pytestmark = pytest.mark.once

CARRIER_NODES = {f"carrier-{code}" for code in airlines()}


class Recorder:
    """What a body may ask of ctx, kept in memory; results pass as JSON, artifacts as bytes."""

    def __init__(self, given, files):
        self.input, self.files, self.results, self.params = given, files, {}, {}
        self.execution_id, self.log, self.seen = uuid4(), logging.getLogger("demo"), []

    def at(self, node, done):
        self.params, self.seen = dict(node.params), []
        self.results = {name: done[name] for name in node.depends_on}
        return self

    def progress(self, share, text=""):
        assert 0 <= share <= 1
        self.seen.append(share)

    def artifact(self, name, data, content_type):
        reference = {"artifact": str(uuid4()), "name": name, "content_type": content_type, "size": len(data)}
        self.files[reference["artifact"]] = data
        return reference

    def read_artifact(self, reference):
        return self.files[reference["artifact"]]


def run(given):
    done: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    waiting = list(flight_delays.graph.nodes.values())
    ctx = Recorder(given, files)
    while waiting:
        node = next(each for each in waiting if set(each.depends_on) <= done.keys())
        waiting.remove(node)
        done[node.id] = json.loads(json.dumps(flight_delays.bodies[node.id](ctx.at(node, done))))
        assert ctx.seen == sorted(ctx.seen), node.id
    return done, files


def test_the_graph_fans_out_to_one_node_per_carrier_beside_the_weather():
    nodes = flight_delays.graph.nodes
    assert set(nodes) == {"read", "weather", "join", "report"} | CARRIER_NODES
    assert len(CARRIER_NODES) == 16
    assert all(nodes[name].depends_on == ("read",) for name in CARRIER_NODES | {"weather"})
    assert set(nodes["join"].depends_on) == CARRIER_NODES | {"weather"}
    assert nodes["report"].depends_on == ("join",)


def test_the_input_schema_is_sound_and_its_defaults_pass_it():
    Draft202012Validator.check_schema(INPUT_SCHEMA)
    fields = INPUT_SCHEMA["properties"]
    validator = Draft202012Validator(INPUT_SCHEMA)
    assert validator.is_valid({name: field["default"] for name, field in fields.items()})
    assert validator.is_valid({})
    assert all(field["title"] and field["description"] for field in fields.values())
    for bad in (
        {"top": 0},
        {"delay_threshold": 241},
        {"carriers": ["ZZ"]},
        {"carriers": ["UA", "UA"]},
        {"x": 1},
    ):
        assert not validator.is_valid(bad), bad


def test_the_bodies_lead_from_the_file_to_the_report(db):
    done, files = run({"resamples": 40})
    result = done["report"]
    assert (result["flights"], result["cancelled"]) == (27_004, 521)
    assert (result["report"]["name"], result["summary"]["name"]) == (
        "flight-delays.html",
        "flight-delays.json",
    )
    html = files[result["report"]["artifact"]].decode()
    assert html.startswith("<!doctype html>")
    summary = json.loads(files[result["summary"]["artifact"]])
    counts = {each["carrier"]: each["flights"] for each in summary["carriers"]}
    assert counts == dict(db.execute("SELECT carrier, count(*) FROM flights GROUP BY 1").fetchall())
    assert summary["carriers"][0]["name"] == "United Air Lines Inc."
    assert max(len(json.dumps(each)) for each in done.values()) < 20_000


@pytest.mark.parametrize("given", [{"carriers": ["HA", "VX"], "top": 2}, {"carriers": ["OO"]}])
def test_only_the_chosen_carriers_are_worked_on(given):
    done, files = run(given)
    assert {code for code in airlines() if done[f"carrier-{code}"]["selected"]} == set(given["carriers"])
    summary = json.loads(files[done["report"]["summary"]["artifact"]])
    assert sorted(summary["options"]["carriers"]) == given["carriers"]
    assert (
        done["weather"]["flights"]["temp"]
        <= done["report"]["flights"]
        == sum(done["read"]["flights"].values())
    )


def test_no_input_means_the_defaults():
    done, files = run(None)
    summary = json.loads(files[done["report"]["summary"]["artifact"]])
    assert summary["options"]["delay_threshold"] == INPUT_SCHEMA["properties"]["delay_threshold"]["default"]
    assert all(each["mean_interval"] for each in summary["carriers"] if each["flights"] > 1)
