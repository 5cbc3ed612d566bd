"""Dates, spans of time and numbers, as each language of the website writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from babel.dates import format_datetime
from babel.numbers import format_decimal

from forumapi.webclient.languages import PSEUDO, language

# Dates by what is asked for: in most languages, and in those that write them otherwise.
_FORMS: Final = {
    "month": "LLLL y",
    "day": "d MMM y",
    "minute": "d MMM y, HH:mm",
    "weekday": "EEEE d MMMM y",
    "whole": "EEEE d MMMM y, HH:mm",
}


_FORMS_OF: Final = {
    "de": {
        "day": "d. MMM y",
        "minute": "d. MMM y, HH:mm",
        "weekday": "EEEE, d. MMMM y",
        "whole": "EEEE, d. MMMM y, HH:mm",
    },
    "es": {
        "month": "LLLL 'de' y",
        "weekday": "EEEE, d 'de' MMMM 'de' y",
        "whole": "EEEE, d 'de' MMMM 'de' y, HH:mm",
    },
}


class PageTime(datetime):
    """Time at which a page is made. `good_for_s`: seconds until a text on it such as "4 minutes ago" becomes wrong;
    infinite while it has none.
    """

    good_for_s: float

    def said(self, then: datetime) -> None:
        """Note that the page says how long ago `then` was, or its date if it is in the future: lower `good_for_s` to
        the time until that text becomes wrong, if that is sooner.
        """
        seconds = self.timestamp() - then.timestamp()
        if seconds < 0:
            left = -seconds
        elif seconds < 3600:
            left = 60 - seconds % 60
        elif seconds < 86_400:
            left = 3600 - seconds % 3600
        else:
            left = 86_400 - seconds % 86_400 if seconds < 7 * 86_400 else float("inf")
        self.good_for_s = min(self.good_for_s, left)


@lru_cache(4096)
def _parsed(text: str) -> datetime:
    return datetime.fromisoformat(text)


def parse(text: str) -> datetime:
    """Parse a time as the API writes it (RFC 3339, UTC), and return it with its time zone. Raises ValueError for a
    text that is no time.
    """
    return _parsed(text)


@lru_cache(4096)
def _dated(code: str, minute: datetime, form: str) -> str:
    pattern = _FORMS_OF.get(code, {}).get(form) or _FORMS[form]
    return _own(code, format_datetime(minute, pattern, locale=language(code).locale))


def _own(code: str, text: str) -> str:
    """Return `text`, a date or number that this module has written, unchanged; in brackets if `code` is that of the
    pseudo-language, the made-up one in which tests see what nobody marked for translation.
    """
    return f"⟦{text}⟧" if code == PSEUDO else text


def dated(code: str, text: str, form: str = "minute") -> str:
    """Return the API's time `text` as a date in UTC, as the language `code` writes it; `form`: `month`, `day`, `minute`
    (day and clock), `weekday` (day with its weekday) or `whole` (`weekday` and clock). Raises ValueError for a text
    that is no time.
    """
    return _dated(code, _parsed(text).replace(second=0, microsecond=0), form)


def ago(code: str, text: str, now: datetime) -> str:
    """Return how long before `now` the API's time `text` was, in words of the language `code`: "just now" to "6 days
    ago"; its date if that is 7 days ago or longer, or in the future. A PageTime `now` is told of the time (`said`).
    Raises ValueError for a text that is no time.
    """
    then = _parsed(text)
    if type(now) is PageTime:
        now.said(then)
    seconds = int((now - then).total_seconds())
    found = language(code)
    if 0 <= seconds < 60:
        return found.gettext("just now")
    if 0 <= seconds < 3600:
        count = seconds // 60
        return found.ngettext("%(num)d minute ago", "%(num)d minutes ago", count) % {"num": count}
    if 0 <= seconds < 86_400:
        count = seconds // 3600
        return found.ngettext("%(num)d hour ago", "%(num)d hours ago", count) % {"num": count}
    if 0 <= seconds < 7 * 86_400:
        count = seconds // 86_400
        return found.ngettext("%(num)d day ago", "%(num)d days ago", count) % {"num": count}
    return dated(code, text, "day")


@lru_cache(4096)
def number(code: str, value: float) -> str:
    """Return a number as text, as the language `code` writes it, rounded to two decimals at most."""
    if type(value) is int and -1000 < value < 1000:
        return _own(code, str(value))
    return _own(code, format_decimal(value, "#,##0.##", locale=language(code).locale))


def now() -> PageTime:
    """Return the present time in UTC as a PageTime whose `good_for_s` is infinite."""
    found = PageTime.now(UTC)
    found.good_for_s = float("inf")
    return found
