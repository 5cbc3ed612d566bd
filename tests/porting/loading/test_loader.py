"""Loading of a forum into a site: rows, texts, rights and counters, again and again."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any

import msgspec
import psycopg
import pytest

from forumapi.command.seed import counter_verification
from forumapi.config import Config
from forumapi.cron import erasures
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.privacy.erasure_request import ErasureRequest
from forumapi.permissions import evaluator
from forumapi.porting.layout import (
    PortedAlias,
    PortedAssociation,
    PortedAttachment,
    PortedAttribute,
    PortedBan,
    PortedComment,
    PortedForum,
    PortedProfile,
    PortedRecipient,
    PortedVersion,
)
from forumapi.porting.loading import loader
from forumapi.porting.loading.planning import Planner
from tests.factories import Factory
from tests.porting import boards
from tests.porting.loading.test_verification import verified
from tests.porting.moved import TABLES, Moved


@pytest.mark.wide
def test_people_come_without_accounts(moved: Moved) -> None:
    people = moved.rows(
        """SELECT i.old_id, p.profile_name, u.email, u.email_verified, u.person_key LIKE 'imported:%%'
             FROM imported_items i
             JOIN profiles p ON p.site_id = i.site_id AND p.profile_id = i.item_id
             JOIN users u ON u.user_id = p.user_id
            WHERE i.site_id = %(s)s AND i.item_type_id = 3 ORDER BY i.old_id"""
    )

    assert [row[:2] for row in people if row[0].isdigit()] == [
        ("0", "deleted"),
        ("1", "Anna_Lee"),
        ("2", "ben"),
        ("3", "Cid"),
        ("4", "Anna_Lee"),
    ]
    assert {row[2:] for row in people} == {("", False, True)}
    assert moved.rows("SELECT count(*) FROM mail_outbox WHERE site_id = %(s)s") == [(0,)]
    assert moved.rows(
        "SELECT person_key, send_email FROM imported_profiles WHERE site_id = %(s)s ORDER BY 1"
    ) == [("anna@example.org", True), ("ben@example.org", False), ("cid@example.org", False)]


@pytest.mark.wide
def test_counters_are_right_and_stay_so_when_it_is_run_again(
    moved: Moved, database_url: str
) -> None:
    before = _everything(moved)
    moved.load()

    assert _everything(moved) == before
    found = [
        one for one in counter_verification.recount(database_url) if f"({moved.site.id}," in one
    ]
    # Times of an old forum need not rise; ours do within an item.
    assert [
        one for one in found if not one.startswith(("comments.seq", "comments.revisions"))
    ] == []
    assert moved.rows(
        "SELECT comment_count, last_seq FROM items WHERE site_id = %(s)s AND item_id = %(i)s",
        i=moved.ids(6)["20"],
    ) == [(3, 5)]


def _everything(moved: Moved) -> dict[str, list[tuple[Any, ...]]]:
    tables = TABLES.split()
    return {
        table: sorted(
            moved.rows(
                f"SELECT (to_jsonb(t) - 'version')::text FROM {table} t WHERE t.site_id = %(s)s"
            )
        )
        for table in tables
    }


@pytest.mark.wide
def test_texts_go_through_the_pipeline_with_their_links(moved: Moved) -> None:
    comments, polls, conversations = moved.ids(4), moved.ids(7), moved.ids(6)
    texts = dict(moved.rows("SELECT comment_id, html FROM comments WHERE site_id = %(s)s"))
    first = texts[comments["300"]]

    assert "/api/v1/files/" in first
    assert f'<a href="/comments/{comments["302"]}/">the answer</a>' in first
    assert f'href="/conversations/{conversations["21"]}/"' in first
    assert f'<a href="/profiles/{moved.ids(3)["2"]}">@ben</a>' in first
    assert f'<a href="/polls/{polls["20"]}/">Which [oil]?</a>' in first
    assert "<script" not in texts[comments["302"]]
    assert "/out/" in texts[comments["301"]]
    assert len(texts[comments["305"]]) > 60_000


@pytest.mark.wide
def test_titles_come_in_whole_and_escaped(moved: Moved) -> None:
    assert moved.rows(
        "SELECT title FROM items WHERE site_id = %(s)s AND item_id = %(i)s", i=moved.ids(6)["20"]
    ) == [("WHICH oil? &lt;b&gt;&amp;amp;",)]
    ((title,),) = moved.rows(
        "SELECT title FROM microcosms WHERE site_id = %(s)s AND microcosm_id = %(i)s",
        i=moved.ids(2)["10"],
    )
    assert (
        title
        == "Garage &amp; &lt;tools&gt; of a name that is longer than the fifty letters of ours"
    )


def test_answers_revisions_and_states_are_kept(moved: Moved) -> None:
    ids = moved.ids(4)
    people = moved.ids(3)
    rows = {
        row[0]: row[1:]
        for row in moved.rows(
            """SELECT comment_id, seq, in_reply_to, created_by, edited_by, revisions, is_deleted, is_moderated
                 FROM comments WHERE site_id = %(s)s"""
        )
    }

    assert rows[ids["300"]] == (1, None, people["1"], people["2"], 2, False, False)
    assert rows[ids["301"]][1] == ids["300"]
    assert rows[ids["302"]][1] == ids["301"]
    assert rows[ids["303"]][2] == people["0"]
    assert rows[ids["303"]][5:] == (True, False)
    assert rows[ids["304"]][5:] == (False, True)
    assert moved.rows(
        "SELECT markdown FROM comment_revisions WHERE site_id = %(s)s AND comment_id = %(i)s",
        i=ids["300"],
    ) == [("First",)]


@pytest.mark.wide
def test_an_answer_to_what_stands_elsewhere_answers_nothing(make: Factory, config: Config) -> None:
    # Whether both come at once, or the answer with a later dump; answers in the same place stay.
    board = boards.bikes()
    comments, messages = board.streams["comments"], board.streams["messages"]
    old_comment, old_message = comments[0], messages[0]

    def add(prefix: str, comment: str, message: str) -> None:
        for id, place in ((f"{prefix}1", "20"), (f"{prefix}2", "21"), (f"{prefix}3", "20")):
            one = msgspec.structs.replace(old_comment, id=id, on_id=place, in_reply_to=comment)
            comments.append(one)
        people = {f"{prefix}1": "2", f"{prefix}2": "3", f"{prefix}3": "2", f"{prefix}4": "3"}
        for id, person in people.items():
            to = (PortedRecipient(id=person),)
            one = msgspec.structs.replace(
                old_message, id=id, root_id="400", to=to, in_reply_to=message
            )
            messages.append(one)

    add("5", "300", "400")
    moved = Moved(make, config, make.site(), board)
    moved.load()
    add("6", "300", "400")
    moved.load()

    def answered(ids: dict[str, int], *old: str) -> list[int | None]:
        answers = dict(
            moved.rows("SELECT comment_id, in_reply_to FROM comments WHERE site_id = %(s)s")
        )
        return [answers[ids[one]] for one in old]

    ids = moved.ids(4)
    there = ids["300"]
    assert answered(ids, "51", "52", "53") == [there, None, there]
    assert answered(ids, "61", "62", "63") == [there, None, there]
    details = moved.rows(
        """SELECT old_id, detail FROM imported_items
            WHERE site_id = %(s)s AND item_type_id = 5 AND detail <> ''"""
    )
    copies = {old: int(detail) for old, detail in details}
    there = copies["400"]
    assert answered(copies, "51", "52", "53", "54") == [there, None, there, None]
    assert answered(copies, "61", "62", "63", "64") == [there, None, there, None]


@pytest.mark.wide
def test_a_moderator_without_rights_is_told_so(make: Factory, config: Config) -> None:
    # Anna and Ben moderate the yard, not the vault below it. The yard inherits the roles of the garage, Anna's rights
    # among them; a role for Ben would end that.
    board = boards.bikes()
    forums = board.streams["forums"]
    vault = msgspec.structs.replace(forums[2], parent_id="14")
    yard = PortedForum(id="14", parent_id="10", name="Yard", moderators=boards.refs("1", "2"))
    forums[2:] = [yard, vault]
    moved = Moved(make, config, make.site(), board)
    moved.load()
    tx = make.database.read()
    left = {one.id: one.reason for one in moved.origin.left_out(tx) if one.kind == "moderator"}
    tree = load_tree(tx, moved.site.id, 0)
    tx.end()
    roles = dict(moved.rows("SELECT profile_id, role_ids FROM profiles WHERE site_id = %(s)s"))
    people, place = moved.ids(3), moved.ids(2)["14"]
    deleting = [
        bool(tree.access(tuple(roles[people[old]])).rights[place] & evaluator.DELETE)
        for old in ("1", "2")
    ]
    changes = Planner(board).run().changes

    assert deleting == [True, False]
    assert left["10:1"].endswith("has the rights in this one alone")
    assert left["14:1"].endswith("has the rights in this one alone")
    assert left["14:2"].endswith("has no such rights, since this one inherits its roles")
    assert changes["moderators with their rights in one forum, not below it"] == 2
    assert changes["moderators who lose their rights in a forum that inherits its roles"] == 1
    # What was told is no difference.
    with make.database.write() as tx:
        assert verified(moved, tx).differences == []


def test_nobody_sees_a_message_that_they_never_had(moved: Moved) -> None:
    people = moved.ids(3)
    rows = moved.rows(
        """SELECT array_agg(DISTINCT h.profile_id ORDER BY h.profile_id),
                  array_agg(DISTINCT c.markdown ORDER BY c.markdown)
             FROM huddle_participants h JOIN comments c ON c.site_id = h.site_id AND c.item_id = h.item_id
            WHERE h.site_id = %(s)s GROUP BY h.item_id"""
    )

    anna, ben, cid = people["1"], people["2"], people["3"]
    assert sorted(rows) == sorted(
        [
            (sorted([anna, ben]), ["Come over", "I will", "Now"]),
            (sorted([ben, cid]), ["I will"]),
        ]
    )
    unread = dict(
        moved.rows("SELECT profile_id, unread_huddles FROM profile_counters WHERE site_id = %(s)s")
    )
    assert (unread[anna], unread[ben], unread[cid]) == (0, 1, 1)


@pytest.mark.wide
def test_rights_are_those_of_the_forum_and_no_more(moved: Moved) -> None:
    places, people = moved.ids(2), moved.ids(3)
    tx = moved.make.database.read()
    tree = load_tree(tx, moved.site.id, 0)
    tx.end()
    roles = dict(moved.rows("SELECT profile_id, role_ids FROM profiles WHERE site_id = %(s)s"))

    def sees(old: str) -> set[str]:
        rights = tree.access(tuple(roles[people[old]]) if old else None).rights
        return {name for name, id in places.items() if rights[id] & evaluator.READ}

    assert sees("") == {"10"}
    assert sees("1") == {"10", "11"}
    assert sees("2") == {"10", "11", "12"}
    assert sees("3") == {"10"}
    anna = tree.access(tuple(roles[people["1"]])).rights
    assert anna[places["10"]] & evaluator.MODERATOR == 0  # Ben's workshop is below it
    assert anna[places["10"]] & evaluator.DELETE
    assert not anna[places["11"]] & evaluator.DELETE


@pytest.mark.wide
def test_files_hang_where_they_did(moved: Moved) -> None:
    comments = moved.ids(4)
    rows = moved.rows(
        "SELECT item_type_id, item_id, file_name FROM attachments WHERE site_id = %(s)s ORDER BY file_name"
    )
    ((note,),) = moved.rows(
        "SELECT detail FROM imported_items WHERE site_id = %(s)s AND item_type_id = 5 AND old_id = '400'"
    )

    assert rows == [
        (3, moved.ids(3)["1"], "me.png"),
        (4, int(note), "note.txt"),
        (4, comments["300"], "oil.png"),
        (4, comments["301"], "torn.png"),
    ]
    # A picture that cannot be read comes as a file, and is never shown as one.
    assert moved.rows(
        """SELECT f.mime_type, f.file_hash FROM attachments a JOIN files f ON f.file_hash = a.file_hash
            WHERE a.site_id = %(s)s AND a.file_name = 'torn.png'"""
    ) == [("application/octet-stream", hashlib.sha1(boards.PNG[:40]).hexdigest())]


def test_each_thing_left_out_has_its_reason(moved: Moved) -> None:
    tx = moved.make.database.read()
    left = {(one.kind, one.id): one.reason for one in moved.origin.left_out(tx)}
    tx.end()

    assert left["conversation", "23"] == "forumId: forum 99 did not come"
    assert left["comment", "306"] == "onId: conversation 23 did not come"
    assert left["attachment", "52"] == "bytes: the file is lost"
    assert left["reaction", "comment:300:2:🦄"] == "name: 🦄 is no reaction of this site"
    # Of banned addresses the list says no more than the network or domain.
    assert ("ban", "192.0.2.*") in left
    assert ("ban", "*@mail.example") in left
    assert ("moderator", "10:1") in left
    assert len(left) == 7


def test_granted_fields_alone_count_for_criteria(make: Factory, config: Config) -> None:
    made = Moved(make, config, make.site(), boards.bikes())
    made.load("paid")

    assert made.rows(
        """SELECT key, is_granted, written_by = %(o)s FROM attributes
            WHERE site_id = %(s)s AND item_type_id = 3 ORDER BY key""",
        o=made.site.owner.id,
    ) == [("Rank", False, False), ("paid", True, True)]


@pytest.mark.wide
def test_a_row_that_the_database_refuses_is_left_out_alone(make: Factory, config: Config) -> None:
    board = boards.bikes()
    huge = board.streams["conversations"][0]
    board.streams["conversations"].append(msgspec.structs.replace(huge, id="29", view_count=2**80))
    made = Moved(make, config, make.site(), board)
    made.load()

    assert {"20", "21", "22"} <= made.ids(6).keys()
    assert "29" not in made.ids(6)


@pytest.mark.wide
def test_a_board_whose_rows_contradict_each_other_comes_as_far_as_it_goes(
    make: Factory, config: Config
) -> None:
    board = boards.bikes()
    streams = board.streams
    replace = msgspec.structs.replace
    person, talk, post = (streams[name][0] for name in ("profiles", "conversations", "comments"))
    forum = next(one for one in streams["forums"] if one.id == "10")
    mangled = "Caf\u00c3\u00a9 \ufffd '); DROP TABLE comments; --"
    days = [
        datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(2038, 1, 19, 3, 14, 8, tzinfo=datetime.UTC),
    ]
    # Ids that stand twice; forums that are below each other, and below themselves.
    streams["profiles"].append(replace(person, name="Somebody else", email=""))
    streams["forums"] += [
        replace(forum, id="80", parent_id="81", name="Egg", moderators=()),
        replace(forum, id="81", parent_id="80", name="Hen", moderators=()),
        replace(forum, id="82", parent_id="82", name="Snake", moderators=()),
    ]
    streams["conversations"] += [
        replace(talk, name="Another title"),
        replace(talk, id="70", name="A topic without posts"),
        replace(talk, id="71", forum_id="80", name="In a cycle"),
    ]
    streams["comments"] += [
        replace(post, versions=boards.said("The second of this id")),
        replace(post, id="700", on_id="7777"),
        replace(post, id="701", author="6666", author_name="", versions=boards.said(mangled)),
        *(replace(post, id=f"71{n}", date_created=day) for n, day in enumerate(days)),
    ]
    made = Moved(make, config, make.site(), board)

    made.load()

    found = dict(
        made.rows(
            """SELECT i.old_id, (c.markdown, c.created AT TIME ZONE 'UTC', p.profile_name)::text
                 FROM imported_items i JOIN comments c ON c.site_id = i.site_id AND c.comment_id = i.item_id
                 JOIN profiles p ON p.site_id = c.site_id AND p.profile_id = c.created_by
                WHERE i.site_id = %(s)s AND i.item_type_id = 4"""
        )
    )
    assert "The second of this id" not in found[post.id]
    assert "DROP TABLE comments; --" in found["701"] and "Caf\u00c3\u00a9" in found["701"]
    assert "1970-01-01 00:00:00" in found["710"] and "2038-01-19 03:14:08" in found["711"]
    assert "700" not in found
    assert {"70", talk.id} <= made.ids(6).keys()
    tx = made.make.database.read()
    left = {(one.kind, one.id): one.reason for one in made.origin.left_out(tx)}
    tx.end()
    assert left["comment", "700"] == "onId: conversation 7777 did not come"
    for kind, id in (("profile", person.id), ("conversation", talk.id), ("comment", post.id)):
        assert left[kind, id] == f"id: another {kind} has it"
    # Each forum of a cycle comes, or is named.
    for id in ("80", "81", "82"):
        assert id in made.ids(2) or ("forum", id) in left
    assert "71" in made.ids(6) or ("conversation", "71") in left


@pytest.mark.wide
@pytest.mark.parametrize("between", [0, loader.BATCH])
def test_of_those_with_one_id_the_first_comes_in_each_run(
    make: Factory, config: Config, between: int
) -> None:
    board = boards.bikes()
    streams, replace = board.streams, msgspec.structs.replace
    post, message, file = (streams[name][0] for name in ("comments", "messages", "attachments"))
    second = boards.said("The second of this id")
    elsewhere = (PortedAssociation(on_type="comment", on_id="302"),)
    # So many stand between both that each is in a batch of its own.
    streams["comments"] += [replace(post, id=f"many{n}") for n in range(between)]
    streams["comments"] += [replace(post, versions=second), replace(post, id="twice later")]
    streams["messages"].append(replace(message, versions=second))
    streams["attachments"].append(replace(file, associations=elsewhere))
    made = Moved(make, config, make.site(), board)

    def rows() -> list[list[tuple[Any, ...]]]:
        return [
            made.rows(f"SELECT {what} WHERE t.site_id = %(s)s ORDER BY 1, 2, 3")
            for what in (
                "comment_id, version, markdown FROM comments t",
                "item_type_id, item_id, file_hash FROM attachments t",
                "kind, old_id, reason FROM import_leftouts t",
            )
        ]

    made.load()
    texts, files, left = rows()
    streams["comments"].append(replace(post, id="twice later", versions=second))
    made.load()

    again = rows()
    assert (again[0], again[1]) == (texts, files)
    told = "id: another {} has it"
    assert set(left) >= {
        (kind, one.id, told.format(kind))
        for kind, one in (("comment", post), ("message", message), ("attachment", file))
    }
    assert set(again[2]) - set(left) == {("comment", "twice later", told.format("comment"))}
    assert not [row for row in texts if "The second" in row[2]]
    plan = Planner(board).run()
    assert plan.stay["comments"] == len([row for row in again[2] if row[0] == "comment"])
    with make.database.write() as tx:
        assert verified(made, tx).differences == []


@pytest.mark.wide
@pytest.mark.parametrize("length", [1_000_001, 50_000_000])
def test_a_text_beyond_all_bounds_is_left_out(make: Factory, config: Config, length: int) -> None:
    board = boards.bikes()
    first = board.streams["comments"][0]
    board.streams["comments"].append(
        msgspec.structs.replace(first, id="390", versions=boards.said("x" * length))
    )
    made = Moved(make, config, make.site(), board)
    made.load()
    tx = make.database.read()
    left = {one.id: one.reason for one in made.origin.left_out(tx)}
    tx.end()

    assert left["390"] == "text: has more than 1,000,000 characters"
    assert "390" not in made.ids(4)


@pytest.mark.wide
def test_a_ban_that_ends_does_not_become_one_for_good(make: Factory, config: Config) -> None:
    end = datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC)
    board = boards.bikes()
    # A time without a zone is in UTC.
    over = end.replace(year=2001, tzinfo=None)
    board.streams["bans"] = [
        PortedBan(profile="3", expires=end, reason="a while"),
        PortedBan(profile="2", expires=over),
    ]
    moved = Moved(make, config, make.site(), board)
    moved.load()

    assert moved.rows(
        """SELECT b.expires, b.display_reason FROM bans b
             JOIN profiles p ON p.site_id = b.site_id AND p.user_id = b.user_id
            WHERE b.site_id = %(s)s AND p.profile_id = %(p)s""",
        p=moved.ids(3)["3"],
    ) == [(end, "a while")]


@pytest.mark.wide
def test_who_was_erased_does_not_come_back_with_another_run(
    make: Factory, config: Config, database_url: str
) -> None:
    board = boards.bikes()
    board.streams["profiles"] = [
        msgspec.structs.replace(
            one, attributes=(PortedAttribute(key="signature", value="My own words"),)
        )
        if one.id == "1"
        else one
        for one in board.streams["profiles"]
    ]
    board.streams["aliases"] = [PortedAlias(on_type="profile", on_id="1", alias="@anna")]
    moved = Moved(make, config, make.site(), board)
    moved.load()
    anna = moved.ids(3)["1"]
    with moved.make.database.write() as tx:
        ErasureRequest.insert(tx, moved.site.id, anna, "keep")
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE erasures SET due = now() WHERE profile_id = %s", [anna])
    assert erasures.work_off(make.database, config) == 1

    moved.load()

    assert moved.ids(3)["1"] == anna
    assert "@anna" not in moved.ids(3)
    names = moved.rows("SELECT profile_name FROM profiles WHERE site_id = %(s)s")
    assert not [name for (name,) in names if name == "Anna_Lee"]
    for table, column in (
        ("attributes", "item_id"),
        ("watchers", "profile_id"),
        ("bookmarks", "profile_id"),
        ("imported_profiles", "profile_id"),
    ):
        assert moved.rows(
            f"SELECT count(*) FROM {table} WHERE site_id = %(s)s AND {column} = %(p)s", p=anna
        ) == [(0,)], table
    assert moved.rows(
        "SELECT avatar_id FROM profiles WHERE site_id = %(s)s AND profile_id = %(p)s", p=anna
    ) == [(None,)]


@pytest.mark.wide
def test_search_has_each_text_that_is_shown_and_no_other(moved: Moved) -> None:
    """A batch is indexed by one statement: what is deleted or waits for a moderator stays out of the index."""
    indexed = moved.rows(
        """SELECT d.item_id, d.vector = search_vector(s.search_language, '', 'D', c.markdown)
             FROM search_documents d
             JOIN sites s ON s.site_id = d.site_id
             JOIN comments c ON c.site_id = d.site_id AND c.comment_id = d.item_id
            WHERE d.site_id = %(s)s AND d.item_type_id = 4"""
    )
    shown = moved.rows(
        """SELECT c.comment_id, true FROM comments c
            WHERE c.site_id = %(s)s AND NOT c.is_deleted AND NOT c.is_moderated"""
    )

    ids = moved.ids(4)
    assert sorted(indexed) == sorted(shown)
    assert not {ids["303"], ids["304"]} & {id for id, _ in indexed}


def test_a_batch_holds_few_long_documents() -> None:
    long = "x" * 1_500_000
    file = PortedAttachment(id="1", content_url=long)
    documents = (
        file,
        PortedProfile(id="1", name="anna", avatar=file),
        PortedProfile(id="1", name="anna", text=long),
        PortedProfile(id="1", name="anna", attributes=(PortedAttribute(key="x", value=long),)),
        PortedComment(id="1", on_type="profile", on_id="1", versions=(PortedVersion(text=long),)),
    )
    for one in documents:
        sizes = [len(batch) for batch in loader._batches([one] * 3, 500)]
        assert sizes == [1, 1, 1], one.__class__.__name__
    short = PortedProfile(id="1", name="anna", text="x" * 1000)
    assert [len(batch) for batch in loader._batches([short] * 30, 20)] == [20, 10]
