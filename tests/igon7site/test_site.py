"""What the settings promise about the running site."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.test import Client

from igon7site.setup.static import fingerprint
from tests.redis_server import private_redis

_ASK = "from igon7site import settings as s; print(s.HTTPS, s.SECURE_SSL_REDIRECT, s.SESSION_COOKIE_SECURE)"


def _ask(var: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IGON7_")}
    own = {"IGON7_ENV_FILE": os.devnull, "IGON7_VAR": str(var), "PYTHONPATH": str(settings.BASE_DIR)}
    return subprocess.run(
        [sys.executable, "-c", code], env={**kept, **own, **environment}, text=True, capture_output=True
    )


@pytest.mark.parametrize(
    ("environment", "secure"),
    [
        ({}, False),
        ({"IGON7_ALLOWED_HOSTS": "127.0.0.1"}, False),
        ({"IGON7_ALLOWED_HOSTS": "localhost,igon7.example.org"}, True),
        ({"IGON7_ALLOWED_HOSTS": "igon7.example.org", "IGON7_HTTPS": "0"}, False),
    ],
)
def test_cookies_need_https_unless_only_this_machine_is_served(tmp_path: Path, environment, secure) -> None:
    assert _ask(tmp_path, _ASK, **environment).stdout.split() == [str(secure)] * 3


@pytest.mark.parametrize("hosts", ["", "igon7.example.org"])
def test_the_deployment_checks_are_clean_for_this_machine_and_for_a_public_name(
    tmp_path: Path, hosts
) -> None:
    code = (
        "import manage, sys; sys.argv[1:] = ['check', '--deploy', '--fail-level', 'WARNING']; manage.main()"
    )
    done = _ask(tmp_path, code, IGON7_ALLOWED_HOSTS=hosts, IGON7_NO_VENV="1")
    assert done.returncode == 0, done.stderr


def test_processes_share_what_they_keep_in_redis(tmp_path: Path) -> None:
    with private_redis(tmp_path) as url:
        setup = "import django; django.setup(); from django.core.cache import caches; "
        told = {"REDIS_URL": url, "DJANGO_SETTINGS_MODULE": "igon7site.settings"}
        assert _ask(tmp_path, f"{setup} caches['redis'].set('k', 'kept')", **told).returncode == 0
        assert _ask(tmp_path, f"{setup} print(caches['default'].get('k'))", **told).stdout.strip() == "kept"


def test_the_secret_key_is_made_once_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    code = "from igon7site import settings as s; print(s.SECRET_KEY)"
    first, second = (_ask(tmp_path, code).stdout.strip() for _ in range(2))
    assert len(first) > 50
    assert first == second
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600


def test_many_processes_that_start_at_once_agree_on_the_secret_key(tmp_path: Path) -> None:
    code = "import sys, pathlib; from igon7site.setup.secret import secret_key as k; sys.stdin.read(); "
    code += f"print(k(pathlib.Path({str(tmp_path / 'key')!r})))"
    ready = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=settings.BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(6)
    ]
    keys = {process.communicate()[0] for process in ready}
    assert len(keys) == 1
    assert len(keys.pop()) > 50
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_an_emptied_secret_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("")
    assert "holds no key" in _ask(tmp_path, _ASK).stderr


def test_djangos_q_pickles_have_no_admin() -> None:
    assert not [model for model in admin.site._registry if model._meta.app_label == "django_q"]


def test_a_static_files_url_never_changes_its_content(client: Client) -> None:
    url = static("admin/css/base.css")
    response = client.get(url)
    assert response.status_code == 200
    assert "immutable" in response["Cache-Control"]
    found = finders.find("admin/css/base.css")
    assert isinstance(found, str)
    assert response.content == Path(found).read_bytes()
    assert client.get(url, headers={"If-None-Match": response["ETag"]}).status_code == 304
    assert client.get(url, headers={"Range": "bytes=0-9"}).content == response.content[:10]
    head = client.head(url)
    assert (head.content, head["Content-Length"]) == (b"", str(len(response.content)))


def test_any_changed_byte_or_name_changes_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    seen = {fingerprint([tmp_path])}
    (tmp_path / "a.js").write_text("2")
    seen.add(fingerprint([tmp_path]))
    (tmp_path / "a.js").rename(tmp_path / "b.js")
    seen.add(fingerprint([tmp_path]))
    assert len(seen) == 3
