"""Sites on their own host and on the root host (platform 2.2 and 2.3, P-13 to P-19)."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import urlencode

import pytest

from forumapi.models.sites.site_validation import COLOR_NAMES
from tests.api import Response
from tests.factories import Person, Site
from tests.handlers.platform import Platform, WsgiApi, eventually, platform

__all__ = ["platform"]

OWN = "/api/v1/site"
ALL = "/api/v1/sites"
NEW = {"title": "Velo Club", "description": "Rides, repairs and cake."}
KEYS = [
    "siteId", "siteURL", "title", "description", "subdomainKey", "domain", "ownedBy", "themeId", "logoUrl",
    "faviconUrl", "backgroundColor", "backgroundUrl", "backgroundPosition", "linkColor", "menu", "reactions", "meta",
]  # fmt: skip
STATS = [
    "activeProfiles", "onlineProfiles", "totalProfiles", "totalConversations", "totalEvents", "totalComments",
]  # fmt: skip


def show(platform: Platform, site: Site) -> Any:
    """The site as its owner sees it on its own host."""
    return platform.api.get(OWN, by=site.owner).data


def change(platform: Platform, site: Site, body: Any, by: Person | None = None) -> Response:
    """PUT on the site's own host, by its owner."""
    return platform.api.put(OWN, body, site=site, by=by or site.owner)


# ---------------------------------------------------------------- reading


def test_a_guest_sees_the_site_with_permissions(platform: Platform) -> None:
    site = platform.make.site(backgroundUrl="/own.png")

    answer = platform.api.get(OWN, site=site)
    data = answer.data
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert list(data) == KEYS
    assert list(data["meta"]) == ["created", "createdBy", "flags", "stats", "links", "permissions"]
    assert data["siteId"] == site.id
    assert data["siteURL"] == f"https://{site.host}"
    assert data["subdomainKey"] == site.key
    assert data["domain"] == ""
    assert data["ownedBy"]["id"] == site.owner.id
    assert data["meta"]["createdBy"] == data["ownedBy"]
    assert data["meta"]["flags"] == {"deleted": False}
    assert [stat["metric"] for stat in data["meta"]["stats"]] == STATS
    assert data["meta"]["links"][0] == {"rel": "self", "href": f"/api/v1/sites/{site.id}"}
    assert {name for name, value in data["meta"]["permissions"].items() if value} == {
        "read",
        "guest",
    }
    assert (data["backgroundColor"], data["linkColor"]) == ("#FFFFFF", "#4082C3")
    assert data["logoUrl"] == "/static/themes/1/logo.png"


def test_each_caller_has_permissions_of_its_own(platform: Platform) -> None:
    site = platform.make.site()

    def true(person: Person) -> set[str]:
        permissions = platform.api.get(OWN, by=person).data["meta"]["permissions"]
        return {name for name, value in permissions.items() if value}

    assert true(site.member) == {"read"}
    assert true(site.banned) == {"read", "banned"}
    assert true(site.owner) == {
        "create", "read", "update", "delete", "owner", "moderator", "siteOwner",
    }  # fmt: skip


def test_a_warm_site_costs_a_guest_nothing_and_a_member_the_identity(platform: Platform) -> None:
    site = platform.make.site()
    for person in (None, site.member):
        platform.api.get(OWN, site=site, by=person)

    assert platform.api.get(OWN, site=site).statements == 0
    assert platform.api.get(OWN, site=site, by=site.member).statements == 1


def test_an_unchanged_site_is_not_sent_again(platform: Platform) -> None:
    site = platform.make.site()
    tag = platform.api.get(OWN, site=site).headers["ETag"]
    again = {"If-None-Match": tag}

    assert platform.api.get(OWN, site=site, headers=again).status == 304
    assert platform.api.get(OWN, by=site.member, headers=again).status == 200
    change(platform, site, {"title": "Other"})
    assert eventually(
        lambda: platform.api.get(OWN, site=site, headers=again).status == 200, within_s=1
    )


def test_statistics_are_those_of_now_and_move_no_version(platform: Platform) -> None:
    site = platform.make.site()
    platform.api.get(OWN, site=site)
    platform.sql(
        "UPDATE site_stats SET online_profiles = 77 WHERE site_id = %(id)s RETURNING 1", id=site.id
    )

    def online(person: Person | None) -> int:
        stats = platform.api.get(OWN, site=site, by=person).data["meta"]["stats"]
        return int(stats[1]["value"])

    assert eventually(lambda: online(None) == online(site.member) == 77)
    versions = platform.sql("SELECT version FROM sites WHERE site_id = %(id)s", id=site.id)
    assert versions == [(1,)]


def test_the_root_host_shows_a_site_without_permissions(platform: Platform) -> None:
    site = platform.make.site()

    mine = platform.api.get(platform.path(site), by=site.owner, host=platform.domain)
    assert list(mine.data["meta"]) == ["created", "createdBy", "flags", "stats", "links"]
    # Only to oneself the number of one's account.
    shown, own = platform.api.get(platform.path(site)).data, mine.data
    for data, user_id in ((own, site.owner.user_id), (shown, site.owner.id)):
        assert data["ownedBy"].pop("userId") == user_id
        assert data["meta"]["createdBy"].pop("userId") == user_id
    assert shown == own
    assert platform.api.get(f"{ALL}/999999999").code == 14
    assert platform.api.get(f"{ALL}/99999999999999999999").status == 400
    assert platform.api.get(OWN).data["siteURL"] == "https://forum.example"
    assert platform.api.get(OWN).data["subdomainKey"] == "root"


def test_root_routes_are_not_on_site_hosts(platform: Platform) -> None:
    site = platform.make.site()

    for path in (ALL, platform.path(site), f"{platform.path(site)}/menu"):
        assert platform.api.get(path, site=site).status == 404
    assert platform.api.post(ALL, NEW, by=site.owner).status == 404


def test_sites_are_listed_oldest_first_without_root_and_deleted_ones(platform: Platform) -> None:
    first, second, gone = (platform.make.site() for _ in range(3))
    change(platform, gone, {"meta": {"flags": {"deleted": True}}})

    page = platform.api.get(f"{ALL}?limit=250").data
    ids = [one["siteId"] for one in page["sites"]["items"]]
    assert ids == sorted(ids)
    assert {first.id, second.id} <= set(ids)
    assert not {1, gone.id} & set(ids)
    assert page["sites"]["type"] == ALL
    assert page["meta"] == {"links": [{"rel": "self", "href": f"{ALL}?limit=250"}]}
    assert "permissions" not in page["sites"]["items"][0]["meta"]


def test_the_list_has_pages(platform: Platform) -> None:
    for _ in range(6):
        platform.make.site()

    first = platform.api.get(f"{ALL}?limit=5").data["sites"]
    assert (len(first["items"]), first["page"]) == (5, 1)
    second = platform.api.get(f"{ALL}?limit=5&offset=5").data["sites"]
    assert second["items"][0]["siteId"] > first["items"][-1]["siteId"]
    assert platform.api.get(f"{ALL}?limit=5&offset=5000000").code == 4
    assert platform.api.get(f"{ALL}?limit=7").code == 4
    assert platform.api.get(f"{ALL}?limit=x").code == 3


def test_owned_sites_are_those_of_the_callers_user(platform: Platform) -> None:
    site, other = platform.make.site(), platform.make.site()
    path = f"{ALL}?filter=owned"

    mine = platform.api.get(path, by=site.owner, host=platform.domain).data["sites"]
    assert [one["siteId"] for one in mine["items"]] == [site.id]
    assert mine["total"] == 1
    nothing = platform.api.get(path, by=other.member, host=platform.domain).data["sites"]
    assert (nothing["items"], nothing["total"], nothing["page"]) == ([], 0, 1)
    refused = platform.api.get(f"{path}&limit=x")
    assert (refused.status, refused.code) == (403, 5)


@pytest.mark.wide
def test_sites_are_found_by_their_title(platform: Platform) -> None:
    site = platform.make.site(title="Quokkas & 100% wombats")
    other = platform.make.site(title="Quokkas of the coast")

    def found(q: str) -> list[int]:
        data = platform.api.get(f"{ALL}?{urlencode({'q': q})}").data["sites"]
        assert data["total"] == len(data["items"])
        return [one["siteId"] for one in data["items"]]

    assert found("QUOKKAS") == [site.id, other.id]
    assert found("& 100%") == [site.id]
    assert (
        found("amp")
        == found("%quokkas")
        == found("_uokkas")
        == found("quokkas'--")
        == found("&amp;")
        == []
    )
    with_link = platform.api.get(f"{ALL}?q=quokkas&limit=5").data["sites"]["links"][0]
    assert with_link["href"] == f"{ALL}?limit=5&q=quokkas"
    owned = f"{ALL}?filter=owned&q=quokkas"
    assert [
        one["siteId"]
        for one in platform.api.get(owned, by=site.owner, host=platform.domain).data["sites"][
            "items"
        ]
    ] == [site.id]


# ---------------------------------------------------------------- making


def create(platform: Platform, by: Person | None, **body: Any) -> Response:
    """POST on the root host."""
    return platform.api.post(ALL, NEW | body, by=by, host=platform.domain)


def test_a_new_site_has_owner_root_microcosm_and_roles(platform: Platform) -> None:
    person = platform.make.site().member
    key = f"new{person.id}"

    answer = create(platform, person, subdomainKey=key)
    assert answer.status == 302
    shown = platform.api.follow(answer, by=person, host=platform.domain).data
    id = shown["siteId"]
    assert answer.location == f"/api/v1/sites/{id}"
    assert shown["ownedBy"]["userId"] == person.user_id
    own_picture = f"/api/v1/files/profile-{shown['ownedBy']['id']}.png"
    assert shown["ownedBy"]["avatar"] == own_picture

    own = platform.api.get(OWN, by=person, host=f"{key}.forum.example").data
    assert own["meta"]["permissions"]["siteOwner"] is True
    root = platform.sql(
        """
        SELECT m.title, m.description, m.visibility, m.item_types, c.item_count, o.send_email, o.send_sms,
               o.only_admins_can_create_microcosms, p.send_email
          FROM sites s
          JOIN microcosms m ON m.site_id = s.site_id AND m.microcosm_id = s.root_microcosm_id
          JOIN microcosm_counts c ON c.site_id = m.site_id AND c.microcosm_id = m.microcosm_id
          JOIN site_options o ON o.site_id = s.site_id
          JOIN profile_options p ON p.site_id = s.site_id AND p.profile_id = s.owned_by
         WHERE s.site_id = %(id)s""",
        id=id,
    )
    assert root == [("Forums", NEW["description"], "public", [2, 6, 9], 0, True, False, True, True)]
    roles = platform.sql(
        """
        SELECT title, include_guests, include_users, is_banned, is_moderator, can_read, can_create, can_update,
               can_delete, can_close_own, can_open_own, can_read_others
          FROM roles WHERE site_id = %(id)s ORDER BY role_id""",
        id=id,
    )
    assert sorted(roles) == [
        ("Banned", False, False, True, False, False, False, False, False, False, False, False),
        ("Guests", True, False, False, False, True, False, False, False, False, False, False),
        ("Members", False, True, False, False, True, True, False, False, True, False, True),
    ]
    audit = platform.sql(
        "SELECT item_type_id, action FROM audit_log WHERE site_id = %(id)s ORDER BY item_type_id",
        id=id,
    )
    assert (1, "C") in audit
    assert (3, "C") in audit


def test_everything_that_may_be_sent_is_kept(platform: Platform) -> None:
    person = platform.make.site().member
    sent = {
        "forceSSL": True,
        "themeId": 1,
        "logoUrl": "/api/v1/files/2b7e.png",
        "faviconUrl": "https://cdn.example/favicon.ico?v=2",
        "backgroundUrl": "/api/v1/files/9c1d.png",
        "backgroundPosition": "Wide",
        "backgroundColor": "#abc",
        "linkColor": "DarkSlateGray",
        "gaWebPropertyId": "UA-12345-6",
        "auth0Domain": "velo.eu.auth0.example",
        "auth0ClientId": "p0Zq",
        "auth0ClientSecret": "hidden-from-everybody",
    }

    shown = platform.api.follow(
        create(platform, person, subdomainKey=f"full{person.id}", **sent),
        by=person,
        host=platform.domain,
    )
    secret = sent.pop("auth0ClientSecret")
    assert {name: shown.data[name] for name in sent} == sent | {"backgroundPosition": "wide"}
    assert str(secret).encode() not in shown.body
    kept = platform.sql(
        "SELECT auth0_client_secret FROM sites WHERE site_id = %(id)s", id=shown.data["siteId"]
    )
    assert kept == [(secret,)]


def test_a_guest_makes_no_site(platform: Platform) -> None:
    answer = platform.api.post(ALL, {"title": "x"})

    assert (answer.status, answer.code) == (403, 5)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": None}, "title"),
        ({"title": " <b></b>"}, "title"),
        ({"title": "x" * 51}, "title"),
        ({"title": 7}, "title"),
        ({"description": "\n "}, "description"),
        ({"subdomainKey": ""}, "subdomainKey"),
        ({"subdomainKey": "my-site"}, "subdomainKey"),
        ({"subdomainKey": "my.site"}, "subdomainKey"),
        ({"subdomainKey": "x" * 51}, "subdomainKey"),
        ({"subdomainKey": "vélo"}, "subdomainKey"),
        ({"subdomainKey": "admin"}, "subdomainKey"),
        ({"subdomainKey": "Root"}, "subdomainKey"),
        ({"themeId": 999}, "themeId"),
        ({"themeId": "1"}, "themeId"),
        ({"backgroundColor": "#12345"}, "backgroundColor"),
        ({"linkColor": "red;}body{display:none"}, "linkColor"),
        ({"linkColor": "lightgrey"}, "linkColor"),
        ({"logoUrl": "javascript:alert(1)"}, "logoUrl"),
        ({"logoUrl": "//evil.example/x.png"}, "logoUrl"),
        ({"faviconUrl": "data:image/png;base64,x"}, "faviconUrl"),
        ({"backgroundUrl": "/x.png);color:red"}, "backgroundUrl"),
        ({"backgroundUrl": "https://"}, "backgroundUrl"),
        ({"logoUrl": "/" + "x" * 2000}, "logoUrl"),
        ({"gaWebPropertyId": "XX-1"}, "gaWebPropertyId"),
        ({"gaWebPropertyId": "UA-1234567890123"}, "gaWebPropertyId"),
        ({"gaWebPropertyId": "UA-1');x('"}, "gaWebPropertyId"),
        ({"domain": "velo"}, "domain"),
        ({"domain": "velo.forum.example"}, "domain"),
        ({"domain": "FORUM.example."}, "domain"),
        ({"domain": "http://velo.example"}, "domain"),
        ({"domain": "velo.example:8080"}, "domain"),
        ({"domain": "127.0.0.1"}, "domain"),
        ({"domain": "-a.example"}, "domain"),
        ({"domain": "x" * 64 + ".example"}, "domain"),
        ({"auth0Domain": "velo.example/path"}, "auth0Domain"),
        ({"auth0ClientId": "<b>"}, "auth0ClientId"),
        ({"auth0ClientId": "x" * 101}, "auth0ClientId"),
    ],
)
def test_a_bad_field_is_refused_by_name_when_made_and_when_changed(
    platform: Platform, body: dict[str, Any], field: str
) -> None:
    site = platform.make.site()

    made = create(platform, site.member, **({"subdomainKey": f"bad{site.id}"} | body))
    assert (made.status, made.error.partition(":")[0]) == (400, field)
    if field != "subdomainKey" and body != {"title": None}:
        changed = change(platform, site, body)
        assert (changed.status, changed.error.partition(":")[0]) == (400, field)
        assert show(platform, site)["title"] == f"Site {site.key}"


def test_a_missing_field_is_as_bad_as_a_blank_one(platform: Platform) -> None:
    person = platform.make.site().member

    for field in ("title", "description", "subdomainKey"):
        body = NEW | {"subdomainKey": f"less{person.id}"}
        del body[field]
        answer = platform.api.post(ALL, body, by=person, host=platform.domain)
        assert (answer.status, answer.error.partition(":")[0]) == (400, field)


@pytest.mark.parametrize("color", ["#fff", "#A0b1C2", "Tomato", *sorted(COLOR_NAMES)[:3]])
def test_colours_are_hex_or_names_in_any_case(platform: Platform, color: str) -> None:
    site = platform.make.site()

    assert change(platform, site, {"linkColor": color}).status == 302
    assert show(platform, site)["linkColor"] == color


def test_there_are_140_colour_names() -> None:
    assert len(COLOR_NAMES) == 140


def test_keys_are_lower_cased_and_taken_once(platform: Platform) -> None:
    person = platform.make.site().member
    key = f"Upper{person.id}"

    assert create(platform, person, subdomainKey=key).status == 302
    again = create(platform, person, subdomainKey=key.lower())
    assert (again.status, again.error) == (400, "subdomainKey: is taken")
    assert platform.api.get(OWN, host=f"{key}.forum.example").status == 200


def test_a_user_makes_so_many_sites_at_most(platform_database: str) -> None:
    strict = Platform(platform_database, max_sites_per_user=2)
    strict.application.start()
    try:
        person, other = (strict.make.site().member for _ in range(2))
        found: list[Response] = []

        def post(number: int) -> None:
            api = WsgiApi(strict.application)
            body = NEW | {"subdomainKey": f"many{person.id}x{number}"}
            found.append(api.post(ALL, body, by=person, host=strict.domain))

        threads = [threading.Thread(target=post, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(one.status for one in found) == [302, 302, 400, 400]
        refused = next(one for one in found if one.status == 400)
        assert refused.error == "A user has at most 2 sites"
        assert create(strict, other, subdomainKey=f"other{other.id}").status == 302
    finally:
        strict.application.stop()


def test_the_key_of_a_deleted_site_stays_taken(platform: Platform) -> None:
    site = platform.make.site()
    change(platform, site, {"meta": {"flags": {"deleted": True}}})

    assert create(platform, site.member, subdomainKey=site.key).status == 400


def test_two_sites_made_at_once_with_one_key_make_one(platform: Platform) -> None:
    person = platform.make.site().member
    body = NEW | {"subdomainKey": f"race{person.id}"}
    found: list[int] = []
    start = threading.Barrier(4)

    def post() -> None:
        api = WsgiApi(platform.application)
        start.wait()
        found.append(api.post(ALL, body, by=person, host=platform.domain).status)

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == [302, 400, 400, 400]


def test_texts_are_stored_escaped(platform: Platform) -> None:
    site = platform.make.site()
    change(platform, site, {"title": "R&D <i>NOW</i>", "description": "a < b\n<script>x</script>c"})

    shown = show(platform, site)
    assert (shown["title"], shown["description"]) == ("R&amp;D NOW", "a &lt; b\nc")
    change(platform, site, shown)
    again = show(platform, site)
    assert (again["title"], again["description"]) == ("R&amp;D NOW", "a &lt; b\nc")


def test_a_configured_address_is_told_of_a_new_site(platform: Platform) -> None:
    told = Platform(platform.database_url, new_site_email="boss@example.org")
    person = told.make.site().member
    assert create(told, person, subdomainKey=f"told{person.id}", title="A & B").status == 302

    mails = told.sql(
        "SELECT subject FROM mail_outbox WHERE recipient = 'boss@example.org' ORDER BY mail_id DESC LIMIT 1"
    )
    assert mails == [("New site: A & B",)]
    told.application.stop()


# ---------------------------------------------------------------- changing


def test_a_change_lays_the_body_over_the_site(platform: Platform) -> None:
    site = platform.make.site()
    before = show(platform, site)

    answer = change(platform, site, {"title": "Other", "forceSSL": True, "linkColor": None})
    assert (answer.status, answer.location) == (302, "/api/v1/site")
    after = platform.api.follow(answer, by=site.owner).data
    assert after.pop("forceSSL") is True
    assert after == before | {"title": "Other"}


def test_the_owners_user_changes_it_on_the_root_host(platform: Platform) -> None:
    site = platform.make.site()
    path = platform.path(site)

    answer = platform.api.put(path, {"title": "From root"}, by=site.owner, host=platform.domain)
    assert (answer.status, answer.location) == (302, path)
    shown = platform.api.follow(answer, by=site.owner, host=platform.domain).data
    assert shown["title"] == show(platform, site)["title"] == "From root"
    assert eventually(lambda: platform.api.get(OWN, site=site).data["title"] == "From root")


def test_nobody_else_changes_it(platform: Platform) -> None:
    site, other = platform.make.site(), platform.make.site()
    # Their first request makes the other owner a profile here, which counts at once.
    platform.api.get(OWN, site=site, by=other.owner)
    before = show(platform, site)

    for person in (None, site.member, site.moderator, site.banned, other.owner):
        answer = platform.api.put(OWN, {"title": "Mine"}, site=site, by=person)
        assert answer.status == 403
    for person in (None, site.member, other.owner):
        answer = platform.api.put(
            platform.path(site), {"title": "Mine"}, by=person, host=platform.domain
        )
        assert (answer.status, answer.code) == (403, 5 if person is None else 8)
    after = show(platform, site)
    # Who was here lately is counted meanwhile.
    assert [shown["meta"].pop("stats") for shown in (before, after)] != [[], []]
    assert after == before


def test_what_is_not_writable_is_ignored(platform: Platform) -> None:
    site, other = platform.make.site(), platform.make.site()
    before, others = show(platform, site), show(platform, other)

    answer = change(
        platform,
        site,
        before
        | {
            "siteId": other.id,
            "subdomainKey": "elsewhere",
            "siteURL": "https://x.example",
            "ownedBy": {"id": site.member.id},
            "menu": [{"href": "/", "text": "x"}],
            "meta": {"created": "2001-01-01T00:00:00Z", "stats": [], "flags": {"deleted": None}},
            "somethingElse": 7,
        },
    )
    assert answer.status == 302
    assert show(platform, site) == before
    assert show(platform, other) == others


def test_what_can_be_absent_is_cleared_by_an_empty_text(platform: Platform) -> None:
    site = platform.make.site()
    full = {
        "domain": "",
        "logoUrl": "/own.png",
        "faviconUrl": "/own.ico",
        "backgroundUrl": "/own-background.png",
        "backgroundColor": "black",
        "gaWebPropertyId": "G-1",
        "auth0Domain": "a.auth0.example",
        "auth0ClientId": "id",
        "auth0ClientSecret": "secret",
    }
    platform.make.domain(site, f"www.{site.key}.example")
    change(platform, site, full | {"domain": f"www.{site.key}.example"})
    assert show(platform, site)["domain"]
    assert change(platform, site, dict.fromkeys(full, "")).status == 302

    shown = show(platform, site)
    assert shown["domain"] == ""
    assert shown["logoUrl"] == "/static/themes/1/logo.png"
    assert shown["faviconUrl"] == "/static/img/favico.png"
    assert shown["backgroundColor"] == "#FFFFFF"
    # The theme's background belongs to clients.
    for gone in ("backgroundUrl", "backgroundPosition", "gaWebPropertyId", "auth0Domain", "auth0ClientId"):  # fmt: skip
        assert gone not in shown
    assert platform.sql(
        "SELECT auth0_client_secret IS NULL FROM sites WHERE site_id = %(id)s", id=site.id
    ) == [(True,)]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("COVER", "cover"), ("tiled", "tile"), ("left", "left"), ("nonsense", "tile"), ("", "tile")],
)
def test_an_unknown_background_position_becomes_tile(
    platform: Platform, sent: str, kept: str
) -> None:
    site = platform.make.site()
    change(platform, site, {"backgroundUrl": "/own.png", "backgroundPosition": sent})

    assert show(platform, site)["backgroundPosition"] == kept


def test_a_domain_is_where_the_pages_are(platform: Platform) -> None:
    site = platform.make.site()
    domain = f"WWW.{site.key}.Example."
    platform.make.domain(site, domain.lower().rstrip("."))

    assert change(platform, site, {"domain": domain}).status == 302
    shown = show(platform, site)
    assert shown["domain"] == f"www.{site.key}.example"
    assert shown["siteURL"] == f"http://www.{site.key}.example"
    assert change(platform, site, {"domain": shown["domain"], "forceSSL": True}).status == 302
    assert show(platform, site)["siteURL"] == f"https://www.{site.key}.example"


def test_an_international_domain_is_kept_as_it_is_looked_up(platform: Platform) -> None:
    site = platform.make.site()
    change(platform, site, {"domain": f"bücher-{site.key}.example"})

    ((kept,),) = platform.sql("SELECT domain FROM site_domains WHERE site_id = %(id)s", id=site.id)
    assert kept.startswith("xn--bcher-")
    platform.make.domain(site, kept)
    assert platform.api.get(OWN, host=kept).data["siteId"] == site.id


def test_a_change_says_which_version_it_is_based_on(platform: Platform) -> None:
    site = platform.make.site()
    tag = platform.api.get(OWN, by=site.owner).headers["ETag"]
    path = platform.path(site)
    based = {"If-Match": tag}

    assert platform.api.put(OWN, {"title": "A"}, by=site.owner, headers=based).status == 302
    assert platform.api.put(OWN, {"title": "B"}, by=site.owner, headers=based).status == 412
    refused = platform.api.put(
        path, {"title": "B"}, by=site.owner, headers=based, host=platform.domain
    )
    assert refused.status == 412
    assert show(platform, site)["title"] == "A"


def test_settings_without_a_version_take_none(platform: Platform) -> None:
    site = platform.make.site()
    other = {"If-Match": '"999-a"'}
    for path, body in (
        ("avatars", {"gravatar": True}),
        ("privacy", {"keepsWords": True}),
        ("retention", {}),
        ("options", {}),
        ("legal/terms", {"html": "<p>Be kind</p>"}),
    ):
        address = f"{OWN}/{path}"
        tag = platform.api.get(address, by=site.owner).headers.get("ETag", "")
        assert tag[:3] in ("", '"0-'), "no version"
        answer = platform.api.put(address, body, by=site.owner, headers=other)
        assert answer.status == 302, (path, answer.body)
    menu = platform.api.put(f"{OWN}/menu", [], by=site.owner, headers=other)
    assert menu.status == 412, "it has the site's version"


def test_a_change_is_audited_with_the_address(platform: Platform) -> None:
    site = platform.make.site()
    change(platform, site, {"title": "Other"})

    row = platform.sql(
        """
        SELECT a.action, a.item_id, a.profile_id FROM audit_log a
         WHERE a.site_id = %(id)s AND a.item_type_id = 1 ORDER BY a.audit_id DESC LIMIT 1""",
        id=site.id,
    )
    assert row == [("R", site.id, site.owner.id)]


def test_an_unknown_site_can_not_be_changed(platform: Platform) -> None:
    site = platform.make.site()

    answer = platform.api.put(
        f"{ALL}/999999999", {"title": "x"}, by=site.owner, host=platform.domain
    )
    assert answer.status == 404


# ---------------------------------------------------------------- deleting


def test_a_deleted_site_is_gone_everywhere_within_a_second(platform: Platform) -> None:
    site = platform.make.site()
    domain = f"www.{site.key}.example"
    platform.make.domain(site, domain)
    api = platform.api
    for host in (site.host, domain):
        assert api.get(OWN, host=host).status == 200

    other = Platform(platform.database_url)  # a second worker, which is not told
    other.application.start()
    assert other.api.get(OWN, site=site).status == 200
    assert change(platform, site, {"meta": {"flags": {"deleted": True}}}).status == 302

    for worker in (platform, other):
        for host in (site.host, domain):
            for person in (None, site.member, site.owner):

                def gone(
                    worker: Platform = worker, host: str = host, person: Person | None = person
                ) -> bool:
                    answer = worker.api.get(OWN, host=host, by=person)
                    return answer.status == 404 and answer.code == 14

                assert eventually(gone)
    other.application.stop()
    assert api.get("/api/v1/legal", site=site).code == 14
    assert api.put(OWN, {"title": "x"}, by=site.owner).code == 14
    assert api.get(f"/api/v1/hosts/{domain}").status == 404
    assert api.get(f"/api/v1/reserved/{site.key}").json() == {"reserved": True}


def test_a_deleted_site_is_shown_to_its_owner_only(platform: Platform) -> None:
    site, stranger = platform.make.site(), platform.make.site()
    path = platform.path(site)
    change(platform, site, {"meta": {"flags": {"deleted": True}}})
    root = platform.domain

    mine = platform.api.get(path, by=site.owner, host=root)
    assert mine.data["meta"]["flags"] == {"deleted": True}
    for person in (None, site.member, stranger.owner):
        for what in (path, f"{path}/menu"):
            assert platform.api.get(what, by=person, host=root).status == 404
        assert platform.api.put(path, {"title": "x"}, by=person, host=root).status == 404
    owned = platform.api.get(f"{ALL}?filter=owned", by=site.owner, host=root).data
    assert owned["sites"]["total"] == 0


def test_its_owner_brings_a_deleted_site_back(platform: Platform) -> None:
    site = platform.make.site()
    change(platform, site, {"meta": {"flags": {"deleted": True}}})
    assert eventually(lambda: platform.api.get(OWN, site=site).status == 404)

    platform.api.put(
        platform.path(site),
        {"meta": {"flags": {"deleted": False}}},
        by=site.owner,
        host=platform.domain,
    )
    assert platform.api.get(OWN, site=site).status == 200


def test_the_root_site_can_not_be_deleted(platform: Platform) -> None:
    site = platform.make.site()
    platform.api.get("/api/v1/whoami", by=site.owner, host=platform.domain)
    ((profile_id,),) = platform.sql(
        "SELECT profile_id FROM profiles WHERE site_id = 1 AND user_id = %(user)s",
        user=site.owner.user_id,
    )
    platform.sql(
        "UPDATE sites SET owned_by = %(id)s, version = version + 1 WHERE site_id = 1 RETURNING 1",
        id=profile_id,
    )
    try:
        for path in (OWN, f"{ALL}/1"):
            answer = platform.api.put(
                path,
                {"meta": {"flags": {"deleted": True}}},
                by=site.owner,
                host=platform.domain,
            )
            assert answer.error.startswith("meta.flags.deleted")
        status = platform.api.get(f"{ALL}/1/status", by=site.owner, host=platform.domain)
        assert status.status == 400
    finally:
        platform.sql(
            "UPDATE sites SET owned_by = NULL, version = version + 1 WHERE site_id = 1 RETURNING 1"
        )


# ---------------------------------------------------------------- status


def test_the_status_is_for_the_owner(platform: Platform) -> None:
    site, stranger = platform.make.site(), platform.make.site()
    path = f"{platform.path(site)}/status"

    assert platform.api.get(path).code == 5
    for person in (site.member, stranger.owner):
        assert platform.api.get(path, by=person, host=platform.domain).code == 8
    assert (
        platform.api.get(f"{ALL}/999999999/status", by=site.owner, host=platform.domain).code == 14
    )


def test_the_status_never_asks_private_addresses(platform: Platform) -> None:
    site = platform.make.site(
        logoUrl="http://127.0.0.1/logo.png",
        backgroundUrl="http://[::1]/background.png",
        gaWebPropertyId="G-123",
    )

    data = platform.api.get(
        f"{platform.path(site)}/status", by=site.owner, host=platform.domain
    ).data
    assert list(data) == [
        "site", "domainHealth", "backgroundUrlHealth", "logoUrlHealth", "analyticsIDHealth",
    ]  # fmt: skip
    assert data["site"]["siteId"] == site.id
    assert "permissions" not in data["site"]["meta"]
    assert data["domainHealth"] == {"set": False, "valid": False, "error": "", "value": None}
    assert data["logoUrlHealth"] == {
        "set": True,
        "valid": False,
        "error": "127.0.0.1 is not on the open internet",
        "value": "http://127.0.0.1/logo.png",
    }
    assert data["backgroundUrlHealth"]["valid"] is False
    assert data["analyticsIDHealth"] == {
        "set": True, "valid": True, "error": "", "value": "G-123",
    }  # fmt: skip
