"""A forgotten password, by e-mail: Django's own views, which say the same whoever is asked for."""

from __future__ import annotations

import logging
import threading
from typing import Any

from django.conf import settings
from django.contrib.auth import views
from django.contrib.auth.forms import PasswordResetForm
from django.db import transaction
from django.urls import reverse_lazy

from security import audit
from security.models import UserSession
from security.principals import Principal
from security.web.guard import public

log = logging.getLogger(__name__)
ASKED, DONE = "password.ask", "password.reset"


class Form(PasswordResetForm):
    """Sends beside the request: how long an answer takes must not tell whether there is an account."""

    def send_mail(self, *args: Any, **kwargs: Any) -> None:
        threading.Thread(target=self._send, args=args, kwargs=kwargs, daemon=True).start()

    def _send(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().send_mail(*args, **kwargs)
        except Exception:
            log.exception("A message about a forgotten password could not be sent.")


class Ask(views.PasswordResetView):
    """Asks for an address."""

    form_class = Form
    template_name = "security/forgotten.html"
    email_template_name = "security/forgotten_mail.txt"
    subject_template_name = "security/forgotten_subject.txt"
    success_url = reverse_lazy("password_asked")
    extra_context = {"can_send": bool(settings.IGON7_EMAIL_URL)}

    def form_valid(self, form: Any) -> Any:
        for user in form.get_users(form.cleaned_data["email"]):
            audit.record(Principal.anonymous(self.request), ASKED, user)
        return super().form_valid(form)


class Choose(views.PasswordResetConfirmView):
    """Takes a new password from whoever has the message; their sessions end, their second factor stays."""

    template_name = "security/forgotten_choose.html"
    success_url = reverse_lazy("login")

    def form_valid(self, form: Any) -> Any:
        with transaction.atomic():
            answer = super().form_valid(form)
            UserSession.objects.filter(user=form.user).delete()
            audit.record(Principal.for_user(form.user, self.request), DONE, form.user)
        return answer


ask = public("whoever has forgotten a password is not logged in")(Ask.as_view())
asked = public("says the same to everybody")(
    views.PasswordResetDoneView.as_view(template_name="security/forgotten_asked.html")
)
choose = public("takes a signed address from a message")(Choose.as_view())
