"""What secrets refuse."""


class SecretError(ValueError):
    """What was asked of a secret cannot be. `str()` is a sentence that never holds a value; `code` is for programs."""

    code = "secret_invalid"


class KeyMissing(SecretError):
    """None of the keys that this process has opens what is stored."""

    code = "secret_key_missing"
