"""The report: sound HTML, the figures in it, nothing foreign in it."""

import copy
import re
from html.parser import HTMLParser

import pytest

from igon7site.demo.flights.join import join
from igon7site.demo.flights.report import render
from igon7site.demo.flights.stats import Options
from igon7site.demo.flights.words import late_or_early, minutes, share

pytestmark = pytest.mark.once

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Checks that tags nest, and keeps tags, attributes and the text of each table row."""

    def __init__(self, html):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data):
        self.text.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def html(joined):
    return render(joined, "execution-1")


def test_the_report_is_sound_and_shows_the_figures(html, joined):
    page = Page(html)
    assert page.tags.count("svg") == 2 * (3 + len(joined["weather"]))
    expressjet = next(row for row in page.rows if row[0] == "EV ExpressJet Airlines Inc." and "25.2" in row)
    assert expressjet[1:5] == ["4,171", "4.4%", "56.0%", "25.2"]
    assert expressjet[6:] == ["7", "40", "94", "134", "221"]
    text = "".join(page.text)
    for figure in ("27,004", "74.8%", "521 flights", "execution-1", "Bureau of Transportation Statistics"):
        assert figure in text
    assert (
        "Half of the arrivals were 3 minutes early or better; one in ten was 44 minutes late or worse."
        in text
    )
    assert ["EV", "EWR → TUL", "27", "0", "68.1", "183", "73%"] in page.rows


def test_the_report_runs_nothing_and_asks_nobody(html):
    page = Page(html)
    assert not {"script", "iframe", "object", "embed", "link", "img", "base", "form"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on") or name in ("src", "href", "style", "srcset")}
    assert not re.search(r"https?:|//[a-z]|url\(|@import", html)


def test_hostile_text_in_the_data_is_shown_not_run(joined):
    hostile = copy.deepcopy(joined)
    attack = "<script>alert(1)</script>\"'><svg onload=x>&amp;"
    for carrier in hostile["carriers"]:
        carrier["name"] = attack
    for place in (hostile["worst_routes"][0], hostile["carriers"][0]["worst_routes"][0]):
        place["dest"] = attack
    hostile["weather"][0]["bands"][0]["label"] = attack
    html = render(hostile, attack)
    page = Page(html)
    assert "script" not in page.tags
    assert not {name for name, _ in page.attributes if name.startswith("on")}
    assert "".join(page.text).count(attack) > len(joined["carriers"])


@pytest.mark.parametrize("codes", [["OO"], ["HA", "OO"], ["YV"]])
@pytest.mark.parametrize("threshold", [1, 17, 240])
def test_the_report_copes_with_few_flights_and_any_threshold(codes, threshold, tables, factors):
    options = Options(delay_threshold=threshold, resamples=0)
    few = join([tables[code] for code in codes], factors, dict.fromkeys(codes, "A name"), options)
    page = Page(render(few, "x"))
    assert "nan" not in "".join(page.text).lower().split()


def test_a_carrier_whose_flights_were_all_cancelled_is_shown_with_dashes(tables, factors):
    table = copy.deepcopy(tables["OO"])
    nothing = {"known": 0, "mean": None, "percentiles": dict.fromkeys(("p50", "p75", "p90", "p95", "p99"))}
    table.update(cancelled=1, on_time=0, departure=nothing, arrival=nothing, arrival_counts=[])
    for hour in table["hours"]:
        hour.update(departed=0, minutes=0, late=0)
    page = Page(render(join([table], factors, {"OO": "SkyWest"}, Options()), "x"))
    assert ["OO SkyWest", "1", "100.0%", "0.0%", "–", "–", "–", "–", "–", "–", "–"] in page.rows


def test_numbers_read_as_people_write_them():
    assert [minutes(value) for value in (None, -0.04, -3.5, 1272)] == ["–", "0.0", "−3.5", "1,272.0"]
    assert (share(1, 3), share(0, 0)) == ("33.3%", "–")
    said = ["on the minute", "1 minute late", "1.5 minutes early"]
    assert [late_or_early(value) for value in (0.01, 1, -1.5)] == said
