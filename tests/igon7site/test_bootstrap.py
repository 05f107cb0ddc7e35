"""manage.py as the first thing a newcomer runs: it makes, repairs and reuses .venv."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = [pytest.mark.faults, pytest.mark.once]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without requirements, so that making its environment needs no network."""
    shutil.copy(settings.BASE_DIR / "manage.py", tmp_path)
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    return tmp_path


def _start(project: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IGON7_")}
    base = str(Path(sys.base_prefix) / "bin" / "python3")
    return subprocess.Popen(
        [base, *options, "manage.py", "check"], cwd=project, env={**kept, **environment},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _said(project: Path, *options: str, **environment: str) -> str:
    return _start(project, *options, **environment).communicate(timeout=120)[0]


def _arrived(project: Path) -> str:
    """What the fake project says once it runs in its environment: Django is not there."""
    return f"{project}/.venv/bin/python has no Django."


def test_the_environment_is_made_once_and_renewed_when_the_requirements_change(project: Path) -> None:
    first = _said(project)
    assert "Setting up .venv" in first
    assert _arrived(project) in first
    assert _said(project).startswith(_arrived(project))
    (project / "requirements.txt").write_text("# still nothing\n")
    assert "Updating .venv from requirements.txt" in _said(project)


def test_two_at_once_make_one_environment(project: Path) -> None:
    both = [_start(project) for _ in range(2)]
    said = [one.communicate(timeout=120)[0] for one in both]
    assert all(_arrived(project) in text for text in said)
    assert sum("Setting up .venv" in text for text in said) == 1


def test_a_set_up_that_was_killed_is_begun_anew(project: Path) -> None:
    cut = _start(project)
    deadline = time.monotonic() + 60
    while not list(project.glob(".venv/lib/python*/site-packages/pip")) and time.monotonic() < deadline:
        time.sleep(0.01)
    cut.kill()
    cut.communicate()
    said = _said(project)
    assert "Setting up .venv" in said
    assert _arrived(project) in said
    assert _said(project).startswith(_arrived(project))


def test_a_requirement_that_cannot_be_had_is_told_without_a_traceback_and_can_be_mended(
    project: Path,
) -> None:
    (project / "requirements.txt").write_text("./nowhere/nothing.whl\n")
    said = _said(project)
    assert "igon7 could not set itself up" in said
    assert "nothing.whl" in said
    assert "Traceback" not in said
    (project / "requirements.txt").write_text("\n")
    assert _arrived(project) in _said(project)


def test_a_python_without_venv_says_what_to_install(project: Path, tmp_path: Path) -> None:
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / "ensurepip.py").write_text("raise ImportError")
    assert "apt install python3." in _said(project, PYTHONPATH=str(tmp_path / "shadow"))


def test_someone_who_manages_the_environment_is_left_alone(project: Path) -> None:
    assert "Unset IGON7_NO_VENV" in _said(project, IGON7_NO_VENV="1")
    assert not (project / ".venv").exists()


def test_the_file_parses_on_a_python_too_old_to_run_it() -> None:
    import ast

    ast.parse((settings.BASE_DIR / "manage.py").read_text(), feature_version=(3, 7))
