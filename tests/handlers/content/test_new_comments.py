"""Number of comments that are new to the caller, of each item in a list (discovery 7.3)."""

from __future__ import annotations

import pytest

from forumapi.config import Config
from forumapi.cron import trending
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
