"""Posts in a later dump of people who were erased on the site: under nobody's name, with words if they chose so."""

from __future__ import annotations

import msgspec
import psycopg
import pytest

from forumapi.config import Config
from forumapi.cron import erasures
from forumapi.models.privacy.erasure_request import ErasureRequest
from forumapi.porting.layout import (
    PortedAssociation,
    PortedAttachment,
    PortedComment,
    PortedConversation,
    PortedMessage,
    PortedRecipient,
)
from tests.factories import Factory
from tests.porting import boards
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
