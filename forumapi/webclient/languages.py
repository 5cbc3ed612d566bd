"""Languages of the website: catalogs of translations, the choice by Accept-Language, and how each writes dates and
numbers.
"""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from babel import Locale
from babel.dates import format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

# The last one is no language: it marks each text of ours and runs from right to left, so that tests and people see
# which texts nobody translated, and which layouts assume a direction.
PSEUDO: Final = "ar-XB"
NAMES: Final = ("en", "de", "fr", "es", PSEUDO)

# English is Britain's: 30 Nov 2026.
_LOCALES: Final = {"en": "en_GB"}
# Dates by what is asked for: in most languages, and in those that write them otherwise.
_FORMS: Final = {
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
    "es": {"weekday": "EEEE, d 'de' MMMM 'de' y", "whole": "EEEE, d 'de' MMMM 'de' y, HH:mm"},
}

_PART: Final = re.compile(r"(%\(\w+\)[sd]|%%|\{\w+\}|<[^>]*>|&\w+;)")
_WIDE: Final = str.maketrans("aeiouAEIOU", "àéîöûÀÉÎÖÛ")


class Language(NamedTuple):
    """Language of the website: its code, direction ("ltr" or "rtl"), catalog of translations, and Babel locale."""

    code: str
    direction: str
    catalog: NullTranslations
    locale: Locale

    def gettext(self, text: str) -> str:
        """Return the translation of an English text; the text itself if there is none."""
        return self.catalog.gettext(text)

    def ngettext(self, one: str, many: str, count: int) -> str:
        """Return the translation in the plural form for `count`; `one` and `many` are the English forms."""
        return self.catalog.ngettext(one, many, count)


class _Pseudo(NullTranslations):
    """Catalog of the pseudo-language for tests: every text in brackets and with accents, so that what nobody marked for
    translation stands out.
    """

    def gettext(self, message: str) -> str:
        parts = _PART.split(message)
        return f"⟦{''.join(part if _PART.fullmatch(part) else part.translate(_WIDE) for part in parts)}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)

    def pgettext(self, context: str, message: str) -> str:
        return self.gettext(message)

    ugettext = gettext
    ungettext = ngettext


@lru_cache
def language(code: str) -> Language:
    """Return the language with the code `code`, one of NAMES; read once a process."""
    if code == PSEUDO:
        return Language(code, "rtl", _Pseudo(), Locale.parse(_LOCALES["en"]))
    return Language(code, "ltr", _catalog(code), Locale.parse(_LOCALES.get(code, code)))


def choose(header: str) -> str:
    """Return the code of the language that an `Accept-Language` header prefers among NAMES; "en" if it names none of
    them or is empty.
    """
    if not header:
        return NAMES[0]
    accepted = parse_accept_header(header[:500], LanguageAccept)
    # Whoever reads Arabic is not given what is no language.
    if (accepted.best or "").lower() == PSEUDO.lower():
        return PSEUDO
    return accepted.best_match(NAMES[:-1], NAMES[0]) or NAMES[0]


def _catalog(code: str) -> NullTranslations:
    source = files("forumapi.webclient") / "locale" / f"{code}.po"
    if not source.is_file():
        return NullTranslations()
    with source.open("rb") as handle:
        catalog = read_po(handle, locale=code, charset="utf-8")
    data = io.BytesIO()
    write_mo(data, catalog)
    data.seek(0)
    return Translations(data)


# ---------------------------------------------------------------- dates and numbers


class PageTime(datetime):
    """Time at which a page is made. `good_for_s`: seconds until a text on it such as "4 minutes ago" becomes wrong;
    infinite while it has none.
    """

    good_for_s: float

    def said(self, then: datetime) -> None:
        """Lower `good_for_s` for a page that says how long ago `then` was."""
        seconds = self.timestamp() - then.timestamp()
        if seconds < 3600:
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
    """Return a date or number that this module has written, in the pseudo-language's brackets if `code` is that."""
    return f"⟦{text}⟧" if code == PSEUDO else text


def dated(code: str, text: str, form: str = "minute") -> str:
    """Write the API's time `text` as a date in UTC, in the language `code`; `form`: `day`, `minute` (day and clock),
    `weekday` (day with its weekday) or `whole` (`weekday` and clock).
    """
    return _dated(code, _parsed(text).replace(second=0, microsecond=0), form)


def ago(code: str, text: str, now: datetime) -> str:
    """Write the API's time `text` in the language `code` as a span before `now`, "just now" to "6 days ago"; as a date
    if it is older or in the future. A PageTime `now` is told of the time (`said`).
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
    """Write a number as the language `code` does, with at most two decimals."""
    if type(value) is int and -1000 < value < 1000:
        return _own(code, str(value))
    return _own(code, format_decimal(value, "#,##0.##", locale=language(code).locale))


def now() -> PageTime:
    """Return the present time in UTC as a PageTime whose `good_for_s` is infinite."""
    found = PageTime.now(UTC)
    found.good_for_s = float("inf")
    return found


def functions(code: str) -> dict[str, Any]:
    """Return the functions of translation of the language `code`, by the names under which Jinja installs them."""
    found = language(code)
    return {
        "gettext": found.gettext,
        "ngettext": found.ngettext,
        "pgettext": found.catalog.pgettext,
        "npgettext": found.catalog.npgettext,
    }
