"""Update of the website's translation catalogs from its templates and code, `make catalogs`; translations stay.

`--check` changes nothing; the exit code is 1 if a text has no translation, or a catalog has a text that is used no
more.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "forumapi" / "webclient"
LANGUAGES = ("de", "fr", "es")
METHODS = [("**.py", "python"), ("**.html", "jinja2"), ("**.xml", "jinja2"), ("**.txt", "jinja2")]
OPTIONS = {
    pattern: {
        "extensions": "jinja2.ext.i18n,jinja2.ext.loopcontrols",
        "newstyle_gettext": "true",
        "trimmed": "false",
        "silent": "false",
    }
    for pattern, method in METHODS
    if method == "jinja2"
}


def extracted() -> Catalog:
    """Return every text of the website's templates and code; without line numbers, so that moved lines change
    nothing.
    """
    catalog = Catalog(charset="utf-8", project="forumapi")
    found = extract_from_dir(
        str(PACKAGE),
        method_map=METHODS,
        options_map=OPTIONS,
        keywords={
            "_": None,
            "gettext": None,
            "marked": None,
            "ngettext": (1, 2),
            "pgettext": ((1, "c"), 2),
        },
    )
    for name, _, message, comments, context in sorted(found, key=lambda one: (one[0], one[1])):
        catalog.add(
            message, None, [(Path(name).name, None)], auto_comments=comments, context=context
        )
    return catalog


def path_of(language: str) -> Path:
    """Return the path of a language's catalog."""
    return PACKAGE / "locale" / f"{language}.po"


def load(language: str) -> Catalog:
    """Read a language's catalog; an empty one if there is no file."""
    path = path_of(language)
    if not path.exists():
        return Catalog(locale=language, charset="utf-8")
    with path.open("rb") as handle:
        return read_po(handle, locale=language, charset="utf-8")


def missing(catalog: Catalog) -> list[str]:
    """Return the texts that have no translation, or not in all plural forms."""
    found = []
    for message in catalog:
        if not message.id:
            continue
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        if message.fuzzy or not all(strings):
            found.append(str(message.id if isinstance(message.id, str) else message.id[0]))
    return found


def main() -> int:
    """Update or check the catalogs; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    asked = parser.parse_args()
    template = extracted()
    is_good = True
    for language in LANGUAGES:
        catalog = load(language)
        known = {(one.id, one.context) for one in catalog if one.id}
        catalog.update(template, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        catalog.project, catalog.version = "forumapi", "1"
        catalog.header_comment = f"# Texts of the website, in {language}."
        # Two runs write the same bytes.
        catalog.creation_date = catalog.revision_date = datetime(2026, 11, 30, tzinfo=UTC)
        catalog.fuzzy = False
        now = {(one.id, one.context) for one in catalog if one.id}
        left = missing(catalog)
        print(
            f"{language}: {len(now)} texts, {len(left)} without a translation, {len(known - now)} said no more"
        )
        for text in left[:20]:
            print(f"  {text}")
        is_good = is_good and not left and known <= now
        if not asked.check:
            path_of(language).parent.mkdir(exist_ok=True)
            with path_of(language).open("wb") as handle:
                write_po(
                    handle,
                    catalog,
                    width=120,
                    omit_header=False,
                    sort_output=True,
                    include_lineno=False,
                )
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
