"""Number of comments that are new to the caller, of each item in a list (discovery 7.3)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from forumapi.config import Config
from forumapi.cron import trending
from forumapi.models.content import item_summary
from forumapi.models.microcosms.tree import load_tree
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing

KINDS = ("conversation", "event", "poll")


def new_in(api: Api, path: str, thing: Thing, by: Person | None, site: Site) -> int | None:
    """Return `meta.newComments` of the entry for `thing` in the list at `path`; None if it is absent."""
    data = api.get(path, by=by, site=site).data
    key = path.removeprefix("/api/v1/").partition("?")[0].partition("/")[0]
    listed = data.get(key) or data.get("results") or data["items"]
    items = [one.get("item", one) for one in listed["items"]]
    (found,) = [one for one in items if one["id"] == thing.id and "title" in one]
    number: int | None = found["meta"].get("newComments")
    return number


def lists(thing: Thing, place: Thing, kind: str) -> list[str]:
    """Return the addresses of the lists that hold `thing`, which stands in `place`."""
    paths = [
        f"/api/v1/{kind}s",
        f"/api/v1/search?type={kind}&sort=date",
        "/api/v1/trending",
        "/api/v1/watchers",
    ]
    return paths if kind == "poll" else [*paths, place.path]


@pytest.mark.parametrize("kind", KINDS)
def test_each_list_counts_what_the_page_of_the_item_shows_as_new(
    api: Api, make: Factory, kind: str
) -> None:
    site = make.site()
    place = make.microcosm(site)
    me, rude = site.member, make.person(site)
    thing = getattr(make, kind)(site, by=site.owner, microcosm=place)
    make.comments(thing, 3, by=site.owner)
    make.ignore(me, rude)
    make.sql(
        "UPDATE profiles SET all_read_at = now() - interval '1 day' WHERE profile_id = %(p)s",
        p=me.id,
    )
    body = {"itemType": kind, "itemId": thing.id}
    assert api.post("/api/v1/watchers", body, by=me).status == 200
    with make.database.write() as tx:
        assert trending.trending_scores(tx, Config())

    def new(by: Person | None = me) -> list[int | None]:
        paths = lists(thing, place, kind)
        if by is not me:
            paths.remove("/api/v1/watchers")
        return [new_in(api, path, thing, by, site) for path in paths]

    wide = len(lists(thing, place, kind))
    assert new() == [3] * wide
    assert new(None) == [None] * (wide - 1)
    api.get(thing.path, by=me)
    assert new() == [None] * wide
    for _ in range(4):
        make.comment(thing, by=site.owner)
    gone, held, by_rude = (make.comment(thing, by=one) for one in (site.owner, site.owner, rude))
    assert api.delete(gone.path, by=site.owner).status == 200
    make.sql("UPDATE comments SET is_moderated = true WHERE comment_id = %(c)s", c=held.id)
    assert new() == [4] * wide
    assert by_rude.id
    found = api.get(f"{thing.path}/newcomment", by=me).headers["location"]
    shown = api.get(found, by=me).data["comments"]["items"]
    assert sum(one["meta"]["flags"]["unread"] for one in shown) == 4
    assert new() == [None] * wide


def test_a_hundred_stand_for_more_and_eleven_for_eleven(api: Api, make: Factory) -> None:
    site = make.site()
    chat = make.conversation(site)
    api.get(chat.path, by=site.member)
    path = "/api/v1/conversations"
    made = 0
    for number, said in ((9, 9), (10, 10), (11, 11), (99, 99), (100, 100), (105, 100)):
        make.comments(chat, number - made, by=site.owner)
        made = number
        assert new_in(api, path, chat, site.member, site) == said


def test_ones_own_comments_are_not_new_to_oneself(api: Api, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    chat = make.conversation(site, by=site.owner, microcosm=place)
    make.comments(chat, 11, by=site.owner)
    make.comments(chat, 3)
    for path in ("/api/v1/conversations", place.path):
        assert new_in(api, path, chat, site.member, site) == 11, path
    api.get(chat.path, by=site.member)
    make.comments(chat, 2)
    assert new_in(api, place.path, chat, site.member, site) is None
    make.comment(chat, by=site.owner)
    assert new_in(api, place.path, chat, site.member, site) == 1
    assert new_in(api, place.path, chat, site.owner, site) == 5


def test_one_comment_with_an_old_time_at_the_end_does_not_end_the_count(
    api: Api, make: Factory
) -> None:
    site = make.site()
    chat = make.conversation(site)
    api.get(chat.path, by=site.member)
    *_, last = make.comments(chat, 14, by=site.owner)
    make.sql(
        "UPDATE comments SET created = created - interval '1 year' WHERE comment_id = %(c)s",
        c=last.id,
    )
    assert new_in(api, "/api/v1/conversations", chat, site.member, site) == 13


def test_hidden_comments_at_the_end_of_an_item_are_not_all_read(api: Api, make: Factory) -> None:
    site = make.site()
    chat = make.conversation(site)
    make.comments(chat, 3, by=site.owner)
    hidden = """
      WITH made AS (
    INSERT INTO comments (site_id, item_id, seq, created_by, edited_by, is_deleted, markdown, html)
    SELECT %(s)s, %(i)s, i.last_seq + n, %(by)s, %(by)s, true, 'spam', 'spam'
      FROM items i, generate_series(1, %(count)s::int) AS n
     WHERE i.site_id = %(s)s AND i.item_id = %(i)s
 RETURNING seq)
    UPDATE items SET last_seq = (SELECT max(seq) FROM made) WHERE site_id = %(s)s AND item_id = %(i)s"""
    path = "/api/v1/conversations"
    make.sql(hidden, s=site.id, i=chat.id, by=site.owner.id, count=490)
    assert new_in(api, path, chat, site.member, site) == 3
    make.sql(hidden, s=site.id, i=chat.id, by=site.owner.id, count=1_000)
    assert new_in(api, path, chat, site.member, site) is None
    given: dict[str, Any] = {"readable": [site.root_id], "ignored": [], "ignored_people": []}
    plan = make.sql(
        f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {item_summary.LIST.sql}",
        site_id=site.id,
        me=site.member.id,
        item_type=chat.type,
        limit=25,
        offset=0,
        **given,
    )
    text = "\n".join(line for (line,) in plan)
    assert "Index Only Scan Backward using comments_in_item" in text
    removed = [int(rows) for rows in re.findall(r"Rows Removed by Filter: (\d+)", text)]
    assert 490 <= max(removed) <= 500, text


def test_numbers_share_what_is_kept_of_an_item(make: Factory) -> None:
    site = make.site()
    chat = make.conversation(site, by=site.owner)
    view = ReadableMicrocosms((site.root_id,))
    with make.database.write() as tx:
        (row,) = tx.rows(item_summary.BY_IDS, site_id=site.id, ids=[chat.id])
        tree = load_tree(tx, site.id, 0)
    times = row[item_summary.SUMMARY_WIDTH :][: item_summary.TIMES_WIDTH]
    row = row[: item_summary.SUMMARY_WIDTH]
    for new in (0, 1, 7, 100, 7):
        made = item_summary.entry(row, times, {}, tree, view, unread=True, new=new, mine=None)
        whole = item_summary.summary(row, times, {}, tree, view, unread=True, new=new)
        assert made == item_summary.container(row[1], whole)
        assert json.loads(made)["item"]["meta"].get("newComments", 0) == new
    assert [key for key in view.cache if isinstance(key, tuple) and key[0] == "item"] == [
        ("item", chat.id, True, None)
    ]


@pytest.mark.wide
def test_the_count_costs_no_statement(api: Api, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    chats = [make.conversation(site, microcosm=place) for _ in range(8)]

    def statements(path: str) -> int:
        return min(api.get(path, by=site.member).statements for _ in range(3))

    for path in ("/api/v1/conversations", place.path, "/api/v1/search?type=conversation&sort=date"):
        for chat in chats:
            make.comments(chat, 2, by=site.owner)
        with_new = statements(path)
        for chat in chats:
            api.get(chat.path, by=site.member)
        # Where nothing in a microcosm is unread, one more looks below it.
        assert with_new == statements(path) - (path == place.path), path


def test_a_held_list_is_fresh_again_when_more_is_new(api: Api, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    chat = make.conversation(site, microcosm=place)
    make.comment(chat, by=site.owner)
    mark = make.comment(chat, by=site.owner)
    for path in (place.path, "/api/v1/conversations", "/api/v1/search?type=conversation&sort=date"):
        tag = api.get(path, by=site.member).headers["etag"]
        same = api.get(path, by=site.member, headers={"If-None-Match": tag})
        assert same.status == 304, path
        # Read up to the first comment: still unread, but less is new.
        make.sql("UPDATE comments SET is_moderated = true WHERE comment_id = %(c)s", c=mark.id)
        again = api.get(path, by=site.member, headers={"If-None-Match": tag})
        assert again.status == 200, path
        make.sql("UPDATE comments SET is_moderated = false WHERE comment_id = %(c)s", c=mark.id)
