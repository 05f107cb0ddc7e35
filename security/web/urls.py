"""URLs of the pages about identity."""

from django.urls import path

from security.web import account, audit, passkeys, reset, secrets, step_up, views
from security.web.zones import in_own_zone

urlpatterns = [
    path("login/", views.login, name="login"),
    path("logout/", views.logout, name="logout"),
    path("login/code/", views.login_code, name="login_code"),
    path("forgotten/", reset.ask, name="forgotten"),
    path("forgotten/asked/", reset.asked, name="password_asked"),
    path("forgotten/<uidb64>/<token>/", reset.choose, name="password_choose"),
    path("admin/login/", views.admin_login),
    path("account/", in_own_zone(account.account), name="account"),
    path("passkeys/begin/", passkeys.begin_answer, name="passkey_begin"),
    path("passkeys/answer/", passkeys.answer, name="passkey_answer"),
    path("passkeys/new/begin/", passkeys.begin_register, name="passkey_begin_register"),
    path("passkeys/new/", passkeys.register, name="passkey_register"),
    path("account/password/", account.password, name="password"),
    path("account/second-factor/", account.enrol, name="enrol"),
    path("account/second-factor/remove/", account.remove_device, name="remove_device"),
    path("account/recovery-codes/", account.recovery, name="recovery"),
    path("account/sessions/end/", account.end_sessions, name="end_sessions"),
    path("account/step-up/<str:id>/", step_up.step_up, name="step_up"),
    path("account/step-up/<str:id>/go-on/", step_up.go_on, name="step_up_go_on"),
    path("secrets/", in_own_zone(secrets.secrets), name="secrets"),
    path("secrets/new/", in_own_zone(secrets.new), name="secret_new"),
    path("secrets/<str:name>/version/", in_own_zone(secrets.version), name="secret_version"),
    path("secrets/<str:name>/disable/<int:number>/", in_own_zone(secrets.disable), name="secret_disable"),
    path("secrets/<str:name>/delete/", in_own_zone(secrets.delete), name="secret_delete"),
    path("audit/", in_own_zone(audit.records), name="audit"),
    path("audit/export/", audit.take_along, name="audit_export"),
]
