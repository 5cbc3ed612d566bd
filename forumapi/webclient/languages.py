"""Languages of the website: catalogs of translations, and the choice by Accept-Language."""

from __future__ import annotations

import io
import re
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

# The last one is no language: it marks each text of ours and runs from right to left, so that tests and people see
# which texts nobody translated, and which layouts assume a direction.
PSEUDO: Final = "ar-XB"
NAMES: Final = ("en", "de", "fr", "es", PSEUDO)

# English is Britain's: 30 Nov 2026.
_LOCALES: Final = {"en": "en_GB"}

_PART: Final = re.compile(r"(%\(\w+\)[sd]|%%|\{\w+\}|<[^>]*>|&\w+;)")
_WIDE: Final = str.maketrans("aeiouAEIOU", "àéîöûÀÉÎÖÛ")


class Language(NamedTuple):
    """Language of the website: its code, direction ("ltr" or "rtl"), catalog of translations, and Babel locale."""

    code: str
    direction: str
    catalog: NullTranslations
    locale: Locale

    def gettext(self, text: str) -> str:
        """Return the translation of an English text; the text itself if there is none. Placeholders such as `%(num)d`
        stay for the caller to fill in.
        """
        return self.catalog.gettext(text)

    def ngettext(self, one: str, many: str, count: int) -> str:
        """Return the translation in the plural form for `count`; `one` and `many` are the English forms, of which the
        fitting one is returned without a translation. Placeholders such as `%(num)d` stay for the caller to fill in.
        """
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
    """Return the language with the code `code`, one of NAMES, the website's languages; read once a process."""
    if code == PSEUDO:
        return Language(code, "rtl", _Pseudo(), Locale.parse(_LOCALES["en"]))
    return Language(code, "ltr", _catalog(code), Locale.parse(_LOCALES.get(code, code)))


def choose(header: str) -> str:
    """Return the code of the language that an `Accept-Language` header prefers among the website's (NAMES); "en" if the
    header names none of them or is empty.
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


def functions(code: str) -> dict[str, Any]:
    """Return the functions of translation of the language `code`, by the names under which Jinja
    installs them: `gettext`, `ngettext`, `pgettext` and `npgettext`.
    """
    found = language(code)
    return {
        "gettext": found.gettext,
        "ngettext": found.ngettext,
        "pgettext": found.catalog.pgettext,
        "npgettext": found.catalog.npgettext,
    }
