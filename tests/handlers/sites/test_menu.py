"""The menu of a site, on its own host and on the root host (platform 2.3, P-20)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.handlers.platform import Platform, eventually, platform

__all__ = ["platform"]

OWN = "/api/v1/site/menu"
MENU = [
    {"href": "/microcosms/12/", "title": "Where to start", "text": "New here?"},
    {"href": "https://example.org/a?b=c", "text": "Elsewhere"},
    {"href": "mailto:club@example.org", "text": "Write"},
]


def test_a_site_without_menu_has_an_empty_list(platform: Platform) -> None:
    site = platform.make.site()

    assert platform.api.get(OWN, site=site).data == []
    assert platform.api.get(f"{platform.path(site)}/menu").data == []


def test_the_owner_replaces_the_menu_in_this_order(platform: Platform) -> None:
    site = platform.make.site()
    api = platform.api

    answer = api.put(OWN, MENU, by=site.owner)
    assert (answer.status, answer.data) == (200, None)
    assert api.get(OWN, by=site.member).data == MENU
    assert api.get("/api/v1/site", by=site.member).data["menu"] == MENU

    assert api.put(OWN, MENU[:1], by=site.owner).status == 200
    assert api.get(OWN, by=site.owner).data == MENU[:1]
    assert eventually(lambda: api.get(OWN, site=site).data == MENU[:1])


def test_the_keys_of_an_entry_stand_in_wire_order(platform: Platform) -> None:
    site = platform.make.site()
    platform.api.put(OWN, MENU, by=site.owner)

    first, second, _ = platform.api.get(OWN, by=site.owner).data
    assert list(first) == ["href", "title", "text"]
    assert list(second) == ["href", "text"]


def test_the_owners_user_does_the_same_on_the_root_host(platform: Platform) -> None:
    site = platform.make.site()
    path = f"{platform.path(site)}/menu"
    api = platform.api

    assert api.put(path, MENU, by=site.owner, host=platform.domain).status == 200
    assert api.get(path).data == MENU
    assert api.get(OWN, by=site.member).data == MENU
    assert api.delete(path, by=site.owner, host=platform.domain).status == 200
    assert api.get(OWN, by=site.member).data == []
    assert api.delete(path, by=site.owner, host=platform.domain).status == 200


def test_nobody_else_changes_it(platform: Platform) -> None:
    site, other = platform.make.site(), platform.make.site()
    path = f"{platform.path(site)}/menu"
    api = platform.api
    api.put(OWN, MENU, by=site.owner)

    for person in (None, site.member, site.moderator, site.banned, other.owner):
        assert api.put(OWN, MENU[:1], site=site, by=person).status == 403
        assert api.delete(OWN, site=site, by=person).status == 403
    for person in (None, site.member, other.owner):
        assert api.put(path, MENU[:1], host=platform.domain, by=person).status == 403
        assert api.delete(path, host=platform.domain, by=person).status == 403
    assert api.get(OWN, by=site.member).data == MENU


def test_a_member_is_refused_before_the_body_is_looked_at_closely(platform: Platform) -> None:
    site = platform.make.site()

    assert platform.api.put(OWN, [], by=site.member).status == 403


@pytest.mark.parametrize(
    ("menu", "field"),
    [
        ([], ""),
        ([{"href": "/", "text": "x"}] * 11, ""),
        ([{"text": "x"}], "[0].href"),
        ([{"href": "", "text": "x"}], "[0].href"),
        ([{"href": "/"}], "[0].text"),
        ([{"href": "/", "text": " <b></b> "}], "[0].text"),
        ([{"href": "/", "text": "x" * 51}], "[0].text"),
        ([{"href": "/", "text": "x"}, {"href": "/", "text": "x", "title": "x" * 513}], "[1].title"),
        ([{"href": "/" + "x" * 2000, "text": "x"}], "[0].href"),
        ([{"href": "javascript:alert(1)", "text": "x"}], "[0].href"),
        ([{"href": " JavaScript:alert(1)", "text": "x"}], "[0].href"),
        ([{"href": "java\tscript:alert(1)", "text": "x"}], "[0].href"),
        ([{"href": "javascript&#58;alert(1)", "text": "x"}], "[0].href"),
        ([{"href": "\u0001javascript:alert(1)", "text": "x"}], "[0].href"),
        ([{"href": "data:text/html,x", "text": "x"}], "[0].href"),
        ([{"href": "vbscript:x", "text": "x"}], "[0].href"),
        ([{"href": "http:/nohost", "text": "x"}], "[0].href"),
        ([{"href": '/"onmouseover="x', "text": "x"}], "[0].href"),
        ([{"href": "/a b", "text": "x"}], "[0].href"),
        ([{"href": 7, "text": "x"}], "[0].href"),
        ({"href": "/", "text": "x"}, ""),
    ],
)
def test_a_bad_menu_is_refused_and_the_entry_named(
    platform: Platform, menu: Any, field: str
) -> None:
    site = platform.make.site()
    platform.api.put(OWN, MENU, by=site.owner)

    answer = platform.api.put(OWN, menu, by=site.owner)
    assert answer.status == 400, answer.body
    assert answer.error.startswith(field)
    assert platform.api.get(OWN, by=site.owner).data == MENU


def test_texts_are_stored_escaped_and_come_back_unchanged_when_sent_again(
    platform: Platform,
) -> None:
    site = platform.make.site()
    sent = [{"href": "/search/?q=a&b=c", "text": "R&D <b>now</b>", "title": 'say "hi"'}]
    platform.api.put(OWN, sent, by=site.owner)

    kept = platform.api.get(OWN, by=site.owner).data
    assert kept == [
        {"href": "/search/?q=a&amp;b=c", "text": "R&amp;D now", "title": "say &#34;hi&#34;"}
    ]
    platform.api.put(OWN, kept, by=site.owner)
    assert platform.api.get(OWN, by=site.owner).data == kept


def test_case_is_kept(platform: Platform) -> None:
    site = platform.make.site()
    platform.api.put(OWN, [{"href": "/FAQ/", "text": "FAQ"}], by=site.owner)

    assert platform.api.get(OWN, by=site.owner).data == [{"href": "/FAQ/", "text": "FAQ"}]


def test_the_menu_is_read_from_memory(platform: Platform) -> None:
    site = platform.make.site()
    platform.api.get(OWN, site=site)

    answer = platform.api.get(OWN, site=site)
    assert answer.statements == 0
    unchanged = platform.api.get(OWN, site=site, headers={"If-None-Match": answer.headers["ETag"]})
    assert unchanged.status == 304


def test_menus_are_not_audited_but_are_events(platform: Platform) -> None:
    site = platform.make.site()
    before = platform.sql(
        "SELECT count(*) FROM audit_log WHERE site_id = %(site_id)s", site_id=site.id
    )
    platform.api.put(OWN, MENU, by=site.owner)

    after = platform.sql(
        "SELECT count(*) FROM audit_log WHERE site_id = %(site_id)s", site_id=site.id
    )
    events = platform.sql(
        """
        SELECT kind, item_type_id, item_id FROM event_log
         WHERE site_id = %(site_id)s ORDER BY event_id DESC LIMIT 1""",
        site_id=site.id,
    )
    assert after == before
    assert events == [("replaced", 1, site.id)]


def test_an_unknown_site_has_no_menu(platform: Platform) -> None:
    site = platform.make.site()

    assert platform.api.get("/api/v1/sites/999999999/menu").status == 404
    answer = platform.api.put(
        "/api/v1/sites/999999999/menu", MENU, by=site.owner, host=platform.domain
    )
    assert answer.status == 404


def test_options_name_the_methods(platform: Platform) -> None:
    site = platform.make.site()

    for where in ({"path": OWN, "site": site}, {"path": f"{platform.path(site)}/menu"}):
        answer = platform.api.request("OPTIONS", **where)
        assert answer.headers["Allow"] == "OPTIONS,GET,HEAD,PUT,DELETE"
    assert platform.api.post(OWN, MENU, by=site.owner).status == 405
