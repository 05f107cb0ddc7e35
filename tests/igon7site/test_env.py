"""The typed readers: what they give, and how they refuse."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from igon7site.env import Env, EnvError, read_dotenv

pytestmark = pytest.mark.once

_VALUES = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\"'"), min_size=1)


def test_an_absent_or_empty_variable_gives_the_default() -> None:
    for values in ({}, {"X": ""}, {"X": "  "}):
        env = Env(values)
        assert env.str_("X", "d") == "d"
        assert env.bool_("X", True) is True
        assert env.int_("X", 7) == 7
        assert env.duration("X", 1.5) == 1.5
        assert env.list_("X", ["a"]) == ["a"]
        assert env.url("X", schemes=["redis"]) is None
        assert env.path("X", Path("/a")) == Path("/a")


@pytest.mark.parametrize(("text", "seconds"), [("30", 30), ("2.5", 2.5), ("300ms", 0.3), ("1h30m", 5400)])
def test_a_duration_is_a_number_of_seconds_or_has_units(text: str, seconds: float) -> None:
    assert Env({"X": text}).duration("X", 0) == pytest.approx(seconds)


def test_a_list_is_trimmed_between_its_commas() -> None:
    assert Env({"X": " a , b,c "}).list_("X") == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["1", "true", "YES", "on"])
def test_yes_has_several_spellings(text: str) -> None:
    assert Env({"X": text}).bool_("X", False) is True
    assert Env({"X": {"1": "0", "true": "false", "YES": "no", "on": "OFF"}[text]}).bool_("X", True) is False


@pytest.mark.parametrize(
    ("read", "bad"),
    [
        (lambda env: env.bool_("IGON7_X", False), "ja"),
        (lambda env: env.int_("IGON7_X", 1), "1.5"),
        (lambda env: env.int_("IGON7_X", 1, at_least=1), "0"),
        (lambda env: env.int_("IGON7_X", 1), "٣"),
        (lambda env: env.int_("IGON7_X", 1), "9" * 5000),
        (lambda env: env.duration("IGON7_X", 1), "soon"),
        (lambda env: env.duration("IGON7_X", 1), "-1"),
        (lambda env: env.list_("IGON7_X"), "a,,b"),
        (lambda env: env.url("IGON7_X", schemes=["redis"]), "http://h"),
        (lambda env: env.url("IGON7_X", schemes=["redis"]), "redis://h:port"),
    ],
)
def test_a_bad_value_is_refused_by_naming_variable_value_and_what_is_expected(read, bad) -> None:
    with pytest.raises(EnvError, match=rf'^IGON7_X is "{re.escape(bad)}"; expected .+\.$'):
        read(Env({"IGON7_X": bad}))


def test_a_refused_url_does_not_show_its_password() -> None:
    with pytest.raises(EnvError) as refusal:
        Env({"X": "mysql://me:s3cr:t@host/db"}).url("X", schemes=["postgres"])
    assert "s3cr" not in str(refusal.value)
    assert "mysql://me:…@host/db" in str(refusal.value)


@given(st.integers(0, 10**17))
def test_every_whole_number_is_read_as_itself(number: int) -> None:
    assert Env({"X": str(number)}).int_("X", -1) == number


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,20}", fullmatch=True), _VALUES))
def test_quoted_lines_of_the_file_are_read_back_exactly(tmp_path_factory, values: dict[str, str]) -> None:
    path = tmp_path_factory.mktemp("dotenv") / ".env"
    lines = [
        f"{'export ' * (i % 2)}{name} = '{value}'  # why" for i, (name, value) in enumerate(values.items())
    ]
    path.write_text("\n".join(["# a comment", "", *lines]), encoding="utf-8")
    assert read_dotenv(path) == values


def test_a_bare_value_ends_at_a_comment_but_keeps_its_hashes(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=b#c # d\nE=\nF=x=y\n")
    assert read_dotenv(tmp_path / ".env") == {"A": "b#c", "E": "", "F": "x=y"}


@pytest.mark.parametrize("line", ["IGON7_DEBUG", "1X=2", "X='open", "= 3", "A B=1"])
def test_a_malformed_line_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"GOOD=1\n{line}\n")
    with pytest.raises(EnvError, match=r"\.env, line 2: "):
        read_dotenv(tmp_path / ".env")


def test_the_real_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("IGON7_A=file\nIGON7_B=file\n")
    monkeypatch.setenv("IGON7_A", "real")
    env = Env.load(tmp_path / ".env")
    assert (env.str_("IGON7_A", ""), env.str_("IGON7_B", "")) == ("real", "file")
