"""Cached pages hold exactly as long as the database would say the same (decision 0008)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from forumapi.database.query import Query
from forumapi.models.content import huddle_page, item_page
from forumapi.models.content.comment import Comment
from forumapi.models.discovery import latest_items
from forumapi.models.journal import journal
from forumapi.models.microcosms import microcosm_page, microcosm_summary
from forumapi.models.pages.page_cache import ANYTHING, CHECK, CachedPage, PageCache
from forumapi.wire.paging import Paging
from tests.api import Api, Response
from tests.factories import Factory, Person, Site, Thing

# What the page statements read that no trigger watches, and why that is right.
UNWATCHED = {
    "comments": "a new one always moves its item's counters; changes and removals are watched",
    "item_authors": "moves with the item's comments",
    "reactions": "a row comes and goes with a change of its comment, in one statement",
    "microcosm_deltas": "a row comes with the item that it counts; folding changes no sum",
}
# What a page statement reads for one viewer beside the page, and hands back without keeping it.
FOR_THE_VIEWER = {huddle_page.PAGE.name: {"bookmarks", "drafts", "read_marks", "watchers"}}
PAGE_STATEMENTS = (
    item_page.PAGE,
    huddle_page.PAGE,
    microcosm_page.PAGE,
    microcosm_summary.CHILDREN,
    microcosm_summary.LATEST,
    latest_items.PAGE,
)


def relations(plan: Any) -> Iterator[str]:
    """Every table in a plan."""
    if isinstance(plan, dict):
        if "Relation Name" in plan:
            yield plan["Relation Name"]
        for value in plan.values():
            yield from relations(value)
    elif isinstance(plan, list):
        for value in plan:
            yield from relations(value)


@pytest.mark.parametrize("query", PAGE_STATEMENTS, ids=lambda query: query.name)
def test_every_table_that_a_kept_page_shows_is_watched(query: Query, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("SET plan_cache_mode = 'force_generic_plan'")
        connection.execute(b"PREPARE looked_at AS " + query.text)
        nothing = ", ".join("NULL" for _ in query.names)
        found = connection.execute(
            f"EXPLAIN (FORMAT JSON) EXECUTE looked_at ({nothing})".encode()
        ).fetchone()
        assert found is not None
        watched = {
            row[0]
            for row in connection.execute(
                "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE 'site_changed%'"
            ).fetchall()
        }
    read = set(relations(json.loads(found[0]) if isinstance(found[0], str) else found[0]))

    assert read
    assert read - watched <= UNWATCHED.keys() | FOR_THE_VIEWER.get(query.name, set())


LATEST = "/api/v1/search?type=conversation&type=event&type=poll&sort=date"
TOOK = re.compile(r', "timeTakenInMs": \d+')


class Scene:
    """A place with a conversation in it, and who reads them."""

    def __init__(self, api: Api, make: Factory) -> None:
        self.api = api
        self.make = make
        self.site: Site = make.site()
        self.reader: Person = make.person(self.site)
        self.outer: Thing = make.microcosm(self.site)
        self.place: Thing = make.microcosm(self.site, parent=self.outer)
        self.chat: Thing = make.conversation(self.site, microcosm=self.place)
        self.other: Thing = make.conversation(self.site, microcosm=self.outer)
        self.comment: Thing = make.comment(self.chat)

    def pages(self, api: Api | None = None) -> dict[str, str]:
        """Return what guest and member see of everything here, asked through `api` or the scene's own."""
        shown = {}
        for by in (None, self.reader):
            for path in (
                "/api/v1/microcosms",
                LATEST,
                self.outer.path,
                self.place.path,
                self.chat.path,
                self.other.path,
            ):
                answer = (api or self.api).get(path, site=self.site, by=by)
                name = f"{path} {'member' if by else 'guest'}"
                told = TOOK.sub("", json.dumps(answer.data, sort_keys=True))
                shown[name] = f"{answer.status} {told}"
        return shown


VIEWS = re.compile(r'"totalViews": \d+')
GUESTS_BEHIND_S = 2.0  # twice what the design allows, for a busy machine
Change = Callable[[Api, Scene], object]


def without_views(pages: dict[str, str]) -> dict[str, str]:
    return {path: VIEWS.sub("", text) for path, text in pages.items()}


def in_sql(statement: str) -> Change:
    """A change by an operator at the database's prompt."""

    def change(there: Api, scene: Scene) -> None:
        scene.make.sql(
            statement, site=scene.site.id, item=scene.chat.id, person=scene.site.owner.id
        )

    return change


CHANGES: dict[str, Change] = {
    "a new comment": lambda there, s: there.post(
        "/api/v1/comments",
        {"itemType": "conversation", "itemId": s.chat.id, "markdown": "New"},
        by=s.site.member,
    ),
    "an edited comment": lambda there, s: there.put(
        s.comment.path,
        {
            "itemType": "conversation",
            "itemId": s.chat.id,
            "markdown": "Edited",
            "meta": {"editReason": "x"},
        },
        by=s.site.owner,
    ),
    "a deleted comment": lambda there, s: there.delete(s.comment.path, by=s.site.owner),
    "a pinned conversation": lambda there, s: there.patch(
        s.chat.path, ("sticky", True), by=s.site.owner
    ),
    "a deleted conversation": lambda there, s: there.delete(s.chat.path, by=s.site.owner),
    "a moved conversation": lambda there, s: there.put(
        s.chat.path,
        {"title": "Moved", "microcosmId": s.outer.id, "meta": {"editReason": "x"}},
        by=s.site.owner,
    ),
    "a new conversation": lambda there, s: there.post(
        "/api/v1/conversations", {"microcosmId": s.place.id, "title": "New"}, by=s.site.member
    ),
    "a new microcosm": lambda there, s: there.post(
        "/api/v1/microcosms",
        {"title": "New", "description": "New", "parentId": s.outer.id},
        by=s.site.owner,
    ),
    "a hidden microcosm": lambda there, s: there.delete(s.place.path, by=s.site.owner),
    "a renamed profile": lambda there, s: there.put(
        s.site.owner.path, {"profileName": "renamed"}, by=s.site.owner
    ),
    "views, added up": in_sql(
        """INSERT INTO item_views (site_id, item_id, views) VALUES (%(site)s::bigint, %(item)s::bigint, 7)
           ON CONFLICT (site_id, item_id) DO UPDATE SET views = item_views.views + 7"""
    ),
    "a title set by hand": in_sql(
        "UPDATE items SET title = 'By hand' WHERE site_id = %(site)s::bigint AND item_id = %(item)s::bigint"
    ),
}


@pytest.mark.wide
@pytest.mark.sliced(4)
@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_anywhere_is_seen_by_the_next_request(
    name: str, api: Api, there: Api, make: Factory
) -> None:
    scene = Scene(api, make)
    scene.pages()
    before = scene.pages()

    done = CHANGES[name](there, scene)

    assert getattr(done, "status", 200) in (200, 302)
    assert scene.pages() != before
    # Reading has marked things read: what both say then must be the same, but for views that are being added up.
    # What guests are shown of a changed tree may be a second old (docs/architecture.md).
    deadline = time.monotonic() + GUESTS_BEHIND_S
    while True:
        asked = time.monotonic()
        here, other = without_views(scene.pages()), without_views(scene.pages(there))
        if here == other:
            break
        assert asked < deadline, {p: (here[p], other[p]) for p in here if here[p] != other[p]}
        assert [p for p in here if here[p] != other[p] and p.endswith("member")] == []
        time.sleep(0.05)


def test_a_transaction_that_was_open_while_the_page_was_read_is_seen_when_it_commits(
    api: Api, make: Factory, database_url: str
) -> None:
    scene = Scene(api, make)

    def title() -> str:
        return str(api.get(scene.chat.path, site=scene.site).data["title"])

    with psycopg.connect(database_url) as slow:
        slow.execute(
            "UPDATE items SET title = 'Late' WHERE site_id = %s AND item_id = %s",
            (scene.site.id, scene.chat.id),
        )
        first = title()
        make.comment(scene.other)
        assert title() == first
        assert first != "Late"
        slow.commit()
        assert title() == "Late"


def test_a_kept_page_costs_a_guest_one_statement_and_a_member_two(api: Api, make: Factory) -> None:
    scene = Scene(api, make)

    def least(path: str, by: Person | None = None) -> int:
        # Views are added up in between, which changes lists.
        return min(api.get(path, site=scene.site, by=by).statements for _ in range(3))

    scene.pages()
    for path in ("/api/v1/microcosms", scene.place.path, scene.chat.path, LATEST):
        assert least(path) == 1
        # Where all on the page is read, it is asked what may be unread below.
        assert least(path, scene.reader) <= 3
    assert least(scene.chat.path, scene.reader) == least(LATEST, scene.reader) == 2

    make.comment(scene.other)
    assert api.get(scene.chat.path, site=scene.site).statements == 1, "another item's change"
    assert api.get(scene.place.path, site=scene.site).statements == 2, "asked, and read anew"
    assert least(scene.place.path) == 1


def test_nobody_is_shown_what_another_one_ignores(api: Api, make: Factory) -> None:
    scene = Scene(api, make)
    noisy, picky = make.person(scene.site), make.person(scene.site)
    by_noisy = make.comment(scene.chat, by=noisy)
    make.ignore(picky, noisy)
    make.ignore(picky, scene.other)

    def comments(by: Person | None) -> list[int]:
        found = api.get(scene.chat.path, site=scene.site, by=by).data["comments"]["items"]
        return [one["id"] for one in found]

    def items(by: Person | None) -> list[int]:
        found = api.get(scene.outer.path, site=scene.site, by=by).data["items"]["items"]
        return [one["item"]["id"] for one in found if one["itemType"] == "conversation"]

    def latest(by: Person | None) -> dict[int, tuple[int, bool]]:
        found = api.get(LATEST, site=scene.site, by=by).data["results"]["items"]
        return {
            one["item"]["id"]: (one["item"]["meta"].get("newComments", 0), one["unread"])
            for one in found
        }

    for _ in range(2):
        assert by_noisy.id not in comments(picky)
        assert by_noisy.id in comments(None)
        assert by_noisy.id in comments(scene.reader)
        assert scene.other.id not in items(picky)
        assert scene.other.id in items(None)
        assert scene.other.id in items(scene.reader)
        assert latest(picky) == {scene.chat.id: (0, False)}
        assert latest(None) == {scene.chat.id: (0, False), scene.other.id: (0, False)}
        assert latest(scene.reader) == {scene.chat.id: (0, False), scene.other.id: (0, True)}

    make.comment(scene.chat, by=noisy)
    for _ in range(2):
        assert latest(picky) == {scene.chat.id: (0, True)}
        assert latest(None) == {scene.chat.id: (0, False), scene.other.id: (0, False)}
        assert latest(scene.reader) == {scene.chat.id: (1, True), scene.other.id: (0, True)}


# ---------------------------------------------------------------- huddles: kept for each participant alone


class Circle:
    """A huddle with two comments: who began it, who reads it, and somebody else who is in it."""

    def __init__(self, api: Api, make: Factory) -> None:
        self.api = api
        self.make = make
        self.site: Site = make.site()
        self.author: Person = self.site.member
        self.reader: Person = self.site.newcomer
        self.third: Person = make.person(self.site)
        self.huddle: Thing = make.huddle(self.author, self.reader, self.third)
        self.first: Thing = make.comment(self.huddle, by=self.author)
        self.second: Thing = make.comment(self.huddle, by=self.third)

    def pages(self, api: Api | None = None) -> list[str]:
        """Return what author and reader see, asked through `api` or the circle's own."""
        return [
            json.dumps((api or self.api).get(self.huddle.path, by=by).json(), sort_keys=True)
            for by in (self.author, self.reader)
        ]

    def warm(self) -> list[str]:
        """The same when it is kept, all is read, and the cached page is what is shown."""
        self.pages()
        shown = self.pages()
        assert self.api.get(self.huddle.path, by=self.reader).statements == 2
        return shown

    def sql(self, statement: str) -> None:
        """A change by an operator at the database's prompt."""
        self.make.sql(
            statement,
            site=self.site.id,
            item=self.huddle.id,
            comment=self.second.id,
            person=self.third.id,
        )

    def flag(self, on: Thing, *, is_deleted: bool, is_moderated: bool) -> None:
        """Set the state of a comment: in a huddle nobody has the right to hide or restore what others wrote."""
        by = journal.Author(self.site.id, self.author.id, "")
        with self.make.database.write() as tx:
            comment = Comment.lock(tx, self.site.id, on.id, self.author.id)
            assert comment is not None
            comment.flag(tx, by, is_deleted=is_deleted, is_moderated=is_moderated)


def said_in(circle: Circle, api: Api, markdown: str) -> Response:
    body = {"itemType": "huddle", "itemId": circle.huddle.id, "markdown": markdown}
    return api.post("/api/v1/comments", body, by=circle.author)


# One after another, in one huddle.
IN_A_HUDDLE: dict[str, Callable[[Api, Circle], object]] = {
    "a new comment": lambda there, c: said_in(c, there, "New"),
    "an edited comment": lambda there, c: there.put(
        c.first.path, {"markdown": "Edited"}, by=c.author
    ),
    "a moderated comment": lambda _, c: c.flag(c.second, is_deleted=False, is_moderated=True),
    "a comment shown again": lambda _, c: c.flag(c.second, is_deleted=False, is_moderated=False),
    "a deleted comment": lambda there, c: there.delete(c.second.path, by=c.third),
    "a restored comment": lambda _, c: c.flag(c.second, is_deleted=False, is_moderated=False),
    "a renamed participant": lambda there, c: there.put(
        c.third.path, {"profileName": "renamed"}, by=c.third
    ),
    "somebody new": lambda there, c: there.put(
        f"{c.huddle.path}/participants/{c.site.moderator.id}", by=c.third
    ),
    "somebody who left": lambda there, c: there.delete(c.huddle.path, by=c.site.moderator),
    "somebody taken out by hand": lambda _, c: c.sql(
        """DELETE FROM huddle_participants
            WHERE site_id = %(site)s::bigint AND item_id = %(item)s::bigint AND profile_id = %(person)s::bigint"""
    ),
    "somebody put in by hand": lambda _, c: c.sql(
        "INSERT INTO huddle_participants (site_id, item_id, profile_id)"
        " VALUES (%(site)s::bigint, %(item)s::bigint, %(person)s::bigint)"
    ),
    "made confidential by hand": lambda _, c: c.sql(
        "UPDATE huddles SET is_confidential = true WHERE site_id = %(site)s::bigint AND item_id = %(item)s::bigint"
    ),
    "a title set by hand": lambda _, c: c.sql(
        "UPDATE items SET title = 'By hand' WHERE site_id = %(site)s::bigint AND item_id = %(item)s::bigint"
    ),
    "a comment taken away by hand": lambda _, c: c.sql(
        "UPDATE comments SET version = version + 1, html = '<p>By hand</p>'"
        " WHERE site_id = %(site)s::bigint AND comment_id = %(comment)s::bigint"
    ),
}


@pytest.mark.wide
def test_a_change_in_a_huddle_is_seen_by_the_next_request(
    api: Api, there: Api, make: Factory
) -> None:
    circle = Circle(api, make)
    for name, change in IN_A_HUDDLE.items():
        before = circle.warm()

        done = change(there, circle)

        assert getattr(done, "status", 200) in (200, 302), name
        assert all(now != then for now, then in zip(circle.pages(), before, strict=True)), name
        # Reading has marked it read: what both processes say then is the same.
        assert circle.pages() == circle.pages(there), name


def test_a_kept_huddle_costs_two_statements_and_one_more_when_it_has_changed(
    api: Api, make: Factory
) -> None:
    circle = Circle(api, make)
    other = make.huddle(circle.author, circle.reader)

    def cost(by: Person) -> int:
        return api.get(circle.huddle.path, by=by).statements

    for path in (circle.huddle.path, other.path):
        api.get(path, by=circle.author)
    assert cost(circle.reader) == 2 + 3, "the first time, when the mark moves too"
    assert cost(circle.reader) == 2
    make.comment(other)
    assert cost(circle.reader) == 2, "another huddle's change"
    circle.sql(
        "UPDATE items SET title = 'By hand' WHERE site_id = %(site)s::bigint AND item_id = %(item)s::bigint"
    )
    assert cost(circle.reader) == 3, "asked, and read anew"
    assert cost(circle.reader) == 2
    make.comment(circle.huddle, by=circle.author)
    api.get(circle.huddle.path, by=circle.author)
    assert cost(circle.reader) == 3 + 3, "and the mark moves"
    assert cost(circle.reader) == 2
    assert cost(circle.site.owner) == 2, "who is not in it"


def test_what_is_kept_of_a_huddle_is_found_by_nobody_else(make: Factory, api: Api) -> None:
    circle = Circle(api, make)
    pages = PageCache(1_000_000)

    def seen(by: Person) -> tuple[huddle_page.HuddleView | None, int]:
        tx = make.database.read()
        try:
            found = huddle_page.page(
                pages, tx, circle.site.id, circle.huddle.id, by.id, (), Paging()
            )
            return found, tx.statements
        finally:
            tx.end()

    first, _ = seen(circle.reader)
    again, _ = seen(circle.reader)
    assert first is not None
    assert again is not None
    assert again.page is first.page, "it is kept"
    others, _ = seen(circle.author)
    assert others is not None
    assert others.page is not first.page
    assert seen(circle.site.owner) == (None, 1)
    circle.sql(
        "DELETE FROM huddle_participants WHERE site_id = %(site)s::bigint AND item_id = %(item)s::bigint"
    )
    assert seen(circle.reader) == (None, 1)


def test_what_a_viewer_ignores_is_left_out_of_their_huddle_alone(api: Api, make: Factory) -> None:
    circle = Circle(api, make)
    circle.warm()

    def comments(by: Person) -> list[int]:
        found = api.get(circle.huddle.path, by=by).data["comments"]["items"]
        return [one["id"] for one in found]

    make.ignore(circle.reader, circle.third)
    for _ in range(2):
        assert comments(circle.reader) == [circle.first.id]
        assert comments(circle.author) == [circle.first.id, circle.second.id]
    make.sql("DELETE FROM ignores WHERE profile_id = %(id)s", id=circle.reader.id)
    assert comments(circle.reader) == [circle.first.id, circle.second.id]


# ---------------------------------------------------------------- what is kept


def test_nothing_kept_holds_for_a_database_older_than_it(make: Factory, bikes: Site) -> None:
    ahead = CachedPage("9000000000:9000000000:", "page")

    tx = make.database.read()
    row = ahead.revalidate(tx, CHECK, site_id=bikes.id, concerns=ANYTHING)
    tx.end()
    assert row is not None
    assert not row[0]


class Reading:
    """Reads of a page that a test counts."""

    def __init__(self, make: Factory, site: Site) -> None:
        self.make = make
        self.site = site
        self.pages = PageCache(1_000_000)
        self.reads = 0

    def get(self, stale: CachedPage[int] | None = None) -> CachedPage[int]:
        """Get the page from the cache, or read it."""
        tx = self.make.database.read()

        def read() -> CachedPage[int]:
            self.reads += 1
            row = tx.row(CHECK, site_id=self.site.id, concerns=ANYTHING, snapshot="1:1:")
            assert row is not None
            return CachedPage(row[1], self.reads)

        page = self.pages.get_or_read(tx, self.site.id, ANYTHING, "key", read, stale=stale)
        tx.end()
        assert page is not None
        return page


def test_a_page_is_read_once_until_the_site_changes(make: Factory, bikes: Site) -> None:
    reading = Reading(make, bikes)

    assert [reading.get().value for _ in range(3)] == [1, 1, 1]
    make.conversation(bikes)
    assert [reading.get().value for _ in range(2)] == [2, 2]


def test_a_page_that_the_caller_found_outdated_is_read_anew(make: Factory, bikes: Site) -> None:
    reading = Reading(make, bikes)

    assert reading.get(stale=reading.get()).value == 2
    assert reading.get().value == 2


def test_a_page_that_does_not_exist_is_not_stored(make: Factory, bikes: Site) -> None:
    pages, tx = PageCache(1_000_000), make.database.read()

    assert pages.get_or_read(tx, bikes.id, ANYTHING, "key", lambda: None) is None
    assert pages.bytes == 0
    tx.end()


def test_time_alone_ends_what_says_so() -> None:
    assert not CachedPage("1:1:", "page", until=time.time() - 1).can_be_revalidated
    assert CachedPage("1:1:", "page", until=time.time() + 60).can_be_revalidated


def test_pages_are_crowded_out_by_newer_ones() -> None:
    pages = PageCache(2_000)
    for number in range(50):
        pages.put(number, CachedPage("1:1:", number))

    assert pages.get(0) is None
    found = pages.get(49)
    assert found is not None
    assert found.value == 49
