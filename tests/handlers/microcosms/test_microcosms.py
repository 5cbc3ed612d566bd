"""Microcosms over real HTTP: content 2, and what items and places share (content 3.5, 3.7).

A guest may see a changed tree a moment late (test_freshness.py), so who reads here is signed in, unless nothing of the
tree has changed since.
"""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest

from forumapi import itemtypes
from forumapi.models.microcosms.microcosm import Microcosm
from tests.api import Api, Response
from tests.factories import RIGHTS, Factory, Person, Site, Thing

MICROCOSMS = "/api/v1/microcosms"
REASON = {"editReason": "better so"}


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


def plant(api: Api, site: Site, **body: Any) -> Response:
    """A new microcosm by the site's owner."""
    given = {"title": "Workshop", "description": "Repairs"} | body
    return api.post(MICROCOSMS, given, by=site.owner)


def put(api: Api, thing: Thing, by: Person | None = None, **body: Any) -> Response:
    """A change with a reason, by the site's owner or somebody else."""
    return api.put(thing.path, {"meta": REASON} | body, by=by or thing.site.owner)


def entries(api: Api, path: str, by: Person | None, site: Site, query: str = "") -> list[Any]:
    """(type, id) of a page of a microcosm."""
    items = api.get(path + query, by=by, site=site).data["items"]["items"]
    return [(one["itemType"], one["item"]["id"]) for one in items]


def entry(api: Api, path: str, id: int, by: Person | None, site: Site) -> Any:
    """The summary of one entry of a microcosm's page."""
    items = api.get(path, by=by, site=site).data["items"]["items"]
    return next(one["item"] for one in items if one["item"]["id"] == id)


def tree(api: Api, site: Site, by: Person | None = None) -> list[int]:
    """The ids of the tree, in its order, as somebody or as the newcomer sees it."""
    return [one["id"] for one in api.get(f"{MICROCOSMS}/tree", by=by or site.newcomer).data]


# ---------------------------------------------------------------- the objects (content 2.2, 2.4, 2.5)


def test_the_collection_is_the_root_itself(api: Api, site: Site) -> None:
    shown = api.get(MICROCOSMS, site=site).data

    assert shown == api.get(f"{MICROCOSMS}/{site.root_id}", site=site).data | {
        "items": shown["items"]
    }
    assert "parentId" not in shown
    assert "breadcrumb" not in shown
    assert shown["title"] == "Forums"
    assert shown["itemTypes"] == ["microcosm", "conversation", "event"]
    assert shown["items"]["type"] == "/api/v1/comments"
    assert shown["items"]["items"] == []
    assert shown["meta"]["permissions"]["guest"] is True


def test_a_microcosm_is_made_and_read_back_whole(api: Api, make: Factory, site: Site) -> None:
    above = make.microcosm(site, "Workshop")
    made = plant(
        api,
        site,
        parentId=above.id,
        title="Wheels & <i>tyres</i>",
        description="Lacing,\n truing",
        visibility="private",
        itemTypes=["conversation", "nonsense", "poll", "conversation"],
        logoUrl="https://pictures.example/wheel.png",
    )
    shown = api.follow(made, by=site.owner).data

    assert list(shown) == [
        "id",
        "parentId",
        "breadcrumb",
        "siteId",
        "visibility",
        "title",
        "description",
        "logoUrl",
        "itemTypes",
        "moderators",
        "items",
        "meta",
    ]
    assert shown["parentId"] == above.id
    assert shown["breadcrumb"] == [
        {
            "rel": "microcosm ancestor",
            "href": above.path,
            "title": "Workshop",
            "id": above.id,
            "level": 2,
        }
    ]
    assert shown["title"] == "Wheels &amp; tyres"
    assert shown["description"] == "Lacing,\n truing"
    assert shown["visibility"] == "private"
    assert shown["itemTypes"] == ["conversation", "poll"]
    assert shown["logoUrl"] == "https://pictures.example/wheel.png"
    assert shown["meta"]["createdBy"]["id"] == site.owner.id
    assert shown["meta"]["flags"] == {
        "sticky": False,
        "open": True,
        "deleted": False,
        "moderated": False,
        "visible": True,
        "unread": False,
    }
    assert [one["rel"] for one in shown["meta"]["links"]] == ["self", "site"]
    audit = make.sql(
        "SELECT action FROM audit_log WHERE site_id = %(s)s AND item_type_id = 2 AND item_id = %(m)s",
        s=site.id,
        m=shown["id"],
    )
    assert audit == [("C",)]


def test_a_summary_has_its_subtree_in_it(api: Api, make: Factory, site: Site) -> None:
    place = make.microcosm(site, "Workshop")
    inner = make.microcosm(site, "Wheels", parent=place)
    deep = make.microcosm(site, "Spokes", parent=inner)
    chat = make.conversation(site, microcosm=deep)
    make.comments(chat, 3)
    make.conversation(site, microcosm=place)
    last = make.comment(chat, by=site.newcomer)

    shown = entry(api, MICROCOSMS, place.id, None, site)

    assert shown["parentId"] == site.root_id
    assert "breadcrumb" not in shown
    assert (shown["totalItems"], shown["totalComments"]) == (2, 4)
    assert shown["children"] == [
        {"rel": "microcosm child", "href": inner.path, "title": "Wheels", "id": inner.id}
    ]
    recent = shown["mostRecentUpdate"]
    assert (recent["itemType"], recent["item"]["id"]) == ("conversation", chat.id)
    assert recent["item"]["lastComment"]["id"] == last.id
    assert "unread" not in recent["item"]["meta"]["flags"]
    assert [one["id"] for one in recent["item"]["breadcrumb"]] == [place.id, inner.id, deep.id]
    assert [one["rel"] for one in shown["meta"]["links"]] == ["self", "site"]
    below = entry(api, place.path, inner.id, None, site)
    assert [(one["rel"], one.get("title")) for one in below["meta"]["links"]] == [
        ("self", None),
        ("parent", "Workshop"),
        ("site", None),
    ]
    assert [one["title"] for one in below["breadcrumb"]] == ["Workshop"]


def test_children_are_sticky_first_then_by_own_comments_then_by_title(
    api: Api, make: Factory, site: Site
) -> None:
    place = make.microcosm(site)
    names = ("Bravo", "Alpha", "Charlie", "Delta")
    below = {name: make.microcosm(site, name, parent=place) for name in names}
    make.comments(make.conversation(site, microcosm=below["Charlie"]), 2)
    # What is below a child does not count as its own.
    inside = make.microcosm(site, parent=below["Alpha"])
    make.comments(make.conversation(site, microcosm=inside), 5)
    assert api.patch(below["Delta"].path, ("sticky", True), by=site.owner).status == 200

    for _ in ("unfolded", "folded"):
        shown = entry(api, MICROCOSMS, place.id, site.member, site)
        assert [one["title"] for one in shown["children"]] == ["Delta", "Charlie", "Alpha", "Bravo"]
        make.fold(site)


# ---------------------------------------------------------------- bodies (content 2.3)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": None}, "title"),
        ({"title": " \t "}, "title"),
        ({"title": "<b></b>"}, "title"),
        ({"title": "x" * 51}, "title"),
        ({"description": None}, "description"),
        ({"description": "\n"}, "description"),
        ({"description": "x" * 10_001}, "description"),
        ({"logoUrl": "javascript:alert(1)"}, "logoUrl"),
        ({"logoUrl": "ftp://x.example/y"}, "logoUrl"),
        ({"logoUrl": "//evil.example/x.png"}, "logoUrl"),
        ({"logoUrl": "http://["}, "logoUrl"),
        ({"logoUrl": "https://x.example/" + "y" * 2000}, "logoUrl"),
        ({"parentId": 987_654_321}, "parentId"),
        ({"parentId": -1}, "parentId"),
        ({"parentId": "root"}, "parentId"),
        ({"itemTypes": "conversation"}, "itemTypes"),
        ({"itemTypes": [6]}, "itemTypes"),
    ],
)
def test_a_bad_field_is_refused_by_name(
    api: Api, make: Factory, site: Site, body: dict[str, Any], field: str
) -> None:
    refused = plant(api, site, **body)
    assert refused.status == 400
    assert refused.error.startswith(field)

    if None in body.values():
        return
    place = make.microcosm(site, "As it was")
    before = api.get(place.path, by=site.owner).data
    refused = put(api, place, **body)
    assert refused.status == 400
    assert refused.error.startswith(field)
    assert api.get(place.path, by=site.owner).data == before


def test_texts_are_cleaned_but_titles_may_shout(api: Api, site: Site) -> None:
    made = plant(
        api, site, title="  BMX\t& more ", description="ALL IN CAPITALS <script>x</script>"
    )
    shown = api.follow(made, by=site.owner).data

    assert shown["title"] == "BMX&amp; more"
    assert shown["description"] == "all in capitals"
    # Sent back as it was read, nothing changes.
    path = made.location
    body = {key: shown[key] for key in ("title", "description")}
    assert api.put(path, {**body, "meta": REASON}, by=site.owner).status == 302
    again = api.get(path, by=site.owner).data
    assert (again["title"], again["description"]) == (shown["title"], shown["description"])
    full = plant(api, site, title="&" * 50)
    assert api.follow(full, by=site.owner).data["title"] == "&amp;" * 50


@pytest.mark.parametrize(
    ("body", "key", "value"),
    [
        ({}, "itemTypes", ["microcosm", "conversation", "event"]),
        ({"itemTypes": []}, "itemTypes", []),
        ({"itemTypes": ["huddle", "site"]}, "itemTypes", []),
        ({}, "visibility", "public"),
        ({"visibility": "protected"}, "visibility", "protected"),
        ({"visibility": "secret"}, "visibility", "public"),
        ({"logoUrl": ""}, "logoUrl", ""),
        ({"logoUrl": "/api/v1/files/abc.png"}, "logoUrl", "/api/v1/files/abc.png"),
        ({"parentId": None}, "parentId", 0),
        ({"parentId": 0}, "parentId", 0),
    ],
)
def test_what_is_left_out_has_a_default(
    api: Api, site: Site, body: dict[str, Any], key: str, value: Any
) -> None:
    shown = api.follow(plant(api, site, **body), by=site.owner).data

    assert shown[key] == (value or site.root_id if key == "parentId" else value)


def test_a_put_merges_and_a_logo_is_taken_away_on_request(api: Api, site: Site) -> None:
    made = plant(api, site, logoUrl="/a.png", visibility="private", itemTypes=["event"])
    thing = Thing(site, itemtypes.MICROCOSM, int(made.location.rpartition("/")[2]))
    before = api.get(thing.path, by=site.owner).data

    assert put(api, thing, logoUrl="", id=1, siteId=1, parentId=None).status == 302
    after = api.get(thing.path, by=site.owner).data
    same = ("id", "parentId", "visibility", "title", "description", "logoUrl", "itemTypes")
    assert {key: after[key] for key in same} == {key: before[key] for key in same}
    assert after["meta"]["editReason"] == "better so"
    assert after["meta"]["editedBy"]["id"] == site.owner.id
    assert put(api, thing, removeLogo=True).status == 302
    assert api.get(thing.path, by=site.owner).data["logoUrl"] == ""


def test_flags_come_by_patch_alone(api: Api, site: Site) -> None:
    flags = {"deleted": True, "moderated": True, "sticky": True, "open": False}
    made = plant(api, site, meta={"flags": flags})

    shown = api.follow(made, by=site.owner).data["meta"]["flags"]
    assert shown["visible"] is True
    assert shown["sticky"] is False
    assert shown["open"] is True


# ---------------------------------------------------------------- who may (content 2.2)


def test_microcosms_are_made_by_the_owner_or_by_all_if_the_site_says_so(
    api: Api, make: Factory, site: Site
) -> None:
    body = {"title": "Mine", "description": "x"}

    for by in (site.member, site.moderator, None):
        assert api.post(MICROCOSMS, body, by=by, site=site).status == 403
    make.sql(
        """WITH o AS (UPDATE site_options SET only_admins_can_create_microcosms = false
                       WHERE site_id = %(s)s)
           UPDATE sites SET version = version + 1 WHERE site_id = %(s)s""",
        s=site.id,
    )
    made = api.post(MICROCOSMS, body, by=site.member)
    assert made.status == 302
    assert api.post(MICROCOSMS, body, site=site).status == 403
    # Whoever made it has all powers in it, not in what is below it.
    can = api.follow(made, by=site.member).data["meta"]["permissions"]
    assert (can["owner"], can["moderator"], can["delete"]) == (True, True, True)
    mine = Thing(site, itemtypes.MICROCOSM, int(made.location.rpartition("/")[2]))
    inner = make.microcosm(site, parent=mine)
    can = api.get(inner.path, by=site.member).data["meta"]["permissions"]
    assert (can["owner"], can["moderator"], can["delete"]) == (False, False, False)


def test_only_those_with_the_right_change_one(api: Api, make: Factory, site: Site) -> None:
    place = make.microcosm(site)

    for by in (site.member, None):
        assert api.put(place.path, {"title": "x", "meta": REASON}, by=by, site=site).status == 403
        assert api.patch(place.path, ("sticky", True), by=by, site=site).status == 403
        assert api.delete(place.path, by=by, site=site).status == 403
    assert put(api, place, by=site.moderator, title="Moderated").status == 302
    assert api.patch(place.path, ("sticky", True), by=site.moderator).status == 200


def test_an_imported_title_beyond_the_limit_stays_until_it_is_changed(
    api: Api, make: Factory, site: Site
) -> None:
    place, talk = make.microcosm(site), make.conversation(site)
    long = "Parts &amp; &lt;tools&gt; " * 12
    for table, thing in (("microcosms", place), ("items", talk)):
        key = "microcosm_id" if thing is place else "item_id"
        make.sql(
            f"UPDATE {table} SET title = %(t)s WHERE site_id = %(s)s AND {key} = %(i)s",
            t=long.strip(),
            s=site.id,
            i=thing.id,
        )
    make.sql("UPDATE sites SET acl_version = acl_version + 1 WHERE site_id = %(s)s", s=site.id)

    for thing in (place, talk):
        shown = api.get(thing.path, by=site.owner).data["title"]
        assert shown == long.strip()
        for same in (shown, unescape(shown)):
            assert put(api, thing, title=same).status == 302
        assert api.get(thing.path, by=site.owner).data["title"] == shown
        assert put(api, thing, title=f"{shown}!").status == 400


@pytest.mark.parametrize("reason", [None, "", "  ", "<b></b>", "x" * 151])
def test_an_edit_needs_a_reason_of_its_own(
    api: Api, make: Factory, site: Site, reason: str | None
) -> None:
    # C-14: the reason of an edit before does not do.
    for thing in (make.microcosm(site), make.conversation(site)):
        assert put(api, thing, title="Once").status == 302
        for meta in ({"editReason": reason}, {}):
            refused = api.put(thing.path, {"title": "Twice", "meta": meta}, by=site.owner)
            assert refused.status == 400
            assert "editReason" in refused.error
        assert api.put(thing.path, {"title": "Twice"}, by=site.owner).status == 400
        assert api.get(thing.path, site=site).data["title"] == "Once"


# ---------------------------------------------------------------- parents and types (C-13, C-17, C-22)


def test_a_parent_must_be_live_readable_and_take_microcosms(
    api: Api, make: Factory, site: Site, trains: Site
) -> None:
    keeper = make.person(site)
    make.sql(
        """WITH o AS (UPDATE site_options SET only_admins_can_create_microcosms = false
                       WHERE site_id = %(s)s)
           UPDATE sites SET version = version + 1 WHERE site_id = %(s)s""",
        s=site.id,
    )
    place = make.microcosm(site)
    gone = make.microcosm(site)
    assert api.delete(gone.path, by=site.owner).status == 200
    below_gone = make.microcosm(site, parent=gone)
    moderated = make.microcosm(site)
    assert api.patch(moderated.path, ("moderated", True), by=site.owner).status == 200
    private = make.microcosm(site)
    make.role(site, private.id, "Insiders", rights=("read", "create"))
    read_only = make.microcosm(site)
    make.role(site, read_only.id, "Readers", users=True, rights=("read",))
    no_places = make.microcosm(site, item_types=(itemtypes.CONVERSATION,))
    far = make.microcosm(trains)

    def status(parent: Thing, by: Person) -> int:
        body = {"title": "New", "description": "x", "parentId": parent.id}
        return api.post(MICROCOSMS, body, by=by).status

    assert status(place, keeper) == 302
    for thing in (gone, below_gone, moderated, private, far):
        assert status(thing, keeper) == 400
    assert status(read_only, keeper) == 403
    assert status(no_places, keeper) == 400
    # Not even the site's owner puts something below what is hidden.
    for thing in (gone, below_gone, moderated, far):
        assert status(thing, site.owner) == 400
    for thing in (gone, below_gone, moderated, no_places, far):
        refused = put(api, place, parentId=thing.id)
        assert refused.status == 400
        assert "parentId" in refused.error
    assert api.get(place.path, by=keeper).data["parentId"] == site.root_id


def test_the_tree_has_no_loops_and_the_root_stays(api: Api, make: Factory, site: Site) -> None:
    place = make.microcosm(site)
    inner = make.microcosm(site, parent=place)
    deep = make.microcosm(site, parent=inner)
    root = Thing(site, itemtypes.MICROCOSM, site.root_id)

    for parent in (place, inner, deep):
        assert put(api, place, parentId=parent.id).status == 400
    assert put(api, root, parentId=place.id).status == 400
    assert put(api, root, parentId=site.root_id).status == 400
    assert put(api, root, title="The index").status == 302
    assert api.get(MICROCOSMS, by=site.member).data["title"] == "The index"
    assert put(api, deep, parentId=site.root_id).status == 302
    assert api.get(deep.path, by=site.member).data["parentId"] == site.root_id
    assert tree(api, site) == [site.root_id, place.id, inner.id, deep.id]


@pytest.mark.parametrize("how", ["delete", "deleted", "moderated"])
def test_the_root_is_never_hidden(api: Api, site: Site, how: str) -> None:
    path = f"{MICROCOSMS}/{site.root_id}"
    answer = (
        api.delete(path, by=site.owner)
        if how == "delete"
        else api.patch(path, (how, True), by=site.owner)
    )

    assert answer.status == 400
    assert api.get(MICROCOSMS, site=site).status == 200
    assert api.patch(path, ("open", True), by=site.owner).status == 200


def test_a_microcosm_is_deleted_once(api: Api, make: Factory, site: Site) -> None:
    place = make.microcosm(site)

    def version() -> int:
        query = "SELECT version FROM microcosms WHERE microcosm_id = %(id)s"
        return int(make.sql(query, id=place.id)[0][0])

    assert api.delete(place.path, by=site.owner).status == 200
    deleted = version()
    assert api.delete(place.path, by=site.owner).status == 200
    assert version() == deleted


def test_a_microcosm_takes_only_what_it_lists(api: Api, make: Factory, site: Site) -> None:
    place = make.microcosm(site, item_types=(itemtypes.MICROCOSM,))
    chat = make.conversation(site)

    body = {"microcosmId": place.id, "title": "Not here"}
    refused = api.post("/api/v1/conversations", body, by=site.owner)
    assert refused.status == 400
    assert "microcosmId" in refused.error
    assert put(api, chat, microcosmId=place.id).status == 400
    assert api.get(chat.path, site=site).data["microcosmId"] == site.root_id
    assert put(api, place, itemTypes=["conversation"]).status == 302
    assert api.post("/api/v1/conversations", body, by=site.owner).status == 302
    assert put(api, chat, microcosmId=place.id).status == 302


def test_a_conversation_moves_only_to_where_it_may(
    api: Api, make: Factory, site: Site, trains: Site
) -> None:
    chat = make.conversation(site)
    place = make.microcosm(site)
    hidden = make.microcosm(site)
    assert api.patch(hidden.path, ("moderated", True), by=site.owner).status == 200
    private = make.microcosm(site)
    make.role(site, private.id, "Insiders", rights=("read", "create"))

    def move(to: int, by: Person) -> int:
        return put(api, chat, by=by, microcosmId=to).status

    author = site.member
    assert move(private.id, author) == move(987_654_321, author) == 403
    assert move(make.microcosm(trains).id, author) == 403
    assert move(hidden.id, author) in (400, 404)
    assert api.get(chat.path, site=site).data["microcosmId"] == site.root_id
    assert move(place.id, author) == 302
    shown = api.get(chat.path, site=site).data
    assert shown["microcosmId"] == place.id
    assert [one["id"] for one in shown["breadcrumb"]] == [place.id]


# ---------------------------------------------------------------- the tree (content 2.6, C-18)


def test_the_tree_is_depth_first_by_sequence_then_by_number(
    api: Api, make: Factory, site: Site
) -> None:
    tops = [make.microcosm(site, f"Top {n}") for n in range(12)]
    inner = {top.id: [make.microcosm(site, parent=top) for _ in (1, 2)] for top in tops[::5]}
    deep = make.microcosm(site, parent=inner[tops[5].id][1])

    expected = [site.root_id]
    for top in tops:
        expected.append(top.id)
        for one in inner.get(top.id, []):
            expected.append(one.id)
            expected += [deep.id] if one.id == inner[tops[5].id][1].id else []
    assert tree(api, site) == expected
    shown = {one["id"]: one for one in api.get(f"{MICROCOSMS}/tree", by=site.member).data}
    assert shown[site.root_id] == {
        "rel": "microcosm",
        "href": MICROCOSMS,
        "title": "Forums",
        "id": site.root_id,
        "level": 1,
    }
    assert shown[deep.id]["level"] == 4
    assert shown[deep.id]["parentId"] == inner[tops[5].id][1].id
    # A lower sequence comes first, with everything below it.
    set_sequence(make, tops[5], 1)
    order = tree(api, site, site.member)
    assert order[1:5] == [tops[5].id, inner[tops[5].id][0].id, inner[tops[5].id][1].id, deep.id]


def set_sequence(make: Factory, place: Thing, sequence: int) -> None:
    """Return what the daily job does."""
    make.sql(
        "UPDATE microcosms SET sequence = %(n)s WHERE site_id = %(s)s AND microcosm_id = %(m)s",
        s=place.site.id,
        m=place.id,
        n=sequence,
    )
    with make.database.write() as tx:
        Microcosm.lock_tree(tx, place.site.id)


def test_the_tree_shows_what_one_may_read_and_does_not_ignore(
    api: Api, make: Factory, site: Site
) -> None:
    place, other = make.microcosm(site), make.microcosm(site)
    inner = make.microcosm(site, parent=place)
    role = make.role(site, other.id, "Insiders", rights=("read",))
    insider, reader = make.person(site), make.person(site)
    make.join(role, insider)
    make.ignore(reader, place)

    everything = [site.root_id, place.id, inner.id, other.id]
    assert tree(api, site, site.owner) == everything
    assert tree(api, site, insider) == everything
    assert tree(api, site) == tree(api, site, site.member) == [site.root_id, place.id, inner.id]
    assert tree(api, site, reader) == [site.root_id]
    assert api.get(f"{MICROCOSMS}/tree", by=site.banned).status == 403
    assert api.patch(inner.path, ("moderated", True), by=site.owner).status == 200
    assert tree(api, site, site.owner) == [site.root_id, place.id, other.id]


# ---------------------------------------------------------------- the page of items (content 2.7)


@pytest.mark.wide
def test_the_page_is_ordered_and_cut_over_places_and_items(
    api: Api, make: Factory, site: Site
) -> None:
    places = [make.microcosm(site) for _ in range(4)]
    chats = [make.conversation(site) for _ in range(9)]
    make.comment(chats[2])
    make.comment(chats[0])
    for thing in (places[2], chats[5], chats[1]):
        assert api.patch(thing.path, ("sticky", True), by=site.owner).status == 200
    set_sequence(make, places[3], 5)
    expected = [
        ("microcosm", places[2].id),
        ("conversation", chats[5].id),
        ("conversation", chats[1].id),
        ("microcosm", places[3].id),
        ("microcosm", places[0].id),
        ("microcosm", places[1].id),
        ("conversation", chats[0].id),
        ("conversation", chats[2].id),
        *(("conversation", chats[n].id) for n in (8, 7, 6, 4, 3)),
    ]

    for by in (site.member, site.owner):
        assert entries(api, MICROCOSMS, by, site) == expected
        for limit in (5, 10):
            pages = []
            for offset in range(0, 13, limit):
                query = f"?limit={limit}&offset={offset}"
                page = api.get(MICROCOSMS + query, by=by, site=site).data["items"]
                assert page["total"] == 13
                pages += entries(api, MICROCOSMS, by, site, query)
            assert pages == expected
    assert api.get(f"{MICROCOSMS}?offset=25", by=site.member).status == 400
    # An edit is no activity.
    assert put(api, chats[3], title="Edited").status == 302
    assert entries(api, MICROCOSMS, site.member, site) == expected


def test_the_page_leaves_out_what_is_not_for_the_viewer(
    api: Api, make: Factory, site: Site
) -> None:
    reader = make.person(site)
    shown, ignored = make.conversation(site), make.conversation(site)
    event = make.conversation(site, item_type=itemtypes.EVENT)
    make.conversation(site, item_type=itemtypes.POLL)
    deleted, moderated = make.conversation(site), make.conversation(site)
    assert api.delete(deleted.path, by=site.owner).status == 200
    assert api.patch(moderated.path, ("moderated", True), by=site.owner).status == 200
    place, away, private = (make.microcosm(site) for _ in range(3))
    make.role(site, private.id, "Insiders", rights=("read",))
    for thing in (ignored, away):
        make.ignore(reader, thing)

    api.checks_schema = False  # the event has none of an event's own fields
    for _ in ("unfolded", "folded"):
        theirs = api.get(MICROCOSMS, by=site.newcomer).data["items"]
        assert {one["item"]["id"] for one in theirs["items"]} == {
            place.id,
            away.id,
            shown.id,
            ignored.id,
            event.id,
        }
        assert theirs["total"] == 5
        mine = api.get(MICROCOSMS, by=reader).data["items"]
        assert {one["item"]["id"] for one in mine["items"]} == {place.id, shown.id, event.id}
        assert mine["total"] == 3
        assert api.get(MICROCOSMS, by=site.owner).data["items"]["total"] == 6
        make.fold(site)


def test_no_summary_tells_of_what_the_viewer_may_not_read(
    api: Api, make: Factory, site: Site
) -> None:
    place = make.microcosm(site, "Open")
    private = make.microcosm(site, "Secret place", parent=place)
    make.role(site, private.id, "Insiders", rights=("read",))
    open_chat = make.conversation(site, microcosm=place, title="Open talk")
    make.comment(open_chat)
    secret = make.conversation(site, microcosm=private, title="Secret talk", by=site.owner)
    make.comments(secret, 3, by=site.owner)
    below = make.microcosm(site, "Below it", parent=private)
    make.role(site, below.id, "Everybody", guests=True, users=True, rights=("read",))
    known = make.conversation(site, microcosm=below, title="Known talk")
    # A signed-in request of this process tells it of the new tree.
    api.get(MICROCOSMS, by=site.newcomer)

    # The owner comes first: nothing that is kept may depend on who filled it.
    for by, total in ((site.owner, (3, 4)), (None, (2, 1)), (site.member, (2, 1))):
        answer = api.get(MICROCOSMS, site=site, by=by)
        shown = entry(api, MICROCOSMS, place.id, by, site)
        assert (shown["totalItems"], shown["totalComments"]) == total
        if by is not site.owner:
            assert b"Secret" not in answer.body
            assert "children" not in shown
            assert shown["mostRecentUpdate"]["item"]["id"] == known.id
            assert b"Secret" not in api.get(known.path, site=site, by=by).body
            assert b"Secret" not in api.get(below.path, site=site, by=by).body


# ---------------------------------------------------------------- counters (C-16)


def totals(api: Api, site: Site) -> dict[int, tuple[int, int]]:
    """Microcosm id -> (totalItems, totalComments) of the root's children."""
    items = api.get(MICROCOSMS, by=site.newcomer).data["items"]["items"]
    return {
        one["item"]["id"]: (one["item"]["totalItems"], one["item"]["totalComments"])
        for one in items
        if one["itemType"] == "microcosm"
    }


@pytest.mark.wide
@pytest.mark.slow
def test_totals_follow_every_change_of_items_and_places(
    api: Api, make: Factory, site: Site
) -> None:
    one, two = make.microcosm(site), make.microcosm(site)
    inner = make.microcosm(site, parent=one)
    first = make.conversation(site, microcosm=inner)
    make.comments(first, 3)
    poll = make.conversation(site, microcosm=one, item_type=itemtypes.POLL)
    make.comment(poll)

    def expect(of_one: tuple[int, int], of_two: tuple[int, int]) -> None:
        for _ in ("unfolded", "folded"):
            assert totals(api, site) == {one.id: of_one, two.id: of_two}
            make.fold(site)

    expect((2, 4), (0, 0))
    second = api.post(
        "/api/v1/conversations", {"microcosmId": two.id, "title": "Second"}, by=site.member
    )
    assert second.status == 302
    expect((2, 4), (1, 0))
    assert put(api, first, microcosmId=two.id).status == 302
    expect((1, 1), (2, 3))
    assert api.delete(first.path, by=site.owner).status == 200
    expect((1, 1), (1, 0))
    # A hidden one moves without counting, and counts where it comes back.
    assert put(api, first, microcosmId=inner.id).status == 302
    expect((1, 1), (1, 0))
    assert api.patch(first.path, ("moderated", True), by=site.owner).status == 200
    assert api.patch(first.path, ("deleted", False), by=site.owner).status == 200
    expect((1, 1), (1, 0))
    assert api.patch(first.path, ("moderated", False), by=site.owner).status == 200
    expect((2, 4), (1, 0))
    # A place takes what is in it along, and hides it.
    assert put(api, inner, parentId=two.id).status == 302
    expect((1, 1), (2, 3))
    assert api.delete(inner.path, by=site.owner).status == 200
    expect((1, 1), (1, 0))
    assert api.patch(inner.path, ("deleted", False), by=site.owner).status == 200
    expect((1, 1), (2, 3))


@pytest.mark.wide
@pytest.mark.slow
def test_the_most_recent_item_follows_too(api: Api, make: Factory, site: Site) -> None:
    one, two = make.microcosm(site), make.microcosm(site)
    inner = make.microcosm(site, parent=one)
    older = make.conversation(site, microcosm=one)
    make.comment(older)
    newer = make.conversation(site, microcosm=inner)
    last = make.comment(newer)
    reader = make.person(site)

    def recent(of: Thing, by: Person = site.newcomer) -> int:
        for _ in ("unfolded", "folded"):
            shown = entry(api, MICROCOSMS, of.id, by, site).get("mostRecentUpdate")
            found = shown["item"]["id"] if shown else 0
            make.fold(site)
        return int(found)

    assert (recent(one), recent(two)) == (newer.id, 0)
    late = make.comment(older)
    assert recent(one) == older.id
    assert api.delete(late.path, by=site.owner).status == 200
    assert recent(one) == newer.id
    assert api.patch(late.path, ("deleted", False), by=site.owner).status == 200
    assert recent(one) == older.id
    assert api.delete(last.path, by=site.owner).status == 200
    make.comment(newer)
    assert recent(one) == newer.id
    make.ignore(reader, newer)
    assert recent(one, reader) == older.id
    assert put(api, newer, microcosmId=two.id).status == 302
    assert (recent(one), recent(two)) == (older.id, newer.id)
    assert api.patch(newer.path, ("moderated", True), by=site.owner).status == 200
    assert (recent(one), recent(two)) == (older.id, 0)
    assert api.delete(older.path, by=site.owner).status == 200
    assert recent(one) == 0
    assert api.patch(newer.path, ("moderated", False), by=site.owner).status == 200
    assert recent(two) == newer.id


# ---------------------------------------------------------------- hiding and bringing back (C-09, C-19)


@pytest.mark.wide
@pytest.mark.slow
@pytest.mark.parametrize("how", ["delete", "deleted", "moderated"])
def test_everything_below_is_hidden_and_comes_back(
    api: Api, make: Factory, site: Site, how: str
) -> None:
    place = make.microcosm(site)
    inner = make.microcosm(site, parent=place)
    deep = make.microcosm(site, parent=inner)
    chat = make.conversation(site, microcosm=deep)
    comment = make.comment(chat)
    paths = [place.path, inner.path, deep.path, chat.path, comment.path]
    paths += [f"{chat.path}/lastcomment", f"{comment.path}/incontext"]

    if how == "delete":
        assert api.delete(place.path, by=site.owner).status == 200
    else:
        assert api.patch(place.path, (how, True), by=site.owner).status == 200
    for path in paths:
        for by in (site.newcomer, site.member):
            assert api.get(path, by=by).status == 404, path
        # Moderators still get there.
        assert api.get(path, by=site.owner).status in (200, 307), path
        assert api.get(path, by=site.moderator).status in (200, 307), path
    flags = api.get(place.path, by=site.owner).data["meta"]["flags"]
    assert flags["visible"] is False
    assert api.get(inner.path, by=site.owner).data["meta"]["flags"]["visible"] is True
    body = {"microcosmId": inner.id, "title": "Below"}
    assert api.post("/api/v1/conversations", body, by=site.member).status == 404
    assert put(api, inner, by=site.member, title="x").status == 404
    assert place.id not in tree(api, site)
    listed = api.get("/api/v1/conversations", site=site, by=site.owner).data["conversations"]
    assert listed["total"] == 0
    # Gone already: no error for whoever could delete it.
    assert api.delete(place.path, by=site.owner).status == 200
    assert api.delete(place.path, by=site.member).status == 403
    for flag in ("deleted", "moderated"):
        assert api.patch(place.path, (flag, False), by=site.moderator).status == 200
    for path in paths:
        assert api.get(path, by=site.newcomer).status in (200, 307), path
    assert tree(api, site) == [site.root_id, place.id, inner.id, deep.id]


def test_what_was_hidden_by_itself_stays_hidden(api: Api, make: Factory, site: Site) -> None:
    place = make.microcosm(site)
    inner = make.microcosm(site, parent=place)
    chat = make.conversation(site, microcosm=inner)
    for thing in (chat, inner, place):
        assert api.delete(thing.path, by=site.owner).status == 200

    for thing in (place, inner):
        assert api.patch(thing.path, ("deleted", False), by=site.owner).status == 200
        assert api.get(chat.path, by=site.newcomer).status == 404
    assert api.get(inner.path, by=site.newcomer).status == 200
    assert api.patch(chat.path, ("deleted", False), by=site.owner).status == 200
    assert api.get(chat.path, by=site.newcomer).status == 200


@pytest.mark.wide
def test_a_patch_leaves_a_reason_that_names_it(api: Api, make: Factory, site: Site) -> None:
    place, chat = make.microcosm(site), make.conversation(site)
    for thing in (place, chat):
        for name, value, reason in (
            ("sticky", True, "Set sticky to true"),
            ("open", False, "Set open to false"),
            ("moderated", True, "Set moderated to true"),
            ("deleted", True, "Set delete to true"),
            ("deleted", False, "Set delete to false"),
        ):
            assert api.patch(thing.path, (name, value), by=site.owner).status == 200
            meta = api.get(thing.path, by=site.owner).data["meta"]
            assert meta["editReason"] == reason
            assert meta["editedBy"]["id"] == site.owner.id
            assert meta["flags"][name] is value


def test_ids_that_never_were(api: Api, make: Factory, site: Site) -> None:
    path = f"{MICROCOSMS}/987654321"
    for method, body in (("GET", None), ("PUT", {"title": "x", "meta": REASON}), ("DELETE", None)):
        for by, status in ((None, 403), (site.moderator, 403), (site.owner, 404)):
            assert api.request(method, path, json=body, by=by, site=site).status == status


# ---------------------------------------------------------------- authors delete what nobody answered (C-24)


def test_authors_delete_their_own_until_somebody_else_wrote(
    api: Api, make: Factory, site: Site
) -> None:
    author = site.member
    chat = make.conversation(site)
    make.comment(chat, by=author)

    def may() -> bool:
        return bool(api.get(chat.path, by=author).data["meta"]["permissions"]["delete"])

    assert may()
    assert not api.get(chat.path, by=site.newcomer).data["meta"]["permissions"]["delete"]
    answer = make.comment(chat, by=site.newcomer)
    assert not may()
    assert api.delete(chat.path, by=author).status == 403
    assert api.patch(chat.path, ("deleted", True), by=author).status == 403
    # Only live comments count.
    assert api.delete(answer.path, by=site.newcomer).status == 200
    assert may()
    assert api.delete(chat.path, by=author).status == 200
    assert api.get(chat.path, by=author).status == 404
    assert api.delete(chat.path, by=author).status == 200
    other = make.conversation(site)
    assert api.patch(other.path, ("deleted", True), by=author).status == 200
    assert api.patch(other.path, ("deleted", False), by=author).status == 404


# ---------------------------------------------------------------- unread (discovery 7.3)


def test_unread_goes_up_the_tree_and_down_again(api: Api, make: Factory, site: Site) -> None:
    place = make.microcosm(site)
    inner = make.microcosm(site, parent=place)
    old = make.conversation(site, microcosm=inner)
    reader = make.person(site)

    def unread(path: str, by: Person | None = reader) -> tuple[bool, dict[int, bool]]:
        shown = api.get(path, by=by, site=site).data
        flags = {
            one["item"]["id"]: one["item"]["meta"]["flags"]["unread"]
            for one in shown["items"]["items"]
        }
        return shown["meta"]["flags"]["unread"], flags

    # What was there before one came is read.
    assert unread(MICROCOSMS) == (False, {place.id: False})
    chat = make.conversation(site, microcosm=inner)
    other = make.conversation(site, microcosm=place)
    assert unread(MICROCOSMS) == (True, {place.id: True})
    assert unread(place.path) == (True, {inner.id: True, other.id: True})
    assert unread(inner.path) == (True, {old.id: False, chat.id: True})
    assert unread(MICROCOSMS, None) == (False, {place.id: False})
    # Opening a microcosm marks nothing; reading its items does.
    assert api.get(chat.path, by=reader).status == 200
    assert unread(inner.path) == (False, {old.id: False, chat.id: False})
    assert unread(place.path) == (True, {inner.id: False, other.id: True})
    make.comment(chat)
    assert unread(inner.path) == (True, {old.id: False, chat.id: True})
    body = {"itemType": "microcosm", "itemId": place.id}
    assert api.put("/api/v1/profiles/read", body, by=reader).status == 200
    assert unread(MICROCOSMS) == (False, {place.id: False})
    assert unread(inner.path) == (False, {old.id: False, chat.id: False})
    make.comment(old)
    assert unread(MICROCOSMS) == (True, {place.id: True})


def test_a_page_behind_the_first_says_what_is_unread_elsewhere_in_two_statements(
    api: Api, make: Factory, site: Site
) -> None:
    place = make.microcosm(site)
    inner = make.microcosm(site, parent=place)
    chats = [make.conversation(site, microcosm=place) for _ in range(6)]
    reader = make.person(site)
    path = f"{place.path}?limit=5&offset=5"

    def is_unread() -> bool:
        asked = [api.get(path, by=reader) for _ in range(3)]
        # A list that has changed in between, by views that were added up, is read anew.
        assert min(one.statements for one in asked) == 2
        shown = asked[-1].data
        items = [one["item"]["meta"]["flags"]["unread"] for one in shown["items"]["items"]]
        assert items == [False, False]
        return bool(shown["meta"]["flags"]["unread"])

    assert is_unread() is False
    make.comment(chats[-1])
    assert is_unread() is True
    make.ignore(reader, chats[-1])
    assert api.get(f"{place.path}?limit=5", by=reader).data["meta"]["flags"]["unread"] is False
    hidden = make.conversation(site, microcosm=inner)
    assert api.get(path, by=reader).data["meta"]["flags"]["unread"] is True
    assert api.get(hidden.path, by=reader).status == 200
    assert api.get(path, by=reader).data["meta"]["flags"]["unread"] is False


def test_what_one_does_not_see_makes_nothing_unread(api: Api, make: Factory, site: Site) -> None:
    reader = make.person(site)
    place = make.microcosm(site)
    ignored = make.conversation(site, microcosm=place)
    make.ignore(reader, ignored)
    hidden = make.conversation(site, microcosm=place)
    assert api.delete(hidden.path, by=site.owner).status == 200
    make.conversation(site, microcosm=place, item_type=itemtypes.POLL)
    private = make.microcosm(site, parent=place)
    make.role(site, private.id, "Insiders", rights=("read",))
    make.conversation(site, microcosm=private, by=site.owner)
    away = make.microcosm(site, parent=place)
    make.ignore(reader, away)
    make.conversation(site, microcosm=away)

    for _ in ("unfolded", "folded"):
        shown = entry(api, MICROCOSMS, place.id, reader, site)
        assert shown["meta"]["flags"]["unread"] is False
        assert api.get(MICROCOSMS, by=reader).data["meta"]["flags"]["unread"] is False
        make.fold(site)
    # Where the newest is ignored, an older one may still be unread.
    chat = make.conversation(site, microcosm=place)
    make.comment(ignored)
    shown = entry(api, MICROCOSMS, place.id, reader, site)
    assert shown["meta"]["flags"]["unread"] is True
    assert shown["mostRecentUpdate"]["item"]["id"] == chat.id


def test_a_page_of_a_microcosm_costs_what_it_should(api: Api, make: Factory, site: Site) -> None:
    place = make.microcosm(site)
    for _ in range(3):
        make.comment(make.conversation(site, microcosm=place))
        make.microcosm(site, parent=place)
    role = make.role(site, site.root_id, "Others", rights=RIGHTS)
    make.join(role, site.newcomer)
    for path in (MICROCOSMS, place.path):
        for by in (None, site.newcomer):
            for _ in (1, 2):
                api.get(path, site=site, by=by)
            warm = api.get(path, site=site, by=by)
            assert warm.statements <= (2 if by is None else 3), path
            assert warm.cache_trips <= 1
