"""Old addresses of imported communities: what they are here, for whoever may read it (discovery 10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from forumapi import itemtypes
from tests.factories import Person, Site, Thing
from tests.stage import Stage, staged


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("resolve")) as made:
        yield made


@pytest.fixture
def site(stage: Stage) -> Site:
    """A site that came from vBulletin."""
    made = stage.make.site()
    origin(stage, made, "vbulletin")
    return made


def origin(stage: Stage, site: Site, product: str) -> int:
    """The id of a new import."""
    ((id,),) = stage.sql(
        """INSERT INTO import_origins (site_id, title, product) VALUES (%(s)s, %(t)s, %(p)s)
           RETURNING origin_id""",
        s=site.id,
        t=f"from {product}",
        p=product,
    )
    return int(id)


def imported(stage: Stage, site: Site, old_id: str, what: Any, *, kind: int = 0) -> None:
    """Notes that a thing was imported, by the site's latest origin."""
    item_type = kind or (what.type if isinstance(what, Thing) else itemtypes.PROFILE)
    stage.sql(
        """INSERT INTO imported_items (site_id, origin_id, item_type_id, old_id, item_id)
           SELECT site_id, max(origin_id), %(t)s, %(o)s, %(i)s
             FROM import_origins WHERE site_id = %(s)s GROUP BY site_id""",
        s=site.id,
        t=item_type,
        o=old_id,
        i=what if isinstance(what, int) else what.id,
    )


def resolve(stage: Stage, site: Site, url: str, by: Person | None = None) -> Any:
    """Return what an old address is."""
    answer = stage.get(f"/resolve?url={quote(url, safe='')}", site=site, by=by)
    assert answer.status == 200, answer.error
    assert answer.data["url"] == url
    return {key: value for key, value in answer.data.items() if key != "url"}


GONE = {"status": 404, "redirect": {"href": ""}}


def found(name: str, id: int, href: str, **more: Any) -> dict[str, Any]:
    """A verdict."""
    return {
        "status": 301,
        "redirect": {"rel": name, "href": href},
        "itemType": name,
        "itemId": id,
        **more,
    }


@pytest.mark.wide
def test_everything_that_was_imported_is_found(stage: Stage, site: Site) -> None:
    make = stage.make
    place, chat = make.microcosm(site), make.conversation(site)
    comment = make.comment(chat)
    for old, what in (("12", place), ("31", chat), ("9", comment), ("7", site.member)):
        imported(stage, site, old, what)
    comment_href = f"/api/v1/comments/{comment.id}"
    assert resolve(stage, site, "/forumdisplay.php?f=12") == found(
        "microcosm", place.id, f"/api/v1/microcosms/{place.id}"
    )
    assert resolve(stage, site, "http://old.example/showthread.php?t=31") == found(
        "conversation", chat.id, f"/api/v1/conversations/{chat.id}"
    )
    assert resolve(stage, site, "/showthread.php?p=9") == found("comment", comment.id, comment_href)
    assert resolve(stage, site, "/post9.html") == found(
        "comment", comment.id, comment_href, action="incontext"
    )
    assert resolve(stage, site, "/member.php?u=7") == found(
        "profile", site.member.id, f"/api/v1/profiles/{site.member.id}"
    )
    for url in ("/nothing.php", "/showthread.php?t=32", "/forum31.html", "/showthread.php?t=x"):
        assert resolve(stage, site, url) == GONE, url


def test_the_next_best_thing_counts_where_the_best_was_not_imported(stage: Stage) -> None:
    site = stage.make.site()
    origin(stage, site, "smf")
    chat = stage.make.conversation(site)
    comment = stage.make.comment(chat)
    imported(stage, site, "31", chat)
    imported(stage, site, "9", comment)

    assert resolve(stage, site, "/smf/index.php?topic=31.msg9")["itemId"] == comment.id
    assert resolve(stage, site, "/smf/index.php?topic=31.msg10")["itemId"] == chat.id
    assert resolve(stage, site, "/smf/index.php?topic=32.msg10") == GONE
    assert resolve(stage, site, "/smf/index.php?action=search2;search=two+words") == {
        "status": 301,
        "redirect": {"rel": "conversation", "href": "/api/v1/search?q=two+words"},
        "itemType": "conversation",
        "action": "search",
        "search": "two words",
    }


def test_lists_need_nothing_that_was_imported(stage: Stage, site: Site) -> None:
    for url, name, href, more in (
        ("/memberslist", "profile", "/api/v1/profiles", {}),
        (
            "/memberslist/b1.html",
            "profile",
            "/api/v1/profiles?q=b",
            {"action": "search", "search": "b"},
        ),
        ("/online.php", "profile", "/api/v1/profiles?online=true", {"action": "online"}),
        ("/private.php", "huddle", "/api/v1/huddles", {}),
        ("/usercp.php", "update", "/api/v1/updates", {}),
    ):
        assert resolve(stage, site, url) == {
            "status": 301,
            "redirect": {"rel": name, "href": href},
            "itemType": name,
            **more,
        }


@pytest.mark.wide
def test_old_pages_lead_to_ours_and_never_beyond_the_last(stage: Stage, site: Site) -> None:
    make = stage.make
    place, chat = make.microcosm(site), make.conversation(site)
    make.microcosm(site, parent=place)
    imported(stage, site, "12", place)
    imported(stage, site, "31", chat)
    make.comments(chat, 60, by=site.owner)
    for _ in range(26):
        make.conversation(site, microcosm=place)

    def offset(url: str, by: Person | None = None) -> int:
        verdict = resolve(stage, site, url, by)
        shown = int(verdict.get("offset", 0))
        assert verdict["redirect"]["href"].endswith(f"?offset={shown}") == bool(shown)
        return shown

    assert [offset(f"/showthread.php?t=31&page={n}") for n in (0, 1, 2, 3, 99)] == [
        0,
        0,
        50,
        50,
        50,
    ]
    assert [offset(f"/forumdisplay.php?f=12&page={n}") for n in (1, 2, 3, 99)] == [0, 25, 25, 25]
    assert offset("/thread31-2.html") == 0
    # What the caller ignores is not on the pages.
    make.ignore(site.member, site.owner)
    assert offset("/showthread.php?t=31&page=2", site.member) == 0
    stage.get(f"/conversations/{chat.id}?offset=50", site=site)


def test_the_first_unread_and_the_last_comment_are_found_on_the_spot(
    stage: Stage, site: Site
) -> None:
    make, me = stage.make, site.newcomer
    chat, empty = make.conversation(site), make.conversation(site)
    first, second, third = (make.comment(chat) for _ in range(3))
    imported(stage, site, "31", chat)
    imported(stage, site, "32", empty)
    stage.get(f"/comments/{first.id}", by=me)

    def leads(url: str, by: Person | None = None) -> Any:
        verdict = resolve(stage, site, url, by)
        assert verdict["action"] == "incontext"
        assert verdict["redirect"]["rel"] == verdict["itemType"] == "comment"
        return verdict["itemId"]

    for url in ("/newpostinthread31.html", "/showthread.php?goto=newpost&t=31"):
        assert leads(url, me) == second.id
        assert leads(url) == first.id
    for url in ("/lastpostinthread31.html", "/showthread.php?goto=lastpost&t=31"):
        assert leads(url, me) == third.id
    assert resolve(stage, site, "/newpostinthread32.html") == found(
        "conversation", empty.id, f"/api/v1/conversations/{empty.id}"
    )


def test_what_one_may_not_read_is_as_if_it_had_not_been_imported(stage: Stage, site: Site) -> None:
    make = stage.make
    closed = make.microcosm(site)
    make.role(site, closed.id, "Nobody", rights=("read",))
    inside = make.conversation(site, microcosm=closed, by=site.owner)
    comment = make.comment(inside, by=site.owner)
    gone = make.conversation(site)
    stage.request("DELETE", f"/conversations/{gone.id}", by=site.owner)
    huddle = make.huddle(site.owner, site.moderator)
    for old, what in (("1", closed), ("2", inside), ("3", comment), ("4", gone), ("5", huddle)):
        imported(stage, site, old, what)
    urls = (
        "/forum1-2.html",
        "/showthread.php?t=2&page=2",
        "/newpostinthread2.html",
        "/post3.html",
        "/thread4.html",
        "/private.php?pmid=5",
    )
    for url in urls:
        for by in (None, site.newcomer):
            assert resolve(stage, site, url, by) == GONE, url
    assert resolve(stage, site, urls[1], site.owner)["itemId"] == inside.id
    assert resolve(stage, site, urls[5], site.moderator)["itemId"] == huddle.id


def test_a_file_is_as_readable_as_what_it_hangs_on(stage: Stage, site: Site) -> None:
    make = stage.make
    closed = make.microcosm(site)
    make.role(site, closed.id, "Nobody", rights=("read",))
    ids = []
    for number, place in enumerate((make.microcosm(site), closed)):
        comment = make.comment(
            make.conversation(site, microcosm=place, by=site.owner), by=site.owner
        )
        hash = make.file(site.owner, f"text {number} of {site.key}")
        body = {"fileHash": hash, "fileName": "bolt.txt"}
        made = stage.post(f"/comments/{comment.id}/attachments", body, by=site.owner)
        assert made.status in (200, 302), made.error
        ((id,),) = stage.sql(
            "SELECT attachment_id FROM attachments WHERE file_hash = %(h)s", h=hash
        )
        imported(stage, site, str(number), id, kind=itemtypes.ATTACHMENT)
        ids.append((id, hash))

    shown = resolve(stage, site, "/attachments/0d1199-bolt.txt", site.newcomer)

    assert shown["redirect"].keys() == {"href"}
    assert shown["redirect"]["href"].endswith(f"{site.host}/api/v1/files/{ids[0][1]}") or (
        f"/api/v1/files/{ids[0][1]}" in shown["redirect"]["href"]
    )
    assert shown["redirect"]["href"].startswith("http")
    assert (shown["itemType"], shown["itemId"]) == ("attachment", ids[0][0])
    assert resolve(stage, site, "/attachments/1d1199-bolt.txt", site.newcomer) == GONE
    assert resolve(stage, site, "/attachments/1d1199-bolt.txt", site.owner)["itemId"] == ids[1][0]


def test_each_import_has_its_own_ids_and_rules(stage: Stage, site: Site) -> None:
    make = stage.make
    first, second = make.conversation(site), make.conversation(site)
    imported(stage, site, "31", first)
    origin(stage, site, "xenforo")
    imported(stage, site, "31", second)
    imported(stage, site, "40", second)
    origin(stage, site, "unheard")
    imported(stage, site, "50", first)
    assert resolve(stage, site, "/showthread.php?t=31")["itemId"] == first.id
    assert resolve(stage, site, "/threads/x.31/")["itemId"] == second.id
    assert resolve(stage, site, "/showthread.php?t=40") == GONE
    assert resolve(stage, site, "/threads/x.50/") == GONE


def test_another_sites_import_is_not_looked_at(stage: Stage, site: Site) -> None:
    other = stage.make.site()
    imported(stage, site, "31", stage.make.conversation(site))
    assert resolve(stage, other, "/showthread.php?t=31") == GONE
    assert resolve(stage, other, "/memberslist") == GONE


def test_an_address_is_needed(stage: Stage, site: Site) -> None:
    for query in ("", "?url="):
        assert stage.get(f"/resolve{query}", site=site).status == 400
    # The unencoded address of an old page is cut at its first &, as any query is.
    assert stage.get("/resolve?url=/nothing.php&t=1", site=site).status == 200


def test_it_costs_few_statements(stage: Stage, site: Site) -> None:
    chat = stage.make.conversation(site)
    imported(stage, site, "31", chat)
    stage.get("/resolve?url=/thread31.html", site=site, by=site.member)
    answer = stage.get("/resolve?url=/thread31.html", site=site, by=site.member)
    assert answer.statements == 4
