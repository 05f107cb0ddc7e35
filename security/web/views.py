"""Logging in and out. Both are recorded by security.signals."""

from django.contrib.auth.views import LoginView, LogoutView

from security.web.guard import public

login = public("nobody is logged in yet")(
    LoginView.as_view(template_name="registration/login.html", redirect_authenticated_user=True)
)
logout = public("ends a session and shows nothing")(LogoutView.as_view())
