"""Numbers as people read them: a true minus, thousands separated, a dash where nothing is known."""

NOTHING = "–"


def minutes(value: float | None, digits: int = 1) -> str:
    """Return minutes such as "12.3" or "−4"."""
    if value is None:
        return NOTHING
    text = f"{value:,.{digits}f}"
    return f"{text[1:]}" if text.lstrip("-0.,") == "" and text.startswith("-") else text.replace("-", "−")


def count(value: int) -> str:
    """Return a count such as "27,004"."""
    return f"{value:,}"


def share(part: int, whole: int, digits: int = 1) -> str:
    """Return `part` of `whole` such as "74.8%"."""
    return f"{100 * part / whole:.{digits}f}%" if whole else NOTHING


def average(total: int, number: int) -> float | None:
    """Return total / number, or None of none."""
    return total / number if number else None


def late_or_early(value: float) -> str:
    """Return "12 minutes late", "3 minutes early" or "on the minute"."""
    size = f"{abs(value):.1f}".removesuffix(".0")
    if size == "0":
        return "on the minute"
    return f"{size} {'minute' if size == '1' else 'minutes'} {'late' if value > 0 else 'early'}"
