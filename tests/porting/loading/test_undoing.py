"""Removal of an import: all of it, or what nobody has touched since."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from forumapi.command import cli
from forumapi.config import Config
from forumapi.database.connections import Database, Transaction
from forumapi.itemtypes import ItemRef
from forumapi.models.journal.journal import Author
from forumapi.models.people.user import User
from forumapi.models.trust.action import Action, ActionGrounds
from forumapi.porting.layout import PortedConversation, PortedEvent
from forumapi.porting.loading import counters, undoing
from forumapi.porting.loading.imported_ids import Origin
from forumapi.porting.loading.people import ImportedPeople
from tests.factories import Factory, Thing
from tests.porting import boards
from tests.porting.moved import TABLES, Moved


def counted(moved: Moved) -> dict[str, int]:
    """Rows of the site by table."""
    tables = [*TABLES.split(), "file_uploads", "imported_profiles", "search_documents", "link_uses"]
    return {
        table: moved.rows(f"SELECT count(*) FROM {table} t WHERE t.site_id = %(s)s")[0][0]
        for table in tables
    }


@pytest.mark.wide
def test_an_import_that_nobody_touched_goes_whole(make: Factory, config: Config) -> None:
    moved = Moved(make, config, make.site(), boards.bikes())
    before = counted(moved)
    people = moved.rows("SELECT total FROM site_people WHERE site_id = %(s)s")
    moved.load()
    assert counted(moved) != before

    done = undoing.undo(make.database, moved.origin)

    assert done.left == 0
    assert counted(moved) == before
    assert moved.rows("SELECT total FROM site_people WHERE site_id = %(s)s") == people
    assert moved.rows(
        "SELECT count(*) FROM users WHERE person_key LIKE 'imported:' || %(s)s || ':%%'"
    ) == [(0,)]
    assert moved.rows("SELECT count(*) FROM import_origins WHERE site_id = %(s)s") == [(0,)]
    assert moved.rows("SELECT bytes FROM file_usage WHERE site_id = %(s)s") == [(0,)]


@pytest.mark.wide
def test_what_others_wrote_in_stays_with_what_it_hangs_on(moved: Moved) -> None:
    ids = moved.ids(6)
    theirs = moved.make.comment(Thing(moved.site, 6, ids["20"]), by=moved.site.owner)
    tx = moved.make.database.read()
    found = undoing.touched(tx, moved.origin)
    tx.end()
    ((written,),) = moved.rows(
        "SELECT created FROM comments WHERE site_id = %(s)s AND comment_id = %(i)s", i=theirs.id
    )
    assert found == [undoing.Touched("comment", theirs.id, 6, ids["20"], written)]

    done = undoing.undo(moved.make.database, moved.origin)

    assert done.left
    kept = moved.ids(6)
    assert kept == {"20": ids["20"]}
    assert moved.ids(2).keys() == {"10"}
    # Its authors stay, and whoever wrote nowhere else is gone.
    assert moved.ids(3).keys() >= {"1", "2", "3"}
    assert moved.rows(
        "SELECT comment_count FROM items WHERE site_id = %(s)s AND item_id = %(i)s", i=ids["20"]
    ) == [(4,)]
    assert moved.rows("SELECT count(*) FROM huddles WHERE site_id = %(s)s") == [(0,)]
    assert moved.rows("SELECT is_resolved FROM import_origins WHERE site_id = %(s)s") == [(False,)]


@pytest.mark.wide
def test_what_others_edited_or_voted_in_stays_too(make: Factory, config: Config) -> None:
    board = boards.bikes()
    board.streams["conversations"] += [
        PortedConversation(
            id="90",
            forum_id="10",
            name="Ride",
            author="1",
            date_created=boards.at(9),
            event=PortedEvent(),
        ),
        PortedConversation(
            id="91", forum_id="10", name="Renamd", author="2", date_created=boards.at(9)
        ),
    ]
    moved = Moved(make, config, make.site(), board)
    moved.load()
    talks, posts, (poll,) = moved.ids(6), moved.ids(4), moved.ids(7).values()
    events = moved.ids(9)
    owner = moved.site.owner
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    at = [now + datetime.timedelta(minutes=minute) for minute in range(1, 5)]
    edited = moved.rows(
        "SELECT min(comment_id) FROM comments WHERE site_id = %(s)s AND item_id = %(i)s",
        i=talks["20"],
    )[0][0]
    assert edited in posts.values()
    for statement, params in (
        (
            "UPDATE items SET edited = %(t)s, edited_by = %(o)s WHERE site_id = %(s)s AND item_id = %(i)s",
            {"i": talks["91"], "t": at[0]},
        ),
        (
            """UPDATE comments SET edited = %(t)s, edited_by = %(o)s, revisions = revisions + 1
                WHERE site_id = %(s)s AND comment_id = %(i)s""",
            {"i": edited, "t": at[1]},
        ),
        (
            """INSERT INTO poll_ballots (site_id, item_id, user_id, choice_ids, cast_at)
               VALUES (%(s)s, %(i)s, %(u)s, '{1}', %(t)s)""",
            {"i": poll, "t": at[2], "u": owner.user_id},
        ),
        (
            """INSERT INTO attendees (site_id, item_id, profile_id, state_id, rsvpd_on, created_by)
               VALUES (%(s)s, %(i)s, %(o)s, 1, %(t)s, %(o)s)""",
            {"i": events["90"], "t": at[3]},
        ),
    ):
        moved.rows(f"{statement} RETURNING 1", **{"o": owner.id, **params})

    tx = make.database.read()
    found = undoing.touched(tx, moved.origin)
    tx.end()

    assert found == [
        undoing.Touched("edit", talks["91"], 6, talks["91"], at[0]),
        undoing.Touched("edit", edited, 6, talks["20"], at[1]),
        undoing.Touched("ballots", poll, 7, poll, at[2]),
        undoing.Touched("attendee", owner.id, 9, events["90"], at[3]),
    ]
    assert undoing.undo(make.database, moved.origin).left
    assert set(moved.ids(6)) == {"20", "91"}
    assert (set(moved.ids(7).values()), set(moved.ids(9))) == ({poll}, {"90"})


@pytest.mark.wide
def test_people_whose_marks_a_merge_has_copied_go_too(moved: Moved) -> None:
    make, site = moved.make, moved.site
    other, into = (make.conversation(site, by=site.owner) for _ in range(2))
    follow = """
        INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email, send_sms)
        VALUES (%(s)s, %(p)s, 6, %(i)s, false, false) RETURNING 1"""
    moved.rows(follow, p=moved.ids(3)["1"], i=other.id)
    author = Author(site.id, site.owner.id, "")
    grounds = ActionGrounds("terms", "STATEMENT_CATEGORY_VIOLATION_TOS", reason="One is enough")
    with make.database.write() as tx:
        action = Action.insert(tx, author, "merge", grounds, into=ItemRef(6, into.id))
        assert action.plan(tx, site.id, [ItemRef(6, other.id)], [site.root_id])
        action.start(tx, author, [site.root_id])
    carried = "SELECT count(*) FROM carried_marks WHERE site_id = %(s)s AND profile_id = %(p)s"
    profile_id = moved.ids(3)["1"]
    assert moved.rows(carried, p=profile_id) == [(1,)]

    assert undoing.undo(make.database, moved.origin).left == 0
    assert moved.rows(carried, p=profile_id) == [(0,)]


@pytest.mark.wide
def test_the_command_removes_nothing_while_somebody_has_written_there(
    moved: Moved,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("FORUMAPI_DATABASE_URL", moved.config.database_url)
    monkeypatch.setenv("FORUMAPI_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FORUMAPI_ENVIRONMENT", "embedded")
    theirs = moved.make.comment(Thing(moved.site, 6, moved.ids(6)["20"]), by=moved.site.owner)
    before = counted(moved)

    assert cli.main(["import", "undo", "--site", moved.site.key]) == 1

    told = capsys.readouterr()
    ((day,),) = moved.rows(
        "SELECT to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM comments"
        " WHERE site_id = %(s)s AND comment_id = %(i)s",
        i=theirs.id,
    )
    assert f"{day} UTC: comment {theirs.id} on conversation" in told.out
    assert "nothing was removed" in told.err
    assert counted(moved) == before
    assert cli.main(["import", "undo", "--site", moved.site.key, "--untouched"]) == 0
    assert "things of the import stay" in capsys.readouterr().out


@pytest.mark.wide
def test_a_profile_that_is_claimed_meanwhile_stays_with_all_that_is_its(
    moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, ben = moved.make, moved.ids(3)["2"]
    remove_some = undoing._remove_some
    owner: list[int] = []

    def claimed_before(database: Database, origin: Origin, people: Any) -> int:
        if not owner:
            assert ben in [id for id, _ in people]
            with make.database.write() as tx:
                owner.append(User.find_or_create(tx, "ben@claimed.test", is_verified=True).id)
            for statement in (
                "UPDATE profiles SET user_id = %(u)s WHERE site_id = %(s)s AND profile_id = %(p)s",
                """
                INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email, send_sms)
                VALUES (%(s)s, %(p)s, 3, %(o)s, false, false)""",
            ):
                moved.rows(f"{statement} RETURNING 1", u=owner[0], p=ben, o=moved.site.owner.id)
        return remove_some(database, origin, people)

    monkeypatch.setattr(undoing, "_remove_some", claimed_before)
    before = len(set(moved.ids(3).values()))

    done = undoing.undo(make.database, moved.origin)

    assert (done.people, moved.ids(3)) == (before - 1, {"2": ben})
    assert moved.rows(
        "SELECT user_id FROM profiles WHERE site_id = %(s)s AND profile_id = %(p)s", p=ben
    ) == [(owner[0],)]
    assert moved.rows(
        "SELECT count(*) FROM watchers WHERE site_id = %(s)s AND profile_id = %(p)s", p=ben
    ) != [(0,)]


def state(moved: Moved) -> list[Any]:
    """Stage of the import, rows by table, and counters of people."""
    return [
        counted(moved),
        moved.rows("SELECT stage FROM import_origins WHERE site_id = %(s)s"),
        sorted(moved.rows("SELECT n::text FROM profile_counters n WHERE site_id = %(s)s")),
    ]


class Lost(Exception):
    """Signal of a claim that was lost."""


@pytest.mark.wide
def test_each_write_asks_for_the_claim_first(
    moved: Moved, make: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(origin: Origin, tx: Transaction) -> None:
        raise Lost

    people = ImportedPeople(moved.origin)
    tx = make.database.read()
    people.load(tx)
    tx.end()
    before = state(moved)
    monkeypatch.setattr(Origin, "lock", lost)

    for write in (
        lambda: list(counters.count_all(make.database, moved.origin, people)),
        lambda: undoing.undo(make.database, moved.origin),
        lambda: undoing._remove_some(make.database, moved.origin, [(1, 1)]),
        moved.load,
    ):
        with pytest.raises(Lost):
            write()
    assert state(moved) == before


@pytest.mark.wide
def test_an_undoing_that_lost_its_claim_at_the_end_keeps_the_import(
    moved: Moved, make: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(origin: Origin, tx: Transaction) -> None:
        raise Lost

    for name in ("_remove_items", "_remove_people"):
        monkeypatch.setattr(undoing, name, lambda *given: ())

    def none_left(*given: object) -> int:
        monkeypatch.setattr(Origin, "lock", lost)
        return 0

    monkeypatch.setattr(undoing, "_remove_microcosms", none_left)
    count = "SELECT count(*) FROM imported_items WHERE site_id = %(s)s"
    before = moved.rows(count)
    with pytest.raises(Lost):
        undoing.undo(make.database, moved.origin)
    assert moved.rows(count) == before
