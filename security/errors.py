"""What `security` raises."""

from django.core.exceptions import PermissionDenied

LOGIN_REQUIRED = "login_required"
PERMISSION_DENIED = "permission_denied"
STEP_UP_REQUIRED = "step_up_required"  # a second factor has to answer first
NO_GAIN = "no_gain"  # whoever gives it may not give it
LAST_ADMINISTRATOR = "last_administrator"  # nobody would be left who may do everything


class Denied(PermissionDenied):
    """The principal may not do this. `str()` is a sentence for people, `code` is for programs.

    Being Django's PermissionDenied, it ends as a 403 at every door that does nothing about it.
    """

    def __init__(self, sentence: str, code: str = PERMISSION_DENIED) -> None:
        super().__init__(sentence)
        self.code = code


class UnknownAction(LookupError):
    """An action was asked about that nobody has declared: a programming error, never a yes."""
