"""The French catalog: whole, in step with the sources, and compiled."""

from __future__ import annotations

import ast
import gettext
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = pytest.mark.once
CATALOG = Path("locale/fr/LC_MESSAGES/django.po")
SOURCES = ("igon7site", "monitoring", "orchestration", "security", "templates", "locale")
FIELD = re.compile(r'(msgid|msgid_plural|msgstr(?:\[(\d)\])?) (".*")')
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[sd%]|</?\w+>")
Catalog = dict[tuple[str, str], dict[int, str]]


def read(path: Path) -> Catalog:
    """Return {(text, its plural): {form: translation}}; what is marked fuzzy counts as not translated."""
    found: Catalog = {}
    for block in path.read_text().split("\n\n"):
        texts, into = {"msgid": "", "msgid_plural": ""}, ("", 0)
        forms: dict[int, str] = {}
        for line in block.splitlines():
            if field := FIELD.match(line):
                into, line = (field[1].partition("[")[0], int(field[2] or 0)), field[3]
            if not line.startswith('"'):
                continue
            if into[0] == "msgstr":
                forms[into[1]] = forms.get(into[1], "") + ast.literal_eval(line)
            else:
                texts[into[0]] += ast.literal_eval(line)
        if texts["msgid"]:
            fuzzy = re.search("^#,.*fuzzy", block, re.MULTILINE)
            found[texts["msgid"], texts["msgid_plural"]] = dict.fromkeys(forms, "") if fuzzy else forms
    return found


def test_every_sentence_has_a_french_one_with_the_same_placeholders() -> None:
    for (text, plural), forms in read(settings.BASE_DIR / CATALOG).items():
        assert len(forms) == (2 if plural else 1), text
        allowed = [set(PLACEHOLDER.findall(text)) | (set(PLACEHOLDER.findall(plural)) if plural else set())]
        allowed += [set(PLACEHOLDER.findall(plural))] if plural else []
        for form, said in forms.items():
            assert said.strip(), f'"{text}" has no translation'
            assert set(PLACEHOLDER.findall(said)) <= allowed[form], f'"{said}" for "{text}"'
        exact = forms[max(forms)]
        assert set(PLACEHOLDER.findall(exact)) == set(PLACEHOLDER.findall(plural or text)), exact


def test_the_compiled_catalog_says_what_the_catalog_says() -> None:
    with (settings.BASE_DIR / CATALOG).with_suffix(".mo").open("rb") as compiled:
        kept = gettext.GNUTranslations(compiled)
    for (text, plural), forms in read(settings.BASE_DIR / CATALOG).items():
        said = [kept.ngettext(text, plural, number) for number in (1, 2)] if plural else [kept.gettext(text)]
        assert said == list(forms.values()), f'"{text}": run manage.py compilemessages'


@pytest.mark.skipif(shutil.which("xgettext") is None, reason="needs gettext")
def test_the_catalog_is_in_step_with_the_sources(tmp_path: Path) -> None:
    for name in SOURCES:
        shutil.copytree(
            settings.BASE_DIR / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    line = ["-m", "django", "makemessages", "-l", "fr", "--no-location", "--no-obsolete"]
    subprocess.run([sys.executable, *line], cwd=tmp_path, env=environment, check=True, capture_output=True)
    found, kept = read(tmp_path / CATALOG), read(settings.BASE_DIR / CATALOG)
    assert found.keys() == kept.keys(), "run manage.py makemessages -l fr --no-location --no-obsolete"
