"""Languages of the website: catalogs, and how a language writes dates and numbers."""

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

_PART: Final = re.compile(r"(%\(\w+\)[sd]|%%|<[^>]*>|&\w+;)")
_WIDE: Final = str.maketrans("aeiouAEIOU", "àéîöûÀÉÎÖÛ")


class Language(NamedTuple):
    """Language: its code, its direction, and its catalog."""

    code: str
    direction: str
    catalog: NullTranslations
    locale: Locale

    def gettext(self, text: str) -> str:
        """Translate."""
        return self.catalog.gettext(text)

    def ngettext(self, one: str, many: str, count: int) -> str:
        """Translate, in the form that `count` asks for."""
        return self.catalog.ngettext(one, many, count)


class _Pseudo(NullTranslations):
    """Catalog that brackets and accents each text."""

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
    """Return a language by its code, one of NAMES."""
    if code == PSEUDO:
        return Language(code, "rtl", _Pseudo(), Locale.parse(_LOCALES["en"]))
    return Language(code, "ltr", _catalog(code), Locale.parse(_LOCALES.get(code, code)))


def choose(header: str) -> str:
    """Choose by an `Accept-Language` header."""
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
    """Time at which a page is made; it remembers until when what the page says of times is right.

    "4 minutes ago" is wrong within a minute, a date never.
    """

    good_for_s: float

    def said(self, then: datetime) -> None:
        """Remember that a page says how long ago that was."""
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
    """Parse a time of the API (RFC 3339, UTC)."""
    return _parsed(text)


@lru_cache(4096)
def _dated(code: str, minute: datetime, form: str) -> str:
    pattern = _FORMS_OF.get(code, {}).get(form) or _FORMS[form]
    return _own(code, format_datetime(minute, pattern, locale=language(code).locale))


def _own(code: str, text: str) -> str:
    """Return what this module wrote, marked in the language that is none."""
    return f"⟦{text}⟧" if code == PSEUDO else text


def dated(code: str, text: str, form: str = "minute") -> str:
    """Write a time: `minute`, `day`, `weekday` (a day with its name) or `whole` (that, with the minute)."""
    return _dated(code, _parsed(text).replace(second=0, microsecond=0), form)


def ago(code: str, text: str, now: datetime) -> str:
    """Write a time as people say it: "4 minutes ago" within a day, else its date."""
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
    """Write a number, with at most two decimals."""
    if type(value) is int and -1000 < value < 1000:
        return _own(code, str(value))
    return _own(code, format_decimal(value, "#,##0.##", locale=language(code).locale))


def now() -> PageTime:
    """Return the present, in UTC."""
    found = PageTime.now(UTC)
    found.good_for_s = float("inf")
    return found


def functions(code: str) -> dict[str, Any]:
    """Return the functions that templates of a language call."""
    found = language(code)
    return {
        "gettext": found.gettext,
        "ngettext": found.ngettext,
        "pgettext": found.catalog.pgettext,
        "npgettext": found.catalog.npgettext,
    }
