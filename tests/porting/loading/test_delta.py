"""A second run with a later dump: what is new comes behind what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from forumapi.config import Config
from forumapi.models.sites.site_cache import SiteCache
from forumapi.porting.layout import PortedBan, PortedComment, PortedReaction
from forumapi.porting.loading import loader
from forumapi.porting.loading.planning import Planner
from forumapi.porting.loading.verification import Verifier
from tests.factories import Factory
from tests.porting import boards
from tests.porting.moved import TABLES, Moved


@pytest.mark.wide
def test_a_later_dump_adds_what_is_new(make: Factory, config: Config) -> None:
    straight = Moved(make, config, make.site(), boards.bikes())
    straight.load()
    early = boards.bikes()
    whole = dict(early.streams)
    for name, kept in (("profiles", 2), ("conversations", 1), ("comments", 2), ("messages", 1)):
        early.streams[name] = whole[name][:kept]
    early.streams["follows"] = early.streams["bans"] = early.streams["polls"] = []
    early.streams["forums"] = whole["forums"][:2]
    moved = Moved(make, config, make.site(), early)
    moved.load()
    before = moved.ids(4)

    early.streams.update(whole)
    moved.load()

    after = moved.ids(4)
    assert {old: after[old] for old in before} == before
    for table in TABLES.split():
        count = f"SELECT count(*) FROM {table} t WHERE t.site_id = %(s)s"
        assert moved.rows(count) == straight.rows(count), table
    assert moved.rows("SELECT count(*) FROM import_leftouts WHERE site_id = %(s)s") == [(7,)]
    tx = make.database.read()
    site = SiteCache(make.database, make.platform_domain).by_id(moved.site.id, tx)
    assert site is not None
    report = Verifier(tx, config, site, moved.origin, moved.reader).run()
    tx.end()
    # The first post was there before its poll was, and has no link to it.
    assert {(one.check, one.old_id) for one in report.differences} <= {
        ("texts", "300"),
        ("sources", "300"),
    }


@pytest.mark.wide
def test_a_later_run_leaves_what_people_took_back_here(moved: Moved) -> None:
    person = moved.ids(3)["1"]
    for taken in (
        "DELETE FROM bans WHERE site_id = %(s)s",
        "DELETE FROM reactions WHERE site_id = %(s)s",
        "DELETE FROM watchers WHERE site_id = %(s)s",
        "DELETE FROM ignores WHERE site_id = %(s)s",
        "DELETE FROM bookmarks WHERE site_id = %(s)s",
        "DELETE FROM attributes WHERE site_id = %(s)s",
        "DELETE FROM attachments WHERE site_id = %(s)s",
        "UPDATE profiles SET avatar_id = NULL, avatar_url = '' WHERE site_id = %(s)s",
    ):
        moved.make.sql(f"{taken} RETURNING 1", s=moved.site.id)

    moved.load()

    for table in [
        "bans",
        "reactions",
        "watchers",
        "ignores",
        "bookmarks",
        "attributes",
        "attachments",
    ]:
        assert moved.rows(f"SELECT count(*) FROM {table} WHERE site_id = %(s)s") == [(0,)], table
    assert moved.rows(
        "SELECT avatar_id, avatar_url FROM profiles WHERE site_id = %(s)s AND profile_id = %(p)s",
        p=person,
    ) == [(None, "")]


@pytest.mark.wide
def test_a_later_run_brings_what_is_new_in_the_source(make: Factory, config: Config) -> None:
    board = boards.bikes()
    moved = Moved(make, config, make.site(), board)
    moved.load()
    moved.make.sql("DELETE FROM bans WHERE site_id = %(s)s RETURNING 1", s=moved.site.id)
    board.streams["bans"].append(PortedBan(profile="2", reason="Since Monday"))
    board.streams["reactions"].append(
        PortedReaction(author="1", on_type="comment", on_id="301", name="👍")
    )

    moved.load()

    assert moved.rows("SELECT display_reason FROM bans WHERE site_id = %(s)s") == [
        ("Since Monday",)
    ]
    assert moved.rows("SELECT count(*) FROM reactions WHERE site_id = %(s)s") == [(2,)]


@pytest.mark.wide
@pytest.mark.parametrize("here", ["untouched", "edited", "deleted"])
def test_a_text_edited_in_the_source_comes_unless_it_was_changed_here(
    make: Factory, config: Config, here: str
) -> None:
    board = boards.bikes()
    moved = Moved(make, config, make.site(), board)
    moved.load()
    id = moved.ids(4)["301"]
    changes = {
        "edited": "markdown = 'Mine', revisions = revisions + 1",
        "deleted": "is_deleted = true",
    }
    if here in changes:
        moved.make.sql(
            f"UPDATE comments SET {changes[here]} WHERE site_id = %(s)s AND comment_id = %(c)s"
            " RETURNING 1",
            s=moved.site.id,
            c=id,
        )
    board.streams["comments"] = [
        msgspec.structs.replace(
            one,
            versions=(
                *one.versions,
                *boards.said("Later, see [this](old:comment/399)", date_modified=boards.at(9)),
            ),
        )
        if one.id == "301"
        else one
        for one in board.streams["comments"]
    ]
    last = msgspec.structs.replace(board.streams["comments"][2], id="399", in_reply_to="")
    board.streams["comments"].append(last)

    moved.load()
    moved.load()

    later = moved.ids(4)["399"]
    (row,) = moved.rows(
        "SELECT markdown, revisions, is_deleted FROM comments WHERE site_id = %(s)s AND comment_id = %(c)s",
        c=id,
    )
    expected = {
        "untouched": (f"Later, see [this](/comments/{later}/)", 2, False),
        "edited": ("Mine", 2, False),
        "deleted": ("**Thin** [of course](https://example.com/oil)", 1, True),
    }
    assert row == expected[here]
    older = moved.rows(
        "SELECT markdown FROM comment_revisions WHERE site_id = %(s)s AND comment_id = %(c)s", c=id
    )
    assert older == (
        [("**Thin** [of course](https://example.com/oil)",)] if here == "untouched" else []
    )


class Changing(boards.Shelf):
    """Reader of a source that somebody changes while it is read: `change` is called after the first batch of the
    comments.
    """

    change: Callable[[], None] | None = None

    def __getattribute__(self, name: str) -> Any:
        return self.read if name == "comments" else super().__getattribute__(name)

    def read(self) -> Iterator[PortedComment]:
        for place, id in enumerate([one.id for one in self.streams["comments"]]):
            if place == loader.BATCH and self.change is not None:
                self.change()
            # What is gone by now is not read.
            yield from (one for one in self.streams["comments"] if one.id == id)


@pytest.mark.wide
def test_a_source_that_changes_during_the_run_is_right_after_the_next(
    make: Factory, config: Config
) -> None:
    bikes = boards.bikes()
    board = Changing(**bikes.streams)
    board.about, board.files = bikes.about, bikes.files
    streams, replace = board.streams, msgspec.structs.replace
    post = streams["comments"][0]
    talk = streams["conversations"][0]
    more = [replace(post, id=f"{n}", versions=boards.said(f"Post {n}")) for n in range(1000, 1600)]
    streams["comments"] += more
    plan = Planner(board).run()
    # Between plan and run.
    streams["comments"].append(replace(post, id="1700", versions=boards.said("After the plan")))

    def change() -> None:
        read, coming = "1001", "1599"
        streams["comments"] = [
            replace(one, versions=boards.said("Changed meanwhile"))
            if one.id in (read, coming)
            else one
            for one in streams["comments"]
            if one.id not in ("1002", "1598")
        ]
        streams["conversations"].append(replace(talk, id="77", name="New meanwhile"))
        streams["comments"].append(replace(post, id="1800", on_id="77"))

    board.change = change
    moved = Moved(make, config, make.site(), board)
    moved.load()
    board.change = None
    first = moved.ids(4)
    assert {"1002", "1599", "1700"} <= first.keys()
    assert not first.keys() & {"1598", "1800"}
    assert plan.come["comments"] == len(boards.bikes().streams["comments"]) - 1 + len(more)

    moved.load()

    texts = dict(
        moved.rows(
            """SELECT i.old_id, c.markdown FROM imported_items i JOIN comments c
                   ON c.site_id = i.site_id AND c.comment_id = i.item_id
                WHERE i.site_id = %(s)s AND i.item_type_id = 4"""
        )
    )
    assert texts["1001"] == texts["1599"] == "Changed meanwhile"
    assert {"1700", "1800"} <= texts.keys()
    tx = make.database.read()
    site = SiteCache(make.database, make.platform_domain).by_id(moved.site.id, tx)
    assert site is not None
    report = Verifier(tx, config, site, moved.origin, moved.reader).run()
    tx.end()
    # What was removed on the old board is told.
    assert [one.told for one in report.differences] == ["1 came that are not in the source"]
