"""Languages: nothing that the website says is left without a translation, and each writes dates and numbers its way."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Final

import pytest
from markupsafe import Markup

from forumapi.webclient import dates_and_numbers, languages
from forumapi.webclient.languages import PSEUDO
from forumapi.webclient.template_environment import environment
from scripts import catalogs
from tests.factories import Factory
from tests.webclient.gallery import SCENES, Stage
from tests.webclient.test_look import EACH

# Not looked at: what people wrote, code, what says that it is English, and names that are the same in every language.
_OTHERS: Final = (
    "script, style, noscript, code, kbd, textarea, .text, .diff, [translate=no], [lang=en]"
)
_ATTRIBUTES: Final = ("aria-label", "placeholder", "title", "alt")
# What people called things, in tests/factories.py, tests/webclient/gallery.py and the demonstration.
_NAMES: Final = (
    r"[\w-]+:(read|write)|site\w+\.forum\.test|[\w.]*\.forum\.test"
    r"|Site site\w+|A site for tests|A place of its own|A place|Forums|Moderators|Spam|Reader|Mine|Rides|Backup|Club"
    r"|(Conversation|Event|Poll|Huddle|Microcosm)\s+\d+"
    r"|Comment number \d+|Some words.*|Red|Green|Blue|Which one\\?|Too much is said of it|Regulars|Half|Another name"
    r"|The platform's own site"
    r"|like|love|laugh|surprise|sad|thanks|Chrome|Linux"
    r"|owner|moderator|member\d*|newcomer|banned|person\d+|\S+@\S+\.test|http://\S+|site\w+|forumapi|UTC"
    r"|Buys nothing|This was no spam|Too loud|Old board|Guests|Links of newcomers|We look at what new members write"
    r"|Some \*words\*.*|lines of code .*"
    r"|Members|Banned|A sentence that is quoted|Comment\s+number(\s+\d+)?|fapi\w+|[A-Z]\w+/[\w/+-]+"
)


def unmarked(text: str, called: Iterable[str]) -> str:
    """Return the rest of a text without what is marked as translated, what people called things, and `called`."""
    before = ""
    for name in called:
        text = text.replace(name, "")
    while before != text:
        before, text = text, re.sub(r"⟦[^⟦⟧]*⟧", "", text)
    # What has neither a title nor a page is called by its kind and number.
    text = re.sub(r":\s*\d+\b", "", text)
    return re.sub(rf"\b({_NAMES})(?!\w)", "", text)


@pytest.mark.wide
@pytest.mark.parametrize("name", EACH)
def test_every_text_of_a_page_is_translated(stage: Stage, make: Factory, name: str) -> None:
    page = stage.read(SCENES[name], language=PSEUDO)
    # The platform's pages list sites of other tests too.
    rows = make.sql(
        """SELECT s.title, s.description FROM sites s UNION ALL
           SELECT p.profile_name, NULL FROM sites s JOIN profiles p ON p.profile_id = s.owned_by"""
    )
    # What has no title is called by its id.
    rows += make.sql(
        """SELECT c.comment_id::text FROM comments c WHERE c.site_id = %(id)s AND c.comment_id > 999
            UNION ALL SELECT i.item_id::text FROM items i WHERE i.site_id = %(id)s AND i.item_id > 999
            UNION ALL SELECT p.profile_id::text FROM profiles p WHERE p.site_id = %(id)s AND p.profile_id > 999""",
        id=stage.site.id,
    )
    called = sorted({unescape(text) for row in rows for text in row if text}, key=len, reverse=True)
    tree = page.tree
    assert tree.css_first("html").attributes["dir"] == "rtl"  # type: ignore[union-attr]
    for node in tree.css(_OTHERS):
        node.decompose()

    # Whole, since what is translated may hold links. A number of up to three digits is the same in every language.
    texts = [tree.css_first("title").text(), tree.body.text(separator=" ")]  # type: ignore[union-attr]
    for attribute in _ATTRIBUTES:
        texts += [node.attributes[attribute] or "" for node in tree.css(f"body [{attribute}]")]

    left = [rest for text in texts for rest in unmarked(text, called).split("\n")]
    assert not [rest.strip() for rest in left if re.search(r"[^\W\d_]|\d{4}", rest)]


@pytest.mark.wide
@pytest.mark.parametrize("code", catalogs.LANGUAGES)
def test_a_catalog_is_whole(code: str) -> None:
    wanted = {(one.id, one.context) for one in catalogs.extracted() if one.id}
    catalog = catalogs.load(code)
    said = {(one.id, one.context) for one in catalog if one.id}

    assert catalogs.missing(catalog) == []
    assert wanted - said == set()
    assert said - wanted == set()


@pytest.mark.wide
@pytest.mark.parametrize("code", catalogs.LANGUAGES)
def test_a_translation_has_the_places_of_its_text(code: str) -> None:
    place = re.compile(r"%\(\w+\)[sd]|%(?!\()")
    for message in catalogs.load(code):
        ids = message.id if isinstance(message.id, (list, tuple)) else (message.id,)
        strings = message.string if isinstance(message.string, (list, tuple)) else (message.string,)
        places = {one for text in ids for one in place.findall(text)}
        if message.id and all(strings):
            assert {one for text in strings for one in place.findall(str(text))} == places, (
                message.id
            )


def test_no_catalog_has_the_text_of_another_language() -> None:
    said: dict[str, str] = {}
    wrong = []
    for code in catalogs.LANGUAGES:
        for one in catalogs.load(code):
            # Names, such as HTML and Webhooks, are the same in all.
            if isinstance(one.string, str) and " " in one.string and "%" not in one.string:
                other = said.setdefault(one.string, code)
                wrong += [f"{other}, {code}: {one.string}"] if other != code else []
    assert wrong == []


def test_a_page_is_good_until_a_time_in_the_future_has_come() -> None:
    now = dates_and_numbers.now()
    coming = (now + timedelta(days=2, seconds=30)).isoformat()
    assert dates_and_numbers.ago("en", coming, now)[-4:].isdigit()
    assert now.good_for_s == pytest.approx(2 * 86_400 + 30)
    dates_and_numbers.ago("en", (now - timedelta(seconds=90)).isoformat(), now)
    assert now.good_for_s == pytest.approx(30)


def test_all_times_of_a_day_are_formatted_once() -> None:
    def formatted() -> int:
        return dates_and_numbers._dated.cache_info().misses

    before = formatted()
    times = [
        f"1999-07-01T{hour:02}:{second:02}:07.5Z" for hour in range(24) for second in range(60)
    ]

    assert {dates_and_numbers.dated("de", text, "day") for text in times} == {"1. Juli 1999"}
    assert formatted() == before + 1
    assert dates_and_numbers.dated("de", times[-1]) == "1. Juli 1999, 23:59 UTC"


def test_what_is_filled_into_a_plural_is_escaped() -> None:
    template = environment("en").from_string(
        "{{ ngettext('%(num)s comment', '%(num)s comments', n) }}"
        "|{{ ngettext('%(num)s comment', '%(num)s comments', n, num=said) }}"
        "|{{ ngettext('%(num)s new in %(title)s', '%(num)s new in %(title)s', n, title=said) }}"
    )
    for _ in range(2):
        assert template.render(n=1, said="<b>") == (
            "1 comment|&lt;b&gt; comment|1 new in &lt;b&gt;"
        )
        assert template.render(n=0, said=Markup("<b>")) == ("0 comments|<b> comments|0 new in <b>")


@pytest.mark.wide
def test_a_language_writes_dates_and_numbers_its_way() -> None:
    text, number = "2026-03-09T14:05:00Z", 12_345
    written = {
        code: (
            dates_and_numbers.dated(code, text, "day"),
            dates_and_numbers.dated(code, text, "weekday"),
            dates_and_numbers.dated(code, text),
            dates_and_numbers.number(code, number),
            dates_and_numbers.number(code, 1.5),
        )
        for code in languages.NAMES
    }
    assert written == {
        "en": ("9 Mar 2026", "Monday 9 March 2026", "9 Mar 2026, 14:05 UTC", "12,345", "1.5"),
        "de": ("9. März 2026", "Montag, 9. März 2026", "9. März 2026, 14:05 UTC", "12.345", "1,5"),
        "fr": ("9 mars 2026", "lundi 9 mars 2026", "9 mars 2026, 14:05 UTC", "12\u202f345", "1,5"),
        "es": ("9 mar 2026", "lunes, 9 de marzo de 2026", "9 mar 2026, 14:05 UTC", "12.345", "1,5"),
        PSEUDO: (
            "⟦9 Mar 2026⟧",
            "⟦Monday 9 March 2026⟧",
            "⟦9 Mar 2026, 14:05 UTC⟧",
            "⟦12,345⟧",
            "⟦1.5⟧",
        ),
    }


def test_a_language_says_how_long_ago_its_way() -> None:
    now = datetime(2026, 3, 9, 14, 5, tzinfo=UTC)
    ages = (timedelta(seconds=5), timedelta(minutes=1), timedelta(hours=3), timedelta(days=2))
    said = {
        code: [dates_and_numbers.ago(code, (now - age).isoformat(), now) for age in ages]
        for code in ("de", "fr", "es")
    }
    assert said == {
        "de": ["gerade eben", "vor 1 Minute", "vor 3 Stunden", "vor 2 Tagen"],
        "fr": ["à l’instant", "il y a 1 minute", "il y a 3 heures", "il y a 2 jours"],
        "es": ["ahora mismo", "hace 1 minuto", "hace 3 horas", "hace 2 días"],
    }


def test_a_visitor_gets_the_language_that_they_read() -> None:
    assert languages.choose("de-AT,de;q=0.9,en;q=0.5") == "de"
    assert languages.choose("it, fr-CA;q=0.8") == "fr"
    assert languages.choose("es-MX") == "es"
    assert languages.choose("ja, *;q=0.1") == "en"
    assert languages.choose("") == "en"
    # It is for tests and people who ask for it by name.
    assert languages.choose("ar") == "en"
