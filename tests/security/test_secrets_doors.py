"""The doors to secrets: page and API change them, and give no value to anybody."""

import pytest
from guardian.shortcuts import assign_perm

from security.models import AuditRecord
from security.principals import Principal
from security.secret_models import Secret
from security.secrets import backends, writing
from tests import factories

VALUE = "correct-horse-battery"
pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client, admin_user):
    client.force_login(admin_user)
    factories.verify(client)
    return client


def test_without_a_fresh_second_factor_nothing_is_changed_and_nothing_kept_in_the_open(client, admin_user):
    client.force_login(admin_user)
    asked = client.post("/secrets/new/", {"name": "api-key", "value": VALUE})
    assert "/step-up/" in asked["Location"]
    assert VALUE not in str(dict(client.session))
    refused = client.post("/api/v1/secrets/", {"name": "x", "value": VALUE}, content_type="application/json")
    assert refused.status_code == 403
    assert "step_up_required" in refused.content.decode()
    assert not Secret.objects.exists()


def test_a_secret_is_made_renewed_disabled_and_deleted_and_never_shown(admin):
    made = admin.post("/secrets/new/", {"name": "api-key", "value": VALUE, "rotate_days": "1"}, follow=True)
    renewed = admin.post("/secrets/api-key/version/", {"value": "line one!\r\nline two!"}, follow=True)
    assert backends.find("api-key") == ("line one!\nline two!", 2)
    disabled = admin.post("/secrets/api-key/disable/2/", follow=True)
    assert backends.find("api-key") == (VALUE, 1)
    kept = admin.post("/secrets/api-key/delete/", {"confirm": "another"})
    assert kept.status_code == 400
    gone = admin.post("/secrets/api-key/delete/", {"confirm": "api-key"}, follow=True)
    assert not Secret.objects.exists()
    pages = "".join(answer.content.decode() for answer in (made, renewed, disabled, kept, gone))
    assert "api-key" in pages
    assert VALUE not in pages
    acts = (
        AuditRecord.objects.filter(action__startswith="secret.")
        .order_by("id")
        .values_list("action", flat=True)
    )
    assert list(acts) == ["secret.set", "secret.set", "secret.disable", "secret.delete"]


def test_a_refused_value_is_not_echoed(admin):
    answer = admin.post("/secrets/new/", {"name": "bad name", "value": VALUE})
    assert answer.status_code == 400
    assert VALUE not in answer.content.decode()
    assert answer["Cache-Control"] == "no-store"


def test_people_see_those_that_they_may_view_and_change_none(client, django_user_model):
    ada = django_user_model.objects.create_user("ada")
    for name in ("seen", "unseen-one"):
        writing.put(Principal.system("test"), name, VALUE)
    assign_perm("security.view_secret", ada, Secret.objects.get(name="seen"))
    client.force_login(ada)
    page = client.get("/secrets/").content.decode()
    assert "seen" in page
    assert "unseen-one" not in page
    listed = client.get("/api/v1/secrets/").json()["results"]
    assert [row["name"] for row in listed] == ["seen"]
    for place in ("/secrets/{}/version/", "/api/v1/secrets/{}/version/", "/api/v1/secrets/{}/delete/"):
        kind = {"content_type": "application/json"} if "api" in place else {}
        codes = [
            client.post(place.format(name), {"value": "stolen-value"}, **kind).status_code
            for name in ("seen", "unseen-one")
        ]
        assert codes == [403, 404]
    assert backends.find("seen") == backends.find("unseen-one") == (VALUE, 1)


def test_the_api_takes_values_and_gives_none(admin):
    def post(path, **body):
        return admin.post(f"/api/v1/secrets/{path}", body, content_type="application/json")

    answers = [
        post("", name="api-key", value=VALUE, tags=["etl"]),
        post("api-key/version/", value="another-value"),
    ]
    answers += [
        post("api-key/disable/", number=2),
        admin.get("/api/v1/secrets/api-key/"),
        admin.get("/api/v1/secrets/"),
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 200, 200, 200]
    assert answers[3].json()["version"] == 1
    assert not [answer for answer in answers if VALUE in answer.content.decode()]
    assert post("", name="x", value="tiny!").status_code == 400
    assert post("api-key/delete/").status_code == 200
    assert admin.get("/api/v1/secrets/api-key/").status_code == 404
