"""Dates, spans of time and numbers, as each language of the website writes them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final

from babel.dates import format_datetime
from babel.numbers import format_decimal

from forumapi.webclient.languages import PSEUDO, language

# Dates by what is asked for: in most languages, and in those that write them otherwise.
_FORMS: Final = {
    "month": "LLLL y",
    "day": "d MMM y",
    "minute": "d MMM y, HH:mm 'UTC'",
    "local": "d MMM y, HH:mm",
    "weekday": "EEEE d MMMM y",
    "whole": "EEEE d MMMM y, HH:mm",
}


_FORMS_OF: Final = {
    "de": {
        "day": "d. MMM y",
        "minute": "d. MMM y, HH:mm 'UTC'",
        "local": "d. MMM y, HH:mm",
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
    infinite while the page holds no such text.
    """

    good_for_s: float

    def said(self, seconds: float) -> None:
        """Note that the page says that something was `seconds` ago, or its date if they are below 0, in the future:
        lower `good_for_s` to the time until that text becomes wrong, if that is sooner.
        """
        if seconds < 0:
            left = -seconds
        elif seconds < 3600:
            left = 60 - seconds % 60
        elif seconds < 86_400:
            left = 3600 - seconds % 3600
        else:
            left = 86_400 - seconds % 86_400 if seconds < 7 * 86_400 else float("inf")
        if left < self.good_for_s:
            self.good_for_s = left


def parse(text: str) -> datetime:
    """Parse a time as the API writes it (RFC 3339, UTC), and return it with its time zone. Raises ValueError for a
    text that is no time.
    """
    return datetime.fromisoformat(text)


@lru_cache(8192)
def _dated(code: str, moment: date, form: str) -> str:
    """Return `moment` as the language `code` writes it in `form`, a form of `dated`: a datetime in UTC for a form with
    the clock, a date for any other. Cached, since Babel takes 0.1 ms for each, and old threads name thousands of days.
    """
    pattern = _FORMS_OF.get(code, {}).get(form) or _FORMS[form]
    return _own(code, format_datetime(moment, pattern, locale=language(code).locale))


def _own(code: str, text: str) -> str:
    """Return `text`, a date or number that this module has written, unchanged; in brackets if `code` is that of the
    pseudo-language, the made-up one in which tests see what nobody marked for translation.
    """
    return f"⟦{text}⟧" if code == PSEUDO else text


def dated(code: str, text: str, form: str = "minute") -> str:
    """Return the API's time `text` as a date in UTC, as the language `code` writes it; `form`: `month` (with its year),
    `day`, `minute` (day and clock, with "UTC"), `weekday` (day with its weekday); and two for times that are printed
    with a Z, but local to a place that is named beside them: `local` (day and clock) and `whole` (`weekday` and clock).
    Raises ValueError for a text that is no time.
    """
    then = parse(text)
    has_clock = form in ("minute", "local", "whole")
    return _dated(code, then.replace(second=0, microsecond=0) if has_clock else then.date(), form)


def ago(code: str, text: str, now: datetime) -> str:
    """Return how long before `now` the API's time `text` was, in words of the language `code`: "just now" to "6 days
    ago"; its date if that is 7 days ago or longer, or in the future. If `now` is a PageTime, its method `said` is
    called with the seconds. Raises ValueError for a text that is no time.
    """
    passed = (now - parse(text)).total_seconds()
    if type(now) is PageTime:
        now.said(passed)
    seconds = int(passed)
    if not 0 <= seconds < 7 * 86_400:
        return dated(code, text, "day")
    for unit in (86_400, 3600, 60):
        if seconds >= unit:
            return _ago(code, unit, seconds // unit)
    return _ago(code, 1, 0)


@lru_cache(4096)
def _ago(code: str, unit: int, count: int) -> str:
    """Return in words of the language `code` that something was `count` units of `unit` seconds ago: 86,400 for days,
    3600, 60; 1 for anything within the last minute.
    """
    found = language(code)
    if unit == 86_400:
        said = found.ngettext("%(num)d day ago", "%(num)d days ago", count)
    elif unit == 3600:
        said = found.ngettext("%(num)d hour ago", "%(num)d hours ago", count)
    elif unit == 60:
        said = found.ngettext("%(num)d minute ago", "%(num)d minutes ago", count)
    else:
        return found.gettext("just now")
    return said % {"num": count}


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
