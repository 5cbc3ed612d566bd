"""Later dumps with people who were erased on the site: their posts come under nobody's name, with words if they chose
so, and nothing else of theirs does.
"""

from __future__ import annotations

import msgspec
import psycopg
import pytest

from forumapi.config import Config
from forumapi.cron import erasures
from forumapi.models.privacy.erasure_request import ErasureRequest
from forumapi.models.sites import legacy_ids
from forumapi.porting.layout import (
    PortedAlias,
    PortedAssociation,
    PortedAttachment,
    PortedAttendee,
    PortedBallot,
    PortedBan,
    PortedChoice,
    PortedComment,
    PortedConversation,
    PortedEvent,
    PortedFollow,
    PortedFollowed,
    PortedForum,
    PortedMessage,
    PortedPoll,
    PortedProfile,
    PortedReaction,
    PortedRecipient,
    PortedRole,
    PortedWarning,
)
from tests.factories import Factory
from tests.porting import boards
from tests.porting.loading.test_verification import verified
from tests.porting.moved import Moved


def erase(moved: Moved, database_url: str, old_id: str, words: str) -> int:
    """Erase the person on the site; their profile's id."""
    profile_id = moved.ids(3)[old_id]
    with moved.make.database.write() as tx:
        ErasureRequest.insert(tx, moved.site.id, profile_id, words)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE erasures SET due = now() WHERE profile_id = %s", [profile_id])
    assert erasures.work_off(moved.make.database, moved.config) == 1
    return profile_id


def add_later_posts(board: boards.Shelf) -> None:
    """Add what Ben wrote before the old forum was closed, and what Anna wrote about him."""
    board.streams["conversations"].append(
        PortedConversation(
            id="29", name="Canary title", forum_id="10", author="2", date_created=boards.at(9)
        )
    )
    board.streams["comments"] += [
        PortedComment(
            id="390",
            on_id="29",
            author="2",
            date_created=boards.at(9),
            versions=(*boards.said("Canary before"), *boards.said("Canary after")),
        ),
        PortedComment(
            id="391", on_id="29", author="1", versions=boards.said("Ask [@ben](old:profile/2)")
        ),
    ]
    board.streams["messages"].append(
        PortedMessage(
            id="490",
            name="Canary subject",
            author="2",
            to=(PortedRecipient(id="1"),),
            date_created=boards.at(9),
            versions=boards.said("Canary whisper"),
        )
    )
    board.streams["attachments"].append(
        PortedAttachment(
            id="59",
            author="2",
            name="canary.txt",
            path="canary.txt",
            associations=(PortedAssociation(on_type="comment", on_id="390"),),
        )
    )
    board.files["canary.txt"] = b"canary"
    board.streams["profiles"] = [
        msgspec.structs.replace(one, text="Canary about me") if one.id == "2" else one
        for one in board.streams["profiles"]
    ]


@pytest.mark.wide
@pytest.mark.parametrize("words", ["keep", "remove"])
def test_later_posts_of_the_erased_come_as_they_chose(
    make: Factory, config: Config, database_url: str, words: str
) -> None:
    board = boards.bikes()
    moved = Moved(make, config, make.site(), board)
    moved.load()
    ben = erase(moved, database_url, "2", words)
    add_later_posts(board)

    moved.load()

    ids = moved.ids(4)
    assert moved.rows(
        "SELECT created_by, markdown FROM comments WHERE site_id = %(s)s AND comment_id = %(c)s",
        c=ids["390"],
    ) == [(ben, "Canary after" if words == "keep" else "[removed]")]
    everything = str(
        moved.rows("SELECT markdown, html FROM comments WHERE site_id = %(s)s")
        + moved.rows("SELECT markdown, markdown FROM comment_revisions WHERE site_id = %(s)s")
        + moved.rows("SELECT title, title FROM items WHERE site_id = %(s)s")
        + moved.rows("SELECT file_name, file_name FROM attachments WHERE site_id = %(s)s")
    ).lower()
    assert "canary about" not in everything
    assert ("canary" in everything) == (words == "keep")
    ((mention,),) = moved.rows(
        "SELECT markdown FROM comments WHERE site_id = %(s)s AND comment_id = %(c)s", c=ids["391"]
    )
    assert "@ben" not in mention
    assert f"(/profiles/{ben}/" in mention or f"(/profiles/{ben})" in mention
    assert differences(moved) == []


@pytest.mark.wide
def test_nothing_else_of_the_erased_comes(make: Factory, config: Config, database_url: str) -> None:
    """Each of these documents has a part of somebody else's, which comes."""
    board = boards.bikes()
    moved = Moved(make, config, make.site(), board)
    moved.load()
    ben = erase(moved, database_url, "2", "remove")
    before = about_person(moved, ben)
    streams = board.streams
    streams["profiles"] = [
        msgspec.structs.replace(one, is_banned=True) if one.id == "2" else one
        for one in streams["profiles"]
    ]
    streams["forums"].append(
        PortedForum(
            id="19",
            name="Later",
            usergroups=(
                PortedRole(
                    id="", name="Both", users=boards.refs("1", "2"), forum_permissions=boards.MEMBER
                ),
            ),
            usergroups_only=True,
            moderators=boards.refs("1", "2"),
        )
    )
    streams["conversations"].append(
        PortedConversation(
            id="29",
            name="Ride",
            forum_id="10",
            author="1",
            date_edited=boards.at(9),
            edited_by="2",
            edit_reason="Canary reason",
            event=PortedEvent(
                attendees=(PortedAttendee(id="1", state="yes"), PortedAttendee(id="2", state="yes"))
            ),
        )
    )
    streams["polls"].append(
        PortedPoll(
            id="29",
            forum_id="10",
            question="Who?",
            author="1",
            choices=(PortedChoice(id="1", text="I", votes=2),),
            ballots=(
                PortedBallot(author="1", choices=("1",)),
                PortedBallot(author="2", choices=("1",)),
            ),
        )
    )
    streams["messages"] += [
        PortedMessage(
            id="490",
            author="1",
            to=(PortedRecipient(id="2"), PortedRecipient(id="3")),
            versions=boards.said("To both"),
        ),
        PortedMessage(
            id="491", author="2", to=(PortedRecipient(id="1"),), versions=boards.said("By Ben")
        ),
    ]
    streams["reactions"] += [
        PortedReaction(author=author, on_type="comment", on_id="301", name="👍")
        for author in ("1", "2")
    ]
    streams["follows"].append(
        PortedFollow(author="3", users=(PortedFollowed(id="1"), PortedFollowed(id="2")))
    )
    streams["follows"].append(PortedFollow(author="1", users_ignored=("2", "3")))
    streams["bans"].append(PortedBan(profile="2", reason="Canary", note="Canary note"))
    streams["warnings"] = [PortedWarning(profile="2", author="1", text="Canary")]

    moved.load()

    assert about_person(moved, ben) == before
    assert moved.rows("SELECT count(*) FROM items WHERE site_id = %(s)s AND edit_reason <> ''") == [
        (0,)
    ]
    assert not moved.rows(
        "SELECT reason FROM import_leftouts WHERE site_id = %(s)s AND kind IN ('ban', 'warning') AND old_id ~ '^2'"
    )
    anna, cid = moved.ids(3)["1"], moved.ids(3)["3"]
    talks = "SELECT profile_id FROM huddle_participants WHERE site_id = %(s)s AND item_id = %(i)s"
    huddles = moved.ids(5)
    assert {id for (id,) in moved.rows(talks, i=huddles["490"])} == {anna, cid}
    assert moved.rows(talks, i=huddles["491"]) == [(anna,)]
    assert moved.rows(
        "SELECT rsvp_attending FROM events WHERE site_id = %(s)s AND item_id = %(i)s",
        i=moved.ids(9)["29"],
    ) == [(1,)]
    assert moved.rows(
        """SELECT count(*) FROM watchers WHERE site_id = %(s)s AND item_type_id = 3 AND profile_id = %(p)s""",
        p=cid,
    ) == [(1,)]


@pytest.mark.wide
def test_who_had_a_text_as_id_stays_erased(
    make: Factory, config: Config, database_url: str
) -> None:
    """Nothing but posts comes of them, and no row has the id, which may be an address or its hash."""
    old_id = "kestrel@old.example"
    forum = PortedForum(id="list", name="List")
    posts = [
        PortedConversation(id="talk", name="Hello", forum_id="list", author=old_id),
        PortedComment(id="first", on_id="talk", author=old_id, versions=boards.said("One")),
    ]
    board = boards.Shelf(
        profiles=[PortedProfile(id=old_id, name="Kestrel", email=old_id, text="I sing")],
        forums=[forum],
        conversations=posts[:1],
        comments=posts[1:],
        aliases=[PortedAlias(on_type="profile", on_id=old_id, alias="@kestrel")],
    )
    moved = Moved(make, config, make.site(), board)
    moved.load()
    kestrel = erase(moved, database_url, old_id, "keep")
    profiles = "SELECT profile_id FROM profiles WHERE site_id = %(s)s ORDER BY profile_id"
    before = moved.rows(profiles)
    board.streams["comments"] += [
        PortedComment(
            id="later",
            on_id="talk",
            author=old_id,
            author_name="Kestrel",
            versions=boards.said("Two"),
        ),
        PortedComment(
            id="about", on_id="talk", versions=boards.said(f"[Them](old:profile/{old_id})")
        ),
    ]
    board.streams["reactions"] = [
        PortedReaction(author=old_id, on_type="comment", on_id="about", name="👍")
    ]
    board.streams["bans"] = [PortedBan(profile=old_id, reason="Kestrel")]

    moved.load()

    # One more, "deleted", wrote the comment without an author.
    assert len(moved.rows(profiles)) == len(before) + 1
    assert moved.rows(
        "SELECT created_by, markdown FROM comments WHERE site_id = %(s)s AND comment_id = %(c)s",
        c=moved.ids(4)["later"],
    ) == [(kestrel, "Two")]
    kept = {old for old, id in moved.ids(3).items() if id == kestrel}
    assert kept == {moved.origin.erased_id(old_id)}
    assert legacy_id(moved, old_id) == legacy_id(moved, *kept) == 0
    for table in ("profiles", "users", "imported_items", "imported_profiles", "reactions", "bans"):
        rows = make.sql(f"SELECT t::text FROM {table} t")
        assert not [row for (row,) in rows if "kestrel" in row.lower()], table
    assert not moved.rows("SELECT 1 FROM reactions WHERE site_id = %(s)s")
    assert differences(moved) == []


def differences(moved: Moved) -> list[str]:
    """Differences that the verification of the import finds."""
    with moved.make.database.write() as tx:
        return [str(one) for one in verified(moved, tx).differences]


def legacy_id(moved: Moved, old_id: str) -> int:
    """Id of the profile to which the old address with this id leads; 0 if it leads nowhere."""
    with moved.make.database.write() as tx:
        row = tx.row(
            legacy_ids.FIND,
            site_id=moved.site.id,
            origins=[moved.origin.id],
            types=[3],
            old_ids=[old_id],
        )
    return row[1] if row else 0


def about_person(moved: Moved, profile_id: int) -> dict[str, int]:
    """Number of rows about the person in tables of which a later dump may have more."""
    own = "site_id = %(s)s AND profile_id = %(p)s"
    on_them = "site_id = %(s)s AND item_type_id = 3 AND item_id = %(p)s"
    user = "site_id = %(s)s AND user_id = (SELECT user_id FROM profiles WHERE profile_id = %(p)s)"
    conditions = {
        "reactions": own,
        "attendees": own,
        "role_profiles": own,
        "huddle_participants": own,
        "read_marks": own,
        "watchers": on_them,
        "ignores": on_them,
        "poll_ballots": user,
        "bans": user,
    }
    return {
        table: moved.rows(f"SELECT count(*) FROM {table} WHERE {where}", p=profile_id)[0][0]
        for table, where in conditions.items()
    }
